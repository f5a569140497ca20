"""The names of the output formats and the writer behind each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from tracker.body.model import BodyModel
from tracker.core.errors import InputError
from tracker.export import amass, angles, blender, bvh, c3d, csv, glb, mot, npz, trc, usd
from tracker.export.files_config import FilesConfig
from tracker.export.sequence import PersonSequence

PersonWriter = Callable[[BinaryIO, PersonSequence, BodyModel], None]
"""Writes one identity to a stream; the format's module says how it treats frames without the person."""
SceneWriter = Callable[[BinaryIO, Sequence[PersonSequence], BodyModel], None]
"""Writes everybody of a run to a stream."""

PERSON_WRITERS: dict[str, PersonWriter] = {
    "npz": npz.write,
    "amass": amass.write,
    "bvh": bvh.write,
    "glb": glb.write,
    "csv": csv.write,
    "trc": trc.write,
    "c3d": c3d.write,
    "angles": angles.write,
    "mot": mot.write,
}
"""Formats with one file an identity, written at the end of a run."""
PERSON_FILES = {"amass": "amass_{:03d}.npz", "angles": "person_{:03d}_angles.csv"}
"""Their files' names where they are not person_NNN.<format>."""

SCENE_FILES = {"scene": "scene.glb", "usd": "scene.usdc", "fbx": "scene.fbx", "blend": "scene.blend"}
"""Formats with one file a run, with everybody and the camera."""

JSONL = "jsonl"
"""The format with one file a run, which grows with it."""

FORMATS = (JSONL, *PERSON_WRITERS, *SCENE_FILES)

_PACKAGES = {"c3d": ("ezc3d", "ezc3d"), "usd": ("pxr", "usd-core")}
"""Format → module and package that it needs."""


def parse_formats(text: str) -> tuple[str, ...]:
    """'npz,bvh' → ('npz', 'bvh'), each once, in the order given. Raises InputError naming an unknown format."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        got = ", ".join(map(repr, unknown)) or "nothing"
        raise InputError(f"--format: expected names among {','.join(FORMATS)}, separated by commas; got {got}")
    return names


def person_file(folder: Path, person_id: int, name: str) -> Path:
    """The file of one identity in a format."""
    return folder / PERSON_FILES.get(name, f"person_{{:03d}}.{name}").format(person_id)


@dataclass(frozen=True)
class FormatWriters:
    """The writers as one run uses them."""

    files: FilesConfig
    video: Path | None
    """What was tracked, where it is a file."""

    def require(self, formats: Sequence[str]) -> None:
        """Raises InputError where a format needs what is not installed, before hours of tracking."""
        for name in formats:
            module, package = _PACKAGES.get(name, (None, None))
            if module is not None and find_spec(module) is None:
                raise InputError(f"--format {name}: needs the package {package}; install it: pip install {package}")
            if name in ("fbx", "blend"):
                blender.blender_command(self.files)

    def person(self, name: str) -> PersonWriter:
        if name == "bvh":
            return partial(bvh.write, files=self.files)
        if name == "glb":
            return partial(glb.write, skeleton=self.files.skeleton)
        return PERSON_WRITERS[name]

    def scene(self, name: str) -> SceneWriter:
        if name == "scene":
            return partial(glb.write_scene, skeleton=self.files.skeleton)
        if name == "usd":
            return partial(usd.write, skeleton=self.files.skeleton)
        return partial(blender.write, files=self.files, suffix=name, video=self.video)
