"""The live page: strangers stay out, clients cost one encoding and delay nobody, its buttons work."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.outputs import http_server, web
from tracker.outputs.output import LiveStatus
from tracker.outputs.web import WebPage


@pytest.fixture
def page() -> Iterator[WebPage]:
    page = WebPage(0)
    yield page
    page.close()


def show(page: WebPage, level: int, size: tuple[int, int] = (96, 64)) -> None:
    """Hands the page a grey picture."""
    picture = np.full((size[1], size[0], 3), level, np.uint8)
    page.send(Frame(level, level / 30, picture), [], picture)


def until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.005)


def asked(page: WebPage, path: str, **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer; {token} stands for the page's."""
    parts = urlsplit(page.address)
    connection = HTTPConnection("127.0.0.1", parts.port or 0)
    connection.putrequest("GET", path.replace("{token}", parts.query), skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value.replace("{port}", str(parts.port)))
    connection.endheaders()
    answer = connection.getresponse()
    try:
        return answer.status, b"" if "mjpg" in path and answer.status == 200 else answer.read()
    finally:
        connection.close()


# ---------------------------------------------------------------- strangers


@pytest.mark.parametrize("path", ["/?{token}", "/stream.mjpg?{token}"])
def test_the_printed_address_is_let_in(page: WebPage, path: str) -> None:
    assert asked(page, path)[0] == 200
    assert asked(page, path, Host="localhost:{port}", Origin="http://localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/stream.mjpg", "/live", "/?token=", "/?token=wrong", "/live?token=%00", "/?token=%C3%A9", "/?token=%80"],
)
def test_without_the_token_nobody_is(page: WebPage, path: str) -> None:
    status, text = asked(page, path)
    assert status == 403 and b"take the address that was printed" in text


@pytest.mark.parametrize("path", ["/?{token}", "/stream.mjpg?{token}", "/live?{token}"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"},
        {"Host": "192.168.1.7:{port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Host": "a]b:{port}"},
        {"Origin": "http://[x"},
    ],
    ids=str,
)
def test_pages_of_other_sites_are_not_even_with_it(page: WebPage, path: str, headers: dict[str, str]) -> None:
    """A site that gives its own name this machine's address says that name, or its own as the origin."""
    assert asked(page, path, **headers)[0] == 403


def test_a_page_for_the_network_is_asked_for_by_this_machines_names() -> None:
    page = WebPage(0, "0.0.0.0")
    try:
        assert "?token=" in page.address and "0.0.0.0" not in page.address
        for host in ("192.168.1.7:{port}", socket.gethostname() + ":{port}", "127.0.0.1:{port}"):
            assert asked(page, "/?{token}", Host=host)[0] == 200
        assert asked(page, "/?{token}", Host="evil.example:{port}")[0] == 403
    finally:
        page.close()


def test_each_run_has_a_token_of_its_own() -> None:
    tokens = set()
    for _ in range(3):
        page = WebPage(0)
        tokens.add(urlsplit(page.address).query)
        page.close()
    assert len(tokens) == 3 and min(map(len, tokens)) > 20


@pytest.mark.parametrize(
    ("host", "remedy"),
    [
        ("nosuch.invalid", "give an address of this machine"),
        ("192.0.2.7", "give an address of this machine"),
        ("a..b", "give a number or name of this machine"),
        ("", "the host is empty"),
    ],
)
def test_a_host_that_cannot_be_had_is_named_and_not_the_port(host: str, remedy: str) -> None:
    with pytest.raises(InputError, match=f"--host {host}.*: .*{remedy}") as error:
        WebPage(0, host)
    assert "another port" not in str(error.value)


def test_a_port_that_is_taken_is_named(page: WebPage) -> None:
    port = urlsplit(page.address).port
    with pytest.raises(InputError, match=rf"--web {port}: cannot be listened on \(.+\); give another port"):
        WebPage(port or 0)


# ---------------------------------------------------------------- clients


