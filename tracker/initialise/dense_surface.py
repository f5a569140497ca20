"""From an extractor's trunk to a pose and a whole surface: dense maps → votes → inverse kinematics → UV inpainting
(Best of Both Worlds, §3). Works on batches of crops, in training as in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import dacite
import numpy as np
import torch
from torch import Tensor, nn

from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.body.model import BodyModel, PosedBody
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.tensor_file import load_tensors, save_tensors
from tracker.initialise.inverse_kinematics import InverseKinematics, PoseGuess, Votes
from tracker.initialise.landmark_start import place
from tracker.networks.dense_maps import DenseMapConfig, DenseMapNetwork, DenseMaps, JointVotes, joint_votes
from tracker.networks.guide import MAP
from tracker.networks.head import crop_rays, turn_to_ray
from tracker.networks.landmark_network import SIDE
from tracker.networks.uv_inpainting import (
    AtlasPair,
    UvInpaintingConfig,
    UvInpaintingNetwork,
    UvMaps,
    completed_by_symmetry,
    posed_maps,
    warp,
    warped,
)

Config = TypeVar("Config")

_ENOUGH_VOTERS = 8
"""Pixels: a joint with as many is as sure as one can be."""
_LEAST_PIXELS = 30
"""Of a person, from which a place is worked out."""


@dataclass(frozen=True)
class SurfaceReading:
    """What is known of B people before their surface is completed; axes of the camera that looks straight at each."""

    maps: DenseMaps
    features: Tensor
    """(B, F, s, s): the dense maps' local features on the coarse atlas."""
    votes: JointVotes
    guess: PoseGuess
    """Camera axes."""
    posed: UvMaps
    """Of the guessed body, on the coarse atlas."""
    start: UvMaps
    """What is seen, completed by symmetry and by the guess."""


class DenseSurface:
    """The chain of networks on one body."""

    def __init__(
        self,
        body: BodyModel,
        dense: DenseMapNetwork,
        kinematics: InverseKinematics,
        inpainting: UvInpaintingNetwork | None = None,
    ) -> None:
        """kinematics: trained on votes. inpainting: None completes by symmetry alone."""
        self._body, self._rig = body, LandmarkRig.from_body(body)
        self._dense, self._kinematics, self._inpainting = dense, kinematics, inpainting
        config = UvInpaintingConfig() if inpainting is None else inpainting.config
        self.atlases = AtlasPair.of(body, config)

    @torch.no_grad()
    def read(self, trunk: Tensor, cameras: Tensor) -> SurfaceReading:
        """trunk: (B, C, 64, 64); cameras: (B, 4) fx, fy, cx, cy px of the crops."""
        maps, features = self._dense.read(trunk)
        atlas = self.atlases.coarse
        votes = joint_votes(maps, self.atlases.fine)
        guess = self._kinematics(None, _as_votes(votes.places, votes.voters / _ENOUGH_VOTERS, cameras))
        posed = self._posed(guess, cameras)
        root = posed.joints[:, :1]
        body = posed_maps(posed.vertices() - root, posed.joints - root, atlas)
        world = posed.T_world_bone[..., :3, :3]
        start = completed_by_symmetry(warped(maps, atlas), body, world, atlas)
        return SurfaceReading(maps, warp(features, maps, atlas)[0], votes, guess, body, start)

    def complete(self, reading: SurfaceReading) -> UvMaps:
        """The whole surface on the fine atlas. Needs the inpainting network."""
        assert self._inpainting is not None, "made without UV inpainting"
        device = next(self._inpainting.parameters()).device
        start, posed = reading.start.to(device), reading.posed.to(device)
        completed: UvMaps = self._inpainting(reading.features.to(device), start, posed, self.atlases)
        return completed

    @torch.no_grad()
    def completed_guess(self, completed: UvMaps, cameras: Tensor) -> PoseGuess:
        """The pose of a completed surface, by inverse kinematics from its joints."""
        fine = self.atlases.fine
        joints, _ = fine.joint_means(completed.joints, fine.inside.expand_as(completed.known))
        return self._kinematics(None, _as_votes(joints, torch.ones_like(joints[..., 0]), cameras))

    def states(self, guess: PoseGuess, maps: DenseMaps, cameras: Tensor, fallback: Tensor) -> list[BodyState]:
        """The guessed poses in the camera frame, placed where the pixels show their surface.

        fallback: (B, 3) m, roots of people of whom hardly anything is seen.
        """
        roots = [_root(maps, person, cameras[person].double().numpy()) for person in range(len(cameras))]
        return [
            BodyState(
                guess.rotations[i],
                guess.betas[i],
                (fallback[i].double().numpy() if root is None else root) - self._rig.root_at_rest(guess.betas[i]),
            )
            for i, root in enumerate(roots)
        ]

    def surface(self, completed: UvMaps) -> Tensor:
        """(B, V, 3) m: the vertices of a completed surface, from the pelvis."""
        return self.atlases.fine.surface(completed.locations)

    def _posed(self, guess: PoseGuess, cameras: Tensor) -> PosedBody:
        """In the axes of the camera that looks straight at each crop."""
        turn = turn_to_ray(crop_rays(cameras)).transpose(1, 2)
        rotations = torch.from_numpy(guess.rotations).float()
        rotations = torch.cat([(turn @ rotations[:, 0])[:, None], rotations[:, 1:]], dim=1)
        return self._body.with_shape(torch.from_numpy(guess.betas).float()).with_rotations(rotations)


