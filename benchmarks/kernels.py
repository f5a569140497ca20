"""Times every kernel op in every implementation that this machine has, in one run.

    python -m benchmarks.kernels [--quick] [--threads N] [--out FILE]

Median and interquartile range in milliseconds, the ratio to the torch reference, growth with the size of the problem
and the number of threads, and a floor: the operations and bytes that the op cannot do without, at the rates that a
matrix product and a copy reach on this machine in this run. Writes JSON with machine and commit.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks import kernel_scenes as scenes
from kernels import body_step, build, ellipsoids, raster
from kernels.backend import on_device
from kernels.body_step_values import Adam
from kernels.ellipsoids_values import Ellipsoids
from kernels.implementation import Implementation
from kernels.raster_values import RasterMesh, Shading

RESULTS = Path(__file__).parent / "results"
FIT_STEPS = 10
CANDIDATES = 4


@dataclass(frozen=True)
class Size:
    """How big a case is."""

    kernels: int = 858
    map: int = 80
    channels: int = 64
    people: int = 1
    threads: int = 1
    triangles: int = 27_000


@dataclass(frozen=True)
class KernelRow:
    """One measurement."""

    op: str
    implementation: str
    size: Size
    runs: int
    median_ms: float
    iqr_ms: float
    ratio_to_reference: float | None = None


Work = Callable[[], object]
Op = Callable[[Size, Implementation, str], Work]


def likelihood(size: Size, implementation: Implementation, device: str) -> Work:
    """Fused likelihood, forward and backward."""
    bodies = on_device(scenes.ellipsoids(size.people, size.kernels, size.channels), device)
    seen, cameras = scenes.observation(size.people, size.map, size.channels)
    seen, cameras = on_device(seen, device), cameras.to(device)
    leaves = [t.requires_grad_() for t in (bodies.centres, bodies.precisions, bodies.features)]

    def work() -> object:
        found = ellipsoids.likelihood(Ellipsoids(*leaves), cameras, seen, implementation=implementation)
        return torch.autograd.grad(found.nll.sum(), leaves)

    return work


def score(size: Size, implementation: Implementation, device: str) -> Work:
    """Scores of several candidate poses of each person."""
    bodies = on_device(scenes.ellipsoids(size.people * CANDIDATES, size.kernels, size.channels), device)
    seen, cameras = scenes.observation(size.people, size.map, size.channels)
    index = torch.arange(size.people, dtype=torch.int32).repeat_interleave(CANDIDATES)
    there = on_device(replace(seen, index=index), device)
    all_cameras = cameras.repeat_interleave(CANDIDATES, dim=0).to(device)
    return lambda: ellipsoids.score(bodies, all_cameras, there, implementation=implementation)


def render(size: Size, implementation: Implementation, device: str) -> Work:
    """Feature map, coverage, depth and the 20 strongest kernels of each pixel."""
    bodies = on_device(scenes.ellipsoids(size.people, size.kernels, size.channels), device)
    _, cameras = scenes.observation(size.people, size.map, size.channels)
    there = cameras.to(device)
    return lambda: ellipsoids.render(bodies, there, (size.map, size.map), implementation=implementation)


def _fit_evaluations(implementation: Implementation) -> int:
    return 2 if implementation is Implementation.REFERENCE else FIT_STEPS + 1


def fit_step(size: Size, implementation: Implementation, device: str) -> Work:
    """The fitting loop; what is reported is one of its steps."""
    problem, start = scenes.fit_problem(size.people, size.kernels, size.map, size.channels)
    units = torch.eye(start.shape[1]).expand(len(start), -1, -1).contiguous()
    adam = Adam(units, _fit_evaluations(implementation) - 1)
    loop, there = (
        body_step.fit_loop(on_device(problem, device), on_device(adam, device), implementation),
        start.to(device),
    )
    return lambda: loop.run(there)


def overlay(size: Size, implementation: Implementation, device: str) -> Work:
    """The stand-in drawn over a 1280 × 720 picture, normals included."""
    mesh = scenes.mesh(size.triangles)
    moved = RasterMesh(torch.as_tensor(mesh.vertices).to(device), torch.as_tensor(mesh.faces).to(device))
    width, height = scenes.VIEW_SIZE
    image = torch.full((height, width, 3), 90, dtype=torch.uint8, device=device)
    shading = Shading(skip_backs=True)
    return lambda: raster.shade_overlay(
        image, [moved] * size.people, scenes.VIEW, shading, implementation=implementation
    )


def rasterize(size: Size, implementation: Implementation, device: str) -> Work:
    """Depth, triangles and barycentrics at 1280 × 720."""
    mesh = scenes.mesh(size.triangles)
    vertices, faces = torch.as_tensor(mesh.vertices).to(device), torch.as_tensor(mesh.faces).to(device)
    return lambda: raster.rasterize(vertices, faces, scenes.VIEW, scenes.VIEW_SIZE, implementation=implementation)


OPS: dict[str, Op] = {
    "likelihood": likelihood,
    "score": score,
    "render": render,
    "fit_step": fit_step,
    "overlay": overlay,
    "rasterize": rasterize,
}


def times_ms(work: Work, runs: int, device: str) -> list[float]:
    """Wall-clock milliseconds of each of `runs` runs, after one that warms up; waits for the GPU inside."""
    found = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        found.append((time.perf_counter() - start) * 1e3)
    return found[1:]


def implementations() -> list[tuple[Implementation, str]]:
    """What this machine has, and where its tensors lie; the reference first."""
    found = [(Implementation.REFERENCE, "cpu")]
    if build.load_library() is not None:
        found.append((Implementation.CPU, "cpu"))
    if torch.cuda.is_available():
        found.append((Implementation.CUDA, "cuda"))
    return found


def measure(op: str, size: Size, where: tuple[Implementation, str], runs: int) -> KernelRow:
    """One op in one implementation."""
    torch.manual_seed(0)
    torch.set_num_threads(size.threads)
    implementation, device = where
    each = _fit_evaluations(implementation) if op == "fit_step" else 1
    values = np.array(times_ms(OPS[op](size, implementation, device), runs, device)) / each
    low, median, high = np.percentile(values, [25, 50, 75])
    return KernelRow(op, implementation.value, size, runs, float(median), float(high - low))


def compared(op: str, size: Size, quick: bool) -> Iterator[KernelRow]:
    """An op in all implementations, with the ratio to the reference."""
    reference = float("nan")
    for where in implementations():
        slow = where[0] is Implementation.REFERENCE
        fewest = 1 if op in ("overlay", "rasterize") else 3
        row = measure(op, size, where, fewest if slow else 10 if quick else 50)
        reference = row.median_ms if slow else reference
        yield replace(row, ratio_to_reference=reference / row.median_ms)


def growth(base: Size) -> Iterator[tuple[str, Size]]:
    """Sizes that differ from the base in one thing."""
    for kernels in (215, 429, 1716, 4096):
        yield "likelihood", replace(base, kernels=kernels)
    for width in (40, 128):
        yield "likelihood", replace(base, map=width)
    for channels in (16, 128):
        yield "likelihood", replace(base, channels=channels)
    for people in (2, 4):
        yield "fit_step", replace(base, people=people)
    for triangles in (7_000, 100_000):
        yield "overlay", replace(base, triangles=triangles)
    for threads in sorted({1, 2, 4} - {base.threads}):
        for op in ("likelihood", "fit_step", "overlay"):
            yield op, replace(base, threads=threads)


def floor_ms(size: Size) -> dict[str, float]:
    """The least that fused likelihood with gradients has to do, at the rates this machine reaches in this run.

    Operations: 40 for every pair of kernels that share a pixel (erf and its derivative forwards, five sums backwards),
    8 D + 120 for every kernel of a pixel. Bytes: each input and output once.
    """
    torch.manual_seed(0)
    torch.set_num_threads(size.threads)
    bodies = scenes.ellipsoids(size.people, size.kernels, size.channels)
    _, cameras = scenes.observation(size.people, size.map, size.channels)
    index = ellipsoids.render(bodies, cameras, (size.map, size.map), kept=256).index
    found = (index >= 0).sum(dim=-1).double()
    operations = float((40 * found**2 + (8 * size.channels + 120) * found).sum())
    moved = 4 * size.people * (2 * size.kernels * (size.channels + 12) + size.map**2 * (size.channels + 3))
    a, source = torch.randn(1024, 1024), torch.randn(1 << 24)
    product = min(times_ms(lambda: a @ a, 10, "cpu"))
    copy = min(times_ms(source.clone, 5, "cpu"))
    return {
        "pairs": float((found**2).sum()),
        "operations": operations,
        "bytes": float(moved),
        "gflops_of_matrix_product": 2 * 1024**3 / product / 1e6,
        "gbytes_per_s_of_copy": 2 * 4 * source.numel() / copy / 1e6,
        "arithmetic_ms": operations / (2 * 1024**3 / product),
        "memory_ms": moved / (2 * 4 * source.numel() / copy),
    }


def _command(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip()


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def machine() -> dict[str, object]:
    """What the figures depend on."""
    models = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": len(models),
        "level": build.processor_level(),
        "load": _lines("/proc/loadavg")[:1],
        "gpu": gpu,
        "driver": _command("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") if gpu else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _command("git", "rev-parse", "--short", "HEAD"),
        "changed": bool(_command("git", "status", "--porcelain", "--untracked-files=no")),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _show(row: KernelRow) -> KernelRow:
    s, ratio = row.size, row.ratio_to_reference
    shape = f"K={s.kernels} {s.map}² D={s.channels} people={s.people} threads={s.threads} triangles={s.triangles}"
    times = f"{row.median_ms:9.3f} ms ± {row.iqr_ms:7.3f}" + ("" if ratio is None else f"  ×{ratio:.0f}")
    sys.stdout.write(f"{row.op:11s}{row.implementation:10s} {shape:66s}{times}\n")
    sys.stdout.flush()
    return row


def run(threads: int, quick: bool) -> dict[str, object]:
    """All measurements, as written to the JSON file."""
    base = Size(threads=threads)
    rows = [_show(row) for op in OPS for row in compared(op, base, quick)]
    fast = [where for where in implementations() if where[0] is not Implementation.REFERENCE]
    if not quick:
        rows += [_show(measure(op, size, where, 20)) for op, size in growth(base) for where in fast]
    return {"machine": machine(), "floor_of_likelihood": floor_ms(base), "rows": [asdict(row) for row in rows]}


def write_results(threads: int | None, quick: bool, out: Path | None) -> Path:
    """Runs the benchmark and writes its JSON; gives the file. threads: None is as many as torch's."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = out or RESULTS / f"kernels_{device}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(run(threads or torch.get_num_threads(), quick), indent=1) + "\n")
    return target


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the base sizes only, fewer runs")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="JSON file (default: benchmarks/results/kernels_DEVICE.json)")
    arguments = parser.parse_args()
    sys.stdout.write(f"written: {write_results(arguments.threads, arguments.quick, arguments.out)}\n")


if __name__ == "__main__":
    main()
