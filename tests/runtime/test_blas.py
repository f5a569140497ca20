"""Naming the processor for numpy's OpenBLAS."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.programs import run_python
from tracker.runtime.blas import family_of

PROBE = """
import sys
from tracker.runtime.blas import name_the_processor
assert "numpy" not in sys.modules
name_the_processor()
import os
print(os.environ.get("OPENBLAS_CORETYPE", "-"))
import numpy as np
a = np.arange(90000.0).reshape(300, 300)
print(np.allclose((a @ a)[0], np.einsum("j,jk->k", a[0], a)))
"""


def probe(**environment: str) -> list[str]:
    given = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"} | environment
    return run_python(PROBE, environment=given).stdout.split()


def test_products_are_right_with_what_was_chosen() -> None:
    chosen, right = probe()
    assert right == "True"
    if int(np.__version__.partition(".")[0]) >= 2:
        assert chosen == "-"


def test_a_choice_is_kept() -> None:
    assert probe(OPENBLAS_CORETYPE="NEHALEM")[0] == "NEHALEM"


@pytest.mark.parametrize(
    ("flags", "family"),
    [
        ("sse2 avx avx2 fma avx512f avx512dq avx512bw avx512vl avx512cd avx512_fp16", "SKYLAKEX"),
        ("sse2 avx avx2 fma avx512f avx512er avx512pf avx512cd", "HASWELL"),
        ("sse2 avx", None),
        ("", None),
    ],
)
def test_the_best_family_that_the_processor_belongs_to(flags: str, family: str | None) -> None:
    assert family_of(set(flags.split())) == family
