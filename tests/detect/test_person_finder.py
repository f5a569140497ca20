"""Finding people in a picture: how answers are put together, the networks' files, and MediaPipe itself beside it."""

from __future__ import annotations

import io
import itertools
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.mediapipe_bundle import mediapipe_bundle
from engines import EngineOptions, open_engine
from tests import SHARED
from tests.programs import run_python
from tracker.core.affine import apply_affine
from tracker.core.arrays import Array
from tracker.core.detection import LandmarkCrop
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.detect import DetectConfig, LandmarkDetector
from tracker.detect.follow import Followed, NetworkFollower, Region
from tracker.detect.person_finder import PersonFinder, merged
from tracker.detect.picture_landmarker import PictureLandmarker
from tracker.detect.pose_reading import PoseReading
from tracker.detect.similarity import body_size
from tracker.networks.person_network import INPUT, open_person_engine, person_content, person_network_file
from tracker.runtime.engine_config import EngineConfig
from tracker.source import open_source

VIDEOS = SHARED / "videos"
CONFIG = DetectConfig()
needs_mediapipe = pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe is not installed")


def first_frames(name: str, count: int, stride: int = 1) -> Iterator[Frame]:
    path = VIDEOS / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with open_source(str(path)) as source:
        yield from itertools.islice(source, 0, count * stride, stride)


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.tflite", content)
    return buffer.getvalue()


def points_at(x: float) -> Array:
    return np.full((4, 2), x)


def test_answers_about_one_person_are_averaged_by_their_scores() -> None:
    scores = np.array([0.6, 0.5, 0.9])
    boxes = np.array([[0.0, 0, 10, 10], [40, 40, 50, 50], [1, 0, 11, 10]])
    people = merged(scores, boxes, np.stack([points_at(0.0), points_at(7.0), points_at(1.0)]))
    np.testing.assert_allclose(people, [points_at(0.9 / 1.5), points_at(7.0)])


def test_answers_that_overlap_little_are_of_two_people() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [6, 0, 16, 10]])
    assert len(merged(np.array([0.9, 0.8]), boxes, np.zeros((2, 4, 2)))) == 2
    assert merged(np.zeros(0), np.zeros((0, 4)), np.zeros((0, 4, 2))) == []


class TwoRegions(PersonFinder):
    """Finds two people."""

    regions = (Region(np.array([100.0, 100.0]), 80.0, 0.0), Region(np.array([300.0, 100.0]), 80.0, 0.3))

    def __init__(self) -> None:
        self.asked: list[float] = []

    def find(self, image: np.ndarray, min_score: float) -> list[Region]:
        self.asked.append(min_score)
        return list(self.regions)


class Middle:
    """Sees somebody in the middle of each region, the surer the farther to the right."""

    network = Path("middle.tflite")
    engine = device = "none"

    def follow(
        self, image: np.ndarray, regions: Sequence[Region], painted: Sequence[PlacedMask] = ()
    ) -> list[Followed]:
        mask = PlacedMask.whole(np.full((256, 256), 255, np.uint8))
        reading = PoseReading(np.full((33, 2), 128.0), np.zeros((33, 3)), np.ones(33), np.ones(33), mask)
        crop = np.zeros((256, 256, 3), np.uint8)
        return [Followed(reading, LandmarkCrop(crop, r.transform, {}), r.centre[0] / 400, r) for r in regions]

    def close(self) -> None: ...


def test_poses_lie_in_the_picture_and_those_of_known_people_are_not_read() -> None:
    finder = TwoRegions()
    landmarker = PictureLandmarker(finder, Middle(), DetectConfig(min_presence=0.2))
    picture = np.zeros((200, 400, 3), np.uint8)
    left, right = landmarker.read(picture, 0.4)
    np.testing.assert_allclose([left.landmarks2d[0], right.landmarks2d[0]], [[100, 100], [300, 100]])
    known = Region(np.array([103.0, 100.0]), 90.0, 1.0)
    (other,) = landmarker.read(picture, 0.3, [known])
    np.testing.assert_allclose(other.landmarks2d, right.landmarks2d)
    assert finder.asked == [0.4, 0.3]
    assert len(PictureLandmarker(finder, Middle(), DetectConfig(min_presence=0.5)).read(picture, 0.4)) == 1
    assert (
        len(PictureLandmarker(finder, Middle(), DetectConfig(max_people=1, min_presence=0.0)).read(picture, 0.4)) == 1
    )


