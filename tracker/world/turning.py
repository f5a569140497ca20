"""People seen by a camera that turns and zooms, brought before the camera as it was held at first, and back.

A network that knows nothing of the zoom takes somebody who fills the picture for near: the picture shows how large they
are over the focal length, so their distance is told too short by as much as that has grown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from tracker.body.person_builder import PersonBuilder
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle, rotation_between
from tracker.core.person import FrameRecord, Person, Pose
from tracker.world.camera_path import CameraPath


def as_seen_first(
    records: Iterable[FrameRecord], path: CameraPath, persons: PersonBuilder, camera: Camera
) -> Iterator[FrameRecord]:
    """Everybody, fitted as if the camera had never zoomed, before the camera of the first picture."""

    def before_first(person: Person, time: float) -> tuple[Pose, Camera]:
        R_first_camera, zoom = path.turns_at(np.array([time]))[0], float(path.zoom_at(np.array([time]))[0])
        pelvis = np.asarray(person.joints3d[0], float)
        real = pelvis * np.array([1.0, 1.0, zoom])
        turn = R_first_camera @ rotation_between(pelvis, real)
        return _moved(person, turn, R_first_camera @ real), camera

    return _changed(records, before_first, persons)


def as_seen_then(
    records: Iterable[FrameRecord], path: CameraPath, persons: PersonBuilder, camera: Camera
) -> Iterator[FrameRecord]:
    """Everybody before the camera of their own moment again, where they really are."""

    def before_own(person: Person, time: float) -> tuple[Pose, Camera]:
        R_camera_first, zoom = path.turns_at(np.array([time]))[0].T, float(path.zoom_at(np.array([time]))[0])
        zoomed = replace(camera, fx=zoom * camera.fx, fy=zoom * camera.fy)
        return _moved(person, R_camera_first, R_camera_first @ person.joints3d[0]), zoomed

    return _changed(records, before_own, persons)


def _changed(
    records: Iterable[FrameRecord], change: Callable[[Person, float], tuple[Pose, Camera]], persons: PersonBuilder
) -> Iterator[FrameRecord]:
    def changed(person: Person, time: float) -> Person:
        pose, camera = change(person, time)
        return persons.posed(pose, camera, person)

    return (replace(r, people=[changed(person, r.time) for person in r.people]) for r in records)


def _moved(person: Person, turn: Array, pelvis: Array) -> Pose:
    """The pose turned as a whole, with the pelvis at a place (3,) m."""
    orient = axis_angle_from_matrix(turn @ matrix_from_axis_angle(np.asarray(person.pose.global_orient, float)))
    rest = np.asarray(person.joints3d[0], float) - person.pose.transl
    return replace(person.pose, global_orient=orient, transl=pelvis - rest)
