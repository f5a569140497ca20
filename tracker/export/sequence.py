"""One identity over a whole run: what the per-person files hold, assembled from the tracker's frames.

The tracker lets a track's β settle slowly, frame by frame; a file has one β per person. The last one, which has seen
the most, is taken for the whole track. Exchanging β under an unchanged `transl` would move the body off its picture (a
taller body at the same distance covers more of it), so every frame is placed anew: the translation is the one that
brings the joints of the final body closest to the viewing rays of the joints that the tracker gave out. For a frame
that already had the final β this is the tracker's own translation. `joints3d` and `joints2d` then follow from what the
file says: SMPL(poses, betas) + trans, and its projection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tracker.body.model import BodyModel, ShapedBody
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array, require_shape
from tracker.core.camera import Camera
from tracker.core.geometry import place_on_rays
from tracker.core.person import Person, Pose
from tracker.core.transforms import moved_by
from tracker.export.files_config import FilesConfig
from tracker.export.scratch import MEMORY, Scratch
from tracker.world.body_track import BodyTrack, contact_body
from tracker.world.camera_path import CameraPath
from tracker.world.contact_parts import CONTACT_PARTS
from tracker.world.contacts import contact_mask, settled_contacts
from tracker.world.gravity import Plane
from tracker.world.windows import windows
from tracker.world.world_config import FileFrame, WorldConfig
from tracker.world.world_frame import CAMERA_SYSTEM, T_YUP_CAMERA, WORLD_SYSTEM, WorldFrame

_TOGETHER = 4096
"""Rows that are worked on at a time."""
FALLBACK_FRAME_RATE = 30.0
"""Hz, for a run of a single picture, which has no rate of its own."""

OBSERVATION = np.dtype(
    [
        ("frame_index", "<i8"),
        ("time", "<f8"),
        ("person_id", "<i8"),
        ("poses", "<f4", (3 * NUM_JOINTS,)),
        ("betas", "<f4", (NUM_BETAS,)),
        ("trans", "<f4", (3,)),
        ("joints3d", "<f4", (NUM_JOINTS, 3)),
        ("joints2d", "<f4", (NUM_JOINTS, 2)),
        ("joint_confidence", "<f4", (NUM_JOINTS,)),
        ("bbox", "<f4", (4,)),
        ("nll", "<f4"),
    ]
)
"""One person in one frame as one flat record, so that hours of them can wait on disk instead of in memory."""


@dataclass(frozen=True)
class RunContext:
    """What all people of a run share."""

    camera: Camera
    body: BodyModel
    frame_rate: float | None
    """Hz: the source's nominal rate; None where it is unknown or varies, then the median interval counts."""
    world: WorldConfig = field(default_factory=WorldConfig)
    files: FilesConfig = field(default_factory=FilesConfig)
    video: Path | None = None
    """What is tracked, where it is a file."""


@dataclass(frozen=True)
class Timeline:
    """The clock of a run, which the files of all its people share."""

    start: float
    """s: the timestamp of the run's first frame."""
    frame_rate: float
    """Hz, nominal."""

    @classmethod
    def of(cls, timestamps: Sequence[float], nominal: float | None) -> Timeline:
        """From the timestamps of all frames of the run, with or without people."""
        times = np.asarray(timestamps, dtype=np.float64)
        intervals = np.diff(times)
        intervals = intervals[intervals > 0]
        if nominal is None:
            nominal = float(1 / np.median(intervals)) if len(intervals) else FALLBACK_FRAME_RATE
        return cls(float(times[0]) if len(times) else 0.0, nominal)


