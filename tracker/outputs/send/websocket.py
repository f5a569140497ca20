"""People over WebSocket, for web pages, OBS, games and scripts: this side listens, any number of clients connect.

Each client is sent the newest frame when it has taken the one before: a slow one gets fewer, and delays nobody.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import secrets
import threading
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Picture
from tracker.outputs.send.address import SendAddress
from tracker.outputs.send.pose_message import ENCODERS
from tracker.world.world_config import WorldConfig

log = logging.getLogger("tracker")

_SECONDS_TO_START = 10.0
_SECONDS_TO_CLOSE = 1.0


class WebSocketOutput:
    """A server in a thread of its own; frames are encoded once, and only while somebody listens."""

    wants_picture = False

    def __init__(self, address: SendAddress, world: WorldConfig) -> None:
        """Raises InputError where the port cannot be had."""
        self.name = address.only("format", "token", "origin").text
        self._host, port = address.endpoint()
        self._text = address.choice("format", ENCODERS, "json") == "json"
        self._encode = ENCODERS["json" if self._text else "binary"](world)
        self._origin = address.options.get("origin")
        self._token = address.options.get("token") or ("" if _is_loopback(self._host) else secrets.token_urlsafe(12))
        self._newest = _Newest()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="websocket", daemon=True)
        self._thread.start()
        try:
            self.port = asyncio.run_coroutine_threadsafe(self._start(port), self._loop).result(_SECONDS_TO_START)
        except OSError as error:
            self._stop_loop()
            address.refuse(f"this address cannot be listened on ({error.strerror}); give another port")
        log.info("poses are at %s", self.url)

    @property
    def url(self) -> str:
        """What clients connect to."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self.port}/" + (f"?token={self._token}" if self._token else "")

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        message = self._encode(frame, people)
        if self._newest.listeners:
            self._loop.call_soon_threadsafe(self._newest.set, message)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._stop_loop()

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self, port: int) -> int:
        """The port that is listened on."""
        application = web.Application()
        application.router.add_get("/", self._serve)
        application.on_shutdown.append(self._close_clients)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SECONDS_TO_CLOSE)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, port).start()
        return int(self._runner.addresses[0][1])

    async def _close_clients(self, _: web.Application) -> None:
        self._newest.set(None)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        self._check(request)
        socket = web.WebSocketResponse(timeout=_SECONDS_TO_CLOSE, heartbeat=20.0, compress=False)
        await socket.prepare(request)
        sending = asyncio.ensure_future(self._feed(socket))
        async for message in socket:  # nothing is expected; this notices that the client closes
            if message.type is WSMsgType.ERROR:
                break
        sending.cancel()
        return socket

    async def _feed(self, socket: web.WebSocketResponse) -> None:
        async for message in self._newest.messages():
            await (socket.send_str(message.decode()) if self._text else socket.send_bytes(message))
        await socket.close()

    def _check(self, request: web.Request) -> None:
        """Refuses whoever does not know the token, other hosts' names for this one, and foreign pages in a browser."""
        if self._token and not hmac.compare_digest(request.query.get("token", ""), self._token):
            raise web.HTTPForbidden(text="the token is missing or wrong\n")
        if not self._token and not _is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            raise web.HTTPForbidden(text="this name is not known here\n")
        origin = request.headers.get("Origin")
        if origin is None or self._token or origin == self._origin:
            return
        if not _is_loopback(urlsplit(origin).hostname or ""):
            raise web.HTTPForbidden(text="pages of other machines need ?origin= in the address of --send\n")


class _Newest:
    """The newest message, for any number of listeners in one event loop."""

    def __init__(self) -> None:
        self.listeners = 0
        self._message: bytes | None = None
        self._number = 0
        self._changed = asyncio.Event()

    def set(self, message: bytes | None) -> None:
        """None: nothing more comes. In the loop's thread."""
        self._message, self._number = message, self._number + 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def messages(self) -> AsyncIterator[bytes]:
        """What is newest whenever the listener is ready for another one."""
        last = self._number
        self.listeners += 1
        try:
            while True:
                if self._number == last:
                    await self._changed.wait()
                    continue
                last = self._number
                if self._message is None:
                    return
                yield self._message
        finally:
            self.listeners -= 1


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
