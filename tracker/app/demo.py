"""The demo: a clip of its own with known truth, tracked with the same code as any video, and how well that went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tracker.app.track import TrackJob, track
from tracker.body.free_body import load_free_body
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.atomic_file import whole_file
from tracker.core.errors import InputError, RunError
from tracker.core.shown_text import warnings_hint
from tracker.evaluation.metrics import MM, JointErrors, acceleration_errors, joint_errors, mean
from tracker.evaluation.world_errors import TrueWorld, world_errors
from tracker.export import ExportConfig
from tracker.export.files import atomic_file, prepare_folder
from tracker.export.npz import load_person
from tracker.export.person_file import person_files
from tracker.export.sequence import PersonSequence, body_track
from tracker.overlay.video_writer import VideoWriter
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt
from tracker.synth.demo_clip import ClipConfig, ClipTruth, DemoClip
from tracker.world.contact_parts import CONTACT_PARTS, FOOT_PARTS
from tracker.world.world_frame import CAMERA_SYSTEM

CLIP_NAME, TRUTH_NAME = "demo_clip.mp4", "truth.npz"
HIDDEN_JOINTS = 6
"""A frame in which at least so many of the 24 joints are behind the obstacle counts as occluded."""
_SQUAT = 0.75
"""Of the pelvis' greatest height, below which the person squats."""
_WORST = 3
"""Joints named in the table."""
_LONGEST_STEP = 0.12
"""s between frames over which acceleration is measured."""


@dataclass(frozen=True)
class DemoJob:
    """What the user asked for."""

    out: Path
    seconds: float = 12.0
    overwrite: bool = False


def run_demo(job: DemoJob, config: TrackerConfig, interrupt: Interrupt) -> str:
    """Makes the clip, tracks it, and gives the table of errors and the places of the files.

    Writes under job.out: demo_clip.mp4, truth.npz, and the folder demo_clip/ with what `track` leaves. Raises
    InputError when they exist already and job.overwrite is false, RunError when something fails, KeyboardInterrupt
    when the user asks to stop.
    """
    clip_path, folder = job.out / CLIP_NAME, job.out / Path(CLIP_NAME).stem
    _make_way(job, folder)
    started = perf_counter()
    truth = make_clip(ClipConfig(seconds=job.seconds), job.out, interrupt)
    made = perf_counter()
    with Tracker.open(config) as tracker:
        opened = perf_counter()
        result = track(TrackJob(str(clip_path), folder, export=ExportConfig(overwrite=True)), tracker, interrupt)
    done = perf_counter()
    people = [load_person(path) for path in person_files(folder)]
    report = [
        f"made {len(truth.times)} frames in {made - started:.1f} s; tracked, smoothed, drew and wrote them in "
        f"{done - opened:.1f} s: {len(truth.times) / (done - opened):.1f} fps end to end",
        *accuracy_table(people, truth),
        f"clip {clip_path}   truth {job.out / TRUTH_NAME}   overlay, SMPL parameters and frames in {folder}"
        f"{warnings_hint(result.warnings)}",
    ]
    return "\n".join(report)


def _make_way(job: DemoJob, folder: Path) -> None:
    """Refuses or removes an earlier demo; before anything is made, because that takes a while."""
    earlier = [path for path in (job.out / CLIP_NAME, job.out / TRUTH_NAME) if path.exists()]
    if earlier and not job.overwrite:
        raise InputError(f"{earlier[0]}: exists already; pass --overwrite to replace it, or another --out")
    prepare_folder(folder, job.overwrite)
    for path in earlier:
        path.unlink()


def make_clip(config: ClipConfig, out: Path, interrupt: Interrupt) -> ClipTruth:
    """Writes the clip and its truth into a folder that exists. When it is interrupted nothing is left of them."""
    try:
        with whole_file(out / CLIP_NAME) as unfinished:
            size = config.width, config.height
            clip = DemoClip(config)
            with VideoWriter(unfinished, size, config.rate) as video:
                for index in tqdm(range(len(clip)), desc="making the clip", unit="frame", disable=None):
                    interrupt.check()
                    video.write(clip.truth.times[index], clip.draw(index).image)
            _write_truth(out / TRUTH_NAME, clip.truth, float(config.rate))
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror or error})") from error
    return clip.truth


def _write_truth(path: Path, truth: ClipTruth, rate: float) -> None:
    """The truth with the keys of person_NNN.npz, and `joint_hidden` (T, 24); contacts are the feet's only."""
    count = len(truth.times)
    with atomic_file(path) as stream:
        np.savez(
            stream,
            poses=truth.theta.reshape(count, -1).astype(np.float32),
            betas=truth.betas.astype(np.float32),
            trans=truth.transl.astype(np.float32),
            mocap_framerate=np.float64(rate),
            gender=np.array("neutral"),
            timestamps=truth.times,
            frame_index=np.arange(count),
            joints3d=truth.joints3d.astype(np.float32),
            joints2d=truth.joints2d.astype(np.float32),
            joint_hidden=truth.hidden,
            contacts=truth.standing,
            contact_names=np.array(CONTACT_PARTS[:FOOT_PARTS]),
            T_world_camera=truth.world.T_world_camera,
            camera_matrix=truth.camera.matrix,
            image_size=np.array([truth.camera.width, truth.camera.height], np.int64),
            body_model=np.array(truth.body_model),
            coordinate_system=np.array(CAMERA_SYSTEM),
        )


