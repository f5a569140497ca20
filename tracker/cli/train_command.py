"""`train`: the tracker's networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracker.cli.command_config import check_device
from tracker.cli.command_options import OVERWRITE, NumberRange


@click.command()
@click.argument("config", metavar="CONFIG")
@click.option("--motion", type=click.Path(path_type=Path), help="Motion files: a folder, .bvh, AMASS .npz, .tar.gz.")
@click.option("--assets", type=click.Path(path_type=Path), help="Skins, clothes, backgrounds for synthetic people.")
@click.option("--footage", type=click.Path(path_type=Path), help="Real clips of people, without labels.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Annotated pictures: COCO-EFT, Human3.6M, MPI-INF-3DHP, … as SPIN's .npz. Once a file, each with --images.",
)
@click.option("--images", type=click.Path(path_type=Path), multiple=True, help="From where on --data names pictures.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the weights.  [default: out/train/CONFIG]")
@click.option("--minutes", type=NumberRange(min=0, min_open=True), help="Stop after so long, whole.")
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Processes making samples.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@OVERWRITE
def train(config: str, device: str, **given: Any) -> None:
    """Train one of the tracker's networks; CONFIG is a name in configs/train/ or a YAML file.

    Writes OUT/<task>.safetensors; with --out tracker/weights it is the tracker's own. A long training leaves
    checkpoints in OUT and goes on from them when it is started again. `torchrun --nproc-per-node N run.py train …`
    trains a volume in N processes, one a GPU.
    """
    from tracker.training import TrainingJob, run_training

    check_device(device)
    report = run_training(TrainingJob.read(config, device, **given))
    if report:
        click.echo(report)
