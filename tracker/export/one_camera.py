"""Videos whose picture changes its size midway: the files that are written know one camera only."""

from __future__ import annotations

from collections.abc import Sequence

from tracker.body.person_builder import PersonBuilder
from tracker.core.camera import Camera
from tracker.core.frame import Frame
from tracker.core.person import Person


class OneCamera:
    """Puts the people of frames of any size into the pixels of one camera, and says so."""

    def __init__(self, persons: PersonBuilder, camera: Camera) -> None:
        """camera: that of the files."""
        self.warnings: list[str] = []
        self._persons, self._camera = persons, camera
        self._size = (camera.width, camera.height)

    def of_files(self, frame: Frame, people: Sequence[Person]) -> Sequence[Person]:
        """The people of a frame as they are to be written."""
        width, height = self._camera.width, self._camera.height
        if frame.size != self._size:
            self._size = frame.size
            self.warnings.append(
                f"from {frame.time:.2f} s on the picture has {frame.size[0]}×{frame.size[1]} pixels; "
                f"joints2d and bbox are in those of {width}×{height} throughout"
            )
        if frame.size == (width, height):
            return people
        return self._persons.seen_by(self._camera, people)
