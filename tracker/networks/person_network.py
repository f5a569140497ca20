"""MediaPipe's person detector in torch and ONNX, read at run time from its makers' file and never copied.

It sees a whole picture at 224² and says for each of 2254 places whether somebody is there, and where their hips are.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines import Engine, EngineOptions, Network, TensorSpec, open_engine
from engines.convert import export_onnx
from tracker.networks.landmark_files import models_folder, tflite_content, wheel_network
from tracker.networks.onnx_file import kept_onnx, onnx_place
from tracker.networks.tflite_modules import TfliteModules, modules_of

INPUT = "picture"
SIDE = 224
"""px"""
PLACES = 2254
HIPS, RIM = 0, 1
"""Two of the four points of a person: the hips' middle, and one on the circle around it that holds the whole body."""
OUTPUTS = {"scores": (PLACES,), "boxes": (PLACES, 4), "points": (PLACES, 4, 2)}
"""Name → size for one picture: probabilities; xyxy px of the upper body; x, y px."""
FILE_NAME = "pose_detection.tflite"
_IN_A_BUNDLE = "pose_detector.tflite"
_SHAPES = ((1, PLACES, 12), (1, PLACES, 1))
_STRIDES = {8: 2, 16: 2, 32: 6}
"""px between places → how many there are at each."""
_WHAT = "a person detector"
_FORMAT = 1
"""Goes up when the exported file changes for the same network."""


def person_network_file() -> Path:
    """The detector of the installed mediapipe, or in the folder of networks that were got.

    Raises InputError that says what to install.
    """
    with suppress(RuntimeError):
        kept = models_folder() / FILE_NAME
        if kept.is_file():
            return kept
    return wheel_network(f"pose_detection/{FILE_NAME}")


def person_content(path: Path) -> bytes:
    """The .tflite person detector in a file, which may be a .task bundle. Raises InputError when it cannot be read."""
    return tflite_content(path, _IN_A_BUNDLE, _WHAT)


def open_person_engine(backend: str, options: EngineOptions, source: Path) -> Engine:
    """An engine from `picture`, (1, 224, 224, 3) RGB in 0..255, to OUTPUTS. Raises InputError for another network."""
    return open_engine(person_model(source), backend, options)


def person_model(source: Path | None = None) -> Network:
    """The network in `source`, by default the installed one, for every engine. Raises InputError without it."""
    path, single = source or person_network_file(), np.dtype(np.float32)
    return Network(
        name="people",
        module=lambda: read_person_network(path),
        onnx=lambda: person_onnx(path),
        inputs=(TensorSpec(INPUT, (1, SIDE, SIDE, 3), np.dtype(np.uint8)),),
        outputs=tuple(TensorSpec(name, (1, *size), single) for name, size in OUTPUTS.items()),
    )


def person_onnx(source: Path) -> Path:
    """The ONNX file of the network in `source`; made unless the cache has it.

    Raises InputError for another network, or without a place to keep the file.
    """
    example = {INPUT: torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)}
    return kept_onnx(
        person_onnx_place(source).name,
        lambda place: export_onnx(read_person_network(source), example, tuple(OUTPUTS), place, False),
    )


def person_onnx_place(source: Path) -> Path:
    """Where `person_onnx` keeps its file. Raises InputError when `source` cannot be read."""
    digest = hashlib.sha256(person_content(source)).hexdigest()[:16]
    return onnx_place(f"person-{digest}-v{_FORMAT}.onnx")


def read_person_network(path: Path) -> PersonNetwork:
    """The network with its weights, in evaluation mode, frozen.

    Raises InputError for a file that is damaged or another network.
    """
    network = PersonNetwork(modules_of(path, person_content(path), _SHAPES, f"{_WHAT} ({FILE_NAME})"))
    network.requires_grad_(False)
    return network.eval()


class PersonNetwork(nn.Module):
    """From bytes to OUTPUTS, in their order."""

    _places: Tensor

    def __init__(self, modules: TfliteModules) -> None:
        super().__init__()
        self._network = modules
        self.register_buffer("_places", _places())

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """picture: (B, 224, 224, 3) RGB bytes."""
        values = self._network((picture.to(self._places) * (1 / 127.5) - 1).permute(0, 3, 1, 2))
        numbers, logits = (values[each] for each in self._network.outputs)
        centres = numbers[..., :2] + self._places
        half = numbers[..., 2:4] / 2
        points = numbers[..., 4:].unflatten(2, (4, 2)) + self._places[:, None]
        return torch.sigmoid(logits[..., 0]), torch.cat([centres - half, centres + half], dim=2), points


def _places() -> Tensor:
    """(2254, 2) px: the middle of the cell that each of the network's answers is counted from."""
    grids = []
    for stride, count in _STRIDES.items():
        line = (torch.arange(SIDE // stride) + 0.5) * stride
        y, x = torch.meshgrid(line, line, indexing="ij")
        grids.append(torch.stack([x, y], dim=2).reshape(-1, 1, 2).expand(-1, count, 2).reshape(-1, 2))
    return torch.cat(grids)
