"""What parts of the training are worth: equal, short trainings from nothing on the same examples, each without one.

- as shipped: contrastive loss, landmark network's maps as a guide, features that depend on the pose (O = 4);
- no contrast: the extractor learns from the pose alone; the kernels' features are still fitted to what it gives;
- no guide: the extractor sees the crop's pixels alone;
- O = 1: one feature a kernel, whatever the pose.

All then fit the same held-out people as `benchmarks.volume`. Trainings are kept in the folder and gone on with:

    python -m benchmarks.volume_training FOLDER --motion FOLDER --assets FOLDER --footage FOLDER
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.volume import PATCHES, Methods, SampleJudge, VolumeScene, held_out_people, summary, table
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.extract.feature_network import FeatureModel
from tracker.fit.volume_fitter import VolumeFitConfig
from tracker.networks.body_network import BodyNetwork
from tracker.networks.extractor import ExtractorConfig
from tracker.training.job import TrainingJob
from tracker.training.people import Batch
from tracker.training.train_volume import VolumeTrainer
from tracker.training.volume_config import VolumeTraining
from tracker.training.volume_losses import VolumeLosses

RESULTS = Path(__file__).parent / "results" / "volume_training.json"
_SHOWN = ("head", "head + volume", "landmark fit", "landmark fit + volume", "head and landmark fit + volume")


class WithoutContrast(VolumeLosses):
    """The extractor hears nothing of the contrastive loss; kernels and clutter learn what its features are."""

    def dense(self, batch: Batch, features: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        return super().dense(batch, features.detach(), rng)


def variants(base: VolumeTraining) -> dict[str, tuple[VolumeTraining, type[VolumeLosses]]]:
    """Name → settings and losses."""
    extractor = base.network.extractor
    assert isinstance(extractor, ExtractorConfig)
    extractor = replace(extractor, guided=False)
    return {
        "as shipped": (base, VolumeLosses),
        "no contrast": (base, WithoutContrast),
        "no guide": (replace(base, network=replace(base.network, extractor=extractor)), VolumeLosses),
        "O = 1": (replace(base, volume=replace(base.volume, orientations=1)), VolumeLosses),
    }


def train(job: TrainingJob, base: VolumeTraining) -> None:
    """Trains all variants side by side: an example is made once, for all of them."""
    body = load_body(None)
    runs = []
    for name, (settings, losses) in variants(base).items():
        torch.manual_seed(base.seed)
        run = VolumeTrainer(replace(job, out=job.out / name), settings, body)
        run.losses = losses(run.network, body, settings)
        runs.append(run)
    start = min(run.step for run in runs)
    material = runs[0].material
    batches = material.batches(material.source(), start)
    for step in tqdm(range(start, base.steps), initial=start, total=base.steps, desc="training", unit="step"):
        batch = Batch.of(next(batches))
        for run in runs:
            if run.step == step:
                run.advance(batch)
    for run in runs:
        run.save()
        run.network.save(run.job.out / "volume.safetensors", {"steps": run.step})


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--motion", type=click.Path(path_type=Path, exists=True), help="Folder of motion clips.")
@click.option("--assets", type=click.Path(path_type=Path, exists=True), help="Folder of skins, clothes, light.")
@click.option("--footage", type=click.Path(path_type=Path, exists=True), help="Folder of real clips.")
@click.option("--steps", type=click.IntRange(1), default=1500, show_default=True, help="Of each training.")
@click.option("--people", type=click.IntRange(1), default=60, show_default=True)
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Processes making samples.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(
    folder: Path, motion: Path | None, assets: Path | None, footage: Path | None,
    steps: int, people: int, workers: int, threads: int, out: Path,
) -> None:  # fmt: skip
    """Train without contrast, guide, orientations, and compare."""
    torch.set_num_threads(threads)
    job = TrainingJob.read("live", "cpu", folder, motion=motion, assets=assets, footage=footage, workers=workers)
    train(job, replace(job.settings(VolumeTraining), steps=steps, validation=0))
    torch.set_num_threads(1)
    click.echo(json.dumps({"steps": steps, "people": people}))
    results = compared(folder, people_to_judge(people, motion, assets))
    click.echo(table(results))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"run": {"steps": steps, "people": people}, "errors": results}, indent=1) + "\n")


def people_to_judge(count: int, motion: Path | None, assets: Path | None) -> list[SampleJudge]:
    """The first of the held-out people."""
    body = load_body(None)
    rig = LandmarkRig.from_body(body)
    people = tqdm(held_out_people(count, motion, assets), total=count, desc="people", disable=None)
    return [SampleJudge(body, rig, sample) for sample in people]


def compared(folder: Path, judges: list[SampleJudge]) -> dict[str, dict[str, dict[str, float]]]:
    """Errors by condition and by variant and method."""
    body = load_body(None)
    rig = LandmarkRig.from_body(body)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name in variants(VolumeTraining()):
        weights = folder / name / "volume.safetensors"
        network = BodyNetwork.load(weights, body)
        scene = VolumeScene(judges, Methods(FeatureModel(network, weights), rig, VolumeFitConfig()))
        found = {"clean": scene.clean()} | {f"{patch} px": scene.random(patch) for patch in PATCHES}
        for condition, rows in found.items():
            errors = summary(rows)
            results.setdefault(condition, {}).update({f"{name}: {method}": errors[method] for method in _SHOWN})
    return results


if __name__ == "__main__":
    main()
