"""One run at a time in a folder: a lock that the system lets go with the process, however it ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import TracebackType

from tracker.core.errors import InputError

_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.EBADF)
"""Of file systems that have none, as some over a network."""


class RunLock:
    """Held from its making until `release`. The folder itself is locked: no file comes into it, except on Windows."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError when another run has it, OSError when the folder cannot be opened."""
        self._file = _open(folder)
        try:
            _lock(self._file)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            self.release()
            if error.errno not in _TAKEN:
                raise
            raise InputError(
                f"{folder}: another run is writing there; wait until it has ended, or give another folder"
            ) from None

    def release(self) -> None:
        """May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> RunLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


if sys.platform == "win32":
    import msvcrt

    def _open(folder: Path) -> int:
        return os.open(folder / ".run.lock", os.O_RDWR | os.O_CREAT | os.O_TEMPORARY)

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _open(folder: Path) -> int:
        return os.open(folder, os.O_RDONLY)

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
