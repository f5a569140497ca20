"""Real people without labels, made into training material by the tracker itself.

The tracker follows every clip, smoothed without lag and with the β that it settled on; a frame is kept only where three
independent witnesses agree: the detector's landmarks with the projected body, the detector's mask with the mesh's
silhouette, and the detector with itself (most of the limbs are in sight). What is kept is a picture of a person whose
pose is known well enough to teach features on real skin, cloth and light; occluders are pasted over it later, when the
pose behind them is known already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.skinner import skinner_of
from tracker.body.smpl_joints import LIMB_SMPL
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.crop import crop_image, square_box
from tracker.core.detection import Detection
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import FrameRecord, Person, Pose
from tracker.export.files import atomic_file
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.pipeline import Detector, Tracker, TrackerConfig
from tracker.smooth.smooth_config import SmoothConfig
from tracker.smooth.smoothed_frames import last_betas, smoothed_frames
from tracker.source.source import Source

_VISIBLE = 0.5
_HALF = 127
_JPEG_QUALITY = 95
_RECORD = np.dtype(
    [
        ("frame_index", "<i8"),
        ("theta", "<f4", (NUM_JOINTS, 3)),
        ("betas", "<f4", (NUM_BETAS,)),
        ("transl", "<f4", (3,)),
        ("camera", "<f8", (4,)),
        ("confidence", "<f4", (NUM_JOINTS,)),
        ("overlap", "<f4"),
        ("offset", "<f4"),
    ]
)


@dataclass(frozen=True)
class FootageConfig:
    """Which frames of real clips are looked at, and which are good enough to learn from."""

    every_seconds: float = 0.2
    """Neighbouring frames teach little that is new."""
    size: int = 384
    """px: side of the stored square crop, which is wide enough to be cut again at random."""
    margin: float = 1.8
    """Side of the stored crop against the longer side of the person's box."""
    least_overlap: float = 0.72
    """IoU of the mesh's silhouette and the detector's mask; clothes and hair keep it below about 0.85."""
    largest_offset: float = 0.025
    """Median distance of the projected limb joints from their landmarks, as a part of the person's height."""
    least_visible: float = 0.75
    """Part of the twelve limb joints that the detector must see."""
    held_out: tuple[str, ...] = ("subject3_*",)
    """Clips (patterns of file names) that are for validation only."""


@dataclass(frozen=True)
class LabelledCrop:
    """One person in one frame of a real clip, with the pose that the tracker found."""

    clip: str
    frame_index: int
    image: NDArray[np.uint8]
    """(size, size, 3) RGB."""
    mask: NDArray[np.uint8]
    """(size, size) 0..255, 255 where the detector sees the person."""
    camera: Camera
    """Of this crop."""
    pose: Pose
    confidence: Array
    """(24,) the tracker's joint_confidence."""
    overlap: float
    """IoU of silhouette and mask."""
    offset: float
    """Median distance of the limb joints from their landmarks, as a part of the person's height."""


def label_footage(
    clips: Sequence[Path], config: FootageConfig, tracker: TrackerConfig, cache: Path
) -> Iterator[LabelledCrop]:
    """Every usable crop of the clips, clip after clip.

    A clip that was labelled before, with the same settings, is read from `cache` (a folder, made if missing) instead of
    being tracked again. Raises InputError when a clip cannot be read.
    """
    from tracker.source import open_source  # training without real clips needs no library that reads video

    cache.mkdir(parents=True, exist_ok=True)
    for clip in tqdm(clips, desc="labelling", unit="clip", disable=None):
        stored = cache / f"{clip.stem}-{_fingerprint(clip, config, tracker)}.npz"
        if not stored.exists():
            unfiltered = replace(tracker, smooth=SmoothConfig("none"))
            with Tracker.open(unfiltered) as fresh, open_source(str(clip)) as source:
                store_crops(stored, list(label_clip(source, fresh, config)))
        yield from read_crops(stored, clip.name)


def find_clips(folder: Path) -> list[Path]:
    """The video files in a folder (or the one file), in the order of their names. Raises InputError when none is."""
    from tracker.source import VIDEO_SUFFIXES

    if folder.is_file():
        return [folder]
    clips = sorted(p for p in folder.glob("*") if p.suffix.lower() in VIDEO_SUFFIXES) if folder.is_dir() else []
    if not clips:
        raise InputError(f"--footage {folder}: expected a video file or a folder with videos in it")
    return clips


def split_clips(clips: Sequence[Path], config: FootageConfig) -> tuple[list[Path], list[Path]]:
    """(train, held out) by the patterns of `config.held_out`."""
    held = [clip for clip in clips if any(clip.match(pattern) for pattern in config.held_out)]
    return [clip for clip in clips if clip not in held], held


