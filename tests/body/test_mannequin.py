"""What is shown of the built-in body: the same joints and size, smoother where one would not look."""

import numpy as np
import torch

from tests.export_scene import small_body
from tracker.body import load_body
from tracker.body.mannequin import mannequin
from tracker.body.smpl_joints import smpl_index

BODY = load_body(None)


def test_joints_and_topology_stay() -> None:
    betas = torch.from_numpy(np.random.default_rng(0).normal(size=10)).float()
    shown = mannequin(BODY)
    expected, found = BODY.with_shape(betas), shown.with_shape(betas)
    assert (found.rest_joints - expected.rest_joints).abs().max() < 2e-5
    assert torch.equal(shown.faces, BODY.faces) and torch.equal(shown.weights, BODY.weights)


def test_only_trunk_and_feet_change_and_little() -> None:
    moved = (mannequin(BODY).v_template - BODY.v_template).norm(dim=1).numpy()
    part = BODY.part_labels.numpy()
    hands = np.isin(part, [smpl_index("left_hand"), smpl_index("right_hand"), smpl_index("head")])
    assert moved[hands].max() < 4e-3 and np.median(moved[hands]) < 1e-6
    assert 0.01 < moved.max() < 0.04, "centimetres on the chest"
    assert np.median(moved) < 2e-3


def test_bumps_are_smoothed_away() -> None:
    """Of the surface's bending (its vertices less the mean of their neighbours) on the trunk less is left."""

    def bending(vertices: np.ndarray) -> float:
        faces = BODY.faces.numpy()
        ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        total, count = np.zeros_like(vertices), np.zeros(len(vertices))
        for one, other in (ends.T, ends[:, ::-1].T):
            np.add.at(total, one, vertices[other])
            np.add.at(count, one, 1)
        rest = vertices - total / count[:, None]
        trunk = BODY.weights[:, [smpl_index("spine1"), smpl_index("spine2"), smpl_index("spine3")]].sum(dim=1) > 0.9
        return float(np.linalg.norm(rest[trunk.numpy()], axis=1).mean())

    assert bending(mannequin(BODY).v_template.numpy()) < 0.9 * bending(BODY.v_template.numpy())


def test_a_users_body_is_shown_as_it_is() -> None:
    own = small_body()
    assert mannequin(own) is own
