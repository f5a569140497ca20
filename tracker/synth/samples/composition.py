"""Puts what was rendered one before the other, averaged down to the sample's size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.synth.samples.rendering import RenderedMesh, shrink
from tracker.synth.samples.sample import SIZE


@dataclass(frozen=True, eq=False)
class Composition:
    """A picture and what hides the person in it."""

    image: NDArray[np.uint8]
    """(256, 256, 3)."""
    person: NDArray[np.bool_]
    """(256, 256) where the person is, hidden or not."""
    hidden: NDArray[np.bool_]
    """(256, 256) where something is in front of the person, or of where he would be."""

    def covered(self, mask: NDArray[np.bool_], covering: NDArray[np.uint8]) -> Composition:
        """With a picture (256, 256, 3) pasted over it inside a mask, its edge softened."""
        soft = cv2.blur(mask.astype(np.float32), (2, 2))[..., None]
        image = self.image + (covering.astype(np.float32) - self.image) * soft
        return Composition(np.rint(image).astype(np.uint8), self.person, self.hidden | mask)


def compose(
    person: RenderedMesh, front: RenderedMesh | None, background: NDArray[np.uint8], middle: float
) -> Composition:
    """The person and what is before or behind him, on a background (256, 256, 3).

    middle: m, how deep in the scene the person is where no part of him is seen.
    """
    there = person.face >= 0
    colour, hidden = person.colour, np.zeros_like(there)
    if front is not None:
        nearer = front.depth < person.depth
        hidden = nearer & (there | (front.depth < middle))
        colour = np.where(nearer[..., None], front.colour, colour)
    small = cv2.resize(colour, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    clear = cv2.merge([255 - small[..., 3]] * 3)
    image = cv2.add(small[..., :3], cv2.multiply(clear, background, scale=1 / 255))
    return Composition(np.asarray(image, np.uint8), shrink(there), shrink(hidden))


def inside(frame: Array, size: int) -> NDArray[np.bool_]:
    """(size, size) true where pixels lie within the frame (4,) xyxy px."""
    centres = np.arange(size) + 0.5
    across, down = ((frame[i] <= centres) & (centres < frame[i + 2]) for i in (0, 1))
    return down[:, None] & across
