"""How faithful retargeting is: the source's joints against those of SMPL's skeleton, over all clips of a collection.

Two figures a joint. The distance, after scaling by the legs, also holds what the skeletons' builds differ by (a doll's
shoulders are not the built-in body's, nor is the middle of its pelvis): the column `at rest` says how much, with the
source unturned. The directions of the bones do not depend on it. With `--sheet`, a picture: the posed body with the
source's skeleton drawn over it.

    python -m benchmarks.retarget MOTION [--sheet FILE.png] [--only NAME ...]
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kernels.raster import shade_overlay
from kernels.raster_values import Intrinsics, RasterMesh
from tracker.body import BodyModel, load_body
from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.motion.motion_clip import MotionClip, joint_positions
from tracker.motion.read import motion_files, source_of
from tracker.motion.retarget import Correspondence, retarget
from tracker.motion.source_motion import SourceMotion

_PARTNERS = {"ankle": "foot", "hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist", "wrist": "hand"}
_SOURCE_NAMES = {"foot": "toe", "hand": "finger"}
_TILE, _SHOWN = 300, 2.3
"""Pixels of a picture's side, and metres that it shows."""
_FAR = 100.0
"""m: from so far away the picture is as good as parallel."""


@dataclass(frozen=True)
class Pair:
    """A source motion and what became of it; places (T, joint, 3) in m in SMPL's world."""

    motion: SourceMotion
    clip: MotionClip
    names: tuple[str, ...]
    """SMPL's names of the joints that both have."""
    source: Array
    target: Array

    @cached_property
    def at_rest(self) -> dict[str, float]:
        """mm of each joint with the source as it rests: what the two builds differ by."""
        skeleton = self.motion.skeleton
        unturned = np.tile(np.eye(3), (1, len(skeleton.names), 1, 1))
        still = Pair.of(replace(self.motion, rotations=unturned, root=np.zeros((1, 3))))
        return {name: float(mm[0]) for name, mm in still.distances().items()}

    @classmethod
    def of(cls, motion: SourceMotion) -> Pair:
        match = Correspondence.of(motion.name, motion.skeleton)
        places = motion.world()[1] @ match.axes * match.scale
        clip = retarget(motion)
        posed = joint_positions(clip.rotations().astype(float)) + clip.transl[:, None]
        pairs = {name: match.joints[own] for name in JOINT_NAMES if (own := _source_name(name)) in match.joints}
        # a skeleton with a single joint above the chest turns its head at the base of the neck
        pairs["neck"] = match.neck[0] if match.neck else pairs.pop("head")
        names = tuple(pairs)
        return cls(
            motion, clip, names, places[:, list(pairs.values())], posed[:, [JOINT_NAMES.index(n) for n in names]]
        )

    def distances(self) -> dict[str, Array]:
        """(T,) mm of each joint."""
        apart = 1000 * np.linalg.norm(self.source - self.target, axis=2)
        return dict(zip(self.names, apart.T, strict=True))

    def angles(self) -> dict[str, Array]:
        """(T,) degrees between the directions of each limb bone, named by its upper joint."""
        degrees = {}
        for side in ("left", "right"):
            for upper, lower in _PARTNERS.items():
                ends = [f"{side}_{upper}", f"{side}_{lower}"]
                if set(ends) <= set(self.names):
                    start, end = (self.names.index(name) for name in ends)
                    degrees[ends[0]] = _angle(
                        self.source[:, end] - self.source[:, start], self.target[:, end] - self.target[:, start]
                    )
        return degrees


def _source_name(name: str) -> str:
    side, _, part = name.partition("_")
    return f"{side}_{_SOURCE_NAMES[part]}" if part in _SOURCE_NAMES else name


def _angle(a: Array, b: Array) -> Array:
    cosine = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


