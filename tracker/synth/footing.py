"""Which soles stand on the floor in a motion whose floor is known exactly: the truth that contacts are judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.synth.figure import Figure
from tracker.synth.motion import Motion
from tracker.world.body_track import FOOT_PARTS, contact_body
from tracker.world.world_frame import WorldFrame

_ON_FLOOR = 0.02
"""m over the floor, the shoe's sole apart, up to which a part of a foot stands."""
_STANDING_SPEED = 0.2
"""m/s up to which it does."""


def standing_soles(motion: Motion, figure: Figure) -> NDArray[np.bool_]:
    """(T, 4): which of both heels and both toes, in the order of CONTACT_PARTS, stand on the floor."""
    body = contact_body(figure.shaped.model)
    rest = figure.shaped.rest_joints[0].numpy().astype(float)
    track = body.track(motion.times, motion.theta, figure.betas, motion.pelvis - rest, np.ones(motion.theta.shape[:2]))
    shoe = float(figure.shaped.rest_vertices[:, 1].min()) - figure.floor
    return standing_parts(track.points[:, :FOOT_PARTS], motion.times, shoe)


def standing_parts(soles: Array, times: Array, shoe: float) -> NDArray[np.bool_]:
    """(T, 4), of soles (T, 4, 3) m in a world with y up and the floor at 0. times: (T,) s; shoe: m under a sole."""
    low = soles[..., 1] < shoe + _ON_FLOOR
    speed = np.linalg.norm(np.gradient(soles, times, axis=0), axis=-1) if len(times) > 1 else np.zeros(low.shape)
    return low & (speed < _STANDING_SPEED)


def world_of(T_camera_world: Array, first: Array) -> WorldFrame:
    """The world's frame as trackers put it, with its origin under the pelvis' first place (3,) m in the camera's frame,
    of a scene whose own has y up and the floor at 0."""
    T_world_camera = np.linalg.inv(T_camera_world)
    return WorldFrame.of_floor(T_world_camera[1, :3], float(T_world_camera[1, 3]), first)
