"""`info`: what is installed, what runs where, and what is set, for looking into problems."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from engines import BACKENDS
from engines.choose import is_installed
from kernels import build
from tracker.body import load_body
from tracker.core.errors import InputError
from tracker.export.run_json import versions
from tracker.networks.landmark_files import installed_landmarks
from tracker.pipeline import TrackerConfig
from tracker.runtime.cache import cache_folder
from tracker.weights import weights_file

Rows = list[tuple[str, str]]


def sections(config: TrackerConfig) -> Iterator[tuple[str, Rows]]:
    """Titles with their rows of names and values; what is missing is said to be."""
    yield "versions", list(versions().items())
    yield "machine", _machine()
    yield "engines", [(name, "installed" if is_installed(name) else "not installed") for name in BACKENDS]
    yield "files", _files(config)
    yield "settings that differ from the defaults", _differences(config, TrackerConfig(), "") or [("none", "")]


def _machine() -> Rows:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none that torch can use"
    kernels = build.library_file() or "none: plain torch, which is very slow"
    level = build.processor_level()
    return [
        ("processor", f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {level} instructions"),
        ("GPU", gpu),
        ("C++ kernels", str(kernels)),
    ]


def _files(config: TrackerConfig) -> Rows:
    try:
        model = load_body(config.body)
        body = f"{model.name}: {len(model.v_template)} vertices, {len(model.faces)} triangles"
    except InputError as error:
        body = f"cannot be used: {error}"
    folder = cache_folder()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return [
        ("body", body),
        ("weights", str(config.extract.weights) if config.extract.enabled else "none: landmarks alone"),
        ("landmark networks", ", ".join(installed_landmarks()) or "none"),
        ("shipped weights", str(weights_file("live").parent)),
        ("cache", f"{folder}, {size / 2**20:.0f} MiB"),
    ]


def _differences(config: Any, default: Any, prefix: str) -> Rows:
    rows: Rows = []
    for each in fields(config):
        value, usual = getattr(config, each.name), getattr(default, each.name)
        if is_dataclass(value) and not isinstance(value, type):
            rows += _differences(value, usual, f"{prefix}{each.name}.")
        elif value != usual:
            rows.append((f"{prefix}{each.name}", f"{value} (default {usual})"))
    return rows
