"""Writes the one picture of a photo's overlay."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker.core.atomic_file import whole_file
from tracker.core.errors import RunError


class PictureWriter:
    """A context manager that takes pictures as `VideoWriter` does; the file is the last one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open between pictures."""

    def write(self, time: float, picture: NDArray[np.uint8]) -> None:
        """picture: (height, width, 3) RGB. Raises RunError, one line, when it cannot be written."""
        try:
            with whole_file(self._path) as part:
                Image.fromarray(picture).save(part)
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written ({error.strerror or error}); free some space") from error
