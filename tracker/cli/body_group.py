"""`body`: body models of the user's own."""

from __future__ import annotations

from pathlib import Path

import click

from tracker.cli.command_options import OVERWRITE


@click.group()
def body() -> None:
    """Body models."""


@body.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where to write; default: FILE with the suffix .npz.")
@OVERWRITE
def body_import(file: Path, out: Path | None, overwrite: bool) -> None:
    """Turn an SMPL FILE (.pkl or .npz from its makers' site) into a safe .npz for --body.

    The file is read without running anything that is in it.
    """
    from tracker.body import import_body

    target = out or file.with_suffix(".safe.npz" if file.suffix == ".npz" else ".npz")
    import_body(file, target, overwrite)
    click.echo(f"{target}: use it with --body {target}")
