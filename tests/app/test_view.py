"""The viewer: what it reads, what it shows at which time, and its page in a browser without a screen."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from tests.clips import write_clip
from tests.export_scene import CAMERA, frames_of, small_body, vertices_of
from tests.programs import run_python
from tests.source_clips import ClipSpec, make_clip
from tracker.app.view.bends import bends
from tracker.app.view.clip_pictures import ClipPictures
from tracker.app.view.motion import ViewedRun, read_run
from tracker.app.view.result_page import ResultPage
from tracker.app.view.view import ViewJob, view
from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.skeletal_mesh import SkeletalMesh, load_skeletal_mesh, strongest
from tracker.body.smpl_joints import smpl_index
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.core.errors import InputError
from tracker.export import npz
from tracker.export.sequence import RunContext, Timeline, assemble, observe
from tracker.runtime.interrupt import Interrupt
from tracker.source import open_source
from tracker.synth.demo_clip import ClipConfig, DemoClip
from tracker.synth.demo_scene import SceneConfig
from tracker.synth.figure import FigureConfig

BODY = replace(small_body(influences=4), posedirs=None)
"""What the page can skin exactly: four joints a vertex, no pose correctives."""
MESH = SkeletalMesh.of(BODY)
_LEGS = [smpl_index(f"{side}_{name}") for side in ("left", "right") for name in ("knee", "ankle")]
PATIENCE = 150.0
"""s that a browser without a graphics card may take; a test passes as soon as it has what it waits for."""


def write_run(folder: Path, ids: tuple[int, ...] = (0, 1), seconds: float = 2.0) -> Path:
    """A result of people who move as `person_at` says, at 10 frames a second."""
    folder.mkdir(parents=True)
    records = frames_of(BODY, list(np.arange(0, seconds, 0.1)), ids)
    for number in ids:
        rows = [observe(r.index, r.time, person) for r in records for person in r.people if person.person_id == number]
        sequence = assemble(np.concatenate(rows), RunContext(CAMERA, BODY, 10.0), Timeline(0.0, 10.0))
        with (folder / f"person_{number:03d}.npz").open("wb") as stream:
            npz.write(stream, sequence, BODY)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> ViewedRun:
    return read_run(write_run(tmp_path / "run"), MESH)


@pytest.fixture
def viewer(run: ViewedRun) -> Iterator[Any]:
    with shown([run, run], MESH) as opened:
        yield opened


def volume_on_the_free_body() -> BodyVolume:
    return BodyVolume.on(load_body(None), VolumeConfig())


@contextmanager
def shown(runs: list[ViewedRun], body: SkeletalMesh) -> Iterator[Any]:
    """A viewer of the runs, on a page of its own."""
    pytest.importorskip("viser")
    from tracker.app.view.viewer import ResultViewer

    page = ResultPage(0)
    viewer = ResultViewer(runs, body, volume_on_the_free_body, page)
    viewer.address = page.address
    yield viewer
    viewer.close()
    page.close()


def test_people_stand_in_a_world_where_up_is_up(run: ViewedRun, tmp_path: Path) -> None:
    pytest.importorskip("viser")
    content = dict(np.load(tmp_path / "run" / "person_000.npz"))
    person = run.people[0]
    T = run.T_world_camera
    assert T is not None and run.camera is not None and (run.camera.width, run.camera.height) == (640, 481)
    assert np.allclose(T[:3, :3], np.diag([1, -1, -1])) and np.allclose(person.joints[0, 0] * [1, 0, 1], 0, atol=1e-6)
    assert np.allclose(person.joints, content["joints3d"] @ T[:3, :3].T + T[:3, 3], atol=1e-5)
    posed = np.stack([joint_box(person, row) for row in range(len(person.times))])
    truth = vertices_of(BODY, content["poses"], content["betas"], content["trans"]) @ T[:3, :3].T + T[:3, 3]
    centres = truth.reshape(len(truth), 24, 6, 3).mean(axis=2)
    assert np.allclose(posed, centres, atol=1e-4)


def joint_box(person: Any, row: int) -> np.ndarray:
    """(24, 3): the middle of the octahedron around each joint, skinned as the page does, by at most four joints."""
    weights = strongest(BODY.weights.double().numpy(), 4)
    rest = BODY.v_template.double().numpy()
    from tracker.app.view.figure import bone_turns

    away = rest[:, None] - MESH.at_rest(person.betas)[1][None]
    rotations = np.stack([turn.as_matrix() for turn in bone_turns(person, row, BODY.parents)])
    moved = np.einsum("jab,vjb->vja", rotations, away) + person.joints[row]
    return (moved * weights[..., None]).sum(axis=1).reshape(24, 6, 3).mean(axis=1)


def test_times_without_somebody_are_known(run: ViewedRun) -> None:
    person = run.people[0]
    assert person.row(0.0) == 0 and person.row(0.56) == 6 and person.row(1.9) == 19
    assert person.row(5.0) is None and person.row(-1.0) is None


def test_amass_files_and_truth_are_read(tmp_path: Path) -> None:
    poses = np.zeros((5, 156))
    poses[:, 66:] = 0.3  # fingers
    np.savez(tmp_path / "amass.npz", poses=poses, trans=np.full((5, 3), [1.0, 2.0, 0.9]), betas=np.zeros(16),
             mocap_framerate=50.0)  # fmt: skip
    run = read_run(tmp_path / "amass.npz", load_skeletal_mesh())
    person = run.people[0]
    assert run.camera is None and np.allclose(person.times, np.arange(5) / 50)
    height = person.joints[0, 15, 1] - person.joints[0, 7, 1]
    assert height == pytest.approx(0, abs=0.1), "AMASS is z up: a pose of zeros lies on its back"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "expected an .npz with poses, betas and trans"),
        ({"poses": np.zeros((0, 72)), "trans": np.zeros((0, 3)), "betas": np.zeros(10)}, "holds no frames"),
        (
            {"poses": np.zeros((1, 72)), "trans": np.zeros((1, 3)), "betas": np.zeros(10), "body_model": "smpl:x"},
            "body",
        ),
    ],
)
def test_what_cannot_be_seen_gets_a_sentence(content: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", **content)
    with pytest.raises(InputError, match=sentence):
        read_run(tmp_path / "file.npz", MESH)
    with pytest.raises(InputError, match="holds no person_NNN"):
        read_run(tmp_path, MESH)


FAULTS: dict[str, list[Any]] = {
    "poses": [
        np.zeros(72),
        np.zeros((19, 72)),
        np.zeros((20, 71)),
        np.full((20, 72), np.nan),
        np.full((20, 72), "a"),
        np.zeros((20, 72), np.int8),
    ],
    "betas": [np.full(10, np.inf), np.full(10, 1e9)],
    "trans": [np.zeros((20, 2)), np.zeros((19, 3)), np.full((20, 3), np.nan), np.full((20, 3), 1e12)],
    "joints3d": [np.zeros((20, 24)), np.zeros((19, 24, 3)), np.full((20, 24, 3), -np.inf)],
    "joint_confidence": [np.zeros(20), np.full((20, 24), np.nan), np.full((20, 24), 7.0)],
    "contacts": [np.zeros(20, bool), np.zeros((19, 9), bool), np.zeros((20, 10), bool)],
    "timestamps": [np.arange(19.0), np.full(20, np.nan), np.full(20, np.inf), np.full(20, 1e13)],
    "mocap_framerate": [0.0, np.nan, np.zeros(20), "thirty"],
    "camera_matrix": [np.float64(0), np.eye(2), np.full((3, 3), np.nan), np.zeros((3, 3))],
    "image_size": [np.array([0, 480]), np.array([640, -1]), np.array([640, 480, 3]), np.array([np.nan, 480])],
    "T_world_camera": [
        np.zeros((4, 4)),
        np.eye(3),
        np.tile(np.eye(4), (19, 1, 1)),
        2 * np.eye(4),
        np.full((4, 4), np.nan),
    ],
}
"""Array of a file of 20 rows → values that no run has written."""


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FAULTS.items() for value in values])
def test_a_file_that_is_not_what_it_says_is_named_with_its_array(name: str, value: Any, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", ids=(0,)) / "person_000.npz"
    content = dict(np.load(path))
    np.savez(path, **{**content, name: value})
    with pytest.raises(InputError, match=r"person_000\.npz: ") as error:
        read_run(path.parent, MESH)
    what = {"camera_matrix": "camera", "image_size": "image_size|Camera"}.get(name, name)
    assert re.search(what, str(error.value), re.IGNORECASE)


def test_an_archive_that_stands_for_much_more_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "person_000.npz"
    np.savez_compressed(path, poses=np.zeros((400_000, 72)), trans=np.zeros((400_000, 3)), betas=np.zeros(10))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match=r"person_000\.npz: holds 3 arrays of 228 MiB .* more than is read"):
        read_run(path, MESH)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "person_000.npz")
    with pytest.raises(InputError, match="is no regular file"):
        read_run(tmp_path, MESH)


def test_contacts_of_feet_alone_are_those_of_the_feet(tmp_path: Path) -> None:
    """As the truth beside a made-up clip has them."""
    poses, contacts = np.zeros((2, 72)), np.array([[True, False, False, True]] * 2)
    np.savez(tmp_path / "truth.npz", poses=poses, trans=np.zeros((2, 3)), betas=np.zeros(10), contacts=contacts)
    run = read_run(tmp_path / "truth.npz", load_skeletal_mesh())
    assert run.people[0].contacts.tolist() == [[True, False, False, True] + 5 * [False]] * 2
    with shown([run], load_skeletal_mesh()) as viewer:
        viewer._set_layer("contacts", True)
        assert len(viewer._figures[0][0]._contacts.points) == 2


@pytest.mark.parametrize(
    "content", ["#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n{clip}\n", "ffconcat version 1.0\nfile '{clip}'\n"]
)
@pytest.mark.parametrize("name", ["overlay.mp4", "clip.mp4"])
def test_a_video_that_names_others_is_not_followed(
    content: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_run(tmp_path / "run", ids=(0,))
    (folder / name).write_text(content.format(clip=write_clip(tmp_path / "other.mp4")))
    (folder / "run.json").write_text(json.dumps({"source": {"location": str(folder / "clip.mp4")}}))
    video = read_run(folder, MESH).video
    assert video == folder / name
    pictures = ClipPictures(video)
    assert pictures.at(0.0) is None and pictures.at(0.5) is None
    (line,) = [record.message for record in caplog.records]
    assert line.startswith(f"{video}: a list or script that names other files")


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"source": {"location": 3}}', json.dumps({"source": {"location": "a" * 5000}})]
)
def test_a_run_that_names_no_video_has_its_overlay(content: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", ids=(0,))
    (folder / "run.json").write_text(content)
    write_clip(folder / "overlay.mp4", frames=2)
    assert read_run(folder, MESH).video == folder / "overlay.mp4"


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_the_picture_of_a_time_is_the_trackers_frame_of_that_time(suffix: str, tmp_path: Path) -> None:
    path = make_clip(tmp_path / f"clip{suffix}", ClipSpec(rate=Fraction(10), count=60))
    with open_source(str(path)) as source:
        frames = list(source)
    pictures = ClipPictures(path, width=None)
    for moment in [*np.arange(0, 1.5, 0.03), 5.02, 0.4, 5.87, 99.0, 3.3, 99.0, 100.0, 0.0]:
        nearest = min(frames, key=lambda frame: abs(frame.time - moment))
        picture = pictures.at(moment)
        assert picture is not None and (picture == nearest.image).all(), moment
    pictures.close()


def test_the_picture_of_a_run_of_one_is_shown(tmp_path: Path) -> None:
    Image.new("RGB", (96, 64), "red").save(tmp_path / "one.png")
    picture = ClipPictures(tmp_path / "one.png").at(0.7)
    assert picture is not None and picture.shape == (320, 480, 3) and picture[0, 0].tolist() == [255, 0, 0]


def test_bends_are_those_of_the_limbs() -> None:
    joints = np.zeros((2, 24, 3))
    joints[:, 0], joints[:, 12] = [0, 1, 0], [0, 1.5, 0]
    joints[:, 1], joints[:, 4] = [0.1, 1, 0], [0.1, 0.5, 0]
    joints[:, 7] = [[0.1, 0, 0], [0.1, 0.5, -0.5]]
    assert np.allclose(bends(joints, "knee", "left"), [0, 90])
    joints[:, 16], joints[:, 18] = [0.1, 1.5, 0], [[0.1, 1.2, 0], [0.4, 1.5, 0]]
    assert np.allclose(bends(joints, "shoulder", "left"), [0, 90])


def test_every_layer_shows_the_present_time(viewer: Any, run: ViewedRun) -> None:
    figure, person = viewer._figures[0][0], run.people[0]
    viewer._set_layer("skeleton", True)
    viewer.advance(0.5)
    assert viewer.now == pytest.approx(0.5)
    row = person.row(0.5)
    bones = np.stack([bone.position for bone in figure._mesh.bones])
    assert np.allclose(bones, person.joints[row], atol=1e-5)
    assert np.allclose(figure._skeleton.points[3, 1], person.joints[row][4], atol=1e-5)
    assert figure._skeleton.visible and figure._mesh.opacity < 1
    times, left, _ = viewer._plot.data
    assert np.interp(0.0, times, left) == pytest.approx(bends(person.joints, "knee", "left")[row], abs=0.5)
    figure.person.contacts[row, 4] = True
    viewer._set_layer("contacts", True)
    assert np.allclose(figure._contacts.points.astype(float), person.joints[row][[22]], atol=1e-3), "the left hand"
    viewer._set_layer("mesh", False)
    assert not figure._mesh.visible
    viewer.advance(1e-9 + viewer.duration)
    assert viewer.now == pytest.approx(0.5), "it starts again"


def test_the_kernels_lie_on_the_body(tmp_path: Path) -> None:
    body = load_body(None)
    poses = np.zeros((2, 72))
    poses[:, 3 * 16 + 2] = 1.0
    np.savez(tmp_path / "one.npz", poses=poses, trans=np.zeros((2, 3)), betas=np.zeros(10), mocap_framerate=30.0)
    run = read_run(tmp_path / "one.npz", load_skeletal_mesh())
    with shown([run], load_skeletal_mesh()) as viewer:
        viewer._set_layer("kernels", True)
        points = viewer._figures[0][0]._points.points.astype(float)
        theta = body.v_template.new_tensor(poses[:1].reshape(1, 24, 3))
        mesh = body.with_shape(body.v_template.new_zeros(10)).with_pose(theta).vertices()[0].double().numpy()
        mesh = (mesh - mesh.mean(axis=0)) @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]).T
        off = points - points.mean(axis=0)
        nearest = np.linalg.norm(off[:, None] - mesh[None, ::7], axis=2).min(axis=1)
        assert len(points) == 858 and np.median(nearest) < 0.08


def test_a_mesh_has_the_colours_of_its_joints_confidence(viewer: Any, run: ViewedRun) -> None:
    figure, person = viewer._figures[0][0], run.people[0]
    person.confidence[:] = 1.0
    person.confidence[:, 4] = 0.0  # the left knee
    viewer._set_layer("confidence", True)
    viewer.advance(0.5)
    parts = {joint: (bones, mesh) for joint, bones, mesh in figure._coloured._parts}
    assert set(parts) == set(range(24)) and not figure._mesh.visible
    red, _, blue = parts[4][1].color
    assert red > 200 and parts[5][1].color[1] > 150 and blue < 120
    bones, mesh = parts[18]
    places = np.stack([bone.position for bone in mesh.bones])
    assert 18 in bones and np.allclose(places, person.joints[person.row(0.5)][bones], atol=1e-5)
    assert sum(len(mesh.faces) for _, mesh in parts.values()) == len(MESH.faces), "every face once"
    viewer._set_layer("confidence", False)
    assert figure._mesh.visible


def test_the_occlusion_map_tells_body_from_what_is_in_front() -> None:
    pytest.importorskip("mediapipe")
    from tracker.app.view.occlusion_map import OcclusionMaps

    clip = DemoClip(ClipConfig(4.0, figure=FigureConfig(texture_size=256), scene=SceneConfig(samples=1)))
    index = int(np.argmin(clip.truth.hidden.sum(axis=1)))
    image, state = clip.draw(index).image, BodyState.from_pose(clip.truth.pose(index))
    joints = clip.truth.joints2d[index]
    low, high = joints[_LEGS].min(axis=0).astype(int) - 25, joints[_LEGS].max(axis=0).astype(int) + 25
    legs, boarded = (slice(low[1], high[1]), slice(low[0], high[0])), image.copy()
    boarded[legs] = (128, 120, 110)
    maps = OcclusionMaps()
    try:
        body, occluder = (each[legs].astype(int) for each in maps.maps(image, clip.camera, state))
        hidden_body, board = (each[legs].astype(int) for each in maps.maps(boarded, clip.camera, state))
    finally:
        maps.close()
    assert body.sum() > 4 * occluder.sum(), "the legs are there"
    assert board.sum() > 4 * occluder.sum() and hidden_body.sum() < 0.7 * body.sum(), "a board stands before them"


def test_runs_stand_side_by_side_or_in_one_place(viewer: Any, run: ViewedRun) -> None:
    low, high = run.extent
    assert viewer._roots[1].position[0] - viewer._roots[0].position[0] > high - low
    viewer._set_side_by_side(False)
    assert np.allclose(viewer._roots[1].position, viewer._roots[0].position)


def test_the_video_is_shown_in_the_camera(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", ids=(0,))
    write_clip(folder / "overlay.mp4")
    run = read_run(folder, MESH)
    assert run.video == folder / "overlay.mp4"
    with shown([run], MESH) as viewer:
        first = viewer._frusta[0].image
        assert first is not None and first.shape[1] == 480
        viewer.advance(0.4)
        assert (viewer._frusta[0].image != first).any()


def test_a_taken_port_is_passed_over(viewer: Any) -> None:
    other = ResultPage(int(viewer.address.rsplit(":", 1)[1]))
    try:
        assert other.address != viewer.address
    finally:
        other.close()


def test_a_result_is_shown_and_played_without_what_is_slow_to_load(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import tracker.cli
from tracker.app.view import view
from tracker.runtime.interrupt import Interrupt

interrupt, page = Interrupt(), view.ResultPage(0)
slow = {"torch", "mediapipe", "openvino", "scipy", "av"}
assert not slow & set(sys.modules), slow & set(sys.modules)

from tracker.app.view import viewer

def play(self, interrupt):
    self.advance(0.5)

viewer.ResultViewer.play = play
view._play(view.ViewJob([Path(sys.argv[1])]), page, interrupt)
page.close()
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
    pytest.importorskip("viser")
    with np.load(write_run(tmp_path / "small", ids=(0,)) / "person_000.npz") as file:
        np.savez(tmp_path / "one.npz", **{**file, "body_model": "free-body"})
    run_python(code, tmp_path / "one.npz")


def test_the_mesh_in_numpy_is_the_body_models() -> None:
    mesh, same = load_skeletal_mesh(), SkeletalMesh.of(load_body(None))
    betas = np.linspace(-2, 2, 10)
    for ours, theirs in zip(mesh.at_rest(betas), same.at_rest(betas), strict=True):
        assert np.allclose(ours, theirs, atol=1e-6)
    shaped = load_body(None).with_shape(load_body(None).v_template.new_tensor(betas))
    assert np.allclose(mesh.at_rest(betas)[1], shaped.rest_joints.numpy(), atol=1e-5)
    assert (mesh.faces == same.faces).all() and np.allclose(mesh.weights, same.weights) and mesh.name == same.name


@pytest.mark.parametrize(("name", "sentence"), [("none", "there is no such result"), (".", "holds no person_NNN")])
def test_a_result_that_is_not_there_opens_no_page(
    name: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.app.view.view.ResultPage", None)
    with pytest.raises(InputError, match=sentence):
        view(ViewJob([tmp_path / name]), Interrupt())


def test_rerun_reads_what_is_written_for_it(tmp_path: Path) -> None:
    rerun = pytest.importorskip("rerun")
    dataframe = pytest.importorskip("rerun.dataframe")
    folder = write_run(tmp_path / "run", ids=(0,))
    path = tmp_path / "run.rrd"
    people = read_run(folder, MESH)
    from tracker.app.view.rerun_file import write_rerun

    write_rerun([people], path)
    recording = dataframe.load_recording(path)
    table = recording.view(index="time", contents="/**").select().read_all()
    assert rerun is not None and table.num_rows == 20
    assert any("left_knee" in name for name in table.column_names)
    with pytest.raises(InputError, match="exists already"):
        write_rerun([people], path)


@pytest.mark.parametrize("is_one", [True, False])
def test_what_a_result_names_goes_into_a_rerun_file_only_if_it_is_a_video(
    is_one: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tracker.app.view.rerun_file import _log_camera

    folder = write_run(tmp_path / "run", ids=(0,))
    named = tmp_path / "clip.mp4"
    (folder / "run.json").write_text(json.dumps({"source": {"location": str(named)}}))
    if is_one:
        write_clip(named, frames=2)
    else:
        named.write_text("a key that is nobody's business\n" * 20)
    rerun, recording = MagicMock(), MagicMock()
    _log_camera(rerun, recording, read_run(folder, MESH))
    assert rerun.AssetVideo.called is is_one and bool(caplog.records) is not is_one


def test_the_command_writes_for_rerun(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    poses = np.zeros((3, 72))
    np.savez(tmp_path / "one.npz", poses=poses, trans=np.zeros((3, 3)), betas=np.zeros(10), mocap_framerate=30.0)
    view(ViewJob([tmp_path / "one.npz"], rerun=tmp_path / "one.rrd"), Interrupt())
    assert (tmp_path / "one.rrd").stat().st_size > 1000


# ------------------------------------------------------------------------------------------------ in a browser


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return value


@pytest.fixture
def page(viewer: Any) -> Iterator[Any]:
    """The viewer's page in Chromium, without a screen, with time standing still."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    viewer._playing.value = False
    interrupt = Interrupt()
    playing = threading.Thread(target=viewer.play, args=(interrupt,))
    with playwright.sync_playwright() as tools:
        try:
            options = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
            browser = tools.chromium.launch(executable_path=program, args=options)
        except playwright.Error as error:
            pytest.skip(f"no Chromium here: {str(error).splitlines()[0]}")
        opened = browser.new_page(viewport={"width": 500, "height": 700})
        opened.set_default_timeout(1000 * PATIENCE)
        playing.start()
        opened.goto(viewer.address)
        opened.wait_for_selector("canvas")
        yield opened
        browser.close()
        interrupt.requested = True
        playing.join()


@pytest.mark.slow
def test_the_page_has_controls_that_work(page: Any, viewer: Any) -> None:
    figure = viewer._figures[0][0]
    page.get_by_label("Skeleton").first.wait_for()
    assert not figure._skeleton.visible
    page.get_by_label("Skeleton").first.check()
    until(lambda: figure._skeleton.visible)
    client = until(lambda: list(viewer._server.get_clients().values()))[0]
    until(lambda: client.camera.update_timestamp > 0)
    place = np.array(client.camera.position)
    viewer._turning.value = True
    target = np.array(client.camera.look_at)
    until(lambda: np.linalg.norm(np.array(client.camera.position) - place) > 0.2)
    viewer._turning.value = False
    until(lambda: np.allclose(client.camera.look_at, target, atol=1e-3))  # it turns around what it looks at
    page.get_by_label("Confidence").first.check()
    until(lambda: figure._coloured is not None)
    with page.expect_download() as download:
        page.get_by_role("button", name="Picture").click()
    picture = np.asarray(Image.open(io.BytesIO(Path(download.value.path()).read_bytes())))
    assert picture.shape[2] == 3 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 50, "not an empty picture"
