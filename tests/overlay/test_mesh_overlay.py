"""Drawing: where pixels land, against geometry worked out by hand; and everything that must not stop a run."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from tests.export_scene import CAMERA, person_at, small_body, vertices_of
from tracker.body.drawn_body import drawn_body
from tracker.core.camera import Camera
from tracker.core.confidence_colours import confidence_colours
from tracker.core.errors import RunError
from tracker.overlay.hud import draw_hud
from tracker.overlay.mesh_overlay import (
    PALETTE,
    MeshOverlay,
    OverlayConfig,
    SkeletonConfig,
    draw_labels,
    draw_skeleton,
    identity_colour,
    lit_mesh,
)
from tracker.overlay.renderers import (
    MeshRendering,
    OverlayMesh,
    PyrenderRenderer,
    RasterRenderer,
    RegionRenderer,
)

BODY = small_body(influences=1)
DRAWN = drawn_body(BODY)
GREY = np.full((CAMERA.height, CAMERA.width, 3), 90, np.uint8)
PLAIN = OverlayConfig(labels=False)


@pytest.fixture(scope="module")
def gl():
    try:
        renderer = PyrenderRenderer()
    except RunError as error:
        pytest.skip(str(error))
    yield renderer
    renderer.close()


def confidence_where_green_wins():
    """The least confidence whose colour is more green than red."""
    ramp = np.linspace(0, 1, 2001)
    colours = confidence_colours(ramp)
    return ramp[np.argmax(colours[:, 1] > colours[:, 0])] - 1e-3


def quad(camera, x0, y0, x1, y1, z=2.0, colour=(1.0, 0.0, 0.0)):
    """A rectangle that fills exactly these pixel edges, facing the camera."""
    pixels = np.array([[x0, y0], [x0, y1], [x1, y1], [x1, y0]], float)
    return OverlayMesh(camera.rays(pixels) * z, np.array([[0, 1, 2], [0, 2, 3]]), np.tile(colour, (4, 1)))


def ball(centre, radius):
    """A closed mesh within a thousandth of the radius of the sphere."""
    trimesh = pytest.importorskip("trimesh")
    sphere = trimesh.creation.icosphere(subdivisions=5)
    return lit_mesh(np.asarray(sphere.vertices) * radius + centre, np.asarray(sphere.faces), (1.0, 1.0, 1.0))


CAMERAS = [
    Camera(500.0, 500.0, 160.0, 120.0, 320, 240),
    Camera(431.0, 389.0, 101.3, 140.7, 321, 243),
    Camera(300.0, 350.0, 30.0, 260.0, 203, 301),
]


class TestRasterRenderer:
    @pytest.mark.parametrize("camera", CAMERAS)
    @pytest.mark.parametrize("box", [(40, 60, 120, 100), (77, 31, 78, 32), (0, 0, 200, 240)])
    def test_a_rectangle_covers_exactly_its_pixels(self, camera, box):
        expected = np.zeros((camera.height, camera.width), bool)
        expected[box[1] : box[3], box[0] : box[2]] = True
        np.testing.assert_array_equal(RasterRenderer().covers(camera, quad(camera, *box)), expected)

    @pytest.mark.parametrize("camera", CAMERAS)
    def test_it_draws_what_opengl_draws(self, gl, camera):
        """Two balls that cut into each other; only pixels at the edges may differ, and those by their antialiasing."""
        meshes = [ball(camera.rays(np.array([x, 130.0])) * z, 0.4) for x, z in ((100.0, 3.0), (130.0, 3.2))]
        picture = np.full((camera.height, camera.width, 3), 60, np.uint8)
        ours = RasterRenderer().draw_over(picture, camera, meshes, 0.8).astype(int)
        theirs = gl.draw_over(picture, camera, meshes, 0.8).astype(int)
        apart = np.abs(ours - theirs).max(axis=2)
        drawn = np.abs(theirs - 60).max(axis=2) > 0
        assert drawn.sum() > 2000
        # measured: 2 % of the drawn pixels, all at an edge
        assert (apart > 6).sum() < 0.05 * drawn.sum()
        assert (picture == 60).all(), "the picture that was given is left alone"


class TestPyrenderRenderer:
    @pytest.mark.parametrize("camera", CAMERAS)
    @pytest.mark.parametrize("box", [(40, 60, 120, 100), (77, 31, 78, 32), (0, 0, 200, 240)])
    def test_a_rectangle_fills_exactly_its_pixels(self, gl, camera, box):
        coverage = gl.render(camera, [quad(camera, *box)]).coverage
        expected = np.zeros((camera.height, camera.width), np.uint8)
        expected[box[1] : box[3], box[0] : box[2]] = 255
        np.testing.assert_array_equal(coverage, expected)

    @pytest.mark.parametrize("camera", CAMERAS)
    def test_a_sphere_is_where_its_cone_of_rays_is(self, gl, camera):
        centre, radius = camera.rays(np.array([110.0, 130.0])) * 3.0, 0.4
        with MeshOverlay(make_renderer=lambda: gl) as overlay:
            mesh = ball(centre, radius)
            seen = overlay.silhouette(camera, mesh.vertices, mesh.faces)
            overlay._renderer = None  # the fixture closes it
        x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
        rays = camera.rays(np.stack([x, y], axis=-1))
        truth = (rays @ centre) ** 2 >= (rays**2).sum(axis=-1) * (centre @ centre - radius**2)
        assert (seen & truth).sum() / (seen | truth).sum() > 0.99
        middle = lambda mask: np.argwhere(mask).mean(axis=0)  # noqa: E731
        # measured: up to 0.052 px, as four samples stand for a pixel; half a pixel of misalignment would be 0.5
        np.testing.assert_allclose(middle(seen), middle(truth), atol=0.1)

    def test_the_nearer_mesh_hides_the_farther_whatever_the_order(self, gl):
        camera = CAMERAS[0]
        near, far = quad(camera, 50, 50, 150, 150, 2.0, (1, 0, 0)), quad(camera, 100, 50, 200, 150, 2.1, (0, 0, 1))
        for meshes in ([near, far], [far, near]):
            rendering = gl.render(camera, meshes)
            assert rendering.colour[100, 125].tolist() == [255, 0, 0]
            assert rendering.colour[100, 175].tolist() == [0, 0, 255]
            assert rendering.depth[100, [75, 125, 175, 250]] == pytest.approx([2.0, 2.0, 2.1, 0.0], abs=1e-3)

    def test_a_mesh_turned_to_the_light_is_brighter(self, gl):
        rendering = gl.render(CAMERAS[0], [ball(np.array([0, 0, 3.0]), 0.5)])
        above, below = rendering.colour[85, 140].astype(int), rendering.colour[155, 180].astype(int)
        assert above.min() > below.max() + 40

    def test_what_is_behind_the_camera_is_cut_away(self, gl):
        camera = CAMERAS[0]
        behind = replace(quad(camera, 50, 50, 150, 150), vertices=-quad(camera, 50, 50, 150, 150).vertices)
        assert gl.render(camera, [behind]).coverage.max() == 0
        through = ball(np.array([0.3, 0.0, 0.0]), 0.5)
        assert gl.render(camera, [through, quad(camera, 0, 0, 40, 40)]).coverage[20, 20] == 255

    def test_sizes_may_change_from_picture_to_picture(self, gl):
        for width, height in ((64, 64), (333, 1), (1, 77), (501, 303), (64, 64)):
            camera = Camera.default(width, height)
            rendering = gl.render(camera, [quad(camera, 0, 0, width, height)])
            assert rendering.colour.shape == (height, width, 3)
            assert rendering.coverage.min() == 255

    def test_nothing_to_draw(self, gl):
        assert gl.render(CAMERAS[1], []).coverage.max() == 0

    def test_a_picture_too_large_for_opengl_is_a_clear_error(self, gl):
        with pytest.raises(RunError, match="40000×8"):
            gl.render(Camera.default(40_000, 8), [])
        assert gl.render(CAMERAS[0], [quad(CAMERAS[0], 0, 0, 9, 9)]).coverage[5, 5] == 255

    def test_closing_one_leaves_the_others(self, gl):
        other = PyrenderRenderer()
        other.render(CAMERAS[0], [])
        other.close()
        other.close()
        assert gl.render(CAMERAS[0], [quad(CAMERAS[0], 0, 0, 9, 9)]).coverage[5, 5] == 255

    def test_another_thread_may_render_next(self, gl):
        seen = []
        worker = threading.Thread(
            target=lambda: seen.append(gl.render(CAMERAS[0], [quad(CAMERAS[0], 0, 0, 9, 9)]).coverage[5, 5])
        )
        worker.start()
        worker.join()
        assert seen == [255]
        assert gl.render(CAMERAS[0], []).coverage.max() == 0

    def test_without_opengl_the_error_names_what_to_install(self, gl, monkeypatch):
        monkeypatch.setenv("EGL_DEVICE_ID", "99")
        with pytest.raises(RunError, match=r"libegl1 libgl1-mesa-dri libgles2.*--no-overlay"):
            PyrenderRenderer()

    def test_without_pyrender_the_error_names_the_package(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "pyrender", None)
        with pytest.raises(RunError, match="pyrender"):
            PyrenderRenderer()


class Flat(RegionRenderer):
    """A renderer that fills its whole picture and remembers what it was asked for."""

    def __init__(self, colour=(200, 100, 0), coverage=255):
        self.colour, self.coverage, self.calls, self.closed = colour, coverage, [], False

    def render(self, camera, meshes):
        self.calls.append((camera, meshes))
        shape = (camera.height, camera.width)
        colour = np.broadcast_to(np.uint8(self.colour), (*shape, 3)).copy()
        return MeshRendering(colour, np.full(shape, self.coverage, np.uint8), np.ones(shape, np.float32))

    def close(self):
        self.closed = True


def draw(renderer, people, image=GREY, camera=CAMERA, config=PLAIN):
    with MeshOverlay(config, lambda: renderer) as overlay:
        return overlay.draw(image, camera, people, DRAWN)


class TestMeshOverlay:
    def test_the_mesh_is_blended_and_the_rest_left_alone(self, gl):
        person = person_at(BODY, 0.3)
        before = GREY.copy()
        with MeshOverlay(PLAIN) as overlay:
            picture = overlay.draw(GREY, CAMERA, [person], DRAWN)
            vertices = vertices_of(BODY, person.pose.theta[None], person.pose.betas, person.pose.transl[None])[0]
            inside = overlay.silhouette(CAMERA, vertices, BODY.faces.numpy())
        np.testing.assert_array_equal(GREY, before)
        assert picture.shape == GREY.shape and picture.dtype == np.uint8
        changed = (picture != GREY).any(axis=2)
        assert inside.sum() > 3000
        assert (changed & inside).sum() / inside.sum() > 0.99
        edge = inside ^ changed
        assert edge.sum() < 0.12 * inside.sum(), "only pixels that the mesh covers less than half"

    def test_alpha_weighs_mesh_against_picture(self):
        picture = draw(Flat(), [person_at(BODY, 0.0)], config=OverlayConfig(alpha=0.6, labels=False))
        touched = picture[(picture != GREY).any(axis=2)]
        np.testing.assert_allclose(touched.mean(axis=0), 0.6 * np.array([200, 100, 0]) + 0.4 * 90, atol=1)

    def test_half_covered_pixels_are_half_blended(self):
        picture = draw(Flat((100, 50, 0), 128), [person_at(BODY, 0.0)], config=OverlayConfig(1.0, labels=False))
        touched = picture[(picture != GREY).any(axis=2)]
        np.testing.assert_allclose(touched.mean(axis=0), np.array([100, 50, 0]) + 90 * 127 / 255, atol=1)

    def test_only_the_part_that_meshes_touch_is_rendered_through_its_own_exact_camera(self):
        renderer = Flat()
        draw(renderer, [person_at(BODY, 0.0)])
        ((crop, meshes),) = renderer.calls
        assert crop.width < CAMERA.width
        assert crop.width % 64 == crop.height % 64 == 0
        shift = CAMERA.project(meshes[0].vertices) - crop.project(meshes[0].vertices)
        np.testing.assert_allclose(shift, np.broadcast_to(np.round(shift[0]), shift.shape), atol=1e-3)

    def test_every_identity_keeps_its_colour(self):
        renderer = Flat()
        draw(renderer, [person_at(BODY, 0.0, n) for n in (0, 3, 8)])
        for mesh, colour in zip(renderer.calls[0][1], (PALETTE[0], PALETTE[3], PALETTE[0]), strict=True):
            shade = mesh.colours / colour
            np.testing.assert_allclose(shade, shade[:, :1].repeat(3, axis=1), atol=1e-6)
        assert len(set(PALETTE)) == len(PALETTE) >= 8
        assert identity_colour(11) == PALETTE[3]

    def test_confidence_colours_the_mesh_by_its_joints(self):
        renderer = Flat()
        sure = np.where(np.arange(24) == 0, 1.0, 0.0)
        person = replace(person_at(BODY, 0.0), joint_confidence=sure)
        MeshOverlay(OverlayConfig(style="confidence"), lambda: renderer).draw(GREY, CAMERA, [person], DRAWN)
        ((_, (mesh,)),) = renderer.calls
        green = mesh.colours[:, 1] > mesh.colours[:, 0]
        np.testing.assert_array_equal(green, BODY.weights[:, 0].numpy() > confidence_where_green_wins())

    def test_a_skeleton_needs_no_renderer(self):
        def refuse():
            raise AssertionError("made a renderer")

        person = person_at(BODY, 0.0)
        drawn = MeshOverlay(OverlayConfig(style="skeleton", labels=False), refuse).draw(GREY, CAMERA, [person], DRAWN)
        np.testing.assert_array_equal(drawn, draw_skeleton(GREY, [person], SkeletonConfig(labels=False)))

    def test_nobody_needs_no_renderer(self):
        def refuse():
            raise AssertionError("made a renderer")

        with MeshOverlay(make_renderer=refuse) as overlay:
            np.testing.assert_array_equal(overlay.draw(GREY, CAMERA, [], DRAWN), GREY)

    def moved(self, shift):
        person = person_at(BODY, 0.0)
        return replace(person, pose=replace(person.pose, transl=person.pose.transl + np.asarray(shift, float)))

    @pytest.mark.parametrize("shift", [(0, 0, -30), (np.nan, 0, 0), (np.inf, 0, 0), (0, 0, 1e39)])
    def test_who_cannot_be_drawn_is_left_out(self, shift):
        renderer = Flat()
        np.testing.assert_array_equal(draw(renderer, [self.moved(shift)]), GREY)
        assert not renderer.calls
        draw(renderer, [self.moved(shift), person_at(BODY, 0.0)])
        assert len(renderer.calls[0][1]) == 1

    @pytest.mark.parametrize("shift", [(0, 0, -4.6), (0, 0, -4.3), (1e6, 0, 0), (0, 0, 1e6), (-3, 2, 0), (0, 0, 1e30)])
    def test_half_behind_the_camera_far_away_or_outside(self, gl, shift):
        with MeshOverlay() as overlay:
            assert overlay.draw(GREY, CAMERA, [self.moved(shift)], DRAWN).shape == GREY.shape

    @pytest.mark.parametrize(("width", "height"), [(1, 1), (65, 3), (127, 641), (1283, 719)])
    def test_any_size_of_picture(self, gl, width, height):
        camera = Camera.default(width, height)
        image = np.zeros((height, width, 3), np.uint8)
        with MeshOverlay() as overlay:
            picture = overlay.draw(image, camera, [person_at(BODY, 0.0)], DRAWN)
            assert picture.shape == image.shape
            assert picture.any()

    def test_read_only_and_flipped_pictures(self):
        image = GREY[::-1, ::-1]
        image.flags.writeable = False
        assert draw(Flat(), [person_at(BODY, 0.0)], image).flags.c_contiguous

    def test_the_renderer_is_closed_with_the_overlay(self):
        renderer = Flat()
        draw(renderer, [person_at(BODY, 0.0)])
        assert renderer.closed

    def test_the_silhouette_of_nothing_is_empty(self):
        with MeshOverlay(make_renderer=Flat) as overlay:
            mask = overlay.silhouette(CAMERA, np.full((3, 3), np.nan), np.array([[0, 1, 2]]))
        assert mask.shape == (CAMERA.height, CAMERA.width) and not mask.any()


def flat_person(**changes):
    """Somebody whose joints lie on a grid, 20 px apart, all sure."""
    pixels = np.stack(np.meshgrid(np.arange(6) * 40.0 + 50.5, np.arange(4) * 60.0 + 50.5), axis=-1).reshape(24, 2)
    person = replace(person_at(BODY, 0.0), joints2d=pixels, joint_confidence=np.ones(24), joints3d=np.ones((24, 3)))
    return replace(person, **changes)


class TestSkeleton:
    def test_joints_are_dots_in_their_sides_colour(self):
        picture = draw_skeleton(GREY, [flat_person()])
        left, right, middle = picture[50, 90], picture[50, 130], picture[50, 50]
        assert left[0] > left[2] + 100
        assert right[2] > right[0] + 100
        assert middle.min() > 200

    def test_dots_are_centred_on_the_pixel_that_the_joint_falls_in(self):
        far = np.full((24, 2), np.nan)
        far[0] = (200.5, 100.5)
        person = flat_person(joints2d=far, bbox=np.full(4, np.nan))
        changed = np.argwhere((draw_skeleton(GREY, [person]) != GREY).any(axis=2))
        np.testing.assert_allclose(changed.mean(axis=0), [100, 200], atol=0.1)

    def test_unsure_joints_are_hollow_and_their_bones_faint(self):
        confidence = np.ones(24)
        confidence[4] = 0.1
        person, lone = flat_person(), np.full((24, 2), np.nan)
        lone[[1, 4]] = person.joints2d[[1, 4]]
        sure = draw_skeleton(GREY, [flat_person(joints2d=lone)]).astype(int)
        unsure = draw_skeleton(GREY, [flat_person(joints2d=lone, joint_confidence=confidence)]).astype(int)
        x, y = lone[4].astype(int)
        middle = tuple(((lone[1] + lone[4]) / 2).astype(int)[::-1])
        assert abs(unsure[middle] - 90).max() < 0.6 * abs(sure[middle] - 90).max()
        assert abs(unsure[y, x] - sure[y, x]).max() > 40

    @pytest.mark.parametrize("value", [np.nan, np.inf, -1e12, 1e12, 1e7])
    def test_wild_coordinates_are_left_out(self, value):
        pixels = flat_person().joints2d.copy()
        pixels[5:9, 0] = value
        picture = draw_skeleton(GREY, [flat_person(joints2d=pixels)])
        assert (picture != GREY).any()
        whole = draw_skeleton(GREY, [flat_person()])
        assert ((picture != whole).any(axis=2)).any()

    def test_joints_behind_the_camera_are_left_out(self):
        behind = flat_person(joints3d=-np.ones((24, 3)), bbox=np.full(4, np.nan))
        np.testing.assert_array_equal(draw_skeleton(GREY, [behind]), GREY)

    def test_the_picture_given_is_not_drawn_on(self):
        before = GREY.copy()
        draw_skeleton(GREY, [flat_person()])
        draw_labels(GREY, [flat_person()])
        draw_hud(GREY, ["text"])
        np.testing.assert_array_equal(GREY, before)


class TestText:
    @pytest.mark.parametrize("shape", [(1, 1), (7, 5), (3, 400), (400, 3), (2160, 3840)])
    def test_any_size_of_picture(self, shape):
        image = np.full((*shape, 3), 90, np.uint8)
        picture = draw_hud(draw_labels(image, [flat_person()]), ["24.9 fps   latency 62 ms", "q quit"])
        assert picture.shape == image.shape

    def test_the_hud_dims_its_panel_only_and_fits_the_width(self):
        picture = draw_hud(GREY, ["x" * 300])
        assert (picture[-1] == GREY[-1]).all()
        assert (picture[:10, -40:] < 90).any(), "as wide as the picture"
        np.testing.assert_array_equal(draw_hud(GREY, []), GREY)

    def test_a_label_stays_inside_the_picture(self):
        picture = draw_labels(GREY, [flat_person(bbox=np.array([-50.0, -80.0, 5000.0, 9000.0]))])
        colour = np.round(255 * np.array(PALETTE[0]))
        assert (np.abs(picture[:14, :12].reshape(-1, 3) - colour).max(axis=1) < 2).sum() > 40

    def test_a_box_that_is_not_finite_is_left_out(self):
        np.testing.assert_array_equal(draw_labels(GREY, [flat_person(bbox=np.array([0, np.nan, 5, 5]))]), GREY)