@pytest.mark.parametrize(("centre", "side"), [((115.0, 100.0), 80.0), ((100.0, 100.0), 110.0), ((100.0, 100.0), 60.0)])
def test_somebody_beside_or_of_another_size_is_not_known(centre: tuple[float, float], side: float) -> None:
    known = TwoRegions.regions[0]
    assert known.is_about(known) and not known.is_about(Region(np.array(centre), side, 0.0))


@needs_mediapipe
def test_the_network_is_the_one_in_the_file() -> None:
    """OpenVINO reads the same file by itself, sparse weights and all."""
    path = person_network_file()
    picture = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    with open_engine(path, "openvino", EngineOptions(threads=2)) as engine:
        truth, logits = engine.run({"input_1": picture / np.float32(127.5) - 1}).values()
    with open_person_engine("openvino", EngineOptions(threads=2), path) as engine:
        found = engine.run({INPUT: picture})
    np.testing.assert_allclose(found["scores"], 1 / (1 + np.exp(-logits[..., 0].astype(float))), atol=1e-5)
    np.testing.assert_allclose(found["boxes"][..., 2:] - found["boxes"][..., :2], truth[..., 2:4], atol=1e-3)
    first = found["points"][0, :2, :, :] - truth[0, :2, 4:].reshape(2, 4, 2)
    np.testing.assert_allclose(first, 4.0, atol=1e-3, err_msg="two answers of the cell whose middle is (4, 4)")
    last = found["points"][0, -1] - truth[0, -1, 4:].reshape(4, 2)
    np.testing.assert_allclose(last, 208.0, atol=1e-3)


@needs_mediapipe
def test_people_are_where_mediapipe_finds_them() -> None:
    """A landmark network that looks at a region shifted by 2 % of its side says something 4 % away, in the median."""
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.PoseLandmarkerOptions(base_options=BaseOptions(model_asset_buffer=mediapipe_bundle()))
    off = []
    with opened() as ours, vision.PoseLandmarker.create_from_options(options) as theirs:
        for frame in first_frames("sam2_juggle.mp4", 5, 20):
            image = np.ascontiguousarray(frame.image)
            (expected,) = theirs.detect(Image(image_format=ImageFormat.SRGB, data=image)).pose_landmarks
            (found,) = ours.read(image, CONFIG.min_detection)
            points = np.array([(p.x, p.y) for p in expected]) * frame.size
            off.append(np.median(np.linalg.norm(found.landmarks2d - points, axis=1)) / body_size(points))
    assert max(off) < 0.05


class opened:
    """A landmarker with the networks that are here."""

    def __enter__(self) -> PictureLandmarker:
        engine = EngineConfig()
        self._follower = NetworkFollower(engine)
        self._landmarker = PictureLandmarker.open(CONFIG, engine, self._follower)
        return self._landmarker

    def __exit__(self, *_: object) -> None:
        self._landmarker.close()
        self._follower.close()


@needs_mediapipe
def test_one_man_is_found_on_a_real_clip() -> None:
    with LandmarkDetector() as found:
        for frame in first_frames("sam2_juggle.mp4", 5):
            (man,) = found.detect(frame)
            assert man.mask is not None and man.mask.size == frame.size
            joints = np.floor(man.landmarks2d[[11, 12, 23, 24, 25, 26]]).astype(int)
            assert man.mask.covers(joints).all()
            torso = np.linalg.norm(man.landmarks3d[[11, 12]].mean(axis=0) - man.landmarks3d[[23, 24]].mean(axis=0))
            assert 0.35 < torso < 0.7, "metres"


