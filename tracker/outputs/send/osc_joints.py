"""Everybody's joints over OSC, for TouchDesigner, Max, Pure Data, Resolume, and whoever reads OSC."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from scipy.spatial.transform import Rotation

from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Picture
from tracker.outputs.send.address import SendAddress
from tracker.outputs.send.osc import DatagramSender, OscMessage, bundle
from tracker.world.live_world import LiveWorld
from tracker.world.world_frame import WorldFrame


class OscJointsOutput:
    """A bundle for the frame, then one for each person: /tracker/person/ID/joint/NAME and …/rotation/NAME."""

    wants_picture = False

    def __init__(self, address: SendAddress, world: LiveWorld) -> None:
        self.name = address.text
        self._world, self._frame = world, OscMessage("/tracker/frame", "idi")
        self._datagrams = DatagramSender(address)

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        world = self._world.watch(frame.time, people)
        self._datagrams.send(bundle([self._frame.pack(frame.index, frame.time, len(people))]))
        for person in people:
            self._datagrams.send(bundle(_packed(person, world)))

    def close(self) -> None:
        self._datagrams.close()


def _packed(person: Person, world: WorldFrame) -> list[bytes]:
    joints, rotations = _messages(person.person_id)
    places = world.to_world(person.joints3d).tolist()
    local = Rotation.from_rotvec(person.pose.theta)
    turns = [Rotation.from_matrix(world.T_world_camera[:3, :3]) * local[0], *local[1:]]
    packed = [m.pack(*p, c) for m, p, c in zip(joints, places, person.joint_confidence.tolist(), strict=True)]
    return packed + [m.pack(*turn.as_quat().tolist()) for m, turn in zip(rotations, turns, strict=True)]


@lru_cache(maxsize=32)
def _messages(person_id: int) -> tuple[list[OscMessage], list[OscMessage]]:
    """Of one person, for places with confidence and for rotations."""
    root = f"/tracker/person/{person_id}"
    joints = [OscMessage(f"{root}/joint/{name}", "ffff") for name in SMPL_JOINTS]
    return joints, [OscMessage(f"{root}/rotation/{name}", "ffff") for name in SMPL_JOINTS]
