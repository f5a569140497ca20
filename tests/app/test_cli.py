"""The command line as a user meets it: help that teaches, one clear line for every mistake, the right exit status."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from tests import ROOT
from tests.clips import write_clip

NETWORKS = ("landmark network", "landmark network (heavy)", "person detector", "feature network", "hand network")


def run(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def refused(*arguments: object) -> str:
    """The one line of a command that ends with status 2, but for the lines that say what the networks run on."""
    done = run(*arguments)
    assert done.returncode == 2, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.strip() and line.partition(":")[0] not in NETWORKS]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize(
    "command",
    [[], ["track"], ["live"], ["demo"], ["body"], ["body", "import"], ["bench", "kernels"], ["train"], ["info"]],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout and "--help" in done.stdout


def test_no_command_shows_the_help() -> None:
    done = run()
    assert done.returncode == 2
    assert "track" in done.stdout and "live" in done.stdout


def test_info_names_versions_and_body() -> None:
    done = run("info")
    assert done.returncode == 0
    assert "torch" in done.stdout and "free-body" in done.stdout


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--focal", "-3"], "-3"),
        (["--fov", "200"], "200"),
        (["--focal", "500", "--fov", "60"], "focal and fov"),
        (["--max-people", "0"], "0"),
        (["--format", "npz,fbx"], "fbx"),
        (["--start", "-1"], "-1"),
        (["--start", "3", "--end", "2"], "2"),
        (["--config", "turbo"], "turbo"),
        (["--device", "gpu"], "gpu"),
        (["--intrinsics", "none.json"], "none.json"),
        (["--body", "none.pkl"], "none.pkl"),
        (["--smooth", "very"], "very"),
        (["--jobs", "2", "--ray", "auto"], "--jobs 2"),
        (["--frobnicate"], "--frobnicate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_options_are_named(tmp_path: Path, options: list[str], named: str) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=2)
    assert named in refused("track", clip, "--out", tmp_path / "out", *options)
    assert not list((tmp_path / "out").rglob("*.npz"))


def test_wrong_inputs_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    (tmp_path / "nothing.mp4").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for name in ("missing.mp4", "text.mp4", "nothing.mp4", "empty"):
        assert name in refused("track", tmp_path / name, "--out", tmp_path / "out")


def test_an_unknown_config_key_is_named(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("fit: {iteration: 3}\n")
    clip = write_clip(tmp_path / "clip.mp4", frames=2)
    assert "fit.iteration" in refused("track", clip, "--out", tmp_path / "out", "--config", config)


class Evil:
    """Pickles to a call that would leave a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch '{self.trace}'",))


def test_an_executable_pickle_is_refused_unexecuted(tmp_path: Path) -> None:
    trace, evil = tmp_path / "trace", tmp_path / "smpl.pkl"
    evil.write_bytes(pickle.dumps({"v_template": Evil(trace)}))
    assert "system" in refused("body", "import", evil)
    assert not trace.exists()


def test_an_absent_camera_is_named(tmp_path: Path) -> None:
    assert "97" in refused("live", "--source", "97", "--headless")


def test_live_without_a_display_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    clip = write_clip(tmp_path / "clip.mp4")
    assert "--headless" in refused("live", "--source", clip)


def test_live_refuses_a_page_without_a_host(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=2)
    assert "host" in refused("live", "--source", clip, "--headless", "--web", "0", "--host", "")


def test_nobody_in_the_picture_is_a_result(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=6)
    done = run("track", clip, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "nobody" in done.stdout
    lines = (tmp_path / "out/clip/frames.jsonl").read_text().splitlines()
    assert [json.loads(line)["people"] for line in lines] == [[]] * 6
    report = json.loads((tmp_path / "out/clip/run.json").read_text())
    assert report["frames_read"] == 6 and report["frames_with_people"] == 0
    with av.open(str(tmp_path / "out/clip/overlay.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6


def test_an_existing_result_is_kept_until_overwrite_is_said(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=3)
    arguments = ("track", clip, "--out", tmp_path / "out", "--no-overlay")
    assert run(*arguments).returncode == 0
    before = (tmp_path / "out/clip/run.json").read_text()
    assert "--overwrite" in refused(*arguments)
    assert (tmp_path / "out/clip/run.json").read_text() == before
    assert run(*arguments, "--overwrite").returncode == 0


def test_inputs_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    clips = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        clips.append(write_clip(tmp_path / folder / "clip.mp4", frames=2))
    done = run("track", *clips, "--out", tmp_path / "out", "--no-overlay")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["clip", "clip-2"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_output_is_named(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=2)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "locked" in refused("track", clip, "--out", locked)


def test_an_output_that_is_a_file_is_named(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=2)
    (tmp_path / "taken").write_text("")
    assert "taken" in refused("track", clip, "--out", tmp_path / "taken")


def wait_for_lines(path: Path, count: int, process: subprocess.Popen) -> None:
    while process.poll() is None:
        if path.is_file() and path.read_text().count("\n") >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"ended with {process.returncode} before {count} lines were written")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_saves_everything_so_far(tmp_path: Path, number: signal.Signals) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=2000)
    out = tmp_path / "out/clip"
    command = [sys.executable, "run.py", "track", str(clip), "--out", str(tmp_path / "out"), "--smooth", "causal"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_for_lines(out / "frames.jsonl", 5, process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted" in errors and "Traceback" not in errors
    lines = [json.loads(line) for line in (out / "frames.jsonl").read_text().splitlines()]
    report = json.loads((out / "run.json").read_text())
    assert report["interrupted"] is True and report["frames_read"] == len(lines) >= 5
    with av.open(str(out / "overlay.mp4")) as video:
        assert abs(sum(1 for _ in video.decode(video=0)) - len(lines)) <= 1
    assert not [p.name for p in out.iterdir() if "part" in p.name]


def test_streams_that_are_closed_or_full_do_not_fail_a_good_run(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=3)
    command = [sys.executable, str(ROOT / "run.py"), "track", str(clip), "--out", str(tmp_path / "out")]
    done = subprocess.run(["sh", "-c", '"$@" > /dev/full 2>&-', "sh", *command], cwd=ROOT, check=False)
    assert done.returncode == 0
    assert json.loads((tmp_path / "out/clip/run.json").read_text())["frames_read"] == 3
    with av.open(str(tmp_path / "out/clip/overlay.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 3


def test_a_killed_run_leaves_readable_lines(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=2000)
    frames = tmp_path / "out/clip/frames.jsonl"
    command = [sys.executable, "run.py", "track", str(clip), "--out", str(tmp_path / "out"), "--no-overlay"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_for_lines(frames, 5, process)
        process.kill()
    finished = frames.read_text().rsplit("\n", 1)[0].splitlines()
    assert len(finished) >= 5
    assert [json.loads(line)["frame"] for line in finished] == list(range(len(finished)))


def test_a_truncated_video_gives_what_it_has(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.ts", frames=60)
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    done = run("track", cut, "--out", tmp_path / "out", "--no-overlay")
    assert done.returncode == 0, done.stderr
    count = json.loads((tmp_path / "out/cut/run.json").read_text())["frames_read"]
    assert 0 < count < 60


def test_wrong_smpl_files_are_named(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=2)
    truncated = tmp_path / "truncated.pkl"
    truncated.write_bytes(pickle.dumps({"v_template": np.zeros((10, 3))})[:-20])
    shapes = tmp_path / "shapes.npz"
    np.savez(shapes, v_template=np.zeros((10, 2)))
    for path in (truncated, shapes):
        assert path.name in refused("track", clip, "--out", tmp_path / "out", "--body", path)
