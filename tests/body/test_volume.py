"""The volume's layouts, and the one file that holds everything learned."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kernels import body_step
from tracker.body import BodyModel, load_body
from tracker.body.kinematics import LandmarkRig
from tracker.body.volume import LIMBS, BodyVolume, VolumeConfig, spread_over
from tracker.core.errors import InputError
from tracker.core.tensor_file import load_tensors, save_tensors
from tracker.networks.body_network import BodyNetwork, NetworkConfig
from tracker.networks.extractor import ExtractorConfig
from tracker.networks.part_attention import PartAttentionConfig
from tracker.networks.resnet import ResNetConfig, ResNetExtractor

SMALL = NetworkConfig(
    ExtractorConfig(width=(16, 16, 16, 16), stem=4, features=8), PartAttentionConfig(channels=8, whole=16)
)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body(None)


def small_network(body: BodyModel, kernels: int = 100) -> BodyNetwork:
    torch.manual_seed(0)
    return BodyNetwork(SMALL, BodyVolume.on(body, VolumeConfig(kernels=kernels, clutter=4)))


@pytest.mark.parametrize(("layout", "count"), [("surface", 858), ("skeleton", 439)])
def test_layouts_have_the_papers_numbers_of_kernels(body: BodyModel, layout: str, count: int) -> None:
    volume = BodyVolume.on(body, VolumeConfig(layout=layout))
    assert volume.count == count
    torch.testing.assert_close(volume.body.weights.sum(1), torch.ones(count + 33))
    assert (torch.linalg.eigvalsh(volume.body.precisions) > 0).all()
    assert set(volume.limb.tolist()) == set(range(len(LIMBS)))


def test_surface_kernels_lie_on_the_skin_and_skeleton_kernels_inside(body: BodyModel) -> None:
    vertices = body.v_template
    surface = BodyVolume.on(body, VolumeConfig()).body
    assert float(torch.cdist(surface.points[:858], vertices).amin(1).max()) < 2e-3  # cdist's own accuracy
    skeleton = BodyVolume.on(body, VolumeConfig(layout="skeleton")).body
    depth = torch.cdist(skeleton.points[:439], vertices).amin(1)
    assert 0.02 < float(depth.median()) < 0.15


def test_joints_are_the_same_in_any_number_of_threads(body: BodyModel) -> None:
    config, count = VolumeConfig(layout="surface"), torch.get_num_threads()
    volumes = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            volumes.append(BodyVolume.on(body, config).body)
    finally:
        torch.set_num_threads(count)
    for name in ("joints", "joint_dirs"):
        one, *more = (getattr(each, name) for each in volumes)
        assert all(torch.equal(one, each) for each in more), name


def test_posed_kernels_follow_the_body(body: BodyModel) -> None:
    volume = BodyVolume.on(body, VolumeConfig())
    rng = np.random.default_rng(3)
    theta, betas = rng.normal(0, 0.3, (24, 3)), rng.normal(0, 1, 10)
    parameters = np.concatenate([theta.reshape(-1), betas, [0.1, -0.2, 3.0]])
    posed = body_step.pose(volume.body, torch.from_numpy(parameters).float()[None])
    landmarks = LandmarkRig.from_body(body).pose_from_theta(theta, betas).points + parameters[-3:]
    away = np.linalg.norm(posed.points[0, volume.count :].numpy() - landmarks, axis=1)
    assert np.median(away) < 1e-4
    assert away.max() < 0.01  # a landmark between bones is one skinned point here, and a mixture in the fit
    shaped = body.with_shape(torch.from_numpy(betas).float()).with_pose(torch.from_numpy(theta).float())
    skin = shaped.vertices() + torch.from_numpy(parameters[-3:]).float()
    off = torch.cdist(posed.points[0, : volume.count], skin).amin(1)
    assert float(off.median()) < 0.005  # the body's pose correctives are not the volume's


def test_fewer_keypoints_keep_the_kernels(body: BodyModel) -> None:
    volume = BodyVolume.on(body, VolumeConfig(kernels=60))
    two = volume.with_keypoints(torch.tensor([0, 16]))
    assert two.body.points.shape[0] == 62
    torch.testing.assert_close(two.body.points[-1], volume.body.points[60 + 16])


def test_points_are_spread_evenly_and_always_the_same() -> None:
    points = np.random.default_rng(0).normal(size=(500, 3))
    chosen = spread_over(points, 50)
    assert len(set(chosen.tolist())) == 50
    np.testing.assert_array_equal(chosen, spread_over(points, 50))
    with pytest.raises(InputError, match="600 kernels do not fit on a body of 500"):
        spread_over(points, 600)


def test_impossible_volumes_are_refused() -> None:
    with pytest.raises(InputError, match="layout 'cloud'"):
        VolumeConfig(layout="cloud")
    with pytest.raises(InputError, match="at least"):
        VolumeConfig(orientations=0)


def test_saved_weights_come_back(body: BodyModel, tmp_path: Path) -> None:
    network = small_network(body)
    path = tmp_path / "weights.safetensors"
    network.save(path, {"data": "made up"})
    again = BodyNetwork.load(path, body)
    assert again.config == SMALL
    assert again.volume.config == network.volume.config
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name], atol=1e-2, rtol=1e-2)
    assert load_tensors(path, "weights")[1]["data"] == "made up"


def test_damaged_and_foreign_weights_are_refused_with_their_name(body: BodyModel, tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    small_network(body).save(whole, {})
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(whole.read_bytes()[:-1000])
    pickled = tmp_path / "pickled.safetensors"
    pickled.write_bytes(pickle.dumps({"bank": np.zeros(3)}))
    tensors, metadata = load_tensors(whole, "weights")
    foreign = tmp_path / "foreign.safetensors"
    save_tensors(foreign, {name: value for name, value in tensors.items() if name != "bank"}, metadata)
    other = tmp_path / "other.safetensors"
    save_tensors(other, tensors, {**metadata, "volume": {**metadata["volume"], "kernels": 120}})
    plain = tmp_path / "plain.safetensors"
    save_tensors(plain, tensors, {})
    for path in (broken, pickled, foreign, other, plain, tmp_path / "missing.safetensors"):
        with pytest.raises(InputError, match=path.name):
            BodyNetwork.load(path, body)


def test_weights_of_another_body_are_refused(body: BodyModel, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    small_network(body).save(path, {})
    with pytest.raises(InputError, match=r"surface of free-body, not of somebody.*enabled: false"):
        BodyNetwork.load(path, replace(body, name="somebody"))


def test_networks_give_what_they_say(body: BodyModel) -> None:
    network = small_network(body).eval()
    image, guide = torch.rand(2, 3, 256, 256), random_guide(2)
    seen = network.extractor(image, guide)
    assert seen.features.shape == (2, 8, 64, 64)
    torch.testing.assert_close(seen.features.norm(dim=1), torch.ones(2, 64, 64))
    first = network.head(seen.trunk, guide, torch.tensor([[400.0, 400.0, 128.0, 128.0]] * 2))
    assert first.parts.shape == (2, 25, 64, 64)
    identity = torch.eye(3).expand(2, 24, 3, 3)
    torch.testing.assert_close(first.rotations @ first.rotations.transpose(2, 3), identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(first.rotations), torch.ones(2, 24))


def test_without_a_guide_the_maps_say_nothing(body: BodyModel) -> None:
    config = replace(SMALL, extractor=replace(SMALL.extractor, guided=False))
    network = BodyNetwork(config, BodyVolume.on(body, VolumeConfig(kernels=60))).eval()
    image = torch.rand(1, 3, 256, 256)
    one, other = (network.extractor(image, random_guide(1)).features for _ in range(2))
    torch.testing.assert_close(one, other)


def test_the_papers_extractor_sees_the_picture_alone(body: BodyModel, tmp_path: Path) -> None:
    config = replace(SMALL, extractor=ResNetConfig(base=8, decoder=(16, 16, 16), features=8))
    network = BodyNetwork(config, BodyVolume.on(body, VolumeConfig(kernels=60, clutter=4))).eval()
    image = torch.rand(1, 3, 256, 256)
    seen, other = (network.extractor(image, random_guide(1)) for _ in range(2))
    assert seen.features.shape == (1, 8, 64, 64)
    assert seen.trunk.shape[1] == config.extractor.trunk
    torch.testing.assert_close(seen.features, other.features)
    torch.testing.assert_close(seen.features.norm(dim=1), torch.ones(1, 64, 64))
    moved = network.extractor(image.roll(16, dims=3), random_guide(1)).features
    assert not torch.allclose(moved, seen.features)
    network.save(tmp_path / "paper.safetensors", {})
    assert BodyNetwork.load(tmp_path / "paper.safetensors", body).config == config


def test_a_resnet_50_has_its_number_of_weights() -> None:
    stages = ResNetExtractor(ResNetConfig()).stages
    # 25.6 million less the classifier's 2.05 and the stem's 0.01 (He et al. 2016; torchvision's listing)
    assert sum(value.numel() for value in stages.parameters()) == pytest.approx(23.5e6, rel=0.01)


def random_guide(count: int) -> dict[str, torch.Tensor]:
    from tracker.networks.guide import GUIDE_CHANNELS

    maps = {name: torch.randn(count, size, side, side) for name, (size, side) in GUIDE_CHANNELS.items()}
    return {**maps, "landmarks": torch.randn(count, 39, 5), "metric": torch.randn(count, 39, 3)}
