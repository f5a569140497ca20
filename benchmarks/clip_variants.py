"""Clips as they might as well have been: what works on a clip and not on its mirror image works by luck.

Rules are chosen on the clips that are at hand. Variants of them are the nearest thing to clips that are not: people,
rooms and motion are the same, and every network's answer is a little another one. Figures of a clip and its variants
should be alike; who is in one of them only is mostly nobody.

    python -m benchmarks.clip_variants CLIP... --out DIR
    python -m benchmarks.clips DIR/mirror/*.mp4 --out RESULTS
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.overlay.video_writer import VideoConfig, VideoWriter
from tracker.source import open_source

Picture = NDArray[np.uint8]
"""(h, w, 3) RGB."""
_LATER = 7
"""Frames after which the later variant begins."""
_SMALLER = 0.8
_BRIGHTER, _DARKER = 0.7, 1.4
"""Exponents of levels in 0..1."""


def mirrored(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1])


def lit(picture: Picture, exponent: float) -> Picture:
    """With other light. exponent: of levels in 0..1."""
    levels = 255 * (np.arange(256) / 255) ** exponent
    return np.asarray(cv2.LUT(picture, levels.round().astype(np.uint8)), np.uint8)


def smaller(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=_SMALLER, fy=_SMALLER, interpolation=cv2.INTER_AREA), np.uint8)


VARIANTS: dict[str, tuple[Callable[[Picture], Picture], int]] = {
    "mirror": (mirrored, 0),
    "brighter_later": (lambda picture: lit(picture, _BRIGHTER), _LATER),
    "darker_smaller_mirror": (lambda picture: smaller(lit(mirrored(picture), _DARKER)), 0),
}
"""What is done to each picture, and the frame with which the clip begins."""


def write_variant(clip: str, variant: str, folder: Path) -> Path:
    """Gives `folder`/variant/<the clip's name>.mp4. Raises InputError and RunError."""
    change, first = VARIANTS[variant]
    target = folder / variant / f"{Path(clip).stem}.mp4"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_source(clip) as source:
        height, width = change(np.zeros((source.info.height, source.info.width, 3), np.uint8)).shape[:2]
        with VideoWriter(target, (width, height), source.info.rate, config=VideoConfig(crf=14)) as video:
            for frame in source:
                if frame.index >= first:
                    video.write(frame.time, change(frame.image))
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
