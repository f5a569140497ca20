"""Training samples: what they say about themselves is worked out again, by other means, and compared."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
import torch

from kernels import raster
from kernels.raster_values import Intrinsics
from tests import ROOT
from tracker.body import BodyModel, load_body
from tracker.motion.sampler import PoseSampler
from tracker.synth.samples import Sample, SampleConfig, SampleFactory, stream
from tracker.synth.samples.factory import sample_betas
from tracker.synth.samples.paints import look_up

SMALL = SampleConfig(outfits=2, backgrounds=2)
SEEDS = range(10)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def factory(body: BodyModel) -> SampleFactory:
    return SampleFactory(SMALL, body, PoseSampler(None))


@pytest.fixture(scope="module")
def samples(factory: SampleFactory) -> list[Sample]:
    return [factory.sample(seed) for seed in SEEDS]


def test_parameters_give_the_joints(samples: list[Sample], body: BodyModel) -> None:
    for sample in samples:
        theta, betas, transl = (
            torch.tensor(v, dtype=torch.float64) for v in (sample.theta, sample.betas, sample.transl)
        )
        joints = body.to(torch.float64).with_shape(betas).with_pose(theta, transl).joints.numpy()
        np.testing.assert_allclose(sample.joints3d, joints, atol=1e-5)
        projected = joints @ sample.camera_matrix.T
        np.testing.assert_allclose(sample.joints2d, projected[:, :2] / projected[:, 2:], atol=0.05)


def naked_parts(sample: Sample, body: BodyModel) -> np.ndarray:
    """(256, 256) parts of the unclothed body, drawn from the sample's parameters."""
    theta, betas, transl = (torch.tensor(v, dtype=torch.float32) for v in (sample.theta, sample.betas, sample.transl))
    vertices = body.with_shape(betas).with_pose(theta, transl).vertices()
    k = sample.camera_matrix
    camera = Intrinsics(k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    faces = body.faces.int()
    face = raster.rasterize(vertices, faces, camera, (256, 256)).triangle.numpy()
    label = 1 + body.weights[body.faces].sum(dim=1).argmax(dim=1).numpy()
    return np.where(face >= 0, label[face], 0)


def test_part_maps_agree_with_the_naked_body(samples: list[Sample], body: BodyModel) -> None:
    """Clothes stand off by centimetres: most pixels agree, the silhouettes nearly all."""
    for sample in samples:
        naked = naked_parts(sample, body)
        both = (naked > 0) & (sample.parts_amodal > 0)
        assert both.sum() / (naked > 0).sum() > 0.95
        assert (naked > 0).sum() / (sample.parts_amodal > 0).sum() > 0.6
        assert (sample.parts_amodal[both] == naked[both]).mean() > 0.75


def test_what_is_hidden_is_neither_part_nor_visible_joint(samples: list[Sample]) -> None:
    for sample in samples:
        assert not sample.parts[sample.occluder].any()
        np.testing.assert_array_equal(sample.parts[~sample.occluder], sample.parts_amodal[~sample.occluder])
        for pixel, visible in zip(sample.joints2d, sample.joint_visible, strict=True):
            column, row = np.floor(pixel).astype(int)
            inside = 0 <= row < 256 and 0 <= column < 256
            assert visible == (inside and not sample.occluder[row, column])


def test_iuv_points_at_the_surface_that_is_seen(samples: list[Sample], body: BodyModel) -> None:
    """Looked up in the body's texture layout and posed, a pixel's place projects close to the pixel."""
    assert body.uv is not None and body.faces_uv is not None
    uv_of_vertex = np.zeros((len(body.v_template), 2))
    uv_of_vertex[body.faces.ravel().numpy()] = body.uv.numpy()[body.faces_uv.ravel().numpy()]
    for sample in samples:
        np.testing.assert_array_equal(sample.iuv[..., 0], sample.parts)
        rows, columns = np.nonzero(sample.parts)
        if not len(rows):
            continue
        pick = np.linspace(0, len(rows) - 1, 40).astype(int)
        theta, betas, transl = (torch.tensor(v).float() for v in (sample.theta, sample.betas, sample.transl))
        vertices = body.with_shape(betas).with_pose(theta, transl).vertices().numpy()
        projected = vertices @ sample.camera_matrix.T
        pixels = projected[:, :2] / projected[:, 2:]
        extent = np.ptp(sample.joints2d, axis=0).max()
        seen = sample.iuv[rows[pick], columns[pick], 1:] / 255
        nearest = np.linalg.norm(uv_of_vertex - seen[:, None], axis=2).argmin(axis=1)
        distance = np.linalg.norm(pixels[nearest] - np.stack([columns, rows], 1)[pick] - 0.5, axis=1)
        assert np.median(distance) < 0.05 * extent + 3


def test_samples_depend_on_config_and_seed_alone(samples: list[Sample], body: BodyModel) -> None:
    again = SampleFactory(SMALL, body, PoseSampler(None))
    for seed in (7, 2):  # in another order, with another stock behind
        for name in ("image", "theta", "parts", "occluder"):
            np.testing.assert_array_equal(getattr(again.sample(seed), name), getattr(samples[seed], name))
    other = SampleFactory(SampleConfig(outfits=2, backgrounds=2, seed=1), body, PoseSampler(None)).sample(2)
    assert (other.image != samples[2].image).any()


@pytest.mark.slow
def test_processes_give_the_same_samples_in_order(factory: SampleFactory, samples: list[Sample]) -> None:
    made = list(islice(stream(factory, count(), workers=2), 9))
    for one, other in zip(made, samples, strict=False):
        # to the bit where as many threads multiply matrices, which tests before this one may have changed
        assert np.abs(one.image.astype(int) - other.image).mean() < 0.2


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import os\nfrom itertools import count\nfrom tracker.synth.samples import stream\n"
        "class Maker:\n    def sample(self, seed):\n        return os.getpid()\n"
        "if __name__ == '__main__':\n    print(next(stream(Maker(), count(), 1)), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=ROOT, capture_output=True, text=True, check=False)
    worker = int(done.stdout)
    for _ in range(200):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{worker}/stat").exists() and Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z":
            return  # ended, and waits to be asked how by a process that does not ask
        time.sleep(0.1)
    pytest.fail("the worker outlives its parent")


def test_without_workers_the_stream_runs_here(factory: SampleFactory, samples: list[Sample]) -> None:
    made = next(stream(factory, [3], workers=0))
    np.testing.assert_array_equal(made.image, samples[3].image)


def test_far_numbers_have_other_clothes_and_do_not_change_the_near_ones(body: BodyModel) -> None:
    factory = SampleFactory(SampleConfig(outfits=1, backgrounds=1), body, PoseSampler(None))
    near = factory.sample(3)
    made = [factory.sample(seed).image for seed in (10_000, 50_000)]
    assert len({image.tobytes() for image in made}) == 2
    np.testing.assert_array_equal(factory.sample(3).image, near.image)


def test_about_as_much_is_hidden_as_was_asked_for(body: BodyModel) -> None:
    config = SampleConfig(outfits=1, backgrounds=1, occluded=1.0, webcam=0.0)
    shares = []
    factory = SampleFactory(config, body, PoseSampler(None))
    for sample in map(factory.sample, range(30)):
        there = sample.parts_amodal > 0
        shares.append((sample.occluder & there).sum() / max(there.sum(), 1))
    assert np.mean([0.05 < share < 0.75 for share in shares]) > 0.7


def test_nothing_hides_anybody_when_nothing_is_to(body: BodyModel) -> None:
    factory = SampleFactory(SampleConfig(outfits=1, backgrounds=1, occluded=0.0, lens=0.0), body, PoseSampler(None))
    for sample in map(factory.sample, range(4)):
        dark = ~sample.image.any(axis=2)
        assert dark[sample.occluder].all()  # only what lies outside of the frame, which is black


def test_a_texture_of_which_nothing_is_seen_can_be_looked_up() -> None:
    texture = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    assert look_up(texture, np.zeros((0, 2), np.float32)).shape == (0, 3)
    np.testing.assert_array_equal(look_up(texture, np.float32([[0.125, 0.875]])), texture[:1, 0])


def test_splits_share_no_shapes() -> None:
    train, held = SampleConfig(), SampleConfig(split="held_out")
    direction = np.eye(10)[[1, 3]].sum(axis=0) / np.sqrt(2)
    rng = np.random.default_rng(0)
    assert max(sample_betas(rng, train) @ direction for _ in range(200)) <= 1.0
    assert min(sample_betas(rng, held) @ direction for _ in range(50)) > 1.0


def test_bad_configs_name_the_value() -> None:
    with pytest.raises(ValueError, match=r"occluded.*1\.5"):
        SampleConfig(occluded=1.5)
    with pytest.raises(ValueError, match=r"split.*'test'"):
        SampleConfig(split="test")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hidden"):
        SampleConfig(hidden=(0.6, 0.1))
