"""Where on the body the detector's landmarks lie, measured on rendered people whose truth is known.

Dressed people of random shape, in random poses and seen from all sides, are rendered and given to the detector. For
each landmark the script finds the offset, in the T-pose axes of the bone that carries it, that brings the body's
point closest to the detector's pixels, and says how far off they are without and with it, and how exact the 3D
landmarks are. The offsets in `tracker/body/landmark_set.py` and the spreads in
`tracker/fit/landmark_fitter.py` come from here:

    python -m benchmarks.landmark_map --people 12 --poses 25 --save samples.npz [--landmarks heavy]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from tqdm import tqdm

from tracker.body import load_body
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle, rotation_between
from tracker.core.person import Pose
from tracker.detect import DetectConfig
from tracker.detect.follow import NetworkFollower
from tracker.detect.picture_landmarker import PictureLandmarker
from tracker.motion import MotionLibrary, PoseSampler, SamplerConfig
from tracker.networks.crop_network import landmarks_alone
from tracker.networks.landmark_files import FULL, landmark_network_file
from tracker.runtime.engine_config import EngineConfig
from tracker.synth.demo_scene import DemoScene, SceneConfig, Viewpoint
from tracker.synth.figure import Figure, FigureConfig

SIZE = (640, 480)
CAMERA = Camera.default(*SIZE)
OUT_OF_SIGHT = np.array([-9.0, 0.0, 1.0])
_VISIBLE = 0.6
_OUTLIER = 0.04
"""m at the person's distance."""
_MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class LandmarkSample:
    """One rendered person and what the detector said."""

    pose: Pose
    pixels: Array
    metric: Array
    visibility: Array


def random_pose(rng: np.random.Generator) -> Array:
    """(24, 3): a moderate random pose that stands upright, turned to any side."""
    prior = JointPrior.anatomical()
    theta = prior.clip(prior.mean + 0.6 * prior.spread * rng.normal(size=prior.mean.shape))
    heading = matrix_from_axis_angle(np.array([0.0, rng.uniform(-np.pi, np.pi), 0.0]))
    lean = matrix_from_axis_angle(np.array([rng.normal() * 0.1, 0.0, rng.normal() * 0.1]))
    return np.concatenate([axis_angle_from_matrix(heading @ lean)[None], theta])


def moving_pose(library: MotionLibrary) -> Callable[[np.random.Generator], Array]:
    """Draws poses (24, 3) that people took, turned to any side."""
    sampler = PoseSampler(library, config=SamplerConfig(recombined=0.0, postures=0.0, grafted=0.0))
    return lambda rng: axis_angle_from_matrix(sampler.poses(rng, 1)[0].astype(float))


def on_the_floor(theta: Array, figure: Figure, T_camera_world: Array, rng: np.random.Generator) -> Pose:
    """The pose (24, 3), y up, somewhere in front of the camera with its lowest point on the floor."""
    pelvis = figure.shaped.rest_joints[0].numpy().astype(float)
    lowest = figure.shaped.with_pose(torch.from_numpy(theta).float()).joints[:, 1].min().item() - pelvis[1]
    standing = figure.shaped.rest_joints[:, 1].min().item() - pelvis[1]
    height = pelvis[1] - figure.floor + standing - lowest
    place = np.array([rng.uniform(-0.5, 0.5), height, rng.uniform(-0.5, 0.3)])
    turn = T_camera_world[:3, :3]
    root = axis_angle_from_matrix(turn @ matrix_from_axis_angle(theta[0]))
    return Pose(root, theta[1:].reshape(-1), figure.betas, turn @ place + T_camera_world[:3, 3] - pelvis)


def samples(
    people: int,
    poses: int,
    seed: int,
    draw: Callable[[np.random.Generator], Array] = random_pose,
    network: Path | None = None,
) -> Iterator[LandmarkSample]:
    """Renders and detects; poses in which nobody is found are left out.

    draw: makes (24, 3), y up; network: the landmark network's file, by default the full one's.
    """
    rng = np.random.default_rng(seed)
    config, engine = DetectConfig(max_people=1), EngineConfig()
    follower = NetworkFollower(engine, landmarks_alone(network))
    landmarker = PictureLandmarker.open(config, engine, follower)
    for person in range(people):
        figure = Figure(load_body(None), rng.normal(size=10) * 0.7, FigureConfig(), seed + person)
        view = Viewpoint(rng.uniform(0.9, 1.7), distance=4.2, tilt_degrees=rng.uniform(0, 10))
        scene = DemoScene(CAMERA, figure, SceneConfig(viewpoint=view), seed + person)
        for index in range(poses):
            pose = on_the_floor(draw(rng), figure, view.T_camera_world, rng)
            for reading in landmarker.read(scene.draw(pose, OUT_OF_SIGHT, index).image, config.min_detection):
                yield LandmarkSample(pose, reading.landmarks2d, reading.landmarks3d, reading.visibility)
    landmarker.close()
    follower.close()


