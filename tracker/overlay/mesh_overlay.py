"""Drawing people over their picture: lit meshes, skeletons, names, and the lines of text of the live view.

Every function takes an RGB picture and gives back a new one. What cannot be drawn (a pose that is not finite, a person
behind the camera) is left out: drawing never stops a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels import mesh_drawing
from tracker.body.drawn_body import DrawnBody
from tracker.body.skinner import dressed
from tracker.body.smpl_joints import SKELETON_EDGES, SMPL_JOINTS
from tracker.core.arrays import Array
from tracker.core.camera import NEAREST_Z, Camera
from tracker.core.confidence_colours import confidence_colours
from tracker.core.person import Person
from tracker.overlay.renderers import OverlayMesh, RasterRenderer, Renderer

Picture = NDArray[np.uint8]
"""(height, width, 3) RGB."""
Colour = tuple[float, float, float]

PALETTE: tuple[Colour, ...] = (
    (0.52, 0.71, 0.92),
    (0.55, 0.82, 0.56),
    (0.74, 0.60, 0.92),
    (0.36, 0.78, 0.78),
    (0.90, 0.54, 0.84),
    (0.74, 0.84, 0.36),
    (0.46, 0.54, 0.88),
    (0.66, 0.88, 0.82),
)
"""RGB in 0..1; identities take them in turn. None that could be somebody's skin."""

OverlayStyle = Literal["mesh", "skeleton", "confidence"]
OVERLAY_STYLES: tuple[OverlayStyle, ...] = get_args(OverlayStyle)

_LIGHTS = np.array([[-0.9, -1.2, -0.4], [0.5, 0.2, -1.0], [1.0, -0.2, 0.6]])
"""Where each light stands, seen from the person, in the camera's axes: key above left, fill in front, rim behind."""
_DIRECTIONS = (_LIGHTS / np.linalg.norm(_LIGHTS, axis=1, keepdims=True)).T.astype(np.float32)
_STRENGTHS = np.array([0.95, 0.2, 0.3], np.float32)
_AMBIENT = np.float32(0.1)
_GAMMA = 2.2

_LEFT, _RIGHT, _MIDDLE = (255, 138, 76), (74, 168, 255), (240, 240, 240)
_DARK = (24, 24, 24)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SUBPIXEL_BITS = 4
_FARTHEST_PIXEL = 16_000
"""px: OpenCV's drawing works in 32-bit fixed point and goes astray beyond this."""


@dataclass(frozen=True)
class OverlayConfig:
    """How people are drawn."""

    alpha: float = 0.85
    """How solid the mesh is: 0 invisible, 1 hides the picture."""
    labels: bool = True
    """Each person's number and the corners of their box."""
    style: OverlayStyle = "mesh"
    """mesh in the identity's colour, skeleton, or confidence: the mesh, green where the picture supports it, red where
    it is guessed."""


@dataclass(frozen=True)
class SkeletonConfig:
    """How skeletons are drawn."""

    faint_below: float = 0.35
    """Joints of less confidence are drawn hollow, and their bones faint."""
    faint_alpha: float = 0.4
    labels: bool = True


def identity_colour(person_id: int) -> Colour:
    """RGB in 0..1, the same for an identity throughout."""
    return PALETTE[person_id % len(PALETTE)]


