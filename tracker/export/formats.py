"""The names of the output formats and the writer behind each."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from tracker.body.model import BodyModel
from tracker.core.errors import InputError
from tracker.export import bvh, csv, glb, npz, trc
from tracker.export.sequence import PersonSequence

PersonWriter = Callable[[BinaryIO, PersonSequence, BodyModel], None]
"""Writes one identity to a stream; the format's module says how it treats frames without the person."""

PERSON_WRITERS: dict[str, PersonWriter] = {
    "npz": npz.write,
    "bvh": bvh.write,
    "glb": glb.write,
    "csv": csv.write,
    "trc": trc.write,
}
"""Formats with one file an identity, written at the end of a run; the name is the file's suffix."""

JSONL = "jsonl"
"""The format with one file a run, which grows with it."""

FORMATS = (JSONL, *PERSON_WRITERS)


def parse_formats(text: str) -> tuple[str, ...]:
    """'npz,bvh' → ('npz', 'bvh'), each once, in the order given. Raises InputError naming an unknown format."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        got = ", ".join(map(repr, unknown)) or "nothing"
        raise InputError(f"--format: expected names among {','.join(FORMATS)}, separated by commas; got {got}")
    return names
