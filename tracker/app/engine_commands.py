"""The `engine` commands: make what engines need on this machine, say what exists, compare every engine with torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import BACKENDS, BackendError, Engine, EngineOptions, ModelError, Network, open_engine
from engines.choose import choose_backend, is_installed
from engines.plan import SUFFIX as PLAN_SUFFIX
from engines.plan import read_note
from tracker.body import load_body
from tracker.core.camera import Camera
from tracker.core.errors import InputError, RunError
from tracker.detect.follow import OUTPUTS as LANDMARK_OUTPUTS
from tracker.extract.feature_extractor import OUTPUTS as FEATURE_OUTPUTS
from tracker.extract.feature_extractor import WEIGHTS
from tracker.extract.feature_network import FeatureModel
from tracker.extract.whole_network import WholeModel
from tracker.networks.body_network import BodyNetwork
from tracker.networks.hand_network import FILE as HAND_FILE
from tracker.networks.hand_network import OUTPUTS as HAND_OUTPUTS
from tracker.networks.hand_network import hand_model, hand_network_file, hand_onnx_name
from tracker.networks.landmark_files import LANDMARK_FILES, installed_landmarks, landmark_network_file, wheel_network
from tracker.networks.landmark_network import FEATURES, SIDE
from tracker.networks.landmark_onnx import INPUT, landmark_model, landmark_onnx_place, open_landmark_engine
from tracker.networks.person_network import OUTPUTS as PEOPLE_OUTPUTS
from tracker.networks.person_network import person_model, person_network_file, person_onnx_place
from tracker.overlay.mesh_overlay import lit_mesh
from tracker.overlay.renderers import RasterRenderer
from tracker.runtime.cache import cache_folder


@dataclass(frozen=True)
class UsedNetwork:
    """A network of the tracker."""

    describe: Callable[[], Network]
    outputs: tuple[str, ...]
    """Those that the tracker uses: what is built and compared, unless others are asked for."""

    def options(self, options: EngineOptions) -> EngineOptions:
        """The same options for the outputs that are used, where they say nothing of outputs."""
        return options if options.outputs is not None else replace(options, outputs=self.outputs)


_LANDMARKS = (*LANDMARK_OUTPUTS, *FEATURES)
NETWORKS: Mapping[str, UsedNetwork] = {
    "landmarks": UsedNetwork(landmark_model, _LANDMARKS),
    "landmarks-batch": UsedNetwork(lambda: landmark_model(dynamic_batch=True), _LANDMARKS),
    "landmarks-heavy": UsedNetwork(lambda: landmark_model(source=landmark_network_file("heavy")), LANDMARK_OUTPUTS),
    "landmarks-lite": UsedNetwork(lambda: landmark_model(source=landmark_network_file("lite")), LANDMARK_OUTPUTS),
    "hands": UsedNetwork(lambda: hand_model(wheel_network(HAND_FILE)), tuple(HAND_OUTPUTS)),
    "people": UsedNetwork(person_model, tuple(PEOPLE_OUTPUTS)),
    "whole": UsedNetwork(
        lambda: _whole_model().described(landmark_network_file()), (*LANDMARK_OUTPUTS, *FEATURE_OUTPUTS)
    ),
    "features": UsedNetwork(lambda: _feature_model().described(), FEATURE_OUTPUTS),
    "features-batch": UsedNetwork(lambda: _feature_model().described(dynamic_batch=True), FEATURE_OUTPUTS),
}
"""The networks that the tracker runs, by the names that the commands take; the batched ones take several people, and so
does the whole one, which GPUs run: landmarks, features and pose."""
TOLERANCES = {"float32": 1e-4, "float16": 5e-2, "bfloat16": 4e-1}
"""The largest error of an output: the length of its difference from torch's in single precision, over torch's length.

