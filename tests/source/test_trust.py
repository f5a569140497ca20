"""What inputs may not ask of this machine: gigabytes for a picture, other files, other hosts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest
from PIL import Image

from tests.source_clips import make_clip
from tracker.core.errors import InputError
from tracker.source import Clip, InputTrust, LiveConfig, open_source

SMALL = LiveConfig(trust=InputTrust(max_pixels=1000))


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_large_video_is_refused_before_it_is_decoded(tmp_path: Path, suffix: str) -> None:
    path = make_clip(tmp_path / f"clip{suffix}")
    with open_source(str(path)) as source:
        size = source.info.width * source.info.height
    with open_source(str(path), Clip(), LiveConfig(trust=InputTrust(max_pixels=size))):
        pass
    with pytest.raises(InputError, match=r"clip\.\w+: its pictures have .* expected at most 1,000; give --max-pixels"):
        open_source(str(path), Clip(), SMALL)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".gif", ".tiff"])
def test_a_large_picture_is_refused_before_it_is_decoded(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large{suffix}"
    Image.new("RGB", (100, 50)).save(path)
    with pytest.raises(InputError, match=r"large\.\w+: .*--max-pixels"):
        open_source(str(path), Clip(), SMALL)


def test_a_large_moving_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "large.webp"
    pictures = [Image.new("RGB", (100, 50), colour) for colour in ("red", "green", "blue")]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    with pytest.raises(InputError, match=r"large\.webp: .*--max-pixels"):
        open_source(str(path), Clip(), SMALL)


def test_a_few_kilobytes_do_not_become_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gif"
    Image.new("P", (9000, 9000)).save(path)
    with pytest.raises(InputError, match=r"bomb\.gif: .*67,108,864 pixels"):
        open_source(str(path))


LISTS = {
    "script.mp4": "ffconcat version 1.0\nfile '{clip}'\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
    "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 26\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_file_that_names_others_opens_none_of_them(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / "clip.ts")
    path = tmp_path / name
    path.write_text(LISTS[name].format(clip=clip))
    with pytest.raises(InputError, match=rf"{path.name}: a list or script that names other files"):
        open_source(str(path))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of a web server for the folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_remote_playlist_is_followed_only_when_asked_to(tmp_path: Path, site: str) -> None:
    make_clip(tmp_path / "clip.ts")
    (tmp_path / "list.m3u8").write_text(LISTS["list.m3u8"].format(clip="clip.ts"))
    with pytest.raises(InputError, match="--playlists"):
        open_source(f"{site}/list.m3u8")
    with open_source(f"{site}/list.m3u8", Clip(), LiveConfig(trust=InputTrust(playlists=True))) as source:
        assert next(iter(source)).size == (source.info.width, source.info.height)
    with open_source(f"{site}/clip.ts") as source:
        assert next(iter(source)).index == 0


def test_what_comes_from_the_network_opens_no_file_of_this_machine(tmp_path: Path, site: str) -> None:
    clip = make_clip(tmp_path / "clip.ts")
    (tmp_path / "list.m3u8").write_text(LISTS["list.m3u8"].format(clip=f"file://{clip}"))
    with pytest.raises(InputError):
        open_source(f"{site}/list.m3u8", Clip(), LiveConfig(trust=InputTrust(playlists=True)))


def test_every_format_that_is_allowed_is_one_that_ffmpeg_has() -> None:
    """A misspelt one would silently refuse people's files."""
    from tracker.source.container import FILE_FORMATS, PLAYLIST_FORMATS, STREAM_FORMATS

    known = {name for each in av.formats_available for name in each.split(",")}
    assert {*FILE_FORMATS.split(","), *STREAM_FORMATS.split(","), *PLAYLIST_FORMATS.split(",")} <= known
