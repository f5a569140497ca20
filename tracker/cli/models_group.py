"""`models`: the landmark networks that one can choose from."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def models() -> None:
    """Landmark networks, from the most accurate to the fastest: heavy, full, lite."""


@models.command("list")
def models_list() -> None:
    """Say which landmark networks are here, and where."""
    from tracker.app.model_commands import listing

    for line in listing():
        click.echo(line)


@models.command("get")
@click.argument("name")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def models_get(name: str, file: Path | None) -> None:
    """Get the landmark network NAME through npm, or from a FILE that you have; its digest is checked.

    With heavy, files are tracked with it, and live where this machine is fast enough.
    """
    from tracker.app.model_commands import get

    click.echo(f"{name}: {get(name, file)}")
