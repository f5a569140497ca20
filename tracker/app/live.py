"""The `live` job: a camera (or a file played as one) tracked as it comes, shown in a window, recorded on request.

Capturing, finding people, looking at them, posing them, and recording go on at once, each in a thread of its own;
drawing and showing have the main one, which windows want. Each hands on what it has done before it begins anew, and
two frames at most are under way, so that none grows old in a queue: the first thread takes the newest frame there is,
and those that came in between are dropped and counted. Whichever fails, all end, and it is told why.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from threading import Semaphore
from time import perf_counter
from typing import Literal, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import FrameRecord, Person
from tracker.export import ExportConfig, RunContext, RunHeader, RunResult, RunSummary, RunWriter
from tracker.export.files import OVERLAY_NAME
from tracker.export.one_camera import OneCamera
from tracker.outputs.web import WebPage
from tracker.overlay.mesh_overlay import MeshOverlay, draw_hud, draw_skeleton
from tracker.overlay.renderers import RENDERERS
from tracker.overlay.video_writer import VideoWriter
from tracker.pipeline import DetectedFrame, Tracker
from tracker.runtime.interrupt import Interrupt
from tracker.runtime.worker import Worker, read_ahead
from tracker.source import Source
from tracker.source.latest_frames import Captured, LatestFrames

log = logging.getLogger("tracker")

Before = TypeVar("Before")
After = TypeVar("After")
Picture = NDArray[np.uint8]
DrawMode = Literal["mesh", "skeleton", "off"]
DRAW_MODES: tuple[DrawMode, ...] = ("mesh", "skeleton", "off")

KEY_HELP = "q quit   r record   s snapshot   m mesh/skeleton/off   h help"
WINDOW = "body-tracker"
_RECENT = 300
"""Frames that the shown rate and latencies are taken over."""
_TIMED_FRAMES = 100_000
"""Frames whose times are kept for the record."""
_PATIENCE = 0.1
"""s between two signs of life while nothing comes."""
_RECORD_AHEAD = 8
"""Pictures that may wait to be encoded before the loop waits for them."""


class Screen(Protocol):
    """Where pictures go and keys come from."""

    def show(self, picture: Picture) -> None: ...

    def key(self) -> str:
        """The key pressed since the last call, 'q' if the window was closed, '' for none."""
        ...

    def close(self) -> None: ...


class Window:
    """A window on the desktop."""

    def __init__(self) -> None:
        if os.name == "posix" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise InputError("live: there is no display to open a window on; pass --headless (with --record or --web)")
        cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
        self._sized = False

    def show(self, picture: Picture) -> None:
        if not self._sized:
            cv2.resizeWindow(WINDOW, picture.shape[1], picture.shape[0])
            self._sized = True
        cv2.imshow(WINDOW, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def key(self) -> str:
        pressed = cv2.waitKey(1)
        if self._sized and self._is_closed():
            return "q"
        return chr(pressed & 0xFF).lower() if pressed >= 0 else ""

    def _is_closed(self) -> bool:
        try:
            return cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # with its last window Qt goes altogether
            return True

    def close(self) -> None:
        cv2.destroyAllWindows()


class Screens:
    """Several at once, or none: then nobody looks, and Ctrl-C is the only key."""

    def __init__(self, screens: Sequence[Screen]) -> None:
        self._screens = screens

    def show(self, picture: Picture) -> None:
        for screen in self._screens:
            screen.show(picture)

    def key(self) -> str:
        return "".join(screen.key() for screen in self._screens)[:1]

    def close(self) -> None:
        for screen in self._screens:
            screen.close()


@contextmanager
def open_screen(headless: bool, web: int | None) -> Iterator[Screen]:
    """A window unless `headless`, and a page for browsers on port `web`. Raises InputError where one cannot be had."""
    screens: list[Screen] = []
    try:
        if web is not None:
            page = WebPage(web)
            screens.append(page)
            log.info("the live picture is at %s", page.address)
        if not headless:
            screens.append(Window())
        yield Screens(screens)
    finally:
        Screens(screens).close()


@dataclass(frozen=True)
class LiveJob:
    """What to do with the camera's pictures besides showing them."""

    folder: Path
    """Recordings and snapshots go below it."""
    record: bool = False
    """Record from the first frame on; the window's r key starts and ends recordings too."""
    export: ExportConfig = field(default_factory=ExportConfig)
    renderer: str = "raster"
    """Among RENDERERS."""


@dataclass
class Meter:
    """Rates and latencies as they are now, and over the whole run."""

    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """s from a frame's arrival to its drawn picture."""
    frames: int = 0

    def add(self, captured: Captured) -> float:
        """The frame's latency, s, now that its picture is drawn."""
        now = perf_counter()
        self.arrivals.append(now)
        self.latencies.append(now - captured.arrival)
        self.frames += 1
        return now - captured.arrival

    @property
    def rate(self) -> float:
        """Frames per second, over the intervals between the recent frames."""
        span = self.arrivals[-1] - self.arrivals[0] if len(self.arrivals) > 1 else 0.0
        return (len(self.arrivals) - 1) / span if span > 0 else 0.0

    def latency_ms(self, percentile: float) -> float:
        return 1e3 * float(np.percentile(self.latencies, percentile)) if self.latencies else 0.0


