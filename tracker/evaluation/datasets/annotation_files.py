"""The annotation files of other projects: SPIN's .npz, as EFT and PARE use it, and mmhuman3d's HumanData."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.input_file import read_bytes
from tracker.core.npz_file import read_npz
from tracker.evaluation.datasets.recording import JOINT_SETS, Origin, Recording, SmplTruth

SPIN = Origin("SPIN annotations", "https://github.com/nkolot/SPIN")
_HUMAN_DATA_BODY = 22
"""Of HumanData's keypoints, the first so many are SMPL's joints without the hands, in SMPL's order."""
HUMAN_DATA = Origin("mmhuman3d HumanData", "https://github.com/open-mmlab/mmhuman3d")


@dataclass(frozen=True)
class SpinAnnotations:
    """What one of SPIN's files says of N people, one a picture; its shapes are checked, what it lacks is None."""

    pictures: tuple[str, ...]
    """As the file names them."""
    joints2d: Array | None
    """(N, 24, 3): px with pixel centres at integers + 0.5, and confidence; the joints of `spin24`."""
    joints3d: Array | None
    """(N, 24, 4): m, axes of the camera, most often from the pelvis on; and confidence."""
    theta: Array | None
    """(N, 24, 3) axis-angle of SMPL, the root's into the camera frame."""
    betas: Array | None
    """(N, 10) of SMPL."""
    has_smpl: NDArray[np.bool_]
    """(N,) whose theta and betas count."""
    genders: tuple[str, ...]
    camera_matrices: Array | None
    """(N, 3, 3) px with pixel centres at integers + 0.5: `cam_int`, in files of later projects."""

    def __len__(self) -> int:
        return len(self.pictures)

    @classmethod
    def read(cls, path: Path) -> SpinAnnotations:
        """Raises InputError for a file that is missing, broken, or of another form."""
        SPIN.require(path, "an .npz with imgname, part, pose, shape, S")
        with SPIN.reading(path):
            content = read_npz(read_bytes(path))
            if "imgname" not in content:
                raise ValueError("it has no imgname")
            names = tuple(_file_name(name) for name in np.asarray(content["imgname"]).astype(str).ravel().tolist())
            columns = _Columns(content, len(names))
            theta, betas = columns.get("pose", (NUM_JOINTS, 3)), columns.wide("shape", NUM_BETAS)
            known = columns.get("has_smpl", ())
            whole = theta is not None and betas is not None
            matrices = columns.get("cam_int", (3, 3))
            return cls(
                pictures=names,
                joints2d=_centred(columns.get("part", (24, 3)), (..., slice(2))),
                joints3d=columns.get("S", (24, 4)),
                theta=theta,
                betas=betas,
                has_smpl=np.full(len(names), whole) if known is None or not whole else known > 0,
                genders=tuple(_gender(content, index) for index in range(len(names))),
                camera_matrices=_centred(matrices, (..., slice(2), 2)),
            )


@dataclass(frozen=True)
class _Columns:
    """A file's arrays of a row a person."""

    content: dict[str, Any]
    count: int

    def get(self, name: str, shape: tuple[int, ...]) -> Array | None:
        """(N, *shape) float64; None where the file does not have it. Raises ValueError for another size."""
        if name not in self.content:
            return None
        value = np.asarray(self.content[name])
        if value.size != self.count * math.prod(shape):
            raise ValueError(f"{name}: expected shape {(self.count, *shape)}, got {value.shape}")
        return value.astype(float).reshape(self.count, *shape)

    def wide(self, name: str, least: int) -> Array | None:
        """(N, least): of at least so many columns the first."""
        if name not in self.content:
            return None
        value = np.asarray(self.content[name])
        if value.ndim != 2 or len(value) != self.count or value.shape[1] < least:
            raise ValueError(f"{name}: expected shape {(self.count, least)}, got {value.shape}")
        return value[:, :least].astype(float)


def _centred(values: Array | None, pixels: Any) -> Array | None:
    """Its pixel centres are at integers."""
    if values is not None:
        values[pixels] += 0.5
    return values


