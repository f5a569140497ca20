"""Photos and numbered frames: single images and folders of them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.input_file import fault
from tracker.source.container import NO_PERMISSION, too_large
from tracker.source.focal_length import focal_of_image
from tracker.source.source import Clip, InputTrust, Source, SourceInfo, natural_key, no_frame_message

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})

MAX_PIXELS = InputTrust().max_pixels

FOLDER_RATE = Fraction(30)
"""Images carry no time of their own: a folder plays at this rate."""


def files_in(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """The folder's files of these kinds in natural order; hidden files and subfolders are left alone. Raises InputError
    where it cannot be read."""
    try:
        of_kind = (path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
        return sorted((path for path in of_kind if path.is_file()), key=natural_key)
    except PermissionError:
        raise InputError(f"{folder}: {NO_PERMISSION}") from None
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({fault(error)}); check the disk or the connection") from None


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Reads (height, width, 3) RGB, upright by the EXIF tag; transparency is dropped.

    Raises InputError, naming the path, when the file cannot be read as an image.
    """
    try:
        with Image.open(path) as stored:
            return upright(stored, max_pixels)
    except Exception as error:  # Pillow's three dozen formats raise whatever their broken content leads to
        raise InputError(what_is_wrong(path, error)) from None


def upright(stored: Image.Image, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """(height, width, 3) RGB of the picture at which an opened file stands. Raises as `check_size`, and what Pillow
    raises."""
    check_size(stored, max_pixels)
    image = ImageOps.exif_transpose(stored)
    if image.mode.startswith("I"):  # 16-bit grey, which convert() would clip at 255
        grey = (np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def check_size(stored: Image.Image, max_pixels: int) -> None:
    """Raises ValueError for an opened file with too large a picture, before that is decoded."""
    if stored.width * stored.height > max_pixels:
        raise ValueError(too_large(stored.width, stored.height, max_pixels))


def what_is_wrong(path: Path, error: Exception) -> str:
    """Why an image cannot be read, in one line."""
    if isinstance(error, PermissionError):
        return f"{path}: {NO_PERMISSION}"
    if "--max-pixels" in str(error):
        return f"{path}: {error}"
    reason = "unknown format" if isinstance(error, Image.UnidentifiedImageError) else fault(error)
    return f"{path}: not a readable image ({reason}); check that it opens in a viewer"


class ImageSource(Source):
    """One image, or a folder's images in natural order at FOLDER_RATE.

    An unreadable image in a folder is left out with a warning; its place in the count and its time stay empty.
    """

    def __init__(self, path: Path, clip: Clip, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        paths = files_in(path, IMAGE_SUFFIXES) if path.is_dir() else [path]
        if not paths:
            raise InputError(f"{path}: no images in this folder (expected {', '.join(sorted(IMAGE_SUFFIXES))})")
        timed = [(index, float(index / FOLDER_RATE), each) for index, each in enumerate(paths)]
        self._wanted = [(i, time, each) for i, time, each in timed if not clip.before(time) and not clip.over(time)]
        duration = float(len(paths) / FOLDER_RATE)
        if not self._wanted:
            raise InputError(no_frame_message(str(path), clip, duration))
        height, width = _first_readable(path, [each for _, _, each in self._wanted], max_pixels).shape[:2]
        info = SourceInfo(
            name=path.resolve().name if path.is_dir() else path.stem,
            kind="folder" if path.is_dir() else "image",
            width=width,
            height=height,
            rate=FOLDER_RATE,
            frame_count=len(paths),
            duration=duration,
            has_audio=False,
            location=str(path),
            live=False,
            focal=focal_of_image(self._wanted[0][2], width, height),
        )
        super().__init__(info, clip)

    def __iter__(self) -> Iterator[Frame]:
        for index, time, path in self._wanted:
            if self._stopped.is_set():
                return
            try:
                image = read_image(path, self._max_pixels)
            except InputError as error:
                self.warn(str(error))
                continue
            yield Frame(index=index, time=time, image=image)

    def _release(self) -> None:
        """Nothing is held between images."""


def _first_readable(path: Path, candidates: list[Path], max_pixels: int) -> NDArray[np.uint8]:
    reasons = []
    for candidate in candidates:
        try:
            return read_image(candidate, max_pixels)
        except InputError as error:
            reasons.append(str(error))
    if not path.is_dir():
        raise InputError(reasons[0])
    raise InputError(f"{path}: none of its {len(candidates)} images can be read; the first: {reasons[0]}")
