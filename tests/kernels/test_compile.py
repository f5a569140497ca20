"""The CUDA sources compile for every GPU that is supported, by nvcc and by NVRTC; neither needs a GPU for that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kernels import compiler, cuda
from tests.programs import run_program

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120")


@pytest.mark.slow
@pytest.mark.parametrize("source", cuda.SOURCES)
def test_nvcc_compiles_for_every_architecture(source: str, tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")  # where its installer puts it
    if nvcc is None:
        pytest.skip("no nvcc on this machine")
    codes = [f"-gencode=arch=compute_{a[3:]},code={a}" for a in ARCHITECTURES]
    command = [nvcc, "-std=c++17", "-Werror", "all-warnings", "-fatbin", *codes, "--threads", "2", "-o"]
    run_program([*command, tmp_path / "out", compiler.SOURCE_DIR / source])


@pytest.mark.slow
@pytest.mark.parametrize("source", cuda.SOURCES)
def test_nvrtc_compiles_for_every_architecture(source: str) -> None:
    try:
        library = cuda.load_nvrtc()
    except cuda.CudaError as error:
        pytest.skip(str(error))
    for architecture in ARCHITECTURES:
        assert cuda.compile_cubin(source, architecture, library)[:4] == b"\x7fELF"


def test_a_kernel_lies_in_the_file_that_its_name_says() -> None:
    for source in cuda.SOURCES:
        text = (compiler.SOURCE_DIR / source).read_text()
        names = [line.split("(")[0].split()[-1] for line in text.splitlines() if "__global__" in line]
        assert names
        assert all(cuda.source_of(name) == source for name in names)
