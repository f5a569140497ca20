"""The rasteriser: by hand, at its edges, and against the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from kernels import raster
from kernels.implementation import Implementation
from kernels.raster import Raster
from kernels.raster_values import DirectionalLight, Intrinsics, RasterMesh, Shading
from tests.kernels.conftest import Target

UNIT = Intrinsics(1.0, 1.0, 0.0, 0.0)  # at z = 1 m a metre is a pixel
SCENE = Intrinsics(80.0, 84.0, 40.0, 32.0)
SIZE = (80, 64)


def rasterize(
    target: Target, vertices: Tensor, faces: Tensor, k: Intrinsics, size: tuple[int, int], near: float = 0.01
) -> Raster:
    points, corners = target.put(vertices, faces)
    found = raster.rasterize(points, corners, k, size, near, target.implementation)
    return Raster(found.depth.cpu(), found.triangle.cpu(), found.barycentric.cpu())


def triangles(*corners: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
    """Each three corners in a row are a triangle."""
    return torch.tensor(corners, dtype=torch.float32), torch.arange(len(corners), dtype=torch.int32).reshape(-1, 3)


def sphere(rings: int, sectors: int, centre: tuple[float, float, float], radius: float) -> tuple[Tensor, Tensor]:
    """A closed sphere, its faces' normals outwards."""
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, rings + 1), np.arange(sectors) * 2 * np.pi / sectors, indexing="ij"
    )
    points = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)
    ring, sector = np.meshgrid(np.arange(rings), np.arange(sectors), indexing="ij")
    a, b = ring * sectors + sector, ring * sectors + (sector + 1) % sectors
    c, d = a + sectors, b + sectors
    faces = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], axis=2).reshape(-1, 3)
    vertices = torch.tensor(points.reshape(-1, 3) * radius + np.array(centre), dtype=torch.float32)
    return vertices, torch.tensor(faces, dtype=torch.int32)


def test_right_triangle_by_hand(target: Target) -> None:
    vertices, faces = triangles((0, 0, 1), (4, 0, 1), (0, 4, 1))
    found = rasterize(target, vertices, faces, UNIT, (5, 5))
    # Centres with x + y ≤ 4: (0.5 + i) + (0.5 + j) ≤ 4, those on the edge included.
    inside = torch.tensor([[i + j <= 3 for i in range(5)] for j in range(5)])
    assert torch.equal(found.triangle >= 0, inside)
    assert torch.equal(found.depth == 1.0, inside)
    assert torch.isinf(found.depth[~inside]).all()
    torch.testing.assert_close(found.barycentric[0, 0], torch.tensor([0.75, 0.125, 0.125]))
    torch.testing.assert_close(found.barycentric[1, 2], torch.tensor([1 - 0.625 - 0.375, 0.625, 0.375]))
    assert (found.barycentric[~inside] == 0).all()


def test_depth_and_barycentrics_are_perspective_correct(target: Target) -> None:
    # A floor that runs from z = 1 to z = 3: half way down its image is z = 1.5, not 2.
    vertices, faces = triangles((-1, -1, 1), (1, -1, 1), (-3, 3, 3), (1, -1, 1), (3, 3, 3), (-3, 3, 3))
    found = rasterize(target, vertices, faces, Intrinsics(2, 2, 2.5, 2.5), (5, 5))
    assert found.triangle[2, 2] >= 0
    torch.testing.assert_close(found.depth[2, 2], torch.tensor(1.5))
    z = vertices[faces.long()][found.triangle[2, 2].long(), :, 2]
    torch.testing.assert_close((z * found.barycentric[2, 2]).sum(), torch.tensor(1.5))


def test_nearer_triangle_wins_in_both_orders_and_windings(target: Target) -> None:
    near, far = (
        [(-9.0, -9.0, 2.0), (9.0, -9.0, 2.0), (0.0, 18.0, 2.0)],
        [(-9.0, -9.0, 3.0), (9.0, -9.0, 3.0), (0.0, 18.0, 3.0)],
    )
    for order, winner in (((near, far), 0), ((far, near), 1), ((far, near[::-1]), 1)):
        vertices, faces = triangles(*order[0], *order[1])
        found = rasterize(target, vertices, faces, Intrinsics(2, 2, 1.5, 1.5), (3, 3))
        assert (found.triangle == winner).all()


