"""A body at rest, measured: what clothes, hair and paint are placed by."""

from __future__ import annotations

from dataclasses import dataclass

from tracker.body.model import JOINT_NAMES, LANDMARK_NAMES, ShapedBody
from tracker.core.arrays import Array
from tracker.synth.surface import Surface, body_surface


@dataclass(frozen=True)
class Anatomy:
    """The shaped body at rest with what garments are placed by."""

    surface: Surface
    normals: Array
    """(V, 3)."""
    joints: dict[str, Array]
    landmarks: dict[str, Array]

    @classmethod
    def of(cls, shaped: ShapedBody) -> Anatomy:
        """Measures a body with texture coordinates."""
        surface = body_surface(shaped)
        regressor = shaped.model.landmark_regressor(LANDMARK_NAMES)
        landmarks = (regressor @ shaped.rest_vertices).numpy().astype(float)
        joints = shaped.rest_joints.numpy().astype(float)
        return cls(
            surface,
            surface.normals(surface.rest),
            dict(zip(JOINT_NAMES, joints, strict=True)),
            dict(zip(LANDMARK_NAMES, landmarks, strict=True)),
        )

    @property
    def sole(self) -> float:
        """y of the lowest point of the bare feet."""
        return float(self.surface.rest[:, 1].min())

    @property
    def leg_length(self) -> float:
        """m from hip to ankle, the yardstick for lengths that grow with the body."""
        return float(self.joints["left_hip"][1] - self.joints["left_ankle"][1])
