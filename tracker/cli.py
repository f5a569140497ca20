"""The command line: `body-tracker COMMAND --help` (from a checkout `python run.py`) says what each command does.

Exit status: 0 done, 2 the input is at fault, 1 a failure while running, 130 interrupted (everything so far is saved).
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import reduce
from pathlib import Path
from typing import Any

import click

from tracker import __version__
from tracker.core.errors import InputError, RunError
from tracker.core.shown_text import message_line, printable, shown_address, warnings_hint
from tracker.runtime.blas import name_the_processor
from tracker.runtime.garbage import seldom_collect
from tracker.runtime.heaps import keep_to_few_heaps
from tracker.runtime.helper_process import keep_current_folder_out
from tracker.runtime.standard_streams import secure_standard_streams, tell

log = logging.getLogger("tracker")

Options = Callable[[Callable[..., None]], Callable[..., None]]


def options(*decorators: Options) -> Options:
    """Several click options as one decorator."""
    return lambda command: reduce(lambda done, option: option(done), reversed(decorators), command)


COMMON = options(
    click.option("--config", default="live", show_default=True, help="A name in configs/ or a YAML file."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any key of the configuration, as in fit.iterations=10; `config show` lists them. Over all else.",
    ),
)
CAMERA = options(
    click.option("--focal", type=float, help="Focal length in pixels. Default: from the file, or the diagonal."),
    click.option("--fov", type=float, help="Diagonal field of view in degrees, instead of --focal."),
    click.option(
        "--intrinsics",
        type=click.Path(path_type=Path),
        help="File with fx, fy, cx, cy, or a camera_matrix; with R and t, of the camera's pose too.",
    ),
    click.option(
        "--height",
        type=float,
        metavar="METRES",
        help="How tall the people are: fixes sizes and distances.  [default: 1.7]",
    ),
)
FILES = options(
    click.option(
        "--skeleton",
        type=click.Choice(["smpl", "mixamo", "vrm", "unreal"]),
        help="What joints are called in bvh, glb, scene, usd, fbx, blend.  [default: smpl]",
    ),
    click.option("--unit", type=click.Choice(["m", "cm"]), help="Of lengths in bvh.  [default: m]"),
    click.option("--no-report", "no_report", is_flag=True, help="Write no report.html."),
    click.option("--blender", type=click.Path(path_type=Path), help="Writes fbx and blend.  [default: found on PATH]"),
)
WORLD = options(
    click.option(
        "--frame",
        type=click.Choice(["world", "camera"]),
        help="What poses in the files relate to: y up, floor at 0; or the camera.  [default: world]",
    ),
    click.option("--pitch", type=float, help="Degrees by which the camera looks down. Default: estimated."),
    click.option("--camera-height", type=float, help="Metres over the floor. Default: estimated."),
)
BODY = click.option("--body", type=click.Path(path_type=Path), help="Your SMPL file. Default: the built-in free body.")
PEOPLE = options(
    click.option("--max-people", type=click.IntRange(min=1), help="People tracked at once at most.  [default: 4]"),
    BODY,
    click.option(
        "--weights",
        type=click.Path(path_type=Path),
        help="Networks of your own: a file that `train` made, or 3DNBF's released .pth, with --body.",
    ),
)
FORMAT = click.option(
    "--format",
    "formats",
    default="npz,jsonl",
    show_default=True,
    help="What to write, separated by commas: npz, jsonl; amass, bvh, glb, csv, trc, c3d, angles, mot for each person; "
    "scene, usd, fbx, blend for everybody with the camera.",
)
RENDERER = click.option(
    "--renderer",
    type=click.Choice(["raster", "pyrender"]),
    default="raster",
    show_default=True,
    help="What draws the meshes: the built-in rasteriser, or OpenGL through pyrender.",
)
STYLE = click.option(
    "--style",
    type=click.Choice(["mesh", "skeleton", "confidence"]),
    default="mesh",
    show_default=True,
    help="What is drawn; confidence is the mesh, green where it is seen and red where it is guessed.",
)
CLOTHED = click.option(
    "--clothed",
    is_flag=True,
    help="Show clothes and hair, as the silhouettes show them, in overlay, glb and scene; else the body.",
)
TRUST = options(
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=8192 * 8192,
        metavar="N",
        help="Refuse larger pictures, before they are decoded.  [default: 8192 × 8192]",
    ),
    click.option("--playlists", is_flag=True, help="Follow addresses of playlists, which may name any other host."),
)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
MANY = options(
    click.option("--resume", is_flag=True, help="Leave finished results as they are; track anew what was interrupted."),
    click.option("--jobs", default="1", show_default=True, help="Videos tracked at once, or auto."),
    click.option("--shard", metavar="I/N", help="Track only the I-th of N parts of the inputs: one a machine."),
    click.option(
        "--chunk", type=float, metavar="SECONDS", help="Cut long videos into pieces, tracked beside each other."
    ),
    click.option("--ray", metavar="ADDRESS", help="Track on this Ray cluster; auto is the one of this machine."),
    click.option("--ray-cpus", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Cores a video."),
    click.option("--ray-gpus", type=click.FloatRange(min=0), default=0.0, show_default=True, help="GPUs a video."),
    click.option("--ray-memory", type=click.FloatRange(min=0), default=2.0, show_default=True, help="GB a video."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="body-tracker")
def cli() -> None:
    """Tracks people in video: SMPL pose, shape and place for every frame and person, and a mesh over the picture."""


@cli.command()
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
    from tracker.app.track_many import TrackOptions, clip_jobs
    from tracker.export import parse_formats
    from tracker.runtime.storage import is_stored
    from tracker.source import Clip, InputTrust

    config = configured(given, {"smooth": {"mode": given["smooth"]}})
    options = TrackOptions(
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
    jobs = clip_jobs(inputs, out, config, options)
    alone = [job.track.spec for job in jobs] == list(inputs[:1]) and not any(map(is_stored, (out, *inputs)))
    if alone and given["shard"] is None and given["ray"] is None and given["chunk"] is None:
        track_one(jobs[0])
    else:
        track_batch(jobs, options, given)


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


def picture_size(_: click.Context, __: click.Parameter, value: str) -> tuple[int, int]:
    """(width, height) of text such as 1280x720."""
    width, _x, height = value.lower().replace("×", "x").partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise click.BadParameter(f"{value}: expected WIDTHxHEIGHT, such as 1280x720")
    return int(width), int(height)


def list_cameras(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Prints the webcams that there are, and ends."""
    if not wanted or context.resilient_parsing:
        return
    from tracker.source.cameras import cameras

    found_cameras = cameras()
    click.echo("\n".join(map(str, found_cameras)) if found_cameras else "no camera is plugged in")
    context.exit()