@dataclass(frozen=True)
class Matched:
    """The frames of the truth in which its person was tracked."""

    frames: NDArray[np.int64]
    """(N,) rows of the truth."""
    joints3d: Array
    """(N, 24, 3) m, as tracked."""
    joints2d: Array
    """(N, 24, 2) px, as tracked."""
    person: PersonSequence | None = None
    """Those frames of the identity."""


def match_person(people: list[PersonSequence], truth: ClipTruth) -> Matched:
    """The identity that lies on the true person in the most frames; another's frames do not count for it."""
    best = Matched(np.zeros(0, np.int64), np.zeros((0, NUM_JOINTS, 3)), np.zeros((0, NUM_JOINTS, 2)))
    for person in people:
        true2d = truth.joints2d[person.frame_index]
        height = np.ptp(true2d[:, :, 1], axis=1)
        on = np.linalg.norm(person.joints2d - true2d, axis=-1).mean(axis=1) < height / 4
        if on.sum() > len(best.frames):
            rows = person.rows(on)
            joints = rows.joints3d.astype(float), rows.joints2d.astype(float)
            best = Matched(rows.frame_index, *joints, rows)
    return best


def accuracy_table(people: list[PersonSequence], truth: ClipTruth) -> list[str]:
    """The errors of the identity that matches, in lines of text: clean frames, occluded frames, all."""
    identities = "1 identity" if len(people) == 1 else f"{len(people)} identities"
    matched = match_person(people, truth)
    if not len(matched.frames):
        return [f"the person was not found ({identities})"]
    occluded = truth.hidden.sum(axis=1) >= HIDDEN_JOINTS
    true3d = truth.joints3d[matched.frames]
    errors = joint_errors(matched.joints3d, true3d)
    pixels = np.linalg.norm(matched.joints2d - truth.joints2d[matched.frames], axis=-1)
    lines = [f"{'':10}{'frames':>8}{'tracked':>9}{'MPJPE':>10}{'PA-MPJPE':>11}{'depth':>10}{'2D':>9}   worst joints"]
    for name, chosen in (("clean", ~occluded), ("occluded", occluded), ("all", np.ones_like(occluded))):
        here = chosen[matched.frames]
        share = here.sum() / chosen.sum() if chosen.any() else float("nan")
        lines.append(f"{name:10}{chosen.sum():8}{share:9.1%}{_errors_line(errors.of(here), mean(pixels[here]))}")
    shake = acceleration_errors(truth.times[matched.frames], matched.joints3d, true3d, _LONGEST_STEP)
    lines += _squat_line(matched, truth) + _world_line(matched, truth)
    return [*lines, f"{identities}; acceleration error {mean(shake) / MM:.2f} m/s²"]


def _world_line(matched: Matched, truth: ClipTruth) -> list[str]:
    """How well planted feet stay, and the floor; nothing where the run knows no world."""
    person = matched.person
    if person is None or person.world is None:
        return []
    count = len(truth.times)
    soles, contacts = np.full((count, FOOT_PARTS, 3), np.nan), np.zeros((count, FOOT_PARTS), bool)
    track = body_track(person, load_free_body())
    soles[matched.frames], contacts[matched.frames] = track.points[:, :FOOT_PARTS], person.contacts[:, :FOOT_PARTS]
    errors = world_errors(person.world, soles, contacts, TrueWorld(truth.world, truth.standing))
    return [
        f"planted feet slide {errors.slide:.1f} mm a frame, contact F1 {errors.contact_f1:.2f}; "
        f"floor {errors.tilt:.1f}° and {abs(errors.height):.0f} mm off"
    ]


def _squat_line(matched: Matched, truth: ClipTruth) -> list[str]:
    """The error of the distance where the person is lowest; nothing where they stand throughout."""
    heights = truth.world.heights(truth.joints3d[matched.frames, 0])
    low = heights < _SQUAT * heights.max()
    if not low.any():
        return []
    share = matched.joints3d[low, 0, 2] / truth.joints3d[matched.frames[low], 0, 2] - 1
    return [f"squat: distance {100 * mean(np.abs(share)):.1f} % off, {100 * np.abs(share).max():.1f} % at most"]


def _errors_line(errors: JointErrors, pixels: float) -> str:
    if not len(errors.root):
        return f"{'–':>10}{'–':>11}{'–':>10}{'–':>9}"
    worst = np.argsort(-errors.per_joint)[:_WORST]
    named = ", ".join(f"{SMPL_JOINTS[joint]} {errors.per_joint[joint]:.0f}" for joint in worst)
    depth = mean(np.abs(errors.root[:, 2]))
    return f"{errors.mpjpe:7.1f} mm{errors.pa_mpjpe:8.1f} mm{depth:7.0f} mm{pixels:6.1f} px   {named} mm"
