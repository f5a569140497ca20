"""person_NNN.trc: the 24 joint centres as OpenSim's markers, metres, y up, at a constant rate.

Rows in which the person was not tracked are blank, which is how the format says that a marker was not seen. A tab ends
every row, as motion capture programs write them: without it OpenSim drops the last blank cell and refuses the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.export.sequence import PersonSequence


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """Tab-separated text with OpenSim's five header lines, a blank one, and a line a frame."""
    text = io.TextIOWrapper(stream, encoding="ascii", newline="\r\n")
    first = 1 + round(float(person.seconds[0]) * person.timeline.frame_rate)
    text.write(_header(person, len(person.timestamps), first))
    rows = chain.from_iterable(map(_rows, person.blocks()))
    text.writelines("\t".join([str(number), *cells, "\n"]) for number, cells in enumerate(rows, first))
    text.flush()
    text.detach()


def _rows(person: PersonSequence) -> Iterator[list[str]]:
    """The cells of each line after its number."""
    markers = person.joints_y_up.astype(np.float64).reshape(len(person.timestamps), -1)
    seconds = person.seconds
    for time, row, valid in zip(seconds, markers, person.tracked, strict=True):
        yield [f"{time:.6f}", *(f"{v:.5f}" for v in row)] if valid else [f"{time:.6f}", *[""] * len(row)]


def _header(person: PersonSequence, frames: int, first: int) -> str:
    """first: number of the first frame, of which the run's first is 1."""
    rate, markers = f"{person.timeline.frame_rate:.6g}", len(SMPL_JOINTS)
    names = "\t\t\t".join(SMPL_JOINTS)
    axes = "\t".join(f"{axis}{marker}" for marker in range(1, markers + 1) for axis in "XYZ")
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\tperson_{person.person_id:03d}.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{markers}\tm\t{rate}\t{first}\t{frames}",
        f"Frame#\tTime\t{names}\t\t\t",
        f"\t\t{axes}\t",
        "",
    ]
    return "\n".join(lines) + "\n"
