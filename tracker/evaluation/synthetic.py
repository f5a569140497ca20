"""The benchmark that needs nothing: stills and clips of made-up people with exact truth, the same for the same seed.

Drawing is the slow part, so pictures are kept, without loss, in a folder by seed and by what draws them; every
protocol then uses them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body.free_body import load_free_body
from tracker.body.free_body_file import FREE_BODY_FILE
from tracker.core.arrays import Array
from tracker.core.atomic_file import whole_file
from tracker.core.camera import Camera
from tracker.core.errors import RunError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import Pose
from tracker.evaluation import captured, choreographies
from tracker.evaluation.choreographies import STAGE, visit, walk_through, wander
from tracker.evaluation.truth import Truth
from tracker.evaluation.world_errors import TrueWorld
from tracker.motion.motion_library import files_state
from tracker.synth.demo_scene import DemoScene, SceneConfig, Viewpoint
from tracker.synth.figure import Figure, FigureConfig
from tracker.synth.footing import standing_parts, world_of
from tracker.synth.legs import SIDES, LegGeometry
from tracker.synth.motion import Choreography, Motion, perform
from tracker.world.body_track import FOOT_PARTS, contact_body

ScalarT = TypeVar("ScalarT", bound=np.generic)
STILL, CLIP, CROSSER, PARTNER = "still", "clip", "crosser", "partner"
_KINDS = (STILL, CLIP, CROSSER, PARTNER)
OTHER_PEOPLE = {"crossing": CROSSER, "contact": PARTNER}
"""By protocol: the kind of scene with the other person who comes into a clip."""
_SYNTH = Path(__file__).parents[1] / "synth"
_NOWHERE = np.array([-100.0, 0.0, 0.0])
"""m: where the scene's obstacle is not in the way."""
_STILL_SECONDS = 12.0


@dataclass(frozen=True)
class PictureSize:
    """Of made-up pictures."""

    width: int = 640
    height: int = 480
    rate: int = 30
    seconds: float = 10.0


@dataclass(frozen=True)
class SceneKey:
    """Which made-up scene: everything in it follows from this."""

    seed: int
    kind: str
    """'still', 'clip', or one of OTHER_PEOPLE: another person, who comes into the clip of the same number."""
    number: int
    size: PictureSize
    motion: Path | None = None
    """Captured motion of whom the still or clip is about; None is a walk with gestures."""

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.number:03d}"

    @property
    def clip(self) -> SceneKey:
        """The clip that another person comes into; any other scene itself."""
        return replace(self, kind=CLIP) if self.kind in OTHER_PEOPLE.values() else self

    def other(self, protocol: str) -> SceneKey:
        """The scene of the other person whom a protocol of OTHER_PEOPLE brings into this clip."""
        kind = OTHER_PEOPLE[protocol]
        # who only crosses does the same whatever the clip's person does, and is drawn once
        return replace(self, kind=kind, motion=None if kind == CROSSER else self.motion)

    def rng(self, purpose: int) -> np.random.Generator:
        """Random numbers for one purpose."""
        return np.random.default_rng([self.seed, _KINDS.index(self.kind), self.number, purpose])


@dataclass(frozen=True)
class Footage:
    """Drawn pictures and the truth about the one person in them."""

    images: Sequence[NDArray[np.uint8]]
    """T pictures (h, w, 3) RGB."""
    masks: Sequence[NDArray[np.bool_]]
    """T times (h, w): where the person, clothes and all, is seen."""
    truth: Truth


class Decoded(Sequence[NDArray[ScalarT]]):
    """Compressed pictures, each decoded when it is asked for."""

    def __init__(self, encoded: tuple[NDArray[np.uint8], ...], decode: Callable[[NDArray], NDArray[ScalarT]]) -> None:
        self._encoded, self._decode = encoded, decode

    def __len__(self) -> int:
        return len(self._encoded)

    @overload
    def __getitem__(self, index: int) -> NDArray[ScalarT]: ...
    @overload
    def __getitem__(self, index: slice) -> Decoded[ScalarT]: ...
    def __getitem__(self, index: int | slice) -> NDArray[ScalarT] | Decoded[ScalarT]:
        if isinstance(index, slice):
            return Decoded(self._encoded[index], self._decode)
        return self._decode(self._encoded[index])


