"""Recorded people: runs the tracker over a data set's pictures, as they are or occluded, and judges its answers.

Where a set's joints are not SMPL's own, the tracked body's joints come from its mesh through Human3.6M's regressor, as
in the papers. Without that file only joints of the same name can be compared, and the report says so.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tracker.body import JOINT_NAMES, BodyModel
from tracker.camera import Camera
from tracker.crop import square_box
from tracker.errors import InputError
from tracker.evaluation.datasets import JointSet, Recording
from tracker.evaluation.metrics import aligned_errors, keypoint_distances, relative_errors
from tracker.evaluation.occlusion import JointShape, Mask, SlidingPatch, StillProtocol, covered, painted
from tracker.evaluation.scoring import Row, stacked
from tracker.evaluation.sequence_occlusion import Occlusion, Whereabouts, limb_patch, lower_half, pillar
from tracker.evaluation.summary import Figures, as_text, joined, mean_figures, pose_figures, worst_case
from tracker.evaluation.texture import Textures
from tracker.evaluation.truth import CROP_MARGIN, posed_body
from tracker.interrupt import Interrupt
from tracker.pipeline import Tracker, TrackerConfig
from tracker.source import open_source
from tracker.types import NUM_JOINTS, Array, Frame, Person

CLEAN = "clean"
STILL_PROTOCOLS: dict[str, StillProtocol] = {
    "patch-40": SlidingPatch(40, 40),
    "patch-80": SlidingPatch(80, 40),
    "patch-40-dense": SlidingPatch(40, 10),
    "patch-80-dense": SlidingPatch(80, 10),
    **{shape: JointShape(shape) for shape in ("bar", "circle", "rectangle")},
}
CLIP_PROTOCOLS = ("limb", "pillar", "lower-half")
REGRESSOR_ROWS = (
    "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "spine", "neck", "jaw",
    "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
_SCREEN_KEYS = ("found", "mpjpe", "mpjpe_visible", "pa_mpjpe", "pa_mpjpe_visible", "pck", "pck_visible", "root")
_GATE = 0.5
"""Who is farther away than this, in heights of the box, is somebody else."""


@dataclass(frozen=True)
class RecordedJob:
    """What the user asked for."""

    protocol: str = CLEAN
    textures: Textures = field(default_factory=Textures)
    regressor: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class Answer:
    """Where the tracker puts a data set's joints in one frame, for one person."""

    joints3d: Array
    """(J, 3) m, camera frame; NaN for joints that the body does not have."""
    joints2d: Array
    """(J, 2) px."""


class JointMap:
    """Takes tracked people to a data set's joints."""

    def __init__(self, body: BodyModel, joint_set: JointSet, regressor: Path | None) -> None:
        """regressor: a (17, V) .npy file. Raises InputError when it is none for this body."""
        self._body, self._set = body, joint_set
        self._weights = None if regressor is None or joint_set.name == "smpl24" else _read_regressor(regressor, body)
        names = JOINT_NAMES if self._weights is None else REGRESSOR_ROWS
        self._rows = [names.index(name) if name in names else -1 for name in joint_set.joints]

    def answer(self, person: Person, camera: Camera) -> Answer:
        """camera: the one that the tracker took for granted."""
        points = person.joints3d if self._weights is None else self._weights @ self._vertices(person)
        joints = np.vstack([points, np.full(3, np.nan)])[self._rows]
        return Answer(joints, camera.project(joints))

    def _vertices(self, person: Person) -> Array:
        pose = person.pose
        return posed_body(self._body, pose.theta, pose.betas, pose.transl).vertices().numpy().astype(float)


def _read_regressor(path: Path, body: BodyModel) -> Array:
    expected = (len(REGRESSOR_ROWS), len(body.v_template))
    try:
        weights = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--regressor {path}: expected SPIN's J_regressor_h36m.npy ({error})") from error
    if weights.shape != expected:
        raise InputError(f"--regressor {path}: expected shape {expected} for the body {body.name}, got {weights.shape}")
    return np.asarray(weights, float)


