"""Training of the volume: it learns, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import cv2
import pytest
import torch

from tracker.body import load_body
from tracker.core.errors import InputError, RunError
from tracker.core.tensor_file import load_tensors
from tracker.networks.body_network import BodyNetwork
from tracker.networks.guide import BatchGuide
from tracker.networks.local_extractor import LocalExtractor
from tracker.training import train_volume
from tracker.training.job import TrainingJob
from tracker.training.loop import Learner, load_checkpoint, save_checkpoint
from tracker.training.parallel import Ranks
from tracker.training.people import Batch
from tracker.training.threads import threads
from tracker.training.volume_config import VolumeTraining

VALUES = {
    "network": {"extractor": {"width": [8, 8, 8, 8], "stem": 4, "features": 8}, "head": {"channels": 8, "whole": 16}},
    "volume": {"kernels": 60, "clutter": 4},
    "samples": {"outfits": 1, "backgrounds": 1},
    "steps": 4,
    "batch": 2,
    "reservoir": 4,
    "validation": 2,
    "save_seconds": 0.0,
}


def job(out: Path, **changed: object) -> TrainingJob:
    return TrainingJob("tiny", "volume", {**VALUES, **changed}, out, "cpu", workers=0)


def curves(out: Path) -> list[dict[str, str]]:
    with (out / train_volume.CURVES).open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threads(1):  # the matrices are small
        yield


@pytest.fixture
def every_step_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_volume, "_TELL_EVERY", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("every_step_told")
def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mediapipe")
    train_volume.train(job(tmp_path / "whole"))

    advance, steps = train_volume.VolumeTrainer.advance, count()

    def killed(self: train_volume.VolumeTrainer, batch: Batch) -> dict[str, float]:
        if next(steps) == 2:
            raise KeyboardInterrupt
        return advance(self, batch)

    monkeypatch.setattr(train_volume.VolumeTrainer, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        train_volume.train(job(tmp_path / "killed"))
    monkeypatch.setattr(train_volume.VolumeTrainer, "advance", advance)
    train_volume.train(job(tmp_path / "killed"))

    assert curves(tmp_path / "killed") == curves(tmp_path / "whole")
    (one, metadata), (other, _) = (
        load_tensors(tmp_path / name / "volume.safetensors", "weights") for name in ("whole", "killed")
    )
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=0, msg=name)
    assert metadata["steps"] == 4
    assert "synthetic people" in metadata["data"]
    BodyNetwork.load(tmp_path / "whole" / "volume.safetensors", load_body(None))
    sheet = cv2.imread(str(tmp_path / "whole" / train_volume.SHEET))
    assert sheet.shape == (2 * 128, 6 * 128, 3)
    assert (tmp_path / "whole" / train_volume.VALIDATION).read_text() == (
        tmp_path / "killed" / train_volume.VALIDATION
    ).read_text()


@pytest.mark.slow
def test_the_features_learn_to_tell_kernels_apart(tmp_path: Path) -> None:
    """The same sample again and again: the losses must fall."""
    pytest.importorskip("mediapipe")
    settings = job(tmp_path).settings(VolumeTraining)
    run = train_volume.VolumeTrainer(job(tmp_path), replace(settings, learning_rate=3e-3, steps=60), load_body(None))
    batch = Batch.of([run.material.source().sample(0)] * 2)
    before = run.advance(batch)
    for _ in range(40):
        after = run.advance(batch)
    for name in ("contrast", "parts", "joints"):
        assert after[name] < 0.97 * before[name], name


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    body = load_body(None)
    settings = job(tmp_path).settings(VolumeTraining)
    train_volume.VolumeTrainer(job(tmp_path), settings, body).save()
    other = job(tmp_path, volume={"kernels": 70, "clutter": 4})
    with pytest.raises(InputError, match=r"checkpoint\.safetensors.*another configuration"):
        train_volume.VolumeTrainer(other, other.settings(VolumeTraining), body)
    (tmp_path / train_volume.CHECKPOINT).write_bytes(b"not at all")
    with pytest.raises(InputError, match=r"checkpoint\.safetensors"):
        train_volume.VolumeTrainer(job(tmp_path), settings, body)


def test_a_diverged_loss_ends_the_training(tmp_path: Path) -> None:
    settings = job(tmp_path).settings(VolumeTraining)
    run = train_volume.VolumeTrainer(job(tmp_path), settings, load_body(None))
    run.losses = lambda batch, rng: {"contrast": torch.tensor(float("nan"), requires_grad=True)}  # type: ignore
    with pytest.raises(RunError, match="nan at step 0; lower learning_rate"):
        run.advance(None)  # type: ignore[arg-type]


def test_unknown_settings_and_finished_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kernel_count"):
        job(tmp_path, volume={"kernel_count": 3}).settings(VolumeTraining)
    (tmp_path / "volume.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="--overwrite"):
        train_volume.train(job(tmp_path))


@pytest.mark.slow
def test_half_precision_sees_nearly_the_same_and_learns(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    body, example = load_body(None), None
    first: dict[str, dict[str, float]] = {}
    for precision in ("fp32", "bf16"):
        settings = replace(job(tmp_path).settings(VolumeTraining), learning_rate=3e-3, steps=60, precision=precision)
        torch.manual_seed(0)
        run = train_volume.VolumeTrainer(job(tmp_path / precision), settings, body)
        example = example or run.material.source().sample(0)
        batch = Batch.of([example] * 2)
        first[precision] = run.advance(batch)
        for _ in range(20):
            last = run.advance(batch)
        assert last["contrast"] < 0.99 * first[precision]["contrast"]
        assert {p.dtype for p in run.network.parameters()} == {torch.float32}
    assert first["bf16"] == pytest.approx(first["fp32"], rel=0.02, abs=0.01)
    assert first["bf16"] != first["fp32"]


def test_a_precision_that_the_device_does_not_have_is_named(tmp_path: Path) -> None:
    settings = job(tmp_path, precision="fp16").settings(VolumeTraining)
    with pytest.raises(InputError, match="precision: fp16 needs --device cuda"):
        train_volume.VolumeTrainer(job(tmp_path), settings, load_body(None))
    with pytest.raises(InputError, match="precision"):
        job(tmp_path, precision="fp8").settings(VolumeTraining)


def test_a_checkpoint_keeps_the_gradients_scale(tmp_path: Path) -> None:
    def learner() -> Learner:
        module = torch.nn.Linear(2, 1)
        return Learner(module, torch.optim.Adam(module.parameters()), torch.amp.GradScaler("cpu", init_scale=512.0))

    saved, again = learner(), learner()
    saved.scaler.scale(saved.module(torch.ones(1, 2)).sum()).backward()
    saved.scaler.step(saved.optimizer)
    saved.scaler.update(128.0)
    save_checkpoint(tmp_path / "state.safetensors", saved, (7, 1.5))
    assert load_checkpoint(tmp_path / "state.safetensors", again) == (7, 1.5)
    assert again.scaler.get_scale() == 128.0
    torch.testing.assert_close(again.module.weight, saved.module.weight)


class OnGpu(Ranks):
    """A CPU that is fed as a GPU is."""

    @property
    def on_gpu(self) -> bool:
        return True


@pytest.mark.slow
def test_a_gpu_makes_its_guides_itself_and_they_are_the_same(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    settings = replace(job(tmp_path).settings(VolumeTraining), steps=1, validation=0)
    first = train_volume.VolumeTrainer(job(tmp_path / "cpu"), settings, load_body(None), Ranks("cpu"))
    other = train_volume.VolumeTrainer(job(tmp_path / "gpu"), settings, load_body(None), OnGpu("cpu"))
    sent, bare = (trainer.material.source().sample(3) for trainer in (first, other))
    assert sent.guide and not bare.guide
    by_worker, by_batch = Batch.of([sent]).guide, Batch.of([bare], guide_maker=BatchGuide("cpu")).guide
    assert set(by_batch) == set(by_worker)
    for name, value in by_worker.items():
        scale = float(value.std())
        torch.testing.assert_close(by_batch[name], value, rtol=0, atol=0.02 * scale, msg=name)
    other.go_on()
    assert other.step == 1


@pytest.mark.usefixtures("every_step_told")
def test_features_alone_are_trained_where_that_is_asked_for(tmp_path: Path) -> None:
    """From the head and the volume of other weights, which stay as they are."""
    small = {"width": [8, 8, 8, 8], "stem": 4, "features": 16}
    first = job(tmp_path / "first", network={"extractor": small, "head": {"channels": 8, "whole": 16}})
    train_volume.train(first)
    local = {"context": small, "stem": 8, "width": [8, 8, 8], "out": 8, "features": 16}
    second = job(
        tmp_path / "second",
        network={"extractor": local, "head": {"channels": 8, "whole": 16}},
        start_from=str(tmp_path / "first" / "volume.safetensors"),
        features_only=True,
        rivals=2,
        fitted_rivals=1,
    )
    train_volume.train(second)
    one, other = (
        BodyNetwork.load(tmp_path / name / "volume.safetensors", load_body(None)) for name in ("first", "second")
    )
    assert isinstance(other.extractor, LocalExtractor)
    for before, after in zip(one.head.parameters(), other.head.parameters(), strict=True):
        assert torch.equal(before, after)
    assert not torch.equal(one.bank, other.bank)
    assert {"contrast", "clutter", "rivals"} <= curves(tmp_path / "second")[0].keys()
    whole = {"extractor": {"base": 4, "decoder": [8, 8, 8], "features": 8}, "head": {"channels": 8, "whole": 16}}
    with pytest.raises(InputError, match="features_only"):
        train_volume.train(job(tmp_path / "third", network=whole, features_only=True))
