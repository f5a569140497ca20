"""Fitting the neural body volume to a feature map: what the picture itself says of the pose, beyond the landmarks.

The volume is rendered in the pose, compared with the extractor's features under a likelihood in which something else
may be in front (3DNBF eqs. 3–6), and the pose moved by a few steps of Adam so that it explains them better. What is
believed beforehand, the landmark fit's own Gaussian or a wide one around a regressed pose, enters as it is, and says in
which units Adam steps: its standard deviations, along its axes, so that stiff and loose directions converge together.
All of a fit is one call of `kernels`, on a GPU one CUDA graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kernels import body_step, ellipsoids, gaussian
from kernels.backend import on_device
from kernels.body_step_values import Adam, FitProblem, FitTerms
from kernels.ellipsoids_values import (
    Ellipsoids,
    FeatureObservation,
    FeatureRendering,
    Likelihood,
    RenderSettings,
    unit_base,
)
from tracker.body.body_state import BodyState
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.camera import thinned_intrinsics
from tracker.core.errors import require_between
from tracker.core.person import Pose
from tracker.networks.guide import MAP

if TYPE_CHECKING:
    from tracker.networks.body_network import BodyNetwork

_TURNS = slice(0, 3 * NUM_JOINTS)
_SIZE = 3 * NUM_JOINTS + NUM_BETAS + 3
_COARSEST = 8
"""Beyond this limbs fall between the pixels that are compared."""
_MOST_STEPS = 1000
_LEAST, _MOST = 1e-4, 1e4
"""Spreads and weights beyond these leave the steps with numbers that cannot be added."""
_SPREADS = ("rate", "turn_spread", "shape_spread", "move_spread", "size_hold")


@dataclass(frozen=True)
class VolumeFitConfig:
    """How far the picture is followed."""

    stride: int = 2
    """Every how many-th pixel of the map is compared, along rows and columns: neighbours say nearly the same."""
    steps: int = 2
    """Of Adam; 0 only measures how far the picture supports the pose."""
    rate: float = 0.05
    """Adam's, in standard deviations of what is believed."""
    likelihood_weight: float = 0.03
    """What the likelihood of all pixels counts against the belief: neighbouring pixels say the same many times over."""
    turn_spread: float = 0.3
    """rad: how far joints may be off in a regressed pose."""
    shape_spread: float = 1.0
    """How far β may be off in a regressed pose."""
    move_spread: tuple[float, float, float] = (0.1, 0.1, 0.5)
    """m: x, y, z of the camera."""
    size_hold: float = 0.002
    """How far β may move, and the distance as a part of itself, from a fit to landmarks: clothes and hair make people
    look larger than their bodies are."""

    @property
    def pixel_weight(self) -> float:
        """What the likelihood of one compared pixel counts."""
        return self.likelihood_weight * self.stride**2

    def __post_init__(self) -> None:
        require_between(self, ("steps",), 0, _MOST_STEPS, "volume.")
        require_between(self, ("stride",), 1, _COARSEST, "volume.")
        require_between(self, ("likelihood_weight",), 0, _MOST, "volume.")
        require_between(self, _SPREADS, _LEAST, _MOST, "volume.")


@dataclass(frozen=True)
class PoseBelief:
    """A Gaussian over pose, shape and place."""

    state: BodyState
    precision: Array
    """(85, 85), of rotations in each joint's own frame (R ← R exp(δ)), β, transl; positive definite."""

    @classmethod
    def around(cls, state: BodyState, config: VolumeFitConfig) -> PoseBelief:
        """What is believed of a pose that a network regressed."""
        spread = np.concatenate(
            [np.full(3 * NUM_JOINTS, config.turn_spread), np.full(NUM_BETAS, config.shape_spread), config.move_spread]
        )
        return cls(state, np.diag(spread**-2.0))

    def holding_size(self, spread: float) -> PoseBelief:
        """The belief with β and the distance held: standard deviations of `spread`, and of `spread` times z."""
        firm = np.zeros(_SIZE)
        firm[_TURNS.stop : _TURNS.stop + NUM_BETAS] = spread**-2.0
        firm[-1] = (spread * float(self.state.transl[2])) ** -2.0
        return PoseBelief(self.state, self.precision + np.diag(firm))