@cli.command()
@click.option("--source", default="0", show_default=True, help="Camera number or device, stream address, or a file.")
@click.option(
    "--list-cameras",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=list_cameras,
    help="List the cameras with their numbers for --source.",
)
@click.option(
    "--size",
    default="1280x720",
    show_default=True,
    callback=picture_size,
    metavar="WxH",
    help="Size to ask the webcam for; it gives the nearest that it has.",
)
@click.option("--mjpg/--raw", default=True, show_default=True, help="Compressed or raw pictures from a webcam.")
@click.option("--record", type=click.Path(path_type=Path), help="Record from the first frame on, into this folder.")
@click.option("--headless", is_flag=True, help="Open no window; stop with Ctrl-C.")
@click.option("--web", type=click.IntRange(0, 65535), metavar="PORT", help="Show a page with picture and buttons.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Where --web listens. 0.0.0.0 lets in the network: whoever has the page's address, which is printed.",
)
@click.option(
    "--send",
    multiple=True,
    metavar="ADDRESS",
    help="Send poses to other programs as they come, to any number of them: vmc:// osc:// ws:// udp:// jsonl:- "
    "mcap:FILE v4l2:DEVICE, as in docs/stream.md.",
)
@click.option(
    "--reconnect",
    type=click.FloatRange(min=0),
    default=float("inf"),
    metavar="SECONDS",
    help="How long to wait for a camera or stream that is lost.  [default: for ever]",
)
@FORMAT
@RENDERER
@STYLE
@CLOTHED
@TRUST
@PEOPLE
@CAMERA
@WORLD
@FILES
@COMMON
def live(
    source: str, record: Path | None, headless: bool, web: int | None, host: str, send: tuple[str, ...],
    reconnect: float, **given: Any,
) -> None:  # fmt: skip
    """Track a webcam live and draw the meshes over its picture.

    Keys in the window, buttons on the page: q quit, r start or end a recording, s snapshot,
    m mesh/skeleton/confidence/off, f smoothing on/off, h hide the help. A recording holds the same files as `track`
    writes.
    """
    from contextlib import ExitStack

    from tracker.app.live_start import PagePlace, loaded_meanwhile, open_screens
    from tracker.runtime.interrupt import deferred_interrupt
    from tracker.source import InputTrust, LiveConfig, open_live_source
    from tracker.source.latest_frames import LatestFrames

    trust = InputTrust(given["max_pixels"], given["playlists"])
    camera = LiveConfig(reconnect_seconds=reconnect, camera_size=given["size"], camera_mjpg=given["mjpg"], trust=trust)
    folder = record or Path("out")
    page = None if web is None else PagePlace(web, host, folder)
    with (
        deferred_interrupt() as interrupt,
        open_live_source(source, camera) as opened,
        open_screens(not headless, page) as screens,
        ExitStack() as stack,
    ):
        frames = stack.enter_context(LatestFrames(opened)) if opened.info.path is None else None

        def load() -> Any:
            """Imports and opens what takes seconds."""
            from tracker.app.live import LiveJob, LiveSession, open_sends, warm_up
            from tracker.body import load_body
            from tracker.export import ExportConfig, parse_formats
            from tracker.pipeline import Tracker
            from tracker.world.live_world import LiveWorld

            export = ExportConfig(parse_formats(given["formats"]))
            job = LiveJob(folder, record is not None, export, given["renderer"], given["style"])
            config = configured(given, {"detect": {"punctual": False}})
            world = LiveWorld(config.world, load_body(config.body))
            sends = stack.enter_context(open_sends(send, config.camera, world))
            tracker = stack.enter_context(Tracker.open(config))
            warm_up(tracker, opened.info.width, opened.info.height)
            return LiveSession(job, tracker, [*sends, *screens.outputs], screens.keys, world)

        session = loaded_meanwhile(load, opened, frames, screens, interrupt)
        if session is None:
            raise KeyboardInterrupt("stopped before anything was tracked")
        prepare_process()
        result = session.run(opened, interrupt, frames)
    tell_of_live(source, result, lines_on_stdout=any(address.startswith("jsonl:-") for address in send))
    if interrupt.requested:
        raise KeyboardInterrupt(
            "stopped; " + ("the recording is saved" if result.recordings else "nothing was recorded")
        )


