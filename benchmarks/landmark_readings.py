"""What a landmark network says of rendered people whose truth is known.

Dressed people of random shape, pose, light and camera are rendered and looked at as the tracker follows them: made-up
ones, and whole rigged ones where there are assets (docs/samples.md). A file of such readings is made once:

    python -m benchmarks.landmark_readings --motion MOTION --assets ASSETS --rigged 1 --occluded 0 --out readings.npz

and read by `landmark_noise`, `landmark_map`, `landmark_fit`, `metric_landmarks` and `inverse_kinematics`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.core.affine import apply_affine
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.person import Pose
from tracker.detect.follow import NetworkFollower, Region
from tracker.motion import MotionLibrary, PoseSampler
from tracker.networks.crop_network import landmarks_alone
from tracker.networks.landmark_files import FULL, landmark_network_file
from tracker.runtime.engine_config import EngineConfig
from tracker.synth.samples import AssetFolder, Sample, SampleConfig, SampleFactory, stream
from tracker.synth.samples.sample import SIZE, Split

FOUND = 0.5
"""Presence from which somebody counts as found."""
_SEED = 77


@dataclass(frozen=True)
class Readings:
    """N pictures: the truth, and what the detector said. Pixels of the picture, the camera's frame."""

    theta: Array
    betas: Array
    transl: Array
    camera: Array
    """(N, 4): fx, fy, cx, cy."""
    hidden: Array
    """(N, 33): something stands in front, or it is out of the picture."""
    pixels: Array
    metric: Array
    visibility: Array
    score: Array
    """(N,) 0..1: whether it is a person at all."""

    @classmethod
    def of(cls, rows: list[dict[str, Array]]) -> Readings:
        return cls(**{f.name: np.array([row[f.name] for row in rows]) for f in fields(cls)})

    @classmethod
    def load(cls, path: Path) -> Readings:
        with np.load(path, allow_pickle=False) as stored:
            return cls(**{f.name: stored[f.name] for f in fields(cls)})

    def save(self, path: Path) -> None:
        np.savez(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    def view(self, i: int) -> Camera:
        """The i-th sample's camera."""
        fx, fy, cx, cy = self.camera[i].tolist()
        return Camera(fx, fy, cx, cy, SIZE, SIZE)

    def found(self) -> Readings:
        """Those in which the detector saw a person."""
        return Readings(**{f.name: getattr(self, f.name)[self.score >= FOUND] for f in fields(self)})


class Watcher:
    """The detector's landmark network, as the tracker follows people with it."""

    def __init__(self, network: Path | None = None) -> None:
        """network: its file, by default the full one."""
        self.rig = LandmarkRig.from_body(load_body(None))
        self._follower = NetworkFollower(EngineConfig(), landmarks_alone(network or landmark_network_file()))

    def at(self, image: Array, pose: Pose, camera: Camera, region: Region | None = None) -> dict[str, Array] | None:
        """One row of `Readings` but for `hidden`, and `region` for the next frame; None for people at the lens."""
        points = self.rig.pose_from_theta(pose.theta, pose.betas).points + pose.transl
        if points[:, 2].min() < 0.1:
            return None
        first = self._follower.follow(image, [region or Region.around(camera.project(points))])[0]
        seen = self._follower.follow(image, [first.region])[0] if region is None and first.presence > FOUND else first
        turn = np.eye(3)
        T_frame_crop, said = seen.crop.T_frame_crop, seen.reading
        turn[:2, :2] = T_frame_crop[:, :2] / np.linalg.norm(T_frame_crop[:, 0])
        return {
            "theta": pose.theta, "betas": pose.betas, "transl": pose.transl,
            "camera": np.array([camera.fx, camera.fy, camera.cx, camera.cy]), "truth2d": camera.project(points),
            "pixels": apply_affine(T_frame_crop, said.landmarks2d), "metric": said.landmarks3d @ turn.T,
            "visibility": said.visibility, "score": np.array(seen.presence), "region": seen.region,
        }  # fmt: skip


class Looked:
    """A factory of samples whose results are rows of `Readings`."""

    def __init__(self, factory: SampleFactory, network: Path) -> None:
        self._factory, self._network = factory, network
        self._look: Watcher | None = None

    def __reduce__(self) -> tuple[type[Looked], tuple[SampleFactory, Path]]:
        return Looked, (self._factory, self._network)

    def sample(self, seed: int) -> dict[str, Array] | None:
        """The row of this number; None where somebody stands at the lens."""
        self._look = self._look or Watcher(self._network)
        sample = self._factory.sample(seed)
        k, theta = sample.camera_matrix, sample.theta
        side = len(sample.image)
        camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], side, side)
        pose = Pose(theta[0], theta[1:].reshape(-1), sample.betas, sample.transl)
        row = self._look.at(sample.image, pose, camera)
        return None if row is None else {**row, "hidden": _hidden(sample, row["truth2d"])}


def _hidden(sample: Sample, pixels: Array) -> Array:
    side = len(sample.image)
    outside = ((pixels < 0) | (pixels >= side)).any(axis=1)
    x, y = np.clip(pixels, 0, side - 1).astype(int).T
    hidden: Array = outside | sample.occluder[y, x]
    return hidden


def rendered(
    motion: Path, assets: Path | None, people: int, config: SampleConfig, network: Path, workers: int
) -> Readings:
    """What the network says of so many samples (docs/samples.md)."""
    library = MotionLibrary.open(motion).split()[config.split == "held_out"]
    stock = AssetFolder.open(assets) if assets else None
    factory = SampleFactory(config, load_body(None), PoseSampler(library), stock)
    rows = tqdm(stream(Looked(factory, network), range(people), workers), total=people, unit="picture")
    return Readings.of([row for row in rows if row is not None])


@click.command(help=__doc__)
@click.option("--motion", type=click.Path(path_type=Path), required=True, help="Motion files: what people do.")
@click.option("--assets", type=click.Path(path_type=Path), help="Skins, clothes, light (docs/samples.md).")
@click.option("--people", default=4000, show_default=True)
@click.option("--split", type=click.Choice(["train", "held_out"]), default="train", show_default=True)
@click.option("--rigged", default=SampleConfig.rigged, show_default=True, help="Share of whole rigged people.")
@click.option("--occluded", default=SampleConfig.occluded, show_default=True, help="Share of people behind something.")
@click.option("--landmarks", default=FULL, show_default=True, help="The landmark network: its name or file.")
@click.option("--workers", default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The readings (.npz).")
def main(
    motion: Path,
    assets: Path | None,
    people: int,
    split: Split,
    rigged: float,
    occluded: float,
    landmarks: str,
    workers: int,
    out: Path,
) -> None:
    config = SampleConfig(seed=_SEED, split=split, rigged=rigged, occluded=occluded)
    rendered(motion, assets, people, config, landmark_network_file(landmarks), workers).save(out)


if __name__ == "__main__":
    main()
