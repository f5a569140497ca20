"""An evaluation's work: its cases one by one, in parallel, so that a run that was stopped goes on where it was.

The folder of a run holds one table a case.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from tqdm import tqdm

from tracker.core.errors import InputError, RunError
from tracker.evaluation.scoring import Row
from tracker.export.files import atomic_file
from tracker.runtime.cache import cache_folder
from tracker.runtime.interrupt import Interrupt

CASES, SETTINGS = "cases", "settings.json"
_CODE = Path(__file__).parents[1]


class AnyCase(Protocol):
    """A piece of an evaluation that is worked through on its own; hashable."""

    @property
    def name(self) -> str:
        """Unique within the evaluation, fit for a file's name."""
        ...


CaseT = TypeVar("CaseT", bound=AnyCase)


class Bench(Protocol[CaseT]):
    """An evaluation's cases and what they are worked through with; goes to other processes, so it is picklable."""

    def describe(self) -> dict[str, Any]:
        """Everything that the figures depend on, but the code."""
        ...

    def cases(self) -> Sequence[CaseT]:
        """All cases, in the order of the report."""
        ...

    def preparations(self) -> Sequence[Callable[[], object]]:
        """What several cases need, to be done before any of them."""
        ...

    def run(self, case: CaseT) -> Row:
        """The table of one case, the same every time."""
        ...


@dataclass(frozen=True)
class EvaluationJob:
    """Where an evaluation's results go, and how it is run."""

    out: Path
    workers: int = 4
    overwrite: bool = False


def picture_cache() -> Path:
    """Where drawn pictures are kept from run to run."""
    return cache_folder() / "evaluation"


def run_cases(job: EvaluationJob, bench: Bench[CaseT], interrupt: Interrupt) -> dict[CaseT, Row]:
    """The tables of all cases, those of an earlier, unfinished run of the same settings among them.

    Raises InputError when the folder holds results of other settings, RunError when something fails, and
    KeyboardInterrupt, with every finished case kept, when the user asks to stop.
    """
    cases = bench.cases()
    prepare(job, bench.describe())
    left = [case for case in cases if not _table_path(job.out, case).exists()]
    if left:
        _in_parallel(job.workers, bench.preparations(), ("drawing", interrupt))
        _in_parallel(job.workers, [partial(_run_one, bench, job.out, case) for case in left], ("tracking", interrupt))
    return {case: _read(_table_path(job.out, case)) for case in cases}


def prepare(job: EvaluationJob, description: dict[str, Any]) -> None:
    """Makes the folder ready for this run's tables. Raises InputError when it holds those of other settings."""
    described = json.dumps(description | {"code": _code_digest()}, indent=1, default=str)
    path = job.out / SETTINGS
    try:
        (job.out / CASES).mkdir(parents=True, exist_ok=True)
        if job.overwrite:
            for old in (*(job.out / CASES).glob("*.npz"), path):
                old.unlink(missing_ok=True)
        if path.exists() and path.read_text(encoding="utf-8") != described:
            raise InputError(
                f"--out {job.out}: holds an evaluation of other settings or of other code; "
                "pass --overwrite to replace it, or another --out"
            )
        path.write_text(described, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {job.out}: cannot be written ({error.strerror or error})") from error


@lru_cache(maxsize=1)
def _code_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_CODE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _table_path(out: Path, case: AnyCase) -> Path:
    return out / CASES / f"{case.name}.npz"


def _read(path: Path) -> Row:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _run_one(bench: Bench[CaseT], out: Path, case: CaseT) -> None:
    table = bench.run(case)
    with atomic_file(_table_path(out, case)) as stream:
        np.savez_compressed(stream, **table)


def _in_parallel(workers: int, jobs: Sequence[Callable[[], object]], shown: tuple[str, Interrupt]) -> None:
    """Does all jobs, in processes of their own, under a progress bar.

    After an interrupt nothing new is begun, and what is not finished is broken off: it can be done again.
    """
    label, interrupt = shown
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _quiet_worker) as pool:
        waiting: set[Future[object]] = {pool.submit(job) for job in jobs}
        with tqdm(total=len(jobs), desc=label, unit="case", disable=None) as bar:
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when="FIRST_COMPLETED")
                failed = next((future.exception() for future in done if future.exception()), None)
                bar.update(len(done))
                if failed is not None or interrupt.requested:
                    pool.shutdown(wait=False, cancel_futures=True)
                    for process in multiprocessing.active_children():
                        process.terminate()
                    interrupt.check()
                    raise failed if isinstance(failed, InputError | RunError) else RunError(f"{label}: {failed!r}")


def _quiet_worker() -> None:
    """Leaves Ctrl-C to the first process, and the cores to the other workers."""
    import cv2
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
