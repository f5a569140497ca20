"""People as datagrams: for a program of your own, in any language, that wants the newest pose and no connection."""

from __future__ import annotations

from collections.abc import Sequence

from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Picture
from tracker.outputs.send.address import SendAddress
from tracker.outputs.send.osc import DatagramSender
from tracker.outputs.send.pose_message import ENCODERS
from tracker.world.live_world import LiveWorld

_TOGETHER = 8
"""People in one datagram, which holds 65507 bytes; a person takes 2 to 3 kB of JSON."""


class UdpOutput:
    """One datagram a frame; more where there are many people."""

    wants_picture = False

    def __init__(self, address: SendAddress, world: LiveWorld) -> None:
        self.name = address.only("format").text
        self._encode = ENCODERS[address.choice("format", ENCODERS, "json")](world)
        self._datagrams = DatagramSender(address)

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        for first in range(0, max(len(people), 1), _TOGETHER):
            self._datagrams.send(self._encode(frame, people[first : first + _TOGETHER]))

    def close(self) -> None:
        self._datagrams.close()
