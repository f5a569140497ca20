"""The `live` job: a camera (or a file played as one) tracked as it comes, sent to outputs, recorded on request.

Capturing, detecting, extracting, fitting and recording go on at once, each in a thread of its own (`live_stages.py`);
drawing and the outputs have the main one, which windows want. Whichever of the threads fails, all end, and it is said
why; an output that fails ends alone.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Literal

import cv2
import numpy as np

from tracker.app.live_stages import CapturedPeople, tracked_frames
from tracker.app.meter import Meter, Pace
from tracker.app.notice import Notice
from tracker.body.drawn_body import drawn_body
from tracker.core.atomic_file import write_whole
from tracker.core.camera import CameraConfig
from tracker.core.errors import InputError, RunError
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.core.shown_text import warnings_hint
from tracker.detect import LandmarkDetector
from tracker.export import ExportConfig, RunContext, RunHeader, RunResult, RunSummary
from tracker.export.files import fresh_folder, write_error
from tracker.outputs.output import (
    Keys,
    LiveStatus,
    NoKeys,
    Output,
    Outputs,
    Picture,
    SceneFeed,
    StatusFeed,
    with_hud,
)
from tracker.outputs.recorder import Recorder
from tracker.outputs.send import open_send
from tracker.outputs.send.address import SendAddress
from tracker.outputs.web_scene import BodyScene
from tracker.overlay.mesh_overlay import OVERLAY_STYLES, MeshOverlay, OverlayConfig, OverlayStyle
from tracker.overlay.renderers import RENDERERS
from tracker.pipeline import Tracker
from tracker.runtime.interrupt import Interrupt
from tracker.runtime.recent_times import RecentTimes
from tracker.runtime.worker import Worker
from tracker.source import Source, guessed_focal
from tracker.source.latest_frames import LatestFrames
from tracker.world.camera_watch import CameraWatch
from tracker.world.live_feet import LiveFeet
from tracker.world.live_world import LiveWorld

log = logging.getLogger("tracker")

DrawMode = Literal["mesh", "skeleton", "confidence", "off"]
DRAW_MODES: tuple[DrawMode, ...] = (*OVERLAY_STYLES, "off")
KEY_HELP = "q quit   r record   s snapshot   m mesh/skeleton/confidence/off   f smoothing   h help"

CAMERA_MOVES = (
    "the camera moves, which is not followed live: in what is sent the floor shifts, whoever stands seems to move, and "
    "feet are no longer held; recordings are in the camera's frame"
)


@dataclass(frozen=True)
class LiveJob:
    """What to do with the camera's pictures besides showing them."""

    folder: Path
    """Recordings and snapshots go below it."""
    record: bool = False
    """Record from the first frame on; the r key starts and ends recordings too."""
    export: ExportConfig = field(default_factory=ExportConfig)
    renderer: str = "raster"
    """Among RENDERERS."""
    style: OverlayStyle = "mesh"
    """What is drawn at first."""
    longest: float = 14_400.0
    """s of a recording, after which another one goes on: files of days could not be read into memory."""


@dataclass(frozen=True)
class _EndedRecording:
    """A recording whose files are to be made."""

    recorder: Recorder
    summary: RunSummary
    interrupted: bool


@dataclass(frozen=True)
class LiveResult:
    """What a live run was like."""

    frames: int
    frames_with_people: int
    dropped: int
    """Frames that were never looked at."""
    pace: Pace
    recordings: list[RunResult]
    faults: list[str]
    """Why a recording could not be begun, or it or the run ended before its time."""


@contextmanager
def open_sends(addresses: Sequence[str], camera: CameraConfig, world: LiveWorld) -> Iterator[list[Output]]:
    """What `--send` names: addresses as in `docs/stream.md`.

    camera, world: that people are seen with and in. Raises InputError where one cannot be had.
    """
    _require_places_apart(addresses)
    outputs: list[Output] = []
    try:
        for address in addresses:
            outputs.append(open_send(address, camera, world))
        yield outputs
    finally:
        Outputs(outputs).close()


