"""A recording with times of the user's: pictures without any, and slow motion, whose times are those of playing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.source.source import Clip, Source, no_frame_message


class RetimedSource(Source):
    """The same pictures, so many a second; without sound, which would no longer go with them."""

    def __init__(self, source: Source, fps: float, clip: Clip) -> None:
        """source: opened without a clip, and closed with this one; clip: in the new times.

        Raises InputError for a live source, or a clip beyond the end.
        """
        if source.info.kind not in ("file", "image", "folder"):
            raise InputError(f"--fps {fps:g}: {source.info.location} has times of its own; give a file or a folder")
        self._source, self._fps = source, fps
        count = source.info.frame_count
        duration = None if count is None else count / fps
        if duration is not None and clip.before(duration):
            raise InputError(no_frame_message(source.info.location, clip, duration))
        rate = Fraction(fps).limit_denominator(1001)
        super().__init__(replace(source.info, rate=rate, duration=duration, has_audio=False), clip)
        self.warnings = source.warnings

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            time = frame.index / self._fps
            if self._stopped.is_set() or self.clip.over(time):
                return
            if not self.clip.before(time):
                yield replace(frame, time=time)

    def _release(self) -> None:
        self._source.close()
