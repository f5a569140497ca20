"""Stills of people who are half hidden: are they found in the first picture?

Single pictures of people of whom it is known where they are are shown to a tracker that has seen nothing before: as
they are, with a box before the person's lower part, and with a wall before one of their sides. Box and wall hide 25 to
45 % of the person's mask. Found is who is given an identity, limb joints that can be seen within a quarter of the
height on the average; drawn, who is also believed enough to be (`Person.believed`); beside them are identities of
nobody.

The people are of clips of one person, who is followed over the clip first, or (`benchmarks.half_hidden_avatars`) drawn.

    python -m benchmarks.half_hidden CLIP... [--every 1.0] [--sheet FILE.png]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.crossing import Image, Mask, alone, drawn, read
from tracker.body.landmark_set import MEDIAPIPE
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.frame import Frame
from tracker.core.strict_yaml import assigned
from tracker.pipeline import DetectedFrame, Tracker

_HIDDEN = (0.25, 0.45)
_NEAR = 0.25
SIDES = ("clear", "box", "wall left", "wall right")


@dataclass(frozen=True)
class Subject:
    """Somebody in a picture of their own."""

    name: str
    frame: Frame
    mask: Mask
    """(h, w) where they are, which is somewhere."""
    limbs: Array
    """(12, 2) px of the limbs' joints, in the order of `MEDIAPIPE.limbs`."""

    @property
    def height(self) -> float:
        """px."""
        rows = np.flatnonzero(self.mask.any(axis=1))
        return float(rows[-1] + 1 - rows[0])


@dataclass(frozen=True)
class Still:
    """One picture and what hides the person in it."""

    subject: Subject
    side: str
    share: float
    """Of the person's mask that is hidden."""

    def cover(self) -> Mask:
        """(h, w) what hides them."""
        mask = self.subject.mask
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

    def answer(self, tracker: Tracker, rng: np.random.Generator) -> Answer:
        """What a tracker that knows nothing sees of the person."""
        cover, frame = self.cover(), self.subject.frame
        image = np.where(cover[..., None], texture(rng, frame.size), frame.image)
        tracker.restart()
        answered = tracker.detect(replace(frame, image=image, index=0, time=0.0))
        believed = {person.person_id for person in tracker.fit(tracker.extract(answered)) if person.believed}
        cells = np.clip(self.subject.limbs.astype(int), 0, np.array(frame.size) - 1)
        visible = ~cover[cells[:, 1], cells[:, 0]]
        off = {p.person_id: p.detection.landmarks2d[MEDIAPIPE.limbs] - self.subject.limbs for p in answered.people}
        reach = _NEAR * self.subject.height
        near = {key for key, each in off.items() if np.linalg.norm(each[visible], axis=1).mean() < reach}
        return Answer(self, bool(near), bool(near & believed), len(off) - len(near), answered)


@dataclass(frozen=True)
class Answer:
    """What was seen in a still."""

    still: Still
    found: bool
    believed: bool
    others: int
    """Identities of nobody."""
    frame: DetectedFrame


def answers(tracker: Tracker, subjects: Iterable[Subject], rng: np.random.Generator) -> Iterator[Answer]:
    """Each of the subjects in the clear and half hidden."""
    for subject in subjects:
        for side in SIDES:
            yield Still(subject, side, float(rng.uniform(*_HIDDEN))).answer(tracker, rng)


def report(judged: Iterable[Answer], sheet: Path | None) -> None:
    """Prints who is not found, and how many are; sheet: a picture of all stills."""
    every: list[Answer] = []
    tiles: list[Image] = []
    for each in judged:
        every.append(each)
        if sheet is not None:
            tiles.append(cv2.resize(drawn(each.frame), (240, 180)))
        if not each.found:
            click.echo(f"not found: {each.still.subject.name} {each.still.side}")
    for side in SIDES:
        there = [each for each in every if each.still.side == side]
        found, believed, others = (sum(getattr(e, key) for e in there) for key in ("found", "believed", "others"))
        click.echo(f"{side:12}{found:4}/{len(there)}, drawn {believed}, beside them {others}")
    hidden = [each for each in every if each.still.side != "clear"]
    found, believed = (100 * np.mean([getattr(e, key) for e in hidden]) for key in ("found", "believed"))
    click.echo(f"half hidden: found {found:.1f} %, drawn {believed:.1f} %")
    if sheet is not None:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 8)
        cv2.imwrite(str(sheet), np.vstack([np.hstack(tiles[i : i + 8]) for i in range(0, len(tiles), 8)])[..., ::-1])


def texture(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Something of one colour with a few soft stains."""
    colour, stains = rng.integers(40, 215, 3), rng.integers(-20, 20, (6, 8, 3))
    small: NDArray[np.uint8] = (colour + stains).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def of_clip(tracker: Tracker, spec: str, seconds: float, every: float) -> Iterator[Subject]:
    """The person of a clip, so many seconds apart."""
    person = alone(tracker, read(spec, seconds))
    last = -np.inf
    for frame, detection, mask in zip(person.frames, person.detections, person.masks, strict=True):
        if frame.time - last < every:
            continue
        last = frame.time
        yield Subject(f"{Path(spec).stem} {frame.index}", frame, mask, detection.landmarks2d[MEDIAPIPE.limbs])


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
    with Tracker.open(load_config(changes=assigned(assignments))) as tracker:
        subjects = (subject for spec in clips for subject in of_clip(tracker, spec, seconds, every))
        report(answers(tracker, subjects, np.random.default_rng(0)), sheet)


if __name__ == "__main__":
    main()
