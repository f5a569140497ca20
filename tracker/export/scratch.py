"""Arrays of hours of a person, which wait on disk until the files are written from them."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

_IN_MEMORY = 4_000_000
"""Bytes of an array that is worth a file."""
_ZEROS = bytes(1 << 20)


class Scratch:
    """Makes arrays; large ones lie in unnamed files, which the system removes with the array or the process."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: where those files may lie; None keeps all in memory."""
        self._folder = folder

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
        """With any content. In memory, too, where the disk has no room."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if self._folder is not None and size > _IN_MEMORY:
            with suppress(OSError):
                return self._on_disk(shape, np.dtype(dtype), size)
        return np.empty(shape, dtype)

    def _on_disk(self, shape: tuple[int, ...], dtype: np.dtype, size: int) -> NDArray:
        with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            while size > 0:  # a file with holes would end the process when the disk is full
                size -= file.write(_ZEROS[:size])
            return np.asarray(np.memmap(file, dtype, mode="r+", shape=shape))


MEMORY = Scratch()
