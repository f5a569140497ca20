"""One person over time as the world sees them: joints, and the places of the body that touch floors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from tracker.body.kinematics import LandmarkRig, PosedPoints
from tracker.body.model import BodyModel
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import NUM_JOINTS, Array, require_shape
from tracker.world.contact_parts import CONTACT_PARTS, FOOT_PARTS, PART_JOINTS

PART_RADII = np.array([0.0, 0.0, 0.0, 0.0, 0.03, 0.03, 0.06, 0.06, 0.13])
"""(9,) m from the part's place, which lies inside of the body but for the feet, to the skin."""
_SOLE = 0.012
"""m over the lowest vertex of a foot at rest that still belong to its sole."""
_HEEL, _BALL = (0.0, 0.2), (0.6, 0.85)
"""Shares of the sole's length, from behind."""
_LONGEST_STEP = 0.2
"""s"""
_TOGETHER = 512
"""Frames posed at a time."""


@dataclass(frozen=True)
class BodyTrack:
    """One person over T frames, in the camera's frame."""

    times: Array
    """(T,) s, ascending."""
    theta: Array
    """(T, 24, 3) rad, axis-angle."""
    betas: Array
    """(10,)"""
    transl: Array
    """(T, 3) m."""
    joints: Array
    """(T, 24, 3) m."""
    points: Array
    """(T, 9, 3) m: places of CONTACT_PARTS."""
    confidence: Array
    """(T, 24) 0..1: how far the picture supports each joint."""
    standing: float = 0.0
    """m from neck to ankles at their farthest in the longer track that this is a part of; 0 where it is the whole."""

    def __post_init__(self) -> None:
        shapes = {"theta": (NUM_JOINTS, 3), "transl": (3,), "joints": (NUM_JOINTS, 3), "confidence": (NUM_JOINTS,)}
        for name, shape in (shapes | {"points": (len(CONTACT_PARTS), 3)}).items():
            require_shape(f"BodyTrack.{name}", getattr(self, name), (len(self.times), *shape))

    @classmethod
    def of_soles(
        cls, times: Array, theta: Array, betas: Array, transl: Array, joints: Array, soles: Array, confidence: Array
    ) -> BodyTrack:
        """soles: (T, 4, 3) m before transl is added."""
        points = np.concatenate([soles + transl[:, None], joints[:, PART_JOINTS[FOOT_PARTS:]]], axis=1)
        return cls(
            np.asarray(times, float), np.asarray(theta, float), np.asarray(betas, float), np.asarray(transl, float),
            joints, points, np.asarray(confidence, float),
        )  # fmt: skip

    @property
    def part_confidence(self) -> Array:
        """(T, 9)"""
        return self.confidence[:, PART_JOINTS]

    @property
    def longest_step(self) -> float:
        """s between frames beyond which nothing is known of what happened between them."""
        return _LONGEST_STEP if len(self.times) < 2 else max(_LONGEST_STEP, 2.5 * float(np.median(np.diff(self.times))))

    def rows(self, chosen: slice) -> BodyTrack:
        """These frames only."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in _ROWS})

    def followed_by(self, later: BodyTrack) -> BodyTrack:
        """These frames and later ones of the same person, under the later β."""
        return replace(later, **{name: np.concatenate([getattr(self, name), getattr(later, name)]) for name in _ROWS})

    def moved(self, offset: Array) -> BodyTrack:
        """The whole body moved by (T, 3) m."""
        step = offset[:, None]
        return replace(self, transl=self.transl + offset, joints=self.joints + step, points=self.points + step)


_ROWS = ("times", "theta", "transl", "joints", "points", "confidence")


class ContactBody:
    """Makes tracks of one body model."""

    def __init__(self, body: BodyModel) -> None:
        self._body = body
        patches = _sole_patches(body)
        self._starts = np.cumsum([0, *map(len, patches)])
        self._vertices = torch.as_tensor(np.concatenate(patches), device=body.v_template.device)

    def track(self, times: Array, theta: Array, betas: Array, transl: Array, confidence: Array) -> BodyTrack:
        """theta: (T, 24, 3); betas: (10,), the same for all frames; transl: (T, 3); confidence: (T, 24)."""
        joints, soles = self._posed(theta, betas)
        return BodyTrack.of_soles(times, theta, betas, transl, joints + transl[:, None], soles, confidence)

    def rest_joints(self, betas: Array) -> Array:
        """(24, 3) m."""
        template = self._body.v_template
        return self._body.with_shape(template.new_tensor(betas)).rest_joints.cpu().double().numpy()

    @property
    def parents(self) -> tuple[int, ...]:
        return self._body.parents

    def _posed(self, theta: Array, betas: Array) -> tuple[Array, Array]:
        """(T, 24, 3), (T, 4, 3) m before transl is added."""
        template = self._body.v_template
        shaped = self._body.with_shape(template.new_tensor(betas))
        joints, soles = np.zeros((len(theta), NUM_JOINTS, 3)), np.zeros((len(theta), FOOT_PARTS, 3))
        for start in range(0, len(theta), _TOGETHER):
            rows = slice(start, start + _TOGETHER)
            posed = shaped.with_pose(template.new_tensor(theta[rows]))
            skin = posed.skin(self._vertices).cpu().double().numpy()
            joints[rows] = posed.joints.cpu().double().numpy()
            for part in range(FOOT_PARTS):
                soles[rows, part] = skin[:, self._starts[part] : self._starts[part + 1]].mean(axis=1)
        return joints, soles


class ContactRig:
    """As `ContactBody`, for a few frames at a time: a hundredth of the time, without the body's pose correctives."""

    def __init__(self, body: BodyModel) -> None:
        patches = _sole_patches(body)
        shares = np.zeros((FOOT_PARTS, len(body.v_template)))
        for row, patch in zip(shares, patches, strict=True):
            row[patch] = 1 / len(patch)
        self._rig = LandmarkRig.of_places(body, shares)

    def posed(self, theta: Array, betas: Array) -> PosedPoints:
        """One frame, theta (24, 3); its points are the soles (4, 3)."""
        return self._rig.pose_from_theta(theta, betas)

    def track(self, times: Array, theta: Array, betas: Array, transl: Array, confidence: Array) -> BodyTrack:
        """As `ContactBody.track`."""
        frames = [self.posed(each, betas) for each in theta]
        joints = np.stack([frame.joints for frame in frames]) + transl[:, None]
        soles = np.stack([frame.points for frame in frames])
        return BodyTrack.of_soles(times, theta, betas, transl, joints, soles, confidence)


