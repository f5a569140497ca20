"""A scene with a camera: the room, a dressed person, something that gets in the way, drawn frame after frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.person import Pose
from tracker.synth.demo_lighting import GAMMA, Beam, Lighting, ShadowMap, shown
from tracker.synth.figure import Figure
from tracker.synth.obstacle import Obstacle
from tracker.synth.room import RoomPainter, furnished_room
from tracker.synth.textured_raster import TexturedMesh, TexturedRaster, TexturedRendering

_SHADOW_BIAS = 0.035
"""m: a surface does not shade itself from closer than this."""
_NOISE_ROOM = 96
"""px by which the field of noise is larger than the picture."""
_SHARPNESS = 24.0
"""Of highlights."""
_OUTSIDE = 1e4
"""px: farther from the shadow map than this is nowhere."""


@dataclass(frozen=True)
class Viewpoint:
    """Where the camera stands. World frame: y up, the floor at 0, z towards the camera; metres."""

    height: float = 1.35
    distance: float = 4.5
    """From the world's origin along z."""
    tilt_degrees: float = 4.0
    """Down."""

    @property
    def T_camera_world(self) -> Array:
        """(4, 4)."""
        sine, cosine = math.sin(math.radians(self.tilt_degrees)), math.cos(math.radians(self.tilt_degrees))
        transform = np.eye(4)
        transform[:3, :3] = [[1, 0, 0], [0, -cosine, sine], [0, -sine, -cosine]]
        transform[:3, 3] = -transform[:3, :3] @ self.place
        return transform

    @property
    def place(self) -> Array:
        """(3,) m, world frame."""
        return np.array([0.0, self.height, self.distance])


@dataclass(frozen=True)
class SceneConfig:
    """Everything but the person and what they do."""

    viewpoint: Viewpoint = field(default_factory=Viewpoint)
    lighting: Lighting = field(default_factory=Lighting)
    samples: int = 2
    """Rays along a pixel's side for the room."""
    noise: float = 2.2
    """Standard deviation of the sensor's noise, grey levels of 255."""
    vignette: float = 0.18
    """How much darker the corners are."""


@dataclass(frozen=True)
class Shot:
    """One drawn frame."""

    image: NDArray[np.uint8]
    """(h, w, 3) RGB."""
    person: NDArray[np.bool_]
    """(h, w) where the person is seen."""


