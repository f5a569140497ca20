"""What a run was like and has left, in a line each."""

from __future__ import annotations

from typing import Any

from tracker.core.shown_text import printable, shown_address, warnings_hint


def live_summary(result: Any) -> str:
    """What a live run was like."""
    share = f"{result.frames} frames, {result.frames_with_people} with people, {result.dropped} dropped"
    if not result.frames:
        return share
    pace = result.pace
    speed = f"{pace.rate:.1f} fps, latency {pace.latency_p50_ms:.0f} ms (p95 {pace.latency_p95_ms:.0f} ms)"
    return f"{share}; {'with people: ' if result.frames_with_people else ''}{speed}"


def summary_line(spec: str, result: Any) -> str:
    """One line on what a run has left."""
    people = "1 person" if result.people == 1 else f"{result.people} people"
    share = f"{result.frames_with_people} of {result.frames} frames"
    hint = "" if result.people else " (nobody was found)"
    warned = warnings_hint(result.warnings)
    return f"{printable(shown_address(spec))}: {people} in {share} → {printable(str(result.folder))}{hint}{warned}"
