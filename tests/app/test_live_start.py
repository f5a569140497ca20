"""The first seconds of a live run, the address for phones, and what is said while a camera is away and at the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

from tests.app.test_live import Camera, session
from tests.pipeline.test_pipeline import SIZE, Script, somebody
from tests.programs import run_python
from tracker.app.live import LiveJob, LiveSession
from tracker.app.live_start import LOADING, PagePlace, Screens, loaded_meanwhile, open_screens
from tracker.app.meter import Meter
from tracker.body import load_body
from tracker.cli.entry import main
from tracker.cli.summary_lines import live_summary
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.outputs.http_server import own_address
from tracker.outputs.output import LiveStatus, NoKeys, StatusFeed
from tracker.outputs.qr_code import qr_lines
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt
from tracker.source.latest_frames import Captured, LatestFrames


class Looking(StatusFeed):
    """Somebody who looks at the pictures, and lets the camera give the next one; after one of them it is away for a
    while."""

    name, wants_picture = "looking", True

    def __init__(self, camera: Camera, enough: int = 3, away_after: int | None = None) -> None:
        self.camera, self.pictures, self.statuses = camera, [], []
        self.waited, self._away_after = 0, away_after
        self.enough, self._number = threading.Event(), enough

    def send(self, frame: Frame, people: object, picture: np.ndarray) -> None:
        self.pictures.append(picture)
        self.statuses.append(self.status())
        if frame.index == self._away_after:
            self.camera.waiting = "camera 0: unplugged"
        else:
            self.camera.taken.set()
        if len(self.pictures) == self._number:
            self.enough.set()

    def wait(self) -> None:
        self.statuses.append(self.status())
        self.waited += 1
        if self.waited == 3:
            self.camera.waiting = ""
            self.camera.taken.set()

    def close(self) -> None:
        """There is nothing to close."""


class Quitting:
    """Presses q at once."""

    def key(self) -> str:
        return "q"


@pytest.fixture
def frames() -> Iterator[tuple[Camera, LatestFrames]]:
    camera = Camera(1000)
    with LatestFrames(camera) as read:
        yield camera, read


def test_the_cameras_pictures_are_shown_while_the_networks_load(frames: tuple[Camera, LatestFrames]) -> None:
    camera, read = frames
    looking = Looking(camera)

    def load() -> str:
        assert looking.enough.wait(60), "no pictures"
        return "loaded"

    assert loaded_meanwhile(load, camera, read, Screens([looking], NoKeys()), Interrupt()) == "loaded"
    picture = looking.pictures[0]
    assert picture.shape == (SIZE[1], SIZE[0], 3) and (picture[-1] == 100).all(), "the camera's own picture"
    assert (picture[:60, :300] > 200).any(), "with a line of text over it"
    assert looking.statuses[0].waiting == LOADING


def test_a_file_begins_when_all_is_loaded_and_the_screen_is_dark_until_then() -> None:
    camera = Camera(1000)
    looking = Looking(camera, enough=1)

    def load() -> bool:
        return looking.enough.wait(60)

    assert loaded_meanwhile(load, camera, None, Screens([looking], NoKeys()), Interrupt())
    assert len(looking.pictures) == 1 and not looking.pictures[0][-1].any()


def test_who_quits_meanwhile_has_not_to_wait_for_a_picture(frames: tuple[Camera, LatestFrames]) -> None:
    camera, read = frames
    interrupt = Interrupt()
    interrupt.requested = True
    for keys, asked in ((Quitting(), Interrupt()), (NoKeys(), interrupt)):
        over = threading.Event()
        threading.Timer(0.2, over.set).start()
        assert loaded_meanwhile(lambda over=over: over.wait(60), camera, read, Screens([], keys), asked) is None


def test_what_loading_raises_is_raised(frames: tuple[Camera, LatestFrames]) -> None:
    camera, read = frames

    def load() -> None:
        raise InputError("no such body")

    with pytest.raises(InputError, match="no such body"):
        loaded_meanwhile(load, camera, read, Screens([Looking(camera)], NoKeys()), Interrupt())


def test_nothing_slow_is_imported_before_the_first_picture() -> None:
    code = """
