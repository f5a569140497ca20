"""Two landmark networks that see one crop know more together than either.

Where another landmark network than the full one follows people, the full one runs as well, for the maps that the
picture's networks read, so that its landmarks cost nothing. Over made-up people the mean of its metres and the heavy
one's is off by 77 mm where they are off by 80 and 87; where their pixels are far apart, both are mostly wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.detect.crop_landmarks import FULL, READ, CropLandmarks

SECOND = {name: f"second_{name}" for name in READ}
"""What a crop's maps call the full network's landmarks beside another's."""
_SHARE = 0.35
"""What the second opinion counts of where a landmark is in the picture, while the two agree."""
_APART = 0.03
"""Of a person's size: so far apart its share is halved."""
_SMALLEST = 8.0
_ODDS = 2.2
"""What the odds of the less sure of the two, which are lower than either's in the mean, are taken times."""


def second_landmarks(maps: Mapping[str, NDArray[np.float32]]) -> CropLandmarks | None:
    """What the full network says of a crop, where the maps tell."""
    if not all(name in maps for name in SECOND.values()):
        return None
    return CropLandmarks.read({name: maps[second] for name, second in SECOND.items()}, FULL)


def agreed(detection: Detection, second: CropLandmarks) -> Detection:
    """What both say. second: in the frame's pixels, along its camera's axes."""
    first = detection.landmarks2d
    size = max(float(np.ptp(first, axis=0).max()), _SMALLEST)
    apart = np.linalg.norm(second.landmarks2d - first, axis=1, keepdims=True) / size
    share = _SHARE / (1 + (apart / _APART) ** 2)
    return replace(
        detection,
        landmarks2d=first + share * (second.landmarks2d - first),
        landmarks3d=(detection.landmarks3d + second.landmarks3d) / 2,
        visibility=_surer(np.minimum(detection.visibility, second.visibility)),
    )


def _surer(visibility: Array) -> Array:
    return _ODDS * visibility / (1 + (_ODDS - 1) * visibility)
