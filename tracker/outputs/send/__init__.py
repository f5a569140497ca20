"""Outputs that send people to other programs while they come; `live --send ADDRESS` opens them."""

from __future__ import annotations

from collections.abc import Callable

from tracker.core.camera import CameraConfig
from tracker.outputs.output import Output
from tracker.outputs.send.address import SendAddress

Opener = Callable[[SendAddress, CameraConfig], Output]


def open_send(text: str, camera: CameraConfig) -> Output:
    """The output that an address stands for, as `docs/stream.md` lists them.

    camera: the one that people are seen with. Raises InputError for an address that cannot be sent to.
    """
    address = SendAddress.parse(text)
    if address.scheme not in _OPENERS:
        address.refuse(f"{address.scheme}: expected one of {', '.join(_OPENERS)}")
    return _OPENERS[address.scheme](address, camera)


def _vmc(address: SendAddress, camera: CameraConfig) -> Output:
    from tracker.outputs.send.vmc import VmcOutput

    return VmcOutput(address)


def _osc(address: SendAddress, camera: CameraConfig) -> Output:
    from tracker.outputs.send.osc_joints import OscJointsOutput
    from tracker.outputs.send.vrchat import VrchatOutput

    if address.only("layout", "person").choice("layout", ("joints", "vrchat"), "joints") == "vrchat":
        return VrchatOutput(address)
    return OscJointsOutput(address.only("layout"))


def _ws(address: SendAddress, camera: CameraConfig) -> Output:
    try:
        from tracker.outputs.send.websocket import WebSocketOutput
    except ImportError:
        address.refuse("needs the package aiohttp; pip install 'body-tracker[stream]'")
    return WebSocketOutput(address)


def _udp(address: SendAddress, camera: CameraConfig) -> Output:
    from tracker.outputs.send.udp import UdpOutput

    return UdpOutput(address)


def _jsonl(address: SendAddress, camera: CameraConfig) -> Output:
    from tracker.outputs.send.json_lines import JsonLinesOutput

    return JsonLinesOutput(address)


def _mcap(address: SendAddress, camera: CameraConfig) -> Output:
    from tracker.outputs.send.mcap_file import McapOutput

    return McapOutput(address, camera)


def _v4l2(address: SendAddress, camera: CameraConfig) -> Output:
    from tracker.outputs.send.virtual_camera import VirtualCameraOutput

    return VirtualCameraOutput(address)


_OPENERS: dict[str, Opener] = {
    "vmc": _vmc, "osc": _osc, "ws": _ws, "udp": _udp, "jsonl": _jsonl, "mcap": _mcap, "v4l2": _v4l2,
}  # fmt: skip
