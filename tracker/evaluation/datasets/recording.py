"""What every reader gives: pictures of one person with true joints, and which joints those are.

Joints of the same name are not the same points: Human3.6M's hips and head come from markers, LSP's from clicks, SMPL's
from a regressor on its mesh. Compared directly they differ by tens of millimetres without any error of the tracker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.body import JOINT_NAMES
from tracker.core.arrays import Array, require_shape
from tracker.core.camera import Camera
from tracker.core.errors import InputError


@dataclass(frozen=True)
class JointSet:
    """An order of joints and what they are."""

    name: str
    joints: tuple[str, ...]
    root: str
    """The joint, or the two whose middle (joined by '+'), that MPJPE brings together."""
    judged: tuple[str, ...]
    """The joints that the set's papers average over."""
    convention: str
    """How the papers get these joints from an SMPL mesh."""


_LSP = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
_H36M = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine", "neck", "jaw",
    "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
_MPI = (
    "head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head",
)  # fmt: skip
_SPIN = (*_LSP, "pelvis", "thorax", "spine", "jaw", "head", "nose", "left_eye", "right_eye", "left_ear", "right_ear")
_REGRESSED = (
    "the papers regress 14 joints from the mesh with Human3.6M's regressor (17, 6890), pelvis row as the root; "
    "SMPL's own joints differ from them by tens of millimetres"
)

JOINT_SETS = {
    each.name: each
    for each in (
        JointSet("smpl24", JOINT_NAMES, "pelvis", JOINT_NAMES, "SMPL's own joint regressor; all 24 count"),
        JointSet("h36m17", _H36M, "pelvis", _LSP, _REGRESSED),
        JointSet("mpi17", _MPI, "pelvis", _MPI, "markerless capture; the papers compare 17 joints, or 14 as Human3.6M"),
        JointSet(
            "lsp14", _LSP, "right_hip+left_hip", _LSP, "clicked by hand; the papers regress 14 joints from the mesh"
        ),
        JointSet("spin24", _SPIN, "pelvis", _LSP, _REGRESSED),
    )
}


@dataclass(frozen=True)
class SmplTruth:
    """SMPL parameters of T frames, in the camera frame."""

    theta: Array
    """(T, 24, 3) axis-angle."""
    betas: Array
    """(T, 10), of the gendered SMPL model."""
    transl: Array | None
    """(T, 3) m as smplx means it; None where the set gives none."""
    gender: str
    """'neutral', 'female' or 'male': whose model the betas belong to."""
    body_model: str = "smpl"
    """The name of the body that the parameters belong to."""


@dataclass(frozen=True)
class Recording:
    """Pictures of one person, T in number, in the order of time; or one still."""

    name: str
    pictures: tuple[Path, ...]
    """T files; or one video file of T frames."""
    joint_set: JointSet
    joints3d: Array | None
    """(T, J, 3) m, camera frame; where the set gives only root-relative joints, the root is at the origin."""
    joints2d: Array | None
    """(T, J, 2) px, pixel centres at integers + 0.5."""
    valid: NDArray[np.bool_]
    """(T, J) the joints that are annotated (in 2D, for a set that has both: visible or not)."""
    camera: Camera | None = None
    smpl: SmplTruth | None = None
    rate: float | None = None
    """Hz; None for stills."""
    still_camera: bool = False
    """Whether the camera stood still, so that standing feet do in its frame."""
    parts: tuple[Path, ...] | None = None
    """T pictures of body part labels, `segmentation.PARTS`; 255 where they are unknown."""

    def __post_init__(self) -> None:
        count, joints = self.valid.shape
        if joints != len(self.joint_set.joints):
            raise ValueError(f"{self.name}: expected {len(self.joint_set.joints)} joints, got {joints}")
        for name, size in (("joints3d", 3), ("joints2d", 2)):
            value = getattr(self, name)
            if value is not None:
                require_shape(f"{self.name}: {name}", value, (count, joints, size))

    def __len__(self) -> int:
        return len(self.valid)


@dataclass(frozen=True)
class Origin:
    """A data set's name, and where people get it."""

    title: str
    url: str

    def require(self, path: Path, what: str) -> Path:
        """The path, if it exists. Raises InputError, with where to get it, if not."""
        if not path.exists():
            raise InputError(f"{self.title}: {path}: not there; expected {what}; to be had at {self.url}")
        return path

    def first_existing(self, paths: Sequence[Path], tried: str) -> Sequence[Path]:
        """The paths, if there are any. Raises InputError naming the pattern that was tried."""
        if not paths:
            raise InputError(f"{self.title}: {tried}: nothing there; to be had at {self.url}")
        return paths

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Turns whatever broken content raises into an InputError that names the file."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # pickles, zip files, HDF5 and CDF raise dozens of kinds
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise InputError(f"{self.title}: {path}: not in this set's format ({reason})") from error
