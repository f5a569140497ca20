"""An .npz that is written a block of rows at a time; numpy's own writer wants whole arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tracker.core.arrays import Array


class NpzStream:
    """Writes one file; use as a context manager. Raises OSError."""

    def __init__(self, stream: BinaryIO) -> None:
        self._archive = zipfile.ZipFile(stream, "w")

    def __enter__(self) -> NpzStream:
        return self

    def __exit__(self, *error: Any) -> None:
        self._archive.close()

    def array(self, name: str, value: ArrayLike) -> None:
        """A whole one."""
        whole = np.asarray(value)
        self.rows(name, whole.shape, whole.dtype, [whole])

    def rows(self, name: str, shape: tuple[int, ...], dtype: DTypeLike, blocks: Iterable[Array]) -> None:
        """One of this shape, whose rows come in blocks."""
        kind = np.dtype(dtype)
        with self._archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            for block in blocks:
                member.write(np.asarray(block, kind, order="C").tobytes())
