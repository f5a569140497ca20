"""Opening files and addresses with FFmpeg, and its failures in words that say what to do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from tracker.core.errors import InputError
from tracker.core.shown_text import is_address, shown_address
from tracker.source.source import InputTrust

NO_PERMISSION = "no permission to read it (chmod +r, or run as its owner)"

GENERATE_PTS = 1
"""AVFMT_FLAG_GENPTS."""

FILE_FORMATS = (
    "mov,matroska,webm,avi,flv,asf,mpeg,mpegts,mpegvideo,ogg,gif,apng,mxf,dv,nut,ivf,rm,mjpeg,mjpeg_2000,h264,hevc,"
    "av1,obu,m4v,vc1,yuv4mpegpipe"
)
"""Containers of pictures. What FFmpeg reads besides are scripts and lists that name other files and addresses."""
STREAM_FORMATS = f"{FILE_FORMATS},rtsp,rtp,mpjpeg,live_flv"
PLAYLIST_FORMATS = "hls,dash"
_FILE_PROTOCOLS = "file"
_NETWORK_PROTOCOLS = "http,https,httpproxy,tls,tcp,udp,rtp,srtp,rtmp,rtmps,rtmpt,rtmpts,ffrtmphttp,srt,crypto"
_LIST_STARTS = (b"#EXTM3U", b"ffconcat", b"v=0", b"<?xml", b"<MPD", b"[playlist]")
"""How files begin that name others."""


def open_container(
    location: str,
    timeout: float | None = None,
    options: dict[str, str] | None = None,
    trust: InputTrust = InputTrust(),  # noqa: B008 (frozen)
) -> InputContainer:
    """Opens a video file or address that has a video stream.

    location: a path or an address. timeout: seconds without data after which opening or reading fails.
    Raises InputError with one line when it cannot be opened, holds no video that can be decoded, or asks for more than
    it is trusted with, and KeyboardInterrupt when the user asks to stop meanwhile.
    """
    shown = shown_address(location)
    target = location if is_address(location) else str(Path(location).absolute())
    limits = {"max_pixels": str(trust.max_pixels)}
    try:
        container = av.open(
            target, timeout=timeout, options=(options or {}) | _scope(location, trust) | limits,
            metadata_errors="replace",
        )  # fmt: skip
    except InterruptedError:  # a pipe that nobody writes to waits in the system, where a signal ends it
        raise KeyboardInterrupt(f"interrupted while {shown} was waited for") from None
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{shown}: {_cause(error, location, timeout)}") from None
    try:
        _check_size(container, shown, trust)
    except BaseException:
        container.close()
        raise
    # Invented timestamps are worse than none: FFmpeg's disagree with the order of B-frames in AVI files.
    container.flags &= ~GENERATE_PTS
    stream = container.streams.best("video")
    if stream is None or stream.disposition & Disposition.attached_pic or stream.codec_context is None:
        streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
        container.close()
        what = "its video is in a format that cannot be decoded" if streams else "it has no video in it"
        raise InputError(f"{shown}: {what}; convert it to H.264 in MP4, or give another file")
    stream.codec_context.options = limits
    return container


def _scope(location: str, trust: InputTrust) -> dict[str, str]:
    """FFmpeg's options for what it may open: no file for what comes from the network, and the other way round."""
    if not is_address(location):
        return {"protocol_whitelist": _FILE_PROTOCOLS, "format_whitelist": FILE_FORMATS}
    formats = f"{STREAM_FORMATS},{PLAYLIST_FORMATS}" if trust.playlists else STREAM_FORMATS
    return {"protocol_whitelist": _NETWORK_PROTOCOLS, "format_whitelist": formats}


def _check_size(container: InputContainer, shown: str, trust: InputTrust) -> None:
    """Before the first picture is decoded, which takes several of its size. Raises InputError."""
    for stream in container.streams.video:
        context = stream.codec_context
        if context is not None and context.width * context.height > trust.max_pixels:
            raise InputError(f"{shown}: {too_large(context.width, context.height, trust.max_pixels)}")


def too_large(width: int, height: int, limit: int) -> str:
    """The words for a picture that is not decoded."""
    return (
        f"its pictures have {width}×{height} = {width * height:,} pixels; expected at most {limit:,}; "
        f"give --max-pixels {width * height} if you have the memory"
    )


