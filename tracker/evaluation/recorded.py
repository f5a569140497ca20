"""Recorded people: runs the tracker over a data set's pictures, as they are and under any protocol.

Every set can be put under every protocol. Under one for stills each frame of a clip is judged by itself, as the papers
do with 3DPW; under one for clips a still counts as the middle of a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tracker.body import JOINT_NAMES, load_body
from tracker.core.arrays import NUM_JOINTS
from tracker.core.camera import Camera
from tracker.core.crop import square_box
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.evaluation.datasets import Recording, read_dataset
from tracker.evaluation.occluder_textures import Textures
from tracker.evaluation.occlusion import STILL_PROTOCOLS, Mask, Placement, painted, still_protocol
from tracker.evaluation.predicted import PredictedPeople
from tracker.evaluation.recorded_judge import RecordedJudge, boxes, root_of
from tracker.evaluation.scoring import Row, stacked
from tracker.evaluation.sequence_occlusion import SEQUENCE_PROTOCOLS, Occlusion, Whereabouts, occlusion_of, passing
from tracker.evaluation.synthetic import CROSSER, PictureSize, PictureStore, SceneKey
from tracker.evaluation.truth import CROP_MARGIN
from tracker.pipeline import Tracker, TrackerConfig
from tracker.source import open_source

CLEAN = "clean"
PROTOCOLS = (*STILL_PROTOCOLS, *SEQUENCE_PROTOCOLS)
_CROSSER_PICTURES = PictureSize(854, 480, 30, 5.0)


@dataclass(frozen=True)
class RecordedSettings:
    """What is evaluated: results of runs with the same settings can be compared number by number."""

    dataset: str
    path: Path
    protocols: tuple[str, ...] = ()
    """Beside the clean pictures."""
    seed: int = 0
    stride: int = 40
    """px of the 224² crop between the sliding patch's places; the papers' is 10."""
    every: int = 1
    """Of a clip's frames, so many are gone on by where each is judged by itself."""
    limit: int | None = None
    """Recordings at most."""
    textures: Path | None = None
    regressor: Path | None = None
    truth_bodies: Path | None = None
    predicted: Path | None = None
    """Results in the place of a running tracker."""


@dataclass(frozen=True, eq=False)
class RecordedCase:
    """One recording under one protocol."""

    number: int
    recording: Recording
    protocol: str
    single: bool
    """Whether every frame is judged by itself, by a tracker that has seen nothing before."""

    @property
    def name(self) -> str:
        frames = "_frames" if self.single and self.recording.rate is not None else ""
        return f"{self.number:06d}_{self.protocol}{frames}"


