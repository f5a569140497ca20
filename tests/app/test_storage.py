"""Inputs and results on storage and on folders that several machines share: whole or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from tests.app.test_batch import BARE, Inline
from tests.clips import write_clip
from tracker import track_many
from tracker.app.place import SharedPlace, StoredPlace
from tracker.core.errors import InputError, RunError
from tracker.runtime.storage import fetched, is_stored, read_stored, store_folder, stored_files


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An address on a small S3 server of this test's own."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    pytest.importorskip("s3fs")
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(key, "test")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        fsspec.filesystem("s3").mkdir("clips")
        yield "s3://clips"
        fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


def test_videos_on_s3_are_read_and_results_written_there(bucket: str, tmp_path: Path) -> None:
    system = fsspec.filesystem("s3")
    system.put_file(str(write_clip(tmp_path / "a.mp4", frames=6)), "clips/in/day 1/a.mp4")
    system.pipe_file("clips/in/bad.mp4", b"no video" * 50)
    reports = track_many([f"{bucket}/in"], f"{bucket}/out", Inline(), options=BARE)
    outcomes = {report.folder: report.outcome for report in reports}
    assert outcomes == {f"{bucket}/out/bad": "failed", f"{bucket}/out/day 1/a": "tracked"}
    (error,) = (report.error for report in reports if report.error)
    assert error.startswith(f"{bucket}/in/bad.mp4: not a video")
    names = {path.rpartition("/")[2] for path in system.find("clips/out")}
    assert names == {"frames.jsonl", "report.html", "run.json"}
    document = json.loads(system.cat_file("clips/out/day 1/a/run.json"))
    assert document["source"]["location"] == f"{bucket}/in/day 1/a.mp4" and document["finished"] is True
    system.pipe_file("clips/out/day 1/a/notes.txt", b"mine")
    again = track_many([f"{bucket}/in/day 1"], f"{bucket}/out/day 1", Inline(), options=replace(BARE, resume=True))
    assert [report.outcome for report in again] == ["finished before"]
    (refused,) = track_many([f"{bucket}/in/day 1"], f"{bucket}/out/day 1", Inline(), options=BARE)
    assert "--overwrite" in refused.error
    (anew,) = track_many([f"{bucket}/in/day 1"], f"{bucket}/out/day 1", Inline(), options=replace(BARE, overwrite=True))
    assert anew.outcome == "tracked" and system.exists("clips/out/day 1/a/notes.txt")


def test_what_is_not_there_is_named(bucket: str) -> None:
    with pytest.raises(InputError, match=r"s3://clips/none: no such file or folder"):
        stored_files(f"{bucket}/none")
    with pytest.raises(InputError, match=r"s3://clips/none\.mp4: no such file"), fetched(f"{bucket}/none.mp4"):
        pass
    assert read_stored(f"{bucket}/none.json") is None
    with pytest.raises(InputError, match=r"s3://no-such-bucket/x: no such file"):
        store_folder(Path("tests"), "s3://no-such-bucket/x", "run.json", lambda name: False)


def test_addresses_of_streams_are_not_fetched() -> None:
    assert is_stored("s3://bucket/clip.mp4") and is_stored("file:///clip.mp4")
    assert not any(map(is_stored, ("http://host/clip.mp4", "rtsp://host/live", "clip.mp4", "gopher://host", "/a://b")))


def made(folder: Path, finished: bool) -> None:
    folder.mkdir()
    (folder / "frames.jsonl").write_text(f"{finished}\n")
    (folder / "run.json").write_text(json.dumps({"finished": finished}))


def test_on_a_shared_folder_a_result_appears_whole(tmp_path: Path) -> None:
    place = SharedPlace(tmp_path / "out" / "clip")
    lost = tmp_path / "out" / ".clip.abc.part"
    (lost / "clip").mkdir(parents=True)
    with place.working(overwrite=False) as folder:
        made(folder, True)
        assert not place.folder.exists()
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["clip", "frames.jsonl", "run.json"]
    with pytest.raises(InputError, match="--overwrite"), place.working(overwrite=False):
        pass


def test_an_attempt_that_comes_late_changes_nothing(tmp_path: Path) -> None:
    place = SharedPlace(tmp_path / "clip")
    with place.working(overwrite=False) as late:
        with place.working(overwrite=False) as first:
            made(first, True)
        if not late.parent.exists():  # the first has taken it for one that was lost
            late.parent.mkdir()
        made(late, False)
    assert place.earlier() is not None and place.earlier().finished


def test_an_unfinished_result_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    place = SharedPlace(tmp_path / "clip")
    made(place.folder, False)
    (place.folder / "person_007.npz").write_text("old")
    (place.folder / "notes.txt").write_text("mine")
    with place.working(overwrite=True) as folder:
        made(folder, True)
    assert place.earlier().finished
    assert sorted(path.name for path in place.folder.iterdir()) == ["frames.jsonl", "notes.txt", "run.json"]


def test_a_failure_leaves_nothing_on_storage(tmp_path: Path) -> None:
    place = StoredPlace(f"file://{tmp_path}/clip")
    with pytest.raises(RunError, match="broke"), place.working(overwrite=False) as folder:
        made(folder, True)
        raise RunError("it broke")
    assert not (tmp_path / "clip").exists()
    with place.working(overwrite=False) as folder:
        made(folder, True)
    assert place.earlier() is not None
    shutil.rmtree(tmp_path / "clip")
    assert place.earlier() is None