def tell_of_live(source: str, result: Any, lines_on_stdout: bool) -> None:
    """What a live run was like and has left; lines_on_stdout: the standard output belongs to others. Raises RunError
    with the first recording's fault, where one has failed."""
    for recording in result.recordings:
        tell(summary_line(source, recording), err=lines_on_stdout)
    tell(f"{printable(shown_address(source))}: {live_summary(result)}", err=lines_on_stdout)
    if result.faults:
        raise RunError(result.faults[0])


@cli.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULT...")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The next free one if it is taken."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--rerun", type=click.Path(path_type=Path), metavar="FILE.rrd", help="Write a Rerun file instead.")
@BODY
def view(results: tuple[Path, ...], port: int, no_browser: bool, rerun: Path | None, body: Path | None) -> None:
    """Play RESULTs in a browser of this machine, turn them around, compare them.

    A RESULT is a folder that `track` or `live` has left, or an .npz with SMPL parameters, such as the demo's truth or
    AMASS' files. Several stand side by side.
    """
    from tracker.app.view.view import ViewJob
    from tracker.app.view.view import view as run_view
    from tracker.runtime.interrupt import deferred_interrupt

    with deferred_interrupt() as interrupt:
        run_view(ViewJob(results, port, not no_browser, body, rerun), interrupt)
    if rerun is not None:
        click.echo(f"written: {rerun}; open it with: rerun {rerun}")


