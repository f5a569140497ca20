"""What the tables of recorded people amount to: rows, curves, pictures, and what the figures can be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tracker.body import load_body
from tracker.core.crop import square_box
from tracker.core.frame import Frame
from tracker.evaluation.datasets import JointSet, Recording
from tracker.evaluation.gallery import Body, Panel, Pick, beside, found_rows, picked, visible_error
from tracker.evaluation.occlusion import PATCHES, SHAPES, STILL_PROTOCOLS
from tracker.evaluation.recorded import CLEAN, RecordedBench, RecordedCase, frames_of
from tracker.evaluation.recorded_judge import boxes
from tracker.evaluation.report import Chart, Picture, Report
from tracker.evaluation.scoring import Row
from tracker.evaluation.summary import (
    Figures,
    degree_curve,
    joined,
    mean_figures,
    motion_figures,
    pose_figures,
    time_curve,
    worst_case,
)
from tracker.evaluation.truth import CROP_MARGIN

Tables = Mapping[RecordedCase, Row]
_BONES = (
    ("pelvis", "spine"), ("spine", "neck"), ("pelvis", "neck"), ("neck", "head_top"), ("neck", "head"),
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"))),
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
    ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("pelvis", "left_hip"), ("pelvis", "right_hip"),
)  # fmt: skip


def recorded_report(bench: RecordedBench, tables: Tables) -> Report:
    """The whole report; reads the shown pictures once more."""
    groups = _groups(tables)
    rows = {name: _row(name, cases, tables) for name, cases in groups.items()}
    title = f"Evaluation on {bench.settings.dataset}"
    return Report(title, rows, _charts(groups, tables), _pictures(bench, groups, tables), _notes(bench, tables))


def _groups(tables: Tables) -> dict[str, list[RecordedCase]]:
    """The cases of each of the report's rows, by its name."""
    groups: dict[str, list[RecordedCase]] = {}
    for case in tables:
        alone = case.single and case.recording.rate is not None and case.protocol == CLEAN
        worst = ", worst" if case.protocol in PATCHES else ""
        groups.setdefault("frames alone" if alone else f"{case.protocol}{worst}", []).append(case)
    return groups


def _row(name: str, cases: Sequence[RecordedCase], tables: Tables) -> Figures:
    if cases[0].protocol in PATCHES:
        return mean_figures([figures for case in cases for figures, _ in _worst_cases(case, tables)])
    figures = pose_figures(joined([tables[case] for case in cases]))
    if cases[0].single:
        return figures
    return figures | _motion(cases, tables) | {"switches": float(sum(_switches(tables[case]) for case in cases))}


def _worst_cases(case: RecordedCase, tables: Tables) -> list[tuple[Figures, int]]:
    """For each frame the figures at the worst place of the patch, and the table's row of that for MPJPE."""
    clean_case = next(
        each for each in tables if (each.number, each.protocol, each.single) == (case.number, CLEAN, case.single)
    )
    clean, patches = tables[clean_case], tables[case]
    cases: list[tuple[Figures, int]] = []
    for frame in np.unique(patches["frame"]):
        rows = np.flatnonzero(patches["frame"] == frame)
        worst = worst_case(_chosen(clean, clean["frame"] == frame), _chosen(patches, rows))
        if worst is not None:
            cases.append((worst.figures, int(rows[worst.index]) if worst.index >= 0 else -1))
    return cases


def _chosen(table: Row, rows: NDArray) -> Row:
    return {name: values[rows] for name, values in table.items()}


def _motion(cases: Sequence[RecordedCase], tables: Tables) -> Figures:
    """Feet slide only before a camera that stands still; the ankles are the feet that every set has."""
    judged = cases[0].recording.joint_set.judged
    still = all(case.recording.still_camera for case in cases)
    feet = [judged.index(name) for name in ("left_ankle", "right_ankle")] if still else []
    return motion_figures([tables[case] for case in cases], feet)


def _switches(table: Row) -> int:
    """How often the annotated person's identity changes from one frame in which they are found to the next."""
    ids = table["person_id"][table["found"]]
    return int((ids[1:] != ids[:-1]).sum())


def _charts(groups: Mapping[str, Sequence[RecordedCase]], tables: Tables) -> list[Chart]:
    charts = []
    shapes = {name: joined([tables[case] for case in groups[name]]) for name in SHAPES if name in groups}
    if shapes:
        clean = joined([tables[case] for case in groups.get("frames alone", groups[CLEAN])])
        for key, unit in (("mpjpe", "MPJPE, mm"), ("pck", "PCK, %")):
            series = {name: degree_curve(clean, table, key) for name, table in shapes.items()}
            charts.append(
                Chart(f"{unit.split(',')[0]} against degree of occlusion", "degree of occlusion", unit, series)
            )
    clips = {name: [tables[case] for case in cases] for name, cases in groups.items() if not cases[0].single}
    if clips:
        series = {name: time_curve(each) for name, each in clips.items()}
        charts.append(Chart("Clips: error over time", "time, s", "MPJPE, mm", series))
    return [chart for chart in charts if any(np.isfinite(y) for line in chart.series.values() for _, y in line)]


