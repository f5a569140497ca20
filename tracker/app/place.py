"""Where the result of one of many inputs belongs, and how it gets there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from tracker.core.errors import InputError
from tracker.core.shown_text import shown_address
from tracker.export.earlier_run import EarlierRun
from tracker.export.files import RUN_NAME, is_result_name, prepare_folder, write_error
from tracker.runtime.storage import read_stored, store_folder


class Place(Protocol):
    """A result's place; picklable, since it goes to where the input is tracked."""

    @property
    def name(self) -> str:
        """The path or address."""
        ...

    def earlier(self) -> EarlierRun | None:
        """What a run has left there. Raises RunError where it cannot be reached."""
        ...

    def working(self, overwrite: bool) -> AbstractContextManager[Path]:
        """A folder to track into; what it holds is in its place when the block has ended well.

        Raises InputError where a result is already, unless it may be overwritten.
        """
        ...


@dataclass(frozen=True)
class FolderPlace:
    """A folder that fills as the run goes."""

    folder: Path

    @property
    def name(self) -> str:
        return str(self.folder)

    def earlier(self) -> EarlierRun | None:
        return EarlierRun.of(self.folder)

    @contextmanager
    def working(self, overwrite: bool) -> Iterator[Path]:
        yield self.folder


@dataclass(frozen=True)
class SharedPlace:
    """A folder that several machines reach: written beside it, under a name that no other attempt has, then renamed.

    A machine that was given up, but still works, cannot get between the files of the one that has taken its place.
    """

    folder: Path

    @property
    def name(self) -> str:
        return str(self.folder)

    def earlier(self) -> EarlierRun | None:
        return EarlierRun.of(self.folder)

    @contextmanager
    def working(self, overwrite: bool) -> Iterator[Path]:
        _refuse(self, overwrite)
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                prefix=f".{self.folder.name}.", suffix=".part", dir=self.folder.parent
            ) as beside:
                made = Path(beside) / self.folder.name
                yield made
                self._put(made, overwrite)
            self._clear_attempts()
        except OSError as error:
            raise write_error(self.folder, error) from error

    def _put(self, made: Path, overwrite: bool) -> None:
        if not self.folder.exists():
            made.rename(self.folder)
            return
        earlier = self.earlier()
        if not overwrite and earlier is not None and earlier.finished:
            return  # another attempt at the same task was first
        prepare_folder(self.folder, overwrite=True)
        for path in sorted(made.iterdir(), key=lambda path: path.name == RUN_NAME):
            path.replace(self.folder / path.name)

    def _clear_attempts(self) -> None:
        """What machines that died have left."""
        for path in self.folder.parent.glob(f".{self.folder.name}.*.part"):
            shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class StoredPlace:
    """An address on storage: tracked into a folder of this machine, then put there, run.json last."""

    address: str

    @property
    def name(self) -> str:
        return shown_address(self.address)

    def earlier(self) -> EarlierRun | None:
        content = read_stored(f"{self.address}/{RUN_NAME}")
        return None if content is None else EarlierRun.parsed(content)

    @contextmanager
    def working(self, overwrite: bool) -> Iterator[Path]:
        _refuse(self, overwrite)
        with tempfile.TemporaryDirectory(prefix="body-tracker-") as folder:
            made = Path(folder) / PurePosixPath(self.address).name
            yield made
            store_folder(made, self.address, RUN_NAME, is_result_name)


def _refuse(place: Place, overwrite: bool) -> None:
    if not overwrite and place.earlier() is not None:
        raise InputError(f"{place.name}: holds a result already; pass --overwrite to replace it, or another --out")
