"""The `track` job with a scripted detector: what is drawn is what the files say, and faults lose nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.pipeline.test_pipeline import CONFIG, SIZE, somebody
from tracker.app.track import TrackJob, track
from tracker.body import load_body
from tracker.core.arrays import Array
from tracker.core.camera import CameraConfig
from tracker.core.detection import Detection
from tracker.core.errors import InputError, RunError
from tracker.core.frame import Frame
from tracker.core.person import FrameRecord, TrackedFrame
from tracker.export import ExportConfig, load_frames, load_person
from tracker.export.load_result import load_result
from tracker.overlay.video_writer import VideoWriter
from tracker.pipeline import Tracker
from tracker.runtime.interrupt import Interrupt
from tracker.smooth.delayed_smoother import DelayedSmoother
from tracker.smooth.smooth_config import SmoothConfig
from tracker.smooth.smoothed_frames import last_betas, smoothed_frames

RATE = 20
FRAMES = 50


class Walking:
    """Somebody who walks to the right; `stop`, where given, is called at the frame of that index."""

    engine, device = "script", "cpu"

    def __init__(self, fault: tuple[int, BaseException | Interrupt] | None = None) -> None:
        self._fault = fault

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        if self._fault is not None and frame.index == self._fault[0]:
            if isinstance(self._fault[1], BaseException):
                raise self._fault[1]
            self._fault[1].requested = True
        noise = np.random.default_rng(frame.index).normal(0, 2, (33, 2))
        detection = somebody(-0.5 + 0.02 * frame.index, bend=0.1 + 0.02 * frame.index)[0]
        return [replace(detection, landmarks2d=detection.landmarks2d + noise)]

    def forget(self) -> None:
        """Remembers nothing."""

    def close(self) -> None:
        """Holds nothing."""


def tracker(fault: tuple[int, BaseException | Interrupt] | None = None) -> Tracker:
    return Tracker(replace(CONFIG, smooth=SmoothConfig("offline")), load_body(None), Walking(fault))


class WithCurtain(Walking):
    """Beside them something is taken for somebody, whose landmarks no body has."""

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        folds = np.random.default_rng(0)
        pixels = np.array([0.8, 0.3]) * SIZE + folds.uniform(-0.15, 0.15, (33, 2)) * SIZE[1]
        curtain = Detection(pixels, folds.normal(0, 0.5, (33, 3)), np.full(33, 0.9))
        return [*super().detect(frame, predicted), curtain]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with VideoWriter(path, SIZE, Fraction(RATE)) as video:
        for i in range(FRAMES):
            video.write(i / RATE, np.full((SIZE[1], SIZE[0], 3), 4 * i, np.uint8))
    return path


def drawn_frames(folder: Path) -> int:
    with av.open(str(folder / "overlay.mp4")) as video:
        return sum(1 for _ in video.decode(video=0))


def test_everything_is_tracked_drawn_and_written_in_order(clip: Path, tmp_path: Path) -> None:
    with tracker() as one:
        result = track(TrackJob(str(clip), tmp_path / "out"), one, Interrupt())
    assert result.frames == FRAMES and drawn_frames(tmp_path / "out") == FRAMES
    assert [f["frame"] for f in load_frames(tmp_path / "out/frames.jsonl")] == list(range(FRAMES))
    stages = json.loads((tmp_path / "out/run.json").read_text())["stages"]
    assert {name: stages[name]["calls"] for name in ("read", "draw", "write")} == dict.fromkeys(
        ("read", "draw", "write"), FRAMES
    )


@pytest.mark.parametrize("second", [(SIZE[0] // 2, SIZE[1] // 2), (SIZE[1], SIZE[0])])
def test_a_picture_that_changes_its_size_midway_is_a_cut_and_a_warning(tmp_path: Path, second: tuple[int, int]) -> None:
    halves = []
    for part, size in enumerate((SIZE, second)):
        halves.append(tmp_path / f"{part}.ts")
        with av.open(str(halves[part]), "w", "mpegts") as container:
            stream = container.add_stream("mpeg2video", rate=RATE)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for _ in range(20):
                picture = np.full((size[1], size[0], 3), 128, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode(None))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(half.read_bytes() for half in halves))
    with tracker() as one:
        result = track(TrackJob(str(joined), tmp_path / "out"), one, Interrupt())
    assert drawn_frames(tmp_path / "out") == result.frames >= 38
    warnings = json.loads((tmp_path / "out/run.json").read_text())["warnings"]
    assert [f"the picture has {second[0]}×{second[1]} pixels" in each for each in warnings].count(True) == 1
    ids = [[each["id"] for each in frame["people"]] for frame in load_frames(tmp_path / "out/frames.jsonl")]
    assert ids[:19] == [[0]] * 19 and ids[-10:] == [[1]] * 10


def test_who_is_nobody_is_in_no_file(clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tracker")
    with Tracker(replace(CONFIG, smooth=SmoothConfig("offline")), load_body(None), WithCurtain()) as one:
        result = track(TrackJob(str(clip), tmp_path / "out", overlay=False), one, Interrupt())

    assert result.people == 1
    assert list(load_result(tmp_path / "out").people) == [0]
    assert {person["id"] for frame in load_frames(tmp_path / "out/frames.jsonl") for person in frame["people"]} == {0}
    assert "left out, as nobody whom the pictures show: person 1" in caplog.text


def test_a_single_picture_gives_a_picture(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)).save(photo)
    for overwrite in (False, True):
        with tracker() as one:
            track(TrackJob(str(photo), tmp_path / "out", export=ExportConfig(overwrite=overwrite)), one, Interrupt())
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"frames.jsonl", "overlay.png", "person_000.npz", "run.json"} <= names
    assert not any(name.startswith("overlay.mp4") for name in names)
    with Image.open(tmp_path / "out/overlay.png") as drawn:
        assert drawn.size == SIZE
        assert np.ptp(np.asarray(drawn), axis=(0, 1)).max() > 20, "somebody is drawn"


def test_the_drawn_poses_are_those_of_the_files() -> None:
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    with tracker() as one:
        lookahead, records, shown = DelayedSmoother(one.persons, one.config.camera, one.config.smooth.offline), [], []
        for i in range(FRAMES):
            frame = Frame(i, i / RATE, picture)
            people = one.step(frame)
            records.append(FrameRecord(i, i / RATE, people))
            shown += lookahead.push(TrackedFrame(frame, people))
        assert len(shown) == 24, "a second waits; the others come in eights"
        shown += lookahead.rest()
        camera, smooth = one.config.camera.for_size(*SIZE), one.config.smooth.offline
        smoothed = smoothed_frames(records, last_betas(records), one.persons, camera, smooth)
        for record, drawn in zip(smoothed, shown, strict=True):
            (expected,), (got,) = record.people, drawn.people
            np.testing.assert_allclose(got.pose.theta, expected.pose.theta, atol=1e-9)
            # the place depends on β, which is not quite the last one yet; what is seen does not
            np.testing.assert_allclose(got.joints2d, expected.joints2d, atol=2.0)


def test_a_fault_in_the_middle_keeps_what_was_tracked(clip: Path, tmp_path: Path) -> None:
    with tracker((30, RunError("the detector broke"))) as one, pytest.raises(RunError, match="the detector broke"):
        track(TrackJob(str(clip), tmp_path / "out"), one, Interrupt())
    assert drawn_frames(tmp_path / "out") == 30
    assert len(list(load_frames(tmp_path / "out/frames.jsonl"))) == 30
    assert len(load_person(tmp_path / "out/person_000.npz").frame_index) == 30


def test_an_interrupt_saves_smooths_and_draws_what_there_is(clip: Path, tmp_path: Path) -> None:
    interrupt = Interrupt()
    with (
        tracker((20, interrupt)) as one,
        pytest.raises(KeyboardInterrupt, match="interrupted; everything so far is saved"),
    ):
        track(TrackJob(str(clip), tmp_path / "out"), one, interrupt)
    assert json.loads((tmp_path / "out/run.json").read_text())["interrupted"] is True
    person = load_person(tmp_path / "out/person_000.npz")
    assert 10 <= len(person.frame_index) <= 21, "frames are found a few ahead of those that are saved"
    assert drawn_frames(tmp_path / "out") == len(person.frame_index)


def test_an_overlay_that_cannot_be_written_costs_nothing_else(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out/overlay.mp4.part").mkdir(parents=True)
    with tracker() as one, pytest.raises(RunError, match=r"overlay\.mp4"):
        track(TrackJob(str(clip), tmp_path / "out"), one, Interrupt())
    assert [f["frame"] for f in load_frames(tmp_path / "out/frames.jsonl")] == list(range(FRAMES))
    report = json.loads((tmp_path / "out/run.json").read_text())
    assert report["frames_read"] == FRAMES and report["interrupted"] is False
    assert len(load_person(tmp_path / "out/person_000.npz").frame_index) == FRAMES
    assert len([warning for warning in report["warnings"] if "overlay.mp4" in warning]) == 1


def test_a_size_that_no_video_can_have_is_refused_before_the_tracking(tmp_path: Path) -> None:
    (tmp_path / "tall").mkdir()
    for index in range(2):
        Image.fromarray(np.zeros((20000, 1, 3), np.uint8)).save(tmp_path / f"tall/{index}.png")
    with tracker() as one, pytest.raises(InputError, match=r"tall: pictures of 1×20000 pixels.*--no-overlay"):
        track(TrackJob(str(tmp_path / "tall"), tmp_path / "out"), one, Interrupt())
    assert not (tmp_path / "out").exists()


def test_a_guessed_focal_length_is_a_warning(clip: Path, tmp_path: Path) -> None:
    for name, camera in (("guessed", CameraConfig()), ("given", CameraConfig(focal=700.0))):
        with Tracker(replace(CONFIG, camera=camera), load_body(None), Walking()) as one:
            result = track(TrackJob(str(clip), tmp_path / name, overlay=False), one, Interrupt())
        warnings = json.loads((tmp_path / name / "run.json").read_text())["warnings"]
        assert result.warnings == len(warnings)
        said = [warning for warning in warnings if "the focal length is guessed" in warning and "--fov" in warning]
        assert len(said) == (name == "guessed")


def test_a_run_is_read_back_with_its_meshes(clip: Path, tmp_path: Path) -> None:
    with tracker() as one:
        track(TrackJob(str(clip), tmp_path / "walk", overlay=False), one, Interrupt())
        faces = one.faces
    result = load_result(tmp_path / "walk")
    assert len(result.frames) == FRAMES and result.run["people"] == {"0": FRAMES}
    assert [frame.index for frame in result.frames] == list(range(FRAMES))
    (key,) = result.people
    vertices = result.vertices(key)
    assert vertices.shape == (len(result.people[key].timestamps), len(load_body(None).v_template), 3)
    assert (result.faces == faces).all()
    person = result.frames[-1].people[0]
    np.testing.assert_array_equal(person.vertices, vertices[-1])
    column, row = result.camera.project(person.vertices.astype(float)).mean(axis=0)
    x0, y0, x1, y1 = person.bbox
    assert x0 < column < x1 and y0 < row < y1


def test_what_somebody_has_put_into_a_result_is_not_taken_for_it(clip: Path, tmp_path: Path) -> None:
    with tracker() as one:
        track(TrackJob(str(clip), tmp_path / "walk", overlay=False), one, Interrupt())
    folder = tmp_path / "walk"
    whole = load_result(folder)
    (folder / "person_backup.npz").write_bytes(b"no archive")
    assert load_result(folder).people.keys() == whole.people.keys() == {0}
    lines = (folder / "frames.jsonl").read_text().splitlines(keepends=True)
    (folder / "frames.jsonl").write_text("".join(reversed(lines)))
    assert [frame.index for frame in load_result(folder).frames] == list(range(FRAMES))
    for time in ("NaN", "1e400"):
        (folder / "frames.jsonl").write_text(lines[0].replace('"time":0.0', f'"time":{time}'))
        with pytest.raises(InputError, match=r"frames\.jsonl: frame 0 has the time"):
            _ = load_result(folder).frames


def test_frames_that_come_unevenly_are_no_gaps(tmp_path: Path) -> None:
    """As a camera's do that takes longer in the dark."""
    times = np.cumsum([0.0, *[1 / RATE] * 11, *[0.2] * 5, *[1 / RATE] * 11])
    with VideoWriter(tmp_path / "dim.mp4", SIZE, Fraction(RATE)) as video:
        for i, time in enumerate(times):
            video.write(float(time), np.full((SIZE[1], SIZE[0], 3), 4 * i, np.uint8))
    with tracker() as one:
        track(TrackJob(str(tmp_path / "dim.mp4"), tmp_path / "dim", overlay=False), one, Interrupt())
    result = load_result(tmp_path / "dim")
    assert [len(frame.people) for frame in result.frames] == [1] * len(times)
    assert result.run["gaps"] == {"0": []}


def test_what_is_no_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no result of a run; expected a folder with run\.json"):
        load_result(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: .*expected what a run has written"):
        load_result(tmp_path)
    (tmp_path / "run.json").write_text('{"people": {"0": 2}}')
    with pytest.raises(InputError, match="track again with npz"):
        load_result(tmp_path)
    (tmp_path / "run.json").write_text('{"people": {}}')
    (tmp_path / "frames.jsonl").write_text("")
    empty = load_result(str(tmp_path))
    assert empty.frames == []
    (tmp_path / "frames.jsonl").unlink()
    with pytest.raises(InputError, match=r"has no frames\.jsonl.*track again with jsonl"):
        _ = load_result(tmp_path).frames
    with pytest.raises(InputError, match=r"person 3: not in .*nobody"):
        empty.vertices(3)
    with pytest.raises(InputError, match="hold no camera"):
        _ = empty.camera
