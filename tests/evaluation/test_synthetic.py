"""The benchmark: the same scenes and figures for the same seed, runs that go on, settings that are not mixed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tracker.body import load_body
from tracker.core.errors import InputError
from tracker.evaluation.benchmark import Evaluation
from tracker.evaluation.cases import CLEAN, Case, SyntheticBench, SyntheticSettings, all_cases, all_scenes
from tracker.evaluation.run import EvaluationJob, prepare, run_cases
from tracker.evaluation.synthetic import CLIP, CROSSER, STILL, PictureSize, PictureStore, SceneKey, draw
from tracker.pipeline import TrackerConfig
from tracker.runtime.interrupt import Interrupt

SMALL = PictureSize(320, 240, 10, 4.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PictureStore:
    return PictureStore(tmp_path_factory.mktemp("pictures"))


def test_every_scene_and_protocol_has_its_place() -> None:
    settings = SyntheticSettings(stills=2, clips=1)
    cases = all_cases(settings)
    assert len({case.name for case in cases}) == len(cases) == 2 * 6 + 5
    assert {(key.kind, key.number) for key in all_scenes(settings)} == {
        (STILL, 0), (STILL, 1), (CLIP, 0), (CROSSER, 0),
    }  # fmt: skip


@pytest.mark.slow
def test_kept_pictures_are_the_drawn_ones(store: PictureStore) -> None:
    key = SceneKey(3, STILL, 0, SMALL)
    drawn, kept, again = draw(key), store.footage(key), store.footage(key)
    assert (drawn.images[0] == kept.images[0]).all()
    assert (kept.images[0] == again.images[0]).all()
    assert (drawn.masks[0] == kept.masks[0]).all()
    assert kept.truth.joints3d == pytest.approx(drawn.truth.joints3d)
    assert not (draw(SceneKey(4, STILL, 0, SMALL)).images[0] == drawn.images[0]).all()


@pytest.mark.slow
def test_the_truth_lies_on_the_picture(store: PictureStore) -> None:
    """The posed body's vertices are where the person is drawn; clothes add a little around them."""
    footage = store.footage(SceneKey(3, STILL, 0, SMALL))
    truth, mask = footage.truth, footage.masks[0]
    vertices = truth.posed(load_body(), 0).vertices().numpy().astype(float)
    column, row = np.floor(truth.camera.project(vertices)).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
    assert mask[row[inside], column[inside]].mean() > 0.97
    assert mask.any()


@pytest.fixture
def caches(store: PictureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.evaluation.benchmark.picture_cache", lambda: store.folder)


@pytest.mark.slow
@pytest.mark.usefixtures("caches")
def test_two_runs_agree_and_a_stopped_one_goes_on(tmp_path: Path) -> None:
    """Two processes from beginning to end; one that goes on where a run was stopped, without its last cases."""
    pytest.importorskip("mediapipe")
    settings = SyntheticSettings(seed=3, stills=1, clips=0, stride=144, degrees=(5,), size=SMALL)
    job = EvaluationJob(tmp_path / "run", workers=2)
    text = Evaluation(job, TrackerConfig()).synthetic(settings, Interrupt())
    assert "patch-80, worst" in text
    stopped = EvaluationJob(tmp_path / "stopped", workers=1)
    shutil.copytree(job.out, stopped.out, ignore=shutil.ignore_patterns("summary.json"))
    for name in ("patch-80", "circle"):
        (stopped.out / "cases" / f"still_000_{name}.npz").unlink()
    again = Evaluation(stopped, TrackerConfig(), [job.out]).synthetic(settings, Interrupt())
    assert (stopped.out / "summary.json").read_bytes() == (job.out / "summary.json").read_bytes()
    assert "run − stopped" in again
    assert "data:image/jpeg" in (job.out / "report.html").read_text(encoding="utf-8")


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    prepare(EvaluationJob(tmp_path), {"seed": 1})
    prepare(EvaluationJob(tmp_path), {"seed": 1})
    with pytest.raises(InputError, match=r"holds an evaluation of other settings .*--overwrite"):
        prepare(EvaluationJob(tmp_path), {"seed": 2})
    (tmp_path / "cases" / "still_000_clean.npz").write_bytes(b"old")
    prepare(EvaluationJob(tmp_path, overwrite=True), {"seed": 2})
    assert not list((tmp_path / "cases").iterdir())


def test_an_interrupt_stops_before_anything_new(tmp_path: Path) -> None:
    interrupt = Interrupt()
    interrupt.requested = True
    bench = SyntheticBench(SyntheticSettings(stills=1, clips=0), TrackerConfig(), PictureStore(tmp_path / "cache"))
    with pytest.raises(KeyboardInterrupt):
        run_cases(EvaluationJob(tmp_path / "run", workers=1), bench, interrupt)
    assert not list((tmp_path / "run" / "cases").iterdir())


@pytest.mark.slow
def test_the_tracker_gets_a_picture_and_nothing_of_the_truth(
    store: PictureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mediapipe")
    from tracker.core.frame import Frame
    from tracker.pipeline import Tracker

    seen: list[object] = []
    real = Tracker.step
    monkeypatch.setattr(Tracker, "step", lambda self, frame: seen.append(frame) or real(self, frame))
    settings = SyntheticSettings(seed=3, stills=1, clips=0, size=SMALL)
    table = SyntheticBench(settings, TrackerConfig(), store).run(Case(STILL, 0, CLEAN))
    assert [type(frame) for frame in seen] == [Frame]
    assert table["error"].shape == (1, 24)
