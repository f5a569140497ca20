"""Video files: times, sizes, orientation, colours, the wanted part, and what is wrong with files in the wild."""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from tests import SHARED
from tests.source_clips import (
    NTSC,
    ClipSpec,
    grey_level,
    level_of,
    make_clip,
    make_flat_clip,
    make_picture_clip,
    tone_packets,
)
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.runtime.interrupt import deferred_interrupt
from tracker.source import Clip, open_source
from tracker.source.container import DecodingProblems
from tracker.source.frame_ranges import FrameRanges
from tracker.source.video import ContainerClock

LONG_GOP = (("g", "100"), ("bf", "2"), ("sc_threshold", "0"))


WHOLE = Clip()


def read(path: Path | str, clip: Clip = WHOLE) -> list[Frame]:
    with open_source(str(path), clip) as source:
        return list(source)


# ---------------------------------------------------------------- times


def test_ntsc_rate_and_times_stay_exact(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(rate=NTSC, count=20))
    with open_source(str(path)) as source:
        info = source.info
        frames = list(source)
    assert info.rate == NTSC
    assert (info.name, info.kind, info.frame_count, info.path) == ("clip", "file", 20, path)
    assert info.duration == pytest.approx(20 * 1001 / 30000, abs=1e-4)
    assert [frame.time for frame in frames] == [float(i / NTSC) for i in range(20)]
    assert [frame.index for frame in frames] == list(range(20))
    assert [level_of(frame.image) for frame in frames] == list(range(20))
    assert source.warnings == []


@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_variable_rate_keeps_every_time(tmp_path, b_frames):
    times = [0.0, 0.04, 0.05, 0.2, 0.21, 0.5, 0.75]
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(times=times, options=(("bf", b_frames),)))
    frames = read(path)
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-4)
    assert [level_of(frame.image) for frame in frames] == list(range(7))


def test_a_variable_rate_is_told_as_its_mean(tmp_path):
    times = np.cumsum([0.0] + [0.03, 0.07] * 10).tolist()
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(times=times, options=(("bf", "0"),)))
    with open_source(str(path)) as source:
        assert float(source.info.rate) == pytest.approx(20, rel=0.05)


def test_time_counts_from_the_first_picture(tmp_path):
    path = make_clip(tmp_path / "clip.ts", ClipSpec(count=5))
    with av.open(str(path)) as container:
        assert container.streams.video[0].start_time > 0
    assert [frame.time for frame in read(path)] == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])


def test_avi_with_b_frames_has_no_presentation_times_but_ours_increase_evenly(tmp_path):
    path = make_clip(tmp_path / "clip.avi", ClipSpec(options=LONG_GOP))
    frames = read(path)
    assert [level_of(frame.image) for frame in frames] == list(range(12))
    assert np.diff([frame.time for frame in frames]) == pytest.approx(0.04)


def timeline(stamps: list[tuple[int | None, int | None]]) -> tuple[list[float | None], ContainerClock]:
    pictures = [SimpleNamespace(pts=pts, dts=dts) for pts, dts in stamps]
    line = ContainerClock(pictures[0], Fraction(1, 100), Fraction(4, 100))
    return [line.place(picture) for picture in pictures], line


def test_missing_times_follow_by_one_period():
    placed, _ = timeline([(10, 10), (None, 14), (18, 18), (None, None)])
    assert placed == [0.0, 0.04, 0.08, 0.12]


def test_a_file_without_any_time_is_spaced_by_its_rate():
    placed, _ = timeline([(None, None)] * 3)
    assert placed == [0.0, 0.04, 0.08]


def test_duplicate_times_are_left_out_and_counted():
    placed, line = timeline([(0, 0), (4, 4), (4, 4), (3, 3), (8, 8)])
    assert placed == [0.0, 0.04, None, None, 0.08]
    assert line.left_out == 2


def test_joined_recordings_go_on_after_the_seam():
    placed, line = timeline([(1000, 0), (1004, 0), (1200, 0), (0, 0), (4, 0)])
    assert placed == pytest.approx([0.0, 0.04, 2.0, 2.04, 2.08])
    assert line.left_out == 0


