"""How fast the whole tracker is, and what it costs, beside MediaPipe alone on the same clip.

Every case is run three ways, one after the other: MediaPipe's PoseLandmarker alone (as many people, no mask, nothing
drawn or written) over the clip; `track` with everything drawn and written; and `live` with the clip played as a camera,
for the time from a frame's capture to its drawn picture. Machines are seldom quiet: the ratio to MediaPipe, and
processor time a frame, say more than frames per second.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.clips_made import Looped, make_demo, tile
from benchmarks.engines import RESULTS, machine
from benchmarks.grid import Size
from benchmarks.mediapipe_bundle import mediapipe_bundle
from benchmarks.monitor import MemorySample, Monitor
from engines import BACKENDS, EngineOptions
from engines.choose import choose_backend, is_installed
from tracker.app.live import LiveJob, LiveSession
from tracker.app.track import TrackJob, track
from tracker.config import load_config
from tracker.core.atomic_file import write_whole
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.export import ExportConfig
from tracker.export.files import RUN_NAME
from tracker.networks.landmark_files import FULL
from tracker.networks.landmark_onnx import landmark_model
from tracker.outputs.output import Picture
from tracker.overlay.overlay_process import ready_to_draw
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import deferred_interrupt
from tracker.runtime.process import prepare_for_real_time
from tracker.runtime.worker import read_ahead
from tracker.source import open_source
from tracker.source.playback import paced

SIZES: tuple[Size, ...] = ((640, 480), (1280, 720), (1920, 1080))
_SOAK_SAMPLES = 200
"""Points that the memory curve is thinned to."""


@dataclass(frozen=True)
class PipelineJob:
    """What is to be measured."""

    clip: Path | None = None
    """None makes a clip."""
    seconds: float = 3.0
    """Of the clip, in each case."""
    soak_minutes: float = 0.0
    out: Path | None = None


@dataclass(frozen=True)
class PipelineCase:
    """One way to run the tracker."""

    people: int = 1
    size: Size = (1280, 720)
    engine: str = "auto"
    config: str = "live"

    @property
    def label(self) -> str:
        what = f"{self.size[0]}×{self.size[1]}, {self.people} {'person' if self.people == 1 else 'people'}"
        engine = "" if self.engine == "auto" else f", {self.engine}"
        return f"{what}{engine}" + ("" if self.config == "live" else f", config {self.config}")


@dataclass(frozen=True)
class Yardstick:
    """MediaPipe alone."""

    wall_ms: float
    """A frame, as the next one too."""
    cpu_ms: float


@dataclass(frozen=True)
class Throughput:
    """`track`, everything drawn and written."""

    fps: float
    wall_ms: float
    cpu_ms: float
    cores: float
    rss_mb: float
    """The most."""
    identities: int
    stages: dict[str, dict[str, float]]
    """`run.json`'s: calls, p50_ms, p95_ms of each."""
    cpu_ms_by_thread: dict[str, float]
    """A frame."""


@dataclass(frozen=True)
class Latency:
    """`live` on the clip played as a camera: from a frame's capture to its drawn picture."""

    p50_ms: float
    p95_ms: float
    frames: int
    dropped: int


@dataclass(frozen=True)
class PipelineRow:
    """One case's figures."""

    case: PipelineCase
    engine: str
    mediapipe: Yardstick
    track: Throughput
    live: Latency

    @property
    def ratio(self) -> float:
        """Wall time over MediaPipe's."""
        return self.track.wall_ms / self.mediapipe.wall_ms


