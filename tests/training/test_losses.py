"""The losses against cases small enough to be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tracker.training import losses
from tracker.training.losses import FeaturePixels

E = torch.eye(4)


def pixels(feature: torch.Tensor, orientations: list[float]) -> FeaturePixels:
    """One pixel that belongs to kernel 0 alone."""
    return FeaturePixels(feature[None], torch.tensor([[0]]), torch.ones(1, 1), torch.tensor([[orientations]]))


def test_contrast_by_hand() -> None:
    bank = torch.stack([torch.stack([E[0], E[1]]), torch.stack([E[2], E[2]])])  # 2 kernels, 2 orientations
    # scores of a pixel that looks like kernel 0 at orientation 0: 1/τ once, 0 for three others and one clutter feature
    tau = 0.5
    expected = math.log(math.exp(1 / tau) + 4) - 1 / tau
    found = losses.contrast(pixels(E[0], [1.0, 0.0]), bank, E[3:4], tau)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_contrast_wants_the_kernels_own_orientation() -> None:
    bank = torch.stack([torch.stack([E[0], E[1]])])
    right = losses.contrast(pixels(E[0], [1.0, 0.0]), bank, E[3:4], 0.1)
    between = losses.contrast(pixels(E[0], [0.5, 0.5]), bank, E[3:4], 0.1)
    wrong = losses.contrast(pixels(E[0], [0.0, 1.0]), bank, E[3:4], 0.1)
    assert float(right) < float(between) < float(wrong)


def test_kernels_that_share_a_pixel_share_its_probability() -> None:
    bank = torch.stack([E[0], E[1], E[2]])[:, None]
    both = FeaturePixels(
        torch.nn.functional.normalize(E[0] + E[1], dim=0)[None],
        torch.tensor([[0, 1]]),
        torch.tensor([[0.5, 0.5]]),
        torch.ones(1, 2, 1),
    )
    score = 1 / math.sqrt(2) / 0.1
    expected = math.log(2 * math.exp(score) + 2) - score
    assert float(losses.contrast(both, bank, E[3:4], 0.1)) == pytest.approx(expected, rel=1e-5)


def test_empty_pixels_must_look_like_clutter() -> None:
    bank = E[:1][:, None]
    expected = math.log(1 + math.exp(-10))
    assert float(losses.clutter_contrast(E[3:4], bank, E[3:4], 0.1)) == pytest.approx(expected, abs=1e-6)
    assert float(losses.clutter_contrast(E[:1], bank, E[3:4], 0.1)) == pytest.approx(10, rel=1e-3)


def test_pose_losses_by_hand() -> None:
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    still = torch.eye(3).expand(1, 2, 3, 3)
    one = torch.stack([torch.eye(3), turn])[None]
    assert float(losses.rotation_loss(one, still, torch.ones(1))) == pytest.approx(4 / 2)
    assert float(losses.rotation_loss(one, still, torch.tensor([0.5]))) == pytest.approx(1.0)
    truth = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]])
    moved = truth + torch.tensor([5.0, 5, 5])
    assert float(losses.joint_loss(moved, truth, torch.ones(1))) == pytest.approx(0.0, abs=1e-6)
    bent = torch.tensor([[[0.0, 0, 0], [1, 0.4, 0]]])
    assert float(losses.joint_loss(bent, truth, torch.ones(1))) == pytest.approx(0.2)


def test_projection_is_measured_in_half_crops_and_bounded() -> None:
    cameras = torch.tensor([[100.0, 100, 64, 64]])
    truth = torch.tensor([[[0.0, 0, 2]]])
    assert float(losses.projection_loss(torch.tensor([[[1.0, 0, 2]]]), truth, cameras, 64)) == pytest.approx(50 / 64)
    behind = torch.tensor([[[1.0, 0, -3]]])
    assert float(losses.projection_loss(behind, truth, cameras, 64)) == pytest.approx(4.0)


def test_depth_is_measured_as_a_ratio() -> None:
    near, far = torch.tensor([[0.0, 0, 2]]), torch.tensor([[0.0, 0, 4]])
    assert float(losses.depth_loss(far, near)) == pytest.approx(math.log(2))


def test_part_loss_is_the_cross_entropy() -> None:
    logits = torch.zeros(1, 25, 2, 2)
    assert float(losses.part_loss(logits, torch.zeros(1, 2, 2, dtype=torch.uint8))) == pytest.approx(np.log(25))


def test_pose_contrast_by_hand() -> None:
    costs, far = torch.tensor([[-20.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 9.0], [0.0, 9.0]])
    expected = 0.5 * (math.log(1 + math.exp(-2.0)) + math.log(2))
    assert float(losses.pose_contrast(costs, far, 0.1, 0.1)) == pytest.approx(expected, rel=1e-5)
    # of two that are wrong, the nearer one is wanted e times as much
    near = torch.tensor([[0.0, 0.1]])
    wanted = torch.softmax(torch.tensor([0.0, -1.0]), 0)
    best = -(wanted * wanted.log()).sum()
    assert float(losses.pose_contrast(torch.tensor([[-10.0, 0.0]]), near, 0.1, 0.1)) == pytest.approx(float(best))


def test_pose_costs_are_those_of_the_fit() -> None:
    """One pixel, one kernel that covers half of it, in two poses of which the second looks like the clutter."""
    bank = torch.stack([E[0:1], E[3:4]])[None]
    pixels = losses.RenderedPixels(
        E[0][None, None, None],
        bank,
        torch.zeros(1, 2, 1, 1, 1, dtype=torch.long),
        torch.full((1, 2, 1, 1, 1), 0.7),
        torch.full((1, 2, 1, 1), 0.5),
    )
    clutter, tau = E[3:4], 0.5
    # log N_fg − log N_bg = cos/τ − log mean exp(clutter/τ); the clutter is at right angles to the pixel
    right, wrong = (math.log(2) - math.log1p(math.exp(delta)) for delta in (1 / tau, 0.0))
    found = losses.pose_costs(pixels, clutter, tau)
    torch.testing.assert_close(found, 0.5 * torch.tensor([[right, wrong]]))
