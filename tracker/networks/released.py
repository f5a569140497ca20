"""3DNBF's released checkpoint: read safely, checked, and its names mapped to networks of ours.

Who has it needs two more files of the authors' data: an SMPL body (V = 6890), and the list of the 858 vertices on which
its features lie (`sample_params/uniform/sample_data_8-….npz`). The released configuration differs from the paper's
text: features of 128 numbers, three orientation bins by how far a limb points away from the camera (beyond 0.3, below
−0.3, between), round kernels of one size, and one mean clutter feature. Its network sees crops of 320 px and a camera
of weak perspective; here it sees the tracker's crops enlarged, and its maps are brought to the tracker's 64².
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tracker.body.model import BodyModel
from tracker.body.volume import BodyVolume, Layout, VolumeConfig
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.core.errors import InputError
from tracker.core.rotation6d import rotations_from_6d
from tracker.networks.extractor import Extracted
from tracker.networks.guide import MAP
from tracker.networks.head import NUM_PARTS, RegressedPose, crop_rays, root_from_place, turn_to_ray, within_reach
from tracker.networks.resnet import ResNetBackbone

SUFFIXES = (".pth", ".pt", ".ckpt")
_WHAT = "3DNBF's released checkpoint (3dnbf_r50.pth)"
_SIDE = 320
"""px: side of the crops that it was trained on."""
_PRECISION = 2000.0
"""1/m²: of all its kernels, in every direction."""
_VERTICES = 6890
_KERNELS, _BINS = 858, 3
_BIN_OF_ORIENTATION = (0, 1, 1, 1, 0, 2, 2, 2)
"""Its bin at each eighth of the circle that a limb's direction makes in the yz plane: across, away, across, towards.
Between two eighths lie 22.5°, its threshold of 0.3 is 17.5°."""
_KAPPA = 12.5
"""With which the change from bin to bin is as sharp as its sigmoid of slope 10."""
_FARTHEST_SCALE = 0.05
"""Half crops a metre: nobody in a crop is smaller."""
_IGNORED = re.compile(r"(body_model_\w+|loss_\w+|disc|registrant|neural_renderer\w*)\..*")
"""The authors' SMPL bodies and what only their training needs."""

_NUMBERS: list[Any] = [np.dtype, np.float64(0).__reduce__()[0], type(np.dtype(np.float64))]
"""Of numpy, which mmcv writes beside the tensors."""


@dataclass(frozen=True)
class ReleasedConfig:
    """Sizes of the released network; it has no others."""

    features: int = 128
    """D."""
    fine: int = 256
    """Channels at 1/4 of the crop."""

    @property
    def trunk(self) -> int:
        """Channels of the maps that heads read."""
        return self.fine


class ReleasedExtractor(ResNetBackbone):
    """A ResNet-50 U-Net with two convolutions a level."""

    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__(64)
        self.config = config
        self.bottom = _double(2048, 1024, 1024)
        self.up = nn.ModuleList([_double(2048, 1024, 512), _double(1024, 512, 256), _double(512, 256, config.fine)])
        self.head = nn.Conv2d(config.fine, config.features, 1, bias=False)

    def forward(self, image: Tensor, guide: Mapping[str, Tensor]) -> Extracted:
        """image: (B, 3, 256, 256) RGB in 0..1. guide: not looked at. The trunk is of 80², the features of 64²."""
        image = functional.interpolate(image, size=(_SIDE, _SIDE), mode="bilinear", align_corners=False)
        *skips, x = self.maps(image)
        x = self.bottom(x)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(
                torch.cat([skip, functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)], 1)
            )
        return Extracted(functional.normalize(_at_map_size(functional.normalize(self.head(x), dim=1)), dim=1), x)


@dataclass(frozen=True)
class ReleasedHeadConfig:
    """Sizes of the released part-attention head."""

    pooled: int = 64
    """Channels from which shape and camera are read."""


