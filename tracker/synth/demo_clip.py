"""The demo's clip: what the person does, what passes in front, and the exact truth of every frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tracker.body.free_body import load_free_body
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import Pose
from tracker.synth.demo_scene import DemoScene, SceneConfig, Shot, Viewpoint
from tracker.synth.figure import Figure, FigureConfig
from tracker.synth.footing import standing_soles, world_of
from tracker.synth.gait import FootPlan, GaitConfig
from tracker.synth.gesture import ARMS_UP, REACHING, SQUATTING, STANDING, WAVE_IN, WAVE_OUT, Key
from tracker.synth.legs import SIDES, LegGeometry
from tracker.synth.motion import Choreography, Motion, perform
from tracker.world.world_frame import WorldFrame


@dataclass(frozen=True)
class ClipConfig:
    """The clip that the demo makes. The camera is what the tracker assumes of an unknown one (`Camera.default`)."""

    seconds: float = 12.0
    rate: Fraction = Fraction(30)
    width: int = 640
    height: int = 480
    seed: int = 5
    betas: tuple[float, ...] = (-0.6, 0.5, -0.4, 0.3, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0)
    figure: FigureConfig = field(default_factory=FigureConfig)
    scene: SceneConfig = field(default_factory=SceneConfig)

    @property
    def frames(self) -> int:
        """At least two: a motion needs neighbours in time."""
        return max(2, round(self.seconds * self.rate))

    @property
    def times(self) -> Array:
        """(T,) s."""
        return np.array([float(i / self.rate) for i in range(self.frames)])


@dataclass(frozen=True)
class ClipTruth:
    """What a tracker should find, for T frames; SMPL's parameters of the built-in body, in the camera frame."""

    times: Array
    """(T,) s."""
    theta: Array
    """(T, 24, 3) axis-angle."""
    betas: Array
    """(10,)."""
    transl: Array
    """(T, 3) m."""
    joints3d: Array
    """(T, 24, 3) m."""
    joints2d: Array
    """(T, 24, 2) px."""
    hidden: NDArray[np.bool_]
    """(T, 24) joints that the obstacle hides."""
    standing: NDArray[np.bool_]
    """(T, 4): which of both heels and both toes stand on the floor."""
    world: WorldFrame
    """With the real floor, on which the shoes' soles stand."""
    camera: Camera
    body_model: str
    """Whose betas these are."""

    def pose(self, index: int) -> Pose:
        """The pose of one frame."""
        theta = self.theta[index]
        return Pose(theta[0], theta[1:].ravel(), self.betas, self.transl[index])


_START, _START_HEADING = np.array([-1.55, -0.60]), 1.15
_CENTRE = np.array([0.10, 0.15])
_AWAY, _BACK = -2.75, -1.7
"""rad: the headings at the start and the end of the way back, the first nearly away from the camera."""
_OBSTACLE_SPEED, _OBSTACLE_Z = 0.60, 1.35
_OBSTACLE_AFTER = 4.9
"""s after the person has come to the middle."""
_OBSTACLE_SHARE = 0.62
"""Of a clip that is too short for that."""


@dataclass(frozen=True)
class Script:
    """What happens."""

    choreography: Choreography
    passings: tuple[float, ...]
    """s: when the obstacle is right in front of the person."""


def write_script(seconds: float, seed: int) -> Script:
    """Walks in, waves, squats, raises the arms, reaches, turns and walks back; over and over."""
    feet = FootPlan(GaitConfig(), _START, _START_HEADING)
    keys, passings = [Key(0.0, STANDING)], []
    while feet.time < seconds:
        towards = feet.heading - _START_HEADING
        feet.walk(_CENTRE, towards)
        passings.append(feet.time + _OBSTACLE_AFTER)
        acted = _gestures(feet.time)
        keys += acted
        feet.wait(acted[-1].time - feet.time)
        feet.turn(towards + _AWAY, 3)
        feet.walk(_START, towards + _BACK)
        feet.turn(towards - 2 * np.pi + _START_HEADING, 4)
        keys.append(Key(feet.time, STANDING))
    within = tuple(time for time in passings if time < seconds) or (_OBSTACLE_SHARE * seconds,)
    return Script(Choreography(feet, keys, seed), within)


def _gestures(start: float) -> list[Key]:
    """On the spot, from `start` s on."""
    steps = (
        (0.0, STANDING), (0.50, WAVE_OUT), (0.26, WAVE_IN), (0.26, WAVE_OUT), (0.26, WAVE_IN), (0.55, STANDING),
        (0.80, SQUATTING), (0.20, SQUATTING), (0.75, STANDING), (0.60, ARMS_UP), (0.35, ARMS_UP), (0.60, STANDING),
        (0.55, REACHING), (0.20, REACHING), (0.50, STANDING),
    )  # fmt: skip
    keys, time = [], start
    for seconds, posture in steps:
        time += seconds
        keys.append(Key(time, posture))
    return keys


class DemoClip:
    """Makes the frames of the clip one after another; the truth is there from the start."""

    def __init__(self, config: ClipConfig) -> None:
        self.config = config
        self.camera = Camera.default(config.width, config.height)
        figure = Figure(load_free_body(), np.array(config.betas), config.figure, config.seed)
        legs = [LegGeometry.of(figure.shaped, side, figure.floor) for side in SIDES]
        script = write_script(config.seconds, config.seed)
        self.motion = perform(script.choreography, (legs[0], legs[1]), config.times)
        self._obstacle = _obstacle_path(self.motion, script.passings, config.scene.viewpoint)
        self._scene = DemoScene(self.camera, figure, config.scene, config.seed)
        self.truth = _truth(self.motion, self._scene, self._obstacle)

    def __len__(self) -> int:
        return self.config.frames

    def draw(self, index: int) -> Shot:
        """One frame, the same for the same configuration."""
        return self._scene.draw(self.truth.pose(index), self._obstacle[index], index)


def _obstacle_path(motion: Motion, passings: tuple[float, ...], view: Viewpoint) -> Array:
    """(T, 3) m, world frame: rolls from left to right, in the line of sight to the person at the given times."""
    times = np.array(passings)
    share = (view.distance - _OBSTACLE_Z) / (view.distance - motion.pelvis[:, 2])
    in_sight = np.interp(times, motion.times, motion.pelvis[:, 0] * share)
    nearest = np.abs(motion.times[:, None] - times).argmin(axis=1)
    x = in_sight[nearest] + _OBSTACLE_SPEED * (motion.times - times[nearest])
    return np.stack([x, np.zeros_like(x), np.full_like(x, _OBSTACLE_Z)], axis=1)


def _truth(motion: Motion, scene: DemoScene, obstacle: Array) -> ClipTruth:
    T, figure = scene.config.viewpoint.T_camera_world, scene.figure
    theta = motion.theta.copy()
    theta[:, 0] = axis_angle_from_matrix(T[:3, :3] @ matrix_from_axis_angle(motion.theta[:, 0]))
    rest_pelvis = figure.shaped.rest_joints[0].numpy().astype(float)
    transl = motion.pelvis @ T[:3, :3].T + T[:3, 3] - rest_pelvis
    joints = figure.joints(theta, transl)
    hidden = np.stack([scene.hidden(each, at) for each, at in zip(joints, obstacle, strict=True)])
    return ClipTruth(
        times=motion.times,
        theta=theta,
        betas=figure.betas,
        transl=transl,
        joints3d=joints,
        joints2d=scene.camera.project(joints),
        hidden=hidden,
        standing=standing_soles(motion, figure),
        world=world_of(T, joints[0, 0]),
        camera=scene.camera,
        body_model=figure.shaped.model.name,
    )
