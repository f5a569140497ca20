"""3DNBF's released checkpoint: its layout with random numbers is read, anything else is refused with a sentence."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tracker import Tracker
from tracker.body import load_body
from tracker.body.model import PARENTS, BodyModel
from tracker.cli.command_config import configured
from tracker.core.errors import InputError
from tracker.extract.feature_extractor import ExtractConfig, kernel_vertices_file
from tracker.extract.feature_network import FeatureNetwork, input_sizes
from tracker.networks.body_network import BodyNetwork
from tracker.networks.released import ReleasedHead, ReleasedHeadConfig, read_kernel_vertices, read_released

BLOCKS, KERNELS, NOISE, D = (3, 4, 6, 3), 858, 2160, 128


def normalised(name: str, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from ((f"{name}.{tensor}", (size,)) for tensor in ("weight", "bias", "running_mean", "running_var"))
    yield f"{name}.num_batches_tracked", ()


def layout() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the released state dict, written down from the authors' configuration."""
    yield "backbone.conv1.weight", (64, 3, 7, 7)
    yield from normalised("backbone.bn1", 64)
    inputs = 64
    for stage, blocks in enumerate(BLOCKS, start=1):
        width = 64 * 2 ** (stage - 1)
        for block in range(blocks):
            place = f"backbone.layer{stage}.{block}"
            sizes = ((width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1))
            for number, size in enumerate(sizes, start=1):
                yield f"{place}.conv{number}.weight", size
                yield from normalised(f"{place}.bn{number}", size[0])
            if block == 0:
                yield f"{place}.downsample.0.weight", (4 * width, inputs, 1, 1)
                yield from normalised(f"{place}.downsample.1", 4 * width)
            inputs = 4 * width
    levels = [("upsample0.doubleconv", 2048, 1024, 1024)]
    levels += [
        (f"upsample{i}.doubleconv.doubleconv", a, b, c)
        for i, a, b, c in ((1, 2048, 1024, 512), (2, 1024, 512, 256), (3, 512, 256, 256))
    ]
    for level, inputs, middle, outputs in levels:
        place = f"head.upsample_layers.{level}"
        yield f"{place}.0.weight", (middle, inputs, 3, 3)
        yield f"{place}.0.bias", (middle,)
        yield from normalised(f"{place}.1", middle)
        yield f"{place}.3.weight", (outputs, middle, 3, 3)
        yield f"{place}.3.bias", (outputs,)
        yield from normalised(f"{place}.4", outputs)
    yield "head.upsample_layers.out_layer.weight", (D, 256, 1, 1)
    for name, outputs in (("keypoint_final_layer", 25), ("smpl_final_layer", 64)):
        yield f"head.{name}.weight", (outputs, 256, 1, 1)
        yield f"head.{name}.bias", (outputs,)
    for name, outputs in (("shape_mlp", 10), ("cam_mlp", 3)):
        yield f"head.{name}.weight", (outputs, 24 * 64)
        yield f"head.{name}.bias", (outputs,)
    yield "head.pose_mlp.weight", (1, 6, 256, 24, 1, 1)
    for name, size in (("temperature", ()), ("init_pose", (1, 144)), ("init_shape", (1, 10)), ("init_cam", (1, 3))):
        yield f"head.{name}", size
    yield "feature_bank.params", (4,)
    yield "feature_bank.memory", (3 * KERNELS + NOISE, D)
    yield "feature_bank.accumulate_num", (KERNELS,)
    yield "body_model_train.J_regressor_extra", (9, 50)


@lru_cache(maxsize=1)
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    made: dict[str, Tensor] = {}
    for name, shape in layout():
        if name.endswith("running_var"):
            made[name] = 0.5 + torch.rand(shape)
        elif name.endswith("num_batches_tracked") or name.endswith("accumulate_num"):
            made[name] = torch.zeros(shape, dtype=torch.int64)
        else:
            made[name] = torch.empty(shape).uniform_(-1, 1) / max(float(np.prod(shape[1:])), 1.0) ** 0.5
    return made


