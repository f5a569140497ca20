"""Outputs that send people to other programs while they come; `live --send ADDRESS` opens them."""

from __future__ import annotations

from collections.abc import Callable

from tracker.core.camera import CameraConfig
from tracker.outputs.output import Output
from tracker.outputs.send.address import SendAddress
from tracker.world.live_world import LiveWorld

Opener = Callable[[SendAddress, CameraConfig, LiveWorld], Output]


def open_send(text: str, camera: CameraConfig, world: LiveWorld) -> Output:
    """The output that an address stands for, as `docs/stream.md` lists them.

    camera, world: those that people are seen with and in. Raises InputError for an address that cannot be sent to.
    """
    address = SendAddress.parse(text)
    if address.scheme not in _OPENERS:
        address.refuse(f"{address.scheme}: expected one of {', '.join(_OPENERS)}")
    return _OPENERS[address.scheme](address, camera, world)


def _vmc(address: SendAddress, camera: CameraConfig, world: LiveWorld) -> Output:
    from tracker.outputs.send.vmc import VmcOutput

    return VmcOutput(address, world)


def _osc(address: SendAddress, camera: CameraConfig, world: LiveWorld) -> Output:
    from tracker.outputs.send.osc_joints import OscJointsOutput
    from tracker.outputs.send.vrchat import VrchatOutput

    if address.only("layout", "person").choice("layout", ("joints", "vrchat"), "joints") == "vrchat":
        return VrchatOutput(address, world)
    return OscJointsOutput(address.only("layout"), world)


def _ws(address: SendAddress, camera: CameraConfig, world: LiveWorld) -> Output:
    from tracker.outputs.send.websocket import WebSocketOutput

    return WebSocketOutput(address, world)


def _udp(address: SendAddress, camera: CameraConfig, world: LiveWorld) -> Output:
    from tracker.outputs.send.udp import UdpOutput

    return UdpOutput(address, world)


def _jsonl(address: SendAddress, camera: CameraConfig, world: LiveWorld) -> Output:
    from tracker.outputs.send.json_lines import JsonLinesOutput

    return JsonLinesOutput(address, world)


def _mcap(address: SendAddress, camera: CameraConfig, world: LiveWorld) -> Output:
    from tracker.outputs.send.mcap_file import McapOutput

    return McapOutput(address, camera, world)


def _v4l2(address: SendAddress, camera: CameraConfig, world: LiveWorld) -> Output:
    from tracker.outputs.send.virtual_camera import VirtualCameraOutput

    return VirtualCameraOutput(address)


_OPENERS: dict[str, Opener] = {
    "vmc": _vmc, "osc": _osc, "ws": _ws, "udp": _udp, "jsonl": _jsonl, "mcap": _mcap, "v4l2": _v4l2,
}  # fmt: skip
