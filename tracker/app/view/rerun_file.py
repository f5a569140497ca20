"""Results as an .rrd file for the Rerun viewer: skeletons, angles, camera and video on one timeline."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracker.app.view.bends import BENDS, bends
from tracker.app.view.motion import ViewedRun
from tracker.body.smpl_joints import SKELETON_EDGES
from tracker.core.atomic_file import whole_file
from tracker.core.errors import InputError, RunError

log = logging.getLogger("tracker")

_EDGES = np.array(SKELETON_EDGES)
_TIMELINE = "time"


def write_rerun(runs: Sequence[ViewedRun], path: Path) -> None:
    """Raises InputError without rerun-sdk or for a file that exists, RunError where it cannot be written."""
    try:
        import rerun
    except ImportError:
        raise InputError("--rerun needs the package rerun-sdk; pip install 'body-tracker[rerun]'") from None
    if path.exists():
        raise InputError(f"--rerun {path}: exists already; give another name")
    try:
        with whole_file(path) as part:
            recording = rerun.RecordingStream("body-tracker")
            recording.save(str(part))
            recording.log("/", rerun.ViewCoordinates.RIGHT_HAND_Y_UP, static=True)
            for run in runs:
                _log_run(rerun, recording, run)
            recording.disconnect()
    except OSError as error:
        raise RunError(f"--rerun {path}: cannot be written ({error.strerror or error})") from error


def _log_run(rerun: Any, recording: Any, run: ViewedRun) -> None:
    first, _ = run.span
    root = f"/{run.name}"
    for person in run.people:
        times = rerun.TimeColumn(_TIMELINE, duration=person.times - first)
        strips = person.joints[:, _EDGES].reshape(-1, 2, 3).astype(np.float32)
        lines = rerun.LineStrips3D.columns(strips=strips).partition(np.full(len(person.times), len(_EDGES)))
        recording.send_columns(f"{root}/{person.name}/skeleton", indexes=[times], columns=lines)
        for name in BENDS:
            for side in ("left", "right"):
                angle = rerun.Scalars.columns(scalars=bends(person.joints, name, side))
                recording.send_columns(f"{root}/{person.name}/angles/{side}_{name}", indexes=[times], columns=angle)
    _log_camera(rerun, recording, run)


def _log_camera(rerun: Any, recording: Any, run: ViewedRun) -> None:
    if run.T_world_camera is None or run.camera is None:
        return
    name, T = f"/{run.name}/camera", run.T_world_camera
    recording.log(name, rerun.Transform3D(translation=T[:3, 3], mat3x3=T[:3, :3]), static=True)
    pinhole = rerun.Pinhole(
        fov_y=run.fov, aspect_ratio=run.camera.width / run.camera.height, camera_xyz=rerun.ViewCoordinates.RDF,
        image_plane_distance=0.6,
    )  # fmt: skip
    recording.log(name, pinhole, static=True)
    if run.video is not None and _is_video(run.video):
        video = rerun.AssetVideo(path=run.video)
        recording.log(f"{name}/video", video, static=True)
        moments = video.read_frame_timestamps_nanos()
        times = rerun.TimeColumn(_TIMELINE, duration=1e-9 * moments - run.span[0])
        references = rerun.VideoFrameReference.columns_nanos(moments)
        recording.send_columns(f"{name}/video", indexes=[times], columns=references)


def _is_video(path: Path) -> bool:
    """Whether a file that a result names may go into another one whole: a stranger's may name anything."""
    from tracker.source.container import open_container

    try:
        open_container(str(path)).close()
    except InputError as error:
        log.warning("%s", error)
        return False
    return True
