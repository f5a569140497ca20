"""One person in the viewer's scene: a skinned mesh, a skeleton coloured by confidence, kernels, a path on the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from viser.transforms import SO3

from tracker.app.view.confidence_mesh import ConfidenceMesh, scene_colours
from tracker.app.view.motion import MovingPerson
from tracker.body.skeletal_mesh import SkeletalMesh, strongest
from tracker.body.smpl_joints import SKELETON_EDGES
from tracker.core.arrays import Array
from tracker.world.contact_parts import PART_JOINTS

if TYPE_CHECKING:
    from tracker.body.volume import BodyVolume

_INFLUENCES = 4
"""Joints that move a vertex at most in viser."""
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
    confidence: bool = False
    """The mesh in the colours of its joints' confidence, in the place of the plain one."""
    skeleton: bool = False
    contacts: bool = False
    kernels: bool = False
    paths: bool = True


class PersonFigure:
    """Draws one person of one run at the times that it is shown."""

    def __init__(
        self,
        scene: Any,
        root: str,
        person: MovingPerson,
        body: SkeletalMesh,
        volume: Callable[[], BodyVolume],
        colour: tuple[int, ...],
    ) -> None:
        """scene: viser's; root: the node in it that the figure hangs below; volume: asked for when it is shown."""
        self.person, self._body, self._scene, self._root, self._volume = person, body, scene, root, volume
        self._vertices, self._rest_joints = body.at_rest(person.betas)
        self._weights = strongest(body.weights, _INFLUENCES)
        self._mesh = self._scene.add_mesh_skinned(
            f"{root}/mesh",
            self._vertices.astype(np.float32),
            body.faces,
            bone_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (len(self._rest_joints), 1)),
            bone_positions=self._rest_joints,
            skin_weights=self._weights,
            color=colour,
        )
        joints, colours = self._lines(0)
        self._skeleton = self._scene.add_line_segments(f"{root}/skeleton", joints, colours, thickness=0.025)
        self._path = self._scene.add_line_segments(f"{root}/path", self._floor_path(), colour, thickness=0.008)
        self._contacts = self._scene.add_point_cloud(
            f"{root}/contacts", np.zeros((1, 3), np.float32), _TOUCHING, point_size=0.035, point_shape="circle"
        )
        self._points: Any = None
        self._coloured: ConfidenceMesh | None = None
        self._drawn: tuple[int, Layers] | None = None
        self.present: bool | None = None

    def show(self, time: float, layers: Layers) -> None:
        """As at a time, s, of the run's clock."""
        row = self.person.row(time)
        self.present = row is not None
        self._mesh.visible = layers.mesh and self.present and not layers.confidence
        self._skeleton.visible = layers.skeleton and self.present
        opacity = _SEE_THROUGH if layers.skeleton or layers.kernels or layers.contacts else None
        self._mesh.opacity = opacity
        if self._coloured is not None:
            self._coloured.show(layers.confidence and self.present, opacity)
        self._path.visible = layers.paths
        touching = self._touching(row)
        self._contacts.visible = layers.contacts and len(touching) > 0
        if self._points is not None:
            self._points.visible = layers.kernels and self.present
        if row is None or self._drawn == (row, layers):
            return
        self._drawn = (row, layers)
        if self._mesh.visible:
            self._pose_mesh(row)
        if layers.confidence:
            self._show_confidence(row)
        if layers.skeleton:
            self._skeleton.points, self._skeleton.colors = self._lines(row)
        if self._contacts.visible:
            self._contacts.points = touching
        if layers.kernels:
            self._show_kernels(row)

    def _pose_mesh(self, row: int) -> None:
        turns = bone_turns(self.person, row, self._body.parents)
        for bone, turn, place in zip(self._mesh.bones, turns, self.person.joints[row], strict=True):
            bone.wxyz, bone.position = turn.wxyz, place

    def _show_confidence(self, row: int) -> None:
        if self._coloured is None:
            self._coloured = ConfidenceMesh(
                self._scene, f"{self._root}/confidence", self._body, self._vertices, self._rest_joints, self._weights
            )
            self._coloured.show(True, self._mesh.opacity)
        turns = bone_turns(self.person, row, self._body.parents)
        self._coloured.pose(turns, self.person.joints[row], self.person.confidence[row])

    def _lines(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """(23, 2, 3) m and RGB: green where the picture supports a joint, red where it does not."""
        colours = scene_colours(self.person.confidence[row])
        return self.person.joints[row][_EDGES].astype(np.float32), colours[_EDGES]

    def _touching(self, row: int | None) -> NDArray[np.float32]:
        """(n, 3) m: the joints whose parts touch the floor."""
        joints = PART_JOINTS[self.person.contacts[row]] if row is not None else PART_JOINTS[:0]
        return self.person.joints[row or 0, joints].astype(np.float32)

    def _show_kernels(self, row: int) -> None:
        turns = bone_turns(self.person, row, self._body.parents)
        rotations = np.stack([turn.as_matrix() for turn in turns])
        points = self._kernels.at(rotations, self.person.joints[row]).astype(np.float32)
        if self._points is None:
            self._points = self._scene.add_point_cloud(
                f"{self._root}/kernels", points, self._kernels.colours, point_size=0.022, point_shape="circle"
            )
        self._points.points = points

    @cached_property
    def _kernels(self) -> _Kernels:
        return _Kernels(self._volume(), self.person.betas, self._rest_joints)

    def _floor_path(self) -> NDArray[np.float32]:
        """(n, 2, 3) m: where the pelvis went, on the floor."""
        rows = np.unique(np.linspace(0, len(self.person.joints) - 1, _PATH_POINTS).astype(int))
        points = self.person.joints[rows, 0] * [1, 0, 1] + [0, 0.005, 0]
        points = np.concatenate([points, points[-1:]])
        return np.stack([points[:-1], points[1:]], axis=1).astype(np.float32)


def bone_turns(person: MovingPerson, row: int, parents: tuple[int, ...]) -> list[SO3]:
    """(24,) how each joint is turned in the scene, in a row."""
    R_scene_file = person.R_scene_file if person.R_scene_file.ndim == 2 else person.R_scene_file[row]
    turns = [SO3.from_matrix(R_scene_file) @ SO3.exp(person.theta[row, 0])]
    for joint, parent in enumerate(parents[1:], start=1):
        turns.append(turns[parent] @ SO3.exp(person.theta[row, joint]))
    return turns


class _Kernels:
    """The centres of the volume's kernels, posed."""

    def __init__(self, volume: BodyVolume, betas: Array, rest_joints: Array) -> None:
        body, count = volume.body, volume.count
        centres, dirs = body.points[:count].double().numpy(), body.point_dirs[:count].double().numpy()
        self._rest, self._rest_joints = centres + dirs @ betas[: dirs.shape[-1]], rest_joints
        self._joints, self._weights = body.weight_joints[:count].numpy(), body.weights[:count].double().numpy()
        hues = np.random.default_rng(0).integers(60, 256, (int(volume.limb.max()) + 1, 3), dtype=np.uint8)
        self.colours = hues[volume.limb.numpy()]

    def at(self, rotations: Array, joints: Array) -> Array:
        """rotations: (24, 3, 3) and joints: (24, 3) m of the bones in the scene → (K, 3) m"""
        away = self._rest[:, None] - self._rest_joints[self._joints]
        moved = (rotations[self._joints] @ away[..., None])[..., 0] + joints[self._joints]
        return (moved * self._weights[..., None]).sum(axis=1)
