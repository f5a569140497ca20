"""Rivals that fits lead to: likelier than where they began, and what the features then learn to tell."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from tracker.body import load_body
from tracker.extract.feature_extractor import WEIGHTS
from tracker.fit.volume_fitter import VolumeFitter, parameters_of, state_of
from tracker.networks.body_network import BodyNetwork
from tracker.networks.guide import MAP
from tracker.networks.landmark_network import SIDE
from tracker.training.fitted_rivals import FIT, fitted_rivals

CAMERA = torch.tensor([500.0, 500.0, SIDE / 2, SIDE / 2])


def standing(turn: float) -> torch.Tensor:
    """(85,): somebody before the camera, one arm turned."""
    parameters = torch.zeros(85)
    parameters[0], parameters[3 * 16 + 2], parameters[-1] = 3.0, -1.2 + turn, 4.5
    return parameters


def test_a_fit_leads_from_its_start_to_what_the_features_show() -> None:
    network = BodyNetwork.load(WEIGHTS, load_body(None))  # untrained features change too fast for steps to follow
    fitter, camera = VolumeFitter(network, FIT), CAMERA.double().numpy() * MAP / SIDE
    shown, start = standing(0.5), standing(0.2)
    body = fitter.rendered(camera, state_of(shown.double().numpy()))
    around = torch.randn(MAP, MAP, body.shape[-1], generator=torch.Generator().manual_seed(0))
    features = torch.where(body.norm(dim=-1, keepdim=True) > 0.5, body, functional.normalize(around, dim=-1))[None]
    starts = torch.stack([start, shown])[None]
    led = fitted_rivals(network, features, CAMERA[None], starts)
    assert led.shape == starts.shape and torch.equal(starts[0, 0], start), "the starts stay as they are"
    observed, states = fitter.observed(features), [state_of(each.double().numpy()) for each in (start, led[0, 0])]
    before, after = fitter.score(observed, camera, states)
    assert after < before - 10.0
    arm = slice(3 * 16, 3 * 17)
    assert (led[0, 0] - shown)[arm].norm() < 0.8 * (start - shown)[arm].norm()
    assert (led[0, 0] - start)[72:82].abs().max() < 0.02, "its size is kept"


def test_parameters_of_a_state_come_back() -> None:
    given = np.random.default_rng(0).normal(0.0, 0.3, 85)
    np.testing.assert_allclose(parameters_of(state_of(given)), given, atol=1e-9)
