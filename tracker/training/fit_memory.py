"""The optimiser in the loop (SPIN's way, HKMR §3.4): poses that the volume fits are what the head is taught.

The head's estimate starts a fit; a fit that explains the features better than the one that is remembered of this
example takes its place; and the head learns the remembered fits of examples whose pose nobody knows for sure.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.fit.volume_fitter import PoseBelief, VolumeFitter
from tracker.networks.guide import MAP
from tracker.networks.head import RegressedPose
from tracker.networks.landmark_network import SIDE
from tracker.training.feature_cache import HeadExamples
from tracker.training.head_losses import TruePeople


class FitMemory:
    """The best fit of each example, by its row in the cache. It is not part of checkpoints: fits are made again."""

    def __init__(self, fitter: VolumeFitter, rig: LandmarkRig, trust: float) -> None:
        """trust: what a fit counts against an exact pose."""
        self._fitter, self._rig, self._trust = fitter, rig, trust
        self._best: dict[int, tuple[float, BodyState]] = {}

    def __len__(self) -> int:
        return len(self._best)

    def learn(self, examples: HeadExamples, estimate: RegressedPose, which: np.ndarray) -> None:
        """Fits these of the examples (indices) from the head's estimates and remembers what is better than before."""
        for i in which:
            betas = estimate.betas[i].detach().double().numpy()
            root = estimate.root[i].detach().double().numpy()
            start = BodyState(
                estimate.rotations[i].detach().double().numpy(), betas, root - self._rig.root_at_rest(betas)
            )
            observed = self._fitter.observe(examples.features[i : i + 1])
            camera = examples.truth.cameras[i].double().numpy() * MAP / SIDE
            fit = self._fitter.fit(observed, camera, PoseBelief.around(start, self._fitter.config))
            nll = self._fitter.look(observed, camera, fit.state).nll
            row = int(examples.rows[i])
            if row not in self._best or nll < self._best[row][0]:
                self._best[row] = nll, fit.state

    def taught(self, examples: HeadExamples, unsure: np.ndarray) -> TruePeople:
        """The truth, with the remembered fits in the place of poses that are unsure (B,); those without a fit teach
        where the joints are in the picture, and no pose."""
        truth = examples.truth
        rotations, betas, root = truth.rotations.clone(), truth.betas.clone(), truth.root.clone()
        trusted, shape_trusted = truth.trusted.clone(), truth.shape_trusted.clone()
        for i in np.flatnonzero(unsure):
            known = self._best.get(int(examples.rows[i]))
            trusted[i] = shape_trusted[i] = 0.0 if known is None else self._trust
            if known is not None:
                state = known[1]
                rotations[i], betas[i] = (torch.from_numpy(v).float() for v in (state.rotations, state.betas))
                root[i] = torch.from_numpy(state.transl + self._rig.root_at_rest(state.betas)).float()
        return replace(truth, rotations=rotations, betas=betas, root=root, trusted=trusted, shape_trusted=shape_trusted)
