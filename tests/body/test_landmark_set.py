"""What a detector's landmarks mean: tables by name, and other detectors' points arranged as the tracker wants them."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.body.landmark_set import COCO, MEDIAPIPE, LandmarkSet


def test_coco_is_in_cocos_order() -> None:
    assert COCO.names[:5] == ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    assert COCO.names[-2:] == ("left_ankle", "right_ankle") and len(COCO.names) == 17
    assert COCO.names[COCO.mirror[COCO.index("left_wrist")]] == "right_wrist"


def test_another_detectors_points_are_arranged_and_the_missing_blank() -> None:
    rng = np.random.default_rng(0)
    flat, metric, visibility = rng.uniform(0, 100, (17, 2)), rng.normal(size=(17, 3)), rng.uniform(0.1, 1, 17)
    detection = COCO.detection(flat, metric, visibility)
    knee, there = COCO.index("left_knee"), MEDIAPIPE.index("left_knee")
    np.testing.assert_array_equal(detection.landmarks2d[there], flat[knee])
    np.testing.assert_array_equal(detection.landmarks3d[there], metric[knee])
    assert detection.visibility[there] == visibility[knee]
    assert detection.visibility[MEDIAPIPE.index("left_heel")] == 0
    assert (detection.visibility > 0).sum() == 17
    np.testing.assert_allclose(detection.bbox, [*flat.min(axis=0), *flat.max(axis=0)])


def test_a_set_without_a_limb_is_refused_by_name() -> None:
    bare = LandmarkSet(tuple(name for name in COCO.names if name != "right_knee"))
    with pytest.raises(ValueError, match=r"missing.*right_knee"):
        bare.detection(np.zeros((16, 2)), np.zeros((16, 3)), np.ones(16))
    with pytest.raises(ValueError, match=r"landmarks3d: expected shape \(17, 3\)"):
        COCO.detection(np.zeros((17, 2)), np.zeros((17, 2)), np.ones(17))