@pytest.mark.parametrize("counts", [(2, 2), (12, 12, 12), (20, 5, 20)])
def test_short_clips_that_were_joined_keep_all_their_frames(tmp_path, counts):
    """As `cat` joins them: the times of each begin anew, less than a second before the last one's end."""
    clips = [make_clip(tmp_path / f"{i}.ts", ClipSpec(count=count)) for i, count in enumerate(counts)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(clip.read_bytes() for clip in clips))
    with open_source(str(joined)) as source:
        frames = list(source)
    assert [level_of(frame.image) for frame in frames] == [i for count in counts for i in range(count)]
    assert [frame.index for frame in frames] == list(range(sum(counts)))
    assert np.diff([frame.time for frame in frames]) == pytest.approx(0.04)
    assert source.warnings == []


def test_a_stray_time_begins_no_new_timeline():
    line = timeline([(0, 0)])[1]
    pictures = [SimpleNamespace(pts=pts, dts=0) for pts in (4, 8, 2, 12, 16)]
    placed = [line.place(picture, upcoming) for picture, upcoming in zip(pictures, [*pictures[1:], None], strict=True)]
    assert placed == [0.04, 0.08, None, 0.12, 0.16]


def test_left_out_frames_are_a_warning_and_keep_their_index(tmp_path, monkeypatch):
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(count=6))
    ticks = ContainerClock.ticks
    # The third picture claims the time of the second.

    def claimed(clock: ContainerClock, stamped: Any) -> int:
        return min(ticks(clock, stamped), 512) if stamped.pts == 1024 else ticks(clock, stamped)

    monkeypatch.setattr(ContainerClock, "ticks", claimed)
    with open_source(str(path)) as source:
        assert [frame.index for frame in source] == [0, 1, 3, 4, 5]
    assert source.warnings == [f"{path}: 1 frames without a time of their own left out"]


# ---------------------------------------------------------------- sizes, orientation


def corner_picture() -> np.ndarray:
    """(32, 48, 3): red top left, green top right, blue bottom left, white bottom right."""
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16, :24], image[:16, 24:], image[16:, :24], image[16:, 24:] = (200, 0, 0), (0, 200, 0), (0, 0, 200), 200
    return image


TURNS = {
    (0.0, False): lambda image: image,
    (90.0, False): lambda image: np.rot90(image, 1),
    (180.0, False): lambda image: np.rot90(image, 2),
    (270.0, False): lambda image: np.rot90(image, 3),
    (0.0, True): np.fliplr,
    (90.0, True): lambda image: np.fliplr(np.rot90(image, 1)),
    (180.0, True): lambda image: np.fliplr(np.rot90(image, 2)),
    (270.0, True): lambda image: np.fliplr(np.rot90(image, 3)),
}


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write rotation tags")
@pytest.mark.parametrize("rotation", TURNS)
def test_rotation_tag_is_applied(tmp_path, rotation):
    path = make_picture_clip(tmp_path / "clip.mp4", corner_picture(), rotation)
    expected = TURNS[rotation](corner_picture())
    with open_source(str(path)) as source:
        frames = list(source)
    assert (source.info.height, source.info.width) == expected.shape[:2]
    for frame in frames:
        assert frame.image.flags.c_contiguous
        assert frame.image.shape == expected.shape
        assert np.abs(frame.image.astype(int) - expected).max() <= 4


def test_reading_leaves_no_pictures_to_pythons_collector(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(count=40))
    gc.collect()
    gc.disable()  # in a steady loop it hardly ever comes by
    try:
        with open_source(str(path)) as source:
            for _ in range(30):
                next(iter(source))
            assert sum(isinstance(each, av.VideoFrame) for each in gc.get_objects()) < 8
    finally:
        gc.enable()


def test_odd_sizes(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (47, 63, 3)).astype(np.uint8)
    path = make_picture_clip(tmp_path / "clip.mp4", image)
    frames = read(path)
    assert frames[0].size == (63, 47)
    assert np.abs(frames[0].image.astype(int) - image).mean() < 2


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey_level(index), np.uint8), "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_source(str(path)) as source:
        assert (source.info.width, source.info.height) == (96, 48)
        assert {frame.size for frame in source} == {(96, 48)}


