"""Reads a TFLite file into plain values: its operators, their settings and their weights.

Just enough of the format for convolutional networks in float: the file is a FlatBuffer, tables of optional fields whose
numbers TFLite's public schema fixes. Read here and not by a package, so that a machine that only trains needs none.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import InputError
from tracker.core.input_file import reading

_OPERATORS = {
    0: "ADD",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE",
    9: "FULLY_CONNECTED",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    34: "PAD",
    40: "MEAN",
    124: "DENSIFY",
}
_TYPES = {0: np.float32, 1: np.float16, 2: np.int32}
_OPTION_FIELDS: dict[str, dict[str, int]] = {
    "ADD": {"activation": 0},
    "CONCATENATION": {"axis": 0, "activation": 1},
    "CONV_2D": {"padding": 0, "stride": 1, "activation": 3},
    "DEPTH_TO_SPACE": {"block_size": 0},
    "DEPTHWISE_CONV_2D": {"padding": 0, "stride": 1, "activation": 4},
    "FULLY_CONNECTED": {"activation": 0},
    "MAX_POOL_2D": {"padding": 0, "stride": 1, "size": 3},
    "RESIZE_BILINEAR": {"align_corners": 2, "half_pixel_centers": 3},
}
"""Operator → name of a setting → its field in the operator's options table. A field that is absent is zero."""
_WIDE = ("stride", "size", "axis", "block_size")
"""Settings of four bytes; the others have one."""
_UNPACKED = ("DEQUANTIZE", "DENSIFY")
"""Operators on weights alone: what they give is among the constants, in half precision where the file has it so."""
_LARGEST = 1 << 26
"""Weights of one operator."""
_INDEX_TYPES = {1: "<i4", 2: "<u2", 3: "<u1"}
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Operator:
    """One step of the network: tensor numbers in and out, and the settings of _OPTION_FIELDS."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int]


@dataclass(frozen=True)
class Graph:
    """A network as the file has it: channels last, operators in the order in which they can run."""

    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    constants: dict[int, NDArray[Any]]
    """Weights by tensor number, in the file's precision."""


def read_tflite(content: bytes, path: Path) -> Graph:
    """path: of the file that the bytes are from, for errors. Raises InputError for what is no TFLite network, is
    damaged, or holds what is not read here."""
    if content[4:8] != b"TFL3":
        raise InputError(f"{path}: not a TFLite network; expected a .tflite file")
    with reading(f"{path}: damaged, or not a network that is read here", "install it again"):
        return _graph(_Table.root(content))


class _Table:
    """A FlatBuffer table: fields by number, each found through an offset that is 0 where the field is absent."""

    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self._position = position
        self._fields = position - self._unpack("<i", position)
        self._size = self._unpack("<H", self._fields)

    @classmethod
    def root(cls, content: bytes) -> _Table:
        return cls(content, struct.unpack_from("<I", content)[0])

    def _unpack(self, form: str, position: int) -> int:
        if position < 0:
            raise ValueError("an offset points before the file")
        return int(struct.unpack_from(form, self._content, position)[0])

    def _where(self, field: int) -> int | None:
        slot = 4 + 2 * field
        offset = self._unpack("<H", self._fields + slot) if slot < self._size else 0
        return self._position + offset if offset else None

    def number(self, field: int, form: str) -> int:
        where = self._where(field)
        return 0 if where is None else self._unpack(form, where)

    def table(self, field: int) -> _Table | None:
        where = self._where(field)
        return None if where is None else _Table(self._content, where + self._unpack("<I", where))

    def array(self, field: int, dtype: str) -> NDArray[Any]:
        start, length = self._vector(field)
        return np.frombuffer(self._content, dtype, length, start) if length else np.zeros(0, dtype)

    def tables(self, field: int, make: Callable[[_Table], _Value]) -> list[_Value]:
        start, length = self._vector(field)
        places = (start + 4 * index for index in range(length))
        return [make(_Table(self._content, place + self._unpack("<I", place))) for place in places]

    def _vector(self, field: int) -> tuple[int, int]:
        where = self._where(field)
        if where is None:
            return 0, 0
        start = where + self._unpack("<I", where)
        return start + 4, self._unpack("<I", start)