def written(path: Path, changed: dict[str, Any] | None = None, without: str = "") -> Path:
    kept = {name: value for name, value in state().items() if not (without and name.startswith(without))}
    meta = {"epoch": 20, "mmcv_version": "1.5", "best": np.float64(81.4)}
    torch.save({"meta": meta, "state_dict": kept | (changed or {})}, path)
    return path


@lru_cache(maxsize=1)
def smpl_like() -> BodyModel:
    """A body of SMPL's size whose vertices are the built-in body's."""
    free = load_body(None)
    rows = torch.linspace(0, len(free.v_template) - 1, 6890).long()
    assert free.landmark_weights is not None

    def shared(weights: Tensor) -> Tensor:
        kept = weights[:, rows] + 1e-9
        return kept / kept.sum(1, keepdim=True)

    return BodyModel(
        "smpl:test", free.v_template[rows], free.shapedirs[rows], None, shared(free.joint_regressor),
        free.weights[rows], torch.zeros(1, 3, dtype=torch.int64), PARENTS, shared(free.landmark_weights),
    )  # fmt: skip


def vertices(folder: Path, **changed: Any) -> Path:
    path = folder / "sample_data_8-2021-04-05.npz"
    np.savez(path, **{"indices": np.arange(KERNELS) * 8, "faces_downsampled": np.zeros((3, 3), int), **changed})
    return path


@pytest.mark.slow
def test_the_layout_is_read_and_runs_as_a_network(tmp_path: Path) -> None:
    path, body = written(tmp_path / "3dnbf_r50.pth"), smpl_like()
    network = BodyNetwork.load_released(path, body, vertices(tmp_path))
    made = state()
    assert torch.equal(network.extractor.stages[2][5].body[2][0].weight, made["backbone.layer3.5.conv2.weight"])
    assert torch.equal(network.extractor.stages[1][0].shortcut[1].bias, made["backbone.layer2.0.downsample.1.bias"])
    assert torch.equal(network.extractor.head.weight, made["head.upsample_layers.out_layer.weight"])
    memory = made["feature_bank.memory"]
    across, away, towards = (memory[KERNELS * number + 7] for number in range(3))
    assert network.bank.shape == (KERNELS, 8, D) and network.clutter.shape == (1, D)
    for eighth, wanted in ((0, across), (2, away), (4, across), (6, towards)):
        assert torch.equal(network.bank[7, eighth], wanted)
    torch.testing.assert_close(network.clutter[0], memory[3 * KERNELS :].mean(0))
    centre = network.volume.body.points[3].numpy()
    np.testing.assert_allclose(centre, body.v_template[24].numpy(), atol=1e-6)
    running = FeatureNetwork(network).eval()
    assert list(input_sizes(network)) == ["crops"]
    with torch.no_grad():
        crops = (255 * torch.rand(1, 256, 256, 3)).byte()
        features, rotations, _, root, parts = running(crops)
    assert features.shape == (1, 64, 64, D) and parts.shape == (1, 64, 64, 25)
    torch.testing.assert_close(features.norm(dim=3), torch.ones(1, 64, 64), atol=1e-4, rtol=0)
    torch.testing.assert_close(rotations.det(), torch.ones(1, 24), atol=1e-4, rtol=0)
    assert float(root[0, 2]) > 0


