"""Which volume: kernels on the skin or along the bones, features that depend on the pose (O = 4) or do not (O = 1).

The shipped extractor, which was trained with the first of these, stays as it is; each variant learns its own kernels'
features and clutter from the same synthetic examples, with the contrastive loss, from nothing. Then all fit the same
held-out people as `benchmarks.volume`, from the landmark fit. For each variant the errors and the processor time:

    python -m benchmarks.volume_ablation --motion FOLDER --assets FOLDER
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from time import process_time

import click
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from benchmarks.volume import PATCHES, Methods, SampleJudge, VolumeScene, held_out_people, summary, table
from tracker.body import BodyModel, load_body
from tracker.body.kinematics import LandmarkRig
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.extract.feature_extractor import WEIGHTS
from tracker.extract.feature_network import FeatureModel
from tracker.fit.volume_fitter import VolumeFitConfig
from tracker.networks.body_network import BodyNetwork
from tracker.synth.samples import stream
from tracker.training.job import TrainingJob
from tracker.training.material import sample_factory
from tracker.training.people import Batch, Guided, Synthetic
from tracker.training.volume_config import VolumeTraining
from tracker.training.volume_losses import VolumeLosses

RESULTS = Path(__file__).parent / "results" / "volume_ablation.json"
VARIANTS = {
    "surface, O = 4": VolumeConfig(),
    "surface, O = 1": VolumeConfig(orientations=1),
    "skeleton, O = 4": VolumeConfig(layout="skeleton"),
    "skeleton, O = 1": VolumeConfig(layout="skeleton", orientations=1),
}
_RATE = 0.02
_METHOD = "landmark fit + volume"


def variant(shipped: BodyNetwork, config: VolumeConfig, body: BodyModel) -> BodyNetwork:
    """The shipped networks with a fresh volume."""
    torch.manual_seed(0)
    network = BodyNetwork(shipped.config, BodyVolume.on(body, config))
    network.extractor.load_state_dict(shipped.extractor.state_dict())
    network.head.load_state_dict(shipped.head.state_dict())
    return network.eval()


def learn(networks: dict[str, BodyNetwork], body: BodyModel, job: TrainingJob, steps: int) -> None:
    """Fits every network's kernels' features to the same examples."""
    settings = VolumeTraining()
    examples = stream(Guided(Synthetic(sample_factory(settings.samples, job, body))), count(), job.workers)
    losses = {name: VolumeLosses(network, body, settings) for name, network in networks.items()}
    parts = {name: nn.ParameterList([n.bank, n.clutter]) for name, n in networks.items()}
    optimizers = {name: torch.optim.Adam(part.parameters(), _RATE) for name, part in parts.items()}
    for step in tqdm(range(steps), desc="features", unit="step", disable=None):
        batch = Batch.of(list(islice(examples, settings.batch // 2)))
        with torch.no_grad():
            seen = next(iter(networks.values())).extractor(batch.image, batch.guide)
        for name, optimizer in optimizers.items():
            optimizer.param_groups[0]["lr"] = _RATE * (1 - step / steps)
            values = losses[name].dense(batch, seen, np.random.default_rng(step))
            optimizer.zero_grad()
            (values["contrast"] + 0.3 * values["clutter"]).backward()
            optimizer.step()


@click.command()
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--motion", type=click.Path(path_type=Path, exists=True), help="Folder of motion clips.")
@click.option("--assets", type=click.Path(path_type=Path, exists=True), help="Folder of skins, clothes, light.")
@click.option("--steps", type=click.IntRange(1), default=300, show_default=True, help="Of learning the features.")
@click.option("--people", type=click.IntRange(1), default=60, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(weights: Path, motion: Path | None, assets: Path | None, steps: int, people: int, out: Path) -> None:
    """Compare layouts and orientations of the volume."""
    body = load_body(None)
    rig, shipped = LandmarkRig.from_body(body), BodyNetwork.load(weights, body)
    torch.set_num_threads(2)
    networks = {name: variant(shipped, config, body) for name, config in VARIANTS.items()}
    job = replace(TrainingJob.read("live", "cpu"), motion=motion, assets=assets, workers=2)
    learn(networks, body, job, steps)
    torch.set_num_threads(1)
    judges = [SampleJudge(body, rig, sample) for sample in tqdm(held_out_people(people, motion, assets), total=people)]
    results: dict[str, dict[str, dict[str, float]]] = {}
    seconds: dict[str, float] = {}
    for name, network in networks.items():
        scene = VolumeScene(judges, Methods(FeatureModel(network, weights), rig, VolumeFitConfig()))
        started = process_time()
        found = {"clean": scene.clean()} | {f"{patch} px": scene.random(patch) for patch in PATCHES}
        seconds[name] = (process_time() - started) / (people * len(found))
        for condition, rows in found.items():
            errors = summary(rows)
            results.setdefault(condition, {}).setdefault("landmark fit", errors["landmark fit"])
            results[condition][name] = errors[_METHOD]
    click.echo(table(results))
    told = {"steps": steps, "people": people, "seconds a picture, all methods": seconds}
    click.echo(json.dumps(told))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"run": told, "errors": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