@lru_cache(maxsize=4)
def contact_body(body: BodyModel) -> ContactBody:
    """The same one for the same body."""
    return ContactBody(body)


@lru_cache(maxsize=4)
def contact_rig(body: BodyModel) -> ContactRig:
    """The same one for the same body."""
    return ContactRig(body)


def _sole_patches(body: BodyModel) -> list[NDArray[np.intp]]:
    """Vertices of both heels, then of both balls of the feet."""
    return [_sole_patch(body, side, share) for share in (_HEEL, _BALL) for side in ("left", "right")]


def _sole_patch(body: BodyModel, side: str, share: tuple[float, float]) -> NDArray[np.intp]:
    """Vertices of a foot's sole between two shares of its length."""
    bones = [smpl_index(f"{side}_{name}") for name in ("ankle", "foot")]
    vertices = body.v_template.cpu().double().numpy()
    foot = np.flatnonzero(np.isin(body.weights.argmax(dim=1).cpu().numpy(), bones))
    sole = foot[vertices[foot, 1] <= vertices[foot, 1].min() + _SOLE]
    back, length = vertices[sole, 2].min(), np.ptp(vertices[sole, 2])
    place = (vertices[sole, 2] - back) / max(float(length), 1e-9)
    chosen = sole[(place >= share[0]) & (place <= share[1])]
    return chosen if len(chosen) else sole
