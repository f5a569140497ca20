"""One person as the identity tracker remembers them: where they were, how they moved, what they wear."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.existence import Existence
from tracker.detect.clothing_colour import Appearance, blended
from tracker.detect.similarity import BODY_POINTS, body_size

_VELOCITY_SECONDS = 0.15
"""Time constant of the velocity's running mean."""
_COAST_SECONDS = 0.5
"""Time constant with which a person who is not seen is taken to slow down."""
_TOP_SPEED = 15.0
"""Body sizes per second: about 7 m/s, a fast run; faster steps are the detector's."""
_APPEARANCE_SECONDS = 2.0
_SIZE_SECONDS = 0.5
"""Time constant of the size's running mean."""
_HIDDEN_WEIGHT = 0.1
"""What a landmark that is not visible still counts."""
_MISS_FACTOR = 2.0
"""How much faster a miss takes standing away from a person without identity than a sighting adds to it."""


@dataclass(frozen=True)
class Identity:
    """A person whom the tracker follows."""

    person_id: int | None
    """None until the person is confirmed."""
    first_seen: float
    last_seen: float
    """s."""
    standing: float
    """Seconds in view; until the person is confirmed, misses are taken off."""
    sightings: int
    landmarks: Array
    """(33, 2) px when last seen."""
    visibility: Array
    velocity: Array
    """(2,) px/s of the body as a whole."""
    appearance: Appearance
    size: float
    """px, `body_size`: of a while, since who is about to be hidden is often seen in a wrong pose at last."""
    existence: Existence
    """What closer looks have shown of whether they are there at all."""

    @classmethod
    def begin(cls, time: float, detection: Detection, appearance: Appearance) -> Identity:
        """A person seen for the first time."""
        landmarks, visibility = detection.landmarks2d, detection.visibility
        size, existence = body_size(landmarks), detection.existence
        return cls(None, time, time, 0.0, 1, landmarks, visibility, np.zeros(2), appearance, size, existence)

    def absence(self, time: float) -> float:
        """Seconds since the person was seen."""
        return max(0.0, time - self.last_seen)

    def predicted(self, time: float) -> Array:
        """(33, 2) px: the last pose, carried on by the body's velocity, which fades away."""
        travelled = _COAST_SECONDS * (1 - math.exp(-self.absence(time) / _COAST_SECONDS))
        return self.landmarks + travelled * self.velocity

    def distance(self, time: float, detection: Detection) -> float:
        """How far the detection is from the predicted pose, in body sizes: half by its points, half by its centre.

        Points tell people apart who stand together; the centre is right also where the detector takes a lying person's
        head for the feet. The better of the pose and its mirror image counts: detectors exchange left and right on
        people's backs.
        """
        predicted, detected = self.predicted(time)[BODY_POINTS], detection.landmarks2d
        size = (body_size(self.landmarks) + body_size(detected)) / 2
        weights = np.sqrt(self.visibility * detection.visibility)[BODY_POINTS] + _HIDDEN_WEIGHT
        weights /= weights.sum()
        poses = (detected[BODY_POINTS], detected[MEDIAPIPE.mirror][BODY_POINTS])
        by_points = min(float(weights @ np.linalg.norm(predicted - pose, axis=1)) for pose in poses)
        by_centre = float(np.linalg.norm(weights @ (predicted - poses[0])))
        return (by_points + by_centre) / (2 * size)

    def displacement(self, time: float, detection: Detection) -> float:
        """How far the middle of the body is from where it was to be expected, in body sizes, whatever the pose."""
        moved = (self.predicted(time) - detection.landmarks2d)[BODY_POINTS].mean(axis=0)
        return 2 * float(np.linalg.norm(moved)) / (self.size + body_size(detection.landmarks2d))

    def known_as(self, other: Identity, appearance: Appearance) -> Identity:
        """What is seen here, of the other person, who wears that: where two were taken for each other."""
        return replace(
            self,
            person_id=other.person_id,
            first_seen=other.first_seen,
            standing=other.standing,
            sightings=other.sightings,
            appearance=appearance,
            existence=other.existence,
        )

    def scaled(self, factor: float) -> Identity:
        """The same in pictures that are larger by this factor."""
        return replace(
            self, landmarks=factor * self.landmarks, velocity=factor * self.velocity, size=factor * self.size
        )

    def missed(self, frame_step: float) -> Identity:
        """The track after a frame without the person, frame_step s after the frame before."""
        if self.person_id is not None:
            return self
        return replace(self, standing=max(0.0, self.standing - _MISS_FACTOR * frame_step))

    def updated(self, time: float, frame_step: float, detection: Detection, appearance: Appearance | None) -> Identity:
        """The track with a new sighting, frame_step s after the frame before.

        appearance is None where it cannot be trusted.
        """
        step = self.absence(time)
        return replace(
            self,
            last_seen=time,
            standing=self.standing + frame_step,
            sightings=self.sightings + 1,
            landmarks=detection.landmarks2d,
            visibility=detection.visibility,
            velocity=self._new_velocity(step, detection),
            appearance=self._new_appearance(step, appearance),
            size=self.size + self._rate(step, _SIZE_SECONDS) * (body_size(detection.landmarks2d) - self.size),
            existence=self.existence.then(detection.existence),
        )

    def _new_velocity(self, step: float, detection: Detection) -> Array:
        if step == 0:
            return self.velocity
        # the median over the body's points: swinging limbs and single wrong points do not move the body
        moved = np.sort((detection.landmarks2d - self.landmarks)[BODY_POINTS], axis=0)
        measured = moved[len(moved) // 2] / step
        speed = float(np.linalg.norm(measured)) / body_size(detection.landmarks2d)
        measured = measured * min(1.0, _TOP_SPEED / max(speed, 1e-9))
        return self.velocity + (1 - math.exp(-step / _VELOCITY_SECONDS)) * (measured - self.velocity)

    def _new_appearance(self, step: float, appearance: Appearance | None) -> Appearance:
        if appearance is None:
            return self.appearance
        return blended(self.appearance, appearance, self._rate(step, _APPEARANCE_SECONDS))

    def _rate(self, step: float, seconds: float) -> float:
        """What a sighting counts in a running mean over so many seconds, which begins with the mean of all."""
        return max(1 / (self.sightings + 1), 1 - math.exp(-step / seconds))


@dataclass(frozen=True)
class Reappearance:
    """Somebody with a new identity, followed back as far as they are seen: maybe one who has been here before."""

    person_id: int
    time: float
    """s, of the first sighting."""
    first: Detection
    """Where they are then,"""
    plainest: Detection
    """and the sighting that shows best how large they are."""
