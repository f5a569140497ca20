"""Cameras and streams: what is there, what goes away, what comes back."""

from __future__ import annotations

import http.server
import io
import socket
import threading
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.source_clips import ClipSpec, level_of, make_clip
from tracker.core.errors import InputError, RunError
from tracker.core.frame import Frame
from tracker.source import Clip, LiveConfig, open_source
from tracker.source.webcam import CameraSource

AT_ONCE = LiveConfig(reconnect_seconds=0.0)

# ---------------------------------------------------------------- cameras


class FakeCamera:
    """A webcam that gives so many pictures, then fails; plugging it in again gives the next number of them."""

    def __init__(self, *lives: int) -> None:
        self._lives = list(lives)
        self.opened = 0
        self.released = 0

    def open(self, device: int | str, config: LiveConfig) -> FakeCapture:
        self.opened += 1
        return FakeCapture(self, self._lives.pop(0) if self._lives else 0)


class FakeCapture:
    def __init__(self, camera: FakeCamera, pictures: int) -> None:
        self._camera, self._left, self._open = camera, pictures, pictures > 0

    def isOpened(self) -> bool:
        return self._open

    def grab(self) -> bool:
        assert self._open, "read after release"
        self._left -= 1
        return self._left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[..., 0] = 200  # blue, in OpenCV's order
        return True, picture

    def get(self, prop: int, /) -> float:
        return 29.97

    def release(self) -> None:
        self._open = False
        self._camera.released += 1


def test_camera_gives_rgb_and_increasing_times():
    camera = FakeCamera(6)
    with CameraSource(2, Clip(), AT_ONCE, camera.open) as source:
        assert (source.info.name, source.info.kind, source.info.live) == ("camera2", "camera", True)
        assert (source.info.width, source.info.height, source.info.frame_count) == (64, 48, None)
        assert float(source.info.rate) == pytest.approx(29.97, abs=1e-3)
        frames = []
        with pytest.raises(RunError):
            for frame in source:
                frames.append(frame)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]  # the first picture only told the size
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))
    assert frames[0].image[0, 0].tolist() == [0, 0, 200]


def test_camera_unplugged_for_good_ends_in_one_line():
    camera = FakeCamera(4)
    source = CameraSource(0, Clip(), AT_ONCE, camera.open)
    with pytest.raises(RunError, match=r"^camera 0: the camera stopped .*; it did not come back within 0 s$"):
        list(source)
    assert camera.released == 1
    source.close()


