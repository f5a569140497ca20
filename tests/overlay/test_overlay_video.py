"""Films in a process of their own: the same pictures, and faults that come back."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.export_scene import CAMERA, person_at
from tracker.body import load_body
from tracker.body.drawn_body import drawn_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.camera import CameraConfig
from tracker.core.errors import RunError
from tracker.core.frame import Frame
from tracker.core.person import TrackedFrame
from tracker.overlay import overlay_process
from tracker.overlay.overlay_process import overlay_video_of
from tracker.overlay.overlay_video import OverlayVideoJob
from tracker.runtime.helper_process import helper_command
from tracker.runtime.worker import Worker
from tracker.smooth.filters import SavitzkyConfig

PERSONS = PersonBuilder(load_body(None))
DRAWN = drawn_body(PERSONS.body)
RATE = 25
SIZE = (CAMERA.width, CAMERA.height)


def job_for(path: Path, renderer: str = "raster", smooth: bool = True) -> OverlayVideoJob:
    cameras = CameraConfig(focal=CAMERA.fx)
    smoothing = SavitzkyConfig() if smooth else None
    return OverlayVideoJob(
        path, SIZE, Fraction(RATE), None, renderer, DRAWN, PERSONS.without_body(), cameras, smoothing
    )


def shown(number: int) -> TrackedFrame:
    picture = np.full((SIZE[1], SIZE[0], 3), 3 * number % 256, np.uint8)
    return TrackedFrame(Frame(number, number / RATE, picture), [person_at(PERSONS.body, number / RATE)])


def pictures_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


@pytest.fixture
def every_film_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay_process, "_SHORT_FILM", 0)


def make(path: Path, frames: int) -> list[float]:
    with overlay_video_of(job_for(path), frames) as film:
        for number in range(frames):
            film.put(shown(number))
    assert len(film.times.draw_ms) == len(film.times.write_ms) == frames
    return film.times.draw_ms


def test_a_process_makes_the_film_that_a_thread_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "thread.mp4", 40)
    monkeypatch.setattr(overlay_process, "_SHORT_FILM", 0)
    make(tmp_path / "process.mp4", 40)
    thread, process = (pictures_of(tmp_path / f"{name}.mp4") for name in ("thread", "process"))
    assert len(thread) == len(process) == 40
    for one, other in zip(thread, process, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.ptp(thread[-1].astype(int), axis=(0, 1)).max() > 30, "somebody is drawn"


@pytest.mark.usefixtures("every_film_alone")
def test_a_process_that_was_started_before_makes_the_film(tmp_path: Path) -> None:
    with overlay_process.ready_to_draw():
        (waiting,) = overlay_process._spare
        make(tmp_path / "out.mp4", 5)
        assert waiting.returncode == 0
        assert not overlay_process._spare
    assert len(pictures_of(tmp_path / "out.mp4")) == 5


@pytest.mark.usefixtures("every_film_alone")
def test_a_process_that_draws_needs_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes two seconds of a core and 230 MB to load, which a film of ten seconds does not."""
    python, isolated, dash_c, code = helper_command("tracker.overlay.overlay_process")
    without = [python, isolated, dash_c, f"import sys; sys.modules['torch'] = None; {code}"]
    monkeypatch.setattr(overlay_process, "helper_command", lambda module: without)
    make(tmp_path / "out.mp4", 5)
    assert np.ptp(pictures_of(tmp_path / "out.mp4")[-1].astype(int), axis=(0, 1)).max() > 30, "somebody is drawn"


def test_one_that_was_started_for_nothing_is_gone_afterwards() -> None:
    with overlay_process.ready_to_draw():
        (waiting,) = overlay_process._spare
    assert waiting.returncode is not None
    assert not overlay_process._spare


@pytest.mark.usefixtures("every_film_alone")
def test_a_film_that_cannot_be_written_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.with_name("out.mp4.part").mkdir()
    with overlay_video_of(job_for(path), None) as film:
        for number in range(300):
            film.put(shown(number))
    assert isinstance(film.fault, RunError) and "out.mp4" in str(film.fault)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started."""
    processes: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*args, **given):  # type: ignore[no-untyped-def]
        processes.append(popen(*args, **given))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    return processes


@pytest.mark.usefixtures("every_film_alone")
def test_a_process_that_is_killed_costs_the_film(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    with overlay_video_of(job_for(tmp_path / "out.mp4"), None) as film:
        film.put(shown(0))
        while not started:
            pass
        os.kill(started[0].pid, signal.SIGKILL)
        for number in range(1, 300):
            film.put(shown(number))
    assert isinstance(film.fault, RunError) and "ended with -9" in str(film.fault)


@pytest.mark.usefixtures("every_film_alone")
@pytest.mark.parametrize("moment", ["while frames are put", "while the film is waited for"])
def test_a_process_that_hangs_is_killed_by_an_interrupt(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    if moment == "while the film is waited for":
        monkeypatch.setattr(Worker, "__exit__", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), overlay_video_of(job_for(tmp_path / "out.mp4"), None) as film:
        film.put(shown(0))
        while not started:
            pass
        os.kill(started[0].pid, signal.SIGSTOP)
        if moment == "while frames are put":
            signal.raise_signal(signal.SIGINT)
    assert started[0].wait() == -signal.SIGKILL


def test_a_film_whose_maker_has_lost_its_giver_is_finished(tmp_path: Path) -> None:
    """As when the process that tracks is killed: the stream just ends."""
    command = helper_command("tracker.overlay.overlay_process")
    path = tmp_path / "out.mp4"
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=overlay_process._environment()
    ) as process:
        assert process.stdin is not None
        overlay_process._send(process.stdin, (job_for(path), 30))
        for number in range(5):
            overlay_process._send(process.stdin, shown(number))
        process.stdin.write(b"\x80\x05\x95")  # the beginning of a frame
        process.stdin.close()
        assert process.wait() == 0
    assert len(pictures_of(path)) == 5


def test_one_that_is_given_nothing_ends_quietly() -> None:
    command = helper_command("tracker.overlay.overlay_process")
    done = subprocess.run(command, input=b"", capture_output=True, env=overlay_process._environment(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_side_by_side_with_the_picture_as_it_came(tmp_path: Path) -> None:
    job = replace(job_for(tmp_path / "both.mp4"), side_by_side=True)
    with overlay_video_of(job, 3) as film:
        for number in (40, 41, 42):
            film.put(shown(number))
    for picture in pictures_of(tmp_path / "both.mp4"):
        left, right = np.hsplit(picture.astype(int), 2)
        assert left.shape == right.shape == (SIZE[1], SIZE[0], 3)
        assert np.ptp(left) < 20 < np.abs(right - left).max()
