"""Live from end to end: a camera imitated by a stream over the network, a real window on a made-up display, and an
error in each stage."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tests import ROOT
from tests.app.test_live import Camera, session
from tests.pipeline.test_pipeline import Script, somebody
from tests.programs import run_python
from tests.source_clips import ClipSpec, make_clip
from tracker.app.live import LiveJob, LiveSession
from tracker.body import load_body
from tracker.core.detection import Detection
from tracker.core.errors import RunError
from tracker.core.frame import Frame
from tracker.export import load_person
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.overlay.video_writer import VideoWriter
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt
from tracker.source import Clip, LiveConfig, open_live_source
from tracker.source.webcam import CameraSource

FFMPEG, XVFB = shutil.which("ffmpeg"), shutil.which("Xvfb")
RATE = 20


class Everywhere(Script):
    """Sees the same person in every frame."""

    def __init__(self) -> None:
        super().__init__([])
        self._person, _ = somebody(0.0)

    def detect(self, frame: Frame, predicted: object = ()) -> list[Detection]:
        return [self._person]


@pytest.fixture
def sender() -> Iterator[tuple[str, subprocess.Popen]]:
    """The address of a camera on the loopback interface, and the process that sends."""
    if FFMPEG is None:
        pytest.skip("ffmpeg is not installed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pictures = ["-re", "-f", "lavfi", "-i", f"testsrc=size=320x240:rate={RATE}"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "5", "-pix_fmt", "yuv420p"]
    target = f"udp://127.0.0.1:{port}?pkt_size=1316"
    process = subprocess.Popen([FFMPEG, "-loglevel", "error", *pictures, *coding, "-f", "mpegts", target])
    yield f"udp://127.0.0.1:{port}", process
    process.kill()
    process.wait()


class Counting:
    """Nobody looks; `then` is called when so many pictures have been shown."""

    name, wants_picture = "counting", True

    def __init__(self, count: int, then: object) -> None:
        self._left, self._then = count, then

    def send(self, frame: Frame, people: object, picture: np.ndarray) -> None:
        self._left -= 1
        if self._left == 0 and callable(self._then):
            self._then()

    def close(self) -> None:
        """There is nothing to close."""


def test_a_camera_on_the_network_is_tracked_and_recorded(sender: tuple[str, subprocess.Popen], tmp_path: Path) -> None:
    address, _ = sender
    interrupt = Interrupt()
    screen = Counting(15, lambda: setattr(interrupt, "requested", True))
    with open_live_source(address, LiveConfig(timeout_seconds=30.0)) as source:
        tracker = Tracker(TrackerConfig(), load_body(None), Everywhere())
        result = LiveSession(LiveJob(tmp_path, record=True), tracker, [screen]).run(source, interrupt)
    assert result.frames == 15
    (recording,) = result.recordings
    assert len((recording.folder / "frames.jsonl").read_text().splitlines()) == 15
    assert len(load_person(recording.folder / "person_000.npz").frame_index) >= 1
    report = json.loads((recording.folder / "run.json").read_text())
    assert report["stages"]["capture_to_drawn"]["calls"] == 15
    assert (report["engine"], report["device"]) == ("script", "cpu")


def test_frames_that_stop_end_the_run_with_the_recording_saved(
    sender: tuple[str, subprocess.Popen], tmp_path: Path
) -> None:
    address, process = sender
    screen = Counting(8, process.kill)
    with open_live_source(address, LiveConfig(reconnect_seconds=0.0, timeout_seconds=3.0)) as source:
        tracker = Tracker(TrackerConfig(), load_body(None), Everywhere())
        with pytest.raises(RunError, match="the stream stopped"):
            LiveSession(LiveJob(tmp_path, record=True), tracker, [screen]).run(source, Interrupt())
    (folder,) = tmp_path.iterdir()
    assert len((folder / "frames.jsonl").read_text().splitlines()) >= 8
    assert (folder / "overlay.mp4").is_file() and (folder / "run.json").is_file()


def break_at(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, call: int) -> None:
    """Has the method fail when it is called for the `call`-th time."""
    whole, left = getattr(owner, name), [call]

    def failing(*arguments: object, **named: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise RunError(f"{name} broke")
        return whole(*arguments, **named)

    monkeypatch.setattr(owner, name, failing)


STEPS = [(Tracker, "detect"), (Tracker, "extract"), (Tracker, "fit"), (MeshOverlay, "draw")]


@pytest.mark.parametrize(("owner", "name"), STEPS)
def test_an_error_in_any_stage_ends_all_and_keeps_what_was_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: type, name: str
) -> None:
    break_at(monkeypatch, owner, name, 4)
    camera = Camera(30)
    live, screen = session(LiveJob(tmp_path, record=True), camera)
    with pytest.raises(RunError, match=f"{name} broke"):
        live.run(camera, Interrupt())
    assert len(screen.pictures) < 30
    (folder,) = tmp_path.iterdir()
    assert len((folder / "frames.jsonl").read_text().splitlines()) >= 3
    assert (folder / "overlay.mp4").is_file() and (folder / "run.json").is_file()
    assert len(load_person(folder / "person_000.npz").frame_index) >= 3


def test_an_error_in_the_recording_ends_the_recording_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    break_at(monkeypatch, VideoWriter, "write", 4)
    camera = Camera(30)
    live, screen = session(LiveJob(tmp_path, record=True), camera, keys=12 * " " + "r")
    result = live.run(camera, Interrupt())
    assert len(screen.pictures) == 30
    assert result.faults == ["write broke"]
    broken, whole = sorted(tmp_path.iterdir())
    assert json.loads((broken / "run.json").read_text())["interrupted"] is True
    assert (broken / "overlay.mp4").is_file() and len(load_person(broken / "person_000.npz").frame_index) >= 3
    assert [recording.folder for recording in result.recordings] == [whole], "another one can be begun"
    assert json.loads((whole / "run.json").read_text())["interrupted"] is False


def test_a_recording_that_fails_ends_a_run_that_nobody_watches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    break_at(monkeypatch, VideoWriter, "write", 4)
    camera = Camera(30)

    class Releasing(Everywhere):
        def detect(self, frame: Frame, predicted: object = ()) -> list[Detection]:
            camera.taken.set()
            return super().detect(frame)

    tracker = Tracker(TrackerConfig(), load_body(None), Releasing())
    result = LiveSession(LiveJob(tmp_path, record=True), tracker, []).run(camera, Interrupt())
    assert result.frames < 30 and result.faults == ["write broke"]


IN_A_WINDOW = """
import sys
import cv2
import av
import numpy as np
from tracker.core.frame import Frame
from tracker.outputs.window import WINDOW, Window

