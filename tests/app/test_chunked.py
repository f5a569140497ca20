"""Long videos in pieces: joined they are what one run over the whole would have left."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.app.test_batch import Inline
from tests.app.test_track import Walking
from tests.pipeline.test_pipeline import CONFIG, SIZE, somebody
from tracker import TrackOptions, track_many
from tracker.app import clip_job
from tracker.app.pieces import SeamMatcher, SharedBetas, VideoPiece, cut
from tracker.body import load_body
from tracker.core.detection import Detection
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import FrameRecord, Person, Pose
from tracker.export.load_result import TrackResult, load_result
from tracker.overlay.video_writer import VideoWriter
from tracker.pipeline import Tracker, TrackerConfig
from tracker.smooth.smooth_config import SmoothConfig
from tracker.source import Clip
from tracker.world.world_config import WorldConfig

RATE = 10
SECONDS = 36


class Swaying(Walking):
    """Two people who sway from side to side; the second comes at 11 s and goes at 27 s."""

    def detect(self, frame: Frame, predicted=()) -> list[Detection]:
        noise = np.random.default_rng(frame.index)
        people = [(-0.9, 0.0)] + ([(0.9, 1.0)] if 11 <= frame.time < 27 else [])
        detections = [
            somebody(x + 0.2 * np.sin(frame.time + p), bend=0.4 + 0.3 * np.sin(frame.time))[0] for x, p in people
        ]
        return [replace(d, landmarks2d=d.landmarks2d + noise.normal(0, 1.5, (33, 2))) for d in detections]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "sway.mp4"
    with VideoWriter(path, SIZE, Fraction(RATE)) as writer:
        for index in range(RATE * SECONDS):
            grey = index // 2  # which does not jump: that would be a cut
            writer.write(index / RATE, np.full((SIZE[1], SIZE[0], 3), grey, np.uint8))
    return path


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trackers whose detector follows the script."""

    def opened(config: TrackerConfig) -> Tracker:
        return Tracker(config, load_body(None), Swaying())

    clip_job._kept.drop()
    monkeypatch.setattr(clip_job.Tracker, "open", opened)


def tracked(video: Path, out: Path, mode: str, chunk: float | None) -> TrackResult:
    options = TrackOptions(overlay=chunk is not None and mode == "offline", chunk=chunk)
    # whether a foot that slides is planted is decided by a hair
    config = replace(CONFIG, smooth=SmoothConfig(mode), world=WorldConfig(lock_feet=False))
    (report,) = track_many([video], out, Inline(), config, options)
    clip_job._kept.drop()
    assert report.outcome == "tracked", report.error
    return load_result(out / "sway")


@pytest.mark.parametrize("mode", ["offline", "causal"])
def test_joined_is_what_one_run_leaves(video: Path, tmp_path: Path, mode: str) -> None:
    whole = tracked(video, tmp_path / "whole", mode, None)
    joined = tracked(video, tmp_path / "joined", mode, 12.0)
    assert joined.run["job"]["chunk"] == 12.0 and joined.run["frames_read"] == RATE * SECONDS
    assert [path.name for path in (tmp_path / "joined").iterdir()] == ["sway"], "the pieces are gone"
    pages = [(tmp_path / name / "sway/report.html").read_text().count("<img") for name in ("whole", "joined")]
    assert pages == [12, 12]
    assert joined.run["people"] == whole.run["people"] and len(whole.people) == 2
    here, there = (np.array(run.run["world"]["T_world_camera"]) for run in (joined, whole))
    assert np.degrees(np.arccos(here[1, :3] @ there[1, :3])) < 0.5, "up is up"
    assert abs(here[1, 3] - there[1, 3]) < 0.02, "m: the camera is as high"
    for key, person in whole.people.items():
        other = joined.people[key]
        np.testing.assert_array_equal(other.frame_index, person.frame_index)
        settled = person.timestamps > person.timestamps[0] + 2.0
        apart = np.linalg.norm(other.joints2d - person.joints2d, axis=2)[settled]
        assert apart.max() < 1.5, "px, which is the noise of one landmark"
        assert np.linalg.norm(other.betas) < 1.1 * np.linalg.norm(person.betas), "in truth they are 0"
        steps = np.linalg.norm(np.diff(other.joints3d, axis=0), axis=2).max(axis=1)
        seams = np.isin(other.frame_index[1:], [12 * RATE, 24 * RATE])
        assert steps[seams].max() <= steps[~seams].max(), "nobody jumps at a seam"
        offset = (other.joints3d - person.joints3d)[settled]
        assert np.linalg.norm(offset, axis=2).max() < 0.03 * person.joints3d[..., 2].max(), "as far away, but for β"
        assert np.linalg.norm(offset - offset[:, :1], axis=2).max() < 0.04, "m: in the same pose"
        assert np.linalg.norm(np.diff(offset, axis=0), axis=2).max() < 0.03, "m: nor away from the other at a seam"