@dataclass(frozen=True)
class RecordedBench:
    """A data set's cases and what they are worked through with; see `run.Bench`."""

    settings: RecordedSettings
    tracker: TrackerConfig
    store: PictureStore

    def describe(self) -> dict[str, Any]:
        return {"settings": asdict(self.settings), "tracker": asdict(self.tracker)}

    def cases(self) -> list[RecordedCase]:
        """Raises InputError for data that is not there and for settings that do not fit it."""
        _require_possible(self.settings)
        recordings = islice(read_dataset(self.settings.dataset, self.settings.path), self.settings.limit)
        return [case for number, recording in enumerate(recordings) for case in self._cases_of(number, recording)]

    def _cases_of(self, number: int, recording: Recording) -> Iterator[RecordedCase]:
        still = recording.rate is None
        if not recording.pictures:
            raise InputError(f"{recording.name}: has no pictures to evaluate on")
        yield RecordedCase(number, recording, CLEAN, still)
        if not still and set(self.settings.protocols) & set(STILL_PROTOCOLS):
            yield RecordedCase(number, recording, CLEAN, single=True)
        for protocol in self.settings.protocols:
            yield RecordedCase(number, recording, protocol, still or protocol in STILL_PROTOCOLS)

    def preparations(self) -> list[Callable[[], object]]:
        return [partial(self.store.prepare, self._crosser)] if "crossing" in self.settings.protocols else []

    @property
    def _crosser(self) -> SceneKey:
        return SceneKey(self.settings.seed, CROSSER, 0, _CROSSER_PICTURES)

    def run(self, case: RecordedCase) -> Row:
        """The table of one case, a row a frame and placement. Raises what reading and tracking raise."""
        body = load_body(self.tracker.body)
        judge = RecordedJudge(case.recording, body, self.settings.regressor, self.settings.truth_bodies)
        rows = list(self._frames_alone(case, judge) if case.single else self._clip(case, judge))
        if not rows:
            raise InputError(f"{case.recording.name}: has no frame with a person to evaluate on")
        return stacked(rows)

    def _frames_alone(self, case: RecordedCase, judge: RecordedJudge) -> Iterator[Row]:
        """Each placement of the protocol by itself."""
        with self._opened(case) as people, closing(frames_of(case.recording)) as frames:
            for frame in islice(frames, 0, None, self.settings.every):
                if not case.recording.valid[frame.index].any():
                    continue
                for index, placement in enumerate(self.placements(case, frame)):
                    people.restart()
                    persons = people.step(Frame(0, 0.0, self.picture(case, frame, placement, index)))
                    row = judge.row(frame.index, persons, self._camera(people, frame), placement.mask)
                    place = {"degree": placement.degree, "index": index, "frame": frame.index}
                    yield row | {name: np.array(value) for name, value in place.items()}

    def placements(self, case: RecordedCase, frame: Frame) -> Iterator[Placement]:
        """Where the occluder goes in one frame that is judged by itself."""
        if case.protocol == CLEAN:
            yield Placement(0, -1, np.zeros(frame.image.shape[:2], bool))
        elif case.protocol in STILL_PROTOCOLS:
            where = whereabouts(case.recording, frame.size)
            box, joints = square_box(where.boxes[frame.index], CROP_MARGIN), where.joints2d[frame.index]
            protocol = still_protocol(case.protocol, self.settings.stride)
            yield from protocol.placements(frame.size, box, joints, self._seed(case))
        else:
            yield Placement(0, -1, self.occlusion(case, frame).mask(0))

    def picture(self, case: RecordedCase, frame: Frame, placement: Placement, index: int) -> Any:
        """(h, w, 3) one frame with one placement's occluder."""
        if case.protocol in SEQUENCE_PROTOCOLS:
            return self.occlusion(case, frame).apply(frame.image, 0)
        rng = np.random.default_rng([self.settings.seed, case.number, frame.index, index])
        return painted(frame.image, placement.mask, Textures.from_folder(self.settings.textures), rng)

    def occlusion(self, case: RecordedCase, first: Frame) -> Occlusion:
        """What is in front of a clip, or of a still; first: any frame of it."""
        where = whereabouts(case.recording, first.size)
        if case.protocol == "crossing":
            crosser = self.store.footage(self._crosser)
            return passing(where, crosser.images, crosser.masks, crosser.truth.times)
        return occlusion_of(case.protocol, where, Textures.from_folder(self.settings.textures), self._seed(case))

    def _seed(self, case: RecordedCase) -> int:
        return self.settings.seed * 1_000_003 + case.number

    def _clip(self, case: RecordedCase, judge: RecordedJudge) -> Iterator[Row]:
        """The clip from beginning to end with one tracker."""
        occlusion: Occlusion | None = None
        with self._opened(case) as people, closing(frames_of(case.recording)) as frames:
            for frame in frames:
                if occlusion is None and case.protocol != CLEAN:
                    occlusion = self.occlusion(case, frame)
                mask: Mask = np.zeros(frame.image.shape[:2], bool)
                shown = frame
                if occlusion is not None:
                    mask = occlusion.mask(frame.index)
                    shown = Frame(frame.index, frame.time, occlusion.apply(frame.image, frame.index))
                row = judge.row(frame.index, people.step(shown), self._camera(people, frame), mask)
                yield row | {"time": np.array(frame.time), "frame": np.array(frame.index), "index": np.array(0)}

    def _opened(self, case: RecordedCase) -> Tracker | PredictedPeople:
        if self.settings.predicted is not None:
            return PredictedPeople.of(self.settings.predicted, case.recording)
        return Tracker.open(self.tracker)

    def _camera(self, people: Tracker | PredictedPeople, frame: Frame) -> Camera:
        return people.camera if isinstance(people, PredictedPeople) else self.tracker.camera.for_size(*frame.size)


def _require_possible(settings: RecordedSettings) -> None:
    for protocol in settings.protocols:
        if protocol not in PROTOCOLS:
            raise InputError(f"--protocol {protocol}: expected one of {', '.join((*PROTOCOLS, 'all'))}")
    if settings.predicted is not None and settings.protocols:
        raise InputError(f"--protocol {settings.protocols[0]}: --predicted has no tracker to show occluded pictures to")
    Textures.from_folder(settings.textures)  # what is wrong with them is said before anything is tracked


def frames_of(recording: Recording) -> Generator[Frame, None, None]:
    """The pictures in order, a video's own times or the set's rate; no more than there is truth for."""
    if recording.rate is not None and len(recording.pictures) == 1:
        with open_source(str(recording.pictures[0])) as source:
            for index, frame in zip(range(len(recording)), source, strict=False):
                yield Frame(index, frame.time, frame.image)
        return
    for index, path in enumerate(recording.pictures):
        with open_source(str(path)) as source:
            image = next(iter(source)).image
        yield Frame(index, index / (recording.rate or 1.0), image)


def whereabouts(recording: Recording, size: tuple[int, int]) -> Whereabouts:
    """For occluders: the joints that SMPL has a name for, NaN for its others; the hips' middle as the pelvis."""
    points, names = recording.joints2d, recording.joint_set.joints
    if points is None:
        raise InputError(f"{recording.name}: has no joints in its pictures by which occluders could be placed")
    joints = np.full((len(points), NUM_JOINTS, 2), np.nan)
    for column, name in enumerate(names):
        if name in JOINT_NAMES:
            joints[:, JOINT_NAMES.index(name)] = points[:, column]
    joints[:, JOINT_NAMES.index("head")] = points[:, names.index("head_top" if "head_top" in names else "head")]
    joints[:, 0] = root_of(points, recording.joint_set)
    times = np.arange(len(points)) / (recording.rate or 1.0)
    return Whereabouts(times, joints, boxes(recording), size)
