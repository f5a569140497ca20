"""The tracker frame by frame, with a detector that says what the test wants it to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.fit.test_landmark_fitter import mpjpe
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import COCO, MEDIAPIPE
from tracker.body.smpl_joints import smpl_index
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.detection import Detection, TrackedDetection
from tracker.core.errors import InputError
from tracker.core.existence import Existence, Look
from tracker.core.frame import Frame
from tracker.core.geometry import rotation_between
from tracker.core.person import Person
from tracker.identity import Exchange
from tracker.pipeline import STAGES, DetectedFrame, Tracker, TrackerConfig

RIG = LandmarkRig.from_body(load_body(None))
SIZE = (640, 480)
CONFIG = TrackerConfig()
CAMERA = CONFIG.camera.for_size(*SIZE)


def somebody(x: float, z: float = 3.5, bend: float = 0.3) -> tuple[Detection, Array]:
    """Landmarks of a person standing at x, and their true joints in the camera frame."""
    theta = np.zeros((24, 3))
    theta[0] = [np.pi, 0.0, 0.0]
    theta[16, 2], theta[17, 2], theta[19, 1] = -1.2, 1.2, bend
    transl = np.array([x, 0.0, z])
    posed = RIG.pose_from_theta(theta, np.zeros(10))
    straight = rotation_between(np.array([0.0, 0.0, 1.0]), posed.joints[0] + transl)
    pixels = CAMERA.project(posed.points + transl)
    metric = (posed.points - posed.points[[23, 24]].mean(axis=0)) @ straight
    return Detection(pixels, metric, np.full(33, 0.98)), posed.joints + transl


class Script:
    """A detector that plays back lists of detections."""

    engine, device = "script", "cpu"

    def __init__(self, frames: Sequence[list[Detection]]) -> None:
        self._frames = list(frames)
        self.closed = False
        self.forgotten = 0
        self.predicted: list[int] = []
        """How many boxes came with each frame."""

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        self.predicted.append(len(predicted))
        return self._frames[frame.index]

    def forget(self) -> None:
        """The script goes by the frames' numbers."""
        self.forgotten += 1

    def close(self) -> None:
        self.closed = True


def run(frames: Sequence[list[Detection]], config: TrackerConfig = CONFIG, rate: float = 30.0) -> list[list[Person]]:
    """What the tracker gives for each frame of flat grey pictures."""
    picture = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    with Tracker(config, load_body(None), Script(frames)) as tracker:
        return [tracker.step(Frame(i, i / rate, picture)) for i in range(len(frames))]


def test_two_people_keep_their_identities_whatever_the_order() -> None:
    (left, left_joints), (right, right_joints) = somebody(-0.8), somebody(0.8)
    results = run([[left, right], [right, left], [left, right], [right, left]] * 3)
    last = results[-1]
    assert len(last) == 2
    assert {p.person_id for p in last} == {p.person_id for p in results[4]}
    for person in last:
        truth = left_joints if person.joints3d[0, 0] < 0 else right_joints
        assert mpjpe(person.joints3d, truth) < 40.0
    by_side = [{p.person_id: p.joints3d[0, 0] < 0 for p in people} for people in results[4:]]
    assert all(sides == by_side[0] for sides in by_side)


def test_a_flicker_is_bridged_and_marked_unsure() -> None:
    seen, _ = somebody(0.0)
    results = run([[seen]] * 10 + [[]] * 6 + [[seen]] * 3)
    assert all(len(people) == 1 for people in results[3:])
    assert results[15][0].joint_confidence.max() < 0.6 * results[9][0].joint_confidence.max()
    assert {p.person_id for people in results[3:] for p in people} == {results[9][0].person_id}


def test_somebody_who_left_is_not_shown_for_ever() -> None:
    seen, _ = somebody(0.0)
    results = run([[seen]] * 10 + [[]] * 40)
    assert results[-1] == []


def test_what_turns_out_to_be_nobody_is_gone_at_once() -> None:
    chair, _ = somebody(0.0)
    doubted = replace(chair, existence=Existence((Look(0.2, 0.0), Look(0.3, 0.0))))
    results = run([[chair]] * 10 + [[doubted]] * 5)
    assert [len(people) for people in results[3:]] == [1] * 7 + [0] * 5


