"""Identities through crossing, absence, flicker and disorder, on drawn people whose names are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.people_scene import HEIGHT, WIDTH, Figure, detection_of, frame_of
from tracker.core.detection import Detection, TrackedDetection
from tracker.core.errors import InputError
from tracker.core.existence import Existence, Look
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.detect.clothing_colour import appearance_of
from tracker.detect.similarity import BODY_POINTS, body_size
from tracker.identity import IdentityConfig, IdentityTracker
from tracker.identity.identity import Identity

RED = Figure(0.0)
GREEN = replace(RED, shirt=(40, 160, 60), trousers=(230, 220, 200))


@dataclass
class Scene:
    """Figures over time, by name; a name that is missing from `seen` at some moment is not detected then."""

    rate: float
    seconds: float
    seed: int = 0

    def times(self) -> Iterator[tuple[int, float]]:
        for index in range(round(self.seconds * self.rate)):
            yield index, index / self.rate


class Run:
    """Feeds a tracker and keeps which identity each named figure had in each frame."""

    def __init__(self, tracker: IdentityTracker | None = None) -> None:
        self.tracker = tracker or IdentityTracker()
        self.random = np.random.default_rng(1)
        self.history: dict[str, list[int | None]] = {}

    def step(self, index: int, time: float, drawn: dict[str, Figure], seen: dict[str, Figure]) -> None:
        """One frame: `drawn` is in the picture (later ones in front), `seen` is what the detector reports."""
        names = list(seen)
        self.random.shuffle(names)
        detections = [detection_of(seen[name], self.random.normal(0, 2.0, (33, 2))) for name in names]
        given = self.tracker.assign(frame_of(list(drawn.values()), index, time), detections)
        ids = {id(tracked.detection): tracked.person_id for tracked in given}
        for name, detection in zip(names, detections, strict=True):
            self.history.setdefault(name, []).append(ids.get(id(detection)))

    def identities(self, name: str) -> set[int]:
        return {identity for identity in self.history[name] if identity is not None}

    def presence(self, name: str) -> float:
        return float(np.mean([identity is not None for identity in self.history[name]]))


def at(figure: Figure, x: float) -> Figure:
    return replace(figure, x=x)


RATES = pytest.mark.parametrize("rate", [5.0, 29.97, 60.0])


@RATES
def test_two_people_cross_and_one_is_hidden_for_half_a_second(rate: float) -> None:
    run = Run()
    for index, time in Scene(rate, 4.0).times():
        people = {"red": at(RED, 120 + 100 * time), "green": at(GREEN, 520 - 100 * time)}
        hidden = 1.75 <= time < 2.25
        run.step(index, time, people, {k: v for k, v in people.items() if not (hidden and k == "red")})
    assert run.identities("red").isdisjoint(run.identities("green"))
    assert len(run.identities("red")) == len(run.identities("green")) == 1
    assert run.presence("red") == run.presence("green") == 1.0


@RATES
def test_people_in_the_same_clothes_cross_while_both_are_seen(rate: float) -> None:
    run = Run()
    for index, time in Scene(rate, 4.0).times():
        people = {
            "first": at(RED, 120 + 100 * time),
            "second": replace(at(RED, 520 - 100 * time), y=110.0, height=260.0),
        }
        run.step(index, time, people, people)
    assert run.identities("first") == {run.history["first"][0]}
    assert run.identities("second") == {run.history["second"][0]}


@RATES
def test_one_and_a_half_seconds_of_absence_keep_the_identity(rate: float) -> None:
    run = Run()
    for index, time in Scene(rate, 4.5).times():
        people = {"red": at(RED, 100 + 80 * time), "green": at(GREEN, 540)}
        away = 1.5 <= time < 3.0
        present = {k: v for k, v in people.items() if not (away and k == "red")}
        run.step(index, time, present, present)
    assert len(run.identities("red")) == len(run.identities("green")) == 1
    assert run.presence("red") == 1.0


@RATES
def test_a_different_person_where_one_left_gets_a_new_identity(rate: float) -> None:
    run = Run()
    for index, time in Scene(rate, 4.0).times():
        if time < 1.5:
            present = {"red": at(RED, 300)}
        elif time < 2.5:
            present = {}
        else:
            present = {"green": at(GREEN, 300)}
        run.step(index, time, present, present)
    assert run.identities("red") == {0}
    assert run.identities("green") == {1}


@pytest.mark.parametrize(
    ("seconds", "back", "identity"), [(4.0, RED, 0), (6.0, RED, 0), (6.0, GREEN, 1), (9.0, RED, 1)]
)
def test_who_comes_back_in_their_clothes_before_long_has_their_identity(
    seconds: float, back: Figure, identity: int
) -> None:
    run = Run()
    for index, time in Scene(10.0, 4.0 + seconds).times():
        if time < 2.0:
            present = {"early": at(RED, 300)}
        else:
            present = {} if time < 2.0 + seconds else {"late": at(back, 340)}
        run.step(index, time, present, present)
    assert run.identities("early") == {0}
    assert run.identities("late") == {identity}


@RATES
def test_flicker_of_one_in_five_detections_changes_nothing(rate: float) -> None:
    run = Run()
    misses = np.random.default_rng(5)
    for index, time in Scene(rate, 5.0).times():
        people = {
            "red": at(RED, 150 + 40 * np.sin(2 * time)),
            "green": at(GREEN, 330 + 40 * np.cos(3 * time)),
            "blue": replace(at(RED, 520), shirt=(40, 60, 200), trousers=(20, 20, 20)),
        }
        run.step(index, time, people, {k: v for k, v in people.items() if misses.random() > 0.2})
    identities = [run.identities(name) for name in ("red", "green", "blue")]
    assert [len(found) for found in identities] == [1, 1, 1]
    assert set.union(*identities) == {0, 1, 2}
    assert min(run.presence(name) for name in ("red", "green", "blue")) >= 0.98


@pytest.mark.parametrize("rate", [5.0, 30.0])
def test_a_second_pose_on_the_same_body_gets_no_identity(rate: float) -> None:
    run = Run()
    wrong = np.random.default_rng(3)
    for index, time in Scene(rate, 3.0).times():
        person = {"red": at(RED, 200 + 50 * time)}
        doubles = {"double": replace(person["red"], height=180.0, y=200.0)} if wrong.random() < 0.25 else {}
        run.step(index, time, person, person | doubles)
    assert run.identities("red") == {0}
    assert run.identities("double") == set()


def test_a_still_picture_confirms_who_is_seen_well_at_once() -> None:
    tracker = IdentityTracker()
    people = [at(RED, 150), at(GREEN, 450)]
    given = tracker.assign(frame_of(people, 0, 0.0), [detection_of(person) for person in people])
    assert [tracked.person_id for tracked in given] == [0, 1]


def test_a_still_picture_confirms_who_is_half_visible_where_several_looks_agree() -> None:
    person = detection_of(at(RED, 150))
    visibility = person.visibility.copy()
    visibility[BODY_POINTS[4:]] = 0.2
    for agreed, keys in ((True, [0]), (False, [])):
        half = replace(person, visibility=visibility, agreed=agreed)
        given = IdentityTracker().assign(frame_of([at(RED, 150)], 0, 0.0), [half])
        assert [each.person_id for each in given] == keys


def test_who_overlaps_another_in_a_still_waits_for_another_look() -> None:
    people = [at(RED, 300), at(GREEN, 320)]
    both = [replace(detection_of(person), agreed=True) for person in people]
    assert [each.person_id for each in IdentityTracker().assign(frame_of(people, 0, 0.0), both)] == [0]


@pytest.mark.parametrize("rate", [5.0, 30.0])
def test_who_is_hardly_visible_is_confirmed_after_some_time_whatever_the_rate(rate: float) -> None:
    tracker = IdentityTracker(IdentityConfig(confirm_seconds=0.4))
    first = next(
        time
        for index, time in Scene(rate, 2.0).times()
        if tracker.assign(frame_of([at(RED, 300)], index, time), [detection_of(at(RED, 300), visibility=0.3)])
    )
    assert 0.4 <= first <= 0.4 + 1.01 / rate


def test_a_ghost_of_single_frames_is_never_confirmed() -> None:
    tracker = IdentityTracker()
    for index, time in Scene(30.0, 3.0).times():
        ghosts = [detection_of(at(RED, 300), visibility=0.3)] if index % 3 == 0 else []
        assert tracker.assign(frame_of([], index, time), ghosts) == []


def test_only_the_most_established_are_given_out() -> None:
    run = Run(IdentityTracker(max_people=2))
    for index, time in Scene(10.0, 6.0).times():
        people = {"first": at(RED, 100)}
        if time >= 0.5:
            people["second"] = at(GREEN, 300)
        if time >= 1.0:
            people["third"] = replace(at(RED, 500), shirt=(40, 60, 200), trousers=(20, 20, 20))
        if 4.0 <= time:
            del people["first"]
        run.step(index, time, people, people)
    assert run.identities("first") == {0}
    assert run.identities("second") == {1}
    assert run.history["third"][: round(10 * 3.0)] == [None] * 30, "there is room for two only"
    assert run.history["third"][-1] == 2, "the first has left: the third takes the place"


THING = Existence((Look(0.3, 0.0), Look(0.4, 0.0)))


def test_what_is_nobody_takes_nobodys_place() -> None:
    tracker = IdentityTracker(max_people=1)
    chair, woman = detection_of(at(RED, 100)), detection_of(at(GREEN, 400))
    doubted = replace(chair, existence=THING)
    picture = frame_of([at(RED, 100), at(GREEN, 400)], 0, 0.0).image
    given = [tracker.assign(Frame(i, i / 10, picture), [chair, woman][: 1 + i // 5]) for i in range(10)]
    assert [each.person_id for each in given[-1]] == [0] and not tracker.nobodies
    given = [tracker.assign(Frame(i, i / 10, picture), [doubted, woman]) for i in range(10, 15)]
    assert tracker.nobodies == {0}
    assert [each.person_id for each in given[-1]] == [1]


def test_what_was_nobody_stays_so_when_it_is_forgotten_and_may_be_somebody_later() -> None:
    tracker = IdentityTracker()
    figure = at(RED, 100)
    picture = frame_of([figure], 0, 0.0).image
    tracker.assign(Frame(0, 0.0, picture), [replace(detection_of(figure), existence=THING)])
    tracker.assign(Frame(1, 0.1, picture), [detection_of(figure)])
    assert tracker.nobodies == {0}, "a detector that does not tell changes nothing"
    plain = Existence((*THING.looks, Look(1.0, 0.6)))
    tracker.assign(Frame(2, 0.2, picture), [replace(detection_of(figure), existence=plain)])
    assert not tracker.nobodies
    tracker.assign(Frame(3, 0.3, picture), [replace(detection_of(figure), existence=THING)])
    assert not tracker.nobodies, "who has been there is somebody"


def test_an_identity_of_nobody_is_nobodys_after_it_is_forgotten() -> None:
    """Frames in which it was given out may wait."""
    tracker = IdentityTracker()
    figure = at(RED, 100)
    picture = frame_of([figure], 0, 0.0).image
    tracker.assign(Frame(0, 0.0, picture), [replace(detection_of(figure), existence=THING)])
    tracker.assign(Frame(1, 100.0, picture), [])
    assert tracker.nobodies == {0}


def test_predicted_boxes_follow_the_movement_and_fade() -> None:
    run = Run()
    for index, time in Scene(30.0, 1.0).times():
        people = {"red": at(RED, 100 + 150 * time)}
        run.step(index, time, people, people)
    last = 29 / 30
    (box,) = run.tracker.predicted_boxes(last + 0.2)
    assert (box[0] + box[2]) / 2 == pytest.approx(100 + 150 * (last + 0.2), abs=12)
    assert run.tracker.predicted_boxes(last + 2.0) == []


def test_nobody_is_predicted_outside_the_picture() -> None:
    run = Run()
    for index, time in Scene(30.0, 1.0).times():
        people = {"red": at(RED, 400 + 280 * time)}
        run.step(index, time, people, people)
    assert run.tracker.predicted_boxes(29 / 30 + 0.4) == []


def test_a_source_that_starts_over_keeps_going() -> None:
    tracker = IdentityTracker()
    for _ in range(3):
        for index, time in Scene(10.0, 1.0).times():
            given = tracker.assign(frame_of([at(RED, 300)], index, time), [detection_of(at(RED, 300))])
            assert [tracked.person_id for tracked in given] == [0]


def test_left_and_right_exchanged_is_the_same_person() -> None:
    tracker = IdentityTracker()
    person = at(RED, 300)
    for index, time in Scene(10.0, 2.0).times():
        seen = detection_of(person)
        if index % 2:
            mirrored = seen.landmarks2d * np.array([-1.0, 1.0]) + np.array([600.0, 0.0])
            seen = Detection(mirrored, seen.landmarks3d, seen.visibility)
        given = tracker.assign(frame_of([person], index, time), [seen])
        assert [tracked.person_id for tracked in given] == [0]


def test_colours_are_read_inside_the_mask_only() -> None:
    """In front of a wall in the other one's colours, the clothes still tell the two apart."""
    tracker = IdentityTracker()

    def seen(figure: Figure, index: int, time: float, wall: tuple[int, int, int]) -> list[TrackedDetection]:
        frame = frame_of([figure], index, time)
        clothes = (frame.image == figure.shirt).all(axis=2) | (frame.image == figure.trousers).all(axis=2)
        image = np.where(clothes[..., None], frame.image, np.array(wall, np.uint8))
        detection = detection_of(figure, np.array([10.0, 0.0]))
        masked = replace(detection, mask=PlacedMask.whole(clothes.astype(np.uint8) * 255))
        return tracker.assign(Frame(index, time, image), [masked])

    for index in range(10):
        assert [t.person_id for t in seen(at(RED, 300), index, index / 10, GREEN.shirt)] == [0]
    found = [t.person_id for index in range(20, 30) for t in seen(at(GREEN, 300), index, index / 10, RED.shirt)]
    assert set(found) == {1}


