"""Weights of which a TFLite file has but those that are not 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tracker.networks.tflite import _dense


@dataclass
class Fields:
    """A FlatBuffer table, by numbers of fields."""

    numbers: dict[int, int] = field(default_factory=dict)
    arrays: dict[int, list[int]] = field(default_factory=dict)
    inner: dict[int, Any] = field(default_factory=dict)

    def number(self, index: int, form: str) -> int:
        return self.numbers.get(index, 0)

    def array(self, index: int, dtype: str) -> np.ndarray:
        return np.array(self.arrays[index], dtype)

    def table(self, index: int) -> Any:
        return self.inner.get(index)

    def tables(self, index: int, make: Callable[[Any], Any]) -> list[Any]:
        return [make(each) for each in self.inner[index]]


def every(size: int) -> Fields:
    return Fields({1: size})


def some(segments: list[int], indices: list[int]) -> Fields:
    return Fields({0: 1, 2: 1, 4: 2}, {}, {3: Fields(arrays={0: segments}), 5: Fields(arrays={0: indices})})


def sparsity(order: list[int], blocks: list[int], *axes: Fields) -> Any:
    return Fields({}, {0: order, 1: blocks}, {2: list(axes)})


def test_single_weights_are_put_where_they_belong() -> None:
    rows = sparsity([0, 1], [], every(2), some([0, 1, 3], [2, 0, 3]))
    np.testing.assert_array_equal(_dense(rows, (2, 4), np.array([5.0, 6.0, 7.0])), [[0, 0, 5, 0], [6, 0, 0, 7]])
    columns = sparsity([1, 0], [], every(4), some([0, 1, 1, 2, 3], [1, 0, 1]))
    np.testing.assert_array_equal(_dense(columns, (2, 4), np.array([6.0, 5.0, 7.0])), [[0, 0, 5, 0], [6, 0, 0, 7]])


def test_blocks_lie_within_an_axis() -> None:
    blocked = sparsity([0, 1, 2], [1], every(2), some([0, 1, 2], [1, 0]), every(2))
    np.testing.assert_array_equal(_dense(blocked, (2, 4), np.array([1.0, 2.0, 3.0, 4.0])), [[0, 0, 1, 2], [3, 4, 0, 0]])


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1 << 20, 1 << 20), (every(1 << 20), some([0, 1], [0]))),
        ((2, 4), (every(1 << 30), some([0, 1], [0]))),
        ((2, 4), (every(2), some([0, 1, 1 << 30], [0]))),
    ],
)
def test_no_memory_is_taken_for_what_cannot_be(shape: tuple[int, ...], axes: tuple[Fields, ...]) -> None:
    with pytest.raises(ValueError, match="more"):
        _dense(sparsity([0, 1], [], *axes), shape, np.ones(3))
