"""Recordings of a live run: what fails of one leaves nothing behind for the next."""

from __future__ import annotations

import gc
import os
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.export_scene import CAMERA, frames_of
from tests.full_disk import files_no_larger_than
from tracker.body import load_body
from tracker.core.errors import RunError
from tracker.core.frame import Frame
from tracker.export import ExportConfig, RunContext, RunHeader, RunSummary
from tracker.export.files_config import FilesConfig
from tracker.export.run_lock import RunLock
from tracker.outputs.recorder import Recorder

BODY = load_body(None)
CONTEXT = RunContext(CAMERA, BODY, 25.0, files=FilesConfig(report=False))
HEADER = RunHeader(config={}, device="cpu", engine="torch", source={"name": "camera"})
RECORDS = frames_of(BODY, [i / 25 for i in range(40)], ids=(0,))
NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
FIRST = Frame(0, 0.0, NOISE)


def recorder(folder: Path) -> Recorder:
    return Recorder(folder, ExportConfig(("npz", "jsonl")), CONTEXT, HEADER, FIRST, None)


def fail(folder: Path) -> None:
    recording = recorder(folder)
    with files_no_larger_than(300):
        with suppress(RunError):
            for record in RECORDS:
                recording.send(Frame(record.index, record.time, NOISE), record.people, NOISE)
        with pytest.raises(RunError):
            recording.finish(RunSummary(), interrupted=True)


def test_a_recording_that_fails_lets_its_folder_and_all_files_go(tmp_path: Path) -> None:
    fail(tmp_path / "warm")
    before = len(os.listdir("/proc/self/fd"))
    fail(tmp_path / "full")
    assert len(os.listdir("/proc/self/fd")) == before
    RunLock(tmp_path / "full").release()  # nobody has it


def test_nothing_holds_a_recording_that_has_ended(tmp_path: Path) -> None:
    recording = recorder(tmp_path / "good")
    for record in RECORDS[:5]:
        recording.send(Frame(record.index, record.time, NOISE), record.people, NOISE)
    result = recording.finish(RunSummary())
    assert result.frames == 5
    gone = weakref.ref(recording)
    del recording
    gc.collect()
    assert gone() is None
