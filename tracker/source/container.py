"""Opening files and addresses with FFmpeg, and its failures in words that say what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from tracker.core.errors import InputError
from tracker.core.shown_text import is_address, shown_address

NO_PERMISSION = "no permission to read it (chmod +r, or run as its owner)"

GENERATE_PTS = 1
"""AVFMT_FLAG_GENPTS."""


def open_container(
    location: str, timeout: float | None = None, options: dict[str, str] | None = None
) -> InputContainer:
    """Opens a video file or address that has a video stream.

    location: a path or an address. timeout: seconds without data after which opening or reading fails.
    Raises InputError with one line when it cannot be opened, or holds no video that can be decoded.
    """
    shown = shown_address(location)
    target = location if is_address(location) else str(Path(location).absolute())
    try:
        container = av.open(target, timeout=timeout, options=options or {}, metadata_errors="replace")
    except (FFmpegError, OSError) as error:
        raise InputError(f"{shown}: {_cause(error, location, timeout)}") from None
    # Invented timestamps are worse than none: FFmpeg's disagree with the order of B-frames in AVI files.
    container.flags &= ~GENERATE_PTS
    stream = container.streams.best("video")
    if stream is None or stream.disposition & Disposition.attached_pic or stream.codec_context is None:
        streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
        container.close()
        what = "its video is in a format that cannot be decoded" if streams else "it has no video in it"
        raise InputError(f"{shown}: {what}; convert it to H.264 in MP4, or give another file")
    return container


def video_stream(container: InputContainer) -> VideoStream:
    """The main video of a container that `open_container` has opened, as players choose it."""
    stream = container.streams.best("video")
    assert isinstance(stream, VideoStream)
    return stream


def decode(container: InputContainer, problems: list[str], patience: float = float("inf")) -> Iterator[av.VideoFrame]:
    """Gives the main video's pictures from where the container stands.

    Damaged packets are passed over and noted in `problems`. A failure to read on ends the pictures and is noted too:
    what has been decoded before counts. So does `patience` running out: seconds in which packets, but no picture, come.
    """
    packets = container.demux(video_stream(container))
    last = time.monotonic()
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, OSError) as error:
            problems.append(f"reading failed ({reason(error)})")
            return
        if packet is None:
            return
        if time.monotonic() - last > patience:
            problems.append(f"nothing of what came for {patience:.0f} s could be decoded")
            return
        try:
            pictures = packet.decode()
        except (FFmpegError, OSError) as error:
            problems.append(f"decoding failed ({reason(error)})")
            continue
        last = time.monotonic() if pictures else last
        problems.extend("picture damaged" for picture in pictures if picture.is_corrupt)
        yield from pictures


def reason(error: Exception) -> str:
    """FFmpeg's own words, without the error number and path that its messages carry."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _cause(error: Exception, location: str, timeout: float | None) -> str:
    """Why opening failed and what may mend it."""
    if isinstance(error, FileNotFoundError):
        return "no such file; check the path"
    if isinstance(error, PermissionError):
        return NO_PERMISSION
    if isinstance(error, av.error.ExitError):
        return f"no answer within {timeout:g} s; check the address and that the sender runs"
    if is_address(location):
        return f"cannot be opened ({reason(error)}); check the address and that it sends video"
    return f"not a video that can be read ({reason(error)}); expected a whole MP4, MOV, MKV, AVI or WebM file"
