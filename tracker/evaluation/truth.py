"""The truth about one person. The tracker never receives it: only the scoring of what it gave out does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from tracker.body import BodyModel
from tracker.body.model import PosedBody
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.crop import square_box

CROP_SIDE = 224
"""px: the square picture of the person to which the papers' sizes of occluders refer."""
CROP_MARGIN = 1.2
"""Side of that square over the longer side of the body's box."""


@dataclass(frozen=True)
class Truth:
    """SMPL parameters of one person over T frames, and what follows from them; metres and pixels, camera frame."""

    times: Array
    """(T,) s."""
    theta: Array
    """(T, 24, 3) axis-angle."""
    betas: Array
    """(10,)."""
    transl: Array
    """(T, 3)."""
    camera: Camera
    body_model: str
    joints3d: Array
    """(T, 24, 3)."""
    boxes: Array
    """(T, 4) xyxy: tight around the body without clothes; may reach outside the picture."""
    head_lengths: Array
    """(T,) px: from the neck joint to the crown, as long as it would be if it were seen from the side."""

    @classmethod
    def of(cls, body: BodyModel, camera: Camera, times: Array, poses: tuple[Array, Array, Array]) -> Truth:
        """From theta (T, 24, 3), betas (10,) and transl (T, 3)."""
        theta, betas, transl = poses
        joints, boxes, heads = [], [], []
        for angles, place in zip(theta, transl, strict=True):
            posed = posed_body(body, angles, betas, place)
            vertices, at = posed.vertices().numpy().astype(float), posed.joints.numpy().astype(float)
            pixels = camera.project(np.maximum(vertices, [-np.inf, -np.inf, 0.05]))
            neck, crown = at[smpl_index("neck")], vertices[int(body.v_template[:, 1].argmax())]
            joints.append(at)
            boxes.append(np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]))
            heads.append(camera.fx * np.linalg.norm(crown - neck) / max(float(neck[2]), 0.05))
        arrays = (np.stack(joints), np.stack(boxes), np.array(heads))
        return cls(times, theta, betas, transl, camera, body.name, *arrays)

    @cached_property
    def joints2d(self) -> Array:
        """(T, 24, 2)."""
        return self.camera.project(np.maximum(self.joints3d, [-np.inf, -np.inf, 0.05]))

    @cached_property
    def in_picture(self) -> NDArray[np.bool_]:
        """(T, 24) the joints within the picture's edges."""
        size = [self.camera.width, self.camera.height]
        return ((self.joints2d >= 0) & (self.joints2d < size)).all(axis=-1)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(T,) whether at least half of the joints are in the picture: only then the person is asked for."""
        return self.in_picture.mean(axis=1) >= 0.5

    def crop_box(self, frame: int) -> Array:
        """(4,) xyxy px: the square of CROP_SIDE pixels around the person."""
        return square_box(self.boxes[frame], CROP_MARGIN)

    def posed(self, body: BodyModel, frame: int) -> PosedBody:
        """The body in one frame's pose."""
        return posed_body(body, self.theta[frame], self.betas, self.transl[frame])


def posed_body(body: BodyModel, theta: Array, betas: Array, transl: Array) -> PosedBody:
    """A body in a pose, float32: theta (24, 3), betas (10,), transl (3,)."""
    shape, pose, place = (torch.as_tensor(np.asarray(value, np.float32)) for value in (betas, theta, transl))
    return body.with_shape(shape).with_pose(pose, place)
