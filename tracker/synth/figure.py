"""A dressed person: the body and what grows on it, as layers that one pose moves together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from tracker.body.model import JOINT_NAMES, BodyModel, PosedBody, ShapedBody
from tracker.core.arrays import Array
from tracker.core.person import Pose
from tracker.synth.body_measures import Anatomy
from tracker.synth.figure_texture import Painter, Palette
from tracker.synth.hair import HairStyle, eyes_and_skin, hair, hair_field
from tracker.synth.shoes import shoe
from tracker.synth.surface import Surface
from tracker.synth.tailor import tailor, uncovered
from tracker.synth.wardrobe import shirt_design, trouser_design


@dataclass(frozen=True)
class FigureConfig:
    """How a person is dressed."""

    texture_size: int = 1024
    sleeve: float = 0.62
    """Length of the sleeves, as a share of the upper arm."""
    trouser_length: float = 1.0
    """Share of the way from knee to ankle."""
    sole: float = 0.018
    """m under the foot."""
    hair: HairStyle = field(default_factory=HairStyle)


@dataclass(frozen=True)
class FigureLayer:
    """One textured surface of the figure."""

    surface: Surface
    texture: NDArray[np.uint8]
    """(h, w, 3) sRGB."""
    gloss: float
    """Strength of the highlight."""


class Figure:
    """A person of a given shape and look, ready to be posed."""

    def __init__(self, model: BodyModel, betas: Array, config: FigureConfig, seed: int) -> None:
        self.shaped: ShapedBody = model.with_shape(torch.as_tensor(betas, dtype=torch.float32))
        anatomy = Anatomy.of(self.shaped)
        palette = Palette.sample(np.random.default_rng(seed))
        self.layers = dress(anatomy, Painter(anatomy, palette, config.texture_size, seed), config)
        self.betas = np.asarray(betas, float)
        self.floor = anatomy.sole - config.sole
        """y of the floor under the shoes, in the frame of the body at rest."""
        self._pose_blocks = [
            (block.joint, block.vertices.numpy(), block.offsets.numpy().astype(float).reshape(-1, 9))
            for block in model.pose_blocks
        ]
        self._skinning = [csr_matrix(layer.surface.weights) for layer in self.layers]

    def posed(self, pose: Pose) -> list[Array]:
        """(V, 3) m in the camera frame, for each layer. The pose's betas are those of the figure."""
        posed = self._body(pose.theta, pose.transl)
        bones = posed.T_world_bone.numpy().astype(float)[:, :3, :].reshape(len(JOINT_NAMES), 12)
        correction = self._corrections(posed.rotations.numpy().astype(float))
        return [
            _transformed((weights @ bones).reshape(-1, 3, 4), layer.surface.rest + layer.surface.origin @ correction)
            for layer, weights in zip(self.layers, self._skinning, strict=True)
        ]

    def cover(self, vertices: list[Array]) -> list[Array]:
        """The layers' vertices (V, 3) and the middles of their faces: points about a centimetre apart."""
        middles = [at[layer.surface.faces].mean(axis=1) for layer, at in zip(self.layers, vertices, strict=True)]
        return [*vertices, *middles]

    def joints(self, theta: Array, transl: Array) -> Array:
        """(T, 24, 3) m in the camera frame, for poses (T, 24, 3) and translations (T, 3)."""
        return self._body(theta, transl).joints.numpy().astype(float)

    def _body(self, theta: Array, transl: Array) -> PosedBody:
        return self.shaped.with_pose(*(torch.as_tensor(values, dtype=torch.float32) for values in (theta, transl)))

    def _corrections(self, rotations: Array) -> Array:
        """(body's vertices, 3) m by which joint rotations (24, 3, 3) change the body at rest."""
        offsets = np.zeros((len(self.shaped.rest_vertices), 3))
        for joint, vertices, directions in self._pose_blocks:
            offsets[vertices] += (directions @ (rotations[joint] - np.eye(3)).ravel()).reshape(-1, 3)
        return offsets


def _transformed(transforms: Array, points: Array) -> Array:
    return np.einsum("vij,vj->vi", transforms[:, :, :3], points) + transforms[:, :, 3]


def dress(anatomy: Anatomy, painter: Painter, config: FigureConfig) -> list[FigureLayer]:
    """Skin, eyes, hair, T-shirt, trousers and shoes."""
    body = anatomy.surface
    shirt_plan, trouser_plan = (
        shirt_design(anatomy, config.sleeve),
        trouser_design(anatomy, config.trouser_length),
    )
    shirt, trousers = (tailor(anatomy, plan, painter.seed + 20) for plan in (shirt_plan, trouser_plan))
    hair_cap = hair(anatomy, config.hair, painter.seed + 22)
    in_shoe = anatomy.sole + 0.12 - body.rest[:, 1]
    eyes, skin_faces = eyes_and_skin(body)
    skin = uncovered(
        body, skin_faces, [shirt_plan.inside(body.rest), trouser_plan.inside(body.rest), hair_field(anatomy), in_shoe]
    )
    return [
        FigureLayer(skin, painter.skin(skin), 0.10),
        *(FigureLayer(eye, painter.eye(), 0.3) for eye in eyes),
        FigureLayer(hair_cap.surface, painter.hair(hair_cap), 0.12),
        FigureLayer(shirt.surface, painter.shirt(shirt), 0.0),
        FigureLayer(trousers.surface, painter.trousers(trousers), 0.0),
        *(FigureLayer(shoe(anatomy, side, config.sole), painter.shoe(), 0.05) for side in ("left", "right")),
    ]
