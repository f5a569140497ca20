"""Random pickles of a grammar: most are well-formed programs, of the parts that SMPL's files are made of."""

from __future__ import annotations

import struct
from random import Random

_GLOBALS = (
    "numpy ndarray", "numpy dtype", "numpy.core.multiarray _reconstruct", "numpy.core.multiarray scalar",
    "numpy._core.numeric _frombuffer", "_codecs encode", "copyreg _reconstructor", "copy_reg _reconstructor",
    "builtins object", "__builtin__ set", "scipy.sparse.csc csc_matrix", "scipy.sparse._csr csr_matrix",
    "scipy.sparse coo_matrix", "chumpy.ch Ch", "chumpy.reordering Select", "chumpy.reordering Reshape",
    "chumpy.reordering transpose", "os system", "numpy.core.multiarray fromstring",
)  # fmt: skip
_TEXTS = (
    "f8", "<f4", ">i4", "O8", "|O", "V8", "S9", "U3", "b1", "i8,i8", "M8", "b", "C", "F", "latin1", "x", "a", "idxs",
    "data", "indices", "indptr", "shape", "_shape", "coords", "row", "col", "newshape", "preferred_shape", "axes",
    "v_template", "__class__", "__dict__", "dtype", "value", "\x00", "é",
)  # fmt: skip
_NUMBERS = (0, 1, 2, 3, 8, 24, -1, -8, 255, 65536, 2**31 - 1, 2**31, 2**32, 2**62, 2**63, 2**64, -(2**63))
_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")


def random_pickle(random: Random) -> bytes:
    """A program that ends with one value; one in four has a few bytes changed."""
    program = _Grammar(random).program()
    return program if random.random() < 0.75 else changed(random, program)


def changed(random: Random, data: bytes) -> bytes:
    """The same with a few bytes replaced, left out, repeated, or cut off."""
    parts = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at, length = random.randrange(len(parts) + 1), random.choice((1, 1, 2, 4, 16))
        kind = random.randrange(4)
        if kind == 0:
            parts[at : at + length] = random.randbytes(length)
        elif kind == 1:
            del parts[at : at + length]
        elif kind == 2:
            parts[at:at] = parts[at : at + length] * random.choice((1, 2, 50))
        elif random.random() < 0.2:
            del parts[at:]
        else:
            parts[at : at + 4] = struct.pack(random.choice("<>") + "I", random.choice((0, 1, 2**31, 2**32 - 1)))
    return bytes(parts)