def read_spin(path: Path) -> Iterator[Recording]:
    """A recording a picture. Pictures are looked for from the file's own folder on."""
    content = SpinAnnotations.read(path)
    yield from (_spin_still(path.parent, content, index) for index in range(len(content)))


def _spin_still(folder: Path, content: SpinAnnotations, index: int) -> Recording:
    flat, solid = content.joints2d, content.joints3d
    confidence = next((points[index, :, -1] for points in (flat, solid) if points is not None), np.zeros(24))
    smpl = None
    if content.has_smpl[index]:
        assert content.theta is not None and content.betas is not None
        smpl = _smpl(content.theta[index], content.betas[index], content.genders[index])
    return Recording(
        name=f"{index:06d}",
        pictures=(folder / content.pictures[index],),
        joint_set=JOINT_SETS["spin24"],
        joints3d=None if solid is None else solid[index : index + 1, :, :3],
        joints2d=None if flat is None else flat[index : index + 1, :, :2],
        valid=confidence[None] > 0,
        smpl=smpl,
    )


def _file_name(name: str) -> str:
    if not name.isprintable():
        raise ValueError(f"a picture is called {name!r:.60}, as no file is")
    return name


def _gender(content: dict[str, Any], index: int) -> str:
    return (
        {"m": "male", "f": "female"}.get(str(content["gender"][index]), "neutral") if "gender" in content else "neutral"
    )


def _smpl(pose: Any, shape: Any, gender: str) -> SmplTruth:
    theta = np.asarray(pose, float).reshape(1, NUM_JOINTS, 3)
    return SmplTruth(theta, np.asarray(shape, float).reshape(1, -1)[:, :NUM_BETAS], None, gender)


def read_human_data(path: Path) -> Iterator[Recording]:
    """A recording a picture; HumanData whose `smpl` holds pose and shape. Its keypoints follow their own mask."""
    HUMAN_DATA.require(path, "an .npz with image_path and smpl")
    with HUMAN_DATA.reading(path):
        content = read_npz(read_bytes(path))
        names = content["image_path"]
        recordings = [_human_still(path.parent, content, index) for index in range(len(names))]
    yield from recordings


def _human_still(folder: Path, content: dict[str, Any], index: int) -> Recording:
    smpl = content["smpl"]
    theta = np.concatenate([np.ravel(smpl["global_orient"][index]), np.ravel(smpl["body_pose"][index])])
    flat, solid = (_smpl_points(content, name, index) for name in ("keypoints2d", "keypoints3d"))
    confidence = next((points[:, -1] for points in (flat, solid) if points is not None), np.ones(NUM_JOINTS))
    return Recording(
        name=f"{index:06d}",
        pictures=(folder / _file_name(str(content["image_path"][index])),),
        joint_set=JOINT_SETS["smpl24"],
        joints3d=None if solid is None else solid[None, :, :3],
        # its pixel centres are at integers
        joints2d=None if flat is None else flat[None, :, :2] + 0.5,
        valid=confidence[None] > 0,
        smpl=_smpl(theta, smpl["betas"][index], _gender(content.get("meta", {}), index)),
    )


def _smpl_points(content: dict[str, Any], name: str, index: int) -> Array | None:
    """(24, columns) of the file's 190 keypoints: the first 22 are SMPL's; hands, which SMPL has too, are not known.

    A compressed file leaves out the keypoints that its mask says it does not have.
    """
    if name not in content:
        return None
    stored, mask = np.asarray(content[name][index], float), np.asarray(content[f"{name}_mask"]) > 0
    whole = np.zeros((len(mask), stored.shape[1]))
    if bool(content.get("__keypoints_compressed__", False)):
        whole[mask] = stored
    else:
        whole[mask] = stored[mask]
    points = np.zeros((NUM_JOINTS, stored.shape[1]))
    points[:_HUMAN_DATA_BODY] = whole[:_HUMAN_DATA_BODY]
    return points
