"""How many steps the volume's fit is worth: errors against milliseconds, on the held-out people of `benchmarks.volume`.

    python -m benchmarks.volume_steps --motion FOLDER --assets FOLDER

The start is the landmark fit that believes the head, its size held as the tracker holds it; 0 steps is that start.
Times are processor time of the fit alone, on one thread. Writes benchmarks/results/volume_steps.json.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from time import process_time

import click
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.volume import PATCHES, Methods, SampleJudge, Start, behind_patch, held_out_people
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.extract.feature_extractor import WEIGHTS
from tracker.extract.feature_network import FeatureModel
from tracker.fit.volume_fitter import PoseBelief, VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import BodyNetwork

RESULTS = Path(__file__).parent / "results" / "volume_steps.json"
STEPS = (0, 1, 2, 4, 10, 20, 80)


def fitted(fitter: VolumeFitter, judges: list[SampleJudge], starts: list[Start]) -> dict[str, float]:
    """Means over the people."""
    states, seconds = [], []
    for start in starts:
        began = process_time()
        observed = fitter.observed(start.features.features)
        belief = PoseBelief(start.both.state, start.both.precision).holding_size(fitter.config.size_hold)
        states.append(fitter.fit(observed, start.features.map_camera, belief).state)
        seconds.append(process_time() - began)
    errors = [asdict(judge.errors(state)) for judge, state in zip(judges, states, strict=True)]
    means = {name: float(np.mean([each[name] for each in errors])) for name in errors[0]}
    return {**means, "milliseconds": 1e3 * float(np.median(seconds))}


@click.command()
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--motion", type=click.Path(path_type=Path, exists=True), help="Folder of motion clips.")
@click.option("--assets", type=click.Path(path_type=Path, exists=True), help="Folder of skins, clothes, light.")
@click.option("--people", type=click.IntRange(1), default=60, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(weights: Path, motion: Path | None, assets: Path | None, people: int, out: Path) -> None:
    """Accuracy against time for different numbers of steps."""
    body = load_body(None)
    rig, network = LandmarkRig.from_body(body), BodyNetwork.load(weights, body)
    torch.set_num_threads(1)
    config = VolumeFitConfig()
    methods = Methods(FeatureModel(network, weights), rig, config)
    judges = [SampleJudge(body, rig, sample) for sample in tqdm(held_out_people(people, motion, assets), total=people)]
    results = {}
    click.echo("| | steps | MPJPE | PA-MPJPE | ms |\n|---|---:|---:|---:|---:|")
    for patch in (0, *PATCHES):
        pictures = [behind_patch(j.sample, patch, n) if patch else j.sample.image for n, j in enumerate(judges)]
        starts = [methods.start(image, judge.camera) for image, judge in zip(pictures, judges, strict=True)]
        condition = f"{patch} px" if patch else "clean"
        for steps in STEPS:
            found = fitted(VolumeFitter(network, replace(config, steps=steps)), judges, starts)
            results[f"{condition}, {steps} steps"] = found
            numbers = f"{found['mpjpe']:.1f} | {found['pa_mpjpe']:.1f} | {found['milliseconds']:.1f}"
            click.echo(f"| {condition} | {steps} | {numbers} |")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"people": people, "errors": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
