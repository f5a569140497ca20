"""What holding planted feet live gains and what it costs, on people with exact truth and on real clips.

The clips of `evaluate synthetic`, clear, crossed by somebody and with the lower half hidden for a while, are tracked
once as live pictures are; then their feet are held frame by frame, so that nothing else differs:

    python -m benchmarks.live_feet [CLIP…] [--clips N] [--seed N] [--protocol clean] [--out FILE]

Of real CLIPs, whose truth nobody knows: how fast ankles move while the whole foot is planted, as the whole clip tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import thread_time

import click
import numpy as np
import torch
from numpy.typing import NDArray

from tracker.body import load_body
from tracker.body.free_body import load_free_body
from tracker.body.person_builder import PersonBuilder
from tracker.config import load_config
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.frame import Frame
from tracker.core.person import FrameRecord, Person
from tracker.evaluation.cases import CLEAN, Case, SyntheticBench, SyntheticSettings
from tracker.evaluation.metrics import acceleration_errors, mean, relative_errors
from tracker.evaluation.run import picture_cache
from tracker.evaluation.scoring import Judge
from tracker.evaluation.synthetic import CLIP, PictureSize, PictureStore, true_world
from tracker.evaluation.truth import Truth
from tracker.evaluation.world_errors import TrueWorld, world_errors
from tracker.pipeline import Tracker, TrackerConfig
from tracker.source import open_source
from tracker.world.body_track import FOOT_PARTS, contact_body, contact_rig
from tracker.world.contacts import contact_mask, contacts_of
from tracker.world.estimate import estimate_world
from tracker.world.live_feet import LiveFeet
from tracker.world.live_world import LiveWorld

PROTOCOLS = (CLEAN, "crossing", "lower-half")
_LONGEST_STEP = 0.1
"""s: frames farther apart have no acceleration to speak of."""
_ANKLES = (7, 8)
_SHORTEST = 30
"""Frames that somebody in a real clip is in at least."""


@dataclass(frozen=True)
class HeldClip:
    """A clip's people as live pictures show them, and with their feet held."""

    camera: Camera
    fitted: list[FrameRecord]
    held: list[FrameRecord]
    planted: list[dict[int, NDArray[np.bool_]]]
    """Of each frame, identity → (4,) which soles were held."""
    microseconds: float
    """Of processor time that holding took, a person and frame."""


def held_clip(
    records: Sequence[FrameRecord], camera: Camera, persons: PersonBuilder, config: TrackerConfig
) -> HeldClip:
    """As `live` does it."""
    world = LiveWorld(config.world, persons.body)
    feet = LiveFeet(persons, world)
    held, planted, seconds = [], [], 0.0
    for record in records:
        world.watch(record.time, record.people)  # so that its time is not counted
        before = thread_time()
        held.append(replace(record, people=feet.held(record.time, record.people, camera)))
        seconds += thread_time() - before
        planted.append({person.person_id: feet.planted(person.person_id) for person in record.people})
    people = max(1, sum(len(record.people) for record in records))
    return HeldClip(camera, list(records), held, planted, 1e6 * seconds / people)


# ------------------------------------------------------------------------------------------------ with exact truth


@dataclass(frozen=True)
class Figures:
    """Of one clip, one way."""

    slide: float
    """mm a frame that soles move while the true ones stand."""
    mpjpe: float
    acceleration: float
    """m/s², of the legs' joints."""
    ankles_px: float
    """By which ankles are off in the picture."""
    depth: float
    """Share of the distance by which that is off, %."""


