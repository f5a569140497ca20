"""A folder of pictures and models that make samples more lifelike. Every part of it may be missing.

hdri/*.hdr                       environment maps, equirectangular: light and backgrounds
footage/*.mp4                    clips from a camera that stands still: backgrounds, without the people in them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tracker.errors import InputError
from tracker.synth.light import GAMMA
from tracker.synth.samples.light import Environment
from tracker.synth.samples.sample import Split

_HELD_OUT_EVERY = 5
_RADIANCE_WIDTH = 64
_PANORAMA_WIDTH = 1024
_PERCENTILE = 85
"""Of a map's pixels this share becomes darker than white."""


@dataclass(frozen=True)
class AssetFolder:
    """What a folder offers to one split: its files are dealt out, every fifth of a kind is held out."""

    root: Path

    @classmethod
    def open(cls, path: Path) -> AssetFolder:
        """Raises InputError where there is no such folder, or nothing in it that is of use."""
        if not path.is_dir():
            raise InputError(
                f"--assets {path}: no such folder; give one with hdri/, footage/, appearance/ or occluders/"
            )
        folder = cls(path)
        if not any((path / name).is_dir() for name in ("hdri", "footage", "appearance", "occluders")):
            raise InputError(f"--assets {path}: expected hdri/, footage/, appearance/ or occluders/ in it, found none")
        return folder

    def environments(self, split: Split) -> list[Path]:
        """Environment maps."""
        return dealt(sorted(self.root.glob("hdri/*.hdr")), split)


def dealt(files: Sequence[Path], split: Split) -> list[Path]:
    """The files of a split: the first, sixth, eleventh … are held out."""
    return [file for i, file in enumerate(files) if (i % _HELD_OUT_EVERY == 0) == (split == "held_out")]


def read_environment(path: Path) -> Environment:
    """From a Radiance file. Raises InputError where it cannot be read."""
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if found is None or found.ndim != 3 or found.dtype != np.float32:
        raise InputError(f"{path}: expected an environment map in Radiance's .hdr format; leave the file out")
    linear = np.maximum(found[..., 2::-1], 0)
    small, large = ((width, width // 2) for width in (_RADIANCE_WIDTH, _PANORAMA_WIDTH))
    bright = float(np.percentile(linear.mean(axis=2), _PERCENTILE))
    toned = (cv2.resize(linear, large, interpolation=cv2.INTER_AREA) / max(bright, 1e-6)).clip(0, 1) ** (1 / GAMMA)
    return Environment(
        cv2.resize(linear, small, interpolation=cv2.INTER_AREA).astype(np.float64),
        np.rint(toned * 255).astype(np.uint8),
    )
