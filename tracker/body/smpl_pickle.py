"""Reads SMPL's Python 2 pickles without trusting them.

A pickle is a program: it may call anything that it can import. Here it can import a dozen names, all of which only hold
data: numpy's own array parts, and stand-ins for scipy's sparse matrices and chumpy's expressions, which are reduced to
arrays afterwards without importing chumpy. Any other name is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_LARGEST_DENSE = 50_000_000
"""Entries of a sparse matrix that may be made dense; SMPL's joint regressor has 165,360."""


class RefusedGlobal(pickle.UnpicklingError):
    """The pickle asks for a name that no SMPL file needs."""


class _Sealed(type):
    """A class that a pickle cannot change."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise RefusedGlobal(f"{cls.__name__}.{name}")


class _Held(metaclass=_Sealed):
    """Keeps an object's class name and attributes, and does nothing with them."""

    global_name = ""

    def __new__(cls, *_args: object) -> _Held:
        return super().__new__(cls)

    def __init__(self, *_args: object) -> None:
        """Arguments of the real constructor say nothing that the state does not."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
            raise pickle.UnpicklingError(f"{type(self).global_name}: expected attributes")
        vars(self).update(state)


class _Latin1(metaclass=_Sealed):
    """`_codecs.encode`, by which Python 3 writes bytes into old pickle protocols."""

    def __new__(cls, text: str, encoding: str = "latin1") -> bytes:  # type: ignore[misc]
        if encoding != "latin1":
            raise RefusedGlobal(f"_codecs.encode with {encoding!r}")
        return text.encode("latin1")


class _Reconstructor(metaclass=_Sealed):
    """`copyreg._reconstructor`, by which Python 2 pickles make objects; makes stand-ins only."""

    def __new__(cls, held: type, _base: type, _state: object) -> _Held:  # type: ignore[misc]
        if not (isinstance(held, type) and issubclass(held, _Held)):
            raise RefusedGlobal(f"copyreg._reconstructor of {held!r}")
        return held()


class _FromBuffer(metaclass=_Sealed):
    """numpy's `_frombuffer`, of pickle protocol 5."""

    def __new__(cls, buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> NDArray:  # type: ignore[misc]
        return np.frombuffer(buffer, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _Latin1,
    ("copyreg", "_reconstructor"): _Reconstructor,
    ("copy_reg", "_reconstructor"): _Reconstructor,
}
for _builtins in ("builtins", "__builtin__"):
    _ALLOWED[_builtins, "object"] = object
    _ALLOWED[_builtins, "set"] = set  # chumpy lists the terms that have changed in one
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = np.empty(0).__reduce__()[0]
    _ALLOWED[f"{_core}.multiarray", "scalar"] = np.float64(0).__reduce__()[0]
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _FromBuffer


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        is_sparse = module.startswith("scipy.sparse") and name in _SPARSE
        if is_sparse or module.startswith("chumpy."):
            return _Sealed(name, (_Held,), {"global_name": f"{module}.{name}"})
        raise RefusedGlobal(f"{module}.{name}")


def read_pickle(file: BinaryIO) -> Any:
    """What the pickle holds, with stand-ins for what is no plain array: see `as_array`.

    Raises RefusedGlobal, or whatever broken data makes the pickle module raise.
    """
    return _Reader(file, encoding="latin1").load()


def as_array(value: Any) -> NDArray:
    """The array that a value of a pickle stands for: itself, a dense copy of a sparse matrix, an expression's result.

    Raises RefusedGlobal for an expression that no SMPL file has, ValueError or TypeError for broken ones.
    """
    if not isinstance(value, _Held):
        return np.asarray(value)
    evaluate = _EVALUATE.get(type(value).__name__)
    if evaluate is None:
        raise RefusedGlobal(type(value).global_name)
    try:
        return evaluate(vars(value))
    except KeyError as error:
        raise ValueError(f"{type(value).global_name} lacks {error}") from error


def _compressed(state: dict[str, Any], by_column: bool) -> NDArray:
    """Checks what scipy does not: indices outside the matrix would write outside its memory."""
    starts = np.asarray(state["indptr"])
    outer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    inner = np.asarray(state["indices"])
    rows, columns = (inner, outer) if by_column else (outer, inner)
    return _placed(state, rows, columns)


def _coordinates(state: dict[str, Any]) -> NDArray:
    rows, columns = state["coords"] if "coords" in state else (state["row"], state["col"])
    return _placed(state, np.asarray(rows), np.asarray(columns))


def _placed(state: dict[str, Any], rows: NDArray, columns: NDArray) -> NDArray:
    shape = state["_shape"] if "_shape" in state else state["shape"]
    height, width = int(shape[0]), int(shape[1])
    if height * width > _LARGEST_DENSE:
        raise ValueError(f"a sparse matrix of {height} × {width} is larger than any in an SMPL file")
    matrix = np.zeros((height, width))
    np.add.at(matrix, (rows, columns), np.asarray(state["data"], dtype=np.float64))
    return matrix


def _selected(state: dict[str, Any]) -> NDArray:
    chosen = as_array(state["a"]).ravel()[as_array(state["idxs"])]
    return chosen.reshape(state["preferred_shape"]) if "preferred_shape" in state else chosen


_SPARSE = ("csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array")
_EVALUATE: dict[str, Callable[[dict[str, Any]], NDArray]] = {
    "csc_matrix": lambda state: _compressed(state, by_column=True),
    "csc_array": lambda state: _compressed(state, by_column=True),
    "csr_matrix": lambda state: _compressed(state, by_column=False),
    "csr_array": lambda state: _compressed(state, by_column=False),
    "coo_matrix": _coordinates,
    "coo_array": _coordinates,
    "Ch": lambda state: as_array(state["x"]),
    "Select": _selected,
    "Reshape": lambda state: as_array(state["a"]).reshape(state["newshape"]),
    "transpose": lambda state: as_array(state["a"]).transpose(state.get("axes")),
}
"""chumpy's and scipy's classes by what they leave in their attributes."""
