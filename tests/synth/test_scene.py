"""The synthetic pictures: what the truth says is where the pixels are, light and shadow fall where they should."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from tracker.body.free_body import load_free_body
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.synth.demo_clip import ClipConfig, DemoClip
from tracker.synth.demo_lighting import Beam, Lighting, ShadowMap
from tracker.synth.demo_scene import SceneConfig, Viewpoint
from tracker.synth.figure import FigureConfig
from tracker.synth.obstacle import Obstacle
from tracker.synth.room import Box, RoomPainter, enter, furnished_room, paint
from tracker.synth.textured_raster import TexturedMesh, TexturedRaster

SMALL = ClipConfig(
    seconds=8.0,
    width=200,
    height=150,
    figure=FigureConfig(texture_size=128),
    scene=SceneConfig(samples=1),
)
CLEAN, BEHIND = 30, 216
"""Frames: walking, and with the obstacle in front."""


@pytest.fixture(scope="module")
def clip() -> DemoClip:
    return DemoClip(SMALL)


def at(mask: Array, pixels: Array) -> Array:
    """The mask's values at pixels (N, 2), whose centres are at integers + 0.5."""
    x, y = np.floor(pixels).astype(int).T
    return mask[y, x]


@pytest.mark.parametrize("frame", [0, CLEAN, 75, 130, 200])
def test_joints_lie_on_the_person(clip: DemoClip, frame: int) -> None:
    """Joints are inside the body, so where nothing hides them their pixels show the person."""
    seen = ~clip.truth.hidden[frame]
    person = clip.draw(frame).person.astype(np.uint8)
    near = cv2.dilate(person, np.ones((3, 3), np.uint8)).astype(bool)  # fingers are thinner than a pixel here
    assert seen.sum() > 5
    assert at(near, clip.truth.joints2d[frame][seen]).all()


def test_the_person_is_no_larger_than_their_joints_allow(clip: DemoClip) -> None:
    y, x = clip.draw(CLEAN).person.nonzero()
    joints = clip.truth.joints2d[CLEAN]
    height = np.ptp(joints[:, 1])
    assert y.max() + 1 - joints[:, 1].max() < 0.07 * height  # soles
    assert joints[:, 1].min() - y.min() < 0.15 * height  # crown and hair
    assert joints[:, 0].min() - x.min() < 0.15 * height


def test_hidden_joints_are_behind_the_obstacle(clip: DemoClip) -> None:
    hidden = clip.truth.hidden[BEHIND]
    assert hidden.sum() >= 8
    person = clip.draw(BEHIND).person
    inside = hidden & (clip.truth.joints2d[BEHIND] > 0).all(axis=1)
    assert at(person, clip.truth.joints2d[BEHIND][inside]).mean() < 0.1  # only right at the obstacle's edge
    assert 0 < person.sum() < 0.6 * clip.draw(CLEAN).person.sum()


def test_the_truth_is_smpl_s(clip: DemoClip) -> None:
    """joints3d and joints2d follow from θ, β and transl through the body model and the default camera."""
    model, truth = load_free_body(), clip.truth
    tensor = model.v_template.new_tensor
    posed = model.with_shape(tensor(truth.betas)).with_pose(tensor(truth.theta), tensor(truth.transl))
    assert truth.joints3d == pytest.approx(posed.joints.numpy(), abs=1e-5)
    camera = Camera.default(SMALL.width, SMALL.height)
    assert truth.joints2d == pytest.approx(camera.project(truth.joints3d))
    pelvis = truth.joints3d[:, smpl_index("pelvis")]
    T = SMALL.scene.viewpoint.T_camera_world
    assert pelvis == pytest.approx(clip.motion.pelvis @ T[:3, :3].T + T[:3, 3], abs=1e-5)


def test_frames_are_the_same_for_the_same_seed(clip: DemoClip) -> None:
    first = clip.draw(CLEAN)
    again = DemoClip(SMALL)
    second, other = again.draw(CLEAN), again.draw(CLEAN + 1)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.person, second.person)
    assert not np.array_equal(first.image, other.image)


