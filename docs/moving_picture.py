"""Makes the moving picture at the top of README.md: clips with their meshes, and the same people turning beside them.

    body-tracker track juggler.mp4 --out out
    python docs/moving_picture.py out/juggler … --out docs/moving.webp

Use clips whose licence allows it, and name them where the picture is shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tracker import load_result
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.person import FrameRecord
from tracker.export.files import OVERLAY_NAME
from tracker.export.load_result import TrackResult
from tracker.overlay.mesh_overlay import identity_colour, lit_mesh
from tracker.overlay.renderers import RasterRenderer

SIDE = 320
"""px: height of the picture, and width of either half."""
RATE = 12
"""Pictures a second."""
TURNS_PER_SECOND = 0.2
DISTANCE, EYE, MIDDLE = 3.4, 1.3, 0.85
"""m: the turning camera from the people, over the floor, and the height that it looks at."""
BACKGROUND, LINES = (246, 247, 249), (214, 218, 224)
GRID = 3.0
"""m of floor to either side, in squares of half a metre."""


@dataclass(frozen=True)
class Turning:
    """A camera that goes round a place on the floor."""

    around: Array
    """(3,) m, world."""
    angle: float

    def points(self, world: Array) -> Array:
        """(n, 3) m, world → the camera's frame."""
        away = np.array([np.sin(self.angle), 0.0, np.cos(self.angle)])
        place = self.around * [1, 0, 1] + DISTANCE * away + [0, EYE, 0]
        z = self.around * [1, 0, 1] + [0, MIDDLE, 0] - place
        z /= np.linalg.norm(z)
        x = np.cross([0.0, -1.0, 0.0], z)
        x /= np.linalg.norm(x)
        return (world - place) @ np.stack([x, np.cross(z, x), z], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, help="folders that `track` has left, with their overlay.mp4")
    parser.add_argument("--out", type=Path, default=Path("docs/moving.webp"))
    parser.add_argument("--seconds", type=float, default=3.5, help="of each result")
    parser.add_argument("--quality", type=int, default=70, help="of WebP's compression, 0 to 100")
    given = parser.parse_args()

    pictures = [Image.fromarray(p) for folder in given.results for p in pictures_of(folder, given.seconds)]
    pictures[0].save(
        given.out, save_all=True, append_images=pictures[1:], duration=round(1000 / RATE), loop=0,
        quality=given.quality, method=3,
    )  # fmt: skip
    print(f"{given.out}: {len(pictures)} pictures, {given.out.stat().st_size / 1e6:.2f} MB")


def pictures_of(folder: Path, seconds: float) -> Iterator[NDArray[np.uint8]]:
    """(SIDE, 2·SIDE, 3) RGB, RATE a second."""
    result = load_result(folder)
    places = [result.T_world_camera[:3, :3] @ p.joints3d[0] for f in result.frames for p in f.people]
    around = np.median(places, axis=0) + result.T_world_camera[:3, 3]
    renderer = RasterRenderer()
    for number, (record, shown) in enumerate(sampled(result, seconds)):
        turning = Turning(around, 0.5 + 2 * np.pi * TURNS_PER_SECOND * number / RATE)
        yield np.concatenate([shown, turned_view(result, record, turning, renderer)], axis=1)


def sampled(result: TrackResult, seconds: float) -> Iterator[tuple[FrameRecord, NDArray[np.uint8]]]:
    """Frames RATE a second, with the overlay's picture."""
    window = Window.around(result, seconds)
    with av.open(str(result.folder / OVERLAY_NAME)) as video:
        due = result.frames[0].time
        for record, frame in zip(result.frames, video.decode(video=0), strict=False):
            if record.time > result.frames[0].time + seconds:
                return
            while record.time >= due - 1e-6:
                yield record, window.of(frame.to_ndarray(format="rgb24"))
                due += 1 / RATE


@dataclass(frozen=True)
class Window:
    """The square part of the pictures that is shown, px."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, result: TrackResult, seconds: float) -> Window:
        """Where the people are, with room around them."""
        start = result.frames[0].time
        people = [p for frame in result.frames for p in frame.people if frame.time <= start + seconds]
        boxes = np.stack([person.bbox for person in people])
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        width, height = result.camera.width, result.camera.height
        side = int(min(1.25 * (high - low).max(), max(width, height)))
        left, top = (_placed(*each, side) for each in zip((low + high) / 2, (width, height), strict=True))
        return cls(left, top, side)

    def of(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(SIDE, SIDE, 3)"""
        top, left = max(self.top, 0), max(self.left, 0)
        part = picture[top : self.top + self.side, left : self.left + self.side]
        shown = np.full((self.side, self.side, 3), BACKGROUND, np.uint8)
        shown[top - self.top :, left - self.left :][: part.shape[0], : part.shape[1]] = part
        return np.asarray(cv2.resize(shown, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _placed(middle: float, size: int, side: int) -> int:
    """Where the window begins along one axis: within the picture, or around all of it where it is too small."""
    if side >= size:
        return (size - side) // 2
    return round(min(max(middle - side / 2, 0), size - side))


def turned_view(
    result: TrackResult, record: FrameRecord, turning: Turning, renderer: RasterRenderer
) -> NDArray[np.uint8]:
    """Everybody on a floor with squares, from the turning camera."""
    camera = Camera.from_fov(50.0, SIDE, SIDE)
    picture = floor(turning, camera)
    to_world = result.T_world_camera
    meshes = []
    for person in record.people:
        world = person.vertices.astype(float) @ to_world[:3, :3].T + to_world[:3, 3]
        vertices = turning.points(world).astype(np.float32)
        meshes.append(lit_mesh(vertices, result.faces, identity_colour(person.person_id)))
    return renderer.draw_over(picture, camera, meshes, 1.0) if meshes else picture


def floor(turning: Turning, camera: Camera) -> NDArray[np.uint8]:
    picture = np.full((SIDE, SIDE, 3), BACKGROUND, np.uint8)
    centre = np.round(2 * turning.around * [1, 0, 1]) / 2
    for offset in np.arange(-GRID, GRID + 0.1, 0.5):
        for ends in ([[offset, 0, -GRID], [offset, 0, GRID]], [[-GRID, 0, offset], [GRID, 0, offset]]):
            line = turning.points(centre + np.linspace(*np.array(ends), 60))
            pixels = camera.project(line[line[:, 2] > 0.3])
            cv2.polylines(picture, [np.round(16 * pixels).astype(np.int32)], False, LINES, 1, cv2.LINE_AA, shift=4)
    return picture


if __name__ == "__main__":
    main()
