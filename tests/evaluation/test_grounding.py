"""What a clip's files would be off by, told from a tracker whose errors are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.world.test_world import CAMERA, camera_frame, noisy, walker
from tracker.body import load_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.person import FrameRecord, Person, Pose
from tracker.evaluation.grounding import _feet, grounding_figures, grounding_rows
from tracker.evaluation.scoring import Row
from tracker.evaluation.truth import Truth
from tracker.evaluation.world_errors import TrueWorld
from tracker.pipeline import TrackerConfig
from tracker.world.body_track import BodyTrack
from tracker.world.gravity import Plane
from tracker.world.world_config import WorldConfig

PERSONS = PersonBuilder(load_body(None))
CONFIG = TrackerConfig()
STEP = 3
"""Frames of the walker for one that is seen."""


def rows_of(track: BodyTrack | None, config: TrackerConfig = CONFIG) -> Row:
    """Of what a tracker gave out that saw the walker as this track; None: nobody."""
    true, standing = walker()[0].rows(slice(None, None, STEP)), walker()[1][::STEP]
    poses = true.theta, true.betas, true.transl
    unused = np.zeros((len(true.times), 4))
    truth = Truth(true.times, *poses, CAMERA, load_body(None).name, true.joints, unused, unused[:, 0])
    records = [
        FrameRecord(row, float(time), [] if track is None else [seen(track, STEP * row)])
        for row, time in enumerate(true.times)
    ]
    world = TrueWorld(camera_frame(), standing)
    return grounding_rows(records, PERSONS, config, lambda _, people: people[0] if people else None, truth, world)


def seen(track: BodyTrack, row: int) -> Person:
    theta = track.theta[row]
    pose = Pose(theta[0], theta[1:].reshape(-1), track.betas, track.transl[row])
    return PERSONS.person(0, pose, CAMERA, np.ones(24), 0.0)


@pytest.fixture(scope="module")
def found() -> Row:
    return rows_of(noisy(walker()[0]))


def test_a_perfect_tracker_has_hardly_any_error() -> None:
    figures = grounding_figures([rows_of(walker()[0])])
    assert figures["file_mpjpe"] < 12 and figures["file_depth"] < 1, "smoothing rounds steps off a little"
    assert figures["slide"] < 2 and figures["contact_f1"] > 90 and figures["floor_tilt"] < 1


def test_held_feet_slide_less_than_as_they_were_fitted(found: Row) -> None:
    loose = rows_of(noisy(walker()[0]), replace(CONFIG, world=WorldConfig(lock_feet=False)))
    held, fitted = grounding_figures([found]), grounding_figures([loose])
    assert held["slide"] < 0.6 * fitted["slide"]
    assert held["file_depth"] < fitted["file_depth"]
    assert held["floor_tilt"] == fitted["floor_tilt"] < 2


def test_nobody_found_leaves_no_figure_and_clips_count_alike(found: Row) -> None:
    nobody = rows_of(None)
    assert {len(values) for values in nobody.values()} == {len(found["slide"])}
    assert all(np.isnan(value) for value in grounding_figures([nobody]).values())
    assert grounding_figures([found, nobody])["slide"] == found["slide"][0]
    other = {name: values + 2.0 for name, values in found.items()}
    assert grounding_figures([found, other])["slide"] == pytest.approx(found["slide"][0] + 1.0)


def test_whoever_is_nearest_while_the_person_is_hidden_does_not_slide_for_them() -> None:
    track = walker()[0].rows(slice(0, 60))
    away = replace(track, transl=track.transl + np.array([0.6, 0.0, 0.0]))
    alone = [FrameRecord(row, float(track.times[row]), [seen(track, row)]) for row in range(60)]
    other = [replace(seen(away, row), person_id=1) if 20 <= row < 25 else alone[row].people[0] for row in range(60)]
    floor = Plane(camera_frame().up, camera_frame().camera_height)
    soles, contacts = _feet(alone, [record.people[0] for record in alone], PERSONS, floor)
    crossed = [replace(record, people=[person]) for record, person in zip(alone, other, strict=True)]
    seen_soles, seen_contacts = _feet(crossed, other, PERSONS, floor)
    hidden = np.arange(60) // 5 == 4
    assert np.isnan(seen_soles[hidden]).all() and not seen_contacts[hidden].any()
    np.testing.assert_allclose(seen_soles[~hidden], soles[~hidden], atol=1e-6)
    assert (seen_contacts[~hidden] == contacts[~hidden]).mean() > 0.95
