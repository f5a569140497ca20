"""Data sets that people own, as training material: COCO-EFT, Human3.6M, MPI-INF-3DHP and whatever else comes in the
`.npz` format of SPIN, EFT and PARE.

What such a file can teach, and what it cannot:

- θ is SMPL's, and so is the built-in body's: the same joints, the same rotations. It is learned as it is.
- β is SMPL's, and the built-in body's shapes are others. β is fitted anew, to the keypoints and to the bones' lengths
  in S (`placing`), so that joints and part maps are where they belong; but lengths say nothing of girth, so that the
  loss of the shape leaves these people out.
- The camera is a weak-perspective crop; the tracker's is a full one. Intrinsics are the file's `cam_int`, or those that
  the tracker would assume for the picture's size; the place in front of that camera follows from the keypoints.
- Nothing says what hides a body: see `people.RealPeople`.

People without SMPL parameters, without their picture, or whose body cannot be brought to lie over their keypoints are
left out, and how many is told.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from tracker.body import JOINT_NAMES, BodyModel
from tracker.body.smpl_joints import LIMB_SMPL
from tracker.core.arrays import Array
from tracker.core.camera import Camera, CameraConfig
from tracker.core.errors import InputError, RunError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.person import Pose
from tracker.evaluation.datasets import JOINT_SETS
from tracker.evaluation.datasets.annotation_files import SpinAnnotations
from tracker.training.people import PosedPicture
from tracker.training.placing import BONES, Placed, Placer, Sightings

log = logging.getLogger("tracker")

_JOINTS = JOINT_SETS["spin24"].joints
_LIMBS = [_JOINTS.index(JOINT_NAMES[joint]) for joint in LIMB_SMPL]
_ENDS = np.array([[_JOINTS.index(name) for name in bone] for bone in BONES])
_NEAREST = 0.3
"""m: nobody is closer to a camera."""
_AT_ONCE = 2048
"""People who are placed together."""


@dataclass(frozen=True)
class AnnotatedData:
    """One annotation file, and the pictures that it names."""

    file: Path
    images: Path
    """The folder from which on the file names its pictures."""
    weight: float = 1.0
    """How often its people are taken, against those of the other files."""
    camera: CameraConfig = field(default_factory=CameraConfig)
    """Of the pictures, where the file does not say it."""
    least_joints: int = 4
    """Of the twelve limb joints, so many must be annotated."""
    largest_offset: float = 0.06
    """m at the person's distance: median distance of the body's limb joints from the annotated ones."""
    trusted: float = 1.0
    """What the poses count, against those of synthetic people, which are exact."""


@dataclass(frozen=True)
class AnnotatedPeople:
    """N people who can be learned from; pictures are read when they are asked for."""

    pictures: tuple[Path, ...]
    theta: NDArray[np.float32]
    """(N, 24, 3)."""
    betas: NDArray[np.float32]
    """(N, 10) of the built-in body."""
    transl: NDArray[np.float32]
    """(N, 3) m."""
    cameras: Array
    """(N, 4) fx, fy, cx, cy px."""
    trusted: float

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, number: int, /) -> PosedPicture:
        """Raises RunError when the picture cannot be read any more."""
        path = self.pictures[number]
        # as the annotations count its pixels, whatever a tag says of how to hold it
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if bgr is None:
            raise RunError(f"{path}: the picture cannot be read")
        image = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        theta, betas, transl = (v[number].astype(float) for v in (self.theta, self.betas, self.transl))
        fx, fy, cx, cy = (float(v) for v in self.cameras[number])
        camera = Camera(fx, fy, cx, cy, image.shape[1], image.shape[0])
        pose = Pose(theta[0], theta[1:].reshape(-1), betas, transl)
        return PosedPicture(image, None, camera, pose, self.trusted, shape_trusted=0.0)


def read_people(data: AnnotatedData, body: BodyModel) -> AnnotatedPeople:
    """The people of one file who can be learned from; the log tells how many are not, and why.

    Raises InputError for a file that is missing, broken, or has nobody to learn from.
    """
    content = SpinAnnotations.read(data.file)
    for name, value in (("pose and shape", content.theta), ("part", content.joints2d)):
        if value is None:
            raise InputError(
                f"--data {data.file}: has no {name}; expected 2D keypoints with SMPL poses, as SPIN has them"
            )
    chosen = np.flatnonzero(content.has_smpl)
    sizes = _sizes(data.images, {content.pictures[i] for i in chosen}, data.file.name)
    shown = np.array([i for i in chosen if content.pictures[i] in sizes], int)
    cameras = _cameras(content, shown, sizes, data.camera)
    placed = _placed(content, shown, cameras, Placer(body))
    fits = (placed.offset <= data.largest_offset) & (placed.nearest >= _NEAREST)
    fits &= (_weights(content, shown) > 0).sum(axis=1) >= data.least_joints
    summary = (
        f"{data.file}: {fits.sum()} of {len(content)} people to learn from; left out {len(content) - len(chosen)} "
        f"without SMPL parameters, {len(chosen) - len(shown)} whose picture is not in {data.images} or cannot be read, "
        f"{(~fits).sum()} whose body does not lie over the keypoints"
    )
    if not fits.any():
        raise InputError(f"--data {summary}")
    log.info(summary)
    kept = shown[fits]
    assert content.theta is not None
    return AnnotatedPeople(
        tuple(data.images / content.pictures[i] for i in kept),
        content.theta[kept].astype(np.float32),
        placed.betas[fits].astype(np.float32),
        placed.transl[fits].astype(np.float32),
        cameras[fits],
        data.trusted,
    )


def _sizes(folder: Path, names: set[str], label: str) -> dict[str, tuple[int, int]]:
    """Width and height of the pictures that are there."""
    sizes = {}
    for name in tqdm(sorted(names), desc=label, unit="picture", disable=None):
        try:
            with Image.open(folder / name) as picture:
                sizes[name] = picture.size
        except (OSError, Image.DecompressionBombError):  # it is missing, or none: it is counted as left out
            continue
    return sizes


def _cameras(
    content: SpinAnnotations, rows: NDArray[np.int64], sizes: dict[str, tuple[int, int]], assumed: CameraConfig
) -> Array:
    """(n, 4) fx, fy, cx, cy px of these people's pictures."""
    if content.camera_matrices is not None:
        matrices: Array = content.camera_matrices[rows]
        return np.stack([matrices[:, 0, 0], matrices[:, 1, 1], matrices[:, 0, 2], matrices[:, 1, 2]], axis=1)
    cameras = [assumed.for_size(*sizes[content.pictures[i]]) for i in rows]
    return np.array([(c.fx, c.fy, c.cx, c.cy) for c in cameras], float).reshape(-1, 4)