@dataclass
class MeshOverlay:
    """Meshes over pictures; use as a context manager. The renderer is made when the first mesh is drawn."""

    config: OverlayConfig = field(default_factory=OverlayConfig)
    make_renderer: Callable[[], Renderer] = RasterRenderer
    _renderer: Renderer | None = field(default=None, init=False)

    def __enter__(self) -> MeshOverlay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def draw(self, image: Picture, camera: Camera, people: Sequence[Person], body: DrawnBody) -> Picture:
        """The picture with everybody's mesh, nearer people before farther ones. camera: of this picture.

        Raises RunError when nothing can be rendered on this machine.
        """
        people = [person for person in people if person.believed]
        if self.config.style == "skeleton":
            return draw_skeleton(image, people, SkeletonConfig(labels=self.config.labels))
        faces = body.skinner.faces
        posed = [(person, dressed(body.skinner.vertices(person.pose), faces, person.clothing)) for person in people]
        meshes = [lit_mesh(v, faces, self._colour(person, body)) for person, v in posed if _drawable(v)]
        if meshes:
            picture = self._renderer_ready().draw_over(np.ascontiguousarray(image), camera, meshes, self.config.alpha)
        else:
            picture = np.array(image, order="C")
        if self.config.labels:
            _label(picture, people)
        return picture

    def _colour(self, person: Person, body: DrawnBody) -> Colour | Array:
        if self.config.style == "confidence":
            return confidence_colours(body.weights @ person.joint_confidence)
        return identity_colour(person.person_id)

    def silhouette(self, camera: Camera, vertices: Array, faces: NDArray[np.integer]) -> NDArray[np.bool_]:
        """(height, width) True where the mesh covers the pixel. vertices: (V, 3) m, camera frame."""
        if not _drawable(vertices):
            return np.zeros((camera.height, camera.width), bool)
        return self._renderer_ready().covers(camera, OverlayMesh(vertices, faces, np.ones_like(vertices)))

    def _renderer_ready(self) -> Renderer:
        if self._renderer is None:
            self._renderer = self.make_renderer()
        return self._renderer


def lit_mesh(vertices: Array, faces: NDArray[np.integer], colour: Colour | Array) -> OverlayMesh:
    """A matt surface under the overlay's lights. vertices: (V, 3) m, camera frame; colour: RGB, one or (V, 3)."""
    points, corners = np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32)
    normals = mesh_drawing.vertex_normals(points, corners)
    light = _AMBIENT + np.maximum(normals @ _DIRECTIONS, 0) @ _STRENGTHS
    shown = light[:, None] ** np.float32(1 / _GAMMA) * np.array(colour, np.float32)
    return OverlayMesh(points, corners, np.minimum(shown, 1, out=shown))


def _drawable(vertices: Array) -> bool:
    return bool(np.isfinite(vertices).all() and (vertices[:, 2] > NEAREST_Z).any())


def draw_skeleton(image: Picture, people: Sequence[Person], config: SkeletonConfig | None = None) -> Picture:
    """The picture with everybody's bones: the body's left orange, its right blue, unsure joints hollow and faint."""
    config = config or SkeletonConfig()
    picture = np.array(image, order="C")
    faint = picture.copy()
    skeletons = [_Skeleton.of(person, config.faint_below) for person in people]
    for skeleton in skeletons:
        skeleton.draw_bones(faint, sure=False)
    cv2.addWeighted(faint, config.faint_alpha, picture, 1 - config.faint_alpha, 0.0, dst=picture)
    for skeleton in skeletons:
        skeleton.draw_bones(picture, sure=True)
        skeleton.draw_joints(picture)
    if config.labels:
        _label(picture, people)
    return picture


@dataclass(frozen=True)
class _Skeleton:
    """One person's joints, ready to be drawn."""

    pixels: Array
    """(24, 2) px"""
    drawable: NDArray[np.bool_]
    """(24,)"""
    sure: NDArray[np.bool_]
    """(24,)"""
    thickness: int
    """px, of a bone"""

    @classmethod
    def of(cls, person: Person, faint_below: float) -> _Skeleton:
        pixels = np.asarray(person.joints2d, float)
        drawable = np.isfinite(pixels).all(axis=1) & (person.joints3d[:, 2] > NEAREST_Z)
        drawable &= np.abs(np.nan_to_num(pixels)).max(axis=1) < _FARTHEST_PIXEL
        extent = float(np.ptp(pixels[drawable], axis=0).max()) if drawable.any() else 0.0
        thickness = int(np.clip(round(extent / 130), 1, 6))
        return cls(pixels, drawable, person.joint_confidence >= faint_below, thickness)

    def draw_bones(self, picture: Picture, sure: bool) -> None:
        """Draws in place either the bones that the image supports at both ends, or the others."""
        bones = [bone for bone in SKELETON_EDGES if self.drawable[list(bone)].all()]
        bones = [bone for bone in bones if self.sure[list(bone)].all() == sure]
        for edge, colour_of in ((2, lambda _: _DARK), (0, _side_colour)):
            for parent, child in bones:
                _line(picture, self.pixels[parent], self.pixels[child], colour_of(child), self.thickness + edge)

    def draw_joints(self, picture: Picture) -> None:
        """Draws the joints in place: filled, or hollow where the image does not support them."""
        for joint in np.flatnonzero(self.drawable):
            mark = _dot if self.sure[joint] else _ring
            mark(picture, self.pixels[joint], _side_colour(joint), self.thickness + 1)