@cli.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True)
@click.option("--seconds", type=click.FloatRange(min=4.0), default=12.0, show_default=True, help="Length of the clip.")
@OVERWRITE
@COMMON
def demo(out: Path, seconds: float, overwrite: bool, **given: Any) -> None:
    """Make a clip with known truth, track it like any video, print the errors.

    The clip is the built-in body, dressed and lit, walking, waving and squatting, with a pillar in front for a while.
    """
    from tracker.app.demo import DemoJob, run_demo
    from tracker.runtime.interrupt import deferred_interrupt

    config = configured(given, {"smooth": {"mode": "offline"}})
    with deferred_interrupt() as interrupt:
        tell(run_demo(DemoJob(out, seconds, overwrite), config, interrupt))


@cli.command()
@click.argument("config", metavar="CONFIG")
@click.option("--motion", type=click.Path(path_type=Path), help="Motion files: a folder, .bvh, AMASS .npz, .tar.gz.")
@click.option("--assets", type=click.Path(path_type=Path), help="Skins, clothes, backgrounds for synthetic people.")
@click.option("--footage", type=click.Path(path_type=Path), help="Real clips of people, without labels.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Annotated pictures: COCO-EFT, Human3.6M, MPI-INF-3DHP, … as SPIN's .npz. Once a file, each with --images.",
)
@click.option("--images", type=click.Path(path_type=Path), multiple=True, help="From where on --data names pictures.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the weights.  [default: out/train/CONFIG]")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after so long, whole.")
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Processes making samples.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@OVERWRITE
def train(config: str, device: str, **given: Any) -> None:
    """Train one of the tracker's networks; CONFIG is a name in configs/train/ or a YAML file.

    Writes OUT/<task>.safetensors; with --out tracker/weights it is the tracker's own. A long training leaves
    checkpoints in OUT and goes on from them when it is started again. `torchrun --nproc-per-node N run.py train …`
    trains a volume in N processes, one a GPU.
    """
    from tracker.training import TrainingJob, run_training

    check_device(device)
    report = run_training(TrainingJob.read(config, device, **given))
    if report:
        click.echo(report)


@cli.group()
def evaluate() -> None:
    """Measure the tracker: errors on made-up or recorded people, in clear view and under occlusion."""


EVALUATION = options(
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."),
    click.option(
        "--stride",
        type=click.IntRange(min=1),
        default=40,
        show_default=True,
        help="Pixels of a 224² crop between places of the sliding patch; the papers take 10.",
    ),
    click.option("--textures", type=click.Path(path_type=Path), help="Folder of pictures that occluders are made of."),
    click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]"),
    click.option(
        "--compare", "others", type=click.Path(path_type=Path), multiple=True, help="Folder of an earlier run."
    ),
    OVERWRITE,
)
PROTOCOL = options(
    click.option(
        "--protocol", "protocols", multiple=True, help="Occlusion, beside the clean pictures; all for every one."
    ),
    click.option(
        "--every",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Under stills' protocols every so many frames of a clip only.",
    ),
)