def test_lower_index_wins_at_equal_depth(target: Target) -> None:
    corners = [(-9.0, -9.0, 2.0), (9.0, -9.0, 2.0), (0.0, 18.0, 2.0)]
    vertices, faces = triangles(*corners, *corners)
    assert (rasterize(target, vertices, faces, Intrinsics(2, 2, 1.5, 1.5), (3, 3)).triangle == 0).all()


def test_nothing_to_draw(target: Target) -> None:
    empty = torch.zeros((0, 3), dtype=torch.int32)
    behind = triangles((-1, -1, -2), (1, -1, -2), (0, 1, -2))
    no_area = triangles((-1, -1, 2), (0, 0, 2), (1, 1, 2))
    aside = triangles((50, 50, 2), (51, 50, 2), (50, 51, 2))
    for vertices, faces in ((behind[0], empty), behind, no_area, aside):
        found = rasterize(target, vertices, faces, Intrinsics(2, 2, 2.5, 2.5), (5, 5))
        assert (found.triangle[:, ::2] == -1).all()


def test_near_plane_cuts_a_triangle(target: Target) -> None:
    # A wall to the right, x = 1, from behind the camera to z = 8: pixel column u sees it at z = fx / (u - cx).
    vertices, faces = triangles((1, -50, -8), (1, 50, -8), (1, 0, 400))
    found = rasterize(target, vertices, faces, Intrinsics(10, 10, 0, 2), (64, 4), near=0.2)
    columns = torch.arange(64) + 0.5
    expected = 10 / columns
    seen = expected >= 0.2
    assert torch.equal(found.triangle[2] >= 0, seen)
    torch.testing.assert_close(found.depth[2][seen], expected[seen], rtol=2e-5, atol=0.0)


def test_huge_triangle_far_outside_the_picture(target: Target) -> None:
    vertices, faces = triangles((-4e4, -3e4, 1.0), (4e4, -3e4, 1.0), (0.0, 5e4, 1.0))
    found = rasterize(target, vertices, faces, Intrinsics(500, 500, 40, 32), SIZE)
    assert (found.triangle == 0).all()
    torch.testing.assert_close(found.depth, torch.ones(64, 80), rtol=1e-5, atol=0.0)


def test_shared_edges_leave_no_holes(target: Target, rng: torch.Generator) -> None:
    n = 9
    grid = torch.stack(torch.meshgrid(torch.linspace(-3, 3, n), torch.linspace(-3, 3, n), indexing="ij"), -1)
    jitter = 0.3 * (torch.rand((n, n, 2), generator=rng) - 0.5)
    vertices = torch.cat([grid + jitter, torch.rand((n, n, 1), generator=rng) + 2], dim=-1).reshape(-1, 3)
    i, j = torch.meshgrid(torch.arange(n - 1), torch.arange(n - 1), indexing="ij")
    a = (i * n + j).reshape(-1)
    faces = torch.cat([torch.stack([a, a + 1, a + n], 1), torch.stack([a + 1, a + n + 1, a + n], 1)]).int()
    found = rasterize(target, vertices, faces, Intrinsics(60, 60, 30, 30), (60, 60))
    assert (found.triangle >= 0).all()


@pytest.mark.parametrize("near", [0.01, 0.6])
def test_random_triangles_as_reference(fast: Target, rng: torch.Generator, near: float) -> None:
    vertices = torch.randn((40, 3), generator=rng)  # half of them behind the camera
    faces = torch.randint(0, 40, (60, 3), generator=rng, dtype=torch.int32)
    found = rasterize(fast, vertices, faces, SCENE, SIZE, near)
    right = raster.rasterize(vertices, faces, SCENE, SIZE, near, Implementation.REFERENCE)
    same = found.triangle == right.triangle
    # Snapping to 1/256 pixel moves an edge across few centres: worst seen 1 of 5,120.
    assert same.float().mean() > 0.998
    seen = same & (right.triangle >= 0)
    # Worst seen: 1e-4 of the depth, where a triangle is nearly edge-on.
    torch.testing.assert_close(found.depth[seen], right.depth[seen], rtol=5e-4, atol=0.0)
    torch.testing.assert_close(found.barycentric[seen], right.barycentric[seen], rtol=0.0, atol=1e-4)