def test_a_piece_that_is_finished_is_not_tracked_again(video: Path, tmp_path: Path, monkeypatch) -> None:
    options = TrackOptions(overlay=False, chunk=12.0, resume=True)
    config = replace(CONFIG, smooth=SmoothConfig("offline"))
    track, begun = clip_job.track, []

    def third_fails(job, *rest):
        begun.append(job.clip.start)
        if len(begun) == 3:
            raise MemoryError("too much")
        return track(job, *rest)

    monkeypatch.setattr(clip_job, "track", third_fails)
    (report,) = track_many([video], tmp_path, Inline(), config, options)
    assert report.outcome == "failed" and report.spec == str(video) and "from 24.000 s on" in report.error
    (report,) = track_many([video], tmp_path, Inline(), config, options)
    assert report.outcome == "tracked" and begun == [0.0, 10.0, 22.0, 22.0]
    (report,) = track_many([video], tmp_path, Inline(), config, options)
    assert report.outcome == "finished before" and len(begun) == 4
    assert json.loads((tmp_path / "sway/run.json").read_text())["finished"] is True


def test_pieces_have_the_pace_that_was_asked_for(video: Path, tmp_path: Path) -> None:
    """In slow motion the video lasts as long as all its pieces."""
    options = TrackOptions(overlay=False, chunk=24.0, clip=Clip(end=48.0, fps=RATE / 2))
    (report,) = track_many([video], tmp_path, Inline(), replace(CONFIG, smooth=SmoothConfig("offline")), options)
    assert report.outcome == "tracked", report.error
    result = load_result(tmp_path / "sway")
    assert result.run["job"]["chunk"] == 24.0 and result.run["frames_read"] == 48 * RATE / 2
    np.testing.assert_allclose(result.people[0].timestamps, np.arange(48 * RATE // 2) * 2 / RATE, atol=1e-6)


def test_short_videos_are_left_whole(video: Path, tmp_path: Path) -> None:
    result = tracked(video, tmp_path, "offline", 30.0)
    assert result.run["job"]["chunk"] is None
    with pytest.raises(InputError, match="--chunk 3: expected 10 seconds or more"):
        TrackOptions(chunk=3)


def test_pieces_cover_everything_once() -> None:
    assert cut(0.0, 100.0, 30.0) == [
        VideoPiece(0.0, 0.0, 30.0), VideoPiece(28.0, 30.0, 60.0), VideoPiece(58.0, 60.0, None),
    ]  # fmt: skip
    assert [piece.start for piece in cut(5.0, 116.0, 30.0)] == [5.0, 35.0, 65.0, 95.0]


def at(key: int, x: float) -> Person:
    joints = np.full((24, 2), x) + np.arange(24)[:, None]
    pose = Pose(np.zeros(3), np.zeros(69), np.full(10, x), np.zeros(3))
    return Person(key, pose, np.zeros((24, 3)), joints, np.ones(24), np.array([x, 0, x + 60, 80]), 0.0)


def test_people_are_matched_by_place_and_strangers_are_new() -> None:
    matcher = SeamMatcher()
    first = [FrameRecord(i, float(i), [at(0, 100), at(1, 300)]) for i in range(10)]
    assert matcher.identities(VideoPiece(0.0, 0.0, 10.0), first) == {0: 0, 1: 1}
    people = [at(0, 301), at(1, 500), at(2, 99)]
    second = [FrameRecord(i, float(i), people) for i in range(8, 20)]
    assert matcher.identities(VideoPiece(8.0, 10.0, 20.0), second) == {0: 1, 1: 2, 2: 0}
    third = [FrameRecord(i, float(i), [at(0, 900)]) for i in range(25, 30)]
    assert matcher.identities(VideoPiece(25.0, 25.0, None), third) == {0: 3}
    betas = SharedBetas()
    betas.add({0: 0, 1: 1}, first)
    betas.add({0: 1, 2: 0}, second)
    assert betas.values()[0][0] == pytest.approx((10 * 100 + 12 * 99) / 22)
