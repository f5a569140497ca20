"""The picture is asked in an upright crop; what comes back is in the frame's own camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.body.test_volume import SMALL, random_guide, small_network
from tracker.body import BodyModel, load_body
from tracker.body.body_state import BodyState
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.crop import crop_transform, warp_crop
from tracker.core.detection import LandmarkCrop
from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.landmark_observation import LandmarkObservation
from tracker.core.person import Pose
from tracker.detect.candidate import in_frame
from tracker.detect.follow import OUTPUTS as LANDMARK_OUTPUTS
from tracker.detect.follow import NetworkFollower, Region
from tracker.extract.feature_extractor import OUTPUTS, WEIGHTS, FeatureExtractor
from tracker.extract.feature_network import FeatureModel, input_sizes, output_sizes, seen_by
from tracker.extract.whole_network import WholeModel
from tracker.fit.landmark_fitter import Belief, FitConfig, LandmarkFitter
from tracker.fit.volume_evidence import VolumeEvidence, turned_belief
from tracker.fit.volume_fitter import PoseBelief, VolumeFitConfig, VolumeFitter
from tracker.initialise.landmark_start import initial_state
from tracker.motion import PoseSampler
from tracker.networks.body_network import BodyNetwork
from tracker.networks.crop_network import landmarks_and_maps
from tracker.networks.extractor import ExtractorConfig, LiveExtractor
from tracker.networks.folded import FoldedExtractor
from tracker.networks.landmark_files import landmark_network_file
from tracker.networks.landmark_network import SIDE
from tracker.networks.resnet import ResNetConfig
from tracker.runtime.engine_config import EngineConfig
from tracker.synth.samples import Sample, SampleConfig, SampleFactory


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body(None)


@pytest.fixture(scope="module")
def rig(body: BodyModel) -> LandmarkRig:
    return LandmarkRig.from_body(body)


@pytest.fixture(scope="module")
def model(body: BodyModel, tmp_path_factory: pytest.TempPathFactory) -> FeatureModel:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    small_network(body).save(path, {})
    return FeatureModel(small_network(body).eval(), path)


@pytest.fixture(scope="module")
def paper(body: BodyModel) -> FeatureModel:
    torch.manual_seed(0)
    config = replace(SMALL, extractor=ResNetConfig(base=8, decoder=(16, 16, 16), features=8))
    network = BodyNetwork(config, BodyVolume.on(body, VolumeConfig(kernels=60, clutter=4)))
    return FeatureModel(network.eval(), Path("never read"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["model", "paper"])
def test_engines_compute_what_torch_computes(
    name: str, count: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The ONNX file, with a fixed and with a free batch."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model: FeatureModel = request.getfixturevalue(name)
    described = model.described(dynamic_batch=count > 1)
    path = tmp_path / "picture.onnx"
    model.export(path, dynamic_batch=count > 1)
    rng = np.random.default_rng(0)
    inputs = {name: rng.random((count, *size), dtype=np.float32) for name, size in input_sizes(model.network).items()}
    inputs["crops"] = (255 * inputs["crops"]).astype(np.uint8)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert {each.name for each in session.get_inputs()} == set(inputs)
    found = session.run(None, inputs)
    with torch.no_grad():
        truth = described.module()(*(torch.from_numpy(value) for value in inputs.values()))
    for name, value, expected in zip(output_sizes(8), found, truth, strict=True):
        assert value.shape == (count, *output_sizes(8)[name])
        scale = max(float(expected.abs().max()), 1.0)
        np.testing.assert_allclose(value, expected.numpy(), atol=1e-4 * scale, err_msg=name)


def test_what_is_seen_straight_ahead_is_placed_where_the_crop_is(model: FeatureModel) -> None:
    guide, camera = random_guide(1), np.array([310.0, 300.0, -40.0, 190.0])
    trunk = torch.randn(1, SMALL.extractor.width[0], 64, 64)
    straight = torch.full((1, 4), SIDE / 2)
    with torch.no_grad():
        ahead = model.network.head(trunk, guide, straight)
        there = model.network.head(trunk, guide, torch.from_numpy(camera[None]).float())
    rotation, root = seen_by(camera, ahead.rotations[0, 0].double().numpy(), ahead.root[0].double().numpy())
    np.testing.assert_allclose(rotation, there.rotations[0, 0], atol=1e-5)
    np.testing.assert_allclose(root, there.root[0], rtol=1e-4, atol=1e-4)
    assert torch.equal(ahead.rotations[:, 1:], there.rotations[:, 1:])


@pytest.mark.parametrize("config", [replace(SMALL.extractor, stem=0), replace(SMALL.extractor, guided=False)])
def test_folded_is_the_same_function(config: ExtractorConfig) -> None:
    torch.manual_seed(1)
    extractor = LiveExtractor(config)
    guide = random_guide(2)
    with torch.no_grad():
        for _ in range(3):  # so that the normalisations have something to undo
            extractor(torch.rand(2, 3, SIDE, SIDE), {name: 3 * each + 1 for name, each in guide.items()})
        crops = torch.rand(2, 3, SIDE, SIDE)
        whole, folded = extractor.eval()(crops, guide), FoldedExtractor(extractor)(crops, guide)
    assert whole.trunk.std() > 0.01
    torch.testing.assert_close(folded.trunk, whole.trunk, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(folded.features, whole.features, atol=2e-5, rtol=1e-5)


def test_a_belief_says_the_same_in_a_turned_camera(rig: LandmarkRig) -> None:
    rng = np.random.default_rng(2)
    theta = rng.normal(0, 0.4, (24, 3))
    state = BodyState.from_pose(Pose(theta[0], theta[1:].reshape(-1), rng.normal(size=10), np.array([0.2, -0.1, 3])))
    half = rng.normal(size=(85, 85))
    belief = PoseBelief(state, half @ half.T)
    roll = matrix_from_axis_angle(np.array([0, 0, 1.1]))
    turned = turned_belief(rig, belief, roll)

    step = 1e-4 * rng.normal(size=85)
    moved = state.moved(step)
    seen = moved.turned(roll, rig.root_at_rest(moved.betas))
    change = np.concatenate([step[:72], step[72:82], seen.transl - turned.state.transl])
    assert change @ turned.precision @ change == pytest.approx(step @ belief.precision @ step, rel=1e-6)
    # and the body stands in the same place, seen from the turned camera
    before = rig.pose(moved.rotations, moved.betas).joints + moved.transl
    after = rig.pose(seen.rotations, seen.betas).joints + seen.transl
    np.testing.assert_allclose(after, before @ roll.T, atol=1e-9)


class TestShippedWeights:
    """What ships, on people that it has not seen, in a frame that lies on its side."""

    @pytest.fixture(scope="class")
    def sample(self, body: BodyModel) -> Sample:
        config = SampleConfig(split="held_out", occluded=0.0, webcam=0.0, outfits=1, backgrounds=1, lens=0.3)
        return SampleFactory(config, body, PoseSampler(None)).sample(4)

    @pytest.fixture(scope="class")
    def network(self, body: BodyModel) -> BodyNetwork:
        return BodyNetwork.load(WEIGHTS, body)

    @pytest.fixture(scope="class")
    def extractor(self, network: BodyNetwork, rig: LandmarkRig) -> Iterator[FeatureExtractor]:
        pytest.importorskip("mediapipe")
        extractor = FeatureExtractor(FeatureModel(network, WEIGHTS), rig, EngineConfig())
        yield extractor
        extractor.close()

    @pytest.fixture(scope="class")
    def follower(self) -> Iterator[NetworkFollower]:
        pytest.importorskip("mediapipe")
        follower = NetworkFollower(EngineConfig(), landmarks_and_maps(landmark_network_file()))
        yield follower
        follower.close()

    @pytest.fixture(scope="class")
    def exact_follower(self) -> Iterator[NetworkFollower]:
        pytest.importorskip("mediapipe")
        config = EngineConfig(precision="float32")
        follower = NetworkFollower(config, landmarks_and_maps(landmark_network_file()))
        yield follower
        follower.close()

    @pytest.mark.slow
    def test_a_turned_frame_gives_the_turned_pose(
        self,
        rig: LandmarkRig,
        network: BodyNetwork,
        extractor: FeatureExtractor,
        follower: NetworkFollower,
        sample: Sample,
    ) -> None:
        k = sample.camera_matrix
        camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], SIDE, SIDE)
        fitter = VolumeFitter(network, VolumeFitConfig())
        points = rig.pose_from_theta(np.asarray(sample.theta).reshape(24, 3), sample.betas).points + sample.transl
        upright = VolumeEvidence(
            rig, fitter, extractor.extract([crop_of(follower, sample.image, camera.project(points))], camera)[0]
        )
        # the same picture, a quarter turned
        quarter = crop_transform(np.array([0.0, 0, SIDE, SIDE]), SIDE, SIDE, np.pi / 2)
        side_camera, roll = camera.turned_crop(quarter, SIDE)
        side_image = warp_crop(sample.image, quarter, SIDE, SIDE)
        lying = VolumeEvidence(
            rig,
            fitter,
            extractor.extract([crop_of(follower, side_image, side_camera.project(points @ roll.T))], side_camera)[0],
        )
        one, other = upright.proposal(), lying.proposal()
        back = other.turned(roll.T, rig.root_at_rest(other.betas))
        joints = [rig.pose(each.rotations, each.betas).joints + each.transl for each in (one, back)]
        assert np.linalg.norm(joints[0] - joints[1], axis=1).mean() < 0.05

    @pytest.mark.slow
    def test_the_picture_does_not_spoil_a_landmark_fit(
        self,
        rig: LandmarkRig,
        network: BodyNetwork,
        extractor: FeatureExtractor,
        follower: NetworkFollower,
        sample: Sample,
    ) -> None:
        k = sample.camera_matrix
        camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], SIDE, SIDE)
        theta = np.asarray(sample.theta).reshape(24, 3)
        truth = rig.pose_from_theta(theta, sample.betas)
        pixels = camera.project(truth.points + sample.transl)
        noise = np.random.default_rng(0).normal(size=(33, 2))
        seen = LandmarkObservation(
            camera, pixels + 2 * noise, truth.points - truth.points[[23, 24]].mean(0), np.ones(33)
        )
        fitter = LandmarkFitter(rig, JointPrior.anatomical(), FitConfig())
        found = fitter.fit(seen, Belief.stranger(), initial_state(rig, seen, np.zeros(10)), 30)
        (features,) = extractor.extract([crop_of(follower, sample.image, pixels)], camera)
        view = VolumeEvidence(rig, VolumeFitter(network, VolumeFitConfig()), features)
        refined = view.refine(found)
        assert refined.support is not None
        assert refined.support.shape == (24,)
        before, after = view.nll([found.state, refined.state])
        assert after < before
        away = refined.posed.joints - found.posed.joints
        assert np.linalg.norm(away - away[0], axis=1).mean() < 0.05
        far = replace(found.state, transl=found.state.transl + np.array([1.0, 0, 0]))
        assert view.nll([far])[0] > before

    def test_a_crop_of_another_landmark_network_is_shown_to_the_guide(
        self, extractor: FeatureExtractor, follower: NetworkFollower, sample: Sample
    ) -> None:
        k = sample.camera_matrix
        camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], SIDE, SIDE)
        crop = follower.follow(sample.image, [Region(np.full(2, SIDE / 2), SIDE, 0.0)])[0].crop
        others = replace(crop, maps={name: 0 * crop.maps[name] for name in LANDMARK_OUTPUTS if name != "mask"})
        (expected,) = extractor.extract([crop], camera)
        for found in extractor.extract([others, crop, others], camera):
            np.testing.assert_allclose(found.features.numpy(), expected.features.numpy(), atol=1e-4)
            np.testing.assert_allclose(found.regressed.rotations, expected.regressed.rotations, atol=1e-4)

    def test_the_guide_tells_its_landmarks_in_the_frame(
        self, extractor: FeatureExtractor, follower: NetworkFollower, sample: Sample
    ) -> None:
        k = sample.camera_matrix
        camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], SIDE, SIDE)
        (seen,) = follower.follow(sample.image, [Region(np.array([120.0, 130.0]), 1.2 * SIDE, 0.4)])
        (found,) = extractor.extract([replace(seen.crop, maps={})], camera)
        expected = in_frame(seen.reading, seen.crop.T_frame_crop, (SIDE, SIDE))
        assert found.second is not None
        assert extractor.extract([seen.crop], camera)[0].second is None
        np.testing.assert_allclose(found.second.landmarks2d, expected.landmarks2d, atol=1e-3)
        np.testing.assert_allclose(found.second.landmarks3d, expected.landmarks3d, atol=1e-5)
        np.testing.assert_allclose(found.second.visibility, expected.visibility, atol=1e-5)

    def test_mixed_precision_hardly_moves_landmarks(self, exact_follower: NetworkFollower, sample: Sample) -> None:
        region = Region(np.full(2, SIDE / 2), SIDE, 0.3)
        mixed = NetworkFollower(EngineConfig(precision="mixed"))
        (found,), (expected,) = (each.follow(sample.image, [region]) for each in (mixed, exact_follower))
        mixed.close()
        moved = np.linalg.norm(found.reading.landmarks2d - expected.reading.landmarks2d, axis=1)
        assert np.median(moved) < 0.5  # of 420 crops: 0.16 pixels in the median, 0.9 in one of a hundred landmarks
        apart = np.linalg.norm(found.reading.landmarks3d - expected.reading.landmarks3d, axis=1)
        assert np.median(apart) < 0.01

    def test_one_graph_of_two_landmark_networks_tells_what_both_see(
        self, rig: LandmarkRig, network: BodyNetwork, exact_follower: NetworkFollower, sample: Sample, tmp_path: Path
    ) -> None:
        k, other = sample.camera_matrix, tmp_path / "pose_landmark_other.tflite"
        other.write_bytes(landmark_network_file().read_bytes())
        camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], SIDE, SIDE)
        region = Region(np.full(2, SIDE / 2), SIDE, 0.3)
        (alone,) = exact_follower.follow(sample.image, [region])
        config = EngineConfig("torch", "cpu", precision="float32", one_graph=True)
        model = FeatureModel(network, WEIGHTS)
        whole = NetworkFollower(config, WholeModel(model, OUTPUTS, several=True).with_landmarks(other))
        (seen,) = whole.follow(sample.image, [region])
        whole.close()
        extractor = FeatureExtractor(model, rig, config)
        (found,) = extractor.extract([seen.crop], camera)
        assert "_engine" not in vars(extractor) and found.second is not None
        expected = in_frame(alone.reading, alone.crop.T_frame_crop, (SIDE, SIDE))
        np.testing.assert_allclose(found.second.landmarks2d, expected.landmarks2d, atol=0.02)
        np.testing.assert_allclose(found.second.landmarks3d, expected.landmarks3d, atol=1e-3)

    def test_one_graph_sees_what_two_see(
        self,
        rig: LandmarkRig,
        network: BodyNetwork,
        exact_follower: NetworkFollower,
        sample: Sample,
    ) -> None:
        k, file = sample.camera_matrix, landmark_network_file()
        camera = Camera(k[0, 0], k[1, 1], k[0, 2] + 90, k[1, 2] - 50, SIDE, SIDE)
        regions = [Region(np.array([x, SIDE / 2]), SIDE, 0.3) for x in (100.0, 128.0, 150.0)]
        in_two = exact_follower.follow(sample.image, regions)
        model = FeatureModel(network, WEIGHTS)
        two = FeatureExtractor(model, rig, EngineConfig("auto", "cpu", precision="float32"))
        expected = two.extract([each.crop for each in in_two], camera)
        two.close()
        for backend, several in (("auto", False), ("torch", True)):
            config = EngineConfig(backend, "cpu", precision="float32", one_graph=True, streams=2)
            whole = NetworkFollower(config, WholeModel(model, OUTPUTS, several).with_landmarks(file))
            in_one = whole.follow(sample.image, regions)
            whole.close()
            for one, other in zip(in_one, in_two, strict=True):
                np.testing.assert_allclose(one.reading.landmarks2d, other.reading.landmarks2d, atol=0.02)
            untouched = FeatureExtractor(model, rig, config)
            found = untouched.extract([each.crop for each in in_one], camera)
            assert "_engine" not in vars(untouched)
            for one, other in zip(found, expected, strict=True):
                assert float((one.features * other.features).sum(-1).mean()) > 0.999
                np.testing.assert_allclose(one.regressed.rotations, other.regressed.rotations, atol=0.02)
                np.testing.assert_allclose(one.regressed.transl, other.regressed.transl, atol=0.05)

    def test_several_people_keep_their_order(
        self, extractor: FeatureExtractor, follower: NetworkFollower, sample: Sample
    ) -> None:
        k = sample.camera_matrix
        camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], SIDE, SIDE)
        regions = [Region(np.full(2, SIDE / 2), side * SIDE, 0.0) for side in (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)]
        together = follower.follow(sample.image, regions)
        apart = [follower.follow(sample.image, [region])[0] for region in regions]
        for one, other in zip(together, apart, strict=True):
            np.testing.assert_allclose(one.reading.landmarks2d, other.reading.landmarks2d, atol=1e-3)
        crops = [each.crop for each in together]
        for one, crop in zip(extractor.extract(crops, camera), crops, strict=True):
            (other,) = extractor.extract([crop], camera)
            np.testing.assert_allclose(one.regressed.transl, other.regressed.transl, atol=1e-3)
        assert extractor.extract([], camera) == []

    def test_sixteen_bits_change_little(
        self, rig: LandmarkRig, network: BodyNetwork, follower: NetworkFollower, sample: Sample
    ) -> None:
        """What the tracker does where the processor computes in bfloat16."""
        from engines.openvino_engine import computes_in_bfloat16

        if not computes_in_bfloat16():
            pytest.skip("this CPU does not compute in bfloat16")
        (seen,) = follower.follow(sample.image, [Region(np.full(2, SIDE / 2), SIDE, 0.0)])
        k, model = sample.camera_matrix, FeatureModel(network, WEIGHTS)
        camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], SIDE, SIDE)
        answers = []
        for precision in ("float32", "bfloat16"):
            extractor = FeatureExtractor(model, rig, EngineConfig("openvino", "cpu", precision=precision))
            answers += extractor.extract([seen.crop], camera)
            extractor.close()
        cosine = (answers[0].features * answers[1].features).sum(-1)
        joints = [rig.pose(each.regressed.rotations, each.regressed.betas).joints for each in answers]
        assert 0.999 < cosine.median() < 1  # found: 0.99998; tracked joints move by 0.1 mm
        assert 1e3 * np.linalg.norm(joints[0] - joints[1], axis=1).mean() < 10  # the head alone; found: 2.7

    def test_weights_say_where_they_come_from(self) -> None:
        from tracker.core.tensor_file import load_tensors

        _, metadata = load_tensors(WEIGHTS, "weights")
        assert {"network", "volume", "body", "data", "commit", "made"} <= set(metadata)
        assert WEIGHTS.stat().st_size < 30e6


def crop_of(follower: NetworkFollower, image: NDArray[np.uint8], landmarks: Array) -> LandmarkCrop:
    """What the landmark network sees where these landmarks are."""
    (found,) = follower.follow(image, [Region.around(landmarks)])
    return found.crop


def test_missing_weights_are_named(body: BodyModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.safetensors"):
        BodyNetwork.load(tmp_path / "none.safetensors", body)


def test_configurations_differ_in_what_they_ask_of_the_picture() -> None:
    steps = {name: load_config(name).volume.steps for name in ("live", "accurate", "paper")}
    assert 0 < steps["live"] < steps["accurate"] < steps["paper"] == 80
    assert not load_config("fast").extract.enabled
