"""amass_NNN.npz: the person as AMASS has them, for tools that read its SMPL-H files: z up, fingers at rest."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
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
    own, trans = person.in_frame(T_ZUP_YUP @ person.T_yup_camera)
    count = len(person.timestamps)
    poses = np.zeros((count, _COLUMNS))
    poses[:, :_BODY] = own[:, :_BODY]
    whole = io.BytesIO()
    np.savez(
        whole,
        poses=poses,
        trans=trans,
        betas=np.pad(person.betas.astype(float), (0, _BETAS - len(person.betas))),
        dmpls=np.zeros((count, _DMPLS)),
        gender=np.array("neutral"),
        mocap_framerate=np.float64(person.timeline.frame_rate),
        surface_model_type=np.array("smplh"),
    )
    stream.write(whole.getbuffer())
