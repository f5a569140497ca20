"""What is drawn of a body, in numpy: it goes to a process that draws, which does not load torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker.body.skinner import Skinner, skinner_of

if TYPE_CHECKING:
    from tracker.body.model import BodyModel


@dataclass(frozen=True, eq=False)
class DrawnBody:
    """The mesh that is drawn for a body."""

    skinner: Skinner
    weights: NDArray[np.float32]
    """(V, 24): how far each joint moves each vertex."""


@lru_cache(maxsize=4)
def drawn_body(body: BodyModel) -> DrawnBody:
    """What to draw for a body: of the built-in one the mannequin, a user's own as it is."""
    from tracker.body.mannequin import mannequin

    return DrawnBody(skinner_of(mannequin(body)), np.asarray(body.weights.cpu().numpy(), np.float32))
