"""Dense maps and the body's texture: exact maps give the joints back, and whatever is carried over comes back."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from torch import Tensor

from tracker.body import load_body
from tracker.body.model import JOINT_NAMES
from tracker.body.smpl_joints import LSP_JOINTS
from tracker.body.uv_atlas import UvAtlas, mirrored_joints
from tracker.core.errors import InputError
from tracker.networks.dense_maps import DenseMapConfig, DenseMapNetwork, DenseMaps, joint_votes
from tracker.networks.uv_inpainting import (
    AtlasPair,
    UvInpaintingConfig,
    UvInpaintingNetwork,
    UvMaps,
    completed_by_symmetry,
    enlarged,
    posed_maps,
    unwarp,
    warp,
    warped,
)
from tracker.training.dense_truth import DenseTruth
from tracker.training.head_losses import TruePeople

MM = 1e3


@lru_cache(maxsize=4)
def atlas(side: int = 128, joints: tuple[int, ...] = LSP_JOINTS) -> UvAtlas:
    return UvAtlas.of(load_body(None), side, joints)


def person(rotations: Tensor | None = None, parts: Tensor | None = None) -> TruePeople:
    """Somebody who stands, seen from the side of a crop that is not in the middle of the picture."""
    turned = torch.eye(3).repeat(1, 24, 1, 1) if rotations is None else rotations
    turned[:, 0] = torch.diag(torch.tensor([1.0, -1, -1]))
    camera = torch.tensor([[520.0, 520, 60, 100]])
    root = torch.tensor([[(128 - 60) / 520 * 4.2, (128 - 100) / 520 * 4.2, 4.2]])
    ones = torch.ones(1)
    whole = torch.ones(1, 64, 64) if parts is None else parts
    return TruePeople(turned, torch.zeros(1, 10), root, camera, whole, ones, ones)


def bent() -> Tensor:
    """Arms down and one knee bent."""
    rotations = torch.eye(3).repeat(1, 24, 1, 1)
    for name, axis in (("left_shoulder", (0, 0, -1.2)), ("right_shoulder", (0, 0, 1.0)), ("left_knee", (0.9, 0, 0))):
        rotations[0, JOINT_NAMES.index(name)] = torch.linalg.matrix_exp(skew(torch.tensor(axis)))
    return rotations


def skew(v: Tensor) -> Tensor:
    x, y, z = v.tolist()
    return torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])


@pytest.mark.parametrize("joints", [LSP_JOINTS, tuple(range(24))])
def test_exact_maps_give_the_joints_back(joints: tuple[int, ...]) -> None:
    truth, drawer = person(bent()), DenseTruth(load_body(None), atlas(128, joints))
    votes = joint_votes(drawer.maps(truth), drawer.atlas)
    posed = drawer.posed(truth)
    true = (posed.joints - posed.joints[:, :1])[:, list(joints)]
    voted = votes.voters[0] > 0
    assert int(voted.sum()) >= min(len(joints), 20)
    off = MM * (votes.places - true).norm(dim=2)[0]
    assert float(off[voted].max()) < 5


def test_a_joint_whose_part_is_hidden_gets_no_votes_and_the_others_keep_theirs() -> None:
    parts = torch.ones(1, 64, 64)
    drawer = DenseTruth(load_body(None), atlas())
    everything = joint_votes(drawer.maps(person(bent())), drawer.atlas)
    parts[:, 40:] = 0
    votes = joint_votes(drawer.maps(person(bent(), parts)), drawer.atlas)
    ankles = [LSP_JOINTS.index(JOINT_NAMES.index(f"{side}_ankle")) for side in ("left", "right")]
    assert (votes.voters[0, ankles] == 0).all() and (everything.voters[0, ankles] > 0).all()
    elbow = LSP_JOINTS.index(JOINT_NAMES.index("left_elbow"))
    torch.testing.assert_close(votes.places[0, elbow], everything.places[0, elbow], atol=1e-4, rtol=0)


def test_what_is_warped_to_the_texture_comes_back() -> None:
    """Where each pixel is in the crop, carried to 128² texels and back: less than a pixel off."""
    maps = DenseTruth(load_body(None), atlas()).maps(person(bent()))
    row, column = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    places = torch.stack([column, row])[None]
    textured, counts = warp(places, maps, atlas())
    back = unwarp(textured, maps, atlas())
    visible = maps.person[0]
    off = (back - places).norm(dim=1)[0][visible]
    assert float(off.mean()) < 0.1 and float(off.max()) < 1.0
    assert int(counts.sum()) == int(visible.sum())
    assert not back[0, :, ~visible].any()


def test_the_atlas_is_symmetric_and_knows_its_joints() -> None:
    whole, rest = atlas(), load_body(None)
    inside, mirror = whole.inside, whole.mirror.flatten()
    points = whole.locations(rest.v_template[None].float()).flatten(2)[0].T
    reflected = points[mirror] * torch.tensor([-1.0, 1, 1])
    assert float((points - reflected)[inside.flatten()].norm(dim=1).median()) < 0.012
    swapped = torch.tensor(mirrored_joints(LSP_JOINTS))
    same = whole.joint.flatten()[mirror] == swapped[whole.joint.flatten()]
    assert float(same[inside.flatten()].float().mean()) > 0.97
    surface = whole.surface(whole.locations(rest.v_template[None].float()))[0]
    assert float(MM * (surface - rest.v_template).norm(dim=1).median()) < 8
    places, counts = whole.joint_means(whole.joint_map(torch.randn(2, 14, 3)), inside.expand(2, -1, -1))
    assert places.shape == (2, 14, 3) and (counts > 20).all()


def t_pose() -> tuple[UvMaps, Tensor]:
    """Exact maps of the T-pose on 64², and its joints' rotations."""
    body = load_body(None)
    joints = body.joint_regressor @ body.v_template
    vertices = (body.v_template - joints[0])[None].float()
    return posed_maps(vertices, (joints - joints[0])[None].float(), atlas(64)), torch.eye(3).repeat(1, 24, 1, 1)


