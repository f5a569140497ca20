"""From a pose to what is told of a person: their joints in space and in the picture, and the box around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig, Outline
from tracker.body.skinner import Skinner, skinner_of
from tracker.core.arrays import Array
from tracker.core.camera import NEAREST_Z, Camera
from tracker.core.geometry import matrix_from_axis_angle, place_on_rays
from tracker.core.person import Person, Pose

if TYPE_CHECKING:
    from tracker.body.model import BodyModel


@dataclass(frozen=True)
class SightedPose:
    """A pose, and where the picture shows its joints."""

    pose: Pose
    world_rotations: Array
    """(24, 3, 3)"""
    joints: Array
    """(24, 3) m, camera frame."""


class PersonPoser:
    """Makes people of one body model from a few points of it: they come without a mesh. It can go to another process,
    which need not load torch."""

    def __init__(self, rig: LandmarkRig, outline: Outline) -> None:
        self.rig, self.outline = rig, outline

    @property
    def skin(self) -> Callable[[Pose], NDArray[np.float32]] | None:
        """What their meshes come from."""
        return None

    def person(self, person_id: int, pose: Pose, camera: Camera, confidence: Array, nll: float) -> Person:
        """confidence: (24,) of the joints; nll: the fit's cost."""
        posed = self.outline.pose(matrix_from_axis_angle(pose.theta), pose.betas)
        joints3d, points = posed.joints + pose.transl, posed.points + pose.transl
        in_front = points[points[:, 2] > NEAREST_Z]
        pixels = camera.project(in_front if len(in_front) else np.array([[0.0, 0.0, 1.0]]))
        bbox = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
        joints2d = camera.project_clamped(joints3d)
        return Person(person_id, pose, joints3d, joints2d, confidence, bbox, nll, self.skin)

    def outline_in(self, camera: Camera, state: BodyState) -> tuple[Array, NDArray[np.integer]]:
        """Points (n, 2) px spread over a posed body's skin and the part of the body (n,) that each belongs to: those in
        front of the camera."""
        points = self.outline.pose(state.rotations, state.betas).points + state.transl
        in_front = points[:, 2] > NEAREST_Z
        return camera.project(points[in_front]), self.outline.parts[in_front]

    def posed(self, pose: Pose, camera: Camera, like: Person) -> Person:
        """`like` in another pose: its joints and box anew, its identity, clothes, confidence and score kept."""
        person = self.person(like.person_id, pose, camera, like.joint_confidence, like.nll)
        return replace(person, clothing=like.clothing)

    def seen_by(self, camera: Camera, people: Sequence[Person]) -> list[Person]:
        """The same people with their joints and boxes in this camera's pixels."""
        return [self.posed(person.pose, camera, person) for person in people]

    def sighted(self, pose: Pose) -> SightedPose:
        """The pose with what stays when its shape changes."""
        posed = self.rig.pose_from_theta(pose.theta, pose.betas)
        return SightedPose(pose, posed.world_rotations, posed.joints + pose.transl)

    def reshaped(self, pose: Pose, betas: Array) -> Pose:
        """The pose with another shape (10,), moved so that the joints stay where the picture shows them."""
        return self.reshaped_all([self.sighted(pose)], betas)[0]

    def reshaped_all(self, poses: Sequence[SightedPose], betas: Array) -> list[Pose]:
        """`reshaped`, of many at once."""
        joints = self.rig.joints_of(np.stack([each.world_rotations for each in poses]), betas)
        places = place_on_rays(joints, np.stack([each.joints for each in poses]))
        return [replace(each.pose, betas=betas, transl=place) for each, place in zip(poses, places, strict=True)]


class PersonBuilder(PersonPoser):
    """The same with the body itself: people have meshes."""

    def __init__(self, body: BodyModel) -> None:
        super().__init__(LandmarkRig.from_body(body), Outline.from_body(body))
        self.body = body

    @property
    def skin(self) -> Callable[[Pose], NDArray[np.float32]] | None:
        """See PersonPoser."""
        return self.vertices

    def without_body(self) -> PersonPoser:
        """What can go to another process."""
        return PersonPoser(self.rig, self.outline)

    @cached_property
    def skinner(self) -> Skinner:
        """Made when somebody first asks for a mesh."""
        return skinner_of(self.body)

    def vertices(self, pose: Pose) -> NDArray[np.float32]:
        """(V, 3) m: the posed mesh."""
        return self.skinner.vertices(pose)
