"""What a synthetic person looks like: the colours of skin, face, hair and clothes, painted by rule from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.synth.body_measures import Anatomy
from tracker.synth.surface import Surface
from tracker.synth.tailor import Garment
from tracker.synth.texture import Atlas, mix, noise, smoothstep

Colour = tuple[float, float, float]

SKIN_TONES: tuple[Colour, ...] = (
    (0.93, 0.76, 0.66),
    (0.87, 0.68, 0.56),
    (0.78, 0.57, 0.44),
    (0.62, 0.43, 0.31),
    (0.45, 0.30, 0.22),
)
HAIR_COLOURS: tuple[Colour, ...] = ((0.10, 0.08, 0.07), (0.22, 0.14, 0.09), (0.38, 0.25, 0.14), (0.62, 0.47, 0.27))
SHIRT_COLOURS: tuple[Colour, ...] = ((0.72, 0.20, 0.17), (0.16, 0.38, 0.58), (0.86, 0.84, 0.78), (0.22, 0.45, 0.31))
TROUSER_COLOURS: tuple[Colour, ...] = ((0.17, 0.22, 0.33), (0.30, 0.28, 0.25), (0.55, 0.47, 0.36))
IRIS_COLOURS: tuple[Colour, ...] = ((0.22, 0.13, 0.07), (0.20, 0.30, 0.38), (0.24, 0.27, 0.14))
SHOE_COLOURS: tuple[Colour, ...] = ((0.82, 0.82, 0.80), (0.15, 0.15, 0.17), (0.45, 0.12, 0.12))


@dataclass(frozen=True)
class Palette:
    """One person's colours, sRGB in 0..1."""

    skin: Colour
    hair: Colour
    iris: Colour
    shirt: Colour
    stripes: Colour
    trousers: Colour
    shoes: Colour

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Palette:
        """A combination in which hair is no lighter than goes with the skin, and shirt and stripes differ."""

        def pick(options: tuple[Colour, ...]) -> Colour:
            return options[rng.integers(len(options))]

        tone, shirt = int(rng.integers(len(SKIN_TONES))), int(rng.integers(len(SHIRT_COLOURS)))
        stripes = (shirt + 1 + int(rng.integers(len(SHIRT_COLOURS) - 1))) % len(SHIRT_COLOURS)
        return cls(
            skin=SKIN_TONES[tone],
            hair=pick(HAIR_COLOURS[: max(2, 5 - tone)]),
            iris=pick(IRIS_COLOURS),
            shirt=SHIRT_COLOURS[shirt],
            stripes=SHIRT_COLOURS[stripes],
            trousers=pick(TROUSER_COLOURS),
            shoes=pick(SHOE_COLOURS),
        )


