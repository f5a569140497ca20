"""Two landmark networks that have seen one crop."""

from __future__ import annotations

import numpy as np

from tests.people_scene import TEMPLATE
from tracker.core.detection import Detection
from tracker.detect.crop_landmarks import CropLandmarks
from tracker.extract.second_opinion import agreed, second_landmarks

PIXELS = 300 * TEMPLATE + 100
METRIC = np.column_stack([TEMPLATE, np.zeros(33)])
SEEN = np.full(33, 0.9)


def opinion(pixels: np.ndarray = PIXELS, metric: np.ndarray = METRIC, visibility: np.ndarray = SEEN) -> CropLandmarks:
    return CropLandmarks(pixels, metric, visibility, np.ones(33))


DETECTION = Detection(PIXELS, METRIC, SEEN)


def test_two_who_agree_change_nothing_but_how_sure_they_are() -> None:
    both = agreed(DETECTION, opinion())
    np.testing.assert_allclose(both.landmarks2d, PIXELS)
    np.testing.assert_allclose(both.landmarks3d, METRIC)
    assert (both.visibility > 0.9).all() and (both.visibility < 1).all()


def test_pixels_move_towards_a_second_look_that_is_near_and_stay_where_it_is_far() -> None:
    size = np.ptp(PIXELS, axis=0).max()
    away = np.zeros_like(PIXELS)
    away[3, 0], away[7, 0] = 0.005 * size, 0.3 * size
    moved = agreed(DETECTION, opinion(PIXELS + away)).landmarks2d - PIXELS
    assert 0.3 < moved[3, 0] / away[3, 0] < 0.36
    assert 0 < moved[7, 0] / away[7, 0] < 0.01
    np.testing.assert_allclose(np.delete(moved, [3, 7], axis=0), 0, atol=1e-9)


def test_metres_are_the_mean_of_both() -> None:
    both = agreed(DETECTION, opinion(metric=METRIC + np.array([0.0, 0.0, 0.1])))
    np.testing.assert_allclose(both.landmarks3d[:, 2], 0.05)


def test_what_one_of_them_does_not_see_is_hidden() -> None:
    hidden = SEEN.copy()
    hidden[5] = 0.05
    for detection, second in (
        (DETECTION, opinion(visibility=hidden)),
        (Detection(PIXELS, METRIC, hidden), opinion()),
    ):
        visibility = agreed(detection, second).visibility
        assert visibility[5] < 0.15 and (np.delete(visibility, 5) > 0.9).all()


def test_a_landmark_that_is_not_given_stays_so() -> None:
    none = SEEN.copy()
    none[5] = 0.0
    assert agreed(Detection(PIXELS, METRIC, none), opinion()).visibility[5] == 0


def test_who_was_seen_by_one_network_has_no_second_opinion() -> None:
    assert second_landmarks({"landmarks": np.zeros((39, 5), np.float32)}) is None