@dataclass(frozen=True)
class Soak:
    """A long run of `live`, recorded, on a looped clip."""

    minutes: float
    latency: Latency
    cores: float
    memory: list[MemorySample]

    @property
    def growth_mb(self) -> float:
        """Between the medians of the second and the last quarter: the first fills caches."""
        quarter = max(len(self.memory) // 4, 1)
        second, last = self.memory[quarter : 2 * quarter] or self.memory, self.memory[-quarter:]
        return _median_mb(last) - _median_mb(second)


def _median_mb(samples: list[MemorySample]) -> float:
    return sorted(sample.rss_mb for sample in samples)[len(samples) // 2]


def cases() -> Iterator[PipelineCase]:
    """From a common middle, one thing changed at a time."""
    middle = PipelineCase()
    yield middle
    yield from (replace(middle, size=size) for size in SIZES if size != middle.size)
    yield from (replace(middle, people=people) for people in (2, 4))
    yield from (replace(middle, config=name) for name in ("fast", "accurate"))
    auto = choose_backend(landmark_model(), EngineOptions())
    here = [name for name in BACKENDS if is_installed(name) and (name != "tensorrt" or torch.cuda.is_available())]
    yield from (replace(middle, engine=name) for name in here if name != auto)


def configured(case: PipelineCase, punctual: bool) -> TrackerConfig:
    """The case's configuration, for files or for a camera; with the landmark network that MediaPipe has beside it."""
    detect = {"punctual": punctual, "max_people": max(case.people, 1), "landmarks": FULL}
    smooth = {"mode": "offline" if punctual else "causal"}
    engine = {"backend": case.engine}
    return load_config(case.config, {"engine": engine, "detect": detect, "smooth": smooth})


def measure_mediapipe(clip: Path, people: int) -> Yardstick:
    """Following in its own way, as its users run it."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.PoseLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=mediapipe_bundle()),
        running_mode=vision.RunningMode.VIDEO,
        num_poses=people,
    )
    frames = 0
    with vision.PoseLandmarker.create_from_options(options) as landmarker, open_source(str(clip)) as source:
        with Monitor() as monitor, closing(read_ahead(source)) as pictures:
            for frame in pictures:
                image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame.image)
                landmarker.detect_for_video(image, round(1e3 * frame.time))
                frames += 1
    return Yardstick(1e3 * monitor.wall_seconds / frames, 1e3 * monitor.cpu_seconds / frames)


def measure_track(clip: Path, case: PipelineCase, folder: Path) -> tuple[Throughput, str]:
    """The figures, and what ran the network. Opening the tracker, and starting the process that draws, does not count,
    as in MediaPipe's case."""
    job = TrackJob(str(clip), folder, export=ExportConfig(overwrite=True))
    with (
        ready_to_draw(),
        Tracker.open(configured(case, punctual=True)) as tracker,
        deferred_interrupt() as interrupt,
    ):
        prepare_for_real_time()
        with Monitor() as monitor:
            result = track(job, tracker, interrupt)
        engine = tracker.engine
    report = json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))
    by_thread = {name: round(1e3 * s / result.frames, 2) for name, s in monitor.seconds_by_thread.items() if s > 0}
    figures = Throughput(
        fps=result.frames / monitor.wall_seconds,
        wall_ms=1e3 * monitor.wall_seconds / result.frames,
        cpu_ms=1e3 * monitor.cpu_seconds / result.frames,
        cores=monitor.cores,
        rss_mb=max((sample.rss_mb for sample in monitor.samples), default=0.0),
        identities=result.people,
        stages=report["stages"],
        cpu_ms_by_thread=by_thread,
    )
    return figures, engine


class Unwatched:
    """An output for which pictures are drawn that nobody looks at."""

    name, wants_picture = "unwatched", True

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        """Drawing was all that mattered."""

    def close(self) -> None:
        """There is nothing to close."""


def measure_live(clip: Path, case: PipelineCase, folder: Path) -> Latency:
    """Nobody looks and nothing is recorded."""
    job = LiveJob(folder)
    with (
        deferred_interrupt() as interrupt,
        paced(open_source(str(clip))) as source,
        Tracker.open(configured(case, punctual=False)) as tracker,
    ):
        prepare_for_real_time()
        result = LiveSession(job, tracker, [Unwatched()]).run(source, interrupt)
        interrupt.check()
    return Latency(result.pace.latency_p50_ms, result.pace.latency_p95_ms, result.frames, result.dropped)


def measure(case: PipelineCase, clip: Path, folder: Path) -> PipelineRow:
    """One case on a clip of its size and number of people."""
    mediapipe = measure_mediapipe(clip, case.people)
    figures, engine = measure_track(clip, case, folder / "track")
    return PipelineRow(case, engine, mediapipe, figures, measure_live(clip, case, folder))


