"""Open Sound Control 1.0: messages, bundles, and datagrams that carry them.

A frame has dozens of messages; putting them together with a library's builders takes over a millisecond of the time
that frames are tracked in, so the few bytes are laid out here, with what never changes made once.
"""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Sequence

from tracker.outputs.send.address import SendAddress

log = logging.getLogger("tracker")

_IMMEDIATELY = b"#bundle\0" + struct.pack(">Q", 1)
_CODES = {"i": "i", "f": "f", "d": "d"}


class OscMessage:
    """Messages to one address with arguments of the same kinds."""

    def __init__(self, address: str, kinds: str, *leading: str) -> None:
        """kinds: i int32, f float32, d float64, one an argument of `pack`. leading: strings that come before them."""
        strings = b"".join(_padded(text) for text in leading)
        self._head = _padded(address) + _padded("," + "s" * len(leading) + kinds) + strings
        self._values = struct.Struct(">" + "".join(_CODES[kind] for kind in kinds))

    def pack(self, *values: float) -> bytes:
        """One message."""
        return self._head + self._values.pack(*values)


def bundle(messages: Sequence[bytes]) -> bytes:
    """Messages that are to be taken together, at once."""
    return _IMMEDIATELY + b"".join(struct.pack(">i", len(message)) + message for message in messages)


def _padded(text: str) -> bytes:
    """Ends in zeros, up to a multiple of four bytes."""
    raw = text.encode() + b"\0"
    return raw + bytes(-len(raw) % 4)


class DatagramSender:
    """Sends to one UDP address and never waits; a network that is away for a while is said once."""

    def __init__(self, address: SendAddress, port: int | None = None) -> None:
        """port: where the address leaves it out. Raises InputError for a host that is not known and for port 0."""
        host, port = address.endpoint(port)
        if port == 0:
            address.refuse("nobody receives at port 0; expected 1 to 65535")
        try:
            family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except (OSError, UnicodeError) as error:
            address.refuse(f"{host} is not known here ({error}); expected a name or number such as 127.0.0.1")
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._text, self._target, self._failed = address.text, target, False

    def send(self, data: bytes) -> None:
        """One datagram."""
        try:
            self._socket.sendto(data, self._target)
        except OSError as error:
            if not self._failed:
                log.warning("%s: cannot be reached (%s); goes on when it can", self._text, error.strerror or error)
            self._failed = True
        else:
            self._failed = False

    def close(self) -> None:
        self._socket.close()
