"""Training of heads on cached features: the losses by hand, features made once, a fit that teaches."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.core.errors import InputError
from tracker.fit.volume_fitter import VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import BodyNetwork, NetworkConfig
from tracker.networks.extractor import ExtractorConfig
from tracker.networks.guide import GUIDE_CHANNELS
from tracker.networks.head import RegressedPose
from tracker.networks.kinematic_chains import KinematicChainsConfig, KinematicChainsHead
from tracker.networks.part_attention import PartAttentionConfig
from tracker.networks.pose_vae import PoseVae
from tracker.training.feature_cache import FeatureCache, HeadExamples
from tracker.training.fit_memory import FitMemory
from tracker.training.head_losses import HeadLosses, TruePeople, projection_distance
from tracker.training.job import TrainingJob
from tracker.training.people import Example
from tracker.training.train_head import HeadTrainer, HeadTraining, Readings, estimates_of, train, with_head

CAMERA = torch.tensor([[300.0, 300.0, 128.0, 128.0]])


def network() -> BodyNetwork:
    torch.manual_seed(0)
    volume = BodyVolume.on(load_body(None), VolumeConfig(kernels=60, orientations=2, clutter=4))
    extractor = ExtractorConfig(width=(8, 8, 8, 8), stem=4, features=8)
    return BodyNetwork(NetworkConfig(extractor, PartAttentionConfig(4, 8)), volume).eval()


def standing(count: int = 1) -> TruePeople:
    rotations = torch.eye(3).repeat(count, NUM_JOINTS, 1, 1)
    rotations[:, 0] = torch.diag(torch.tensor([1.0, -1, -1]))
    root, ones = torch.tensor([[0.0, 0, 3]]).expand(count, 3), torch.ones(count)
    parts = torch.zeros(count, 64, 64)
    return TruePeople(rotations, torch.zeros(count, 10), root, CAMERA.expand(count, 4), parts, ones, ones)


def estimate(truth: TruePeople, **changed: torch.Tensor) -> RegressedPose:
    parts = torch.zeros(len(truth.root), 25, 64, 64)
    return replace(RegressedPose(truth.rotations, truth.betas, truth.root, parts), **changed)


def test_losses_by_hand() -> None:
    losses, truth = HeadLosses(load_body(None), PoseVae.load()), standing()
    exact = losses([estimate(truth)], truth)
    for name in ("joints", "pose", "shape", "projection", "depth"):
        assert float(exact[name]) == pytest.approx(0, abs=1e-6), name
    assert float(exact["parts"]) == pytest.approx(math.log(25), rel=1e-5)
    assert float(exact["prior"]) > 0
    farther = losses([estimate(truth, root=2 * truth.root)], truth)
    assert float(farther["depth"]) == pytest.approx(math.log(2), rel=1e-5)
    assert float(farther["joints"]) == pytest.approx(0, abs=1e-6)
    turned = truth.rotations.clone()
    turned[:, 18] = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # an elbow by 90°
    bent = losses([estimate(truth, rotations=turned)], truth)
    assert float(bent["pose"]) == pytest.approx(4 / NUM_JOINTS, rel=1e-5)
    rest = losses.rest(truth.betas)[0]
    arm = (rest[[20, 22]] - rest[18]).abs()  # what moves, by |x| + |y| of its way around the elbow
    lengths = rest[[20, 22], :2] - rest[18, :2]
    expected = sum(abs(-y - x) + abs(x - y) for x, y in lengths.tolist()) / (3 * NUM_JOINTS)
    assert arm.sum() > 0.3 and float(bent["joints"]) == pytest.approx(expected, rel=1e-4)


def test_every_outer_iteration_is_taught() -> None:
    losses, truth = HeadLosses(load_body(None), PoseVae.load()), standing()
    bad = estimate(truth, betas=truth.betas + 2)
    assert float(losses([bad], truth)["shape"]) == pytest.approx(4)
    assert float(losses([bad, estimate(truth), bad], truth)["shape"]) == pytest.approx(8)


def test_what_is_not_trusted_teaches_where_joints_are_seen_and_no_pose() -> None:
    losses, truth = HeadLosses(load_body(None), PoseVae.load()), standing()
    none = replace(truth, trusted=torch.zeros(1), shape_trusted=torch.zeros(1))
    off = losses([estimate(truth, betas=truth.betas + 2, root=truth.root + 0.5)], none)
    assert float(off["pose"]) == float(off["joints"]) == float(off["shape"]) == 0
    assert float(off["projection"]) > 0.1


def test_projections_are_compared_along_both_axes() -> None:
    truth = torch.tensor([[[0.0, 0, 2]]])
    moved = torch.tensor([[[0.1, -0.2, 2]]])
    assert float(projection_distance(moved, truth, CAMERA)) == pytest.approx((15 + 30) / 128, rel=1e-5)
    behind = torch.tensor([[[1.0, 0, -3]]])
    assert float(projection_distance(behind, truth, CAMERA)) == pytest.approx(4.0)


class Drawn:
    """Random crops of people in the same pose, each made when it is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def sample(self, seed: int) -> Example:
        self.asked.append(seed)
        rng = np.random.default_rng(seed)
        sizes = {name: (size, side, side) for name, (size, side) in GUIDE_CHANNELS.items()}
        guide = {name: rng.normal(size=size).astype(np.float16) for name, size in sizes.items()}
        guide |= {"landmarks": rng.normal(size=(39, 5)).astype(np.float16)}
        guide |= {"metric": rng.normal(size=(39, 3)).astype(np.float16)}
        theta = np.zeros((NUM_JOINTS, 3), np.float32)
        theta[0, 0] = np.pi
        one = np.asarray(1.0, np.float32)
        return Example(
            rng.integers(0, 255, (256, 256, 3), np.uint8), guide, rng.integers(0, 25, (64, 64)).astype(np.uint8),
            np.asarray(True), theta, np.zeros(NUM_BETAS, np.float32), np.array([0, 0.2, 3], np.float32),
            CAMERA[0].numpy(), one, one,
        )  # fmt: skip


