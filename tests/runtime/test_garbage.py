"""How often Python looks for garbage, while it loads and afterwards."""

from __future__ import annotations

from tests.programs import run_python

_THRESHOLDS = """
import gc
from tracker.runtime.garbage import keep_what_is_loaded, seldom_collect
seldom_collect()
print(gc.get_threshold()[0], gc.isenabled())
keep_what_is_loaded()
print(gc.get_threshold()[0], gc.isenabled(), gc.get_freeze_count() > 1000)
"""


def test_garbage_is_seldom_looked_for_while_modules_are_loaded_and_oftener_afterwards() -> None:
    assert run_python(_THRESHOLDS).stdout.split() == ["100000", "True", "20000", "True", "True"]
