"""What all tests share: one thread for BLAS, as the tracker has it, since its matrices are small; Ctrl-C as a terminal
gives it, since what a script starts in the background ignores it; and the landmark network of mediapipe's wheel,
whatever else this machine has, so that figures are the same everywhere."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from tracker.networks import landmark_files

threadpool_limits(limits=1, user_api="blas")
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def only_the_wheels_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmark_files, "models_folder", lambda: Path("no models here"))


@pytest.fixture(autouse=True)
def what_is_set_for_programs_goes_with_the_test() -> Iterator[None]:
    """The command line sets environment variables for the processes that it starts: those of later tests go without."""
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})
