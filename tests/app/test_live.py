"""The live loop with a camera, a screen and a detector that the test holds in its hands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from threading import Event

import av
import cv2
import numpy as np
import pytest

from tests.pipeline.test_pipeline import SIZE, Script, somebody
from tracker.app.live import CAMERA_MOVES, LiveJob, LiveSession
from tracker.body import load_body
from tracker.core.detection import Detection
from tracker.core.errors import InputError, RunError
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.export import load_frames, load_person
from tracker.pipeline import DetectedFrame, Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt
from tracker.source import Clip
from tracker.source.latest_frames import LatestFrames
from tracker.source.source import Source, SourceInfo
from tracker.world.live_feet import LiveFeet
from tracker.world.world_config import WorldConfig


class Camera(Source):
    """Gives `count` pictures, each as soon as the one before has been taken up, then ends or fails."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        width, height = SIZE
        info = SourceInfo("camera0", "camera", width, height, Fraction(30), None, None, False, "0", True)
        super().__init__(info, Clip())
        self.count, self.error = count, error
        self.taken = Event()
        self.taken.set()

    def __iter__(self) -> Iterator[Frame]:
        for i in range(self.count):
            self.taken.wait(timeout=30)
            self.taken.clear()
            if self._stopped.is_set():
                return
            yield Frame(i, i / 30, np.full((SIZE[1], SIZE[0], 3), 100, np.uint8))
        self.taken.wait(timeout=30)
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        super().stop()
        self.taken.set()

    def _release(self) -> None:
        self.taken.set()


class FakeScreen:
    """Presses the keys that the test has listed, one a picture, and lets the camera give the next one."""

    name, wants_picture = "fake screen", True

    def __init__(self, camera: Camera, keys: str = "") -> None:
        self.camera, self.keys = camera, list(keys)
        self.pictures: list[np.ndarray] = []
        self.people: list[Person] = []
        self._answered = 0

    def send(self, frame: Frame, people: Sequence[Person], picture: np.ndarray) -> None:
        self.pictures.append(picture)
        self.people += people
        self.camera.taken.set()

    def key(self) -> str:
        if not self.keys or self._answered == len(self.pictures):
            return ""
        self._answered = len(self.pictures)
        return self.keys.pop(0)

    def close(self) -> None:
        self.camera.taken.set()


def session(
    job: LiveJob, camera: Camera, keys: str = "", detector: Script | None = None
) -> tuple[LiveSession, FakeScreen]:
    seen, _ = somebody(0.0)
    tracker = Tracker(TrackerConfig(), load_body(None), detector or Script([[seen]] * camera.count))
    screen = FakeScreen(camera, keys)
    return LiveSession(job, tracker, [screen], screen), screen