def test_nobody_is_carried_on_over_a_cut() -> None:
    seen, _ = somebody(0.0)
    columns = np.arange(SIZE[0]) // 80 % 2
    stripes = np.repeat(np.where(columns, 220, 40).astype(np.uint8)[None, :, None], SIZE[1], axis=0).repeat(3, axis=2)
    meadow = np.ascontiguousarray(stripes.transpose(1, 0, 2)[: SIZE[1], :, :]) * np.array([0, 1, 0], np.uint8)
    meadow = np.pad(meadow, ((0, 0), (0, SIZE[0] - meadow.shape[1]), (0, 0)))
    pictures = [stripes] * 10 + [meadow] * 5 + [stripes] * 5
    script = [[seen]] * 10 + [[]] * 5 + [[seen]] * 5
    with Tracker(CONFIG, load_body(None), Script(script)) as tracker:
        results = [tracker.step(Frame(i, i / 30, picture)) for i, picture in enumerate(pictures)]
    assert [len(people) for people in results[3:]] == [1] * 7 + [0] * 5 + [1] * 5
    assert {person.person_id for people in results for person in people} == {0}, "the scene has come back"


@pytest.mark.parametrize(("small_size", "person_id"), [((320, 240), 0), ((320, 320), 1)])
def test_a_picture_of_another_size_is_looked_at_anew(small_size: tuple[int, int], person_id: int) -> None:
    """What a detector remembers of the pictures before, masks and boxes, fits none of these. Who is seen in the same
    place goes on where the picture is only scaled."""
    large, _ = somebody(0.0)
    small = replace(large, landmarks2d=large.landmarks2d / 2)
    detector = Script([[large]] * 6 + [[small]] * 6)
    with Tracker(CONFIG, load_body(None), detector) as tracker:
        pictures = [np.full((height, width, 3), 128, np.uint8) for width, height in [SIZE] * 6 + [small_size] * 6]
        results = [tracker.step(picture, time=i / 30) for i, picture in enumerate(pictures)]
    assert detector.forgotten == 1
    assert detector.predicted[5:8] == [1, 1 - person_id, 1]
    assert [person.person_id for person in results[5]] == [0]
    assert [person.person_id for person in results[6]] == [person_id]
    assert results[11][0].joints2d.max() < max(small_size)


def test_a_time_that_goes_back_begins_anew() -> None:
    """As of a camera whose clock is set: nobody is there twice, and nothing is learned of frames yet to come."""
    seen, joints = somebody(0.0)
    picture = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    times = [*(100.0 + i / 10 for i in range(4)), *(i / 10 for i in range(6))]
    detector = Script([[seen]] * len(times))
    with Tracker(CONFIG, load_body(None), detector) as tracker:
        results = [tracker.step(picture, time=time) for time in times]
        assert list(tracker._people) == [1], "nobody is kept until the clock is there again"
        assert tracker.identity._elsewhere == {}
    assert detector.forgotten == 1
    assert [[person.person_id for person in people] for people in results] == [[0]] * 4 + [[1]] * 6
    assert mpjpe(results[-1][0].joints3d, joints) < 40.0


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -float("inf"), "abc", [1.0], 10**400])
def test_a_time_that_is_none_is_refused_by_name(time: Any) -> None:
    picture = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    with Tracker(CONFIG, load_body(None), Script([[]])) as tracker:
        with pytest.raises(InputError, match=r"^time: expected a .*number of seconds, got "):
            tracker.step(picture, time=time)
        tracker.step(picture, time=0.0)


def test_who_was_taken_for_another_goes_on_from_where_they_were() -> None:
    """A frame in which two have their own names again is fitted as if they had had them all along."""
    (left, _), (right, _) = somebody(-0.8), somebody(0.8, bend=0.3)
    picture = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)

    def last_of(names: Sequence[tuple[int, int]], exchanges: Sequence[Exchange] = ()) -> dict[int, Person]:
        with Tracker(CONFIG, load_body(None), Script([])) as tracker:
            for index, (first, second) in enumerate(names):
                people = [TrackedDetection(first, left), TrackedDetection(second, right)]
                known = exchanges if index == len(names) - 1 else ()
                given = tracker.fit(DetectedFrame(Frame(index, index / 30, picture), people, exchanges=known))
        return {person.person_id: person for person in given}

    always = last_of([(0, 1)] * 6)
    exchanged = last_of([(1, 0)] * 5 + [(0, 1)], [Exchange(0, 1, 0.0, {})])
    unsaid = last_of([(1, 0)] * 5 + [(0, 1)])
    for key, person in always.items():
        assert mpjpe(exchanged[key].joints3d, person.joints3d) < 10.0
        assert np.linalg.norm(exchanged[key].pose.transl - person.pose.transl) < 0.05
        assert np.linalg.norm(unsaid[key].pose.transl - person.pose.transl) > 0.1, "else there is nothing to mend"


