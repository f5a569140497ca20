"""What a training sample is, and what the maker of samples may vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array

Split = Literal["train", "held_out"]
SIZE = 256
"""px along a sample's side: the crop that the tracker's networks see."""


class PoseSource(Protocol):
    """Where poses come from; `tracker.motion`'s sampler is one."""

    def poses(self, rng: np.random.Generator, count: int) -> Array:
        """(count, 24, 3, 3): each joint's rotation relative to its parent; the root's into a world with y up, in which
        an upright body looks along +z."""
        ...


@dataclass(frozen=True)
class SampleConfig:
    """What samples look like. Shares are probabilities in 0..1."""

    split: Split = "train"
    """The two splits share no look, cloth, texture, light, background, or region of the shape space."""
    seed: int = 0
    children: float = 0.15
    frontal: float = 0.5
    """Share of people who more or less look at the camera; the others look anywhere."""
    occluded: float = 0.5
    """Share of samples in which something stands in front of the person."""
    hidden: tuple[float, float] = (0.10, 0.60)
    """How much of the person it then hides."""
    webcam: float = 0.2
    """Share of samples seen close up, with the legs outside of the picture."""
    outfits: int = 40
    """People with different clothes that a process has at hand; every sample recolours one of them."""
    rigged: float = 0.35
    """Share of the outfits that are whole rigged people, where the assets have some."""
    backgrounds: int = 120
    lens: float = 1.0
    """Strength of blur, noise and compression; 0 leaves the picture as it was rendered."""

    def __post_init__(self) -> None:
        if self.split not in ("train", "held_out"):
            raise ValueError(f"split: expected 'train' or 'held_out', got {self.split!r}")
        for name in ("children", "frontal", "occluded", "webcam", "rigged", "lens"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a number in 0..1, got {getattr(self, name)}")
        if not 0 < self.hidden[0] < self.hidden[1] < 1:
            raise ValueError(f"hidden: expected two rising shares between 0 and 1, got {self.hidden}")
        if self.outfits < 1 or self.backgrounds < 1:
            raise ValueError("outfits, backgrounds: expected at least 1")

    def rng(self, *what: int) -> np.random.Generator:
        """The random numbers for one thing of this config: independent of every other's."""
        return np.random.default_rng([self.seed, int(self.split == "held_out"), *what])


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture of a person and the truth about it. Camera frame of OpenCV, metres; pixel centres at + 0.5."""

    image: NDArray[np.uint8]
    """(256, 256, 3) RGB."""
    theta: Array
    """(24, 3) axis-angle; the root turns the body into the camera's frame."""
    betas: Array
    """(10,)."""
    transl: Array
    """(3,) m."""
    camera_matrix: Array
    """(3, 3) of the crop."""
    joints3d: Array
    """(24, 3) m."""
    joints2d: Array
    """(24, 2) px of the crop."""
    joint_visible: NDArray[np.bool_]
    """(24,) inside the picture, and nothing stands in front of the person there. The person may hide it himself."""
    parts: NDArray[np.uint8]
    """(256, 256): 0, or 1 + the SMPL joint that moves the surface seen there."""
    parts_amodal: NDArray[np.uint8]
    """The same as if nothing stood in front of the person and the frame went on."""
    iuv: NDArray[np.uint8]
    """(256, 256, 3): part, and where on the body's own texture the surface lies, u and v in 0..255; 0 elsewhere.
    On clothes it is the nearest skin's."""
    occluder: NDArray[np.bool_]
    """(256, 256): something stands in front of the person, or of where the frame ends."""