@evaluate.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/evaluation/synthetic"), show_default=True)
@click.option("--stills", type=click.IntRange(min=0), default=10, show_default=True, help="Number of still pictures.")
@click.option("--clips", type=click.IntRange(min=0), default=3, show_default=True, help="Number of clips.")
@click.option("--seconds", type=click.FloatRange(min=4.0), default=10.0, show_default=True, help="Length of a clip.")
@click.option("--motion", type=click.Path(path_type=Path), help="People move as in these files; as `train` reads them.")
@EVALUATION
@BODY
@COMMON
def synthetic(**given: Any) -> None:
    """Evaluate on made-up people with exact truth; needs no data.

    \b
    Stills and clips, in clear view and under every occlusion protocol: those of `dataset`, and on clips contact, where
    somebody comes, stands at the person with an arm around them, and leaves. Writes in OUT/:
      report.html       tables, curves, best and worst cases
      summary.json      every figure; summary.csv the same as a table
      cases/            what the figures are made of; a run that was stopped goes on from there
    """
    from tracker.evaluation.cases import PictureSize, SyntheticSettings
    from tracker.runtime.interrupt import deferred_interrupt

    chosen = {name: given[name] for name in ("seed", "stills", "clips", "stride", "textures", "motion")}
    settings = SyntheticSettings(**chosen, size=PictureSize(seconds=given["seconds"]))
    with deferred_interrupt() as interrupt:
        tell(evaluation(given, given["out"]).synthetic(settings, interrupt))


@evaluate.command()
@click.argument("name", metavar="NAME")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/evaluation/NAME.")
@PROTOCOL
@click.option("--limit", type=click.IntRange(min=1), help="So many recordings only.")
@click.option("--regressor", type=click.Path(path_type=Path), help="J_regressor_h36m.npy, for the papers' joints.")
@click.option("--truth-bodies", type=click.Path(path_type=Path), help="Folder of SMPL_MALE.pkl and the like.")
@click.option(
    "--predicted", type=click.Path(path_type=Path), help="Judge the results of `track` in this folder instead."
)
@EVALUATION
@PEOPLE
@CAMERA
@COMMON
def dataset(name: str, path: Path, protocols: tuple[str, ...], **given: Any) -> None:
    """Evaluate on a data set that you have: its NAME and the PATH it lies in. Writes what `synthetic` writes.

    \b
    Names:      3dpw 3dpw-occ 3doh50k h36m-p1 h36m-p2 mpi-inf-3dhp lsp spin-npz mmhuman3d
                person-npz: a folder that `track` wrote; how far does occlusion move its answers?
    Protocols:  patch-40 patch-80 bar circle rectangle: each frame by itself
                limb pillar lower-half crossing: over time
    """
    from tracker.runtime.interrupt import deferred_interrupt

    settings = recorded_settings(name, path, protocols, given)
    with deferred_interrupt() as interrupt:
        tell(evaluation(given, given["out"] or Path("out/evaluation") / name).recorded(settings, interrupt))


@evaluate.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/evaluation/<name of the video>.")
@PROTOCOL
@EVALUATION
@PEOPLE
@CAMERA
@COMMON
def clip(video: Path, protocols: tuple[str, ...], **given: Any) -> None:
    """Put occluders into any VIDEO or picture and measure how far they move the tracker's answer.

    Protocols are those of `dataset`. Writes what `synthetic` writes, and the answer on the clear picture in clear/.
    """
    from tracker.app.evaluate_clip import clear_answer
    from tracker.export import output_folders
    from tracker.runtime.interrupt import deferred_interrupt

    out = given["out"] or output_folders([video], Path("out/evaluation"))[0]
    with deferred_interrupt() as interrupt:
        truth = clear_answer(evaluation_job(given, out), video, configured(given, {}), interrupt)
        settings = recorded_settings("person-npz", truth, protocols, given)
        tell(evaluation(given, out).recorded(settings, interrupt))