def test_vertex_normals_of_a_sphere(target: Target) -> None:
    vertices, faces = sphere(24, 32, (0, 0, 3), 0.5)
    normals = raster.vertex_normals(*target.put(vertices, faces), implementation=target.implementation).cpu()
    outwards = torch.nn.functional.normalize(vertices - torch.tensor([0.0, 0, 3]), dim=-1)
    assert ((normals * outwards).sum(-1) > 0.99).all()


def test_vertex_without_faces_has_no_normal(target: Target) -> None:
    vertices, faces = triangles((0, 0, 1), (1, 0, 1), (0, 1, 1))
    more = torch.cat([vertices, torch.ones(1, 3)])
    normals = raster.vertex_normals(*target.put(more, faces), implementation=target.implementation).cpu()
    assert torch.equal(normals, torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]]))


def test_interpolation_gives_back_positions(target: Target) -> None:
    vertices, faces = target.put(*sphere(12, 16, (0.1, 0, 2), 0.7))
    found = raster.rasterize(vertices, faces, SCENE, SIZE, implementation=target.implementation)
    points = raster.interpolate(found, faces, vertices, target.implementation).cpu()
    seen = (found.triangle >= 0).cpu()
    assert seen.any() and (points[~seen] == 0).all()
    torch.testing.assert_close(points[seen][:, 2], found.depth.cpu()[seen], rtol=1e-3, atol=0.0)


def test_texture_by_hand(target: Target) -> None:
    texture, uv = target.put(
        torch.tensor([[[0.0], [4.0]], [[8.0], [12.0]]]),
        torch.tensor([[0.25, 0.75], [0.75, 0.25], [0.5, 0.5], [1.25, -0.25], [0.0, 0.75]]),
    )
    found = raster.sample_texture(texture, uv, target.implementation).cpu()
    assert found[:, 0].tolist() == [0.0, 12.0, 6.0, 0.0, 2.0]


def overlay(target: Target, meshes: list[RasterMesh], shading: Shading | None = None) -> Tensor:
    image = torch.full((SIZE[1], SIZE[0], 3), 60, dtype=torch.uint8, device=target.device)
    moved = [RasterMesh(*target.put(m.vertices, m.faces), m.colour) for m in meshes]  # type: ignore[arg-type]
    return raster.shade_overlay(image, moved, SCENE, shading, implementation=target.implementation).cpu()


def test_flat_wall_has_the_colour_that_the_lights_give(target: Target) -> None:
    vertices, faces = triangles((-9, -9, 2), (0, 18, 2), (9, -9, 2))
    shading = Shading(0.5, 0.25, DirectionalLight((0, 0, -2), 0.5), DirectionalLight((0, 1, 0), 0.9))
    drawn = overlay(target, [RasterMesh(vertices, faces, (200.0, 100.0, 40.0))], shading)
    # Lit from the front: 0.25 + 0.5 of the colour; half of it over the grey 60.
    assert drawn[32, 40].tolist() == [105, 68, 45]


def test_meshes_hide_each_other_whatever_their_order(target: Target) -> None:
    far, near = sphere(16, 20, (0, 0, 3), 0.8), sphere(16, 20, (0.2, 0, 2), 0.4)
    meshes = [RasterMesh(*far, (255.0, 0.0, 0.0)), RasterMesh(*near, (0.0, 255.0, 0.0))]
    one, other = overlay(target, meshes, Shading(alpha=1)), overlay(target, meshes[::-1], Shading(alpha=1))
    assert torch.equal(one, other)
    assert one[32, 48, 1] > 50 and one[32, 48, 0] == 0  # the near one
    assert one[32, 24, 0] > 50 and one[32, 24, 1] == 0  # beside it the far one


def test_backs_of_a_closed_mesh_do_not_show(target: Target) -> None:
    mesh = RasterMesh(*sphere(16, 20, (0.1, 0, 2), 0.5))
    one, other = overlay(target, [mesh], Shading(skip_backs=True)), overlay(target, [mesh])
    # A back can reach 1/256 pixel beyond the outline of the front: worst seen 1 of 5,120 pixels.
    assert (one != other).any(dim=-1).sum() <= 4