@dataclass(frozen=True)
class PictureStore:
    """A folder of drawn scenes."""

    folder: Path

    def prepare(self, key: SceneKey) -> Path:
        """Draws and keeps the scene unless that was done. Raises RunError when there is no room."""
        path = self.folder / version() / f"{_digest(key)}.npz"
        if not path.exists():
            self._keep(path, draw(key))
        return path

    def footage(self, key: SceneKey) -> Footage:
        """The scene, drawn if need be: see `prepare`."""
        with np.load(self.prepare(key), allow_pickle=False) as file:
            count = int(file["count"])
            truth = Truth.of(
                load_free_body(), camera_of(key), file["times"], (file["theta"], file["betas"], file["transl"])
            )
            images = Decoded(tuple(file[f"image{i}"] for i in range(count)), _picture)
            masks = Decoded(tuple(file[f"mask{i}"] for i in range(count)), _mask)
        return Footage(images, masks, truth)

    def _keep(self, path: Path, footage: Footage) -> None:
        truth = footage.truth
        encoded = {f"image{i}": _encoded(image[..., ::-1]) for i, image in enumerate(footage.images)}
        encoded |= {
            f"mask{i}": _encoded(np.where(mask, np.uint8(255), np.uint8(0))) for i, mask in enumerate(footage.masks)
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as part, part.open("wb") as stream:
                np.savez(stream, **encoded, count=len(footage.images), times=truth.times, theta=truth.theta,
                         betas=truth.betas, transl=truth.transl)  # fmt: skip
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({error.strerror or error})") from error


@lru_cache(maxsize=1)
def version() -> str:
    """Changes whenever what draws the pictures does."""
    digest = hashlib.sha256()
    ours = (Path(__file__), Path(captured.__file__), Path(choreographies.__file__))
    for path in (*sorted(_SYNTH.rglob("*.py")), *ours, FREE_BODY_FILE):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _digest(key: SceneKey) -> str:
    moved_by = () if key.motion is None else files_state(key.motion)
    return f"{key.name}_{hashlib.sha256(repr((key, moved_by)).encode()).hexdigest()[:10]}"


def _encoded(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise RunError("OpenCV could not encode a picture")
    return np.asarray(data, np.uint8)


def _picture(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def _mask(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)) > 0


def camera_of(key: SceneKey) -> Camera:
    """What the tracker assumes of an unknown camera."""
    return Camera.default(key.size.width, key.size.height)


def draw(key: SceneKey) -> Footage:
    """Makes the scene: dresses a person, moves them, draws them."""
    figure = _figure(key)
    view = viewpoint_of(key)
    room = int(key_camera(key).integers(2**31))
    motion = _motion(key, figure)
    theta, transl = _in_camera(motion, figure, view)
    camera = camera_of(key)
    scene = DemoScene(camera, figure, SceneConfig(viewpoint=view), room)
    shots = [
        scene.draw(_pose(*each, figure.betas), _NOWHERE, i) for i, each in enumerate(zip(theta, transl, strict=True))
    ]
    truth = Truth.of(load_free_body(), camera, motion.times, (theta, figure.betas, transl))
    return Footage([shot.image for shot in shots], [shot.person for shot in shots], truth)


def _figure(key: SceneKey) -> Figure:
    """Somebody, dressed."""
    rng = key.rng(0)
    betas = np.concatenate([rng.normal(0, 0.6, 6).clip(-1.2, 1.2), np.zeros(4)])
    seed_of_look = int(rng.integers(2**31))
    return Figure(load_free_body(), betas, FigureConfig(sleeve=float(rng.uniform(0.4, 1.0))), seed_of_look)


def key_camera(key: SceneKey) -> np.random.Generator:
    """Random numbers for camera and room, which whoever comes into a clip shares with it."""
    return key.clip.rng(1)


def viewpoint_of(key: SceneKey) -> Viewpoint:
    """Where the camera stands."""
    height = float(key_camera(key).uniform(1.1, 1.6))
    return Viewpoint(height=height, tilt_degrees=4.0 + 9.0 * (height - 1.35))


def true_world(key: SceneKey, truth: Truth) -> TrueWorld:
    """The floor of a scene, and which soles stand on it."""
    body = contact_body(load_free_body())
    track = body.track(truth.times, truth.theta, truth.betas, truth.transl, np.ones(truth.theta.shape[:2]))
    world = world_of(viewpoint_of(key).T_camera_world, truth.joints3d[0, 0])
    soles = world.to_world(track.points[:, :FOOT_PARTS])
    return TrueWorld(world, standing_parts(soles, truth.times, FigureConfig().sole))


def _pose(theta: Array, transl: Array, betas: Array) -> Pose:
    return Pose(theta[0], theta[1:].ravel(), betas, transl)


def _motion(key: SceneKey, figure: Figure) -> Motion:
    rng = key.rng(2)
    seconds = _STILL_SECONDS if key.kind == STILL and key.motion is None else key.size.seconds
    times = np.arange(max(4, round(seconds * key.size.rate))) / key.size.rate
    if key.motion is not None and key.clip == key:
        clips = captured.held_out_clips(key.motion, key.size.rate, len(times))
        motion = captured.captured_motion(clips, figure, times, STAGE, rng)
    else:
        left, right = (LegGeometry.of(figure.shaped, side, figure.floor) for side in SIDES)
        motion = perform(_choreography(key, seconds, rng), (left, right), times)
    if key.kind != STILL:
        return motion
    chosen = rng.integers(round(0.2 * len(times)), len(times), 1)
    return Motion(np.zeros(1), motion.theta[chosen], motion.pelvis[chosen])


def _choreography(key: SceneKey, seconds: float, rng: np.random.Generator) -> Choreography:
    """What the scene's person does for so long, unless captured motion says that."""
    if key.kind == CROSSER:
        return walk_through(seconds)
    if key.kind == PARTNER:
        camera = camera_of(key)
        view = (viewpoint_of(key).distance, camera.width / (2 * camera.fx))
        return visit(_motion(key.clip, _figure(key.clip)), view, rng)
    return wander(seconds, rng)


def _in_camera(motion: Motion, figure: Figure, view: Viewpoint) -> tuple[Array, Array]:
    """theta (T, 24, 3) and transl (T, 3) in the camera's frame."""
    T = view.T_camera_world
    theta = motion.theta.copy()
    theta[:, 0] = axis_angle_from_matrix(T[:3, :3] @ matrix_from_axis_angle(motion.theta[:, 0]))
    rest_pelvis = figure.shaped.rest_joints[0].numpy().astype(float)
    return theta, motion.pelvis @ T[:3, :3].T + T[:3, 3] - rest_pelvis