def evaluate_recordings(
    recordings: Sequence[Recording], job: RecordedJob, config: TrackerConfig, interrupt: Interrupt
) -> dict[str, Figures]:
    """A row for the clean pictures, and one for the occluded ones.

    Raises InputError for pictures that cannot be read and for a protocol that does not fit, RunError as the tracker.
    """
    for recording in recordings:
        _require_fitting(job.protocol, recording)
    clean: list[Row] = []
    occluded: list[Row] = []
    for recording in tqdm(recordings, desc="evaluating", unit="recording", disable=None):
        clean.append(_table(recording, replace(job, protocol=CLEAN), config, interrupt))
        if job.protocol != CLEAN:
            occluded.append(_table(recording, job, config, interrupt))
    rows = {CLEAN: pose_figures(joined(clean))}
    if isinstance(STILL_PROTOCOLS.get(job.protocol), SlidingPatch):
        worst = [worst_case(*pair) for pair in zip(clean, occluded, strict=True)]
        rows[f"{job.protocol}, worst"] = mean_figures([each.figures for each in worst if each is not None])
    elif occluded:
        rows[job.protocol] = pose_figures(joined(occluded))
    return rows


def dataset_report(rows: dict[str, Figures], recordings: Sequence[Recording], job: RecordedJob) -> str:
    """The table for the screen, and how its joints were got."""
    joint_set = recordings[0].joint_set
    people = "1 recording" if len(recordings) == 1 else f"{len(recordings)} recordings"
    lines = [as_text(rows, _SCREEN_KEYS), "", f"{people}; joints {joint_set.name}: {joint_set.convention}"]
    if job.regressor is None and joint_set.name != "smpl24":
        lines.append(
            "without --regressor only SMPL's own joints of the same names are compared: not the papers' figures"
        )
    return "\n".join(lines)


def _require_fitting(protocol: str, recording: Recording) -> None:
    known = (CLEAN, *(STILL_PROTOCOLS if recording.rate is None else CLIP_PROTOCOLS))
    if protocol not in known:
        kind = "stills" if recording.rate is None else "clips"
        raise InputError(f"--protocol {protocol}: expected one of {', '.join(known)} for the {kind} of this data set")


def _table(recording: Recording, job: RecordedJob, config: TrackerConfig, interrupt: Interrupt) -> Row:
    rows = _still_rows(recording, job, config) if recording.rate is None else _clip_rows(recording, job, config)
    collected = []
    for row in rows:
        collected.append(row)
        interrupt.check()
    if not collected:
        raise InputError(f"{recording.name}: has no pictures to evaluate on")
    return stacked(collected)


def _still_rows(recording: Recording, job: RecordedJob, config: TrackerConfig) -> Iterator[Row]:
    """Each placement of the protocol with a tracker of its own."""
    (frame,) = _frames(recording)
    nothing = np.zeros(frame.image.shape[:2], bool)
    masks = [nothing] if job.protocol == CLEAN else _placed(recording, job, frame.size)
    for index, mask in enumerate(masks):
        image = painted(frame.image, mask, job.textures, np.random.default_rng([job.seed, index]))
        with Tracker.open(config) as tracker:
            joint_map = JointMap(tracker.body, recording.joint_set, job.regressor)
            people = tracker.step(Frame(0, 0.0, image))
            yield recorded_row(recording, 0, _answers(joint_map, people, tracker, frame), mask)


def _placed(recording: Recording, job: RecordedJob, size: tuple[int, int]) -> list[Mask]:
    """Placements for joints that the set does not have are left out."""
    where = whereabouts(recording, size)
    box = square_box(where.boxes[0], CROP_MARGIN)
    known = np.isfinite(where.joints2d[0]).all(axis=1)
    joints = np.nan_to_num(where.joints2d[0])
    placements = STILL_PROTOCOLS[job.protocol].placements(size, box, joints, job.seed)
    return [each.mask for each in placements if each.joint < 0 or known[each.joint]]


def _clip_rows(recording: Recording, job: RecordedJob, config: TrackerConfig) -> Iterator[Row]:
    occlusion: Occlusion | None = None
    with Tracker.open(config) as tracker, closing(_frames(recording)) as frames:
        joint_map = JointMap(tracker.body, recording.joint_set, job.regressor)
        for index, frame in enumerate(frames):
            if index == 0 and job.protocol != CLEAN:
                occlusion = _occlusion(whereabouts(recording, frame.size), job)
            mask, image = np.zeros(frame.image.shape[:2], bool), frame.image
            if occlusion is not None:
                mask, image = occlusion.mask(index), occlusion.apply(image, index)
            people = tracker.step(Frame(index, frame.time, image))
            yield recorded_row(recording, index, _answers(joint_map, people, tracker, frame), mask)


def _occlusion(where: Whereabouts, job: RecordedJob) -> Occlusion:
    if job.protocol == "lower-half":
        return lower_half(where)
    return (limb_patch if job.protocol == "limb" else pillar)(where, job.textures, job.seed)


def _answers(joint_map: JointMap, people: Sequence[Person], tracker: Tracker, frame: Frame) -> list[Answer]:
    camera = tracker.config.camera.for_size(*frame.size)
    return [joint_map.answer(person, camera) for person in people]


