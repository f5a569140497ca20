"""Any video under the occlusion protocols: without truth, but with the tracker's own answer on the clear picture.

What is measured is how far an occluder moves the answer. The clear one looks both ways in time, the occluded one only
back, as live tracking does; the row `clean` says what that alone makes.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from tracker.errors import InputError
from tracker.evaluation.datasets import JOINT_SETS, Recording
from tracker.export import ExportConfig, TrackedPerson, load_person
from tracker.interrupt import Interrupt
from tracker.offline import TrackJob, track
from tracker.pipeline import Tracker, TrackerConfig
from tracker.types import NUM_JOINTS, Array


def clear_answer(clip: Path, config: TrackerConfig, interrupt: Interrupt) -> Recording:
    """The person seen longest in a video, as tracked on the clear picture: a recording whose truth that is.

    Raises InputError when the video cannot be read or nobody is found in it.
    """
    with tempfile.TemporaryDirectory() as folder, Tracker.open(replace(config, causal_filter=False)) as tracker:
        job = TrackJob(str(clip), Path(folder) / "clear", export=ExportConfig(formats=("npz",)), overlay=False)
        result = track(job, tracker, interrupt)
        people = [load_person(path) for path in result.files if path.suffix == ".npz"]
    if not people:
        raise InputError(f"{clip}: nobody was found in this video, so there is nothing to compare with")
    return _as_recording(clip, max(people, key=lambda person: len(person.frame_index)), result.frames)


def _as_recording(clip: Path, person: TrackedPerson, frames: int) -> Recording:
    """Frames without the person are not asked for."""
    here = person.frame_index
    valid = np.zeros((frames, NUM_JOINTS), bool)
    valid[here] = True

    def spread(values: Array) -> Array:
        whole = np.full((frames, *values.shape[1:]), np.nan)
        whole[here] = values
        # occluders follow the person through frames in which nobody was found
        nearest = here[np.abs(np.arange(frames)[:, None] - here).argmin(axis=1)]
        return whole[nearest]

    return Recording(
        name=clip.name,
        pictures=(clip,),
        joint_set=JOINT_SETS["smpl24"],
        joints3d=spread(person.joints3d.astype(float)),
        joints2d=spread(person.joints2d.astype(float)),
        valid=valid,
        camera=person.camera,
        rate=person.timeline.frame_rate,
    )
