"""Carries the free body's landmarks over to a body with another mesh."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from tracker.body.free_body import load_free_body
from tracker.body.model import JOINT_NAMES, LANDMARK_NAMES, BodyModel

_NEIGHBOURS = 3
"""Vertices that a landmark is averaged over on the other mesh."""

_PARTS = {
    "head": ("head",),
    "left_hand": ("left_wrist", "left_hand"),
    "right_hand": ("right_wrist", "right_hand"),
    "left_foot": ("left_ankle", "left_foot"),
    "right_foot": ("right_ankle", "right_foot"),
}
"""The joints that move each part that has landmarks."""


@dataclass(frozen=True)
class _PartFrame:
    """Where a part is in the rest pose and how large: coordinates divided by it agree between bodies."""

    vertices: Tensor
    """Indices of the part's vertices."""
    anchor: Float[Tensor, " 3"]
    scale: Float[Tensor, " 3"]


def with_landmarks(body: BodyModel) -> BodyModel:
    """The body with rows for all landmarks, found by place: both bodies rest in the same pose."""
    free = load_free_body()
    places = free.landmark_regressor(LANDMARK_NAMES) @ free.v_template
    rows = torch.zeros(len(LANDMARK_NAMES), len(body.v_template), dtype=body.v_template.dtype)
    for row, (name, place) in enumerate(zip(LANDMARK_NAMES, places, strict=True)):
        part = _part_of(name)
        src, dst = _part_frame(free, part), _part_frame(body, part)
        expected = (place - src.anchor) / src.scale * dst.scale + dst.anchor
        distance = (body.v_template[dst.vertices] - expected).norm(dim=1)
        nearest = distance.topk(min(_NEIGHBOURS, len(distance)), largest=False)
        weights = 1 / (nearest.values + 1e-3)
        rows[row, dst.vertices[nearest.indices]] = weights / weights.sum()
    return replace(body, landmark_weights=rows)


def _part_of(landmark: str) -> str:
    side = "left" if "left" in landmark else "right"
    if any(word in landmark for word in ("heel", "foot")):
        return f"{side}_foot"
    return f"{side}_hand" if any(word in landmark for word in ("pinky", "index", "thumb")) else "head"


def _part_frame(body: BodyModel, part: str) -> _PartFrame:
    """Uses what does not depend on where a mesh draws the line at the neck, the wrist or the ankle.

    Head: its width and depth, and the crown. Hand: from the wrist joint to the finger tips. Foot: its length and
    breadth, and the sole.
    """
    labels = torch.tensor([JOINT_NAMES.index(name) for name in _PARTS[part]])
    chosen = torch.isin(body.part_labels, labels).nonzero()[:, 0]
    if len(chosen) == 0:
        chosen = torch.arange(len(body.v_template))
    points = body.v_template[chosen]
    low, high = points.min(dim=0).values, points.max(dim=0).values
    size = (high - low).clamp_min(1e-6)
    middle = (low + high) / 2
    if part == "head":
        return _PartFrame(chosen, torch.stack([middle[0], high[1], middle[2]]), size[[0, 2, 2]])
    if part.endswith("foot"):
        return _PartFrame(chosen, torch.stack([middle[0], low[1], middle[2]]), size[[0, 2, 2]])
    wrist = body.joint_regressor[labels[0]] @ body.v_template
    length = (points[:, 0] - wrist[0]).abs().max().clamp_min(1e-6)
    return _PartFrame(chosen, wrist, length.expand(3))
