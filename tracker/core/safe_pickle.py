"""Reads pickles of arrays without trusting them.

A pickle is a program: it may call whatever it can import. Here it can import a dozen names, all of them stand-ins that
only hold data. That is so for numpy's types and arrays too, because numpy's own take pointers and sizes from the file:
arrays are made afterwards, when their bytes have been counted. Python's own unpickler, written in Python, runs it: the
one in C makes room for as many objects as the file says.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import reprlib
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_MOST_CLASSES = 100
"""Different classes of chumpy and scipy in one file; SMPL's have three."""
_DEEPEST_KEY = 2


class RefusedGlobal(pickle.UnpicklingError):
    """The pickle asks for a name that no SMPL file needs."""

    def __init__(self, name: str) -> None:
        super().__init__(f"refused: it asks for {name:.120}, which no such file needs")


class _Sealed(type):
    """A class that a pickle cannot change."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise RefusedGlobal(f"{cls.__name__}.{name}")


class HeldObject(metaclass=_Sealed):
    """Keeps an object's class name and attributes, and does nothing with them."""

    global_name = ""

    def __new__(cls, *_args: object) -> HeldObject:
        return super().__new__(cls)

    def __init__(self, *_args: object) -> None:
        """Arguments of the real constructor say nothing that the state does not."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
            raise pickle.UnpicklingError(f"{type(self).global_name}: expected attributes")
        vars(self).update(state)


class _Latin1(metaclass=_Sealed):
    """`_codecs.encode`, by which Python 3 writes bytes into old pickle protocols; they stay text until counted."""

    def __new__(cls, text: str, encoding: str = "latin1") -> str:  # type: ignore[misc]
        if encoding != "latin1":
            raise RefusedGlobal(f"_codecs.encode with {reprlib.repr(encoding)}")
        return text


class _Reconstructor(metaclass=_Sealed):
    """`copyreg._reconstructor`, by which Python 2 pickles make objects; makes stand-ins only."""

    def __new__(cls, held: type, _base: type, _state: object) -> HeldObject:  # type: ignore[misc]
        if not (isinstance(held, type) and issubclass(held, HeldObject)):
            raise RefusedGlobal(f"copyreg._reconstructor of {reprlib.repr(held)}")
        return held()


class _Set(metaclass=_Sealed):
    """Python's set, as a list: nothing of a file is hashed but names and numbers."""

    def __new__(cls, items: object = ()) -> list[Any]:  # type: ignore[misc]
        if not isinstance(items, list | tuple):
            raise pickle.UnpicklingError("a set of something that is no list")
        return list(items)


class _NoBytes(metaclass=_Sealed):
    """Python's bytes, by which Python 3 writes an array without entries into old pickle protocols."""

    def __new__(cls) -> bytes:  # type: ignore[misc]
        return b""


class _Dtype(metaclass=_Sealed):
    """numpy's dtype: a plain kind and its size, and the order of bytes. No fields, no subarrays, no flags."""

    _PLAIN = re.compile(r"(?P<order>[<>=|]?)(?P<code>b1|[iu][1248]|f[248]|[SU]\d{1,5}|O[48]?)")

    def __init__(self, text: object = None, *_flags: object) -> None:
        plain = self._PLAIN.fullmatch(text) if isinstance(text, str) else None
        if plain is None:
            raise pickle.UnpicklingError(f"an array of type {reprlib.repr(text)}; expected numbers or text")
        self.order, self.code = plain["order"] or "=", plain["code"]

    def __setstate__(self, state: object) -> None:
        """numpy's is (version, order, subarray, names, fields, size, alignment, flags, …)."""
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("an array of records; expected numbers or text")
        if not (isinstance(state[1], str) and state[1] in ("<", ">", "=", "|")):
            raise pickle.UnpicklingError(f"an array with bytes in order {reprlib.repr(state[1])}")
        self.order = state[1]

    @property
    def holds_objects(self) -> bool:
        return self.code.startswith("O")


class _Array(metaclass=_Sealed):
    """numpy's array or scalar, not made yet: its type, its sizes, and bytes, text of bytes, or a list of objects."""

    dtype: _Dtype
    sizes: tuple[int, ...]
    by_column: bool
    data: bytes | bytearray | str | list[Any]

    def __init__(self, *arguments: object) -> None:
        if arguments:  # numpy would take memory that nobody filled
            raise pickle.UnpicklingError("an array made without its values")

    def __setstate__(self, state: object) -> None:
        """numpy's is (version, shape, dtype, whether columns come first, values)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array without its parts")
        self.fill(*state[1:])

    def fill(self, shape: object, dtype: object, by_column: object, data: object) -> None:
        """Raises UnpicklingError unless the values are as many as the shape says."""
        if not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array without its type")
        sizes = (shape,) if isinstance(shape, int) else shape
        if not isinstance(sizes, tuple) or not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise pickle.UnpicklingError(f"an array of shape {reprlib.repr(shape)}")
        if not isinstance(data, list if dtype.holds_objects else bytes | bytearray | str):
            raise pickle.UnpicklingError(f"an array of {dtype.code} whose values are a {type(data).__name__}")
        expected = math.prod(sizes) * (1 if dtype.holds_objects else np.dtype(dtype.code).itemsize)
        if len(data) != expected:  # type: ignore[arg-type]
            raise pickle.UnpicklingError(f"an array of shape {reprlib.repr(sizes)} with another number of values")
        self.dtype, self.sizes, self.by_column, self.data = dtype, sizes, bool(by_column), data  # type: ignore[assignment]

    def made(self) -> NDArray | np.generic:
        """The array; numpy's scalar where it has no dimensions."""
        raw = self.data.encode("latin1") if isinstance(self.data, str) else self.data
        array = np.frombuffer(raw, np.dtype(self.dtype.order + self.dtype.code))  # type: ignore[arg-type]
        return array.reshape(self.sizes, order="F" if self.by_column else "C").copy(order="K")[()]


