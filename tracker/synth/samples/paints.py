"""How one sample's person is coloured: skin tones, hair, cloth, chosen anew for every picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import NUM_JOINTS, Array
from tracker.synth.demo_lighting import GAMMA
from tracker.synth.figure_texture import HAIR_COLOURS, SKIN_TONES
from tracker.synth.samples.outfit import Outfit, OutfitLayer
from tracker.synth.samples.pattern import cloth_colour


def shown_as(linear: Array) -> Array:
    """What linear light is in a picture, 1 for white. A product of lights becomes the product of what each is shown
    as, so that textures need not be made linear to be lit."""
    return linear ** (1 / GAMMA)


@dataclass(frozen=True, eq=False)
class Paint:
    """How a layer's texture is changed. Colours are linear RGB."""

    gain: Array
    """(3,) or (25, 3), by part: factors on the texture."""
    tile: NDArray[np.uint8] | None = None
    """A pattern that takes the place of the texture's colours and keeps its shades."""
    turn: float = 0.0
    """rad by which the pattern is turned."""
    scale: float = 1.0
    """Repeats of the pattern in a metre."""


def choose_paints(rng: np.random.Generator, outfit: Outfit, tiles: list[NDArray[np.uint8]]) -> list[Paint]:
    """A paint for each layer, the same for both shoes and for all hair; tiles: patterns to choose from."""
    new = {"skin": _skin_tone(rng), "hair": _hair_colour(rng), "shoe": cloth_colour(rng) ** GAMMA}
    keep = {kind: rng.random() for kind in ("skin", "hair", "shoe", "eye")}
    paints = []
    for layer in outfit.layers:
        if layer.kind == "suit" and rng.random() < 0.5:
            paints.append(Paint(np.stack([cloth_colour(rng) for _ in range(NUM_JOINTS + 1)]) ** GAMMA / layer.mean))
        elif keep.get(layer.kind, rng.random()) < layer.own:
            paints.append(Paint(1 + rng.normal(0.0, 0.06, 3)))
        elif layer.kind in new:
            paints.append(Paint(new[layer.kind] / layer.mean))
        else:
            paints.append(_cloth(rng, layer, tiles))
    return paints


def _skin_tone(rng: np.random.Generator) -> Array:
    """(3,) linear, anywhere along the line of human skin."""
    tones = np.array(SKIN_TONES)
    place = rng.uniform(0, len(tones) - 1)
    index = min(int(place), len(tones) - 2)
    tone = tones[index] + (tones[index + 1] - tones[index]) * (place - index)
    return np.clip(tone * (1 + rng.normal(0, 0.04, 3)) * rng.uniform(0.9, 1.08), 0.05, 1) ** GAMMA


def _hair_colour(rng: np.random.Generator) -> Array:
    if rng.random() < 0.15:
        return np.full(3, rng.uniform(0.3, 0.75)) ** GAMMA
    colour = np.array(HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))])
    return np.clip(colour * (1 + rng.normal(0, 0.12, 3)) * rng.uniform(0.7, 1.4), 0.03, 1) ** GAMMA


def _cloth(rng: np.random.Generator, layer: OutfitLayer, tiles: list[NDArray[np.uint8]]) -> Paint:
    if rng.random() < 0.6:
        return Paint(cloth_colour(rng) ** GAMMA / layer.mean)
    turn = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    return Paint(np.ones(3), tiles[rng.integers(len(tiles))], turn, float(np.exp(rng.uniform(0.0, 2.3))))


@dataclass(frozen=True, eq=False)
class SurfacePixels:
    """The picture's pixels that show an outfit, N of them."""

    face: NDArray[np.int32]
    """(N,)."""
    uv: NDArray[np.float32]
    """(N, 2)."""
    rest: NDArray[np.float32]
    """(N, 3) m: where on the body at rest."""


def albedo(outfit: Outfit, paints: list[Paint], pixels: SurfacePixels) -> NDArray[np.float32]:
    """(N, 3) sRGB, 255 for white."""
    colour = look_up(outfit.texture, pixels.uv)
    result = colour * _gains(outfit, paints).take(pixels.face, 0)
    layer_of = outfit.face_layer.take(pixels.face)
    for index, (layer, paint) in enumerate(zip(outfit.layers, paints, strict=True)):
        rows = np.flatnonzero(layer_of == index) if paint.tile is not None else ()
        if paint.tile is not None and len(rows):
            shade = colour[rows, 1] * np.float32(1 / (255 * shown_as(layer.mean[1])))
            cloth = look_up(paint.tile, _on_cloth(paint, pixels.rest[rows]))
            result[rows] = cloth * np.minimum(shade, 1.3)[:, None]
    return result


def _gains(outfit: Outfit, paints: list[Paint]) -> NDArray[np.float32]:
    """(F, 3) by what the texture is multiplied on each face."""
    by_part = np.stack([np.broadcast_to(paint.gain, (NUM_JOINTS + 1, 3)) for paint in paints])
    return shown_as(by_part).astype(np.float32)[outfit.face_layer, outfit.face_part]


def _on_cloth(paint: Paint, rest: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 2) places on the pattern: front and sides of the body unrolled."""
    across, up = rest[:, 0] + rest[:, 2], rest[:, 1]
    c, s = np.cos(paint.turn), np.sin(paint.turn)
    return (np.stack([c * across + s * up, c * up - s * across], axis=1) * paint.scale).astype(np.float32)


_ROW = 1024


def look_up(texture: NDArray[np.uint8], uv: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, 3) of a texture at uv (N, 2), v up, repeated outside 0..1."""
    height, width = texture.shape[:2]
    count = len(uv)
    rows = max(-(-count // _ROW), 1)
    places = np.zeros((rows * _ROW, 2), np.float32)
    places[:count, 0] = uv[:, 0] * width - 0.5
    places[:count, 1] = (1 - uv[:, 1]) * height - 0.5
    maps = places.reshape(rows, _ROW, 2)
    colours = cv2.remap(texture, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)  # type: ignore[call-overload]
    return colours.reshape(-1, 3)[:count]
