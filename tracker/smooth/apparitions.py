"""Who of a recording was nobody.

Curtains and bedclothes in which the landmark network sees somebody are seen so in every frame, and their poses hardly
ever fit: such a person is believed for moments, and not for long. That shows when all of a recording is known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.core.person import BELIEVED

_SHARE = 0.25
"""Of somebody's frames: who is believed in more is there."""
_SECONDS = 1.0
"""Who is believed for so long on end is there, however long they cannot be told afterwards."""


def apparitions(
    person_ids: NDArray[np.integer], times: NDArray[np.floating], confidence: NDArray[np.floating]
) -> set[int]:
    """The identities that are nobody's. Of everybody in every frame, in order of time: identity (n,), s (n,), that of
    the joint that is surest (n,)."""
    believed = confidence > BELIEVED
    nobody = set()
    for key in np.unique(person_ids).tolist():
        own = person_ids == key
        if believed[own].mean() < _SHARE and longest_stretch(times[own], believed[own]) < _SECONDS:
            nobody.add(key)
    return nobody


def longest_stretch(times: NDArray[np.floating], holds: NDArray[np.bool_]) -> float:
    """s: the longest time without a moment at which it does not hold. times: (n,) s ascending; holds: (n,)."""
    number = np.cumsum(~holds)[holds]
    if not len(number):
        return 0.0
    firsts = np.flatnonzero(np.diff(number, prepend=-1))
    lasts = np.append(firsts[1:], len(number)) - 1
    moments = times[holds]
    return float((moments[lasts] - moments[firsts]).max())
