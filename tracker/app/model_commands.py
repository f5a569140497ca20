"""The `models` commands: which landmark networks are here, and getting those that are not.

MediaPipe's npm package carries all three; npm fetches it, and nothing is taken whose digest is not the published one.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from tracker.core.atomic_file import write_whole
from tracker.core.errors import InputError, RunError
from tracker.core.input_file import read_bytes, reading
from tracker.networks.landmark_files import LANDMARK_FILES, LandmarkFile, installed_landmarks, landmark_network_file

PACKAGE = "@mediapipe/pose@0.5.1675469404"
"""Apache-2.0."""
_LARGEST_NETWORK, _LARGEST_ARCHIVE = 1 << 26, 1 << 28
"""Bytes: the heavy network has 28 MB, and npm's archive, which holds all three, unpacks to less than 100."""
_SECONDS = 600


def listing() -> Iterator[str]:
    """Each landmark network with where it is."""
    here = installed_landmarks()
    for name in LANDMARK_FILES:
        place = landmark_network_file(name) if name in here else f"not here; body-tracker models get {name}"
        yield f"{name:6} {place}"


def get(name: str, given: Path | None = None) -> Path:
    """Puts a landmark network where the tracker looks for it: from npm, or from a file that the user has (the .tflite,
    or npm's .tgz). Raises InputError for an unknown name or another file, RunError when npm fails.
    """
    wanted = LANDMARK_FILES.get(name)
    if wanted is None:
        raise InputError(f"models get {name}: expected one of {', '.join(LANDMARK_FILES)}")
    if given is not None:
        content = _read(given, wanted)
    else:
        with tempfile.TemporaryDirectory() as folder:
            content = _read(_packed(Path(folder)), wanted)
    if not wanted.is_its(content):
        raise InputError(
            f"{given or PACKAGE}: not {wanted.file_name} as published (SHA-256 {wanted.sha256}); "
            "a network of your own is used with: --set detect.landmarks=FILE"
        )
    try:
        write_whole(wanted.kept_at, content)
    except OSError as error:
        raise InputError(f"{wanted.kept_at}: cannot be written ({error.strerror}); set XDG_CACHE_HOME") from None
    return wanted.kept_at


def _packed(folder: Path) -> Path:
    """npm's archive of the package, fetched into a folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise InputError("models get: needs npm (Node.js), which is not here; or give the .tflite file that you have")
    command = [npm, "pack", PACKAGE, "--pack-destination", str(folder), "--loglevel", "error"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS, cwd=folder)
    except subprocess.TimeoutExpired:
        raise RunError(f"npm pack {PACKAGE}: no answer in {_SECONDS} s") from None
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        last = (done.stderr.strip().splitlines() or ["no archive came"])[-1]
        raise RunError(f"npm pack {PACKAGE}: {last}")
    return archives[0]


def _read(path: Path, wanted: LandmarkFile) -> bytes:
    """The network's bytes in a .tflite file or in npm's archive."""
    with reading(path, f"expected {wanted.file_name} as MediaPipe publishes it, or npm's .tgz of {PACKAGE}"):
        if not path.name.endswith((".tgz", ".tar.gz")):
            return read_bytes(path, _LARGEST_NETWORK)
        with tarfile.open(fileobj=BytesIO(_unpacked(path))) as archive:
            member = archive.extractfile(f"package/{wanted.file_name}")
            if member is None:
                raise InputError(f"{path}: package/{wanted.file_name} in it is no file")
            return member.read()


def _unpacked(path: Path) -> bytes:
    """The tar file in a .tgz. Raises ValueError for one that is much larger than it looks, as a harmful one is."""
    with gzip.open(path) as packed:
        content = packed.read(_LARGEST_ARCHIVE + 1)
    if len(content) > _LARGEST_ARCHIVE:
        raise ValueError(f"unpacks to more than the {_LARGEST_ARCHIVE >> 20} MiB that are read")
    return content