@contextmanager
def connected(page: WebPage, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", urlsplit(page.address).port or 0)) as client:
        client.sendall(sent)
        yield client


def hung_up(client: socket.socket) -> bool:
    """Waits for what comes, and for the end."""
    try:
        while client.recv(1 << 16):
            continue
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local"], ids=["nothing", "half a request"])
def test_who_does_not_ask_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.2)
    page = WebPage(0)
    with connected(page, sent) as client:
        assert hung_up(client)
    page.close()


def test_there_are_only_so_many_connections(page: WebPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MOST_CONNECTIONS", 4)
    query = urlsplit(page.address).query
    request = f"GET /stream.mjpg?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with connected(page, request), connected(page, request), connected(page, request), connected(page, request) as last:
        until(lambda: page._jpegs.listeners == 4)
        with connected(page, request) as further:
            assert hung_up(further)
        last.close()
        until(lambda: page._jpegs.listeners == 3)
        assert asked(page, "/?{token}")[0] == 200


def test_nothing_is_drawn_or_encoded_that_nobody_looks_at(page: WebPage) -> None:
    assert not page.wants_picture
    with connected(
        page, f"GET /stream.mjpg?{urlsplit(page.address).query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    ):
        until(lambda: page.wants_picture)
    until(lambda: not page.wants_picture or (show(page, 1) or False))


def live(page: WebPage, work: Callable[[ClientWebSocketResponse], Coroutine[Any, Any, None]]) -> None:
    """Runs `work` with the page's own connection, as a browser has it."""

    async def run() -> None:
        parts = urlsplit(page.address)
        address = f"ws://{parts.netloc}/live?{parts.query}"
        async with ClientSession() as session, session.ws_connect(address, origin=f"http://{parts.netloc}") as client:
            await work(client)

    asyncio.run(run())


async def next_picture(client: ClientWebSocketResponse) -> bytes:
    while (message := await client.receive()).type is not WSMsgType.BINARY:
        assert message.type is WSMsgType.TEXT, message
    return bytes(message.data)


def test_several_clients_cost_one_encoding_and_a_stalled_one_delays_nobody(
    page: WebPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = web._encoded
    monkeypatch.setattr(web, "_encoded", lambda picture: encoded.append(int(picture[0, 0, 0])) or encode(picture))
    query = urlsplit(page.address).query
    request = f"GET /stream.mjpg?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    async def work(quick: ClientWebSocketResponse) -> None:
        parts = urlsplit(page.address)
        async with ClientSession() as session, session.ws_connect(f"ws://{parts.netloc}/live?{query}") as slow:
            with connected(page, request):  # never reads what it is sent
                while page._jpegs.listeners < 3:
                    await asyncio.sleep(0.005)
                for level in range(40):
                    show(page, level, (640, 480))
                    jpeg = await next_picture(quick)
                    assert jpeg.startswith(b"\xff\xd8")
                    await quick.send_str("ready")
                first = await next_picture(slow)  # one, and no further before it says that it is ready
                await slow.send_str("ready")
                assert await next_picture(slow) == jpeg != first, "the newest, none of those in between"

    live(page, work)
    assert encoded == list(range(40))


def test_the_page_is_told_how_the_run_goes(page: WebPage) -> None:
    page.follow(lambda: LiveStatus(rate=29.9, latency_ms=40, people=2, recording=True, notice="recorded"))

    async def work(client: ClientWebSocketResponse) -> None:
        until(lambda: page._statuses.listeners > 0)
        show(page, 3)
        while isinstance(told := (await client.receive()).data, bytes):
            continue  # a picture, which may come first
        status = json.loads(told)
        assert (status["rate"], status["people"], status["recording"], status["notice"]) == (29.9, 2, True, "recorded")

    live(page, work)


def test_who_comes_while_nothing_moves_is_told_why(page: WebPage) -> None:
    page.follow(lambda: LiveStatus(waiting="loading the networks ..."))
    page.send(Frame(0, 0.0, np.zeros((64, 96, 3), np.uint8)), [], None)  # before anybody looks, and no other

    async def work(client: ClientWebSocketResponse) -> None:
        message = await client.receive(timeout=60)
        assert json.loads(message.data)["waiting"] == "loading the networks ..."

    live(page, work)


def test_buttons_are_the_windows_keys_and_other_words_are_nothing(page: WebPage) -> None:
    async def work(client: ClientWebSocketResponse) -> None:
        for word in ("rm -rf", "record", "", "draw", "smooth", '{"a":1}', "snapshot", "quit"):
            await client.send_str(word)
        await client.send_bytes(b"record")

    live(page, work)
    pressed = ""
    while len(pressed) < 5:
        pressed += page.key()
    assert pressed == "rmfsq" and page.key() == ""


def test_disconnects_and_rubbish_are_quiet(
    page: WebPage, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    query = urlsplit(page.address).query
    get = f"GET /stream.mjpg?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    handshake = (
        f"GET /live?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n".encode()
    )
    for sent in (
        get,
        handshake + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\r\n\r\n",
        get.replace(b"localhost", b"[::1"),
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ):
        for level in range(3):
            with connected(page, sent) as client:
                show(page, level, (640, 480))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # gone without a word

    async def work(client: ClientWebSocketResponse) -> None:
        await client.send_bytes(b"x" * 5000)  # more than is taken

    live(page, work)
    until(lambda: page._jpegs.listeners == 0 or (show(page, 9) or False))
    assert asked(page, "/?{token}")[0] == 200 and asked(page, "/nowhere?{token}")[0] == 404
    assert [record.message for record in caplog.records] == []
    assert capfd.readouterr().err == ""


def test_a_page_that_is_closed_ends_its_clients() -> None:
    page = WebPage(0)

    async def work(client: ClientWebSocketResponse) -> None:
        until(lambda: page._statuses.listeners > 0)
        await asyncio.get_running_loop().run_in_executor(None, page.close)
        while (await client.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING):
            continue

    live(page, work)


# ---------------------------------------------------------------- recordings


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[WebPage]:
    """A page of a folder with a finished recording, one that is under way, a snapshot and foreign files."""
    for name in (
        "live-1/run.json",
        "live-1/overlay.mp4",
        "live-1/.hidden",
        "live-2/overlay.mp4.part",
        "other/run.json",
    ):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(f"content of {name}")
    for name in ("out/snapshot-1.png", "out/secret.txt", "secret.txt"):
        (tmp_path / name).write_text(f"content of {name}")
    page = WebPage(0, folder=tmp_path / "out")
    yield page
    page.close()


def test_finished_recordings_and_snapshots_can_be_fetched(recorded: WebPage) -> None:
    status, text = asked(recorded, "/files?{token}")
    assert status == 200
    assert json.loads(text) == {"live-1": ["overlay.mp4", "run.json"], "snapshots": ["snapshot-1.png"]}
    assert asked(recorded, "/files/live-1/overlay.mp4?{token}") == (200, b"content of live-1/overlay.mp4")
    assert asked(recorded, "/files/snapshots/snapshot-1.png?{token}") == (200, b"content of out/snapshot-1.png")


@pytest.mark.parametrize(
    "path",
    [
        "live-1/.hidden",
        "live-2/overlay.mp4.part",
        "other/run.json",
        "snapshots/secret.txt",
        "live-1/..%2F..%2Fsecret.txt",
        "..%2F/secret.txt",
        "live-1/%2E%2E/secret.txt",
        "live-1/%00",
    ],
)
def test_nothing_else_can(recorded: WebPage, path: str) -> None:
    assert asked(recorded, f"/files/{path}?{{token}}")[0] == 404


@pytest.mark.parametrize("path", ["/files", "/files/live-1/overlay.mp4", "/files/snapshots/snapshot-1.png?token=wrong"])
def test_nothing_without_the_token(recorded: WebPage, path: str) -> None:
    assert asked(recorded, path)[0] == 403


def test_a_page_without_recordings_says_so(page: WebPage) -> None:
    assert asked(page, "/files?{token}") == (200, b"{}") and asked(page, "/files/live-1/run.json?{token}")[0] == 404
