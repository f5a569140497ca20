"""Draws training samples for the eye, with their truth beside them, and measures how fast they are made.

    python -m benchmarks.samples --out sheet.png [--count 64] [--assets DIR] [--motion DIR] [--split held_out] [--truth]
    python -m benchmarks.samples --time 300 [--workers 4] [--assets DIR] [--motion DIR]

With --truth each picture is followed by one with joints (white where visible, red where not), bones and parts.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tracker.body import PARENTS, load_body
from tracker.motion.motion_library import MotionLibrary
from tracker.motion.sampler import PoseSampler
from tracker.synth.samples import AssetFolder, Sample, SampleConfig, SampleFactory, stream

Picture = NDArray[np.uint8]
_COLUMNS = 8
_WARMING = 600
"""Samples after which a process has nearly all of its stock."""
_HIDDEN_TINT = np.array([255, 0, 0])


def part_colours() -> NDArray[np.uint8]:
    """(25, 3), black for the background."""
    number = np.arange(25)
    hsv = np.stack([number * 67 % 180, np.full(25, 200), 255 * (number > 0)], axis=1)
    return np.asarray(cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0], np.uint8)


def with_truth(sample: Sample) -> Picture:
    """(256, 256, 3): parts over the picture, what is hidden in red, the skeleton on top."""
    parts = part_colours()[sample.parts].astype(float)
    picture = np.where(sample.parts[..., None] > 0, 0.45 * sample.image + 0.55 * parts, 0.6 * sample.image)
    picture = np.where(sample.occluder[..., None], 0.75 * picture + 0.25 * _HIDDEN_TINT, picture).astype(np.uint8)
    pixels = [(int(x), int(y)) for x, y in np.clip(sample.joints2d, -500, 500)]
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            cv2.line(picture, pixels[parent], pixels[joint], (0, 0, 0), 1, cv2.LINE_AA)
    for pixel, visible in zip(pixels, sample.joint_visible, strict=True):
        cv2.circle(picture, pixel, 2, (255, 255, 255) if visible else (255, 0, 0), -1, cv2.LINE_AA)
    return picture


def sheet(samples: list[Sample], truth: bool) -> Picture:
    """Rows of eight pictures."""
    pictures = [picture for s in samples for picture in ([s.image, with_truth(s)] if truth else [s.image])]
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % _COLUMNS)
    rows = [np.concatenate(pictures[i : i + _COLUMNS], axis=1) for i in range(0, len(pictures), _COLUMNS)]
    return np.concatenate(rows)


def measure(factory: SampleFactory, count: int, workers: int) -> None:
    """Prints process milliseconds a sample in this process, and samples a second from several."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for seed in range(_WARMING):
        factory.sample(seed)
    start = time.process_time()
    for seed in range(_WARMING, _WARMING + count):
        factory.sample(seed)
    sys.stdout.write(f"{(time.process_time() - start) / count * 1e3:.1f} ms of one core a sample, stock made\n")
    if workers:
        source = stream(factory, range(_WARMING * workers + count), workers)
        for _ in range(_WARMING * workers):
            next(source)
        clock = time.perf_counter()
        made = sum(1 for _ in source)
        sys.stdout.write(f"{made / (time.perf_counter() - clock):.0f} samples/s from {workers} processes\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--first", type=int, default=0, help="seed of the first sample")
    parser.add_argument("--split", choices=("train", "held_out"), default="train")
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--time", type=int, default=0, metavar="COUNT")
    parser.add_argument("--workers", type=int, default=0)
    given = parser.parse_args()
    library = MotionLibrary.open(given.motion).split()[given.split == "held_out"] if given.motion else None
    assets = AssetFolder.open(given.assets) if given.assets else None
    factory = SampleFactory(SampleConfig(split=given.split), load_body(), PoseSampler(library), assets)
    if given.out:
        samples = list(stream(factory, range(given.first, given.first + given.count), given.workers))
        cv2.imwrite(str(given.out), sheet(samples, given.truth)[..., ::-1])
    if given.time:
        measure(factory, given.time, given.workers)


if __name__ == "__main__":
    main()