def test_a_half_hidden_t_pose_is_completed_from_its_other_half() -> None:
    whole, rotations = t_pose()
    left = whole.locations[:, 0] > 0
    seen = UvMaps(*(each * left[:, None] for each in (whole.locations, whole.joints, whole.displacements)), left)
    thin = UvMaps(whole.joints, whole.joints, torch.zeros_like(whole.displacements), whole.known)
    completed = completed_by_symmetry(seen, thin, rotations, atlas(64))
    hidden = (~left & atlas(64).inside)[0]
    off = MM * (completed.locations - whole.locations).norm(dim=1)[0]
    assert float(off[~hidden].max()) < 1e-3
    assert float(off[hidden].median()) < 12 and float(off[hidden].mean()) < 20
    without = MM * (thin.locations - whole.locations).norm(dim=1)[0]
    assert float(without[hidden].median()) > 50


def test_hidden_displacements_turn_with_their_bones() -> None:
    """One arm is down, the other up: the hidden one is the mirror image of the seen one in its own bone's axes."""
    body, rotations = load_body(None), torch.eye(3).repeat(1, 24, 1, 1)
    rotations[0, JOINT_NAMES.index("left_shoulder")] = torch.linalg.matrix_exp(skew(torch.tensor([0, 0, -1.2])))
    rotations[0, JOINT_NAMES.index("right_shoulder")] = torch.linalg.matrix_exp(skew(torch.tensor([0, 0, -0.9])))
    posed = body.with_shape(torch.zeros(1, 10)).with_rotations(rotations)
    root = posed.joints[:, :1]
    whole = posed_maps(posed.vertices() - root, posed.joints - root, atlas(64))
    rest = atlas(64).locations(body.v_template[None].float())
    left = rest[:, 0] > 0
    seen = UvMaps(*(each * left[:, None] for each in (whole.locations, whole.joints, whole.displacements)), left)
    thin = UvMaps(whole.joints, whole.joints, torch.zeros_like(whole.displacements), whole.known)
    completed = completed_by_symmetry(seen, thin, posed.T_world_bone[..., :3, :3], atlas(64))
    forearm = (atlas(64).joint == LSP_JOINTS.index(JOINT_NAMES.index("right_elbow"))) & atlas(64).inside
    off = MM * (completed.locations - whole.locations).norm(dim=1)[0][forearm]
    # near the elbow the skin follows two bones
    assert float(off.median()) < 20


def test_an_untrained_network_gives_what_it_was_given() -> None:
    body, config = load_body(None), UvInpaintingConfig(width=(4, 4, 4))
    pair = AtlasPair(atlas(64), atlas(128))
    whole, _ = t_pose()
    network = UvInpaintingNetwork(5, config).eval()
    with torch.no_grad():
        result = network(torch.randn(1, 5, 64, 64), whole, whole, pair)
    begun = enlarged(whole, pair)
    torch.testing.assert_close(result.locations, begun.locations)
    assert result.locations.shape == (1, 3, 128, 128)
    surface = pair.fine.surface(result.locations)[0] + (body.joint_regressor @ body.v_template)[0]
    assert float(MM * (surface - body.v_template).norm(dim=1).median()) < 10
    network.out.bias.data[0] = 0.1
    moved = network(torch.randn(1, 5, 64, 64), whole, whole, pair)
    assert float((moved.joints - begun.joints)[0, 0][pair.fine.inside].mean()) == pytest.approx(0.1, abs=1e-5)
    assert not moved.locations[0, :, ~pair.fine.inside].any()


def test_the_network_reads_the_trunk() -> None:
    network = DenseMapNetwork(5, DenseMapConfig(width=(4, 6, 8))).eval()
    maps, features = network.read(torch.randn(2, 5, 64, 64))
    assert isinstance(maps, DenseMaps) and features.shape == (2, 4, 64, 64)
    assert maps.uv.min() >= 0 and maps.uv.max() <= 1
    assert maps.mask.shape == (2, 64, 64) and maps.displacements.shape == (2, 3, 64, 64)
    seen = warped(maps, atlas(64))
    assert seen.locations.shape == (2, 3, 64, 64)
    torch.testing.assert_close(seen.locations, seen.joints + seen.displacements)


def test_a_body_without_texture_is_named() -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match="free-body: has no texture coordinates"):
        UvAtlas.of(replace(load_body(None), uv=None), 16)
