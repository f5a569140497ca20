"""The list of webcams, and what one is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tracker.cli.entry import cli
from tracker.source.cameras import CameraDevice, cameras
from tracker.source.source import LiveConfig
from tracker.source.webcam import open_capture


def device(folder: Path, number: int, name: str, index: int) -> None:
    (folder / f"video{number}").mkdir(parents=True)
    (folder / f"video{number}" / "name").write_text(f"{name}\n")
    (folder / f"video{number}" / "index").write_text(f"{index}\n")


@pytest.fixture
def listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tracker.source.cameras.KERNEL_LISTING", tmp_path / "v4l")
    return tmp_path / "v4l"


def test_linux_names_its_cameras_without_opening_them(listing: Path) -> None:
    device(listing, 10, "Desk camera", 0)
    device(listing, 0, "HD Webcam: HD Webcam", 0)
    device(listing, 1, "HD Webcam: HD Webcam", 1)
    (listing / "video7").mkdir()  # unplugged meanwhile
    assert cameras() == [CameraDevice(0, "HD Webcam: HD Webcam"), CameraDevice(10, "Desk camera")]


def test_elsewhere_the_first_few_are_tried(listing: Path) -> None:
    released: list[int] = []

    class Tried:
        def __init__(self, number: int) -> None:
            self.number = number

        def isOpened(self) -> bool:
            return self.number in (0, 2)

        def release(self) -> None:
            released.append(self.number)

    assert [str(camera) for camera in cameras(lambda number, _: Tried(int(number)))] == ["0", "2"]  # type: ignore[arg-type, return-value]
    assert released == [0, 1, 2, 3, 4]


def test_the_command_lists_them(listing: Path) -> None:
    listing.mkdir()
    assert CliRunner().invoke(cli, ["live", "--list-cameras"]).output == "no camera is plugged in\n"
    device(listing, 3, "Desk camera", 0)
    done = CliRunner().invoke(cli, ["live", "--list-cameras"])
    assert done.exit_code == 0 and done.output == "3  Desk camera\n"


@pytest.mark.parametrize("size", ["big", "1280", "0x720", "1280x", "-1x5"])
def test_a_wrong_size_gets_a_sentence(size: str) -> None:
    done = CliRunner().invoke(cli, ["live", "--size", size])
    assert done.exit_code == 2 and "expected WIDTHxHEIGHT, such as 1280x720" in done.output


@pytest.mark.parametrize(("mjpg", "code"), [(True, "MJPG"), (False, "YUYV")])
def test_a_webcam_is_asked_for_size_and_format(mjpg: bool, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    class Recording:
        def __init__(self, _: Any) -> None:
            self.asked: dict[int, float] = {}

        def isOpened(self) -> bool:
            return True

        def set(self, prop: int, value: float) -> None:
            self.asked[prop] = value

    monkeypatch.setattr(cv2, "VideoCapture", Recording)
    capture: Any = open_capture(0, LiveConfig(camera_size=(640, 360), camera_mjpg=mjpg))
    assert (capture.asked[cv2.CAP_PROP_FRAME_WIDTH], capture.asked[cv2.CAP_PROP_FRAME_HEIGHT]) == (640, 360)
    assert int(capture.asked[cv2.CAP_PROP_FOURCC]).to_bytes(4, "little").decode() == code
