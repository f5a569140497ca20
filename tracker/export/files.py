"""Output folders and files: what has its final name is whole, and nothing foreign is touched.

Every file of a run is known here by name, so that an old result can be recognised, refused, or removed as one.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from tracker.core.atomic_file import PART, whole_file
from tracker.core.errors import InputError, RunError
from tracker.core.shown_text import shown_address
from tracker.export.run_lock import RunLock

OVERLAY_NAME = "overlay.mp4"
PICTURE_NAME = "overlay.png"
"""In the place of OVERLAY_NAME where the input is a single picture."""
FRAMES_NAME = "frames.jsonl"
RUN_NAME = "run.json"
REPORT_NAME = "report.html"
OBSERVATIONS_NAME = "observations.npz"

_RESULT = re.compile(
    r"overlay\.(mp4|png)|frames\.jsonl|run\.json|report\.html|observations\.npz|scene\.(glb|usdc|fbx|blend)"
    r"|amass_\d{3,}\.npz|person_\d{3,}(\.(npz|bvh|glb|csv|trc|c3d|mot)|_angles\.csv)"
)
_PART = re.compile(
    rf"\.(overlay|frames|run|report|scene|(person|amass)_\d{{3,}}(_angles)?){PART}\.\w+|overlay\.mp4\.part"
)
_BAD_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL)
_LOOK_SECONDS = 1.0
"""Between two looks at whether a run's folder is still there."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary stream whose content appears at `path` when the block ends well; otherwise `path` stays as it was.

    Raises RunError, naming the path, when the file cannot be written.
    """
    try:
        with whole_file(path) as part, part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise write_error(path, error) from error


def append_whole(file: FileIO, data: bytes, path: Path) -> None:
    """Appends all of the data to an unbuffered file or, raising RunError that names `path`, nothing of it."""
    start = file.seek(0, os.SEEK_END)
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except BaseException as error:
        file.truncate(start)
        if isinstance(error, OSError):
            raise write_error(path, error) from error
        raise


def write_error(path: Path, error: OSError) -> RunError:
    """The one line that a user gets when the system refuses to write `path`."""
    remedy = "free some space" if error.errno in _NO_SPACE else "make the folder writable"
    return RunError(
        f"{path}: cannot be written ({error.strerror or error}); {remedy} or give another folder; "
        "what was finished before is kept"
    )


def prepare_folder(folder: Path, overwrite: bool) -> None:
    """As `locked_folder`, for a run that begins later."""
    locked_folder(folder, overwrite).release()


def locked_folder(folder: Path, overwrite: bool) -> RunLock:
    """Makes the folder of one result and leaves no file of an earlier result in it; foreign files stay.

    Raises InputError when the folder cannot be made or written, holds a result and `overwrite` is false, or is written
    by another run. While the lock is held, no other run can begin there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = RunLock(folder)
    except OSError as error:
        raise _folder_error(folder, error) from error
    try:
        _clear(folder, overwrite)
    except BaseException:
        lock.release()
        raise
    return lock


def _clear(folder: Path, overwrite: bool) -> None:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.is_dir(follow_symlinks=False))
        results = [name for name in names if _RESULT.fullmatch(name)]
        if results and not overwrite:
            raise InputError(
                f"{folder}: holds a result already ({results[0]}); pass --overwrite to replace it, or another --out"
            )
        for name in results + [name for name in names if _PART.fullmatch(name)]:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise _folder_error(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            f"{folder}: expected a folder that can be written; change its permissions or give another folder"
        )


def fresh_folder(base: Path) -> Path:
    """Makes and returns a folder that was not there before: `base`, or that name with -2, -3, … behind it.

    Raises InputError or RunError when it cannot be made.
    """
    for count in itertools.count(1):
        folder = base if count == 1 else base.with_name(f"{base.name}-{count}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError as error:
            if not os.path.lexists(folder):  # it is a folder above it that is a file
                raise _folder_error(folder, error) from error
        except OSError as error:
            raise _folder_error(folder, error) from error
    raise AssertionError("numbers do not end")


class FolderWatch:
    """Notices that the folder of a run was deleted, moved or replaced while the run goes on: what has been opened in it
    can still be written to, and would be lost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._identity = self._present()
        self._due = time.monotonic() + _LOOK_SECONDS

    def check(self) -> None:
        """Looks once a second at most. Raises RunError, naming the folder."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _LOOK_SECONDS
        if self._present() != self._identity:
            raise RunError(f"{self._folder}: was deleted or moved while it was written to; start again")

    def _present(self) -> tuple[int, int] | None:
        try:
            status = self._folder.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def _folder_error(folder: Path, error: OSError) -> InputError | RunError:
    if error.errno in _BAD_PLACE:
        return InputError(f"{folder}: expected a folder that can be written ({error.strerror}); give another folder")
    return write_error(folder, error)


def output_folders(inputs: Sequence[str | Path], out: Path) -> list[Path]:
    """The folder of each input's result, directly in `out`: its stem, with -2, -3, … where that is taken already."""
    taken: set[str] = set()
    folders = []
    for source in inputs:
        stem = _stem(str(source))
        name, count = stem, 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name.casefold())
        folders.append(out / name)
    return folders


def mirrored_folders(inputs: Sequence[tuple[str, Path]], out: Path) -> list[Path]:
    """As `output_folders`, of inputs that are each given with the folder below `out` that its result belongs into."""
    places: dict[Path, list[str]] = {}
    for source, within in inputs:
        places.setdefault(within, []).append(source)
    folders = {within: iter(output_folders(sources, out / within)) for within, sources in places.items()}
    return [next(folders[within]) for _, within in inputs]


def is_result_name(name: str) -> bool:
    """Whether a run may have given a file this name."""
    return _RESULT.fullmatch(name) is not None


def is_part_name(name: str) -> bool:
    """Whether a run that was killed may have left an unfinished file of this name."""
    return _PART.fullmatch(name) is not None


def holds_result(folder: Path) -> bool:
    """Whether this is the folder of a run, finished or not."""
    return (folder / RUN_NAME).exists() or (folder / FRAMES_NAME).exists()


def _stem(source: str) -> str:
    if source.isdecimal():
        return f"camera{source}"
    if "://" in source:
        return _url_stem(source)
    path = Path(source)
    return _folder_name(path.resolve().name if path.is_dir() else path.stem) or "input"


def _url_stem(url: str) -> str:
    """The last part of the URL's path, else its host; user names, passwords and queries never reach a file name."""
    host, _, path = shown_address(url).partition("://")[2].partition("/")
    last = Path(path.rstrip("/")).stem or re.sub(r":\d*$", "", host)
    return _folder_name(re.sub(r"[^\w.-]+", "_", last).strip("_")) or "stream"


def _folder_name(name: str) -> str:
    """A name that lies in its folder and can be printed: without separators, control characters, and dots before it."""
    plain = "".join(each if each.isprintable() and each not in "/\\" else "_" for each in name)
    return plain.lstrip(". ").rstrip(". ")
