"""Files opened by programs that are no part of this environment: Blender, OpenSim and Khronos' validator, skipped where
absent.

Blender is the program on PATH, or the bpy wheel where that is installed; OpenSim is the wheel of that name. The
validator is npm's gltf-validator, found as node finds it: `NODE_PATH=FOLDER/node_modules`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.clips import write_clip
from tests.export.test_scene_formats import BODY, CAMERA, RATE, sequence
from tests.programs import run_program
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.export.files_config import FilesConfig
from tracker.export.formats import SCENE_FILES, FormatWriters, person_file
from tracker.export.joint_angles import opensim_coordinates
from tracker.export.sequence import PersonSequence, Timeline

READS = Path(__file__).with_name("blender_reads.py")
STAND_IN = f"""#!{sys.executable}
import runpy, sys
script = sys.argv[sys.argv.index("--python") + 1]
sys.argv = [script, *sys.argv[sys.argv.index("--"):]]
runpy.run_path(script, run_name="__main__")
"""
"""The bpy wheel as a program."""
VALIDATE = """
const validator = require("gltf-validator"), data = new Uint8Array(require("fs").readFileSync(process.argv[1]));
validator.validateBytes(data).then(report => console.log(JSON.stringify(report.issues)));
"""
FRAMES = np.array([9, 20, 29])
"""Of the run, in which both people are there."""


def written_run(
    folder: Path, formats: tuple[str, ...], files: FilesConfig, rate: float = RATE, video: Path | None = None
) -> list[PersonSequence]:
    """Two people, one of whom is lost for a while, as a run leaves them."""
    writers = FormatWriters(files, video)
    people = [
        replace(person, timestamps=person.timestamps * RATE / rate, timeline=Timeline(0.0, rate))
        for person in (sequence(0, gap=True), sequence(1))
    ]
    for name in formats:
        if name in SCENE_FILES:
            with (folder / SCENE_FILES[name]).open("wb") as stream:
                writers.scene(name)(stream, people, BODY)
            continue
        for person in people:
            with person_file(folder, person.person_id, name).open("wb") as stream:
                writers.person(name)(stream, person, BODY)
    return people


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    on_path = shutil.which("blender")
    if on_path is not None:
        return Path(on_path)
    if find_spec("bpy") is None:
        pytest.skip("there is no blender on PATH, and the bpy wheel is not installed")
    program = tmp_path_factory.mktemp("bpy") / "blender"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return program


def read_by(blender: Path, folder: Path, rate: float) -> dict[str, np.ndarray]:
    """What `blender_reads.py` finds in a folder."""
    found, settings = folder / "found.npz", folder / "settings.json"
    scene = {"fps": rate, "size": [CAMERA.width, CAMERA.height], "pixel": [1.0, CAMERA.fx / CAMERA.fy]}
    settings.write_text(json.dumps(scene | {"frames": FRAMES.tolist()}))
    command = [str(blender), "--background", "--factory-startup", "--python-exit-code", "1", "--python", str(READS)]
    command += ["--", str(folder), str(found), str(settings)]
    run_program(command)
    with np.load(found) as file:
        return dict(file)


@pytest.mark.slow
def test_blender_has_everybody_where_they_are_and_sees_them_where_the_video_does(blender: Path, tmp_path: Path) -> None:
    pytest.importorskip("pxr", reason="usd-core is not installed")
    formats = ("bvh", "glb", "scene", "usd", "blend", "fbx")
    people = written_run(tmp_path, formats, FilesConfig(blender=blender))
    read = read_by(blender, tmp_path, RATE)
    own = [f"person_{i:03d}.{suffix}/person_{i:03d}" for suffix in ("bvh", "glb") for i in (0, 1)]
    shared = [f"scene.{suffix}/person_{i:03d}" for suffix in ("glb", "usdc", "blend", "fbx") for i in (0, 1)]
    assert {name for name in read if name.count("/") == 1} == {*own, *shared}
    for name in own:
        compare(read, name, people)
    for name in shared:
        compare(read, name, people)
        # glTF has the principal point in the middle
        beside = (CAMERA.width / 2 - CAMERA.cx, CAMERA.height / 2 - CAMERA.cy) if "glb" in name else (0.0, 0.0)
        compare_seen(read, name, people, beside)


@pytest.mark.slow
def test_blenders_own_file_keeps_step_at_a_rate_that_is_no_whole_number(blender: Path, tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.mp4")
    (tmp_path / "out").mkdir()
    people = written_run(tmp_path / "out", ("blend",), FilesConfig(blender=blender), 15000 / 1001, video)
    read = read_by(blender, tmp_path / "out", 15000 / 1001)
    assert [Path(path) for path in read["scene.blend/videos/paths"]] == [video], "found from where the file lies"
    for name in ("scene.blend/person_000", "scene.blend/person_001"):
        compare(read, name, people)
        compare_seen(read, name, people, (0.0, 0.0))


def compare(read: dict[str, np.ndarray], name: str, people: list[PersonSequence]) -> None:
    """Joints in Blender's frame, z up."""
    person = people[int(name[-3:])]
    y_up = person.joints_y_up[FRAMES - int(person.frame_index[0])]
    z_up = np.stack([y_up[..., 0], -y_up[..., 2], y_up[..., 1]], axis=-1)
    np.testing.assert_allclose(read[name][:, bones(read, name)], z_up, atol=2e-4, err_msg=name)