def _frames(recording: Recording) -> Generator[Frame, None, None]:
    """The pictures in order, a video's own times or the set's rate; no more than there is truth for."""
    if recording.rate is not None and len(recording.pictures) == 1:
        with open_source(str(recording.pictures[0])) as source:
            yield from (frame for frame, _ in zip(source, range(len(recording)), strict=False))
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
    joints[:, 0] = _root(points, recording.joint_set)
    times = np.arange(len(points)) / (recording.rate or 1.0)
    return Whereabouts(times, joints, _boxes(recording), size)


def _boxes(recording: Recording) -> Array:
    """(T, 4) xyxy px: around the annotated joints."""
    assert recording.joints2d is not None
    points = np.where(recording.valid[..., None], recording.joints2d, np.nan)
    points = np.where(recording.valid.any(axis=1)[:, None, None], points, recording.joints2d)
    return np.concatenate([np.nanmin(points, axis=1), np.nanmax(points, axis=1)], axis=1)


def _root(points: Array, joint_set: JointSet) -> Array:
    """(..., 2 or 3): the joint, or the middle of the joints, that the set takes as its root."""
    return points[..., [joint_set.joints.index(name) for name in joint_set.root.split("+")], :].mean(axis=-2)


def recorded_row(recording: Recording, frame: int, answers: Sequence[Answer], mask: Mask) -> Row:
    """The numbers of one frame, over the set's judged joints; see `scoring` for their names."""
    columns = [recording.joint_set.joints.index(name) for name in recording.joint_set.judged]
    valid = recording.valid[frame]
    flat = None if recording.joints2d is None else recording.joints2d[frame]
    visible = valid if flat is None else valid & ~covered(mask, np.nan_to_num(flat, nan=-1.0))
    row: Row = {name: np.full(len(columns), np.nan) for name in ("error", "aligned", "aligned_visible", "angle")}
    row |= {"head_units": np.full(len(columns), np.nan), "box_units": np.full(len(columns), np.nan)}
    row |= {"root": np.full(3, np.nan), "vertices": np.full(2, np.nan), "root_seen": np.array(False)}
    row |= {"asked": np.array(valid.any()), "found": np.array(False), "visible": visible[columns]}
    answer = _matched(recording, frame, answers)
    if answer is None:
        return row
    row["found"] = np.array(True)
    if recording.joints3d is not None:
        row |= _solid(answer.joints3d, recording.joints3d[frame], (recording.joint_set, columns, valid, visible))
    if flat is not None:
        side = (_boxes(recording)[frame, 2:] - _boxes(recording)[frame, :2]).max()
        row["box_units"] = keypoint_distances(answer.joints2d[None], flat[None], np.array([side]))[0, columns]
    return row


def _matched(recording: Recording, frame: int, answers: Sequence[Answer]) -> Answer | None:
    """The tracked person who lies on the annotated one; of people without 2D annotation the one in front."""
    if not answers or not recording.valid[frame].any():
        return None
    if recording.joints2d is None:
        return min(answers, key=lambda answer: float(np.nanmean(answer.joints3d[:, 2])))
    valid, box = recording.valid[frame], _boxes(recording)[frame]
    distances = [
        float(np.nanmean(np.linalg.norm(answer.joints2d - recording.joints2d[frame], axis=-1)[valid]))
        for answer in answers
    ]
    best = int(np.nanargmin(distances))
    return answers[best] if distances[best] <= _GATE * max(box[3] - box[1], 1.0) else None


def _solid(
    predicted: Array, truth: Array, judged: tuple[JointSet, list[int], NDArray[np.bool_], NDArray[np.bool_]]
) -> Row:
    """3D errors of the judged joints that are annotated and that the body has."""
    joint_set, columns, valid, visible = judged
    counted = (valid & np.isfinite(predicted).all(axis=1))[columns]
    # where the body has no pelvis of this set's, the hips' middle serves on both sides
    roots = [_root(each, joint_set) for each in (predicted, truth)]
    errors = relative_errors(predicted[None], truth[None], roots[0][None], roots[1][None])[0, columns]
    points, true = (np.nan_to_num(each[columns])[None] for each in (predicted, truth))
    return {
        "error": np.where(counted, errors, np.nan),
        "aligned": aligned_errors(points, true, counted[None])[0],
        "aligned_visible": aligned_errors(points, true, (counted & visible[columns])[None])[0],
        "root": 1000 * (roots[0] - roots[1]),
        "root_seen": np.array(True),
    }
