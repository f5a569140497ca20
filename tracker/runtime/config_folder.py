"""Where the configurations that come with the project are."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def config_folder() -> Path:
    """`configs/`: in an installed package inside it, in a checkout beside it."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"