def soak(clip: Path, minutes: float, folder: Path) -> Soak:
    """Live and recorded for so long."""
    job = LiveJob(folder, record=True)
    with (
        deferred_interrupt() as interrupt,
        paced(Looped(clip, 60 * minutes)) as source,
        Tracker.open(configured(PipelineCase(), punctual=False)) as tracker,
    ):
        prepare_for_real_time()
        with Monitor(interval=max(60 * minutes / _SOAK_SAMPLES, 0.1)) as monitor:
            result = LiveSession(job, tracker, [Unwatched()]).run(source, interrupt)
        interrupt.check()
    latency = Latency(result.pace.latency_p50_ms, result.pace.latency_p95_ms, result.frames, result.dropped)
    return Soak(minutes, latency, monitor.cores, monitor.samples)


def table(rows: list[PipelineRow]) -> list[str]:
    """Markdown."""
    lines = [
        "| case | fps | ms a frame | × MediaPipe alone | CPU ms (MediaPipe) | live p50 / p95 ms | dropped | MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours, live = row.track, row.live
        lines.append(
            f"| {row.case.label} | {ours.fps:.1f} | {ours.wall_ms:.1f} | {row.ratio:.2f} | "
            f"{ours.cpu_ms:.0f} ({row.mediapipe.cpu_ms:.0f}) | {live.p50_ms:.0f} / {live.p95_ms:.0f} | "
            f"{live.dropped} of {live.dropped + live.frames} | {ours.rss_mb:.0f} |"
        )
    return lines


def profile(row: PipelineRow) -> list[str]:
    """Where the time of a case goes, as Markdown: stages by wall time, threads by processor time."""
    lines = ["| stage | p50 ms | p95 ms |", "|---|---|---|"]
    lines += [f"| {name} | {s['p50_ms']:.1f} | {s['p95_ms']:.1f} |" for name, s in row.track.stages.items()]
    lines += ["", "| threads | CPU ms a frame |", "|---|---|"]
    lines += [f"| {name} | {spent:.1f} |" for name, spent in list(row.track.cpu_ms_by_thread.items())[:12]]
    return lines


def run_benchmark(job: PipelineJob) -> Path:
    """Measures, prints the tables, and returns the JSON file."""
    logging.getLogger("tracker").setLevel(logging.WARNING)
    before = machine()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        clip = job.clip or make_demo(folder / "demo.mp4", job.seconds)
        made: dict[tuple[Size, int], Path] = {}
        rows = []
        for case in tqdm(list(cases()), desc="cases", unit="case", disable=None):
            key = (case.size, case.people)
            if key not in made:
                name = f"{case.people}_{case.size[1]}.mp4"
                made[key] = tile(clip, folder / name, case.size, case.people, job.seconds)
            rows.append(measure(case, made[key], folder))
        long_run = (
            soak(tile(clip, folder / "soak.mp4", SIZES[1], 1, 60.0), job.soak_minutes, folder)
            if (job.soak_minutes > 0)
            else None
        )
    _print(rows, long_run)
    return _write(job, before, rows, long_run)


def _print(rows: list[PipelineRow], long_run: Soak | None) -> None:
    print("\n".join([*table(rows), "", f"Where the time goes: {rows[0].case.label}", "", *profile(rows[0])]))
    if long_run is not None:
        told, most = long_run.latency, max(sample.rss_mb for sample in long_run.memory)
        print(
            f"\nSoak: {long_run.minutes:g} min, {told.frames} frames, {told.dropped} dropped, latency "
            f"{told.p50_ms:.0f} / {told.p95_ms:.0f} ms, {long_run.cores:.1f} cores, at most {most:.0f} MB, "
            f"{long_run.growth_mb:+.0f} MB from the second to the last quarter"
        )


def _write(job: PipelineJob, before: dict[str, object], rows: list[PipelineRow], long_run: Soak | None) -> Path:
    target = job.out or RESULTS / "pipeline.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "machine": before,
        "load_after": machine()["load"],
        "clip": job.clip.name if job.clip else "demo",
        "seconds": job.seconds,
        "rows": [{**asdict(row), "label": row.case.label, "ratio_to_mediapipe": row.ratio} for row in rows],
        "soak": None if long_run is None else {**asdict(long_run), "growth_mb": long_run.growth_mb},
    }
    write_whole(target, json.dumps(report, indent=1) + "\n")
    return target
