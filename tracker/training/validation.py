"""How a training does on people whom it never sees: numbers, and a sheet of pictures for the eye.

A row of the sheet is one person: the crop; the parts that the head sees; the feature map, its three main directions as
colours; the volume in the fitted pose, its features in the same colours; what the fit takes for an occluder; the mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.body import BodyModel
from tracker.body.body_state import BodyState
from tracker.body.drawn_body import drawn_body
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.person import Person, Pose
from tracker.evaluation.metrics import joint_errors
from tracker.fit.volume_fitter import PoseBelief, VolumeFit, VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import BodyNetwork
from tracker.networks.guide import MAP
from tracker.networks.head import NUM_PARTS
from tracker.networks.landmark_network import SIDE
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.training.people import Batch, Example

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class _Read:
    """What the networks make of one example."""

    example: Example
    features: Tensor
    """(1, D, 64, 64)."""
    parts: NDArray[np.integer]
    """(64, 64): the likeliest part."""
    head: BodyState
    fit: VolumeFit


class Validation:
    """Held-out examples, and what a network makes of them."""

    def __init__(self, examples: Sequence[Example], body: BodyModel) -> None:
        self._examples, self._body = list(examples), body
        self._rig = LandmarkRig.from_body(body)

    def __call__(self, network: BodyNetwork, sheet: Path) -> dict[str, float]:
        """MPJPE and PA-MPJPE in mm of the head and of the volume's fit from it; writes the sheet.

        Works on a copy on the CPU, where fits and pictures are made.
        """
        network = deepcopy(network).cpu().eval()
        reads = self._read(network)
        rows = [self._row(network, read) for read in reads]
        cv2.imwrite(str(sheet), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
        truth = np.stack([self._joints(_true_state(read.example)) for read in reads])
        figures: dict[str, float] = {}
        for name, states in (("head", [r.head for r in reads]), ("volume", [r.fit.state for r in reads])):
            errors = joint_errors(np.stack([self._joints(state) for state in states]), truth)
            figures |= {f"{name}_mpjpe": errors.mpjpe, f"{name}_pa_mpjpe": errors.pa_mpjpe}
        return figures

    @torch.no_grad()
    def _read(self, network: BodyNetwork) -> list[_Read]:
        batch = Batch.of(self._examples)
        extracted = network.extractor(batch.image, batch.guide)
        first = network.head(extracted.trunk, batch.guide, batch.camera)
        fitter = VolumeFitter(network, VolumeFitConfig(steps=10))
        reads = []
        for i, example in enumerate(self._examples):
            betas = first.betas[i].double().numpy()
            root = first.root[i].double().numpy() - self._rig.root_at_rest(betas)
            head = BodyState(first.rotations[i].double().numpy(), betas, root)
            features = extracted.features[i : i + 1]
            fit = fitter.fit(fitter.observe(features), _map_camera(example), PoseBelief.around(head, fitter.config))
            reads.append(_Read(example, features, first.parts[i].argmax(0).numpy(), head, fit))
        return reads

    def _joints(self, state: BodyState) -> Array:
        joints: Array = self._rig.pose(state.rotations, state.betas).joints + state.transl
        return joints

    def _row(self, network: BodyNetwork, read: _Read) -> Picture:
        """(128, 6 · 128, 3)."""
        fitter = VolumeFitter(network, VolumeFitConfig())
        drawn = fitter.rendered(_map_camera(read.example), read.fit.state)
        observed = read.features[0].permute(1, 2, 0)
        colours = _main_colours(observed, [observed, drawn])
        occlusion = np.asarray(255 * read.fit.occlusion, np.uint8)
        occluder = np.asarray(cv2.applyColorMap(occlusion, cv2.COLORMAP_INFERNO), np.uint8)[..., ::-1]
        panels = [read.example.image, _part_colours(read.parts), *colours, occluder, self._mesh(read)]
        return np.concatenate([cv2.resize(np.ascontiguousarray(p), (SIDE // 2, SIDE // 2)) for p in panels], axis=1)

    def _mesh(self, read: _Read) -> Picture:
        fx, fy, cx, cy = (float(v) for v in read.example.camera)
        camera = Camera(fx, fy, cx, cy, SIDE, SIDE)
        joints = self._joints(read.fit.state)
        flat = camera.project(joints)
        box = np.concatenate([flat.min(axis=0), flat.max(axis=0)])
        person = Person(0, read.fit.state.to_pose(), joints, flat, np.ones(NUM_JOINTS), box, read.fit.nll)
        with MeshOverlay() as overlay:
            return overlay.draw(read.example.image, camera, [person], drawn_body(self._body))


def _true_state(example: Example) -> BodyState:
    theta = example.theta.astype(float).reshape(NUM_JOINTS, 3)
    return BodyState.from_pose(Pose(theta[0], theta[1:].reshape(-1), example.betas, example.transl))


def _map_camera(example: Example) -> Array:
    return example.camera.astype(float) * MAP / SIDE


def _part_colours(parts: NDArray[np.integer]) -> Picture:
    hue = (np.arange(NUM_PARTS) * 47 % 180).astype(np.uint8)
    hsv = np.stack([hue, np.full_like(hue, 200), np.where(np.arange(NUM_PARTS) > 0, 230, 0).astype(np.uint8)], axis=1)
    palette = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    return np.asarray(palette[parts], np.uint8)


def _main_colours(base: Tensor, maps: Sequence[Tensor]) -> list[Picture]:
    """Maps (64, 64, D) as pictures: the three main directions of `base` are red, green and blue."""
    flat = base.flatten(0, 1)
    middle = flat.mean(0)
    torch.manual_seed(0)
    _, _, axes = torch.pca_lowrank(flat, q=3)
    reach = 3 * ((flat - middle) @ axes).std(0)
    shown = [((m - middle) @ axes / reach).clamp(-1, 1) * (m.norm(dim=-1, keepdim=True) > 0) for m in maps]
    return [np.asarray((127.5 * (1 + s)).numpy(), np.uint8) for s in shown]
