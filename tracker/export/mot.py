"""person_NNN.mot: OpenSim's motion of its full-body models, in degrees and metres, Y up, X towards the camera.

The format has no way to leave a row out: rows in which the person was not tracked hold interpolated values.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.export.joint_angles import opensim_coordinates
from tracker.export.sequence import PersonSequence


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """OpenSim's header, the names, and a line a row."""
    text = io.TextIOWrapper(stream, encoding="ascii", newline="\n")
    for number, block in enumerate(person.blocks()):
        coordinates = opensim_coordinates(block)
        if number == 0:
            text.write(_header(person, list(coordinates)))
        seconds = block.seconds
        np.savetxt(text, np.column_stack([seconds, *coordinates.values()]), fmt="%.6f", delimiter="\t")
    text.flush()
    text.detach()


def _header(person: PersonSequence, names: list[str]) -> str:
    counts = f"nRows={len(person.timestamps)}\nnColumns={1 + len(names)}\n"
    columns = "\t".join(["time", *names])
    return f"person_{person.person_id:03d}\nversion=1\n{counts}inDegrees=yes\nendheader\n{columns}\n"
