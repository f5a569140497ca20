"""The people in a picture of which nothing is known: found, and seen each in their own region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tracker.detect.candidate import Candidate, in_frame
from tracker.detect.detect_config import DetectConfig
from tracker.detect.follow import Follower, Region
from tracker.detect.person_finder import PersonFinder
from tracker.detect.pose_reading import PoseReading
from tracker.detect.region_search import half_hidden_people
from tracker.runtime.engine_config import EngineConfig


class PictureLandmarker:
    """A person detector, and somebody else's landmark network. It belongs to one thread at a time."""

    def __init__(self, finder: PersonFinder, follower: Follower, config: DetectConfig) -> None:
        self._finder, self.follower, self._config = finder, follower, config

    @classmethod
    def open(cls, config: DetectConfig, engine: EngineConfig, follower: Follower) -> PictureLandmarker:
        """Raises InputError for a file that cannot be used, RunError when no engine runs the person detector."""
        return cls(PersonFinder(engine, config.task_file), follower, config)

    def close(self) -> None:
        """Frees the person detector."""
        self._finder.close()

    def read(self, image: NDArray[np.uint8], min_detection: float, known: Sequence[Region] = ()) -> list[PoseReading]:
        """The poses in an (h, w, 3) RGB picture, of at most max_people people, the surest first.

        known: where people are who need not be seen again. Raises RunError when an engine fails.
        """
        everybody = self._finder.find(image, min_detection)
        regions = [region for region in everybody if not any(region.is_about(each) for each in known)]
        answers = self.follower.follow(image, regions[: self._config.max_people])
        size = image.shape[1], image.shape[0]
        sure = (each for each in answers if each.presence >= self._config.min_presence)
        return [in_frame(each.reading, each.crop.T_frame_crop, size) for each in sure]

    def half_hidden(self, image: NDArray[np.uint8]) -> list[Candidate]:
        """Whom the landmark network finds by itself in a picture in which the person detector sees nobody.

        It takes as long as a hundred people who are followed. Raises RunError when the engine fails.
        """
        return half_hidden_people(self.follower, image, self._config)