def test_a_restarted_tracker_answers_like_a_fresh_one() -> None:
    (left, _), (right, _) = somebody(-0.8), somebody(0.8, bend=0.3)
    picture = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    with Tracker(CONFIG, load_body(None), Script([[right]])) as fresh:
        (expected,) = fresh.step(Frame(0, 0.0, picture))
    with Tracker(CONFIG, load_body(None), Script([[right], [left], [left]])) as tracker:
        for index in (1, 2):
            tracker.step(Frame(index, 10.0 + index, picture))
        tracker.restart()
        (person,) = tracker.step(Frame(0, 0.0, picture))
    assert person.person_id == expected.person_id
    np.testing.assert_array_equal(person.joints3d, expected.joints3d)


def test_projected_joints_agree_with_the_pose() -> None:
    seen, _ = somebody(0.3)
    person = run([[seen]] * 8)[-1][0]
    posed = RIG.pose_from_theta(person.pose.theta, person.pose.betas).joints + person.pose.transl
    np.testing.assert_allclose(person.joints3d, posed, atol=1e-9)
    np.testing.assert_allclose(person.joints2d, CAMERA.project(posed), atol=1e-6)
    x0, y0, x1, y1 = person.bbox
    assert x0 <= person.joints2d[:, 0].min() and person.joints2d[:, 0].max() <= x1
    assert y0 <= person.joints2d[:, 1].min() and person.joints2d[:, 1].max() <= y1
    mesh = load_body(None).with_shape(torch.tensor(person.pose.betas, dtype=torch.float32))
    vertices = mesh.with_pose(torch.tensor(person.pose.theta, dtype=torch.float32)).vertices().numpy()
    pixels = CAMERA.project(vertices + person.pose.transl)
    np.testing.assert_allclose(person.bbox, [*pixels.min(axis=0), *pixels.max(axis=0)], atol=6.0)


def test_a_hidden_limb_has_low_confidence() -> None:
    seen, _ = somebody(0.0)
    visibility = np.full(33, 0.98)
    visibility[[15, 17, 19, 21]] = 0.03
    person = run([[Detection(seen.landmarks2d, seen.landmarks3d, visibility)]] * 8)[-1][0]
    assert person.joint_confidence[20] < 0.1, "left wrist"
    assert person.joint_confidence[21] > 0.6, "right wrist"


def test_reshaping_keeps_the_person_in_the_picture() -> None:
    seen, _ = somebody(0.5)
    with Tracker(CONFIG, load_body(None), Script([[seen]])) as tracker:
        person = tracker.step(Frame(0, 0.0, np.zeros((SIZE[1], SIZE[0], 3), np.uint8)))[0]
        taller = tracker.persons.reshaped(person.pose, person.pose.betas + np.eye(10)[0])
        moved = tracker.persons.posed(taller, CAMERA, person)
    assert np.linalg.norm(moved.joints2d - person.joints2d, axis=1).mean() < 4.0
    assert moved.person_id == person.person_id


def test_every_stage_is_timed_and_the_detector_closed() -> None:
    detector = Script([[]])
    with Tracker(CONFIG, load_body(None), detector) as tracker:
        tracker.step(Frame(0, 0.0, np.zeros((SIZE[1], SIZE[0], 3), np.uint8)))
        assert {stage: len(times) for stage, times in tracker.stage_seconds.items()} == dict.fromkeys(STAGES, 1)
    assert detector.closed


def test_memory_of_people_long_gone_is_given_back() -> None:
    seen, _ = somebody(0.0)
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    with Tracker(CONFIG, load_body(None), Script([[seen]] * 5 + [[]])) as tracker:
        for i in range(5):
            tracker.step(Frame(i, i / 30, picture))
        assert tracker._people
        tracker.step(Frame(5, 1000.0, picture))
        assert not tracker._people


@pytest.mark.parametrize("rate", [5.0, 60.0])
def test_any_frame_rate_gives_the_same_pose(rate: float) -> None:
    seen, joints = somebody(0.0)
    person = run([[seen]] * 12, rate=rate)[-1][0]
    assert mpjpe(person.joints3d, joints) < 40.0


def test_another_detector_with_fewer_landmarks_is_tracked() -> None:
    """Its 17 points are arranged; what it does not give neither pulls nor is believed."""
    detection, joints = somebody(0.2)
    rows = MEDIAPIPE.indices(COCO.names)
    fewer = COCO.detection(detection.landmarks2d[rows], detection.landmarks3d[rows], detection.visibility[rows])
    picture = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    config = load_config(changes={"extract": {"enabled": False}})
    with Tracker.open(config, Script([[fewer]] * 8)) as tracker:
        people = [tracker.step(Frame(i, i / 30, picture)) for i in range(8)]
    (person,) = people[-1]
    assert mpjpe(person.joints3d, joints) < 45.0
    assert person.joint_confidence[smpl_index("left_knee")] > 0.8
    assert person.joint_confidence[smpl_index("left_foot")] == 0.0