Found on the landmark network: 2e-6, 1e-2 and 2e-1, worst in its heatmaps and metres. Its landmarks move by 0.0001, 0.5
and 4 pixels of the crop: bfloat16 is not for them.
"""
_SMALLEST = 1e-3
"""Lengths below this are taken for this: an output of nothing but zeros has no relative error."""
_RUNS = 20


@dataclass(frozen=True)
class Comparison:
    """One engine beside torch, on one network."""

    backend: str
    device: str
    version: str
    precision: str
    median_ms: float
    """Of one run, inputs and outputs in ordinary memory."""
    error: float
    """As TOLERANCES has it, of the worst output."""
    worst: str
    """That output."""

    @property
    def agrees(self) -> bool:
        return self.error <= TOLERANCES[self.precision]


def build(names: Sequence[str], backend: str, options: EngineOptions) -> Iterator[str]:
    """Makes what `backend` reads for each network on this machine, and yields a line on each.

    Raises InputError for an unknown name or backend, RunError when the backend cannot.
    """
    for used in _networks(names):
        with told_to_the_user():
            network = used.describe()
            chosen = choose_backend(network, options) if backend == "auto" else _known(backend)
            if chosen == "torch":
                yield f"{network.name}: torch reads it from where it is installed; nothing to build"
                continue
            path = network.onnx()
            if chosen == "tensorrt":
                from engines.tensorrt_engine import build_plan

                path = build_plan(path, used.options(options))
        yield f"{network.name}: {chosen} uses {path} ({path.stat().st_size / 2**20:.1f} MiB)"


def listing() -> Iterator[str]:
    """The engines that are installed here, and what was built, with whether it fits this machine."""
    for name in BACKENDS:
        yield f"{name:12} {'installed' if is_installed(name) else 'not installed'}"
    folder = cache_folder() / "networks"
    paths = sorted(each for each in folder.glob("*") if each.suffix in (".onnx", PLAN_SUFFIX))
    current = _current_files() if paths else set()
    for path in paths:
        yield f"{path}  {path.stat().st_size / 2**20:.1f} MiB  {_fitness(path, current)}"
    if not paths:
        yield f"nothing built yet in {folder}; it is made at first use, or by: body-tracker engine build"


def _current_files() -> set[str]:
    """Names of the ONNX files that this version reads."""
    sources, model = map(landmark_network_file, installed_landmarks()), _feature_model()
    landmarks = {landmark_onnx_place(dynamic, source).name for source in sources for dynamic in (False, True)}
    wholes = (replace(_whole_model(), several=several) for several in (False, True))
    whole = {each.onnx_place(landmark_network_file(name)).name for each in wholes for name in installed_landmarks()}
    hand_file, people = hand_network_file(), {person_onnx_place(person_network_file()).name}
    hands = set() if hand_file is None else {hand_onnx_name(hand_file)}
    return landmarks | whole | people | hands | {model.onnx_place(dynamic).name for dynamic in (False, True)}


def _fitness(path: Path, current: set[str]) -> str:
    """Whether this machine can use a built file, in words."""
    if path.suffix == ".onnx":
        return "fits" if path.name in current else "left from another version; may be deleted"
    try:
        note = read_note(path, "body-tracker engine build --backend tensorrt")
    except ModelError as error:
        return str(error).partition(": ")[2]
    differences = [
        f"needs {value}" for value, here in ((note.gpu, _gpu()), (note.tensorrt, _version())) if value != here
    ]
    return "fits" if not differences else f"does not fit: {', '.join(differences)}"


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def _version() -> str:
    if not is_installed("tensorrt"):
        return "no TensorRT"
    import tensorrt

    return str(tensorrt.__version__)


def check(name: str, backends: Sequence[str], options: EngineOptions) -> Iterator[Comparison]:
    """Every engine (all that are installed when `backends` is empty) beside torch in single precision on the CPU.

    Raises InputError for an unknown name, RunError for an engine that does not run.
    """
    (used,) = _networks([name])
    network, options = used.describe(), used.options(options)
    chosen = [_known(each) for each in backends] or [each for each in BACKENDS if is_installed(each)]
    inputs = example_inputs(network, 1)
    with told_to_the_user():
        alone = replace(options, precision="float32", device="cpu", compiled=False)
        with open_engine(network, "torch", alone) as reference:
            expected = reference.run(inputs)
        for backend in chosen:
            with open_engine(network, backend, options) as engine:
                yield compare(engine, inputs, expected)


def compare(
    engine: Engine, inputs: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[np.float32]]
) -> Comparison:
    """Runs an engine a few times on `inputs`, whose right outputs are `expected`."""
    outputs = engine.run(inputs)
    errors = {name: _error(outputs[name], expected[name]) for name in outputs}
    worst = max(errors, key=lambda name: errors[name])
    metadata = engine.metadata
    return Comparison(
        backend=metadata["backend"],
        device=metadata["device"],
        version=metadata["version"],
        precision=metadata["precision"],
        median_ms=median(timed(engine, inputs) for _ in range(_RUNS)),
        error=errors[worst],
        worst=worst,
    )


def _error(output: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(output - expected)) / max(float(np.linalg.norm(expected)), _SMALLEST)


def timed(engine: Engine, inputs: Mapping[str, NDArray[Any]]) -> float:
    """Milliseconds of one run."""
    start = time.perf_counter()
    engine.run(inputs)
    return 1000 * (time.perf_counter() - start)


def example_inputs(network: Network, batch: int) -> dict[str, NDArray[Any]]:
    """Pictures of the built-in body at several distances, as large as the network takes them: on noise a network's
    outputs are noise, rounding included. With them goes what it takes of the landmark network's maps."""
    crops = np.stack([_picture(distance) for distance in np.linspace(2.2, 3.0, batch)])
    pictures = [spec for spec in network.inputs if spec.dtype == np.uint8]
    inputs: dict[str, NDArray[Any]] = {spec.name: _resized(crops, spec.shape[1]) for spec in pictures}
    wanted = tuple(spec.name for spec in network.inputs if spec.name not in inputs)
    if wanted:
        with open_landmark_engine(options=EngineOptions(device="cpu", outputs=wanted), dynamic_batch=True) as engine:
            inputs |= engine.run({INPUT: crops})
    return {spec.name: inputs[spec.name] for spec in network.inputs}


