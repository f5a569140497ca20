"""The live picture in a browser: a page on this machine's loopback address that shows a motion-JPEG stream."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Picture

_BOUNDARY = "frame"
_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>body-tracker</title>
<style>body{margin:0;background:#111;display:grid;place-items:center;height:100vh}img{max-width:100vw;max-height:100vh}</style>
<img src="/stream.mjpg" alt="live picture"></html>"""


class WebPage:
    """Serves what is shown; pictures are encoded only while somebody looks."""

    name, wants_picture = "web page", True

    def __init__(self, port: int) -> None:
        """port: 0 takes any free one. Raises InputError when the port is taken."""
        self._picture: Picture | None = None
        self._count = 0
        self._open = True
        self._changed = threading.Condition()
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        except OSError as error:
            raise InputError(f"--web {port}: this port cannot be used ({error.strerror}); give another one") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        with self._changed:
            self._picture, self._count = picture, self._count + 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_jpeg(self, last: int) -> tuple[int, bytes] | None:
        """The first picture after number `seen`, with its number; None when the screen closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > last or not self._open)
            if not self._open or self._picture is None:
                return None
            picture, count = self._picture, self._count
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
        return count, encoded.tobytes()


def _handler(page: WebPage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self._send_page()
            elif self.path == "/stream.mjpg":
                self._send_stream()
            else:
                self.send_error(404)

        def _send_page(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(_PAGE)))
            self.end_headers()
            self.wfile.write(_PAGE)

        def _send_stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            last = 0
            while (latest := page.next_jpeg(last)) is not None:
                last, jpeg = latest
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                except OSError:  # the browser has gone
                    return

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are not worth a line in a terminal that shows frame rates."""

    return Handler