@dataclass(frozen=True)
class Painter:
    """Paints surfaces of one person."""

    anatomy: Anatomy
    palette: Palette
    size: int
    """Texels along a texture's side."""
    seed: int

    def skin(self, surface: Surface) -> NDArray[np.uint8]:
        """Skin with face, warmer where blood is near the surface."""
        atlas = Atlas.of(surface.faces, surface.uv, self.size)
        p = atlas.values(surface.rest)
        tone = 0.05 * noise(p, 0.09, self.seed, 2) + 0.03 * noise(p, 0.008, self.seed + 1, 2)
        colour = np.array(self.palette.skin) * (1 + tone[:, None])
        colour = colour * (1 - self._flush(p)[:, None] * np.array([0.0, 0.16, 0.16]))
        return atlas.image(self._face(p, colour))

    def _flush(self, p: Array) -> Array:
        """How red the skin is: cheeks, nose, ears, fingers, elbows, feet."""
        marks, joints = self.anatomy.landmarks, self.anatomy.joints
        cheek = np.array([0.042, -0.035, -0.012])
        spots = [
            (marks["nose"], 0.018, 0.4),
            (marks["left_eye"] + cheek, 0.028, 0.6),
            (marks["right_eye"] + cheek * [-1, 1, 1], 0.028, 0.6),
            (marks["left_ear"], 0.03, 0.8),
            (marks["right_ear"], 0.03, 0.8),
            *((joints[f"{side}_hand"], 0.07, 0.6) for side in ("left", "right")),
            *((joints[f"{side}_elbow"], 0.05, 0.5) for side in ("left", "right")),
        ]
        return np.maximum.reduce([amount * _blob(p, centre, radius) for centre, radius, amount in spots])

    def _face(self, p: Array, colour: Array) -> Array:
        marks, palette = self.anatomy.landmarks, self.palette
        scale = float(marks["left_eye"][0] - marks["right_eye"][0]) / 0.058
        mouth = (marks["mouth_left"] + marks["mouth_right"]) / 2
        reach = np.abs(p[:, 0]) / np.abs(marks["mouth_left"][0])
        front = smoothstep(-0.035, -0.015, p[:, 2] - mouth[2])
        height = (p[:, 1] - mouth[1]) / scale - 0.004 * np.maximum(0, 1 - reach) ** 2
        lips = smoothstep(1.12, 0.9, reach) * np.exp(
            -((height / (0.0088 * np.sqrt(np.maximum(1.05 - reach**2, 0.05)))) ** 4)
        )
        colour = mix(colour, np.array(palette.skin) * [0.80, 0.52, 0.52], 0.9 * lips * front)
        line = np.exp(-((height / 0.0013) ** 2)) * smoothstep(1.1, 0.9, reach) * front
        colour = mix(colour, np.array(palette.skin) * [0.35, 0.2, 0.2], 0.8 * line)
        for side in ("left", "right"):
            colour = self._eye_region(p, colour, side, scale)
        return colour

    def _eye_region(self, p: Array, colour: Array, side: str, scale: float) -> Array:
        eye, palette = self.anatomy.landmarks[f"{side}_eye"], self.palette
        sign = 1.0 if side == "left" else -1.0
        x, y = sign * (p[:, 0] - eye[0]) / scale, (p[:, 1] - eye[1]) / scale
        front = smoothstep(-0.045, -0.025, p[:, 2] - eye[2])
        arch = 0.0195 + 0.004 * np.cos((x - 0.004) / 0.014) + 0.07 * x
        thick = 0.0036 - 0.0012 * np.clip(x / 0.02, 0, 1)
        brow = np.exp(-(((y - arch) / thick) ** 2)) * smoothstep(-0.021, -0.016, x) * smoothstep(0.027, 0.018, x)
        hairy = 0.9 + 0.2 * noise(p, np.array([0.0012, 0.006, 0.006]), self.seed + 2)
        colour = mix(colour, np.array(palette.hair) * 0.8, np.clip(0.9 * brow * hairy, 0, 1) * front)
        socket = np.exp(-((x / 0.02) ** 2 + ((y + 0.001) / 0.010) ** 2))
        colour = mix(colour, np.array(palette.skin) * [0.62, 0.5, 0.5], 0.5 * socket * front)
        lash = np.exp(-(((y - 0.0062 + 9.0 * x**2) / 0.0022) ** 2)) * smoothstep(0.019, 0.014, np.abs(x))
        return mix(colour, (0.08, 0.05, 0.05), 0.85 * lash * front)

    def shirt(self, garment: Garment) -> NDArray[np.uint8]:
        """Knit with stripes over the chest, ribs at the hems, creases."""
        surface = garment.surface
        atlas = Atlas.of(surface.faces, surface.uv, self.size)
        p, hem = atlas.values(surface.rest), atlas.values(garment.from_hem)
        colour = np.broadcast_to(self.palette.shirt, p.shape)
        chest = self.anatomy.joints["spine3"][1] - 0.02
        for level in (0.0, -0.075):
            band = smoothstep(0.021, 0.019, np.abs(p[:, 1] - chest - level))
            torso = smoothstep(0.03, 0.0, np.abs(p[:, 0]) - self.anatomy.joints["left_shoulder"][0])
            colour = mix(colour, self.palette.stripes, band * torso)
        rib = smoothstep(0.017, 0.015, hem)
        colour = colour * (1 - 0.22 * rib - 0.35 * np.exp(-(((hem - 0.017) / 0.0022) ** 2)))[:, None]
        creases = noise(p, np.array([0.11, 0.05, 0.11]), self.seed + 3, 2)
        weave = 0.05 * noise(p, 0.004, self.seed + 4)
        return atlas.image(colour * (1 + 0.10 * creases + weave)[:, None])

    def trousers(self, garment: Garment) -> NDArray[np.uint8]:
        """Twill with seams at the sides, pockets, fly and worn knees."""
        surface = garment.surface
        atlas = Atlas.of(surface.faces, surface.uv, self.size)
        p, hem = atlas.values(surface.rest), atlas.values(garment.from_hem)
        normal = atlas.values(surface.normals(surface.rest))
        knee = self.anatomy.joints["left_knee"]
        outside = np.exp(-((normal[:, 2] / 0.07) ** 2)) * (np.abs(p[:, 0]) > 0.08)
        thigh = np.abs(p[:, 0]) - np.abs(knee[0])
        worn = _blob(np.stack([thigh, p[:, 1] - knee[1] - 0.12, p[:, 2] - 0.1], axis=1), np.zeros(3), 0.16)
        folds = noise(p, np.array([0.09, 0.035, 0.09]), self.seed + 5, 2)
        near_joint = _band(p[:, 1], knee[1], 0.09) + _band(p[:, 1], self.anatomy.joints["left_hip"][1], 0.07) + 0.25
        twill = 0.07 * noise(p, np.array([0.003, 0.010, 0.003]), self.seed + 6)
        shade = 1 - 0.35 * outside + 0.18 * worn + 0.16 * folds * near_joint + twill
        shade -= 0.4 * np.exp(-(((hem - 0.02) / 0.002) ** 2))
        return atlas.image(np.array(self.palette.trousers) * shade[:, None])

    def hair(self, garment: Garment) -> NDArray[np.uint8]:
        """Strands that run down from the crown."""
        surface = garment.surface
        atlas = Atlas.of(surface.faces, surface.uv, self.size // 2)
        p, inside = atlas.values(surface.rest), atlas.values(garment.from_hem)
        crown = self.anatomy.landmarks["left_ear"] * [0, 1, 1] + np.array([0.0, 0.13, -0.02])
        offset = p - crown
        azimuth = np.arctan2(offset[:, 0], offset[:, 2])
        along = np.linalg.norm(offset, axis=1)
        strand = np.stack([np.cos(azimuth) * 0.5, np.sin(azimuth) * 0.5, along], axis=1)
        streaks = noise(strand, np.array([0.012, 0.012, 0.09]), self.seed + 7, 2)
        fine = noise(strand, np.array([0.004, 0.004, 0.05]), self.seed + 8)
        colour = np.array(self.palette.hair) * (1 + 0.45 * streaks + 0.3 * fine)[:, None]
        skin_line = np.array(self.palette.skin) * 0.75
        return atlas.image(mix(colour, skin_line, 0.6 * smoothstep(0.007, 0.0, inside)))

    def shoe(self) -> NDArray[np.uint8]:
        """A white sole, a toe cap, laces on the instep; u runs from heel to toe, v around."""
        size = self.size // 8
        v, u = np.meshgrid(1 - (np.arange(size) + 0.5) / size, (np.arange(size) + 0.5) / size, indexing="ij")
        around = np.cos(2 * np.pi * (v - 0.25))  # 1 on top, −1 underneath
        colour = np.broadcast_to(self.palette.shoes, (size, size, 3)).reshape(-1, 3)
        sole = smoothstep(-0.30, -0.40, around).ravel()
        laces = smoothstep(0.80, 0.88, around) * smoothstep(0.45, 0.5, u) * smoothstep(0.74, 0.7, u)
        stripe = (0.5 + 0.5 * np.cos(u * 2 * np.pi / 0.055)) * laces
        colour = mix(colour, np.array(self.palette.shoes) * 0.45, (0.8 * laces).ravel())
        colour = mix(colour, (0.9, 0.9, 0.88), (0.9 * stripe).ravel())
        edge = np.exp(-(((u - 0.78) / 0.008) ** 2)) * smoothstep(-0.2, 0.0, around)
        colour = mix(colour, np.array(self.palette.shoes) * 0.5, edge.ravel())
        colour = mix(colour, (0.88, 0.87, 0.84), sole)
        return np.rint(np.clip(colour, 0, 1) * 255).astype(np.uint8).reshape(size, size, 3)

    def eye(self) -> NDArray[np.uint8]:
        """Seen from the front: white, iris, pupil, a reflection."""
        size = 128
        y, x = np.mgrid[0:size, 0:size] * (2 / size) - 1 + 1 / size
        r = np.hypot(x, y).ravel()
        colour = np.array([0.93, 0.91, 0.88]) * (1 - 0.15 * r**4)[:, None]
        colour = mix(colour, self.palette.iris, smoothstep(0.52, 0.48, r))
        colour = mix(colour, (0.05, 0.04, 0.04), np.exp(-(((r - 0.50) / 0.03) ** 2)))
        colour = mix(colour, (0.02, 0.02, 0.02), smoothstep(0.27, 0.24, r))
        glint = np.hypot(x + 0.16, y + 0.2).ravel()
        colour = mix(colour, (1.0, 1.0, 1.0), smoothstep(0.13, 0.08, glint))
        return np.rint(np.clip(colour, 0, 1) * 255).astype(np.uint8).reshape(size, size, 3)


def _blob(p: Array, centre: Array, radius: float) -> Array:
    return np.exp(-((p - centre) ** 2).sum(axis=1) / radius**2)


def _band(y: Array, centre: float, half: float) -> Array:
    return np.exp(-(((y - centre) / half) ** 2))