def _weights(content: SpinAnnotations, rows: NDArray[np.int64]) -> Array:
    """(n, 12) 0..1 of the limb joints' keypoints."""
    assert content.joints2d is not None
    return np.clip(content.joints2d[rows][:, _LIMBS, 2], 0.0, 1.0)


def _placed(content: SpinAnnotations, rows: NDArray[np.int64], cameras: Array, placer: Placer) -> Placed:
    """These people's places."""
    starts = range(0, max(len(rows), 1), _AT_ONCE)
    parts = [placer(_sightings(content, rows[k : k + _AT_ONCE], cameras[k : k + _AT_ONCE])) for k in starts]
    return Placed(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Placed)))


def _sightings(content: SpinAnnotations, rows: NDArray[np.int64], cameras: Array) -> Sightings:
    assert content.theta is not None and content.joints2d is not None
    rays = (content.joints2d[rows][:, _LIMBS, :2] - cameras[:, None, 2:]) / cameras[:, None, :2]
    lengths = np.full((len(rows), len(BONES)), np.nan)
    if content.joints3d is not None:
        ends = content.joints3d[rows][:, _ENDS]
        measured = (ends[..., 3] > 0).all(axis=2)
        lengths[measured] = np.linalg.norm(ends[..., 1, :3] - ends[..., 0, :3], axis=-1)[measured]
    return Sightings(matrix_from_axis_angle(content.theta[rows]), rays, _weights(content, rows), lengths)
