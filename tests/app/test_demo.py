"""The demo: it refuses to write over an earlier one, finds its person again, and its table says what is so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tracker.app.demo import CLIP_NAME, TRUTH_NAME, DemoJob, accuracy_table, make_clip, match_person, run_demo
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.export.sequence import PersonSequence, Timeline
from tracker.runtime.interrupt import Interrupt
from tracker.synth.demo_clip import ClipConfig, ClipTruth
from tracker.synth.demo_scene import SceneConfig
from tracker.synth.figure import FigureConfig
from tracker.world.world_frame import WorldFrame

SMALL = ClipConfig(seconds=0.5, width=96, height=64, figure=FigureConfig(texture_size=32), scene=SceneConfig(samples=1))


@pytest.fixture
def truth() -> ClipTruth:
    """Ten frames of a person 3 m away who walks to the right; in the last four, half of the joints are hidden."""
    rng = np.random.default_rng(8)
    camera, times = Camera.default(640, 480), np.arange(10) / 10
    joints = rng.uniform([-0.3, -0.8, 2.8], [0.3, 0.8, 3.2], (24, 3)) + times[:, None, None] * [0.4, 0.0, 0.0]
    hidden = np.zeros((10, 24), bool)
    hidden[6:, :12] = True
    return ClipTruth(
        times=times,
        theta=np.zeros((10, 24, 3)),
        betas=np.zeros(10),
        transl=np.zeros((10, 3)),
        joints3d=joints,
        joints2d=camera.project(joints),
        hidden=hidden,
        standing=np.zeros((10, 4), bool),
        world=WorldFrame.of_floor(np.array([0.0, -1.0, 0.0]), 1.5, joints[0, 0]),
        camera=camera,
        body_model="free-body",
    )


def tracked(truth: ClipTruth, person_id: int, frames: Array, off: Array) -> PersonSequence:
    """The true person in some frames, every joint moved by `off` (24, 3) m."""
    joints = truth.joints3d[frames] + off
    count = len(frames)
    return PersonSequence(
        person_id=person_id,
        camera=truth.camera,
        timeline=Timeline(0.0, 10.0),
        body_model="free-body",
        poses=np.zeros((count, 72)),
        betas=np.zeros(10),
        trans=np.zeros((count, 3)),
        timestamps=truth.times[frames],
        frame_index=frames,
        joints3d=joints,
        joints2d=truth.camera.project(joints),
        joint_confidence=np.ones((count, 24)),
        bbox=np.zeros((count, 4)),
        nll=np.zeros(count),
        tracked=np.ones(count, bool),
        contacts=np.zeros((count, 9), bool),
    )


def test_the_identity_that_lies_on_the_person_is_taken(truth: ClipTruth) -> None:
    right = tracked(truth, 2, np.arange(1, 9), np.full((24, 3), 0.01))
    elsewhere = tracked(truth, 0, np.arange(10), np.array([[1.0, 0.0, 0.0]]))
    short = tracked(truth, 1, np.arange(3), np.zeros((24, 3)))
    matched = match_person([elsewhere, short, right], truth)
    assert matched.frames.tolist() == list(range(1, 9))
    assert matched.joints3d == pytest.approx(right.joints3d)


def test_frames_in_which_the_identity_has_wandered_off_do_not_count(truth: ClipTruth) -> None:
    person = tracked(truth, 0, np.arange(10), np.zeros((24, 3)))
    astray = replace(person, joints2d=person.joints2d + np.where(np.arange(10) > 7, 300.0, 0.0)[:, None, None])
    assert match_person([astray], truth).frames.tolist() == list(range(8))


def test_the_table_says_what_is_so(truth: ClipTruth) -> None:
    """One joint 24 cm off in every frame: 10 mm on the mean over 24 joints; two of the occluded frames are missing."""
    off = np.zeros((24, 3))
    off[20] = [0.0, 0.24, 0.0]
    off += [0.0, 0.0, 0.05]
    lines = accuracy_table([tracked(truth, 0, np.arange(8), off)], truth)
    rows = {line.split()[0]: line for line in lines}
    assert re.search(r"clean +6 +100\.0% +10\.0 mm .* 50 mm .*left_wrist 240,", rows["clean"])
    assert re.search(r"occluded +4 +50\.0% +10\.0 mm", rows["occluded"])
    assert re.search(r"all +10 +80\.0% +10\.0 mm", rows["all"])
    assert "1 identity; acceleration error 0.00 m/s²" in lines[-1]


def test_the_table_tells_of_feet_and_floor(truth: ClipTruth) -> None:
    """The left heel stands throughout, 24 cm too far to the right in the last frame; its contact is missed in two."""
    person = tracked(truth, 0, np.arange(10), np.zeros((24, 3)))
    standing = np.zeros((10, 4), bool)
    standing[:, 0] = True
    contacts = np.zeros((10, 9), bool)
    contacts[2:, 0] = True
    trans = np.where(np.arange(10) == 9, 0.24, 0.0)[:, None] * [1.0, 0.0, 0.0] + [0.0, 0.0, 3.0]
    tilted = np.array([0.0, -np.cos(np.radians(3)), -np.sin(np.radians(3))])
    world = WorldFrame.of_floor(tilted, 1.52, truth.joints3d[0, 0])
    person = replace(person, trans=trans, contacts=contacts, world=world)
    line = next(each for each in accuracy_table([person], replace(truth, standing=standing)) if "slide" in each)
    assert f"slide {240 / 9:.1f} mm a frame, contact F1 {16 / 18:.2f}; floor 3.0° and 20 mm off" in line


def test_the_table_survives_a_person_who_was_not_found(truth: ClipTruth) -> None:
    assert accuracy_table([], truth) == ["the person was not found (0 identities)"]
    only_clean = tracked(truth, 0, np.arange(3), np.zeros((24, 3)))
    occluded = next(line for line in accuracy_table([only_clean], truth) if line.startswith("occluded"))
    assert re.search(r"4 +0\.0% +– +– +– +–", occluded)


@pytest.mark.parametrize("name", [CLIP_NAME, TRUTH_NAME, f"{Path(CLIP_NAME).stem}/frames.jsonl"])
def test_an_earlier_demo_is_not_overwritten(tmp_path: Path, name: str) -> None:
    earlier = tmp_path / name
    earlier.parent.mkdir(exist_ok=True)
    earlier.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        run_demo(DemoJob(tmp_path, 4.0), load_config(), Interrupt())
    assert earlier.read_text() == "precious"


def test_an_interrupted_clip_leaves_nothing(tmp_path: Path) -> None:
    interrupt = Interrupt()
    interrupt.requested = True
    with pytest.raises(KeyboardInterrupt):
        make_clip(SMALL, tmp_path, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_clip_and_its_truth_are_what_was_asked_for(tmp_path: Path) -> None:
    truth = make_clip(SMALL, tmp_path, Interrupt())
    with av.open(str(tmp_path / CLIP_NAME)) as container:
        stream = container.streams.video[0]
        times = [float(frame.pts * frame.time_base) for frame in container.decode(stream)]
        assert (stream.width, stream.height) == (96, 64)
    assert times == pytest.approx(truth.times, abs=1e-4)
    written = np.load(tmp_path / TRUTH_NAME, allow_pickle=False)
    assert written["poses"] == pytest.approx(truth.theta.reshape(15, 72), abs=1e-6)
    assert written["joints3d"] == pytest.approx(truth.joints3d, abs=1e-5)
    assert written["joint_hidden"].shape == (15, 24)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CLIP_NAME, TRUTH_NAME]


@pytest.mark.slow
def test_a_short_demo_from_end_to_end(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    printed = run_demo(DemoJob(tmp_path, 4.0), load_config("live", {"smooth": {"mode": "offline"}}), Interrupt())
    folder = tmp_path / Path(CLIP_NAME).stem
    assert {"overlay.mp4", "frames.jsonl", "run.json", "person_000.npz"} <= {path.name for path in folder.iterdir()}
    assert json.loads((folder / "run.json").read_text())["frames_read"] == 120
    row = re.search(r"^all +120 +([\d.]+)% +([\d.]+) mm +([\d.]+) mm", printed, re.MULTILINE)
    assert row is not None, printed
    share, mpjpe, pa_mpjpe = (float(value) for value in row.groups())
    assert share > 50.0  # in so short a clip the obstacle hides the person a third of the time
    assert pa_mpjpe < mpjpe < 200.0
    assert str(folder) in printed