def test_the_sensor_s_noise_changes_from_frame_to_frame(clip: DemoClip) -> None:
    corner = np.s_[:20, :20]
    a, b = (clip.draw(index).image[corner].astype(float) for index in (CLEAN, CLEAN + 1))
    assert 1.0 < (a - b).std() < 8.0


def test_the_person_throws_a_shadow(clip: DemoClip) -> None:
    """The same frame without the person is brighter on the floor beside the feet, and the same on the wall."""
    backdrop = clip._scene._backdrop
    empty = backdrop.image * backdrop.vignette
    shot = clip.draw(75)
    feet = clip.truth.joints2d[75, [smpl_index("left_ankle"), smpl_index("right_ankle")]].mean(axis=0)
    x, y = np.floor(feet).astype(int)
    beside = np.s_[y - 8 : y + 4, x - 22 : x - 6]
    free = ~shot.person[beside]
    assert (empty - shot.image)[beside][free].mean() > 4.0
    wall = np.s_[12:40, 120:140]
    assert abs((empty - shot.image)[wall].mean()) < 1.5


def test_short_clips_have_an_obstacle_too() -> None:
    short = DemoClip(replace(SMALL, seconds=1.0))
    assert len(short) == 30
    assert short.truth.hidden.any()


@pytest.fixture
def raster() -> TexturedRaster:
    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    uv = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return TexturedRaster([TexturedMesh(faces, uv, red), TexturedMesh(faces, uv, blue)])


