"""What the landmark network knows of a crop besides its landmarks.

MediaPipe's landmark network has seen very many real people. Its inner maps, heatmaps and person mask are computed for
the landmarks anyway; handed on, they let a network that is trained on synthetic people work on real ones, and keep it
small. The network itself is read from the installed mediapipe package and never copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker.errors import InputError, RunError

if TYPE_CHECKING:
    from openvino import Model, Node

SIDE = 256
"""px: the crop that the network takes."""
GUIDE_CHANNELS = {
    "decoder_64": (48, 64),
    "encoder_64": (24, 64),
    "decoder_32": (48, 32),
    "encoder_32": (32, 32),
    "decoder_16": (48, 16),
    "encoder_16": (88, 16),
    "decoder_8": (48, 8),
    "embedding": (288, 2),
    "heatmaps": (39, 64),
    "mask": (1, 64),
}
"""Name → channels and side of each map: the U-Net's two halves, what the landmarks are read from, and its outputs."""

Guide = dict[str, NDArray[np.float32]]
"""GUIDE_CHANNELS' maps, (channels, side, side) each, and `landmarks` (39, 5), `metric` (39, 3), `presence` (1,)."""


def landmark_model_path() -> Path:
    """The landmark network inside the installed mediapipe package. Raises InputError when there is none."""
    try:
        import mediapipe
    except ImportError as error:
        raise InputError("the landmark network needs mediapipe: pip install 'body-tracker[detect]'") from error
    path = Path(mediapipe.__file__).parent / "modules" / "pose_landmark" / "pose_landmark_full.tflite"
    if not path.is_file():
        raise InputError(
            f"{path}: not in this mediapipe; install mediapipe==0.10.21, the newest that carries its models"
        )
    return path


class LandmarkGuide:
    """Runs the landmark network on crops and gives out its maps."""

    def __init__(self, threads: int = 1) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(landmark_model_path())
        self._names = ["landmarks", "presence", "mask", "heatmaps", "metric"]
        nodes = _inner_maps(model)
        model.add_outputs([node.output(0) for node in nodes.values()])
        self._names += list(nodes)
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        self._request = core.compile_model(model, "CPU", settings).create_infer_request()

    def __call__(self, image: NDArray[np.uint8]) -> Guide:
        """image: (256, 256, 3) RGB."""
        if image.shape != (SIDE, SIDE, 3):
            raise ValueError(f"guide: expected a crop of shape {(SIDE, SIDE, 3)}, got {image.shape}")
        self._request.infer([np.float32(image[None]) / np.float32(255)])
        values = dict(zip(self._names, (t.data[0] for t in self._request.output_tensors), strict=True))
        return _tidied({name: np.array(value) for name, value in values.items()})


def _tidied(values: Guide) -> Guide:
    """Channels first; probabilities instead of logits; the mask at the maps' resolution."""
    heatmaps = np.ascontiguousarray(values["heatmaps"].transpose(2, 0, 1))
    mask = _sigmoid(values["mask"][..., 0]).reshape(64, SIDE // 64, 64, SIDE // 64).mean(axis=(1, 3))
    changed = {
        "heatmaps": _sigmoid(heatmaps),
        "mask": mask[None],
        "landmarks": values["landmarks"].reshape(39, 5),
        "metric": values["metric"].reshape(39, 3),
    }
    return {**values, **changed}


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)


def _inner_maps(model: Model) -> dict[str, Node]:
    """The named maps, found by walking back from the outputs: node names change from one OpenVINO to the next."""
    results = {tuple(result.get_output_shape(0)): result for result in model.get_results()}
    metric, heatmaps = results[(1, 117)], results[(1, 64, 64, 39)]
    found = {"embedding": _data(_upstream(metric, "Convolution"))}
    node = _data(_upstream(heatmaps, "Convolution"))
    for side in (64, 32, 16):
        found[f"decoder_{side}"] = node
        inputs = [value.get_source_output().get_node() for value in node.inputs()]
        skip = next(each for each in inputs if each.get_type_name() == "Clamp")
        rest = next(each for each in inputs if each is not skip)
        found[f"encoder_{side}"] = _data(_upstream(skip, "GroupConvolution"))
        node = _first_feature(_upstream(rest, "Interpolate"))
    found["decoder_8"] = node
    for name, each in found.items():
        channels, side = GUIDE_CHANNELS[name]
        if tuple(each.get_output_shape(0)) != (1, channels, side, side):
            raise RunError(f"landmark network: {name} has shape {each.get_output_shape(0)}; is this another version?")
    return found


def _chain(node: Node) -> Iterator[Node]:
    """The node and what feeds it, always through its first input."""
    while True:
        yield node
        if not node.inputs():
            return
        node = node.input(0).get_source_output().get_node()


def _upstream(node: Node, kind: str) -> Node:
    return next(each for each in _chain(node) if each.get_type_name() == kind)


def _data(convolution: Node) -> Node:
    """What a convolution reads."""
    return convolution.input(0).get_source_output().get_node()


def _first_feature(interpolate: Node) -> Node:
    """What an Interpolate enlarges, before changes of layout and type."""
    kinds = ("Transpose", "Convert")
    return next(each for each in _chain(_data(interpolate)) if each.get_type_name() not in kinds)