@dataclass(frozen=True)
class Finding:
    """One landmark (both sides together, in the left one's axes)."""

    name: str
    bone: str
    offset: Array
    """(3,) m."""
    before: float
    """m: median distance across the line of sight as the map has it now."""
    after: float


def carrier(rig: LandmarkRig, k: int) -> int:
    """The bone that moves a landmark most."""
    carried = rig.carried
    return int(carried.bones[np.argmax((carried.points == k) * carried.weights)])


def offset_of(name: str, rig: LandmarkRig, samples_of: list[LandmarkSample]) -> Finding:
    """Robust least squares over every sample in which the landmark is visible."""
    slopes, errors = [], []
    for side, mirror in (("left", np.eye(3)), ("right", _MIRROR)):
        sided = name.replace("left", side)
        if sided == name and side == "right":
            continue
        k = MEDIAPIPE.index(sided)
        for sample in samples_of:
            if sample.visibility[k] < _VISIBLE:
                continue
            posed = rig.pose_from_theta(sample.pose.theta, sample.pose.betas)
            point = posed.points[k] + sample.pose.transl
            scale = point[2] / CAMERA.fx
            across = np.array([[1.0, 0.0, -point[0] / point[2]], [0.0, 1.0, -point[1] / point[2]]])
            slopes.append(across @ posed.world_rotations[carrier(rig, k)] @ mirror)
            errors.append((sample.pixels[k] - CAMERA.project(point)) * scale)
    slope, error = np.stack(slopes), np.stack(errors)
    offset = np.zeros(3)
    for _ in range(20):
        residual = error - slope @ offset
        weight = 1 / (1 + (residual**2).sum(axis=1) / _OUTLIER**2) ** 2
        normal = np.einsum("n,nij,nik->jk", weight, slope, slope)
        offset = np.linalg.solve(normal, np.einsum("n,nij,ni->j", weight, slope, error))
    bone = SMPL_JOINTS[carrier(rig, MEDIAPIPE.index(name))]
    before, after = (float(np.median(np.linalg.norm(e, axis=1))) for e in (error, error - slope @ offset))
    return Finding(name, bone, offset, before, after)


def metric_spread(rig: LandmarkRig, samples_of: list[LandmarkSample]) -> Array:
    """(33, 3) m: robust standard deviation of the 3D landmarks, scaled and shifted onto the truth; depth last."""
    errors = []
    for sample in samples_of:
        posed = rig.pose_from_theta(sample.pose.theta, sample.pose.betas)
        turn = rotation_between(np.array([0.0, 0.0, 1.0]), posed.joints[0] + sample.pose.transl)
        truth = (posed.points - posed.points.mean(axis=0)) @ turn
        metric = sample.metric - sample.metric.mean(axis=0)
        errors.append(metric * (metric * truth).sum() / (metric**2).sum() - truth)
    stacked = np.stack(errors)
    return 1.48 * np.median(np.abs(stacked - np.median(stacked, axis=0)), axis=0)


@click.command()
@click.option("--people", default=6, show_default=True, help="Shapes and outfits.")
@click.option("--poses", default=25, show_default=True, help="Poses of each.")
@click.option("--seed", default=1, show_default=True)
@click.option("--motion", type=click.Path(path_type=Path), help="Poses of held-out clips of these motion files.")
@click.option("--landmarks", default=FULL, show_default=True, help="The landmark network: its name or file.")
@click.option("--save", type=click.Path(path_type=Path), help="Keep the samples as an .npz, for `landmark_fit`.")
def main(people: int, poses: int, seed: int, motion: Path | None, landmarks: str, save: Path | None) -> None:
    """Measure where the detector's landmarks lie on the built-in body."""
    rig = LandmarkRig.from_body(load_body(None))
    draw = random_pose if motion is None else moving_pose(MotionLibrary.open(motion).split()[1])
    network = landmark_network_file(landmarks)
    readings = list(tqdm(samples(people, poses, seed, draw, network), total=people * poses, unit="picture"))
    if save is not None:
        np.savez(
            save,
            theta=[s.pose.theta for s in readings],
            betas=[s.pose.betas for s in readings],
            transl=[s.pose.transl for s in readings],
            pixels=[s.pixels for s in readings],
            metric=[s.metric for s in readings],
            visibility=[s.visibility for s in readings],
        )
    spread = metric_spread(rig, readings)
    click.echo(f"{len(readings)} of {people * poses} people found")
    click.echo(f"{'landmark':18}{'bone':15}{'offset mm (x, y, z)':>24}{'off mm':>8}{'then':>6}{'3D spread mm':>18}")
    for name in MEDIAPIPE.names:
        if "right" in name:
            continue
        finding = offset_of(name, rig, readings)
        x, y, z = 1e3 * finding.offset
        sx, sy, sz = 1e3 * spread[MEDIAPIPE.index(name)]
        click.echo(
            f"{name:18}{finding.bone:15}{x:8.0f}{y:8.0f}{z:8.0f}{1e3 * finding.before:8.0f}{1e3 * finding.after:6.0f}"
            f"{sx:6.0f}{sy:6.0f}{sz:6.0f}"
        )


if __name__ == "__main__":
    main()
