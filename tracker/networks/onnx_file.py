"""Networks as ONNX files in the user's cache, made where they are wanted first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tracker.core.errors import InputError
from tracker.runtime.cache import cache_folder, made_file


def onnx_place(name: str) -> Path:
    """Where the file of this name is kept, made or not."""
    return cache_folder() / "networks" / name


def kept_onnx(name: str, export: Callable[[Path], None]) -> Path:
    """The file of this name; `export` writes it unless it is there. Raises InputError when it cannot be kept."""
    try:
        return made_file(f"networks/{name}", export)
    except OSError as error:
        raise InputError(f"{onnx_place(name)}: cannot be written ({error.strerror}); set XDG_CACHE_HOME") from None