def square(centre: tuple[float, float, float], half: float) -> Array:
    """(4, 3) facing the camera."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    return np.array(centre) + half * corners


def test_markers_are_drawn_where_the_camera_projects_them(raster: TexturedRaster) -> None:
    camera = Camera(410.0, 395.0, 150.5, 110.25, 320, 240)
    centres = np.array([[0.31, -0.12, 2.2], [-0.4, 0.25, 3.1]])
    plain = [np.ones((4, 3))] * 2
    drawn = raster.draw(camera, [square(tuple(c), 0.08) for c in centres], plain)
    for centre, channel in zip(centres, (0, 2), strict=True):
        weight = drawn.colour[..., channel].astype(float)
        y, x = np.mgrid[: camera.height, : camera.width] + 0.5
        middle = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert middle == pytest.approx(camera.project(centre), abs=0.2)  # edges are sampled four times a pixel
        size = weight.sum() / 200
        assert size == pytest.approx((0.16 / centre[2]) ** 2 * camera.fx * camera.fy, rel=0.03)


def test_the_nearer_one_is_in_front_and_shade_multiplies(raster: TexturedRaster) -> None:
    camera = Camera.default(64, 48)
    near, far = square((0, 0, 2.0), 0.1), square((0, 0, 2.5), 0.5)
    drawn = raster.draw(camera, [near, far], [np.full((4, 3), 0.5), np.ones((4, 3))])
    assert drawn.colour[24, 32] == pytest.approx([100, 0, 0], abs=1)
    assert drawn.colour[24, 22] == pytest.approx([0, 0, 200], abs=1)
    assert drawn.depth[24, 32] == pytest.approx(2.0, abs=1e-3)
    assert drawn.coverage[0, 0] == 0


def test_light_falls_from_its_side() -> None:
    lighting = Lighting()
    key = lighting.key_direction
    towards, away = lighting.falling_on(np.stack([key, -key]), np.ones(2))
    hidden = lighting.falling_on(key[None], np.zeros(1))[0]
    assert (towards > 1.8 * away).all()
    assert towards - hidden == pytest.approx(np.array(lighting.key))


def test_a_shadow_lies_behind_what_throws_it() -> None:
    beam = Beam(np.eye(3), np.zeros(3), half_width=1.0, size=(100, 100))
    step = np.linspace(-0.2, 0.2, 41)
    x, y = (values.ravel() for values in np.meshgrid(step, step))
    plate = np.stack([x, y, np.full_like(x, -0.5)], axis=1)
    shadows = ShadowMap.of(beam, plate)
    points = np.array([[0, 0, 0.3], [0.1, -0.1, 0.0], [0, 0, -0.49], [0, 0, -0.8], [0.5, 0, 0.3]])
    assert shadows.visible(points, 0.03) == pytest.approx([0, 0, 1, 1, 1])
    ground = shadows.ground(np.full((100, 100), -0.45))  # close under the plate: a sharp, dark shadow
    assert ground[50, 50] < 0.1
    assert ground[10, 10] == pytest.approx(1.0)
    high = shadows.ground(np.full((100, 100), 1.0))  # far under it: softer at the border
    assert np.abs(np.diff(high[50])).max() < 0.7 * np.abs(np.diff(ground[50])).max()


def test_rays_enter_boxes_at_the_right_face() -> None:
    low, high = np.array([-1.0, -1, 3]), np.array([1.0, 1, 5])
    rays = np.array([[0.0, 0, 1], [0.2, 0.1, 2], [0, 0, -1], [3.0, 0, 1], [1.0, 0, 2.5]])
    distance, axis = enter(np.zeros(3), rays, low, high)
    assert distance[:4].tolist() == pytest.approx([3.0, 1.5, np.inf, np.inf])
    assert axis[:2] == pytest.approx([2, 2])


def test_rooms_are_painted_by_what_is_seen_first() -> None:
    """A red wall, and a green box before it that darkens the wall at its side that is away from the light."""
    red, green = paint((0.8, 0.1, 0.1), 0), paint((0.1, 0.8, 0.1), 1)
    boxes = [Box((-9, -9, -3), (9, 9, -2), red, casts=False), Box((-0.5, -0.5, -2), (0.5, 0.5, -1), green)]
    painter = RoomPainter(boxes, Lighting(), np.array([0.0, 0.0, 4.0]), samples=1)
    camera = Camera.from_focal(60.0, 64, 48)
    pixels = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5), axis=-1)
    rays = camera.rays(pixels) * [1, -1, -1]
    picture = painter.paint(rays, np.array([[1, 0, 0], [0, -1, 0]]) / 60)
    assert picture[24, 32, 1] > 3 * picture[24, 32, 0]
    assert picture[24, 5, 0] > 3 * picture[24, 5, 1]
    left, right = picture[30, 22, 0], picture[30, 44, 0]  # the light comes from the right
    assert left < 0.7 * right


def test_every_ray_of_the_furnished_room_ends() -> None:
    view = Viewpoint()
    painter = RoomPainter(furnished_room(1), Lighting(), view.place, samples=1)
    camera = Camera.default(80, 60)
    pixels = np.stack(np.meshgrid(np.arange(80) + 0.5, np.arange(60) + 0.5), axis=-1)
    R = view.T_camera_world[:3, :3]
    picture = painter.paint(camera.rays(pixels) @ R, R[:2] / camera.fx)
    assert np.isfinite(picture).all()
    assert picture.min() > 0.0
    assert 0.1 < picture.mean() < 0.9


def test_the_obstacle_hides_what_is_behind_it() -> None:
    obstacle = Obstacle.boxes(0)
    eye, place = np.array([0.0, 1.3, 4.5]), np.array([0.2, 0.0, 1.3])
    targets = np.array([[0.2, 0.9, 0.0], [0.2, 0.9, 2.0], [1.5, 0.9, 0.0], [0.2, 1.8, 0.0]])
    assert obstacle.hides(place, eye, targets).tolist() == [True, False, False, False]
    assert np.ptp(obstacle.vertices[:, 1]) == pytest.approx(np.ptp(obstacle.cover[:, 1]))


def test_the_viewpoint_is_a_rotation_with_the_floor_below() -> None:
    T = Viewpoint().T_camera_world
    assert T[:3, :3] @ T[:3, :3].T == pytest.approx(np.eye(3))
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1.0)
    camera = Camera.default(640, 480)
    floor, head = (T[:3, :3] @ np.array([0.0, y, 0.0]) + T[:3, 3] for y in (0.0, 1.7))
    assert camera.project(floor)[1] > camera.project(head)[1]
    assert T[:3, :3] @ Viewpoint().place + T[:3, 3] == pytest.approx(np.zeros(3), abs=1e-12)