class _Grammar:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.remembered = 0

    def program(self) -> bytes:
        kind = self.random.random()
        if kind < 0.3:
            return self.value(4) + b"."
        first = self.value(4) if kind < 0.6 else self.expression(2)
        others = b"".join(self.text(key) + b"N" for key in _KEYS[1:])
        return b"}(" + self.text(_KEYS[0]) + first + others + b"u."

    def value(self, depth: int) -> bytes:
        simple = (self.number, lambda: self.text(self.random.choice(_TEXTS)), self.raw, lambda: b"N", self.recall)
        nested = (self.array, self.array, self.tuple, self.list, self.dict, self.call, self.built, self.expression)
        made = self.random.choice(simple)() if depth <= 0 else self.random.choice((*nested, *simple[:2]))
        code = made if isinstance(made, bytes) else made(depth - 1) if made in nested else made()
        return self.remember(code) if self.random.random() < 0.2 else code

    def remember(self, code: bytes) -> bytes:
        self.remembered += 1
        number = self.random.choice((self.remembered, self.remembered, self.random.choice(_NUMBERS) & 0xFFFFFFFF))
        return code + b"r" + struct.pack("<I", number)

    def recall(self) -> bytes:
        return b"j" + struct.pack("<I", self.random.randint(1, self.remembered)) if self.remembered else b"N"

    def number(self) -> bytes:
        number = self.random.choice(_NUMBERS)
        if self.random.random() < 0.2:
            return b"G" + struct.pack(">d", self.random.choice((0.0, 1.5, float("nan"), float("inf"), 1e300)))
        return b"I%d\n" % number

    def text(self, text: str) -> bytes:
        raw = text.encode()
        return b"X" + struct.pack("<I", len(raw)) + raw

    def raw(self) -> bytes:
        size = self.random.choice((0, 1, 4, 8, 16, 64, 24, 192))
        raw = self.random.choice((self.random.randbytes(size), bytes(size), b"\xff" * size))
        return self.random.choice((b"U", b"C")) + bytes([size]) + raw

    def tuple(self, depth: int) -> bytes:
        return b"(" + self.several(depth) + b"t"

    def list(self, depth: int) -> bytes:
        return b"](" + self.several(depth) + b"e"

    def dict(self, depth: int) -> bytes:
        pairs = (self.key(depth) + self.value(depth) for _ in range(self.random.randint(0, 3)))
        return b"}(" + b"".join(pairs) + b"u"

    def key(self, depth: int) -> bytes:
        return self.text(self.random.choice(_TEXTS)) if self.random.random() < 0.8 else self.value(depth)

    def several(self, depth: int) -> bytes:
        return b"".join(self.value(depth) for _ in range(self.random.randint(0, 4)))

    def name(self) -> bytes:
        module, _, name = self.random.choice(_GLOBALS[:-2] * 8 + _GLOBALS[-2:]).partition(" ")
        return b"c" + module.encode() + b"\n" + name.encode() + b"\n"

    def call(self, depth: int) -> bytes:
        return self.name() + self.tuple(depth) + self.random.choice((b"R", b"R", b"\x81"))

    def built(self, depth: int) -> bytes:
        return self.value(depth) + self.random.choice((self.dict, self.tuple))(depth) + b"b"

    def dtype(self) -> bytes:
        code = self.random.choice(_TEXTS[:12]) if self.random.random() < 0.3 else self.random.choice(("f8", "i4", "O8"))
        made = b"cnumpy\ndtype\n(" + self.text(code) + b"I0\nI1\ntR"
        order = self.text(self.random.choice("<>|=x"))
        state = b"(I3\n" + order + b"NNNI-1\nI-1\n" + self.random.choice((b"I0\n", b"I63\n")) + b"tb"
        return made + state if self.random.random() < 0.7 else made

    def shape(self, depth: int) -> bytes:
        if self.random.random() < 0.1:
            return self.value(depth)
        sizes = [self.random.choice((0, 1, 2, 3, 8, 24, -1, 2**32)) for _ in range(self.random.randint(0, 3))]
        return b"(" + b"".join(b"I%d\n" % size for size in sizes) + b"t"

    def array(self, depth: int) -> bytes:
        """Half of them whole ones."""
        if self.random.random() < 0.5:
            return self.whole_array()
        values = self.random.choice((self.raw(), self.list(depth), self.value(depth)))
        return self.reconstructed(self.shape(depth), self.dtype(), values)

    def whole_array(self) -> bytes:
        count, (code, size) = (
            self.random.choice((0, 1, 3, 4, 24)),
            self.random.choice((("<f8", 8), ("<i4", 4), ("u1", 1))),
        )
        entries = [bytes(size), b"\x01" + bytes(size - 1), b"\x03" + bytes(size - 1), b"\xff" * size]
        raw = b"".join(sorted(self.random.choice(entries[: self.random.randint(1, 4)]) for _ in range(count)))
        dtype = b"cnumpy\ndtype\n(" + self.text(code) + b"I0\nI1\ntR"
        return self.reconstructed(b"(I%d\nt" % count, dtype, b"C" + bytes([len(raw)]) + raw)

    def expression(self, depth: int) -> bytes:
        """chumpy's or scipy's, its parts most often what they should be."""
        if depth <= 0 or self.random.random() < 0.1:
            return self.whole_array() if self.random.random() < 0.9 else self.value(2)
        if self.random.random() < 0.5:
            return self.sparse(depth)
        name, fields = self.random.choice(
            (
                ("chumpy.ch\nCh", ("x",)),
                ("chumpy.reordering\nSelect", ("a", "idxs", "preferred_shape")),
                ("chumpy.reordering\nReshape", ("a", "newshape")),
                ("chumpy.reordering\ntranspose", ("a", "axes")),
            )
        )
        held = b"".join(self.text(field) + self.part(field, depth) for field in fields)
        return b"ccopy_reg\n_reconstructor\n(c" + name.encode() + b"\nc__builtin__\nobject\nNtR}(" + held + b"ub"

    def part(self, field: str, depth: int) -> bytes:
        return self.shape(depth) if field in ("preferred_shape", "newshape", "axes") else self.expression(depth - 1)

    def reconstructed(self, shape: bytes, dtype: bytes, values: bytes) -> bytes:
        empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        return empty + b"(I1\n" + shape + dtype + self.random.choice((b"I00\n", b"I01\n")) + values + b"tb"

    def sparse(self, depth: int) -> bytes:
        kind = self.random.choice(("csc_matrix", "csr_matrix", "coo_matrix"))
        made = b"ccopy_reg\n_reconstructor\n(cscipy.sparse\n" + kind.encode() + b"\nc__builtin__\nobject\nNtR"
        fields = ("row", "col", "data") if kind == "coo_matrix" else ("indptr", "indices", "data")
        held = b"".join(self.text(name) + self.part(name, 1) for name in fields)
        return made + b"}(" + held + self.text("_shape") + self.shape(depth) + b"ub"
