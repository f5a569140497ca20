"""Training of joint inpainting and GIK-Net from motion alone; about 25 minutes on one CPU thread.

People of any shape stand before any camera, their landmarks are off as the detector's are (`noise.py`), parts of them
are hidden or blank.

Loss of a batch, points p (joints and landmarks about the pelvis), rotations R, shape β, and K(R, β) the points of the
body so posed:

    w_p (|p − p̂| + |p − K(R̂, β̂)|) + |R − R̂| + w_β |β − β̂| + w_σ (‖log R R̂ᵀ‖² / 2σ² + 3 log σ)

means over people, points, joints and axes; the last term teaches each joint's σ and leaves the rotations alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.body import BodyModel, load_body
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.model import JOINT_NAMES, forward_kinematics
from tracker.body.smpl_joints import LSP_JOINTS
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.tensor_file import save_plain
from tracker.initialise.inverse_kinematics import INPUT_SIZES, POINTS, Sight, Votes, facing, known_of
from tracker.motion.motion_library import MotionLibrary
from tracker.motion.sampler import PoseSampler, SamplerConfig
from tracker.networks.inverse_kinematics_networks import (
    InverseKinematicsConfig,
    InverseKinematicsNetwork,
    InverseKinematicsOutput,
)
from tracker.training.job import TrainingJob
from tracker.training.noise import LandmarkNoise
from tracker.training.small_network import TrainingCourse, train_small
from tracker.training.threads import threads

_THREADS = 1
"""The matrices are small: more threads wait for each other, for long on a busy machine."""
_UPSIDE = np.diag([1.0, -1.0, -1.0])
"""From a world with y up to a level camera that looks along its −z."""
_CHILD_DIRECTION = 8
"""Which of the free body's shape directions leads to children."""
_NEAREST = 0.35
"""m between the camera and the nearest point of a person."""
_SHOULDERS, _HIPS = [11, 12], [23, 24]
LIMBS = tuple(
    np.array([k for k, name in enumerate(MEDIAPIPE.names) if name.startswith(side) and low <= k < high])
    for low, high in ((13, 23), (25, 33))
    for side in ("left", "right")
)
"""Left and right arm from the elbow, left and right leg from the knee."""
BELOW_WAIST = np.arange(23, 33)


@dataclass(frozen=True)
class HidingConfig:
    """Which landmarks something stands in front of; shares are of all people, the rest are seen whole."""

    limbs: float = 0.2
    below_waist: float = 0.12
    scattered: float = 0.13
    beyond_line: float = 0.15
    """Past an edge: of the frame, of a table."""
    box: float = 0.12
    known: float = 0.4
    """Of these people: how often the landmarks are blank, not guessed by the detector."""


@dataclass(frozen=True)
class VoteConfig:
    """How far the joints are off that dense maps vote for; for networks that take votes."""

    noise: float = 0.04
    """m, standard deviation of each coordinate."""
    blank: float = 0.3
    """Share of joints for which nobody votes, beside those that something hides."""


@dataclass(frozen=True)
class InverseKinematicsTraining:
    """What `configs/train/inverse_kinematics.yaml` may set."""

    network: InverseKinematicsConfig = field(default_factory=InverseKinematicsConfig)
    poses: SamplerConfig = field(default_factory=SamplerConfig)
    hiding: HidingConfig = field(default_factory=HidingConfig)
    votes: VoteConfig = field(default_factory=VoteConfig)
    steps: int = 20000
    batch: int = 256
    learning_rate: float = 1e-3
    pool: int = 40_000
    """People drawn ahead; each is looked at `uses` times before new ones are drawn."""
    uses: int = 10
    clean: float = 0.1
    """Share of people whose landmarks are exact."""
    children: float = 0.15
    focal_error: float = 0.15
    """Standard deviation of the logarithm of the assumed focal length over the true one."""
    point_weight: float = 10.0
    shape_weight: float = 0.05
    spread_weight: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class People:
    """Posed people in a world with y up; n of them."""

    rotations: Array
    """(n, 24, 3, 3) float32 relative to the parents, the root to the world."""
    betas: Array
    """(n, 10)."""
    points: Array
    """(n, 57, 3) m about the pelvis: joints, then landmarks."""

    def __len__(self) -> int:
        return len(self.betas)

    def some(self, rows: NDArray[np.int64]) -> People:
        return People(self.rotations[rows], self.betas[rows], self.points[rows])


