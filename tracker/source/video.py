"""Recorded video: files, and addresses of files, with the container's own timestamps."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.shown_text import shown_address
from tracker.runtime.cores import core_share
from tracker.source.container import (
    GENERATE_PTS,
    DecodingProblems,
    LostPictures,
    decode,
    open_container,
    video_stream,
)
from tracker.source.focal_length import focal_of_video
from tracker.source.frame_ranges import FrameRanges
from tracker.source.picture_converter import TRANSFER_HLG, TRANSFER_PQ, PictureConverter
from tracker.source.source import Clip, InputTrust, Source, SourceInfo, no_frame_message

DEFAULT_RATE = Fraction(30)
"""For pictures that carry no time in a container that names no rate."""

JUMP_SECONDS = 1.0
"""A timestamp that falls back this far starts a new timeline (joined recordings)."""

SEAM_PERIODS = Fraction(5, 2)
"""So does one that falls back this far, or to the timeline's first picture, where the next picture goes on from there.
Less is a duplicate, or an error of the multiplexer, whose pictures are left out."""

EARLY_SECONDS = 0.5
"""A file whose pictures end this long before its header says was cut off."""

RATE_TOLERANCE = Fraction(105, 100)
"""How far the guessed rate may lie above the mean one, for a webcam that missed a few frames, and still be the same."""

SEEK_MARGINS = (0.0, 2.0, 20.0)
"""Seconds before the start to seek to, one after the other, until a picture at or before the start is met."""


class ContainerClock:
    """Seconds from the first picture for each picture, strictly increasing.

    The container's presentation time is taken where it has one; its decoding time where it has only that (AVI). A
    picture without either follows its predecessor by one period. One that is not later than its predecessor is left
    out, unless a new timeline begins with it: then it goes on one period after it.
    """

    def __init__(self, first: av.VideoFrame, time_base: Fraction, period: Fraction) -> None:
        self.period = period
        self._time_base = time_base
        self._uses_dts = first.pts is None
        self.first_ticks = self.ticks(first)
        self.rewind()

    def ticks(self, stamped: av.VideoFrame | av.Packet) -> int | None:
        """The timestamp of a picture or packet in the stream's time base."""
        return stamped.dts if self._uses_dts else stamped.pts

    def ticks_at(self, seconds: float) -> int:
        """The timestamp of a time in seconds from the first picture."""
        return int((Fraction(seconds) + self._origin) / self._time_base)

    def rewind(self) -> None:
        """Forgets what came so far: the next picture may lie anywhere."""
        self._origin = (self.first_ticks or 0) * self._time_base
        self._begin = Fraction(0)
        self._last: Fraction | None = None
        self.left_out = 0

    def place(self, picture: av.VideoFrame, upcoming: av.VideoFrame | None = None) -> float | None:
        """The picture's time in seconds, or None when it is to be left out. upcoming: the one that is decoded next."""
        following = Fraction(0) if self._last is None else self._last + self.period
        stamped = self._stamp(picture)
        time = following if stamped is None else stamped
        if self._last is not None and time <= self._last:
            if not self._begins_anew(time, self._last, None if upcoming is None else self._stamp(upcoming)):
                self.left_out += 1
                return None
            self._origin += time - following
            self._begin = time = following
        self._last = time
        return float(time)

    def _stamp(self, picture: av.VideoFrame) -> Fraction | None:
        """s on this timeline, by the picture's own timestamp."""
        ticks = self.ticks(picture)
        return None if ticks is None else ticks * self._time_base - self._origin

    def _begins_anew(self, time: Fraction, last: Fraction, upcoming: Fraction | None) -> bool:
        """Whether another timeline begins with a picture that is no later than the last one."""
        if last - time >= JUMP_SECONDS:
            return True
        far = last - time >= SEAM_PERIODS * self.period or time <= self._begin < last
        return far and upcoming is not None and time < upcoming <= last

    def shown_for(self, picture: av.VideoFrame) -> float:
        """Seconds until the next picture is due."""
        return float(picture.duration * self._time_base if picture.duration else self.period)


@dataclass(frozen=True)
class _Placed:
    """A decoded picture with its time."""

    picture: av.VideoFrame
    index: int
    """In the file, from where the decoding began."""
    time: float
    lost: int = 0
    """Pictures right before this one that could not be decoded."""


