"""One person in the viewer's scene: a skinned mesh, a skeleton coloured by confidence, kernels, a path on the floor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tracker.app.view.motion import MovingPerson
from tracker.body.model import BodyModel
from tracker.body.skinner import strongest
from tracker.body.smpl_joints import SKELETON_EDGES
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.core.arrays import Array
from tracker.export.sequence import shape_body, to_numpy
from tracker.world.body_track import PART_JOINTS

_INFLUENCES = 4
"""Joints that move a vertex at most in viser."""
_LOW, _HIGH = np.array([230.0, 60.0, 50.0]), np.array([60.0, 200.0, 90.0])
"""RGB of confidence 0 and 1."""
_SEE_THROUGH = 0.35
"""Opacity of a mesh in which something else is shown."""
_TOUCHING = (250, 160, 30)
"""RGB of what touches the floor."""
_PATH_POINTS = 1500
_EDGES = np.array(SKELETON_EDGES)


@dataclass(frozen=True)
class Layers:
    """What is shown of people."""

    mesh: bool = True
    skeleton: bool = False
    contacts: bool = False
    kernels: bool = False
    paths: bool = True


class PersonFigure:
    """Draws one person of one run at the times that it is shown."""

    def __init__(self, scene: Any, root: str, person: MovingPerson, body: BodyModel, colour: tuple[int, ...]) -> None:
        """scene: viser's; root: the node in it that the figure hangs below."""
        self.person, self._body, self._scene, self._root = person, body, scene, root
        shaped = shape_body(body, person.betas)
        self._mesh = self._scene.add_mesh_skinned(
            f"{root}/mesh",
            to_numpy(shaped.rest_vertices).astype(np.float32),
            body.faces.numpy(),
            bone_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (len(person.rest_joints), 1)),
            bone_positions=person.rest_joints,
            skin_weights=strongest(to_numpy(body.weights), _INFLUENCES),
            color=colour,
        )
        joints, colours = self._lines(0)
        self._skeleton = self._scene.add_line_segments(f"{root}/skeleton", joints, colours, thickness=0.015)
        self._path = self._scene.add_line_segments(f"{root}/path", self._floor_path(), colour, thickness=0.008)
        self._contacts = self._scene.add_point_cloud(
            f"{root}/contacts", np.zeros((1, 3), np.float32), _TOUCHING, point_size=0.035, point_shape="circle"
        )
        self._points: Any = None
        self._drawn: tuple[int, Layers] | None = None
        self.present: bool | None = None

    def show(self, time: float, layers: Layers) -> None:
        """As at a time, s, of the run's clock."""
        row = self.person.row(time)
        self.present = row is not None
        self._mesh.visible = layers.mesh and self.present
        self._skeleton.visible = layers.skeleton and self.present
        self._mesh.opacity = _SEE_THROUGH if layers.skeleton or layers.kernels or layers.contacts else None
        self._path.visible = layers.paths
        touching = self._touching(row)
        self._contacts.visible = layers.contacts and len(touching) > 0
        if self._points is not None:
            self._points.visible = layers.kernels and self.present
        if row is None or self._drawn == (row, layers):
            return
        self._drawn = (row, layers)
        if layers.mesh:
            self._pose_mesh(row)
        if layers.skeleton:
            self._skeleton.points, self._skeleton.colors = self._lines(row)
        if self._contacts.visible:
            self._contacts.points = touching
        if layers.kernels:
            self._show_kernels(row)

    def _pose_mesh(self, row: int) -> None:
        quaternions = Rotation.from_matrix(self.person.rotations[row]).as_quat()[:, [3, 0, 1, 2]]
        for bone, wxyz, place in zip(self._mesh.bones, quaternions, self.person.joints[row], strict=True):
            bone.wxyz, bone.position = wxyz, place

    def _lines(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """(23, 2, 3) m and RGB: green where the picture supports a joint, red where it does not."""
        share = np.clip(self.person.confidence[row], 0.0, 1.0)[:, None]
        colours = (_LOW + share * (_HIGH - _LOW)).astype(np.uint8)
        return self.person.joints[row][_EDGES].astype(np.float32), colours[_EDGES]

    def _touching(self, row: int | None) -> NDArray[np.float32]:
        """(n, 3) m: the joints whose parts touch the floor."""
        joints = PART_JOINTS[self.person.contacts[row]] if row is not None else PART_JOINTS[:0]
        return self.person.joints[row or 0, joints].astype(np.float32)

    def _show_kernels(self, row: int) -> None:
        points = self._kernels.at(self.person, row).astype(np.float32)
        if self._points is None:
            self._points = self._scene.add_point_cloud(
                f"{self._root}/kernels", points, self._kernels.colours, point_size=0.022, point_shape="circle"
            )
        self._points.points = points

    @cached_property
    def _kernels(self) -> _Kernels:
        return _Kernels(BodyVolume.on(self._body, VolumeConfig()), self.person.betas)

    def _floor_path(self) -> NDArray[np.float32]:
        """(n, 2, 3) m: where the pelvis went, on the floor."""
        rows = np.unique(np.linspace(0, len(self.person.joints) - 1, _PATH_POINTS).astype(int))
        points = self.person.joints[rows, 0] * [1, 0, 1] + [0, 0.005, 0]
        points = np.concatenate([points, points[-1:]])
        return np.stack([points[:-1], points[1:]], axis=1).astype(np.float32)


class _Kernels:
    """The centres of the volume's kernels, posed."""

    def __init__(self, volume: BodyVolume, betas: Array) -> None:
        body, count = volume.body, volume.count
        centres, dirs = to_numpy(body.points[:count]), to_numpy(body.point_dirs[:count])
        self._rest = centres + dirs @ betas[: dirs.shape[-1]]
        self._joints, self._weights = body.weight_joints[:count].numpy(), to_numpy(body.weights[:count])
        hues = np.random.default_rng(0).integers(60, 256, (int(volume.limb.max()) + 1, 3), dtype=np.uint8)
        self.colours = hues[volume.limb.numpy()]

    def at(self, person: MovingPerson, row: int) -> Array:
        """(K, 3) m"""
        away = self._rest[:, None] - person.rest_joints[self._joints]
        moved = (person.rotations[row][self._joints] @ away[..., None])[..., 0] + person.joints[row][self._joints]
        return (moved * self._weights[..., None]).sum(axis=1)
