"""`view`: results in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from tracker.cli.command_options import BODY


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULT...")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The next free one if it is taken."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--rerun", type=click.Path(path_type=Path), metavar="FILE.rrd", help="Write a Rerun file instead.")
@BODY
def view(results: tuple[Path, ...], port: int, no_browser: bool, rerun: Path | None, body: Path | None) -> None:
    """Play RESULTs in a browser of this machine, turn them around, compare them.

    A RESULT is a folder that `track` or `live` has left, or an .npz with SMPL parameters, such as the demo's truth or
    AMASS' files. Several stand side by side.
    """
    from tracker.app.view.view import ViewJob
    from tracker.app.view.view import view as run_view
    from tracker.runtime.interrupt import deferred_interrupt

    with deferred_interrupt() as interrupt:
        run_view(ViewJob(results, port, not no_browser, body, rerun), interrupt)
    if rerun is not None:
        click.echo(f"written: {rerun}; open it with: rerun {rerun}")
