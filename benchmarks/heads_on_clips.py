"""Heads, dense maps and landmarks on real clips, by what can be measured without truth.

    python -m benchmarks.heads_on_clips CLIP... [--head NAME=FILE] [--dense …] [--votes …] [--inpainting …]

The methods of `benchmarks.heads` see square crops of people in CLIPS, clear and with a patch of 40 or 80 px on them.
The landmarks of the clear crop stand for the truth in the picture: how far the twelve limb joints that were visible
there lie from them, in parts of the person's height, those behind the patch apart; and how well the mesh's silhouette
agrees with the clear crop's mask; medians. `landmarks + IK` has seen those landmarks where nothing hides them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.heads import HeadMethods, Image, Mask, known, method_options, square
from kernels import raster
from kernels.raster_values import Intrinsics
from tracker.body import BodyModel, load_body
from tracker.body.body_state import BodyState
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import LIMB_SMPL
from tracker.config import load_config
from tracker.core.affine import apply_affine, invert_affine
from tracker.core.arrays import Array
from tracker.core.atomic_file import write_whole
from tracker.core.camera import Camera
from tracker.core.crop import crop_image, square_box
from tracker.core.mask import IN_MASK
from tracker.detect import LandmarkDetector
from tracker.evaluation.occluder_textures import Textures
from tracker.evaluation.occlusion import covered, painted
from tracker.networks.landmark_network import SIDE
from tracker.source import open_source

RESULTS = Path(__file__).parent / "results" / "heads_on_clips.json"
_MARGIN = 1.25
"""Side of a crop over the person's longer side."""
_VISIBLE = 0.5


@dataclass(frozen=True)
class RealCrop:
    """Somebody in a clip."""

    image: Image
    camera: Camera
    joints: Array
    """(12, 2) px of the crop: the limb joints' landmarks."""
    visible: Mask
    """(12,)"""
    silhouette: Mask
    """(256, 256)"""

    @property
    def height(self) -> float:
        """px"""
        return float(max(np.ptp(self.joints[self.visible], axis=0).max(), 1.0))


def crops_of(clip: str, camera: Any, every: float, most: int) -> Iterator[RealCrop]:
    """The first person of a frame every so many seconds, where at least half of the limb joints are visible."""
    last = -np.inf
    with open_source(clip) as source, LandmarkDetector() as detector:
        for frame in islice(source, 10 * most * 30):
            found = detector.detect(frame)
            if not found or frame.time - last < every or not most:
                continue
            person = found[0]
            visible = person.visibility[MEDIAPIPE.limbs] > _VISIBLE
            if visible.sum() < len(visible) / 2 or person.mask is None:
                continue
            last, most = frame.time, most - 1
            box = square_box(person.bbox, _MARGIN)
            scale = SIDE / (box[2] - box[0])
            T_frame_crop = np.array([[1 / scale, 0, box[0]], [0, 1 / scale, box[1]]])
            yield RealCrop(
                crop_image(frame.image, box, SIDE),
                camera.for_size(*frame.size).crop(box, SIDE, SIDE),
                apply_affine(invert_affine(T_frame_crop), person.landmarks2d[MEDIAPIPE.limbs]),
                visible,
                person.mask.cropped(T_frame_crop, SIDE, SIDE) >= IN_MASK,
            )


def patches(crop: RealCrop, number: int) -> Iterator[tuple[str, Mask]]:
    """Condition and what is covered."""
    yield "clear", np.zeros((SIDE, SIDE), bool)
    rows, columns = np.nonzero(crop.silhouette)
    for patch in (40, 80):
        at = np.random.default_rng([patch, number]).integers(len(rows))
        yield f"{patch} px", square(np.array([columns[at], rows[at]]), patch)


