"""What a real camera adds: blur, motion, noise, a wrong white balance, compression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def through_lens(rng: np.random.Generator, image: Picture, strength: float) -> Picture:
    """(H, W, 3) as a camera of some quality would have recorded it. strength: 0..1."""
    image = _colours(rng, image, strength)
    if rng.random() < 0.12 * strength:
        image = _shaken(rng, image, strength)
    kind = rng.random()
    if kind < 0.3 * strength:
        blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6) * strength + 0.05)
        image = np.asarray(blurred, np.uint8)
    elif kind < 0.6 * strength:
        image = _enlarged(rng, image)
    if rng.random() < 0.7 * strength:
        image = _noisy(rng, image, strength)
    if rng.random() < 0.6 * strength:
        image = _compressed(rng, image)
    return image


def _colours(rng: np.random.Generator, image: Picture, strength: float) -> Picture:
    """Exposure, white balance, contrast, as one table for each channel."""
    levels = np.arange(256)[:, None] / 255
    gamma = np.exp(strength * rng.normal(0.0, 0.18))
    gain = np.exp(strength * rng.normal(0.0, 0.12)) * (1 + strength * rng.normal(0.0, 0.05, 3))
    lift = strength * max(rng.normal(0.0, 0.04), 0.0)
    table = lift + (1 - lift) * levels**gamma * gain
    return np.asarray(cv2.LUT(image, np.rint(np.clip(table, 0, 1) * 255).astype(np.uint8)[:, None]), np.uint8)


def _shaken(rng: np.random.Generator, image: Picture, strength: float) -> Picture:
    """Blurred along a line, as by a moving camera."""
    length = int(rng.uniform(3, 3 + 12 * strength)) | 1
    kernel = np.zeros((length, length), np.float32)
    reach, turn = length // 2, rng.uniform(0, np.pi)
    step = np.array([np.cos(turn), np.sin(turn)]) * reach
    ends = [tuple(int(v) for v in np.rint(reach + sign * step)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], (1.0,))
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _enlarged(rng: np.random.Generator, image: Picture) -> Picture:
    """As a crop of few pixels looks when it is enlarged."""
    size = image.shape[1], image.shape[0]
    few = int(size[0] * rng.uniform(0.3, 0.9))
    small = cv2.resize(image, (few, few), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _noisy(rng: np.random.Generator, image: Picture, strength: float) -> Picture:
    """Grey noise and coloured noise of a sensor."""
    amount = strength * rng.uniform(1, 9)
    cv2.setRNGSeed(int(rng.integers(1 << 31)))
    grain = cv2.randn(np.zeros(image.shape, np.int16), np.zeros(3), np.full(3, amount))
    return np.asarray(cv2.add(image, grain, dtype=cv2.CV_8U), np.uint8)


def _compressed(rng: np.random.Generator, image: Picture) -> Picture:
    quality = int(rng.integers(25, 92))
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