@needs_mediapipe
def test_the_region_found_is_the_one_that_is_followed() -> None:
    with opened() as landmarker:
        for frame in first_frames("sam2_juggle.mp4", 3, 30):
            (region,) = landmarker._finder.find(frame.image, CONFIG.min_detection)
            (answer,) = landmarker.follower.follow(frame.image, [region])
            assert answer.presence > 0.9 and answer.region.is_about(region)
            points = apply_affine(answer.crop.T_frame_crop, answer.reading.landmarks2d)
            assert Region.around(points).turn == pytest.approx(region.turn, abs=0.2)


@needs_mediapipe
@pytest.mark.parametrize(
    ("change", "undo"),
    [
        (lambda image: image[::-1, ::-1], lambda p, size: np.array(size) - p),
        (lambda image: average(image, 4), lambda p, size: p * 4),
    ],
    ids=["upside down", "at a quarter of the size"],
)
def test_landmarks_have_no_half_pixel_error(
    change: Callable[[np.ndarray], np.ndarray], undo: Callable[[Array, tuple[int, int]], Array]
) -> None:
    """Whatever is done to a picture must be done to the landmarks: a shift of ours would show twice."""
    offsets = []
    with opened() as landmarker:
        for frame in first_frames("tfjs_squats.mp4", 12):
            (straight,) = landmarker.read(frame.image, CONFIG.min_detection)
            (changed,) = landmarker.read(np.ascontiguousarray(change(frame.image)), CONFIG.min_detection)
            offsets.append(np.median(undo(changed.landmarks2d, frame.size) - straight.landmarks2d, axis=0) / 2)
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.3


def average(image: np.ndarray, factor: int) -> np.ndarray:
    height, width = image.shape[0] // factor, image.shape[1] // factor
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return blocks.mean(axis=(1, 3)).astype(np.uint8)


@needs_mediapipe
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"\x00" * 100, "not a zip file"),
        (b"", "not a zip file"),
        (zipped(hand_detector=b"x"), "pose_detector.tflite"),
        (zipped(pose_detector=b"x" * 99).replace(b"x" * 99, b"z" * 99), "CRC"),
        (zipped(pose_detector=b"x" * 99), "not a TFLite network"),
    ],
)
def test_an_unusable_task_file_is_named_in_one_line(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "own.task"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        LandmarkDetector(DetectConfig(task_file=path))
    message = str(caught.value)
    assert str(path) in message and complaint in message and "\n" not in message


@needs_mediapipe
def test_a_folder_is_no_task_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        LandmarkDetector(DetectConfig(task_file=tmp_path))


@needs_mediapipe
def test_a_landmark_network_finds_nobody() -> None:
    from tracker.networks.landmark_files import landmark_network_file

    with pytest.raises(InputError, match="not a person detector"):
        LandmarkDetector(DetectConfig(task_file=landmark_network_file()))


@needs_mediapipe
def test_a_users_own_task_file_is_used(tmp_path: Path) -> None:
    path = tmp_path / "own.task"
    path.write_bytes(zipped(pose_detector=person_content(person_network_file())))
    with LandmarkDetector(DetectConfig(task_file=path)) as found:
        assert found.detect(Frame(0, 0.0, np.full((120, 160, 3), 90, np.uint8))) == []


def test_missing_mediapipe_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(InputError, match=r"pip install 'mediapipe==0\.10\.21'"):
        LandmarkDetector()


@needs_mediapipe
def test_mediapipe_itself_is_not_loaded() -> None:
    """It takes half a second and 150 MB."""
    script = (
        "import sys, numpy as np\n"
        "from tracker.detect import LandmarkDetector\n"
        "from tracker.core.frame import Frame\n"
        "with LandmarkDetector() as found:\n"
        "    found.detect(Frame(0, 0.0, np.full((96, 128, 3), 90, np.uint8)))\n"
        "assert 'mediapipe' not in sys.modules\n"
        "print('ours', file=sys.stderr)\n"
    )
    assert run_python(script).stderr == "ours\n"