def recorded_settings(name: str, path: Path, protocols: tuple[str, ...], given: dict[str, Any]) -> Any:
    """What is evaluated on recorded people, of a command's options those that it has."""
    from tracker.evaluation.recorded import PROTOCOLS, RecordedSettings

    wanted = PROTOCOLS if "all" in protocols else tuple(dict.fromkeys(each for each in protocols if each != "clean"))
    names = ("seed", "stride", "every", "limit", "textures", "regressor", "truth_bodies", "predicted")
    return RecordedSettings(name, path, wanted, **{each: given[each] for each in names if each in given})


def evaluation_job(given: dict[str, Any], out: Path) -> Any:
    """Where a command's results go, and how it is run: torch on one thread, as in the processes that it starts."""
    import os

    import torch

    from tracker.evaluation.run import EvaluationJob

    torch.set_num_threads(1)
    return EvaluationJob(out, given["workers"] or os.cpu_count() or 1, given["overwrite"])


def evaluation(given: dict[str, Any], out: Path) -> Any:
    """The evaluation that a command's options ask for."""
    from tracker.evaluation.benchmark import Evaluation

    return Evaluation(evaluation_job(given, out), configured(given, {}), given["others"])


@evaluate.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN RUN...")
def compare(runs: tuple[Path, ...]) -> None:
    """Put the figures of RUNs side by side, with the differences from the first."""
    from tracker.evaluation.report import comparison, read_run

    click.echo(comparison([read_run(run) for run in runs]))


@cli.group()
def body() -> None:
    """Body models."""


@body.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where to write; default: FILE with the suffix .npz.")
@OVERWRITE
def body_import(file: Path, out: Path | None, overwrite: bool) -> None:
    """Turn an SMPL FILE (.pkl or .npz from its makers' site) into a safe .npz for --body.

    The file is read without running anything that is in it.
    """
    from tracker.body import import_body

    target = out or file.with_suffix(".safe.npz" if file.suffix == ".npz" else ".npz")
    import_body(file, target, overwrite)
    click.echo(f"{target}: use it with --body {target}")


ENGINE = options(
    click.option("--precision", type=click.Choice(["float32", "float16", "bfloat16"]), default="float32"),
    click.option("--outputs", help="Only these outputs, separated by commas.  [default: what the tracker uses]"),
    click.option("--max-batch", type=click.IntRange(min=1), default=4, show_default=True, help="For TensorRT."),
    click.option("--compile", "compiled", is_flag=True, help="Have torch compile the network; takes a minute."),
    click.option("--threads", type=click.IntRange(min=1), help="Threads on the CPU.  [default: all cores]"),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
)


@cli.group()
def engine() -> None:
    """What runs the networks: OpenVINO, ONNX Runtime, torch or TensorRT."""


@engine.command("build")
@click.argument("networks", nargs=-1, metavar="[NETWORK...]")
@click.option("--backend", default="auto", show_default=True, help="auto, tensorrt, torch, openvino or onnxruntime.")
@ENGINE
def engine_build(networks: tuple[str, ...], backend: str, **given: Any) -> None:
    """Make what an engine needs to run the NETWORKs on this machine; by default for all of them.

    Only TensorRT has to be asked, once for each machine; for the others it is done at first use.
    """
    from tracker.app.engine_commands import build

    for line in build(networks, backend, engine_options(given)):
        click.echo(line)


@engine.command("list")
def engine_list() -> None:
    """Say which engines are installed, what was built, and whether it fits this machine."""
    from tracker.app.engine_commands import listing

    for line in listing():
        click.echo(line)


