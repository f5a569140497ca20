"""A TensorRT plan that does not fit this machine, or is not whole, is refused with the command that rebuilds it."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from engines import BackendError, EngineOptions, ModelError, open_engine
from engines.plan import PlanNote, note_path, plan_path, read_plan, write_plan

NOTE = PlanNote(tensorrt="10.14.1", gpu="NVIDIA H100", precision="float16", max_batch=4, model="a" * 64)
REBUILD = "python run.py engine build"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "network-float16.plan"
    write_plan(path, b"what TensorRT wrote", NOTE)
    return path


def test_a_plan_that_fits_is_read(plan: Path) -> None:
    assert read_plan(plan, NOTE, REBUILD) == b"what TensorRT wrote"
    assert sorted(each.name for each in plan.parent.iterdir()) == [plan.name, note_path(plan).name]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gpu": "NVIDIA L4"}, "gpu NVIDIA H100, here NVIDIA L4"),
        ({"tensorrt": "11.4.0"}, "tensorrt 10.14.1, here 11.4.0"),
        ({"model": "b" * 64}, "model aaaa.*, here bbbb"),
        ({"max_batch": 8}, "max_batch 4, here 8"),
        ({"precision": "float32"}, "precision float16, here float32"),
    ],
)
def test_a_plan_for_something_else_is_refused(change: dict, told: str, plan: Path) -> None:
    with pytest.raises(ModelError, match=rf"network-float16\.plan: built for something else \({told}.*{REBUILD}"):
        read_plan(plan, replace(NOTE, **change), REBUILD)


def test_a_damaged_plan_is_refused(plan: Path) -> None:
    plan.write_bytes(plan.read_bytes()[:-1])
    with pytest.raises(ModelError, match=f"damaged; build it anew with: {REBUILD}"):
        read_plan(plan, NOTE, REBUILD)


@pytest.mark.parametrize("note", [None, "", "[]", json.dumps({"gpu": "NVIDIA H100"})])
def test_a_plan_without_a_whole_note_is_refused(note: str | None, plan: Path) -> None:
    note_path(plan).unlink()
    if note is not None:
        note_path(plan).write_text(note)
    with pytest.raises(ModelError, match=f"nothing says what it was built for; build it anew with: {REBUILD}"):
        read_plan(plan, NOTE, REBUILD)


def test_a_missing_plan_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"no engine for this network yet; build it with: {REBUILD}"):
        read_plan(tmp_path / "none.plan", NOTE, REBUILD)


def test_each_choice_has_its_own_plan() -> None:
    model = Path("folder/network.onnx")
    choices = [
        EngineOptions(),
        EngineOptions(precision="float16"),
        EngineOptions(outputs=("a",)),
        EngineOptions(outputs=("b",)),
    ]
    paths = [plan_path(model, options) for options in choices]
    assert len(set(paths)) == len(choices)
    assert {path.parent for path in paths} == {model.parent}


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_without_tensorrt_the_error_says_what_to_install(tmp_path: Path) -> None:
    model = tmp_path / "network.onnx"
    model.write_bytes(b"")
    with pytest.raises(BackendError, match="pip install tensorrt"):
        open_engine(model, "tensorrt")
