"""What stops a run at a safe point, and what at once."""

from __future__ import annotations

import signal

import pytest

from tracker.runtime.interrupt import deferred_interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_one_only_asks(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with deferred_interrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(number)
        assert interrupt.requested
    assert signal.getsignal(number) is before


def test_a_second_one_interrupts() -> None:
    with deferred_interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt, match="what was under way may be unfinished"):
            signal.raise_signal(signal.SIGINT)
    assert interrupt.requested


def test_a_closed_terminal_says_so_several_times() -> None:
    with deferred_interrupt() as interrupt:
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
    assert interrupt.requested


def test_what_was_started_to_outlive_its_terminal_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred_interrupt() as interrupt:
            signal.raise_signal(signal.SIGHUP)
        assert not interrupt.requested
    finally:
        signal.signal(signal.SIGHUP, before)
