"""scene.fbx and scene.blend: everybody and the camera, written by the user's own Blender from the scene's glTF."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from tracker.body.model import BodyModel
from tracker.core.errors import InputError, RunError
from tracker.export import glb
from tracker.export.files_config import FilesConfig
from tracker.export.sequence import PersonSequence

SCRIPT = Path(__file__).with_name("blender_script.py")
"""Runs inside Blender."""
_SECONDS = 1800
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
            glb.write_scene(file, people, body, files.skeleton)
        settings.write_text(json.dumps(_settings(people, video)), encoding="utf-8")
        command = [str(blender_command(files)), "--background", "--factory-startup", "--python-exit-code", "1"]
        command += ["--python", str(SCRIPT), "--", str(scene), str(made), str(settings)]
        _run(command, made)
        stream.write(made.read_bytes())


def _settings(people: Sequence[PersonSequence], video: Path | None) -> dict[str, object]:
    camera, timeline = people[0].camera, people[0].timeline
    rate = Fraction(timeline.frame_rate).limit_denominator(1001)
    last = max(float(person.timestamps[-1]) for person in people) - timeline.start
    return {
        "fps": max(1, round(rate)),
        "fps_base": max(1, round(rate)) / float(rate),
        "frames": round(last * timeline.frame_rate) + 1,
        "size": [camera.width, camera.height],
        "shift": [0.5 - camera.cx / camera.width, (camera.cy - camera.height / 2) / camera.width],
        "video": None if video is None else str(video.resolve()),
    }


def _run(command: list[str], made: Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"{command[0]}: Blender could not be run: {error}") from error
    if done.returncode or not made.is_file():
        words = " / ".join((done.stderr or done.stdout).strip().splitlines()[-_LINES:])
        raise RunError(f"{command[0]}: Blender did not write {made.name}: {words}")
