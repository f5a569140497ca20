"""The synthetic person's surfaces and paint: cut where they should be, bound to the body, painted by place."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from tracker.body.free_body import load_free_body
from tracker.core.arrays import Array
from tracker.core.person import Pose
from tracker.synth.figure import Figure, FigureConfig
from tracker.synth.figure_texture import Palette
from tracker.synth.surface import Surface, cut, smoothed
from tracker.synth.texture import Atlas, noise, smoothstep

BETAS = np.array([0.5, -0.5, 0.3, 0, 0, 0, 0, 0, 0, 0])


def flat_grid(cells: int) -> Surface:
    """A unit square in the plane z = 0, facing +z, bound half to joint 0 on the left, half to joint 1 on the right."""
    y, x = (values.ravel() for values in np.meshgrid(*[np.linspace(0, 1, cells + 1)] * 2, indexing="ij"))
    row, column = np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij")
    a = (row * (cells + 1) + column).ravel()
    faces = np.concatenate(
        [np.stack([a, a + 1, a + cells + 2], axis=1), np.stack([a, a + cells + 2, a + cells + 1], axis=1)]
    )
    weights = np.zeros((len(x), 24))
    weights[:, 0], weights[:, 1] = 1 - x, x
    origin = csr_matrix(np.eye(len(x)))
    return Surface(np.stack([x, y, np.zeros_like(x)], axis=1), weights, origin, np.stack([x, y], axis=1), faces)


def areas(surface: Surface) -> Array:
    """(F,) signed along +z."""
    a, b, c = (surface.rest[surface.faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)[:, 2] / 2


@pytest.mark.parametrize("tilt", [0.0, 0.3, 0.77])
def test_a_cut_leaves_exactly_the_inside(tilt: float) -> None:
    grid = flat_grid(7)
    inside = 0.55 - grid.rest[:, 0] - tilt * (grid.rest[:, 1] - 0.5)
    part, field = cut(grid, inside)
    assert areas(part).min() > 0  # nothing is turned over
    assert areas(part).sum() == pytest.approx(0.55)
    assert field.min() == pytest.approx(0.0, abs=1e-12)
    assert field == pytest.approx(0.55 - part.rest[:, 0] - tilt * (part.rest[:, 1] - 0.5))


def test_what_a_cut_makes_is_bound_like_its_surroundings() -> None:
    grid = flat_grid(4)
    part, _ = cut(grid, 0.6 - grid.rest[:, 0])
    assert part.weights[:, 1] == pytest.approx(part.rest[:, 0])
    assert part.uv == pytest.approx(part.rest[:, :2])
    assert part.origin @ grid.rest == pytest.approx(part.rest)


def test_smoothing_keeps_the_mean_of_a_slope_and_flattens_a_spike() -> None:
    grid = flat_grid(6)
    spike = np.zeros(len(grid.rest))
    spike[24] = 1.0
    flat = smoothed(grid, spike, 4)
    assert flat.max() < 0.4
    middle = np.abs(grid.rest[:, :2] - 0.5).max(axis=1) < 0.2
    assert smoothed(grid, grid.rest[:, 0], 1)[middle] == pytest.approx(grid.rest[middle, 0])


def test_seams_do_not_show_in_normals() -> None:
    figure = Figure(load_free_body(), BETAS, FigureConfig(texture_size=16), 0)
    skin = figure.layers[0].surface
    normals = skin.normals(skin.rest)
    order = np.argsort(skin.points, kind="stable")
    same = np.diff(skin.points[order]) == 0
    assert same.sum() > 100
    assert normals[order][1:][same] == pytest.approx(normals[order][:-1][same])
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(len(normals)))


def test_layers_move_with_the_body() -> None:
    """The skin layer's vertices are the body's own, wherever the pose puts them, pose correctives included."""
    model = load_free_body()
    figure = Figure(model, BETAS, FigureConfig(texture_size=16), 0)
    theta = np.random.default_rng(1).normal(0.0, 0.4, (24, 3))
    pose = Pose(theta[0], theta[1:].ravel(), BETAS, np.array([0.1, 0.2, 3.0]))
    body = model.with_shape(model.v_template.new_tensor(BETAS)).with_pose(
        model.v_template.new_tensor(theta), model.v_template.new_tensor(pose.transl)
    )
    skin = figure.layers[0].surface
    expected = skin.origin @ body.vertices().numpy()
    assert figure.posed(pose)[0] == pytest.approx(expected, abs=1e-5)
    assert figure.joints(theta[None], pose.transl[None])[0] == pytest.approx(body.joints.numpy(), abs=1e-6)


def test_clothes_are_outside_the_skin() -> None:
    """Cloth stands off the body that it covers: along the body's normal, by millimetres to centimetres."""
    model = load_free_body()
    figure = Figure(model, BETAS, FigureConfig(texture_size=16), 3)
    rest = figure.shaped.rest_vertices.numpy()
    skin = Surface(rest, model.weights.numpy(), csr_matrix(np.eye(1)), rest[:, :2], model.faces.numpy())
    normals = skin.normals(rest)
    shirt, trousers = figure.layers[4].surface, figure.layers[5].surface
    below_shirt = trousers.rest[:, 1] < shirt.rest[:, 1].min() - 0.02
    for garment, seen in ((shirt, np.ones(len(shirt.rest), bool)), (trousers, below_shirt)):
        under = garment.origin @ rest
        off = ((garment.rest - under) * (garment.origin @ normals)).sum(axis=1)[seen]
        assert (off > 0).mean() > 0.97
        assert off.max() < 0.08
        assert 0.005 < np.median(off) < 0.04