def _side_colour(joint: int) -> tuple[int, int, int]:
    name = SMPL_JOINTS[joint]
    return _LEFT if name.startswith("left") else _RIGHT if name.startswith("right") else _MIDDLE


def _fixed_point(pixel: Array) -> tuple[int, int]:
    """OpenCV's sub-pixel coordinates, which put pixel centres at integers."""
    x, y = np.rint((pixel - 0.5) * (1 << _SUBPIXEL_BITS)).astype(int)
    return int(x), int(y)


def _line(picture: Picture, start: Array, end: Array, colour: tuple[int, int, int], thickness: int) -> None:
    cv2.line(picture, _fixed_point(start), _fixed_point(end), colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dot(picture: Picture, centre: Array, colour: tuple[int, int, int], radius: int) -> None:
    _circle(picture, centre, radius + 0.5, _DARK, cv2.FILLED)
    _circle(picture, centre, radius - 0.5, colour, cv2.FILLED)


def _ring(picture: Picture, centre: Array, colour: tuple[int, int, int], radius: int) -> None:
    _circle(picture, centre, radius, _DARK, 3)
    _circle(picture, centre, radius, colour, 1)


def _circle(picture: Picture, centre: Array, radius: float, colour: tuple[int, int, int], thickness: int) -> None:
    fixed_radius = round(radius * (1 << _SUBPIXEL_BITS))
    cv2.circle(picture, _fixed_point(centre), fixed_radius, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_labels(image: Picture, people: Sequence[Person]) -> Picture:
    """The picture with the corners of everybody's box and their number, in the identity's colour."""
    picture = np.array(image, order="C")
    _label(picture, people)
    return picture


def _label(picture: Picture, people: Sequence[Person]) -> None:
    """Draws the labels in place."""
    height, width = picture.shape[:2]
    for person in people:
        if not np.isfinite(person.bbox).all():
            continue
        x0, y0, x1, y1 = (int(v) for v in np.clip(person.bbox, -1e6, 1e6))
        colour = _bytes(identity_colour(person.person_id))
        _corners(picture, (max(x0, 0), max(y0, 0), min(x1, width - 1), min(y1, height - 1)), colour)
        _tag(picture, str(person.person_id), (x0, y0), colour)


def _bytes(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * channel) for channel in colour)
    return red, green, blue


def _corners(picture: Picture, box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        return
    arm = max(3, min(x1 - x0, y1 - y0) // 10)
    for x, dx in ((x0, arm), (x1, -arm)):
        for y, dy in ((y0, arm), (y1, -arm)):
            cv2.line(picture, (x, y), (x + dx, y), colour, 1)
            cv2.line(picture, (x, y), (x, y + dy), colour, 1)


def _tag(picture: Picture, text: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """A small filled label on the box's upper left corner, pushed into the picture where it would leave it."""
    height, width = picture.shape[:2]
    scale = float(np.clip(min(height, width) / 1600, 0.35, 1.0))
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    pad = max(2, text_height // 3)
    tag_width, tag_height = text_width + 2 * pad, text_height + 2 * pad
    x = int(np.clip(corner[0], 0, max(width - tag_width, 0)))
    y = int(np.clip(corner[1] - tag_height, 0, max(height - tag_height, 0)))
    cv2.rectangle(picture, (x, y), (x + tag_width - 1, y + tag_height - 1), colour, cv2.FILLED)
    cv2.putText(picture, text, (x + pad, y + pad + text_height), _FONT, scale, _DARK, 1, cv2.LINE_AA)
