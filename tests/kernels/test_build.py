"""Building, loading, and what runs where it cannot be built."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from kernels import backend, build, compiler, cuda
from kernels.implementation import Implementation
from tests.kernels.scenes import random_scene
from tests.programs import run_python


def test_reference_runs_where_there_is_no_compiler(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_library(level: str) -> Iterator[Path]:
        raise compiler.BuildError("no C++ compiler")

    monkeypatch.setattr(build, "_places", no_library)
    build.load_library.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            chosen = [backend.choose(torch.zeros(1)) for _ in range(3)]
        assert chosen == [Implementation.REFERENCE] * 3
        assert [r.message for r in caplog.records if "no C++ compiler" in r.message] and len(caplog.records) == 1
        with pytest.raises(RuntimeError, match=r"^implementation:"):
            backend.choose(torch.zeros(1), Implementation.CPU)
    finally:
        build.load_library.cache_clear()


@pytest.mark.parametrize("kind", [compiler.BuildError, OSError])
def test_what_cannot_be_made_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    def made_file(*_: object) -> Path:
        raise kind("no space left on device")

    monkeypatch.setattr(build, "made_file", made_file)
    build.load_library.cache_clear()
    try:
        assert build.load_library() is None
        assert "no space left on device" in caplog.text
    finally:
        build.load_library.cache_clear()


def test_failed_compilation_says_what_the_compiler_said(tmp_path: Path) -> None:
    (tmp_path / "bad.cpp").write_text("int f() { return missing; }")
    target = tmp_path / "out.so"
    try:
        command = compiler.find_compiler()
    except compiler.BuildError as error:
        pytest.skip(str(error))
    with pytest.raises(compiler.BuildError, match="missing"):
        compiler.compile_library(target, compiler.COMMON_FLAGS, [tmp_path / "bad.cpp"], command)
    assert not target.exists()


def test_the_processor_has_the_level_that_torch_reports() -> None:
    reported = torch.backends.cpu.get_cpu_capability()
    assert build.processor_level() == (reported if reported in ("AVX2", "AVX512") else "DEFAULT")


def test_library_name_changes_with_the_level() -> None:
    names = {compiler.library_name(level) for level in ("AVX512", "AVX2", "DEFAULT")}
    assert len(names) == (3 if compiler.level_flags("AVX2") else 1)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["DEFAULT", "AVX2", "AVX512"])
def test_every_level_of_vector_instructions_gives_the_same(level: str, tmp_path: Path) -> None:
    if build.load_library() is None:
        pytest.skip("no C++ compiler on this machine")
    order = ["DEFAULT", "AVX2", "AVX512"]
    if order.index(level) > order.index(build.processor_level()):
        pytest.skip(f"this processor has no {level}")
    code = (
        "import torch; from kernels import ellipsoids as e; from tests.kernels.scenes import random_scene;"
        "s = random_scene(torch.Generator().manual_seed(7));"
        "print(*e.score(s.ellipsoids, s.cameras, s.observation).tolist())"
    )
    # OpenCV's own switch for what it reports of the processor: `processor_level` asks OpenCV.
    without = {"DEFAULT": "AVX2,AVX512-SKX", "AVX2": "AVX512-SKX", "AVX512": ""}[level]
    environment = {**os.environ, "OPENCV_CPU_DISABLE": without, "XDG_CACHE_HOME": str(tmp_path)}
    done = run_python(code, environment=environment)
    assert [path.name for path in tmp_path.rglob("*.so")] == [compiler.library_name(level)]
    scene = random_scene(torch.Generator().manual_seed(7))
    from kernels import ellipsoids

    right = ellipsoids.score(
        scene.ellipsoids, scene.cameras, scene.observation, implementation=Implementation.REFERENCE
    )
    assert [float(v) for v in done.stdout.split()] == pytest.approx(right.tolist(), rel=1e-5)


def test_nvrtc_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_candidates", lambda: ["libnvrtc-that-is-nowhere.so"])
    cuda.load_nvrtc.cache_clear()
    try:
        with pytest.raises(cuda.CudaError, match="nvidia-cuda-nvrtc"):
            cuda.load_nvrtc()
    finally:
        cuda.load_nvrtc.cache_clear()


def test_kernels_import_nothing_of_the_project_and_are_ours() -> None:
    folder = Path(build.__file__).parent
    assert folder == Path(__file__).parents[2] / "kernels"
    for path in folder.glob("*.py"):
        lines = path.read_text().splitlines()
        bad = [
            line
            for line in lines
            if line.startswith(("from tracker", "import tracker", "from engines", "import engines"))
        ]
        assert not bad, f"{path.name}: {bad}"