@dataclass(frozen=True)
class PersonSequence:
    """One identity over T rows; vertices = SMPL(poses, betas) + trans.

    In memory everything is in the camera's frame of its own moment; `T_world_camera` says how that lies to the world's.
    """

    person_id: int
    poses: Array
    """(T, 72) float32 rad, axis-angle in SMPL's order."""
    betas: Array
    """(10,) float32, one for the whole track."""
    trans: Array
    """(T, 3) float32 m, camera frame."""
    timestamps: Array
    """(T,) float64 s."""
    frame_index: NDArray[np.int64]
    """(T,): of the source's frames; −1 in rows that have none."""
    joints3d: Array
    """(T, 24, 3) float32 m, camera frame."""
    joints2d: Array
    """(T, 24, 2) float32 px."""
    joint_confidence: Array
    """(T, 24) float32 in 0..1."""
    bbox: Array
    """(T, 4) float32 xyxy px."""
    nll: Array
    """(T,) float32."""
    camera: Camera
    timeline: Timeline
    body_model: str
    tracked: NDArray[np.bool_]
    """(T,): False in rows that fill a gap."""
    contacts: NDArray[np.bool_]
    """(T, 9): which of CONTACT_PARTS touch the floor."""
    world: WorldFrame | None = None
    """Around the camera of the run's first picture; None where the camera travels."""
    path: CameraPath | None = None
    """How the camera turned and zoomed; None where it stands still."""
    frame: FileFrame = "camera"
    """Of what is written to files."""
    clothing: NDArray[np.float32] | None = None
    """(V,) m: how far clothes and hair stand out of the skin; None where that was not measured."""

    def __post_init__(self) -> None:
        shapes: dict[str, tuple[int, ...]] = {
            "poses": (3 * NUM_JOINTS,),
            "trans": (3,),
            "timestamps": (),
            "frame_index": (),
            "joints3d": (NUM_JOINTS, 3),
            "joints2d": (NUM_JOINTS, 2),
            "joint_confidence": (NUM_JOINTS,),
            "bbox": (4,),
            "nll": (),
            "tracked": (),
            "contacts": (len(CONTACT_PARTS),),
        }
        require_shape("PersonSequence.betas", self.betas, (NUM_BETAS,))
        for name, shape in shapes.items():
            require_shape(f"PersonSequence.{name}", getattr(self, name), (len(self.timestamps), *shape))
        if len(self.timestamps) == 0:
            raise ValueError("PersonSequence: expected at least one frame, got none")

    @property
    def theta(self) -> Array:
        """(T, 24, 3) rad, axis-angle."""
        return self.poses.reshape(-1, NUM_JOINTS, 3)

    @property
    def seconds(self) -> Array:
        """(T,) s, from the run's first frame on: the time that the files count."""
        return self.timestamps - self.timeline.start

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp] | slice) -> PersonSequence:
        """Those rows only."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in _ROWS})

    def blocks(self) -> Iterator[PersonSequence]:
        """All rows, so many at a time that what is computed of them hardly takes memory."""
        yield from (self.rows(each) for each in row_blocks(len(self.timestamps)))

    @property
    def in_world(self) -> bool:
        """Whether files are written in the world's frame; else in the camera's."""
        return self.frame == "world" and self.world is not None

    @property
    def coordinate_system(self) -> str:
        """Of files that say in words what they are in."""
        return WORLD_SYSTEM if self.in_world else CAMERA_SYSTEM

    @property
    def T_first_camera(self) -> Array:
        """(4, 4), or (T, 4, 4) where the camera turns: from its frame to that of the run's first picture."""
        if self.path is None:
            return np.eye(4)
        transforms = np.tile(np.eye(4), (len(self.timestamps), 1, 1))
        transforms[:, :3, :3] = self.path.turns_at(self.timestamps)
        return transforms

    @property
    def T_world_camera(self) -> Array | None:
        """(4, 4), or (T, 4, 4) where the camera turns; None where nothing is known of a world around it."""
        return None if self.world is None else self.world.T_world_camera @ self.T_first_camera

    @property
    def T_file_camera(self) -> Array:
        """(4, 4) or (T, 4, 4): to the frame of files that may be in the camera's own."""
        known = self.T_world_camera
        return np.eye(4) if known is None or not self.in_world else known

    @property
    def T_yup_camera(self) -> Array:
        """(4, 4) or (T, 4, 4): to the frame of files that are y up always."""
        known = self.T_world_camera
        return T_YUP_CAMERA @ self.T_first_camera if known is None or not self.in_world else known

    @property
    def joints_y_up(self) -> Array:
        """(T, 24, 3) m in the y-up frame."""
        return moved_by(self.T_yup_camera, self.joints3d)

    def in_frame(self, T_dst_camera: Array) -> tuple[Array, Array]:
        """poses (T, 72) and trans (T, 3) such that SMPL(poses, betas) + trans lies in another frame."""
        poses = self.poses.astype(float)
        turned = Rotation.from_matrix(T_dst_camera[..., :3, :3]) * Rotation.from_rotvec(poses[:, :3])
        poses[:, :3] = turned.as_rotvec()
        pelvis = self.joints3d[:, 0].astype(float)
        return poses, moved_by(T_dst_camera, pelvis) - (pelvis - self.trans)


