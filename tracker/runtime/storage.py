"""Files on storage that is no folder of this machine: s3://, gs://, file:// and whatever else fsspec knows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from tracker.core.errors import InputError, RunError
from tracker.core.shown_text import is_address, shown_address

_STREAMED = frozenset({"http", "https", "ftp"})
"""What fsspec knows too, but videos are read from without being fetched first."""

_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "r2"})
"""Here a folder is a part of a file's name, and the first one a bucket, which is not ours to make."""


def is_stored(location: str) -> bool:
    """Whether this is an address on storage, rather than a path or the address of a stream."""
    import fsspec

    scheme = location.partition("://")[0].lower()
    return is_address(location) and scheme not in _STREAMED and scheme in fsspec.available_protocols()


def stored_files(address: str) -> list[PurePosixPath]:
    """What lies below a folder at any depth, relative to it; only `.` where the address is a file's.

    Raises InputError where nothing is there, RunError where the storage cannot be reached.
    """
    with _storage(address) as (system, path):
        if system.isfile(path):
            return [PurePosixPath(".")]
        top = PurePosixPath(path)
        files = [PurePosixPath(each).relative_to(top) for each in system.find(path)]
    if not files:
        raise InputError(f"{shown_address(address)}: no such file or folder; check the address")
    return files


def read_stored(address: str) -> bytes | None:
    """A file's content; None where there is none. Raises RunError where the storage cannot be reached."""
    with _storage(address) as (system, path):
        try:
            return system.cat_file(path)
        except FileNotFoundError:
            return None


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """A file's copy, of the same name, as long as the block lasts.

    Raises InputError where nothing is there, RunError where it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="body-tracker-") as folder:
        copy = Path(folder) / PurePosixPath(address).name
        with _storage(address) as (system, path):
            system.get_file(path, str(copy))
        yield copy


def store_folder(folder: Path, address: str, last: str, is_stale: Callable[[str], bool]) -> None:
    """Puts a folder's files to an address, in the place of those there whose names `is_stale` knows.

    The old `last` goes first, its new one comes when all others are there: who finds it has everything. Raises RunError
    where they cannot be written.
    """
    files = sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.name == last)
    with _storage(address) as (system, path):
        top = path.rstrip("/")
        if address.partition("://")[0].lower() not in _BUCKETS:
            system.makedirs(top, exist_ok=True)
        old = [PurePosixPath(each).name for each in system.find(top, maxdepth=1)]
        for name in sorted(filter(is_stale, old), key=lambda name: name != last):
            system.rm_file(f"{top}/{name}")
        for file in files:
            system.put_file(str(file), f"{top}/{file.name}")


@contextmanager
def _storage(address: str) -> Iterator[tuple[Any, str]]:
    """(fsspec's file system, the path on it). Whatever the storage raises is told as a line with the address."""
    import fsspec

    shown = shown_address(address)
    try:
        system, path = fsspec.core.url_to_fs(address)
        system.invalidate_cache()
        yield system, str(path)
    except (InputError, RunError):
        raise
    except ImportError as error:
        raise InputError(f"{shown}: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"{shown}: no such file or folder; check the address") from error
    except Exception as error:  # each storage has errors of its own
        raise RunError(f"{shown}: the storage answers with {type(error).__name__}: {error}") from error
