"""What is behind people: rooms, streets and clutter, drawn by rule."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.camera import Camera
from tracker.synth.samples.pattern import cloth_colour, smooth_noise, tile
from tracker.synth.samples.sample import SIZE

Picture = NDArray[np.uint8]
BACKGROUND = 384
"""px along the side of a background, from which a sample cuts a part."""


def procedural_background(rng: np.random.Generator) -> Picture:
    """(384, 384, 3) sRGB."""
    maker = (_room, _room, _landscape, _clutter)[rng.integers(4)]
    picture = maker(rng)
    shade = 1 + rng.uniform(0.03, 0.2) * smooth_noise(rng, BACKGROUND, rng.uniform(20, 90))
    return np.clip(picture * shade[..., None], 0, 255).astype(np.uint8)


def cut_background(rng: np.random.Generator, picture: Picture) -> Picture:
    """(256, 256, 3): a part of a larger picture (h, w, 3), mirrored or not, brighter or darker."""
    height, width = picture.shape[:2]
    side = int(rng.uniform(0.45, 1.0) * min(height, width))
    x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    part = picture[y : y + side, x : x + side]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    resized = cv2.resize(np.ascontiguousarray(part), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    gain = np.exp(rng.normal(0.0, 0.25)) * (1 + rng.normal(0.0, 0.05, 3))
    table = np.clip(np.arange(256)[:, None] * gain, 0, 255).astype(np.uint8)[:, None]
    return np.asarray(cv2.LUT(resized, table), np.uint8)


def look_around(
    rng: np.random.Generator,
    panorama: Picture,
    camera: Camera,
    R_camera_world: NDArray[np.floating],
    widest: float = 3.0,
) -> Picture:
    """(height, width, 3): what a camera that stands in the middle of an equirectangular panorama sees of it.

    It sees up to `widest` times as wide as it should, since panoramas have few pixels for a narrow view.
    """
    wider, size = rng.uniform(1.0, widest), np.array([camera.width, camera.height])
    middle = (size / 2 - [camera.cx, camera.cy]) / camera.fx
    x, y = (
        (np.arange(count) + 0.5 - count / 2) / camera.fx * wider + offset
        for count, offset in zip(size, middle, strict=True)
    )
    rays = np.stack([*np.meshgrid(x, y), np.ones((camera.height, camera.width))], axis=-1) @ R_camera_world
    rays = rays.astype(np.float32)
    azimuth = cv2.phase(rays[..., 2], -rays[..., 0])
    polar = cv2.phase(rays[..., 1], np.hypot(rays[..., 0], rays[..., 2]))
    height, width = panorama.shape[:2]
    across, down = azimuth * np.float32(width / (2 * np.pi)) - 0.5, polar * np.float32(height / np.pi) - 0.5
    looked_up = cv2.remap(panorama, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(looked_up, np.uint8)


def _surface(rng: np.random.Generator) -> Picture:
    """A wall or floor: one colour, a pattern that repeats, boards."""
    if rng.random() < 0.55:
        colour = np.array(cloth_colour(rng)) * 0.5 + rng.uniform(0.1, 0.5)
        picture = np.broadcast_to(np.clip(colour, 0, 1) * 255, (BACKGROUND, BACKGROUND, 3))
        return (picture + 4 * smooth_noise(rng, BACKGROUND, 1.5)[..., None]).clip(0, 255).astype(np.uint8)
    pattern = cv2.resize(tile(rng), (int(rng.integers(24, 160)),) * 2, interpolation=cv2.INTER_AREA)
    times = -(-BACKGROUND // len(pattern))
    muted = np.tile(pattern, (times, times, 1))[:BACKGROUND, :BACKGROUND]
    wall = np.full_like(muted, int(rng.integers(60, 220)))
    return np.asarray(cv2.addWeighted(muted, 0.5, wall, 0.5, 0), np.uint8)


def _room(rng: np.random.Generator) -> Picture:
    """A wall, a floor in perspective, windows and pictures on the wall, furniture before it."""
    picture = _surface(rng)
    for _ in range(rng.integers(0, 5)):
        _rectangle(rng, picture, (0, BACKGROUND * 2 // 3))
    horizon = int(rng.uniform(0.45, 0.9) * BACKGROUND)
    spread = rng.uniform(0.5, 3.0) * BACKGROUND
    floor = np.array([[0, 0], [BACKGROUND, 0], [BACKGROUND, BACKGROUND], [0, BACKGROUND]], np.float32)
    looked_up = np.array(
        [[0, horizon], [BACKGROUND, horizon], [BACKGROUND + spread, BACKGROUND], [-spread, BACKGROUND]], np.float32
    )
    warp = cv2.getPerspectiveTransform(floor, looked_up)
    ground = cv2.warpPerspective(_surface(rng), warp, (BACKGROUND, BACKGROUND), flags=cv2.INTER_AREA)
    picture[horizon:] = ground[horizon:]
    for _ in range(rng.integers(0, 5)):
        _rectangle(rng, picture, (horizon - BACKGROUND // 3, horizon + BACKGROUND // 8))
    return picture


def _rectangle(rng: np.random.Generator, picture: Picture, rows: tuple[int, int]) -> None:
    """A window, a picture, a cupboard: with a frame, and something in it."""
    size = rng.uniform(0.06, 0.45, 2) * BACKGROUND
    x, y = rng.uniform(-0.1, 0.95) * BACKGROUND, rng.uniform(*rows)
    low = np.maximum([x, y], 0).astype(int)
    high = np.minimum([x + size[0], y + size[1]], BACKGROUND).astype(int)
    if (high - low < 6).any():
        return
    inside = cv2.resize(_surface(rng) if rng.random() < 0.6 else tile(rng), tuple(int(v) for v in high - low))
    picture[low[1] : high[1], low[0] : high[0]] = inside
    corner, other = tuple(int(v) for v in low), tuple(int(v) - 1 for v in high)
    cv2.rectangle(picture, corner, other, [int(v) for v in cloth_colour(rng) * 255], int(rng.integers(1, 7)))


def _landscape(rng: np.random.Generator) -> Picture:
    """Sky, hills or trees, ground."""
    rows = np.linspace(0, 1, BACKGROUND)[:, None, None]
    top, low = np.array([110, 150, 220.0]) * rng.uniform(0.5, 1.15), np.array([210, 215, 220.0])
    picture = np.broadcast_to(top + (low - top) * rows, (BACKGROUND, BACKGROUND, 3)).copy()
    ground = np.array([[95, 110, 60], [130, 120, 100], [120, 120, 125], [190, 170, 130]][rng.integers(4)], float)
    for level in np.sort(rng.uniform(0.3, 0.8, rng.integers(1, 4))):
        line = BACKGROUND * level + rng.uniform(5, 40) * smooth_noise(rng, BACKGROUND, rng.uniform(6, 60))[0]
        below = np.arange(BACKGROUND)[:, None] > line
        leaf = 1 + rng.uniform(0.03, 0.16) * smooth_noise(rng, BACKGROUND, rng.uniform(0.8, 9))
        picture[below] = (ground * rng.uniform(0.5, 1.2) * leaf[..., None])[below]
    return picture.clip(0, 255).astype(np.uint8)


def _clutter(rng: np.random.Generator) -> Picture:
    """Many overlapping shapes: a bookshelf, a crowd, a workshop, out of focus."""
    picture = _surface(rng)
    for _ in range(rng.integers(10, 60)):
        colour = [int(v) for v in cloth_colour(rng) * 255]
        centre, reach = rng.uniform(0, BACKGROUND, 2), rng.uniform(5, 70)
        if rng.random() < 0.5:
            corners = centre + rng.normal(size=(int(rng.integers(3, 7)), 2)) * reach
            cv2.fillPoly(picture, [corners.astype(np.int32)], colour, cv2.LINE_AA)
        else:
            axes = tuple(int(v) for v in rng.uniform(2, reach, 2))
            cv2.ellipse(picture, tuple(int(v) for v in centre), axes, rng.uniform(0, 180), 0, 360, colour, -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 4)), np.uint8)
