"""Rigged people as outfits: the body is fitted into each of them at rest, and what they look like hung on it.

Clothes lie outside of the body, so that it is kept inside of their surface, and near to it only loosely but where there
is skin. Where its joints are is then told by the surface: rigs have theirs a few centimetres elsewhere.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree
from torch import Tensor

from tracker.body.model import BodyModel, PosedBody, vertex_normals
from tracker.body.smpl_joints import SMPL_JOINTS, smpl_index
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.runtime.cache import made_file
from tracker.synth.samples.outfit import Dresser, LayerKind, Outfit, Piece
from tracker.synth.samples.rigged_person import RiggedPerson, read_rigged
from tracker.synth.surface import Surface

_STEPS, _RATE = 240, 0.02
"""Of the fit, and by how much rad and m it changes at first."""
_EVERY = 4
"""Of the body's vertices, every how many-th is compared with the person's surface."""
_AGAIN = 8
"""Steps after which the nearest points are looked for anew."""
_SKIN_SIGMA, _CLOTH_SIGMA, _OUTSIDE_SIGMA = 0.004, 0.02, 0.006
"""m from the body's surface to the person's: on hands and face, inside of clothes, and out of them."""
_FAR = 3.0
"""Sigmas from which on what is nearest is doubted."""
_SKIN_PARTS = [smpl_index(name) for name in ("head", "left_wrist", "right_wrist", "left_hand", "right_hand")]
_HINGES = [smpl_index(f"{side}_{name}") for side in ("left", "right") for name in ("knee", "ankle", "elbow", "wrist")]
"""Joints whose place every rig agrees on."""
_HINGE_SIGMA, _JOINT_SIGMA = 0.015, 0.06
"""m by which those, and other joints, are elsewhere."""
_ANGLE_SIGMA, _SHAPE_SIGMA = np.radians(5.0), 1.2
"""By which joints are turned at rest, and β are off 0."""
_SAMPLES_SHARE = 1 / 40
"""Of a comparison's worth: neighbours say the same."""
_NEIGHBOURS, _CLOSEST = 6, 0.01
"""Vertices of the body that one of a person's hangs on, and m below which none of them counts more."""
_NORMAL_WEIGHT, _SIDE_WEIGHT = 0.04, 0.3
"""m that normals that are opposite, and limbs of the other side, lie apart at least."""
_OWN_HAIR = 0.4
"""Share of samples in which hair keeps its colour."""
_SIDES = np.array([name.startswith("left") * 1.0 - name.startswith("right") for name in SMPL_JOINTS])
"""(24,) 1 for joints of the left, −1 of the right, 0 in the middle."""


@dataclass(frozen=True, eq=False)
class FittedBody:
    """The body inside of a person at rest."""

    theta: Array
    """(24, 3) rad."""
    betas: Array
    """(10,)"""
    transl: Array
    """(3,) m."""

    @classmethod
    def of_file(cls, path: Path, person: RiggedPerson, body: BodyModel) -> FittedBody:
        """Fitted once and kept; path: the person's file."""
        state, shape = path.stat(), zlib.crc32(body.v_template.numpy().tobytes())
        name = f"rigged/{path.stem}-{state.st_size}-{state.st_mtime_ns}-{shape:08x}-{_VERSION}.npz"

        def make(target: Path) -> None:
            fitted = fitted_body(person, body)
            with target.open("wb") as file:
                np.savez(file, theta=fitted.theta, betas=fitted.betas, transl=fitted.transl)

        with np.load(made_file(name, make), allow_pickle=False) as file:
            return cls(file["theta"], file["betas"], file["transl"])

    def posed(self, body: BodyModel) -> PosedBody:
        """The body as it lies under the person."""
        template = body.v_template
        shaped = body.with_shape(template.new_tensor(self.betas))
        return shaped.with_pose(template.new_tensor(self.theta), template.new_tensor(self.transl))


_VERSION = 1
"""Of how bodies are fitted: what is kept of another is not used."""


def rigged_outfit(dresser: Dresser, body: BodyModel, path: Path) -> Outfit:
    """The person of a file. Raises InputError and ImportError as `read_rigged` does."""
    person = read_rigged(path)
    return dresser.outfit(hung(dresser, body, person, FittedBody.of_file(path, person, body)))


def hung(dresser: Dresser, body: BodyModel, person: RiggedPerson, fitted: FittedBody) -> list[Piece]:
    """The person's meshes on the body at rest, of any shape: each vertex where it is beside those of the body that it
    is next to."""
    posed = fitted.posed(body)
    origin = _neighbours(body, posed, person)
    weights = np.asarray(origin @ body.weights.double().numpy())
    bones = (weights @ posed.T_world_bone[:, :3].double().numpy().reshape(NUM_JOINTS, 12)).reshape(-1, 3, 4)
    rest = np.linalg.solve(bones[..., :3], (person.vertices - bones[..., 3])[..., None])[..., 0]
    dirs = body.shapedirs.double().numpy().reshape(-1, 3 * NUM_BETAS)
    rest -= (origin @ dirs).reshape(-1, 3, NUM_BETAS) @ fitted.betas
    pieces = []
    parts = (person.by_mesh(values) for values in (rest, weights, np.arange(len(rest))))
    for number, (mesh, places, shares, rows) in enumerate(zip(person.meshes, *parts, strict=True)):
        kind: LayerKind = "person" if number == 0 else "hair"
        surface = Surface(places, shares, origin[rows], mesh.uv, mesh.faces)
        pieces.append(dresser.piece(kind, surface, mesh.texture, 1.0 if number == 0 else _OWN_HAIR))
    return pieces


