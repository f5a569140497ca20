"""amass_NNN.npz: the person as AMASS has them, for tools that read its SMPL-H files: z up, fingers at rest."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.core.arrays import Array
from tracker.core.npz_file import NpzWriter
from tracker.export.sequence import PersonSequence

_COLUMNS = 156
"""Axis-angles of SMPL-H's 52 joints."""
_BODY = 66
"""Of those that SMPL shares with it: root and 21 joints. The hands' own two joints give way to fingers."""
_BETAS, _DMPLS = 16, 8
T_ZUP_YUP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""A quarter turn about x: y up → z up."""


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """`poses` (T, 156), `trans` (T, 3), `betas` (16,), `dmpls` (T, 8) zeros, `gender`, `mocap_framerate`."""
    T_zup_camera, count = T_ZUP_YUP @ person.T_yup_camera, len(person.timestamps)
    with NpzWriter(stream) as file:
        poses = (_with_fingers(block.in_frame(T_zup_camera)[0]) for block in person.blocks())
        file.add_rows("poses", (count, _COLUMNS), np.float64, poses)
        places = (block.in_frame(T_zup_camera)[1] for block in person.blocks())
        file.add_rows("trans", (count, 3), np.float64, places)
        file.add("betas", np.pad(person.betas.astype(float), (0, _BETAS - len(person.betas))))
        blocks = (np.zeros((len(block.timestamps), _DMPLS)) for block in person.blocks())
        file.add_rows("dmpls", (count, _DMPLS), np.float64, blocks)
        file.add("gender", np.array("neutral"))
        file.add("mocap_framerate", np.array(person.timeline.frame_rate, np.float64))
        file.add("surface_model_type", np.array("smplh"))


def _with_fingers(poses: Array) -> Array:
    """(T, 72) → (T, 156) rad."""
    whole = np.zeros((len(poses), _COLUMNS))
    whole[:, :_BODY] = poses[:, :_BODY]
    return whole
