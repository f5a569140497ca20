"""The few ROS 2 messages that are written, as values, and their definitions as MCAP keeps them.

Definitions say the same as the packages std_msgs, geometry_msgs, tf2_msgs, sensor_msgs and visualization_msgs of ROS 2
Humble; `body_tracker_msgs` is ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracker.core.arrays import Array
from tracker.core.camera import Camera

_SEPARATOR = "=" * 80
_PARTS = {
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec",
    "builtin_interfaces/Duration": "int32 sec\nuint32 nanosec",
    "std_msgs/Header": "builtin_interfaces/Time stamp\nstring frame_id",
    "std_msgs/ColorRGBA": "float32 r\nfloat32 g\nfloat32 b\nfloat32 a",
    "geometry_msgs/Vector3": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Point": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w",
    "geometry_msgs/Pose": "geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation",
    "geometry_msgs/Transform": "geometry_msgs/Vector3 translation\ngeometry_msgs/Quaternion rotation",
    "geometry_msgs/TransformStamped": (
        "std_msgs/Header header\nstring child_frame_id\ngeometry_msgs/Transform transform"
    ),
    "sensor_msgs/RegionOfInterest": "uint32 x_offset\nuint32 y_offset\nuint32 height\nuint32 width\nbool do_rectify",
    "sensor_msgs/CompressedImage": "std_msgs/Header header\nstring format\nuint8[] data",
    "visualization_msgs/UVCoordinate": "float32 u\nfloat32 v",
    "visualization_msgs/MeshFile": "string filename\nuint8[] data",
    "visualization_msgs/Marker": (
        "std_msgs/Header header\nstring ns\nint32 id\nint32 type\nint32 action\ngeometry_msgs/Pose pose\n"
        "geometry_msgs/Vector3 scale\nstd_msgs/ColorRGBA color\nbuiltin_interfaces/Duration lifetime\n"
        "bool frame_locked\ngeometry_msgs/Point[] points\nstd_msgs/ColorRGBA[] colors\nstring texture_resource\n"
        "sensor_msgs/CompressedImage texture\nvisualization_msgs/UVCoordinate[] uv_coordinates\nstring text\n"
        "string mesh_resource\nvisualization_msgs/MeshFile mesh_file\nbool mesh_use_embedded_materials"
    ),
    "body_tracker_msgs/Person": (
        "int32 id\nfloat64[72] poses\nfloat64[10] betas\ngeometry_msgs/Point trans\ngeometry_msgs/Point[24] joints\n"
        "float64[24] joint_confidence\nfloat64[4] bbox"
    ),
}
_TOPS = {
    "tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms",
    "visualization_msgs/msg/MarkerArray": "visualization_msgs/Marker[] markers",
    "sensor_msgs/msg/CameraInfo": (
        "std_msgs/Header header\nuint32 height\nuint32 width\nstring distortion_model\nfloat64[] d\nfloat64[9] k\n"
        "float64[9] r\nfloat64[12] p\nuint32 binning_x\nuint32 binning_y\nsensor_msgs/RegionOfInterest roi"
    ),
    "sensor_msgs/msg/CompressedImage": _PARTS["sensor_msgs/CompressedImage"],
    "body_tracker_msgs/msg/People": "std_msgs/Header header\nbody_tracker_msgs/Person[] people",
}


def _parts_of(text: str) -> list[str]:
    """Names of the messages that a definition is made of, and of those that they are made of, each once."""
    names: list[str] = []
    for line in text.splitlines():
        part = line.split()[0].split("[")[0]
        if part in _PARTS:
            names += [part, *_parts_of(_PARTS[part])]
    return list(dict.fromkeys(names))


DEFINITIONS = {
    name: "\n".join([text, *(f"{_SEPARATOR}\nMSG: {part}\n{_PARTS[part]}" for part in _parts_of(text))])
    for name, text in _TOPS.items()
}
"""Each message's type → its definition with those of its parts."""

_LINE_LIST, _DELETE_ALL = 5, 3
_LINE_WIDTH = 0.02
"""m"""


def stamp(time: float) -> dict[str, int]:
    """builtin_interfaces/Time of seconds."""
    nanoseconds = round(time * 1e9)
    return {"sec": nanoseconds // 10**9, "nanosec": nanoseconds % 10**9}


def header(stamp: dict[str, int], frame: str) -> dict[str, Any]:
    """std_msgs/Header"""
    return {"stamp": stamp, "frame_id": frame}


def vector(xyz: Iterable[float]) -> dict[str, float]:
    """geometry_msgs/Vector3 or Point of (3,)."""
    return dict(zip("xyz", map(float, xyz), strict=True))


def transform(head: dict[str, Any], child: str, place: Array, quaternion: Array) -> dict[str, Any]:
    """geometry_msgs/TransformStamped: m, xyzw."""
    rotation = dict(zip("xyzw", map(float, quaternion), strict=True))
    return {
        "header": head,
        "child_frame_id": child,
        "transform": {"translation": vector(place), "rotation": rotation},
    }


def camera_info(head: dict[str, Any], camera: Camera) -> dict[str, Any]:
    """sensor_msgs/CameraInfo of a pinhole without distortion; ROS has pixel centres at integers."""
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx - 0.5, camera.cy - 0.5
    return {
        "header": head,
        "height": camera.height,
        "width": camera.width,
        "distortion_model": "plumb_bob",
        "d": [0.0] * 5,
        "k": [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        "r": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        "p": [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False},
    }


def lines(head: dict[str, Any], number: int, points: Array) -> dict[str, Any]:
    """visualization_msgs/Marker: a line between each two of the (2n, 3) points, m."""
    return _marker(head, number, 0, points)


def delete_all(head: dict[str, Any]) -> dict[str, Any]:
    """visualization_msgs/Marker that removes all that are shown."""
    return _marker(head, 0, _DELETE_ALL, ())


def _marker(head: dict[str, Any], number: int, action: int, points: Any) -> dict[str, Any]:
    nowhere = {"position": vector((0, 0, 0)), "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}}
    return {
        "header": head,
        "ns": "people",
        "id": number,
        "type": _LINE_LIST,
        "action": action,
        "pose": nowhere,
        "scale": vector((_LINE_WIDTH, 0, 0)),
        "color": {"r": 0.2, "g": 0.6, "b": 1.0, "a": 1.0},
        "lifetime": {"sec": 0, "nanosec": 0},
        "frame_locked": False,
        "points": [vector(point) for point in points],
        "colors": [],
        "texture_resource": "",
        "texture": {"header": head, "format": "", "data": b""},
        "uv_coordinates": [],
        "text": "",
        "mesh_resource": "",
        "mesh_file": {"filename": "", "data": b""},
        "mesh_use_embedded_materials": False,
    }