def _neighbours(body: BodyModel, posed: PosedBody, person: RiggedPerson) -> csr_matrix:
    """(V, body's vertices), rows that sum to 1: those of the body that each vertex of the person is next to."""
    skin = posed.vertices()
    own = _features(skin, vertex_normals(skin, body.faces), body.weights.double().numpy())
    vertices = torch.from_numpy(person.vertices)
    theirs = _features(vertices, vertex_normals(vertices, torch.from_numpy(person.faces)), person.joint_weights)
    distance, nearest = cKDTree(own).query(theirs, _NEIGHBOURS)
    share = 1 / (distance + _CLOSEST) ** 2
    share /= share.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(theirs)), _NEIGHBOURS)
    return csr_matrix((share.ravel(), (rows, nearest.ravel())), shape=(len(theirs), len(own)))


def _features(vertices: Tensor, normals: Tensor, weights: Array) -> Array:
    """(V, 7): who is near in them is next to each other on one body, on the same side and limb."""
    sided = weights @ _SIDES
    return np.column_stack([vertices.double().numpy(), _NORMAL_WEIGHT * normals.double().numpy(), _SIDE_WEIGHT * sided])


def fitted_body(person: RiggedPerson, body: BodyModel) -> FittedBody:
    """The body of the shape and in the pose that lie best under the person's surface."""
    single = body.to(torch.float32)
    theta, betas = torch.zeros(NUM_JOINTS, 3, requires_grad=True), torch.zeros(NUM_BETAS, requires_grad=True)
    rest = single.with_shape(torch.zeros(NUM_BETAS)).rest_joints
    targets = torch.from_numpy(person.joints).float()
    transl = (targets[_HINGES] - rest[_HINGES]).mean(dim=0).detach().requires_grad_()
    optimizer = torch.optim.Adam([theta, betas, transl], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS, 0.05 * _RATE)
    surface = _PersonSurface(person, single)
    for step in range(_STEPS):
        posed = single.with_shape(betas).with_pose(theta, transl)
        points = posed.skin(surface.chosen)
        if step % _AGAIN == 0:
            surface.look(points.detach())
        optimizer.zero_grad()
        cost = surface.cost(points) + _belief(posed.joints - targets, theta, betas)
        cost.backward()
        optimizer.step()
        schedule.step()
    return FittedBody(*(each.detach().double().numpy() for each in (theta, betas, transl)))


def _belief(offsets: Tensor, theta: Tensor, betas: Tensor) -> Tensor:
    """What is known before the surface is looked at. offsets: (24, 3) m from the rig's joints."""
    sigma = torch.full((NUM_JOINTS, 1), _JOINT_SIGMA)
    sigma[_HINGES] = _HINGE_SIGMA
    return (
        0.5 * ((offsets / sigma) ** 2).sum()
        + 0.5 * ((theta / _ANGLE_SIGMA) ** 2).sum()
        + 0.5 * ((betas / _SHAPE_SIGMA) ** 2).sum()
    )


class _PersonSurface:
    """Where the person's surface is next to each of the chosen vertices of the body."""

    def __init__(self, person: RiggedPerson, body: BodyModel) -> None:
        self.chosen = torch.arange(0, len(body.v_template), _EVERY)
        vertices = torch.from_numpy(person.vertices)
        self._places = vertices.float()
        self._normals = vertex_normals(vertices, torch.from_numpy(person.faces)).float()
        self._tree = cKDTree(_features(vertices, self._normals, person.joint_weights))
        rest = body.with_shape(torch.zeros(NUM_BETAS)).rest_vertices
        self._own_normals = vertex_normals(rest, body.faces)[self.chosen]
        self._own_weights = body.weights[self.chosen].double().numpy()
        skin = torch.isin(body.part_labels[self.chosen], torch.tensor(_SKIN_PARTS))
        self._inside_sigma = torch.where(skin, _SKIN_SIGMA, _CLOTH_SIGMA)
        self._outside_sigma = torch.where(skin, _SKIN_SIGMA, _OUTSIDE_SIGMA)

    def look(self, points: Tensor) -> None:
        """points: (S, 3) m, where the chosen vertices are now. Limbs hardly turn, so that their normals stay."""
        nearest = self._tree.query(_features(points, self._own_normals, self._own_weights))[1]
        self._nearest: NDArray[np.intp] = nearest

    def cost(self, points: Tensor) -> Tensor:
        """Of the chosen vertices at points (S, 3) m; those far off are told by something else than skin."""
        place, normal = self._places[self._nearest], self._normals[self._nearest]
        out = ((points - place) * normal).sum(dim=1)
        squared = (out / torch.where(out > 0, self._outside_sigma, self._inside_sigma)) ** 2
        return _SAMPLES_SHARE * 0.5 * (_FAR**2 * squared / (_FAR**2 + squared)).sum()
