"""What the tracker gives out: people with SMPL's parameters.

Metres, radians, seconds, pixels. Camera frame: x right, y down, z forward (OpenCV).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array, require_shape
from tracker.core.errors import InputError
from tracker.core.frame import Frame


@dataclass(frozen=True)
class Pose:
    """SMPL's parameters for one person in one frame."""

    global_orient: Array
    """(3,) axis-angle, rad: from the body's frame to the camera's."""
    body_pose: Array
    """(69,) axis-angle, rad, joints 1..23 in SMPL's order."""
    betas: Array
    """(10,) shape coefficients of the body model in use."""
    transl: Array
    """(3,) m, camera frame; vertices = SMPL(pose, betas) + transl (as smplx)."""

    def __post_init__(self) -> None:
        require_shape("Pose.global_orient", self.global_orient, (3,))
        require_shape("Pose.body_pose", self.body_pose, (3 * (NUM_JOINTS - 1),))
        require_shape("Pose.betas", self.betas, (NUM_BETAS,))
        require_shape("Pose.transl", self.transl, (3,))

    @property
    def theta(self) -> Array:
        """(24, 3) axis-angle of all joints, global_orient first."""
        return np.concatenate([self.global_orient, self.body_pose]).reshape(NUM_JOINTS, 3)


BELIEVED = 0.35
"""Confidence that one joint at least must have for a fit to be believed."""


@dataclass(frozen=True)
class Person:
    """One person in one frame, as the tracker gives them out."""

    person_id: int
    pose: Pose
    joints3d: Array
    """(24, 3) m, camera frame."""
    joints2d: Array
    """(24, 2) px in the frame."""
    joint_confidence: Array
    """(24,) in 0..1: how far the image supports the joint; low where it is hidden."""
    bbox: Array
    """(4,) xyxy px."""
    nll: float
    """Negative log-likelihood of the fit, per observation: low is good."""
    skin: Callable[[Pose], NDArray[np.float32]] | None = field(default=None, repr=False, compare=False)
    """The body's vertices as a function of the pose; left behind when a person goes to another process."""
    clothing: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """(V,) m: how far clothes and hair stand out of the skin along its normal, as far as is known by then; None where
    that is not measured (`TrackerConfig.clothed`)."""

    def __post_init__(self) -> None:
        require_shape("Person.joints3d", self.joints3d, (NUM_JOINTS, 3))
        require_shape("Person.joints2d", self.joints2d, (NUM_JOINTS, 2))
        require_shape("Person.joint_confidence", self.joint_confidence, (NUM_JOINTS,))
        require_shape("Person.bbox", self.bbox, (4,))

    @property
    def believed(self) -> bool:
        """Whether the fit is: who is not believed is not drawn, and a frame with nobody else is one without people."""
        return bool(self.joint_confidence.max() > BELIEVED)

    @cached_property
    def vertices(self) -> NDArray[np.float32]:
        """(V, 3) m, camera frame: the posed skin; `Tracker.faces` has its triangles."""
        if self.skin is None:
            raise ValueError("Person.vertices: this person came without a body; give the pose to a Skinner of one")
        return self.skin(self.pose)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "vertices"} | {"skin": None}


def require_people(people: object) -> list[Person]:
    """A list of them. Raises InputError for anything else."""
    if not isinstance(people, Iterable):
        raise InputError(f"people: expected a list of Person, as step gives it, got {type(people).__name__}")
    everybody = list(people)
    for each in everybody:
        if not isinstance(each, Person):
            raise InputError(f"people: expected a list of Person, got one that holds {type(each).__name__}")
    return everybody


@dataclass(frozen=True)
class FrameRecord:
    """The people of one frame, without its picture."""

    index: int
    time: float
    """s"""
    people: Sequence[Person]


@dataclass(frozen=True)
class TrackedFrame:
    """A frame that is ready to be drawn."""

    frame: Frame
    people: list[Person]
