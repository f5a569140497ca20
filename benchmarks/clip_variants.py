"""Clips as they might as well have been: what works on a clip and not on its mirror image works by luck.

Rules are chosen on the clips that are at hand. Variants of them are the nearest thing to clips that are not: people,
rooms and motion are the same, and every network's answer is a little another one. Figures of a clip and its variants
should be alike; who is in one of them only is mostly nobody.

    python -m benchmarks.clip_variants CLIP... --out DIR
    python -m benchmarks.clips DIR/mirror/*.mp4 --out RESULTS
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.frame import Frame
from tracker.overlay.video_writer import VideoConfig, VideoWriter
from tracker.source import open_source

Picture = NDArray[np.uint8]
"""(h, w, 3) RGB."""
_LATER = 7
"""Frames after which the later variant begins."""
_SMALLER = 0.8
_BRIGHTER, _DARKER = 0.7, 1.4
"""Exponents of levels in 0..1."""
_CLOSER = 1.5
_HELD, _DRIFT, _TURN = 0.85, 0.045, np.radians(2.0)
"""Of a shaken picture: the part that is seen at a time; how far that moves, of its extent; and turns, rad."""
Moment = tuple[float, Picture]
"""s, and what is to be seen then."""
Variant = Callable[[Iterable[Frame]], Iterator[Moment]]


def mirrored(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1])


def lit(picture: Picture, exponent: float) -> Picture:
    """With other light. exponent: of levels in 0..1."""
    levels = 255 * (np.arange(256) / 255) ** exponent
    return np.asarray(cv2.LUT(picture, levels.round().astype(np.uint8)), np.uint8)


def smaller(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=_SMALLER, fy=_SMALLER, interpolation=cv2.INTER_AREA), np.uint8)


def grey(picture: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def closer(picture: Picture) -> Picture:
    """The middle of it as large as it was, so that people are cut off by its edges."""
    height, width = picture.shape[:2]
    return _window(picture, np.array([width, height]) / 2, _CLOSER, 0.0)


def each(change: Callable[[Picture], Picture], first: int = 0) -> Variant:
    """The same done to each picture, from that frame on."""

    def changed(frames: Iterable[Frame]) -> Iterator[Moment]:
        return ((frame.time, change(frame.image)) for frame in frames if frame.index >= first)

    return changed


def backwards(frames: Iterable[Frame]) -> Iterator[Moment]:
    """From the end to the beginning: who falls gets up. All pictures are in memory at once."""
    known = list(frames)
    return ((now.time, then.image) for now, then in zip(known, reversed(known), strict=True))


def every_third(frames: Iterable[Frame]) -> Iterator[Moment]:
    """As of a camera that is a third as fast."""
    return ((frame.time, frame.image) for frame in islice(frames, 0, None, 3))


def shaken(frames: Iterable[Frame]) -> Iterator[Moment]:
    """As from somebody's hand: a window of the picture that drifts, turns and trembles."""
    rng = np.random.default_rng(0)
    hertz = rng.uniform(0.2, 0.5, (3, 4)) * np.array([1, 1, 1, 8])  # of x, y and the turn; the last is the trembling
    begins = rng.uniform(0, 2 * np.pi, (3, 4))
    for frame in frames:
        waves = np.sin(2 * np.pi * hertz * frame.time + begins) @ np.array([0.5, 0.5, 0.5, 0.05])
        middle = np.array(frame.size) * (0.5 + _DRIFT * waves[:2])
        yield frame.time, _window(frame.image, middle, 1 / _HELD, _TURN * waves[2])


def _window(picture: Picture, middle: Array, scale: float, turn: float) -> Picture:
    """What a picture of the same size shows of it about a place (2,) px, so much larger, turned (rad)."""
    height, width = picture.shape[:2]
    across = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
    T_picture_window = np.column_stack([across, middle - across @ np.array([width, height]) / 2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    window = cv2.warpAffine(picture, T_picture_window, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(window, np.uint8)


VARIANTS: dict[str, Variant] = {
    "mirror": each(mirrored),
    "brighter_later": each(lambda picture: lit(picture, _BRIGHTER), _LATER),
    "darker_smaller_mirror": each(lambda picture: smaller(lit(mirrored(picture), _DARKER))),
    "grey": each(grey),
    "closer": each(closer),
    "backwards": backwards,
    "every_third": every_third,
    "shaken": shaken,
}


def write_variant(clip: str, variant: str, folder: Path) -> Path:
    """Gives `folder`/variant/<the clip's name>.mp4. Raises InputError and RunError."""
    target = folder / variant / f"{Path(clip).stem}.mp4"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_source(clip) as source:
        moments = VARIANTS[variant](source)
        first = next(moments)
        height, width = first[1].shape[:2]
        with VideoWriter(target, (width, height), source.info.rate, config=VideoConfig(crf=14)) as video:
            for moment in chain([first], moments):
                video.write(*moment)
    return target


@click.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where a folder for each variant goes.")
def main(clips: tuple[str, ...], out: Path) -> None:
    """Write variants of CLIPS, for `benchmarks.clips`."""
    for clip in clips:
        for variant in VARIANTS:
            click.echo(write_variant(clip, variant, out))


if __name__ == "__main__":
    main()