@pytest.mark.parametrize("rate", [5.0, 30.0])
def test_a_box_that_passes_in_front_of_the_clothes_changes_nothing(rate: float) -> None:
    tracker = IdentityTracker()
    for index, time in Scene(rate, 3.0).times():
        frame = frame_of([at(RED, 300)], index, time)
        left = round(400 * time - 300)
        frame.image[:, max(left, 0) : max(left + 200, 0)] = (250, 240, 60)
        given = tracker.assign(frame, [detection_of(at(RED, 300), 2.0)])
        assert [tracked.person_id for tracked in given] == [0]


def test_nothing_to_see_is_no_trouble() -> None:
    tracker = IdentityTracker()
    assert tracker.assign(Frame(0, 0.0, np.zeros((HEIGHT, WIDTH, 3), np.uint8)), []) == []
    assert tracker.predicted_boxes(0.1) == []
    outside = Detection(np.full((33, 2), -500.0), np.zeros((33, 3)), np.ones(33))
    assert tracker.assign(Frame(1, 0.1, np.zeros((1, 1, 3), np.uint8)), [outside]) == []


@pytest.mark.parametrize(
    ("field", "value"), [("lost_seconds", 0.0), ("max_cost", -1.0), ("confirm_seconds", -0.1), ("place_spread", 0.0)]
)
def test_senseless_configuration_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{field}.*{value}"):
        IdentityConfig(**{field: value})


def test_max_people_below_one_is_refused() -> None:
    with pytest.raises(InputError, match=r"max_people.*got 0"):
        IdentityTracker(max_people=0)


def test_one_wrong_pose_does_not_change_how_large_somebody_is() -> None:
    """Who is about to be hidden is often seen in one, and was where they were before all the same."""
    figure, clothes = Figure(200.0), appearance_of(frame_of([Figure(200.0)], 0, 0.0).image, detection_of(Figure(200.0)))
    identity = Identity.begin(0.0, detection_of(figure), clothes)
    for index in range(1, 20):
        identity = identity.updated(index / 25, 1 / 25, detection_of(figure), None)
    right = identity.size
    assert right == pytest.approx(body_size(figure.landmarks))
    identity = identity.updated(20 / 25, 1 / 25, detection_of(replace(figure, height=3 * figure.height)), None)
    assert identity.size < 1.2 * right