def test_camera_that_comes_back_goes_on(monkeypatch):
    monkeypatch.setattr("tracker.source.live_source.RETRY_SECONDS", 0.01)
    camera = FakeCamera(4, 0, 0, 3, 0, 3)
    source = CameraSource(0, Clip(), LiveConfig(reconnect_seconds=60.0), camera.open)
    frames = iter(source)
    assert [next(frames).index for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    assert camera.opened == 4
    assert source.warnings == ["camera 0: the camera stopped giving pictures (unplugged?)"]
    assert next(frames).index == 6
    assert len(source.warnings) == 2  # each loss has a patience of its own
    source.close()
    assert list(frames) == []


def test_waiting_for_a_camera_can_be_stopped():
    camera = FakeCamera(2)
    source = CameraSource(0, Clip(), LiveConfig(reconnect_seconds=3600.0), camera.open)
    ended = threading.Event()

    def read() -> None:
        list(source)
        ended.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    while not source.warnings:
        thread.join(0.01)
    source.stop()
    thread.join()
    assert ended.is_set()


def test_closing_waits_for_a_read_under_way():
    begun, go_on = threading.Event(), threading.Event()

    class SlowCapture(FakeCapture):
        def grab(self) -> bool:
            if self._left < 3:
                begun.set()
                go_on.wait()
            return super().grab()

        def release(self) -> None:
            assert go_on.is_set(), "released under a read"
            super().release()

    camera = FakeCamera()
    source = CameraSource(0, Clip(), AT_ONCE, lambda device, config: SlowCapture(camera, 4))
    frames: list = []
    reader = threading.Thread(target=lambda: frames.extend(source), daemon=True)
    reader.start()
    begun.wait()
    closer = threading.Thread(target=source.close, daemon=True)
    closer.start()
    closer.join(0.05)
    assert camera.released == 0
    go_on.set()
    closer.join()
    reader.join()
    assert camera.released == 1


def test_clip_of_a_camera_counts_from_its_first_picture(monkeypatch):
    now = iter(100 + 0.1 * i for i in range(100))
    monkeypatch.setattr("tracker.source.webcam.time.monotonic", lambda: next(now))
    with CameraSource(0, Clip(0.25, 0.55), AT_ONCE, FakeCamera(50).open) as source:
        assert [frame.index for frame in source] == [3, 4, 5]


def test_pictures_of_the_same_moment_are_counted_but_not_given(monkeypatch):
    now = iter([1.0, 2.0, 2.0, 1.5, 3.0, 4.0])
    monkeypatch.setattr("tracker.source.webcam.time.monotonic", lambda: next(now))
    source = CameraSource(0, Clip(), AT_ONCE, FakeCamera(6).open)
    frames = iter(source)
    assert [(frame.index, frame.time) for frame in (next(frames), next(frames), next(frames))] == [
        (0, 2.0),
        (3, 3.0),
        (4, 4.0),
    ]
    source.close()


def test_absent_camera_names_what_there_is(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("tracker.source.webcam.DEVICES", tmp_path)
    with pytest.raises(InputError, match=r"^camera 93: gives no picture; there is no .*/video\* on this machine; plug"):
        open_source("93")
    for name in ("video0", "video2"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"^camera 93: .*cameras here: \S+/video0, \S+/video2; plug one in"):
        open_source("93")
    (tmp_path / "video93").write_bytes(b"")
    with pytest.raises(InputError, match=r"in use by another program, or your user is not in the group 'video'"):
        open_source("93")
    assert capfd.readouterr().err == ""


def test_absent_device_path(capfd):
    with pytest.raises(InputError, match=r"^camera /dev/video93: gives no picture"):
        open_source("/dev/video93")
    assert capfd.readouterr().err == ""


def test_camera_that_opens_and_gives_nothing():
    camera = FakeCamera()
    with pytest.raises(InputError, match="camera 0: gives no picture"):
        CameraSource(0, Clip(), AT_ONCE, lambda device, config: _Dead(camera))
    assert camera.released == 1


class _Dead(FakeCapture):
    def __init__(self, camera: FakeCamera) -> None:
        super().__init__(camera, 1)

    def grab(self) -> bool:
        return False


@pytest.mark.parametrize(
    "wrong",
    [
        {"reconnect_seconds": -1.0},
        {"timeout_seconds": 0.0},
        {"camera_size": (0, 480)},
        {"camera_rate": float("nan")},
    ],
)
def test_impossible_live_configuration(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        LiveConfig(**wrong)


# ---------------------------------------------------------------- streams


def jpeg(level: int, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


class Server:
    """Serves, on loopback, MJPEG at /live (a number of pictures to each caller, then it hangs up) and files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures: list[list[tuple[int, tuple[int, int]]]] = []
        """For each coming connection to /live: the grey level and size of its pictures."""
        self.calls = 0
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self._http.server_port}{path}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, server: Server, *args: object) -> None:
        self.content = server
        super().__init__(*args)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        """Keeps stderr for what is tested."""

    def do_GET(self) -> None:
        try:
            if self.path == "/live":
                self._live()
            else:
                self._file(self.content.folder / self.path.lstrip("/"))
        except ConnectionError:
            return

    def _live(self) -> None:
        self.content.calls += 1
        pictures = self.content.pictures.pop(0) if self.content.pictures else []
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for level, size in pictures:
            data = jpeg(level, size)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if path.suffix == ".html" else "video/mp4")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.close()


def levels(count: int, size: tuple[int, int] = (64, 48)) -> list[tuple[int, tuple[int, int]]]:
    return [(10 * index, size) for index in range(count)]


def read_until_lost(url: str, config: LiveConfig = AT_ONCE) -> tuple[list[Frame], list[str], str]:
    """The frames of a stream until it is given up, its warnings, and the last word."""
    frames: list[Frame] = []
    with open_source(url, Clip(), config) as source:
        assert (source.info.kind, source.info.live, source.info.path) == ("stream", True, None)
        assert (source.info.width, source.info.height, source.info.rate) == (64, 48, None)
        with pytest.raises(RunError) as caught:
            for frame in source:
                frames.append(frame)
        return frames, source.warnings, str(caught.value)


def shown(frames: list[Frame]) -> list[int]:
    """The numbers of the pictures of `levels` that these frames show."""
    return [round(float(frame.image.mean()) / 10) for frame in frames]


def test_mjpeg_stream_and_its_end(server, capfd):
    server.pictures = [levels(4), levels(20)]
    url = server.url("/live")
    frames, warnings, last_word = read_until_lost(url)
    assert shown(frames) == list(range(20 - len(frames), 20))  # the first ones told what the stream is like
    assert len(frames) >= 15
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))
    assert last_word.startswith(f"{url}: the stream stopped")
    assert "did not come back within 0 s" in last_word
    assert len(warnings) == 1
    assert capfd.readouterr().err == ""


def test_a_stream_that_comes_back_goes_on(server, monkeypatch):
    monkeypatch.setattr("tracker.source.live_source.RETRY_SECONDS", 0.01)
    server.pictures = [levels(4), levels(10), [], levels(10)]
    with open_source(server.url("/live"), Clip(), LiveConfig(reconnect_seconds=60.0)) as source:
        frames = []
        for frame in source:
            frames.append(frame)
            if server.calls >= 4 and shown([frame]) == [9]:
                break
    numbers = shown(frames)
    assert numbers.count(9) == 2
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))
    assert len(source.warnings) == 1


def test_a_size_that_changes_midway_is_each_frames_own(server):
    server.pictures = [levels(4), levels(6) + levels(6, (96, 64))]
    frames, _, _ = read_until_lost(server.url("/live"))
    assert [frame.size for frame in frames[-7:]] == [(64, 48)] + [(96, 64)] * 6


def test_an_address_of_a_file_is_read_as_a_file(server, tmp_path):
    make_clip(tmp_path / "clip.mp4", ClipSpec(count=10))
    with open_source(server.url("/clip.mp4"), Clip(start=0.12)) as source:
        frames = list(source)
    assert (source.info.kind, source.info.live, source.info.name) == ("file", False, "clip")
    assert source.info.path is None
    assert [(frame.index, level_of(frame.image)) for frame in frames] == [(i, i) for i in range(3, 10)]


def test_addresses_that_send_no_video(server, tmp_path, capfd):
    (tmp_path / "page.html").write_text("<html>no film here</html>" * 100)
    for path in ("/page.html", "/nowhere.mp4"):
        with pytest.raises(InputError, match=r"127\.0\.0\.1:\d+/\w+\.\w+: cannot be opened \(.+\); check the address"):
            open_source(server.url(path))
    assert capfd.readouterr().err == ""


def test_nobody_there(server):
    url = server.url("/live")
    server.close()
    with pytest.raises(InputError, match=r"cannot be opened \(Connection refused\)"):
        open_source(url)


def test_a_sender_that_says_nothing():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"no answer within 0\.2 s; check the address and that the sender runs"):
        open_source(f"udp://127.0.0.1:{port}", Clip(), LiveConfig(timeout_seconds=0.2))


def test_a_password_is_shown_nowhere(server):
    server.pictures = [levels(4), levels(8)]
    url = server.url("/live", user="joe:secret@")
    with open_source(url, Clip(), AT_ONCE) as source:
        with pytest.raises(RunError) as caught:
            list(source)
    text = f"{source.info} {caught.value} {source.warnings}"
    assert "secret" not in text
    assert "joe" not in text
    with pytest.raises(InputError) as refused:
        open_source(server.url("/nowhere", user="joe:secret@"))
    assert "secret" not in str(refused.value)
