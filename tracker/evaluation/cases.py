"""The synthetic benchmark's cases: one made-up scene under one protocol, with one tracker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.body.free_body import load_free_body
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import FrameRecord, Person
from tracker.evaluation.captured import held_out_clips
from tracker.evaluation.grounding import grounding_rows
from tracker.evaluation.occluder_textures import Textures
from tracker.evaluation.occlusion import DEGREES, STILL_PROTOCOLS, Mask, Placement, painted, still_protocol
from tracker.evaluation.scoring import Judge, Row, stacked
from tracker.evaluation.sequence_occlusion import SEQUENCE_PROTOCOLS, CutOuts, Occlusion, Whereabouts, occlusion_of
from tracker.evaluation.synthetic import (
    CLIP,
    OTHER_PEOPLE,
    STILL,
    Footage,
    PictureSize,
    PictureStore,
    SceneKey,
    true_world,
    version,
)
from tracker.evaluation.truth import Truth
from tracker.pipeline import Tracker, TrackerConfig

CLEAN = "clean"
CLIP_PROTOCOLS = (*SEQUENCE_PROTOCOLS, "contact")
"""Of made-up clips: only there it is known where in the room the person is whom another one stands at."""


@dataclass(frozen=True)
class SyntheticSettings:
    """What is evaluated: results of runs with the same settings can be compared number by number."""

    seed: int = 0
    stills: int = 10
    clips: int = 3
    stride: int = 40
    """px of the 224² crop between the sliding patch's places; the papers' is 10."""
    degrees: tuple[int, ...] = DEGREES
    size: PictureSize = field(default_factory=PictureSize)
    textures: Path | None = None
    motion: Path | None = None
    """Captured motion for the people, of which what is held out of training is used."""

    def __post_init__(self) -> None:
        if self.stills + self.clips == 0:
            raise InputError("--stills 0 --clips 0: nothing is left to evaluate; ask for one of either")


@dataclass(frozen=True)
class Case:
    """One scene under one protocol."""

    kind: str
    """'still' or 'clip'."""
    number: int
    protocol: str

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.number:03d}_{self.protocol}"

    def key(self, settings: SyntheticSettings) -> SceneKey:
        """The scene."""
        return SceneKey(settings.seed, self.kind, self.number, settings.size, settings.motion)


def all_cases(settings: SyntheticSettings) -> list[Case]:
    """Everything that the settings ask for. Clips, which take long, come first: at the end they would keep one
    process busy while the others wait."""
    clips = [Case(CLIP, i, name) for i in range(settings.clips) for name in (CLEAN, *CLIP_PROTOCOLS)]
    return clips + [Case(STILL, i, name) for i in range(settings.stills) for name in (CLEAN, *STILL_PROTOCOLS)]


def all_scenes(settings: SyntheticSettings) -> list[SceneKey]:
    """Every scene that has to be drawn, the longest first."""
    clips = [Case(CLIP, i, CLEAN).key(settings) for i in range(settings.clips)]
    clips = [key for clip in clips for key in (clip, *map(clip.other, OTHER_PEOPLE))]
    return clips + [Case(STILL, i, CLEAN).key(settings) for i in range(settings.stills)]


@dataclass(frozen=True)
class SyntheticBench:
    """The benchmark's cases and what they are worked through with; see `run.Bench`."""

    settings: SyntheticSettings
    tracker: TrackerConfig
    store: PictureStore

    def describe(self) -> dict[str, Any]:
        return {"settings": asdict(self.settings), "tracker": asdict(self.tracker), "pictures": version()}

    def cases(self) -> list[Case]:
        settings, size = self.settings, self.settings.size
        # what is wrong with textures or motion is said before anything is drawn
        Textures.from_folder(settings.textures)
        if settings.motion is not None:
            held_out_clips(settings.motion, size.rate, round(size.seconds * size.rate))
        return all_cases(settings)

    def preparations(self) -> list[Callable[[], object]]:
        return [partial(self.store.prepare, key) for key in all_scenes(self.settings)]

    def run(self, case: Case) -> Row:
        """The table of one case. Raises RunError as drawing and tracking do."""
        footage = self.store.footage(case.key(self.settings))
        return self._still(case, footage) if case.kind == STILL else self._clip(case, footage)

    def _still(self, case: Case, footage: Footage) -> Row:
        """Every placement of the protocol by itself, each with a tracker that has seen nothing before."""
        rows = []
        # one person, as the papers' protocols, which hand the person's crop to the network
        config = replace(self.tracker, detect=replace(self.tracker.detect, max_people=1))
        with Tracker.open(config) as tracker:
            judge = Judge(tracker.body, load_free_body(), footage.truth, parts=True)
            for index, placement in enumerate(self.placements(case, footage)):
                tracker.restart()
                people = tracker.step(Frame(0, 0.0, self.picture(case, footage, placement, index)))
                place = {"degree": np.array(placement.degree), "occluded_joint": np.array(placement.joint)}
                hidden = {"hidden_share": _hidden_share(footage, 0, placement.mask)}
                rows.append(judge.row(0, people, placement.mask) | place | hidden | {"index": np.array(index)})
        return stacked(rows)

    def placements(self, case: Case, footage: Footage) -> Iterator[Placement]:
        """All placements of a still's protocol."""
        truth = footage.truth
        size = (truth.camera.width, truth.camera.height)
        if case.protocol == CLEAN:
            yield Placement(0, -1, np.zeros(size[::-1], bool))
        else:
            seed = self.settings.seed * 1000 + case.number
            protocol = still_protocol(case.protocol, self.settings.stride, self.settings.degrees)
            yield from protocol.placements(size, truth.crop_box(0), truth.joints2d[0], seed)

    def picture(self, case: Case, footage: Footage, placement: Placement, index: int) -> NDArray[np.uint8]:
        """The occluded still; index: the placement's position in the protocol."""
        rng = np.random.default_rng([self.settings.seed, case.number, index])
        return painted(footage.images[0], placement.mask, Textures.from_folder(self.settings.textures), rng)

    def _clip(self, case: Case, footage: Footage) -> Row:
        """The clip from beginning to end with one tracker; and every box, for identities."""
        others = [self._other(case).truth] if case.protocol in OTHER_PEOPLE else []
        occlusion = self.occlusion(case, footage)
        rows, boxes, records = [], [], []
        with Tracker.open(replace(self.tracker, detect=replace(self.tracker.detect, max_people=2))) as tracker:
            judge = Judge(tracker.body, load_free_body(), footage.truth, parts=False)
            for index, (time, image) in enumerate(zip(footage.truth.times, footage.images, strict=True)):
                mask = _no_mask(image) if occlusion is None else occlusion.mask(index)
                shown = image if occlusion is None else occlusion.apply(image, index)
                people = tracker.step(Frame(index, float(time), shown))
                rows.append(judge.row(index, people, mask) | {"hidden_share": _hidden_share(footage, index, mask)})
                boxes += _tracked_boxes(index, people)
                records.append(FrameRecord(index, float(time), people))
            world = true_world(case.key(self.settings), footage.truth)
            grounded = grounding_rows(records, tracker.persons, self.tracker, judge.match, footage.truth, world)
        truths = [footage.truth, *others]
        return (
            stacked(rows)
            | grounded
            | {"tracked_boxes": _box_table(boxes), "true_boxes": _box_table(_true_boxes(truths))}
        )

    def occlusion(self, case: Case, footage: Footage) -> Occlusion | None:
        """What is in front of a clip; None for the clean one."""
        if case.protocol == CLEAN:
            return None
        where = _whereabouts(footage.truth)
        if case.protocol in OTHER_PEOPLE:
            other = self._other(case)
            return CutOuts(other.images, other.masks, range(len(other.images)), where.size)
        textures = Textures.from_folder(self.settings.textures)
        return occlusion_of(case.protocol, where, textures, self.settings.seed * 1000 + case.number)

    def _other(self, case: Case) -> Footage:
        """Whoever else comes into the clip."""
        return self.store.footage(case.key(self.settings).other(case.protocol))


def _whereabouts(truth: Truth) -> Whereabouts:
    return Whereabouts(truth.times, truth.joints2d, truth.boxes, (truth.camera.width, truth.camera.height))


def _no_mask(image: NDArray[np.uint8]) -> Mask:
    return np.zeros(image.shape[:2], bool)


def _hidden_share(footage: Footage, index: int, mask: Mask) -> NDArray:
    """The share of the person's pixels that the mask hides."""
    person = footage.masks[index]
    return np.array((person & mask).sum() / max(person.sum(), 1))


def _tracked_boxes(index: int, people: Sequence[Person]) -> list[list[float]]:
    return [[index, person.person_id, *person.bbox] for person in people]


def _true_boxes(truths: Sequence[Truth]) -> list[list[float]]:
    return [
        [index, number, *truth.boxes[index]]
        for number, truth in enumerate(truths)
        for index in np.flatnonzero(truth.present)
    ]


def _box_table(boxes: list[list[float]]) -> NDArray:
    """(N, 6): frame, identity, xyxy px."""
    return np.array(boxes, float).reshape(-1, 6)
