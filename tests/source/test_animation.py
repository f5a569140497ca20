"""Image files of many pictures, and times of the user's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from tests.source_clips import ClipSpec, make_clip
from tracker.core.errors import InputError
from tracker.source import Clip, open_source

SIZE = (20, 12)
SHOWN = [100, 40, 250, 100]
"""ms"""


def animation(path: Path) -> Path:
    """Four flat pictures, 0, 60, 120, 180 bright."""
    if path.suffix == ".webp" and not features.check("webp"):
        pytest.skip("this Pillow writes no animated WebP")
    pictures = [Image.new("RGB", SIZE, (60 * k, 60 * k, 60 * k)) for k in range(4)]
    timed = {} if path.suffix == ".tiff" else {"duration": SHOWN}
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **timed, **lossless)
    return path


@pytest.mark.parametrize("suffix", [".webp", ".png", ".tiff"])
def test_all_pictures_are_played(tmp_path: Path, suffix: str) -> None:
    path = animation(tmp_path / f"walk{suffix}")
    with open_source(str(path)) as source:
        frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 60, 120, 180]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    times = [0.0, 1 / 30, 2 / 30, 3 / 30] if suffix == ".tiff" else [0.0, 0.1, 0.14, 0.39]
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=1e-9)
    assert (source.info.kind, source.info.frame_count, source.info.has_audio) == ("file", 4, False)
    assert (source.info.width, source.info.height) == SIZE
    assert source.info.duration == pytest.approx(4 / 30 if suffix == ".tiff" else 0.49)


def test_a_part_of_an_animation(tmp_path: Path) -> None:
    path = animation(tmp_path / "walk.png")
    with open_source(str(path), Clip(0.1, 0.2)) as source:
        assert [frame.index for frame in source] == [1, 2]
    with pytest.raises(InputError, match=r"--start 7: .*walk\.png has no frame there"):
        open_source(str(path), Clip(7.0))


def test_a_cut_off_animation_gives_what_it_has_or_says_why(tmp_path: Path) -> None:
    path = animation(tmp_path / "walk.tiff")
    path.write_bytes(path.read_bytes()[:-40])
    try:
        with open_source(str(path)) as source:
            count = len(list(source))
        assert count < 4 and source.warnings
    except InputError as error:
        assert "walk.tiff: not a readable image" in str(error)


def test_a_folder_at_the_users_rate(tmp_path: Path) -> None:
    for k in range(6):
        Image.new("RGB", SIZE, (10 * k, 0, 0)).save(tmp_path / f"{k}.png")
    with open_source(str(tmp_path), Clip(start=0.25, fps=8.0)) as source:
        frames = list(source)
    assert [(frame.index, frame.time) for frame in frames] == [(k, k / 8) for k in (2, 3, 4, 5)]
    assert (source.info.rate, source.info.duration) == (8, 6 / 8)


def test_slow_motion_in_real_time(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "slow.mp4", ClipSpec(count=10))
    with open_source(str(path), Clip(fps=240.0)) as source:
        times = [frame.time for frame in source]
    np.testing.assert_allclose(times, np.arange(10) / 240)
    assert not source.info.has_audio


def test_rates_that_are_none(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "slow.mp4", ClipSpec(count=10))
    for rate in (0.0, -3.0, float("inf")):
        with pytest.raises(InputError, match="--fps"):
            open_source(str(path), Clip(fps=rate))
    with pytest.raises(InputError, match=r"--start 9: .* has no frame there"):
        open_source(str(path), Clip(9.0, fps=30.0))
