"""A whole clip set on its floor: the world's frame is told from everybody, then planted feet are held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tracker.body.person_builder import PersonBuilder
from tracker.core.camera import Camera
from tracker.core.person import FrameRecord, Person, Pose
from tracker.world.body_track import BodyTrack, contact_body
from tracker.world.contacts import contacts_of
from tracker.world.estimate import WorldEstimate, estimate_world
from tracker.world.foot_lock import locked
from tracker.world.world_config import WorldConfig


def grounded_frames(
    records: Sequence[FrameRecord], persons: PersonBuilder, camera: Camera, config: WorldConfig
) -> tuple[list[FrameRecord], WorldEstimate]:
    """The frames with everybody's feet held where they are planted, as far as the configuration wants it, and the world
    around the camera, which stands still.

    records: each identity has one β throughout, as `smoothed_frames` leaves them.
    """
    places = _appearances(records)
    body = contact_body(persons.body)
    tracks = {key: _track(records, key, rows, persons) for key, rows in places.items()}
    estimate = estimate_world(list(tracks.values()), config)
    if not config.lock_feet:
        return list(records), estimate
    grounded: dict[tuple[int, int], Person] = {}
    for key, track in tracks.items():
        held = locked(track, contacts_of(track, estimate.floor), estimate.floor, body)
        for number, i in enumerate(places[key]):
            person = _person(records[i], key)
            theta = held.theta[number]
            pose = Pose(theta[0], theta[1:].reshape(-1), person.pose.betas, held.transl[number])
            grounded[i, key] = persons.posed(pose, camera, person)
    frames = [replace(r, people=[grounded[i, p.person_id] for p in r.people]) for i, r in enumerate(records)]
    return frames, estimate


def _appearances(records: Sequence[FrameRecord]) -> dict[int, list[int]]:
    """Identity → the rows of `records` that it is in, by identity."""
    rows: dict[int, list[int]] = {}
    for i, record in enumerate(records):
        for person in record.people:
            rows.setdefault(person.person_id, []).append(i)
    return dict(sorted(rows.items()))


def _track(records: Sequence[FrameRecord], key: int, rows: Sequence[int], persons: PersonBuilder) -> BodyTrack:
    people = [_person(records[i], key) for i in rows]
    return contact_body(persons.body).track(
        times=np.array([records[i].time for i in rows]),
        theta=np.stack([person.pose.theta for person in people]),
        betas=people[-1].pose.betas,
        transl=np.stack([person.pose.transl for person in people]),
        confidence=np.stack([person.joint_confidence for person in people]),
    )


def _person(record: FrameRecord, key: int) -> Person:
    return next(person for person in record.people if person.person_id == key)
