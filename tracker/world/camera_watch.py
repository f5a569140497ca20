"""Whether the camera stands still, and how it turns and zooms: corners of the background are followed.

While it stands still a picture is looked at a few times a second. Once it moves every picture is: a homography is
fitted to the corners, most of which are background, and those that agree with it tell rotation and zoom, K R K⁻¹. Where
that does not explain them, the camera travels, and nothing is known of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels.shrink import block_means
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.frame import Frame
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.person import Person
from tracker.world.camera_path import CameraMotion, CameraPath

_SECONDS = 0.25
"""Between pictures that are looked at while the camera stands still."""
_WIDTH = 320
"""px of the small picture."""
_CORNERS = 120
_FEWEST = 12
"""Corners without which nothing can be said of a picture."""
_MARGIN = 0.15
"""Of a person's box around it that is not background either."""
_MOVED = 0.012
"""Share of the picture's width by which the background of a camera that moves has gone from its place."""
_AGREEING = 0.6
"""Share of the corners that have to have moved: the rest may be on somebody or something that moves."""
_TIMES = 3
"""Looks in a row that say so."""
_ON_PLANE = 1.5
"""px of the small picture by which a corner of the background is off its homography at most."""
_BACKGROUND = 0.5
"""Share of the corners found again that have to be on it."""
_TURNS_ONLY = 1.5
"""px: the median error that a camera which only turns and zooms may leave."""
_OVERLAP = 0.25
"""Share of the picture's width by which the background may have moved before another key picture is taken."""
_PATIENCE = 0.6
"""s without an answer after which the background is lost."""
_STEPS, _SETTLED = 6, 1e-6
"""Of Gauss and Newton at most: what is sought changes little from picture to picture; and the change (rad, and of the
zoom's logarithm) after which none follows."""


class CameraWatch:
    """Is shown frames in order; says whether the camera moves, and how."""

    def __init__(self, camera: Camera) -> None:
        """camera: of the first picture, whatever size it is shown in."""
        self.moved_at: float | None = None
        """s: when the camera was first found to have left its view; None while it stands still."""
        self._camera, self._next, self._in_a_row, self._began = camera, -np.inf, 0, 0.0
        self._key: _KeyPicture | None = None
        self._turn = _FIRST
        self._samples: list[tuple[float, _Turn]] = []
        self._lost = False

    @property
    def motion(self) -> CameraMotion:
        """Of all frames so far."""
        if self.moved_at is None or self._lost:
            return CameraMotion(self.moved_at)
        times, turns = zip(*self._samples, strict=True)
        rotations = np.stack([turn.rotation.T for turn in turns])
        path = CameraPath(np.array(times), rotations, np.array([turn.zoom for turn in turns]))
        return CameraMotion(self.moved_at, path.settled)

    def show(self, frame: Frame, people: Sequence[Person]) -> None:
        """people: those of this frame, whose boxes are not background."""
        if self._lost or frame.time < self._next:
            return
        small = _small(frame.image)
        if self._key is None or self._key.picture.shape != small.shape:
            self._begin(frame, small, people)
        elif len(self._key.corners) >= _FEWEST:
            self._look(frame, small, people)
        self._lost |= self.moved_at is not None and frame.time - self._samples[-1][0] > _PATIENCE
        self._next = frame.time if self._in_a_row else frame.time + _SECONDS

    def _begin(self, frame: Frame, small: NDArray[np.uint8], people: Sequence[Person]) -> None:
        """The picture of another size, as the first one, is a key to compare with."""
        self._lost = self.moved_at is not None
        self._in_a_row, self._turn = 0, _FIRST
        self._key = _KeyPicture.of(small, frame, people, self._turn)
        self._samples = [(frame.time, self._turn)]

    def _look(self, frame: Frame, small: NDArray[np.uint8], people: Sequence[Person]) -> None:
        assert self._key is not None
        lens = self._lens(small)
        there, known = self._key.followed(small, lens.seen(self._key.turn, self._turn, self._key.corners))
        before, after = self._key.corners[known], there[known]
        if self.moved_at is None:
            self._judge(frame.time, lens.seen(self._key.turn, _FIRST, before), after, small.shape[1])
        turn = lens.turn_between(self._key.turn, self._turn, before, after)
        if turn is not None:
            self._turn = turn
            self._samples.append((frame.time, turn))
            if self._in_a_row and self._key.is_left(before, after, small.shape[1]):
                self._key = _KeyPicture.of(small, frame, people, turn)

    def _judge(self, time: float, before: Array, after: Array, width: int) -> None:
        """before: px, where the corners were in the first picture."""
        far = np.linalg.norm(after - before, axis=1) > _MOVED * width
        if len(far) < _FEWEST or far.mean() < _AGREEING:
            self._in_a_row = 0
            return
        if self._in_a_row == 0:
            self._began = time
        self._in_a_row += 1
        if self._in_a_row >= _TIMES and time - self._began >= (_TIMES - 1) * _SECONDS:
            self.moved_at = self._began

    def _lens(self, small: NDArray[np.uint8]) -> _Lens:
        height, width = small.shape
        camera = self._camera
        return _Lens(camera.fx * width / camera.width, np.array([camera.cx / camera.width * width,
                                                                 camera.cy / camera.height * height]))  # fmt: skip


@dataclass(frozen=True)
class _Turn:
    """How the camera is held."""

    rotation: Array
    """(3, 3): from the first picture's axes to the camera's."""
    zoom: float
    """Focal length over the first picture's."""


_FIRST = _Turn(np.eye(3), 1.0)


