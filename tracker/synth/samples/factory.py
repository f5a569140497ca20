"""Makes training samples: a person, a camera, light, what is behind and in front, and the truth about all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body.model import BodyModel
from tracker.core.arrays import NUM_BETAS, Array
from tracker.core.errors import RunError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.synth.samples.assets import AssetFolder
from tracker.synth.samples.background import cut_background, look_around
from tracker.synth.samples.composition import compose, inside
from tracker.synth.samples.environment import Environment, SampleLight, light_from_environment
from tracker.synth.samples.lens import through_lens
from tracker.synth.samples.occluder import furniture, patch_mask, place
from tracker.synth.samples.outfit import Outfit
from tracker.synth.samples.paints import choose_paints
from tracker.synth.samples.rendering import (
    SIDE,
    RenderedMesh,
    SampleScene,
    corners_seen,
    draw_outfit,
    draw_prop,
    shrink,
)
from tracker.synth.samples.sample import SIZE, PoseSource, Sample, SampleConfig
from tracker.synth.samples.sample_pool import SamplePool
from tracker.synth.samples.skinned import Float32, Skeleton
from tracker.synth.samples.viewpoint import SampleView, sample_view

_VIEW_TRIES = 60
_PROP_TRIES = 4
_CHILD_DIRECTION = 8
"""Which of the free body's shape directions leads to children; adults have about 0 there."""
_SHAPE_SPLIT = np.eye(NUM_BETAS)[[1, 3]].sum(axis=0) / np.sqrt(2)
_SPLIT_AT = 1.0
"""Shapes that reach further than this along the direction above are held out."""
_PEOPLE, _SOLID = 0.2, 0.62
"""Of the samples with something in front: shares with somebody else, and with anything that has a depth."""
_IN_ITS_PLACE = 0.6
"""Share of samples whose background is where their light comes from."""
_FILMED = 0.25
"""Of the other samples: share before a room out of footage, if there is any."""
_MODELLED = 0.5
"""Share of things and patches that come from the assets, if there are any."""
_STANDING = 0.5
"""Share of things that stand on the floor."""
_UPRIGHT = 0.5
"""Of somebody whom a webcam sees, the trunk points up by more than this."""
_LYING = 0.8
"""Of somebody who lies the chest points up or down by more than this."""
_CLOSEST = 0.3
"""m between the camera and somebody who is in the way."""
_SAMPLE = 1
"""What random numbers are for: the first of the keys of `SampleConfig.rng`."""


@dataclass(frozen=True, eq=False)
class _Figure:
    """A posed person in the world, root at the origin."""

    outfit: Outfit
    betas: Array
    rotations: Array
    """(24, 3, 3)."""
    vertices: Float32
    """(V, 3) m."""
    joints: Array
    """(24, 3) m."""
    root: Array
    """(3,) m: where the body's function puts the root."""


