"""Captured motion for made-up people: long enough, on the stage, on the floor, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tracker.body.free_body import load_free_body
from tracker.core.errors import InputError
from tracker.evaluation.captured import captured_motion, held_out_clips
from tracker.evaluation.synthetic import CLIP, PictureSize, SceneKey, _digest
from tracker.motion.motion_clip import MotionClip
from tracker.synth.figure import Figure, FigureConfig
from tracker.synth.motion import Motion

STAGE = np.array([[-0.9, 0.9], [-1.0, 0.3]])
RATE, FRAMES = 10, 20


@pytest.fixture(scope="module")
def figure() -> Figure:
    betas = np.array([1.0, -1.0, 0.5, *np.zeros(7)])
    return Figure(load_free_body(), betas, FigureConfig(texture_size=64), 0)


def clip(step: float, frames: int = 60) -> MotionClip:
    """Somebody upright who slides to the right by so many metres a frame, 3 m up in the air."""
    theta, transl = np.zeros((frames, 24, 3), np.float32), np.zeros((frames, 3), np.float32)
    theta[:, 18, 1] = np.linspace(0, 1, frames)
    transl[:, 0], transl[:, 1] = step * np.arange(frames), 3.0
    return MotionClip(f"step {step}", theta, transl, RATE)


def motion(figure: Figure, *clips: MotionClip, seed: int = 0) -> Motion:
    return captured_motion(clips, figure, np.arange(FRAMES) / RATE, STAGE, np.random.default_rng(seed))


def test_people_stand_on_the_floor_in_the_middle_of_the_stage(figure: Figure) -> None:
    found = motion(figure, clip(0.03))
    ground = found.pelvis[:, [0, 2]]
    assert (ground.min(axis=0) + ground.max(axis=0)) / 2 == pytest.approx(STAGE.mean(axis=1))
    assert np.linalg.norm(ground[-1] - ground[0]) == pytest.approx(0.03 * (FRAMES - 1), rel=1e-4)
    rest = figure.shaped.rest_joints.numpy()
    lowest = figure.shaped.rest_vertices.numpy()[:, 1].min() - rest[0, 1] + found.pelvis[:, 1]
    # the soles of the shoes are a little under the skin's
    assert lowest == pytest.approx(np.full(FRAMES, 0.018), abs=0.01)


def test_pieces_that_stay_in_view_are_preferred(figure: Figure) -> None:
    found = motion(figure, clip(1.0), clip(0.01))
    assert np.ptp(found.pelvis[:, [0, 2]], axis=0).max() < 0.2
    # where none does, one is taken all the same
    assert np.ptp(motion(figure, clip(1.0)).pelvis[:, [0, 2]], axis=0).max() > 2.0


def test_the_seed_chooses_the_piece(figure: Figure) -> None:
    first, again, other = (motion(figure, clip(0.01), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.theta, again.theta)
    assert not np.array_equal(first.theta, other.theta)


def test_motion_that_is_too_short_is_named(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "short.npz",
        poses=np.zeros((30, 72)), trans=np.zeros((30, 3)), betas=np.zeros(10), mocap_framerate=10.0,
        gender="neutral",
    )  # fmt: skip
    assert len(held_out_clips(tmp_path, 10.0, 30)) == 1
    with pytest.raises(InputError, match=r"--motion .*: none of its 1 held-out clips lasts 10 s"):
        held_out_clips(tmp_path, 10.0, 100)


def test_other_motion_gives_other_pictures(tmp_path: Path) -> None:
    walking = SceneKey(0, CLIP, 0, PictureSize())
    (tmp_path / "a.bvh").write_text("one")
    moved = replace(walking, motion=tmp_path)
    before = _digest(moved)
    (tmp_path / "b.bvh").write_text("two")
    assert len({_digest(walking), before, _digest(moved)}) == 3