@dataclass(frozen=True)
class VolumeFit:
    """A pose that the picture has been asked about. What it says is of this one, or after a fit of the one before its
    last, small step."""

    state: BodyState
    nll: float
    """Negative log-likelihood of the feature map relative to the background explaining everything; below 0 where the
    body explains it better."""
    occlusion: Array
    """(s, s) 0..1, of the compared pixels: how surely something else is in front, where the body is; 0 elsewhere."""
    support: Array
    """(24,) 0..1: how much of what each joint moves is seen, and looks as it should; 0 outside the picture."""


class VolumeFitter:
    """Fits one trained volume on one body. One thread at a time: a fit's memory is used again by the next."""

    def __init__(self, network: BodyNetwork, config: VolumeFitConfig, device: torch.device | str = "cpu") -> None:
        """device: where the volume is rendered and fitted; poses come and go on the CPU."""
        self.config, self.device = config, torch.device(device)
        volume = network.volume.with_keypoints(torch.empty(0, dtype=torch.int64))
        self._body = on_device(volume.body, device)
        self._bank = on_device(volume.bank(network.unit_bank().detach().contiguous()), device)
        concentration = 1 / volume.config.temperature
        self._clutter = (concentration * network.unit_clutter().detach().T).to(device).contiguous()
        side = len(range(self.config.stride // 2, MAP, self.config.stride))
        nothing, index = torch.zeros(1, side, side), torch.zeros(1, dtype=torch.int32)
        empty = FeatureObservation(nothing[..., None], nothing, nothing + 1, nothing, index, concentration)
        self._nothing = on_device(empty, device)
        self._moved_by = _dense(volume.body.weight_joints, volume.body.weights)[: volume.count]
        self._problem, self._adam = self._buffers()
        self._loop = body_step.fit_loop(self._problem, self._adam)

    def _buffers(self) -> tuple[FitProblem, Adam]:
        """What a fit reads, to be written before each. The likelihood and the belief, which is Gaussian: no keypoints,
        they are in the belief."""
        new, weight, size = self._body.joints.new_zeros, self.config.pixel_weight, self._body.parameters
        side, channels = self._nothing.base.shape[-1], self._bank.features.shape[2]
        observation = replace(self._nothing, features=new(1, side, side, channels), base=new(1, side, side))
        terms = FitTerms(new(1, 0, 2), new(1, 0), new(1, size, size), new(1, size), likelihood_weight=weight)
        problem = FitProblem(self._body, self._bank, new(1, 4), observation, terms, RenderSettings())
        return problem, Adam(new(1, size, size), self.config.steps, self.config.rate)

    def observe(self, features: Tensor) -> FeatureObservation:
        """features: (1, D, 64, 64), unit length along D, as the extractor gives them."""
        return self.observed(features.permute(0, 2, 3, 1))

    def observed(self, features: Tensor) -> FeatureObservation:
        """features: (1, 64, 64, D), unit length along D, as the picture's networks give them.

        What `ellipsoids_values.observe` makes of them and of their `background_log_density` under the clutter bank.
        """
        step = self.config.stride
        compared = features[:, step // 2 :: step, step // 2 :: step].to(self.device).contiguous()
        return replace(self._nothing, features=compared, base=unit_base(compared, self._clutter))

    def score(self, observation: FeatureObservation, camera: Array, states: list[BodyState]) -> Array:
        """(n,) nll of each state. camera: (4,) fx, fy, cx, cy in pixels of the map."""
        posed = self._posed(self._rows([parameters_of(state) for state in states]))
        every = replace(observation, index=observation.index.new_zeros(len(states)))
        cameras = self._cameras(camera).expand(len(states), 4).contiguous()
        costs: Array = ellipsoids.score(posed, cameras, every).double().cpu().numpy()
        return costs

    def fit(self, observation: FeatureObservation, camera: Array, belief: PoseBelief) -> VolumeFit:
        """The pose near `belief` that explains the map best. camera: (4,) fx, fy, cx, cy in pixels of the map."""
        if self.config.steps == 0:
            return self.look(observation, camera, belief.state)
        start = parameters_of(belief.state)
        self._write(observation, camera, start, belief.precision)
        result = self._loop.run(self._rows([start]))
        return self._volume_fit(state_of(result.parameters[0].double().cpu().numpy()), result.likelihood)

    def _write(self, observation: FeatureObservation, camera: Array, start: Array, precision: Array) -> None:
        """Into what the next fit reads."""
        root, units = gaussian.standard_form(precision, start[_TURNS].reshape(NUM_JOINTS, 3))
        problem = self._problem
        problem.observation.features.copy_(observation.features)
        problem.observation.base.copy_(observation.base)
        problem.cameras.copy_(self._cameras(camera))
        problem.terms.linear_matrix.copy_(torch.from_numpy(root))
        problem.terms.linear_target.copy_(torch.from_numpy(root @ start))
        self._adam.units.copy_(torch.from_numpy(units))

    def look(self, observation: FeatureObservation, camera: Array, state: BodyState) -> VolumeFit:
        """What the map says of a pose as it is."""
        return self._looked_at(observation, camera, parameters_of(state))

    def rendered(self, camera: Array, state: BodyState) -> Tensor:
        """(64, 64, D): the volume's features in a pose, unit length where it is. camera: as `score`'s."""
        return torch.nn.functional.normalize(self._drawn(camera, state).features[0], dim=-1).cpu()

    def coverage(self, camera: Array, state: BodyState) -> Array:
        """(64, 64) 0..1: how surely a ray meets the volume in a pose. camera: as `score`'s."""
        return self._drawn(camera, state).coverage[0].double().cpu().numpy()

    def _drawn(self, camera: Array, state: BodyState) -> FeatureRendering:
        cameras = torch.as_tensor(camera, dtype=torch.float32)[None]
        posed = self._posed(self._rows([parameters_of(state)]))
        return ellipsoids.render(posed, cameras.to(self.device), (MAP, MAP))

    def _looked_at(self, observation: FeatureObservation, camera: Array, parameters: Array) -> VolumeFit:
        posed = self._posed(self._rows([parameters]))
        cameras = self._cameras(camera)
        with torch.no_grad():
            return self._volume_fit(state_of(parameters), ellipsoids.likelihood(posed, cameras, observation))

    def _volume_fit(self, state: BodyState, likelihood: Likelihood) -> VolumeFit:
        """A pose with what the picture says of it, or of one nearby."""
        occlusion = likelihood.occlusion[0].double().cpu().numpy()
        return VolumeFit(state, float(likelihood.nll), occlusion, self._joint_support(likelihood))

    def _joint_support(self, likelihood: Likelihood) -> Array:
        """Of the kernels that a joint moves: seen weight that the body explains, over what they would show alone."""
        support, weight = (
            self._moved_by.T @ value[0].double().cpu().numpy() for value in (likelihood.support, likelihood.weight)
        )
        return np.clip(support / np.maximum(weight, 1e-3), 0.0, 1.0)

    def _cameras(self, camera: Array) -> Tensor:
        """(1, 4): the same camera for the pixels that are compared."""
        return torch.from_numpy(thinned_intrinsics(camera, self.config.stride)).float()[None].to(self.device)

    def _rows(self, parameters: Sequence[Array]) -> Tensor:
        """(B, 85) on the device."""
        return torch.from_numpy(np.stack(parameters)).float().to(self.device)

    def _posed(self, parameters: Tensor) -> Ellipsoids:
        posed = body_step.pose(self._body, parameters)
        features = body_step.mix_features(self._body, self._bank, posed.limbs)
        return Ellipsoids(posed.points.contiguous(), posed.precisions, features)


def _dense(joints: Tensor, weights: Tensor) -> Array:
    """(P, 24) blend weights."""
    dense = np.zeros((len(joints), NUM_JOINTS))
    np.add.at(dense, (np.arange(len(joints))[:, None], joints.numpy()), weights.double().numpy())
    return dense


def parameters_of(state: BodyState) -> Array:
    """(85,): axis-angles, β, transl."""
    pose = state.to_pose()
    return np.concatenate([pose.theta.reshape(-1), pose.betas, pose.transl])


def state_of(parameters: Array) -> BodyState:
    """Of `parameters_of`."""
    theta, betas, transl = np.split(parameters, [_TURNS.stop, _TURNS.stop + NUM_BETAS])
    theta = theta.reshape(NUM_JOINTS, 3)
    return BodyState.from_pose(Pose(theta[0], theta[1:].reshape(-1), betas, transl))
