"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = r"\.\w+\.part"
"""Regular expression of what an unfinished file's name has between stem and suffix, behind a leading dot."""


@contextmanager
def whole_file(path: Path, unfinished: Path | None = None) -> Iterator[Path]:
    """A place to write to, hidden beside `path` and with its suffix, of this block alone.

    When the block ends well it becomes `path`; otherwise it goes, and `path` stays as it was. unfinished: what it
    becomes in the place of going, if anything has been written. Raises OSError.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}_{secrets.token_hex(4)}.part{path.suffix}")
    part.open("xb").close()  # nobody else's, nor a link to something
    try:
        yield part
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            if unfinished is not None and part.stat().st_size:
                part.replace(unfinished)
            part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file, making its folder. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