class _Reconstruct(metaclass=_Sealed):
    """numpy's `_reconstruct`: an array that is still empty."""

    def __new__(cls, *_args: object) -> _Array:  # type: ignore[misc]
        return _Array()


class _Scalar(metaclass=_Sealed):
    """numpy's `scalar`."""

    def __new__(cls, dtype: object = None, data: object = b"") -> _Array:  # type: ignore[misc]
        number = _Array()
        number.fill((), dtype, False, data)
        return number


class _FromBuffer(metaclass=_Sealed):
    """numpy's `_frombuffer`, of pickle protocol 5."""

    def __new__(cls, buffer: object, dtype: object, shape: object, order: object) -> _Array:  # type: ignore[misc]
        array = _Array()
        array.fill(shape, dtype, order == "F", buffer)
        return array


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Latin1,
    ("copyreg", "_reconstructor"): _Reconstructor,
    ("copy_reg", "_reconstructor"): _Reconstructor,
}
for _builtins in ("builtins", "__builtin__"):
    _ALLOWED[_builtins, "object"] = object
    _ALLOWED[_builtins, "bytes"] = _NoBytes
    _ALLOWED[_builtins, "set"] = _Set  # chumpy lists the terms that have changed in one
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _Scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _FromBuffer
_SPARSE = ("csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array")


class _Opcodes(dict[int, Any]):
    """What to do for each operation of a pickle; those that are missing are refused."""

    def __missing__(self, opcode: int) -> Any:
        raise pickle.UnpicklingError(f"operation {bytes([opcode])!r} is none that an SMPL file needs")


class _Reader(pickle._Unpickler):
    """Runs a pickle with the names above."""

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.classes: dict[tuple[str, str], type] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        is_sparse = module.startswith("scipy.sparse") and name in _SPARSE
        if not (is_sparse or module.startswith("chumpy.")):
            raise RefusedGlobal(f"{module}.{name}")
        if (module, name) not in self.classes:
            if len(self.classes) == _MOST_CLASSES:
                raise pickle.UnpicklingError(f"more than {_MOST_CLASSES} different classes")
            self.classes[module, name] = _Sealed(name, (HeldObject,), {"global_name": f"{module}.{name}"})
        return self.classes[module, name]

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._set_items(items)

    def _set_items(self, items: list[Any]) -> None:
        """Refuses keys of keys of keys …: a hash of those takes for ever in a file of a few hundred bytes."""
        if not isinstance(self.stack[-1], dict):
            raise pickle.UnpicklingError("keys and values for something that is no dictionary")
        if any(_is_deep(key, _DEEPEST_KEY) for key in items[::2]):
            raise pickle.UnpicklingError("a dictionary whose keys hold lists of lists")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def load_empty_set(self) -> None:
        self.stack.append([])

    dispatch = _Opcodes(pickle._Unpickler.dispatch)
    for _unused in (
        pickle.PERSID, pickle.BINPERSID, pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4,
        pickle.FROZENSET, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER,
    ):  # fmt: skip
        del dispatch[_unused[0]]
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.EMPTY_SET[0]] = load_empty_set
    dispatch[pickle.ADDITEMS[0]] = dispatch[pickle.APPENDS[0]]


def _is_deep(key: object, levels: int) -> bool:
    return isinstance(key, tuple) and (levels == 0 or any(_is_deep(part, levels - 1) for part in key))


def read_pickle(file: BinaryIO) -> Any:
    """What the pickle holds. Arrays of objects and sets are lists; `HeldObject`s stand for chumpy's and scipy's.

    Raises UnpicklingError: RefusedGlobal for a name that no such file needs.
    """
    data = file.read()
    try:
        return _Finished(len(data)).of(_Reader(data).load())
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a broken program fails in a dozen ways, of which none says anything of the file
        raise pickle.UnpicklingError("is no pickle, or a broken one") from error


class _Finished:
    """The same values with arrays in the places of what stood for them."""

    def __init__(self, room: int) -> None:
        """room: bytes that all arrays may have together; a file can name the same bytes again and again."""
        self._room = room
        self._known: dict[int, tuple[Any, Any]] = {}
        """Before and after, by the number of the object, which is kept so that nothing else gets its number."""

    def of(self, value: Any) -> Any:
        if not isinstance(value, _Array | HeldObject | list | dict | tuple):
            return value
        if id(value) not in self._known:
            self._known[id(value)] = (value, value)  # what holds itself stays as it is
            self._known[id(value)] = (value, self._finished(value))
        return self._known[id(value)][1]

    def _finished(self, value: Any) -> Any:
        if isinstance(value, _Array):
            return self._array(value)
        if isinstance(value, HeldObject):
            vars(value).update({name: self.of(part) for name, part in vars(value).items()})
            return value
        if isinstance(value, dict):
            return {self.of(key): self.of(part) for key, part in value.items()}
        return type(value)(self._all(value))

    def _all(self, values: Iterable[Any]) -> list[Any]:
        return [self.of(value) for value in values]

    def _array(self, array: _Array) -> Any:
        if not hasattr(array, "data"):
            raise pickle.UnpicklingError("an array made without its values")
        if array.dtype.holds_objects:
            objects = self._all(array.data)
            return objects if array.sizes else objects[0]
        self._room -= len(array.data)
        if self._room < 0:
            raise pickle.UnpicklingError("arrays that are larger than the file")
        return array.made()
