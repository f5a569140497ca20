"""Tensors on disk: safetensors with text metadata. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tracker.core.arrays import Array
from tracker.core.atomic_file import whole_file
from tracker.core.errors import InputError, RunError


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """A safetensors file, whole or not at all; values of metadata become JSON. Raises RunError."""
    save_plain(path, tensors, {key: json.dumps(value) for key, value in metadata.items()})


def save_plain(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """The same with metadata that is text already."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            save_file(flat, part, dict(metadata))
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be written: {error}") from error


def load_tensors(path: Path, purpose: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata that `save_tensors` wrote. Raises InputError that names a file that is none or damaged."""
    tensors, metadata = _read(path, purpose, "pt")
    try:
        return tensors, {key: json.loads(value) for key, value in metadata.items()}
    except (ValueError, RecursionError) as error:
        raise _damaged(path, purpose, error) from error


def load_arrays(path: Path, purpose: str) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays and metadata that `save_plain` wrote, without torch. Raises InputError like `load_tensors`."""
    return _read(path, purpose, "np")


def _read(path: Path, purpose: str, framework: str) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        with safe_open(path, framework=framework) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected {purpose}") from error
    except (SafetensorError, OSError, ValueError, TypeError, MemoryError) as error:
        raise _damaged(path, purpose, error) from error


def _damaged(path: Path, purpose: str, error: Exception) -> InputError:
    return InputError(f"{path}: damaged or not a safetensors file, expected {purpose} ({error})")
