"""Writes pictures as an H.264 video that plays everywhere, at the times they were taken, with the source's sound.

While it is being written the file lies beside its final name and can be played up to its last fragment at any moment,
so that a run that is killed loses two seconds and not everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray
from PIL import Image, ImageOps

from kernels.colour import yuv420
from tracker.core.errors import InputError, RunError
from tracker.source.container import open_container, reason, video_stream

DEFAULT_RATE = Fraction(30)

TICKS_PER_SECOND = 90_000
"""Timestamps are at least this fine, and a multiple of the rate's numerator, so that 1001/30000 s is exact."""

FRAGMENT_SECONDS = 2.0
"""Between key frames: what a killed run may lose, and how far a player has to look back when it seeks."""

MP4_OPTIONS = {"movflags": "hybrid_fragmented+delay_moov", "flush_packets": "1"}
"""Fragments while it is written, one index when it is done; the header waits for the first of them, because only then
it is known when each stream begins (without that, late sound shifts the pictures). A finished fragment goes to disk."""

COLOR_BT709 = 1
"""The code of BT.709 for matrix, primaries and transfer alike."""

COPIED_CODECS = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "libopus"})
"""Sound that MP4 players take as it is; anything else is encoded as AAC."""


_LONGEST_SIDE = 16384
"""px: of libx264."""


@dataclass(frozen=True)
class VideoConfig:
    """How H.264 is encoded."""

    preset: str = "ultrafast"
    """x264's trade of speed for size: less than half the work of "veryfast", and twice its size."""
    crf: int = 20
    """Quality: 18 looks lossless, 28 is coarse."""
    threads: int = 2
    """More cost processor time that the rest of a run needs, and gain little."""


def require_encodable(size: tuple[int, int], name: str) -> None:
    """Raises InputError where the encoder takes no pictures of this size, (width, height) px. name: of the video."""
    context = av.CodecContext.create("libx264", "w")
    _describe(context, size)
    context.time_base = 1 / DEFAULT_RATE
    try:
        context.open()
    except FFmpegError as error:
        raise InputError(
            f"{name}: pictures of {size[0]}×{size[1]} pixels cannot be a video, whose sides H.264 limits to "
            f"{_LONGEST_SIDE}; give pictures of another size, or --no-overlay"
        ) from error


def _describe(context: av.VideoCodecContext, size: tuple[int, int]) -> None:
    context.width, context.height = size
    # 4:2:0 halves the colours' resolution and cannot have an odd size.
    context.pix_fmt = "yuv420p" if size[0] % 2 == 0 and size[1] % 2 == 0 else "yuv444p"


