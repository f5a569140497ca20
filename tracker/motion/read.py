"""Motion files of several kinds, single, in folders, or packed, → clips in SMPL's joints."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from tracker.core.errors import InputError
from tracker.core.input_file import LARGEST_TEXT, read_bytes, reading
from tracker.motion.deepmimic import parse_deepmimic
from tracker.motion.motion_clip import MotionClip, without_calibration
from tracker.motion.read_bvh import parse_bvh
from tracker.motion.retarget import retarget
from tracker.motion.smpl_npz import read_smpl_npz
from tracker.motion.source_motion import SourceMotion
from tracker.motion.straight_knees import with_straight_knees

SUFFIXES = (".bvh", ".txt", ".json", ".npz")
_PACKED = (".tar.gz", ".tgz", ".tar")
_LARGEST_FILE = 512 * 2**20
"""Bytes: a packed file that claims more is not read, so that a small archive cannot fill the memory."""
_LARGEST_ARCHIVE = 1 << 32
"""Bytes that all packed files may have together."""
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
    return with_straight_knees(clips)


def clip_of(name: str, content: bytes) -> MotionClip:
    """One file's content as a clip on SMPL's joints."""
    if name.lower().endswith(".npz"):
        return read_smpl_npz(name, content)
    source = source_of(name, content)
    with reading(name, "expected the motion of a person"):
        return without_calibration(retarget(source))


def source_of(name: str, content: bytes) -> SourceMotion:
    """One BVH or DeepMimic file on its own skeleton."""
    with reading(name, "expected a text file"):
        if len(content) > LARGEST_TEXT:
            raise ValueError(f"is larger than the {LARGEST_TEXT >> 20} MiB that are read")
        text = content.decode("utf-8-sig")
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
                yield file.relative_to(path).as_posix(), _content(file)
            elif file.is_file() and file.name.lower().endswith(_PACKED):
                yield from ((f"{file.name}/{name}", content) for name, content in _unpacked(file))
    elif path.name.lower().endswith(_PACKED):
        yield from _unpacked(path)
    else:
        yield path.name, _content(path)


def _content(file: Path) -> bytes:
    with reading(file, _EXPECTED):
        return read_bytes(file, _LARGEST_FILE)


def _unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    """Regular files of an archive, read into memory: nothing is written, links and devices are passed over."""
    size = 0
    with reading(path, "expected a tar archive of motion files"), path.open("rb") as packed:
        is_gzip = packed.peek(2)[:2] == b"\x1f\x8b"
        with tarfile.open(fileobj=_BoundedGzip(fileobj=packed) if is_gzip else packed, mode="r:") as archive:
            for member in archive:
                size += member.size
                if size > _LARGEST_ARCHIVE:
                    raise ValueError(f"holds more than the {_LARGEST_ARCHIVE >> 20} MiB that are read")
                if not member.isfile() or Path(member.name).suffix.lower() not in SUFFIXES:
                    continue
                if member.size > _LARGEST_FILE:
                    raise InputError(f"{path}: {member.name} is {member.size >> 20} MiB; expected at most 512")
                stream = archive.extractfile(member)
                if stream is not None:
                    yield member.name, stream.read()


class _BoundedGzip(gzip.GzipFile):
    """Gives no more at once than a file may have: tar's own headers name sizes, too."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LARGEST_FILE:
            raise ValueError(f"has a header of more than {_LARGEST_FILE >> 20} MiB")
        return super().read(size)
