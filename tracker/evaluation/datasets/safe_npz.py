"""Reads .npz files whose entries may be pickled objects, without trusting them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tracker.core.safe_pickle import read_pickle


def read_npz(path: Path) -> dict[str, Any]:
    """Every entry by name: arrays as they are, pickled ones through the reader that can only build data.

    A pickled dictionary comes out as the dictionary. Raises RefusedGlobal for a pickle that asks for anything else,
    and whatever broken files make zipfile and numpy raise.
    """
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return {name.removesuffix(".npy"): _entry(archive, name) for name in names}


def _entry(archive: zipfile.ZipFile, name: str) -> Any:
    with archive.open(name) as stream:
        major, minor = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        if (major, minor) not in ((1, 0), (2, 0)):
            raise ValueError(f"{name}: version {major}.{minor} of numpy's format")
        _, _, dtype = read_header(stream)
        if dtype.hasobject:
            return read_pickle(io.BytesIO(stream.read()))
    with archive.open(name) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