window = Window()
picture = np.zeros((120, 160, 3), np.uint8)
picture[:, :80] = (255, 0, 0)
keys = []
for _ in range(20):
    window.send(Frame(0, 0.0, picture), [], picture)
    keys.append(window.key())
assert cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) >= 1, "not visible"
assert set(keys) == {""}, keys
cv2.destroyWindow(WINDOW)
assert window.key() == "q", "a window that was closed ends the run"
window.close()
print("shown")
"""


@pytest.fixture
def display() -> Iterator[str]:
    """A display that nobody sees."""
    if XVFB is None:
        pytest.skip("Xvfb is not installed")
    reading, writing = os.pipe()
    command = [XVFB, "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    process = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start here")
    yield f":{number}"
    process.kill()
    process.wait()


def test_the_window_shows_pictures_and_says_when_it_is_closed(display: str) -> None:
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
    assert "shown" in run_python(IN_A_WINDOW, environment=environment).stdout


@pytest.mark.slow
def test_ctrl_c_ends_it_with_everything_saved(tmp_path: Path) -> None:
    """The command itself, on a file played as a camera."""
    clip = make_clip(tmp_path / "clip.mp4", ClipSpec(count=2000, size=(160, 120)))
    command = [sys.executable, "run.py", "live", "--source", str(clip), "--headless", "--record", str(tmp_path / "out")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not any(path.stat().st_size for path in tmp_path.glob("out/*/frames.jsonl")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130, said
    (report,) = tmp_path.glob("out/*/run.json")
    assert json.loads(report.read_text())["frames_read"] >= 1
    assert "saved" in said


class Fickle:
    """A webcam that says it gives 0 pictures a second, goes away after a while and comes back with another size."""

    def __init__(self) -> None:
        self.lives: list[tuple[int, tuple[int, int] | None]] = [(40, (320, 240)), (0, None), (100_000, (160, 120))]

    def open(self, device: int | str, config: LiveConfig) -> FickleCapture:
        return FickleCapture(*self.lives.pop(0))


class FickleCapture:
    """One time that it is plugged in."""

    def __init__(self, pictures: int, size: tuple[int, int] | None) -> None:
        self._left, self._size = pictures, size

    def isOpened(self) -> bool:
        return self._size is not None

    def grab(self) -> bool:
        time.sleep(0.04)
        self._left -= 1
        return self._left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        assert self._size is not None
        return True, np.full((self._size[1], self._size[0], 3), 90, np.uint8)

    def get(self, prop: int, /) -> float:
        return 0.0

    def release(self) -> None:
        """There is nothing to release."""


def test_a_camera_without_a_rate_that_goes_and_comes_back_in_another_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tracker.source.live_source.RETRY_SECONDS", 0.05)
    caplog.set_level("INFO", "tracker")
    interrupt, sizes = Interrupt(), []

    class Screen:
        name, wants_picture = "screen", True

        def send(self, frame: Frame, people: object, picture: np.ndarray) -> None:
            sizes.append((picture.shape[1], picture.shape[0]))
            interrupt.requested = sizes.count((160, 120)) >= 3

        def close(self) -> None:
            """There is nothing to close."""

    with CameraSource(0, Clip(), LiveConfig(reconnect_seconds=60.0), Fickle().open) as source:
        assert source.info.rate is None
        tracker = Tracker(TrackerConfig(), load_body(None), Everywhere())
        result = LiveSession(LiveJob(tmp_path, record=True), tracker, [Screen()]).run(source, interrupt)
    assert set(sizes) == {(320, 240), (160, 120)}
    (recording,) = result.recordings
    assert result.frames == len((recording.folder / "frames.jsonl").read_text().splitlines()) == len(sizes)
    assert "camera 0: is back after 0 s" in caplog.messages
    assert any("trying again" in warning for warning in source.warnings)
    with av.open(str(recording.folder / "overlay.mp4")) as film:
        shown = [(frame.width, frame.height) for frame in film.decode(video=0)]
    assert set(shown) == {(320, 240)} and len(shown) == len(sizes), "one film has one size"
