"""HTTP for outputs that others connect to: a server in a thread of its own, bounded, and closed to strangers."""

from __future__ import annotations

import asyncio
import errno
import hmac
import ipaddress
import logging
import os
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import SplitResult, urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

Item = TypeVar("Item")

MOST_CONNECTIONS = 32
"""At once; further ones are hung up on, so that none can use up the run's file descriptors."""
REQUEST_SECONDS = 10.0
"""In which a connection must have sent its request, and the next one."""
_SECONDS_TO_START = 10.0
_SECONDS_TO_CLOSE = 1.0
_ELSEWHERE = "192.0.2.1"
"""An address that stands for any other machine, and is nobody's."""
_PORT_IS_AT_FAULT = (errno.EADDRINUSE, errno.EACCES, errno.EPERM)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a fault is this side's: what strangers send and connections that break are not worth a line."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError | ConnectionError)


_log = logging.getLogger("tracker.http")
_log.addFilter(_is_ours)


class CannotListen(Exception):
    """Why, and what to give instead: what is said behind the address."""

    @classmethod
    def because(cls, error: OSError | UnicodeError) -> CannotListen:
        """error: what the system says."""
        if isinstance(error, UnicodeError):
            return cls("is no host's name; give a number or name of this machine, such as 127.0.0.1")
        remedy = "another port" if error.errno in _PORT_IS_AT_FAULT else "an address of this machine, such as 127.0.0.1"
        reason = error.strerror or str(error)
        if error.errno and not isinstance(error, socket.gaierror):
            reason = os.strerror(error.errno)  # asyncio puts a long sentence in its place
        return cls(f"cannot be listened on ({reason}); give {remedy}")


class HttpServer:
    """Serves until it is closed."""

    def __init__(
        self, host: str, port: int, routes: Sequence[web.RouteDef], closing: Callable[[], Awaitable[None]]
    ) -> None:
        """port: 0 takes any free one. routes: their handlers run in the server's thread, as does `closing`, which has
        those that are under way return. Raises CannotListen where the address cannot be had.
        """
        if not host:  # asyncio would listen on every address of the machine
            raise CannotListen("the host is empty; give 127.0.0.1, or 0.0.0.0 to listen on the network")
        self._closing = closing
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)
        self._thread.start()
        try:
            self.port = self._result(self._start(host, port, routes), _SECONDS_TO_START)
        except (OSError, UnicodeError) as error:
            self._stop_loop()
            raise CannotListen.because(error) from error

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
        application = web.Application(middlewares=[_with_a_key_in_ascii])
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


@web.middleware
async def _with_a_key_in_ascii(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp takes a WebSocket's key for ASCII, and its handshake fails with a traceback where it is not."""
    if not request.headers.get("Sec-WebSocket-Key", "").isascii():
        raise web.HTTPBadRequest(text="Sec-WebSocket-Key: expected base64\n")
    return await handler(request)


class Visitor:
    """What a request says of who sends it. Strangers write it: nothing in it may be taken to be well formed."""

    def __init__(self, request: web.Request) -> None:
        self._token = request.query.get("token", "")
        self.asked = request.host
        """The host and port that it was sent to, as the sender has it."""
        self.asked_name = _parts(f"//{request.host}").hostname or ""
        """That host without the port; empty where it is none."""
        self.origin = request.headers.get("Origin")
        """Of the page that sends it, as browsers say; None from other programs."""

    def knows(self, token: str) -> bool:
        """Whether it has the token with it. Takes as long for a wrong one as for the right one."""
        return hmac.compare_digest(self._token.encode(errors="surrogatepass"), token.encode())

    @property
    def origin_parts(self) -> SplitResult:
        """The page's address, taken apart; empty where it is none."""
        return _parts(self.origin or "")


def _parts(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


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
        visitor = Visitor(request)
        if not visitor.knows(self.token):
            raise web.HTTPForbidden(text="the token is missing or wrong: take the address that was printed\n")
        if not self._is_ours(visitor.asked_name):
            raise web.HTTPForbidden(text="this name is not known here: take the address that was printed\n")
        if visitor.origin is not None and visitor.origin_parts.netloc != visitor.asked:
            raise web.HTTPForbidden(text="not for pages of other sites\n")

    def _is_ours(self, name: str) -> bool:
        if is_loopback(name):
            return True
        here = socket.gethostname().lower()
        return not self.local and (_is_number(name) or name in (here, f"{here}.local", socket.getfqdn().lower()))


@asynccontextmanager
async def alongside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Done while the block is, and broken off with it. What goes wrong in it is nobody's concern: the other side has
    gone, which the block notices, too."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