def _require_places_apart(addresses: Sequence[str]) -> None:
    """Raises InputError where two would write into one file: it would be the last one's in the end, or neither's."""
    places = set[Path]()
    for address in map(SendAddress.parse, addresses):
        if address.place in places:
            address.refuse("another --send writes there already; give another name")
        if address.place is not None:
            places.add(address.place)


def _believed(people: Sequence[Person]) -> int:
    return sum(person.believed for person in people)


def warm_up(tracker: Tracker, width: int, height: int) -> None:
    """Has the networks look at a black picture, so that the first real one is not seconds late."""
    detector = tracker.detector
    if isinstance(detector, LandmarkDetector):
        detector.warm_up((width, height))
        return
    detector.detect(Frame(0, 0.0, np.zeros((height, width, 3), np.uint8)))
    detector.forget()


class LiveSession:
    """The loop between camera and outputs."""

    def __init__(
        self, job: LiveJob, tracker: Tracker, outputs: Sequence[Output], keys: Keys | None = None,
        world: LiveWorld | None = None,
    ) -> None:  # fmt: skip
        """outputs: are closed by whoever opened them. keys: None where nobody presses any. world: the one that the
        outputs send people in, so that those who draw them in 3D show the same, and feet are held on its floor; None
        where no other output has one.
        """
        self._job, self._tracker, self._keys = job, tracker, keys or NoKeys()
        self._outputs = with_hud(outputs, self._hud_lines)
        self._status_feeds = [output for output in outputs if isinstance(output, StatusFeed)]
        world = world or LiveWorld(tracker.config.world, tracker.body)
        self._feet = LiveFeet(tracker.persons, world) if tracker.config.world.lock_feet else None
        for output in outputs:
            if isinstance(output, SceneFeed):
                output.scene = BodyScene(tracker.body, world)
        self._mode: DrawMode = job.style
        self._help = True
        self._meter = Meter()
        self._notice = Notice()
        self._camera_watch: CameraWatch | None = None
        self._camera_moved = False
        self._latest: CapturedPeople | None = None
        self._watched = bool(outputs)
        self._stage_ms = {name: RecentTimes() for name in ("draw", "show", "capture_to_drawn")}
        self._recorder: Recorder | None = None
        self._begins_recording = job.record
        self._recordings: list[RunResult] = []
        self._faults: list[str] = []

    def run(self, source: Source, interrupt: Interrupt, frames: LatestFrames | None = None) -> LiveResult:
        """Until the source ends, q is pressed or the user interrupts; a recording under way is finished in any case.

        frames: the source's, where they are being read already. A recording or output that fails ends alone, and the
        run with it only where nothing else is asked for. Raises InputError where `--record` cannot even begin, and what
        any of the threads raised (a camera unplugged for good) after saving.
        """
        with ExitStack() as stack:
            device = self._tracker.config.engine.kernels_device
            renderer = partial(RENDERERS[self._job.renderer], device)
            self._overlay = stack.enter_context(MeshOverlay(make_renderer=renderer))
            self._warm_up(source)
            self._finishing = stack.enter_context(Worker("finish recordings", self._finish_each))
            self._source, self._frames = source, frames or stack.enter_context(LatestFrames(source))
            self._frames.dropped = 0
            for feed in self._status_feeds:  # before, there is nothing to say
                feed.follow(self._status)
            stack.push(lambda kind, *_: self._end_recording(source, interrupted=kind is not None))
            for tracked in tracked_frames(self._tracker, self._frames, interrupt, stack):
                if tracked is not None:
                    self._handle(tracked, source)
                elif source.waiting:
                    self._outputs.wait()
                if not self._obey(self._keys.key(), source) or self._is_in_vain():
                    break
        meter = self._meter
        return LiveResult(
            meter.frames,
            meter.frames_with_people,
            self._frames.dropped,
            meter.altogether(),
            self._recordings,
            self._faults,
        )

    def _is_in_vain(self) -> bool:
        """Whether all that was asked for has failed."""
        if not self._watched:
            return bool(self._faults)
        if self._outputs.left or self._recorder is not None or self._begins_recording:
            return False
        self._faults.append("no output is left, and nothing is recorded: the run ended there")
        return True

    def _warm_up(self, source: Source) -> None:
        """Loads networks and kernels on a black picture, so that the first real one is not seconds late."""
        width, height = source.info.width, source.info.height
        warm_up(self._tracker, width, height)
        body, camera = self._tracker.body, self._tracker.config.camera.for_size(width, height)
        self._overlay.silhouette(camera, body.v_template.numpy() + np.array([0.0, 0.0, 3.0]), body.faces.numpy())

    def _handle(self, tracked: CapturedPeople, source: Source) -> None:
        """Draws a frame, if anybody wants it drawn, and hands it out."""
        frame, before = tracked.captured.frame, perf_counter()
        self._latest = tracked = replace(tracked, people=self._with_feet_held(frame, tracked.people))
        if self._begins_recording:
            self._begin_recording(frame, source)
        picture = self._draw(frame, tracked.people) if self._wants_picture else None
        self._stage_ms["capture_to_drawn"].append(1e3 * self._meter.add(tracked.captured, _believed(tracked.people)))
        self._record(tracked, picture, source)
        between = perf_counter()
        self._outputs.send(frame, tracked.people, picture)
        self._watch_camera(frame, tracked.people)
        self._stage_ms["draw"].append(1e3 * (between - before))
        self._stage_ms["show"].append(1e3 * (perf_counter() - between))

    def _with_feet_held(self, frame: Frame, people: list[Person]) -> list[Person]:
        """As everybody is shown, sent and recorded. Under a camera that moves feet stay as they were fitted."""
        if self._feet is None:
            return people
        camera = self._tracker.config.camera.for_size(*frame.size)
        return self._feet.held(frame.time, people, camera, still=not self._camera_moved)

    def _watch_camera(self, frame: Frame, people: Sequence[Person]) -> None:
        """Says it once when the camera leaves its view: nothing is known of how it moves while it does."""
        if self._camera_moved:
            return
        if self._recorder is not None:  # it watches the camera, too, and once is enough
            self._camera_moved = self._recorder.camera_moved
        else:
            if self._camera_watch is None:
                self._camera_watch = CameraWatch(self._tracker.config.camera.for_size(*frame.size))
            self._camera_watch.show(frame, people)
            self._camera_moved = self._camera_watch.moved_at is not None
        if self._camera_moved:
            self._notice.warn(CAMERA_MOVES)

    @property
    def _wants_picture(self) -> bool:
        return self._recorder is not None or self._outputs.wants_picture

    def _draw(self, frame: Frame, people: list[Person]) -> Picture:
        if self._mode == "off":
            return frame.image
        self._overlay.config = OverlayConfig(style=self._mode)
        camera = self._tracker.config.camera.for_size(*frame.size)
        return self._overlay.draw(frame.image, camera, people, drawn_body(self._tracker.body))

    def _hud_lines(self) -> list[str]:
        pace = self._meter.lately()
        state = "  REC" if self._recorder is not None else ""
        latency = f"latency {pace.latency_p50_ms:.0f} ms (p95 {pace.latency_p95_ms:.0f})"
        first = f"{pace.rate:.1f} fps   {latency}   {self._frames.dropped} dropped{state}"
        return [first, *([KEY_HELP] if self._help else []), *self._notice.lines()]

    def _status(self) -> LiveStatus:
        meter, pace = self._meter, self._meter.lately()
        return LiveStatus(
            rate=pace.rate,
            latency_ms=pace.latency_p50_ms,
            latency_p95_ms=pace.latency_p95_ms,
            frames=meter.frames,
            frames_with_people=meter.frames_with_people,
            dropped=self._frames.dropped,
            people=0 if self._latest is None else _believed(self._latest.people),
            recording=self._recorder is not None,
            draw=self._mode,
            smoothing=self._tracker.smoothing,
            notice=" ".join(self._notice.lines()),
            waiting=self._source.waiting,
        )

    def _obey(self, key: str, source: Source) -> bool:
        """Does what a key asks for; False to quit."""
        if key == "q":
            return False
        if key == "m":
            self._mode = DRAW_MODES[(DRAW_MODES.index(self._mode) + 1) % len(DRAW_MODES)]
        elif key == "h":
            self._help = not self._help
        elif key == "f":
            self._tracker.switch_smoothing()
            self._notice.say(f"smoothing {'on' if self._tracker.smoothing else 'off'}")
        elif key == "s" and self._latest is not None:
            self._snapshot(self._latest)
        elif key == "r":
            if self._recorder is not None:
                self._end_recording(source)
            else:
                self._begins_recording = not self._begins_recording
        return True

    def _snapshot(self, tracked: CapturedPeople) -> None:
        picture = self._draw(tracked.captured.frame, tracked.people)
        path = self._job.folder / f"snapshot-{datetime.now():%Y%m%d-%H%M%S-%f}.png"
        _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        try:
            write_whole(path, png.tobytes())
        except OSError as error:
            self._notice.warn(str(write_error(path, error)))
        else:
            self._notice.say(f"snapshot: {path}")

    def _begin_recording(self, first: Frame, source: Source) -> None:
        """A folder that cannot be used is raised where --record named it, and told where a key was pressed."""
        self._begins_recording = False
        try:
            self._recorder = self._new_recorder(first, source)
        except (InputError, RunError) as error:
            if self._meter.frames == 0:
                raise
            self._fault(error)

    def _new_recorder(self, first: Frame, source: Source) -> Recorder:
        tracker, info = self._tracker, source.info
        rate = float(info.rate) if info.rate else None
        camera = tracker.config.camera.for_size(*first.size)
        context = RunContext(camera, tracker.body, rate, tracker.config.world, tracker.config.files)
        header = RunHeader(tracker.config, tracker.device, tracker.engine, info)
        folder = fresh_folder(self._job.folder / f"live-{datetime.now():%Y%m%d-%H%M%S}")
        return Recorder(folder, self._job.export, context, header, first, info.rate)

    def _record(self, tracked: CapturedPeople, picture: Picture | None, source: Source) -> None:
        if self._recorder is None:
            return
        try:
            self._recorder.send(tracked.captured.frame, tracked.people, picture)
        except Exception:  # ending it raises the same again, when all that can be saved is saved
            self._end_recording(source, interrupted=True)
            return
        if self._recorder.seconds >= self._job.longest:
            self._finishing.put(self._ended(self._recorder, source))
            self._recorder, self._begins_recording = None, True

    def _end_recording(self, source: Source, interrupted: bool = False) -> None:
        """Saves the recording that is under way, if there is one."""
        if self._recorder is None:
            return
        recorder, self._recorder = self._recorder, None
        self._finish(self._ended(recorder, source, interrupted))

    def _ended(self, recorder: Recorder, source: Source, interrupted: bool = False) -> _EndedRecording:
        tracked = {name: [1e3 * s for s in times] for name, times in self._tracker.stage_seconds.items()}
        stages = {**tracked, **{name: list(times) for name, times in self._stage_ms.items()}}
        warnings = [*source.warnings, *guessed_focal(self._tracker.config.camera, source.info)]
        return _EndedRecording(recorder, RunSummary(stages, warnings, dropped=self._frames.dropped), interrupted)

    def _finish_each(self, recordings: Iterator[_EndedRecording]) -> None:
        for ended in recordings:
            self._finish(ended)

    def _finish(self, ended: _EndedRecording) -> None:
        """Writes its files."""
        recorder = ended.recorder
        try:
            result = recorder.finish(ended.summary, ended.interrupted)
            self._recordings.append(result)
            self._notice.say(f"recorded: {recorder.folder}{warnings_hint(result.warnings)}")
        except Exception as error:  # whatever it is, it is the recording's alone
            self._fault(error)
        finally:
            # an error and the frames of its traceback hold each other, and with them all that was recorded
            gc.collect()

    def _fault(self, error: Exception) -> None:
        """Of a recording."""
        text = str(error) if isinstance(error, InputError | RunError) else f"{type(error).__name__}: {error}"
        self._faults.append(text)
        self._notice.warn(f"recording ended: {text}")
