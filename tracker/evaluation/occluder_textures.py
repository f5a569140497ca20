"""Surfaces for occluders: random crops of a folder's pictures, or made up when there is none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.errors import InputError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_MADE_UP_SIZE = 256
_COLOURS = 3


@dataclass(frozen=True)
class Textures:
    """A source of surfaces; the same random numbers give the same surface."""

    files: tuple[Path, ...] = ()
    """Pictures; none: they are made up."""

    @classmethod
    def from_folder(cls, folder: Path | None) -> Textures:
        """All pictures in a folder and its folders. Raises InputError when it holds none."""
        if folder is None:
            return cls()
        if not folder.is_dir():
            raise InputError(f"--textures {folder}: expected a folder of pictures; it is not there or no folder")
        files = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES))
        if not files:
            raise InputError(f"--textures {folder}: no {', '.join(_SUFFIXES)} in it; give a folder of pictures")
        return cls(files)

    def sample(self, rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3) RGB: a random crop, enlarged where the picture is too small."""
        picture = _read(self.files[rng.integers(len(self.files))]) if self.files else made_up(rng)
        h, w = picture.shape[:2]
        enlarged = max(1.0, width / w, height / h)
        if enlarged > 1.0:
            size = (max(width, round(w * enlarged)), max(height, round(h * enlarged)))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
            w, h = size
        x, y = rng.integers(w - width + 1), rng.integers(h - height + 1)
        return np.ascontiguousarray(picture[y : y + height, x : x + width])


@lru_cache(maxsize=64)
def _read(path: Path) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"--textures {path}: not a picture ({error}); remove it from the folder") from error


def made_up(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(256, 256, 3) RGB: stripes, checks, dots or clouds in three colours, rough on top."""
    y, x = np.mgrid[0:_MADE_UP_SIZE, 0:_MADE_UP_SIZE].astype(float)
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 40)
    u, v = (x * np.cos(angle) + y * np.sin(angle)) / period, (y * np.cos(angle) - x * np.sin(angle)) / period
    patterns = (
        0.5 + 0.5 * np.sin(2 * np.pi * u),
        (np.floor(u) + np.floor(v)) % 2,
        np.clip(3 - 6 * np.hypot(u % 1 - 0.5, v % 1 - 0.5), 0, 1),
        _clouds(rng, period),
    )
    share = patterns[rng.integers(len(patterns))][..., None]
    colours = rng.uniform(20, 235, (_COLOURS, 3))
    stain = _clouds(rng, 60)[..., None]
    picture = (1 - share) * colours[0] + share * ((1 - stain) * colours[1] + stain * colours[2])
    return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, period: float) -> Array:
    """(256, 256) in 0..1."""
    coarse = rng.uniform(0, 1, (max(2, round(_MADE_UP_SIZE / period)),) * 2)
    return np.clip(cv2.resize(coarse, (_MADE_UP_SIZE,) * 2, interpolation=cv2.INTER_CUBIC), 0, 1)
