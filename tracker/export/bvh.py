"""person_NNN.bvh: SMPL's skeleton in motion, y up, for Blender and other animation tools.

The rest pose is SMPL's T-pose of the track's own shape. A BVH has one frame time, no start time and no way to leave a
frame out: its first frame is the run's first, so that the files of several people and the video play together, and rows
without the person hold or bridge the pose; run.json lists them as `gaps`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from scipy.spatial.transform import Rotation

from tracker.body.model import BodyModel
from tracker.core.arrays import Array
from tracker.export.files_config import FilesConfig
from tracker.export.sequence import PersonSequence, SkeletonMotion, shape_body, to_numpy
from tracker.export.skeletons import joint_names

_EULER = "ZXY"
_CHANNELS = " ".join(f"{axis}rotation" for axis in _EULER)


_PLAIN = FilesConfig()


def write(stream: BinaryIO, person: PersonSequence, body: BodyModel, files: FilesConfig = _PLAIN) -> None:
    """HIERARCHY with offsets; MOTION with the pelvis' place, then intrinsic Z-X-Y degrees of every joint."""
    skeleton = _Skeleton.of(body, person.betas, files)
    late = round(person.seconds[0] * person.timeline.frame_rate)
    text = io.TextIOWrapper(stream, encoding="ascii", newline="\n")
    text.write("HIERARCHY\n" + "\n".join(skeleton.lines) + "\n")
    count = late + len(person.timestamps)
    text.write(f"MOTION\nFrames: {count}\nFrame Time: {1 / person.timeline.frame_rate:.8f}\n")
    for number, rows in enumerate(_motion_rows(person, skeleton.order, files.scale)):
        np.savetxt(text, rows if number else np.concatenate([np.repeat(rows[:1], late, axis=0), rows]), fmt="%.5f")
    text.flush()
    text.detach()


def _motion_rows(person: PersonSequence, order: Sequence[int], scale: float) -> Iterator[Array]:
    """Blocks (n, 3 + 72) of the MOTION section."""
    previous = np.zeros((len(order), 3))
    for block in person.blocks():
        motion = SkeletonMotion.of(block)
        degrees = continuous_euler(motion.quaternions[:, order], previous)
        previous = degrees[-1]
        yield np.concatenate([scale * motion.pelvis, degrees.reshape(len(degrees), -1)], axis=1)


def continuous_euler(quaternions: Array, previous: Array | None = None) -> Array:
    """(T, n, 4) xyzw → (T, n, 3) degrees Z, X, Y; of the two equivalent triples, and of the turns of 360°, always those
    nearest to the frame before, so that a curve editor shows no jumps.

    previous: (n, 3), of the frame before the first.
    """
    frames, joints = quaternions.shape[:2]
    rotations = Rotation.from_quat(quaternions.reshape(-1, 4))
    first = rotations.as_euler(_EULER, degrees=True).reshape(frames, joints, 3)
    other = first * [1, -1, 1] + [180, 180, 180]
    chosen = np.empty_like(first)
    previous = np.zeros((joints, 3)) if previous is None else previous
    for t in range(frames):
        candidates = np.stack([first[t], other[t]])
        candidates += 360 * np.round((previous - candidates) / 360)
        best = np.abs(candidates - previous).sum(axis=-1).argmin(axis=0)
        previous = chosen[t] = candidates[best, np.arange(joints)]
    return chosen


class _Skeleton:
    """The HIERARCHY section and the order in which it visits the joints (depth first, as the MOTION section must)."""

    def __init__(self, parents: Array, offsets: Array, tips: Array, names: Sequence[str]) -> None:
        self._parents, self._offsets, self._tips, self._names = parents, offsets, tips, names
        self.order: list[int] = []
        self.lines: list[str] = []
        self._add(0, "")

    @classmethod
    def of(cls, body: BodyModel, betas: Array, files: FilesConfig) -> _Skeleton:
        shaped = shape_body(body, betas)
        joints, vertices = to_numpy(shaped.rest_joints), to_numpy(shaped.rest_vertices)
        parents = np.asarray(body.parents)
        offsets = joints - joints[np.maximum(parents, 0)]
        tips = _tips(joints, vertices, to_numpy(body.weights))
        return cls(parents, files.scale * offsets, files.scale * tips, joint_names(files.skeleton))

    def _add(self, joint: int, indent: str) -> None:
        self.order.append(joint)
        children = [child for child, parent in enumerate(self._parents) if parent == joint]
        channels = f"3 {_CHANNELS}" if indent else f"6 Xposition Yposition Zposition {_CHANNELS}"
        kind = "JOINT" if indent else "ROOT"
        self.lines += [f"{indent}{kind} {self._names[joint]}", f"{indent}{{"]
        self.lines += [f"{indent}\t{_offset(self._offsets[joint])}", f"{indent}\tCHANNELS {channels}"]
        for child in children:
            self._add(child, indent + "\t")
        if not children:
            end = _offset(self._tips[joint])
            self.lines += [f"{indent}\tEnd Site", f"{indent}\t{{", f"{indent}\t\t{end}", f"{indent}\t}}"]
        self.lines.append(f"{indent}}}")


def _offset(xyz: Array) -> str:
    return "OFFSET " + " ".join(f"{v:.6f}" for v in xyz)


def _tips(joints: Array, vertices: Array, weights: Array) -> Array:
    """(24, 3) m: from each joint to the farthest point of the skin that it moves most: crown, fingertip, toe."""
    owner = weights.argmax(axis=1)
    reach = vertices - joints[owner]
    distance = np.linalg.norm(reach, axis=1)
    tips = np.zeros_like(joints)
    for joint in np.unique(owner):
        mine = np.flatnonzero(owner == joint)
        tips[joint] = reach[mine[distance[mine].argmax()]]
    return tips
