"""How far the landmark network's 3D landmarks are off, along the bones that lead to them; the truth is known.

    python -m benchmarks.landmark_readings --motion MOTION --assets ASSETS --people 1400 --out readings.npz
    python -m benchmarks.metric_landmarks readings.npz

It prints what `tracker/body/metric_landmarks.py` leaves of them. The medians in that table were measured on people of
the training split, before there was one; on others nothing much should be left.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from benchmarks.landmark_noise import ReadingErrors
from benchmarks.landmark_readings import Readings
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE, mirrored_name
from tracker.body.metric_landmarks import bone_frames, hanging
from tracker.core.arrays import Array

_LOST = 0.25
"""m by which a shoulder or hip of somebody is off whom the network has not understood."""
_MIRROR = np.array([-1.0, 1.0, 1.0])


def off_along_bones(seen: Readings, rig: LandmarkRig) -> Array:
    """(n, 33, 3) m: how far each landmark is off from the one that it hangs on, along its bone's axes; NaN where either
    is hidden or the person was not understood."""
    errors = ReadingErrors.of(seen, rig)
    off = errors.numbers[..., 1:4]
    known = ~errors.hidden & (errors.kind == errors.kind.max())
    trunk = MEDIAPIPE.indices([f"{side}_{name}" for side in ("left", "right") for name in ("shoulder", "hip")])
    known &= (np.linalg.norm(off[:, trunk], axis=2).max(axis=1) < _LOST)[:, None]
    rows = np.full(off.shape, np.nan)
    for i, (truth, error) in enumerate(zip(errors.truth, off, strict=True)):
        missing = np.where(known[i], 0.0, np.nan)[:, None]
        on = hanging(np.eye(len(error)))  # rows: the landmark less what it hangs on
        apart = np.einsum("kl,lj->kj", on, error)
        lost = (np.abs(on) > 0) @ np.isnan(missing[:, 0])
        along = np.einsum("kji,kj->ki", bone_frames(truth + error), apart)
        rows[i] = np.where(lost[:, None] > 0, np.nan, along)
    return rows


@click.command(help=__doc__)
@click.argument("readings", type=click.Path(exists=True, path_type=Path))
def main(readings: Path) -> None:
    off = off_along_bones(Readings.load(readings).found(), LandmarkRig.from_body(load_body(None)))
    click.echo(f"{'landmark':18}{'seen':>6}{'off mm: left, up the bone, forward':>38}{'spread mm':>20}")
    for name in MEDIAPIPE.names:
        if "right" in name:
            continue
        k, other = MEDIAPIPE.index(name), MEDIAPIPE.index(mirrored_name(name))
        both = off[:, k] if k == other else np.concatenate([off[:, k], off[:, other] * _MIRROR])
        both = 1e3 * both[~np.isnan(both).any(axis=1)]
        middle = np.median(both, axis=0)
        spread = 1.48 * np.median(np.abs(both - middle), axis=0)
        click.echo(
            f"{name:18}{len(both):6}"
            + "".join(f"{v:{w}.0f}" for v, w in zip([*middle, *spread], (22, 8, 8, 8, 6, 6), strict=True))
        )


if __name__ == "__main__":
    main()