def _resized(pictures: NDArray[np.uint8], side: int | None) -> NDArray[np.uint8]:
    if side in (None, pictures.shape[1]):
        return pictures
    return np.stack([np.asarray(cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA)) for each in pictures])


def _picture(distance: float) -> NDArray[np.uint8]:
    """(256, 256, 3) RGB: the body standing before a lighter wall, `distance` m away."""
    body = load_body(None)
    height, across = np.mgrid[:SIDE, :SIDE]
    wall = np.stack([140 + height // 4, 150 + across // 8, 160 + height // 8], axis=-1).astype(np.uint8)
    vertices = body.v_template.numpy().astype(np.float64) * [1.0, -1.0, -1.0]
    centred = vertices - vertices.mean(axis=0) + [0.0, 0.0, distance]
    faces = np.asarray(body.faces)
    camera = Camera.default(SIDE, SIDE)
    return RasterRenderer().draw_over(wall, camera, [lit_mesh(centred, faces, (0.75, 0.55, 0.45))], alpha=1.0)


@contextmanager
def told_to_the_user() -> Iterator[None]:
    """The engines' errors as the two kinds that the command line knows."""
    try:
        yield
    except BackendError as error:
        raise RunError(str(error)) from error
    except ValueError as error:  # ModelError too
        raise InputError(str(error)) from error


def _whole_model() -> WholeModel:
    return WholeModel(_feature_model(), FEATURE_OUTPUTS, several=True)


def _feature_model() -> FeatureModel:
    return FeatureModel(BodyNetwork.load(WEIGHTS, load_body(None)), WEIGHTS)


def _networks(names: Sequence[str]) -> list[UsedNetwork]:
    for name in names:
        if name not in NETWORKS:
            raise InputError(f"network {name}: expected one of {', '.join(NETWORKS)}")
    missing = {f"landmarks-{each}" for each in LANDMARK_FILES} - {f"landmarks-{each}" for each in installed_landmarks()}
    missing |= {"hands"} if hand_network_file() is None else set()
    return [NETWORKS[name] for name in names or NETWORKS if name in names or name not in missing]


def _known(backend: str) -> str:
    if backend not in BACKENDS:
        raise InputError(f"backend {backend}: expected one of auto, {', '.join(BACKENDS)}")
    return backend
