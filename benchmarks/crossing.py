"""People who meet other people and pillars, made of real clips whose people were tracked alone.

The one person of each clip is followed in clear view first: that says where they are. Then somebody cut out of OTHER,
as tall as they are, walks past in front of them (crossing) or comes to their side, stays and leaves (contact); a wall
hides half of where they are (half hidden), or all of it for two seconds (pillar).

Per scene: in how many of the frames in which a quarter of the person or more can be seen they are found (within a
quarter of their height), how many identities they are given, and how far their visible limb joints lie from those of
the person alone, in parts of the height. Only detection and identities are run, as for files.

    python -m benchmarks.crossing OTHER CLIP... [--seconds 4] [--sheets FOLDER] [--set identity.look_back=0]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body.landmark_set import MEDIAPIPE
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.frame import Frame
from tracker.core.mask import IN_MASK
from tracker.core.strict_yaml import assigned, merged
from tracker.pipeline import DetectedFrame, Tracker
from tracker.source import Clip, open_source

_LONG_SIDE = 960
"""px: larger clips are made smaller."""
_SEEN = 0.25
"""Of the person's mask: less is not asked for."""
_PLAIN = 0.6
"""Of the person's mask: where less is seen it may be the other who is found in their place."""
_NEAR = 0.25
"""Of a person's height: limb joints that are farther off on the average are another's."""
_COLOURS = ((255, 80, 80), (80, 200, 255), (90, 255, 90), (255, 220, 60))

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Alone:
    """One person in clear view."""

    frames: list[Frame]
    detections: list[Detection]
    masks: list[Mask]
    """(h, w) of each frame."""

    def box(self, index: int) -> Array:
        """xyxy px of what is seen of them."""
        rows, columns = (np.flatnonzero(self.masks[index].any(axis=axis)) for axis in (1, 0))
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


Occluder = Callable[[int], tuple[Image, Mask]]
"""Frame number → picture (h, w, 3) and which of its pixels stand in front."""


@dataclass(frozen=True)
class Outcome:
    """Of one scene."""

    asked: int
    found: int
    identities: list[int]
    errors: list[float]
    """Parts of the height, a found frame each."""


def small(frame: Frame) -> Frame:
    """The frame with a long side of 960 px at most."""
    scale = min(_LONG_SIDE / max(frame.size), 1.0)
    size = (round(scale * frame.size[0]), round(scale * frame.size[1]))
    return replace(frame, image=np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8))


def read(spec: str, seconds: float) -> list[Frame]:
    """The clip's beginning."""
    with open_source(spec, Clip(end=seconds)) as source:
        return [small(frame) for frame in source]


def tracked(tracker: Tracker, frames: Sequence[Frame]) -> list[DetectedFrame]:
    """Who is where, as in files."""
    tracker.restart()
    return list(tracker.look_back(map(tracker.detect, frames)))


def alone(tracker: Tracker, frames: Sequence[Frame]) -> Alone:
    """The frames in which the person who is in most of them is seen."""
    seen = tracked(tracker, frames)
    keys = [person.person_id for each in seen for person in each.people]
    if not keys:
        raise click.ClickException("nobody is found in the clip alone")
    most = max(set(keys), key=keys.count)
    chosen = [(each.frame, p.detection) for each in seen for p in each.people if p.person_id == most]
    masked = [(f, d, d.mask.picture() >= IN_MASK) for f, d in chosen if d.mask is not None]
    kept = [each for each in masked if each[2].any()]
    return Alone([f for f, _, _ in kept], [d for _, d, _ in kept], [m for _, _, m in kept])


def cut_out(other: Alone, person: Alone, place: Callable[[float], float]) -> Occluder:
    """The other, as tall as the person. place: share of the clip → px of the middle of their body."""
    height = np.median([person.box(i)[3] - person.box(i)[1] for i in range(len(person.frames))])
    scale = float(height / np.median([other.box(i)[3] - other.box(i)[1] for i in range(len(other.frames))]))
    width, tall = person.frames[0].size

    def occluder(index: int) -> tuple[Image, Mask]:
        k = index % len(other.frames)
        box = other.box(k)
        feet = person.box(index)[3] + 0.04 * height
        x = place(index / max(len(person.frames) - 1, 1))
        move = np.array([[scale, 0, x - scale * (box[0] + box[2]) / 2], [0, scale, feet - scale * box[3]]])
        picture = cv2.warpAffine(other.frames[k].image, move, (width, tall))
        mask = cv2.warpAffine(other.masks[k].astype(np.uint8), move, (width, tall))
        return np.asarray(picture, np.uint8), np.asarray(mask > 0)

    return occluder


def wall(person: Alone, first: float, last: float, share: float) -> Occluder:
    """A wall in the shares first..last of the clip, over this share of where the person mostly is, from the left."""
    boxes = np.array([person.box(i) for i in range(len(person.frames))])
    left, right = np.quantile(boxes[:, 0], 0.1), np.quantile(boxes[:, 2], 0.9)
    reach = 0.1 * (right - left)
    texture = np.random.default_rng(0).integers(60, 160, (12, 16, 3), dtype=np.uint8)
    width, tall = person.frames[0].size
    picture = np.asarray(cv2.resize(texture, (width, tall), interpolation=cv2.INTER_CUBIC), np.uint8)

    def occluder(index: int) -> tuple[Image, Mask]:
        mask = np.zeros((tall, width), bool)
        if first <= index / max(len(boxes) - 1, 1) <= last:
            mask[:, max(int(left - reach), 0) : int(left + share * (right - left) + reach * (share >= 1))] = True
        return picture, mask

    return occluder


