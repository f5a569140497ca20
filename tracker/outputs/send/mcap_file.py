"""An MCAP file of ROS 2 messages, written without ROS: for Foxglove, Lichtblick, rosbag2, and Python's mcap readers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from tracker.body.smpl_joints import SKELETON_EDGES, SMPL_JOINTS, SMPL_PARENTS
from tracker.core.arrays import Array
from tracker.core.atomic_file import whole_file
from tracker.core.camera import CameraConfig
from tracker.core.frame import Frame
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.person import Person
from tracker.outputs.output import Picture, PictureFeed
from tracker.outputs.send import ros_messages as ros
from tracker.outputs.send.address import SendAddress
from tracker.runtime.worker import Worker
from tracker.world.live_world import LiveWorld
from tracker.world.world_frame import WorldFrame

log = logging.getLogger("tracker")

WORLD, CAMERA = "world", "camera_optical_frame"
_R_ROS_WORLD = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""From y up to ROS' own: x forward, along the camera's view, y left, z up."""
_WAITING = 64
"""Frames that may wait to be written before the loop waits for the disk."""
_JPEG_QUALITY = 80

_Recorded = tuple[Frame, Sequence[Person], Picture | None]


class McapOutput(PictureFeed):
    """Topics /tf, /people, /people/markers, /camera/camera_info and, with `?picture=jpeg`, /camera/image/compressed.

    Times count from the source's start, as Frame.time does. The file has its name when it is whole; one that could not
    be finished stays as `<name>.part`.
    """

    def __init__(self, address: SendAddress, camera: CameraConfig, world: LiveWorld) -> None:
        """Raises InputError where the file exists or cannot be written, or the package mcap-ros2-support is absent."""
        self.name = address.only("picture").text
        self.wants_picture = address.choice("picture", ("none", "jpeg"), "none") == "jpeg"
        path = Path(address.file())
        if path.exists():
            address.refuse("exists already; give another name")
        writer_class = _writer_class(address)
        self._camera, self._world, self._sequence = camera, world, 0
        self._open = ExitStack()
        self._unfinished = path.with_name(f"{path.name}.part")
        try:
            part = self._open.enter_context(whole_file(path, self._unfinished))
            file = self._open.enter_context(part.open("wb"))
        except OSError as error:
            address.refuse(f"cannot be written ({error.strerror}); expected mcap:FILE in a folder that exists")
        self._writer = self._open.enter_context(writer_class(file))
        self._schemas = {name: self._writer.register_msgdef(name, text) for name, text in ros.DEFINITIONS.items()}
        self._worker = self._open.enter_context(Worker("mcap", self._write, _WAITING))

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        self._worker.put((frame, people, picture))

    def close(self) -> None:
        try:
            self._open.close()
        except BaseException:
            if self._unfinished.exists():
                log.warning("%s: what was written so far is in %s", self.name, self._unfinished)
            raise

    def _write(self, frames: Iterator[_Recorded]) -> None:
        for frame, people, picture in frames:
            world = self._world.watch(frame.time, people)
            stamp = ros.stamp(frame.time)
            camera = self._camera.for_size(*frame.size)
            self._put("/tf", "tf2_msgs/msg/TFMessage", {"transforms": _transforms(stamp, people, world)}, frame)
            self._put("/people", "body_tracker_msgs/msg/People", _people(stamp, people), frame)
            self._put("/people/markers", "visualization_msgs/msg/MarkerArray", _markers(stamp, people), frame)
            info = ros.camera_info(ros.header(stamp, CAMERA), camera)
            self._put("/camera/camera_info", "sensor_msgs/msg/CameraInfo", info, frame)
            if picture is not None:
                message = {"header": ros.header(stamp, CAMERA), "format": "jpeg", "data": _jpeg(picture)}
                self._put("/camera/image/compressed", "sensor_msgs/msg/CompressedImage", message, frame)
            self._sequence += 1

    def _put(self, topic: str, schema: str, message: dict[str, Any], frame: Frame) -> None:
        time = round(frame.time * 1e9)
        self._writer.write_message(topic, self._schemas[schema], message, time, time, self._sequence)


def _transforms(stamp: dict[str, int], people: Sequence[Person], world: WorldFrame) -> list[dict[str, Any]]:
    """The camera in the world, and every joint of everybody: a tree as SMPL's."""
    R, t = world.T_world_camera[:3, :3], world.T_world_camera[:3, 3]
    quaternion = Rotation.from_matrix(_R_ROS_WORLD @ R).as_quat()
    transforms = [ros.transform(ros.header(stamp, WORLD), CAMERA, _R_ROS_WORLD @ t, quaternion)]
    for person in people:
        places, turns = _local(person)
        for joint, name in enumerate(SMPL_JOINTS):
            parent = SMPL_PARENTS[joint]
            above = CAMERA if parent < 0 else _frame_of(person, SMPL_JOINTS[parent])
            head = ros.header(stamp, above)
            transforms.append(ros.transform(head, _frame_of(person, name), places[joint], turns[joint]))
    return transforms


def _frame_of(person: Person, joint: str) -> str:
    return f"person_{person.person_id}/{joint}"


def _local(person: Person) -> tuple[Array, Array]:
    """(24, 3) m and (24, 4) xyzw of each joint in its parent's axes, the root's in the camera's."""
    rotations = matrix_from_axis_angle(np.asarray(person.pose.theta, np.float64))
    world, places = rotations.copy(), person.joints3d.astype(np.float64)
    offsets = places.copy()
    for joint in range(1, len(world)):
        parent = SMPL_PARENTS[joint]
        world[joint] = world[parent] @ rotations[joint]
        offsets[joint] = world[parent].T @ (places[joint] - places[parent])
    return offsets, Rotation.from_matrix(rotations).as_quat()


def _people(stamp: dict[str, int], people: Sequence[Person]) -> dict[str, Any]:
    return {
        "header": ros.header(stamp, CAMERA),
        "people": [
            {
                "id": person.person_id,
                "poses": person.pose.theta.ravel().tolist(),
                "betas": person.pose.betas.tolist(),
                "trans": ros.vector(person.pose.transl),
                "joints": [ros.vector(joint) for joint in person.joints3d],
                "joint_confidence": person.joint_confidence.tolist(),
                "bbox": person.bbox.tolist(),
            }
            for person in people
        ],
    }


def _markers(stamp: dict[str, int], people: Sequence[Person]) -> dict[str, Any]:
    """A skeleton of lines for each person; what was shown before goes."""
    head = ros.header(stamp, CAMERA)
    lines = [ros.lines(head, person.person_id, person.joints3d[np.array(SKELETON_EDGES).ravel()]) for person in people]
    return {"markers": [ros.delete_all(head), *lines]}


def _jpeg(picture: Picture) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _writer_class(address: SendAddress) -> Any:
    try:
        from mcap_ros2.writer import Writer
    except ImportError:
        address.refuse("needs the package mcap-ros2-support; pip install 'body-tracker[stream]'")
    return Writer
