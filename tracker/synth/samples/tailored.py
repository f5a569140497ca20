"""Outfits that the demo's tailor makes, cut and painted by rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tracker.synth.figure_texture import Painter, Palette
from tracker.synth.hair import HairStyle, eyes_and_skin, hair, hair_field
from tracker.synth.samples.outfit import Dresser, Outfit, Piece
from tracker.synth.samples.pattern import smooth_noise
from tracker.synth.shoes import shoe
from tracker.synth.tailor import Design, tailor, uncovered
from tracker.synth.texture import noise
from tracker.synth.wardrobe import shirt_design, trouser_design

_TEXTURE = 512
_SHOE_HEIGHT = 0.12
"""m above the soles up to which shoes hide the skin."""


def tailored_outfit(dresser: Dresser, rng: np.random.Generator) -> Outfit:
    """Skin, hair, shirt, trousers or shorts, and shoes or bare feet, cut and painted by rule."""
    anatomy, seed = dresser.anatomy, int(rng.integers(1 << 30))
    painter = Painter(anatomy, Palette.sample(rng), _TEXTURE, seed)
    shirt_plan = _looser(shirt_design(anatomy, float(rng.choice([rng.uniform(0.35, 0.9), 1.9]))), rng)
    trousers_plan = _looser(trouser_design(anatomy, float(rng.choice([1.0, rng.uniform(-0.6, 0.9)]))), rng)
    body, shod, hairy = anatomy.surface, rng.random() < 0.8, rng.random() < 0.9
    eyes, skin_faces = eyes_and_skin(body)
    covered = [shirt_plan.inside(body.rest), trousers_plan.inside(body.rest)]
    pieces: list[Piece] = []
    for plan, paint in ((shirt_plan, painter.shirt), (trousers_plan, painter.trousers)):
        garment = tailor(anatomy, plan, seed + len(pieces))
        pieces.append(dresser.piece("cloth", garment.surface, paint(garment), 0.25))
    if hairy:
        style = HairStyle(rng.uniform(0.008, 0.045), rng.uniform(0.4, 1.1), rng.uniform(0.1, 0.4))
        cap = hair(anatomy, style, seed + 7)
        pieces.append(dresser.piece("hair", cap.surface, painter.hair(cap)))
        covered.append(hair_field(anatomy))
    if shod:
        shoes = [shoe(anatomy, side, 0.018) for side in ("left", "right")]
        pieces += [dresser.piece("shoe", surface, painter.shoe()) for surface in shoes]
        covered.append(anatomy.sole + _SHOE_HEIGHT - body.rest[:, 1])
    skin = uncovered(body, skin_faces, covered)
    pieces.append(dresser.piece("skin", skin, painter.skin(skin)))
    pieces += [dresser.piece("eye", eye, painter.eye(), 1.0) for eye in eyes]
    return dresser.outfit(pieces)


def _looser(design: Design, rng: np.random.Generator) -> Design:
    """The same cut, tight to wide."""
    factor = rng.uniform(0.5, 2.2)
    return replace(design, thickness=lambda p: factor * design.thickness(p), folds=rng.uniform(0.1, 0.6))


def bare_outfit(dresser: Dresser, rng: np.random.Generator) -> Outfit:
    """The body alone with an uneven surface: to be painted as skin, as a suit, or in parts of many colours."""
    body = dresser.anatomy.surface
    cell, height = rng.uniform(0.03, 0.15), rng.uniform(0.0, 0.012)
    bumps = height * (1 + noise(body.rest, cell, int(rng.integers(1 << 30)), octaves=2))
    trunk = np.clip(1.5 - 4 * body.weights[:, [15, 22, 23]].sum(axis=1), 0, 1)
    swollen = body.moved(body.rest + dresser.anatomy.normals * (bumps * trunk)[:, None])
    shade = 150 + 22 * smooth_noise(rng, 256, rng.uniform(2, 30))
    texture = np.repeat(np.clip(shade, 60, 240).astype(np.uint8)[..., None], 3, axis=2)
    return dresser.outfit([dresser.piece("suit", swollen, texture)])