@dataclass(frozen=True)
class _Lens:
    """The camera of the small picture, before it zooms."""

    focal: float
    """px"""
    centre: Array
    """(2,) px."""

    def seen(self, src: _Turn, dst: _Turn, pixels: Array) -> Array:
        """Where what is at pixels (n, 2) of the camera held in one way is when it is held in another."""
        rays = np.concatenate([(pixels - self.centre) / (self.focal * src.zoom), np.ones((len(pixels), 1))], axis=1)
        turned = rays @ (dst.rotation @ src.rotation.T).T
        return self.focal * dst.zoom * turned[:, :2] / np.maximum(turned[:, 2:], 0.05) + self.centre

    def turn_between(self, key: _Turn, guess: _Turn, before: Array, after: Array) -> _Turn | None:
        """How the camera is held where corners (n, 2) px of a key picture are found at other places; None where too
        few agree, or rotation and zoom do not explain them."""
        if len(before) < _FEWEST:
            return None
        _, agree = cv2.findHomography(before, after, cv2.RANSAC, _ON_PLANE)
        on_plane = np.zeros(len(before), bool) if agree is None else np.asarray(agree)[:, 0] == 1
        if on_plane.sum() < max(_FEWEST, _BACKGROUND * len(before)):
            return None
        turn = guess
        for _ in range(_STEPS):
            change = self._step(key, turn, before[on_plane], after[on_plane])
            turn = _moved(turn, change)
            if np.abs(change).max() < _SETTLED:
                break
        error = np.linalg.norm(self.seen(key, turn, before[on_plane]) - after[on_plane], axis=1)
        return turn if np.median(error) <= _TURNS_ONLY and 0.05 < turn.zoom < 20 else None

    def _step(self, key: _Turn, turn: _Turn, before: Array, after: Array) -> Array:
        """(4,) one robust step of Gauss and Newton in three angles and the zoom's logarithm."""
        error = self.seen(key, turn, before) - after
        small = 1e-4
        columns = [
            ((self.seen(key, _moved(turn, small * axis), before) - after) - error).ravel() / small for axis in np.eye(4)
        ]
        weight = np.repeat(1 / (1 + (np.linalg.norm(error, axis=1) / _ON_PLANE) ** 2), 2)
        jacobian = np.stack(columns, axis=1)
        normal = jacobian.T @ (weight[:, None] * jacobian) + 1e-6 * np.eye(4)
        change = -np.linalg.solve(normal, jacobian.T @ (weight * error.ravel()))
        return np.clip(change, -0.2, 0.2)


def _moved(turn: _Turn, change: Array) -> _Turn:
    """change: (4,): rotation vector, change of the zoom's logarithm."""
    return _Turn(matrix_from_axis_angle(change[:3]) @ turn.rotation, turn.zoom * float(np.exp(change[3])))


@dataclass(frozen=True)
class _KeyPicture:
    """A small picture with corners of its background."""

    picture: NDArray[np.uint8]
    corners: Array
    """(n, 2) px."""
    turn: _Turn

    @classmethod
    def of(cls, small: NDArray[np.uint8], frame: Frame, people: Sequence[Person], turn: _Turn) -> _KeyPicture:
        mask = np.full(small.shape, 255, np.uint8)
        scale = small.shape[1] / frame.size[0]
        for person in people:
            x0, y0, x1, y1 = person.bbox * scale
            dx, dy = _MARGIN * (x1 - x0), _MARGIN * (y1 - y0)
            left, top, right, bottom = (max(0, int(v)) for v in (x0 - dx, y0 - dy, x1 + dx, y1 + dy))
            mask[top:bottom, left:right] = 0
        corners = cv2.goodFeaturesToTrack(small, _CORNERS, 0.01, 6, mask=mask)
        return cls(small, np.zeros((0, 2)) if corners is None else np.asarray(corners, float)[:, 0], turn)

    def followed(self, small: NDArray[np.uint8], guess: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Where the corners (n, 2) px are in another picture, from about where they may be, and which are found."""
        there, ok = _flow(self.picture, small, self.corners, guess)
        back, ok_back = _flow(small, self.picture, there, self.corners)
        return there, ok & ok_back & (np.linalg.norm(back - self.corners, axis=1) < 1.0)

    def is_left(self, before: Array, after: Array, width: int) -> bool:
        """Whether so little of the key picture is still in view, or found, that another one is needed."""
        moved = float(np.median(np.linalg.norm(after - before, axis=1)))
        return moved > _OVERLAP * width or len(before) < max(2 * _FEWEST, 0.4 * len(self.corners))


def _flow(src: NDArray[np.uint8], dst: NDArray[np.uint8], corners: Array, guess: Array) -> tuple[Array, NDArray]:
    """Where corners (n, 2) px of one picture are in another, and which are found (n,)."""
    start, places = (np.ascontiguousarray(each[:, None], np.float32) for each in (corners, guess))
    reached, ok, _ = cv2.calcOpticalFlowPyrLK(
        src, dst, start, places, winSize=(21, 21), maxLevel=4, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    return np.asarray(reached, float)[:, 0], np.asarray(ok)[:, 0] == 1


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = (min(width, _WIDTH), max(1, round(height * min(width, _WIDTH) / width)))
    block = width // size[0]
    if (size[0] * block, size[1] * block) == (width, height):
        shrunk = block_means(image, (0, 0), (width, height), block)
    else:
        shrunk = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.cvtColor(shrunk, cv2.COLOR_RGB2GRAY), np.uint8)