def test_its_pose_numbers_and_camera_are_understood() -> None:
    """Six numbers row by row; a weak perspective camera that knows nothing of where the pelvis lies."""
    head, body = ReleasedHead(256, ReleasedHeadConfig()), smpl_like()
    head.stand_on(body)
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    with torch.no_grad():
        for layer in (head.shape, head.camera):
            layer.weight.zero_()
            layer.bias.zero_()
        head.camera.bias.copy_(torch.tensor([0.8, 0.1, 0.3]))
        head.rotation.copy_(turn[:, :2].reshape(6) / 256)
        regressed = head(torch.ones(1, 256, 80, 80), {}, torch.tensor([[500.0, 500, 128, 128]]))
    torch.testing.assert_close(regressed.rotations[0, 5], turn, atol=1e-5, rtol=0)
    pelvis = body.joint_regressor[0] @ body.v_template
    seen_at = 128 + 500 * regressed.root[0, :2] / regressed.root[0, 2]
    torch.testing.assert_close(seen_at, 128 * (1 + 0.8 * (pelvis[:2] + torch.tensor([0.1, 0.3]))), atol=1e-2, rtol=0)
    assert float(regressed.root[0, 2]) == pytest.approx(2 * 500 / (256 * 0.8), rel=1e-4)


def test_another_network_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    cases = {
        r"has no backbone\.layer5\.0\.weight": written(path, {"backbone.layer5.0.weight": torch.zeros(1)}),
        r"\(1, 6, 256, 24, 1, 1\) at head\.rotation, got nothing": written(tmp_path / "b.pth", without="head.pose_mlp"),
        r"at feature_bank\.memory, got \(9, 128\)": written(
            tmp_path / "c.pth", {"feature_bank.memory": torch.zeros(9, 128)}
        ),
    }
    for sentence, file in cases.items():
        with pytest.raises(InputError, match=rf"{file.name}: expected 3DNBF's released checkpoint.*{sentence}"):
            read_released(file)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="state_dict of tensors"):
        read_released(path)
    path.write_bytes(b"no checkpoint at all")
    with pytest.raises(InputError, match="expected 3DNBF's released checkpoint"):
        read_released(path)
    with pytest.raises(InputError, match=r"none\.pth: no such file"):
        read_released(tmp_path / "none.pth")


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


def test_nothing_in_the_file_is_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {"backbone.conv1.weight": Command()}}, tmp_path / "bad.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Command()))
    for name in ("bad.pth", "plain.pth"):
        with pytest.raises(InputError, match=name):
            read_released(tmp_path / name)
    assert "executed" not in capsys.readouterr().out


def test_it_needs_smpl_and_the_list_of_its_vertices(tmp_path: Path) -> None:
    listed = vertices(tmp_path)
    with pytest.raises(InputError, match=r"6890 vertices of SMPL.*--body"):
        BodyNetwork.load_released(tmp_path / "any.pth", load_body(None), listed)
    for changed, sentence in (
        ({"indices": np.arange(5)}, "got 5 of which 5 differ"),
        ({"indices": np.arange(KERNELS) + 7000}, "got vertex 7857 of a body of 6890"),
        ({"indices": np.zeros(KERNELS, int)}, "of which 1 differ"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_kernel_vertices(vertices(tmp_path, **changed))
    archive = tmp_path / "data" / "pretrained" / "3dnbf_r50.pth"
    with pytest.raises(InputError, match=r"--set extract\.vertices=FILE"):
        kernel_vertices_file(ExtractConfig(weights=archive))
    place = tmp_path / "data" / "sample_params" / "uniform"
    place.mkdir(parents=True)
    beside = vertices(place)
    assert kernel_vertices_file(ExtractConfig(weights=archive)) == beside
    assert kernel_vertices_file(ExtractConfig(weights=archive, vertices=listed)) == listed


def test_the_command_line_hands_the_file_on(tmp_path: Path) -> None:
    """`--config paper --weights FILE`; on the built-in body it is refused with what to give."""
    file = tmp_path / "3dnbf_r50.pth"
    config = configured({"device": "cpu", "config": "paper", "assignments": (), "weights": file}, {})
    assert config.extract.weights == file and config.volume.steps == 80
    vertices(tmp_path)
    with pytest.raises(InputError, match=r"--body SMPL_FILE"):
        Tracker.open(config)
