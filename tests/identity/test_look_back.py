"""Recordings: whoever is found late is followed back, who comes back is known again, flashes are nobody."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.people_scene import Figure, detection_of, frame_of
from tracker.core.detection import Detection, LandmarkCrop, TrackedDetection
from tracker.core.frame import Frame
from tracker.identity import BackwardDetector, IdentityTracker, LookBack, LookBackLimits, SeenFrame
from tracker.identity.identity import Reappearance

RATE = 10.0
LIMITS = LookBackLimits(seconds=3.0, max_people=4, coast_seconds=0.3)
IMAGE = np.zeros((48, 64, 3), np.uint8)
Visible = dict[int, dict[int, Figure]]
"""Frame → key of a person → where they are."""


def walking(frames: Sequence[int], x: float) -> dict[int, Figure]:
    return {index: Figure(x + 4.0 * index) for index in frames}


class Eyes:
    """Sees somebody near where they were, in the frames in which they are visible."""

    def __init__(self, *people: dict[int, Figure]) -> None:
        self._people = people

    def detect_near(self, frame: Frame, near: Detection, others: Sequence[Detection]) -> Detection | None:
        for person in self._people:
            figure = person.get(frame.index)
            if figure is not None and abs(figure.landmarks - near.landmarks2d).max() < 20:
                found = detection_of(figure)
                if all(abs(found.landmarks2d - other.landmarks2d).max() > 1 for other in others):
                    return found
        return None


class Nobody:
    """Knows no one."""

    def rejoined(self, back: Reappearance, present: Collection[int]) -> int | None:
        return None


class Known:
    """Takes the second identity for the first, unless that one is there."""

    def rejoined(self, back: Reappearance, present: Collection[int]) -> int | None:
        return 0 if back.person_id == 1 and 0 not in present else None


def seen(count: int, found: dict[int, dict[int, Figure]], scenes: Sequence[int] | None = None) -> list[SeenFrame]:
    """found: identity → frame → where it was detected."""
    frames = []
    for index in range(count):
        here = [TrackedDetection(key, detection_of(at[index])) for key, at in found.items() if index in at]
        frames.append(SeenFrame(Frame(index, index / RATE, IMAGE), here, scenes[index] if scenes else 0))
    return frames


def ids(frames: Sequence[SeenFrame]) -> list[list[int]]:
    return [sorted(frame.ids) for frame in frames]


def through(frames: list[SeenFrame], eyes: Eyes, identities: Nobody | Known | None = None) -> list[SeenFrame]:
    looking: LookBack[SeenFrame] = LookBack(eyes, identities or Nobody(), LIMITS)
    return list(looking.through(frames))


def test_who_is_found_late_is_there_from_the_first_frame_in_which_they_can_be_seen() -> None:
    visible = walking(range(5, 20), 100.0)
    late = {index: figure for index, figure in visible.items() if index >= 12}
    frames = through(seen(20, {0: late}), Eyes(visible))
    assert [frame.frame.index for frame in frames] == list(range(20))
    assert ids(frames) == [[]] * 5 + [[0]] * 15
    np.testing.assert_allclose(frames[5].people[0].detection.landmarks2d, visible[5].landmarks)


def test_a_moment_unseen_does_not_end_the_way_back() -> None:
    visible = walking(range(20), 100.0)
    late = {index: figure for index, figure in visible.items() if index >= 12}
    eyes = Eyes({index: figure for index, figure in visible.items() if index not in (8, 9)})
    assert ids(through(seen(20, {0: late}), eyes)) == [[0]] * 8 + [[], []] + [[0]] * 10


def test_no_farther_back_than_frames_wait() -> None:
    visible = walking(range(60), 100.0)
    frames = through(seen(60, {0: {i: f for i, f in visible.items() if i >= 50}}), Eyes(visible))
    assert ids(frames) == [[]] * 20 + [[0]] * 40


def test_who_was_lost_for_a_while_is_followed_back_to_where_they_were_lost() -> None:
    visible = walking(range(20), 100.0)
    seldom = {i: f for i, f in visible.items() if i < 6 or i > 10}
    assert ids(through(seen(20, {0: seldom}), Eyes(visible))) == [[0]] * 20


def test_what_turns_out_to_be_nobody_is_not_given_out_as_far_as_frames_wait() -> None:
    visible = walking(range(60), 100.0)
    frames = [
        replace(frame, nobodies=frozenset({0} if frame.frame.index >= 40 else ()))
        for frame in seen(60, {0: visible, 1: walking(range(60), 300.0)})
    ]
    given = through(frames, Eyes(visible))
    assert ids(given) == [[0, 1]] * 10 + [[1]] * 50
    assert all(0 in frame.absent and not frame.nobodies for frame in given[10:]), "nor carried on"


def test_who_turns_out_to_be_somebody_after_all_is_given_out() -> None:
    visible = walking(range(60), 100.0)
    frames = [
        replace(frame, nobodies=frozenset({0} if frame.frame.index < 20 else ())) for frame in seen(60, {0: visible})
    ]
    assert ids(through(frames, Eyes(visible))) == [[0]] * 60


def test_nobody_is_followed_onto_somebody_else_or_over_a_cut() -> None:
    visible = walking(range(20), 100.0)
    both = {0: {i: f for i, f in visible.items() if i < 10}, 1: {i: f for i, f in visible.items() if i >= 10}}
    assert ids(through(seen(20, both), Eyes(visible))) == [[0]] * 10 + [[1]] * 10
    late = {0: {i: f for i, f in visible.items() if i >= 15}}
    scenes = [0] * 8 + [1] * 12
    assert ids(through(seen(20, late, scenes), Eyes(visible))) == [[]] * 8 + [[0]] * 12


def test_who_comes_back_has_their_identity_again_from_the_first_frame_on() -> None:
    first, again = walking(range(5), 100.0), walking(range(14, 25), 300.0)
    late = {i: f for i, f in again.items() if i >= 18}
    frames = through(seen(25, {0: first, 1: late}), Eyes(first, again), Known())
    assert ids(frames)[:18] == [[0]] * 5 + [[]] * 9 + [[0]] * 4


def test_who_comes_back_is_not_followed_past_where_they_were_last_seen() -> None:
    """Where there is something beside them that might be followed on."""
    first, again = walking(range(9), 100.0), walking(range(6, 20), 110.0)
    late = {i: f for i, f in again.items() if i >= 13}
    assert ids(through(seen(20, {0: first, 1: late}), Eyes(again), Known())) == [[0]] * 20
    two = [[0]] * 6 + [[0, 1]] * 3 + [[1]] * 11
    assert ids(through(seen(20, {0: first, 1: late}), Eyes(again))) == two, "a stranger is"


def test_flashes_are_nobody_and_a_still_picture_is_somebody() -> None:
    always, flash = walking(range(30), 100.0), walking(range(7, 9), 400.0)
    assert ids(through(seen(30, {0: always, 1: flash}), Eyes(always, flash))) == [[0]] * 30
    assert ids(through(seen(1, {0: always}), Eyes(always))) == [[0]]


def test_it_is_known_who_does_not_come_back() -> None:
    person = walking([*range(10), 12, 13], 100.0)
    frames = through(seen(20, {0: person}), Eyes(person))
    assert [sorted(frame.absent) for frame in frames[:14]] == [[]] * 14, "0.3 s are carried over"
    assert [sorted(frame.absent) for frame in frames[14:]] == [[0]] * 6


def test_a_small_store_gives_frames_out_earlier() -> None:
    large = np.zeros((5000, 5000, 3), np.uint8)
    frames = [replace(each, frame=Frame(i, i / RATE, large)) for i, each in enumerate(seen(12, {}))]
    given, looking = [], LookBack[SeenFrame](Eyes(), Nobody(), LIMITS)

    def watched():
        for frame in frames:
            given.append(len(out))
            yield frame

    out: list[SeenFrame] = []
    for each in looking.through(watched()):
        out.append(each)
    assert len(out) == 12 and given[-1] >= 6


def test_the_landmark_detector_can_look_back() -> None:
    from tracker.detect import LandmarkDetector

    assert issubclass(LandmarkDetector, BackwardDetector)


def test_clothes_size_and_place_tell_who_comes_back() -> None:
    def run(tracker: IdentityTracker, figure: Figure, first: int, count: int) -> int:
        given = set()
        for index in range(first, first + count):
            people = tracker.assign(frame_of([figure], index, index / RATE), [detection_of(figure)])
            given |= {person.person_id for person in people}
        (key,) = given
        return key

    red, green = Figure(200.0), Figure(260.0, shirt=(20, 160, 40), trousers=(200, 200, 190))
    for back, expected in ((red, 0), (green, None)):
        tracker = IdentityTracker()
        assert run(tracker, red, 0, 20) == 0
        for index in range(20, 110):
            tracker.assign(frame_of([], index, index / RATE), [])
        moved = replace(back, x=280.0)
        assert run(tracker, moved, 110, 10) == 1, "nine seconds are too long for who is followed live"
        assert tracker.rejoined(Reappearance(1, 11.0, detection_of(moved), detection_of(moved)), {1}) == expected
        assert run(tracker, moved, 120, 5) == (0 if expected == 0 else 1)


def test_the_plainest_sighting_tells_who_comes_back() -> None:
    asked: list[Reappearance] = []

    class Asked(Nobody):
        def rejoined(self, back: Reappearance, present: Collection[int]) -> int | None:
            asked.append(back)
            return super().rejoined(back, present)

    class Fading(Eyes):
        """Sees less and less of somebody on the way back."""

        def detect_near(self, frame: Frame, near: Detection, others: Sequence[Detection]) -> Detection | None:
            seen_there = super().detect_near(frame, near, others)
            visibility = 0.3 if frame.index < 8 else 0.95
            return None if seen_there is None else replace(seen_there, visibility=np.full(33, visibility))

    visible = walking(range(5, 20), 100.0)
    late = {index: figure for index, figure in visible.items() if index >= 10}
    through(seen(20, {0: late}), Fading(visible), Asked())
    (back,) = asked
    assert back.plainest.visibility.min() == 0.95
    assert back.time == pytest.approx(5 / RATE), "but where they are is told by the first"
    np.testing.assert_allclose(back.first.landmarks2d, detection_of(visible[5]).landmarks2d)


def test_who_comes_back_and_walks_on_is_known_by_where_they_came_back() -> None:
    near, far = Figure(100.0), Figure(540.0)
    for first, expected in ((near, 0), (far, None)):
        tracker = IdentityTracker()
        for index in range(26):
            figures = [] if index == 20 else [near if index < 20 else far]
            people = tracker.assign(frame_of(figures, index, index / RATE), [detection_of(each) for each in figures])
        assert [each.person_id for each in people] == [1]
        assert tracker.rejoined(Reappearance(1, 2.1, detection_of(first), detection_of(far)), {1}) == expected


def test_who_was_seen_in_a_wrong_pose_is_followed_back_in_the_right_one() -> None:
    visible = walking(range(4, 20), 100.0)
    wrong = {i: replace(figure, height=0.3 * figure.height) for i, figure in walking(range(2, 12), 100.0).items()}
    frames = seen(20, {0: wrong | {i: f for i, f in visible.items() if i >= 12}})

    def told_at(frames: list[SeenFrame], index: int) -> list[SeenFrame]:
        person = frames[index].people[0]
        agreed = replace(person, detection=replace(person.detection, agreed=True))
        return [replace(f, people=[agreed]) if f.frame.index == index else f for f in frames]

    given = through(told_at(frames, 12), Eyes(visible))
    assert ids(given) == [[]] * 2 + [[0]] * 18
    for index in range(2, 20):
        expected = (wrong if index < 4 else visible)[index].landmarks
        np.testing.assert_allclose(given[index].people[0].detection.landmarks2d, expected)
    untouched = through(frames, Eyes(visible))
    np.testing.assert_allclose(untouched[8].people[0].detection.landmarks2d, wrong[8].landmarks)


def test_maps_wait_in_half_precision() -> None:
    rng = np.random.default_rng(0)
    maps = {
        "heatmaps": rng.normal(0, 10, (64, 64, 39)).astype(np.float32),
        "landmarks": rng.uniform(0, 256, (39, 5)).astype(np.float32),
    }
    crop = LandmarkCrop(np.zeros((256, 256, 3), np.uint8), np.eye(3)[:2], maps)
    visible = walking(range(12), 100.0)
    frames = seen(12, {0: visible})
    whole = [
        replace(f, people=[replace(p, detection=replace(p.detection, crop=crop)) for p in f.people]) for f in frames
    ]
    looking: LookBack[SeenFrame] = LookBack(Eyes(visible), Nobody(), LIMITS)
    given = [person.detection.crop for frame in looking.through(whole) for person in frame.people]
    assert len(given) == 12
    for each in given:
        assert each is not None and each.maps["heatmaps"].dtype == np.float32
        np.testing.assert_allclose(each.maps["heatmaps"], maps["heatmaps"], rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(each.maps["landmarks"], maps["landmarks"])
    packed = crop.packed()
    assert 2 * packed.maps["heatmaps"].nbytes == maps["heatmaps"].nbytes
    assert packed.packed().maps["heatmaps"].dtype == np.float16
