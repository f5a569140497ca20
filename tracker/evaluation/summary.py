"""From tables of frames to the figures of a report: one row a protocol, curves against degree and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.evaluation.identities import Boxes, IdentityScores, available, identity_scores
from tracker.evaluation.metrics import acceleration_errors, foot_sliding, jerks, mean
from tracker.evaluation.scoring import Row
from tracker.evaluation.segmentation import accuracy, f1_score, silhouette

PCKH_THRESHOLD, PCK_THRESHOLD = 0.5, 0.05
"""Head lengths; longer sides of the box."""
LEAST_SHOWN = 0.2
"""Share of a person's pixels from which on somebody can be found: of who stands behind a pillar, nothing shows."""
FEET = [smpl_index(name) for name in ("left_ankle", "right_ankle", "left_foot", "right_foot")]
"""Of SMPL's joints, those that stand still when the person does."""
_LONGEST_STEPS = 1.5
"""Of the usual time between frames: farther apart there is no motion to speak of."""


@dataclass(frozen=True)
class Metric:
    """A column of the report."""

    key: str
    label: str
    unit: str
    digits: int
    higher_is_better: bool = False


def _both(key: str, label: str, unit: str, digits: int, higher: bool = False) -> tuple[Metric, Metric]:
    """Over everything, and over what can be seen."""
    return (
        Metric(key, label, unit, digits, higher),
        Metric(f"{key}_visible", f"{label} visible", unit, digits, higher),
    )


METRICS = (
    *_both("found", "found", "%", 1, True),
    *_both("mpjpe", "MPJPE", "mm", 1),
    *_both("pa_mpjpe", "PA-MPJPE", "mm", 1),
    *_both("pve", "PVE", "mm", 1),
    *_both("pckh", "PCKh", "%", 1, True),
    *_both("pck", "PCK", "%", 1, True),
    *_both("angle", "angle", "°", 1),
    *_both("root", "root", "mm", 0),
    *_both("silhouette_accuracy", "silhouette acc.", "%", 1, True),
    *_both("silhouette_f1", "silhouette F1", "%", 1, True),
    *_both("part_accuracy", "part acc.", "%", 1, True),
    *_both("part_f1", "part F1", "%", 1, True),
    *_both("acceleration", "accel. error", "m/s²", 2),
    *_both("jitter", "jitter", "m/s³", 0),
    Metric("true_jitter", "true jitter", "m/s³", 0),
    *_both("foot_sliding", "foot sliding", "mm/s", 0),
    Metric("file_mpjpe", "MPJPE of files", "mm", 1),
    Metric("file_depth", "depth of files", "%", 1),
    Metric("slide", "planted slide", "mm", 1),
    Metric("contact_f1", "contact F1", "%", 1, True),
    Metric("floor_tilt", "floor tilt", "°", 1),
    Metric("idf1", "IDF1", "%", 1, True),
    Metric("hota", "HOTA", "%", 1, True),
    Metric("switches", "id switches", "", 0),
)

Figures = dict[str, float]
"""By Metric.key; what was not measured is absent, what has no value is NaN."""


def joined(tables: Sequence[Row]) -> Row:
    """Tables one below the other, with the columns that count one value a frame."""
    names = [name for name in tables[0] if not name.endswith("_boxes")]
    return {name: np.concatenate([table[name] for table in tables]) for name in names}


def pose_figures(table: Row) -> Figures:
    """Everything that frames say by themselves, over the frames in which the person is in the picture."""
    rows = {name: values[table["asked"]] for name, values in table.items() if not name.endswith("_boxes")}
    visible = rows["visible"]
    figures = _found_figures(rows)
    for key, name in (("mpjpe", "error"), ("angle", "angle")):
        figures |= {key: mean(rows[name]), f"{key}_visible": mean(rows[name], visible)}
    figures |= {"pa_mpjpe": mean(rows["aligned"]), "pa_mpjpe_visible": mean(rows["aligned_visible"])}
    figures |= {"pve": mean(rows["vertices"][:, 0]), "pve_visible": mean(rows["vertices"][:, 1])}
    for key, name, limit in (("pckh", "head_units", PCKH_THRESHOLD), ("pck", "box_units", PCK_THRESHOLD)):
        hit = _hits(rows[name], limit)
        figures |= {key: mean(hit), f"{key}_visible": mean(hit, visible)}
    root = np.linalg.norm(rows["root"], axis=-1)
    figures |= {"root": mean(root), "root_visible": mean(root, rows["root_seen"])}
    return figures | (_pixel_figures(rows["confusion"]) if "confusion" in rows else {})