def figures(records: Sequence[FrameRecord], judge: Judge, truth: Truth, world: TrueWorld) -> Figures:
    """Of the person who is meant."""
    chosen = [judge.match(frame, record.people) for frame, record in enumerate(records)]
    present = [frame for frame, person in enumerate(chosen) if person is not None]
    people = [person for person in chosen if person is not None]
    joints, true = np.stack([person.joints3d for person in people]), truth.joints3d[present]
    pixels = np.stack([person.joints2d for person in people]) - truth.joints2d[present]
    legs = [joint + side for joint in (4, 7, 10) for side in (0, 1)]
    shaken = acceleration_errors(truth.times[present], joints[:, legs], true[:, legs], _LONGEST_STEP) / 1000
    soles = _soles(chosen)
    return Figures(
        slide=world_errors(world.world, soles, np.zeros(soles.shape[:2], bool), world).slide,
        mpjpe=mean(relative_errors(joints, true, joints[:, 0], true[:, 0])),
        acceleration=mean(shaken),
        ankles_px=float(np.linalg.norm(pixels[:, _ANKLES], axis=-1).mean()),
        depth=100 * float(np.abs(joints[:, 0, 2] / true[:, 0, 2] - 1).mean()),
    )


def _soles(chosen: Sequence[Person | None]) -> Array:
    """(T, 4, 3) m, NaN where nobody is or somebody else begins."""
    rig = contact_rig(load_body(None))
    soles = np.full((len(chosen), FOOT_PARTS, 3), np.nan)
    for frame, person in enumerate(chosen):
        if person is not None:
            soles[frame] = rig.posed(person.pose.theta, person.pose.betas).points + person.pose.transl
    return soles


@dataclass(frozen=True)
class ClipResult:
    """What holding has changed in one clip."""

    fitted: Figures
    held: Figures
    contact_f1: float
    """%"""
    microseconds: float


def result_of(bench: SyntheticBench, case: Case) -> ClipResult:
    """Tracks a case and holds its feet."""
    footage = bench.store.footage(case.key(bench.settings))
    truth, occlusion = footage.truth, bench.occlusion(case, footage)
    records = []
    with Tracker.open(replace(bench.tracker, detect=replace(bench.tracker.detect, max_people=2))) as tracker:
        for index, (time, image) in enumerate(zip(truth.times, footage.images, strict=True)):
            picture = image if occlusion is None else occlusion.apply(image, index)
            records.append(FrameRecord(index, float(time), tracker.step(Frame(index, float(time), picture))))
        clip = held_clip(records, truth.camera, tracker.persons, bench.tracker)
        judge = Judge(tracker.body, load_free_body(), truth, parts=False)
    world = true_world(case.key(bench.settings), truth)
    chosen = [judge.match(frame, record.people) for frame, record in enumerate(clip.fitted)]
    nobody = np.zeros(FOOT_PARTS, bool)
    contacts = [
        nobody if person is None else planted[person.person_id]
        for person, planted in zip(chosen, clip.planted, strict=True)
    ]
    f1 = world_errors(world.world, _soles(chosen), np.stack(contacts), world).contact_f1
    both = (figures(records, judge, truth, world) for records in (clip.fitted, clip.held))
    return ClipResult(*both, 100 * f1, clip.microseconds)


def results_of(settings: SyntheticSettings, protocols: Sequence[str], workers: int) -> dict[str, list[ClipResult]]:
    """Of each protocol."""
    bench = SyntheticBench(settings, load_config("live"), PictureStore(picture_cache()))
    cases = [Case(CLIP, number, protocol) for protocol in protocols for number in range(settings.clips)]
    for key in {case.key(settings): None for case in cases}:
        bench.store.prepare(key)
    with ProcessPoolExecutor(workers, get_context("spawn"), partial(torch.set_num_threads, 1)) as pool:
        results = list(pool.map(partial(result_of, bench), cases))
    return {
        protocol: [result for case, result in zip(cases, results, strict=True) if case.protocol == protocol]
        for protocol in protocols
    }


def as_text(results: Sequence[ClipResult]) -> str:
    """Means over clips, of either way, and of the difference with its standard error."""
    lines = [f"{'':22}{'fitted':>10}{'held':>10}{'difference':>20}"]
    for name in (field.name for field in fields(Figures)):
        fitted, held = (np.array([getattr(getattr(each, way), name) for each in results]) for way in ("fitted", "held"))
        error = (held - fitted).std(ddof=1) / np.sqrt(len(results)) if len(results) > 1 else float("nan")
        lines.append(f"{name:22}{fitted.mean():10.2f}{held.mean():10.2f}{(held - fitted).mean():+12.2f} ± {error:.2f}")
    contacts, time = (np.mean([getattr(each, name) for each in results]) for name in ("contact_f1", "microseconds"))
    return "\n".join([*lines, f"contact F1 {contacts:.1f} %, {time:.0f} µs a person and frame"])


