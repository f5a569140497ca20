"""Reading files that may be broken or made to harm: bounded, and every fault is an InputError that names the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracker.core.errors import InputError

LARGEST_FILE = 1 << 30
"""Bytes. An SMPL file with 300 shape directions has a quarter of it."""
LARGEST_TEXT = 1 << 27
"""Bytes of a text of numbers, which takes twelve times as much memory: hours of motion."""
_CHUNK = 1 << 22
_LONGEST_REASON = 150


@contextmanager
def reading(name: object, expected: str) -> Iterator[None]:
    """Turns whatever a file's content makes a reader raise into an InputError: name, reason, and what was expected."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # zip, zlib, YAML, JSON, numpy and scipy raise dozens of kinds for broken content
        raise InputError(f"{name}: {fault(error)}; {expected}") from error


def fault(error: Exception) -> str:
    """What an exception says of a file, in a few words of one line."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "is a folder"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if isinstance(error, KeyError):
        return f"lacks {text[:_LONGEST_REASON]}"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, RuntimeError) and "encrypted" in text:
        return "is encrypted"
    return text[:_LONGEST_REASON] or f"is broken ({type(error).__name__})"


def read_bytes(path: Path, limit: int = LARGEST_FILE) -> bytes:
    """The file's content. Raises OSError, and ValueError for more than `limit` bytes, also of what has no size."""
    chunks: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise ValueError(f"is larger than the {limit >> 20} MiB that are read")
            chunks.append(chunk)
    return b"".join(chunks)


def read_text(path: Path, limit: int = LARGEST_TEXT) -> str:
    """The same of a text in UTF-8, with or without a byte order mark."""
    return read_bytes(path, limit).decode("utf-8-sig")