def test_features_are_made_once_and_by_a_frozen_extractor(tmp_path: Path) -> None:
    base, body, source = network(), load_body(None), Drawn()
    cache = FeatureCache(tmp_path, 5, base, "these", body)
    cache.fill(source, workers=0)
    again = FeatureCache(tmp_path, 5, base, "these", body)
    again.fill(source, workers=0)
    assert source.asked == [0, 1, 2, 3, 4] and again.made == 5
    examples = again.rows(np.array([1, 4]))
    assert examples.trunk.shape == (2, 8, 64, 64) and examples.guide["metric"].shape == (2, 39, 3)
    torch.testing.assert_close(examples.features.norm(dim=1), torch.ones(2, 64, 64), atol=2e-3, rtol=0)
    rig = LandmarkRig.from_body(body)
    root = torch.tensor([0, 0.2, 3]) + torch.from_numpy(rig.root_at_rest(np.zeros(10))).float()
    torch.testing.assert_close(examples.truth.root[0], root, atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="features of other examples"):
        FeatureCache(tmp_path, 5, base, "others", body)


def test_a_better_fit_takes_the_place_of_a_worse_one() -> None:
    """The features are the volume's own, rendered in the true pose: fits from near it explain them best."""
    base, rig = network(), LandmarkRig.from_body(load_body(None))
    fitter = VolumeFitter(base, VolumeFitConfig(steps=6, likelihood_weight=0.3, stride=1))
    memory, truth = FitMemory(fitter, rig, 0.5), standing()
    true = BodyState(
        truth.rotations[0].double().numpy(), np.zeros(10), np.array([0, 0, 3.0]) - rig.root_at_rest(np.zeros(10))
    )
    drawn = fitter.rendered(CAMERA[0].double().numpy() / 4, true)
    bare = (drawn.norm(dim=-1, keepdim=True) == 0) * base.unit_clutter()[0]
    features = (drawn + bare).permute(2, 0, 1)[None].detach()
    examples = HeadExamples(np.array([7]), torch.zeros(1, 8, 64, 64), features, {}, truth)
    unsure = np.array([True])
    untaught = memory.taught(examples, unsure)
    assert float(untaught.trusted) == 0
    memory.learn(examples, estimate(truth, root=truth.root + torch.tensor([[0.15, 0.0, 0]])), np.array([0]))
    first = memory.taught(examples, unsure).root
    memory.learn(examples, estimate(truth), np.array([0]))
    second = memory.taught(examples, unsure).root
    memory.learn(examples, estimate(truth, root=truth.root + torch.tensor([[0.3, 0.0, 0]])), np.array([0]))
    assert torch.equal(memory.taught(examples, unsure).root, second)
    assert abs(float(second[0, 0])) < 0.02 and abs(float(first[0, 0])) > 0.05
    assert float(memory.taught(examples, unsure).trusted) == 0.5
    assert torch.equal(memory.taught(examples, np.array([False])).root, truth.root)


