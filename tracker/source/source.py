"""What every source of pictures has in common, and the values that describe one."""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.shown_text import is_address

MOST_WARNINGS = 50
"""Of one source."""

SourceKind = Literal["file", "image", "folder", "camera", "stream"]


@dataclass(frozen=True)
class Clip:
    """The part of a source that is wanted: frames with start <= time < end, seconds from its first frame."""

    start: float | None = None
    end: float | None = None
    fps: float | None = None
    """Pictures a second, in the place of the source's own times: for pictures that have none, and for slow motion."""

    def __post_init__(self) -> None:
        if self.start is not None and not 0 <= self.start < float("inf"):
            raise InputError(f"--start {self.start:g}: expected seconds from the beginning, 0 or more")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise InputError(f"--fps {self.fps:g}: expected pictures a second, more than 0")
        if self.end is not None and not self.end > (self.start or 0.0):
            raise InputError(f"--end {self.end:g}: expected seconds, later than the start ({self.start or 0:g})")

    def before(self, time: float) -> bool:
        """Whether the clip has not begun yet at this time."""
        return self.start is not None and time < self.start

    def over(self, time: float) -> bool:
        """Whether the clip has ended by this time."""
        return self.end is not None and time >= self.end


@dataclass(frozen=True)
class InputTrust:
    """What an input may ask of this machine."""

    max_pixels: int = 8192 * 8192
    """Larger pictures are refused before they are decoded: a file of four kilobytes can stand for gigabytes."""
    playlists: bool = False
    """Whether addresses may be playlists (.m3u8, .mpd), which can name any host for this machine to ask."""

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            raise InputError(f"--max-pixels {self.max_pixels}: expected 1 or more, such as {8192 * 8192}")


@dataclass(frozen=True)
class LiveConfig:
    """How sources are opened, and how long a lost camera or stream is waited for."""

    reconnect_seconds: float = 5.0
    """How long to try for a lost camera or stream to come back, a few attempts at least; 0 gives up at once."""
    timeout_seconds: float = 5.0
    """A stream that sends nothing for this long counts as lost."""
    camera_size: tuple[int, int] = (1280, 720)
    """(width, height) px asked of a webcam, which answers with the nearest size that it has."""
    camera_rate: float = 30.0
    """Frames per second asked of a webcam."""
    camera_mjpg: bool = True
    """Asks a webcam for compressed pictures: raw ones fill a USB 2 port at 640×480."""
    trust: InputTrust = InputTrust()

    def __post_init__(self) -> None:
        if not self.reconnect_seconds >= 0:
            raise InputError(f"reconnect_seconds {self.reconnect_seconds}: expected seconds, 0 or more")
        if not self.timeout_seconds > 0:
            raise InputError(f"timeout_seconds {self.timeout_seconds}: expected seconds above 0")
        if min(self.camera_size) < 1:
            raise InputError(f"camera_size {self.camera_size}: expected width and height of 1 px or more")
        if not self.camera_rate > 0:
            raise InputError(f"camera_rate {self.camera_rate}: expected frames per second above 0")


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source once it is open. Sizes are those of the upright picture."""

    name: str
    """The stem of what is written for this source: letters, digits, '.', '-' and '_' where it is not a path's own."""
    kind: SourceKind
    width: int
    height: int
    rate: Fraction | None
    """Nominal frames per second (30000/1001 stays that); the mean of a variable rate; None where nobody says."""
    frame_count: int | None
    """Frames of the whole source; an estimate where the container does not count them; None when live."""
    duration: float | None
    """Seconds of the whole source; None when live or unknown."""
    has_audio: bool
    location: str
    """The path, address (without password and query) or device."""
    live: bool
    """Whether pictures come at their own pace and are lost if nobody takes them."""
    focal: float | None = None
    """px of the upright picture, where the file says it."""

    @property
    def path(self) -> Path | None:
        """Where a file, image or folder lies; None for cameras and addresses."""
        return None if self.kind in ("camera", "stream") or is_address(self.location) else Path(self.location)

    def frames_in(self, clip: Clip) -> int | None:
        """About how many frames the clip has: for progress bars, not for arrays."""
        start = clip.start or 0.0
        if clip.end is not None and self.rate is not None:
            end = clip.end if self.duration is None else min(clip.end, self.duration)
            return max(1, round((end - start) * self.rate))
        if self.frame_count is None or self.rate is None or start == 0.0:
            return self.frame_count
        return max(1, self.frame_count - round(start * self.rate))


class Source(ABC):
    """A context manager and a single pass over the frames of one input.

    Frame times strictly increase. A frame carries its own size, which may differ from `info`'s where a file or stream
    changes it midway. Not thread-safe but for `stop`: one thread iterates, and closes when it is done.
    """

    def __init__(self, info: SourceInfo, clip: Clip) -> None:
        self.info = info
        self.clip = clip
        self.warnings: list[str] = []
        """What was wrong with the input and could be lived with; complete once the iteration has ended."""
        self.waiting = ""
        """What keeps pictures from coming, for the user; empty while they come. Read it from any thread."""
        self._warned = 0
        self._stopped = threading.Event()

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Gives the clip's frames. Raises RunError when a camera or stream is lost for good."""

    @abstractmethod
    def _release(self) -> None:
        """Gives back the file, camera or connection."""

    def warn(self, text: str) -> bool:
        """Takes a warning down; whether it is kept. Of those beyond MOST_WARNINGS it is kept how many there were: a
        camera that comes and goes all day, or a million broken pictures, fill no memory."""
        self._warned += 1
        if self._warned <= MOST_WARNINGS:
            self.warnings.append(text)
            return True
        self.warnings[MOST_WARNINGS:] = [f"and {self._warned - MOST_WARNINGS} more warnings of {self.info.location}"]
        return False

    @property
    def expected_frames(self) -> int | None:
        """About how many frames the iteration will give; None when nobody knows."""
        return self.info.frames_in(self.clip)

    def stop(self) -> None:
        """Asks the iteration, from any thread, to end after the picture that it is waiting for."""
        self._stopped.set()

    def close(self) -> None:
        """Ends the iteration and releases what is held; may be called twice."""
        self.stop()
        self._release()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sorts frame2 before frame10: runs of digits compare as numbers. No two names are equal."""
    runs = re.split(r"(\d+)", path.name.casefold())
    return [*((int(run), "") if run.isdecimal() else (0, run) for run in runs), (0, path.name)]


def no_frame_message(location: str, clip: Clip, duration: float | None) -> str:
    """The one line for a clip that holds none of the source's frames."""
    length = "" if duration is None else f" (it lasts {duration:.2f} s)"
    wanted = f"--start {clip.start or 0:g}" + ("" if clip.end is None else f" --end {clip.end:g}")
    return f"{wanted}: {location} has no frame there{length}; give times inside it"
