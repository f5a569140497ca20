"""Outputs: any number at once, each with its own faults, none drawn for that nobody wants drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.app.test_live import Camera, FakeScreen
from tests.pipeline.test_pipeline import Script, somebody
from tracker.app.live import LiveJob, LiveSession
from tracker.body import load_body
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Output, Outputs, Picture, PictureFeed, StatusFeed, with_hud
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt


class Collecting:
    """Keeps what it is given; fails at the `fault`-th frame."""

    def __init__(self, wants_picture: bool = False, fault: int | None = None) -> None:
        self.name, self.wants_picture, self._fault = "collecting", wants_picture, fault
        self.sent: list[tuple[int, int, Picture | None]] = []
        self.closed = False

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        if len(self.sent) == self._fault:
            raise ConnectionError("the other side is gone")
        self.sent.append((frame.index, len(people), picture))

    def close(self) -> None:
        self.closed = True


class LetsTheCameraGoOn:
    """The last output: has the camera give its next picture when the others have had the one before."""

    name, wants_picture = "last", False

    def __init__(self, camera: Camera) -> None:
        self._camera = camera

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        self._camera.taken.set()

    def close(self) -> None:
        """Has nothing to close."""


def run(camera: Camera, outputs: Sequence[Output], folder: Path, record: bool = False) -> None:
    detection, _ = somebody(0.0)
    tracker = Tracker(TrackerConfig(), load_body(None), Script([[detection]] * camera.count))
    outputs = [*outputs, LetsTheCameraGoOn(camera)]
    LiveSession(LiveJob(folder, record=record), tracker, outputs).run(camera, Interrupt())


def test_every_output_gets_every_frame_and_pictures_where_it_wants_them(tmp_path: Path) -> None:
    camera = Camera(6)
    screen, poses = Collecting(wants_picture=True), Collecting()
    run(camera, [screen, poses], tmp_path)
    assert [index for index, _, _ in screen.sent] == [index for index, _, _ in poses.sent] == list(range(6))
    assert all(picture is not None for _, _, picture in screen.sent)
    assert all(picture is None for _, _, picture in poses.sent)
    assert poses.sent[-1][1] == 1


def test_nothing_is_drawn_that_nobody_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(MeshOverlay, "draw", lambda *_: drawn.append(1) or np.zeros((4, 4, 3), np.uint8))
    camera = Camera(4)
    run(camera, [Collecting()], tmp_path)
    assert drawn == []


def test_an_output_that_fails_ends_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    camera = Camera(6)
    failing, steady = Collecting(fault=2), Collecting(wants_picture=True)
    run(camera, [failing, steady], tmp_path, record=True)
    assert failing.closed and len(failing.sent) == 2
    (folder,) = tmp_path.iterdir()
    assert 2 < len(steady.sent) == len((folder / "frames.jsonl").read_text().splitlines())
    warnings = [record.message for record in caplog.records if "collecting: stopped" in record.message]
    assert len(warnings) == 1 and "the other side is gone" in warnings[0]


@pytest.mark.parametrize(("at_close", "lines"), [("the other side is gone", 1), ("the disk is full", 2)])
def test_one_fault_is_said_once(at_close: str, lines: int, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Collecting):
        def close(self) -> None:
            raise ConnectionError(at_close)

    Outputs([Failing(fault=0)]).send(Frame(0, 0.0, np.zeros((4, 4, 3), np.uint8)), [], None)
    assert len(caplog.records) == lines
    assert caplog.records[0].message == "collecting: stopped: ConnectionError: the other side is gone"


@pytest.mark.parametrize("recorded", [True, False])
def test_a_run_whose_outputs_have_all_failed_ends_where_nothing_is_recorded(tmp_path: Path, recorded: bool) -> None:
    class GoesOn(Collecting):
        """Has the camera give its next picture, also when it has failed."""

        def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
            camera.taken.set()
            super().send(frame, people, picture)

        def close(self) -> None:
            camera.taken.wait = lambda timeout: True  # type: ignore[method-assign]

    camera, detection = Camera(60), somebody(0.0)[0]
    tracker = Tracker(TrackerConfig(), load_body(None), Script([[detection]] * camera.count))
    job = LiveJob(tmp_path, record=recorded)
    result = LiveSession(job, tracker, [GoesOn(fault=2), GoesOn(wants_picture=True, fault=3)]).run(camera, Interrupt())
    assert len(result.recordings) == recorded
    assert result.faults == ([] if recorded else ["no output is left, and nothing is recorded: the run ended there"])
    assert result.frames + result.dropped == 60 if recorded else result.frames == 4


def test_an_output_that_fails_while_no_picture_comes_ends_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Telling(PictureFeed, StatusFeed):
        name, wants_picture = "telling", False

        def __init__(self, fails: bool) -> None:
            self.told, self.fails, self.closed = 0, fails, False

        def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
            """Is not interested."""

        def wait(self) -> None:
            self.told += 1
            if self.fails:
                raise RuntimeError("Event loop is closed")

        def close(self) -> None:
            self.closed = True

    failing, steady = Telling(True), Telling(False)
    outputs = with_hud([failing, steady], list)
    outputs.wait()
    outputs.wait()
    assert (failing.told, failing.closed, steady.told, steady.closed) == (1, True, 2, False)
    assert "telling: stopped, the others go on" in caplog.text


def test_text_over_the_picture_is_not_in_the_recording(tmp_path: Path) -> None:
    """The last picture on the screen differs from the recorded one in its upper part alone."""
    import av

    camera = Camera(6)
    screen = FakeScreen(camera)
    run(camera, [screen], tmp_path, record=True)
    (folder,) = tmp_path.iterdir()
    with av.open(str(folder / "overlay.mp4")) as video:
        recorded = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)][-1].astype(int)
    off = np.abs(recorded - screen.pictures[-1]).max(axis=(1, 2))
    assert off.argmax() < 0.3 * len(off) and off[: len(off) // 4].max() > 60
