"""What the volume's features can do, on one page: experiments on 3DNBF that its authors leave open.

    python -m benchmarks.feature_studies OUT --motion FOLDER --assets FOLDER --weights "no contrast=FILE"

1. A volume in the true pose is rendered and compared with the features of the picture, pixel by pixel.
2. One limb at a time is turned away from the true pose: how much worse the features are explained (nll), over the
   angle. Weights that `benchmarks.volume_training` made without the contrastive loss show what that loss does.
3. Head and volume behind a patch that a sliding window puts where it harms them most, and behind ever larger patches
   until they fail.

Writes OUT/studies.html with curves and pictures, and OUT/studies.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.heads import HeadMethods, covered_image, judged, square, worst
from benchmarks.volume import SampleJudge, held_out_people
from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.person import Pose
from tracker.evaluation.report import Chart, Picture
from tracker.evaluation.study_page import StudySection, write_study
from tracker.fit.volume_fitter import VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import BodyNetwork
from tracker.networks.guide import MAP, LandmarkGuide
from tracker.networks.landmark_network import SIDE
from tracker.weights import weights_file

ANGLES = tuple(range(-75, 76, 15))
"""Degrees by which a joint is turned about an axis that its limb does not lie on."""
TURNED = ("left_shoulder", "right_elbow", "left_hip", "right_knee")
SIZES = (0, 40, 80, 120, 160, 200)
"""px of a 224 px crop."""
_PICTURES = 3
_SHOWN = 192


@dataclass(frozen=True)
class Contrasted:
    """One network's features of one picture beside its volume in the true pose."""

    similarity: NDArray[np.float32]
    """(64, 64) cosine; NaN where no body is seen."""
    occlusion: NDArray[np.float64]


