"""Images, folders of them, and what the command line's inputs stand for."""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.source_clips import ClipSpec, make_clip
from tracker.core.errors import InputError
from tracker.source import Clip, Input, find_inputs, open_live_source, open_source, paced, spec_of


def save(path: Path, level: int, size: tuple[int, int] = (20, 12)) -> Path:
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve numbered images, whose names sort wrongly as text, and things that are none."""
    where = tmp_path / "walk"
    where.mkdir()
    for index in range(12):
        save(where / f"frame{index}.png", 10 * index)
    (where / "notes.txt").write_text("not a picture")
    (where / ".frame3.png").write_bytes(b"left by a file manager")
    (where / "sub.png").mkdir()
    return where


def test_folder_in_natural_order_at_its_rate(folder):
    with open_source(str(folder)) as source:
        frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10 * index for index in range(12)]
    assert [frame.time for frame in frames] == [float(Fraction(index, 30)) for index in range(12)]
    info = source.info
    assert (info.name, info.kind, info.frame_count, info.rate) == ("walk", "folder", 12, Fraction(30))
    assert (info.width, info.height, info.has_audio, info.live) == (20, 12, False, False)


def test_part_of_a_folder(folder):
    with open_source(str(folder), Clip(0.1, 0.2)) as source:
        assert [frame.index for frame in source] == [3, 4, 5]
    with pytest.raises(InputError, match=r"--start 7: .*walk has no frame there \(it lasts 0\.40 s\)"):
        open_source(str(folder), Clip(start=7.0))


def test_unreadable_image_in_a_folder_is_left_out(folder):
    (folder / "frame2.png").write_bytes((folder / "frame2.png").read_bytes()[:40])
    with open_source(str(folder)) as source:
        assert [frame.index for frame in source] == [0, 1, *range(3, 12)]
    assert len(source.warnings) == 1
    assert "frame2.png: not a readable image" in source.warnings[0]


def test_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(InputError, match=r"no images in this folder \(expected \.bmp, "):
        open_source(str(tmp_path))
    with pytest.raises(InputError, match="holds neither videos nor images"):
        find_inputs([str(tmp_path)])


def test_folder_of_broken_images(tmp_path):
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(InputError, match=r"none of its 2 images can be read; the first: .*a\.png"):
        open_source(str(tmp_path))


def test_single_image(tmp_path):
    path = save(tmp_path / "photo.jpg", 90)
    with open_source(str(path)) as source:
        frames = list(source)
    assert [(frame.index, frame.time, frame.size) for frame in frames] == [(0, 0.0, (20, 12))]
    assert (source.info.name, source.info.kind, source.info.frame_count) == ("photo", "image", 1)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_corrupt_image(tmp_path, content):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"photo\.jpg: not a readable image \(.+\); check that it opens") as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)


def test_truncated_image(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"photo\.png: not a readable image"):
        open_source(str(path))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24, 0] = upright[:16, 24:, 1] = upright[16:, :24, 2] = 200
    # What a camera stores for each orientation: the standard says where the first row and column shown lie.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    with open_source(str(path)) as source:
        (frame,) = source
    assert (frame.image == upright).all()


def test_grey_of_16_bits_palette_and_transparency(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    Image.new("RGB", (8, 8), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "b.png")
    Image.new("RGBA", (8, 8), (10, 200, 30, 128)).save(tmp_path / "c.png")
    with open_source(str(tmp_path)) as source:
        grey, palette, transparent = (frame.image for frame in source)
    assert (grey[..., 0] == ramp >> 8).all()
    assert (grey[..., 1] == grey[..., 2]).all()
    assert palette[0, 0].tolist() == transparent[0, 0].tolist() == [10, 200, 30]


def test_folders_stand_for_the_videos_in_them(tmp_path, folder):
    videos = tmp_path / "videos"
    for name in (
        "take10.mp4",
        "take9.MOV",
        "take9.jpg",
        "readme.md",
        "day 2/a/cut.mp4",
        ".trash/old.mp4",
        "done/x.mp4",
    ):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        (videos / name).write_bytes(b"")
    specs = ["0", "/dev/video3", "rtsp://camera/live", str(videos), str(folder)]
    assert find_inputs(specs, lambda each: each.name == "done") == [
        *map(Input, specs[:3]),
        Input(str(videos / "take9.MOV")),
        Input(str(videos / "take10.mp4")),
        Input(str(videos / "day 2/a/cut.mp4"), Path("day 2/a")),
        Input(str(folder)),
    ]


def test_a_tree_of_pictures_is_one_input_a_folder(tmp_path):
    for name in ("walk/1.png", "walk/2.png", "more/run/1.png", "notes/text.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert find_inputs([str(tmp_path)]) == [
        Input(str(tmp_path / "more/run"), Path("more")),
        Input(str(tmp_path / "walk")),
    ]


def test_a_folder_that_cannot_be_looked_into_is_an_input_that_says_so(tmp_path, monkeypatch):
    """Root is refused, too: by /proc, and by file systems over a network. What is beside it is kept."""
    for name in ("a/film.mp4", "b/locked/film.mp4", "c/film.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    locked, scandir = tmp_path / "b/locked", os.scandir

    def guarded(path="."):
        if str(path).startswith(str(locked)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    def is_result(folder: Path) -> bool:
        if folder == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return False

    monkeypatch.setattr(os, "scandir", guarded)
    inputs = find_inputs([str(tmp_path)], is_result)
    assert [each.spec for each in inputs] == [str(tmp_path / name) for name in ("a/film.mp4", "c/film.mp4", "b/locked")]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch, code):
    def refused(path):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(InputError, match=f"^{folder}: "):
        open_source(folder)


def test_paths_and_numbers_of_cameras_are_sources(folder, monkeypatch):
    with open_source(folder) as source:
        assert source.info.location == str(folder)
    monkeypatch.chdir(folder.parent)
    Image.new("RGB", (20, 12)).save("7", format="PNG")
    assert [spec_of(each) for each in (7, "7", Path("7"), Path("a/7"))] == ["7", "7", "./7", "a/7"]
    for wrong in (None, 1.5, True, b"film.mp4", ["film.mp4"]):
        with pytest.raises(InputError, match="source: expected a path, an address or a camera's number, got"):
            spec_of(wrong)


@pytest.mark.parametrize("missing", ["nowhere", "nowhere/film.mp4", "photo.png", "a" * 5000])
def test_what_does_not_exist_is_named(tmp_path, missing):
    spec = str(tmp_path / missing)
    for act in (open_source, lambda each: find_inputs([each])):
        with pytest.raises(InputError, match=r"no such file or folder; check the path$"):
            act(spec)


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_input_is_not_the_current_folder(empty):
    with pytest.raises(InputError, match="an input is empty: expected a file"):
        find_inputs(["film.mp4", empty])


def test_of_several_inputs_the_others_are_kept(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "film.mp4").touch()
    specs = [str(tmp_path / name) for name in ("film.mp4", "nowhere.mp4", "empty")]
    assert [each.spec for each in find_inputs(specs)] == specs


def test_unknown_scheme():
    with pytest.raises(InputError, match=r"gopher://host/film: gopher:// is not supported; expected one of rtsp://"):
        open_source("gopher://user:secret@host/film")


# ---------------------------------------------------------------- a file in the place of a camera


class Clock:
    """A clock that only waiting and `pass_time` move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tracker.source.playback.time.monotonic", clock.monotonic)
    return clock


def test_paced_frames_come_when_they_are_due(tmp_path, clock, monkeypatch):
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(count=5))
    with open_live_source(str(path)) as source:
        monkeypatch.setattr(source._stopped, "wait", clock.wait)
        assert source.info.live
        came = [(frame.index, frame.time, clock.now) for frame in source]
    for index, time, now in came:
        assert time == pytest.approx(1000 + 0.04 * index)
        assert now == pytest.approx(time)


def test_paced_source_pauses_when_the_reader_cannot_keep_up(tmp_path, clock, monkeypatch):
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(count=6))
    times = []
    with paced(open_source(str(path))) as source:
        monkeypatch.setattr(source._stopped, "wait", clock.wait)
        for frame in source:
            times.append(frame.time)
            if frame.index == 2:
                clock.now += 5.0
    assert np.diff(times) == pytest.approx([0.04, 0.04, 5.0, 0.04, 0.04])


def test_a_paced_source_can_be_stopped(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(times=[0.0, 3600.0]))
    with paced(open_source(str(path))) as source:
        frames = iter(source)
        assert next(frames).index == 0
        source.stop()
        assert list(frames) == []
