"""Detected frames of a clip in a file, with features and without pictures: all that fitting them anew needs.

Half a megabyte a person and frame, half of it features in half precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tracker.body.body_state import BodyState
from tracker.core.arrays import Array
from tracker.core.atomic_file import whole_file
from tracker.core.detection import Detection, TrackedDetection
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.core.palms import Palms
from tracker.extract.feature_extractor import CropFeatures
from tracker.identity.meetings import Exchange
from tracker.pipeline import DetectedFrame

_NO_PALM = np.full((3, 3), np.nan)


@dataclass(frozen=True)
class DetectionFile:
    """What is kept of one clip: all but the pictures, and what people wear."""

    frames: Sequence[DetectedFrame]
    """Their pictures are black."""
    focal: float | None
    """px, where the source knew it."""
    more: dict[str, NDArray]
    """What else belongs to the clip, as the truth."""


def save(path: Path, frames: Sequence[DetectedFrame], focal: float | None, more: dict[str, NDArray]) -> None:
    """Raises OSError when it cannot be written. Names in `more` begin with `more_` in the file."""
    seen = [(row, each) for row, frame in enumerate(frames) for each in frame.people]
    absent = [(row, key) for row, frame in enumerate(frames) for key in sorted(frame.absent)]
    exchanges = [
        (row, each.first, each.second, each.since) for row, frame in enumerate(frames) for each in frame.exchanges
    ]
    arrays: dict[str, NDArray] = {
        "index": np.array([frame.frame.index for frame in frames]),
        "time": np.array([frame.frame.time for frame in frames]),
        "size": np.array([frame.frame.size for frame in frames]),
        "scene": np.array([frame.scene for frame in frames]),
        "absent": np.array(absent, int).reshape(-1, 2),
        "exchanges": np.array(exchanges, float).reshape(-1, 4),
        "focal": np.array(np.nan if focal is None else focal),
        "row": np.array([row for row, _ in seen], int),
        "person": np.array([each.person_id for _, each in seen], int),
    }
    features = [frames[row].features.get(each.person_id) for row, each in seen]
    arrays |= _columns([_seen(each.detection) for _, each in seen])
    arrays |= _columns([_felt(each) for each in features if each is not None])
    arrays["felt"] = np.array([each is not None for each in features], bool)
    with whole_file(path) as part, part.open("wb") as stream:
        np.savez(stream, **arrays, **{f"more_{name}": value for name, value in more.items()})


def load(path: Path) -> DetectionFile:
    """Raises OSError and ValueError for what is no such file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    people: list[list[TrackedDetection]] = [[] for _ in arrays["index"]]
    features: list[dict[int, CropFeatures]] = [{} for _ in arrays["index"]]
    felt = iter(range(int(arrays["felt"].sum())))
    for number, (row, person) in enumerate(zip(arrays["row"], arrays["person"], strict=True)):
        size = (int(arrays["size"][row][0]), int(arrays["size"][row][1]))
        people[row].append(TrackedDetection(int(person), _detection(arrays, number, size)))
        if arrays["felt"][number]:
            features[row][int(person)] = _features(arrays, next(felt))
    frames = [
        DetectedFrame(
            _dark(int(index), float(arrays["time"][row]), arrays["size"][row]),
            people[row],
            int(arrays["scene"][row]),
            frozenset(int(key) for at, key in arrays["absent"] if at == row),
            tuple(
                Exchange(int(one), int(other), since, {}) for at, one, other, since in arrays["exchanges"] if at == row
            ),
            features=features[row],
        )
        for row, index in enumerate(arrays["index"])
    ]
    more = {name.removeprefix("more_"): value for name, value in arrays.items() if name.startswith("more_")}
    return DetectionFile(frames, None if np.isnan(arrays["focal"]) else float(arrays["focal"]), more)


def _columns(rows: Sequence[dict[str, NDArray]]) -> dict[str, NDArray]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}


def _seen(detection: Detection) -> dict[str, NDArray]:
    mask, palms = detection.mask, detection.palms
    if mask is None:
        raise ValueError("detection file: expected a mask of everybody")
    return {
        "landmarks2d": detection.landmarks2d,
        "landmarks3d": detection.landmarks3d,
        "visibility": detection.visibility,
        "mask": mask.values,
        "T_frame_mask": mask.T_frame_mask,
        "left_palm": _NO_PALM if palms.left is None else palms.left,
        "right_palm": _NO_PALM if palms.right is None else palms.right,
    }


def _detection(arrays: dict[str, NDArray], number: int, size: tuple[int, int]) -> Detection:
    return Detection(
        arrays["landmarks2d"][number],
        arrays["landmarks3d"][number],
        arrays["visibility"][number],
        PlacedMask(arrays["mask"][number], arrays["T_frame_mask"][number], size),
        palms=Palms(_palm(arrays["left_palm"][number]), _palm(arrays["right_palm"][number])),
    )


def _palm(axes: Array) -> Array | None:
    return None if np.isnan(axes).any() else axes


def _felt(features: CropFeatures) -> dict[str, NDArray]:
    state = features.regressed
    return {
        "features": features.features[0].numpy().astype(np.float16),
        "rotations": state.rotations,
        "betas": state.betas,
        "transl": state.transl,
        "map_camera": features.map_camera,
        "R_crop_camera": features.R_crop_camera,
    }


def _features(arrays: dict[str, NDArray], number: int) -> CropFeatures:
    features = torch.from_numpy(arrays["features"][number].astype(np.float32))[None]
    state = BodyState(*(arrays[name][number] for name in ("rotations", "betas", "transl")))
    return CropFeatures(features, state, arrays["map_camera"][number], arrays["R_crop_camera"][number])


def _dark(index: int, time: float, size: NDArray) -> Frame:
    return Frame(index, time, np.broadcast_to(np.uint8(0), (int(size[1]), int(size[0]), 3)))
