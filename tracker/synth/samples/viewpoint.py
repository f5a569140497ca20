"""Where the camera stands, what its frame shows, and which square of it the tracker would cut out.

The tracker cuts people out upright, about their hips, whichever way they lie in the frame (`tracker.detect.follow`),
and the landmark network knows no other crops. So it is the camera that is rolled here: somebody who lies on the floor
is seen by a camera that lies on its side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import matrix_from_axis_angle
from tracker.synth.samples.sample import SIZE

_FRAMES = ((1280, 720), (640, 480), (720, 1280), (1920, 1080), (960, 960))
_NEAREST = 0.25
"""m between the camera and the nearest point of a person."""
_IN_FRAME = 0.25
"""Share of the crop that the frame covers at least."""
_UPPER_BODY = [3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]
"""Joints from the waist up."""
_HIPS, _SHOULDERS = [1, 2], [16, 17]
_CROP_SIDE = 2.8
"""Side of the crop against the distance of the farthest joint from the hips; joints end at wrists, ankles and neck."""
_TURNED = 0.15
"""rad: how far from upright the tracker leaves people."""


@dataclass(frozen=True)
class SampleView:
    """A camera's orientation and the person's place before it."""

    R_camera_world: Array
    """(3, 3); the world has y up."""
    transl: Array
    """(3,) m from the person's root-centred points to the camera frame."""
    camera: Camera
    """Of the crop."""
    frame: Array
    """(4,) xyxy px of the crop: where the frame lies; outside it the crop is black."""


@dataclass(frozen=True)
class _Shot:
    """How a frame is taken: angles in rad, `size` the person's extent over the frame's height."""

    pitch: float
    focal: float
    """Over the frame's height."""
    size: float
    place: tuple[float, float]
    """Of the person in the frame, 0 at its middle and ±1 at its edges."""


def _wide_shot(rng: np.random.Generator) -> _Shot:
    """The whole person, as phones and cameras on a tripod or under a ceiling see people."""
    usual = rng.random() < 0.75
    pitch = rng.normal(0.10, 0.16) if usual else rng.uniform(-0.5, 1.2)
    focal = math.exp(rng.uniform(math.log(0.6), math.log(2.2)))
    size = math.exp(rng.uniform(math.log(0.3), math.log(1.15)))
    spread = max(0.12, 0.9 - 0.8 * size)
    return _Shot(pitch, focal, size, (rng.uniform(-spread, spread), rng.normal(0.0, 0.12)))


def _webcam_shot(rng: np.random.Generator) -> _Shot:
    """Somebody in front of a screen: near, from about the height of the head."""
    return _Shot(
        rng.normal(0.0, 0.15), rng.uniform(0.7, 1.4), rng.uniform(1.4, 2.6),
        (rng.uniform(-0.35, 0.35), rng.uniform(-0.1, 0.3)),
    )  # fmt: skip


def sample_view(rng: np.random.Generator, cloud: Array, joints: Array, webcam: bool) -> SampleView | None:
    """A view of a person whose surface (N, 3) and joints (24, 3) lie in the world; None where he comes too near or
    leaves the frame."""
    shot = _webcam_shot(rng) if webcam else _wide_shot(rng)
    width, height = _FRAMES[rng.integers(len(_FRAMES))]
    camera = Camera.from_focal(shot.focal * height, width, height)
    rotation = _orientation(shot.pitch, joints, rng.normal(0.0, _TURNED))
    cloud, joints = cloud @ rotation.T, joints @ rotation.T
    centre = joints[_UPPER_BODY].mean(axis=0) if webcam else (cloud.min(axis=0) + cloud.max(axis=0)) / 2
    extent = float(np.linalg.norm(np.ptp(cloud, axis=0)[:2]))
    distance = camera.fy * extent / (shot.size * height)
    aim = np.array([shot.place[0] * width / 2 / camera.fx, shot.place[1] * height / 2 / camera.fy, 1.0])
    transl = aim * distance - centre
    if (cloud[:, 2] + transl[2]).min() < _NEAREST:
        return None
    box = _crop_box(rng, camera.project(joints + transl))
    inside = np.minimum(box[2:], [width, height]) - np.maximum(box[:2], 0)
    if (inside <= 0).any() or inside.prod() < _IN_FRAME * (box[2] - box[0]) ** 2:
        return None
    crop = camera.crop(box, SIZE, SIZE)
    scale = SIZE / (box[2] - box[0])
    frame = np.array([-box[0], -box[1], width - box[0], height - box[1]]) * scale
    return SampleView(rotation, transl, crop, frame)


def _orientation(pitch: float, joints: Array, off: float) -> Array:
    """A camera that looks along the world's −z, tilted down by the pitch and rolled until the trunk stands upright in
    the picture but for `off` rad."""
    level = matrix_from_axis_angle(np.array([pitch, 0.0, 0.0])) @ np.diag([1.0, -1.0, -1.0])
    trunk = level @ (joints[_SHOULDERS].mean(axis=0) - joints[_HIPS].mean(axis=0))
    lean = math.atan2(trunk[0], -trunk[1])
    return matrix_from_axis_angle(np.array([0.0, 0.0, off - lean])) @ level


def _crop_box(rng: np.random.Generator, joints: Array) -> Array:
    """The square that the tracker cuts out, with the errors of a region that was found one frame before."""
    hips = joints[_HIPS].mean(axis=0)
    side = _CROP_SIDE * float(np.linalg.norm(joints - hips, axis=1).max()) * rng.uniform(0.85, 1.2)
    centre = hips + rng.uniform(-0.06, 0.06, 2) * side
    return np.concatenate([centre - side / 2, centre + side / 2])