def test_looks_come_from_the_seed() -> None:
    config = FigureConfig(texture_size=32)
    first, again, other = (Figure(load_free_body(), BETAS, config, seed) for seed in (4, 4, 6))
    for a, b in zip(first.layers, again.layers, strict=True):
        assert np.array_equal(a.texture, b.texture)
        assert a.surface.rest == pytest.approx(b.surface.rest, abs=1e-12)
    assert not np.array_equal(first.layers[0].texture, other.layers[0].texture)


def test_palettes_differ_and_stripes_show() -> None:
    palettes = [Palette.sample(np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(palettes)) > 10
    assert all(palette.shirt != palette.stripes for palette in palettes)
    assert all(sum(palette.hair) < sum(palette.skin) for palette in palettes)


def test_atlas_texels_know_their_place() -> None:
    grid = flat_grid(3)
    atlas = Atlas.of(grid.faces, grid.uv, 16)
    places = atlas.values(grid.rest)
    painted = atlas.image(places)
    centres = (np.arange(16) + 0.5) / 16
    assert painted[:, :, 0] == pytest.approx(np.tile(centres * 255, (16, 1)), abs=0.51)
    assert painted[:, :, 1] == pytest.approx(np.tile(255 - centres * 255, (16, 1)).T, abs=0.51)  # v is up


def test_gaps_of_the_layout_are_filled_from_the_nearest_texel() -> None:
    grid = flat_grid(2)
    atlas = Atlas.of(grid.faces, grid.uv * 0.5, 16)  # the lower left quarter
    painted = atlas.image(np.full((len(atlas.corners), 3), 1.0))
    assert (painted == 255).all()


def test_noise_is_smooth_bounded_and_reproducible() -> None:
    line = np.stack([np.linspace(0, 3, 3001), np.zeros(3001), np.zeros(3001)], axis=1)
    values = noise(line, 0.1, 7)
    assert np.array_equal(values, noise(line, 0.1, 7))
    assert not np.allclose(values, noise(line, 0.1, 8))
    assert np.abs(values).max() <= 0.75
    assert values.std() > 0.1
    assert np.abs(np.diff(values)).max() < 0.05  # a hundredth of a cell


def test_smoothstep_works_both_ways() -> None:
    values = np.array([0.0, 1.0, 1.5, 2.0, 3.0])
    assert smoothstep(1.0, 2.0, values) == pytest.approx([0, 0, 0.5, 1, 1])
    assert smoothstep(2.0, 1.0, values) == pytest.approx([1, 1, 0.5, 0, 0])
