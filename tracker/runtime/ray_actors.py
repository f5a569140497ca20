"""One process a GPU on a Ray cluster, which goes from task to task: what it has loaded onto the GPU is loaded once, and
nobody else's copy lies beside it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from tracker.core.errors import InputError
from tracker.runtime.cores import set_core_share
from tracker.runtime.task_needs import TaskNeeds
from tracker.runtime.worker_processes import TaskLost, task_interrupt


class GpuHost:
    """What runs in such a process."""

    def __init__(self) -> None:
        from tracker.runtime.process import prepare_for_real_time  # loads much that others here need not

        prepare_for_real_time()

    def ready(self) -> None:
        """Answers when the process has its GPU."""

    def run(self, cores: int, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A task; one at a time."""
        set_core_share(cores)
        return fn(*args, **kwargs)

    def stop(self) -> None:
        """Asks the task to end where that is safe, while it runs."""
        task_interrupt().requested = True


@dataclass
class _GpuTask:
    future: Future[Any]
    call: tuple[Any, ...]
    """Of `GpuHost.run`."""
    lost: int = 0
    """Times that its process has died."""


class GpuActors:
    """Hands tasks to as many processes as the cluster has room for on its GPUs. A process that dies is replaced, its
    task given to another; after `needs.retries` of them it fails with TaskLost."""

    def __init__(self, ray: Any, needs: TaskNeeds) -> None:
        """ray: the module, connected. Raises InputError where no machine has so much of a GPU."""
        self._ray, self._needs = ray, needs
        self._host = ray.remote(
            num_cpus=needs.cores,
            num_gpus=needs.gpus,
            memory=needs.memory,
            concurrency_groups={"tasks": 1, "control": 1},
        )(GpuHost)
        self._lock = threading.RLock()
        self._tasks: deque[_GpuTask] = deque()
        self._starting: set[Any] = set()
        self._idle: list[Any] = []
        self._busy: dict[Any, _GpuTask] = {}
        if not self._room():
            raise InputError(f"--ray-gpus {needs.gpus:g}: no machine of the cluster has that much of a GPU")

    def submit(self, future: Future[Any], *call: Any) -> None:
        """Has `GpuHost.run` called, and puts what comes of it into the future."""
        with self._lock:
            self._tasks.append(_GpuTask(future, call))
            self._go_on()

    def stop(self) -> None:
        """Drops the tasks that wait, and asks those that run to end."""
        with self._lock:
            while self._tasks:
                future = self._tasks.popleft().future
                if not future.cancel():
                    future.set_exception(TaskLost("its process died, and the run was stopped before another began"))
            for host in self._busy:
                host.stop.options(concurrency_group="control").remote()

    def _room(self) -> int:
        """Processes that the GPUs of all machines that are there have room for."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(int(machine.get("GPU", 0) / self._needs.gpus + 1e-6) for machine in machines)

    def _go_on(self) -> None:
        """Gives tasks to processes that have none, and begins more of these where there is room."""
        while self._tasks and self._idle:
            task = self._tasks.popleft()
            if task.lost or task.future.set_running_or_notify_cancel():
                self._give(self._idle.pop(), task)
        there = len(self._starting) + len(self._idle) + len(self._busy)
        for _ in range(min(len(self._tasks) - len(self._starting), self._room() - there)):
            host = self._host.remote()
            self._starting.add(host)
            self._when_done(host.ready.options(concurrency_group="control").remote(), self._started, host)

    def _give(self, host: Any, task: _GpuTask) -> None:
        self._busy[host] = task
        self._when_done(host.run.options(concurrency_group="tasks").remote(*task.call), self._ended, host)

    def _when_done(self, reference: Any, then: Callable[[Any, Future[Any]], None], host: Any) -> None:
        def locked(done: Future[Any]) -> None:
            with self._lock:
                then(host, done)

        reference.future().add_done_callback(locked)

    def _started(self, host: Any, done: Future[Any]) -> None:
        self._starting.discard(host)
        if done.exception() is None:
            self._idle.append(host)
        self._go_on()

    def _ended(self, host: Any, done: Future[Any]) -> None:
        task, error = self._busy.pop(host), done.exception()
        if error is None or isinstance(error, self._ray.exceptions.RayTaskError):
            self._idle.append(host)
            if error is None:
                task.future.set_result(done.result())
            else:
                task.future.set_exception(error.cause)
        elif task.lost < self._needs.retries:
            task.lost += 1
            self._tasks.appendleft(task)
        else:
            task.future.set_exception(TaskLost(f"Ray has lost the task ({type(error).__name__}: {error})"))
        self._go_on()
