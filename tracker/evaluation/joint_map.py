"""Where a tracked body has a data set's joints.

Where a set's joints are not SMPL's own, they come from the mesh through Human3.6M's regressor, as in the papers.
Without that file only joints of the same name can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tracker.body import JOINT_NAMES, BodyModel, load_body
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.input_file import read_bytes, reading
from tracker.core.npz_file import read_npy
from tracker.core.person import Person
from tracker.evaluation.datasets import JOINT_SETS, JointSet, Recording, SmplTruth
from tracker.evaluation.truth import posed_body

REGRESSOR_ROWS = (
    "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "spine", "neck", "jaw",
    "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """Where the tracker puts a data set's joints in one frame, for one person."""

    person: Person
    joints3d: Array
    """(J, 3) m, camera frame; NaN for joints that the body does not have."""
    joints2d: Array
    """(J, 2) px."""


class JointMap:
    """Takes tracked people to a data set's joints."""

    def __init__(self, body: BodyModel, joint_set: JointSet, weights: Array | None) -> None:
        """weights: (17, V) of `read_regressor`; not used for SMPL's own joints."""
        self._body = body
        self._weights = None if joint_set.name == "smpl24" else weights
        names = JOINT_NAMES if self._weights is None else REGRESSOR_ROWS
        self._rows = [names.index(name) if name in names else -1 for name in joint_set.joints]

    def answer(self, person: Person, camera: Camera) -> Answer:
        """camera: the one that the tracker took for granted."""
        points = person.joints3d if self._weights is None else self._weights @ person_vertices(self._body, person)
        joints = np.vstack([points, np.full(3, np.nan)])[self._rows]
        return Answer(person, joints, camera.project(joints))


def person_vertices(body: BodyModel, person: Person) -> Array:
    """(V, 3) m, camera frame."""
    pose = person.pose
    return posed_body(body, pose.theta, pose.betas, pose.transl).vertices().numpy().astype(float)


def read_regressor(path: Path, body: BodyModel) -> Array:
    """(17, V) float64. Raises InputError when the file is none for this body."""
    expected = (len(REGRESSOR_ROWS), len(body.v_template))
    with reading(f"--regressor {path}", "expected SPIN's J_regressor_h36m.npy"):
        weights = np.asarray(read_npy(read_bytes(path)))
    if weights.shape != expected:
        raise InputError(f"--regressor {path}: expected shape {expected} for the body {body.name}, got {weights.shape}")
    return np.asarray(weights, float)


def truth_body(smpl: SmplTruth | None, folder: Path | None, tracked: BodyModel) -> BodyModel | None:
    """The body that a set's SMPL parameters belong to: the tracker's own, or a gendered one from the folder.

    None when it is not known. Raises InputError when the folder lacks the gender's file.
    """
    if smpl is None or smpl.body_model == tracked.name:
        return None if smpl is None else tracked
    if folder is None:
        return None
    tried = [folder / f"SMPL_{smpl.gender.upper()}{suffix}" for suffix in (".npz", ".pkl")]
    existing = next((path for path in tried if path.is_file()), None)
    if existing is None:
        raise InputError(f"--truth-bodies {folder}: expected {tried[0].name} or {tried[1].name} in it")
    return load_body(existing)


@dataclass(frozen=True)
class TrueMesh:
    """The true body of one frame; m, camera frame."""

    vertices: Array
    """(V, 3)."""
    pelvis: Array
    """(3,): SMPL's joint."""


def true_mesh(recording: Recording, body: BodyModel, frame: int) -> TrueMesh:
    """From the recording's SMPL parameters. Where these have no transl, its pelvis joint is where they belong."""
    smpl = recording.smpl
    assert smpl is not None
    posed = posed_body(body, smpl.theta[frame], smpl.betas[frame], np.zeros(3))
    vertices, pelvis = posed.vertices().numpy().astype(float), posed.joints[0].numpy().astype(float)
    if smpl.transl is not None:
        place = smpl.transl[frame]
    elif recording.joints3d is not None:
        place = recording.joints3d[frame, recording.joint_set.joints.index("pelvis")] - pelvis
    else:
        place = np.zeros(3)
    return TrueMesh(vertices + place, pelvis + place)


def regressed(recording: Recording, body: BodyModel, weights: Array) -> Recording:
    """A recording of SMPL's joints with the papers' instead: regressed from its true mesh, in Human3.6M's order."""
    joint_set = JOINT_SETS["h36m17"]
    rows = [REGRESSOR_ROWS.index(name) for name in joint_set.joints]
    joints = np.stack([(weights @ true_mesh(recording, body, i).vertices)[rows] for i in range(len(recording))])
    flat = None if recording.camera is None else recording.camera.project(joints)
    valid = np.repeat(recording.valid.any(axis=1)[:, None], len(rows), axis=1)
    return replace(recording, joint_set=joint_set, joints3d=joints, joints2d=flat, valid=valid)
