"""VNH's tables: what keypoints and the volume's likelihood are worth, and what its two layouts cost to train.

    python -m benchmarks.vnh --motion FOLDER --assets FOLDER [--skeleton FILE]

Table 1: the whole fit beside the regression head, clear and behind textured patches of 40 and 80 px. Table 2: without
the volume's likelihood (NLL), without the detector's keypoints, without either. `--skeleton` are weights whose kernels
lie along the bones, as VNH's; without it the volume is the shipped one, on the skin (the paper's "without VolHuman").
The third table is one training step of each layout, in a process of its own: processor time and memory above what the
process had before. Writes benchmarks/results/vnh.json.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import click
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.volume import PATCHES, Methods, SampleJudge, VolumeScene, held_out_people, summary
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.extract.feature_extractor import WEIGHTS
from tracker.extract.feature_network import FeatureModel
from tracker.fit.volume_fitter import VolumeFitConfig
from tracker.networks.body_network import BodyNetwork, NetworkConfig
from tracker.networks.guide import MAP
from tracker.training.people import Batch
from tracker.training.volume_config import VolumeTraining
from tracker.training.volume_losses import VolumeLosses

RESULTS = Path(__file__).parent / "results" / "vnh.json"
ROWS = {
    "without keypoints and NLL": "head",
    "without keypoints": "head + volume",
    "without NLL": "head and landmark fit",
    "all": "head and landmark fit + volume",
}
"""Table 2's rows, and the method of `benchmarks.volume` that each is."""
_MIB = 1024


@dataclass(frozen=True)
class StepCost:
    """Of one training step of a layout."""

    kernels: int
    milliseconds: float
    """Processor time, median."""
    mebibytes: float
    """At the peak, above what the process had before."""


def step_cost(layout: str, batch: int, steps: int) -> StepCost:
    """Of the contrastive losses with their gradients, of `batch` people; to be called in a new process."""
    torch.set_num_threads(1)
    body, settings = load_body(None), VolumeTraining()
    volume = BodyVolume.on(body, VolumeConfig(layout=layout))
    losses = VolumeLosses(BodyNetwork(NetworkConfig(), volume), body, settings)
    theta = torch.zeros(batch, NUM_JOINTS, 3)
    theta[:, 0, 0] = np.pi
    camera, one = torch.tensor([[400.0, 400.0, 128.0, 128.0]]).expand(batch, 4), torch.ones(batch)
    parts = torch.zeros(batch, MAP, MAP, dtype=torch.uint8)
    parts[:, 12:52, 16:48] = 1
    place = torch.tensor([[0.0, 0.3, 3.5]]).expand(batch, 3)
    people = Batch(torch.zeros(batch, 0), {}, parts, theta, torch.zeros(batch, NUM_BETAS), place, camera, one, one)
    size = NetworkConfig().extractor.features
    features = torch.nn.functional.normalize(torch.randn(batch, size, MAP, MAP), dim=1).requires_grad_()
    before, times = _peak(), []
    for step in range(steps):
        start = process_time()
        values = losses.dense(people, features, np.random.default_rng(step))
        torch.stack(list(values.values())).sum().backward()
        times.append(process_time() - start)
    return StepCost(volume.count, 1e3 * float(np.median(times[1:] or times)), _peak() - before)


def _peak() -> float:
    """MiB of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB


def layout_costs(batch: int, steps: int) -> dict[str, StepCost]:
    """By layout, each in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return {name: pool.apply(step_cost, (name, batch, steps)) for name in ("surface", "skeleton")}


def markdown(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """A row of table 2 each, MPJPE / PA-MPJPE / PCKh in each condition."""
    lines = ["| | " + " | ".join(results) + " |", "|---|" + "---|" * len(results)]
    for row, method in ROWS.items():
        errors = [condition[method] for condition in results.values()]
        cells = [f"{e['mpjpe']:.1f} / {e['pa_mpjpe']:.1f} / {e['pckh']:.0f}" for e in errors]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--skeleton", type=click.Path(path_type=Path, exists=True), help="Weights with kernels along the bones.")
@click.option("--motion", type=click.Path(path_type=Path, exists=True), help="Folder of motion clips.")
@click.option("--assets", type=click.Path(path_type=Path, exists=True), help="Folder of skins, clothes, light.")
@click.option("--people", type=click.IntRange(1), default=60, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Of the training step.")
@click.option("--steps", type=click.IntRange(1), default=8, show_default=True, help="Training steps that are measured.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(
    skeleton: Path | None, motion: Path | None, assets: Path | None, people: int, batch: int, steps: int, out: Path
) -> None:
    """VNH's ablation, and what its layouts cost."""
    costs = layout_costs(batch, steps)
    torch.set_num_threads(1)
    body, weights = load_body(None), skeleton or WEIGHTS
    rig, network = LandmarkRig.from_body(body), BodyNetwork.load(weights, body)
    samples = tqdm(held_out_people(people, motion, assets), total=people, desc="samples", disable=None)
    judges = [SampleJudge(body, rig, sample) for sample in samples]
    scene = VolumeScene(judges, Methods(FeatureModel(network, weights), rig, VolumeFitConfig()))
    results = {"clear": summary(scene.clean())} | {f"{patch} px": summary(scene.random(patch)) for patch in PATCHES}
    click.echo(markdown(results))
    for name, cost in costs.items():
        click.echo(f"{name}: {cost.kernels} kernels, {cost.milliseconds:.0f} ms and {cost.mebibytes:.0f} MiB a step")
    run = {"people": people, "batch": batch, "layout": network.volume.config.layout}
    rows = {row: {c: each[method] for c, each in results.items()} for row, method in ROWS.items()}
    described = {name: vars(cost) for name, cost in costs.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"run": run, "ablation": rows, "layouts": described}, indent=1) + "\n")


if __name__ == "__main__":
    main()
