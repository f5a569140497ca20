"""Motion files of several kinds, single, in folders, or packed, → clips in SMPL's joints."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from tracker.core.errors import InputError
from tracker.motion.deepmimic import parse_deepmimic
from tracker.motion.motion_clip import MotionClip, without_calibration
from tracker.motion.read_bvh import parse_bvh
from tracker.motion.retarget import retarget
from tracker.motion.smpl_npz import read_smpl_npz
from tracker.motion.source_motion import SourceMotion

SUFFIXES = (".bvh", ".txt", ".json", ".npz")
_PACKED = (".tar.gz", ".tgz", ".tar")
_LARGEST_FILE = 512 * 2**20
"""Bytes: a packed file that claims more is not read, so that a small archive cannot fill the memory."""
_EXPECTED = "expected a .bvh, a DeepMimic .txt or .json, an AMASS or person_NNN .npz, a folder or a .tar.gz of these"


def read_motion(path: Path | str) -> list[MotionClip]:
    """All clips of a file, a folder (with its subfolders) or a tar archive, in the order of their names.

    In folders and archives, files of other kinds are passed over, and so are .json and .txt files that hold no motion.
    Raises InputError, naming the file, for one that cannot be read, and when there is no motion at all.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; {_EXPECTED}")
    packed = path.is_dir() or path.name.lower().endswith(_PACKED)
    if not packed and path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: unknown kind of motion file; {_EXPECTED}")
    contents = sorted(_contents(path))
    clips = [
        clip_of(name, content)
        for name, content in tqdm(contents, desc=f"reading {path.name}", unit="clip", disable=len(contents) < 20)
        if not packed or _holds_motion(name, content)
    ]
    if not clips:
        raise InputError(f"{path}: no motion files found; {_EXPECTED}")
    return clips


def clip_of(name: str, content: bytes) -> MotionClip:
    """One file's content as a clip on SMPL's joints."""
    if name.lower().endswith(".npz"):
        return read_smpl_npz(name, io.BytesIO(content))
    return without_calibration(retarget(source_of(name, content)))


def source_of(name: str, content: bytes) -> SourceMotion:
    """One BVH or DeepMimic file on its own skeleton."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: expected a text file: {error}") from error
    return parse_bvh(name, text) if name.lower().endswith(".bvh") else parse_deepmimic(name, text)


def motion_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the motion files that `read_motion` reads."""
    yield from ((name, content) for name, content in sorted(_contents(path)) if _holds_motion(name, content))


def _holds_motion(name: str, content: bytes) -> bool:
    return name.lower().endswith((".bvh", ".npz")) or (content.lstrip()[:1] == b"{" and b'"Frames"' in content)


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in path.rglob("*"):
            if file.is_file() and file.suffix.lower() in SUFFIXES:
                yield file.relative_to(path).as_posix(), file.read_bytes()
            elif file.is_file() and file.name.lower().endswith(_PACKED):
                yield from ((f"{file.name}/{name}", content) for name, content in _unpacked(file))
    elif path.name.lower().endswith(_PACKED):
        yield from _unpacked(path)
    else:
        yield path.name, path.read_bytes()


def _unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    """Regular files of an archive, read into memory: nothing is written, links and devices are passed over."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if not member.isfile() or Path(member.name).suffix.lower() not in SUFFIXES:
                    continue
                if member.size > _LARGEST_FILE:
                    raise InputError(f"{path}: {member.name} is {member.size >> 20} MiB; expected at most 512")
                stream = archive.extractfile(member)
                if stream is not None:
                    yield member.name, stream.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{path}: expected a tar archive of motion files: {error}") from error