@engine.command("check")
@click.argument("network", default="landmarks")
@click.option("--backend", "backends", multiple=True, help="Only this one; may be given several times.")
@ENGINE
def engine_check(network: str, backends: tuple[str, ...], **given: Any) -> None:
    """Run NETWORK in every engine that is installed; compare outputs and time with torch.

    NETWORK is landmarks (default) or features, or either with -batch for several people at once.
    """
    from tracker.app.engine_commands import check

    differing = []
    click.echo(f"{'engine':12} {'precision':10} {'ms':>7} {'error':>9}  of")
    for each in check(network, backends, engine_options(given)):
        click.echo(f"{each.backend:12} {each.precision:10} {each.median_ms:7.2f} {each.error:9.1e}  {each.worst}")
        if not each.agrees:
            differing.append(each.backend)
    if differing:
        raise RunError(f"{network}: {', '.join(differing)} differs too much from torch in {given['precision']}")


@cli.group()
def models() -> None:
    """Landmark networks, from the most accurate to the fastest: heavy, full, lite."""


@models.command("list")
def models_list() -> None:
    """Say which landmark networks are here, and where."""
    from tracker.app.model_commands import listing

    for line in listing():
        click.echo(line)


@models.command("get")
@click.argument("name")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def models_get(name: str, file: Path | None) -> None:
    """Get the landmark network NAME through npm, or from a FILE that you have; its digest is checked.

    With heavy, files are tracked with it, and live where this machine is fast enough.
    """
    from tracker.app.model_commands import get

    click.echo(f"{name}: {get(name, file)}")


@cli.group()
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
@click.option("--seconds", type=click.FloatRange(min=1.0), default=3.0, show_default=True, help="Of the clip.")
@click.option(
    "--soak", type=click.FloatRange(min=0.0), default=0.0, metavar="MINUTES", help="Also run live for so long."
)
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
@click.option("--seconds", type=click.FloatRange(min=1.0), default=3.0, show_default=True, help="Of the clip.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file. Default: benchmarks/results/throughput.json.")
def bench_throughput(clip: Path | None, seconds: float, out: Path | None) -> None:
    """Measure what many videos cost: core hours an hour of video, by size, people, length, and videos at once."""
    from benchmarks.throughput import write_results

    click.echo(f"written: {write_results(clip, seconds, out)}")


@cli.group("config")
def config_group() -> None:
    """What can be set, and what it is set to."""


@config_group.command("list")
def config_list() -> None:
    """The configurations that come with the tracker."""
    from tracker.app.config_commands import names

    for line in names():
        click.echo(line)


@config_group.command("show")
@click.argument("name", default="live")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a key before showing.")
def config_show(name: str, assignments: tuple[str, ...]) -> None:
    """Every key of a configuration with its meaning and value.

    NAME is one of `config list` (default: live) or a YAML file. What is printed is YAML: keep it as a file, change it,
    and give it to --config.
    """
    from tracker.app.config_commands import shown
    from tracker.core.strict_yaml import assigned

    for line in shown(name, assigned(assignments), shutil.get_terminal_size((110, 24)).columns):
        click.echo(line)


@cli.command()
@COMMON
def info(**given: Any) -> None:
    """Versions, device, engines, body model and settings, as a bug report wants them."""
    from tracker.app.info import sections

    for title, rows in sections(configured(given, {})):
        click.echo(click.style(title, bold=True))
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            click.echo(f"  {name:{width}} {value}")


def configured(given: dict[str, Any], changes: dict[str, Any]) -> Any:
    """The configuration that a command's options ask for."""
    from tracker.config import load_config
    from tracker.core.strict_yaml import assigned, merged
    from tracker.world.camera_pose import has_camera_pose

    check_device(given["device"])
    camera = {key: given[key] for key in ("focal", "fov", "intrinsics") if given.get(key) is not None}
    detect = dict(changes.get("detect", {}))
    if given.get("max_people") is not None:
        detect["max_people"] = given["max_people"]
    engine = dict(changes.get("engine", {}))
    if given["device"] != "auto":
        engine["device"] = given["device"]
    chosen = {"body": given["body"]} if given.get("body") is not None else {}
    if given.get("height") is not None:
        chosen["height"] = given["height"]
    if given.get("clothed"):
        chosen["clothed"] = True
    world = {key: given[key] for key in ("frame", "pitch", "camera_height") if given.get(key) is not None}
    if "intrinsics" in camera and has_camera_pose(camera["intrinsics"]):
        world["calibration"] = camera["intrinsics"]
    files = {key: given[key] for key in ("skeleton", "unit", "blender") if given.get(key) is not None}
    files |= {"report": False} if given.get("no_report") else {}
    extract = {"extract": {"weights": given["weights"]}} if given.get("weights") is not None else {}
    options = {
        **changes, "camera": camera, "world": world, "files": files, "engine": engine, "detect": detect, **chosen,
        **extract,
    }  # fmt: skip
    return load_config(given["config"], merged(options, assigned(given["assignments"])))