def test_a_size_that_changes_midway_is_each_frames_own(tmp_path):
    small = make_clip(tmp_path / "small.h264", ClipSpec(size=(64, 48), count=4))
    large = make_clip(tmp_path / "large.h264", ClipSpec(size=(96, 64), count=4))
    joined = tmp_path / "joined.h264"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    with open_source(str(joined)) as source:
        assert [frame.size for frame in source] == [(64, 48)] * 4 + [(96, 64)] * 4
        assert (source.info.width, source.info.height) == (64, 48)


def test_a_single_frame(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(count=1))
    with open_source(str(path)) as source:
        frames = list(source)
    assert [(frame.index, frame.time) for frame in frames] == [(0, 0.0)]
    assert source.warnings == []
    assert source.expected_frames == 1


# ---------------------------------------------------------------- colours

WEIGHTS = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
UNTAGGED, BT709, BT601, BT2020 = 2, 1, 6, 9
LIMITED, FULL = 1, 2


def code_values(rgb: tuple[int, int, int], matrix: str, full: bool, bits: int) -> list[int]:
    """Y, Cb, Cr by the standards' formulas."""
    kr, kb = WEIGHTS[matrix]
    red, green, blue = (value / 255 for value in rgb)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = [(blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)]
    if full:
        top = 2**bits - 1
        return [round(luma * top)] + [round(c * top + 2 ** (bits - 1)) for c in chroma]
    scale = 2 ** (bits - 8)
    return [round((16 + 219 * luma) * scale)] + [round((128 + 224 * c) * scale) for c in chroma]


@pytest.mark.parametrize(
    ("pix_fmt", "matrix", "tags", "size"),
    [
        ("yuv420p", "709", (BT709, LIMITED), (64, 48)),
        ("yuv420p", "601", (BT601, LIMITED), (64, 48)),
        ("yuv444p", "709", (BT709, LIMITED), (63, 47)),
        ("yuv420p", "709", (BT709, FULL), (64, 48)),
        ("yuv420p10le", "709", (BT709, LIMITED), (64, 48)),
        ("yuv420p10le", "2020", (BT2020, LIMITED), (64, 48)),
        ("yuv420p", "601", (UNTAGGED, LIMITED), (640, 480)),
        ("yuv420p", "709", (UNTAGGED, LIMITED), (1280, 720)),
        ("yuv420p", "709", (UNTAGGED, LIMITED), (720, 1280)),
    ],
)
def test_matrix_and_range(tmp_path, pix_fmt, matrix, tags, size):
    colour = (200, 80, 40)
    planes = code_values(colour, matrix, tags[1] == FULL, 10 if pix_fmt.endswith("10le") else 8)
    path = make_flat_clip(tmp_path / "clip.mkv", planes, pix_fmt, size, tags)
    image = read(path)[0].image
    assert np.abs(image.astype(int) - colour).max() <= 3


@pytest.mark.parametrize(
    ("pix_fmt", "value", "color_range", "level"),
    [
        ("gray", 16, LIMITED, 0),
        ("gray", 235, LIMITED, 255),
        ("gray", 16, FULL, 16),
        ("gray", 255, FULL, 255),
        ("gray10le", 64, LIMITED, 0),
        ("gray10le", 940, LIMITED, 255),
        ("gray10le", 400, FULL, 100),
    ],
)
def test_grey_video_spans_black_to_white(tmp_path, pix_fmt, value, color_range, level):
    path = make_flat_clip(tmp_path / "clip.mkv", [value], pix_fmt, (64, 48), (UNTAGGED, color_range))
    image = read(path)[0].image
    assert np.abs(image.astype(int) - level).max() <= 2
    assert (image[..., 0] == image[..., 2]).all()


