"""All the motion that training draws from: read once, resampled to one rate, kept in the cache."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tracker.core.arrays import Array
from tracker.core.atomic_file import whole_file
from tracker.motion.motion_clip import MotionClip
from tracker.motion.read import read_motion
from tracker.runtime.cache import cache_folder

_READER_VERSION = 5
"""Counted up when reading or retargeting gives other poses than before, so that old cache files are not used."""
_HELD_OUT_SHARE = 0.15


@dataclass(frozen=True)
class MotionLibrary:
    """Clips of one frame rate."""

    clips: tuple[MotionClip, ...]
    rate: float

    @classmethod
    def open(cls, path: Path | str, rate: float = 30.0, cache: Path | None = None) -> MotionLibrary:
        """path: anything that `read_motion` takes. cache: a folder, the user's cache when it is not given.

        Raises InputError as `read_motion`.
        """
        path = Path(path)
        file = _cache_file(path, rate, cache) if path.exists() else None
        if file is not None and file.exists():
            with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):  # a broken cache is made anew
                return cls(_load(file), rate)
        clips = tuple(clip.at_rate(rate) for clip in read_motion(path))
        if file is not None:
            with suppress(OSError):  # a full or read-only disk only costs the time to read again
                _save(file, clips)
        return cls(clips, rate)

    @cached_property
    def rotations(self) -> Array:
        """(frames, 24, 3, 3) float32 of all clips, one after another."""
        return np.concatenate([clip.rotations() for clip in self.clips])

    @cached_property
    def starts(self) -> Array:
        """(clips,) the row of `rotations` at which each clip starts."""
        return np.cumsum([0, *(len(clip.theta) for clip in self.clips[:-1])])

    @property
    def seconds(self) -> float:
        return sum(clip.seconds for clip in self.clips)

    def split(self) -> tuple[MotionLibrary, MotionLibrary]:
        """(train, held_out) by whole clips: about one in seven, chosen by the hash of its name, is held out.

        The choice stays the same when other clips come or go. With a single clip both are that clip.
        """
        shares = [_share(clip.name) for clip in self.clips]
        limit = max(_HELD_OUT_SHARE, min(shares))
        held = [clip for clip, share in zip(self.clips, shares, strict=True) if share <= limit]
        train = [clip for clip, share in zip(self.clips, shares, strict=True) if share > limit] or held
        return MotionLibrary(tuple(train), self.rate), MotionLibrary(tuple(held), self.rate)


def _share(name: str) -> float:
    """0..1, from the file's own name and its folder's, wherever the collection lies."""
    tail = "/".join(Path(name).parts[-2:])
    return int.from_bytes(hashlib.sha256(tail.encode()).digest()[:4], "big") / 2**32


def files_state(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file of a collection: another list, another content. Raises OSError."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]


def _cache_file(path: Path, rate: float, cache: Path | None) -> Path | None:
    """Named by what was read: files with their sizes and times, the rate, and the reader's version."""
    try:
        folder = cache_folder() / "motion" if cache is None else cache
        states = files_state(path)
    except (OSError, RuntimeError):
        return None
    key = repr((_READER_VERSION, rate, path.resolve().as_posix(), states))
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.npz"


def _save(file: Path, clips: Sequence[MotionClip]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as part:
        np.savez_compressed(
            part,
            names=np.array([clip.name for clip in clips]),
            lengths=np.array([len(clip.theta) for clip in clips]),
            rates=np.array([clip.rate for clip in clips]),
            theta=np.concatenate([clip.theta for clip in clips]),
            transl=np.concatenate([clip.transl for clip in clips]),
        )


def _load(file: Path) -> tuple[MotionClip, ...]:
    with np.load(file, allow_pickle=False) as stored:
        ends = np.cumsum(stored["lengths"])[:-1]
        thetas, transls = np.split(stored["theta"], ends), np.split(stored["transl"], ends)
        return tuple(
            MotionClip(str(name), theta, transl, float(rate))
            for name, theta, transl, rate in zip(stored["names"], thetas, transls, stored["rates"], strict=True)
        )