class DemoScene:
    """Draws a person and an obstacle in a room."""

    def __init__(self, camera: Camera, figure: Figure, config: SceneConfig, seed: int) -> None:
        self.camera, self.figure, self.config = camera, figure, config
        self.obstacle = Obstacle.boxes(seed)
        self._seed = seed
        self._noise = _sensor_noise(config, camera, seed)
        self._backdrop = _Backdrop.of(camera, config, seed)
        layers = [TexturedMesh(each.surface.faces, each.surface.uv, each.texture) for each in figure.layers]
        self._raster = TexturedRaster([*layers, self.obstacle.mesh])

    def draw(self, pose: Pose, obstacle_at: Array, index: int) -> Shot:
        """The frame with this number. pose: in the camera frame; obstacle_at: (3,) m, world frame."""
        T = self.config.viewpoint.T_camera_world
        vertices = self.figure.posed(pose)
        normals = [each.surface.normals(at) for each, at in zip(self.figure.layers, vertices, strict=True)]
        boxes, cover = (
            (points + obstacle_at) @ T[:3, :3].T + T[:3, 3] for points in (self.obstacle.vertices, self.obstacle.cover)
        )
        placed = [*vertices, boxes]
        shadows = ShadowMap.of(self._backdrop.beam, np.concatenate([*self.figure.cover(vertices), cover]))
        world_normals = [*(n @ T[:3, :3] for n in normals), self.obstacle.normals]
        gloss = [*(layer.gloss for layer in self.figure.layers), 0.0]
        shade = [self._shade(*each, shadows) for each in zip(placed, world_normals, gloss, strict=True)]
        image = self._backdrop.shadowed(shadows)
        person = np.zeros(image.shape[:2], bool)
        box = _region(self.camera, placed)
        if box is not None:
            x0, y0, x1, y1 = box
            drawn = self._raster.draw(self.camera.crop(np.array(box), x1 - x0, y1 - y0), placed, shade)
            inside = np.s_[y0 : min(y1, self.camera.height), x0 : min(x1, self.camera.width)]
            _lay_over(image[inside], drawn)
            person[inside] = drawn.coverage[: inside[0].stop - y0, : inside[1].stop - x0] > 127
            if _extent(self.camera, boxes) is not None:
                person[inside] &= self._not_obstacle(drawn, inside, obstacle_at)
        return Shot(self._exposed(image, index), person)

    def _shade(self, places: Array, normals: Array, gloss: float, shadows: ShadowMap) -> Array:
        """(V, 3) factors on sRGB colours, from the light at places in the camera frame with normals in the world's."""
        lighting = self.config.lighting
        visible = shadows.visible(places, _SHADOW_BIAS)
        light = lighting.falling_on(normals, visible)
        if gloss > 0.0:
            towards = -places / np.linalg.norm(places, axis=1, keepdims=True)
            towards_world = towards @ self.config.viewpoint.T_camera_world[:3, :3]
            light = light + gloss * lighting.highlight(normals, towards_world, visible, _SHARPNESS)[:, None]
        return light ** (1 / GAMMA)

    def _not_obstacle(
        self, drawn: TexturedRendering, inside: tuple[slice, slice], obstacle_at: Array
    ) -> NDArray[np.bool_]:
        """(h, w) of that part of the picture: where what is drawn, if anything, is not the obstacle."""
        rows, columns = inside
        depth = drawn.depth[: rows.stop - rows.start, : columns.stop - columns.start]
        free = np.ones(depth.shape, bool)
        y, x = depth.nonzero()
        rays = self.camera.rays(np.stack([x + columns.start + 0.5, y + rows.start + 0.5], axis=1))
        # from behind what is drawn: a surface of the obstacle's is hidden by the obstacle
        free[y, x] = ~self.hidden(rays * (depth[y, x] + 0.02)[:, None], obstacle_at)
        return free

    def hidden(self, points: Array, obstacle_at: Array) -> NDArray[np.bool_]:
        """(N,) which points (N, 3) m, camera frame, the obstacle hides from the camera."""
        view = self.config.viewpoint
        T = view.T_camera_world
        return self.obstacle.hides(obstacle_at, view.place, (points - T[:3, 3]) @ T[:3, :3])

    def _exposed(self, image: NDArray[np.float32], index: int) -> NDArray[np.uint8]:
        """Adds the lens's vignette and the sensor's noise, which never repeats from one frame to the next."""
        rng = np.random.default_rng([self._seed, index])
        height, width = image.shape[:2]
        dy, dx = rng.integers(0, _NOISE_ROOM, 2)
        image *= self._backdrop.vignette
        image += self._noise[dy : dy + height, dx : dx + width, rng.permutation(3)]
        return np.clip(image, 0, 255, out=image).astype(np.uint8)


def _sensor_noise(config: SceneConfig, camera: Camera, seed: int) -> NDArray[np.float32]:
    """More than a picture of noise, (h + room, w + room, 3): frames take different parts of it."""
    rng = np.random.default_rng(seed)
    shape = (camera.height + _NOISE_ROOM, camera.width + _NOISE_ROOM)
    grey = rng.standard_normal((*shape, 1), np.float32)
    return config.noise * (grey + 0.5 * rng.standard_normal((*shape, 3), np.float32))


def _extent(camera: Camera, points: Array) -> tuple[Array, Array] | None:
    """px: the corners of the part of the picture where points (N, 3) m, camera frame, may be; None if nowhere."""
    size = np.array([camera.width, camera.height])
    pixels = camera.project(points)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    if (high <= 0).any() or (low >= size).any():
        return None
    return np.clip(low - 1, 0, size - 1), np.clip(high + 1, 1, size)


def _region(camera: Camera, placed: list[Array]) -> tuple[int, int, int, int] | None:
    """xyxy px: the part of the picture that the vertices may touch, or None.

    Its sides are multiples of 64, so that the rasteriser seldom has to change the size of its buffers.
    """
    extents = [extent for extent in (_extent(camera, at) for at in placed) if extent is not None]
    if not extents:
        return None
    start = np.floor(np.min([low for low, _ in extents], axis=0)).astype(int)
    end = np.max([high for _, high in extents], axis=0)
    x1, y1 = (int(v) for v in start + np.maximum(64 * np.ceil((end - start) / 64), 64).astype(int))
    return int(start[0]), int(start[1]), x1, y1


def _lay_over(image: NDArray[np.float32], drawn: TexturedRendering) -> None:
    """Lays the upper left part of what was drawn over a picture (h, w, 3) of 0..255, in place."""
    height, width = image.shape[:2]
    image *= 1 - drawn.coverage[:height, :width, None].astype(np.float32) / 255
    image += drawn.colour[:height, :width]


