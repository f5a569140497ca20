"""Starting further processes of ours: they import from where this one does, and never from the user's folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE_ROOT = Path(__file__).parents[2]


def helper_command(module: str) -> list[str]:
    """The command that runs `main()` of a module of ours.

    `python -m` would import from the current folder first, where somebody's numpy.py or queue.py may lie.
    """
    code = f"import sys; sys.path[:] = {import_places()!r}; from {module} import main; main()"
    return [sys.executable, "-I", "-c", code]


def import_places() -> list[str]:
    """This process's places to import from, without the current folder, unless that is where this package is."""
    here = Path.cwd().resolve()
    return [place for place in sys.path if place and (Path(place).resolve() != here or here == _PACKAGE_ROOT)]


def keep_current_folder_out() -> None:
    """Has processes that other libraries start (worker pools) leave it out, too; from Python 3.11 on."""
    os.environ.setdefault("PYTHONSAFEPATH", "1")