# ---------------------------------------------------------------- the wanted part


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi", "clip.h264"])
@pytest.mark.parametrize("start", [0.0, 0.04, 0.3, 0.321, 0.92])
def test_start_is_exact_in_every_container(tmp_path, name, start):
    codec, options = ("mpeg4", ()) if name.endswith("avi") else ("libx264", LONG_GOP)
    path = make_clip(tmp_path / name, ClipSpec(count=24, codec=codec, options=options))
    whole = [(f.index, round(f.time, 6), level_of(f.image)) for f in read(path) if f.time >= start]
    part = [(f.index, round(f.time, 6), level_of(f.image)) for f in read(path, Clip(start=start))]
    assert part == whole
    assert part[0][2] == next(i for i in range(24) if i / 25 >= start - 1e-9)


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.ts", "libx264"), ("clip.flv", "libx264"), ("clip.mpg", "mpeg1video")]
)
def test_start_is_exact_where_seeking_lands_too_late(tmp_path, name, codec):
    options = (("g", "50"), ("bf", "2"), ("b", "4000000"))
    path = make_clip(tmp_path / name, ClipSpec(count=200, codec=codec, options=options))
    whole = read(path)
    for start in (0.4, 3.9, 6.12):
        expected = next(frame for frame in whole if frame.time >= start)
        with open_source(str(path), Clip(start=start)) as source:
            first = next(iter(source))
        assert (first.index, round(first.time, 6)) == (expected.index, round(expected.time, 6))
        assert level_of(first.image) == level_of(expected.image) == expected.index % 24


def test_a_broadcast_joined_in_the_middle_keeps_every_frame(tmp_path):
    options = (("g", "25"), ("b", "4M"), ("sc_threshold", "1000000000"))
    path = make_clip(tmp_path / "clip.ts", ClipSpec(count=100, codec="mpeg2video", options=options))
    packets = [path.read_bytes()[i : i + 188] for i in range(0, path.stat().st_size, 188)]
    path.write_bytes(b"".join(packets[:3] + packets[15:]))  # the tables, then from the middle of a group of pictures
    whole = read(path)
    assert (whole[0].time, whole[0].index, level_of(whole[0].image)) == (0.0, 0, 1)  # picture 25, the first key frame
    for start in (0.08, 0.2, 1.5):
        part = read(path, Clip(start=start))
        assert [(f.index, f.time) for f in part] == [(f.index, f.time) for f in whole if f.time >= start]
        assert [level_of(frame.image) for frame in part] == [level_of(f.image) for f in whole if f.time >= start]


def test_a_closed_source_does_not_begin(tmp_path):
    source = open_source(str(make_clip(tmp_path / "clip.mp4")))
    source.close()
    assert list(source) == []


def test_end_is_exclusive(tmp_path):
    path = make_clip(tmp_path / "clip.mp4")
    with open_source(str(path), Clip(0.08, 0.2)) as source:
        assert [frame.index for frame in source] == [2, 3, 4]
        assert source.expected_frames == 3
    assert source.warnings == []


@pytest.mark.parametrize("clip", [Clip(start=5.0), Clip(start=0.48), Clip(0.05, 0.06)])
def test_a_clip_without_frames_is_the_users_fault(tmp_path, clip):
    path = make_clip(tmp_path / "clip.mp4")
    with pytest.raises(InputError, match=r"--start .*clip\.mp4 has no frame there \(it lasts 0\.48 s\)"):
        open_source(str(path), clip)


@pytest.mark.parametrize(("start", "end"), [(-1.0, None), (float("nan"), None), (2.0, 2.0), (3.0, 1.0), (None, 0.0)])
def test_impossible_clips(start, end):
    with pytest.raises(InputError, match=r"--(start|end) \S+: expected seconds"):
        Clip(start, end)


def test_leaving_the_iteration_and_coming_back_goes_on(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(count=5))
    with open_source(str(path)) as source:
        for frame in source:
            if frame.index == 1:
                break
        assert [frame.index for frame in source] == [2, 3, 4]


def test_a_closed_source_ends(tmp_path):
    path = make_clip(tmp_path / "clip.mp4")
    source = open_source(str(path))
    frames = iter(source)
    assert next(frames).index == 0
    source.close()
    source.close()
    assert list(frames) == []


# ---------------------------------------------------------------- faults


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.mp4: no such file or folder; check the path$"):
        open_source(str(tmp_path / "nowhere.mp4"))


