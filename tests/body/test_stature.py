"""Height as a function of the shape is the posed mesh's own."""

import numpy as np
import torch

from tracker.body import load_body
from tracker.body.stature import UPRIGHT, Stature


def test_height_is_that_of_the_mesh() -> None:
    body = load_body(None)
    betas = np.random.default_rng(0).normal(size=10)
    heights = body.with_shape(torch.from_numpy(betas).float()).rest_vertices[:, UPRIGHT]
    stature = Stature.of(body)
    assert abs(stature.of_shape(betas) - float(heights.max() - heights.min())) < 0.01
    assert 1.4 < stature.mean < 1.9
