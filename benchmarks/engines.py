"""Times every engine of this machine on the landmark network, in one run.

    python run.py bench engines [--quick] [--out FILE]

The engines take turns, so that a busy moment of a shared machine hits all of them. Medians and quartiles in
milliseconds, and the ratio to torch on as many threads. Writes JSON with machine and commit.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from engines import BackendError, Engine, EngineOptions, ModelError, open_engine
from engines.choose import BACKENDS, is_installed
from engines.engine import Precision
from tracker.app.engine_commands import example_inputs, timed
from tracker.core.atomic_file import write_whole
from tracker.networks.landmark_network import FEATURES
from tracker.networks.landmark_onnx import OUTPUTS, landmark_model

RESULTS = Path(__file__).parent / "results"
_LANDMARKS = ("landmarks", "presence", "metric")
WANTED: dict[str, tuple[str, ...]] = {
    "landmarks": _LANDMARKS,
    "landmarks, heatmaps": (*_LANDMARKS, "heatmaps"),
    "all but the features": tuple(name for name in OUTPUTS if name not in FEATURES),
    "all": tuple(OUTPUTS),
    "landmarks, heatmaps, features": (*_LANDMARKS, "heatmaps", *FEATURES),
}


@dataclass(frozen=True)
class EngineCase:
    """One way to run the network."""

    backend: str
    outputs: str = "all but the features"
    batch: int = 1
    dynamic: bool = False
    """Whether the model file leaves the batch size free."""
    threads: int = 1
    precision: Precision = "float32"
    device: str = "cpu"


@dataclass(frozen=True)
class EngineRow:
    """One measurement. Milliseconds are of the whole batch."""

    case: EngineCase
    runs: int
    median_ms: float
    quartiles_ms: tuple[float, float]
    ratio_to_torch: float | None


def cases() -> Iterator[EngineCase]:
    """Every engine that is installed: threads, outputs, batches, precisions, one at a time from a common middle."""
    for backend in (name for name in BACKENDS if is_installed(name) and name != "tensorrt"):
        middle = EngineCase(backend)
        yield from (replace(middle, threads=threads) for threads in (1, 2, 4))
        yield from (replace(middle, outputs=outputs) for outputs in WANTED if outputs != middle.outputs)
        yield from (replace(middle, batch=batch, dynamic=True) for batch in (1, 2, 4))
        if backend == "openvino":
            yield replace(middle, precision="bfloat16")
    if torch.cuda.is_available():
        for backend in (name for name in ("tensorrt", "torch") if is_installed(name)):
            on_gpu = EngineCase(backend, dynamic=True, device="cuda")
            for precision in ("float32", "float16"):
                yield from (replace(on_gpu, batch=batch, precision=precision) for batch in (1, 2, 4))


def opened(case: EngineCase) -> Engine:
    options = EngineOptions(case.threads, case.precision, case.device, WANTED[case.outputs])
    return open_engine(landmark_model(case.dynamic), case.backend, options)


def measure(runs: int) -> tuple[list[EngineRow], dict[str, str]]:
    """The rows, and what could not be run with the reason."""
    refused: dict[str, str] = {}
    times: dict[EngineCase, list[float]] = {}
    for group in _groups():
        with ExitStack() as stack:
            engines = {}
            for case in group:
                try:
                    engines[case] = stack.enter_context(opened(case))
                except (BackendError, ModelError) as error:
                    refused[str(case)] = str(error)
            for turn in range(runs + 2):
                for case, engine in engines.items():
                    spent = timed(engine, example_inputs(landmark_model(case.dynamic), case.batch))
                    if turn >= 2:  # the first runs allocate
                        times.setdefault(case, []).append(spent)
    return [_row(case, spent, times) for case, spent in times.items()], refused


def _groups() -> Iterator[list[EngineCase]]:
    """Cases that differ in the engine alone take turns."""
    groups: dict[EngineCase, list[EngineCase]] = {}
    for case in cases():
        groups.setdefault(replace(case, backend="", precision="float32"), []).append(case)
    yield from groups.values()


def _row(case: EngineCase, spent: list[float], times: dict[EngineCase, list[float]]) -> EngineRow:
    reference = times.get(replace(case, backend="torch", precision="float32"))
    low, middle, high = (float(np.percentile(spent, share)) for share in (25, 50, 75))
    ratio = middle / float(np.median(reference)) if reference else None
    return EngineRow(case, len(spent), middle, (low, high), ratio)


def write_results(quick: bool, out: Path | None) -> Path:
    """Measures, prints the table and returns the JSON file."""
    rows, refused = measure(5 if quick else 25)
    for row in rows:
        case = row.case
        ratio = "" if row.ratio_to_torch is None else f"{row.ratio_to_torch:6.2f} × torch"
        batch = f"batch {case.batch}{' free' if case.dynamic else ''}"
        print(
            f"{case.backend:12} {case.device:5} {case.precision:9} {case.threads} threads  {batch:13} "
            f"{case.outputs:30} {row.median_ms:7.2f} ms {ratio}"
        )
    target = out or RESULTS / "engines.json"
    report = {"machine": machine(), "rows": [asdict(row) for row in rows], "refused": refused}
    write_whole(target, json.dumps(report, indent=1) + "\n")
    return target


def machine() -> dict[str, object]:
    """What the figures depend on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "commit": commit,
    }
