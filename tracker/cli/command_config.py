"""How options become the tracker's configuration, in the same way for every command."""

from __future__ import annotations

from typing import Any

from tracker.core.errors import InputError


def configured(given: dict[str, Any], changes: dict[str, Any]) -> Any:
    """The configuration that a command's options ask for."""
    from tracker.config import load_config
    from tracker.core.strict_yaml import assigned, merged
    from tracker.world.camera_pose import has_camera_pose

    check_device(given["device"])
    camera = {key: given[key] for key in ("focal", "fov", "intrinsics") if given.get(key) is not None}
    detect = dict(changes.get("detect", {}))
    if given.get("max_people") is not None:
        detect["max_people"] = given["max_people"]
    engine = dict(changes.get("engine", {}))
    if given["device"] != "auto":
        engine["device"] = given["device"]
    chosen = {"body": given["body"]} if given.get("body") is not None else {}
    if given.get("height") is not None:
        chosen["height"] = given["height"]
    if given.get("clothed"):
        chosen["clothed"] = True
    world = {key: given[key] for key in ("frame", "pitch", "camera_height") if given.get(key) is not None}
    if "intrinsics" in camera and has_camera_pose(camera["intrinsics"]):
        world["calibration"] = camera["intrinsics"]
    files = {key: given[key] for key in ("skeleton", "unit", "blender") if given.get(key) is not None}
    files |= {"report": False} if given.get("no_report") else {}
    extract = {"extract": {"weights": given["weights"]}} if given.get("weights") is not None else {}
    options = {
        **changes, "camera": camera, "world": world, "files": files, "engine": engine, "detect": detect, **chosen,
        **extract,
    }  # fmt: skip
    return load_config(given["config"], merged(options, assigned(given["assignments"])))


def check_device(name: str) -> None:
    """Raises InputError for a device that does not exist here."""
    import re

    import torch

    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {name}: torch finds no CUDA device here; use --device cpu")
