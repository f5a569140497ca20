"""`live`: what takes seconds to load is loaded while the camera's pictures are on the screen already."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from tracker.cli.command_config import configured
from tracker.cli.command_options import (
    CAMERA,
    CLOTHED,
    COMMON,
    FILES,
    FORMAT,
    PEOPLE,
    RENDERER,
    STYLE,
    TRUST,
    WORLD,
    NumberRange,
)
from tracker.cli.summary_lines import live_summary, summary_line
from tracker.core.errors import RunError
from tracker.core.shown_text import printable, shown_address
from tracker.runtime.standard_streams import tell


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


@click.command()
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
    type=NumberRange(min=0),
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
def live(**given: Any) -> None:
    """Track a webcam live and draw the meshes over its picture.

    Keys in the window, buttons on the page: q quit, r start or end a recording, s snapshot,
    m mesh/skeleton/confidence/off, f smoothing on/off, h hide the help. A recording holds the same files as `track`
    writes.
    """
    from tracker.app.live_start import open_screens
    from tracker.runtime.interrupt import deferred_interrupt
    from tracker.source import open_live_source

    source, camera, page = given["source"], live_config(given), page_place(given)
    with (
        deferred_interrupt() as interrupt,
        open_live_source(source, camera) as opened,
        open_screens(not given["headless"], page) as screens,
    ):
        result = track_live(opened, screens, interrupt, given)
    tell_of_live(source, result, lines_on_stdout=any(address.startswith("jsonl:-") for address in given["send"]))
    if interrupt.requested:
        raise KeyboardInterrupt(
            "stopped; " + ("the recording is saved" if result.recordings else "nothing was recorded")
        )


def live_config(given: dict[str, Any]) -> Any:
    """What a webcam is asked for, and how long one that is lost is waited for."""
    from tracker.source import InputTrust, LiveConfig

    trust = InputTrust(given["max_pixels"], given["playlists"])
    return LiveConfig(
        reconnect_seconds=given["reconnect"], camera_size=given["size"], camera_mjpg=given["mjpg"], trust=trust
    )


def page_place(given: dict[str, Any]) -> Any:
    """Where the page for browsers is; None without one."""
    from tracker.app.live_start import PagePlace

    return None if given["web"] is None else PagePlace(given["web"], given["host"], recordings_folder(given))


def recordings_folder(given: dict[str, Any]) -> Path:
    """Where recordings go, also those that begin later."""
    return given["record"] or Path("out")


def track_live(opened: Any, screens: Any, interrupt: Any, given: dict[str, Any]) -> Any:
    """What a live run was, until the source ends or the user ends it. Raises KeyboardInterrupt where that is before the
    networks were loaded."""
    from tracker.app.live_start import loaded_meanwhile
    from tracker.runtime.process import prepare_for_real_time
    from tracker.source.latest_frames import LatestFrames

    with ExitStack() as stack:
        frames = stack.enter_context(LatestFrames(opened)) if opened.info.path is None else None
        screens.tell_address()
        session = loaded_meanwhile(
            lambda: open_session(stack, opened, screens, given), opened, frames, screens, interrupt
        )
        if session is None:
            raise KeyboardInterrupt("stopped before anything was tracked")
        prepare_for_real_time()
        return session.run(opened, interrupt, frames)


def open_session(stack: ExitStack, opened: Any, screens: Any, given: dict[str, Any]) -> Any:
    """Imports and opens what takes seconds, on the stack, which closes it."""
    from tracker.app.live import LiveJob, LiveSession, open_sends, warm_up
    from tracker.body import load_body
    from tracker.export import ExportConfig, parse_formats
    from tracker.pipeline import Tracker
    from tracker.world.live_world import LiveWorld

    export = ExportConfig(parse_formats(given["formats"]))
    job = LiveJob(recordings_folder(given), given["record"] is not None, export, given["renderer"], given["style"])
    config = configured(given, {"detect": {"punctual": False}})
    world = LiveWorld(config.world, load_body(config.body))
    sends = stack.enter_context(open_sends(given["send"], config.camera, world))
    tracker = stack.enter_context(Tracker.open(config))
    warm_up(tracker, opened.info.width, opened.info.height)
    return LiveSession(job, tracker, [*sends, *screens.outputs], screens.keys, world)


def tell_of_live(source: str, result: Any, lines_on_stdout: bool) -> None:
    """What a live run was like and has left; lines_on_stdout: the standard output belongs to others. Raises RunError
    with the first recording's fault, where one has failed."""
    for recording in result.recordings:
        tell(summary_line(source, recording), err=lines_on_stdout)
    tell(f"{printable(shown_address(source))}: {live_summary(result)}", err=lines_on_stdout)
    if result.faults:
        raise RunError(result.faults[0])