class FeatureProbe:
    """One network, asked about true and wrong poses."""

    def __init__(self, network: BodyNetwork) -> None:
        self._network, self._guide = network, LandmarkGuide(threads=1)
        self._fitter = VolumeFitter(network, VolumeFitConfig(stride=1))

    @torch.no_grad()
    def features(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """(1, D, 64, 64)."""
        guide = {name: torch.from_numpy(value)[None] for name, value in self._guide(image).items()}
        crop = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        features: torch.Tensor = self._network.extractor(crop, guide).features
        return features

    def compare(self, judge: SampleJudge) -> Contrasted:
        """The volume in the true pose, and what it leaves to something in front."""
        features, state = self.features(judge.sample.image), true_state(judge)
        drawn = self._fitter.rendered(map_camera(judge), state)
        similarity = (drawn * features[0].permute(1, 2, 0)).sum(-1).numpy()
        visible = (judge.sample.parts[2::4, 2::4] > 0) & (drawn.norm(dim=-1).numpy() > 0)
        looked = self._fitter.look(self._fitter.observe(features), map_camera(judge), state)
        return Contrasted(np.where(visible, similarity, np.nan), looked.occlusion)

    def turned(self, judge: SampleJudge, joint: str) -> Array:
        """(angles,) nll above that of the true pose when one joint is turned."""
        observed = self._fitter.observe(self.features(judge.sample.image))
        states = [turned(true_state(judge), smpl_index(joint), angle) for angle in ANGLES]
        costs: Array = self._fitter.score(observed, map_camera(judge), states)
        return costs - costs[ANGLES.index(0)]


def turned(state: BodyState, joint: int, degrees: float) -> BodyState:
    """The pose with a joint turned about its own z axis, across arms and legs alike."""
    rotations = state.rotations.copy()
    rotations[joint] = rotations[joint] @ matrix_from_axis_angle(np.array([0.0, 0.0, np.radians(degrees)]))
    return BodyState(rotations, state.betas, state.transl)


def true_state(judge: SampleJudge) -> BodyState:
    sample = judge.sample
    theta = np.asarray(sample.theta, float).reshape(NUM_JOINTS, 3)
    return BodyState.from_pose(Pose(theta[0], theta[1:].reshape(-1), sample.betas, sample.transl))


def map_camera(judge: SampleJudge) -> Array:
    camera = judge.camera
    return np.array([camera.fx, camera.fy, camera.cx, camera.cy]) * MAP / SIDE


def fixed_pose(probes: dict[str, FeatureProbe], judges: Sequence[SampleJudge]) -> StudySection:
    """Experiment 1."""
    pictures, table = [], {}
    for name, probe in probes.items():
        compared = [probe.compare(judge) for judge in tqdm(judges, desc="fixed pose", disable=None)]
        values = np.concatenate([each.similarity[np.isfinite(each.similarity)] for each in compared])
        table[name] = {"mean cosine × 100": 100 * float(values.mean()), "below 0, %": 100 * float((values < 0).mean())}
        for judge, each in list(zip(judges, compared, strict=True))[:_PICTURES]:
            panels = [judge.sample.image, coloured(0.5 + 0.5 * np.nan_to_num(each.similarity, nan=-1.0))]
            strip = np.concatenate([cv2.resize(panel, (_SHOWN, _SHOWN)) for panel in panels], axis=1)
            pictures.append(Picture(f"{name}: cosine of rendered and seen features", strip, ("crop", "similarity")))
    notes = ["The volume stands in the true pose; visible pixels of the body only."]
    return StudySection("1. Fixed pose: render and compare", notes, {"": table}, (), pictures)


def discriminability(probes: dict[str, FeatureProbe], judges: Sequence[SampleJudge]) -> StudySection:
    """Experiment 2, and the first two checks."""
    charts, table = [], {}
    for joint in TURNED:
        series = {}
        for name, probe in probes.items():
            costs = np.stack([probe.turned(judge, joint) for judge in tqdm(judges, desc=joint, disable=None)])
            series[name] = [(float(angle), float(cost)) for angle, cost in zip(ANGLES, costs.mean(0), strict=True)]
            wrong = np.delete(costs, ANGLES.index(0), axis=1)
            table.setdefault(name, {})[f"{joint}: true pose preferred, %"] = 100 * float((wrong > 0).mean())
        charts.append(Chart(f"{joint} turned", "angle, degrees", "nll above the true pose", series))
    notes = ["Means over the people. A curve that is steep around 0 tells similar poses apart."]
    return StudySection("2. Do features tell similar poses apart?", notes, {"": table}, charts)


def adversarial(
    methods: HeadMethods, judges: Sequence[SampleJudge], rig: LandmarkRig, stride: int, hard: int
) -> StudySection:
    """Experiment 3 and the third check."""
    curves: dict[str, dict[int, list[float]]] = {}
    pictures = []
    for number, judge in enumerate(tqdm(judges, desc="growing patch", disable=None)):
        middle = judge.sample.joints2d[smpl_index("spine1")]
        for size in SIZES:
            image = covered_image(judge, square(middle, size) if size else np.zeros((SIDE, SIDE), bool), (number, size))
            for name, state in methods(image, judge.camera).items():
                error = judged(judge, rig, state, np.zeros((SIDE, SIDE), bool)).mpjpe
                curves.setdefault(name, {}).setdefault(size, []).append(error)
            if number < _PICTURES and size in (80, 160):
                both = np.concatenate(
                    [cv2.resize(each, (_SHOWN, _SHOWN)) for each in (judge.sample.image, image)], axis=1
                )
                pictures.append(Picture(f"{size} px over the body's middle", both, ("clear", "covered")))
    series = {n: [(float(s), float(np.mean(v))) for s, v in sorted(each.items())] for n, each in curves.items()}
    chart = Chart("A patch over the body's middle, until failure", "side, px of a 224 px crop", "MPJPE, mm", series)
    tables = {}
    if hard:
        for patch in (40, 80):
            caption = f"{patch} px where it harms most, {hard} people, mm"
            tables[caption] = worst(judges[:hard], methods, rig, patch, stride)
    return StudySection("3. Adversarial occlusion", [f"{len(judges)} people"], tables, [chart], pictures)


def coloured(values: NDArray) -> NDArray[np.uint8]:
    """(h, w) 0..1 as a picture."""
    grey = np.asarray(255 * np.clip(values, 0, 1), np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1])


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--weights", "others", multiple=True, metavar="NAME=FILE", help="Other networks, beside the shipped one.")
@click.option("--motion", type=click.Path(path_type=Path, exists=True), help="Folder of motion clips.")
@click.option("--assets", type=click.Path(path_type=Path, exists=True), help="Folder of skins, clothes, light.")
@click.option("--people", type=click.IntRange(1), default=30, show_default=True)
@click.option("--worst", "hard", type=click.IntRange(0), default=4, show_default=True, help="People for the window.")
@click.option("--stride", type=click.IntRange(1), default=48, show_default=True, help="Of the window, px of 224.")
def main(
    out: Path, others: tuple[str, ...], motion: Path | None, assets: Path | None, people: int, hard: int, stride: int
) -> None:
    """Three experiments on the volume's features, as one page."""
    torch.set_num_threads(1)
    body = load_body(None)
    rig, shipped = LandmarkRig.from_body(body), BodyNetwork.load(weights_file("live"), body)
    networks = {"shipped": shipped}
    networks |= {name: BodyNetwork.load(Path(file), body) for name, _, file in (o.partition("=") for o in others)}
    judges = [SampleJudge(body, rig, sample) for sample in held_out_people(people, motion, assets)]
    probes = {name: FeatureProbe(network) for name, network in networks.items()}
    methods = HeadMethods(shipped, {}, body)
    sections = [
        fixed_pose(probes, judges),
        discriminability(probes, judges),
        adversarial(methods, judges, rig, stride, hard),
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_study(out / "studies.html", "What the volume's features can do", sections)
    numbers = {
        section.title: {"tables": section.tables, "curves": {c.title: c.series for c in section.charts}}
        for section in sections
    }
    (out / "studies.json").write_text(json.dumps({"people": people, "studies": numbers}, indent=1) + "\n")
    click.echo(f"written: {out / 'studies.html'}")


if __name__ == "__main__":
    main()