_ROWS = (
    "poses", "trans", "timestamps", "frame_index", "joints3d", "joints2d", "joint_confidence", "bbox", "nll", "tracked",
    "contacts",
)  # fmt: skip


def row_blocks(count: int) -> Iterator[slice]:
    """Slices of so many rows, in order."""
    return (slice(start, min(start + _TOGETHER, count)) for start in range(0, count, _TOGETHER))


def joined(blocks: Iterable[PersonSequence], count: int, scratch: Scratch = MEMORY) -> PersonSequence:
    """The sequence of `count` rows that these are blocks of, in order; at least one."""
    rest = iter(blocks)
    block = next(rest)
    if len(block.timestamps) == count:
        return block
    whole = {
        name: scratch.empty((count, *getattr(block, name).shape[1:]), getattr(block, name).dtype) for name in _ROWS
    }
    start = 0
    for each in chain([block], rest):
        end = start + len(each.timestamps)
        for name, array in whole.items():
            array[start:end] = getattr(each, name)
        start = end
    changes: dict[str, Any] = dict(whole)
    return replace(block, **changes)


def shape_body(body: BodyModel, betas: Array) -> ShapedBody:
    """The body with shape coefficients (10,) of numpy, on the body's own device."""
    return body.with_shape(body.v_template.new_tensor(betas))


def to_numpy(tensor: torch.Tensor) -> Array:
    """float64, off whatever device."""
    return tensor.detach().cpu().numpy().astype(np.float64)


def observe(frame_index: int, time: float, person: Person) -> NDArray[np.void]:
    """(1,) OBSERVATION."""
    record = np.zeros(1, OBSERVATION)
    record["frame_index"], record["time"], record["person_id"] = frame_index, time, person.person_id
    record["poses"] = person.pose.theta.reshape(-1)
    record["betas"], record["trans"] = person.pose.betas, person.pose.transl
    record["joints3d"], record["joints2d"] = person.joints3d, person.joints2d
    record["joint_confidence"], record["bbox"], record["nll"] = person.joint_confidence, person.bbox, person.nll
    return record


def person_of(observation: np.void) -> Person:
    """What `observe` took down, in float32."""
    poses = observation["poses"]
    return Person(
        person_id=int(observation["person_id"]),
        pose=Pose(poses[:3].copy(), poses[3:].copy(), observation["betas"].copy(), observation["trans"].copy()),
        joints3d=observation["joints3d"].copy(),
        joints2d=observation["joints2d"].copy(),
        joint_confidence=observation["joint_confidence"].copy(),
        bbox=observation["bbox"].copy(),
        nll=float(observation["nll"]),
    )


def assemble(
    observations: NDArray[np.void],
    context: RunContext,
    timeline: Timeline,
    betas: Array | None = None,
    path: CameraPath | None = None,
) -> PersonSequence:
    """(T,) OBSERVATION of one identity, in order of time → its sequence under one β (10,): the last, unless another is
    given.

    path: of a camera that turned, where the observations take its zoom into account.
    """
    betas = observations["betas"][-1] if betas is None else betas
    joints = joints_of(context.body, betas, observations["poses"])
    trans = place_on_rays(joints, observations["joints3d"].astype(np.float64))
    joints3d = joints + trans[:, None]
    return PersonSequence(
        person_id=int(observations["person_id"][0]),
        poses=observations["poses"].copy(),
        betas=betas.copy(),
        trans=trans.astype(np.float32),
        timestamps=observations["time"].copy(),
        frame_index=observations["frame_index"].copy(),
        joints3d=joints3d.astype(np.float32),
        joints2d=zoomed_pixels(context.camera, path, observations["time"], joints3d).astype(np.float32),
        joint_confidence=observations["joint_confidence"].copy(),
        bbox=observations["bbox"].copy(),
        nll=observations["nll"].copy(),
        camera=context.camera,
        timeline=timeline,
        body_model=context.body.name,
        tracked=np.ones(len(observations), bool),
        contacts=np.zeros((len(observations), len(CONTACT_PARTS)), bool),
        path=path,
        frame=context.world.frame,
    )


