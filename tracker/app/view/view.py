"""The `view` job."""

from __future__ import annotations

import logging
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracker.app.view.motion import read_run
from tracker.app.view.rerun_file import write_rerun
from tracker.body import load_body
from tracker.core.errors import InputError
from tracker.runtime.interrupt import Interrupt

log = logging.getLogger("tracker")


@dataclass(frozen=True)
class ViewJob:
    """What is to be seen, and where."""

    results: Sequence[Path]
    port: int = 8080
    """Or the next one that is free; 0 takes any."""
    browser: bool = True
    """Opens one."""
    body: Path | None = None
    """The SMPL file that the results were made with; None is the built-in body."""
    rerun: Path | None = None
    """Write this file instead of serving a page."""


def view(job: ViewJob, interrupt: Interrupt) -> None:
    """Serves until the user interrupts, or writes the file. Raises InputError, RunError."""
    body = load_body(job.body)
    runs = [read_run(path, body) for path in job.results]
    if job.rerun is not None:
        write_rerun(runs, job.rerun)
        return
    try:
        from tracker.app.view.viewer import ResultViewer

        viewer = ResultViewer(runs, body, job.port)
    except ModuleNotFoundError as error:
        if error.name != "viser":
            raise
        raise InputError("view: needs the package viser; pip install 'body-tracker[view]'") from None
    try:
        log.info("the results are at %s; stop with Ctrl-C", viewer.address)
        if job.browser:
            webbrowser.open(viewer.address)
        viewer.play(interrupt)
    finally:
        viewer.close()
