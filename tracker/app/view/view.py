"""The `view` job."""

from __future__ import annotations

import logging
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.app.view.motion_file import result_files
from tracker.app.view.result_page import ResultPage
from tracker.runtime.interrupt import Interrupt

if TYPE_CHECKING:
    from tracker.body.volume import BodyVolume

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
    """Serves until the user interrupts, or writes the file. Raises InputError, RunError.

    The page opens at once; what is shown on it is read meanwhile.
    """
    for path in job.results:
        result_files(path)  # before anybody is shown an address
    if job.rerun is not None:
        _write_rerun(job)
        return
    page = ResultPage(job.port)
    try:
        log.info("the results are at %s; stop with Ctrl-C", page.address)
        if job.browser:
            webbrowser.open(page.address)
        _play(job, page, interrupt)
    finally:
        page.close()


def _play(job: ViewJob, page: ResultPage, interrupt: Interrupt) -> None:
    from tracker.app.view.motion import read_run
    from tracker.app.view.viewer import ResultViewer
    from tracker.body.skeletal_mesh import load_skeletal_mesh

    body = load_skeletal_mesh(job.body)
    viewer = ResultViewer([read_run(path, body) for path in job.results], body, partial(_volume, job.body), page)
    try:
        viewer.play(interrupt)
    finally:
        viewer.close()


@cache
def _volume(body: Path | None) -> BodyVolume:
    """On the built-in body or a user's; takes torch, and with it seconds."""
    from tracker.body import load_body
    from tracker.body.volume import BodyVolume, VolumeConfig

    return BodyVolume.on(load_body(body), VolumeConfig())


def _write_rerun(job: ViewJob) -> None:
    from tracker.app.view.motion import read_run
    from tracker.app.view.rerun_file import write_rerun
    from tracker.body.skeletal_mesh import load_skeletal_mesh

    assert job.rerun is not None
    body = load_skeletal_mesh(job.body)
    write_rerun([read_run(path, body) for path in job.results], job.rerun)
