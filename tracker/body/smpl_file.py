"""A user's SMPL file: read without trusting it, checked, and kept as a safe `.npz`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tracker.body.landmark_transfer import with_landmarks
from tracker.body.model import PARENTS, BodyModel
from tracker.body.smpl_pickle import as_array
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.atomic_file import whole_file
from tracker.core.errors import InputError
from tracker.core.input_file import read_bytes, reading
from tracker.core.npz_file import read_npz
from tracker.core.safe_pickle import read_pickle

_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")
_NAMES = (*_KEYS, "body_name")
_WEIGHT_SUM_TOLERANCE = 1e-3
_LONGEST_NAME = 200
_POSE_FEATURES = 9 * (NUM_JOINTS - 1)
_WHERE_FROM = "expected an SMPL body (.pkl or .npz) as smpl.is.tue.mpg.de gives it out, or one made by 'body import'"


def read_smpl_file(path: Path) -> BodyModel:
    """The body in the file, float32. Raises InputError, in one line, for anything that is not a whole SMPL body."""
    name, arrays = _load(path)
    body = BodyModel(
        name=name,
        v_template=_tensor(arrays["v_template"]),
        shapedirs=_tensor(arrays["shapedirs"]),
        posedirs=_tensor(arrays["posedirs"]),
        joint_regressor=_tensor(arrays["J_regressor"]),
        weights=_tensor(arrays["weights"]),
        faces=torch.from_numpy(arrays["f"].astype(np.int64)),
    )
    return with_landmarks(body)


def import_body(src: Path, dst: Path, overwrite: bool = False) -> None:
    """Writes the SMPL body in `src` to `dst`, an `.npz` that numpy reads without pickles.

    Raises InputError when `src` is no SMPL body, and when `dst` cannot be written or exists and is not to be replaced.
    """
    if dst.exists() and not overwrite:
        raise InputError(f"{dst}: exists already; give --overwrite to replace it, or another name")
    name, arrays = _load(src)
    kept = {key: array.astype(np.float32 if array.dtype.kind == "f" else np.int64) for key, array in arrays.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, body_name=np.array(name), **kept)
    try:
        with whole_file(dst) as part:
            part.write_bytes(buffer.getvalue())
    except OSError as error:
        raise InputError(f"{dst}: cannot be written ({error.strerror}); give another place") from error


def _load(path: Path) -> tuple[str, dict[str, NDArray]]:
    raw = _read(path)
    stored_name = raw.get("body_name")
    name = str(stored_name)[:_LONGEST_NAME] if isinstance(stored_name, str | np.ndarray) else f"smpl:{path.stem}"
    return name, _arrays(path, raw)


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _read(path: Path) -> dict[str, Any]:
    with reading(path, _WHERE_FROM):
        data = read_bytes(path)
        content = read_npz(data, _NAMES) if data.startswith(b"PK") else read_pickle(io.BytesIO(data))
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__} and no named arrays; {_WHERE_FROM}")
    return content


def _arrays(path: Path, raw: dict[str, Any]) -> dict[str, NDArray]:
    """The seven arrays, checked, with only those shape directions that the tracker uses."""
    missing = [key for key in _KEYS if key not in raw]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; {_WHERE_FROM}")
    arrays = {key: _numbers(path, key, raw[key]) for key in _KEYS}
    joints = arrays["weights"].shape[-1] if arrays["weights"].ndim == 2 else 0
    if joints != NUM_JOINTS:
        hint = " (SMPL-H and SMPL-X have more)" if joints > NUM_JOINTS else ""
        raise InputError(f"{path}: weights: expected {NUM_JOINTS} joints, got shape {arrays['weights'].shape}{hint}")
    _check_shapes(path, arrays)
    _check_values(path, arrays)
    return {**arrays, "shapedirs": arrays["shapedirs"][..., :NUM_BETAS]}


def _numbers(path: Path, key: str, value: Any) -> NDArray:
    with reading(f"{path}: {key}", _WHERE_FROM):
        array = as_array(value)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: {key}: expected numbers, got {array.dtype}; {_WHERE_FROM}")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: {key}: has NaN or infinite values; download the file again")
    return array


def _check_shapes(path: Path, arrays: dict[str, NDArray]) -> None:
    vertices = arrays["v_template"].shape[0] if arrays["v_template"].ndim else 0
    directions = arrays["shapedirs"].shape[-1] if arrays["shapedirs"].ndim else 0
    expected: dict[str, tuple[int, ...]] = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, max(directions, NUM_BETAS)),
        "posedirs": (vertices, 3, _POSE_FEATURES),
        "J_regressor": (NUM_JOINTS, vertices),
        "weights": (vertices, NUM_JOINTS),
        "f": (arrays["f"].shape[0] if arrays["f"].ndim else 0, 3),
        "kintree_table": (2, NUM_JOINTS),
    }
    for key, shape in expected.items():
        if arrays[key].shape != shape:
            raise InputError(f"{path}: {key}: expected shape {shape}, got {arrays[key].shape}; {_WHERE_FROM}")


def _check_values(path: Path, arrays: dict[str, NDArray]) -> None:
    vertices = len(arrays["v_template"])
    sums, faces = arrays["weights"].sum(axis=1), arrays["f"]
    if np.abs(sums - 1).max(initial=0.0) > _WEIGHT_SUM_TOLERANCE:
        worst = sums[np.abs(sums - 1).argmax()]
        raise InputError(f"{path}: weights: expected rows that sum to 1, got one that sums to {worst:.4g}")
    if faces.dtype.kind == "f" or not faces.size or faces.min() < 0 or faces.max() >= vertices:
        raise InputError(f"{path}: f: expected vertex indices from 0 to {vertices - 1}, in integers")
    parents = arrays["kintree_table"][0].astype(np.int64)
    if tuple(parents[1:]) != PARENTS[1:]:
        raise InputError(
            f"{path}: kintree_table: expected SMPL's joints in their order, got parents {parents.tolist()}"
        )
