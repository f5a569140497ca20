"""A frame's people as one message: a line of JSON, or a few hundred bytes that any language unpacks."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.export.jsonl import encode_frame
from tracker.world.live_world import LiveWorld

_HEADER = struct.Struct("<4sIdII12f")
"""Magic, frame, time, number of people, spare, the upper three rows of T_world_camera."""
_MAGIC = b"BTP1"
PERSON_RECORD = np.dtype(
    [
        ("id", "<i4"),
        ("bbox", "<f4", (4,)),
        ("trans", "<f4", (3,)),
        ("rotations", "<f4", (NUM_JOINTS, 4)),
        ("betas", "<f4", (NUM_BETAS,)),
        ("joints3d", "<f4", (NUM_JOINTS, 3)),
        ("joint_confidence", "<f4", (NUM_JOINTS,)),
    ]
)
"""One person of a binary message; rotations are quaternions xyzw, local, the root's into the camera's frame."""

PoseEncoder = Callable[[Frame, Sequence[Person]], bytes]


class JsonEncoder:
    """The lines of frames.jsonl."""

    def __init__(self, world: LiveWorld) -> None:
        self._world = world

    def __call__(self, frame: Frame, people: Sequence[Person]) -> bytes:
        return encode_frame(frame.index, frame.time, people, self._world.watch(frame.time, people))


class BinaryEncoder:
    """A header and a record for each person, little-endian."""

    def __init__(self, world: LiveWorld) -> None:
        self._world = world

    def __call__(self, frame: Frame, people: Sequence[Person]) -> bytes:
        matrix = self._world.watch(frame.time, people).T_world_camera[:3].ravel()
        header = _HEADER.pack(_MAGIC, frame.index, frame.time, len(people), 0, *matrix)
        return header + np.concatenate([np.zeros(0, PERSON_RECORD), *map(_record, people)]).tobytes()


def _record(person: Person) -> NDArray[np.void]:
    """(1,) PERSON_RECORD."""
    record = np.zeros(1, PERSON_RECORD)
    record["id"], record["bbox"], record["trans"] = person.person_id, person.bbox, person.pose.transl
    record["rotations"] = Rotation.from_rotvec(person.pose.theta).as_quat()
    record["betas"], record["joints3d"] = person.pose.betas, person.joints3d
    record["joint_confidence"] = person.joint_confidence
    return record


ENCODERS: dict[str, Callable[[LiveWorld], PoseEncoder]] = {"json": JsonEncoder, "binary": BinaryEncoder}
"""By the name that `?format=` gives them."""
