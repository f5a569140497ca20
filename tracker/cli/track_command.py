"""`track`: one input by itself, whose faults are the command's, or many, of which those that fail are passed over."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import click

from tracker.cli.command_config import configured
from tracker.cli.command_options import (
    CAMERA,
    CLOTHED,
    COMMON,
    FILES,
    FORMAT,
    OVERWRITE,
    PEOPLE,
    RENDERER,
    STYLE,
    TRUST,
    WORLD,
    NumberRange,
    options,
)
from tracker.cli.summary_lines import summary_line
from tracker.core.errors import InputError, RunError
from tracker.core.shown_text import printable, shown_address, warnings_hint
from tracker.runtime.standard_streams import tell

MANY = options(
    click.option("--resume", is_flag=True, help="Leave finished results as they are; track anew what was interrupted."),
    click.option("--jobs", default="1", show_default=True, help="Videos tracked at once, or auto."),
    click.option("--shard", metavar="I/N", help="Track only the I-th of N parts of the inputs: one a machine."),
    click.option(
        "--chunk", type=float, metavar="SECONDS", help="Cut long videos into pieces, tracked beside each other."
    ),
    click.option("--ray", metavar="ADDRESS", help="Track on this Ray cluster; auto is the one of this machine."),
    click.option("--ray-cpus", type=NumberRange(min=0), default=1.0, show_default=True, help="Cores a video."),
    click.option("--ray-gpus", type=NumberRange(min=0), default=0.0, show_default=True, help="GPUs a video."),
    click.option("--ray-memory", type=NumberRange(min=0), default=2.0, show_default=True, help="GB a video."),
)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--out", required=True, help="Results go to OUT/<name of the input>/; a folder, or s3://… and the like.")
@FORMAT
@click.option("--no-overlay", is_flag=True, help="Do not draw overlay.mp4; about twice as fast.")
@click.option("--start", type=float, help="Seconds into the input to start at.")
@click.option("--end", type=float, help="Seconds into the input to stop at.")
@click.option(
    "--fps", type=float, help="Pictures a second, for folders and slow motion. Default: the file's times; 30."
)
@click.option(
    "--smooth",
    type=click.Choice(["none", "causal", "offline"]),
    default="offline",
    show_default=True,
    help="offline looks both ways in time, causal only back, as live does.",
)
@RENDERER
@STYLE
@CLOTHED
@click.option("--side-by-side", is_flag=True, help="Put the original picture to the left of the overlay.")
@OVERWRITE
@TRUST
@MANY
@PEOPLE
@CAMERA
@WORLD
@FILES
@COMMON
def track(inputs: tuple[str, ...], out: str, formats: str, **given: Any) -> None:
    """Track people in INPUTs: video files, pictures, folders of either at any depth, stream addresses.

    Of several INPUTs those that fail are passed over: each has its line, and the exit status is 1. The folders in OUT
    are those of the input.

    \b
    Writes for each video, in OUT/<name>/:
      overlay.mp4       the picture with the meshes over it
      person_NNN.npz    SMPL parameters of each identity, as AMASS names them
      frames.jsonl      one line a frame, readable while the run goes on
      run.json          versions, settings, timings, warnings
      report.html       how people moved, at a glance
    """
    from tracker.app.batch import job_count
    from tracker.app.track_many import clip_jobs
    from tracker.runtime.storage import is_stored

    if not out.strip():
        raise InputError("--out is empty: expected a folder for the results (is a variable not set?)")
    job_count(given["jobs"])  # a wrong number is told, also where one input makes no use of it
    config, options = configured(given, {"smooth": {"mode": given["smooth"]}}), track_options(formats, given)
    jobs = clip_jobs(inputs, out, config, options)
    alone = [job.track.spec for job in jobs] == list(inputs[:1]) and not any(map(is_stored, (out, *inputs)))
    if alone and given["shard"] is None and given["ray"] is None and given["chunk"] is None:
        track_one(jobs[0])
    else:
        track_batch(jobs, options, given)


def track_options(formats: str, given: dict[str, Any]) -> Any:
    """What is done with every input, as the command's options say."""
    from tracker.app.track_many import TrackOptions
    from tracker.export import parse_formats
    from tracker.source import Clip, InputTrust

    return TrackOptions(
        Clip(given["start"], given["end"], given["fps"]),
        parse_formats(formats),
        not given["no_overlay"],
        given["renderer"],
        given["overwrite"],
        given["resume"],
        style=given["style"],
        side_by_side=given["side_by_side"],
        shared=given["ray"] is not None,
        chunk=given["chunk"],
        trust=InputTrust(given["max_pixels"], given["playlists"]),
    )


def track_one(job: Any) -> None:
    """The only input there is: its faults are the command's."""
    from tracker.app.clip_job import resumed
    from tracker.app.track import track as run_track
    from tracker.overlay.overlay_process import ready_to_draw
    from tracker.runtime.interrupt import deferred_interrupt

    job, finished = resumed(job)
    if finished is not None:
        hint = warnings_hint(len(finished.document["warnings"]))
        tell(f"{printable(shown_address(job.track.spec))}: finished before → {printable(str(job.track.folder))}{hint}")
        return
    with (
        deferred_interrupt() as interrupt,
        ready_to_draw() if job.track.overlay else nullcontext(),
        opened_tracker(job.config) as tracker,
    ):
        result = run_track(job.track, tracker, interrupt)
    tell(summary_line(job.track.spec, result))


def track_batch(jobs: Any, options: Any, given: dict[str, Any]) -> None:
    """Many inputs. Raises RunError when some have failed."""
    from tracker.app.batch import TerminalView, job_count, shard_of, table
    from tracker.app.track_many import run_jobs
    from tracker.runtime.interrupt import deferred_interrupt
    from tracker.runtime.ray_executor import RayExecutor
    from tracker.runtime.task_needs import TaskNeeds
    from tracker.runtime.worker_processes import WorkerProcesses

    if given["ray"] and given["jobs"] != "1":
        raise InputError(
            f"--jobs {given['jobs']}: with --ray the cluster says how many videos are tracked at once, by --ray-cpus; "
            "leave out one of the two"
        )
    jobs = jobs if given["shard"] is None else shard_of(jobs, given["shard"])
    count = job_count(given["jobs"])
    if options.chunk is None:
        count = min(count, max(1, len(jobs)))
    needs = TaskNeeds(given["ray_cpus"], given["ray_gpus"], int(1e9 * given["ray_memory"]))
    with (
        deferred_interrupt() as interrupt,
        RayExecutor(given["ray"], needs) if given["ray"] else WorkerProcesses(count) as pool,
        TerminalView(len(jobs), interrupt, pool, summary_line) as view,
    ):
        try:
            run_jobs(jobs, options, pool, view)
        finally:
            tell("\n".join(table(view.reports)))
    failed = sum(report.outcome == "failed" for report in view.reports)
    if failed:
        raise RunError(f"{failed} of {len(jobs)} inputs failed")


def opened_tracker(config: Any) -> Any:
    """A fresh tracker, in a process that is set for it."""
    from tracker.pipeline import Tracker
    from tracker.runtime.process import compute_in_one_thread, prepare_for_real_time

    compute_in_one_thread()
    tracker = Tracker.open(config)
    prepare_for_real_time()
    return tracker
