"""VRChat's OSC trackers: one person moves hips, chest, feet, knees and elbows of an avatar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Picture
from tracker.outputs.send.address import SendAddress
from tracker.outputs.send.humanoid import AvatarPose, FollowedPerson
from tracker.outputs.send.osc import DatagramSender, OscMessage, bundle
from tracker.world.live_world import LiveWorld

PORT = 9000
"""That VRChat listens on."""
TRACKERS = {
    "head": "head", "1": "pelvis", "2": "spine3", "3": "left_ankle", "4": "right_ankle", "5": "left_knee",
    "6": "right_knee", "7": "left_elbow", "8": "right_elbow",
}  # fmt: skip
"""VRChat's trackers → SMPL's joints; the head's tells VRChat how its space lies to this one."""
_JOINTS = [smpl_index(joint) for joint in TRACKERS.values()]


class VrchatOutput:
    """One OSC bundle a frame: /tracking/trackers/N/position and …/rotation."""

    wants_picture = False

    def __init__(self, address: SendAddress, world: LiveWorld) -> None:
        self.name = address.text
        self._followed, self._world = FollowedPerson(address.number("person")), world
        self._places = [OscMessage(f"/tracking/trackers/{name}/position", "fff") for name in TRACKERS]
        self._turns = [OscMessage(f"/tracking/trackers/{name}/rotation", "fff") for name in TRACKERS]
        self._datagrams = DatagramSender(address, PORT)

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        world = self._world.watch(frame.time, people)
        person = self._followed.among(people)
        if person is None:
            return
        pose = AvatarPose.of(person, world.T_world_camera)
        places, turns = pose.places[_JOINTS].tolist(), unity_degrees(pose.rotations[_JOINTS]).tolist()
        packed = [message.pack(*values) for message, values in zip(self._places, places, strict=True)]
        packed += [message.pack(*values) for message, values in zip(self._turns, turns, strict=True)]
        self._datagrams.send(bundle(packed))

    def close(self) -> None:
        self._datagrams.close()


def unity_degrees(quaternions: Array) -> Array:
    """(n, 4) xyzw → (n, 3) degrees about x, y, z as Unity has them: turned about z first, then x, then y."""
    yxz = Rotation.from_quat(quaternions).as_euler("YXZ", degrees=True)
    return np.ascontiguousarray(yxz[:, [1, 0, 2]])
