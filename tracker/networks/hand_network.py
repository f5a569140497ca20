"""MediaPipe's hand landmark network in torch and ONNX, read at run time from its makers' file and never copied.

Its lite one: of 118 rendered people's hands it tells more than the full one, in less than half of the time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines import Network, TensorSpec
from engines.convert import export_onnx
from tracker.core.errors import InputError
from tracker.core.input_file import read_bytes, reading
from tracker.networks.landmark_files import wheel_network
from tracker.networks.onnx_file import kept_onnx
from tracker.networks.tflite_modules import TfliteModules, modules_of

INPUT = "crops"
SIDE = 224
"""px"""
POINTS = 21
WRIST, INDEX, PINKY = 0, 5, 17
"""Of a hand's points, the wrist and where these fingers begin."""
OUTPUTS = {"points": (POINTS, 3), "presence": (1,), "right": (1,), "metric": (POINTS, 3)}
"""Name → size for one crop: x, y, z px of the crop; how likely it is a hand, and a right one; m, axes as the crop's."""
FILE = "hand_landmark/hand_landmark_lite.tflite"
_SHAPES = ((1, 3 * POINTS), (1, 1), (1, 1), (1, 3 * POINTS))
_LARGEST = 1 << 26
_FORMAT = 1
"""Goes up when the exported file changes for the same network."""


def hand_network_file() -> Path | None:
    """That of the installed mediapipe; None without it."""
    try:
        path = wheel_network(FILE)
    except InputError:
        return None
    return path if path.is_file() else None


def hand_model(source: Path) -> Network:
    """The network in a file, for every engine. Raises InputError for another network."""
    single = np.dtype(np.float32)
    return Network(
        name="hands",
        module=lambda: read_hand_network(source),
        onnx=lambda: _onnx(source),
        inputs=(TensorSpec(INPUT, (1, SIDE, SIDE, 3), np.dtype(np.uint8)),),
        outputs=tuple(TensorSpec(name, (1, *size), single) for name, size in OUTPUTS.items()),
    )


def hand_onnx_name(source: Path) -> str:
    """The name of its ONNX file in the cache. Raises InputError when `source` cannot be read."""
    return f"hands-{hashlib.sha256(_content(source)).hexdigest()[:16]}-v{_FORMAT}.onnx"


def _onnx(source: Path) -> Path:
    example = {INPUT: torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)}
    return kept_onnx(
        hand_onnx_name(source),
        lambda place: export_onnx(read_hand_network(source), example, tuple(OUTPUTS), place, False),
    )


def _content(path: Path) -> bytes:
    with reading(path, "expected a hand landmark network (.tflite)"):
        return read_bytes(path, _LARGEST)


def read_hand_network(path: Path) -> HandNetwork:
    """The network with its weights, in evaluation mode, frozen.

    Raises InputError for a file that is damaged or another network.
    """
    what = f"a hand landmark network ({Path(FILE).name})"
    network = HandNetwork(modules_of(path, _content(path), _SHAPES, what))
    network.requires_grad_(False)
    return network.eval()


class HandNetwork(nn.Module):
    """From bytes to OUTPUTS, in their order."""

    _unit: Tensor

    def __init__(self, modules: TfliteModules) -> None:
        super().__init__()
        self._network = modules
        self.register_buffer("_unit", torch.tensor(1 / 255))

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """crops: (B, 224, 224, 3) RGB bytes."""
        values = self._network((crops.to(self._unit) * self._unit).permute(0, 3, 1, 2))
        points, presence, right, metric = (values[each] for each in self._network.outputs)
        return points.unflatten(1, (POINTS, 3)), presence, right, metric.unflatten(1, (POINTS, 3))
