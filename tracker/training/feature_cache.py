"""What a frozen extractor makes of many examples, on disk: heads are then trained without pictures, in minutes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from tracker.body import BodyModel
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.core.atomic_file import write_whole
from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.networks.body_network import BodyNetwork
from tracker.networks.guide import GUIDE_CHANNELS, MAP
from tracker.networks.landmark_network import LANDMARKS
from tracker.synth.samples import stream
from tracker.training.head_losses import TruePeople
from tracker.training.people import Batch, Example, ExampleMaker

_DESCRIBED = "examples.json"
_AT_ONCE = 8
_TRUTH = {
    "theta": (3 * NUM_JOINTS,), "betas": (NUM_BETAS,), "transl": (3,), "camera": (4,), "trusted": (),
    "shape_trusted": (),
}  # fmt: skip
_GUIDE = ("embedding", "landmarks", "metric")


@dataclass(frozen=True)
class HeadExamples:
    """B people as heads take them, and the truth."""

    rows: NDArray[np.int64]
    """(B,): their numbers in the cache."""
    trunk: Tensor
    """(B, C, 64, 64)."""
    features: Tensor
    """(B, D, 64, 64), unit length."""
    guide: dict[str, Tensor]
    truth: TruePeople


class FeatureCache:
    """A folder of arrays, one row an example."""

    def __init__(self, folder: Path, count: int, network: BodyNetwork, key: str, body: BodyModel) -> None:
        """key: what the examples depend on. Goes on with what is there if it was made of the same.

        Raises InputError where it was made of something else.
        """
        self._folder, self._count, self._network = folder, count, network
        pelvis = body.joint_regressor[0].double().numpy()
        self._rest = pelvis @ body.v_template.double().numpy()
        self._slope = np.tensordot(pelvis, body.shapedirs.double().numpy(), axes=1)
        extractor = network.config.extractor
        sizes = {
            "trunk": ((extractor.trunk, MAP, MAP), np.float16),
            "features": ((extractor.features, MAP, MAP), np.float16),
            "embedding": ((GUIDE_CHANNELS["embedding"][0], 2, 2), np.float16),
            "landmarks": ((LANDMARKS, 5), np.float32),
            "metric": ((LANDMARKS, 3), np.float32),
            "parts": ((MAP, MAP), np.uint8),
            **{name: (shape, np.float32) for name, shape in _TRUTH.items()},
        }
        self._key = hashlib.sha256(key.encode()).hexdigest()[:16]
        self.made = self._known()
        folder.mkdir(parents=True, exist_ok=True)
        self._arrays = {name: self._array(name, shape, kind) for name, (shape, kind) in sizes.items()}

    def _known(self) -> int:
        """Examples that are there."""
        path = self._folder / _DESCRIBED
        if not path.exists():
            return 0
        described = json.loads(path.read_text())
        if (described["key"], described["count"]) != (self._key, self._count):
            raise InputError(f"{self._folder}: features of other examples or weights; delete it, or use another --out")
        return int(described["made"])

    def _array(self, name: str, shape: tuple[int, ...], kind: type) -> NDArray:
        path = self._folder / f"{name}.npy"
        if path.exists() and self.made:
            return np.load(path, mmap_mode="r+")
        return np.lib.format.open_memmap(path, "w+", kind, (self._count, *shape))

    def fill(self, source: ExampleMaker, workers: int) -> None:
        """Makes what is missing."""
        seeds = range(self.made, self._count)
        pending: list[Example] = []
        examples = stream(source, seeds, workers)
        for example in tqdm(examples, "features", initial=self.made, total=self._count, disable=None):
            pending.append(example)
            if len(pending) == _AT_ONCE or self.made + len(pending) == self._count:
                self._keep(pending)
                pending = []

    @torch.no_grad()
    def _keep(self, examples: list[Example]) -> None:
        batch = Batch.of(examples)
        extracted = self._network.extractor(batch.image, batch.guide)
        rows = slice(self.made, self.made + len(examples))
        kept = {"trunk": extracted.trunk, "features": extracted.features, "parts": batch.parts}
        kept |= {name: batch.guide[name] for name in _GUIDE}
        kept |= {name: getattr(batch, name).reshape(len(examples), *shape) for name, shape in _TRUTH.items()}
        for name, value in kept.items():
            self._arrays[name][rows] = value.numpy()
        self.made = rows.stop
        described = {"key": self._key, "count": self._count, "made": self.made}
        write_whole(self._folder / _DESCRIBED, json.dumps(described).encode())

    def rows(self, rows: NDArray[np.int64], device: str = "cpu", maps: bool = True) -> HeadExamples:
        """The examples of these numbers. maps: False leaves trunk, features and parts out, which are large."""

        def taken(name: str) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(self._arrays[name][rows]).astype(np.float32)).to(device)

        none = torch.zeros(len(rows), 1, 1, 1, device=device)
        theta = self._arrays["theta"][rows].astype(np.float64).reshape(len(rows), NUM_JOINTS, 3)
        betas = self._arrays["betas"][rows].astype(np.float64)
        root = self._arrays["transl"][rows] + self._rest + betas @ self._slope.T
        truth = TruePeople(
            torch.from_numpy(matrix_from_axis_angle(theta)).float().to(device),
            torch.from_numpy(betas).float().to(device),
            torch.from_numpy(root).float().to(device),
            taken("camera"),
            taken("parts") if maps else none[:, 0],
            taken("trusted"),
            taken("shape_trusted"),
        )
        trunk, features = (taken("trunk"), taken("features")) if maps else (none, none)
        return HeadExamples(rows, trunk, features, {name: taken(name) for name in _GUIDE}, truth)


def cache_key(weights: Path, **made_of: object) -> str:
    """Of the extractor's weights and whatever else the examples depend on."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return json.dumps({"weights": digest, **{name: repr(value) for name, value in made_of.items()}})
