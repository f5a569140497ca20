"""person_NNN.trc: the 24 joint centres as OpenSim's markers, metres, y up, at a constant rate.

The format has one rate for the whole file, so the joints are resampled to the nominal one. A gap longer than
`LONGEST_BRIDGE` is left blank, which is how the format says that a marker was not seen; shorter ones are bridged.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tracker.body.model import BodyModel
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import Array
from tracker.export.sequence import PersonSequence, increasing, uniform_times

LONGEST_BRIDGE = 0.1
"""s"""


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """Tab-separated text with OpenSim's five header lines, a blank one, and a line a frame."""
    keep = increasing(person.timestamps)
    times, joints = person.timestamps[keep], person.joints_y_up[keep].astype(np.float64).reshape(keep.sum(), -1)
    rate = person.timeline.frame_rate
    grid = uniform_times(times, rate)
    markers = np.stack([np.interp(grid, times, column) for column in joints.T], axis=-1)
    text = io.TextIOWrapper(stream, encoding="ascii", newline="\r\n")
    text.write(_header(person, len(grid)))
    seconds = grid - person.timeline.start
    for number, (time, row, valid) in enumerate(zip(seconds, markers, _seen(grid, times, rate), strict=True), start=1):
        cells = [f"{v:.5f}" for v in row] if valid else [""] * len(row)
        text.write("\t".join([str(number), f"{time:.6f}", *cells]) + "\n")
    text.flush()
    text.detach()


def _header(person: PersonSequence, frames: int) -> str:
    rate, markers = f"{person.timeline.frame_rate:.6g}", len(SMPL_JOINTS)
    names = "\t\t\t".join(SMPL_JOINTS)
    axes = "\t".join(f"{axis}{marker}" for marker in range(1, markers + 1) for axis in "XYZ")
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\tperson_{person.person_id:03d}.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{markers}\tm\t{rate}\t1\t{frames}",
        f"Frame#\tTime\t{names}\t\t",
        f"\t\t{axes}",
        "",
    ]
    return "\n".join(lines) + "\n"


def _seen(grid: Array, times: Array, frame_rate: float) -> NDArray[np.bool_]:
    """(K,) True where a time of the grid falls on a sample or between two that are close enough to bridge."""
    after = np.clip(np.searchsorted(times, grid), 1, max(len(times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    near = np.minimum(np.abs(grid - times[before]), np.abs(grid - times[after])) <= 0.5 / frame_rate
    bridged = times[after] - times[before] <= max(LONGEST_BRIDGE, 1.5 / frame_rate)
    return near | bridged
