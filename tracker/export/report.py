"""report.html: a run at a glance, in one file that needs nothing else: how people moved, and how sure that is."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.export.contact_sheet import Snapshot
from tracker.export.grid import gaps
from tracker.export.joint_angles import joint_angles
from tracker.export.line_chart import COLOURS, STYLE, Chart, chart_svg
from tracker.export.sequence import PersonSequence
from tracker.world.contact_parts import CONTACT_PARTS

_POINTS = 400
"""Of a curve at most: a screen shows no more."""
_PICTURES = 12
_MOST_PEOPLE = 20
"""With charts of their own; the longest seen first."""
_SPEED_SECONDS = 0.1
"""Over which speeds are told."""
_WIDTH, _ROW, _LEFT, _RIGHT = 560, 18, 90, 14
"""px of the contact timeline."""


@dataclass(frozen=True)
class RunReport:
    """What is told of a run."""

    title: str
    seconds: float
    """Of the run, from its first frame to its last."""
    people: Sequence[PersonSequence]
    """On the run's grid."""
    pictures: Sequence[Snapshot]
    notes: Sequence[str]


def report_page(report: RunReport) -> str:
    """The page."""
    return "\n".join(_page(report))


def _page(report: RunReport) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(report.title)}</title><style>{STYLE}</style></head><body>"
    yield f"<h1>{escape(report.title)}</h1><ul>"
    yield f"<li>{report.seconds:.1f} s, {_counted(len(report.people), 'person', 'people')}</li>"
    yield from (f"<li>{escape(note)}</li>" for note in report.notes)
    yield "</ul>"
    yield from _sheet(report.pictures)
    people = sorted(report.people, key=lambda person: -int(person.tracked.sum()))[:_MOST_PEOPLE]
    if len(people) < len(report.people):
        yield f"<p>The {len(people)} who are seen longest:</p>"
    if people:
        yield f'<h2>Paths from above</h2><div class="grid"><figure>{chart_svg(_paths_chart(people))}</figure></div>'
    for person in sorted(people, key=lambda each: each.person_id):
        yield from _person(person)
    yield "</body></html>"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _sheet(pictures: Sequence[Snapshot]) -> Iterator[str]:
    if not pictures:
        return
    yield '<h2>Pictures</h2><div class="grid" style="grid-template-columns:repeat(auto-fill,minmax(200px,1fr))">'
    for number in sorted({round(i) for i in np.linspace(0, len(pictures) - 1, min(_PICTURES, len(pictures)))}):
        encoded, caption = base64.b64encode(pictures[number].jpeg).decode(), f"{pictures[number].time:.2f} s"
        yield f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{encoded}"><figcaption>{caption}</figcaption>'
        yield "</figure>"
    yield "</div>"


def _person(person: PersonSequence) -> Iterator[str]:
    seconds, absent = person.tracked.sum() / person.timeline.frame_rate, gaps(person)
    yield f"<h2>Person {person.person_id}</h2><ul>"
    start, end = person.seconds[[0, -1]]
    yield f"<li>from {start:.2f} to {end:.2f} s, tracked for {seconds:.2f} s</li>"
    if absent:
        shown = ", ".join(f"{a:.2f}–{b:.2f}" for a, b in absent[:20])
        yield f"<li>{_counted(len(absent), 'gap', 'gaps')}: {shown}{' …' if len(absent) > 20 else ''} s</li>"
    yield '</ul><div class="grid">'
    for chart in _charts(person):
        yield f"<figure>{chart_svg(chart)}<figcaption>{escape(chart.title)}</figcaption></figure>"
    if person.in_world:
        yield f"<figure>{_contact_timeline(person)}<figcaption>On the floor</figcaption></figure>"
    yield "</div>"


