"""A folder of pictures and models that make samples more lifelike. Every part of it may be missing.

appearance/skins*/*.jpg          textures of MakeHuman's body
appearance/clothes/*/*.mhclo     MakeHuman's clothes, shoes and hats, each with its .obj and *diffuse* texture
appearance/hair/*/*.mhclo        its hair, the same
avatars/*.glb                    whole clothed people, rigged (`rigged_person.py`); avatars/index.csv may say, in its
                                 columns file and person, which of them are one person in other clothes
hdri/*.hdr                       environment maps, equirectangular: light and backgrounds
footage/*.mp4                    clips from cameras that stand still: backgrounds, without the people in them
occluders/*models*.tar.gz        small glTF models, each beside an info.json that says whether it is free
occluders/*textures*.tar.gz      .jpg pictures of materials, for patches
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import InputError
from tracker.synth.demo_lighting import GAMMA
from tracker.synth.samples.environment import Environment
from tracker.synth.samples.footage import empty_rooms
from tracker.synth.samples.occluder import Prop
from tracker.synth.samples.props import read_archive, read_props
from tracker.synth.samples.sample import Split

T = TypeVar("T")
_FOLDERS = ("hdri", "footage", "appearance", "avatars", "occluders")
_ONE_OF = "hdri/, footage/, appearance/, avatars/ or occluders/"
_HELD_OUT_EVERY = 5
_RADIANCE_WIDTH = 64
_PANORAMA_WIDTH = 1024
_PERCENTILE = 85
"""Of a map's pixels this share becomes darker than white."""


@dataclass(frozen=True)
class AssetFolder:
    """What a folder offers to one split: its files are dealt out, every fifth of a kind is held out."""

    root: Path

    @classmethod
    def open(cls, path: Path) -> AssetFolder:
        """Raises InputError where there is no such folder, or nothing in it that is of use."""
        if not path.is_dir():
            raise InputError(f"--assets {path}: no such folder; give one with {_ONE_OF}")
        folder = cls(path)
        if not any((path / name).is_dir() for name in _FOLDERS):
            raise InputError(f"--assets {path}: expected {_ONE_OF} in it, found none")
        return folder

    def skins(self, split: Split) -> list[Path]:
        """Textures of the body in MakeHuman's layout."""
        return dealt(sorted(self.root.glob("appearance/skins*/*.jpg")), split)

    def bindings(self, kind: str) -> list[Path]:
        """Bindings of MakeHuman's 'clothes' or 'hair'; of both splits."""
        return sorted(self.root.glob(f"appearance/{kind}/*/*.mhclo"))

    def rigged_people(self, split: Split) -> list[Path]:
        """Files of whole people; who is in one split is in no other, whatever they wear."""
        return [
            file for person in dealt(list(people_by_name(self.root / "avatars").values()), split) for file in person
        ]

    def rooms(self, split: Split) -> list[NDArray[np.uint8]]:
        """Places without people, (h, w, 3) sRGB."""
        return dealt(empty_rooms(sorted(self.root.glob("footage/*.mp4"))), split)

    def props(self, split: Split) -> list[Prop]:
        """Things that may stand in front of people."""
        archives = sorted(self.root.glob("occluders/*models*.tar.gz"))
        return dealt([prop for path in archives for prop in read_props(path)], split)

    def textures(self, split: Split) -> list[NDArray[np.uint8]]:
        """Surfaces of materials, (h, w, 3) sRGB."""
        archives = [read_archive(path, ".jpg") for path in sorted(self.root.glob("occluders/*textures*.tar.gz"))]
        files = [np.frombuffer(data, np.uint8) for archive in archives for data in archive.values()]
        pictures = [cv2.imdecode(data, cv2.IMREAD_COLOR) for data in files]
        return dealt([np.asarray(p[..., ::-1], np.uint8, order="C") for p in pictures if p is not None], split)

    def environments(self, split: Split) -> list[Path]:
        """Environment maps."""
        return dealt(sorted(self.root.glob("hdri/*.hdr")), split)


def people_by_name(folder: Path) -> dict[str, list[Path]]:
    """The rigged people of a folder, each with the files that show them. Raises InputError for a broken index.csv."""
    names: dict[str, str] = {}
    index = folder / "index.csv"
    try:
        if index.exists():
            rows = csv.DictReader(io.StringIO(index.read_text(encoding="utf-8")))
            names = {row["file"]: row["person"] for row in rows}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise InputError(f"{index}: expected a table with the columns file and person ({error})") from error
    people: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*.glb")):
        people.setdefault(names.get(file.name, file.stem), []).append(file)
    return dict(sorted(people.items()))


def dealt(things: Sequence[T], split: Split) -> list[T]:
    """What of them a split gets: the first, sixth, eleventh … are held out."""
    return [thing for i, thing in enumerate(things) if (i % _HELD_OUT_EVERY == 0) == (split == "held_out")]


def read_environment(path: Path) -> Environment:
    """From a Radiance file. Raises InputError where it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.dtype != np.float32:
        raise InputError(f"{path}: expected an environment map in Radiance's .hdr format; leave the file out")
    linear = np.maximum(pixels[..., 2::-1], 0)
    small, large = ((width, width // 2) for width in (_RADIANCE_WIDTH, _PANORAMA_WIDTH))
    bright = float(np.percentile(linear.mean(axis=2), _PERCENTILE))
    toned = (cv2.resize(linear, large, interpolation=cv2.INTER_AREA) / max(bright, 1e-6)).clip(0, 1) ** (1 / GAMMA)
    return Environment(
        cv2.resize(linear, small, interpolation=cv2.INTER_AREA).astype(np.float64),
        np.rint(toned * 255).astype(np.uint8),
    )
