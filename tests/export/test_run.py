"""A run's folder after a good end, an early one, a kill, a full disk, and beside other people's files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT
from tests.export_scene import CAMERA, frames_of, person_at, small_body
from tests.full_disk import files_no_larger_than
from tracker.core.errors import InputError, RunError
from tracker.core.person import FrameRecord
from tracker.export import (
    ExportConfig,
    RunContext,
    RunHeader,
    RunSummary,
    RunWriter,
    load_frames,
    load_person,
    npz,
    output_folders,
    prepare_folder,
)
from tracker.export.files import atomic_file, fresh_folder
from tracker.export.files_config import FilesConfig

BODY = small_body()
CONTEXT = RunContext(CAMERA, BODY, 25.0, files=FilesConfig(report=False))
HEADER = RunHeader(config={}, device="cpu", engine="torch", source={"name": "clip.mp4"})
FRAMES = frames_of(BODY, [i / 25 for i in range(12)], ids=(0, 1))
ALL = ("npz", "jsonl", "bvh", "glb", "csv", "trc")


def writer(folder, formats=("npz", "jsonl"), overwrite=False, header=HEADER):
    return RunWriter(folder, ExportConfig(formats, overwrite), CONTEXT, header)


def run(folder, frames=FRAMES, summary=None, **options):
    with writer(folder, **options) as out:
        for frame in frames:
            out.write(frame)
        return out.finish(summary or RunSummary())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class TestGoodEnd:
    def test_every_format_leaves_its_file_and_nothing_else(self, tmp_path):
        result = run(tmp_path / "clip", formats=ALL)
        people = [f"person_00{n}.{suffix}" for n in (0, 1) for suffix in ("npz", "bvh", "glb", "csv", "trc")]
        assert names(tmp_path / "clip") == sorted([*people, "frames.jsonl", "run.json"])
        assert sorted(path.name for path in result.files) == names(tmp_path / "clip")
        assert (result.folder, result.frames, result.frames_with_people, result.people) == (
            tmp_path / "clip",
            12,
            12,
            2,
        )

    def test_only_what_was_asked_for_is_written(self, tmp_path):
        run(tmp_path / "clip", formats=("bvh",))
        assert names(tmp_path / "clip") == ["person_000.bvh", "person_001.bvh", "run.json"]

    def test_an_identity_that_comes_and_goes_has_its_own_frames_only(self, tmp_path):
        frames = [replace(f, people=[p for p in f.people if p.person_id == 0 or f.index in (3, 4, 9)]) for f in FRAMES]
        run(tmp_path / "clip", frames)
        second = load_person(tmp_path / "clip" / "person_001.npz")
        np.testing.assert_array_equal(second.frame_index, [3, 4, 9])
        np.testing.assert_allclose(second.timestamps, [3 / 25, 4 / 25, 9 / 25])
        np.testing.assert_allclose(second.joints3d, [FRAMES[i].people[1].joints3d for i in (3, 4, 9)], atol=1e-5)

    @pytest.mark.parametrize("frames", [[], [FrameRecord(0, 0.0, []), FrameRecord(1, 0.04, [])]])
    def test_nobody_in_the_picture(self, tmp_path, frames):
        result = run(tmp_path / "clip", frames, formats=ALL)
        assert names(tmp_path / "clip") == ["frames.jsonl", "run.json"]
        assert [line["people"] for line in load_frames(tmp_path / "clip" / "frames.jsonl")] == [[] for _ in frames]
        assert (result.frames, result.frames_with_people, result.people) == (len(frames), 0, 0)

    def test_frames_whose_fits_are_not_believed_are_without_people(self, tmp_path):
        faint = np.full(24, 0.2)
        frames = [
            replace(f, people=[replace(p, joint_confidence=faint) for p in f.people]) if f.index in (3, 4) else f
            for f in FRAMES
        ]
        result = run(tmp_path / "clip", frames)
        assert (result.frames, result.frames_with_people) == (12, 10)
        assert len(list(load_frames(tmp_path / "clip" / "frames.jsonl"))[3]["people"]) == 2  # what was fitted stays

    def test_the_rate_of_variable_video_is_that_of_the_median_interval_of_all_frames(self, tmp_path):
        times = [0, 0.1, 0.2, 0.3, 1.0]
        frames = [FrameRecord(i, t, [person_at(BODY, t)] if i in (0, 4) else []) for i, t in enumerate(times)]
        with RunWriter(tmp_path / "a", ExportConfig(), replace(CONTEXT, frame_rate=None), HEADER) as out:
            for frame in frames:
                out.write(frame)
            out.finish(RunSummary())
        assert load_person(tmp_path / "a" / "person_000.npz").timeline.frame_rate == pytest.approx(10)

    def test_closing_after_finishing_changes_nothing(self, tmp_path):
        with writer(tmp_path / "clip") as out:
            out.write(FRAMES[0])
            result = out.finish(RunSummary())
            before = (tmp_path / "clip" / "run.json").read_bytes()
            assert out.close() is result
        assert (tmp_path / "clip" / "run.json").read_bytes() == before

    def test_a_frame_after_the_end_is_our_bug(self, tmp_path):
        with writer(tmp_path / "clip") as out:
            out.finish(RunSummary())
            with pytest.raises(RuntimeError, match="clip"):
                out.write(FRAMES[0])


class TestFramesJsonl:
    def test_keys_and_values_are_the_contracts(self, tmp_path):
        run(tmp_path / "clip")
        lines = list(load_frames(tmp_path / "clip" / "frames.jsonl"))
        assert [(line["frame"], line["time"]) for line in lines] == [(f.index, f.time) for f in FRAMES]
        assert list(lines[0]) == ["frame", "time", "T_world_camera", "people"]
        person, truth = lines[5]["people"][1], FRAMES[5].people[1]
        expected = {
            "bbox": (truth.bbox, 0.006),
            "poses": (truth.pose.theta.reshape(-1), 6e-7),
            "betas": (truth.pose.betas, 6e-6),
            "trans": (truth.pose.transl, 6e-6),
            "joints2d": (truth.joints2d, 0.006),
            "joints3d": (truth.joints3d, 6e-6),
            "joint_confidence": (truth.joint_confidence, 6e-4),
        }
        assert set(person) == {"id", *expected}
        assert person["id"] == 1
        for name, (value, tolerance) in expected.items():
            np.testing.assert_allclose(person[name], value, atol=tolerance, rtol=0, err_msg=name)
        assert "joint_confidence" in person
        assert len(json.dumps(person)) < 3500, "numbers are rounded"

    def test_what_is_not_finite_becomes_null_in_strict_json(self, tmp_path):
        odd = person_at(BODY, 0.0)
        odd = replace(odd, bbox=np.array([np.nan, 1.0, np.inf, 2.0]), nll=float("nan"))
        run(tmp_path / "clip", [FrameRecord(0, 0.0, [odd])], formats=("jsonl",))

        def refuse(name):
            raise AssertionError(name)

        line = json.loads((tmp_path / "clip" / "frames.jsonl").read_text(), parse_constant=refuse)
        assert line["people"][0]["bbox"] == [None, 1.0, None, 2.0]

    def test_every_line_is_on_disk_when_write_returns(self, tmp_path):
        with writer(tmp_path / "clip") as out:
            for count, frame in enumerate(FRAMES, start=1):
                out.write(frame)
                assert len((tmp_path / "clip" / "frames.jsonl").read_bytes().splitlines()) == count
            out.finish(RunSummary())

    def test_a_killed_run_leaves_its_finished_lines(self, tmp_path):
        script = f"""
