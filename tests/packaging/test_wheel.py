"""What pip installs is the whole tracker: tried from a wheel, in an environment of its own, from another folder."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from kernels.compiler import PLATFORMS, library_name, platform_here
from tests import ROOT
from tests.clips import write_clip
from tests.programs import run_program

OPTIONAL = {"tensorrt", "pyrender", "OpenGL", "trimesh", "smplx", "trackeval", "h5py", "cdflib", "DracoPy", "anny",
            "mcap_ros2", "viser", "rerun", "ezc3d", "pxr", "bpy", "pygltflib", "ray"}  # fmt: skip
"""Imported only where they are used, each with an error that names its extra."""
OURS = {"tracker", "engines", "kernels", "benchmarks"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a fresh environment with the wheel; what it depends on comes from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves files beside its sources, and other workers build at the same time
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "out", "build", "*.egg-info", "__pycache__"))
    run_program(
        [sys.executable, "-m", "pip", "wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    )
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--prefix", str(folder / "env"), str(wheel)]
    run_program([*install, "--ignore-installed"])
    # dependencies only: the path of the checkout itself, which an editable install adds, stays out
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    return folder / "env" / "bin"


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """In a folder with nothing of the project, without a compiler, with an empty cache."""
    environment = {"PATH": "/nowhere", "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "LANG": "C.UTF-8"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_installed_tracker_tracks_a_clip_from_another_folder(installed: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    done = run(
        [str(installed / "python"), str(installed / "body-tracker"), "track", str(clip), "--out", "out"], tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "compiling" not in done.stderr and "unavailable" not in done.stderr
    assert {path.name for path in (tmp_path / "out" / "clip").iterdir()} >= {"frames.jsonl", "run.json", "overlay.mp4"}


@pytest.mark.slow
def test_everything_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "import tracker, kernels, kernels.build as b; print(tracker.__file__, kernels.__file__, b.library_file())"
    done = run([str(installed / "python"), "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    for place in done.stdout.split():
        assert Path(place).is_relative_to(installed.parent), place


@pytest.mark.slow
def test_its_commands_answer(installed: Path, tmp_path: Path) -> None:
    program = [str(installed / "python"), str(installed / "body-tracker")]
    assert re.fullmatch(r"body-tracker, version \d+\.\d+\.\d+\n", run([*program, "--version"], tmp_path).stdout)
    assert "accurate" in run([*program, "config", "list"], tmp_path).stdout
    bench = run([*program, "bench", "engines"], tmp_path)
    assert bench.returncode == 2 and "run them from its sources" in bench.stderr


def test_what_is_imported_is_declared() -> None:
    """Every package of others that the code imports stands among the dependencies, unless it is an extra's."""
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w-]", each)[0].lower().replace("_", "-") for each in project["dependencies"]}
    owners = packages_distributions()
    for path in (path for package in ("tracker", "engines", "kernels") for path in (ROOT / package).rglob("*.py")):
        for name in imported(path) - OURS - OPTIONAL - sys.stdlib_module_names:
            names = {owner.lower().replace("_", "-") for owner in owners.get(name, [name])}
            assert names & declared, f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not declare"


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def test_every_platform_has_its_own_library_names() -> None:
    names = {library_name(level, name) for name, each in PLATFORMS.items() for level in each.levels}
    assert len(names) >= 7 and all(Path(name).suffix in (".so", ".dylib", ".dll") for name in names)
    if platform_here() in PLATFORMS:
        assert library_name("DEFAULT") == library_name("DEFAULT", platform_here())
    assert os.sep not in "".join(names)