@dataclass(frozen=True)
class Lesson:
    """What the networks see, and what they should say: in the axes of the camera that looks straight at each person."""

    sight: Sight
    """With the camera that is assumed."""
    votes: Votes
    points: Array
    """(n, 57, 3) m about the pelvis."""
    rotations: Array
    """(n, 24, 3, 3)."""
    betas: Array


class PointBody:
    """The body's joints and landmarks as a differentiable function of pose and shape."""

    def __init__(self, body: BodyModel) -> None:
        carried = LandmarkRig.from_body(body).carried
        self._rest, self._rest_betas = (
            torch.from_numpy(carried.rest).float(),
            torch.from_numpy(carried.rest_betas).float(),
        )
        self._joints, self._joints_betas = (torch.from_numpy(v).float() for v in (carried.joints, carried.joints_betas))
        self._weights = torch.from_numpy(carried.weights).float()[:, None]
        self._bones, self._points = (torch.from_numpy(v).long() for v in (carried.bones, carried.points))
        self._parents, self._count = body.parents, carried.count

    def __call__(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """(B, 24, 3, 3), (B, 10) → (B, 57, 3) m about the pelvis: joints, then landmarks."""
        rest = self._joints + torch.einsum("jcs,bs->bjc", self._joints_betas, betas)
        world, joints = forward_kinematics(rotations, rest, self._parents)
        arms = self._rest + torch.einsum("pcs,bs->bpc", self._rest_betas, betas)
        moved = (world[:, self._bones] @ arms[..., None])[..., 0] + self._weights * joints[:, self._bones]
        landmarks = moved.new_zeros(len(betas), self._count, 3).index_add(1, self._points, moved)
        return torch.cat([joints, landmarks], dim=1) - joints[:, :1]

    def people(self, rotations: Array, betas: Array) -> People:
        """rotations: (n, 24, 3, 3), betas: (n, 10)."""
        with torch.no_grad():
            pieces = zip(torch.from_numpy(rotations).split(4096), torch.from_numpy(betas).split(4096), strict=True)
            points = torch.cat([self(r.float(), b.float()) for r, b in pieces])
        return People(rotations, betas, points.numpy())


def random_shapes(rng: np.random.Generator, count: int, children: float) -> Array:
    """(count, 10) of adults and children."""
    betas = np.clip(rng.normal(size=(count, NUM_BETAS)), -2.5, 2.5)
    betas[:, _CHILD_DIRECTION:] *= 0.3
    young = rng.random(count) < children
    betas[young, _CHILD_DIRECTION] = rng.uniform(1.5, 6.0, int(young.sum()))
    return betas


def random_cameras(rng: np.random.Generator, people: People) -> tuple[Array, Array]:
    """R_camera_world (n, 3, 3) and the pelvis' place in the camera's frame (n, 3): any height, tilt and distance."""
    count = len(people)
    usual, upright = rng.random(count) < 0.7, rng.random(count) < 0.95
    pitch = np.where(usual, rng.normal(0.10, 0.18, count), rng.uniform(-0.6, 1.3, count))
    roll = np.where(upright, rng.normal(0.0, 0.08, count), rng.uniform(-np.pi, np.pi, count))
    tilt = matrix_from_axis_angle(pitch[:, None] * np.array([1.0, 0.0, 0.0]))
    rotation = matrix_from_axis_angle(roll[:, None] * np.array([0.0, 0.0, 1.0])) @ tilt @ _UPSIDE
    off_axis = rng.uniform([-0.55, -0.45], [0.55, 0.45], (count, 2))
    direction = np.concatenate([off_axis, np.ones((count, 1))], axis=1)
    nearest = (people.points @ rotation[:, 2, :, None])[..., 0].min(axis=1)
    distance = np.maximum(np.exp(rng.uniform(np.log(1.0), np.log(9.0), count)), _NEAREST - nearest)
    return rotation, distance[:, None] * direction


def hide(rng: np.random.Generator, rays: Array, config: HidingConfig) -> NDArray[np.bool_]:
    """(n, 33) whether something stands in front of each landmark. rays: (n, 33, 2) where they are seen."""
    count, landmarks = rays.shape[:2]
    hidden = np.zeros((count, landmarks), bool)
    shares = (config.limbs, config.below_waist, config.scattered, config.beyond_line, config.box)
    kind = np.digitize(rng.random(count), np.cumsum(shares))
    limbs = rng.random((count, len(LIMBS))) < 0.4
    limbs[np.arange(count), rng.integers(len(LIMBS), size=count)] = True
    ends = rng.random((count, 2)) < 0.3
    for k, limb in enumerate(LIMBS):
        joined = np.append(limb, [*_SHOULDERS, *_HIPS][k])
        hidden[np.ix_((kind == 0) & limbs[:, k], limb)] = True
        hidden[(kind == 0) & limbs[:, k] & ends[:, k // 2], joined[-1]] = True
    hidden[np.ix_(kind == 1, BELOW_WAIST)] = True
    hidden[np.ix_((kind == 1) & ends[:, 0], _HIPS)] = False
    scattered = rng.random((count, landmarks)) < rng.uniform(0.3, 0.6, (count, 1))
    hidden |= (kind == 2)[:, None] & scattered
    beyond = _beyond_line(rng, rays)
    boxed = _in_box(rng, rays)
    hidden |= ((kind == 3)[:, None] & beyond) | ((kind == 4)[:, None] & boxed)
    return hidden


def _beyond_line(rng: np.random.Generator, rays: Array) -> Array:
    """Mostly what is below a level line."""
    angle = np.where(rng.random(len(rays)) < 0.6, rng.normal(0, 0.2, len(rays)), rng.uniform(-np.pi, np.pi, len(rays)))
    along = rays @ np.stack([np.sin(angle), np.cos(angle)], axis=1)[:, :, None]
    low, high = along.min(axis=1), along.max(axis=1)
    beyond: Array = along[..., 0] > low + rng.uniform(0.25, 0.95, (len(rays), 1)) * (high - low)
    return beyond


def _in_box(rng: np.random.Generator, rays: Array) -> Array:
    low, high = rays.min(axis=1, keepdims=True), rays.max(axis=1, keepdims=True)
    centre = low + rng.random((len(rays), 1, 2)) * (high - low)
    half = rng.uniform(0.12, 0.4, (len(rays), 1, 2)) * (high - low).max(axis=2, keepdims=True)
    boxed: Array = (np.abs(rays - centre) < half).all(axis=2)
    return boxed


@dataclass(frozen=True)
class Shots:
    """People before cameras, n of them."""

    people: People
    rotation: Array
    """(n, 3, 3): R_camera_world."""
    place: Array
    """(n, 3) m: the pelvis in the camera's frame."""

    @classmethod
    def random(cls, rng: np.random.Generator, people: People) -> Shots:
        return cls(people, *random_cameras(rng, people))

    @cached_property
    def points(self) -> Array:
        """(n, 57, 3) m about the pelvis, the camera's axes."""
        return self.people.points @ np.swapaxes(self.rotation, 1, 2)

    @cached_property
    def rays(self) -> Array:
        """(n, 33, 2) of the landmarks at z = 1."""
        placed = self.points[:, NUM_JOINTS:] + self.place[:, None]
        return placed[..., :2] / placed[..., 2:]

    def rotations(self) -> Array:
        """(n, 24, 3, 3): the root from body to camera."""
        rotations = self.people.rotations.astype(np.float64)
        rotations[:, 0] = self.rotation @ rotations[:, 0]
        return rotations

    def detected(self, noise: LandmarkNoise, rng: np.random.Generator, hidden: NDArray[np.bool_]) -> Sight:
        """What the detector says of them. hidden: (n, 33)."""
        count = len(self.place)
        return self.read(noise, noise.numbers(rng, count), hidden, rng.random(count))

    def read(self, noise: LandmarkNoise, numbers: Array, hidden: NDArray[np.bool_], swaps: Array) -> Sight:
        """The same, numbers and swaps drawn already (see `LandmarkNoise.read`)."""
        # the detector's axes are those of a camera that looks straight at the pelvis
        truth = self.points[:, NUM_JOINTS:] @ facing(self.place[:, :2] / self.place[:, 2:])
        detected = noise.read(numbers, truth, hidden, swaps)
        size = np.ptp(self.rays, axis=1).max(axis=1)[:, None, None]
        rays = self.rays[np.arange(len(self.place))[:, None], detected.order] + size * detected.offset
        return Sight(rays, detected.metric, detected.visibility)

    def exact(self) -> Sight:
        """All landmarks where they are."""
        truth = self.points[:, NUM_JOINTS:] @ facing(self.place[:, :2] / self.place[:, 2:])
        hips = truth[:, _HIPS].mean(axis=1, keepdims=True)
        return Sight(self.rays, truth - hips, np.ones(truth.shape[:2]))


def lesson(people: People, noise: LandmarkNoise, config: InverseKinematicsTraining, rng: np.random.Generator) -> Lesson:
    """The people before random cameras, with parts hidden, as the detector says that they are."""
    count, shots = len(people), Shots.random(rng, people)
    hidden = hide(rng, shots.rays, config.hiding)
    exact = rng.random(count) < config.clean
    detected, true = shots.detected(noise, rng, hidden), shots.exact()
    whole = exact[:, None, None]
    rays, metric = np.where(whole, true.rays, detected.rays), np.where(whole, true.metric, detected.metric)
    blank = hidden & ((rng.random(count) < config.hiding.known) | exact)[:, None]
    confidence = np.where(blank, 0.0, np.where(exact[:, None], true.confidence, detected.confidence))
    T = Sight(rays, metric, confidence).T_camera_facing
    rotations = shots.rotations()
    rotations[:, 0] = np.swapaxes(T, 1, 2) @ rotations[:, 0]
    focal = np.exp(config.focal_error * rng.normal(size=(count, 1, 1)))
    sight, points = Sight(rays * focal, metric, confidence), shots.points @ T
    votes = voted(points, hidden, config.votes, rng)
    return Lesson(sight, Votes(*votes, sight.T_camera_facing), points, rotations, people.betas)


def voted(
    points: Array, hidden: NDArray[np.bool_], config: VoteConfig, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Places (n, 14, 3) and whether somebody voted (n, 14), of joints and landmarks (n, 57, 3); hidden: (n, 33)."""
    places = points[:, list(LSP_JOINTS)] + config.noise * rng.normal(size=(len(points), len(LSP_JOINTS), 3))
    voting = rng.random(places.shape[:2]) >= config.blank
    for k, joint in enumerate(LSP_JOINTS):
        if JOINT_NAMES[joint] in MEDIAPIPE.names:
            voting[:, k] &= ~hidden[:, MEDIAPIPE.index(JOINT_NAMES[joint])]
    return places, voting.astype(np.float64)


def lessons(
    library: MotionLibrary, config: InverseKinematicsTraining, body: PointBody, noise: LandmarkNoise
) -> Iterator[Lesson]:
    """Batches without end."""
    sampler, rng = PoseSampler(library, config.seed, config.poses), np.random.default_rng(config.seed)
    while True:
        shapes = random_shapes(rng, config.pool, config.children)
        pool = body.people(sampler.poses(None, config.pool), shapes)
        for _ in range(max(config.pool * config.uses // config.batch, 1)):
            yield lesson(pool.some(rng.integers(len(pool), size=config.batch)), noise, config, rng)


def train(job: TrainingJob) -> str:
    """`run.py train inverse_kinematics`."""
    config, target = job.settings(InverseKinematicsTraining), job.weights
    library = MotionLibrary.open(job.needed("motion"))
    train_clips, held = library.split()
    with threads(_THREADS):
        network = train_inverse_kinematics(train_clips, config, job.minutes)
        millimetres, degrees = _held_out_errors(network, held, config)
    data = (
        f"{len(train_clips.clips)} motion clips, {train_clips.seconds / 60:.0f} minutes; {len(held.clips)} held out "
        "(CMU motion capture: no restriction on use; DeepMimic's clips: MIT); errors as measured on rendered people"
    )
    save_inverse_kinematics(target, network, job.provenance(data))
    return f"{target}: held-out joints, seen as the detector does, are off by {millimetres:.0f} mm and {degrees:.1f}°"


def train_inverse_kinematics(
    library: MotionLibrary, config: InverseKinematicsTraining, minutes: float | None = None
) -> InverseKinematicsNetwork:
    """minutes: stop after so long, the learning rate following the clock. Deterministic but for that."""
    torch.manual_seed(config.seed)
    network = InverseKinematicsNetwork(*INPUT_SIZES[config.network.inputs], POINTS, config.network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=1e-2)
    body = PointBody(load_body(None))
    source = lessons(library, config, body, LandmarkNoise.load())
    course = TrainingCourse(config.steps, config.learning_rate, minutes, rise=200, largest_gradient=5.0)
    train_small(network, optimiser, course, lambda step, done: _losses(network, body, next(source), config))
    return network


def _outputs_of(network: InverseKinematicsNetwork, given: Lesson) -> InverseKinematicsOutput:
    known = known_of(network.config.inputs, given.sight, given.votes)
    outputs: InverseKinematicsOutput = network(
        torch.from_numpy(known.features), torch.from_numpy(known.confidence).float()
    )
    return outputs


def _losses(
    network: InverseKinematicsNetwork, body: PointBody, given: Lesson, config: InverseKinematicsTraining
) -> dict[str, Tensor]:
    points, rotations, betas = (torch.from_numpy(v).float() for v in (given.points, given.rotations, given.betas))
    outputs = _outputs_of(network, given)
    inpainted = (outputs.points - points).abs().mean()
    posed = (body(outputs.rotations, outputs.betas) - points).abs().mean()
    apart = outputs.rotations - rotations
    turned = 0.5 * (apart.detach() ** 2).sum(dim=(-1, -2))  # ≈ the squared angle
    unsure = (0.5 * turned * (-2 * outputs.log_spread).exp() + 3 * outputs.log_spread).mean()
    total = config.point_weight * (inpainted + posed) + apart.abs().mean() + config.spread_weight * unsure
    total = total + config.shape_weight * (outputs.betas - betas).abs().mean()
    return {"total": total, "points": inpainted, "posed": posed, "rotation": apart.abs().mean(), "unsure": unsure}


def _held_out_errors(
    network: InverseKinematicsNetwork, held: MotionLibrary, config: InverseKinematicsTraining, count: int = 4000
) -> tuple[float, float]:
    """Mean mm of the 24 joints about the pelvis and mean degrees of joints 0..21."""
    body, rng = PointBody(load_body(None)), np.random.default_rng(1)
    rotations = held.rotations[rng.integers(len(held.rotations), size=count)]
    given = lesson(body.people(rotations, random_shapes(rng, count, 0.0)), LandmarkNoise.load(), config, rng)
    with torch.no_grad():
        outputs = _outputs_of(network, given)
        joints = body(outputs.rotations, outputs.betas)[:, :NUM_JOINTS].numpy()
    apart = np.linalg.norm(joints - given.points[:, :NUM_JOINTS], axis=2).mean()
    steps = np.swapaxes(given.rotations, -1, -2) @ outputs.rotations.numpy()
    cosine = (np.trace(steps, axis1=-2, axis2=-1) - 1) / 2
    return 1e3 * float(apart), float(np.degrees(np.arccos(cosine.clip(-1, 1)))[:, :22].mean())


def save_inverse_kinematics(path: Path, network: InverseKinematicsNetwork, provenance: dict[str, str]) -> None:
    """Weights in safetensors, half precision, written whole or not at all."""
    metadata = {**provenance, "config": json.dumps(asdict(network.config))}
    save_plain(path, {name: value.half() for name, value in network.folded().state_dict().items()}, metadata)