import os, signal
from tests.export_scene import small_body, frames_of, CAMERA
from tracker.export import RunWriter, ExportConfig, RunContext, RunHeader
body = small_body()
out = RunWriter(__import__("pathlib").Path({str(tmp_path / "clip")!r}), ExportConfig(), RunContext(CAMERA, body, 25.0),
                RunHeader({{}}, "cpu", "torch", {{}}))
for frame in frames_of(body, [0.0, 0.1, 0.2]):
    out.write(frame)
os.kill(os.getpid(), signal.SIGKILL)
"""
        path = str(ROOT)
        ended = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, check=False)
        assert ended.returncode == -signal.SIGKILL
        assert names(tmp_path / "clip") == ["frames.jsonl"]
        assert [line["time"] for line in load_frames(tmp_path / "clip" / "frames.jsonl")] == [0.0, 0.1, 0.2]

    def test_an_unfinished_last_line_is_passed_over_and_a_broken_one_named(self, tmp_path):
        path = tmp_path / "frames.jsonl"
        path.write_text('{"frame":0}\n{"frame":1}\n{"fra')
        assert [line["frame"] for line in load_frames(path)] == [0, 1]
        path.write_text('{"frame":0}\nrubbish\n')
        with pytest.raises(InputError, match="line 2"):
            list(load_frames(path))
        with pytest.raises(InputError, match="absent"):
            list(load_frames(tmp_path / "absent"))


class TestEarlyEnd:
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("worker")])
    def test_what_there_was_is_saved_and_marked(self, tmp_path, error):
        with pytest.raises(type(error)), writer(tmp_path / "clip") as out:
            for frame in FRAMES[:5]:
                out.write(frame)
            raise error
        assert names(tmp_path / "clip") == ["frames.jsonl", "person_000.npz", "person_001.npz", "run.json"]
        assert len(load_person(tmp_path / "clip" / "person_000.npz").timestamps) == 5
        report = json.loads((tmp_path / "clip" / "run.json").read_text())
        assert (report["interrupted"], report["frames_read"]) == (True, 5)

    def test_closing_with_a_summary_keeps_its_warnings(self, tmp_path):
        with writer(tmp_path / "clip") as out:
            out.write(FRAMES[0])
            out.close(RunSummary({"fit": [1.0]}, ["camera 0 was unplugged"]))
        report = json.loads((tmp_path / "clip" / "run.json").read_text())
        assert report["warnings"][0] == "camera 0 was unplugged"
        assert report["interrupted"] is True
        assert report["stages"]["fit"]["calls"] == 1

    def test_leaving_the_block_without_finishing_counts_as_interrupted(self, tmp_path):
        with writer(tmp_path / "clip") as out:
            out.write(FRAMES[0])
        assert json.loads((tmp_path / "clip" / "run.json").read_text())["interrupted"] is True

    def test_an_interrupt_while_files_are_written_still_saves_all(self, tmp_path, monkeypatch):
        from tracker.export import formats

        calls = []

        def interrupted_once(stream, person, body, write=formats.PERSON_WRITERS["csv"]):
            calls.append(person.person_id)
            stream.write(b"half a file")
            if len(calls) == 1:
                raise KeyboardInterrupt
            stream.seek(0)
            write(stream, person, body)

        monkeypatch.setitem(formats.PERSON_WRITERS, "csv", interrupted_once)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "clip", formats=("npz", "csv"))
        everything = ["person_000.csv", "person_000.npz", "person_001.csv", "person_001.npz", "run.json"]
        assert names(tmp_path / "clip") == everything
        assert (tmp_path / "clip" / "person_000.csv").read_text().startswith("frame,time_s")


class TestFullDisk:
    def test_while_tracking(self, tmp_path):
        with files_no_larger_than(40_000), pytest.raises(RunError, match=r"frames\.jsonl.*free some space"):
            run(tmp_path / "clip")
        lines = list(load_frames(tmp_path / "clip" / "frames.jsonl"))
        assert (tmp_path / "clip" / "frames.jsonl").read_bytes().endswith(b"}\n"), "no half line"
        assert 4 <= len(lines) < len(FRAMES)
        assert len(load_person(tmp_path / "clip" / "person_001.npz").timestamps) == len(lines)
        assert json.loads((tmp_path / "clip" / "run.json").read_text())["frames_read"] == len(lines)

    def test_while_the_files_are_written(self, tmp_path):
        with files_no_larger_than(25_000), pytest.raises(RunError, match=r"person_000\.csv.*kept"):
            run(tmp_path / "clip", formats=("csv", "npz"))
        assert names(tmp_path / "clip") == ["person_000.npz", "person_001.npz", "run.json"]
        report = json.loads((tmp_path / "clip" / "run.json").read_text())
        assert [("person_000.csv" in w, "person_001.csv" in w) for w in report["warnings"][-2:]] == [
            (True, False),
            (False, True),
        ]

    @pytest.mark.parametrize("size", [3_000, 0])
    def test_with_hardly_any_space_there_is_one_clear_error(self, tmp_path, size):
        with files_no_larger_than(size), pytest.raises(RunError, match="free some space"):
            run(tmp_path / "clip", formats=ALL)
        assert not [name for name in names(tmp_path / "clip") if name.startswith(".")]

    def test_an_old_file_stays_when_the_new_one_cannot_be_written(self, tmp_path):
        path = tmp_path / "run.json"
        path.write_text("old")
        with files_no_larger_than(1000), pytest.raises(RunError, match=r"run\.json"), atomic_file(path) as stream:
            stream.write(b"x" * 5000)
        assert path.read_text() == "old"
        assert names(tmp_path) == ["run.json"]


class TestFolderThatGoes:
    @pytest.mark.parametrize("replaced", [False, True])
    def test_is_noticed_while_tracking(self, tmp_path, monkeypatch, replaced):
        now = [100.0]
        monkeypatch.setattr("tracker.export.files.time.monotonic", lambda: now[0])
        folder = tmp_path / "clip"
        with pytest.raises(RunError, match=r"clip: was deleted or moved while it was written to"):
            with writer(folder) as out:
                out.write(FRAMES[0])
                folder.rename(tmp_path / "elsewhere")
                if replaced:
                    folder.mkdir()
                out.write(FRAMES[1])  # not looked for at every frame
                now[0] += 2.0
                out.write(FRAMES[2])


class TestFreshFolder:
    def test_takes_no_name_twice(self, tmp_path):
        base = tmp_path / "new" / "live-1"
        assert [fresh_folder(base).name for _ in range(3)] == ["live-1", "live-1-2", "live-1-3"]

    def test_below_a_file_says_so(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        for base in (tmp_path / "file/live-1", tmp_path / "file/deeper/live-1"):
            with pytest.raises(InputError, match="expected a folder that can be written"):
                fresh_folder(base)


class TestExistingResult:
    def test_is_refused_and_left_as_it_is(self, tmp_path):
        run(tmp_path / "clip")
        before = {path.name: path.read_bytes() for path in (tmp_path / "clip").iterdir()}
        with pytest.raises(InputError, match=r"clip: .*--overwrite"):
            writer(tmp_path / "clip")
        assert {path.name: path.read_bytes() for path in (tmp_path / "clip").iterdir()} == before

    @pytest.mark.parametrize("name", ["overlay.mp4", "frames.jsonl", "run.json", "person_007.trc"])
    def test_any_file_of_ours_makes_a_result(self, tmp_path, name):
        (tmp_path / name).write_text("old")
        with pytest.raises(InputError, match=name):
            writer(tmp_path)

    def test_overwriting_removes_all_of_the_old_result_and_nothing_foreign(self, tmp_path):
        ours = ["overlay.mp4", "frames.jsonl", "run.json", "person_000.npz", "person_017.glb", "person_1000.bvh"]
        parts = [f".{Path(name).stem}.123_ab12.part{Path(name).suffix}" for name in ours]
        foreign = ["notes.txt", "person_a.npz", "person_000.fbx", "person_00.npz", "my_overlay.mp4", ".hidden.part"]
        for name in (*ours, *parts, *foreign):
            (tmp_path / name).write_text("old")
        (tmp_path / "person_005.npz").mkdir()
        run(tmp_path, FRAMES[:2], overwrite=True)
        new = ["frames.jsonl", "person_000.npz", "person_001.npz", "run.json"]
        assert names(tmp_path) == sorted([*new, *foreign, "person_005.npz"])

    def test_foreign_files_alone_are_no_result(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        run(tmp_path, FRAMES[:1])
        assert (tmp_path / "notes.txt").read_text() == "mine"

    def test_leftovers_of_a_killed_run_go(self, tmp_path):
        (tmp_path / ".person_003.77_ab12.part.npz").write_text("half")
        run(tmp_path, FRAMES[:1])
        assert ".person_003.77_ab12.part.npz" not in names(tmp_path)


class TestUnusableFolder:
    def test_a_file_in_its_place_or_above_it(self, tmp_path):
        (tmp_path / "file").write_text("")
        for folder in (tmp_path / "file", tmp_path / "file" / "clip"):
            with pytest.raises(InputError, match=r"file.*expected a folder that can be written"):
                writer(folder)

    @pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
    def test_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        for folder in (tmp_path, tmp_path / "clip"):
            with pytest.raises(InputError, match="expected a folder that can be written"):
                writer(folder)

    @pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that nobody may write")
    def test_a_file_system_that_cannot_be_written(self):
        with pytest.raises((InputError, RunError), match="/proc/self/clip"):
            writer(Path("/proc/self/clip"))


class TestReplacePeople:
    def smooth(self, frames):
        for frame in frames:
            yield replace(frame, people=[replace(p, bbox=p.bbox + 1) for p in frame.people if p.person_id == 0])

    @pytest.mark.parametrize("formats", [("npz", "jsonl"), ("npz",)])
    def test_all_files_hold_the_new_people(self, tmp_path, formats):
        with writer(tmp_path / "clip", formats) as out:
            for frame in FRAMES:
                out.write(frame)
            out.replace_people(self.smooth(out.recorded.frames()))
            out.finish(RunSummary())
        assert "person_001.npz" not in names(tmp_path / "clip")
        boxes = load_person(tmp_path / "clip" / "person_000.npz").bbox
        np.testing.assert_allclose(boxes, [f.people[0].bbox + 1 for f in FRAMES], rtol=1e-6)
        assert ("frames.jsonl" in names(tmp_path / "clip")) == ("jsonl" in formats)
        for line in load_frames(tmp_path / "clip" / "frames.jsonl") if "jsonl" in formats else ():
            (person,) = line["people"]
            np.testing.assert_allclose(person["bbox"], FRAMES[line["frame"]].people[0].bbox + 1, atol=0.006)

    def test_a_filter_that_fails_leaves_the_unfiltered_result(self, tmp_path):
        def failing(frames):
            yield next(iter(frames))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), writer(tmp_path / "clip") as out:
            for frame in FRAMES:
                out.write(frame)
            out.replace_people(failing(out.recorded.frames()))
        assert len(list(load_frames(tmp_path / "clip" / "frames.jsonl"))) == len(FRAMES)
        assert len(load_person(tmp_path / "clip" / "person_001.npz").timestamps) == len(FRAMES)

    def test_frames_come_back_as_they_were_written(self, tmp_path):
        with writer(tmp_path / "clip") as out:
            for frame in FRAMES:
                out.write(frame)
            for again, frame in zip(out.recorded.frames(), FRAMES, strict=True):
                assert (again.index, again.time) == (frame.index, frame.time)
                for a, b in zip(again.people, frame.people, strict=True):
                    assert a.person_id == b.person_id
                    np.testing.assert_allclose(a.pose.theta, b.pose.theta, rtol=1e-6)
                    np.testing.assert_allclose(a.joints2d, b.joints2d, rtol=1e-6)
            out.finish(RunSummary())


@dataclass(frozen=True)
class Inner:
    path: Path
    values: tuple[float, ...]


@dataclass(frozen=True)
class Config:
    inner: Inner
    limit: float


class TestRunJson:
    def report(self, folder, summary=None, header=HEADER):
        run(folder, summary=summary, header=header)
        return json.loads((folder / "run.json").read_text())

    def test_says_how_it_was_made_and_how_it_went(self, tmp_path):
        summary = RunSummary({"fit": list(range(1, 101)), "draw": []}, ["one frame was dropped"], wall_seconds=6.0)
        frames = [*FRAMES, FrameRecord(12, 0.5, [])]
        run(tmp_path / "clip", frames, summary=summary)
        report = json.loads((tmp_path / "clip" / "run.json").read_text())
        assert report["stages"]["fit"] == {"calls": 100, "p50_ms": 50.5, "p95_ms": 95.05}
        assert report["stages"]["draw"] == {"calls": 0, "p50_ms": None, "p95_ms": None}
        assert report["warnings"][0] == "one frame was dropped"
        assert (report["frames_read"], report["frames_with_people"], report["people"]) == (13, 12, {"0": 12, "1": 12})
        assert (report["device"], report["engine"], report["source"]) == ("cpu", "torch", {"name": "clip.mp4"})
        assert report["frames_per_second"] == pytest.approx(13 / 6, abs=6e-4)
        assert report["interrupted"] is False
        assert {"tracker", "python", "numpy", "torch"} <= set(report["versions"])

    def test_warnings_are_counted_and_bounded(self, tmp_path):
        from tracker.cli.summary_lines import summary_line

        few = run(tmp_path / "few", [], RunSummary({}, ["dim", "damaged"]))
        assert few.warnings == 2
        assert summary_line("clip.mp4", few).endswith("; 2 warnings, see run.json")
        assert "see run.json" not in summary_line("clip.mp4", run(tmp_path / "none", []))
        run(tmp_path / "many", [], RunSummary({}, [f"picture {n}" for n in range(1000)]))
        warnings = json.loads((tmp_path / "many" / "run.json").read_text())["warnings"]
        assert (len(warnings), warnings[-1]) == (101, "and 900 more warnings")

    def test_a_person_of_hours_is_written_in_little_memory(self, tmp_path):
        run(tmp_path / "clip")
        one = load_person(tmp_path / "clip" / "person_001.npz")
        rows = np.zeros(200_000, np.intp)
        long = replace(one.rows(rows), timestamps=np.arange(len(rows)) / 30, frame_index=np.arange(len(rows)))
        tracemalloc.start()
        try:
            with (tmp_path / "person_001.npz").open("wb") as stream:
                npz.write(stream, long, small_body())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (tmp_path / "person_001.npz").stat().st_size > 150e6
        assert peak < 20e6
        read = load_person(tmp_path / "person_001.npz")
        np.testing.assert_allclose(read.poses[-1], one.poses[0], atol=1e-6)
        np.testing.assert_allclose(read.trans[[0, -1]], one.trans[[0, 0]], atol=1e-5)
        np.testing.assert_array_equal(read.timestamps, long.timestamps)

    def test_rows_of_hours_stay_on_disk(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tracker.export.frame_store._IN_MEMORY", 1000)
        run(tmp_path / "disk")
        monkeypatch.undo()
        run(tmp_path / "memory")
        for name in ("person_000.npz", "person_001.npz"):
            assert (tmp_path / "disk" / name).read_bytes() == (tmp_path / "memory" / name).read_bytes()

    def test_any_config_becomes_plain_json(self, tmp_path):
        config = Config(Inner(Path("a/b"), (1.0, np.nan)), limit=float("inf"))
        source = {"url": "rtsp://me:secret@camera.local/live", "size": np.array([640, 480]), 7: np.float32(0.5)}
        report = self.report(tmp_path / "clip", header=RunHeader(config, "cpu", "torch", source))
        assert report["config"] == {"inner": {"path": "a/b", "values": [1.0, None]}, "limit": None}
        assert report["source"] == {"url": "rtsp://camera.local/live", "size": [640, 480], "7": 0.5}


class TestOutputFolders:
    def test_is_the_stem_of_files_folders_urls_and_cameras(self, tmp_path):
        (tmp_path / "shots.v2").mkdir()
        inputs = [
            "clips/walk.final.mp4",
            str(tmp_path / "shots.v2"),
            "https://example.org/a/dance.mp4?token=abc",
            "rtsp://me:secret@camera.local:554/",
            "rtsp://camera.local/live/main",
            "0",
        ]
        folders = output_folders(inputs, Path("out"))
        assert [str(f) for f in folders] == [
            "out/walk.final",
            "out/shots.v2",
            "out/dance",
            "out/camera.local",
            "out/main",
            "out/camera0",
        ]

    def test_equal_stems_do_not_meet(self):
        folders = output_folders(["a/x.mp4", "b/x.mp4", "x-2.mp4", "c/X.avi"], Path("out"))
        assert [f.name for f in folders] == ["x", "x-2", "x-2-2", "X-3"]

    def test_names_that_a_folder_cannot_have(self):
        folders = output_folders(["https://example.org/%20/..", "http://[::1]/a b:c.mp4", "/"], Path("out"))
        assert all(f.parent == Path("out") and f.name not in ("", ".", "..") for f in folders)

    @pytest.mark.parametrize(
        ("name", "stem"),
        [
            ("..mp4", "input"),
            ("...mp4", "input"),
            ("....mp4", "input"),
            (".hidden.mp4", "hidden"),
            ("up\\..\\..\\away.mp4", "up_.._.._away"),
            ("red\x1b[31m.mp4", "red_[31m"),
            ("caf\udce9.mp4", "caf_"),
            ("back\u202ewards.mp4", "back_wards"),
            (". .mp4", "input"),
        ],
    )
    def test_no_name_leads_out_of_the_folder_or_into_the_terminal(self, name, stem):
        assert output_folders([f"clips/{name}"], Path("out")) == [Path("out") / stem]

    def test_a_result_of_a_name_made_of_dots_touches_nothing_beside_out(self, tmp_path):
        (tmp_path / "person_000.npz").write_text("mine")
        folder = output_folders([str(tmp_path / "..mp4")], tmp_path / "out")[0]
        prepare_folder(folder, overwrite=True)
        assert (tmp_path / "person_000.npz").read_text() == "mine"
        assert folder.resolve().parent == (tmp_path / "out").resolve()
