"""VMC protocol: one person moves a VRM avatar in VSeeFace, Warudo, VNyan, Unity, Unreal, Blender and others."""

from __future__ import annotations

from collections.abc import Sequence

from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Picture
from tracker.outputs.send.address import SendAddress
from tracker.outputs.send.humanoid import BONE_JOINTS, BONE_NAMES, AvatarPose, FollowedPerson
from tracker.outputs.send.osc import DatagramSender, OscMessage, bundle
from tracker.world.live_world import LiveWorld

PORT = 39539
"""That performers send to by default."""


class VmcOutput:
    """One OSC bundle a frame: /VMC/Ext/OK, /T, /Root/Pos, and /Bone/Pos for each bone."""

    wants_picture = False

    def __init__(self, address: SendAddress, world: LiveWorld) -> None:
        self.name = address.only("person").text
        self._followed, self._world = FollowedPerson(address.number("person")), world
        self._state, self._time = OscMessage("/VMC/Ext/OK", "i"), OscMessage("/VMC/Ext/T", "f")
        self._root = OscMessage("/VMC/Ext/Root/Pos", "fffffff", "root").pack(0, 0, 0, 0, 0, 0, 1)
        self._bones = [OscMessage("/VMC/Ext/Bone/Pos", "fffffff", name) for name in BONE_NAMES]
        self._datagrams = DatagramSender(address, PORT)

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        world = self._world.watch(frame.time, people)
        person = self._followed.among(people)
        messages = [self._state.pack(int(person is not None)), self._time.pack(frame.time)]
        if person is not None:
            messages += [self._root, *self._packed_bones(AvatarPose.of(person, world.T_world_camera))]
        self._datagrams.send(bundle(messages))

    def _packed_bones(self, pose: AvatarPose) -> list[bytes]:
        places, rotations = pose.local_places[BONE_JOINTS].tolist(), pose.local_rotations[BONE_JOINTS].tolist()
        return [bone.pack(*place, *turn) for bone, place, turn in zip(self._bones, places, rotations, strict=True)]

    def close(self) -> None:
        self._datagrams.close()
