"""`bench`: measurements of speed, which a checkout of the sources has beside the tracker."""

from __future__ import annotations

from pathlib import Path

import click

from tracker.cli.command_options import SHORT_CLIP_SECONDS, NumberRange
from tracker.core.errors import InputError


@click.group()
def bench() -> None:
    """Measurements of speed, written as JSON under benchmarks/results/. For a checkout of the sources only."""
    from importlib.util import find_spec

    if find_spec("benchmarks") is None:
        raise InputError("bench: the measurements are not installed with the tracker; run them from its sources")


@bench.command("engines")
@click.option("--quick", is_flag=True, help="Fewer runs.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file. Default: benchmarks/results/engines.json.")
def bench_engines(quick: bool, out: Path | None) -> None:
    """Time every engine of this machine on the landmark network: outputs, batch sizes, threads, precisions."""
    from benchmarks.engines import write_results

    click.echo(f"written: {write_results(quick, out)}")


@bench.command("kernels")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the C++ kernels. Default: as many as torch's.")
@click.option("--quick", is_flag=True, help="The base sizes only, fewer runs.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="JSON file. Default: benchmarks/results/kernels_DEVICE.json."
)
def bench_kernels(threads: int | None, quick: bool, out: Path | None) -> None:
    """Time every kernel in every implementation that this machine has, against plain torch."""
    from benchmarks.kernels import write_results

    click.echo(f"written: {write_results(threads, quick, out)}")


@bench.command("pipeline")
@click.argument("clip", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--seconds", type=SHORT_CLIP_SECONDS, default=3.0, show_default=True, help="Of the clip.")
@click.option("--soak", type=NumberRange(min=0.0), default=0.0, metavar="MINUTES", help="Also run live for so long.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file. Default: benchmarks/results/pipeline.json.")
def bench_pipeline(clip: Path | None, seconds: float, soak: float, out: Path | None) -> None:
    """Time the whole tracker, as track and live run it, beside MediaPipe alone, on CLIP or one made up.

    Sizes, numbers of people, configs and every engine of this machine; latency, processor time, memory, and where the
    time goes.
    """
    from benchmarks.pipeline import PipelineJob, run_benchmark

    click.echo(f"written: {run_benchmark(PipelineJob(clip, seconds, soak, out))}")


@bench.command("throughput")
@click.argument("clip", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--seconds", type=SHORT_CLIP_SECONDS, default=3.0, show_default=True, help="Of the clip.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file. Default: benchmarks/results/throughput.json.")
def bench_throughput(clip: Path | None, seconds: float, out: Path | None) -> None:
    """Measure what many videos cost: core hours an hour of video, by size, people, length, and videos at once."""
    from benchmarks.throughput import write_results

    click.echo(f"written: {write_results(clip, seconds, out)}")
