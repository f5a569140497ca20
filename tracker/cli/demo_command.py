"""`demo`: a clip with known truth, tracked and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracker.cli.command_config import configured
from tracker.cli.command_options import CLIP_SECONDS, COMMON, OVERWRITE
from tracker.runtime.standard_streams import tell


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True)
@click.option("--seconds", type=CLIP_SECONDS, default=12.0, show_default=True, help="Length of the clip.")
@OVERWRITE
@COMMON
def demo(out: Path, seconds: float, overwrite: bool, **given: Any) -> None:
    """Make a clip with known truth, track it like any video, print the errors.

    The clip is the built-in body, dressed and lit, walking, waving and squatting, with a pillar in front for a while.
    """
    from tracker.app.demo import DemoJob, run_demo
    from tracker.runtime.interrupt import deferred_interrupt

    config = configured(given, {"smooth": {"mode": "offline"}})
    with deferred_interrupt() as interrupt:
        tell(run_demo(DemoJob(out, seconds, overwrite), config, interrupt))