def _found_figures(rows: Row) -> Figures:
    """How often the person is found at all, and, where it is known how much of them something hides, how often of the
    frames in which enough of them shows."""
    percent = 100.0 * rows["found"]
    if "hidden_share" not in rows:
        return {"found": mean(percent)}
    return {"found": mean(percent), "found_visible": mean(percent, rows["hidden_share"] <= 1 - LEAST_SHOWN)}


def _hits(distances: Array, limit: float) -> Array:
    """100 or 0; NaN where there is no truth. A person who was not found is infinitely far away."""
    return np.where(np.isnan(distances), np.nan, 100.0 * (distances < limit))


def _pixel_figures(confusions: NDArray[np.int64]) -> Figures:
    """confusions: (N, 2, 7, 7), all pixels and the uncovered ones."""
    figures: Figures = {}
    for suffix, counts in zip(("", "_visible"), confusions.sum(axis=0), strict=True):
        whole = silhouette(counts)
        figures[f"silhouette_accuracy{suffix}"] = 100 * accuracy(whole)
        figures[f"silhouette_f1{suffix}"] = 100 * f1_score(whole)
        figures[f"part_accuracy{suffix}"] = 100 * accuracy(counts)
        figures[f"part_f1{suffix}"] = 100 * f1_score(counts)
    return figures


def motion_figures(clips: Sequence[Row], feet: Sequence[int] = FEET) -> Figures:
    """What only neighbours in time can tell, over all clips together.

    feet: the joints whose sliding is measured; none where the camera moves.
    """
    values: dict[str, list[Array]] = {}
    for clip in clips:
        for key, each in _clip_motion(clip, list(feet)).items():
            values.setdefault(key, []).append(each.ravel())
    return {key: mean(np.concatenate(each)) for key, each in values.items()}


def _clip_motion(clip: Row, feet: list[int]) -> dict[str, Array]:
    times, true = clip["time"], clip["true3d"]
    if len(times) < 2:
        return {}
    longest = _LONGEST_STEPS * float(np.median(np.diff(times)))
    motion: dict[str, Array] = {"true_jitter": jerks(times, true, longest)}
    for suffix, counted in (("", np.ones_like(clip["visible"])), ("_visible", clip["visible"])):
        # NaN spreads to every difference that a hidden joint takes part in, and the mean leaves it out
        places = np.where(counted[..., None], clip["joints3d"], np.nan)
        motion[f"acceleration{suffix}"] = acceleration_errors(times, places, true, longest) / 1000
        motion[f"jitter{suffix}"] = jerks(times, places, longest)
        if feet:
            motion[f"foot_sliding{suffix}"] = foot_sliding(times, places[:, feet], true[:, feet], longest)
    return motion


def identity_figures(clips: Sequence[Row]) -> Figures:
    """The mean of IDF1 and HOTA over the clips, and the sum of the switches; nothing without the package."""
    if not available():
        return {}
    scores = [_clip_identities(clip) for clip in clips]
    return {
        "idf1": 100 * mean(np.array([score.idf1 for score in scores])),
        "hota": 100 * mean(np.array([score.hota for score in scores])),
        "switches": float(sum(score.switches for score in scores)),
    }


def _clip_identities(clip: Row) -> IdentityScores:
    count = len(clip["time"])
    truth, tracked = (_frames(clip[name], count) for name in ("true_boxes", "tracked_boxes"))
    # where nobody is asked for, nobody is wrong
    kept = [i for i in range(count) if clip["asked"][i]]
    return identity_scores([truth[i] for i in kept], [tracked[i] for i in kept])


def _frames(boxes: Array, count: int) -> list[Boxes]:
    """(N, 6) frame, identity, box → one a frame."""
    chosen = [boxes[boxes[:, 0] == i] for i in range(count)]
    return [Boxes(each[:, 1].astype(np.int64), each[:, 2:]) for each in chosen]


@dataclass(frozen=True)
class Worst:
    """The placements of one still that do the most harm."""

    figures: Figures
    """Each metric at the placement that is worst for it."""
    index: int
    """The placement that is worst for MPJPE; -1 where the person was never found."""