@pytest.mark.parametrize("content", [b"", b"this is a letter, not a film\n" * 50])
def test_text_or_nothing_named_mp4(tmp_path, capfd, content):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"film\.mp4: not a video that can be read .*expected a whole MP4") as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_zero_frames(tmp_path, capfd):
    path = make_clip(tmp_path / "clip.mkv", ClipSpec(count=0, codec="ffv1"))
    with pytest.raises(InputError, match=r"clip\.mkv: (not one frame can be decoded|not a video)"):
        open_source(str(path))
    assert capfd.readouterr().err == ""


def test_sound_alone(tmp_path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", "mp4") as container:
        container.mux(tone_packets(container.add_stream("aac", rate=48000), 0.5))
    with pytest.raises(InputError, match=r"song\.m4a: it has no video in it; .*give another file"):
        open_source(str(path))


def test_sound_with_a_cover_picture(tmp_path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", "mp4") as container:
        sound = container.add_stream("aac", rate=48000)
        sound.layout = "mono"
        cover = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame(64, 48, "yuvj420p")) + cover.encode(None))
        container.mux(tone_packets(sound, 0.5))
    with pytest.raises(InputError, match=r"song\.m4a: it has no video in it"):
        open_source(str(path))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_truncated_video_gives_what_it_has_and_warns(tmp_path, capfd, name):
    spec = ClipSpec(count=100, options=(("g", "10"),), container_options=(("movflags", "faststart"),))
    path = make_clip(tmp_path / name, spec if name.endswith("mp4") else ClipSpec(count=100, options=spec.options))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.7)])
    with open_source(str(path)) as source:
        frames = list(source)
    assert 10 < len(frames) < 100
    assert [level_of(frame.image) for frame in frames[:20]] == list(range(20))
    assert any("ends early: 4.00 s promised" in warning for warning in source.warnings)
    assert capfd.readouterr().err == ""


