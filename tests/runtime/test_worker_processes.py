"""Processes beside each other: one may die alone, all stop when asked, and none outlives the one that began them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ROOT
from tracker.runtime.worker_processes import TaskLost, WorkerProcesses, count_item, task_interrupt


def square(number: int) -> int:
    count_item()
    return number * number


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_to_be_stopped(begun: str) -> str:
    Path(begun).write_text(str(os.getpid()))
    while not task_interrupt().requested:
        time.sleep(0.01)
    return "stopped"


def begun_at(path: Path) -> int:
    """The process that has written its number there."""
    while not (path.exists() and path.read_text()):
        time.sleep(0.01)
    return int(path.read_text())


def test_a_process_that_dies_costs_its_own_task_only() -> None:
    with WorkerProcesses(2) as processes:
        before = [processes.submit(square, number) for number in range(3)]
        with pytest.raises(TaskLost, match="died"):
            processes.submit(die).result()
        after = [processes.submit(square, number) for number in range(3, 6)]
        assert [each.result() for each in before + after] == [0, 1, 4, 9, 16, 25]
        assert processes.items == 6


def test_what_a_task_raises_is_raised_where_its_result_is_taken() -> None:
    with WorkerProcesses(1) as processes, pytest.raises(TypeError, match="multiply"):
        processes.submit(square, "x").result()


def test_tasks_stop_when_they_are_asked_to(tmp_path: Path) -> None:
    with WorkerProcesses(1) as processes:
        task = processes.submit(wait_to_be_stopped, str(tmp_path / "begun"))
        pid = begun_at(tmp_path / "begun")
        os.kill(pid, signal.SIGINT)  # as a terminal does to the whole group
        processes.stop()
        assert task.result() == "stopped"


def test_an_exception_ends_the_processes_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), WorkerProcesses(1) as processes:
        task = processes.submit(wait_to_be_stopped, str(tmp_path / "begun"))
        begun_at(tmp_path / "begun")
        raise KeyboardInterrupt
    assert isinstance(task.exception(), TaskLost)


def test_no_process_outlives_the_one_that_began_it(tmp_path: Path) -> None:
    code = f"""
from tests.runtime.test_worker_processes import *
if __name__ == "__main__":
    with WorkerProcesses(1) as processes:
        processes.submit(wait_to_be_stopped, {str(tmp_path / "begun")!r}).result()
"""
    (tmp_path / "script.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(tmp_path / "script.py")], env=environment) as process:
        pid = begun_at(tmp_path / "begun")
        process.kill()
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.05)
