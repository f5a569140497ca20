"""People over WebSocket, for web pages, OBS, games and scripts: this side listens, any number of clients connect.

Each client is sent the newest frame when it has taken the one before: a slow one gets fewer, and delays nobody.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from contextlib import aclosing

from aiohttp import web

from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.http_server import CannotListen, HttpServer, Newest, Visitor, alongside, is_loopback
from tracker.outputs.output import Picture
from tracker.outputs.send.address import SendAddress
from tracker.outputs.send.pose_message import ENCODERS
from tracker.world.live_world import LiveWorld

log = logging.getLogger("tracker")

_SECONDS_TO_CLOSE = 1.0


class WebSocketOutput:
    """A server in a thread of its own; frames are encoded once for all."""

    wants_picture = False

    def __init__(self, address: SendAddress, world: LiveWorld) -> None:
        """Raises InputError where the port cannot be had."""
        self.name = address.only("format", "token", "origin").text
        self._host, port = address.endpoint()
        self._text = address.choice("format", ENCODERS, "json") == "json"
        self._encode = ENCODERS["json" if self._text else "binary"](world)
        self._origin = address.options.get("origin")
        self._token = address.options.get("token") or ("" if is_loopback(self._host) else secrets.token_urlsafe(12))
        self._newest = Newest[bytes]()
        try:
            self._server = HttpServer(self._host, port, [web.get("/", self._serve)], self._end)
        except CannotListen as error:
            address.refuse(str(error))
        log.info("poses are at %s", self.url)

    @property
    def port(self) -> int:
        """The one that is listened on."""
        return self._server.port

    @property
    def url(self) -> str:
        """What clients connect to."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self.port}/" + (f"?token={self._token}" if self._token else "")

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        message = self._encode(frame, people)
        if self._newest.listeners:
            self._server.call(self._newest.set, message)

    def close(self) -> None:
        self._server.close()

    async def _end(self) -> None:
        self._newest.set(None)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        self._check(request)
        socket = web.WebSocketResponse(timeout=_SECONDS_TO_CLOSE, heartbeat=20.0, compress=False)
        await socket.prepare(request)
        async with alongside(self._feed(socket)):
            async for _ in socket:  # nothing is expected; this notices that the client closes
                continue
        return socket

    async def _feed(self, socket: web.WebSocketResponse) -> None:
        async with aclosing(self._newest.items()) as messages:
            async for message in messages:
                await (socket.send_str(message.decode()) if self._text else socket.send_bytes(message))
        await socket.close()

    def _check(self, request: web.Request) -> None:
        """Refuses whoever does not know the token, other hosts' names for this one, and foreign pages in a browser."""
        visitor = Visitor(request)
        if self._token and not visitor.knows(self._token):
            raise web.HTTPForbidden(text="the token is missing or wrong\n")
        if not self._token and not is_loopback(visitor.asked_name):
            raise web.HTTPForbidden(text="this name is not known here\n")
        if visitor.origin is None or self._token or visitor.origin == self._origin:
            return
        if not is_loopback(visitor.origin_parts.hostname or ""):
            raise web.HTTPForbidden(text="pages of other machines need ?origin= in the address of --send\n")