def test_skipped_backs_are_those_whose_corners_run_clockwise(target: Target) -> None:
    vertices, faces = triangles((-9, -9, 2), (0, 18, 2), (9, -9, 2))
    wall, turned = RasterMesh(vertices, faces), RasterMesh(vertices, faces[:, [0, 2, 1]].contiguous())
    assert (overlay(target, [wall], Shading(skip_backs=True)) != 60).any()
    assert (overlay(target, [turned], Shading(skip_backs=True)) == 60).all()


def test_outline_is_antialiased(target: Target) -> None:
    vertices, faces = triangles((-4, -4, 2), (0.3, -4, 2), (0.5, 4, 2), (-4, -4, 2), (0.5, 4, 2), (-4, 4, 2))
    drawn = overlay(
        target,
        [RasterMesh(vertices, faces, (255.0, 255.0, 255.0))],
        Shading(1, 1, DirectionalLight((1, 0, 0), 0), DirectionalLight((1, 0, 0), 0)),
    )
    levels = {int(v) for v in drawn[:, :, 0].unique()}
    wanted = (60, 109, 158, 206, 255)  # 0 to 4 of a pixel's samples; compilers round halves either way
    assert {min(wanted, key=lambda each: abs(each - level)) for level in levels} == set(wanted)
    assert all(min(abs(each - level) for each in wanted) <= 1 for level in levels)


def test_no_meshes_leave_the_picture(target: Target) -> None:
    assert (overlay(target, []) == 60).all()


def test_overlay_as_reference(fast: Target) -> None:
    meshes = [
        RasterMesh(*sphere(20, 24, (0.1, 0, 2), 0.5), (200.0, 120.0, 80.0)),
        RasterMesh(*sphere(16, 20, (0.4, 0.1, 1.6), 0.3)),
    ]
    found = overlay(fast, meshes).int()
    right = overlay(Target(Implementation.REFERENCE, "cpu"), meshes).int()
    difference = (found - right).abs()
    # Shading once for a pixel and not four times: worst mean seen 0.10 of 255; single pixels at an outline 61.
    assert difference.float().mean() < 0.2
    assert (difference > 8).float().mean() < 0.005


def test_threads_do_not_change_the_result() -> None:
    vertices, faces = sphere(40, 50, (0.1, 0, 2), 0.6)
    image = np.full((64, 80, 3), 60, np.uint8)
    before, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found = raster.rasterize(vertices, faces, SCENE, SIZE)
            results.append(
                (found.triangle, found.depth, raster.shade_overlay(image, [RasterMesh(vertices, faces)], SCENE))
            )
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"vertices": torch.zeros(4, 2)}, "vertices"),
        ({"vertices": torch.zeros(4, 3, dtype=torch.float64)}, "vertices"),
        ({"vertices": torch.full((4, 3), float("nan"))}, "vertices"),
        ({"vertices": torch.zeros(3, 4).T}, "vertices"),
        ({"faces": torch.zeros(1, 3, dtype=torch.int64)}, "faces"),
        ({"faces": torch.full((1, 3), 4, dtype=torch.int32)}, "faces"),
        ({"size": (0, 5)}, "size"),
        ({"near": 0.0}, "near"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, object], name: str) -> None:
    good = {
        "vertices": torch.zeros(4, 3),
        "faces": torch.zeros(1, 3, dtype=torch.int32),
        "intrinsics": UNIT,
        "size": (5, 5),
    }
    with pytest.raises((TypeError, ValueError), match=f"^{name}:"):
        raster.rasterize(**{**good, **change})  # type: ignore[arg-type]


def test_bad_pictures_and_colours_are_named() -> None:
    mesh = triangles((0, 0, 1), (1, 0, 1), (0, 1, 1))
    with pytest.raises(TypeError, match=r"^image:"):
        raster.shade_overlay(np.zeros((4, 4, 3)), [RasterMesh(*mesh)], UNIT)
    with pytest.raises(ValueError, match=r"^colour:"):
        raster.shade_overlay(np.zeros((4, 4, 3), np.uint8), [RasterMesh(*mesh, (1.0, 2.0))], UNIT)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^alpha:"):
        Shading(alpha=1.5)
    with pytest.raises(ValueError, match=r"^intrinsics:"):
        Intrinsics(0.0, 1.0, 0.0, 0.0)
