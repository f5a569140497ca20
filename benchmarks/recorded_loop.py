"""The whole loop on recorded frames, on machines without mediapipe, a video library or a network.

    python -m benchmarks.recorded_loop pack --out out/gpu            where everything is installed
    python -m benchmarks.recorded_loop run out/gpu --device cuda     there

`pack` puts into a folder: frames as JPEG, where the person is in each, the files of person detector and landmark
network, the poses that this machine finds, and what Python packages the other machine may lack. `run` tracks one
person, and a grid of sixteen, in their known places, and compares the poses; then it finds and follows the one without
being told where. It writes frames per second, what each stage takes, how far the poses are off, and how often who is
found is where they were.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import click
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.grid import Grid
from benchmarks.kernels import machine
from tracker.body import load_body
from tracker.config import load_config
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.detection import Detection
from tracker.core.frame import Frame
from tracker.detect import LandmarkDetector
from tracker.detect.candidate import candidate_of, in_frame
from tracker.detect.follow import NetworkFollower, Region
from tracker.networks.body_network import BodyNetwork
from tracker.networks.landmark_files import FULL, LANDMARK_FILES, landmark_network_file
from tracker.networks.landmark_network import SIDE
from tracker.networks.person_network import FILE_NAME as PERSON_FILE
from tracker.networks.person_network import person_network_file
from tracker.pipeline import STAGES, Tracker, crop_networks

_FRAMES, _MODELS, _PACKAGES = "frames.npz", "cache/body-tracker/models", "site"
_PURE_PYTHON = ("dacite", "jaxtyping", "wadler_lindig")
"""Packages that are small, and missing where only torch and its like are installed."""
_QUALITY = 85
_CROWD = 16
_CROWD_SIZE = (1920, 1080)
_WARM_UP = 10


@dataclass(frozen=True)
class RecordedFrames:
    """N pictures with one person in them."""

    pictures: Sequence[NDArray[np.uint8]]
    """RGB."""
    times: Array
    """(N,) s."""
    regions: Array
    """(N, 4): the middle x, y px, side px and turn rad of the crop in which the person is."""
    joints: Array
    """(N, 24, 3) m: where they were found on the machine that recorded them."""

    @classmethod
    def load(cls, path: Path) -> RecordedFrames:
        with np.load(path) as file:
            pictures = [_picture(file[f"picture_{i}"]) for i in range(len(file["times"]))]
            return cls(pictures, file["times"], file["regions"], file["joints"])

    def save(self, path: Path) -> None:
        jpegs = {f"picture_{i}": _jpeg(picture) for i, picture in enumerate(self.pictures)}
        np.savez(path, times=self.times, regions=self.regions, joints=self.joints, **jpegs)


def _jpeg(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    bgr, quality = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    return np.asarray(cv2.imencode(".jpg", bgr, quality)[1], np.uint8)


def _picture(jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


class RegionDetector:
    """The landmark network in regions that are known, frame by frame; see `Detector`."""

    def __init__(self, follower: NetworkFollower, regions: Sequence[Sequence[Region]]) -> None:
        """regions: of each person, in each frame by its index."""
        self._follower, self._regions = follower, regions

    @property
    def engine(self) -> str:
        return self._follower.engine

    @property
    def device(self) -> str:
        return self._follower.device

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        """See `Detector`."""
        answers = self._follower.follow(frame.image, self._regions[frame.index % len(self._regions)])
        readings = [in_frame(each.reading, each.crop.T_frame_crop, frame.size) for each in answers]
        return [
            candidate_of(reading, frame.size, each).detection for reading, each in zip(readings, answers, strict=True)
        ]

    def forget(self) -> None:
        """It remembers nothing."""

    def close(self) -> None:
        self._follower.close()


def region_of(T_frame_crop: Array) -> Array:
    """(4,): see `RecordedFrames.regions`."""
    middle = T_frame_crop @ np.array([SIDE / 2, SIDE / 2, 1.0])
    across = T_frame_crop[:, 0]
    return np.array([*middle, SIDE * np.linalg.norm(across), np.arctan2(across[1], across[0])])


def regions_in_grid(region: Array, grid: Grid) -> list[Region]:
    """The region of a picture in each of its copies."""
    x, y, side, turn = (float(value) for value in region)
    middle = grid.scale * np.array([x, y])
    return [Region(np.array(corner) + middle, grid.scale * side, turn) for corner in grid.corners]


# -------------------------------------------------------------------------------------------------------- packing


def record(clip: Path, frames: int) -> Iterator[tuple[Frame, Array]]:
    """The first frames of a clip in which somebody is, with the region of the first of them."""
    from tracker.source import open_source

    with (
        open_source(str(clip)) as source,
        Tracker.open(load_config("live", {"detect": {"landmarks": FULL}})) as tracker,
    ):
        for frame in source:
            crops = [each.detection.crop for each in tracker.detect(frame).people]
            if crops and crops[0] is not None:
                yield frame, region_of(crops[0].T_frame_crop)
                frames -= 1
            if not frames:
                return


def pack(clip: Path, frames: int, folder: Path) -> None:
    """Writes all that `run` needs."""
    models = folder / _MODELS
    models.mkdir(parents=True, exist_ok=True)
    shutil.copy(landmark_network_file(), models / LANDMARK_FILES[FULL].file_name)
    shutil.copy(person_network_file(), models / PERSON_FILE)
    for name in _PURE_PYTHON:
        (place,) = importlib.import_module(name).__path__
        shutil.copytree(place, folder / _PACKAGES / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.pyc"))
    kept = list(tqdm(record(clip, frames), total=frames, desc="recording", unit="frame", disable=None))
    if not kept:
        raise click.ClickException(f"{clip}: nobody is found in it")
    times, regions = np.array([frame.time for frame, _ in kept]), np.stack([region for _, region in kept])
    pictures = [_picture(_jpeg(frame.image)) for frame, _ in kept]
    recorded = RecordedFrames(pictures, times, regions, np.zeros((len(kept), NUM_JOINTS, 3)))
    people = LoopRun.of(recorded, 1, "cpu", len(kept)).joints
    RecordedFrames(pictures, times, regions, people).save(folder / _FRAMES)


# -------------------------------------------------------------------------------------------------------- running


@dataclass(frozen=True)
class LoopRun:
    """What tracking and drawing so many people took."""

    people: int
    device: str
    engine: str
    frames: int
    fps: float
    stage_ms: dict[str, float]
    """Medians."""
    joints: Array
    """(frames, 24, 3) m, of the first person."""

    @classmethod
    def of(cls, recorded: RecordedFrames, people: int, device: str, frames: int) -> LoopRun:
        """frames: more than _WARM_UP, which are not counted; too few pictures come again from the start."""
        height, width = recorded.pictures[0].shape[:2]
        grid = Grid(people, (width, height), (width, height) if people == 1 else _CROWD_SIZE)
        pictures = [grid.drawn(picture) for picture in recorded.pictures]
        regions = [regions_in_grid(region, grid) for region in recorded.regions]
        config = load_config("live", {"engine": {"device": device}, "detect": {"max_people": people}})
        network = crop_networks(config, BodyNetwork.load(config.extract.weights, load_body(None)))
        follower = NetworkFollower(config.engine, network(landmark_network_file()))
        times = recorded.times
        period = float(times[-1] - times[0]) + 1 / 30
        drawn, joints = [], []
        with closing(Tracker.open(config, RegionDetector(follower, regions))) as tracker:
            for number in range(frames):
                if number == _WARM_UP:
                    _settle(device)
                    for seconds in tracker.stage_seconds.values():
                        seconds.clear()
                    started = perf_counter()
                turn, index = divmod(number, len(pictures))
                picture = pictures[index]
                found = tracker.step(Frame(number, float(times[index]) + turn * period, picture))
                before = perf_counter()
                tracker.draw(picture, found)
                drawn.append(perf_counter() - before)
                joints.append(found[0].joints3d if found else np.full((NUM_JOINTS, 3), np.nan))
            _settle(device)
            rate = (frames - _WARM_UP) / (perf_counter() - started)
            stages = {name: 1e3 * float(np.median(list(tracker.stage_seconds[name]))) for name in STAGES}
            stages["draw"] = 1e3 * float(np.median(drawn[_WARM_UP:]))
            return cls(people, device, tracker.engine, frames, rate, stages, np.stack(joints))


@dataclass(frozen=True)
class FindingRun:
    """What finding and following took, of people nobody said anything about."""

    median_ms: float
    in_place: float
    """0..1: frames in which one person is found, about where they were."""

    @classmethod
    def of(cls, recorded: RecordedFrames, device: str) -> FindingRun:
        config = load_config("live", {"engine": {"device": device}, "detect": {"punctual": True, "landmarks": FULL}})
        seconds, right = [], 0
        with LandmarkDetector(config.detect, config.engine) as detector:
            for index, (picture, time) in enumerate(zip(recorded.pictures, recorded.times, strict=True)):
                before = perf_counter()
                found = detector.detect(Frame(index, float(time), picture))
                seconds.append(perf_counter() - before)
                crops = [each.crop for each in found if each.crop is not None]
                right += len(crops) == 1 and _as_region(region_of(crops[0].T_frame_crop)).is_about(
                    _as_region(recorded.regions[index])
                )
        return cls(1e3 * float(np.median(seconds)), right / len(seconds))


def _as_region(numbers: Array) -> Region:
    return Region(numbers[:2], float(numbers[2]), float(numbers[3]))


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


@click.group(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """See the module."""


@main.command("pack")
@click.argument("clip", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--frames", type=click.IntRange(20), default=60, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/gpu"), show_default=True)
def pack_command(clip: Path | None, frames: int, out: Path) -> None:
    """Record CLIP, or one that is made up."""
    from benchmarks.clips_made import make_demo

    with tempfile.TemporaryDirectory() as folder:
        pack(clip or make_demo(Path(folder) / "demo.mp4", frames / 30 + 1), frames, out)
    click.echo(f"{out}: {sum(path.stat().st_size for path in out.rglob('*') if path.is_file()) / 1e6:.0f} MB")


@main.command("run")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--device", default="cuda", show_default=True)
@click.option("--frames", type=click.IntRange(20), default=600, show_default=True)
@click.option("--people", type=click.IntRange(1), multiple=True, default=(1, _CROWD), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="JSON file. Default: FOLDER/recorded_loop.json.")
def run_command(folder: Path, device: str, frames: int, people: tuple[int, ...], out: Path | None) -> None:
    """Track what `pack` has put into FOLDER."""
    os.environ["XDG_CACHE_HOME"] = str((folder / "cache").resolve())
    recorded = RecordedFrames.load(folder / _FRAMES)
    runs = []
    for number in people:
        run = LoopRun.of(recorded, number, device, frames)
        told = {key: value for key, value in asdict(run).items() if key != "joints"}
        if number == 1:
            first = min(len(recorded.joints), len(run.joints))
            off = 1e3 * np.linalg.norm(run.joints[:first] - recorded.joints[:first], axis=-1)
            told |= {"joints_off_mm": {"median": float(np.median(off)), "most": float(off.max())}}
        runs.append(told)
        click.echo(json.dumps(told, indent=1))
    finding = FindingRun.of(recorded, device)
    click.echo(f"finding {finding.median_ms:.1f} ms, in place {finding.in_place:.0%}")
    target = out or folder / "recorded_loop.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"machine": machine(), "runs": runs, "finding": asdict(finding)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
