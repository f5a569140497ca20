"""The quick skinning in numpy against the body model's own in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.export_scene import small_body
from tracker.body import BodyModel, load_body
from tracker.body.skinner import skinner_of
from tracker.core.person import Pose


@pytest.mark.parametrize("body", [small_body(influences=3), load_body(None)], ids=["small", "free"])
def test_it_gives_what_the_body_model_gives(body: BodyModel) -> None:
    rng = np.random.default_rng(5)
    pose = Pose(rng.normal(size=3), rng.normal(scale=0.4, size=69), rng.normal(size=10), np.array([0.3, -0.2, 4.0]))
    exact = body.to(torch.float64)
    values = [torch.from_numpy(np.asarray(v, float)) for v in (pose.betas, pose.theta, pose.transl)]
    expected = exact.with_shape(values[0]).with_pose(values[1], values[2]).vertices().numpy()
    # measured: 3e-6 m at 4 m, where single precision ends
    np.testing.assert_allclose(skinner_of(body).vertices(pose), expected, atol=2e-5)
    np.testing.assert_array_equal(skinner_of(body).faces, body.faces.numpy())
    assert skinner_of(body) is skinner_of(body)
