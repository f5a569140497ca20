"""Rivals that the volume makes for itself: where its likelihood leads a fit that begins near the true pose.

Poses that are drawn at random are soon told from the true one. What misleads a fit is what the likelihood prefers to
the truth nearby, and only it knows where that is. Taught to prefer the true pose to it, features lead to the true pose
(the negatives of contrastive divergence, found by Adam instead of a Markov chain).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tracker.fit.volume_fitter import PoseBelief, VolumeFitConfig, VolumeFitter, parameters_of, state_of
from tracker.networks.body_network import BodyNetwork
from tracker.networks.guide import MAP
from tracker.networks.landmark_network import SIDE

FIT = VolumeFitConfig(steps=10, rate=0.1)
"""As far as the tracker's own would go from a poor start."""


@torch.no_grad()
def fitted_rivals(network: BodyNetwork, features: Tensor, cameras: Tensor, starts: Tensor) -> Tensor:
    """Where fits to feature maps (B, 64, 64, D) lead from starts (B, n, 85), whose size they keep: (B, n, 85),
    axis-angles, β, transl.

    cameras: (B, 4) px of the crops.
    """
    led = starts.clone()
    if not led.shape[1]:
        return led
    fitter = VolumeFitter(network, FIT, features.device)
    for n, camera in enumerate(cameras.cpu().double().numpy() * MAP / SIDE):
        observed = fitter.observed(features[n : n + 1])
        for number, start in enumerate(starts[n].cpu().double().numpy()):
            belief = PoseBelief.around(state_of(start), FIT).holding_size(FIT.size_hold)
            led[n, number] = torch.from_numpy(parameters_of(fitter.fit(observed, camera, belief).state)).to(led)
    return led
