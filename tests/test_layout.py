"""The layout is a promise: imports go one way, the core needs neither detector nor OpenGL, `kernels` is ours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import ROOT
from tests.programs import run_python

ORDER = (
    "core",
    "runtime",
    "body",
    "weights",
    "networks",
    "source",
    "detect",
    "identity",
    "extract",
    "initialise",
    "fit",
    "smooth",
    "world",
    "overlay",
    "export",
    "outputs",
    "pipeline",
    "async_tracker",
    "config",
    "motion",
    "synth",
    "evaluation",
    "training",
    "app",
    "cli",
)
"""The rooms of `tracker` in the order of the data: a module imports from its own room and from those before it."""
PACKAGES = ("tracker", "kernels", "engines")


def room_of(module: str) -> int:
    """The position in ORDER; kernels and engines come before all."""
    if module.split(".", maxsplit=1)[0] in ("kernels", "engines"):
        return -1
    room = module.split(".")[1]
    assert room in ORDER, f"{module}: put its room into ORDER where it belongs"
    return ORDER.index(room)


def modules() -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return [(name, path) for name, path in found if name != "tracker"]


def imports_of(path: Path) -> set[str]:
    """Our own modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            is_package = (ROOT / Path(*node.module.split("."))).is_dir()
            found |= {f"{node.module}.{a.name}" for a in node.names} if is_package else {node.module}
    return {name for name in found if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize(("module", "path"), modules(), ids=[name for name, _ in modules()])
def test_imports_go_one_way(module: str, path: Path) -> None:
    for imported in imports_of(path):
        own_package = module.split(".", maxsplit=1)[0]
        if own_package in ("kernels", "engines"):
            assert imported.split(".")[0] == own_package, f"{module} imports {imported}; {own_package} stands alone"
        elif imported != "tracker.__version__":
            assert room_of(imported) <= room_of(module), f"{module} imports {imported}, which comes after it"


def test_modules_import_each_other_in_no_circle() -> None:
    """Also within a room, and also where an import is inside a function."""
    graph = {name: imports_of(path) & {other for other, _ in modules()} - {name} for name, path in modules()}
    plain = {name: wanted for name, wanted in graph.items() if not is_package(name)}
    open_modules: list[str] = []
    closed: set[str] = set()

    def visit(name: str) -> None:
        assert name not in open_modules, f"a circle: {' → '.join([*open_modules, name])}"
        if name in closed or name not in plain:
            return
        open_modules.append(name)
        for wanted in sorted(plain[name]):
            visit(wanted)
        open_modules.pop()
        closed.add(name)

    for name in sorted(plain):
        visit(name)


def is_package(name: str) -> bool:
    return (ROOT / Path(*name.split("."))).is_dir()


def test_the_rooms_are_few_enough_to_be_seen_at_once() -> None:
    rooms = [path for path in (ROOT / "tracker").iterdir() if path.is_dir() and (path / "__init__.py").exists()]
    assert len(rooms) <= 25


def test_run_py_is_the_command_line_and_nothing_else() -> None:
    lines = [line for line in (ROOT / "run.py").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "from tracker.cli import main"
    assert len(lines) == 3


def test_kernels_is_ours() -> None:
    import kernels

    assert kernels.__file__ is not None
    assert Path(kernels.__file__).parent == ROOT / "kernels"


def test_the_core_imports_without_detector_and_opengl() -> None:
    """What a machine has that only fits and renders: torch, numpy, scipy, and none of the rest."""
    code = """
import sys
for name in ("mediapipe", "pyrender", "OpenGL", "trimesh", "smplx", "anny"):
    sys.modules[name] = None
import tracker.pipeline, tracker.export, tracker.source, tracker.body, tracker.fit.landmark_fitter, kernels, engines
from tracker.body import load_body
assert len(load_body(None).v_template) > 1000
"""
    run_python(code)


def test_the_free_path_never_loads_the_non_commercial_package() -> None:
    run_python("import sys, tracker.pipeline, tracker.config, tracker.app.track; assert 'smplx' not in sys.modules")


def test_every_public_class_has_a_name_of_its_own() -> None:
    homes: dict[str, list[str]] = {}
    for name, path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name)
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_no_value_is_called_by_an_everyday_word_that_says_nothing() -> None:
    """What it is, is a better name: an observation, a result, outputs, metadata."""
    banned = {"said", "told", "seen", "found"}
    names = []
    for module, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in banned
            if stored or (isinstance(node, ast.arg) and node.arg in banned):
                names.append(f"{module}:{node.lineno}")
    assert names == []
