"""The layout is a promise: imports go one way, the core needs neither detector nor OpenGL, `kernels` is ours."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From what everything may use to what nothing may use; a module imports only from its own level or from those above it.
LEVELS = (
    (
        "kernels",
        "engines",
        "tracker.errors",
        "tracker.deferred",
        "tracker.types",
        "tracker.crop",
        "tracker.mask",
        "tracker.geometry",
        "tracker.interrupt",
        "tracker.paths",
        "tracker.strict_yaml",
        "tracker.blas",
        "tracker.descent",
        "tracker.perceptron",
        "tracker.process",
        "tracker.stages",
        "tracker.tensor_file",
    ),
    ("tracker.camera", "tracker.keypoints", "tracker.body", "tracker.networks"),
    (
        "tracker.kinematics",
        "tracker.prior",
        "tracker.motion",
        "tracker.inverse_kinematics",
        "tracker.pose_prior",
        "tracker.predictor",
        "tracker.source",
        "tracker.volume",
        "tracker.smooth",
        "tracker.trust",
    ),
    (
        "tracker.video_writer",
        "tracker.renderer",
        "tracker.fit",
        "tracker.initialise",
        "tracker.body_network",
        "tracker.extract",
        "tracker.track",
        "tracker.volume_fit",
    ),
    (
        "tracker.detect",
        "tracker.identity",
        "tracker.overlay",
        "tracker.export",
        "tracker.picture",
        "tracker.picture_network",
        "tracker.synth",
    ),
    ("tracker.persons",),
    ("tracker.lookahead", "tracker.pipeline", "tracker.sizes"),
    ("tracker.film",),
    ("tracker.film_process",),
    ("tracker.capture", "tracker.web", "tracker.offline", "tracker.live", "tracker.training", "tracker.evaluation"),
    ("tracker.config", "tracker.demo", "tracker.engine_commands"),
    ("run",),
)
PACKAGES = ("tracker", "kernels", "engines")


def level_of(module: str) -> int:
    for level, names in enumerate(LEVELS):
        if any(module == name or module.startswith(name + ".") for name in names):
            return level
    raise AssertionError(f"{module} has no level: put it into LEVELS where it belongs")


def modules() -> list[tuple[str, Path]]:
    found = [("run", ROOT / "run.py")]
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
        if imported in ("tracker.__version__",) or (module.startswith("kernels") and imported.startswith("kernels")):
            continue
        assert level_of(imported) <= level_of(module), f"{module} imports {imported}, which stands above it"
        own_package = module.split(".", maxsplit=1)[0]
        if own_package in ("kernels", "engines"):
            assert imported.split(".")[0] == own_package, f"{module} imports {imported}; {own_package} stands alone"


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
import tracker.pipeline, tracker.export, tracker.source, tracker.body, tracker.fit, kernels, engines
from tracker.body import load_body
assert len(load_body(None).v_template) > 1000
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_free_path_never_loads_the_non_commercial_package() -> None:
    code = "import sys, tracker.pipeline, tracker.config, tracker.offline; assert 'smplx' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
