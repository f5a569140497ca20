"""What has just happened, said over the live picture for a while and on the terminal."""

from __future__ import annotations

import logging
import textwrap
from time import perf_counter

log = logging.getLogger("tracker")

_SHOWN_SECONDS = 8.0
_LINE = 90
"""Letters; the key help is about as long."""


class Notice:
    """The last thing that was said."""

    def __init__(self) -> None:
        self._text, self._until = "", 0.0

    def say(self, text: str) -> None:
        """Something went as it should."""
        log.info("%s", text)
        self._show(text)

    def warn(self, text: str) -> None:
        """Something failed, and the run goes on."""
        log.warning("%s", text)
        self._show(text)

    def _show(self, text: str) -> None:
        self._text, self._until = text, perf_counter() + _SHOWN_SECONDS

    def lines(self) -> list[str]:
        """Of the picture; none when it is over."""
        return textwrap.wrap(self._text, _LINE) if perf_counter() < self._until else []
