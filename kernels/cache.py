"""Files that can be made again, some of which are executed: kept only where nobody else can write, checked when read.

Of the libraries that the kernels are compiled into, and of what the tracker converts networks to. Needs nothing but
Python.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import logging
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)
_DIGEST = ".sha256"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cache_folder() -> Path:
    """The platform's folder for files that can be made again, with the project's name; absolute, made or not.

    Raises RuntimeError for a user without a home.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        given = Path(os.environ.get("XDG_CACHE_HOME", ""))
        base = given if given.is_absolute() else Path.home() / ".cache"
    return base / "body-tracker"


def made_file(name: str, make: Callable[[Path], None]) -> Path:
    """The file `name` (as networks/a.onnx) of the cache, made unless it is there, whole and ours.

    make: writes the file at a path; what it raises but OSError is raised. Where the cache cannot be used the file lies
    in a folder of this process, which goes with it. Raises OSError where there is no room for that either.
    """
    try:
        folder = _private(cache_folder() / Path(name).parent)
        return _made_in(folder, Path(name).name, make)
    except (OSError, RuntimeError) as error:
        if not isinstance(error, OSError) and not _is_homeless(error):
            raise
        _warn_once(str(error))
    return _made_in(_own_folder(), Path(name).name, make)


def is_whole(path: Path) -> bool:
    """Whether a file of the cache is ours, and what was written."""
    try:
        status, wanted = path.lstat(), path.with_name(path.name + _DIGEST).read_text()
        return stat.S_ISREG(status.st_mode) and _is_ours(status) and wanted == _digest(path)
    except (OSError, ValueError):
        return False


def _made_in(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    path = folder / name
    if is_whole(path):
        return path
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        part, digest = Path(unfinished) / name, Path(unfinished) / (name + _DIGEST)
        make(part)
        digest.write_text(_digest(part))
        for each in (part, digest):
            each.chmod(0o700)
            _flush(each)
            each.replace(folder / each.name)
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """What a power cut leaves of a renamed file is all of it."""
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _private(folder: Path) -> Path:
    """Makes the folder, for this user alone, from the project's own on. Raises OSError where it is somebody else's."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    top = cache_folder()
    for each in (top, *(below for below in (folder, *folder.parents) if top in below.parents)):
        status = each.lstat()
        if not stat.S_ISDIR(status.st_mode) or not _is_user(status):
            raise PermissionError(f"{each} is not a folder of this user's")
        if status.st_mode & 0o077 and os.name == "posix":
            each.chmod(0o700)
    return folder


def _is_ours(status: os.stat_result) -> bool:
    return _is_user(status) and (os.name != "posix" or not status.st_mode & _OTHERS_WRITE)


def _is_user(status: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _is_homeless(error: RuntimeError) -> bool:
    with suppress(RuntimeError):
        Path.home()
        return False
    return True


@functools.cache
def _own_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="body-tracker-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _warn_once(reason: str) -> None:
    _log.warning("nothing is kept for the next start: %s; XDG_CACHE_HOME names another folder for it", reason)