class ReleasedHead(nn.Module):
    """PARE's head: one linear layer a joint, one each for shape and camera."""

    reads: tuple[str, ...] = ()
    """What it takes of the guide."""
    _pelvis: Tensor
    _pelvis_slope: Tensor

    def __init__(self, trunk: int, config: ReleasedHeadConfig) -> None:
        super().__init__()
        self.parts = nn.Conv2d(trunk, NUM_PARTS, 1)
        self.pooled = nn.Conv2d(trunk, config.pooled, 1)
        self.shape = nn.Linear(NUM_JOINTS * config.pooled, NUM_BETAS)
        self.camera = nn.Linear(NUM_JOINTS * config.pooled, 3)
        self.rotation = nn.Parameter(torch.randn(NUM_JOINTS, trunk, 6) / trunk**0.5)
        self.register_buffer("_pelvis", torch.zeros(2), persistent=False)
        self.register_buffer("_pelvis_slope", torch.zeros(2, NUM_BETAS), persistent=False)

    def stand_on(self, body: BodyModel) -> None:
        """Learns where the body's pelvis lies, about which its camera knows nothing."""
        self._pelvis = (body.joint_regressor[0] @ body.v_template)[:2].float()
        self._pelvis_slope = torch.einsum("v,vcs->cs", body.joint_regressor[0], body.shapedirs)[:2].float()

    def forward(self, trunk: Tensor, guide: Mapping[str, Tensor], cameras: Tensor) -> RegressedPose:
        """trunk: (B, C, 80, 80); guide: not looked at; cameras: (B, 4) fx, fy, cx, cy px of the crops."""
        parts = self.parts(trunk)
        attention = torch.softmax(parts[:, 1:].flatten(2), dim=2)
        own = attention @ trunk.flatten(2).transpose(1, 2)
        whole = (self.pooled(trunk).flatten(2) @ attention.transpose(1, 2)).flatten(1)
        six = (own[:, :, None] @ self.rotation)[:, :, 0]
        # its six numbers are the two columns row by row
        rotations = rotations_from_6d(six.unflatten(2, (3, 2)).transpose(2, 3).flatten(2))
        rotations = torch.cat([(turn_to_ray(crop_rays(cameras)) @ rotations[:, 0])[:, None], rotations[:, 1:]], dim=1)
        betas = within_reach(self.shape(whole))
        camera = self.camera(whole)
        scale = camera[:, :1].clamp(min=_FARTHEST_SCALE)
        # a point X of the body is seen at s (X + t), in half crops
        pelvis = self._pelvis + betas @ self._pelvis_slope.T
        root = root_from_place(torch.cat([scale * (pelvis + camera[:, 1:]), -scale.log()], dim=1), cameras)
        return RegressedPose(rotations, betas, root, _at_map_size(parts))


@dataclass(frozen=True)
class ReleasedWeights:
    """What the checkpoint holds, under our names."""

    extractor: dict[str, Tensor]
    head: dict[str, Tensor]
    bank: Tensor
    """(K, 8, D)."""
    clutter: Tensor
    """(1, D)."""


def read_released(path: Path) -> ReleasedWeights:
    """The checkpoint's tensors. Nothing in the file is executed.

    Raises InputError, in one line, for a file that is missing or damaged, wants to execute something, or holds another
    network.
    """
    state = _state_of(path)
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if not _IGNORED.fullmatch(name):
            renamed[_our_name(name) or f"? {name}"] = value
    unknown = [name[2:] for name in renamed if name.startswith("? ")]
    if unknown:
        raise InputError(f"{path}: expected {_WHAT}; it has no {unknown[0]} ({len(unknown)} names are not its own)")
    expected = {name: tuple(value.shape) for name, value in _expected().items()}
    for name, shape in expected.items():
        held = tuple(renamed[name].shape) if name in renamed else None
        if held != shape and not (held is None and name.endswith("num_batches_tracked")):
            raise InputError(f"{path}: expected {_WHAT}, with {shape} at {name}, got {held or 'nothing'}")
    return _sorted_out(renamed)


def read_kernel_vertices(path: Path) -> NDArray[np.int64]:
    """(858,) the vertices of SMPL on which the kernels lie. Raises InputError for another file."""
    what = "expected the authors' list of 858 vertices (sample_data_8-….npz, with `indices`)"
    try:
        with np.load(path, allow_pickle=False) as file:
            vertices = np.asarray(file["indices"]).astype(np.int64).reshape(-1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {what}") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: {what} ({str(error).splitlines()[0]})") from error
    if len(np.unique(vertices)) != _KERNELS or len(vertices) != _KERNELS or not (0 <= vertices).all():
        raise InputError(f"{path}: {what}, got {len(vertices)} of which {len(np.unique(vertices))} differ")
    if vertices.max() >= _VERTICES:
        raise InputError(f"{path}: {what}, got vertex {vertices.max()} of a body of {_VERTICES}")
    return vertices


def released_volume(body: BodyModel, vertices: NDArray[np.int64]) -> BodyVolume:
    """The volume of the released kernels. Raises InputError on a body that is not SMPL's."""
    if len(body.v_template) != _VERTICES:
        raise InputError(
            f"{_WHAT} lies on the {_VERTICES} vertices of SMPL, not on the {len(body.v_template)} of {body.name}; "
            "give --body SMPL_FILE"
        )
    chosen = torch.from_numpy(vertices)
    count = len(vertices)
    layout = Layout(
        body.v_template[chosen].double().numpy(),
        body.shapedirs[chosen].double().numpy(),
        body.weights[chosen].double().numpy(),
        np.broadcast_to(np.eye(3) / _PRECISION, (count, 3, 3)),
    )
    config = VolumeConfig(kernels=count, orientations=len(_BIN_OF_ORIENTATION), kappa=_KAPPA, clutter=1)
    return BodyVolume.of_layout(body, config, layout)


