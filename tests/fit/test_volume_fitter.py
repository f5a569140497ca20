"""Fitting the volume to feature maps that were rendered from a known pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from kernels import body_step, ellipsoids
from kernels.ellipsoids_values import Ellipsoids, background_log_density, observe
from tracker.body import BodyModel, load_body
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.body.smpl_joints import smpl_index
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.core.arrays import NUM_BETAS, Array
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.person import Pose
from tracker.fit.volume_fitter import PoseBelief, VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import BodyNetwork, NetworkConfig
from tracker.networks.extractor import ExtractorConfig

CAMERA = np.array([110.0, 110.0, 32.0, 32.0])
"""Of the 64 × 64 map."""


@dataclass(frozen=True)
class World:
    """A body with random features, and what an extractor without errors would see of it."""

    network: BodyNetwork
    rig: LandmarkRig

    def seen(self, state: BodyState) -> torch.Tensor:
        """(1, D, 64, 64): the rendered features over random clutter."""
        volume = self.network.volume
        bank = volume.bank(self.network.unit_bank().detach())
        pose = state.to_pose()
        row = torch.from_numpy(np.concatenate([pose.theta.reshape(-1), pose.betas, pose.transl])).float()[None]
        posed = body_step.pose(volume.body, row)
        features = body_step.mix_features(volume.body, bank, posed.limbs)
        bodies = Ellipsoids(posed.points[:, : volume.count].contiguous(), posed.precisions, features)
        drawn = ellipsoids.render(bodies, torch.from_numpy(CAMERA).float()[None], (64, 64))
        return self.over(drawn.features[0], drawn.coverage[0] > 0.3)

    def over(self, features: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """(64, 64, D) features where `there`, clutter elsewhere, as an extractor gives them."""
        clutter = self.network.unit_clutter().detach()
        any_clutter = clutter[torch.randint(len(clutter), (64, 64), generator=torch.Generator().manual_seed(1))]
        mixed = torch.where(there[..., None], features, any_clutter)
        return torch.nn.functional.normalize(mixed, dim=-1).permute(2, 0, 1)[None]

    def joints(self, state: BodyState) -> Array:
        """(24, 3) m, seen from the pelvis: size and distance cannot be told apart."""
        joints = self.rig.pose(state.rotations, state.betas).joints
        return joints - joints[0]


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body(None)


@pytest.fixture(scope="module")
def world(body: BodyModel) -> World:
    torch.manual_seed(0)
    config = NetworkConfig(extractor=ExtractorConfig(features=16))
    return World(BodyNetwork(config, BodyVolume.on(body, VolumeConfig(kernels=400))), LandmarkRig.from_body(body))


def standing(arm: float = 0.0) -> BodyState:
    theta = np.zeros((24, 3))
    theta[0, 0] = np.pi
    theta[smpl_index("left_shoulder"), 2], theta[smpl_index("right_shoulder"), 2] = -1.0 + arm, 1.0
    return BodyState.from_pose(Pose(theta[0], theta[1:].reshape(-1), np.zeros(NUM_BETAS), np.array([0, -0.2, 3.5])))


@pytest.fixture(scope="module")
def fitter(world: World) -> VolumeFitter:
    return VolumeFitter(world.network, VolumeFitConfig(steps=40, likelihood_weight=0.1, rate=0.1))


def test_a_wrong_arm_is_moved_to_where_the_picture_shows_it(world: World, fitter: VolumeFitter) -> None:
    truth, start = standing(), standing(arm=0.35)
    seen = fitter.observe(world.seen(truth))
    result = fitter.fit(seen, CAMERA, PoseBelief.around(start, fitter.config))
    wrist = smpl_index("left_wrist")
    before = np.linalg.norm(world.joints(start)[wrist] - world.joints(truth)[wrist])
    after = np.linalg.norm(world.joints(result.state)[wrist] - world.joints(truth)[wrist])
    assert before > 0.12
    assert (
        after < 0.45 * before
    )  # found: 0.38, which is one and a half of the map's pixels, of which every other counts
    assert result.nll < fitter.look(seen, CAMERA, start).nll


def test_the_true_pose_scores_best(world: World, fitter: VolumeFitter) -> None:
    truth = standing()
    others = [standing(arm=0.3), standing(arm=-0.3), replace(truth, transl=truth.transl + np.array([0.1, 0, 0]))]
    turned = truth.turned(matrix_from_axis_angle(np.array([0, np.pi, 0])), world.rig.root_at_rest(truth.betas))
    back = replace(truth, rotations=turned.rotations)
    scores = fitter.score(fitter.observe(world.seen(truth)), CAMERA, [truth, *others, back])
    assert scores.argmin() == 0
    look = fitter.look(fitter.observe(world.seen(truth)), CAMERA, truth)
    assert scores[0] == pytest.approx(look.nll, rel=1e-3)


def test_a_firm_belief_is_kept(world: World, fitter: VolumeFitter) -> None:
    start = standing(arm=0.35)
    belief = PoseBelief.around(start, fitter.config)
    firm = replace(belief, precision=1e8 * belief.precision)
    result = fitter.fit(fitter.observe(world.seen(standing())), CAMERA, firm)
    np.testing.assert_allclose(world.joints(result.state), world.joints(start), atol=1e-3)


def test_what_is_in_front_is_told_apart_and_not_fitted(world: World, fitter: VolumeFitter) -> None:
    truth = standing()
    whole = world.seen(truth)
    hidden = torch.zeros(64, 64, dtype=torch.bool)
    hidden[34:] = True  # the legs
    covered = world.over(whole[0].permute(1, 2, 0), ~hidden)
    clear, blocked = (fitter.look(fitter.observe(each), CAMERA, truth) for each in (whole, covered))
    knees = [smpl_index("left_knee"), smpl_index("right_knee")]
    shoulders = [smpl_index("left_shoulder"), smpl_index("right_shoulder")]
    assert clear.support[knees].min() > 0.7
    assert blocked.support[knees].max() < 0.3
    assert blocked.support[shoulders].min() > 0.7
    there, legs = clear.occlusion > 0, hidden.numpy()[1::2, 1::2]
    assert there.shape == legs.shape
    assert blocked.occlusion[there & legs].mean() > 0.7
    assert blocked.occlusion[there & ~legs].mean() < 0.3
    kept = fitter.fit(fitter.observe(covered), CAMERA, PoseBelief.around(truth, fitter.config))
    assert np.linalg.norm(world.joints(kept.state) - world.joints(truth), axis=1).max() < 0.15


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_what_is_observed_is_what_the_likelihood_defines(world: World, stride: int) -> None:
    features = functional.normalize(torch.randn(1, 16, 64, 64, generator=torch.Generator().manual_seed(2)), dim=1)
    found = VolumeFitter(world.network, VolumeFitConfig(stride=stride)).observe(features)
    compared = features.permute(0, 2, 3, 1)[:, stride // 2 :: stride, stride // 2 :: stride].contiguous()
    sigma = world.network.volume.config.temperature**0.5
    background = background_log_density(compared, world.network.unit_clutter().detach(), sigma)
    expected = observe(compared, background, sigma)
    for name in ("features", "base", "weight", "mask", "index"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=2e-5, rtol=1e-5)
    assert found.concentration == pytest.approx(expected.concentration)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_compared_pixels_are_where_the_camera_says(world: World, stride: int) -> None:
    truth = standing()
    fitter = VolumeFitter(world.network, VolumeFitConfig(stride=stride))
    step = 2.5 / CAMERA[0] * truth.transl[2]  # what moves the body by two and a half pixels of the map
    moved = [replace(truth, transl=truth.transl + step * np.array([x, y, 0])) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    scores = fitter.score(fitter.observe(world.seen(truth)), CAMERA, moved)
    assert scores.argmin() == 4
    # and the minimum lies there to a fraction of a pixel, whichever pixels are looked at
    line = np.arange(9) % 2 == 1
    left, right = scores[line][0], scores[line][-1]
    assert abs(left - right) < 0.5 * (min(left, right) - scores[4])
