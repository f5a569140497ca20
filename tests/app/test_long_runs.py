"""The end of a long run: what it takes of memory does not depend on its length, and its windows leave no seams."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.memory import RATE, MadeUpPeople, write_run
from tracker.body import load_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.camera import CameraConfig
from tracker.core.person import FrameRecord
from tracker.export import frame_store, load_person, scratch, sequence
from tracker.smooth import smoothed_frames
from tracker.world import estimate, windows

PERSONS = PersonBuilder(load_body(None))
CAMERA = CameraConfig().for_size(1280, 720)


@pytest.fixture(scope="module")
def people() -> MadeUpPeople:
    return MadeUpPeople(PERSONS, CAMERA)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short run is long against what is held of it at a time."""
    monkeypatch.setattr(scratch, "_IN_MEMORY", 1000)
    monkeypatch.setattr(frame_store, "_IN_MEMORY", 1000)
    monkeypatch.setattr(sequence, "_TOGETHER", 64)
    monkeypatch.setattr(smoothed_frames, "_TOGETHER", 32)
    monkeypatch.setattr(estimate, "_MOST_ROWS_TOGETHER", 60)
    monkeypatch.setattr(windows, "_SECONDS", 2.0)
    monkeypatch.setattr(windows, "_BESIDE", 0.5)


def test_only_a_part_of_a_long_run_is_in_memory(
    people: MadeUpPeople, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, alive, most = frame_store.FrameStore.frames, 0, 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def counted(store: frame_store.FrameStore, chosen: slice = slice(None)) -> Iterator[FrameRecord]:
        nonlocal alive, most
        for record in read(store, chosen):
            alive, most = alive + 1, max(most, alive + 1)
            weakref.finalize(record, gone)
            yield record

    monkeypatch.setattr(frame_store.FrameStore, "frames", counted)
    write_run(people, PERSONS, CAMERA, 450, tmp_path / "run")
    assert 60 < most < 200, "frames; a window with what lies beside it"
    gc.collect()
    assert alive == 0


def test_windows_leave_what_one_piece_leaves(
    people: MadeUpPeople, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(people, PERSONS, CAMERA, 12 * RATE, tmp_path / "whole")
    monkeypatch.setattr(windows, "_SECONDS", 4.0)
    monkeypatch.setattr(windows, "_BESIDE", 2.0)
    write_run(people, PERSONS, CAMERA, 12 * RATE, tmp_path / "parts")
    for name in ("person_000.npz", "person_001.npz"):
        whole, parts = load_person(tmp_path / "whole" / name), load_person(tmp_path / "parts" / name)
        apart = np.linalg.norm(parts.joints3d - whole.joints3d, axis=2)
        assert apart.max() < 0.01, "m, a third of what the distances shake by"
        assert np.median(apart) < 0.003, "m: in four seconds a foot's place is told from fewer frames"
        steps = np.linalg.norm(np.diff(parts.joints3d, axis=0), axis=2).max(axis=1)
        assert steps[3 * RATE : 9 * RATE].max() < 1.2 * steps[: 3 * RATE].max(), "nobody jumps where windows meet"
        assert (parts.contacts == whole.contacts).mean() > 0.99


def test_blocks_are_smoothed_as_all_at_once(people: MadeUpPeople, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [replace(each, people=each.people[: 1 + (each.index > 40)]) for each in people.frames(150)]
    frames[70:90] = [replace(each, people=each.people[1:]) for each in frames[70:90]]
    frames[100] = FrameRecord(100, frames[100].time, [])

    def smoothed() -> list[FrameRecord]:
        betas = smoothed_frames.last_betas(frames)
        config = smoothed_frames.SavitzkyConfig()
        return list(smoothed_frames.smoothed_frames(frames, betas, PERSONS, CAMERA, config))

    whole = smoothed()
    monkeypatch.setattr(smoothed_frames, "_TOGETHER", 16)
    for one, other in zip(whole, smoothed(), strict=True):
        assert [person.person_id for person in one.people] == [person.person_id for person in other.people]
        for mine, theirs in zip(one.people, other.people, strict=True):
            np.testing.assert_allclose(mine.joints3d, theirs.joints3d, atol=1e-9)


def test_each_row_is_one_windows_own() -> None:
    times = np.concatenate([np.arange(0, 200, 0.5), [900.0], np.arange(1000, 1070, 0.5)])
    parts = list(windows.windows(times))
    assert np.concatenate([np.arange(len(times))[part.own] for part in parts]).tolist() == list(range(len(times)))
    for one, other in pairwise(parts):
        assert one.fade_out == other.fade_in and one.fade_out.start <= other.own.start < one.fade_out.stop
        assert one.known.stop >= one.fade_out.stop and other.known.start <= other.fade_in.start
    assert parts[-1].own.stop - parts[-1].own.start == 140, "a short rest is not a window of its own"
