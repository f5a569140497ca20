"""Which webcams there are, for choosing one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tracker.source.source import LiveConfig
from tracker.source.webcam import Capture, open_capture

KERNEL_LISTING = Path("/sys/class/video4linux")
"""Where Linux describes its cameras."""
_TRIED = 5
"""Numbers that are tried elsewhere."""


@dataclass(frozen=True)
class CameraDevice:
    """One webcam."""

    number: int
    """For `--source`."""
    name: str
    """As its maker calls it; empty where the system does not say."""

    def __str__(self) -> str:
        return f"{self.number}  {self.name}".rstrip()


def cameras(opener: Callable[[int | str, LiveConfig], Capture] = open_capture) -> list[CameraDevice]:
    """All that are plugged in, by number. On Linux none is opened; elsewhere the first few are, for a moment."""
    listed = _described() if KERNEL_LISTING.is_dir() else _tried(opener)
    return sorted(listed, key=lambda camera: camera.number)


def _described() -> Iterator[CameraDevice]:
    for entry in KERNEL_LISTING.glob("video*"):
        try:
            # a camera's later devices give its metadata, not pictures
            first = (entry / "index").read_text(encoding="utf-8").strip() == "0"
            name = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # unplugged meanwhile
            continue
        if first:
            yield CameraDevice(int(entry.name.removeprefix("video")), name)


def _tried(opener: Callable[[int | str, LiveConfig], Capture]) -> Iterator[CameraDevice]:
    for number in range(_TRIED):
        capture = opener(number, LiveConfig())
        if capture.isOpened():
            yield CameraDevice(number, "")
        capture.release()