def test_truncated_before_its_index_cannot_be_read(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", ClipSpec(count=50))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"clip\.mp4: not a video that can be read"):
        open_source(str(path))


def test_damage_in_the_middle_is_passed_over(tmp_path, capfd):
    path = make_clip(tmp_path / "clip.mkv", ClipSpec(count=24, codec="mjpeg", pix_fmt="yuvj420p"))
    content = bytearray(path.read_bytes())
    starts = [i for i in range(len(content) - 2) if content[i : i + 3] == b"\xff\xd8\xff"]
    content[starts[10] : starts[11] - 40] = bytes(starts[11] - 40 - starts[10])
    path.write_bytes(content)
    with open_source(str(path)) as source:
        frames = list(source)
    assert [level_of(frame.image) for frame in frames] == [i for i in range(24) if i != 10]
    assert [frame.index for frame in frames] == [i for i in range(24) if i != 10]
    assert [frame.index for frame in read(path, Clip(start=0.3))] == [8, 9, *range(11, 24)]
    assert any("decoding failed" in warning for warning in source.warnings)
    assert f"{path}: frame 10 could not be decoded (1 in all)" in source.warnings
    assert capfd.readouterr().err == ""


def test_pictures_that_cannot_be_decoded_keep_their_number(tmp_path):
    """With pictures that are decoded in another order than they are shown in."""
    path = make_clip(tmp_path / "whole.mp4", ClipSpec(count=60, options=(("g", "12"), ("bf", "2"))))
    damaged = tmp_path / "clip.mp4"
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in (packets[7], packets[31], packets[32]):
        content[position : position + size] = b"\xff" * size
    damaged.write_bytes(content)
    with open_source(str(damaged)) as source:
        frames = list(source)
    assert 40 < len(frames) < 60
    missing = sorted(set(range(60)) - {frame.index for frame in frames})
    (line,) = (warning for warning in source.warnings if "could not be decoded" in warning)
    assert line.endswith(f"({len(missing)} in all)") and f"frames {missing[0]}" in line
    times = {round(frame.time, 3): frame.index for frame in read(path)}
    assert [frame.index for frame in frames] == [times[round(frame.time, 3)] for frame in frames]


def test_frames_are_named_in_a_line_that_stays_short():
    frames = FrameRanges()
    for first, last in ((3, 3), (10, 12), (13, 13)):
        frames.add(first, last)
    assert (str(frames), frames.count) == ("frames 3, 10–13", 5)
    for number in range(100, 200_000, 2):
        frames.add(number, number)
    assert str(frames).endswith(", 132, 134, …") and len(str(frames)) < 120


def test_damaged_pictures_are_counted_and_kept(tmp_path):
    spec = ClipSpec((320, 240), count=30, codec="mpeg2video", options=(("g", "5"), ("b", "2M")))
    path = make_clip(tmp_path / "clip.mpg", spec)
    content, places = bytearray(path.read_bytes()), np.random.default_rng(2)
    for place in places.integers(len(content) // 3, len(content), 40):
        content[place] ^= 255
    path.write_bytes(content)
    with open_source(str(path)) as source:
        assert len(list(source)) > 20
    assert any(re.search(r"clip\.mpg: picture damaged, \d+ times", warning) for warning in source.warnings)
    assert any(re.search(r"clip\.mpg: frames \d.* damaged \(\d+ in all\)", warning) for warning in source.warnings)


@pytest.mark.parametrize(("transfer", "warned"), [(1, False), (16, True), (18, True)])
def test_high_dynamic_range_is_a_warning(tmp_path, transfer, warned):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        stream.codec_context.color_trc = transfer
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p10le")))
        container.mux(stream.encode(None))
    with open_source(str(path)) as source:
        assert any("high dynamic range" in warning for warning in source.warnings) == warned


def test_problems_of_a_day_fill_no_memory():
    problems = DecodingProblems()
    for _ in range(100_000):
        problems.note("picture damaged")
    problems.note("reading failed (gone)")
    assert problems.lines() == ["picture damaged, 100000 times", "reading failed (gone)"]
    assert problems.last == "reading failed (gone)"


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users")
@pytest.mark.parametrize("name", ["clip.mp4", "photo.png", "folder"])
def test_no_permission(tmp_path, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"x")
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match=rf"{name}: no permission to read it"):
            open_source(str(path))
    finally:
        if root:
            os.seteuid(0)
        path.chmod(0o700)


# ---------------------------------------------------------------- real clips

VIDEOS = SHARED / "videos"


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="the real clips are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "rate", "count", "size"),
    [
        ("sam2_juggle.mp4", 24, 247, (1280, 720)),
        ("tfjs_squats.mp4", 5, 65, (720, 1280)),
        ("sports2d_demo.mp4", 30, 230, (1768, 994)),
        ("sam2_bedroom.mp4", 30, 200, (960, 540)),
    ],
)
def test_real_clips(name, rate, count, size):
    with open_source(str(VIDEOS / name), Clip(start=(count - 5) / rate)) as source:
        frames = list(source)
        assert (source.info.rate, source.info.frame_count) == (rate, count)
    assert [frame.index for frame in frames] == list(range(count - 5, count))
    assert [frame.time for frame in frames] == pytest.approx([i / rate for i in range(count - 5, count)], abs=1e-6)
    assert {frame.size for frame in frames} == {size}


def test_a_pipe_that_nobody_writes_to_is_waited_for_until_the_user_stops(tmp_path):
    path, over = tmp_path / "pipe.mp4", threading.Event()
    os.mkfifo(path)

    def stop() -> None:
        """A terminal that is closed says so again and again, so that one time is while the file is being opened."""
        while not over.wait(0.05):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGHUP)

    with deferred_interrupt() as interrupt:
        user = threading.Thread(target=stop)
        user.start()
        try:
            with pytest.raises(KeyboardInterrupt, match=r"interrupted while .*pipe\.mp4 was waited for"):
                open_source(str(path))
        finally:
            over.set()
            user.join()
        assert interrupt.requested


def test_videos_that_were_closed_do_not_pile_up(tmp_path):
    """Decoders hold tens of megabytes: whoever opens many videos must not wait for the collector."""
    clip = make_clip(tmp_path / "clip.mp4", ClipSpec(count=12))
    kinds = (av.VideoFrame, av.container.InputContainer)
    held = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(4):
            with open_source(str(clip)) as source:
                next(iter(source))
            held.append(sum(isinstance(thing, kinds) for thing in gc.get_objects()))
    finally:
        gc.enable()
    assert held[-1] <= held[0]
