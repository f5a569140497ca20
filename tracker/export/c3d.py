"""person_NNN.c3d: the 24 joint centres as motion capture's markers, millimetres, z up; needs the package ezc3d."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.transforms import moved_by
from tracker.export.amass import T_ZUP_YUP
from tracker.export.sequence import PersonSequence

_MM = 1000.0


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """Points with the residual −1, and no place, in rows in which the person was not tracked."""
    import ezc3d

    points = np.ones((4, len(SMPL_JOINTS), len(person.timestamps)))
    joints = moved_by(T_ZUP_YUP @ person.T_yup_camera, person.joints3d.astype(float))
    points[:3] = _MM * joints.transpose(2, 1, 0)
    points[:3, :, ~person.tracked] = np.nan
    file = ezc3d.c3d()
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(person.tracked, 0.0, -1.0)[None, None].repeat(24, axis=1)
    parameters = file["parameters"]["POINT"]
    parameters["RATE"]["value"] = [person.timeline.frame_rate]
    parameters["LABELS"]["value"] = list(SMPL_JOINTS)
    parameters["UNITS"]["value"] = ["mm"]
    first = round(person.seconds[0] * person.timeline.frame_rate)
    file["header"]["points"]["first_frame"] = first
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file.add_parameter("SUBJECTS", "NAMES", [f"person_{person.person_id:03d}"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "person.c3d"
        file.write(str(path))
        stream.write(path.read_bytes())