def _charts(person: PersonSequence) -> Iterator[Chart]:
    every = max(1, len(person.timestamps) // _POINTS)
    shown = np.arange(0, len(person.timestamps), every)
    speeds = {name: _speeds(person, smpl_index(joint), shown) for name, joint in _FASTEST.items()}
    person = person.rows(shown)
    angles = joint_angles(person)
    for title, names in _ANGLES.items():
        yield _over_time(person, title, "degrees", {name.replace("_", " "): angles[name] for name in names})
    yield _over_time(person, "Speed", "m/s", speeds)
    joints = person.joints_y_up.astype(float)
    pelvis, feet = joints[:, 0], joints[:, [smpl_index("left_ankle"), smpl_index("right_ankle")], 1]
    heights = {"pelvis": pelvis[:, 1], "left ankle": feet[:, 0], "right ankle": feet[:, 1]}
    where = "Height over the floor" if person.in_world else "Height against the camera"
    yield _over_time(person, where, "m", heights)
    confidence = person.joint_confidence.astype(float)
    lowest = {"mean of all joints": confidence.mean(axis=1), "least": confidence.min(axis=1)}
    yield _over_time(person, "How far the picture supports it", "0..1", lowest)


_FASTEST = {"pelvis": "pelvis", "left hand": "left_hand", "right hand": "right_hand"}
"""Name of a curve and the joint whose speed it is."""
_ANGLES = {
    "Knees and hips": ("left_knee_flexion", "right_knee_flexion", "left_hip_flexion", "right_hip_flexion"),
    "Trunk and pelvis": ("trunk_flexion", "trunk_lateral_bend", "trunk_rotation", "pelvis_tilt"),
    "Arms": ("left_shoulder_flexion", "right_shoulder_flexion", "left_elbow_flexion", "right_elbow_flexion"),
}


def _over_time(person: PersonSequence, title: str, unit: str, curves: dict[str, Array]) -> Chart:
    """Curves that are interrupted where the person was not tracked."""
    times = person.seconds
    series = {
        name: list(zip(times.tolist(), np.where(person.tracked, values, np.nan).tolist(), strict=True))
        for name, values in curves.items()
    }
    return Chart(title, "s", unit, series)


def _speeds(person: PersonSequence, joint: int, rows: NDArray[np.intp]) -> Array:
    """(n,) m/s of a joint in these rows (n,) of the grid."""
    step, last = max(1, round(_SPEED_SECONDS * person.timeline.frame_rate)), len(person.timestamps) - 1
    after, before = np.minimum(rows + step, last), np.maximum(rows - step, 0)
    seconds = np.maximum(after - before, 1) / person.timeline.frame_rate
    moved = person.joints3d[after, joint].astype(float) - person.joints3d[before, joint]
    return np.linalg.norm(moved, axis=1) / seconds


def _paths_chart(people: Sequence[PersonSequence]) -> Chart:
    """The pelvis' way over the floor, the camera below."""
    series = {}
    for person in sorted(people, key=lambda each: each.person_id)[: len(COLOURS)]:
        shown = person.rows(slice(None, None, max(1, len(person.timestamps) // _POINTS)))
        x, _, z = np.where(shown.tracked[:, None], shown.joints_y_up[:, 0], np.nan).T
        series[f"person {person.person_id}"] = list(zip(x.tolist(), (-z).tolist(), strict=True))
    return Chart("Paths from above", "m to the right", "m away from the camera", series)


def _contact_timeline(person: PersonSequence) -> str:
    """A row a part, a bar while it touches the floor."""
    start, end = person.seconds[[0, -1]]
    step = 1 / person.timeline.frame_rate
    scale = (_WIDTH - _LEFT - _RIGHT) / max(end - start + step, step)
    height = _ROW * len(CONTACT_PARTS) + 24
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="contacts">']
    for row, name in enumerate(CONTACT_PARTS):
        y = _ROW * row + 4
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{name.replace("_", " ")}</text>')
        parts.append(f'<path d="M{_LEFT} {y + _ROW - 3.5:.1f}H{_WIDTH - _RIGHT}" stroke="var(--line)"/>')
        edges = np.flatnonzero(np.diff(np.concatenate([[False], person.contacts[:, row], [False]]).astype(int)))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            x, width = _LEFT + scale * step * a, max(1.0, scale * step * (b - a))
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="12" fill="{COLOURS[row % 2]}"/>')
    for share in (0.0, 0.5, 1.0):
        x, anchor = _LEFT + share * (_WIDTH - _LEFT - _RIGHT), ("start", "middle", "end")[round(2 * share)]
        time = start + share * (end - start)
        parts.append(f'<text x="{x:.0f}" y="{height - 6}" text-anchor="{anchor}">{time:.1f} s</text>')
    return "".join([*parts, "</svg>"])
