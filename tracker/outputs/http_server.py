"""HTTP for outputs that others connect to: a server in a thread of its own, bounded, and closed to strangers."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

Item = TypeVar("Item")

MOST_CONNECTIONS = 32
"""At once; further ones are hung up on, so that none can use up the run's file descriptors."""
REQUEST_SECONDS = 10.0
"""In which a connection must have sent its request, and the next one."""
_SECONDS_TO_START = 10.0
_SECONDS_TO_CLOSE = 1.0
_ELSEWHERE = "192.0.2.1"
"""An address that stands for any other machine, and is nobody's."""


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a fault is this side's: what strangers send and connections that break are not worth a line."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError | ConnectionError)


_log = logging.getLogger("tracker.http")
_log.addFilter(_is_ours)


class HttpServer:
    """Serves until it is closed."""

    def __init__(
        self, host: str, port: int, routes: Sequence[web.RouteDef], closing: Callable[[], Awaitable[None]]
    ) -> None:
        """port: 0 takes any free one. routes: their handlers run in the server's thread, as does `closing`, which has
        those that are under way return. Raises OSError where the port cannot be had.
        """
        self._closing = closing
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)
        self._thread.start()
        try:
            self.port = self._result(self._start(host, port, routes), _SECONDS_TO_START)
        except OSError:
            self._stop_loop()
            raise

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls it in the server's thread, soon."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """Returns when every connection is closed; may be called twice."""
        if self._loop.is_closed():
            return
        self._result(self._end(), None)
        self._stop_loop()

    def _result(self, work: Any, timeout: float | None) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self, host: str, port: int, routes: Sequence[web.RouteDef]) -> int:
        application = web.Application()
        application.add_routes(routes)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=_log,
            keepalive_timeout=REQUEST_SECONDS,
            shutdown_timeout=_SECONDS_TO_CLOSE,
            handler_cancellation=True,  # of whoever has gone
        )
        await self._runner.setup()
        self._server = await self._loop.create_server(self._connection, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        self._server.close()
        await self._closing()
        await self._runner.cleanup()

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        return server() if len(server.connections) < MOST_CONNECTIONS else _Refusal()


class _Refusal(asyncio.Protocol):
    """Hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


@dataclass(frozen=True)
class Gate:
    """Lets in who knows the token and asks for this machine by a name of its own, from no other site's page.

    A web site can give its own name this machine's address, and its pages would then count as ours: what the browser
    says that it asked for tells them apart.
    """

    token: str
    local: bool
    """Whether only this machine can connect: then its other names are nobody's business."""

    def check(self, request: web.Request) -> None:
        """Raises HTTPForbidden, with a line that says why."""
        if not hmac.compare_digest(request.query.get("token", "").encode(), self.token.encode()):
            raise web.HTTPForbidden(text="the token is missing or wrong: take the address that was printed\n")
        if not self._is_ours(urlsplit(f"//{request.host}").hostname or ""):
            raise web.HTTPForbidden(text="this name is not known here: take the address that was printed\n")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="not for pages of other sites\n")

    def _is_ours(self, name: str) -> bool:
        if is_loopback(name):
            return True
        here = socket.gethostname().lower()
        return not self.local and (_is_number(name) or name in (here, f"{here}.local", socket.getfqdn().lower()))


class Newest(Generic[Item]):
    """The newest of a row of items, for any number of listeners in one event loop: none waits for another."""

    def __init__(self) -> None:
        self.listeners = 0
        self._item: Item | None = None
        self._number = 0
        self._changed = asyncio.Event()

    def set(self, item: Item | None) -> None:
        """None: nothing more comes. In the loop's thread."""
        self._item, self._number = item, self._number + 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def items(self, present: bool = False) -> AsyncGenerator[Item, None]:
        """What is newest whenever the listener is ready for another one. present: begins with what there is already."""
        last = 0 if present else self._number
        self.listeners += 1
        try:
            while True:
                if self._number == last:
                    await self._changed.wait()
                    continue
                last = self._number
                if self._item is None:
                    return
                yield self._item
        finally:
            self.listeners -= 1


def is_loopback(host: str) -> bool:
    """Whether a name or number is this machine's to itself."""
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def own_address() -> str:
    """The number by which other machines of the network reach this one, else its name. Nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ELSEWHERE, 1))
        except OSError:  # there is no network
            return socket.gethostname()
        return str(probe.getsockname()[0])
