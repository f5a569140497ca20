"""`engine`: what runs the networks on this machine."""

from __future__ import annotations

from typing import Any

import click

from tracker.cli.command_config import check_device
from tracker.cli.command_options import options
from tracker.core.errors import RunError

ENGINE = options(
    click.option("--precision", type=click.Choice(["float32", "float16", "bfloat16"]), default="float32"),
    click.option("--outputs", help="Only these outputs, separated by commas.  [default: what the tracker uses]"),
    click.option("--max-batch", type=click.IntRange(min=1), default=4, show_default=True, help="For TensorRT."),
    click.option("--compile", "compiled", is_flag=True, help="Have torch compile the network; takes a minute."),
    click.option("--threads", type=click.IntRange(min=1), help="Threads on the CPU.  [default: all cores]"),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
)


@click.group()
def engine() -> None:
    """What runs the networks: OpenVINO, ONNX Runtime, torch or TensorRT."""


@engine.command("build")
@click.argument("networks", nargs=-1, metavar="[NETWORK...]")
@click.option("--backend", default="auto", show_default=True, help="auto, tensorrt, torch, openvino or onnxruntime.")
@ENGINE
def engine_build(networks: tuple[str, ...], backend: str, **given: Any) -> None:
    """Make what an engine needs to run the NETWORKs on this machine; by default for all of them.

    Only TensorRT has to be asked, once for each machine; for the others it is done at first use.
    """
    from tracker.app.engine_commands import build

    for line in build(networks, backend, engine_options(given)):
        click.echo(line)


@engine.command("list")
def engine_list() -> None:
    """Say which engines are installed, what was built, and whether it fits this machine."""
    from tracker.app.engine_commands import listing

    for line in listing():
        click.echo(line)


@engine.command("check")
@click.argument("network", default="landmarks")
@click.option("--backend", "backends", multiple=True, help="Only this one; may be given several times.")
@ENGINE
def engine_check(network: str, backends: tuple[str, ...], **given: Any) -> None:
    """Run NETWORK in every engine that is installed; compare outputs and time with torch.

    NETWORK is landmarks (default) or features, or either with -batch for several people at once.
    """
    from tracker.app.engine_commands import check

    differing = []
    click.echo(f"{'engine':12} {'precision':10} {'ms':>7} {'error':>9}  of")
    for each in check(network, backends, engine_options(given)):
        click.echo(f"{each.backend:12} {each.precision:10} {each.median_ms:7.2f} {each.error:9.1e}  {each.worst}")
        if not each.agrees:
            differing.append(each.backend)
    if differing:
        raise RunError(f"{network}: {', '.join(differing)} differs too much from torch in {given['precision']}")


def engine_options(given: dict[str, Any]) -> Any:
    """What the options of the engine commands ask for."""
    from engines import EngineOptions

    check_device(given["device"])
    outputs = tuple(given["outputs"].split(",")) if given["outputs"] else None
    return EngineOptions(
        threads=given["threads"],
        precision=given["precision"],
        device=given["device"],
        outputs=outputs,
        max_batch=given["max_batch"],
        compiled=given["compiled"],
    )