class _Witness:
    """The tracker's own detector, remembering what it found in the frames that are to be labelled."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.engine, self.device = detector.engine, detector.device
        self.last: list[Detection] = []

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        self.last = self._detector.detect(frame, predicted)
        return self.last

    def forget(self) -> None:
        self._detector.forget()

    def close(self) -> None:
        self._detector.close()


@dataclass(frozen=True)
class _Seen:
    """A frame that is to be labelled: its picture and what the detector found in it."""

    image: NDArray[np.uint8]
    detections: list[Detection]


def label_clip(source: Source, tracker: Tracker, config: FootageConfig) -> Iterator[LabelledCrop]:
    """Tracks one source from its beginning and gives out the crops that can be learned from."""
    witness = _Witness(tracker.detector)
    tracker.detector = witness
    records, detected = [], {}
    due = -np.inf
    for frame in source:
        records.append(FrameRecord(frame.index, frame.time, tracker.step(frame)))
        if frame.time >= due and witness.last:
            detected[frame.index] = _Seen(frame.image, witness.last)
            due = frame.time + config.every_seconds
    camera = tracker.config.camera.for_size(source.info.width, source.info.height)
    with MeshOverlay() as overlay:
        judge = _Judge(config, tracker, overlay)
        betas, smooth = last_betas(records), tracker.config.smooth.offline
        for record in smoothed_frames(records, betas, tracker.persons, camera, smooth):
            if record.index in detected:
                yield from judge.crops(source.info.name, record, detected[record.index], camera)


class _Judge:
    """Decides whether a fitted person agrees with what the detector saw."""

    def __init__(self, config: FootageConfig, tracker: Tracker, overlay: MeshOverlay) -> None:
        self._config, self._tracker, self._overlay = config, tracker, overlay

    def crops(self, clip: str, record: FrameRecord, detected: _Seen, camera: Camera) -> Iterator[LabelledCrop]:
        for person in record.people:
            detection = min(detected.detections, key=lambda d: _offset(person, d))
            offset = _offset(person, detection)
            visible = (detection.visibility[MEDIAPIPE.limbs] > _VISIBLE).mean()
            if detection.mask is None or offset > self._config.largest_offset or visible < self._config.least_visible:
                continue
            crop = self._cut(person, detected.image, detection.mask.picture(), camera)
            if crop.overlap >= self._config.least_overlap:
                yield replace(crop, clip=clip, frame_index=record.index, offset=offset)

    def _cut(self, person: Person, image: NDArray[np.uint8], mask: NDArray[np.uint8], camera: Camera) -> LabelledCrop:
        """The crop around one person with how far the mesh covers the mask; it knows nothing of clip and frame."""
        size = self._config.size
        box = square_box(person.bbox, self._config.margin)
        picture, silhouette = crop_image(image, box, size), crop_image(mask, box, size)
        cropped = camera.crop(box, size, size)
        body = self._tracker.body
        drawn = self._overlay.silhouette(cropped, skinner_of(body).vertices(person.pose), body.faces.numpy())
        # what lies outside the frame is in no mask
        drawn &= crop_image(np.full(mask.shape, 255, np.uint8), box, size) > _HALF
        overlap = float((drawn & (silhouette > _HALF)).sum() / max((drawn | (silhouette > _HALF)).sum(), 1))
        return LabelledCrop("", -1, picture, silhouette, cropped, person.pose, person.joint_confidence, overlap, np.inf)


def _offset(person: Person, detection: Detection) -> float:
    """Median distance of the visible limb joints from their landmarks, as a part of the person's height in px."""
    visible = detection.visibility[MEDIAPIPE.limbs] > _VISIBLE
    if not visible.any():
        return np.inf
    distance = np.linalg.norm(person.joints2d[LIMB_SMPL] - detection.landmarks2d[MEDIAPIPE.limbs], axis=1)
    return float(np.median(distance[visible]) / max(np.ptp(detection.landmarks2d, axis=0).max(), 1.0))


def _fingerprint(clip: Path, config: FootageConfig, tracker: TrackerConfig) -> str:
    """Changes with the file and with every setting that the labels depend on."""
    status = clip.stat()
    settings = [status.st_size, status.st_mtime_ns, asdict(config), asdict(tracker)]
    return hashlib.sha256(json.dumps(settings, default=str, sort_keys=True).encode()).hexdigest()[:12]


def store_crops(path: Path, crops: Sequence[LabelledCrop]) -> None:
    """JPEG pictures and PNG masks one after another, and one record a crop; written beside its name, then renamed."""
    records = np.zeros(len(crops), _RECORD)
    images, masks = [], []
    for record, crop in zip(records, crops, strict=True):
        record["frame_index"], record["theta"], record["betas"] = crop.frame_index, crop.pose.theta, crop.pose.betas
        record["transl"], record["confidence"] = crop.pose.transl, crop.confidence
        record["camera"] = crop.camera.fx, crop.camera.fy, crop.camera.cx, crop.camera.cy
        record["overlap"], record["offset"] = crop.overlap, crop.offset
        bgr = cv2.cvtColor(crop.image, cv2.COLOR_RGB2BGR)
        images.append(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])
        masks.append(cv2.imencode(".png", crop.mask)[1])
    with atomic_file(path) as file:
        np.savez(file, records=records, **_joined("images", images), **_joined("masks", masks))


def _joined(name: str, pieces: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray]:
    lengths = np.array([len(piece) for piece in pieces], np.int64)
    return {name: np.concatenate([np.zeros(0, np.uint8), *pieces]), f"{name}_end": np.cumsum(lengths)}


def read_crops(path: Path, clip: str) -> Iterator[LabelledCrop]:
    """The crops of one stored clip."""
    with np.load(path, allow_pickle=False) as stored:
        records, images, masks = stored["records"], stored["images"], stored["masks"]
        image_end, mask_end = stored["images_end"], stored["masks_end"]
    pieces = zip(records, np.split(images, image_end[:-1]), np.split(masks, mask_end[:-1]), strict=True)
    for record, image, mask in pieces if len(records) else ():
        bgr = cv2.imdecode(image, cv2.IMREAD_COLOR)
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        theta = record["theta"].astype(float)
        pose = Pose(theta[0], theta[1:].reshape(-1), record["betas"].astype(float), record["transl"].astype(float))
        fx, fy, cx, cy = (float(v) for v in record["camera"])
        camera = Camera(fx, fy, cx, cy, rgb.shape[1], rgb.shape[0])
        yield LabelledCrop(
            clip, int(record["frame_index"]), rgb, np.asarray(cv2.imdecode(mask, cv2.IMREAD_GRAYSCALE), np.uint8),
            camera, pose, record["confidence"].astype(float), float(record["overlap"]), float(record["offset"]),
        )  # fmt: skip
