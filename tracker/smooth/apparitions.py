"""Who of a recording is nobody.

Curtains and bedclothes in which the landmark network sees somebody are seen so in every frame, and their poses hardly
ever fit: such a person is believed for moments, and not for long. That shows in the course of a recording.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

_SHARE = 0.33
"""Of somebody's frames: who is believed in more is there."""
_SECONDS = 1.0
"""Who is believed for so long on end is there, however long they cannot be told afterwards."""
_ABSENCE = 0.5
"""s: who is away for so long is seen anew."""


@dataclass
class Credit:
    """How far somebody has been believed so far."""

    frames: int = 0
    believed: int = 0
    """Of the frames."""
    longest: float = 0.0
    """s, without a moment of doubt."""
    since: float | None = None
    """s: the beginning of the stretch that lasts; None where they are doubted."""
    last: float = 0.0
    """s, of the last frame."""

    def add(self, time: float, believed: bool) -> None:
        """Another frame, in order of time. time: s; believed: as `Person.believed`."""
        if time - self.last > _ABSENCE:
            self.since = None
        self.frames, self.last = self.frames + 1, time
        if not believed:
            self.since = None
            return
        self.believed += 1
        self.since = time if self.since is None else self.since
        self.longest = max(self.longest, time - self.since)

    @property
    def is_nobody(self) -> bool:
        """Whether they were seldom believed, and never for long."""
        return self.believed < _SHARE * self.frames and self.longest < _SECONDS


def apparitions(sightings: Iterable[tuple[int, float, bool]]) -> set[int]:
    """The identities that are nobody's. Of everybody in every frame, in order of time: identity, s, whether they are
    believed."""
    credits: defaultdict[int, Credit] = defaultdict(Credit)
    for person_id, time, believed in sightings:
        credits[person_id].add(time, believed)
    return {person_id for person_id, credit in credits.items() if credit.is_nobody}
