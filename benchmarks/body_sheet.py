"""Draws a body for the eye: rest pose, every shape direction, and poses in which bad skinning shows.

    python benchmarks/body_sheet.py --out sheet.png [--body SMPL_FILE] [--betas 0 0 2]

Rows: rest from four sides; each direction at −2 … +2 with lowered arms; poses from five sides.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tracker.body import JOINT_NAMES, BodyModel, load_body

Picture = NDArray[np.uint8]
Degrees = tuple[float, float, float]

POSES: dict[str, dict[str, Degrees]] = {
    "arms up": {"left_collar": (0, 0, 22), "left_shoulder": (0, 0, 62)},
    "arms down": {"left_shoulder": (0, 0, -75)},
    "arms forward": {"left_shoulder": (0, -85, 0)},
    "arms crossed": {"left_shoulder": (0, -40, -60), "left_elbow": (0, -115, 0)},
    "hands twisted": {"left_wrist": (90, 0, 0), "left_elbow": (0, -60, 0), "head": (0, 70, 0)},
    "deep squat": {
        "pelvis": (25, 0, 0), "left_hip": (-110, 0, 15), "left_knee": (130, 0, 0), "left_ankle": (-30, 0, 0),
        "left_shoulder": (0, -80, 0),
    },
    "sitting": {"left_hip": (-90, 0, 5), "left_knee": (90, 0, 0), "left_shoulder": (0, 0, -70)},
    "kneeling": {"left_knee": (140, 0, 0), "left_ankle": (30, 0, 0), "left_shoulder": (0, 0, -70)},
    "leg raised": {"left_hip": (-90, 0, 0), "right_hip": (0, 0, 0), "left_shoulder": (0, 0, -30)},
    "bent over": {"spine1": (30, 0, 0), "spine2": (25, 0, 0), "spine3": (20, 0, 0), "left_shoulder": (0, -60, -30)},
}  # fmt: skip
"""Axis-angle; the right side mirrors the left one where it is not given."""

SIZE, HEIGHT = 320, 2.2
"""Pixels of a picture's side, and metres that it shows."""


def theta_of(pose: dict[str, Degrees]) -> torch.Tensor:
    """(24, 3) rad."""
    mirrored = {name.replace("left", "right"): (x, -y, -z) for name, (x, y, z) in pose.items()}
    theta = torch.zeros(len(JOINT_NAMES), 3)
    for name, degrees in {**mirrored, **pose}.items():
        theta[JOINT_NAMES.index(name)] = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    return theta


class Studio:
    """An orthographic camera around the y axis and one light, headless."""

    def __init__(self, body: BodyModel) -> None:
        import pyrender

        self._pyrender = pyrender
        self._renderer = pyrender.OffscreenRenderer(SIZE, SIZE)
        self._body = body

    def picture(self, betas: torch.Tensor, theta: torch.Tensor, yaw_degrees: float) -> Picture:
        """(SIZE, SIZE, 3) RGB."""
        import trimesh

        pyrender = self._pyrender
        vertices = self._body.with_shape(betas).with_pose(theta).vertices().numpy()
        skin = np.tile(np.array([200, 170, 150, 255], np.uint8), (len(vertices), 1))
        mesh = trimesh.Trimesh(vertices, self._body.faces.numpy(), vertex_colors=skin, process=False)
        scene = pyrender.Scene(bg_color=[255, 255, 255], ambient_light=[0.25] * 3)
        scene.add(pyrender.Mesh.from_trimesh(mesh, smooth=True))
        centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
        camera = trimesh.transformations.rotation_matrix(np.radians(yaw_degrees), [0, 1, 0])
        light = camera @ trimesh.transformations.euler_matrix(-0.6, 0.6, 0.0)
        camera[:3, 3] = centre + 3 * camera[:3, 2]
        scene.add(pyrender.OrthographicCamera(HEIGHT / 2, HEIGHT / 2), pose=camera)
        scene.add(pyrender.DirectionalLight(intensity=3.5), pose=light)
        colour, _ = self._renderer.render(scene)
        return colour

    def close(self) -> None:
        self._renderer.delete()


def sheet(studio: Studio, betas: torch.Tensor) -> Picture:
    """All rows, padded with white to the widest."""
    rest, lowered = torch.zeros(len(JOINT_NAMES), 3), theta_of(POSES["arms down"])
    rows = [[studio.picture(betas, rest, yaw) for yaw in (0, 45, 90, 180)]]
    for direction in torch.eye(len(betas)):
        rows.append([studio.picture(betas + value * direction, lowered, 30) for value in (-2, -1, 0, 1, 2)])
    for pose in POSES.values():
        rows.append([studio.picture(betas, theta_of(pose), yaw) for yaw in (25, 100, 155, 205, 330)])
    widest = max(len(row) for row in rows)
    blank = np.full((SIZE, SIZE, 3), 255, np.uint8)
    return np.concatenate([np.concatenate(row + [blank] * (widest - len(row)), axis=1) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--body", type=Path, help="an SMPL file; the built-in body when it is not given")
    parser.add_argument("--betas", type=float, nargs="*", default=[], help="the shape of the poses; the rest is 0")
    arguments = parser.parse_args()
    betas = torch.zeros(10)
    betas[: len(arguments.betas)] = torch.tensor(arguments.betas)
    studio = Studio(load_body(arguments.body))
    from PIL import Image

    Image.fromarray(sheet(studio, betas)).save(arguments.out)
    studio.close()


if __name__ == "__main__":
    main()
