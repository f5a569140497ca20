"""Pickles made to harm: each is refused with a sentence, takes no memory to speak of, and never reaches numpy."""

from __future__ import annotations

import io
import pickle
import tracemalloc

import numpy as np
import pytest

from tracker.core.safe_pickle import read_pickle

OBJECT = b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR"
"""numpy's dtype of pointers, without its state."""
FLOAT = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR"
NDARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
POINTER = b"S'\\x41\\x41\\x41\\x41\\x41\\x41\\x41\\x41'\n"


def array(dtype: bytes, shape: bytes, values: bytes) -> bytes:
    return NDARRAY + b"(I1\n" + shape + dtype + b"I00\n" + values + b"tb"


MEGABYTE = b"\x80\x02X\x40\x42\x0f\x00" + b"a" * 1_000_000 + b"q\x000"
"""A text, remembered as 0."""
BYTES_AGAIN = b"cnumpy.core.numeric\n_frombuffer\n(h\x00cnumpy\ndtype\n(S'u1'\ntR(I1000000\ntS'C'\ntR"
KEY_OF_KEYS = b"}(K\x01K\x02\x86q\x00" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(60)) + b"K\x00u."

BOMBS = {
    "a number that is a pointer": (
        b"cnumpy.core.multiarray\nscalar\n(" + OBJECT + POINTER + b"tR.",
        "values are a str",
    ),
    "a pointer, by its state": (
        b"cnumpy.core.multiarray\nscalar\n(" + OBJECT + b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb" + POINTER + b"tR.",
        "values are a str",
    ),
    "pointers in bytes": (array(OBJECT, b"(I1\nt", POINTER) + b".", "values are a str"),
    "an array of unfilled memory": (b"cnumpy\nndarray\n((I1000000\nI100000\nttR.", "without its values"),
    "an array that stays empty": (NDARRAY + b".", "without its values"),
    "a type of memory": (b"cnumpy\ndtype\n(S'V8'\ntR.", "V8"),
    "a record": (FLOAT + b"(I3\nS'<'\nN(S'a'\nt}I8\nI8\nI0\ntb.", "records"),
    "a subarray": (FLOAT + b"(I3\nS'<'\n(NI9\ntNNI8\nI8\nI0\ntb.", "records"),
    "a type of fields": (b"cnumpy\ndtype\n(S'f8,f8'\ntR.", "f8,f8"),
    "more values than bytes": (array(FLOAT, b"(I1000000000\nt", POINTER) + b".", "another number"),
    "sizes that overflow": (array(FLOAT, b"(I4294967296\nI4294967296\nt", b"S''\n") + b".", "another number"),
    "negative sizes": (array(FLOAT, b"(I-1\nI-1\nt", POINTER) + b".", "of shape"),
    "a buffer at an address": (b"cnumpy.core.numeric\n_frombuffer\n(I1\n" + FLOAT + b"(I1\ntS'C'\ntR.", "are a int"),
    "bytes that do not come": (b"\x80\x04\x8e\xff\xff\xff\xff\x0f\x00\x00\x00.", "exhausted|truncated|broken"),
    "a frame that does not come": (b"\x80\x04\x95\xff\xff\xff\xff\x0f\x00\x00\x00.", "no pickle, or a broken one"),
    "the same bytes again and again": (MEGABYTE + b"](" + BYTES_AGAIN * 10_000 + b"e.", "larger than the file"),
    "the same text encoded again and again": (
        MEGABYTE + b"](" + b"c_codecs\nencode\n(h\x00S'latin1'\ntR" * 10_000 + b"ecos\nsystem\n.",
        "os.system",
    ),
    "keys of keys": (KEY_OF_KEYS, "keys hold"),
    "two hundred classes": (b"".join(b"cchumpy.ch\nC%d\n" % n for n in range(200)) + b".", "different classes"),
    "an old operation": (b"\x80\x02(ios\nsystem\n.", "operation"),
    "a buffer from outside": (b"\x80\x05\x97.", "operation"),
    "a text that is built": (b"](K\x01K\x02u.", "no dictionary"),
    "a program without an end": (b"(((", "no pickle, or a broken one"),
}
"""Programs, and what the refusal says."""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str) -> None:
    data, said = BOMBS[name]
    tracemalloc.start()
    with pytest.raises(pickle.UnpicklingError, match=said) as caught:
        read_pickle(io.BytesIO(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(str(caught.value)) < 200
    assert peak < 10 * len(data) + 1_000_000


def test_a_number_that_is_out_of_reach_takes_no_memory() -> None:
    """The unpickler in C makes room for all numbers below it: 32 GB."""
    tracemalloc.start()
    assert read_pickle(io.BytesIO(b"\x80\x02K\x01r\xff\xff\xff\xff0j\xff\xff\xff\xff.")) == 1
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_each_kind_come_back(protocol: int) -> None:
    fields = {
        "column": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i2"),
        "empty": np.zeros((0, 3)),
        "truth": np.array([True, False]),
        "text": np.array(["a", "bc"]),
        "number": np.float32(1.5),
    }
    content = read_pickle(io.BytesIO(pickle.dumps({**fields, "things": np.array([1, "a"], dtype=object)}, protocol)))
    for name, field in fields.items():
        np.testing.assert_array_equal(content[name], field)
        assert content[name].dtype == field.dtype, name
    assert content["things"] == [1, "a"]


def test_what_is_named_twice_is_one_array_and_what_holds_itself_stays() -> None:
    values = np.arange(3.0)
    holder: list[object] = [values, values]
    holder.append(holder)
    content = read_pickle(io.BytesIO(pickle.dumps(holder)))
    assert content[0] is content[1]
    assert content[0].tolist() == [0, 1, 2]


def test_the_same_bytes_may_not_be_named_for_ever() -> None:
    program = b"](" + FLOAT + b"q\x000" + b"U\x08" + bytes(8) + b"q\x010"
    one = b"cnumpy.core.multiarray\nscalar\n(h\x00h\x01tR"
    assert len(read_pickle(io.BytesIO(program + b"](" + one * 3 + b"e."))) == 3
