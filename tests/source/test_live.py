"""Cameras and streams: what is there, what goes away, what comes back."""

from __future__ import annotations

import http.server
import io
import socket
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.source_clips import ClipSpec, level_of, make_clip
from tracker.core.errors import InputError, RunError
from tracker.core.frame import Frame
from tracker.source import Clip, LiveConfig, open_source
from tracker.source.container import DecodingProblems, decode, open_container
from tracker.source.live_source import FEWEST_ATTEMPTS
from tracker.source.sender_clock import PARTED_SECONDS, SenderClock
from tracker.source.source import MOST_WARNINGS
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
    assert source.warnings == ["camera 0: the camera stopped giving pictures (unplugged?); trying again"]
    assert next(frames).index == 6
    assert len(source.warnings) == 2  # each loss has a patience of its own
    source.close()
    assert list(frames) == []


def test_slow_attempts_do_not_use_up_the_patience(monkeypatch):
    """Each takes longer than the whole patience, and the third one succeeds."""
    monkeypatch.setattr("tracker.source.live_source.RETRY_SECONDS", 0.0)
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr("tracker.source.live_source.time.monotonic", lambda: float(next(now)))
    camera = FakeCamera(3, 0, 0, 3)
    frames = iter(CameraSource(0, Clip(), LiveConfig(reconnect_seconds=5.0), camera.open))
    assert [next(frames).index for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(RunError, match="it did not come back within"):
        list(frames)
    assert camera.opened == 4 + FEWEST_ATTEMPTS


def test_a_camera_that_comes_and_goes_all_day_fills_no_memory(monkeypatch):
    monkeypatch.setattr("tracker.source.live_source.RETRY_SECONDS", 0.0)
    lives = 3 * MOST_WARNINGS
    source = CameraSource(0, Clip(), LiveConfig(reconnect_seconds=0.5), FakeCamera(*[2] * lives).open)
    frames = 0
    with pytest.raises(RunError):
        for _ in source:
            frames += 1
    assert frames == 2 * lives - 1
    assert len(source.warnings) == MOST_WARNINGS + 1 and source.warnings[-1].startswith("and ")


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


class Sender:
    """Sends one grey over UDP, a picture every 20 ms, whose timestamps say 0.5 s; each starts at time 0."""

    def __init__(self, address: str, level: int) -> None:
        self._address, self._level, self._stop = address, level, threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        with av.open(f"{self._address}?pkt_size=1316", "w", "mpegts", {"flush_packets": "1"}) as container:
            stream = container.add_stream("libx264", rate=2, options={"preset": "ultrafast", "tune": "zerolatency"})
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 1
            index = 0
            while not self._stop.wait(0.02):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), self._level, np.uint8), "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 2)
                container.mux(stream.encode(frame))
                index += 1


def test_a_sender_that_is_restarted_is_seen_at_once():
    """Its timestamps begin anew: the first 30 s of them are earlier than what was sent before."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"udp://127.0.0.1:{free.getsockname()[1]}"
    frames: list[Frame] = []
    with Sender(address, 60) as first:
        source = open_source(address, Clip(), LiveConfig(timeout_seconds=30.0))
        given = iter(source)
        while len(frames) < 60:
            frames.append(next(given))
    del first
    with source, Sender(address, 180):
        while sum(frame.image.mean() > 120 for frame in frames) < 20:
            frames.append(next(given))
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))
    assert [frame.index for frame in frames] == list(range(len(frames))), "none was thrown away"
    (warning,) = source.warnings
    assert "the sender's clock jumped" in warning


def placed(*pictures: tuple[float | None, float]) -> tuple[list[float], list[str]]:
    """When pictures, (timestamp, arrival), were taken, and the warnings."""
    warnings: list[str] = []
    clock = SenderClock(warnings.append)
    return [clock.moment(sent, arrival) for sent, arrival in pictures], warnings


def test_pictures_are_placed_by_the_sender_and_not_by_a_network_that_delays():
    times, warnings = placed((10.0, 100.0), (10.1, 100.4), (10.2, 100.41), (10.3, 101.5), (11.5, 101.6))
    assert times == pytest.approx([100.0, 100.1, 100.2, 100.3, 101.5])
    assert warnings == []


def test_a_burst_at_the_beginning_keeps_its_intervals():
    times, warnings = placed(*[(float(second), 100.0 + 0.01 * second) for second in range(18)])
    assert times == pytest.approx([100.0 + second for second in range(18)])
    assert warnings == []


@pytest.mark.parametrize("sent", [0.0, 3.0, 95443.7 + 60.0], ids=["restarted", "set back", "wrapped"])
def test_a_clock_that_jumps_is_set_anew(sent):
    times, warnings = placed((60.0, 100.0), (60.1, 100.1), (sent, 100.2), (sent + 0.1, 100.3))
    assert times == pytest.approx([100.0, 100.1, 100.2, 100.3])
    assert len(warnings) == 1


def test_a_sender_that_pauses_or_is_slow_is_caught_up_with():
    times, warnings = placed((0.0, 100.0), (0.1, 107.0), (0.2, 107.1))
    assert times == pytest.approx([100.0, 107.0, 107.1])
    assert len(warnings) == 1
    times, _ = placed(*[(0.1 * second, 100.0 + second) for second in range(60)])
    assert all(abs(time - (100.0 + second)) <= PARTED_SECONDS for second, time in enumerate(times))


def test_no_picture_is_thrown_away_for_its_timestamp():
    times, warnings = placed((5.0, 100.0), (5.0, 100.1), (4.9, 100.2), (None, 100.2), (None, 100.3), (7.0, 100.4))
    assert times == pytest.approx([100.0, 100.1, 100.2, 100.201, 100.3, 100.4])
    assert warnings == []


def test_a_new_connection_goes_on_after_the_one_before():
    clock = SenderClock(print)
    before = [clock.moment(float(second), 100.0) for second in range(20)]
    clock.reconnect()
    after = [clock.moment(sent, 103.0 + sent) for sent in (0.0, 0.1)]
    assert before[-1] < after[0] < before[-1] + 0.1 and after[1] - after[0] == pytest.approx(0.1)


def test_a_stream_in_which_nothing_can_be_decoded_is_lost(tmp_path, monkeypatch):
    """Packets come on, but no picture: after a while that is no longer waited for."""
    path = make_clip(tmp_path / "clip.ts", ClipSpec(count=50))
    now = iter(range(1000))
    monkeypatch.setattr("tracker.source.container.time.monotonic", lambda: float(next(now)))
    monkeypatch.setattr(av.Packet, "decode", lambda self: [], raising=False)
    problems = DecodingProblems()
    with open_container(str(path)) as container:
        assert list(decode(container, problems, patience=20.0)) == []
    assert problems.lines() == ["nothing of what came for 20 s could be decoded"]


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
