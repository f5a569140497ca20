"""A video of one's own under the occlusion protocols."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.test_pipeline import CONFIG, SIZE, somebody
from tracker.app.evaluate_clip import clear_answer
from tracker.body import load_body
from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.evaluation.recorded import RecordedBench, RecordedSettings
from tracker.evaluation.recorded_report import recorded_report
from tracker.evaluation.run import EvaluationJob
from tracker.evaluation.synthetic import PictureStore
from tracker.overlay.video_writer import VideoWriter
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt

RATE, FRAMES, DARK, GREY = 8, 32, 5, 128


class Visitor:
    """Somebody wherever there is light; where the picture is covered at a landmark, it is seen 40 px aside."""

    engine, device = "script", "cpu"

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        if frame.image.max() < GREY / 2:
            return []
        detection = somebody(0.0)[0]
        x, y = np.clip(detection.landmarks2d.astype(int).T, 0, np.array([[SIZE[0] - 1], [SIZE[1] - 1]]))
        covered = np.abs(frame.image[y, x].astype(int) - GREY).max(axis=1) > 12
        moved = detection.landmarks2d + 40.0 * covered[:, None]
        return [Detection(moved, detection.landmarks3d, np.where(covered, 0.6, 0.98))]

    def forget(self) -> None:
        """Remembers nothing."""

    def close(self) -> None:
        """Holds nothing."""


@pytest.mark.parametrize("content", [None, b"no video"])
def test_what_cannot_be_read_says_so_before_networks_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setattr(Tracker, "open", lambda config: pytest.fail("the networks are loaded"))
    if content is not None:
        (tmp_path / "film.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"film\.mp4: "):
        clear_answer(EvaluationJob(tmp_path / "out", 1, False), tmp_path / "film.mp4", CONFIG, Interrupt())


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def opened(config: TrackerConfig | None = None) -> Tracker:
        return Tracker(config or CONFIG, load_body(None), Visitor())

    monkeypatch.setattr(Tracker, "open", opened)
    path = tmp_path / "visit.mp4"
    with VideoWriter(path, SIZE, Fraction(RATE)) as video:
        for i in range(FRAMES):
            video.write(i / RATE, np.full((SIZE[1], SIZE[0], 3), GREY if i >= DARK else 0, np.uint8))
    return path


def answer(clip: Path) -> Path:
    return clear_answer(EvaluationJob(clip.parent / "run"), clip, CONFIG, Interrupt())


def bench(clip: Path, *protocols: str) -> RecordedBench:
    settings = RecordedSettings("person-npz", answer(clip), protocols)
    return RecordedBench(settings, CONFIG, PictureStore(clip.parent / "cache"))


def test_the_clear_answer_covers_the_frames_in_which_somebody_is_seen(clip: Path) -> None:
    (case,) = bench(clip).cases()
    recording = case.recording
    assert len(recording) == FRAMES and recording.pictures == (clip,)
    assert not recording.valid[:DARK].any() and recording.valid[DARK:].all()
    assert recording.joints2d is not None and np.isfinite(recording.joints2d).all()


def test_the_clear_answer_is_found_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = answer(clip)
    monkeypatch.delattr(Tracker, "open")
    assert answer(clip) == first
    assert [path.name for path in (clip.parent / "run").iterdir()] == ["clear"]
    with pytest.raises(InputError, match=r"--out .*run: holds an evaluation of .*visit\.mp4; pass --overwrite"):
        answer(clip.with_name("other.mp4"))


@pytest.mark.slow
def test_an_occluder_moves_the_answer_and_a_clear_picture_does_not(clip: Path) -> None:
    able = bench(clip, "limb", "pillar", "lower-half")
    report = recorded_report(able, {case: able.run(case) for case in able.cases()})
    assert list(report.rows) == ["clean", "limb", "pillar", "lower-half"]
    clean = report.rows["clean"]["mpjpe"]
    assert clean < 15.0
    for protocol in ("limb", "pillar", "lower-half"):
        assert report.rows[protocol]["mpjpe"] > clean + 3.0, protocol
    assert any("how far occlusion moves its answers" in note for note in report.notes)
    (curves,) = report.charts
    assert (curves.y_label, set(curves.series)) == ("MPJPE, mm", set(report.rows))
    captions = [picture.caption for picture in report.pictures]
    assert len(captions) == 12 and captions[0].startswith("clean: best, ")
    pictures = np.stack([picture.image for picture in report.pictures])
    assert (pictures[:, :, :300] != pictures[:, :, -300:]).any(axis=(1, 2, 3)).all()


@pytest.mark.slow
def test_frames_by_themselves_and_the_patch_at_its_worst(clip: Path) -> None:
    """The whole of a clip once, every sixteenth frame by itself clean, under patches and under bars."""
    settings = RecordedSettings("person-npz", answer(clip), ("patch-80", "bar"), stride=144, every=16)
    able = RecordedBench(settings, CONFIG, PictureStore(clip.parent / "cache"))
    tables = {case: able.run(case) for case in able.cases()}
    assert [(len(table["found"]), set(table["frame"])) for table in list(tables.values())[1:]] == [
        (1, {16}), (4, {16}), (70, {16}),
    ]  # fmt: skip
    report = recorded_report(able, tables)
    assert list(report.rows) == ["clean", "frames alone", "patch-80, worst", "bar"]
    # of four places only, and found by all joints
    assert report.rows["patch-80, worst"]["mpjpe_visible"] > 0.8 * report.rows["frames alone"]["mpjpe_visible"]
    degrees = [x for x, _ in report.charts[0].series["bar"]]
    assert degrees == sorted(degrees) and set(degrees) <= {0, 1, 2, 3, 4, 5}


def test_an_interrupt_leaves_no_answer_and_claims_none(clip: Path) -> None:
    interrupt = Interrupt()
    interrupt.requested = True
    with pytest.raises(KeyboardInterrupt, match=r"visit\.mp4 is tracked from its start next time"):
        clear_answer(EvaluationJob(clip.parent / "stopped"), clip, CONFIG, interrupt)
    assert not list((clip.parent / "stopped").iterdir())


def test_an_empty_video_is_refused(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "short.mp4"
    with VideoWriter(path, SIZE, Fraction(RATE)) as video:
        video.write(0.0, np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    with pytest.raises(InputError, match="nobody was found"):
        answer(path)
    assert not list((tmp_path / "run").iterdir())
