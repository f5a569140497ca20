"""Where a fit starts when there is no previous frame: landmarks → pose by aligning the trunk, then each limb's
bones; or the pose that the trained inverse kinematics makes of them."""

from __future__ import annotations

import numpy as np

from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.geometry import rotation_between, similarity
from tracker.core.landmark_observation import LandmarkObservation
from tracker.initialise.inverse_kinematics import PoseGuess, Sight

_TRUNK = [MEDIAPIPE.index(f"{side}_{name}") for name in ("shoulder", "hip") for side in ("left", "right")]

_CLOSEST_BODY = 0.3
"""m: nobody whose landmarks are seen is closer than this."""

# (joint that turns, landmark at its start, landmark at its end); parents come before children
_LIMBS = tuple(
    (smpl_index(f"{side}_{start}"), MEDIAPIPE.index(f"{side}_{start}"), MEDIAPIPE.index(f"{side}_{end}"))
    for side in ("left", "right")
    for start, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
)


def initial_state(rig: LandmarkRig, observation: LandmarkObservation, betas: Array) -> BodyState:
    """A pose whose trunk and limb bones point where the 3D landmarks say, placed where the pixels say."""
    rest = rig.pose(np.broadcast_to(np.eye(3), (NUM_JOINTS, 3, 3)), betas)
    weight = observation.weight
    _, turn, _ = similarity(rest.points[_TRUNK], observation.metric[_TRUNK], weight[_TRUNK])

    rotations = np.tile(np.eye(3), (NUM_JOINTS, 1, 1))
    rotations[0] = turn
    world = {0: turn}
    for joint, start, end in _LIMBS:
        parent_world = world.get(rig.parents[joint], turn)
        bone = parent_world @ (rest.points[end] - rest.points[start])
        local = rotation_between(bone, observation.metric[end] - observation.metric[start])
        rotations[joint] = parent_world.T @ local @ parent_world
        world[joint] = parent_world @ rotations[joint]
    points = rig.pose(rotations, betas).points
    return BodyState(rotations, betas, place(observation.camera, points, observation.pixels, weight))


def sight(observation: LandmarkObservation) -> Sight:
    """The landmarks as the trained inverse kinematics takes them."""
    return Sight(observation.camera.rays(observation.pixels)[:, :2], observation.metric, observation.visibility)


def guessed_state(rig: LandmarkRig, observation: LandmarkObservation, betas: Array, guess: PoseGuess) -> BodyState:
    """The guessed pose, placed where the pixels say."""
    points = rig.pose(guess.rotations, betas).points
    return BodyState(guess.rotations, betas, place(observation.camera, points, observation.pixels, observation.weight))


def place(camera: Camera, points: Array, pixels: Array, weight: Array) -> Array:
    """The translation (3,) m that projects points (n, 3) nearest to pixels (n, 2), by weighted linear least squares.

    For each point, (x + t_x) = u (z + t_z) with u the pixel's ray at z = 1, and the same for y. At least _CLOSEST_BODY
    in front.
    """
    rays = camera.rays(pixels)[:, :2]
    count = len(points)
    matrix = np.zeros((count, 2, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1.0
    matrix[:, :, 2] = -rays
    right = rays * points[:, 2:3] - points[:, :2]
    root = np.sqrt(weight)[:, None]
    transl = np.linalg.lstsq((matrix * root[..., None]).reshape(-1, 3), (right * root).reshape(-1), rcond=None)[0]
    if transl[2] < _CLOSEST_BODY:
        transl = np.array([*(rays.mean(axis=0) * _CLOSEST_BODY), _CLOSEST_BODY])
    return transl


def mirrored(observation: LandmarkObservation) -> LandmarkObservation:
    """The observation with left and right landmarks exchanged and the depth reversed: what a detector says that has
    mistaken back for front."""
    order, metric = MEDIAPIPE.mirror, MEDIAPIPE.turned_about(observation.metric)
    return LandmarkObservation(observation.camera, observation.pixels[order], metric, observation.visibility[order])
