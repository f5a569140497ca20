"""Exact dense maps of a body that is known: what the network of `networks.dense_maps` should say."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels import raster
from kernels.raster_values import Intrinsics
from tracker.body.model import BodyModel, PosedBody
from tracker.body.uv_atlas import UvAtlas
from tracker.networks.dense_maps import DenseMaps
from tracker.networks.guide import MAP
from tracker.networks.head import crop_rays, turn_to_ray
from tracker.networks.landmark_network import SIDE
from tracker.training.head_losses import TruePeople

_SURE = 20.0
"""Logit of what is known."""


class DenseTruth:
    """Draws the maps of one body."""

    def __init__(self, body: BodyModel, atlas: UvAtlas) -> None:
        assert body.uv is not None and body.faces_uv is not None, "an atlas is of a body with texture coordinates"
        self.atlas, self._body = atlas, body
        self._faces = body.faces.int().contiguous()
        self._uv = body.uv[body.faces_uv].float()

    def posed(self, truth: TruePeople) -> PosedBody:
        """The bodies, in the axes of the camera that looks straight at each crop, wherever their pelvis is."""
        turn = turn_to_ray(crop_rays(truth.cameras)).transpose(1, 2)
        rotations = torch.cat([(turn @ truth.rotations[:, 0])[:, None], truth.rotations[:, 1:]], dim=1)
        return self._body.with_shape(truth.betas).with_rotations(rotations)

    def maps(self, truth: TruePeople, hidden: bool = True) -> DenseMaps:
        """hidden: leaves out pixels whose `parts` are 0, where something is in front."""
        posed = self.posed(truth)
        root = posed.joints[:, :1]
        locations = posed.vertices() - root
        joints = (posed.joints - root)[:, list(self.atlas.joints)]
        each = [self._of(truth, locations, joints, person, hidden) for person in range(len(locations))]
        return DenseMaps(*(torch.stack(maps) for maps in zip(*each, strict=True)))

    def _of(
        self, truth: TruePeople, locations: Tensor, joints: Tensor, person: int, hidden: bool
    ) -> tuple[Tensor, ...]:
        camera = truth.cameras[person] * MAP / SIDE
        turn = turn_to_ray(crop_rays(truth.cameras[person : person + 1]))[0]
        placed = (locations[person] @ turn.T + truth.root[person]).contiguous()
        k = Intrinsics(*(float(v) for v in camera))
        drawn = raster.rasterize(placed, self._faces, k, (MAP, MAP))
        visible = drawn.triangle >= 0
        if hidden:
            visible = visible & (truth.parts[person] > 0)
        face, share = drawn.triangle[visible].long(), drawn.barycentric[visible]
        uv = (self._uv[face] * share[..., None]).sum(1)
        location = (locations[person][self._body.faces[face]] * share[..., None]).sum(1)
        joint = joints[person][self.atlas.joint.flatten()[self.atlas.texels(uv)]]
        mask = torch.where(visible, _SURE, -_SURE)
        return mask, *(_picture(values, visible) for values in (uv, joint, location, location - joint))


def _picture(values: Tensor, where: Tensor) -> Tensor:
    """(C, 64, 64) of values (N, C) at True pixels; 0 elsewhere."""
    picture = values.new_zeros(values.shape[1], *where.shape)
    picture[:, where] = values.T
    return picture
