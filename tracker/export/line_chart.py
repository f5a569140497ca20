"""Curves as SVG, and the look of pages that need nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 14, 42
_TICKS = 6
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #0a7a3d; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --good: #5fd38d; --bad: #ff8a80; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1240px; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; position: sticky; left: 0; background: Canvas; }
thead th { vertical-align: bottom; white-space: normal; }
tbody tr:hover td, tbody tr:hover th { background: var(--soft); }
small { opacity: .65; } .good { color: var(--good); } .bad { color: var(--bad); }
.grid { display: grid; gap: 20px; grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr)); }
.sides { display: grid; grid-template-columns: 1fr 1fr; font-size: 12px; opacity: .65; text-align: center; }
figure { margin: 0; } figcaption { font-size: 13px; margin: 4px 0 0; }
img, svg { max-width: 100%; height: auto; display: block; }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; } ul { padding-left: 20px; } li { margin: 2px 0; }
"""


@dataclass(frozen=True)
class Chart:
    """Curves with common axes."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    """By name: (x, y); NaN interrupts a curve."""


def chart_svg(chart: Chart) -> str:
    """Axes from round number to round number, a curve a series, names below."""
    points = [point for series in chart.series.values() for point in series if not math.isnan(point[1])]
    if not points:
        return "<p>No values.</p>"
    xs, ys = ([point[axis] for point in points] for axis in (0, 1))
    x_axis, y_axis = _Axis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT), _Axis(min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP)
    rows = math.ceil(len(chart.series) / 3)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 20 * rows}" role="img" aria-label="{escape(chart.title)}">']
    parts += _grid(x_axis, y_axis, chart)
    for number, (name, series) in enumerate(chart.series.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts += [
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            for path in _paths(series, x_axis, y_axis)
        ]
        x, y = _LEFT + 165 * (number % 3), _HEIGHT + 10 + 20 * (number // 3)
        parts.append(f'<rect x="{x}" y="{y - 6}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 20}" y="{y}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


class _Axis:
    """Values to pixels, with ticks at round numbers."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        span = (high - low) or 1.0
        size = 10 ** math.floor(math.log10(span / _TICKS))
        step = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= _TICKS)
        first, last = math.floor(low / step + 1e-9), max(math.ceil(high / step - 1e-9), math.floor(low / step) + 1)
        self.ticks = [step * i for i in range(first, last + 1)]
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        """px."""
        share = (value - self.ticks[0]) / max(self.ticks[-1] - self.ticks[0], 1e-9)
        return self._start + share * (self._end - self._start)


def _grid(x_axis: _Axis, y_axis: _Axis, chart: Chart) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for tick in y_axis.ticks:
        y = y_axis.place(tick)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="var(--line)"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in x_axis.ticks:
        x = x_axis.place(tick)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 36}" text-anchor="middle">{escape(chart.x_label)}</text>')
    parts.append(
        f'<text transform="translate(14 {bottom / 2}) rotate(-90)" text-anchor="middle">{escape(chart.y_label)}</text>'
    )
    return parts


def _paths(series: Sequence[tuple[float, float]], x_axis: _Axis, y_axis: _Axis) -> list[str]:
    """A path for each stretch without a gap."""
    paths, current = [], ""
    for x, y in [*series, (math.nan, math.nan)]:
        if math.isnan(y):
            paths += [current] if current else []
            current = ""
        else:
            current += f"{'L' if current else 'M'}{x_axis.place(x):.1f} {y_axis.place(y):.1f}"
    return paths