class Sheet:
    """Pictures of clips, a row each."""

    def __init__(self, body: BodyModel, columns: int = 8) -> None:
        self._body, self._columns, self._rows = body, columns, []  # type: ignore[var-annotated]

    def add(self, pair: Pair) -> None:
        """Frames spread over the clip, seen from the front, the body's own heading at the middle of the clip."""
        frames = np.linspace(0, len(pair.clip.theta) - 1, self._columns).round().astype(int)
        tiles = [self._tile(pair, frame) for frame in frames]
        row = Image.fromarray(np.concatenate(tiles, axis=1))
        ImageDraw.Draw(row).text((6, 4), pair.clip.name, fill=(0, 0, 0))
        self._rows.append(np.asarray(row))

    def save(self, path: Path) -> None:
        Image.fromarray(np.concatenate(self._rows)).save(path)

    def _tile(self, pair: Pair, frame: int) -> NDArray[np.uint8]:
        theta, transl = (torch.from_numpy(values[frame]) for values in (pair.clip.theta, pair.clip.transl))
        posed = self._body.with_shape(torch.zeros(10)).with_pose(theta, transl)
        centre = posed.joints[0].numpy()
        focal = _FAR * _TILE / _SHOWN
        camera = Intrinsics(focal, focal, _TILE / 2, _TILE / 2)
        vertices = _to_camera(posed.vertices().numpy(), centre)
        mesh = RasterMesh(vertices, self._body.faces.int(), (200.0, 170.0, 150.0))
        picture = np.full((_TILE, _TILE, 3), 245, np.uint8)
        drawn = Image.fromarray(shade_overlay(picture, [mesh], camera).numpy())
        places = dict(zip(pair.names, _to_camera(pair.source[frame].astype(np.float32), centre), strict=True))
        pen = ImageDraw.Draw(drawn)
        for side, colour in (("left", (200, 0, 0)), ("right", (0, 0, 200))):
            for upper, lower in _PARTNERS.items():
                ends = [places.get(f"{side}_{part}") for part in (upper, lower)]
                if ends[0] is not None and ends[1] is not None:
                    pen.line([_pixel(e, focal) for e in ends if e is not None], fill=colour, width=2)
        return np.asarray(drawn)


def _to_camera(points: Array, centre: Array) -> Array:
    moved = (points - centre) * np.array([1, -1, -1], np.float32) + np.array([0, 0, _FAR], np.float32)
    return moved.astype(np.float32)


def _pixel(point: Array, focal: float) -> tuple[float, float]:
    return tuple(focal * point[:2] / point[2] + _TILE / 2)  # type: ignore[return-value]


def report(pairs: list[Pair]) -> None:
    """A table of joints: distance in mm and the angle of the bone below in degrees, mean and 95th percentile."""
    click.echo(f"{len(pairs)} clips, {sum(len(p.clip.theta) for p in pairs)} frames")
    click.echo(f"{'joint':16s}{'mm mean':>9s}{'p95':>7s}{'at rest':>9s}{'bone, degrees: mean':>22s}{'p95':>7s}")
    for name in JOINT_NAMES:
        apart = [p.distances()[name] for p in pairs if name in p.names]
        if not apart:
            continue
        turned = [p.angles()[name] for p in pairs if name in p.angles()]
        mm = np.concatenate(apart)
        rest = np.mean([p.at_rest[name] for p in pairs if name in p.names])
        line = f"{name:16s}{mm.mean():9.1f}{np.percentile(mm, 95):7.1f}{rest:9.1f}"
        if turned:
            degrees = np.concatenate(turned)
            line += f"{degrees.mean():22.2f}{np.percentile(degrees, 95):7.2f}"
        click.echo(line)
    everything = np.concatenate([mm for p in pairs for mm in p.distances().values()])
    click.echo(f"{'all joints':16s}{everything.mean():9.1f}{np.percentile(everything, 95):7.1f}")


@click.command(help=__doc__)
@click.argument("motion", type=click.Path(path_type=Path))
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a picture of the clips here.")
@click.option("--only", multiple=True, help="Only files whose name contains this; may be given several times.")
def main(motion: Path, sheet: Path | None, only: tuple[str, ...]) -> None:
    pairs = [
        Pair.of(source_of(name, content))
        for name, content in motion_files(motion)
        if not name.endswith(".npz") and (not only or any(part in name for part in only))
    ]
    if not pairs:
        raise InputError(f"{motion}: no .bvh or DeepMimic files, or none whose name contains {' or '.join(only)}")
    report(pairs)
    if sheet:
        pictures = Sheet(load_body())
        for pair in pairs:
            pictures.add(pair)
        pictures.save(sheet)


if __name__ == "__main__":
    main()
