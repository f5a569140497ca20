"""A Ray cluster as an executor: each task goes to a machine that has room for it, and to another when that one is lost.

Through Ray go only the tasks' arguments and results. Every machine of the cluster needs the tracker installed, and sees
the files under the same paths or addresses.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from tracker.core.errors import InputError
from tracker.runtime.cores import set_core_share
from tracker.runtime.ray_actors import GpuActors
from tracker.runtime.task_needs import TaskNeeds
from tracker.runtime.worker_processes import TaskLost

_log = logging.getLogger("tracker")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_SETUP = "tracker.runtime.blas.name_the_processor"
"""The first that a worker does: before numpy is imported."""
_ANSWER_SECONDS = 10.0
_USUAL = TaskNeeds()


class RayExecutor(Executor):
    """Runs tasks on a Ray cluster; use as a context manager. A task that all retries have lost fails with TaskLost.

    Tasks that need a GPU go to one process a GPU, which is kept; others to any worker that Ray has.
    """

    items = None
    """How far tasks are is not told through Ray."""

    def __init__(self, address: str, needs: TaskNeeds = _USUAL) -> None:
        """address: of the cluster's head, "auto" for the one that this machine belongs to.

        Raises InputError where Ray is missing or no cluster answers.
        """
        try:
            import ray
        except ImportError:
            raise InputError("--ray: Ray is not installed; pip install 'body-tracker[ray]'") from None
        self._ray, self._needs = ray, needs
        try:
            _require_answer(address)
            ray.init(address, log_to_driver=False, runtime_env={"worker_process_setup_hook": _SETUP})
        except Exception as error:  # Ray has many, for an address that is none, a cluster that is not there, …
            raise InputError(
                f"--ray {address}: no cluster answers there ({error}); start one with `ray start`"
            ) from error
        if not has_room(ray.nodes(), needs):
            wanted = f"{needs.cores:g} cores, {needs.gpus:g} GPUs, {needs.memory / 1e9:g} GB"
            _log.warning(f"--ray: no machine of the cluster has what a video asks for ({wanted}); waiting for one")
        self._under_way: dict[Future[Any], Any] = {}
        self._gpus: GpuActors | None = None
        if needs.gpus:
            try:
                self._gpus = GpuActors(ray, needs)
            except InputError:
                ray.shutdown()
                raise
        self._task = ray.remote(
            num_cpus=needs.cores,
            memory=needs.memory,
            max_retries=needs.retries,
        )(_run)

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """As every executor; function and arguments are pickled."""
        future: Future[Result] = Future()
        call = max(1, round(self._needs.cores)), fn, args, kwargs
        if self._gpus is not None:
            self._gpus.submit(future, *call)
            return future
        reference = self._task.remote(*call)
        self._under_way[future] = reference

        def pass_on(done: Future[Result]) -> None:
            self._under_way.pop(future, None)
            if not future.set_running_or_notify_cancel():
                return
            error = done.exception()
            if error is None:
                future.set_result(done.result())
            else:
                future.set_exception(self._told(error))

        reference.future().add_done_callback(pass_on)
        return future

    def _told(self, error: BaseException) -> BaseException:
        """What the task itself has raised; else that it was lost."""
        if isinstance(error, self._ray.exceptions.RayTaskError):
            return error.cause
        return TaskLost(f"Ray has lost the task ({type(error).__name__}: {error})")

    def stop(self) -> None:
        """Interrupts the tasks that run, and drops those that wait."""
        if self._gpus is not None:
            self._gpus.stop()
        for reference in list(self._under_way.values()):
            self._ray.cancel(reference)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leaves the cluster, which then ends whatever this program has still running there."""
        self._ray.shutdown()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self.shutdown()
        return None


def _require_answer(address: str) -> None:
    """Raises OSError where nobody answers at host:port, for which Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()


def has_room(nodes: Sequence[dict[str, Any]], needs: TaskNeeds) -> bool:
    """Whether a task fits on one of the machines, if nothing else is there.

    nodes: as `ray.nodes` gives them. A cluster that grows may have none yet.
    """
    wanted = {"CPU": needs.cores, "GPU": needs.gpus, "memory": needs.memory}
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    return any(all(machine.get(name, 0) >= amount for name, amount in wanted.items()) for machine in machines)


def _run(cores: int, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    set_core_share(cores)
    return fn(*args, **kwargs)
