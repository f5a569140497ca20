"""Options that several commands have, as decorators: each is worded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import isnan
from pathlib import Path
from typing import Any

import click

Options = Callable[[Callable[..., None]], Callable[..., None]]


def options(*decorators: Options) -> Options:
    """Several click options as one decorator."""
    return lambda command: reduce(lambda done, option: option(done), reversed(decorators), command)


class NumberRange(click.FloatRange):
    """A range without NaN, which click takes to be in each."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if isnan(number):
            self.fail("nan is no number", param, ctx)
        return number


_LONGEST_CLIP = 3600.0
"""s: a longer one is a slip, and would fill the memory."""
CLIP_SECONDS = NumberRange(min=4.0, max=_LONGEST_CLIP)
SHORT_CLIP_SECONDS = NumberRange(min=1.0, max=_LONGEST_CLIP)
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
