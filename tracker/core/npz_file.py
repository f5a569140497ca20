"""Reads .npz and .npy files, whose entries may be pickled objects, without trusting them; writes .npz row by row.

numpy's own reader makes an array as large as a header says before it looks for its values, and unpickles. Its writer
wants whole arrays, and leaves an archive behind that complains, out of reach, when the disk is full.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from tracker.core.safe_pickle import read_pickle

_MOST_ENTRIES = 10_000
_LARGEST_CONTENT = 1 << 31
"""Bytes of all entries together."""
_FREE_CONTENT, _LARGEST_RATIO = 1 << 26, 100
"""Content may be this many times as large as the file, beyond an amount that harms nobody."""
_PLAIN_KINDS = "biufcSU"


class NpzWriter:
    """Writes arrays to a stream that can seek, as `np.savez` does; use as a context manager."""

    def __init__(self, stream: BinaryIO) -> None:
        self._archive = zipfile.ZipFile(cast(BinaryIO, _GivesUp(stream)), "w", zipfile.ZIP_STORED)

    def add(self, name: str, array: NDArray[Any]) -> None:
        """A whole array."""
        self.add_rows(name, array.shape, array.dtype, [array])

    def add_rows(
        self, name: str, shape: tuple[int, ...], dtype: np.typing.DTypeLike, blocks: Iterable[NDArray[Any]]
    ) -> None:
        """An array of this shape whose rows come in blocks, of any type that can be made `dtype`."""
        header = {"shape": shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(np.dtype(dtype))}
        with self._archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, header)  # type: ignore[no-untyped-call]
            for block in blocks:
                entry.write(np.ascontiguousarray(block, dtype).reshape(-1).view(np.uint8).data)

    def __enter__(self) -> NpzWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()


class _GivesUp:
    """A stream that writes nothing more when it has failed once: an archive would go on, and hide the first error."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._failed = stream, False

    def write(self, data: Any) -> int:
        if self._failed:
            return len(data)
        try:
            return self._stream.write(data)
        except BaseException:
            self._failed = True
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


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
