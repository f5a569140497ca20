"""What a run has observed so far, kept out of memory until the files are written from it."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.core.person import FrameRecord
from tracker.export.files import append_whole, write_error
from tracker.export.sequence import OBSERVATION, observe, person_of

_IN_MEMORY = 16_000_000
"""Bytes that may be taken into memory where that makes room on the disk."""
_EVERYTHING = slice(None)


class FrameStore:
    """Frames in the order in which they came: 24 bytes each in memory, their people in an unnamed file on disk.

    The system removes that file with the process, however it ends. Use as a context manager where it is not closed.
    """

    def __init__(self, folder: Path) -> None:
        """Raises RunError when the folder cannot hold the file."""
        self._folder = folder
        self._indices, self._times, self._counts = array("q"), array("d"), array("i")
        self._ids = array("i")
        self._with_people = 0
        self._in_memory: NDArray[np.void] | None = None
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)
        except OSError as error:
            raise write_error(folder, error) from error

    def __enter__(self) -> FrameStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def times(self) -> Sequence[float]:
        """s, of every frame."""
        return self._times

    @property
    def indices(self) -> Sequence[int]:
        """Of every frame, in the source."""
        return self._indices

    @property
    def frames_with_people(self) -> int:
        """Those in which somebody is to be believed in."""
        return self._with_people

    def append(self, frame: FrameRecord) -> None:
        """Raises RunError when the disk is full; the frame is then not part of the recording."""
        rows = [observe(frame.index, frame.time, person) for person in frame.people]
        append_whole(self._file, b"".join(row.tobytes() for row in rows), self._folder)
        self._indices.append(frame.index)
        self._times.append(frame.time)
        self._counts.append(len(rows))
        self._with_people += any(person.believed for person in frame.people)
        self._ids.extend(person.person_id for person in frame.people)

    def observations(self) -> NDArray[np.void]:
        """(n,) OBSERVATION of everybody, mapped from disk as long as they are there."""
        if self._in_memory is not None:
            return self._in_memory
        if not self._ids:
            return np.zeros(0, OBSERVATION)
        return np.asarray(np.memmap(self._file, OBSERVATION, mode="r", shape=(len(self._ids),)))

    def person_ids(self) -> list[int]:
        """Of everybody, ascending."""
        return np.unique(np.asarray(self._ids)).tolist()

    def rows_of(self, person_id: int) -> NDArray[np.intp]:
        """(T,): where one identity is among `observations`, in order of time."""
        return np.flatnonzero(np.asarray(self._ids) == person_id)

    def last_betas(self) -> dict[int, Array]:
        """Identity → β (10,) of its last frame, the best known."""
        observations = self.observations()
        return {key: observations["betas"][self.rows_of(key)[-1]].copy() for key in self.person_ids()}

    def frames(self, chosen: slice = _EVERYTHING) -> Iterator[FrameRecord]:
        """Those of the frames that were appended, in float32."""
        ends = np.cumsum(np.asarray(self._counts), dtype=np.intp)
        observations = self.observations()
        for number in range(*chosen.indices(len(self))):
            rows = observations[ends[number] - self._counts[number] : ends[number]]
            yield FrameRecord(self._indices[number], self._times[number], [person_of(row) for row in rows])

    def save(self, stream: BinaryIO) -> None:
        """Everything that was appended, as `load_frame_records` reads it."""
        np.savez(
            stream,
            index=np.asarray(self._indices, np.int64),
            time=np.asarray(self._times, np.float64),
            count=np.asarray(self._counts, np.int64),
            observations=self.observations(),
        )

    def free_disk(self) -> None:
        """Takes everything into memory, unless it is large, and gives its disk space to the files to come; nothing can
        be appended then."""
        if self._in_memory is None and len(self._ids) * OBSERVATION.itemsize <= _IN_MEMORY:
            self._in_memory = np.array(self.observations())
            self._file.close()

    def close(self) -> None:
        """Gives the disk space back; what is in memory stays."""
        self._file.close()


def load_frame_records(path: Path) -> list[FrameRecord]:
    """What `FrameStore.save` has written. Raises InputError for a file that is none of it."""
    try:
        with np.load(path, allow_pickle=False) as file:
            index, time, count, observations = (file[name] for name in ("index", "time", "count", "observations"))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not the frames of a run ({error})") from error
    ends = np.cumsum(count)
    return [
        FrameRecord(int(i), float(t), [person_of(row) for row in observations[end - n : end]])
        for i, t, n, end in zip(index, time, count, ends, strict=True)
    ]
