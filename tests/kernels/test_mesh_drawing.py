"""Lit meshes over pictures in numpy: against the rasteriser that defines them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import mesh_drawing, raster
from kernels.implementation import Implementation
from kernels.mesh_drawing import LitMesh
from kernels.raster_values import DirectionalLight, Intrinsics, RasterMesh, Shading
from tests.kernels.test_raster import SCENE, SIZE, sphere

IMPLEMENTATIONS = [Implementation.REFERENCE, Implementation.CPU]


def ball(x: float, z: float, rgb: tuple[float, float, float]) -> LitMesh:
    vertices, faces = sphere(7, 9, (x, 0.0, z), 0.5)
    return LitMesh(vertices.numpy(), faces.numpy(), np.full((len(vertices), 3), rgb, np.float32))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_two_meshes_hide_each_other_as_the_rasteriser_has_it(implementation: Implementation) -> None:
    near, far = ball(0.1, 2.0, (200, 20, 10)), ball(-0.2, 2.6, (10, 30, 220))
    picture = np.random.default_rng(3).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    drawn = mesh_drawing.draw_over(picture, [far, near], SCENE, 0.8, 0.05, implementation)
    dark = DirectionalLight((0.0, 0.0, -1.0), 0.0)
    shading = Shading(0.8, ambient=1.0, key=dark, fill=dark, skip_backs=True)
    meshes = [RasterMesh(m.vertices, m.faces, m.colours, np.zeros_like(m.vertices)) for m in (far, near)]
    right = raster.shade_overlay(picture, meshes, SCENE, shading, 0.05, Implementation.REFERENCE).numpy()
    assert np.abs(drawn.astype(int) - right).max() <= 1
    middle = drawn[SIZE[1] // 2, 44]
    assert middle[0] > 140 > middle[2], "the nearer one is in front"


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_normals_of_a_ball_point_outwards(implementation: Implementation) -> None:
    mesh = ball(0.3, 2.0, (0, 0, 0))
    normals = mesh_drawing.vertex_normals(mesh.vertices, mesh.faces, implementation)
    outwards = (mesh.vertices - np.float32([0.3, 0, 2])) / 0.5
    assert (normals * outwards).sum(axis=1)[1:-1].min() > 0.95
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)


def test_nobody_leaves_a_copy_of_the_picture() -> None:
    picture = np.full((4, 4, 3), 7, np.uint8)
    drawn = mesh_drawing.draw_over(picture, [], SCENE, 0.8)
    assert (drawn == picture).all() and drawn is not picture


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"vertices": np.full((3, 3), np.nan, np.float32)}, "vertices"),
        ({"vertices": np.zeros((3, 2), np.float32)}, "vertices"),
        ({"faces": np.array([[0, 1, 3]], np.int32)}, "faces"),
        ({"faces": np.array([[0, 1, 2]])}, "faces"),
        ({"colours": np.zeros((2, 3), np.float32)}, "colours"),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused(change: dict[str, np.ndarray], names: str) -> None:
    good = {
        "vertices": np.zeros((3, 3), np.float32),
        "faces": np.array([[0, 1, 2]], np.int32),
        "colours": np.zeros((3, 3), np.float32),
    }
    with pytest.raises(ValueError, match=names):
        LitMesh(**{**good, **change})


def test_a_picture_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="picture"):
        mesh_drawing.draw_over(np.zeros((4, 4, 3)), [], SCENE, 0.8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="near"):
        mesh_drawing.draw_over(np.zeros((4, 4, 3), np.uint8), [], Intrinsics(1, 1, 0, 0), 0.8, near=0.0)
    with pytest.raises(ValueError, match="16384"):
        mesh_drawing.draw_over(np.zeros((4, 0, 3), np.uint8), [], SCENE, 0.8)
    with pytest.raises(ValueError, match="16384"):
        mesh_drawing.draw_over(np.zeros((1, 16385, 3), np.uint8), [], SCENE, 0.8)