def _notes(bench: RecordedBench, tables: Tables) -> list[str]:
    settings, recordings = bench.settings, {case.number: case.recording for case in tables}
    joint_set = next(iter(recordings.values())).joint_set
    count = "1 recording" if len(recordings) == 1 else f"{len(recordings)} recordings"
    answers = f"answers from {settings.predicted}" if settings.predicted else "tracked here"
    notes = [
        f"{settings.dataset} from {settings.path}: {count}, {answers}; seed {settings.seed}.",
        _joints_note(bench, joint_set),
        "Visible: annotated, in the picture and not under an occluder. PCK: 5 % of the box's longer side; PCKh: half a "
        "head's length, neck to top. A person who is not found counts as wrong in both, and only in 'found' elsewhere.",
    ]
    if settings.dataset == "person-npz":
        notes.append(
            "The truth is what an earlier run of a tracker gave: figures say how far occlusion moves its answers."
        )
    if set(settings.protocols) & set(PATCHES):
        notes.append(
            f"Sliding patch: every {settings.stride} px of the person's 224² crop (the papers' stride is 10); worst "
            "place for each metric by relative loss on visible joints, mean over the frames."
        )
    if set(settings.protocols) & set(STILL_PROTOCOLS) and any(each.rate is not None for each in recordings.values()):
        notes.append(f"Stills' protocols and 'frames alone': every {settings.every}. frame, each with a fresh tracker.")
    return notes


def _joints_note(bench: RecordedBench, joint_set: JointSet) -> str:
    settings = bench.settings
    text = f"Joints {joint_set.name}: {joint_set.convention}."
    if joint_set.name == "smpl24":
        regressed = settings.regressor is not None and settings.truth_bodies is not None
        return (
            "Joints: the papers' 14, regressed from tracked and true mesh."
            if regressed
            else (f"{text} The papers' 14 regressed joints need --regressor, --truth-bodies and --body.")
        )
    if settings.regressor is None:
        return f"{text} Without --regressor only SMPL's joints of the same names are compared: not the papers' figures."
    return text


def _pictures(bench: RecordedBench, groups: Mapping[str, Sequence[RecordedCase]], tables: Tables) -> list[Picture]:
    """Best, median and worst of each row; of patches at their worst places."""
    shown = []
    for name, cases in groups.items():
        picks = [Pick(case, row) for case in cases for row in _rows_to_show(case, tables)]
        for rank, pick in picked(picks, tables):
            error = visible_error(tables[pick.case], pick.index)
            unit = "mm" if pick.case.recording.joints3d is not None else "% of the box"
            caption = f"{name}: {rank}, {error:.{0 if unit == 'mm' else 1}f} {unit} on visible joints"
            image = _side_by_side(bench, pick, tables[pick.case])
            shown.append(Picture(caption, image, ("annotated joints", "tracked")))
    return shown


def _rows_to_show(case: RecordedCase, tables: Tables) -> list[int]:
    if case.protocol in PATCHES:
        return [row for _, row in _worst_cases(case, tables) if row >= 0]
    return found_rows(tables[case])


def _side_by_side(bench: RecordedBench, pick: Pick[RecordedCase], table: Row) -> NDArray[np.uint8]:
    """The occluded picture with the annotated joints on the left, with the tracked body on the right."""
    recording, frame_index = pick.case.recording, int(table["frame"][pick.index])
    with closing(frames_of(recording)) as frames:
        frame = next(islice(frames, frame_index, None))
    image = _shown(bench, pick, frame, int(table["index"][pick.index]))
    body = Body.tracked(load_body(bench.tracker.body), table, pick.index)
    camera = bench.tracker.camera.for_size(*frame.size)
    flat = recording.joints2d
    box = boxes(recording)[frame_index] if flat is not None else np.array([0.0, 0.0, *frame.size])
    panel = Panel(image, square_box(box, CROP_MARGIN))
    points = (
        np.zeros((0, 2)) if flat is None else np.where(recording.valid[frame_index, :, None], flat[frame_index], np.nan)
    )
    return beside(panel.with_points(points, _edges(recording)), panel.with_body(camera, body))


def _shown(bench: RecordedBench, pick: Pick[RecordedCase], frame: Frame, placement_index: int) -> NDArray[np.uint8]:
    """(h, w, 3) exactly what the tracker was given."""
    case = pick.case
    if case.single:
        placement = next(islice(bench.placements(case, frame), placement_index, None))
        return bench.picture(case, frame, placement, placement_index)
    if case.protocol == CLEAN:
        return frame.image
    return bench.occlusion(case, frame).apply(frame.image, frame.index)


def _edges(recording: Recording) -> list[tuple[int, int]]:
    """The bones between joints that the set has."""
    names = recording.joint_set.joints
    return [(names.index(a), names.index(b)) for a, b in _BONES if a in names and b in names]