def worst_case(clean: Row, placements: Row) -> Worst | None:
    """The adversarial figures of one still: per metric the placement with the largest relative loss on visible joints.

    The loss is measured against the clean picture's figure over the same joints. A placement at which the person is not
    found has no distance to judge: it counts in `found` and as 0 in PCKh. None when the clean picture's person was not
    found.
    """
    if not clean["found"][0]:
        return None
    figures: Figures = {"found": 100 * mean(placements["found"].astype(float))}
    worst_index = -1
    for key in ("mpjpe", "pa_mpjpe", "pve", "pckh", "pck", "angle"):
        value, before = _visible_figures(key, placements), _visible_figures(key, clean, placements["visible"])
        with np.errstate(invalid="ignore", divide="ignore"):
            loss = (before - value) / before if key in ("pckh", "pck") else (value - before) / before
        loss = np.where(np.isfinite(loss), loss, np.nan)
        if np.isnan(loss).all():
            continue
        index = int(np.nanargmax(loss))
        figures[f"{key}_visible"] = float(value[index])
        figures[key] = pose_figures({name: each[index : index + 1] for name, each in placements.items()})[key]
        worst_index = index if key == "mpjpe" else worst_index
    return Worst(figures, worst_index)


def _visible_figures(key: str, table: Row, visible: NDArray[np.bool_] | None = None) -> Array:
    """(V,): a metric over each row's visible joints; or, for the one row of a clean picture, over others' (V, J)."""
    own = visible is None
    counted = table["visible"] if visible is None else visible
    if key == "pve":
        return table["vertices"][:, 1] if own else np.full(len(counted), table["vertices"][0, 0])
    columns = {"mpjpe": table["error"], "angle": table["angle"]}
    columns["pa_mpjpe"] = table["aligned_visible" if own else "aligned"]
    columns |= {"pckh": _hits(table["head_units"], PCKH_THRESHOLD), "pck": _hits(table["box_units"], PCK_THRESHOLD)}
    values = np.broadcast_to(columns[key], counted.shape)
    return np.array([mean(row, chosen) for row, chosen in zip(values, counted, strict=True)])


def mean_figures(figures: Sequence[Figures]) -> Figures:
    """The mean of each figure over those that have it."""
    keys = dict.fromkeys(key for each in figures for key in each)
    return {key: mean(np.array([each[key] for each in figures if key in each])) for key in keys}


def degree_curve(clean: Row, shapes: Row, key: str) -> list[tuple[float, float]]:
    """(degree, figure), the clean pictures first as degree 0."""
    points = [(0.0, pose_figures(clean)[key])]
    for degree in sorted(set(shapes["degree"].tolist())):
        chosen = shapes["degree"] == degree
        points.append((float(degree), pose_figures({name: each[chosen] for name, each in shapes.items()})[key]))
    return points


def time_curve(clips: Sequence[Row], bins: int = 60) -> list[tuple[float, float]]:
    """(s, mm): MPJPE over time, the mean of all clips in each of so many spans."""
    times = np.concatenate([clip["time"] - clip["time"][0] for clip in clips])
    # joints that the set or the body lacks are NaN
    errors = np.array([mean(row) if asked else np.nan for clip in clips
                       for row, asked in zip(clip["error"], clip["asked"], strict=True)])  # fmt: skip
    edges = np.linspace(0, float(times.max()) + 1e-6, bins + 1)
    place = np.digitize(times, edges) - 1
    return [(float((edges[b] + edges[b + 1]) / 2), mean(errors[place == b])) for b in range(bins)]


def as_text(rows: Mapping[str, Figures], keys: Sequence[str]) -> str:
    """The table for the screen: these figures of every row; – where there is none."""
    metrics = [metric for metric in METRICS if metric.key in keys]
    # a word a line: the table has to fit a terminal
    labels = [[*metric.label.split(), *([metric.unit] if metric.unit else [])] for metric in metrics]
    height = max(map(len, labels), default=0)
    heads = [[""] * (height - len(words)) + words for words in labels]
    cells = {name: [formatted(figures.get(metric.key), metric) for metric in metrics] for name, figures in rows.items()}
    widths = [max(map(len, column)) + 2 for column in zip(*cells.values(), strict=True)]
    widths = [max(width, *(len(word) + 2 for word in words)) for width, words in zip(widths, heads, strict=True)]
    first = max(map(len, rows)) + 1
    lines = [("", [words[line] for words in heads]) for line in range(height)] + list(cells.items())
    return "\n".join(
        name.ljust(first) + "".join(text.rjust(width) for text, width in zip(texts, widths, strict=True))
        for name, texts in lines
    )


def formatted(value: float | None, metric: Metric) -> str:
    """A figure as the reports show it."""
    return "–" if value is None or np.isnan(value) else f"{value:.{metric.digits}f}"
