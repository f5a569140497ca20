"""Weights on disk: safetensors with JSON metadata. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tracker.core.errors import InputError, RunError


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """A safetensors file, written beside its name and renamed when whole. Values of metadata become JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(flat, part, {key: json.dumps(value) for key, value in metadata.items()})
        part.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error}") from error


def load_tensors(path: Path, purpose: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a safetensors file. Raises InputError, naming the file, when it is none or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected {purpose}") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged or not a safetensors file, expected {purpose} ({error})") from error
