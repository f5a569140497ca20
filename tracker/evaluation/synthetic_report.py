"""What the synthetic benchmark's tables amount to: its rows, its curves and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tracker.body import load_body
from tracker.body.free_body import load_free_body
from tracker.evaluation.cases import CLEAN, CLIP_PROTOCOLS, Case, SyntheticBench, SyntheticSettings
from tracker.evaluation.gallery import Body, Panel, Pick, beside, found_rows, picked, visible_error
from tracker.evaluation.grounding import grounding_figures
from tracker.evaluation.identities import MISSING, available
from tracker.evaluation.occlusion import PATCHES, SHAPES, STUDY_JOINTS
from tracker.evaluation.report import Chart, Picture, Report
from tracker.evaluation.scoring import Row
from tracker.evaluation.summary import (
    LEAST_SHOWN,
    Figures,
    Worst,
    degree_curve,
    identity_figures,
    joined,
    mean_figures,
    motion_figures,
    pose_figures,
    time_curve,
    worst_case,
)
from tracker.evaluation.synthetic import CLIP, STILL, Footage

Tables = Mapping[Case, Row]


def synthetic_report(bench: SyntheticBench, tables: Tables) -> Report:
    """The whole report; draws the pictures anew from the kept scenes."""
    rows = _still_rows(tables) | _clip_rows(tables)
    notes = _notes(bench.settings)
    return Report("Evaluation on made-up people", rows, _charts(tables), _pictures(bench, tables), notes)


def _of(tables: Tables, kind: str, protocol: str) -> list[Row]:
    """In the order of their numbers."""
    chosen = [case for case in tables if (case.kind, case.protocol) == (kind, protocol)]
    return [tables[case] for case in sorted(chosen, key=lambda case: case.number)]


def _still_rows(tables: Tables) -> dict[str, Figures]:
    clean = _of(tables, STILL, CLEAN)
    if not clean:
        return {}
    rows = {"stills": pose_figures(joined(clean))}
    for patch in PATCHES:
        worst = _worst_cases(tables, patch)
        if worst:
            rows[f"{patch}, worst"] = mean_figures([each.figures for each in worst.values()])
    return rows | {shape: pose_figures(joined(_of(tables, STILL, shape))) for shape in SHAPES}


def _worst_cases(tables: Tables, patch: str) -> dict[int, Worst]:
    """By the still's number; without those whose person is not even found in the clean picture."""
    pairs = zip(_of(tables, STILL, CLEAN), _of(tables, STILL, patch), strict=True)
    cases = {number: worst_case(clean, patches) for number, (clean, patches) in enumerate(pairs)}
    return {number: worst for number, worst in cases.items() if worst is not None}


def _clip_rows(tables: Tables) -> dict[str, Figures]:
    rows = {}
    for protocol in (CLEAN, *CLIP_PROTOCOLS):
        clips = _of(tables, CLIP, protocol)
        if clips:
            figures = pose_figures(joined(clips)) | motion_figures(clips) | identity_figures(clips)
            figures |= grounding_figures(clips)
            rows["clips" if protocol == CLEAN else f"clips, {protocol}"] = figures
    return rows


def _charts(tables: Tables) -> list[Chart]:
    clean = _of(tables, STILL, CLEAN)
    charts = []
    if clean:
        shapes = {shape: joined(_of(tables, STILL, shape)) for shape in SHAPES}
        for key, unit, label in (("mpjpe", "MPJPE, mm", "error"), ("pckh", "PCKh, %", "keypoints")):
            series = {name: degree_curve(joined(clean), table, key) for name, table in shapes.items()}
            charts.append(Chart(f"Stills: {label} against degree of occlusion", "degree of occlusion", unit, series))
    clips = {name: _of(tables, CLIP, name) for name in (CLEAN, *CLIP_PROTOCOLS)}
    if clips[CLEAN]:
        series = {name: time_curve(each) for name, each in clips.items()}
        charts.append(Chart("Clips: error over time", "time, s", "MPJPE, mm", series))
    return charts