import sys
import tracker.cli, tracker.app.live_start, tracker.outputs.web, tracker.outputs.window, tracker.source.webcam
slow = {"torch", "mediapipe", "openvino", "onnxruntime", "scipy", "matplotlib"} & set(sys.modules)
assert not slow, slow
"""
    run_python(code)


# ------------------------------------------------------------------------------------------------ the address


def test_a_phone_reads_the_address_from_the_terminal() -> None:
    address = "http://192.168.1.7:8000/?token=abcdefghijklmnopqrstuv"
    rows = []
    for line in qr_lines(address):
        upper = [character in "█▀" for character in line]
        lower = [character in "█▄" for character in line]
        rows += [upper, lower]
    picture = np.kron(np.array(rows, np.uint8) * 255, np.ones((8, 8), np.uint8))
    read, _, _ = cv2.QRCodeDetector().detectAndDecode(cv2.copyMakeBorder(picture, 24, 24, 24, 24, 0, value=255))
    assert read == address


def place(host: str) -> PagePlace:
    return PagePlace(0, host, Path("out"))


def test_the_code_is_printed_for_other_machines_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tracker")
    with open_screens(False, place("127.0.0.1")) as screens:
        (page,) = screens.outputs
        assert not caplog.records
        screens.tell_address()
        assert [record.message for record in caplog.records] == [f"the live picture is at {page.address}"]
    caplog.clear()
    with open_screens(False, place("0.0.0.0")) as screens:
        (page,) = screens.outputs
        screens.tell_address()
        assert f"//{own_address()}:" in page.address
        assert [record.message for record in caplog.records][1:] == qr_lines(page.address)


# ------------------------------------------------------------------------------------------- what is said


def test_a_camera_that_is_away_is_said_on_the_screen(tmp_path: Path) -> None:
    camera = Camera(6)
    looking = Looking(camera, away_after=2)
    detection, _ = somebody(0.0)
    tracker = Tracker(TrackerConfig(), load_body(None), Script([[detection]] * camera.count))
    live = LiveSession(LiveJob(tmp_path), tracker, [looking])
    result = live.run(camera, Interrupt())
    assert result.frames == 6 and looking.waited >= 3
    assert "camera 0: unplugged" in {status.waiting for status in looking.statuses}
    assert looking.statuses[-1].waiting == ""


def test_a_session_that_does_not_run_yet_is_not_asked_how_it_goes(tmp_path: Path) -> None:
    """It is made in another thread while the page says that the networks are loading."""
    camera = Camera(1)
    looking = Looking(camera)
    looking.follow(lambda: LiveStatus(waiting="loading"))
    LiveSession(LiveJob(tmp_path), Tracker(TrackerConfig(), load_body(None), Script([])), [looking])
    assert looking.status().waiting == "loading"


def test_the_pace_is_that_of_the_frames_with_people(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.cumsum([0.0] + 4 * [0.01, 0.1]))
    monkeypatch.setattr("tracker.app.meter.perf_counter", lambda: next(clock))
    meter = Meter()
    frame = Frame(0, 0.0, np.zeros((2, 2, 3), np.uint8))
    for i in range(9):
        meter.add(Captured(frame, 0.0), people=int(i > 0 and i % 2 == 0))
    assert meter.frames == 9 and meter.frames_with_people == 4
    assert meter.lately().rate == pytest.approx(10.0), "an empty frame takes 10 ms, one with somebody 100"
    assert Meter().lately().rate == 0.0 and LiveStatus().rate == 0.0


def test_the_end_says_what_was_seen(tmp_path: Path) -> None:
    camera = Camera(5)
    live, _ = session(LiveJob(tmp_path), camera)
    told = live_summary(live.run(camera, Interrupt()))
    assert told.startswith("5 frames, ") and "with people: " in told and "0 dropped" in told


@pytest.mark.parametrize(
    ("given", "printed"), [("stopped; nothing was recorded", "stopped; nothing was recorded"), ("", "interrupted")]
)
def test_an_interrupt_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, printed: str
) -> None:
    @click.command()
    def stopped() -> None:
        raise KeyboardInterrupt(*([given] if given else []))

    monkeypatch.setattr("tracker.cli.entry.cli", stopped)
    monkeypatch.setattr("sys.argv", ["body-tracker"])
    assert main() == 130
    assert capsys.readouterr().err.strip() == printed