# ------------------------------------------------------------------------------------------------------ real clips


@dataclass(frozen=True)
class AnkleSpeeds:
    """m/s of one ankle while heel and ball of its foot are planted, the median."""

    clip: str
    person_id: int
    side: str
    fitted: float
    held: float


def ankle_speeds(path: Path, config: TrackerConfig) -> Iterator[AnkleSpeeds]:
    """Of everybody in a clip who is in it for a while."""
    with Tracker.open(config) as tracker, open_source(str(path)) as source:
        records = [FrameRecord(frame.index, frame.time, tracker.step(frame)) for frame in source]
        camera = tracker.cameras.for_size(source.info.width, source.info.height)
        clip = held_clip(records, camera, tracker.persons, config)
        for key in sorted({person.person_id for record in records for person in record.people}):
            yield from speeds_of(path.name, key, clip, tracker.persons, config)


def speeds_of(
    name: str, key: int, clip: HeldClip, persons: PersonBuilder, config: TrackerConfig
) -> Iterator[AnkleSpeeds]:
    rows = [row for row, record in enumerate(clip.fitted) if any(each.person_id == key for each in record.people)]
    if len(rows) < _SHORTEST:
        return
    fitted, held = (
        [next(each for each in records[row].people if each.person_id == key) for row in rows]
        for records in (clip.fitted, clip.held)
    )
    times = np.array([clip.fitted[row].time for row in rows])
    track = contact_body(persons.body).track(
        times, np.stack([each.pose.theta for each in fitted]), fitted[-1].pose.betas,
        np.stack([each.pose.transl for each in fitted]), np.stack([each.joint_confidence for each in fitted]),
    )  # fmt: skip
    planted = contact_mask(contacts_of(track, estimate_world([track], config.world).floor), len(rows))
    joints = np.zeros((2, len(rows), NUM_JOINTS, 3))
    joints[:] = [[each.joints3d for each in people] for people in (fitted, held)]
    speeds = np.linalg.norm(np.diff(joints, axis=1), axis=-1) / np.diff(times)[:, None]
    for side, ankle in enumerate(_ANKLES):
        whole = planted[:, side] & planted[:, side + 2]
        still = whole[1:] & whole[:-1]
        if still.any():
            medians = np.median(speeds[:, still, ankle], axis=1)
            yield AnkleSpeeds(name, key, ("left", "right")[side], float(medians[0]), float(medians[1]))


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[CLIP]...")
@click.option("--clips", type=click.IntRange(min=0), default=3, show_default=True, help="Made up, of each kind.")
@click.option("--seconds", type=click.FloatRange(min=4.0), default=6.0, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--protocol", "protocols", type=click.Choice(PROTOCOLS), multiple=True, default=PROTOCOLS)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Writes the figures as JSON.")
def main(
    paths: tuple[Path, ...], clips: int, seconds: float, seed: int, protocols: tuple[str, ...], workers: int,
    out: Path | None,
) -> None:  # fmt: skip
    """Measure how live runs hold planted feet."""
    settings = SyntheticSettings(seed, stills=0, clips=clips, size=PictureSize(seconds=seconds))
    results = results_of(settings, protocols, workers) if clips else {}
    for protocol, each in results.items():
        click.echo(f"{protocol}\n{as_text(each)}\n")
    ankles = [speeds for path in paths for speeds in ankle_speeds(path, load_config("live"))]
    for speeds in ankles:
        where = f"{speeds.clip}, person {speeds.person_id}, {speeds.side}"
        click.echo(f"{where}: planted ankle moves {speeds.fitted:.2f} m/s as fitted, {speeds.held:.2f} m/s held")
    if out is not None:
        content = {
            "clips": clips, "seconds": seconds, "seed": seed, "ankles": [asdict(each) for each in ankles],
            "protocols": {name: [asdict(each) for each in rows] for name, rows in results.items()},
        }  # fmt: skip
        out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
