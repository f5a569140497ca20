"""Files of many pictures that FFmpeg does not play: animated WebP and PNG, TIFF of several pages."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from PIL import Image

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.source.images import FOLDER_RATE, check_size, upright, what_is_wrong
from tracker.source.source import Clip, Source, SourceInfo, no_frame_message

_SHORTEST = 0.011
"""s: a picture said to be shown for less is shown for a tenth of a second, as browsers do."""
_INSTEAD = 0.1


def picture_count(path: Path) -> int:
    """How many pictures an image file holds; 1 where it cannot be read, which is said when it is."""
    try:
        with Image.open(path) as stored:
            return int(getattr(stored, "n_frames", 1))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return 1


class AnimationSource(Source):
    """All pictures of one image file, shown for as long as the file says; at FOLDER_RATE where it does not (TIFF)."""

    def __init__(self, path: Path, clip: Clip, max_pixels: int) -> None:
        """Raises InputError when the file cannot be read, or the clip has none of its pictures."""
        self._path, self._max_pixels = path, max_pixels
        shown = self._seconds_of_each()
        ends = [sum(shown[: i + 1]) for i in range(len(shown))]
        self._times = [0.0, *ends[:-1]]
        wanted = [time for time in self._times if not clip.before(time) and not clip.over(time)]
        if not wanted:
            raise InputError(no_frame_message(str(path), clip, ends[-1]))
        width, height = self._size
        info = SourceInfo(
            name=path.stem,
            kind="file",
            width=width,
            height=height,
            rate=Fraction(len(shown) / ends[-1]).limit_denominator(1001),
            frame_count=len(shown),
            duration=ends[-1],
            has_audio=False,
            location=str(path),
            live=False,
        )
        super().__init__(info, clip)

    def _seconds_of_each(self) -> list[float]:
        """How long each picture is shown."""
        seconds = []
        try:
            with Image.open(self._path) as stored:
                check_size(stored, self._max_pixels)
                for index in range(stored.n_frames):  # type: ignore[attr-defined]
                    stored.seek(index)
                    stored.load()  # WebP tells a picture's time only then
                    milliseconds = stored.info.get("duration")
                    shown = float(1 / FOLDER_RATE) if milliseconds is None else float(milliseconds) / 1000
                    seconds.append(shown if shown >= _SHORTEST else _INSTEAD)
                    if index == 0:
                        height, width = upright(stored, self._max_pixels).shape[:2]
                        self._size = width, height
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise InputError(what_is_wrong(self._path, error)) from None
        return seconds

    def __iter__(self) -> Iterator[Frame]:
        with Image.open(self._path) as stored:
            for index, time in enumerate(self._times):
                if self._stopped.is_set() or self.clip.over(time):
                    return
                if self.clip.before(time):
                    continue
                try:
                    stored.seek(index)
                    picture = upright(stored, self._max_pixels)
                except (OSError, ValueError, SyntaxError, EOFError) as error:
                    self.warn(f"picture {index}: {what_is_wrong(self._path, error)}")
                    continue
                yield Frame(index, time, picture)

    def _release(self) -> None:
        """Nothing is held between passes."""
