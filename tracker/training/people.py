"""Training examples as the networks take them: a crop, what the landmark network says of it, and the truth.

They are made in worker processes, synthetic people and real ones alike, so that the training only has to stack them;
on a GPU it also asks the landmark network, of whole batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from kernels import raster
from kernels.raster_values import Intrinsics
from tracker.body import BodyModel
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.crop import warp_crop
from tracker.core.person import Pose
from tracker.detect.follow import Region
from tracker.networks.guide import BatchGuide, LandmarkGuide
from tracker.networks.landmark_network import SIDE
from tracker.synth.samples import SampleFactory
from tracker.synth.samples.occluder import patch_mask

_REAL = 7
"""First key of the random numbers of real examples."""
_HALF = 127
_FOUND = 0.25
"""Part of a body that the landmark network's mask must cover to be this person's."""


@dataclass(frozen=True)
class Example:
    """One crop. Pixels of the crop, metres, the crop camera's frame."""

    image: NDArray[np.uint8]
    """(256, 256, 3)."""
    guide: dict[str, NDArray[np.float16]]
    """See `guide.Guide`; empty as long as the landmark network has not been asked."""
    parts: NDArray[np.uint8]
    """(64, 64): 0, or 1 + the joint whose part is seen there."""
    masked: NDArray[np.bool_]
    """(): whether `parts` leaves out what is hidden; where that is not known, the landmark network's mask decides."""
    theta: NDArray[np.float32]
    betas: NDArray[np.float32]
    transl: NDArray[np.float32]
    camera: NDArray[np.float32]
    """(4,) fx, fy, cx, cy."""
    trusted: NDArray[np.float32]
    """(): 1 where the pose is exact, less where it was estimated."""
    shape_trusted: NDArray[np.float32]
    """(): the same of β."""


@dataclass(frozen=True)
class Batch:
    """Examples as tensors, the fields' first axis running over them."""

    image: Tensor
    """(B, 3, 256, 256) 0..1."""
    guide: dict[str, Tensor]
    parts: Tensor
    theta: Tensor
    betas: Tensor
    transl: Tensor
    camera: Tensor
    trusted: Tensor
    shape_trusted: Tensor

    @classmethod
    def of(cls, examples: Sequence[Example], device: str = "cpu", guide_maker: BatchGuide | None = None) -> Batch:
        """guide_maker: asked for the guide instead of the examples, which then need none."""

        def stacked(values: Iterable[NDArray]) -> Tensor:
            return torch.from_numpy(np.stack(list(values))).to(device)

        images = stacked(e.image for e in examples)
        names = examples[0].guide
        guide = (
            guide_maker(images) if guide_maker else {n: stacked(e.guide[n] for e in examples).float() for n in names}
        )
        parts, masked = stacked(e.parts for e in examples), stacked(e.masked for e in examples)
        rest = {f.name: stacked(getattr(e, f.name) for e in examples) for f in fields(cls)[3:]}
        return cls(images.permute(0, 3, 1, 2).float() / 255, guide, _seen(parts, masked, guide["mask"][:, 0]), **rest)


def _seen(parts: Tensor, masked: Tensor, mask: Tensor) -> Tensor:
    """Parts (B, 64, 64) where the network's mask (B, 64, 64) has somebody, unless they are masked (B,) already.

    A mask with hardly anything of this body is perhaps somebody else's, and hides nothing.
    """
    visible = torch.where(mask > 0.5, parts, torch.zeros_like(parts))
    enough = (visible > 0).sum(dim=(1, 2)) >= _FOUND * (parts > 0).sum(dim=(1, 2))
    return torch.where((enough & ~masked)[:, None, None], visible, parts)


class ExampleMaker(Protocol):
    """Makes the example of a number."""

    def sample(self, seed: int, /) -> Example: ...


class Guided:
    """Examples with the landmark network's guide; makes the network in the process that uses it."""

    def __init__(self, maker: ExampleMaker) -> None:
        self._maker = maker
        self._guide: LandmarkGuide | None = None

    def __reduce__(self) -> tuple[type[Guided], tuple[ExampleMaker]]:
        return Guided, (self._maker,)

    def sample(self, seed: int) -> Example:
        """The example of this number."""
        self._guide = self._guide or LandmarkGuide()
        example = self._maker.sample(seed)
        guide = {name: value.astype(np.float16) for name, value in self._guide(example.image).items()}
        return replace(example, guide=guide)


class Synthetic:
    """A factory's samples as examples."""

    def __init__(self, factory: SampleFactory) -> None:
        self._factory = factory

    def sample(self, seed: int) -> Example:
        """The example of this number."""
        sample = self._factory.sample(seed)
        return Example(
            sample.image, {}, sample.parts[2::4, 2::4].copy(), np.asarray(True), _single(sample.theta),
            _single(sample.betas), _single(sample.transl), _four(sample.camera_matrix), _single(1.0), _single(1.0),
        )  # fmt: skip