def _as_votes(places: Tensor, confidence: Tensor, cameras: Tensor) -> Votes:
    turn = turn_to_ray(crop_rays(cameras)).double().numpy()
    return Votes(places.double().numpy(), confidence.clamp(max=1).double().numpy(), turn)


def _root(maps: DenseMaps, person: int, camera: Array) -> Array | None:
    """(3,) m: where the pelvis must be for the visible surface to be where it is seen; None of hardly anything."""
    visible = maps.person[person]
    if int(visible.sum()) < _LEAST_PIXELS:
        return None
    rows, columns = torch.nonzero(visible, as_tuple=True)
    pixels = (torch.stack([columns, rows], dim=1).double().numpy() + 0.5) * SIDE / MAP
    turn = turn_to_ray(crop_rays(torch.from_numpy(camera).float()[None]))[0].double().numpy()
    points = maps.locations[person][:, visible].T.double().numpy() @ turn.T
    fx, fy, cx, cy = camera
    root: Array = place(Camera(fx, fy, cx, cy, SIDE, SIDE), points, pixels, np.ones(len(points)))
    return root


def save_network(path: Path, network: nn.Module, sizes: Mapping[str, int], metadata: Mapping[str, Any]) -> None:
    """A network with its `config` and the sizes that it was made with, in half precision."""
    tensors = {n: v.half() if v.is_floating_point() else v for n, v in network.state_dict().items()}
    save_tensors(path, tensors, {**metadata, "config": asdict(network.config), "sizes": dict(sizes)})  # type: ignore[call-overload]


def load_dense_maps(path: Path) -> DenseMapNetwork:
    """What `train dense_maps` wrote. Raises InputError that names the file."""
    what = "weights of dense maps (`run.py train dense_maps` makes them)"
    tensors, sizes, config = _read(path, what, DenseMapConfig)
    return _filled(path, what, DenseMapNetwork(sizes["trunk"], config), tensors)


def load_uv_inpainting(path: Path) -> UvInpaintingNetwork:
    """What `train uv_inpainting` wrote. Raises InputError that names the file."""
    what = "weights of UV inpainting (`run.py train uv_inpainting` makes them)"
    tensors, sizes, config = _read(path, what, UvInpaintingConfig)
    return _filled(path, what, UvInpaintingNetwork(sizes["features"], config), tensors)


def _read(path: Path, what: str, config_class: type[Config]) -> tuple[dict[str, Tensor], dict[str, int], Config]:
    tensors, metadata = load_tensors(path, what)
    try:
        strict = dacite.Config(strict=True, cast=[tuple])
        config = dacite.from_dict(config_class, metadata["config"], strict)  # type: ignore[type-var]
        return tensors, metadata["sizes"], config
    except (KeyError, dacite.DaciteError) as error:
        raise InputError(f"{path}: expected {what}: {str(error).splitlines()[0]}") from error


Network = TypeVar("Network", bound=nn.Module)


def _filled(path: Path, what: str, network: Network, tensors: Mapping[str, Tensor]) -> Network:
    try:
        network.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in tensors.items()})
    except RuntimeError as error:
        raise InputError(f"{path}: expected {what}: {str(error).splitlines()[0]}") from error
    return network.requires_grad_(False).eval()
