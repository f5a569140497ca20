"""HKMR's head: which joint sees what, in which order, by cases that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from tracker.body import load_body
from tracker.body.model import PARENTS
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.core.arrays import NUM_JOINTS
from tracker.extract.feature_network import FeatureModel, FeatureNetwork, input_sizes, output_sizes
from tracker.networks.body_network import BodyNetwork, NetworkConfig
from tracker.networks.extractor import ExtractorConfig
from tracker.networks.guide import GUIDE_CHANNELS
from tracker.networks.kinematic_chains import CHAINS, ROOT_CHAIN, Chain, KinematicChainsConfig, KinematicChainsHead

SMALL = KinematicChainsConfig(channels=4, whole=8, embedding=6)
CAMERA = torch.tensor([[300.0, 300.0, 128.0, 128.0]])


def adding_chain(config: KinematicChainsConfig) -> Chain:
    """A chain of 4 joints in which each changes by 1 and by the changes that it sees."""
    chain = Chain(4, 3, 0, config)
    size = config.embedding
    with torch.no_grad():
        for layer in (*chain.forwards, *chain.backwards):
            layer.weight.zero_()
            layer.bias.fill_(1.0)
            for i in range((layer.in_features - size) // 3):
                layer.weight[:, size + 3 * i : size + 3 * i + 3] = torch.eye(3)
    return chain


def changes(config: KinematicChainsConfig) -> list[float]:
    known, theta = torch.zeros(1, 3 + 10), torch.zeros(1, 4, 3)
    turned = adding_chain(config)(known, theta)[0]
    assert torch.equal(turned, turned[:, :1].expand(4, 3))
    return turned[:, 0].tolist()


def test_every_joint_is_in_one_chain_behind_its_parent() -> None:
    assert sorted(joint for chain in CHAINS for joint in chain) == list(range(NUM_JOINTS))
    assert CHAINS[0] is ROOT_CHAIN
    for chain in CHAINS:
        for before, joint in zip((PARENTS[chain[0]], *chain), chain, strict=False):
            assert PARENTS[joint] == before
        assert PARENTS[chain[0]] in (-1, *ROOT_CHAIN)


def test_a_joint_sees_all_changes_before_it() -> None:
    assert changes(replace(SMALL, inner=1)) == [1, 2, 4, 8]


def test_the_way_back_begins_at_the_end() -> None:
    assert changes(replace(SMALL, inner=2)) == [1 + 8, 2 + 4, 4 + 2, 8 + 1]
    assert changes(replace(SMALL, inner=4)) == [18, 12, 12, 18]


def test_what_the_ablations_leave_out() -> None:
    assert changes(replace(SMALL, inner=1, hierarchy=False)) == [1, 2, 3, 4]
    assert changes(replace(SMALL, inner=2, backward=False)) == [2, 4, 8, 16]
    with pytest.raises(ValueError, match="inner, outer"):
        replace(SMALL, inner=0)


def test_a_passes_own_layers_get_the_gradient() -> None:
    """Of the first joint's change in a forward pass only its own layer, of the last one's all."""
    chain = Chain(4, 3, 0, replace(SMALL, inner=1))
    turned = chain(torch.randn(2, 13), torch.randn(2, 4, 3))
    for joint, reached in ((0, 1), (3, 4)):
        chain.zero_grad()
        turned[:, joint].sum().backward(retain_graph=True)
        touched = [layer.bias.grad is not None and bool(layer.bias.grad.any()) for layer in chain.forwards]
        assert touched == [True] * reached + [False] * (4 - reached)


def test_gradients_are_right() -> None:
    torch.manual_seed(0)
    chain = Chain(3, 2, 4, replace(SMALL, inner=3)).double()
    known, theta = torch.randn(1, 2 + 10 + 4).double(), torch.randn(1, 3, 3).double()
    assert torch.autograd.gradcheck(chain, (known.requires_grad_(), theta.requires_grad_()), atol=1e-7)


def guide(count: int = 1) -> dict[str, Tensor]:
    channels, side = GUIDE_CHANNELS["embedding"]
    return {
        "embedding": torch.randn(count, channels, side, side),
        "landmarks": torch.randn(count, 39, 5),
        "metric": torch.randn(count, 39, 3),
    }


def test_limbs_follow_the_trunk_and_not_the_other_way() -> None:
    torch.manual_seed(0)
    head = KinematicChainsHead(5, replace(SMALL, outer=1)).eval()
    (estimate,) = head.estimates(head.read(torch.randn(1, 5, 64, 64), guide()), CAMERA)
    for joints, number in ((CHAINS[0], 3), (CHAINS[2], 0)):
        head.zero_grad()
        estimate.rotations[:, list(joints)].square().mul(torch.randn(3, 3)).sum().backward(retain_graph=True)
        reached = any(bool(p.grad is not None and p.grad.any()) for p in head.chains[number].parameters())
        assert reached == (number == 0), "the root chain reaches the arm, the head's own chain does not reach the root"


def test_each_outer_iteration_gives_a_whole_person() -> None:
    torch.manual_seed(0)
    head = KinematicChainsHead(5, SMALL).eval()
    trunk, known = torch.randn(2, 5, 64, 64), guide(2)
    estimates = head.estimates(head.read(trunk, known), CAMERA.expand(2, 4))
    assert len(estimates) == 3
    for estimate in estimates:
        eye = estimate.rotations @ estimate.rotations.transpose(-1, -2)
        torch.testing.assert_close(eye, torch.eye(3).expand(2, 24, 3, 3), atol=1e-5, rtol=0)
        assert estimate.betas.shape == (2, 10) and (estimate.root[:, 2] > 0).all()
    assert torch.equal(head(trunk, known, CAMERA.expand(2, 4)).rotations, estimates[-1].rotations)
    assert not torch.equal(estimates[0].rotations, estimates[-1].rotations)


def test_the_first_guess_stands_upright_before_the_camera() -> None:
    head = KinematicChainsHead(5, SMALL).eval()
    with torch.no_grad():
        for chain in head.chains:
            for layer in (*chain.forwards, *chain.backwards):
                layer.weight.zero_()
    first = head(torch.randn(1, 5, 64, 64), guide(), CAMERA)
    up, front = first.rotations[0, 0, :, 1], first.rotations[0, 0, :, 2]
    torch.testing.assert_close(up, torch.tensor([0.0, -1, 0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(front, torch.tensor([0.0, 0, -1]), atol=1e-5, rtol=0)


def test_it_is_saved_read_and_run_like_any_head(tmp_path: Path) -> None:
    volume = BodyVolume.on(load_body(None), VolumeConfig(kernels=60, orientations=2, clutter=4))
    extractor = ExtractorConfig(width=(8, 8, 8, 8), stem=4, features=8)
    made = BodyNetwork(NetworkConfig(extractor, SMALL), volume).eval()
    made.save(tmp_path / "volume.safetensors", {})
    read = BodyNetwork.load(tmp_path / "volume.safetensors", load_body(None))
    assert read.config == made.config
    inputs = {name: torch.rand(1, *size) for name, size in input_sizes(read).items()}
    inputs["crops"] = (255 * inputs["crops"]).byte()
    with torch.no_grad():
        expected = FeatureNetwork(read).eval()(*inputs.values())
    model = FeatureModel(read, tmp_path / "volume.safetensors")
    model.export(tmp_path / "features.onnx", dynamic_batch=False)
    session = onnxruntime.InferenceSession(tmp_path / "features.onnx", providers=["CPUExecutionProvider"])
    given = {each.name: inputs[each.name].numpy() for each in session.get_inputs()}
    for name, value in zip(output_sizes(8), expected, strict=True):
        (output,) = session.run([name], given)
        np.testing.assert_allclose(output, value, atol=1e-4, rtol=1e-3, err_msg=name)