def test_a_new_head_leaves_extractor_and_volume_alone() -> None:
    base = network()
    changed = with_head(base, KinematicChainsConfig(4, 8, 6))
    assert isinstance(changed.head, KinematicChainsHead)
    assert {name.split(".")[0] for name, p in changed.named_parameters() if p.requires_grad} == {"head"}
    assert changed.bank is base.bank


def test_a_frozen_reader_is_read_once_and_gives_the_same(tmp_path: Path) -> None:
    """The regressor learns from what the reader made of the examples beforehand as it would from the maps."""
    base, body = network(), load_body(None)
    config = KinematicChainsConfig(4, 8, 6, inner=2, outer=2)
    changed = with_head(base, config, frozen_reader=True).eval()
    assert torch.equal(changed.head.pose.weight, base.head.pose.weight)
    learned = {name.split(".")[1] for name, p in changed.named_parameters() if p.requires_grad}
    assert learned == {"chains", "shape", "place"}
    cache = FeatureCache(tmp_path, 4, base, "these", body)
    cache.fill(Drawn(), workers=0)
    rows = np.array([1, 3])
    whole, bare = cache.rows(rows), cache.rows(rows, maps=False)
    known = Readings(changed, "cpu").of(cache, bare)
    for one, other in zip(estimates_of(changed, whole), estimates_of(changed, bare, known), strict=True):
        torch.testing.assert_close(one.rotations, other.rotations, atol=1e-5, rtol=1e-5)
    assert "parts" not in HeadLosses(body, PoseVae.load())(estimates_of(changed, bare, known), bare.truth)
    with pytest.raises(InputError, match="frozen_reader: the head of the weights has another reader"):
        with_head(base, KinematicChainsConfig(6, 8, 6), frozen_reader=True)


@pytest.mark.slow
def test_it_trains_goes_on_and_writes_a_network(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    base = network()
    base.save(tmp_path / "base.safetensors", {})
    values = {
        "head": {"inner": 2, "outer": 2, "channels": 4, "whole": 8, "embedding": 6},
        "examples": {
            "weights": str(tmp_path / "base.safetensors"),
            "samples": {"outfits": 1, "backgrounds": 1},
            "count": 4,
            "held_out": 2,
        },
        "course": {"steps": 6, "batch": 2},
        "fits": {"unlabelled": 0.5, "share": 1.0, "steps": 1},
    }
    job = TrainingJob("tiny", "head", values, tmp_path / "out", "cpu", workers=0)
    trainer = HeadTrainer(job, job.settings(HeadTraining), load_body(None))
    for _ in range(3):
        trainer.training.advance(trainer.cache, trainer.loss_of, trainer.settings.losses)
    assert len(trainer.fits) >= 1
    trainer.training.save()
    report = train(job)
    assert report.startswith("trained 6 steps")
    read = BodyNetwork.load(tmp_path / "out" / "head.safetensors", load_body(None))
    assert isinstance(read.head, KinematicChainsHead) and read.config.head.outer == 2
    for name, value in base.extractor.state_dict().items():
        torch.testing.assert_close(read.extractor.state_dict()[name], value, atol=2e-3, rtol=2e-3)