def engine_options(given: dict[str, Any]) -> Any:
    """What the options of the engine commands ask for."""
    from engines import EngineOptions

    check_device(given["device"])
    outputs = tuple(given["outputs"].split(",")) if given["outputs"] else None
    return EngineOptions(
        threads=given["threads"],
        precision=given["precision"],
        device=given["device"],
        outputs=outputs,
        max_batch=given["max_batch"],
        compiled=given["compiled"],
    )


def check_device(name: str) -> None:
    """Raises InputError for a device that does not exist here."""
    import re

    import torch

    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {name}: torch finds no CUDA device here; use --device cpu")


def opened_tracker(config: Any) -> Any:
    """A fresh tracker, in a process that is set for it."""
    from tracker.pipeline import Tracker
    from tracker.runtime.process import compute_in_one_thread

    compute_in_one_thread()
    tracker = Tracker.open(config)
    prepare_process()
    return tracker


def prepare_process() -> None:
    """See `prepare_for_real_time`."""
    from tracker.runtime.process import prepare_for_real_time

    prepare_for_real_time()


def live_summary(result: Any) -> str:
    """What a live run was like."""
    share = f"{result.frames} frames, {result.frames_with_people} with people, {result.dropped} dropped"
    if not result.frames:
        return share
    pace = result.pace
    speed = f"{pace.rate:.1f} fps, latency {pace.latency_p50_ms:.0f} ms (p95 {pace.latency_p95_ms:.0f} ms)"
    return f"{share}; {'with people: ' if result.frames_with_people else ''}{speed}"


def summary_line(spec: str, result: Any) -> str:
    """One line on what a run has left."""
    people = "1 person" if result.people == 1 else f"{result.people} people"
    share = f"{result.frames_with_people} of {result.frames} frames"
    hint = "" if result.people else " (nobody was found)"
    warned = warnings_hint(result.warnings)
    return f"{printable(shown_address(spec))}: {people} in {share} → {printable(str(result.folder))}{hint}{warned}"


class _PrintableFormatter(logging.Formatter):
    """Escapes what a file's name could tell the terminal to do."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).splitlines()))


def main() -> int:
    """Runs the command line and turns every failure into one line and its exit status."""
    secure_standard_streams()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_PrintableFormatter("%(message)s"))
    keep_to_few_heaps()
    seldom_collect()
    name_the_processor()
    keep_current_folder_out()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else str(error))
        return 2
    except click.ClickException as error:
        click.echo(f"error: {message_line(error.format_message())}", err=True)
        return 2
    except InputError as error:
        click.echo(f"error: {message_line(error)}", err=True)
        return 2
    except RunError as error:
        click.echo(f"error: {message_line(error)}", err=True)
        return 1
    except (KeyboardInterrupt, click.exceptions.Abort) as stop:
        reason = str(stop.__cause__ or stop)  # click raises its own in the place of the interrupt
        click.echo(reason or "interrupted; everything so far is saved", err=True)
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        log.debug("traceback", exc_info=True)
        click.echo(f"error: {type(error).__name__}: {message_line(error)}", err=True)
        return 1
    return 0
