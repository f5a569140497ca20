"""Small pictures that repeat: cloth, wallpaper, and what covers things that stand in the way."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array

TILE = 128
Picture = NDArray[np.uint8]


def cloth_colour(rng: np.random.Generator) -> Array:
    """(3,) sRGB in 0..1: what people wear, dark and grey more often than bright."""
    if rng.random() < 0.4:
        grey = rng.choice([rng.uniform(0.04, 0.2), rng.uniform(0.2, 0.7), rng.uniform(0.75, 0.95)])
        return np.clip(grey + rng.normal(0, 0.02, 3), 0.02, 1)
    if rng.random() < 0.35:
        return np.clip(np.array([0.15, 0.2, 0.35]) * rng.uniform(0.4, 2.0) + rng.normal(0, 0.03, 3), 0.02, 1)
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.95), rng.uniform(0.2, 0.95)))


def tile(rng: np.random.Generator) -> Picture:
    """(128, 128, 3) sRGB, which repeats without a seam."""
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))](rng)
    colours = np.stack([cloth_colour(rng) for _ in range(int(pattern.max()) + 1)])
    picture = colours[pattern] + 0.03 * rng.standard_normal((TILE, TILE, 1))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _stripes(rng: np.random.Generator) -> NDArray[np.int64]:
    count = int(rng.integers(1, 9))
    edges = np.sort(rng.uniform(0, TILE // count, rng.integers(1, 4)))
    bands = np.searchsorted(edges, np.arange(TILE) % (TILE / count))
    grid = np.broadcast_to(bands[:, None], (TILE, TILE))
    return np.ascontiguousarray(grid if rng.random() < 0.6 else grid.T)


def _plaid(rng: np.random.Generator) -> NDArray[np.int64]:
    across, along = _stripes(rng), _stripes(rng)
    return np.minimum(across + along.T, 4)


def _dots(rng: np.random.Generator) -> NDArray[np.int64]:
    cell = TILE // int(rng.choice([2, 4, 8]))
    y, x = np.mgrid[0:TILE, 0:TILE] % cell - cell / 2 + 0.5
    return (np.hypot(x, y) < cell * rng.uniform(0.15, 0.45)).astype(np.int64)


def _checks(rng: np.random.Generator) -> NDArray[np.int64]:
    cell = TILE // int(rng.choice([2, 4, 8, 16]))
    y, x = np.mgrid[0:TILE, 0:TILE] // cell
    return (x + y) % 2


def _blots(rng: np.random.Generator) -> NDArray[np.int64]:
    """Camouflage, flowers, batik: smoothed noise in steps."""
    smooth = smooth_noise(rng, TILE, rng.uniform(3, 14))
    return np.searchsorted(np.sort(rng.uniform(-1.2, 1.2, rng.integers(1, 4))), smooth)


def _print(rng: np.random.Generator) -> NDArray[np.int64]:
    """One large figure on plain cloth."""
    picture = np.zeros((TILE, TILE), np.uint8)
    corners = rng.uniform(0.25, 0.75, (int(rng.integers(3, 9)), 2)) * TILE
    cv2.fillPoly(picture, [corners.astype(np.int32)], (1,))
    x, y = (int(v) for v in rng.uniform(40, 88, 2))
    cv2.circle(picture, (x, y), int(rng.integers(6, 30)), (2,), -1)
    return picture.astype(np.int64)


_PATTERNS: tuple[Callable[[np.random.Generator], NDArray[np.int64]], ...] = (
    _stripes, _plaid, _dots, _checks, _blots, _print,
)  # fmt: skip


def smooth_noise(rng: np.random.Generator, size: int, sigma: float) -> NDArray[np.float32]:
    """(size, size) of unit variance, repeating, with features of about `sigma` px."""
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    spectrum *= np.exp(-2 * (np.pi * sigma) ** 2 * (fx**2 + fy**2))
    smooth = np.fft.irfft2(spectrum, (size, size))
    return ((smooth - smooth.mean()) / max(float(smooth.std()), 1e-9)).astype(np.float32)
