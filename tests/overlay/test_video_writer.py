"""The written video: what goes in comes out, at its times, with its sound, also when something breaks."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.source_clips import NTSC, ClipSpec, grey_level, level_of, make_clip
from tracker.core.errors import InputError, RunError
from tracker.core.frame import Frame
from tracker.overlay.video_writer import VideoConfig, VideoWriter, require_encodable
from tracker.source import Clip, open_source

SIZE = (64, 48)


def grey(index: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return np.full((size[1], size[0], 3), grey_level(index), np.uint8)


def write(path: Path, times: Sequence[float], rate: Fraction | None, size: tuple[int, int] = SIZE) -> None:
    with VideoWriter(path, size, rate) as video:
        for index, time in enumerate(times):
            video.write(time, grey(index, size))


def read(path: Path) -> list[Frame]:
    with open_source(str(path)) as source:
        frames = list(source)
        assert source.warnings == []
    return frames


def copy_with_sound(source_path: Path, path: Path, clip: Clip) -> None:
    """Writes the clip's frames as they are, with the source's sound."""
    with open_source(str(source_path), clip) as source:
        size = (source.info.width, source.info.height)
        with VideoWriter(path, size, source.info.rate, audio_from=source_path) as video:
            for frame in source:
                video.write(frame.time, frame.image)
            assert video.warnings == []


@pytest.mark.parametrize("size", [(1, 20000), (20000, 2)])
def test_a_size_that_no_video_can_have_is_said_with_name_and_remedy(tmp_path, size):
    sentence = rf"wide\.mp4: pictures of {size[0]}×{size[1]} pixels cannot be a video.*16384.*--no-overlay"
    with pytest.raises(InputError, match=sentence):
        VideoWriter(tmp_path / "wide.mp4", size, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (16384, 2)])
def test_the_smallest_and_the_longest_pictures_are_a_video(tmp_path, size):
    require_encodable(size, "clip")
    write(tmp_path / "clip.mp4", [0.0, 0.04], Fraction(25), size)
    assert [frame.size for frame in read(tmp_path / "clip.mp4")] == [size] * 2


def test_sound_whose_times_begin_anew_costs_no_picture(tmp_path):
    """Of recordings that were joined."""
    clip = make_clip(tmp_path / "clip.ts", ClipSpec(count=20, sound="aac"))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(2 * clip.read_bytes())
    with open_source(str(joined)) as source:
        with VideoWriter(tmp_path / "copy.mp4", SIZE, source.info.rate, audio_from=joined) as video:
            for frame in source:
                video.write(frame.time, frame.image)
    assert len(read(tmp_path / "copy.mp4")) == 40
    codec, begin, samples = sound_of(tmp_path / "copy.mp4")
    assert codec == "aac" and abs(begin) < 0.05 and len(samples) / 48000 == pytest.approx(1.6, abs=0.1)


def sound_of(path: Path) -> tuple[str, float, NDArray[np.floating]]:
    """(codec, seconds at which it begins after the video, mono samples at 48 kHz)."""
    with av.open(str(path)) as container:
        audio, video = container.streams.audio[0], container.streams.video[0]
        resampler = av.AudioResampler("flt", "mono", 48000)
        frames = list(container.decode(audio))
        begin = frames[0].time - float((video.start_time or 0) * video.time_base)
        samples = [out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)]
        return audio.codec_context.name, begin, np.concatenate(samples)


# ---------------------------------------------------------------- round trips


@pytest.mark.parametrize("rate", [NTSC, Fraction(24000, 1001), Fraction(15000, 1001), Fraction(24), Fraction(5)])
def test_rate_and_times_are_exact(tmp_path, rate):
    path = tmp_path / "out.mp4"
    write(path, [float(index / rate) for index in range(20)], rate)
    with open_source(str(path)) as source:
        assert (source.info.rate, source.info.frame_count) == (rate, 20)
        frames = list(source)
    assert [frame.time for frame in frames] == [float(index / rate) for index in range(20)]
    assert [level_of(frame.image) for frame in frames] == list(range(20))
    assert [each.name for each in tmp_path.iterdir()] == ["out.mp4"]


def test_variable_rate_is_kept(tmp_path):
    times = [7.5 + t for t in (0.0, 0.033, 0.04, 0.2, 0.21, 0.5, 2.75, 2.76)]
    path = tmp_path / "out.mp4"
    write(path, times, Fraction(30))
    assert [frame.time for frame in read(path)] == pytest.approx([t - 7.5 for t in times], abs=2e-5)


def test_long_video_of_many_fragments(tmp_path):
    times = [index / 30 for index in range(400)]
    path = tmp_path / "out.mp4"
    write(path, times, Fraction(30))
    frames = read(path)
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-9)
    assert [level_of(frame.image) for frame in frames] == [index % 24 for index in range(400)]


def test_without_a_rate(tmp_path):
    path = tmp_path / "out.mp4"
    write(path, [0.0, 0.1, 0.2], None)
    assert [frame.time for frame in read(path)] == pytest.approx([0.0, 0.1, 0.2], abs=2e-5)


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48), (17, 17)])
def test_odd_sizes_are_kept(tmp_path, size):
    path = tmp_path / "out.mp4"
    write(path, [0.0, 0.1], Fraction(10), size)
    assert {frame.size for frame in read(path)} == {size}


def test_even_sizes_play_everywhere(tmp_path):
    path = tmp_path / "out.mp4"
    write(path, [0.0, 0.1], Fraction(10))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.start_time == 0


@pytest.mark.parametrize("size", [(64, 48), (1280, 720), (63, 47)])
def test_colours_come_back(tmp_path, size):
    colours = [(200, 80, 40), (30, 160, 220), (250, 250, 250), (5, 5, 5)]
    path = tmp_path / "out.mp4"
    with VideoWriter(path, size, Fraction(10)) as video:
        for index, colour in enumerate(colours):
            video.write(index / 10, np.full((size[1], size[0], 3), colour, np.uint8))
    for frame, colour in zip(read(path), colours, strict=True):
        assert np.abs(frame.image.mean(axis=(0, 1)) - colour).max() <= 4


@pytest.mark.parametrize("height", range(48, 56))
@pytest.mark.parametrize("width", range(64, 72))
def test_every_pixel_of_every_size_comes_back_in_its_place(tmp_path, width, height):
    """Colours that rise along both sides, so that planes of a wrong size, shifted or stretched, show in every row."""
    x, y = np.linspace(0, 1, width)[None], np.linspace(0, 1, height)[:, None]
    colour = np.stack([30 + 190 * x + 0 * y, 30 + 190 * y + 0 * x, 220 - 190 * x * y], axis=-1)
    given = np.rint(colour).astype(np.uint8)
    path = tmp_path / "out.mp4"
    with VideoWriter(path, (width, height), Fraction(10), config=VideoConfig(crf=1)) as video:
        video.write(0.0, given)
    (frame,) = read(path)
    with av.open(str(path)) as container:
        (decoded,) = (picture.to_ndarray(format="rgb24") for picture in container.decode(video=0))
    for seen in (frame.image, decoded):
        assert seen.shape == given.shape
        assert np.abs(seen.astype(int) - given).max() <= 10


def test_a_picture_of_another_size_is_scaled(tmp_path):
    path = tmp_path / "out.mp4"
    with VideoWriter(path, SIZE, Fraction(10)) as video:
        video.write(0.0, grey(3))
        video.write(0.1, grey(5, (128, 96)))
        video.write(0.2, grey(7)[:, ::-1])
    frames = read(path)
    assert {frame.size for frame in frames} == {SIZE}
    assert [level_of(frame.image) for frame in frames] == [3, 5, 7]


def test_a_picture_of_other_proportions_keeps_them(tmp_path):
    path, square = tmp_path / "out.mp4", np.full((48, 48, 3), 200, np.uint8)
    with VideoWriter(path, (160, 80), Fraction(10)) as video:
        video.write(0.0, square)
    bright = read(path)[0].image[..., 0] > 100
    assert bright[:, 45:115].all() and not bright[:, :35].any() and not bright[:, 125:].any()


# ---------------------------------------------------------------- sound


def test_sound_is_copied_whole(tmp_path):
    source = make_clip(tmp_path / "in.mp4", ClipSpec(count=50, sound="aac"))
    copy_with_sound(source, tmp_path / "out.mp4", Clip())
    codec, begin, samples = sound_of(tmp_path / "out.mp4")
    before = sound_of(source)[2]
    assert codec == "aac"
    assert abs(begin) < 0.025
    assert len(samples) / 48000 == pytest.approx(2.0, abs=0.05)
    middle = slice(24000, 72000)
    assert np.abs(samples[middle]).max() == pytest.approx(np.abs(before[middle]).max(), rel=0.05)


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_sound_is_cut_to_the_clip(tmp_path, name):
    source = make_clip(tmp_path / name, ClipSpec(count=100, sound="aac"))
    copy_with_sound(source, tmp_path / "out.mp4", Clip(1.0, 2.0))
    _, begin, samples = sound_of(tmp_path / "out.mp4")
    assert 0 <= begin < 0.025
    assert len(samples) / 48000 == pytest.approx(1.0, abs=0.05)
    with av.open(str(tmp_path / "out.mp4")) as container:
        packets = [packet for packet in container.demux(container.streams.audio[0]) if packet.size]
    assert len(packets) == pytest.approx(48000 / 1024, abs=2)  # none hidden before the beginning
    frames = read(tmp_path / "out.mp4")
    assert [level_of(frame.image) for frame in frames] == [index % 24 for index in range(25, 50)]
    assert frames[-1].time == pytest.approx(24 / 25)


@pytest.mark.parametrize(("name", "codec"), [("in.mov", "pcm_s16le"), ("in.mkv", "flac")])
def test_sound_that_players_do_not_take_is_encoded(tmp_path, name, codec):
    source = make_clip(tmp_path / name, ClipSpec(count=50, sound=codec))
    copy_with_sound(source, tmp_path / "out.mp4", Clip())
    name, begin, samples = sound_of(tmp_path / "out.mp4")
    assert name == "aac"
    assert abs(begin) < 0.03
    assert len(samples) / 48000 == pytest.approx(2.0, abs=0.05)
    spectrum = np.abs(np.fft.rfft(samples[4800:52800]))
    assert np.argmax(spectrum) == pytest.approx(440, abs=2)


def test_sound_that_begins_late_leaves_the_pictures_where_they_are(tmp_path):
    silent = make_clip(tmp_path / "silent.mp4", ClipSpec(count=50))
    source = tmp_path / "in.mkv"
    with av.open(str(silent)) as pictures, av.open(str(source), "w") as target:
        video = target.add_stream_from_template(pictures.streams.video[0])
        audio = target.add_stream("aac", rate=48000)
        audio.layout = "mono"
        for packet in pictures.demux(pictures.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
        tone = av.AudioFrame.from_ndarray(np.full((1, 48000), 3000, np.int16), "s16", "mono")
        tone.sample_rate, tone.pts, tone.time_base = 48000, 24000, Fraction(1, 48000)
        target.mux(audio.encode(tone) + audio.encode(None))
    copy_with_sound(source, tmp_path / "out.mp4", Clip())
    assert sound_of(tmp_path / "out.mp4")[1] == pytest.approx(0.5, abs=0.03)
    times = [frame.time for frame in read(tmp_path / "out.mp4")]
    assert times == pytest.approx([frame.time for frame in read(source)], abs=2e-5)


def test_without_sound_in_the_source_there_is_none(tmp_path):
    source = make_clip(tmp_path / "in.mp4")
    copy_with_sound(source, tmp_path / "out.mp4", Clip())
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


def test_sound_that_cannot_be_opened_is_a_warning(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", SIZE, Fraction(10), audio_from=tmp_path / "gone.mp4") as video:
        video.write(0.0, grey(1))
    assert len(video.warnings) == 1
    assert "sound left out" in video.warnings[0]
    assert "gone.mp4: no such file" in video.warnings[0]
    assert len(read(tmp_path / "out.mp4")) == 1


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_was_written_before_a_fault_is_kept(tmp_path, error):
    source = make_clip(tmp_path / "in.mp4", ClipSpec(count=50, sound="aac"))
    path = tmp_path / "out.mp4"
    with pytest.raises(error):
        with VideoWriter(path, SIZE, Fraction(25), audio_from=source) as video:
            for index in range(30):
                video.write(index / 25, grey(index))
            raise error("a fault")
    frames = read(path)
    assert [level_of(frame.image) for frame in frames] == [index % 24 for index in range(30)]
    assert len(sound_of(path)[2]) / 48000 == pytest.approx(30 / 25, abs=0.05)
    assert not path.with_name("out.mp4.part").exists()


def test_a_killed_run_leaves_what_can_be_played(tmp_path):
    video = VideoWriter(tmp_path / "out.mp4", SIZE, Fraction(10))
    rng = np.random.default_rng(0)
    for index in range(120):
        video.write(index / 10, rng.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    killed = tmp_path / "killed.mp4"
    shutil.copy(tmp_path / "out.mp4.part", killed)  # what the disk holds at this moment
    assert not (tmp_path / "out.mp4").exists()
    video.close()
    video.close()
    assert len(read(killed)) >= 60
    assert len(read(tmp_path / "out.mp4")) == 120


def test_without_frames_there_is_no_file(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", SIZE, Fraction(10)):
        assert (tmp_path / "out.mp4.part").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["missing/out.mp4", "file/out.mp4"])
def test_a_folder_that_cannot_be_written(tmp_path, capfd, where):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=r"out\.mp4: cannot be written \([^)]+\); check the folder") as caught:
        VideoWriter(tmp_path / where, SIZE, Fraction(10))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """Makes writing fail beyond a size, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(tmp_path, capfd):
    rng = np.random.default_rng(0)
    path = tmp_path / "out.mp4"
    with files_at_most(2_000_000):
        with pytest.raises(RunError, match=r"out\.mp4: cannot be written \(File too large\); what was written so far"):
            with VideoWriter(path, (320, 240), Fraction(10)) as video:
                for index in range(500):
                    video.write(index / 10, rng.integers(0, 255, (240, 320, 3)).astype(np.uint8))
    assert not path.exists()
    with open_source(str(_renamed(path))) as source:
        assert len(list(source)) >= 20
    assert capfd.readouterr().err == ""


def _renamed(path: Path) -> Path:
    """The unfinished file under a name that says video."""
    return path.with_name("out.mp4.part").rename(path.with_name("kept.mp4"))


def test_a_fault_in_the_body_hides_no_interrupt(tmp_path):
    """The disk is full, and the user presses Ctrl-C: it is the interrupt that ends the run."""
    rng = np.random.default_rng(0)
    with files_at_most(1000), pytest.raises(KeyboardInterrupt):
        with VideoWriter(tmp_path / "out.mp4", (320, 240), Fraction(10)) as video:
            for index in range(3):
                video.write(index / 10, rng.integers(0, 255, (240, 320, 3)).astype(np.uint8))
            raise KeyboardInterrupt
    assert not (tmp_path / "out.mp4").exists()