def _state_of(path: Path) -> dict[str, Tensor]:
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {_WHAT}") from None
    except (UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected {_WHAT}: {str(error).splitlines()[0]}") from error
    state = held.get("state_dict", held) if isinstance(held, dict) else held
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: expected {_WHAT}, with a state_dict of tensors")
    return {name.removeprefix("module."): value for name, value in state.items()}


_LEVELS = {"upsample0.doubleconv": "bottom", **{f"upsample{i + 1}.doubleconv.doubleconv": f"up.{i}" for i in range(3)}}
_HEAD = {
    "keypoint_final_layer": "parts", "smpl_final_layer": "pooled", "shape_mlp": "shape", "cam_mlp": "camera",
}  # fmt: skip
_OTHERS = (
    "head.temperature", "head.init_pose", "head.init_shape", "head.init_cam", "feature_bank.params",
    "feature_bank.accumulate_num",
)  # fmt: skip
"""Of no use here."""


def _our_name(name: str) -> str | None:
    """Our name of one of its tensors; None for a name that it does not have."""
    if name in _OTHERS or name == "feature_bank.memory":
        return name
    part, _, rest = name.partition(".")
    if part == "backbone":
        return _backbone_name(rest)
    if part != "head":
        return None
    if rest == "pose_mlp.weight":
        return "head.rotation"
    layer, _, kind = rest.rpartition(".")
    if layer in _HEAD:
        return f"head.{_HEAD[layer]}.{kind}"
    inside = layer.removeprefix("upsample_layers.")
    if inside == "out_layer":
        return f"extractor.head.{kind}"
    level, _, number = inside.rpartition(".")
    return f"extractor.{_LEVELS[level]}.{number}.{kind}" if level in _LEVELS else None


def _backbone_name(name: str) -> str | None:
    if name == "conv1.weight":
        return "extractor.stem.0.0.weight"
    if name.startswith("bn1."):
        return f"extractor.stem.0.1.{name[4:]}"
    match = re.fullmatch(r"layer([1-4])\.(\d+)\.(conv|bn|downsample\.)([0-3])\.(\w+)", name)
    if match is None:
        return None
    stage, block, kind, number, tensor = match.groups()
    place = f"extractor.stages.{int(stage) - 1}.{block}"
    if kind == "downsample.":
        return f"{place}.shortcut.{number}.{tensor}"
    return f"{place}.body.{2 * (int(number) - 1)}.{int(kind == 'bn')}.{tensor}"


def _expected() -> dict[str, Tensor]:
    """Our names of all that is used, with tensors of the right shapes and no numbers."""
    config = ReleasedConfig()
    with torch.device("meta"):
        extractor, head = ReleasedExtractor(config).state_dict(), ReleasedHead(config.trunk, ReleasedHeadConfig())
        expected = {f"extractor.{name}": value for name, value in extractor.items()}
        expected |= {f"head.{name}": value for name, value in head.state_dict().items()}
        expected["head.rotation"] = torch.empty(1, 6, config.trunk, NUM_JOINTS, 1, 1)
        expected["feature_bank.memory"] = torch.empty(_KERNELS * _BINS + 10 * 216, config.features)
    return expected


def _sorted_out(renamed: Mapping[str, Tensor]) -> ReleasedWeights:
    memory = renamed["feature_bank.memory"].float()
    kernels, noise = memory[: _KERNELS * _BINS].unflatten(0, (_BINS, _KERNELS)), memory[_KERNELS * _BINS :]
    bank = kernels.transpose(0, 1)[:, list(_BIN_OF_ORIENTATION)]
    parts: dict[str, dict[str, Tensor]] = {"extractor": {}, "head": {}}
    for name, value in renamed.items():
        part, _, rest = name.partition(".")
        if part in parts and name not in _OTHERS:
            parts[part][rest] = value
    parts["head"]["rotation"] = renamed["head.rotation"][0, :, :, :, 0, 0].permute(2, 1, 0)
    return ReleasedWeights(parts["extractor"], parts["head"], bank, noise.mean(0, keepdim=True))


def _double(inputs: int, middle: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, middle, 3, padding=1), nn.BatchNorm2d(middle), nn.ReLU(),
        nn.Conv2d(middle, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


def _at_map_size(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, size=(MAP, MAP), mode="bilinear", align_corners=False)
