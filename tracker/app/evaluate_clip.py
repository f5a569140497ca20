"""Any video under the occlusion protocols: without truth, but with the tracker's own answer on the clear picture.

What is measured is how far an occluder moves the answer. The clear one looks both ways in time, the occluded one only
back, as live tracking does; the row `clean` says what that alone makes.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from tracker.app.track import TrackJob, track
from tracker.core.errors import InputError
from tracker.evaluation.run import EvaluationJob
from tracker.export import ExportConfig, load_person
from tracker.export.files import RUN_NAME
from tracker.export.person_file import person_files
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt
from tracker.source import open_source

CLEAR = "clear"


def clear_answer(job: EvaluationJob, clip: Path, config: TrackerConfig, interrupt: Interrupt) -> Path:
    """The `person_NNN.npz` of the person seen longest in a video or picture, as tracked on the clear picture.

    It lies in the job's folder, in CLEAR, and is made once. Raises InputError when the clip cannot be read, when nobody
    is found in it, and when the folder holds the answer for another clip.
    """
    folder = job.out / CLEAR
    if job.overwrite or not folder.exists():
        _track(clip, folder, config, interrupt)
    source = json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))["source"]["location"]
    if Path(source).resolve() != clip.resolve():
        raise InputError(
            f"--out {job.out}: holds an evaluation of {source}; pass --overwrite to replace it, or another --out"
        )
    paths = person_files(folder)
    return max(paths, key=lambda path: len(load_person(path).frame_index))


def _track(clip: Path, folder: Path, config: TrackerConfig, interrupt: Interrupt) -> None:
    """Fills the folder, which is there only when it is whole."""
    open_source(clip).close()  # what cannot be read says so before the networks are loaded
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder.parent}: cannot be written ({error.strerror or error})") from error
    with (
        tempfile.TemporaryDirectory(dir=folder.parent) as space,
        Tracker.open(replace(config, smooth=replace(config.smooth, mode="offline"))) as tracker,
    ):
        made = Path(space) / CLEAR
        try:
            result = track(TrackJob(str(clip), made, export=ExportConfig(("npz",)), overlay=False), tracker, interrupt)
        except KeyboardInterrupt:  # what it says to be saved goes with the space
            raise KeyboardInterrupt(f"interrupted; {clip} is tracked from its start next time") from None
        if not any(path.suffix == ".npz" for path in result.files):
            raise InputError(f"{clip}: nobody was found in it, so there is nothing to compare with")
        if folder.exists():
            folder.replace(Path(space) / "old")
        made.replace(folder)
