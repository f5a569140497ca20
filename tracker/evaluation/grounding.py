"""A clip as `track` leaves it, smoothed both ways in time and set on its floor, and how far off that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.body.person_builder import PersonBuilder
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.person import FrameRecord, Person
from tracker.evaluation.metrics import mean, relative_errors
from tracker.evaluation.scoring import Row
from tracker.evaluation.truth import Truth
from tracker.evaluation.world_errors import TrueWorld, world_errors
from tracker.pipeline import TrackerConfig
from tracker.smooth.smoothed_frames import last_betas, smoothed_frames
from tracker.world.body_track import FOOT_PARTS, contact_body
from tracker.world.contacts import contact_mask, settled_contacts
from tracker.world.gravity import Plane
from tracker.world.grounded import grounded_frames, surroundings

Match = Callable[[int, Sequence[Person]], Person | None]
"""Of the people of a frame the one who is meant."""


@dataclass(frozen=True)
class _Clip:
    """Frames in memory."""

    records: Sequence[FrameRecord]

    @property
    def times(self) -> Sequence[float]:
        return [record.time for record in self.records]

    def frames(self, chosen: slice = slice(None)) -> Iterator[FrameRecord]:
        return iter(self.records[chosen])


def grounding_rows(
    records: Sequence[FrameRecord], persons: PersonBuilder, config: TrackerConfig, match: Match, truth: Truth,
    world: TrueWorld,
) -> Row:  # fmt: skip
    """Of T frames as a tracker gave them out, one for each of the truth's.

    file_error (T, 24) mm with the roots brought together and file_depth (T,), the share by which the distance is off,
    NaN where the person was not found; of the whole clip, in each row: slide, contact_f1, floor_tilt, floor_height as
    `WorldErrors` has them.
    """
    count, camera = len(records), truth.camera
    rows = {"file_error": np.full((count, NUM_JOINTS), np.nan), "file_depth": np.full(count, np.nan)}
    names = ("slide", "contact_f1", "floor_tilt", "floor_height")
    people = {person.person_id for record in records for person in record.people}
    if not people:
        return rows | {name: np.full(count, np.nan) for name in names}
    smoothed = _Clip(list(smoothed_frames(records, last_betas(records), persons, camera, config.smooth.offline)))
    around = surroundings(smoothed.frames(), len(people), contact_body(persons.body), config.world)
    held = list(grounded_frames(smoothed, around, persons, camera)) if config.world.lock_feet else smoothed.records
    chosen = [match(frame, record.people) for frame, record in enumerate(held)]
    for frame, person in enumerate(chosen):
        if person is not None:
            joints, true = np.asarray(person.joints3d, float)[None], truth.joints3d[frame][None]
            rows["file_error"][frame] = relative_errors(joints, true, joints[:, 0], true[:, 0])[0]
            rows["file_depth"][frame] = abs(joints[0, 0, 2] / true[0, 0, 2] - 1)
    soles, contacts = _feet(held, chosen, persons, around.estimate.floor)
    errors = world_errors(around.estimate.world, soles, contacts, world)
    values = (errors.slide, errors.contact_f1, errors.tilt, errors.height)
    return rows | {name: np.full(count, value) for name, value in zip(names, values, strict=True)}


def _feet(
    records: Sequence[FrameRecord], chosen: Sequence[Person | None], persons: PersonBuilder, floor: Plane
) -> tuple[Array, NDArray[np.bool_]]:
    """(T, 4, 3) m of the soles of the identity that is meant in most frames, and (T, 4) whether they are planted; NaN
    where it is not. Whoever else is nearest while it is hidden does not slide for it."""
    soles = np.full((len(records), FOOT_PARTS, 3), np.nan)
    contacts = np.zeros((len(records), FOOT_PARTS), bool)
    meant = Counter(person.person_id for person in chosen if person is not None)
    if not meant:
        return soles, contacts
    ((key, _),) = meant.most_common(1)
    rows = [(i, person) for i, record in enumerate(records) for person in record.people if person.person_id == key]
    track = contact_body(persons.body).track(
        np.array([records[i].time for i, _ in rows]),
        np.stack([person.pose.theta for _, person in rows]),
        rows[-1][1].pose.betas,
        np.stack([person.pose.transl for _, person in rows]),
        np.stack([person.joint_confidence for _, person in rows]),
    )
    mask = contact_mask(settled_contacts(track, floor), len(rows))
    for row, (i, _) in enumerate(rows):
        person = chosen[i]
        if person is not None and person.person_id == key:
            soles[i], contacts[i] = track.points[row, :FOOT_PARTS], mask[row, :FOOT_PARTS]
    return soles, contacts


def grounding_figures(clips: Sequence[Row]) -> dict[str, float]:
    """By Metric.key: over all frames together, and of floors, feet and contacts the mean of the clips."""

    def of_clips(name: str) -> float:
        return mean(np.array([clip[name][0] for clip in clips]))

    return {
        "file_mpjpe": mean(np.concatenate([clip["file_error"] for clip in clips])),
        "file_depth": 100 * mean(np.concatenate([clip["file_depth"] for clip in clips])),
        "slide": of_clips("slide"),
        "contact_f1": 100 * of_clips("contact_f1"),
        "floor_tilt": of_clips("floor_tilt"),
    }