def joints_of(body: BodyModel, betas: Array, poses: Array) -> Array:
    """(T, 24, 3) m of poses (T, 72) with shape coefficients (10,), without their translation."""
    theta = body.v_template.new_tensor(poses.reshape(-1, NUM_JOINTS, 3))
    return to_numpy(shape_body(body, betas).with_pose(theta).joints)


def zoomed_pixels(camera: Camera, path: CameraPath | None, times: Array, joints3d: Array) -> Array:
    """(T, 24, 2) px of (T, 24, 3) m before a camera that may have zoomed by then."""
    pixels = camera.project_clamped(joints3d)
    if path is None:
        return pixels
    centre = np.array([camera.cx, camera.cy])
    return centre + path.zoom_at(times)[:, None, None] * (pixels - centre)


def body_track(person: PersonSequence, body: BodyModel) -> BodyTrack:
    """The person as gravity, floor and contacts are told from, in the frame of the run's first picture."""
    poses, trans = (person.poses, person.trans) if person.path is None else person.in_frame(person.T_first_camera)
    theta = poses.reshape(-1, NUM_JOINTS, 3)
    return contact_body(body).track(person.timestamps, theta, person.betas, trans, person.joint_confidence)


def placed_in(world: WorldFrame, person: PersonSequence, body: BodyModel) -> PersonSequence:
    """The person with the world around them and what of them touches its floor."""
    floor, touching = Plane(world.up, world.camera_height), np.zeros_like(person.contacts)
    for window in windows(person.timestamps):
        track = body_track(person.rows(window.known), body)
        mask = contact_mask(settled_contacts(track, floor), len(track.times))
        touching[window.own] = mask[window.in_known(window.own)]
    return replace(person, world=world, contacts=touching)


def increasing(times: Array) -> NDArray[np.bool_]:
    """(T,) True where a timestamp is later than all before it: what interpolation and animation formats require."""
    latest = np.maximum.accumulate(times)
    return np.concatenate([[True], times[1:] > latest[:-1]])


@dataclass(frozen=True)
class SkeletonMotion:
    """A skeleton in motion in the y-up frame, as animation formats want it."""

    times: Array
    """(T,) s"""
    quaternions: Array
    """(T, 24, 4) xyzw: each joint relative to its parent, the pelvis to the y-up frame; the sign never flips."""
    pelvis: Array
    """(T, 3) m."""

    @classmethod
    def of(cls, person: PersonSequence) -> SkeletonMotion:
        theta = person.theta.astype(np.float64)
        quaternions = Rotation.from_rotvec(theta.reshape(-1, 3)).as_quat().reshape(-1, NUM_JOINTS, 4)
        root = Rotation.from_matrix(person.T_yup_camera[..., :3, :3]) * Rotation.from_rotvec(theta[:, 0])
        quaternions[:, 0] = root.as_quat()
        return cls(person.timestamps, same_sign(quaternions), person.joints_y_up[:, 0].astype(np.float64))


def same_sign(quaternions: Array) -> Array:
    """(T, ..., 4) with each quaternion in its predecessor's half-space, so that linear blending takes the short way."""
    agreement = np.sign(np.sum(quaternions[1:] * quaternions[:-1], axis=-1, keepdims=True))
    flips = np.cumprod(np.where(agreement == 0, 1.0, agreement), axis=0)
    return np.concatenate([quaternions[:1], quaternions[1:] * flips])
