"""Many inputs from Python, on any executor of `concurrent.futures`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from tracker.app.batch import BatchView, job_count, run_batch
from tracker.app.clip_job import ClipJob, ClipReport
from tracker.app.track import TrackJob
from tracker.config import load_config
from tracker.core.errors import InputError
from tracker.export import ExportConfig, mirrored_folders, parse_formats
from tracker.export.files import holds_result
from tracker.pipeline import TrackerConfig
from tracker.runtime.worker_processes import WorkerProcesses
from tracker.source import Clip, find_inputs


@dataclass(frozen=True)
class TrackOptions:
    """What is tracked of each input, and what is left of it."""

    clip: Clip = field(default_factory=Clip)
    formats: tuple[str, ...] = ("npz", "jsonl")
    """Among npz, jsonl, bvh, glb, csv, trc."""
    overlay: bool = True
    """Whether overlay.mp4 is drawn."""
    renderer: str = "raster"
    """What draws it: raster or pyrender."""
    overwrite: bool = False
    """Replace earlier results."""
    resume: bool = False
    """Leave finished results as they are, and replace those that are not finished."""

    def __post_init__(self) -> None:
        parse_formats(",".join(self.formats))
        if self.resume and self.overwrite:
            raise InputError("resume, overwrite: expected one of them: keep what is finished, or replace it")


def track_many(
    inputs: Sequence[str | Path],
    out: str | Path,
    executor: Executor | None = None,
    config: TrackerConfig | None = None,
    options: TrackOptions = TrackOptions(),
) -> list[ClipReport]:
    """Tracks videos, pictures and folders of either, each into its folder in `out`, as `body-tracker track` does.

    executor: runs one task an input, in threads, processes or on other machines that see the same files; None is as
    many processes as this machine has room for. Those of a standard ProcessPoolExecutor want `if __name__ ==
    "__main__":` around the call. What is wrong with an input is in its report; raises InputError or RunError where
    nothing can be tracked at all.

    >>> for report in track_many(["videos"], "out"):
    ...     print(report.spec, report.outcome, report.people)
    """
    config = config or load_config(changes={"smooth": {"mode": "offline"}})
    jobs, view = clip_jobs([str(each) for each in inputs], Path(out), config, options), BatchView()
    if executor is not None:
        run_batch(jobs, executor, view)
    else:
        with WorkerProcesses(min(job_count("auto"), len(jobs))) as processes:
            run_batch(jobs, processes, view)
    place = {job.track.folder: number for number, job in enumerate(jobs)}
    return sorted(view.reports, key=lambda report: place[report.folder])


def clip_jobs(inputs: Sequence[str], out: Path, config: TrackerConfig, options: TrackOptions) -> list[ClipJob]:
    """One for each video in the inputs, in their order. Raises InputError for inputs that do not exist."""
    export = ExportConfig(options.formats, options.overwrite)
    sources = find_inputs(inputs, holds_result)
    folders = mirrored_folders([(each.spec, each.within) for each in sources], out)
    tracks = (
        TrackJob(each.spec, folder, options.clip, export, options.overlay, options.renderer)
        for each, folder in zip(sources, folders, strict=True)
    )
    return [ClipJob(each, config, options.resume) for each in tracks]
