"""An evaluation from beginning to end: draws what is missing, works through the cases in parallel, leaves a report.

The folder of a run holds one table a case; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from tracker.errors import InputError, RunError
from tracker.evaluation.cases import Bench, Case, SyntheticSettings, all_cases, all_scenes
from tracker.evaluation.scoring import Row
from tracker.evaluation.synthetic import PictureStore, SceneKey, version
from tracker.export.files import atomic_file
from tracker.interrupt import Interrupt
from tracker.pipeline import TrackerConfig

CACHE = Path(__file__).parents[2] / ".cache" / "evaluation"
CASES, SETTINGS = "cases", "settings.json"
_CODE = Path(__file__).parents[1]

Job = TypeVar("Job")


@dataclass(frozen=True)
class EvaluationJob:
    """What the user asked for."""

    out: Path
    settings: SyntheticSettings
    workers: int = 4
    overwrite: bool = False
    cache: Path = CACHE


def run_cases(job: EvaluationJob, config: TrackerConfig, interrupt: Interrupt) -> dict[Case, Row]:
    """The tables of all cases, those of an earlier, unfinished run of the same settings among them.

    Raises InputError when the folder holds results of other settings, RunError when something fails, and
    KeyboardInterrupt, with every finished case kept, when the user asks to stop.
    """
    prepare(job, config)
    bench = Bench(job.settings, config, PictureStore(job.cache))
    cases = all_cases(job.settings)
    left = [case for case in cases if not _table_path(job.out, case).exists()]
    if left:
        _in_parallel(job.workers, partial(_draw_one, bench.store), all_scenes(job.settings), ("drawing", interrupt))
        # clips are long: started last they would keep one process busy while the others wait
        longest_first = sorted(left, key=lambda case: case.kind)
        _in_parallel(job.workers, partial(_run_one, bench, job.out), longest_first, ("tracking", interrupt))
    return {case: _read(_table_path(job.out, case)) for case in cases}


def prepare(job: EvaluationJob, config: TrackerConfig) -> None:
    """Makes the folder ready for this run's tables. Raises InputError when it holds those of other settings."""
    described = json.dumps(describe(job.settings, config), indent=1, default=str)
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


def describe(settings: SyntheticSettings, config: TrackerConfig) -> dict[str, Any]:
    """Everything that the figures depend on."""
    return {"settings": asdict(settings), "tracker": asdict(config), "code": _code_digest(), "pictures": version()}


def _code_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_CODE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _table_path(out: Path, case: Case) -> Path:
    return out / CASES / f"{case.name}.npz"


def _read(path: Path) -> Row:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _draw_one(store: PictureStore, key: SceneKey) -> None:
    store.prepare(key)


def _run_one(bench: Bench, out: Path, case: Case) -> None:
    table = bench.run(case)
    with atomic_file(_table_path(out, case)) as stream:
        np.savez_compressed(stream, **table)


def _in_parallel(workers: int, work: Callable[[Job], None], jobs: Sequence[Job], shown: tuple[str, Interrupt]) -> None:
    """Does all jobs, in processes of their own, under a progress bar; nothing new is begun after an interrupt."""
    label, interrupt = shown
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _quiet_worker) as pool:
        waiting: set[Future[None]] = {pool.submit(work, job) for job in jobs}
        with tqdm(total=len(jobs), desc=label, unit="case", disable=None) as bar:
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when="FIRST_COMPLETED")
                failed = next((future.exception() for future in done if future.exception()), None)
                bar.update(len(done))
                if failed is not None or interrupt.requested:
                    pool.shutdown(wait=True, cancel_futures=True)
                    interrupt.check()
                    raise failed if isinstance(failed, InputError | RunError) else RunError(f"{label}: {failed!r}")


def _quiet_worker() -> None:
    """Leaves Ctrl-C to the first process, and the cores to the other workers."""
    import cv2
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
