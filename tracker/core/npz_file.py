"""Reads .npz and .npy files, whose entries may be pickled objects, without trusting them.

numpy's own reader makes an array as large as a header says before it looks for its values, and unpickles.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tracker.core.safe_pickle import read_pickle

_MOST_ENTRIES = 10_000
_LARGEST_CONTENT = 1 << 31
"""Bytes of all entries together."""
_FREE_CONTENT, _LARGEST_RATIO = 1 << 26, 100
"""Content may be this many times as large as the file, beyond an amount that harms nobody."""
_PLAIN_KINDS = "biufcSU"


def read_npz(data: bytes, names: Collection[str] | None = None) -> dict[str, Any]:
    """Every entry by name, or those of `names` that are there; pickled ones through the reader that only builds data.

    Raises ValueError, UnpicklingError, and what broken archives make zipfile and zlib raise.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        wanted = [
            info
            for info in archive.infolist()
            if info.filename.endswith(".npy") and (names is None or info.filename.removesuffix(".npy") in names)
        ]
        _check_size(wanted, len(data))
        return {info.filename.removesuffix(".npy"): _entry(archive, info) for info in wanted}


def _check_size(entries: list[zipfile.ZipInfo], file_size: int) -> None:
    size = sum(info.file_size for info in entries)
    limit = min(_LARGEST_CONTENT, _FREE_CONTENT + _LARGEST_RATIO * file_size)
    if len(entries) > _MOST_ENTRIES or size > limit:
        raise ValueError(f"holds {len(entries)} arrays of {size >> 20} MiB in {file_size >> 10} KiB: more than is read")


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    with archive.open(info) as stream:
        try:
            return _read_array(stream, info.file_size)
        except ValueError as error:
            raise ValueError(f"{info.filename}: {error}") from error


def read_npy(data: bytes) -> Any:
    """One array, or what is pickled in its place. Raises ValueError or UnpicklingError."""
    return _read_array(io.BytesIO(data), len(data))


def _read_array(stream: Any, size: int) -> Any:
    shape, by_column, dtype = _read_header(stream)
    if dtype.hasobject:
        return read_pickle(io.BytesIO(stream.read()))
    if dtype.kind not in _PLAIN_KINDS or dtype.fields or dtype.subdtype:
        raise ValueError(f"an array of {dtype!s:.40}; expected numbers or text")
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected > size:
        raise ValueError(f"an array of shape {shape!s:.60} in {size} bytes")
    raw = stream.read()
    if len(raw) != expected:
        raise ValueError(f"an array of {expected} bytes of which {len(raw)} are there")
    values: NDArray[Any] = np.frombuffer(bytearray(raw), dtype)
    return values.reshape(shape, order="F" if by_column else "C")


def _read_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version[0]}.{version[1]} of numpy's format")
    try:
        return readers[version](stream)  # type: ignore[no-untyped-call, no-any-return]
    except ValueError as error:
        raise ValueError(f"a header that cannot be read ({str(error).splitlines()[0]:.60})") from error
