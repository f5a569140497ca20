"""HKMR's study (its figure 6, tables 2 and 3): bars, circles and rectangles of growing size over one joint at a time.

    python -m benchmarks.head_study OUT --motion FOLDER --assets FOLDER --head hkmr=out/train/hkmr/head.safetensors \
        --head "no hierarchy=FILE" --head "forward only=FILE" --head "2 inner=FILE" --head "1 outer=FILE"

The network's own part-attention head and every head that is given see the same pictures; what its ablations leave out
is chosen when they are trained (`head: {hierarchy: false}`, `backward`, `inner`, `outer`). Writes OUT/study.html,
curves of the mean error over the degrees, and OUT/study.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.heads import HeadMethods, covered_image
from benchmarks.volume import SampleJudge, held_out_people
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.evaluation.occlusion import DEGREES, SHAPES, JointShape
from tracker.evaluation.report import Chart
from tracker.evaluation.study_page import StudySection, write_study
from tracker.networks.body_network import BodyNetwork
from tracker.networks.landmark_network import SIDE
from tracker.weights import weights_file

Curves = dict[str, dict[str, dict[int, float]]]
"""Shape → head → degree → mm; degree 0 is the clear picture."""
_UNITS = {"bar": "width", "circle": "radius", "rectangle": "area"}


def study(judges: Sequence[SampleJudge], methods: HeadMethods, degrees: Sequence[int], joints: int) -> Curves:
    """joints: how many of the study's joints are covered in each picture, one after another."""
    errors: dict[tuple[str, str, int], list[float]] = {}
    for number, judge in enumerate(tqdm(judges, desc="people", disable=None)):
        clear = methods(judge.sample.image, judge.camera, fits=False)
        for shape in SHAPES:
            for name, state in clear.items():
                errors.setdefault((shape, name, 0), []).append(judge.mpjpe(state))
            box = np.array([0.0, 0.0, SIDE, SIDE])
            known = np.where(judge.sample.joint_visible[:, None], judge.sample.joints2d, np.nan)
            placements = list(
                JointShape(shape, tuple(degrees)).placements((SIDE, SIDE), box, known, number)
            )  # by joint, then by degree
            for placement in placements[: joints * len(degrees)]:
                image = covered_image(judge, placement.mask, (number, placement.joint, placement.degree))
                for name, state in methods(image, judge.camera, fits=False).items():
                    errors.setdefault((shape, name, placement.degree), []).append(judge.mpjpe(state))
    curves: Curves = {}
    for (shape, name, degree), values in errors.items():
        curves.setdefault(shape, {}).setdefault(name, {})[degree] = float(np.mean(values))
    return curves


def section(curves: Curves, people: int) -> StudySection:
    """Curves and the numbers behind them."""
    charts = [
        Chart(
            f"{shape}s over one joint at a time",
            f"degree ({_UNITS[shape]})",
            "MPJPE, mm",
            {name: sorted((float(d), v) for d, v in points.items()) for name, points in heads.items()},
        )
        for shape, heads in curves.items()
    ]
    tables = {
        f"{shape}: MPJPE in mm by degree": {n: {str(d): v for d, v in sorted(p.items())} for n, p in heads.items()}
        for shape, heads in curves.items()
    }
    notes = [f"{people} held-out people; degree 0 is the clear picture", "pelvis-aligned, over 24 joints"]
    return StudySection("How errors grow with what is covered", notes, tables, charts)


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), default=weights_file("live"), show_default=True)
@click.option("--head", "heads", multiple=True, metavar="NAME=FILE", help="A network with another head.")
@click.option("--motion", type=click.Path(path_type=Path, exists=True), help="Folder of motion clips.")
@click.option("--assets", type=click.Path(path_type=Path, exists=True), help="Folder of skins, clothes, light.")
@click.option("--people", type=click.IntRange(1), default=30, show_default=True)
@click.option("--joints", type=click.IntRange(1), default=14, show_default=True, help="Covered in each picture.")
def main(
    out: Path, weights: Path, heads: tuple[str, ...], motion: Path | None, assets: Path | None, people: int, joints: int
) -> None:
    """Error curves of regression heads under growing occluders."""
    torch.set_num_threads(1)
    body = load_body(None)
    others = {name: BodyNetwork.load(Path(file), body) for name, _, file in (each.partition("=") for each in heads)}
    methods = HeadMethods(BodyNetwork.load(weights, body), others, body)
    rig = LandmarkRig.from_body(body)
    judges = [SampleJudge(body, rig, sample) for sample in held_out_people(people, motion, assets)]
    curves = study(judges, methods, DEGREES, joints)
    out.mkdir(parents=True, exist_ok=True)
    write_study(out / "study.html", "Regression heads under occlusion", [section(curves, people)])
    (out / "study.json").write_text(json.dumps({"people": people, "joints": joints, "mpjpe": curves}, indent=1) + "\n")
    click.echo(f"written: {out / 'study.html'}")


if __name__ == "__main__":
    main()