def compare_seen(
    read: dict[str, np.ndarray], name: str, people: list[PersonSequence], beside: tuple[float, float]
) -> None:
    """Joints in the picture, so many px beside where they are."""
    person = people[int(name[-3:])]
    seen = (read[f"{name}/seen"][:, bones(read, name)] * [1, -1] + [0, 1]) * [CAMERA.width, CAMERA.height]
    expected = person.joints2d[FRAMES - int(person.frame_index[0])] + beside
    np.testing.assert_allclose(seen, expected, atol=0.1, err_msg=name)


def bones(read: dict[str, np.ndarray], name: str) -> list[int]:
    """Of SMPL's joints, in their order."""
    names = [str(bone).rpartition("/")[2] for bone in read[f"{name}/names"]]
    return [names.index(joint) for joint in SMPL_JOINTS]


@pytest.mark.parametrize("name", ["glb", "scene"])
def test_khronos_validator_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on PATH")
    written_run(tmp_path, (name,), FilesConfig())
    path = tmp_path / ("scene.glb" if name == "scene" else "person_000.glb")
    done = subprocess.run([node, "-e", VALIDATE, str(path)], capture_output=True, text=True, check=False)
    if "Cannot find module" in done.stderr:
        pytest.skip("npm's gltf-validator is not installed where node looks")
    issues = json.loads(done.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


class TestOpenSim:
    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It leaves a log where it is."""
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize("person_id", [0, 1])
    def test_its_table_has_the_markers_and_what_was_not_seen_is_missing(self, person_id: int, tmp_path: Path) -> None:
        opensim = pytest.importorskip("opensim", reason="OpenSim's wheel is not installed")
        person = written_run(tmp_path, ("trc",), FilesConfig())[person_id]
        path = str(tmp_path / f"person_{person_id:03d}.trc")
        table = opensim.TimeSeriesTableVec3(path)
        assert list(table.getColumnLabels()) == list(SMPL_JOINTS)
        np.testing.assert_allclose(table.getIndependentColumn(), person.timestamps, atol=1e-6)
        columns = [table.getDependentColumn(name) for name in SMPL_JOINTS]
        rows = range(table.getNumRows())
        places = np.array([[[column[row][i] for i in range(3)] for column in columns] for row in rows])
        np.testing.assert_allclose(places[person.tracked], person.joints_y_up[person.tracked], atol=1e-5)
        assert np.isnan(places[~person.tracked]).all()
        markers = opensim.MarkerData(path)
        assert (markers.getNumFrames(), markers.getNumMarkers()) == places.shape[:2]
        assert (markers.getDataRate(), markers.getUnits().getLabel()) == (RATE, "meters")

    def test_its_motion_has_the_coordinates_in_degrees(self, tmp_path: Path) -> None:
        opensim = pytest.importorskip("opensim", reason="OpenSim's wheel is not installed")
        person, _ = written_run(tmp_path, ("mot",), FilesConfig())
        path = str(tmp_path / "person_000.mot")
        assert opensim.Storage(path).isInDegrees()
        table, coordinates = opensim.TimeSeriesTable(path), opensim_coordinates(person)
        assert list(table.getColumnLabels()) == list(coordinates)
        np.testing.assert_allclose(table.getIndependentColumn(), person.timestamps, atol=1e-6)
        for name, values in coordinates.items():
            np.testing.assert_allclose(table.getDependentColumn(name).to_numpy(), values, atol=1e-5, err_msg=name)