def _graph(model: _Table) -> Graph:
    kinds = model.tables(1, lambda code: max(code.number(0, "<b"), code.number(3, "<i")))
    graphs = model.tables(2, lambda graph: graph)
    if len(graphs) != 1:
        raise ValueError(f"{len(graphs)} graphs in it, not one")
    graph = graphs[0]
    buffers = model.tables(4, lambda buffer: buffer.array(0, "<u1"))
    tensors = graph.tables(0, lambda tensor: tensor)
    shapes = tuple(tuple(tensor.array(0, "<i4").tolist()) for tensor in tensors)
    constants = {
        index: _constant(tensor, shapes[index], content)
        for index, tensor in enumerate(tensors)
        if len(content := buffers[tensor.number(2, "<I")]) and tensor.number(1, "<b") in _TYPES
    }
    operators = []
    for operator in graph.tables(3, lambda table: _operator(table, kinds)):
        if operator.kind in _UNPACKED:
            constants[operator.outputs[0]] = constants[operator.inputs[0]]
        else:
            operators.append(operator)
    return Graph(
        operators=tuple(operators),
        inputs=tuple(graph.array(1, "<i4").tolist()),
        outputs=tuple(graph.array(2, "<i4").tolist()),
        shapes=shapes,
        constants=constants,
    )


def _constant(tensor: _Table, shape: tuple[int, ...], content: NDArray[np.uint8]) -> NDArray[Any]:
    values = np.frombuffer(content, _TYPES[tensor.number(1, "<b")])
    sparsity = tensor.table(6)
    return values.reshape(shape) if sparsity is None else _dense(sparsity, shape, values)


def _dense(sparsity: _Table, shape: tuple[int, ...], values: NDArray[Any]) -> NDArray[Any]:
    """The whole of an array of which the file has but the values that are not 0.

    Its axes are stored one within the other: for a dense axis every index; for a sparse one those of `indices` that
    `segments` says for each place of the axis around it. Axes beyond the shape's are of blocks within an axis.
    """
    if not 0 <= math.prod(shape) <= _LARGEST:
        raise ValueError(f"weights of shape {shape}, more than are read")
    order, blocks = sparsity.array(0, "<i4").tolist(), sparsity.array(1, "<i4").tolist()
    axes = sparsity.tables(2, lambda axis: axis)
    place = np.zeros(1, np.int64)
    along: dict[int, NDArray[np.int64]] = {}
    sizes: dict[int, int] = {}
    for number, axis in zip(order, axes, strict=True):
        if axis.number(0, "<b"):
            segments, indices = _indices(axis, 2), _indices(axis, 4)
            counts = np.diff(segments)[place]
            if counts.min(initial=0) < 0 or counts.sum() > len(values):
                raise ValueError("more places along its axes than weights")
            outer = np.repeat(np.arange(len(place)), counts)
            within = np.arange(len(outer)) - np.repeat(np.cumsum(counts) - counts, counts)
            place = segments[place][outer] + within
            index = indices[place]
        else:
            sizes[number] = size = axis.number(1, "<i")
            if not 0 <= size * len(place) <= math.prod(shape):
                raise ValueError("more places along its axes than weights")
            outer = np.repeat(np.arange(len(place)), size)
            index = np.tile(np.arange(size), len(place))
            place = place[outer] * size + index
        along = {known: where[outer] for known, where in along.items()} | {number: index}
    where = [along[axis] for axis in range(len(shape))]
    for block, axis in enumerate(blocks, len(shape)):
        where[axis] = where[axis] * sizes[block] + along[block]
    whole = np.zeros(shape, values.dtype)
    whole[tuple(where)] = values[place]
    return whole


def _indices(axis: _Table, field: int) -> NDArray[np.int64]:
    """A vector of whole numbers, which the file has in one of three sizes."""
    vector = axis.table(field + 1)
    if vector is None:
        raise ValueError("a sparse axis without indices")
    return vector.array(0, _INDEX_TYPES[axis.number(field, "<b")]).astype(np.int64)


def _operator(table: _Table, kinds: list[int]) -> Operator:
    code = kinds[table.number(0, "<I")]
    if code not in _OPERATORS:
        raise ValueError(f"operator number {code} is not known here")
    kind = _OPERATORS[code]
    settings = table.table(4)
    options = {
        name: settings.number(field, "<i" if name in _WIDE else "<b") if settings else 0
        for name, field in _OPTION_FIELDS.get(kind, {}).items()
    }
    inputs, outputs = (tuple(table.array(field, "<i4").tolist()) for field in (1, 2))
    return Operator(kind, inputs, outputs, options)
