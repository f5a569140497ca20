"""How often Python looks for objects that only hold each other.

With its 700 new objects between two looks it looks hundreds of times while modules are loaded, a quarter of a second
in all, and several times in every frame, for hardly any.
"""

from __future__ import annotations

import gc

_WHILE_LOADING = 100_000
_WHILE_RUNNING = 20_000
"""New objects after which it looks."""


def seldom_collect() -> None:
    """Call it before anything is loaded: nothing of that is garbage."""
    gc.set_threshold(_WHILE_LOADING)


def keep_what_is_loaded() -> None:
    """Call it when everything is loaded: from now on only newer objects are looked at."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_WHILE_RUNNING)
