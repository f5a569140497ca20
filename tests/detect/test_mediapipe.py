"""MediaPipe itself: its bundle, timestamps and chatter, and its landmarks on real clips where these are at hand."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from tests import SHARED
from tracker.core.arrays import Array
from tracker.core.errors import InputError, RunError
from tracker.core.frame import Frame
from tracker.detect import DetectConfig, LandmarkDetector, landmarkers, task_bundle
from tracker.detect.landmarkers import ImageLandmarker, LandmarkerSettings
from tracker.detect.stderr_filter import native_chatter_held_back

VIDEOS = SHARED / "videos"
SETTINGS = LandmarkerSettings(1, 0.5, 0.5, 0.5)
needs_mediapipe = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import mediapipe"], capture_output=True, check=False).returncode != 0,
    reason="mediapipe is not installed",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "body-tracker"


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.tflite", content)
    return buffer.getvalue()


@needs_mediapipe
def test_the_bundle_is_made_once_and_is_whole(cache: Path) -> None:
    made = task_bundle.built_in_bundle()
    (file,) = cache.glob("*.task")
    assert file.read_bytes() == made
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert sorted(archive.namelist()) == ["pose_detector.tflite", "pose_landmarks_detector.tflite"]
        assert archive.testzip() is None
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    stamp = file.stat().st_mtime_ns
    assert task_bundle.built_in_bundle() == made
    assert file.stat().st_mtime_ns == stamp


@needs_mediapipe
def test_a_damaged_cached_bundle_is_made_again(cache: Path) -> None:
    made = task_bundle.built_in_bundle()
    (file,) = cache.glob("*.task")
    file.write_bytes(made[: len(made) // 2])
    task_bundle.built_in_bundle()
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None


@needs_mediapipe
@pytest.mark.parametrize("obstacle", ["a file where the folder should be", "no home"])
def test_without_a_usable_cache_the_bundle_is_made_all_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    if obstacle == "no home":

        def homeless() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", homeless)
    else:
        cache.write_bytes(b"")
    assert zipfile.is_zipfile(io.BytesIO(task_bundle.built_in_bundle()))


@needs_mediapipe
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"\x00" * 100, "not a zip archive"),
        (b"", "not a zip archive"),
        (zipped(hand_detector=b"x"), "has no pose_detector.tflite"),
        (zipped(pose_detector=b"x"), "has no pose_landmarks_detector.tflite"),
        (zipped(pose_detector=b"x" * 99, pose_landmarks_detector=b"y" * 99).replace(b"x" * 99, b"z" * 99), "damaged"),
        (zipped(pose_detector=b"x" * 99, pose_landmarks_detector=b"y" * 99), "mediapipe cannot open"),
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
def test_a_users_own_task_file_is_used(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.task"
    path.write_bytes(task_bundle.built_in_bundle())
    shutil.rmtree(cache)
    cache.mkdir()
    with LandmarkDetector(DetectConfig(task_file=path)) as found:
        assert found.detect(Frame(0, 0.0, np.full((120, 160, 3), 90, np.uint8))) == []
    assert list(cache.glob("*.task")) == []


def test_missing_mediapipe_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(RunError, match=r"pip install 'mediapipe==0\.10\.21'"):
        LandmarkDetector()


@needs_mediapipe
def test_a_mediapipe_without_networks_asks_for_a_task_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mediapipe

    monkeypatch.setattr(mediapipe, "__file__", str(cache / "elsewhere" / "__init__.py"))
    with pytest.raises(InputError, match=r"carries no pose networks.*\.task"):
        LandmarkDetector()


@needs_mediapipe
def test_a_failure_of_mediapipe_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from mediapipe.tasks.python import vision

    def fail(*_: object) -> None:
        raise RuntimeError("Graph has errors:\nCalculator::Process() failed")

    native = SimpleNamespace(detect=fail)
    monkeypatch.setattr(vision.PoseLandmarker, "create_from_options", lambda options: native)
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(RunError, match=r"Graph has errors:$"):
        ImageLandmarker(b"", SETTINGS).read(image)


def test_native_lines_are_held_back_and_ours_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with native_chatter_held_back():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"W0000 00:00:1795220983.081330    6580 inference_feedback_manager.cc:114] Feedback\n")
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        print("a message of ours", file=sys.stderr)
        os.write(2, b"I think this is ours too\npartial")
    print(" and after", file=sys.stderr)
    assert capfd.readouterr().err == "a message of ours\nI think this is ours too\npartial and after\n"


def test_held_back_lines_are_passed_on_when_something_raises(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="native"), native_chatter_held_back():
        os.write(2, b"last words\n")
        raise RuntimeError("native")
    assert capfd.readouterr().err == "last words\n"


@needs_mediapipe
def test_a_detector_at_work_leaves_stderr_to_us() -> None:
    script = (
        "import sys, numpy as np\n"
        "from tracker.detect import LandmarkDetector\n"
        "from tracker.core.frame import Frame\n"
        "with LandmarkDetector() as found:\n"
        "    found.detect(Frame(0, 0.0, np.full((96, 128, 3), 90, np.uint8)))\n"
        "    print('ours', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "ours\n"


def first_frames(name: str, count: int) -> Iterator[Frame]:
    path = VIDEOS / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with av.open(str(path)) as container:
        for index, frame in zip(range(count), container.decode(video=0), strict=False):
            yield Frame(index, float(frame.time), frame.to_ndarray(format="rgb24"))


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
    """Whatever is done to a picture must be done to the landmarks: shifts of MediaPipe's own would show twice.

    Half the difference is at most 0.1 px on many frames; uncorrected landmarks are off by 0.5 px (upside down) and
    0.75 px (small).
    """
    landmarker = ImageLandmarker(task_bundle.built_in_bundle(), SETTINGS)
    offsets = []
    for frame in first_frames("tfjs_squats.mp4", 12):
        (straight,) = landmarker.read(frame.image)
        (changed,) = landmarker.read(np.ascontiguousarray(change(frame.image)))
        offsets.append(np.median(undo(changed.landmarks2d, frame.size) - straight.landmarks2d, axis=0) / 2)
    landmarker.close()
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.3


def average(image: np.ndarray, factor: int) -> np.ndarray:
    height, width = image.shape[0] // factor, image.shape[1] // factor
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return blocks.mean(axis=(1, 3)).astype(np.uint8)


def test_reading_of_a_result_needs_no_mediapipe() -> None:
    """What the Tasks API gives is read by attribute: x, y in 0..1 of the picture become pixels of it."""
    points = [SimpleNamespace(x=0.5, y=0.25, z=0.0, visibility=1.2, presence=-0.1) for _ in range(33)]
    world = [SimpleNamespace(x=0.1, y=0.2, z=0.3) for _ in range(33)]
    mask = SimpleNamespace(numpy_view=lambda: np.full((40, 80), 0.5, np.float32))
    pose = landmarkers._reading(points, world, mask, 80, 40)
    np.testing.assert_allclose(pose.landmarks2d, np.broadcast_to([40.5, 10.5], (33, 2)))
    np.testing.assert_allclose(pose.landmarks3d[0], [0.1, 0.2, 0.3])
    assert pose.visibility.max() == 1.0 and pose.presence.min() == 0.0
    assert abs(int(pose.mask.values[0, 0]) - 128) <= 1