def test_a_recording_holds_the_same_files_as_track(tmp_path: Path) -> None:
    camera = Camera(8)
    live, screen = session(LiveJob(tmp_path, record=True), camera)
    result = live.run(camera, Interrupt())
    assert result.frames == 8 and result.dropped == 0 and len(screen.pictures) == 8
    (recording,) = result.recordings
    person = load_person(recording.folder / "person_000.npz")
    assert len(person.poses) >= 5
    assert len((recording.folder / "frames.jsonl").read_text().splitlines()) == 8
    report = json.loads((recording.folder / "run.json").read_text())
    assert report["interrupted"] is False and report["stages"]["capture_to_drawn"]["p95_ms"] > 0
    with av.open(str(recording.folder / "overlay.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 8


@pytest.mark.parametrize("recorded", [True, False])
def test_a_camera_that_moves_is_said_and_no_world_claimed_from_then_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    """Whether the recording watches the camera or the session itself, feet are let go."""
    stood, held = [], LiveFeet.held

    def watched(feet: LiveFeet, time: float, people: list[Person], camera: object, still: bool) -> list[Person]:
        stood.append(still)
        return held(feet, time, people, camera, still)

    monkeypatch.setattr(LiveFeet, "held", watched)
    noise = np.random.default_rng(0).integers(0, 255, (SIZE[1] // 16, SIZE[0] // 8, 3), np.uint8)
    wide = cv2.resize(noise, (2 * SIZE[0], SIZE[1]), interpolation=cv2.INTER_CUBIC)

    class Panning(Camera):
        """Stands still for a second, then pans."""

        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                left = max(0, 12 * (frame.index - 10))
                picture = np.ascontiguousarray(wide[:, left : left + SIZE[0]])
                yield replace(frame, time=frame.index / 10, image=picture)

    camera = Panning(30)
    live, _ = session(LiveJob(tmp_path, record=recorded), camera)
    recordings = live.run(camera, Interrupt()).recordings
    assert [record.message for record in caplog.records].count(CAMERA_MOVES) == 1
    assert stood[0] and not stood[-1]
    if not recorded:
        return
    (recording,) = recordings
    lines = [json.loads(line) for line in (recording.folder / "frames.jsonl").read_text().splitlines()]
    assert lines[5]["T_world_camera"] is not None and lines[-1]["T_world_camera"] is None
    run = json.loads((recording.folder / "run.json").read_text())
    assert run["world"] is None and any("the camera" in warning for warning in run["warnings"])


@pytest.mark.parametrize("locked", [True, False])
def test_what_is_shown_and_recorded_has_its_feet_held_unless_that_is_not_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    def sunk(_: LiveFeet, time: float, people: list[Person], camera: object, still: bool) -> list[Person]:
        return [replace(person, pose=replace(person.pose, betas=np.full(10, 0.5))) for person in people]

    monkeypatch.setattr(LiveFeet, "held", sunk)
    camera = Camera(6)
    screen = FakeScreen(camera)
    config = TrackerConfig(world=WorldConfig(lock_feet=locked))
    tracker = Tracker(config, load_body(None), Script([[somebody(0.0)[0]]] * camera.count))
    (recording,) = LiveSession(LiveJob(tmp_path, record=True), tracker, [screen]).run(camera, Interrupt()).recordings
    recorded = load_person(recording.folder / "person_000.npz").betas
    assert np.allclose(recorded, 0.5) == locked
    assert all(np.allclose(person.pose.betas, 0.5) == locked for person in screen.people)


def test_keys_record_snap_switch_and_quit(tmp_path: Path) -> None:
    camera = Camera(40)
    live, screen = session(LiveJob(tmp_path), camera, keys="hmmmsr  rq")
    result = live.run(camera, Interrupt())
    assert result.frames < 40, "q ends it"
    assert len(result.recordings) == 1
    assert len(list(tmp_path.glob("snapshot-*.png"))) == 1
    mesh, skeleton, nothing = screen.pictures[1], screen.pictures[2], screen.pictures[3]
    assert (mesh != skeleton).any() and (skeleton != nothing).any() and (mesh != nothing).any()


def test_a_long_recording_goes_on_in_another(tmp_path: Path) -> None:
    camera = Camera(20)
    live, screen = session(LiveJob(tmp_path, record=True, longest=6 / 30), camera)
    result = live.run(camera, Interrupt())
    assert len(screen.pictures) == 20 and result.faults == []
    parts = sorted(result.recordings, key=lambda each: each.folder.stat().st_ctime)
    assert len(parts) >= 2 and sum(part.frames for part in parts) == 20, "no frame is lost between them"
    indices = sorted(frame["frame"] for part in parts for frame in load_frames(part.folder / "frames.jsonl"))
    assert indices == list(range(20))
    assert all(json.loads((part.folder / "run.json").read_text())["finished"] for part in parts)


def test_two_recordings_in_one_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2026, 1, 1, 12, 0, 0)

    monkeypatch.setattr("tracker.app.live.datetime", Stopped)
    camera = Camera(40)
    live, _ = session(LiveJob(tmp_path), camera, keys="r  r r  r")
    result = live.run(camera, Interrupt())
    assert [each.folder.name for each in result.recordings] == ["live-20260101-120000", "live-20260101-120000-2"]
    assert result.faults == [] and result.frames == 40


def test_a_folder_that_cannot_be_written_is_told_and_the_picture_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "file"
    place.write_text("in the way")
    camera = Camera(12)
    live, screen = session(LiveJob(place), camera, keys="hs r")
    result = live.run(camera, Interrupt())
    assert len(screen.pictures) == 12 and result.recordings == []
    assert len(result.faults) == 1 and str(place) in result.faults[0]
    assert len([record for record in caplog.records if str(place) in record.message]) == 2, "snapshot and recording"
    assert live._notice.lines()[0].startswith("recording ended: ")
    changed = (screen.pictures[-1] != screen.pictures[1]).any(axis=(1, 2))
    assert changed[: len(changed) // 2].any(), "it stands on the picture"


def test_a_folder_for_record_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    camera = Camera(4)
    live, _ = session(LiveJob(tmp_path / "file", record=True), camera)
    with pytest.raises(InputError, match=r"expected a folder that can be written .* give another folder"):
        live.run(camera, Interrupt())


def test_a_camera_unplugged_in_the_middle_saves_the_recording_and_says_so(tmp_path: Path) -> None:
    camera = Camera(5, error=RunError("camera 0: lost"))
    live, _ = session(LiveJob(tmp_path, record=True), camera)
    with pytest.raises(RunError, match="camera 0: lost"):
        live.run(camera, Interrupt())
    (folder,) = tmp_path.iterdir()
    assert len((folder / "frames.jsonl").read_text().splitlines()) == 5
    assert json.loads((folder / "run.json").read_text())["interrupted"] is True
    assert (folder / "overlay.mp4").is_file()


def test_a_detector_that_raises_ends_all_and_saves(tmp_path: Path) -> None:
    class Failing(Script):
        def detect(self, frame: Frame, predicted: object = ()) -> list[Detection]:
            if frame.index == 3:
                raise RuntimeError("the detector broke")
            return super().detect(frame)

    seen, _ = somebody(0.0)
    camera = Camera(8)
    live, _ = session(LiveJob(tmp_path, record=True), camera, detector=Failing([[seen]] * 8))
    with pytest.raises(RuntimeError, match="the detector broke"):
        live.run(camera, Interrupt())
    (folder,) = tmp_path.iterdir()
    assert len((folder / "frames.jsonl").read_text().splitlines()) == 3


def test_the_next_person_is_found_while_the_last_is_posed_and_all_are_shown_in_order(tmp_path: Path) -> None:
    found = [Event() for _ in range(6)]

    class Announcing(Script):
        def detect(self, frame: Frame, predicted: object = ()) -> list[Detection]:
            found[frame.index].set()
            return super().detect(frame)

        def forget(self) -> None:
            """The picture that all was warmed up on does not count."""
            found[0].clear()

    class Eager(Camera):
        def __iter__(self) -> Iterator[Frame]:
            for i in range(self.count):
                assert i == 0 or found[i - 1].wait(timeout=30)
                yield Frame(i, i / 30, np.full((SIZE[1], SIZE[0], 3), 100, np.uint8))

    class Patient(Tracker):
        """Poses nobody until somebody has been found in the next frame."""

        def fit(self, detected: DetectedFrame) -> list[Person]:
            after = detected.frame.index + 1
            assert after == len(found) or found[after].wait(timeout=30)
            return super().fit(detected)

    seen, _ = somebody(0.0)
    camera = Eager(len(found))
    screen = FakeScreen(camera)
    tracker = Patient(TrackerConfig(), load_body(None), Announcing([[seen]] * len(found)))
    result = LiveSession(LiveJob(tmp_path, record=True), tracker, [screen], screen).run(camera, Interrupt())
    lines = (result.recordings[0].folder / "frames.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(len(found))) and result.dropped == 0


def test_an_interrupt_ends_it_with_everything_saved(tmp_path: Path) -> None:
    interrupt = Interrupt()

    class Interrupting(Script):
        def detect(self, frame: Frame, predicted: object = ()) -> list[Detection]:
            interrupt.requested = frame.index == 4
            return super().detect(frame)

    seen, _ = somebody(0.0)
    camera = Camera(50)
    live, _ = session(LiveJob(tmp_path, record=True), camera, detector=Interrupting([[seen]] * 50))
    result = live.run(camera, interrupt)
    assert result.frames == 5
    assert len((result.recordings[0].folder / "frames.jsonl").read_text().splitlines()) == 5


def test_a_frame_size_that_changes_midway_is_tracked_and_recorded(tmp_path: Path) -> None:
    class Changing(Camera):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                size = (SIZE[1], SIZE[0], 3) if frame.index < 4 else (SIZE[1] // 2, SIZE[0] // 2, 3)
                yield Frame(frame.index, frame.time, np.full(size, 100, np.uint8))

    camera = Changing(8)
    live, screen = session(LiveJob(tmp_path, record=True), camera)
    result = live.run(camera, Interrupt())
    assert {picture.shape[0] for picture in screen.pictures} == {SIZE[1], SIZE[1] // 2}
    with av.open(str(result.recordings[0].folder / "overlay.mp4")) as video:
        assert {frame.height for frame in video.decode(video=0)} == {SIZE[1]}


def test_only_the_newest_frame_is_taken() -> None:
    class Fast(Camera):
        def __iter__(self) -> Iterator[Frame]:
            for i in range(self.count):
                yield Frame(i, i / 30, np.zeros((4, 4, 3), np.uint8))

    frames = LatestFrames(Fast(100))
    frames._read()
    taken = [captured.frame.index for captured in frames if captured is not None]
    assert taken == [99]
    assert frames.dropped == 99


def test_a_camera_without_a_picture_is_no_error(tmp_path: Path) -> None:
    """A camera that gives nothing at all ends without a recording and without an error."""
    camera = Camera(0)
    live, screen = session(LiveJob(tmp_path, record=True), camera, detector=Script([[]]))
    result = live.run(camera, Interrupt())
    assert result.frames == 0 and result.recordings == [] and screen.pictures == []


def test_files_of_a_size_that_changed_are_in_one_cameras_pixels(tmp_path: Path) -> None:
    class Shrinking(Camera):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                part = 1 if frame.index < 4 else 2
                yield Frame(frame.index, frame.time, np.full((SIZE[1] // part, SIZE[0] // part, 3), 100, np.uint8))

    class Same(Script):
        """Sees the same person at the same place, whatever the size of the picture."""

        def detect(self, frame: Frame, predicted: object = ()) -> list[Detection]:
            person, _ = somebody(0.0)
            return [replace(person, landmarks2d=person.landmarks2d * frame.size[0] / SIZE[0])]

    camera = Shrinking(8)
    live, _ = session(LiveJob(tmp_path, record=True), camera, detector=Same([]))
    result = live.run(camera, Interrupt())
    person = load_person(result.recordings[0].folder / "person_000.npz")
    height = np.ptp(person.joints2d[:, :, 1], axis=1)
    assert len(height) == 8 and height[4:].mean() == pytest.approx(height[:4].mean(), rel=0.05)
    focal, warning = json.loads((result.recordings[0].folder / "run.json").read_text())["warnings"]
    assert "the focal length is guessed" in focal
    assert f"{SIZE[0] // 2}×{SIZE[1] // 2}" in warning and f"{SIZE[0]}×{SIZE[1]}" in warning
