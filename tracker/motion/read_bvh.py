"""BVH files: a HIERARCHY of joints with channels, then MOTION, one line of numbers a frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from tracker.core.arrays import Array
from tracker.core.input_file import reading
from tracker.motion.source_motion import SourceMotion, SourceSkeleton

_AXES = {"xrotation": "X", "yrotation": "Y", "zrotation": "Z"}
_PLACES = {"xposition": 0, "yposition": 1, "zposition": 2}
_MAX_JOINTS, _MAX_CHANNELS = 2000, 6
_MOST_TURNS = 20_000_000
"""Frames × joints, each a matrix of 72 bytes: nine hours of 20 joints at 30 Hz."""


@dataclass
class _Hierarchy:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)

    def add(self, name: str, parent: int) -> int:
        if len(self.names) >= _MAX_JOINTS:
            raise ValueError(f"more than {_MAX_JOINTS} joints")
        self.names.append(name)
        self.parents.append(parent)
        self.offsets.append([0.0, 0.0, 0.0])
        self.channels.append([])
        return len(self.names) - 1


def parse_bvh(name: str, text: str) -> SourceMotion:
    """The content of one file. Position channels move the root; those of other joints do not stretch the bones.

    Raises InputError that names the file and what is wrong with it.
    """
    head, keyword, tail = text.partition("MOTION")
    with reading(name, "expected a BVH file"):
        if not head.split()[:1] == ["HIERARCHY"] or not keyword:
            raise ValueError("it has no HIERARCHY and MOTION sections")
        hierarchy = _read_hierarchy(head.split()[1:])
        rate, values = _read_motion(tail, sum(map(len, hierarchy.channels)))
        return _assemble(name, hierarchy, rate, values)


def _read_hierarchy(tokens: list[str]) -> _Hierarchy:
    hierarchy, stack, position, pending = _Hierarchy(), [-1], 0, -1
    while position < len(tokens):
        token = tokens[position].upper()
        if token in ("ROOT", "JOINT"):
            if token == "ROOT" and hierarchy.names:
                raise ValueError("it has more than one ROOT; only one person a file can be read")
            pending = hierarchy.add(tokens[position + 1], stack[-1])
            position += 2
        elif token == "END":
            pending = hierarchy.add("", stack[-1])
            position += 2
        elif token == "{":
            stack.append(pending)
            position += 1
        elif token == "}":
            stack.pop()
            position += 1
        elif token == "OFFSET":
            hierarchy.offsets[stack[-1]] = [float(v) for v in tokens[position + 1 : position + 4]]
            position += 4
        elif token == "CHANNELS":
            count = int(tokens[position + 1])
            if not 0 <= count <= _MAX_CHANNELS:
                raise ValueError(f"a joint has {count} channels; expected 0 to {_MAX_CHANNELS}")
            hierarchy.channels[stack[-1]] = [c.lower() for c in tokens[position + 2 : position + 2 + count]]
            position += 2 + count
        else:
            raise ValueError(f"its HIERARCHY says {tokens[position]!r} where JOINT, OFFSET or CHANNELS should stand")
    if not hierarchy.names or len(stack) != 1:
        raise ValueError("its HIERARCHY has no ROOT, or its braces do not match")
    return hierarchy


def _read_motion(text: str, width: int) -> tuple[float, Array]:
    lines = [line for line in text.splitlines() if line.strip()]
    header = {key.strip().lower(): value for key, _, value in (line.partition(":") for line in lines[:2])}
    if not {"frames", "frame time"} <= header.keys():
        raise ValueError("its MOTION section does not start with 'Frames:' and 'Frame Time:'")
    seconds = float(header["frame time"])
    if not seconds > 0:
        raise ValueError(f"its Frame Time is {seconds}; expected a number of seconds above 0")
    values = np.array(" ".join(lines[2:]).split(), dtype=np.float64)
    if not values.size or not width or values.size % width:
        raise ValueError(f"it has {values.size} numbers of motion; expected a multiple of its {width} channels")
    return 1 / seconds, values.reshape(-1, width)


def _assemble(name: str, hierarchy: _Hierarchy, rate: float, values: Array) -> SourceMotion:
    offsets = np.array(hierarchy.offsets)
    if len(values) * len(offsets) > _MOST_TURNS:
        raise ValueError(f"it has {len(values)} frames of {len(offsets)} joints; expected at most {_MOST_TURNS} in all")
    if not (np.isfinite(values).all() and np.isfinite(offsets).all()):
        raise ValueError("it has numbers that are not finite")
    rotations = np.tile(np.eye(3), (len(values), len(hierarchy.names), 1, 1))
    root, column = np.tile(offsets[0], (len(values), 1)), 0
    for joint, channels in enumerate(hierarchy.channels):
        mine = values[:, column : column + len(channels)]
        column += len(channels)
        turns = [k for k, channel in enumerate(channels) if channel in _AXES]
        unknown = [c for c in channels if c not in _AXES and c not in _PLACES]
        if unknown:
            raise ValueError(f"joint {hierarchy.names[joint]} has a channel {unknown[0]!r}")
        if turns:
            order = "".join(_AXES[channels[k]] for k in turns)
            rotations[:, joint] = Rotation.from_euler(order, mine[:, turns].squeeze(), degrees=True).as_matrix()
        if joint == 0:
            for k, channel in enumerate(channels):
                if channel in _PLACES:
                    root[:, _PLACES[channel]] += mine[:, k]
    skeleton = SourceSkeleton(tuple(hierarchy.names), tuple(hierarchy.parents), offsets)
    return SourceMotion(name, skeleton, rotations, root, rate)
