"""The arrays that scipy's sparse matrices and chumpy's expressions in SMPL's pickles stand for, without either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.core.safe_pickle import HeldObject, RefusedGlobal

_LARGEST_DENSE = 50_000_000
"""Entries of a sparse matrix that may be made dense; SMPL's joint regressor has 165,360."""
_MOST_LEVELS = 4
"""Of expressions of expressions; SMPL's files have two. Each may name one below it several times."""
_MOST_LISTED = 1_000_000
"""Entries of lists that may become an array: long arrays are in files as arrays."""


def as_array(value: Any, levels: int = _MOST_LEVELS) -> NDArray:
    """The array that a value of a pickle stands for: itself, a dense copy of a sparse matrix, an expression's result.

    levels: of expressions of expressions. Raises RefusedGlobal for an expression that no SMPL file has, ValueError,
    TypeError or IndexError for broken ones.
    """
    if isinstance(value, list | tuple):
        _check_nesting(value)
    if not isinstance(value, HeldObject):
        return np.asarray(value)
    evaluate = _EVALUATE.get(type(value).__name__)
    if evaluate is None:
        raise RefusedGlobal(type(value).global_name)
    if not levels:
        raise ValueError(f"more than {_MOST_LEVELS} expressions of expressions")
    try:
        return evaluate(_Parts(vars(value), levels - 1))
    except KeyError as error:
        raise ValueError(f"{type(value).global_name} lacks {error}") from error


@dataclass(frozen=True)
class _Parts:
    """An object's attributes."""

    values: dict[str, Any]
    levels: int

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def array(self, name: str) -> NDArray:
        return as_array(self.values[name], self.levels)

    def indices(self, name: str) -> NDArray[np.int64]:
        return _indices(self.array(name))


def _check_nesting(value: list[Any] | tuple[Any, ...]) -> None:
    """Lists of one list of one list …, each named twice, are small in a file and endless in an array."""
    entries = len(value)
    while any(isinstance(part, list | tuple) for part in value):
        value = [each for part in value if isinstance(part, list | tuple) for each in part]
        entries += len(value)
        if entries > _MOST_LISTED:
            raise ValueError("lists that hold too many entries for an array")


def _compressed(parts: _Parts, by_column: bool) -> NDArray:
    """Checks what scipy does not, before anything is as large as the file says."""
    starts, inner = parts.indices("indptr"), parts.indices("indices")
    steps = np.diff(starts)
    if not len(starts) or starts[0] != 0 or (starts[1:] < starts[:-1]).any() or starts[-1] != len(inner):
        raise ValueError("a sparse matrix whose columns do not follow each other")
    outer = np.repeat(np.arange(len(steps)), steps)
    rows, columns = (inner, outer) if by_column else (outer, inner)
    return _placed(parts, rows, columns)


def _indices(array: NDArray) -> NDArray[np.int64]:
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) > _LARGEST_DENSE:
        raise ValueError(f"a sparse matrix with indices of type {array.dtype}, shape {array.shape}")
    return array.astype(np.int64)


def _coordinates(parts: _Parts) -> NDArray:
    if "coords" not in parts:
        return _placed(parts, parts.indices("row"), parts.indices("col"))
    rows, columns = (as_array(each, parts.levels) for each in parts["coords"])
    return _placed(parts, _indices(rows), _indices(columns))


def _placed(parts: _Parts, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray:
    shape = parts["_shape"] if "_shape" in parts else parts["shape"]
    height, width = int(shape[0]), int(shape[1])
    if min(height, width) < 0 or height * width > _LARGEST_DENSE:
        raise ValueError(f"a sparse matrix of {height} × {width} is larger than any in an SMPL file")
    values = parts.array("data")
    if values.dtype.kind not in "fiub" or not values.shape == rows.shape == columns.shape:
        raise ValueError("a sparse matrix with unlike numbers of rows, columns and values")
    for name, places, size in (("row", rows, height), ("column", columns, width)):
        if len(places) and not 0 <= places.min() <= places.max() < size:
            raise ValueError(f"a sparse matrix with a {name} outside of its {size}")
    matrix = np.zeros((height, width))
    np.add.at(matrix, (rows, columns), values.astype(np.float64))
    return matrix


def _selected(parts: _Parts) -> NDArray:
    chosen = parts.array("a").ravel()[parts.array("idxs")]
    return chosen.reshape(parts["preferred_shape"]) if "preferred_shape" in parts else chosen


_EVALUATE: dict[str, Callable[[_Parts], NDArray]] = {
    "csc_matrix": lambda parts: _compressed(parts, by_column=True),
    "csc_array": lambda parts: _compressed(parts, by_column=True),
    "csr_matrix": lambda parts: _compressed(parts, by_column=False),
    "csr_array": lambda parts: _compressed(parts, by_column=False),
    "coo_matrix": _coordinates,
    "coo_array": _coordinates,
    "Ch": lambda parts: parts.array("x"),
    "Select": _selected,
    "Reshape": lambda parts: parts.array("a").reshape(parts["newshape"]),
    "transpose": lambda parts: parts.array("a").transpose(parts["axes"] if "axes" in parts else None),
}
"""chumpy's and scipy's classes by what they leave in their attributes."""
