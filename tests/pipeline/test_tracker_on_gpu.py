"""The tracker with the CUDA kernels in it, from a picture to a drawn mesh: on a GPU, or emulated without one."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kernels import backend, cuda
from kernels.implementation import Implementation
from tests.kernels import emulation
from tests.kernels.conftest import emulated_or_gpu
from tracker import pipeline
from tracker.body import load_body
from tracker.config import load_config
from tracker.core.camera import Camera
from tracker.core.person import Person
from tracker.overlay.mesh_overlay import lit_mesh
from tracker.overlay.renderers import GpuRenderer, RasterRenderer
from tracker.pipeline import Tracker
from tracker.runtime.engine_config import EngineConfig

pytestmark = pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe, which has the network, is missing")

SIZE = 256
FRAMES = 4


def walking_by(frame: int) -> NDArray[np.uint8]:
    """(256, 256, 3): the built-in body before a wall, moving to the right."""
    body = load_body(None)
    vertices = body.v_template.numpy().astype(np.float64) * [1.0, -1.0, -1.0]
    centred = vertices - vertices.mean(axis=0) + [0.02 * frame, 0.0, 2.8]
    wall = np.broadcast_to(np.linspace(140, 200, SIZE).astype(np.uint8)[:, None, None], (SIZE, SIZE, 3)).copy()
    mesh = lit_mesh(centred, np.asarray(body.faces), (0.75, 0.55, 0.45))
    return RasterRenderer().draw_over(wall, Camera.default(SIZE, SIZE), [mesh], alpha=1.0)


def tracked(
    pictures: list[NDArray[np.uint8]], device: str, **engine: object
) -> tuple[list[list[Person]], NDArray[np.uint8]]:
    """The people of each picture, and the last picture with its people drawn. engine: what else its networks have."""
    # every network on the CPU: what is compared is the rest
    with Tracker.open(load_config(changes={"engine": {"device": "cpu", **engine}})) as tracker:
        if device != "cpu":
            assert tracker.config.engine.kernels_device == device
        people = [tracker.step(picture, time=number / 30) for number, picture in enumerate(pictures)]
        return people, tracker.draw(pictures[-1], people[-1])


@pytest.mark.parametrize("backend_name", ["openvino", "torch"])
def test_one_graph_gives_the_poses_of_two(backend_name: str) -> None:
    pictures = [walking_by(frame) for frame in range(FRAMES)]
    expected, _ = tracked(pictures, "cpu", precision="float32")
    found, _ = tracked(pictures, "cpu", one_graph=True, backend=backend_name)
    for (one,), (other,) in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.joints3d, other.joints3d, atol=2e-3)
        assert one.nll == pytest.approx(other.nll, rel=1e-2)


def test_the_gpu_gives_the_poses_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [walking_by(frame) for frame in range(FRAMES)]
    expected, drawn_there = tracked(pictures, "cpu")
    target = emulated_or_gpu(monkeypatch)
    monkeypatch.setattr(EngineConfig, "kernels_device", target.device)
    launched: Counter[str] = Counter()
    if target.device == "cpu":
        monkeypatch.setattr(backend, "choose", lambda tensor, wanted=None: wanted or Implementation.CUDA)
        monkeypatch.setattr(pipeline, "raster_renderer", GpuRenderer)
    launcher = emulation.EmulatedLauncher() if target.device == "cpu" else cuda.launcher()

    class Counting:
        def launch(self, name: str, *arguments: object) -> None:
            launched[name] += 1
            launcher.launch(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cuda, "launcher", Counting)
    with torch.no_grad():
        found, drawn = tracked(pictures, target.device)
    assert [len(people) for people in found] == [len(people) for people in expected] == [1] * FRAMES
    for (one,), (other,) in zip(found, expected, strict=True):
        # single precision in another order; found: 3e-4 m, 2e-3
        np.testing.assert_allclose(one.joints3d, other.joints3d, atol=2e-3)
        np.testing.assert_allclose(one.joint_confidence, other.joint_confidence, atol=2e-2)
    assert np.mean(np.abs(drawn.astype(int) - drawn_there)) < 0.5
    # each kernel that the tracker is made for has run: posing, features, likelihood, the fit's steps, the picture
    assert launched.keys() >= {
        "body_pose", "body_skin", "body_mix", "body_mix_backward", "body_limbs_backward", "body_skin_backward",
        "body_pose_backward", "body_linear", "body_adam", "ellipsoids_boxes", "ellipsoids_likelihood", "raster_fill",
        "raster_overlay",
    }  # fmt: skip
