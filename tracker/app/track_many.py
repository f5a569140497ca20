"""Many inputs from Python, on any executor of `concurrent.futures`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType

from tracker.app.batch import BatchView, job_count, run_batch
from tracker.app.chunked import run_chunked
from tracker.app.clip_job import ClipJob, ClipReport
from tracker.app.pieces import OVERLAP_SECONDS
from tracker.app.place import FolderPlace, SharedPlace, StoredPlace
from tracker.app.track import TrackJob
from tracker.config import load_config
from tracker.core.errors import InputError, require_kind
from tracker.export import ExportConfig, mirrored_folders, parse_formats
from tracker.export.files import holds_result
from tracker.overlay.mesh_overlay import OverlayStyle
from tracker.pipeline import TrackerConfig
from tracker.runtime.cores import available_cores
from tracker.runtime.storage import is_stored
from tracker.runtime.worker_processes import WorkerProcesses
from tracker.source import Clip, InputTrust, find_inputs, spec_of

_SHORTEST_CHUNK = 5 * OVERLAP_SECONDS
"""Shorter ones would mostly be tracked twice."""


@dataclass(frozen=True)
class TrackOptions:
    """What is tracked of each input, and what is left of it."""

    clip: Clip = field(default_factory=Clip)
    formats: tuple[str, ...] = ("npz", "jsonl")
    """Among those that `--format` names."""
    overlay: bool = True
    """Whether overlay.mp4 is drawn."""
    renderer: str = "raster"
    """What draws it: raster or pyrender."""
    overwrite: bool = False
    """Replace earlier results."""
    resume: bool = False
    """Leave finished results as they are, and replace those that are not finished."""
    style: OverlayStyle = "mesh"
    """mesh, skeleton or confidence."""
    side_by_side: bool = False
    """Whether overlay.mp4 has the picture as it came beside it."""
    shared: bool = False
    """Write each result beside its place and rename it when it is whole: for folders that several machines reach."""
    chunk: float | None = None
    """Seconds of the pieces that long videos are cut into, to be tracked beside each other; None cuts none."""
    trust: InputTrust = field(default_factory=InputTrust)

    def __post_init__(self) -> None:
        if self.chunk is not None and not self.chunk >= _SHORTEST_CHUNK:
            raise InputError(f"--chunk {self.chunk:g}: expected {_SHORTEST_CHUNK:g} seconds or more")
        parse_formats(",".join(self.formats))
        if self.resume and self.overwrite:
            raise InputError("resume, overwrite: expected one of them: keep what is finished, or replace it")


def track_many(
    inputs: str | Path | Iterable[str | Path],
    out: str | Path,
    executor: Executor | None = None,
    config: TrackerConfig | None = None,
    options: TrackOptions = TrackOptions(),
) -> list[ClipReport]:
    """Tracks videos, pictures and folders of either, each into its folder in `out`, as `body-tracker track` does.

    Inputs and `out` may be addresses on storage that fsspec knows, such as s3://bucket/folder.

    executor: runs one task an input, in threads, processes or on other machines that see the same files; None is as
    many processes as this machine has room for. Those of a standard ProcessPoolExecutor want `if __name__ ==
    "__main__":` around the call. What is wrong with an input is in its report; raises InputError or RunError where
    nothing can be tracked at all, as without any input.

    >>> for report in track_many(["videos"], "out"):
    ...     print(report.spec, report.outcome, report.people)
    """
    specs = _specs(inputs)
    require_kind("out", out, str, Path)
    require_kind("executor", executor, Executor, NoneType)
    require_kind("config", config, TrackerConfig, NoneType)
    require_kind("options", options, TrackOptions)
    config = config or load_config(changes={"smooth": {"mode": "offline"}})
    jobs, view = clip_jobs(specs, str(out), config, options), BatchView()
    if executor is not None:
        run_jobs(jobs, options, executor, view)
    else:
        most = len(jobs) if options.chunk is None else available_cores()
        with WorkerProcesses(min(job_count("auto"), most)) as processes:
            run_jobs(jobs, options, processes, view)
    order = {job.place.name: number for number, job in enumerate(jobs)}
    return sorted(view.reports, key=lambda report: order[report.folder])


def _specs(inputs: str | Path | Iterable[str | Path]) -> list[str]:
    several = inputs if isinstance(inputs, Iterable) and not isinstance(inputs, str | bytes) else [inputs]
    specs = [spec_of(each) for each in several]
    if not specs:
        raise InputError("inputs: expected one video, folder or address at least, got none (did a pattern match?)")
    return specs


def run_jobs(jobs: Sequence[ClipJob], options: TrackOptions, executor: Executor, view: BatchView) -> None:
    """Has all of them done, long ones in pieces where the options say so; see `run_batch`."""
    if options.chunk is None:
        run_batch(jobs, executor, view)
    else:
        run_chunked(jobs, options.chunk, executor, view)


def clip_jobs(inputs: Sequence[str], out: str, config: TrackerConfig, options: TrackOptions) -> list[ClipJob]:
    """One for each video in the inputs, in their order. Raises InputError for inputs that do not exist."""
    if config.clothed and options.chunk is not None:
        raise InputError("--clothed: is measured over whole videos; leave out --chunk")
    export = ExportConfig(options.formats, options.overwrite)
    sources = find_inputs(inputs, holds_result)
    below = mirrored_folders([(each.spec, each.within) for each in sources], Path())
    jobs = []
    for source, folder in zip(sources, below, strict=True):
        place = _place(out, folder, options.shared)
        track = TrackJob(source.spec, Path(out) / folder, options.clip, export, options.overlay, options.renderer)
        track = replace(track, style=options.style, side_by_side=options.side_by_side, trust=options.trust)
        jobs.append(ClipJob(track, config, place, options.resume))
    return jobs


def _place(out: str, below: Path, shared: bool) -> FolderPlace | SharedPlace | StoredPlace:
    if is_stored(out):
        return StoredPlace(f"{out.rstrip('/')}/{below.as_posix()}")
    return SharedPlace(Path(out) / below) if shared else FolderPlace(Path(out) / below)
