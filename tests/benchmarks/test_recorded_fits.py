"""Recorded detections: what is kept of them, and the figures of their fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.detection_file import load, save
from benchmarks.recorded_fits import fits, line
from tests.people_scene import TEMPLATE
from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.core.detection import Detection, TrackedDetection
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.core.palms import Palms
from tracker.extract.feature_extractor import CropFeatures
from tracker.identity.meetings import Exchange
from tracker.pipeline import DetectedFrame, Tracker, TrackerConfig

WIDTH, HEIGHT = 320, 240
RNG = np.random.default_rng(0)


def detection(x: float) -> Detection:
    """Somebody who stands 160 px tall."""
    landmarks = 160 * TEMPLATE + np.array([x, 40.0])
    values = np.zeros((64, 64), np.uint8)
    values[8:56, 24:40] = 255
    transform = np.array([[160 / 48, 0, x - 32 * 160 / 48], [0, 160 / 48, 40 - 8 * 160 / 48]])
    metric = np.column_stack([1.7 * (TEMPLATE - TEMPLATE[[23, 24]].mean(axis=0)), np.zeros(33)])
    mask = PlacedMask(values, transform, (WIDTH, HEIGHT))
    return Detection(landmarks, metric, np.full(33, 0.9), mask, palms=Palms(left=np.eye(3)))


def features() -> CropFeatures:
    state = BodyState(np.tile(np.eye(3), (24, 1, 1)), RNG.normal(size=10), np.array([0.0, 0.0, 3.0]))
    return CropFeatures(torch.rand(1, 64, 64, 4), state, np.array([60.0, 60.0, 32.0, 32.0]), np.eye(3))


def frames() -> list[DetectedFrame]:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    first = [TrackedDetection(3, detection(100.0)), TrackedDetection(7, detection(220.0))]
    return [
        DetectedFrame(Frame(4, 0.2, picture), first, features={3: features()}),
        DetectedFrame(Frame(5, 0.3, picture), [], 1, frozenset({3, 7})),
        DetectedFrame(
            Frame(6, 0.4, picture), first[1:], 1, exchanges=[Exchange(3, 7, 0.1, {})], features={7: features()}
        ),
    ]


def test_a_file_gives_back_what_fitting_needs(tmp_path: Path) -> None:
    path, wanted = tmp_path / "clip.npz", frames()
    save(path, wanted, 410.0, {"theta": np.arange(6.0)})
    kept = load(path)
    assert kept.focal == 410.0 and list(kept.more["theta"]) == [0, 1, 2, 3, 4, 5]
    for one, other in zip(kept.frames, wanted, strict=True):
        assert (one.frame.index, one.frame.time, one.frame.size) == (other.frame.index, other.frame.time, (320, 240))
        assert (one.scene, one.absent, list(one.exchanges)) == (other.scene, other.absent, list(other.exchanges))
        assert [each.person_id for each in one.people] == [each.person_id for each in other.people]
        assert one.features.keys() == other.features.keys()
        for mine, theirs in zip(one.people, other.people, strict=True):
            np.testing.assert_array_equal(mine.detection.landmarks3d, theirs.detection.landmarks3d)
            np.testing.assert_array_equal(mine.detection.palms.left, np.eye(3))
            assert mine.detection.palms.right is None
            assert mine.detection.mask is not None and theirs.detection.mask is not None
            np.testing.assert_array_equal(mine.detection.mask.picture(), theirs.detection.mask.picture())
        for key, each in one.features.items():
            theirs_features = other.features[key]
            np.testing.assert_allclose(each.features.numpy(), theirs_features.features.numpy(), atol=1e-3)
            np.testing.assert_array_equal(each.regressed.betas, theirs_features.regressed.betas)


def test_an_unknown_focal_length_stays_unknown(tmp_path: Path) -> None:
    save(tmp_path / "clip.npz", frames(), None, {})
    assert load(tmp_path / "clip.npz").focal is None


def test_everybody_is_kept_with_a_mask(tmp_path: Path) -> None:
    first = frames()[0]
    bare = [replace(each, detection=replace(each.detection, mask=None)) for each in first.people]
    with pytest.raises(ValueError, match="mask"):
        save(tmp_path / "clip.npz", [replace(first, people=bare)], None, {})


class Nobody:
    engine = device = "none"

    def detect(self, frame: Frame, predicted: object = ()) -> list[Detection]:
        return []

    def forget(self) -> None: ...

    def close(self) -> None: ...


def test_recorded_people_are_fitted_and_compared_with_their_masks(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    walk = [DetectedFrame(Frame(i, i / 30, picture), [TrackedDetection(0, detection(100.0 + i))]) for i in range(4)]
    save(tmp_path / "clip.npz", walk, None, {})
    tracker = Tracker(TrackerConfig(), load_body(None), Nobody())
    summary = fits(tracker, load(tmp_path / "clip.npz")).summary()
    assert summary["believed"] == 4 and 0.2 < summary["IoU"] < 1
    assert summary["acceleration"] < 20 and np.isnan(summary["MPJPE"])
    again = fits(tracker, load(tmp_path / "clip.npz")).summary()
    assert again["IoU"] == summary["IoU"] and again["acceleration"] == summary["acceleration"]


def test_a_line_tells_means_and_what_has_changed() -> None:
    nothing = dict.fromkeys(("MPJPE", "PA-MPJPE", "hidden", "distance", "IoU", "believed", "acceleration"), np.nan)
    pairs = [({**nothing, "IoU": 0.5}, {**nothing, "IoU": 0.6}), ({**nothing, "IoU": 0.7}, {**nothing, "IoU": 0.7})]
    assert line("all 2", pairs) == "all 2: IoU 0.6 → 0.65 (+0.05 ± 0.05)"
    assert line("one", pairs[:1]) == "one: IoU 0.5 → 0.6"
