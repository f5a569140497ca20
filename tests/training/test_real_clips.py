"""Labels for real footage: what is kept, what is refused, and that it survives the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.pipeline.test_pipeline import CAMERA, CONFIG, SIZE, somebody
from tracker.body import load_body
from tracker.body.skinner import skinner_of
from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.pipeline import Tracker
from tracker.smooth.smooth_config import SmoothConfig
from tracker.source import open_source
from tracker.training.real_clips import (
    FootageConfig,
    LabelledCrop,
    find_clips,
    label_clip,
    read_crops,
    split_clips,
    store_crops,
)

FRAMES = 8


class Standing:
    """Sees the same person, with the mask that `mask` holds, in every frame."""

    engine, device = "script", "cpu"

    def __init__(self, detection: Detection) -> None:
        self._detection = detection

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        return [self._detection]

    def forget(self) -> None:
        """Remembers nothing."""

    def close(self) -> None:
        """Holds nothing."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    for i in range(FRAMES):
        cv2.imwrite(str(folder / f"{i:03d}.png"), np.full((SIZE[1], SIZE[0], 3), 20 * i, np.uint8))
    return folder


def labels(clip: Path, detection: Detection, config: FootageConfig) -> list[LabelledCrop]:
    tracker = Tracker(replace(CONFIG, smooth=SmoothConfig("none")), load_body(None), Standing(detection))
    with tracker, open_source(str(clip)) as source:
        return list(label_clip(source, tracker, config))


@pytest.fixture(scope="module")
def seen(clip: Path) -> Detection:
    """The detection whose mask is the silhouette of the body that the tracker fits to it."""
    detection = replace(somebody(0.0)[0], mask=PlacedMask.whole(np.zeros((SIZE[1], SIZE[0]), np.uint8)))
    everything = FootageConfig(every_seconds=0.0, least_overlap=0.0)
    body = load_body(None)
    pose = labels(clip, detection, everything)[0].pose
    with MeshOverlay() as overlay:
        drawn = overlay.silhouette(CAMERA, skinner_of(body).vertices(pose), body.faces.numpy())
    return replace(detection, mask=PlacedMask.whole((255 * drawn).astype(np.uint8)))


def test_keeps_frames_where_everything_agrees_and_their_camera_is_exact(clip: Path, seen: Detection) -> None:
    found = labels(clip, seen, FootageConfig(every_seconds=0.0))
    assert len(found) == FRAMES
    one = found[3]
    assert one.image[one.mask > 0].mean() == pytest.approx(60, abs=1)  # the picture of that very frame
    assert one.overlap > 0.95 and one.offset < 0.01
    body = load_body(None)
    with MeshOverlay() as overlay:
        drawn = overlay.silhouette(one.camera, skinner_of(body).vertices(one.pose), body.faces.numpy())
    both = (drawn & (one.mask > 127)).sum() / (drawn | (one.mask > 127)).sum()
    assert both == pytest.approx(one.overlap, abs=0.02)


def test_refuses_a_mask_elsewhere_hidden_limbs_and_landmarks_that_do_not_fit(clip: Path, seen: Detection) -> None:
    config = FootageConfig(every_seconds=0.0)
    assert seen.mask is not None
    assert labels(clip, replace(seen, mask=PlacedMask.whole(np.roll(seen.mask.values, 150, axis=1))), config) == []
    hidden = seen.visibility.copy()
    hidden[[25, 26, 27, 28]] = 0.1
    assert labels(clip, replace(seen, visibility=hidden), config) == []
    scattered = seen.landmarks2d + np.random.default_rng(0).normal(0, 40, (33, 2))
    assert labels(clip, replace(seen, landmarks2d=scattered), config) == []
    assert labels(clip, replace(seen, mask=None), config) == []


def test_takes_one_frame_in_so_many_seconds(clip: Path, seen: Detection) -> None:
    with open_source(str(clip)) as source:
        times = [frame.time for frame in source]
    step = times[1] - times[0]
    assert len(labels(clip, seen, FootageConfig(every_seconds=2.5 * step))) == 3


def test_crops_come_back_from_the_disk(clip: Path, seen: Detection, tmp_path: Path) -> None:
    found = labels(clip, seen, FootageConfig(every_seconds=0.0))
    path = tmp_path / "labels.npz"
    store_crops(path, found)
    again = list(read_crops(path, clip.name))
    assert [c.frame_index for c in again] == [c.frame_index for c in found]
    for a, b in zip(again, found, strict=True):
        np.testing.assert_allclose(a.pose.theta, b.pose.theta, atol=1e-6)
        np.testing.assert_allclose(a.camera.matrix, b.camera.matrix)
        np.testing.assert_array_equal(a.mask, b.mask)
        assert np.abs(a.image.astype(int) - b.image).max() <= 12
    store_crops(path, [])
    assert list(read_crops(path, clip.name)) == []


def test_holds_out_whole_clips_by_name(tmp_path: Path) -> None:
    for name in ("anna_1.mp4", "ben_1.mp4", "ben_2.MP4", "notes.txt"):
        (tmp_path / name).touch()
    train, held = split_clips(find_clips(tmp_path), FootageConfig(held_out=("ben_*",)))
    assert [c.name for c in train] == ["anna_1.mp4"] and [c.name for c in held] == ["ben_1.mp4", "ben_2.MP4"]


def test_says_where_it_looked_for_clips(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"--footage {tmp_path / 'nowhere'}"):
        find_clips(tmp_path / "nowhere")
