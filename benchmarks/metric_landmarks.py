"""How far the landmark network's 3D landmarks are off, along the bones that lead to them and along the line of sight;
the truth is known.

    python -m benchmarks.landmark_readings --motion MOTION --assets ASSETS --people 1400 --out readings.npz
    python -m benchmarks.metric_landmarks readings.npz

It prints what `tracker/body/metric_landmarks.py` leaves of them. That table was measured so on people of the training
split, before there was one. Bones of all lengths that are too long by the same part are of a scale that the fit does
not use: where limbs are misunderstood the scale that fits best is too small.
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
from tracker.body.metric_landmarks import TOWARDS_CAMERA, bone_frames, hanging
from tracker.core.arrays import Array

_LOST = 0.25
"""m by which a shoulder or hip of somebody is off whom the network has not understood."""
_MIRROR = np.diag([-1.0, 1.0, 1.0])
_OF_ARMS = ("left_elbow", "left_wrist", "left_pinky", "left_index", "left_thumb")
"""Arms point anywhere, and their turn about themselves is not known: only along them, and to the camera."""
_OUTLIER = 2.5
"""Standard deviations beyond which one person's error loses its pull (Geman–McClure)."""
_ROUNDS = 20


def off_bones(seen: Readings, rig: LandmarkRig) -> tuple[Array, Array]:
    """How far each landmark is off from the one that it hangs on (n, 33, 3) m, and its bone's axes (n, 33, 3, 3), both
    in the axes of a camera that looks straight at the person; NaN where either is hidden or nobody was understood."""
    errors = ReadingErrors.of(seen, rig)
    off = errors.numbers[..., 1:4]
    known = ~errors.hidden & (errors.kind == errors.kind.max())
    trunk = MEDIAPIPE.indices([f"{side}_{name}" for side in ("left", "right") for name in ("shoulder", "hip")])
    known &= (np.linalg.norm(off[:, trunk], axis=2).max(axis=1) < _LOST)[:, None]
    on = hanging(np.eye(off.shape[1]))  # rows: the landmark less what it hangs on
    apart = np.einsum("kl,nlj->nkj", on, off)
    apart[~known @ (np.abs(on.T) > 0)] = np.nan
    return apart, np.array([bone_frames(truth + error) for truth, error in zip(errors.truth, off, strict=True)])


def usual_offset(apart: Array, frames: Array) -> tuple[Array, Array]:
    """What is the same in all of them: left, up the bone, forward, and towards the camera (4,) m, by robust least
    squares; and what is left in space (3,), standard deviations. apart: (n, 3); frames: (n, 3, 3), 0 in axes that do
    not count."""
    towards = np.broadcast_to(TOWARDS_CAMERA[:, None], (len(apart), 3, 1))
    columns = np.concatenate([frames, towards], axis=2)
    weight, offset = np.ones(len(apart)), np.zeros(4)
    for _ in range(_ROUNDS):
        weighted = columns * weight[:, None, None]
        offset = np.linalg.lstsq(
            np.einsum("nij,nik->jk", weighted, columns), np.einsum("nij,ni->j", weighted, apart), rcond=None
        )[0]
        left = apart - columns @ offset
        spread = 1.48 * np.median(np.abs(left), axis=0) + 1e-6
        weight = 1 / (1 + ((left / spread) ** 2).sum(axis=1) / (3 * _OUTLIER**2)) ** 2
    return offset, spread


@click.command(help=__doc__)
@click.argument("readings", type=click.Path(exists=True, path_type=Path))
def main(readings: Path) -> None:
    apart, frames = off_bones(Readings.load(readings).found(), LandmarkRig.from_body(load_body(None)))
    click.echo(
        f"{'landmark':18}{'seen':>6}{'mm off: left, up the bone, forward, to the camera':>50}{'spread, x y z':>20}"
    )
    for name in MEDIAPIPE.names:
        if "right" in name:
            continue
        k, other = MEDIAPIPE.index(name), MEDIAPIPE.index(mirrored_name(name))
        both, axes = apart[:, k], frames[:, k]
        if k != other:
            both = np.concatenate([both, apart[:, other]])
            axes = np.concatenate([axes, frames[:, other] @ _MIRROR])
        if name in _OF_ARMS:
            axes = axes * [0.0, 1.0, 0.0]
        rows = ~np.isnan(both).any(axis=1)
        offset, spread = usual_offset(both[rows], axes[rows])
        click.echo(
            f"{name:18}{rows.sum():6}"
            + "".join(f"{1e3 * v:{w}.0f}" for v, w in zip([*offset, *spread], (22, 8, 8, 12, 8, 6, 6), strict=True))
        )


if __name__ == "__main__":
    main()