class Mixed:
    """Synthetic examples with shares of real ones among them."""

    def __init__(self, synthetic: ExampleMaker, real: Sequence[tuple[ExampleMaker, float]]) -> None:
        """real: makers and their shares of all examples, which add up to 1 at most."""
        self._synthetic, self._real = synthetic, list(real)
        self._edges = np.cumsum([share for _, share in self._real])

    def sample(self, seed: int) -> Example:
        """The example of this number."""
        at = int(np.searchsorted(self._edges, np.random.default_rng([_REAL, seed]).random(), side="right"))
        return (self._real[at][0] if at < len(self._real) else self._synthetic).sample(seed)


@dataclass(frozen=True)
class PosedPicture:
    """A picture of somebody whose pose is known."""

    image: NDArray[np.uint8]
    """(h, w, 3) RGB."""
    mask: NDArray[np.uint8] | None
    """(h, w) 0..255, 255 where they are seen; None where that is not known."""
    camera: Camera
    pose: Pose
    trusted: float
    """See `Example`."""
    shape_trusted: float


class PosedPictures(Protocol):
    """Pictures by number, which may be read when they are asked for; goes to other processes."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> PosedPicture: ...


class RealPeople:
    """Pictures of real people, cut anew each time, with patches over people whose pose is known from without them."""

    def __init__(self, pictures: PosedPictures, body: BodyModel) -> None:
        self._pictures, self._body = pictures, body
        self._rig = LandmarkRig.from_body(body)
        self._faces = body.faces.int().contiguous()
        self._part_of_face = (1 + body.part_labels[body.faces[:, 0]]).to(torch.uint8).numpy()

    def __reduce__(self) -> tuple[type[RealPeople], tuple]:
        return RealPeople, (self._pictures, self._body)

    def sample(self, seed: int) -> Example:
        """The example of this number."""
        rng = np.random.default_rng([_REAL, seed])
        picture = self._pictures[int(rng.integers(len(self._pictures)))]
        T_picture_crop, state, camera = self._cut(rng, picture)
        whole = np.full(picture.image.shape[:2], 255, np.uint8) if picture.mask is None else picture.mask
        image, mask = (warp_crop(each, T_picture_crop, SIDE, SIDE) for each in (picture.image, whole))
        amodal = self._parts(state, camera.matrix)
        if rng.random() < 0.6 and (amodal > 0).any():
            hidden = patch_mask(rng, amodal > 0, (0.1, 0.5))
            other = self._pictures[int(rng.integers(len(self._pictures)))].image
            image[hidden] = cv2.resize(other[: SIDE // 2, : SIDE // 2], (SIDE, SIDE))[hidden]
            mask[hidden] = 0
        parts = np.where(mask > _HALF, amodal, 0).astype(np.uint8)
        pose = state.to_pose()
        return Example(
            _recoloured(rng, image), {}, parts[2::4, 2::4].copy(), np.asarray(picture.mask is not None),
            _single(pose.theta), _single(pose.betas), _single(pose.transl), _four(camera.matrix),
            _single(picture.trusted), _single(picture.shape_trusted),
        )  # fmt: skip

    def _cut(self, rng: np.random.Generator, picture: PosedPicture) -> tuple[Array, BodyState, Camera]:
        """T_picture_crop (2, 3) of an upright square about the person, as inexact as a tracker's, with the body and the
        camera in it."""
        state = BodyState.from_pose(picture.pose)
        posed = self._rig.pose(state.rotations, state.betas)
        region = Region.around(picture.camera.project(posed.points + state.transl))
        side = region.side * rng.uniform(0.9, 1.3)
        centre = region.centre + rng.uniform(-0.06, 0.06, 2) * side
        T_picture_crop = Region(centre, side, region.turn + rng.normal(0.0, 0.15)).transform
        camera, roll = picture.camera.turned_crop(T_picture_crop, SIDE)
        return T_picture_crop, state.turned(roll, posed.rest_joints[0]), camera

    def _parts(self, state: BodyState, camera: Array) -> NDArray[np.uint8]:
        """(256, 256): 0, or 1 + the joint whose part the fitted mesh has there."""
        pose = state.to_pose()
        shaped = self._body.with_shape(torch.from_numpy(pose.betas).float())
        posed = shaped.with_pose(torch.from_numpy(pose.theta).float())
        vertices = posed.vertices() + torch.from_numpy(pose.transl).float()
        k = Intrinsics(camera[0, 0], camera[1, 1], camera[0, 2], camera[1, 2])
        face = raster.rasterize(vertices.contiguous(), self._faces, k, (SIDE, SIDE)).triangle.numpy()
        return np.where(face >= 0, self._part_of_face[face], 0).astype(np.uint8)


def _recoloured(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Another exposure and white balance, a little noise."""
    gain = np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.06, 3))
    noise = rng.normal(0, rng.uniform(0, 6), image.shape)
    return np.clip(image * gain + noise, 0, 255).astype(np.uint8)


def _single(values: ArrayLike) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)


def _four(matrix: Array) -> NDArray[np.float32]:
    return np.array([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]], np.float32)
