"""The benchmark: the same scenes and figures for the same seed, runs that go on, settings that are not mixed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tracker.body import load_body
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.evaluation.benchmark import Evaluation
from tracker.evaluation.cases import CLEAN, Case, SyntheticBench, SyntheticSettings, all_cases, all_scenes
from tracker.evaluation.run import EvaluationJob, prepare, run_cases
from tracker.evaluation.synthetic import (
    CLIP,
    CROSSER,
    PARTNER,
    STILL,
    PictureSize,
    PictureStore,
    SceneKey,
    draw,
    viewpoint_of,
)
from tracker.evaluation.truth import Truth
from tracker.pipeline import TrackerConfig
from tracker.runtime.interrupt import Interrupt

SMALL = PictureSize(320, 240, 10, 4.0)
MEETING = PictureSize(320, 240, 3, 10.0)
"""Long enough for somebody to come, to stay and to leave."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PictureStore:
    return PictureStore(tmp_path_factory.mktemp("pictures"))


def test_every_scene_and_protocol_has_its_place() -> None:
    settings = SyntheticSettings(stills=2, clips=1)
    cases = all_cases(settings)
    assert len({case.name for case in cases}) == len(cases) == 2 * 6 + 6
    assert {case.protocol for case in cases if case.kind == CLIP} == {
        "clean", "limb", "pillar", "lower-half", "crossing", "contact",
    }  # fmt: skip
    assert {(key.kind, key.number) for key in all_scenes(settings)} == {
        (STILL, 0), (STILL, 1), (CLIP, 0), (CROSSER, 0), (PARTNER, 0),
    }  # fmt: skip


def test_others_share_camera_and_room_with_their_clip_and_a_partner_its_motion(tmp_path: Path) -> None:
    clip = SceneKey(3, CLIP, 1, SMALL, tmp_path)
    crosser, partner = clip.other("crossing"), clip.other("contact")
    assert crosser == SceneKey(3, CROSSER, 1, SMALL)
    assert partner == SceneKey(3, PARTNER, 1, SMALL, tmp_path)
    assert partner.clip == clip.clip == clip
    assert viewpoint_of(partner) == viewpoint_of(crosser) == viewpoint_of(clip)
    assert viewpoint_of(clip) != viewpoint_of(SceneKey(3, CLIP, 2, SMALL))
    assert len({tuple(key.rng(0).integers(2**31, size=4)) for key in (clip, crosser, partner)}) == 3


@pytest.mark.slow
def test_a_partner_comes_stands_at_the_person_and_leaves(store: PictureStore) -> None:
    key = SceneKey(3, CLIP, 0, MEETING)
    person, partner = store.footage(key), store.footage(key.other("contact"))
    count = len(person.images)
    assert count == len(partner.images)
    assert not partner.masks[0].any()
    assert not partner.masks[count - 1].any()
    middle = count // 2
    assert (person.masks[middle] & partner.masks[middle]).sum() > 0.05 * person.masks[middle].sum()
    between = (partner.truth.joints3d - person.truth.joints3d)[middle, 0]
    assert between[2] < 0 and np.linalg.norm(between) < 0.8, "nearer to the camera, within reach"
    soles = [_lowest(each.truth, key)[[0, middle]] for each in (person, partner)]
    assert np.ptp(soles) < 0.05, "m: on the same floor, near and far"
    again = draw(key.other("contact"))
    assert (again.images[middle] == partner.images[middle]).all()
    assert again.truth.transl == pytest.approx(partner.truth.transl)


def _lowest(truth: Truth, key: SceneKey) -> Array:
    """(T,) m: the height of the lower foot joint over the scene's floor."""
    T_world_camera = np.linalg.inv(viewpoint_of(key).T_camera_world)
    feet = truth.joints3d[:, [smpl_index("left_foot"), smpl_index("right_foot")]]
    return (feet @ T_world_camera[1, :3] + T_world_camera[1, 3]).min(axis=1)


@pytest.mark.slow
def test_whoever_comes_counts_for_identities(store: PictureStore) -> None:
    pytest.importorskip("mediapipe")
    settings = SyntheticSettings(seed=3, stills=0, clips=1, size=MEETING)
    case = Case(CLIP, 0, "contact")
    table = SyntheticBench(settings, TrackerConfig(), store).run(case)
    person, partner = (store.footage(key).truth for key in (case.key(settings), case.key(settings).other("contact")))
    for identity, truth in enumerate((person, partner)):
        boxes = table["true_boxes"][table["true_boxes"][:, 1] == identity]
        assert (boxes[:, 0] == np.flatnonzero(truth.present)).all()
        assert boxes[:, 2:] == pytest.approx(truth.boxes[truth.present])
    assert 0 < partner.present.sum() < person.present.sum()
    hidden = table["hidden_share"].reshape(-1)
    assert hidden[len(hidden) // 2] > 0.05
    assert hidden[0] == hidden[-1] == 0


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