def video_stream(container: InputContainer) -> VideoStream:
    """The main video of a container that `open_container` has opened, as players choose it."""
    stream = container.streams.best("video")
    assert isinstance(stream, VideoStream)
    return stream


class DecodingProblems:
    """What went wrong while pictures were decoded, in as much memory for a day as for a minute."""

    def __init__(self) -> None:
        self.last = ""
        """What was wrong last; empty where nothing was."""
        self._times = Counter[str]()

    def note(self, problem: str) -> None:
        """Once more."""
        self.last = problem
        self._times[problem] += 1

    def lines(self) -> list[str]:
        """Each kind once, with how often it was met."""
        return [problem + (f", {times} times" if times > 1 else "") for problem, times in self._times.items()]


def decode(
    container: InputContainer,
    problems: DecodingProblems,
    patience: float = float("inf"),
    lost: LostPictures | None = None,
) -> Iterator[av.VideoFrame]:
    """Gives the main video's pictures from where the container stands.

    Damaged packets are passed over and noted in `problems`. A failure to read on ends the pictures and is noted too:
    what has been decoded before counts. So does `patience` running out: seconds in which packets, but no picture, come.
    lost: is told what is met.
    """
    packets = container.demux(video_stream(container))
    last = time.monotonic()
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, OSError) as error:
            problems.note(f"reading failed ({reason(error)})")
            return
        if packet is None:
            return
        if time.monotonic() - last > patience:
            problems.note(f"nothing of what came for {patience:.0f} s could be decoded")
            return
        if lost is not None:
            lost.expect(packet)
        try:
            pictures = packet.decode()
        except (FFmpegError, OSError) as error:
            problems.note(f"decoding failed ({reason(error)})")
            if lost is not None:
                lost.failures += 1
            continue
        last = time.monotonic() if pictures else last
        for picture in pictures:
            if picture.is_corrupt:
                problems.note("picture damaged")
            yield picture


class LostPictures:
    """Counts the pictures that could not be decoded, so that those behind them keep their place in the file.

    The decoder says that it failed, but several packets later: which picture is missing is told by the timestamps of
    the packets that have given none.
    """

    def __init__(self) -> None:
        self.failures = 0
        """Of the decoder, whose pictures have not been missed yet."""
        self._due: list[int] = []

    def expect(self, packet: av.Packet) -> None:
        """A packet goes to the decoder."""
        if packet.pts is not None and packet.size > 0 and not packet.is_discard:
            heappush(self._due, packet.pts)

    def before(self, picture: av.VideoFrame) -> int:
        """How many are missing between this decoded picture and the one before it."""
        missed = self.failures
        if picture.pts is None:
            self._due.clear()
        elif self._due:
            missed = 0
            while self._due and self._due[0] <= picture.pts:
                missed += heappop(self._due) < picture.pts
        lost = min(missed, self.failures)  # other packets without a picture are the second fields of pictures
        self.failures -= lost
        return lost


def reason(error: Exception) -> str:
    """FFmpeg's own words, without the error number and path that its messages carry."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_list(location: str) -> bool:
    if is_address(location):
        return False
    with suppress(OSError), Path(location).open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_LIST_STARTS)
    return False


def _cause(error: Exception, location: str, timeout: float | None) -> str:
    """Why opening failed and what may mend it."""
    if isinstance(error, FileNotFoundError):
        return "no such file; check the path"
    if isinstance(error, PermissionError):
        return NO_PERMISSION
    if isinstance(error, av.error.ExitError):
        return f"no answer within {timeout:g} s; check the address and that the sender runs"
    if isinstance(error, av.error.ArgumentError | av.error.InvalidDataError) and _is_list(location):
        return "a list or script that names other files or addresses, which are not opened; give the video itself"
    if is_address(location):
        if isinstance(error, av.error.ArgumentError):
            return (
                "cannot be opened: no video, or a playlist, which may make this machine ask other hosts: "
                "give --playlists to follow it"
            )
        return f"cannot be opened ({reason(error)}); check the address and that it sends video"
    return f"not a video that can be read ({reason(error)}); expected a whole MP4, MOV, MKV, AVI or WebM file"