class VideoSource(Source):
    """A video file, or the address of one. Raises InputError when opened if the clip has no picture to decode.

    `Frame.time` counts from the file's first picture, also when `clip.start` skips that one; `Frame.index` counts all
    of the file's pictures (those before a start by their packets, without decoding them).
    """

    def __init__(
        self,
        location: str,
        clip: Clip,
        timeout: float | None = None,
        trust: InputTrust = InputTrust(),  # noqa: B008
    ) -> None:
        self._location = location
        self._trust = trust
        self._timeout = timeout
        self._missing, self._damaged = FrameRanges(), FrameRanges()
        self._problems, self._lost = DecodingProblems(), LostPictures()
        self._container = self._open()
        try:
            super().__init__(self._prepare(), clip)
            if self._hdr:
                self.warnings.append(f"{self.info.location}: high dynamic range is not tone-mapped: colours look flat")
            self._first, self._first_index = self._find_start()
        except BaseException:
            self._container.close()
            raise
        self._frames = self._run()

    def _open(self) -> InputContainer:
        container = open_container(self._location, self._timeout, trust=self._trust)
        stream = video_stream(container)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = core_share() or 0  # 0: as FFmpeg thinks fit
        return container

    def _prepare(self) -> SourceInfo:
        """Decodes the first picture: only that tells the upright size, where time begins, and that it can be done."""
        stream = video_stream(self._container)
        rate = nominal_rate(stream)
        shown = shown_address(self._location)
        pictures = decode(self._container, self._problems, lost=self._lost)
        first = next(pictures, None)
        if first is None:
            why = f" ({self._problems.last})" if self._problems.last else ""
            limit = f"of at most {self._trust.max_pixels:,} pixels a picture (--max-pixels)"
            raise InputError(f"{shown}: not one frame can be decoded{why}; expected a whole video file, {limit}")
        self._timeline = ContainerClock(first, Fraction(stream.time_base or 1), 1 / (rate or DEFAULT_RATE))
        self._placed = self._place(chain([first], pictures))
        self._convert = PictureConverter(stream.sample_aspect_ratio)
        self._hdr = stream.codec_context.color_trc in (TRANSFER_PQ, TRANSFER_HLG)
        height, width = self._convert(first).shape[:2]
        duration = duration_of(self._container)
        estimate = None if duration is None or rate is None else max(1, round(duration * rate))
        return SourceInfo(
            name=Path(shown).stem,
            kind="file",
            width=width,
            height=height,
            rate=rate,
            frame_count=stream.frames or estimate,
            duration=duration,
            has_audio=bool(self._container.streams.audio),
            location=shown,
            live=False,
            focal=focal_of_video({**stream.metadata, **self._container.metadata}, width, height),
        )

    def _place(self, pictures: Iterable[av.VideoFrame]) -> Iterator[_Placed | None]:
        """Each picture with its time; None for one that is left out."""
        index, begun = 0, False
        for picture, upcoming in pairwise(chain(pictures, [None])):
            assert picture is not None
            lost = self._lost.before(picture)
            index += lost if begun else 0
            begun = True
            time = self._timeline.place(picture, upcoming)
            yield None if time is None else _Placed(picture, index, time, lost if index else 0)
            index += 1

    def _find_start(self) -> tuple[_Placed, int]:
        """Moves to the clip's first picture and counts those before it. Raises InputError when the clip is empty."""
        start = self.clip.start or 0.0
        if start:
            self._seek_before(start)
        first = next((placed for placed in self._timed() if not self.clip.before(placed.time)), None)
        if first is None or self.clip.over(first.time):
            raise InputError(no_frame_message(self.info.location, self.clip, self.info.duration))
        return first, self._count_before(first) if start else 0

    def _timed(self) -> Iterator[_Placed]:
        """The pictures from here on, without those that are left out."""
        return (placed for placed in self._placed if placed is not None)

    def _seek_before(self, start: float) -> None:
        """Moves to a picture at or before this time; to the beginning where the format allows no better."""
        stream = video_stream(self._container)
        for margin in SEEK_MARGINS if self._timeline.first_ticks is not None else ():
            if start <= margin:
                break
            # Where a format cannot seek, the next picture lies past the start, and a larger margin is tried.
            with suppress(FFmpegError, OSError):
                self._container.seek(self._timeline.ticks_at(start - margin), stream=stream)
            self._restart()
            landed = next(filter(self._is_sure, self._timed()), None)
            if landed is not None and landed.time <= start:
                self._placed = chain([landed], self._placed)
                return
        self._container.close()
        self._container = self._open()
        self._restart()

    def _restart(self) -> None:
        """Decodes from where the container now stands."""
        self._problems, self._lost = DecodingProblems(), LostPictures()
        self._timeline.rewind()
        self._placed = self._place(decode(self._container, self._problems, lost=self._lost))

    def _is_sure(self, placed: _Placed) -> bool:
        """Whether a picture met after a seek is whole (not before a key frame) and its time its own, not inferred."""
        return placed.picture.key_frame and self._timeline.ticks(placed.picture) is not None

    def _count_before(self, first: _Placed) -> int:
        """How many pictures the file has before this one, by the timestamps of their packets."""
        begin, ticks = self._timeline.first_ticks, self._timeline.ticks(first.picture)
        if begin is None or ticks is None:
            return round(first.time / self._timeline.period)
        count = 0
        with self._open() as container, suppress(FFmpegError, OSError):
            container.flags |= GENERATE_PTS  # MPEG leaves some out, where the order of the packets tells them
            for packet in container.demux(video_stream(container)):
                if packet.dts is not None and packet.dts >= ticks:
                    break
                stamp = self._timeline.ticks(packet)
                count += packet.size > 0 and not packet.is_discard and stamp is not None and begin <= stamp < ticks
        return count

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def _run(self) -> Iterator[Frame]:
        if self._stopped.is_set():
            return
        end, skipped = 0.0, self._first_index - self._first.index
        for placed in chain([self._first], self._placed):
            if placed is None:
                continue
            if self.clip.over(placed.time):
                self._note_problems()
                return
            index = placed.index + skipped
            self._note_damage(placed, index)
            yield Frame(index=index, time=placed.time, image=self._convert(placed.picture))
            if self._stopped.is_set():
                return
            end = placed.time + self._timeline.shown_for(placed.picture)
        self._note_early_end(end)
        self._note_problems()

    def _note_early_end(self, end: float) -> None:
        promised = self.info.duration
        if promised is not None and promised - end > max(EARLY_SECONDS, 2 * float(self._timeline.period)):
            self.warnings.append(
                f"{self.info.location}: ends early: {promised:.2f} s promised, pictures until {end:.2f} s (truncated?)"
            )

    def _note_damage(self, placed: _Placed, index: int) -> None:
        if placed.lost:
            self._missing.add(index - placed.lost, index - 1)
        if placed.picture.is_corrupt:
            self._damaged.add(index, index)

    def _note_problems(self) -> None:
        for frames, what in ((self._missing, "could not be decoded"), (self._damaged, "damaged")):
            if frames.count:
                self.warnings.append(f"{self.info.location}: {frames} {what} ({frames.count} in all)")
        self.warnings += [f"{self.info.location}: {problem}" for problem in self._problems.lines()]
        if self._timeline.left_out:
            self.warnings.append(
                f"{self.info.location}: {self._timeline.left_out} frames without a time of their own left out"
            )

    def _release(self) -> None:
        self._container.close()
        # Decoder, container and the generators over them refer to each other, and hold tens of megabytes of pictures.
        gc.collect()


def nominal_rate(stream: VideoStream) -> Fraction | None:
    """Frames per second: the tidy guess (30000/1001) where it agrees with the mean, else the mean.

    The two disagree for variable rates, where the guess is the finest interval met, and for formats that count
    fields or have no timestamps, where the mean is made up.
    """
    mean, guess = stream.average_rate, stream.guessed_rate
    if not mean or not guess:
        return mean or guess or None
    return guess if stream.start_time is None or guess <= mean * RATE_TOLERANCE else mean


def duration_of(container: InputContainer) -> float | None:
    """Seconds of the video: the shortest that the headers promise (a stream's may count what an edit list hides)."""
    stream = video_stream(container)
    promised = []
    if stream.duration is not None and stream.time_base is not None:
        promised.append(float(stream.duration * stream.time_base))
    if container.duration is not None:
        promised.append(container.duration / av.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))  # Matroska, per stream
    if tag is not None:
        hours, minutes, seconds = map(float, tag.groups())
        promised.append(3600 * hours + 60 * minutes + seconds)
    return min(promised, default=None)