class PictureJudge:
    """Compares bodies with what the clear picture shows."""

    def __init__(self, body: BodyModel) -> None:
        self._body, self._faces = body, body.faces.int().contiguous()

    def __call__(self, state: BodyState, crop: RealCrop, mask: Mask) -> tuple[float, float, float]:
        """How far visible and covered joints are off, in parts of the height (NaN for none), and the silhouettes'
        intersection over union."""
        posed = self._body.with_shape(torch.from_numpy(state.betas[None]).float()).with_rotations(
            torch.from_numpy(state.rotations[None]).float()
        )
        transl = torch.from_numpy(state.transl).float()
        joints = crop.camera.project((posed.joints[0] + transl).double().numpy())
        off = np.linalg.norm(joints[LIMB_SMPL] - crop.joints, axis=1) / crop.height
        behind = covered(mask, crop.joints)
        rows = (crop.visible & ~behind, crop.visible & behind)
        seen, hidden = (float(off[each].mean()) if each.any() else float("nan") for each in rows)
        k = Intrinsics(crop.camera.fx, crop.camera.fy, crop.camera.cx, crop.camera.cy)
        drawn = raster.rasterize((posed.vertices()[0] + transl).contiguous(), self._faces, k, (SIDE, SIDE))
        inside = (drawn.triangle >= 0).numpy()
        either = (inside | crop.silhouette).sum()
        return seen, hidden, float((inside & crop.silhouette).sum() / max(int(either), 1))


def compare(
    crops: Sequence[RealCrop], methods: HeadMethods, judge: PictureJudge
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Condition → method → medians."""
    rows: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    for number, crop in enumerate(tqdm(crops, desc="crops", disable=None)):
        for kind, (condition, mask) in enumerate(patches(crop, number)):
            rng = np.random.default_rng([number, kind])
            image = painted(crop.image, mask, Textures(), rng) if mask.any() else crop.image
            for name, state in methods(image, crop.camera).items():
                rows.setdefault(condition, {}).setdefault(name, []).append(judge(state, crop, mask))
    return {c: {name: _medians(each) for name, each in of.items()} for c, of in rows.items()}


def _medians(each: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Of those that are known; NaN where none is. Bodies that are put beside the camera are thousands of pixels off."""
    known = [[value for value in values if np.isfinite(value)] for values in zip(*each, strict=True)]
    seen, hidden, overlap = (float(np.median(values)) if values else float("nan") for values in known)
    return seen, hidden, overlap


def table(results: dict[str, dict[str, tuple[float, float, float]]]) -> str:
    """Markdown: visible joints, in brackets covered ones, and IoU."""
    lines = ["| | " + " | ".join(results) + " |", "|---|" + "---|" * len(results)]
    for name in next(iter(results.values())):
        cells = []
        for condition in results.values():
            seen, hidden, overlap = condition[name]
            behind = "" if np.isnan(hidden) else f" ({100 * hidden:.1f})"
            cells.append(f"{100 * seen:.1f}{behind} %, {overlap:.2f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.argument("clips", nargs=-1, required=True)
@method_options
@click.option("--every", default=0.8, show_default=True, help="s between two crops.")
@click.option("--most", type=click.IntRange(1), default=12, show_default=True, help="Crops of each clip.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(clips: tuple[str, ...], every: float, most: int, out: Path, **compared: Any) -> None:
    """Compare heads, dense maps and landmarks on people in CLIPS."""
    torch.set_num_threads(1)
    body, camera = load_body(None), load_config().camera
    crops = [crop for clip in clips for crop in crops_of(clip, camera, every, most)]
    click.echo(f"{len(crops)} crops of {', '.join(Path(clip).stem for clip in clips)}")
    results = compare(crops, HeadMethods.open(body, **compared), PictureJudge(body))
    click.echo(table(results))
    keys = ("visible", "covered", "overlap")
    medians = {c: {n: known(dict(zip(keys, each, strict=True))) for n, each in of.items()} for c, of in results.items()}
    run = {"clips": [Path(clip).stem for clip in clips], "crops": len(crops), "every": every, "most": most}
    write_whole(out, (json.dumps({"run": run, "medians": medians}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