class VideoWriter:
    """A context manager that writes `path`, and renames it to that when it ends, also on an exception or Ctrl-C.

    What has been written by then is whole up to that frame, so it takes the final name in every case; only when the
    disk itself fails does it stay as `<name>.part`. Without any frame there is no file.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: Fraction | None,
        audio_from: Path | str | None = None,
        config: VideoConfig = VideoConfig(),
    ) -> None:
        """Opens the file. Raises RunError, one line, when it cannot be written, and as `require_encodable`.

        size: (width, height) px, kept also when odd. rate: nominal frames per second, for players and the encoder
        (the frames' own times are what counts); DEFAULT_RATE where the source does not know. audio_from: the video
        whose sound is taken along, if it has any, cut to the frames written, whose times must then be that video's.
        """
        self.path = path
        self.warnings: list[str] = []
        require_encodable(size, str(path))
        self._part = path.with_name(path.name + ".part")
        self._width, self._height = size
        self._rate = (rate or DEFAULT_RATE).limit_denominator(1001)
        self._time_base = Fraction(1, self._rate.numerator * -(-TICKS_PER_SECOND // self._rate.numerator))
        self._reformatter = VideoReformatter()
        self._first: float | None = None
        self._last_ticks = -1
        self._failed = False
        self._closed = False
        self._audio: _Audio | None = None
        try:
            self._container: OutputContainer = av.open(str(self._part.absolute()), "w", "mp4", MP4_OPTIONS)
            self._stream = self._video_stream(config)
            self._audio = self._audio_of(audio_from)
            self._container.start_encoding()
        except (FFmpegError, OSError) as error:
            raise self._failure(error) from None

    def _video_stream(self, config: VideoConfig) -> av.VideoStream:
        # No B-frames: some versions of FFmpeg then let fragmented files begin two frames late.
        options = {"preset": config.preset, "crf": str(config.crf), "bf": "0"}
        stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        stream.time_base = self._time_base
        context = stream.codec_context
        _describe(context, (self._width, self._height))
        context.time_base = self._time_base
        context.thread_count = config.threads
        context.gop_size = max(1, round(FRAGMENT_SECONDS * self._rate))
        context.colorspace = context.color_primaries = context.color_trc = COLOR_BT709
        context.color_range = ColorRange.MPEG
        return stream

    def _audio_of(self, source: Path | str | None) -> _Audio | None:
        if source is None:
            return None
        try:
            opened = open_container(str(source))
        except InputError as error:
            self.warnings.append(f"sound left out: {error}")
            return None
        if not opened.streams.audio:
            opened.close()
            return None
        return _Audio(opened, self._container)

    def write(self, frame_time: float, image: NDArray[np.uint8]) -> None:
        """Adds a picture, (height, width, 3) RGB, shown from frame_time, in seconds on any clock that increases.

        The first one is the beginning of the video. A picture of another size is scaled to fit into the video's, with
        black beside it where it has other proportions. Raises RunError when it cannot be written.
        """
        self._first = frame_time if self._first is None else self._first
        seconds = frame_time - self._first
        ticks = max(self._last_ticks + 1, round(seconds / self._time_base))
        self._last_ticks = ticks
        if image.shape[:2] != (self._height, self._width):
            image = np.asarray(ImageOps.pad(Image.fromarray(image), (self._width, self._height)))
        picture = self._planes(np.ascontiguousarray(image))
        picture.pts, picture.time_base = ticks, self._time_base
        picture.duration = round(1 / (self._rate * self._time_base))
        try:
            self._container.mux(self._stream.encode(picture))
            self._mux_audio(frame_time)
        except (FFmpegError, OSError) as error:
            raise self._failure(error) from None

    def _planes(self, image: NDArray[np.uint8]) -> av.VideoFrame:
        """The picture as the encoder takes it: quickly where only the colours are to be converted."""
        if self._stream.pix_fmt == "yuv420p":
            return _frame_of(yuv420(image))
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(image, "rgb24"),
            format=self._stream.pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def _mux_audio(self, until: float) -> None:
        """Adds the sound up to a time of the source, on the video's clock."""
        if self._audio is None or self._first is None:
            return
        for packet in self._audio.packets(self._first, until):
            self._container.mux(packet)

    def close(self) -> None:
        """Ends the video and gives it its final name; may be called twice. Raises RunError when that fails."""
        if self._closed:
            return
        self._closed = True
        if self._first is None or self._failed:
            self._abandon()
            return
        try:
            self._container.mux(self._stream.encode(None))
            self._mux_audio(self._first + float((self._last_ticks * self._time_base) + 1 / self._rate))
            if self._audio is not None:
                self._container.mux(self._audio.flush())
            self._container.close()
            os.replace(self._part, self.path)
        except (FFmpegError, OSError) as error:
            raise self._failure(error) from None
        finally:
            self._close_audio()

    def _abandon(self) -> None:
        """Closes without renaming; a file without frames is removed."""
        self._close_audio()
        with suppress(FFmpegError, OSError):
            self._container.close()
        if self._first is None:
            self._part.unlink(missing_ok=True)

    def _close_audio(self) -> None:
        if self._audio is not None:
            self.warnings.extend(self._audio.warnings)
            self._audio.close()
            self._audio = None

    def _failure(self, error: Exception) -> RunError:
        self._failed = True
        left = f"; what was written so far is in {self._part.name}" if self._last_ticks >= 0 else ""
        return RunError(f"{self.path}: cannot be written ({reason(error)}){left}; check the folder and free space")

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        with suppress(RunError):  # what stopped the run is what the user must hear of
            self.close()


def _frame_of(planes: NDArray[np.uint8]) -> av.VideoFrame:
    """What `yuv420` gives, as a frame. PyAV's own ways take a wrong height for a quarter of all sizes, or loop over the
    rows in Python."""
    rows, width = planes.shape
    frame = av.VideoFrame(width, rows * 2 // 3, "yuv420p")
    values = planes.reshape(-1)
    buffers: Any = frame.planes  # PyAV's stub does not say that planes are buffers
    for plane in buffers:
        count = plane.height * plane.width
        target = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        target[:, : plane.width] = values[:count].reshape(plane.height, plane.width)
        values = values[count:]
    frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
    return frame


class _Audio:
    """The sound of a source, packet by packet, on the written video's clock."""

    def __init__(self, source: InputContainer, target: OutputContainer) -> None:
        self.warnings: list[str] = []
        self._source = source
        self._stream: AudioStream = source.streams.audio[0]
        codec = self._stream.codec_context
        in_transport = codec.name == "aac" and not codec.extradata  # as broadcasts have it, and MP4 does not
        self._copied = codec.name in COPIED_CODECS and not in_transport
        if self._copied:
            self._out = target.add_stream_from_template(self._stream)
        else:
            self._out = target.add_stream("aac", rate=self._stream.rate)
        video = video_stream(source)
        self._origin = (video.start_time or 0) * Fraction(video.time_base or 0)
        self._queue: Iterator[tuple[float, list[av.Packet]]] | None = None
        self._waiting: tuple[float, list[av.Packet]] | None = None

    def packets(self, start: float, until: float) -> Iterator[list[av.Packet]]:
        """The packets not given yet that begin before `until`; `start` is the video's first moment. Source seconds."""
        if self._queue is None:
            self._queue = self._from(start)
            self._waiting = next(self._queue, None)
        while self._waiting is not None and self._waiting[0] < until:
            yield self._waiting[1]
            self._waiting = next(self._queue, None)

    def _from(self, start: float) -> Iterator[tuple[float, list[av.Packet]]]:
        """(seconds from the source's first picture, packets with the start as their 0), from the start on.

        Where times begin anew, in recordings that were joined, the sound goes on without a gap.
        """
        time_base = Fraction(self._stream.time_base or 1)
        begin = shift = round((Fraction(start) + self._origin) / time_base)
        last, due = -1, 0
        try:
            if start > 0:
                self._source.seek(begin, stream=self._stream)
            for packet in self._source.demux(self._stream):
                for piece in [packet] if self._copied else packet.decode():
                    if piece.pts is None or (last < 0 and piece.pts < begin):
                        continue
                    if piece.pts - shift <= last:
                        shift = piece.pts - due
                    piece.pts -= shift
                    last, due = piece.pts, piece.pts + max(1, piece.duration or 0)
                    yield float((last + begin) * time_base - self._origin), self._ready(piece, shift)
        except (FFmpegError, OSError) as error:
            self.warnings.append(f"{self._source.name}: sound ends early ({reason(error)})")

    def _ready(self, piece: av.Packet | av.AudioFrame, shift: int) -> list[av.Packet]:
        """A piece as packets of the written stream: a packet goes as it is, a decoded one is encoded."""
        if isinstance(piece, av.AudioFrame):
            return self._out.encode(piece)
        if piece.dts is not None:
            piece.dts -= shift
        piece.stream = self._out
        return [piece]

    def flush(self) -> list[av.Packet]:
        """What the encoder still holds."""
        return [] if self._copied else self._out.encode(None)

    def close(self) -> None:
        """Lets go of the source."""
        self._source.close()