@dataclass(frozen=True)
class _Backdrop:
    """The empty room, and what is needed to put a shadow on its floor."""

    image: NDArray[np.float32]
    """(h, w, 3) sRGB 0..255."""
    vignette: NDArray[np.float32]
    """(h, w, 1)."""
    beam: Beam
    ground_along: Array
    """(sh, sw) m along the beam at which each pixel of the shadow map meets the floor."""
    map_pixels: tuple[NDArray[np.float32], NDArray[np.float32]]
    """(h, w) each: x and y in the shadow map for every pixel of the floor, as OpenCV counts; else far outside."""
    dimming: NDArray[np.float32]
    """(256,) factor on the floor's sRGB when so many 255ths of the key light reach it."""

    @classmethod
    def of(cls, camera: Camera, config: SceneConfig, seed: int) -> _Backdrop:
        view, lighting = config.viewpoint, config.lighting
        T = view.T_camera_world
        pixels = np.stack(np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5), axis=-1)
        linear = _room_picture(camera, config, pixels, seed)
        off_centre = ((pixels - [camera.cx, camera.cy]) ** 2).sum(axis=-1) / (camera.cx**2 + camera.cy**2)
        beam = _key_beam(lighting, T)
        on_floor = lighting.falling_on(np.tile([0.0, 1.0, 0.0], (256, 1)), np.linspace(0, 1, 256)).mean(axis=1)
        return cls(
            image=shown(linear).astype(np.float32),
            vignette=(1 - config.vignette * off_centre[..., None]).astype(np.float32),
            beam=beam,
            ground_along=_ground_along(beam, T),
            map_pixels=_floor_in_map(camera, T, pixels, beam),
            dimming=((on_floor / on_floor[-1]) ** (1 / GAMMA)).astype(np.float32),
        )

    def shadowed(self, shadows: ShadowMap) -> NDArray[np.float32]:
        """(h, w, 3) 0..255: the room with the shadows of what is in it now; the caller's to change."""
        lit = shadows.ground(self.ground_along)
        x, y = self.map_pixels
        lit = np.asarray(cv2.remap(lit, x, y, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, [1.0]), np.float32)
        dimmed = self.dimming[np.rint(lit * 255).astype(np.uint8)]
        return self.image * dimmed[..., None]


def _room_picture(camera: Camera, config: SceneConfig, pixels: Array, seed: int) -> Array:
    """(h, w, 3) linear RGB."""
    view = config.viewpoint
    painter = RoomPainter(furnished_room(seed), config.lighting, view.place, config.samples)
    rays = camera.rays(pixels) @ view.T_camera_world[:3, :3]
    step = 1 / camera.fx
    return painter.paint(rays, view.T_camera_world[:3, :3][:2] * step)


def _key_beam(lighting: Lighting, T_camera_world: Array) -> Beam:
    """The part of the key light that falls on the stage."""
    z = -lighting.key_direction
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    R_beam_world = np.stack([x, np.cross(z, x), z])
    centre = T_camera_world[:3, :3] @ np.array([0.0, 0.7, 0.3]) + T_camera_world[:3, 3]
    return Beam(R_beam_world @ T_camera_world[:3, :3].T, centre, half_width=3.2, size=(448, 336))


def _ground_along(beam: Beam, T_camera_world: Array) -> Array:
    width, height = beam.size
    step = 2 * beam.half_width / width
    x = (np.arange(width) + 0.5 - width / 2) * step
    y = (np.arange(height) + 0.5 - height / 2) * step
    up = beam.R_beam_camera @ T_camera_world[:3, 1]
    above = float((beam.centre - T_camera_world[:3, 3]) @ T_camera_world[:3, 1])
    return -(above + x[None, :] * up[0] + y[:, None] * up[1]) / up[2]


def _floor_in_map(
    camera: Camera, T_camera_world: Array, pixels: Array, beam: Beam
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    up, origin = T_camera_world[:3, 1], T_camera_world[:3, 3]
    rays = camera.rays(pixels)
    with np.errstate(divide="ignore"):
        distance = (origin @ up) / (rays @ up)
    places = (rays * distance[..., None]).reshape(-1, 3)
    in_map, _ = beam.pixels(places)
    floor = (distance.ravel() > 0) & (np.abs(in_map) < _OUTSIDE).all(axis=1)
    # OpenCV has pixel centres at integers
    in_map = np.where(floor[:, None], in_map - 0.5, -_OUTSIDE).astype(np.float32).reshape(*distance.shape, 2)
    return np.ascontiguousarray(in_map[..., 0]), np.ascontiguousarray(in_map[..., 1])
