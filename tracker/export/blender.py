"""scene.fbx and scene.blend: everybody and the camera, written by the user's own Blender from the scene's glTF."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.core.arrays import Array
from tracker.core.errors import InputError, RunError
from tracker.export import glb
from tracker.export.files_config import FilesConfig
from tracker.export.sequence import PersonSequence

SCRIPT = Path(__file__).with_name("blender_script.py")
"""Runs inside Blender."""
_SECONDS = 1800
_SENSOR = 36.0
"""mm of a full-frame sensor's width."""
_LINES = 3
"""Of Blender's own words when it fails."""


def blender_command(files: FilesConfig) -> Path:
    """The user's Blender. Raises InputError where there is none."""
    if files.blender is not None:
        if not files.blender.is_file():
            raise InputError(f"--blender {files.blender}: no such file; expected the blender program")
        return files.blender
    on_path = shutil.which("blender")
    if on_path is None:
        raise InputError("--format: fbx and blend are written by Blender, which is not on PATH; give --blender FILE")
    return Path(on_path)


def write(
    stream: BinaryIO, people: Sequence[PersonSequence], body: BodyModel, files: FilesConfig, suffix: str,
    video: Path | None,
) -> None:  # fmt: skip
    """suffix: fbx or blend. video: shown behind the people in the camera's view of a .blend.

    Raises RunError, with Blender's last words, when it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        scene, made, settings = (Path(folder) / name for name in ("scene.glb", f"scene.{suffix}", "settings.json"))
        with scene.open("wb") as file:
            glb.write_scene(file, [_at_whole_rate(person) for person in people], body, files.skeleton)
        settings.write_text(json.dumps(_settings(people, video)), encoding="utf-8")
        command = [str(blender_command(files)), "--background", "--factory-startup", "--python-exit-code", "1"]
        command += ["--python", str(SCRIPT), "--", str(scene), str(made), str(settings)]
        _run(command, made)
        stream.write(made.read_bytes())


def _at_whole_rate(person: PersonSequence) -> PersonSequence:
    """On a clock that has a whole number of frames a second: Blender takes glTF's times for frames at such a rate only.
    Once they are frames, the true rate is set."""
    timeline = person.timeline
    whole = max(1, round(timeline.frame_rate))
    slower = timeline.frame_rate / whole

    def moved(times: Array) -> Array:
        return timeline.start + slower * (times - timeline.start)

    path = None if person.path is None else replace(person.path, times=moved(person.path.times))
    return replace(
        person, timestamps=moved(person.timestamps), timeline=replace(timeline, frame_rate=float(whole)), path=path
    )


def _settings(people: Sequence[PersonSequence], video: Path | None) -> dict[str, object]:
    camera, timeline = people[0].camera, people[0].timeline
    rate = Fraction(timeline.frame_rate).limit_denominator(1001)
    last = max(float(person.timestamps[-1]) for person in people) - timeline.start
    wide = camera.fx / camera.fy
    return {
        "fps": max(1, round(rate)),
        "fps_base": max(1, round(rate)) / float(rate),
        "frames": round(last * timeline.frame_rate) + 1,
        "size": [camera.width, camera.height],
        "pixel": [max(1.0, 1 / wide), max(1.0, wide)],
        "lens": _lens(max(people, key=lambda person: len(person.timestamps))),
        "shift": [0.5 - camera.cx / camera.width, wide * (camera.cy - camera.height / 2) / camera.width],
        "video": None if video is None else str(video.resolve()),
    }


def _lens(person: PersonSequence) -> list[tuple[int, float]]:
    """Frames and mm of a full-frame sensor: one, or where the camera zooms each while this person was there."""
    focal = _SENSOR * person.camera.fx / person.camera.width
    if person.path is None:
        return [(0, focal)]
    frames = np.round(person.seconds * person.timeline.frame_rate)
    zooms = person.path.zoom_at(person.timestamps)
    return [(int(frame), focal * float(zoom)) for frame, zoom in zip(frames, zooms, strict=True)]


def _run(command: list[str], made: Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"{command[0]}: Blender could not be run: {error}") from error
    if done.returncode or not made.is_file():
        words = " / ".join((done.stderr or done.stdout).strip().splitlines()[-_LINES:])
        raise RunError(f"{command[0]}: Blender did not write {made.name}: {words}")
