"""amass_NNN.npz: the person as AMASS has them, for tools that read its SMPL-H files: z up, fingers at rest."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.core.arrays import Array
from tracker.export.npz_stream import NpzStream
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
    count = len(person.timestamps)
    with NpzStream(stream) as file:
        file.rows("poses", (count, _COLUMNS), float, (_z_up(block)[0] for block in person.blocks()))
        file.rows("trans", (count, 3), float, (_z_up(block)[1] for block in person.blocks()))
        file.array("betas", np.pad(person.betas.astype(float), (0, _BETAS - len(person.betas))))
        file.rows("dmpls", (count, _DMPLS), float, (np.zeros((len(b.timestamps), _DMPLS)) for b in person.blocks()))
        file.array("gender", "neutral")
        file.array("mocap_framerate", np.float64(person.timeline.frame_rate))
        file.array("surface_model_type", "smplh")


def _z_up(person: PersonSequence) -> tuple[Array, Array]:
    """poses (T, 156) and trans (T, 3)."""
    own, trans = person.in_frame(T_ZUP_YUP @ person.T_yup_camera)
    poses = np.zeros((len(own), _COLUMNS))
    poses[:, :_BODY] = own[:, :_BODY]
    return poses, trans