def _notes(settings: SyntheticSettings) -> list[str]:
    notes = [
        f"Seed {settings.seed}: {settings.stills} stills and {settings.clips} clips of {settings.size.seconds:g} s at "
        f"{settings.size.rate} fps, {settings.size.width}×{settings.size.height}, the built-in body with exact truth.",
        "People walk and gesture."
        if settings.motion is None
        else f"People move as in clips of {settings.motion} that training leaves out.",
        f"Sliding patch: every {settings.stride} px of the person's 224² crop (the papers' stride is 10); worst place "
        "for each metric by relative loss on visible joints, mean over the stills.",
        f"Bar, circle, rectangle: over one of {len(STUDY_JOINTS)} joints at a time, degrees "
        f"{', '.join(map(str, settings.degrees))}; mean over joints and degrees.",
        "Visible: in the picture and not under an occluder; joints hidden by the body itself count as visible.",
        "PCKh: half a head's length, neck joint to crown. PCK: 5 % of the box's longer side. A person who is not found "
        "counts as wrong in both, and only in 'found' elsewhere.",
        f"Found visible: of the frames in which {LEAST_SHOWN:.0%} of the person's pixels or more are not hidden.",
        "Of files: as `track` leaves a clip, smoothed both ways in time and set on its floor. Planted slide: how far a "
        "tracked sole moves from frame to frame while the true one stands; contacts and floor against the scene's own.",
    ]
    return notes if available() else [*notes, MISSING + "."]


def _pictures(bench: SyntheticBench, tables: Tables) -> list[Picture]:
    """Best, median and worst of clean stills, of stills at their worst patch, and of clips under each protocol."""
    largest = list(PATCHES)[-1]
    worst = _worst_cases(tables, largest)
    groups: dict[str, list[Pick[Case]]] = {
        "stills": [Pick(Case(STILL, i, CLEAN), 0) for i in range(bench.settings.stills)],
        f"{largest}, worst place": [
            Pick(Case(STILL, i, largest), each.index) for i, each in worst.items() if each.index >= 0
        ],
    }
    for protocol in (CLEAN, *CLIP_PROTOCOLS):
        cases = [Case(CLIP, i, protocol) for i in range(bench.settings.clips)]
        groups[f"clips, {protocol}"] = [Pick(case, i) for case in cases for i in found_rows(tables[case])]
    scenes = cache(bench.store.footage)  # a few hundred megabytes for the usual three clips
    return [
        Picture(
            f"{name}: {rank}, {visible_error(tables[pick.case], pick.index):.0f} mm on visible joints",
            _side_by_side(bench, pick, tables[pick.case], scenes(pick.case.key(bench.settings))),
        )
        for name, picks in groups.items()
        for rank, pick in picked(picks, tables)
    ]


def _side_by_side(bench: SyntheticBench, pick: Pick[Case], table: Row, footage: Footage) -> NDArray[np.uint8]:
    """The occluded picture with the true body over it on the left, the tracked one on the right."""
    truth = footage.truth
    frame = 0 if pick.case.kind == STILL else pick.index
    panel = Panel(_shown(bench, pick, footage), truth.crop_box(frame))
    true = Body(load_free_body(), truth.theta[frame], truth.betas, truth.transl[frame])
    tracked = Body.tracked(load_body(bench.tracker.body), table, pick.index)
    return beside(panel.with_body(truth.camera, true), panel.with_body(truth.camera, tracked))


def _shown(bench: SyntheticBench, pick: Pick[Case], footage: Footage) -> NDArray[np.uint8]:
    """(h, w, 3) exactly what the tracker was given."""
    if pick.case.kind == STILL:
        placement = next(islice(bench.placements(pick.case, footage), pick.index, None))
        return bench.picture(pick.case, footage, placement, pick.index)
    occlusion = bench.occlusion(pick.case, footage)
    image = footage.images[pick.index]
    return image if occlusion is None else occlusion.apply(image, pick.index)
