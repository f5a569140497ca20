"""The annotation files of other projects: SPIN's .npz, as EFT and PARE use it, and mmhuman3d's HumanData."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tracker.evaluation.datasets.recording import JOINT_SETS, Origin, Recording, SmplTruth
from tracker.evaluation.datasets.safe_npz import read_npz
from tracker.types import NUM_BETAS, NUM_JOINTS, Array

SPIN = Origin("SPIN annotations", "https://github.com/nkolot/SPIN")
_HUMAN_DATA_BODY = 22
"""Of HumanData's keypoints, the first so many are SMPL's joints without the hands, in SMPL's order."""
HUMAN_DATA = Origin("mmhuman3d HumanData", "https://github.com/open-mmlab/mmhuman3d")


def read_spin(path: Path) -> Iterator[Recording]:
    """A recording a picture. Pictures are looked for from the file's own folder on."""
    SPIN.require(path, "an .npz with imgname, part, pose, shape, S")
    with SPIN.reading(path):
        content = read_npz(path)
        recordings = [_spin_still(path.parent, content, index) for index in range(len(content["imgname"]))]
    yield from recordings


def _spin_still(folder: Path, content: dict[str, Any], index: int) -> Recording:
    part = _points(content, "part", index, 3)
    solid = _points(content, "S", index, 4)
    has_smpl = "pose" in content and bool(np.asarray(content.get("has_smpl", np.ones(index + 1)))[index])
    valid = part[:, 2] > 0 if part is not None else (solid[:, 3] > 0 if solid is not None else np.zeros(24, bool))
    smpl = _smpl(content["pose"][index], content["shape"][index], _gender(content, index)) if has_smpl else None
    return Recording(
        name=f"{index:06d}",
        pictures=(folder / str(content["imgname"][index]),),
        joint_set=JOINT_SETS["spin24"],
        joints3d=None if solid is None else solid[None, :, :3],
        # its pixel centres are at integers
        joints2d=None if part is None else part[None, :, :2] + 0.5,
        valid=valid[None],
        smpl=smpl,
    )


def _points(content: dict[str, Any], name: str, index: int, columns: int) -> Array | None:
    return np.asarray(content[name][index], float).reshape(24, columns) if name in content else None


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
        content = read_npz(path)
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
        pictures=(folder / str(content["image_path"][index]),),
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
