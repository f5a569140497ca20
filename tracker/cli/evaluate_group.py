"""`evaluate`: how far off the tracker is, on made-up people, on data sets, and on any clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracker.cli.command_config import configured
from tracker.cli.command_options import BODY, CAMERA, CLIP_SECONDS, COMMON, OVERWRITE, PEOPLE, options
from tracker.runtime.standard_streams import tell

EVALUATION = options(
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."),
    click.option(
        "--stride",
        type=click.IntRange(min=1),
        default=40,
        show_default=True,
        help="Pixels of a 224² crop between places of the sliding patch; the papers take 10.",
    ),
    click.option("--textures", type=click.Path(path_type=Path), help="Folder of pictures that occluders are made of."),
    click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]"),
    click.option(
        "--compare", "others", type=click.Path(path_type=Path), multiple=True, help="Folder of an earlier run."
    ),
    OVERWRITE,
)
PROTOCOL = options(
    click.option(
        "--protocol", "protocols", multiple=True, help="Occlusion, beside the clean pictures; all for every one."
    ),
    click.option(
        "--every",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Under stills' protocols every so many frames of a clip only.",
    ),
)


@click.group()
def evaluate() -> None:
    """Measure the tracker: errors on made-up or recorded people, in clear view and under occlusion."""


@evaluate.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/evaluation/synthetic"), show_default=True)
@click.option("--stills", type=click.IntRange(min=0), default=10, show_default=True, help="Number of still pictures.")
@click.option("--clips", type=click.IntRange(min=0), default=3, show_default=True, help="Number of clips.")
@click.option("--seconds", type=CLIP_SECONDS, default=10.0, show_default=True, help="Length of a clip.")
@click.option("--motion", type=click.Path(path_type=Path), help="People move as in these files; as `train` reads them.")
@EVALUATION
@BODY
@COMMON
def synthetic(**given: Any) -> None:
    """Evaluate on made-up people with exact truth; needs no data.

    \b
    Stills and clips, in clear view and under every occlusion protocol: those of `dataset`, and on clips contact, where
    somebody comes, stands at the person with an arm around them, and leaves. Writes in OUT/:
      report.html       tables, curves, best and worst cases
      summary.json      every figure; summary.csv the same as a table
      cases/            what the figures are made of; a run that was stopped goes on from there
    """
    from tracker.evaluation.cases import PictureSize, SyntheticSettings
    from tracker.runtime.interrupt import deferred_interrupt

    chosen = {name: given[name] for name in ("seed", "stills", "clips", "stride", "textures", "motion")}
    settings = SyntheticSettings(**chosen, size=PictureSize(seconds=given["seconds"]))
    with deferred_interrupt() as interrupt:
        tell(evaluation(given, given["out"]).synthetic(settings, interrupt))


@evaluate.command()
@click.argument("name", metavar="NAME")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/evaluation/NAME.")
@PROTOCOL
@click.option("--limit", type=click.IntRange(min=1), help="So many recordings only.")
@click.option("--regressor", type=click.Path(path_type=Path), help="J_regressor_h36m.npy, for the papers' joints.")
@click.option("--truth-bodies", type=click.Path(path_type=Path), help="Folder of SMPL_MALE.pkl and the like.")
@click.option(
    "--predicted", type=click.Path(path_type=Path), help="Judge the results of `track` in this folder instead."
)
@EVALUATION
@PEOPLE
@CAMERA
@COMMON
def dataset(name: str, path: Path, protocols: tuple[str, ...], **given: Any) -> None:
    """Evaluate on a data set that you have: its NAME and the PATH it lies in. Writes what `synthetic` writes.

    \b
    Names:      3dpw 3dpw-occ 3doh50k h36m-p1 h36m-p2 mpi-inf-3dhp lsp spin-npz mmhuman3d
                person-npz: a folder that `track` wrote; how far does occlusion move its answers?
    Protocols:  patch-40 patch-80 bar circle rectangle: each frame by itself
                limb pillar lower-half crossing: over time
    """
    from tracker.runtime.interrupt import deferred_interrupt

    settings = recorded_settings(name, path, protocols, given)
    with deferred_interrupt() as interrupt:
        tell(evaluation(given, given["out"] or Path("out/evaluation") / name).recorded(settings, interrupt))


@evaluate.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Default: out/evaluation/<name of the video>.")
@PROTOCOL
@EVALUATION
@PEOPLE
@CAMERA
@COMMON
def clip(video: Path, protocols: tuple[str, ...], **given: Any) -> None:
    """Put occluders into any VIDEO or picture and measure how far they move the tracker's answer.

    Protocols are those of `dataset`. Writes what `synthetic` writes, and the answer on the clear picture in clear/.
    """
    from tracker.app.evaluate_clip import clear_answer
    from tracker.export import output_folders
    from tracker.runtime.interrupt import deferred_interrupt

    out = given["out"] or output_folders([video], Path("out/evaluation"))[0]
    with deferred_interrupt() as interrupt:
        truth = clear_answer(evaluation_job(given, out), video, configured(given, {}), interrupt)
        settings = recorded_settings("person-npz", truth, protocols, given)
        tell(evaluation(given, out).recorded(settings, interrupt))


def recorded_settings(name: str, path: Path, protocols: tuple[str, ...], given: dict[str, Any]) -> Any:
    """What is evaluated on recorded people, of a command's options those that it has."""
    from tracker.evaluation.recorded import PROTOCOLS, RecordedSettings

    wanted = PROTOCOLS if "all" in protocols else tuple(dict.fromkeys(each for each in protocols if each != "clean"))
    names = ("seed", "stride", "every", "limit", "textures", "regressor", "truth_bodies", "predicted")
    return RecordedSettings(name, path, wanted, **{each: given[each] for each in names if each in given})


def evaluation_job(given: dict[str, Any], out: Path) -> Any:
    """Where a command's results go, and how it is run: torch on one thread, as in the processes that it starts."""
    import os

    import torch

    from tracker.evaluation.run import EvaluationJob

    torch.set_num_threads(1)
    return EvaluationJob(out, given["workers"] or os.cpu_count() or 1, given["overwrite"])


def evaluation(given: dict[str, Any], out: Path) -> Any:
    """The evaluation that a command's options ask for."""
    from tracker.evaluation.benchmark import Evaluation

    return Evaluation(evaluation_job(given, out), configured(given, {}), given["others"])


@evaluate.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN RUN...")
def compare(runs: tuple[Path, ...]) -> None:
    """Put the figures of RUNs side by side, with the differences from the first."""
    from tracker.evaluation.report import comparison, read_run

    click.echo(comparison([read_run(run) for run in runs]))
