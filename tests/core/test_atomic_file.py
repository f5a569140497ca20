"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tracker.core.atomic_file import whole_file, write_whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    write_whole(path, "{}")
    with whole_file(path) as part:
        part.write_text("[1, 2]")
        assert path.read_text() == "{}" and part.suffix == ".json" and part.name.startswith(".")
    assert path.read_text() == "[1, 2]"
    assert [each.name for each in path.parent.iterdir()] == ["report.json"]


def test_what_fails_leaves_nothing_and_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_whole(path, b"old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    with whole_file(path) as one, whole_file(path) as other:
        assert one != other
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert path.read_bytes() in (b"one", b"other")


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_its_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "b")}
    assert len(modes) == 1
