"""Stills of people who are half hidden: are they found in the first picture?

Single pictures are taken from clips of one person (who is followed over the clip first, so that it is known where they
are), and shown to a tracker that has seen nothing before: as they are, with a box before the person's lower part, and
with a wall before one of their sides. Box and wall hide 25 to 45 % of the person's mask. Found is who is given an
identity, limb joints that can be seen within a quarter of the height on the average; drawn, who is also believed
enough to be (`Person.believed`).

    python -m benchmarks.half_hidden CLIP... [--every 1.0] [--sheet FILE.png]
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.crossing import Alone, Image, Mask, alone, drawn, read
from tracker.body.landmark_set import MEDIAPIPE
from tracker.config import load_config
from tracker.core.strict_yaml import assigned
from tracker.pipeline import DetectedFrame, Tracker

_HIDDEN = (0.25, 0.45)
_NEAR = 0.25
SIDES = ("clear", "box", "wall left", "wall right")


@dataclass(frozen=True)
class Still:
    """One picture and what hides the person in it."""

    person: Alone
    index: int
    side: str
    share: float
    """Of the person's mask that is hidden."""

    def cover(self) -> Mask:
        """(h, w) what hides them."""
        mask = self.person.masks[self.index]
        rows, columns = np.nonzero(mask)
        cover = np.zeros_like(mask)
        width = columns.max() - columns.min()
        if self.side == "box":
            left, right = columns.min() - width // 2, columns.max() + width // 2
            cover[int(np.quantile(rows, 1 - self.share)) :, max(left, 0) : right] = True
        elif self.side == "wall left":
            cover[:, max(columns.min() - width, 0) : int(np.quantile(columns, self.share))] = True
        elif self.side == "wall right":
            cover[:, int(np.quantile(columns, 1 - self.share)) : columns.max() + width] = True
        return cover

    def found(self, tracker: Tracker, rng: np.random.Generator) -> tuple[bool, bool, DetectedFrame]:
        """Whether a tracker that knows nothing finds the person, and whether it draws them."""
        cover = self.cover()
        frame = self.person.frames[self.index]
        image = np.where(cover[..., None], texture(rng, frame.size), frame.image)
        tracker.restart()
        seen = tracker.detect(replace(frame, image=image, index=0, time=0.0))
        believed = {person.person_id for person in tracker.fit(tracker.extract(seen)) if person.believed}
        true = self.person.detections[self.index].landmarks2d[MEDIAPIPE.limbs]
        box = self.person.box(self.index)
        cells = np.clip(true.astype(int), 0, np.array(frame.size) - 1)
        visible = ~cover[cells[:, 1], cells[:, 0]]
        off = {p.person_id: p.detection.landmarks2d[MEDIAPIPE.limbs] - true for p in seen.people}
        near = {
            key for key, each in off.items() if np.linalg.norm(each[visible], axis=1).mean() < _NEAR * (box[3] - box[1])
        }
        return bool(near), bool(near & believed), seen


def texture(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Something of one colour with a few soft stains."""
    colour, stains = rng.integers(40, 215, 3), rng.integers(-20, 20, (6, 8, 3))
    small: NDArray[np.uint8] = (colour + stains).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), np.uint8)


@click.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--seconds", default=6.0, show_default=True, help="Of each clip.")
@click.option("--every", default=1.5, show_default=True, help="s between stills.")
@click.option("--sheet", type=click.Path(path_type=Path), help="A picture of all stills.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Of the configuration.")
def main(
    clips: tuple[str, ...], seconds: float, every: float, sheet: Path | None, assignments: tuple[str, ...]
) -> None:
    """Hide the person of each of CLIPS by halves, and look for them."""
    config = load_config(changes=assigned(assignments))
    results: dict[str, list[bool]] = defaultdict(list)
    drawn_too: dict[str, list[bool]] = defaultdict(list)
    tiles: list[Image] = []
    rng = np.random.default_rng(0)
    with Tracker.open(config) as tracker:
        for spec in clips:
            person = alone(tracker, read(spec, seconds))
            last = -np.inf
            for index, frame in enumerate(person.frames):
                if frame.time - last < every:
                    continue
                last = frame.time
                for side in SIDES:
                    still = Still(person, index, side, float(rng.uniform(*_HIDDEN)))
                    found, is_drawn, seen = still.found(tracker, rng)
                    results[side].append(found)
                    drawn_too[side].append(is_drawn)
                    tiles.append(cv2.resize(drawn(seen), (240, 180)))
                    if not found:
                        click.echo(f"not found: {Path(spec).stem} {frame.index} {side}")
    for side in SIDES:
        click.echo(f"{side:12}{sum(results[side]):4}/{len(results[side])}, drawn {sum(drawn_too[side])}")
    hidden = [found for side in SIDES[1:] for found in results[side]]
    click.echo(f"half hidden {100 * np.mean(hidden):.1f} %, clear {100 * np.mean(results['clear']):.1f} %")
    if sheet is not None:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 8)
        cv2.imwrite(str(sheet), np.vstack([np.hstack(tiles[i : i + 8]) for i in range(0, len(tiles), 8)])[..., ::-1])


if __name__ == "__main__":
    main()
