"""Whether somebody is there at all.

People show what they are sooner or later: nearly all framings anew show one pose, once they are in plain sight. Things
that are taken for people hardly ever do, and do not move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# In runs of 23 real clips (as they are, in a mirror, brighter, darker, smaller, half of the person covered) all
# people but one, half hidden, were shown by eleven framings of twelve at some time, and those who kept still
# by 8.7 or more in the mean; of ten things that were taken for people nine by at most 6.0 in the mean and one, a rail,
# by 9.7, while the picture hardly changed. Two who lie still when a clip begins, played backwards, by 6.8 and 7.0.
_SURELY = 0.9
"""Of the framings anew, those that agree on somebody in plain sight."""
_STILL, _LATE = 0.52, 0.9
"""Nobody, where fewer agree in the mean and nothing moves; the second for those who were not in the first picture."""
_MOVING = 0.15
"""Nobody, where fewer do, and something moves: a chair that somebody pulls, a limb of somebody else."""
_HARDLY = 0.3
"""Nobody, where fewer agree in the only look."""
MOVED = 0.2
"""How much otherwise the picture about somebody looks once they have moved."""
_PLAIN_LOOKS = 3
"""In plain sight, from which on whoever keeps still is surely somebody."""


@dataclass(frozen=True)
class Look:
    """What is seen of somebody who is looked at several times, framed anew each time."""

    agreeing: float
    """0..1: of the framings, those that show their pose."""
    moved: float
    """0..2: how much the picture about them looks otherwise than when they were found."""
    thin: bool = False
    """Whether they are as long and thin as a curtain rail."""


@dataclass(frozen=True)
class Existence:
    """What closer looks have shown of somebody."""

    looks: tuple[Look, ...] = ()
    late: bool = False
    """Whether they were found in a later picture than the first: people do not come without moving."""
    moves: bool = False
    """Whether they were seen to move between looks."""

    def after(self, look: Look) -> Existence:
        """Once they have been looked at again."""
        return replace(self, looks=(*self.looks, look))

    def moving(self) -> Existence:
        """Once they are seen to move."""
        return replace(self, moves=True)

    def then(self, later: Existence) -> Existence:
        """What is known once there is something later of the same person, who may have been lost in between."""
        known_better = len(later.looks) >= len(self.looks) or later.is_sure
        return later if known_better and not self.is_sure else self

    @property
    def is_sure(self) -> bool:
        """Whether there is somebody, whatever is seen of them later."""
        moved = self.moves or any(look.moved >= MOVED for look in self.looks)
        return self._plain >= (1 if moved else _PLAIN_LOOKS)

    @property
    def was_in_plain_sight(self) -> bool:
        """Whether nearly all framings have shown them once."""
        return self._plain > 0

    @property
    def kept_still(self) -> bool:
        """Whether they had not moved yet when they were looked at last."""
        return not self.looks or self.looks[-1].moved < MOVED

    @property
    def is_nobody(self) -> bool:
        """Whether there is nobody, as far as one can tell by now."""
        if self.is_sure or not self.looks:
            return False
        agreeing = float(np.mean([look.agreeing for look in self.looks]))
        if len(self.looks) == 1:
            return agreeing < _HARDLY
        still = _LATE if self.late or self._is_thin else _STILL
        return agreeing < (_MOVING if self._is_moving else still)

    @property
    def _is_thin(self) -> bool:
        """In half of the looks or more."""
        return 2 * sum(look.thin for look in self.looks) >= len(self.looks)

    @property
    def _is_moving(self) -> bool:
        """In the mean, or in the last two looks: at times somebody who passes makes a thing move."""
        moved = [look.moved for look in self.looks]
        return bool(np.mean(moved) >= MOVED or min(moved[-2:]) >= MOVED)

    @property
    def _plain(self) -> int:
        return sum(look.agreeing >= _SURELY and not look.thin for look in self.looks)