class SampleFactory:
    """Makes any number of samples; each depends on the config and its seed alone."""

    def __init__(
        self, config: SampleConfig, body: BodyModel, poses: PoseSource, assets: AssetFolder | None = None
    ) -> None:
        """The body needs texture coordinates, as the built-in one has them."""
        self.config = config
        self._recipe = (config, body, poses, assets)
        self._skeleton = Skeleton.of(body)
        self._poses = poses
        self._stock = SamplePool(config, body, assets)

    def __reduce__(self) -> tuple[type[SampleFactory], tuple]:
        """Another process makes its own stock."""
        return SampleFactory, self._recipe

    def sample(self, seed: int) -> Sample:
        """The sample of this number, not negative. Samples with numbers near each other are the quickest to make: they
        share their stock of outfits."""
        self._stock.turn_to(seed)
        rng = self.config.rng(_SAMPLE, seed)
        figure = self._figure(rng)
        near = rng.random() < self.config.webcam and figure.rotations[0, 1, 1] > _UPRIGHT
        view = _find_view(rng, figure, near)
        around = self._stock.environments.any(rng).turned(rng.random())
        light = light_from_environment(around.radiance, max(rng.uniform(-0.3, 0.65), 0.0))
        floor = float(view.R_camera_world[:, 1] @ view.transl + figure.vertices[:, 1].min())
        scene = SampleScene(view.camera, view.R_camera_world, light, _exposure(rng, light, view), floor)
        person = self._draw(rng, scene, figure, view.transl)
        background = self._background(rng, scene, around)
        kind = rng.random() if rng.random() < self.config.occluded else 1.0
        front = self._obstacle(rng, scene, view, person, kind < _PEOPLE) if kind < _SOLID else None
        shot = compose(person, front, background, float(view.transl[2]))
        framed = inside(view.frame, SIZE)
        if _SOLID <= kind < 1:
            mask = patch_mask(rng, (shot.person > 0) & framed, self.config.hidden)
            shot = shot.covered(mask, self._covering(rng))
        image = through_lens(rng, shot.image, self.config.lens)
        image[~framed] = 0
        return _with_truth(figure, view, person, image, shot.hidden | ~framed)

    def _figure(self, rng: np.random.Generator) -> _Figure:
        outfit = self._stock.outfits.any(rng)
        betas = sample_betas(rng, self.config)
        rotations = np.array(self._poses.poses(rng, 1)[0], dtype=np.float64)
        turn = rng.normal(0.0, 0.7) if rng.random() < self.config.frontal else rng.uniform(-np.pi, np.pi)
        rotations[0] = _turned_to(rotations[0], turn)
        posed = self._skeleton.pose(rotations, betas)
        root = posed.places[0]
        vertices = outfit.hull.posed(self._skeleton, posed, betas) - root.astype(np.float32)
        return _Figure(outfit, betas, rotations, vertices, posed.places - root, root)

    def _background(self, rng: np.random.Generator, scene: SampleScene, around: Environment) -> NDArray[np.uint8]:
        """(256, 256, 3): what surrounds the person with its light, or anything else."""
        if around.panorama is not None and rng.random() < _IN_ITS_PLACE:
            return look_around(rng, around.panorama, scene.camera, scene.R_camera_world)
        rooms = self._stock.rooms
        if rooms and rng.random() < _FILMED:
            return cut_background(rng, rooms[rng.integers(len(rooms))])
        return cut_background(rng, self._stock.backgrounds.any(rng))

    def _draw(self, rng: np.random.Generator, scene: SampleScene, figure: _Figure, transl: Array) -> RenderedMesh:
        vertices = figure.vertices @ scene.R_camera_world.T.astype(np.float32) + transl.astype(np.float32)
        paints = choose_paints(rng, figure.outfit, [self._stock.tiles.any(rng) for _ in range(3)])
        return draw_outfit(scene, figure.outfit, vertices, paints)

    def _obstacle(
        self, rng: np.random.Generator, scene: SampleScene, view: SampleView, person: RenderedMesh, alive: bool
    ) -> RenderedMesh | None:
        """A thing in front of the person, or somebody else nearby; None where the person is out of the frame."""
        visible = np.argwhere((person.face >= 0) & inside(view.frame * SIDE / SIZE, SIDE))
        if not len(visible):
            return None
        y, x = (visible[rng.integers(len(visible))] + 0.5) * SIZE / SIDE
        ray = scene.camera.rays(np.array([x, y]))
        nearest = float(person.depth[person.face >= 0].min())

        def hides(drawn: RenderedMesh) -> float:
            return float((drawn.depth < person.depth)[tuple(visible.T)].mean())

        if alive:
            return self._other(rng, scene, ray * nearest * rng.uniform(0.65, 1.5), hides)
        at = ray * nearest * rng.uniform(0.55, 0.9)
        extent = at[2] * np.sqrt(len(visible)) / (scene.camera.fx * SIDE / SIZE)
        return self._thing(rng, scene, at, extent, hides)

    def _other(
        self, rng: np.random.Generator, scene: SampleScene, at: Array, hides: Callable[[RenderedMesh], float]
    ) -> RenderedMesh:
        """Somebody else at a point of the camera frame, or further to the side if he would hide too much."""
        other = self._figure(rng)
        radius = float(np.linalg.norm(other.vertices, axis=1).max())
        at = at * max(1.0, (radius + _CLOSEST) / at[2])
        drawn = self._draw(rng, scene, other, at)
        if hides(drawn) <= self.config.hidden[1]:
            return drawn
        return self._draw(rng, scene, other, at + rng.choice([-0.4, 0.4]) * np.array([1.0, 0.0, 0.0]))

    def _thing(
        self,
        rng: np.random.Generator,
        scene: SampleScene,
        at: Array,
        extent: float,
        hides: Callable[[RenderedMesh], float],
    ) -> RenderedMesh:
        """A thing at a point of the camera frame, as large as it takes to hide what it should."""
        models, scale = self._stock.props, extent * rng.uniform(0.5, 1.2)
        modelled = len(models) > 0 and rng.random() < _MODELLED
        prop = models[rng.integers(len(models))] if modelled else furniture(rng)
        tile = None if modelled or rng.random() < 0.5 else (self._stock.tiles.any(rng), float(rng.uniform(1, 6)))
        shape, up = place(rng, prop, scene.R_camera_world), scene.R_camera_world[:, 1]
        standing = rng.random() < _STANDING
        for _ in range(_PROP_TRIES):
            lift = up * (scene.floor - (shape @ up).min() * scale - at @ up) if standing else 0.0
            drawn = draw_prop(scene, prop, (shape * scale + at + lift).astype(np.float32), tile)
            share = hides(drawn)
            if self.config.hidden[0] <= share <= self.config.hidden[1]:
                break
            standing = standing and share > 0
            scale *= 0.7 if share > self.config.hidden[1] else 1.4
        return drawn

    def _covering(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """(256, 256, 3): what a flat patch shows."""
        textures, kind = self._stock.textures, rng.random()
        if textures and kind < _MODELLED:
            return cut_background(rng, textures[rng.integers(len(textures))])
        if kind > 1 - _MODELLED / 2:
            return cut_background(rng, self._stock.backgrounds.any(rng))
        tile = self._stock.tiles.any(rng)
        times = int(rng.integers(1, 5))
        repeated = np.tile(tile, (times, times, 1))
        return np.asarray(cv2.resize(repeated, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def sample_betas(rng: np.random.Generator, config: SampleConfig) -> Array:
    """(10,) of an adult or a child, on the split's side of the shape space."""
    while True:
        betas = np.clip(rng.normal(0.0, 1.0, NUM_BETAS), -2.5, 2.5)
        betas[_CHILD_DIRECTION:] *= 0.3
        if rng.random() < config.children:
            betas[_CHILD_DIRECTION] = rng.uniform(1.5, 6.0)
        if (betas @ _SHAPE_SPLIT > _SPLIT_AT) == (config.split == "held_out"):
            return betas


def _turned_to(root: Array, heading: float) -> Array:
    """(3, 3) the root turned about the vertical so that chest or head points this far (rad) away from the camera's
    side; a body that stands is turned by its chest, one that lies by its head."""
    across = root[:, 2] if abs(root[1, 2]) < _LYING else root[:, 1]
    now = np.arctan2(across[0], across[2])
    return matrix_from_axis_angle(np.array([0.0, heading - now, 0.0])) @ root


def _find_view(rng: np.random.Generator, figure: _Figure, webcam: bool) -> SampleView:
    for number in range(_VIEW_TRIES):
        view = sample_view(rng, figure.vertices[::20], figure.joints, webcam and number < _VIEW_TRIES // 2)
        if view is not None:
            return view
    raise RunError("sample: no camera was found that keeps its distance from the person; are the poses in metres?")


def _exposure(rng: np.random.Generator, light: SampleLight, view: SampleView) -> float:
    """As an automatic camera would choose it, which goes wrong by a stop now and then."""
    measured = light.on_what_faces(-view.R_camera_world[2])
    return float(np.exp(rng.normal(-0.15, 0.28)) * measured**-0.8)


def _with_truth(
    figure: _Figure, view: SampleView, person: RenderedMesh, image: NDArray[np.uint8], hidden: NDArray[np.bool_]
) -> Sample:
    rotations = np.concatenate([(view.R_camera_world @ figure.rotations[0])[None], figure.rotations[1:]])
    joints3d = figure.joints @ view.R_camera_world.T + view.transl
    joints2d = view.camera.project(joints3d)
    outfit = figure.outfit
    amodal = np.append(outfit.face_part, np.uint8(0)).take(shrink(person.face))  # −1 takes the last
    parts = np.where(hidden, np.uint8(0), amodal)
    iuv = np.zeros((SIZE, SIZE, 3), np.uint8)
    iuv[..., 0] = parts
    iuv[parts > 0, 1:] = outfit.body_uv.take(corners_seen(person, outfit.faces, parts > 0), 0)
    return Sample(
        image=image,
        theta=axis_angle_from_matrix(rotations),
        betas=figure.betas,
        transl=view.transl - figure.root,
        camera_matrix=view.camera.matrix,
        joints3d=joints3d,
        joints2d=joints2d,
        joint_visible=_visible(joints2d, hidden) & (joints3d[:, 2] > 0),
        parts=parts,
        parts_amodal=amodal,
        iuv=iuv,
        occluder=hidden,
    )


def _visible(joints2d: Array, hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(24,) inside the picture and not where something is in front."""
    inside_picture = ((joints2d >= 0) & (joints2d < SIZE)).all(axis=1)
    column, row = np.clip(joints2d, 0, SIZE - 1).astype(np.int64).T
    return np.asarray(inside_picture & ~hidden[row, column])
