"""Files that are kept: ours alone, whole, or made anew."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import cache
from tests.programs import run_python

posix = pytest.mark.skipif(os.name != "posix", reason="owners and permissions as POSIX has them")
root_only = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    cache._warn_once.cache_clear()
    yield tmp_path / "body-tracker"


class Maker:
    """Counts how often a file is made."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> None:
        self.calls += 1
        path.write_bytes(b"made" * 1000)


def test_is_made_once(folder: Path) -> None:
    make = Maker()
    first, second = cache.made_file("networks/a.onnx", make), cache.made_file("networks/a.onnx", make)
    assert first == second == folder / "networks" / "a.onnx"
    assert make.calls == 1
    assert sorted(each.name for each in first.parent.iterdir()) == ["a.onnx", "a.onnx.sha256"]


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lose_digest(path: Path) -> None:
    path.with_name(path.name + ".sha256").unlink()


def become_a_link(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def open_to_others(path: Path) -> None:
    path.chmod(0o666)


@posix
@pytest.mark.parametrize("spoil", [truncate, zero, empty, lose_digest, become_a_link, open_to_others])
def test_what_is_not_as_it_was_written_is_made_anew(spoil: object) -> None:
    make = Maker()
    path = cache.made_file("a.so", make)
    spoil(path)  # type: ignore[operator]
    again = cache.made_file("a.so", make)
    assert make.calls == 2
    assert not again.is_symlink() and again.read_bytes() == b"made" * 1000


@posix
def test_the_folder_is_this_users_alone(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    path = cache.made_file("kernels/a.so", Maker())
    for each in (folder, folder / "kernels"):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700
    assert not path.stat().st_mode & 0o077


@posix
@root_only
@pytest.mark.parametrize("planted", ["folder", "file"])
def test_what_another_user_has_planted_is_not_used(
    folder: Path, planted: str, caplog: pytest.LogCaptureFixture
) -> None:
    make = Maker()
    path = cache.made_file("a.so", make)
    os.chown(folder if planted == "folder" else path, 12345, 12345)
    again = cache.made_file("a.so", make)
    assert make.calls == 2
    assert (again == path) == (planted == "file")
    assert again.stat().st_uid == os.geteuid()
    assert ("not a folder of this user's" in caplog.text) == (planted == "folder")


def test_a_cache_that_cannot_be_used_is_done_without(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.write_text("a file in its place")
    make = Maker()
    first, second = cache.made_file("networks/a.onnx", make), cache.made_file("networks/a.onnx", make)
    assert first == second and first.read_bytes() == b"made" * 1000
    assert make.calls == 1
    assert len(caplog.records) == 1 and "nothing is kept for the next start" in caplog.text


def test_a_user_without_a_home_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache.made_file("homeless.so", Maker()).read_bytes() == b"made" * 1000


def test_what_fails_in_the_making_is_raised_and_leaves_nothing(folder: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("no compiler")

    with pytest.raises(RuntimeError, match="no compiler"):
        cache.made_file("kernels/a.so", fail)
    assert list((folder / "kernels").iterdir()) == []


def test_the_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache.cache_folder() == tmp_path / "body-tracker"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "body-tracker"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.cache_folder() == tmp_path / "Library" / "Caches" / "body-tracker"


def test_a_relative_folder_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It would be another one in every place that the program is started from, and anybody's."""
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "body-tracker"


def test_files_of_a_process_go_with_it(folder: Path) -> None:
    folder.write_text("a file in its place")
    code = "from kernels.cache import made_file; print(made_file('a', lambda path: path.write_bytes(b'x')))"
    assert not Path(run_python(code).stdout.strip()).parent.exists()


def test_a_truncated_library_is_not_loaded() -> None:
    """Calling one that was cut off was a bus error."""
    origin = importlib.util.find_spec("_ctypes").origin  # type: ignore[union-attr]
    if origin is None or not Path(origin).is_file():
        pytest.skip("this Python has no library of its own")
    whole = Path(origin).read_bytes()
    path = cache.made_file("kernels/a.so", lambda path: path.write_bytes(whole))
    os.truncate(path, 4096)
    again = cache.made_file("kernels/a.so", lambda path: path.write_bytes(whole))
    ctypes.CDLL(str(again))
    assert again.read_bytes() == whole