@dataclass(frozen=True)
class Tracked:
    """A captured frame and the people in it."""

    captured: Captured
    people: list[Person]


@dataclass(frozen=True)
class Drawn:
    """A tracked frame with its picture."""

    tracked: Tracked
    picture: Picture
    latency_ms: float
    """From the frame's arrival to its drawn picture."""


class Recorder:
    """One recording: the same files as `track` leaves, written in a thread of its own."""

    def __init__(self, job: LiveJob, tracker: Tracker, source: Source, drawn: Drawn) -> None:
        """drawn: the first frame, not written yet."""
        frame = drawn.tracked.captured.frame
        self.folder = job.folder / f"live-{datetime.now():%Y%m%d-%H%M%S}"
        camera = tracker.config.camera.for_size(*frame.size)
        rate = float(source.info.rate) if source.info.rate else None
        header = RunHeader(tracker.config, tracker.device, tracker.engine, source.info)
        self._began, self._start = perf_counter(), frame.time
        self._size = frame.size
        self._writer = RunWriter(self.folder, job.export, RunContext(camera, tracker.body, rate), header)
        self._sizes = OneCamera(tracker.persons, camera)
        self._latency_ms: list[float] = []
        self._write_ms: list[float] = []
        self._open = ExitStack()
        video = VideoWriter(self.folder / OVERLAY_NAME, frame.size, source.info.rate)
        self._video = self._open.enter_context(video)
        self._stage = self._open.enter_context(Worker("record", self._record, _RECORD_AHEAD))

    def write(self, drawn: Drawn) -> None:
        """Raises what writing an earlier frame has raised."""
        self._stage.put(drawn)

    def _record(self, pictures: Iterator[Drawn]) -> None:
        for drawn in pictures:
            before, frame = perf_counter(), drawn.tracked.captured.frame
            people = self._sizes.of_files(frame, drawn.tracked.people)
            self._writer.write(FrameRecord(frame.index, frame.time - self._start, people))
            picture = drawn.picture
            if frame.size != self._size:
                picture = np.ascontiguousarray(cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA))
            self._video.write(frame.time - self._start, picture)
            self._latency_ms.append(drawn.latency_ms)
            self._write_ms.append(1e3 * (perf_counter() - before))

    def finish(self, stage_ms: Mapping[str, Sequence[float]], warnings: list[str], dropped: int) -> RunResult:
        """Closes the video and writes every file of the run, also when the recording has failed, which is raised then.

        stage_ms: of the other stages.
        """
        stages = {**stage_ms, "write": self._write_ms, "capture_to_drawn": self._latency_ms}
        try:
            self._open.close()
        finally:
            told = [*warnings, *self._sizes.warnings]
            summary = RunSummary(stages, told, perf_counter() - self._began, dropped)
            result = self._writer.finish(summary)
        return result


@dataclass(frozen=True)
class LiveResult:
    frames: int
    dropped: int
    rate: float
    latency_p50_ms: float
    latency_p95_ms: float
    recordings: list[RunResult]


@dataclass(frozen=True)
class _Located:
    """A captured frame and who was found in it."""

    captured: Captured
    detected: DetectedFrame


def _stage(
    stack: ExitStack, name: str, items: Iterable[Before | None], work: Callable[[Before], After]
) -> Iterator[After | None]:
    """Each item worked on in a thread of its own, which ends with the stack. None, for no frame, passes through."""
    done = (None if item is None else work(item) for item in items)
    return stack.enter_context(closing(read_ahead(done, size=0, name=name)))


class _Entrance:
    """The newest frames, each given out when fewer than two are under way: a third would only wait, and grow old."""

    def __init__(self, frames: Iterable[Captured | None]) -> None:
        self._frames = frames
        self._room = Semaphore(1)

    def __iter__(self) -> Iterator[Captured | None]:
        for captured in self._frames:
            yield captured
            while captured is not None and not self._room.acquire(timeout=_PATIENCE):
                yield None

    def left(self, tracked: Tracked) -> Tracked:
        """Makes room for another one."""
        self._room.release()
        return tracked