def scenes(person: Alone, other: Alone, seconds: float) -> Iterator[tuple[str, Occluder | None]]:
    """What is put in front of the person."""
    boxes = np.array([person.box(i) for i in range(len(person.frames))])
    middle, height = float(np.median(boxes[:, [0, 2]])), float(np.median(boxes[:, 3] - boxes[:, 1]))
    beside = middle - 0.22 * height

    def come_and_go(share: float) -> float:
        return beside - 1.2 * height * float(np.clip(abs(share - 0.5) - 0.25, 0, 0.25)) / 0.25

    yield "alone", None
    yield "crossing", cut_out(other, person, lambda share: middle + 2.4 * height * (share - 0.5))
    yield "contact", cut_out(other, person, come_and_go)
    yield "half hidden", wall(person, 0.0, 1.0, 0.5)
    yield "pillar", wall(person, 0.5 - 1 / seconds, 0.5 + 1 / seconds, 1.0)


def shown(person: Alone, index: int, occluder: Occluder | None) -> tuple[Frame, Mask]:
    """A frame of the scene, and what is hidden in it."""
    frame = person.frames[index]
    if occluder is None:
        return frame, np.zeros(frame.size[::-1], bool)
    picture, mask = occluder(index)
    share = cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0)[..., None]
    image = np.rint(frame.image + share * (picture.astype(np.float32) - frame.image)).astype(np.uint8)
    return replace(frame, image=image), mask


def outcome(person: Alone, hidden: Sequence[Mask], seen: Sequence[DetectedFrame]) -> Outcome:
    """What has become of the person."""
    asked = found = 0
    keys: list[int] = []
    errors: list[float] = []
    for index, each in enumerate(seen):
        free = person.masks[index] & ~hidden[index]
        if free.sum() < _SEEN * person.masks[index].sum():
            continue
        asked += 1
        box = person.box(index)
        true = person.detections[index].landmarks2d[MEDIAPIPE.limbs]
        off = {
            p.person_id: np.linalg.norm(p.detection.landmarks2d[MEDIAPIPE.limbs] - true, axis=1) for p in each.people
        }
        near = {key: distance for key, distance in off.items() if distance.mean() < _NEAR * (box[3] - box[1])}
        if not near:
            continue
        found += 1
        key = min(near, key=lambda k: near[k].mean())
        if free.sum() >= _PLAIN * person.masks[index].sum():
            keys.append(key)
        cells = np.clip(true.astype(int), 0, np.array(each.frame.size) - 1)
        visible = ~hidden[index][cells[:, 1], cells[:, 0]]
        if visible.any():
            errors.append(float(near[key][visible].mean() / (box[3] - box[1])))
    return Outcome(asked, found, [k for i, k in enumerate(keys) if i == 0 or keys[i - 1] != k], errors)


def drawn(each: DetectedFrame) -> Image:
    """The frame with everybody's limbs, 320 px wide."""
    picture = each.frame.image.copy()
    for person in each.people:
        for x, y in person.detection.landmarks2d[MEDIAPIPE.limbs]:
            cv2.circle(picture, (int(x), int(y)), 4, _COLOURS[person.person_id % 4], -1)
    width, height = each.frame.size
    small_one = cv2.resize(picture, (320, round(320 * height / width)), interpolation=cv2.INTER_AREA)
    text = f"{each.frame.index}: {' '.join(str(key) for key in sorted(each.ids))}"
    return np.asarray(cv2.putText(small_one, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 0), 1), np.uint8)


def sheet(path: Path, seen: Sequence[DetectedFrame]) -> None:
    """Thirty pictures of a scene."""
    tiles = [drawn(seen[i]) for i in np.linspace(0, len(seen) - 1, 30).astype(int)]
    picture = np.vstack([np.hstack(tiles[row : row + 6]) for row in range(0, 30, 6)])
    cv2.imwrite(str(path), picture[..., ::-1])


@click.command()
@click.argument("other")
@click.argument("clips", nargs=-1, required=True)
@click.option("--seconds", default=4.0, show_default=True, help="Of each clip.")
@click.option("--scene", "wanted", multiple=True, help="Only these scenes.")
@click.option("--sheets", type=click.Path(path_type=Path), help="A folder for contact sheets.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Of the configuration.")
def main(
    other: str,
    clips: tuple[str, ...],
    seconds: float,
    wanted: tuple[str, ...],
    sheets: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Put somebody cut out of OTHER, and walls, in front of the person of each of CLIPS."""
    config = load_config(changes=merged({"extract": {"enabled": False}}, assigned(assignments)))
    click.echo(f"{'clip':20}{'scene':14}{'found':>16}{'identities':>12}{'joints off':>12}")
    with Tracker.open(config) as tracker:
        stranger = alone(tracker, read(other, seconds))
        for spec in clips:
            person = alone(tracker, read(spec, seconds))
            for name, occluder in scenes(person, stranger, seconds):
                if wanted and name not in wanted:
                    continue
                pairs = [shown(person, index, occluder) for index in range(len(person.frames))]
                seen = tracked(tracker, [frame for frame, _ in pairs])
                result = outcome(person, [mask for _, mask in pairs], seen)
                keys = ",".join(map(str, result.identities))
                off = 100 * float(np.mean([*result.errors])) if result.errors else float("nan")
                share = 100 * result.found / max(result.asked, 1)
                found = f"{result.found:5}/{result.asked:<4}{share:5.1f} %"
                click.echo(f"{Path(spec).stem:20}{name:14}{found}{keys:>12}{off:10.2f} %")
                if sheets is not None:
                    sheets.mkdir(parents=True, exist_ok=True)
                    sheet(sheets / f"{Path(spec).stem}_{name.replace(' ', '_')}.png", seen)


if __name__ == "__main__":
    main()
