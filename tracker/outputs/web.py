"""The live picture in a browser: a page with buttons, and the picture alone for other programs.

Pictures are encoded once, and only while somebody looks; whoever is slow gets fewer of them and delays nobody.
"""

from __future__ import annotations

import asyncio
import json
import queue
import secrets
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import asdict
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
from aiohttp import WSMsgType, web

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.http_server import CannotListen, Gate, HttpServer, Newest, alongside, is_loopback, own_address
from tracker.outputs.output import Picture, PictureFeed, SceneFeed, StatusFeed

PAGE = Path(__file__).with_name("web_page.html")
BODY_VIEW = Path(__file__).with_name("web_body.js")
KEYS = {"record": "r", "snapshot": "s", "draw": "m", "smooth": "f", "quit": "q"}
"""What the page's buttons say, and the key that does the same."""

SNAPSHOTS = "snapshots"
"""What the page calls the snapshots' place, which has no folder of its own."""

_BOUNDARY = "frame"
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 80]
_STATUS_SECONDS = 0.1
"""Between two statuses: nobody reads figures faster."""
_STALLED_SECONDS = 20.0
"""After which somebody who takes nothing is hung up on."""
_SEND_BUFFER = 1 << 18
"""Bytes that the system keeps of the picture stream for a slow client: more would only make it late."""
_MOST_PRESSED = 16
_SAFE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob: data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class WebPage(PictureFeed, StatusFeed, SceneFeed):
    """Serves the page and takes its buttons, which are the window's keys."""

    name = "web page"

    def __init__(self, port: int, host: str = "127.0.0.1", folder: Path | None = None) -> None:
        """port: 0 takes any free one. host: the address that is listened on. Raises InputError where it cannot be.

        folder: of the recordings and snapshots that can be fetched.
        """
        self._folder = folder
        self._host, self._token = host, secrets.token_urlsafe(16)
        self._gate = Gate(self._token, is_loopback(host))
        self._pressed: queue.Queue[str] = queue.Queue(_MOST_PRESSED)
        self._pictures, self._jpegs, self._statuses = Newest[Picture](), Newest[bytes](), Newest[str]()
        self._poses = Newest[bytes]()
        self._mesh: bytes | None = None
        self._told_at = -inf
        self._encoder = ThreadPoolExecutor(1, "encode page")
        routes = [
            web.get("/", self._page),
            web.get("/body.js", self._body_view),
            web.get("/body", self._body),
            web.get("/live", self._live),
            web.get("/stream.mjpg", self._stream),
            web.get("/files", self._list),
            web.get("/files/{folder}/{name}", self._file),
        ]
        try:
            self._server = HttpServer(host, port, routes, self._end)
        except CannotListen as error:
            where = f"--web {port}" + ("" if is_loopback(host) else f" --host {host or repr(host)}")
            raise InputError(f"{where}: {error}") from error
        self._server.call(self._begin_encoding)

    @property
    def address(self) -> str:
        """What to open in a browser; whoever has it sees the picture and may press the buttons."""
        host = own_address() if self._host in ("0.0.0.0", "::") else self._host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.port}/?token={self._token}"

    @property
    def wants_picture(self) -> bool:
        return self._jpegs.listeners > 0

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        poses = self.scene.poses(frame, people) if self.scene is not None and self._poses.listeners else None
        self._server.call(self._take, picture, poses, self._next_status())

    def wait(self) -> None:
        self._server.call(self._take, None, None, self._next_status())

    def _next_status(self) -> str | None:
        """None where the last one is so young that nobody could have read it."""
        if monotonic() - self._told_at < _STATUS_SECONDS:
            return None
        self._told_at = monotonic()
        return json.dumps(asdict(self.status()))

    def _take(self, picture: Picture | None, poses: bytes | None, status: str | None) -> None:
        """In the server's thread, which each call wakes: one call a frame."""
        if picture is not None:
            self._pictures.set(picture)
        if poses is not None:
            self._poses.set(poses)
        if status is not None:
            self._statuses.set(status)

    def key(self) -> str:
        """See `Keys`."""
        try:
            return self._pressed.get_nowait()
        except queue.Empty:
            return ""

    def close(self) -> None:
        self._server.close()
        self._encoder.shutdown()

    async def _end(self) -> None:
        self._encoding.cancel()
        await asyncio.gather(self._encoding, return_exceptions=True)
        self._jpegs.set(None)
        self._poses.set(None)
        self._statuses.set(None)

    def _begin_encoding(self) -> None:
        self._encoding = asyncio.ensure_future(self._encode())

    async def _encode(self) -> None:
        async for picture in self._pictures.items():
            self._jpegs.set(await asyncio.get_running_loop().run_in_executor(self._encoder, _encoded, picture))

    async def _page(self, request: web.Request) -> web.Response:
        self._gate.check(request)
        return web.Response(body=PAGE.read_bytes(), content_type="text/html", charset="utf-8", headers=_SAFE)

    async def _body_view(self, request: web.Request) -> web.Response:
        self._gate.check(request)
        return web.Response(body=BODY_VIEW.read_bytes(), content_type="text/javascript", charset="utf-8", headers=_SAFE)

    async def _body(self, request: web.Request) -> web.Response:
        """The mesh for the page to pose; made when the first page asks for it."""
        self._gate.check(request)
        if self.scene is None:
            raise web.HTTPServiceUnavailable(text="the body is still loading\n", headers=_SAFE)
        if self._mesh is None:
            self._mesh = await asyncio.get_running_loop().run_in_executor(self._encoder, self.scene.mesh)
        return web.Response(body=self._mesh, content_type="application/octet-stream", headers=_SAFE)

    async def _list(self, request: web.Request) -> web.Response:
        self._gate.check(request)
        return web.json_response(recorded_files(self._folder), headers=_SAFE)

    async def _file(self, request: web.Request) -> web.FileResponse:
        self._gate.check(request)
        folder, name = request.match_info["folder"], request.match_info["name"]
        if self._folder is None or name not in recorded_files(self._folder).get(folder, []):
            raise web.HTTPNotFound(text="there is no such file\n", headers=_SAFE)
        path = self._folder / name if folder == SNAPSHOTS else self._folder / folder / name
        return web.FileResponse(path, headers={**_SAFE, "Content-Disposition": f'attachment; filename="{name}"'})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Motion JPEG, for OBS, players and simple pages."""
        self._gate.check(request)
        response = web.StreamResponse(headers=_SAFE)
        response.headers["Content-Type"] = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        _keep_little(request)
        try:
            await response.prepare(request)
            async with aclosing(self._jpegs.items()) as jpegs:
                async for jpeg in jpegs:
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    await asyncio.wait_for(response.write(head.encode() + jpeg + b"\r\n"), _STALLED_SECONDS)
        except (ConnectionError, asyncio.TimeoutError):
            response.force_close()  # the other side has gone, or stands still
        return response

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        """To the page: status as JSON, pictures as JPEG, each when it has said "ready", poses; from it: its buttons."""
        self._gate.check(request)
        page = web.WebSocketResponse(timeout=1.0, heartbeat=_STALLED_SECONDS, compress=False, max_msg_size=256)
        await page.prepare(request)
        ready = asyncio.Event()
        async with alongside(self._feed_pictures(page, ready), self._feed_poses(page), self._feed_status(page)):
            async for message in page:
                if message.type is WSMsgType.TEXT:
                    self._hear(message.data, ready)
        return page

    def _hear(self, word: str, ready: asyncio.Event) -> None:
        if word == "ready":
            ready.set()
        elif word in KEYS and not self._pressed.full():
            self._pressed.put_nowait(KEYS[word])

    async def _feed_pictures(self, page: web.WebSocketResponse, ready: asyncio.Event) -> None:
        async with aclosing(self._jpegs.items()) as jpegs:
            async for jpeg in jpegs:
                await page.send_bytes(jpeg)
                await ready.wait()
                ready.clear()
        await page.close()

    async def _feed_poses(self, page: web.WebSocketResponse) -> None:
        async with aclosing(self._poses.items()) as poses:
            async for message in poses:
                await page.send_bytes(message)

    async def _feed_status(self, page: web.WebSocketResponse) -> None:
        async for status in self._statuses.items(present=True):  # nobody waits for the next frame to hear it
            await page.send_str(status)


def recorded_files(folder: Path | None) -> dict[str, list[str]]:
    """The names of the files of each finished recording below the folder, the newest first, and of snapshots."""
    if folder is None or not folder.is_dir():
        return {}
    finished = sorted((path.parent for path in folder.glob("live-*/run.json")), reverse=True)
    files = {each.name: sorted(path.name for path in each.glob("[!.]*") if path.is_file()) for each in finished}
    snapshots = sorted((path.name for path in folder.glob("snapshot-*.png")), reverse=True)
    return files | ({SNAPSHOTS: snapshots} if snapshots else {})


def _encoded(picture: Picture) -> bytes:
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _JPEG)[1])


def _keep_little(request: web.Request) -> None:
    connection: Any = None if request.transport is None else request.transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