class LiveSession:
    """The loop between camera and screen."""

    def __init__(self, job: LiveJob, tracker: Tracker, screen: Screen) -> None:
        self._job, self._tracker, self._screen = job, tracker, screen
        self._mode: DrawMode = "mesh"
        self._help = True
        self._meter = Meter()
        self._stage_ms = {name: deque[float](maxlen=_TIMED_FRAMES) for name in ("draw", "show")}
        self._recorder: Recorder | None = None
        self._recordings: list[RunResult] = []

    def run(self, source: Source, interrupt: Interrupt) -> LiveResult:
        """Until the source ends, q is pressed or the user interrupts; a recording under way is finished in any case.

        Raises what any of the threads raised (a camera unplugged for good), after saving.
        """
        with ExitStack() as stack:
            overlay = stack.enter_context(MeshOverlay(make_renderer=RENDERERS[self._job.renderer]))
            self._warm_up(source, overlay)
            self._frames = stack.enter_context(LatestFrames(source))
            stack.callback(self._end_recording, source)
            for tracked in self._tracked(interrupt, stack):
                drawn = None if tracked is None else self._show(tracked, source, overlay)
                if not self._obey(self._screen.key(), drawn, source) or (interrupt.requested and drawn is not None):
                    break
        meter = self._meter
        dropped = self._frames.dropped
        return LiveResult(
            meter.frames, dropped, meter.rate, meter.latency_ms(50), meter.latency_ms(95), self._recordings
        )

    def _warm_up(self, source: Source, overlay: MeshOverlay) -> None:
        """Loads networks and kernels on a black picture, so that the first real one is not seconds late."""
        width, height = source.info.width, source.info.height
        self._tracker.detector.detect(Frame(0, 0.0, np.zeros((height, width, 3), np.uint8)))
        self._tracker.detector.forget()
        body, camera = self._tracker.body, self._tracker.config.camera.for_size(width, height)
        overlay.silhouette(camera, body.v_template.numpy() + np.array([0.0, 0.0, 3.0]), body.faces.numpy())

    def _tracked(self, interrupt: Interrupt, stack: ExitStack) -> Iterator[Tracked | None]:
        """None every now and then while no frame comes. No frame is taken after the user's interrupt."""
        tracker = self._tracker
        entrance = _Entrance(self._frames)
        captured = takewhile(lambda _: not interrupt.requested, entrance)
        located = _stage(stack, "detect", captured, lambda one: _Located(one, tracker.detect(one.frame)))
        looked = _stage(stack, "extract", located, lambda one: replace(one, detected=tracker.extract(one.detected)))
        return _stage(stack, "fit", looked, lambda one: entrance.left(Tracked(one.captured, tracker.fit(one.detected))))

    def _show(self, tracked: Tracked, source: Source, overlay: MeshOverlay) -> Drawn:
        before = perf_counter()
        picture = self._draw(tracked.captured.frame, tracked.people, overlay)
        latency = self._meter.add(tracked.captured)
        drawn = Drawn(tracked, picture, 1e3 * latency)
        if self._job.record and self._recorder is None and not self._recordings:
            self._recorder = Recorder(self._job, self._tracker, source, drawn)
        if self._recorder is not None:
            self._recorder.write(drawn)
        between = perf_counter()
        self._screen.show(draw_hud(picture, self._hud_lines()))
        self._stage_ms["draw"].append(1e3 * (between - before))
        self._stage_ms["show"].append(1e3 * (perf_counter() - between))
        return drawn

    def _draw(self, frame: Frame, people: list[Person], overlay: MeshOverlay) -> Picture:
        if self._mode == "mesh":
            camera = self._tracker.config.camera.for_size(*frame.size)
            return overlay.draw(frame.image, camera, people, self._tracker.body)
        return draw_skeleton(frame.image, people) if self._mode == "skeleton" else frame.image

    def _hud_lines(self) -> list[str]:
        meter = self._meter
        state = "  REC" if self._recorder is not None else ""
        latency = f"latency {meter.latency_ms(50):.0f} ms (p95 {meter.latency_ms(95):.0f})"
        first = f"{meter.rate:.1f} fps   {latency}   {self._frames.dropped} dropped{state}"
        return [first, KEY_HELP] if self._help else [first]

    def _obey(self, key: str, drawn: Drawn | None, source: Source) -> bool:
        """Does what a key asks for; False to quit. drawn: the frame on the screen, None if no new one came."""
        if key == "q":
            return False
        if key == "m":
            self._mode = DRAW_MODES[(DRAW_MODES.index(self._mode) + 1) % len(DRAW_MODES)]
        elif key == "h":
            self._help = not self._help
        elif key == "s" and drawn is not None:
            self._snapshot(drawn.picture)
        elif key == "r":
            if self._recorder is not None:
                self._end_recording(source)
            elif drawn is not None:
                self._recorder = Recorder(self._job, self._tracker, source, drawn)
        return True

    def _snapshot(self, picture: Picture) -> None:
        self._job.folder.mkdir(parents=True, exist_ok=True)
        path = self._job.folder / f"snapshot-{datetime.now():%Y%m%d-%H%M%S-%f}.png"
        cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def _end_recording(self, source: Source) -> None:
        if self._recorder is None:
            return
        recorder, self._recorder = self._recorder, None
        tracked = {name: [1e3 * s for s in times] for name, times in self._tracker.stage_seconds.items()}
        stages = {**tracked, **{name: list(times) for name, times in self._stage_ms.items()}}
        self._recordings.append(recorder.finish(stages, source.warnings, self._frames.dropped))
