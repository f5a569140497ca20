"""The benchmark of live feet: what it measures on people of whom that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.live_feet import ClipResult, Figures, as_text, figures, held_clip, speeds_of
from tests.world.test_live_feet import PERSONS, people_of, shaky
from tests.world.test_world import CAMERA, camera_frame, slide, walker
from tracker.body import load_body
from tracker.core.person import FrameRecord
from tracker.evaluation.scoring import Judge
from tracker.evaluation.truth import Truth
from tracker.evaluation.world_errors import TrueWorld
from tracker.pipeline import TrackerConfig


def test_slide_falls_and_everything_is_counted() -> None:
    exact, standing = walker()
    times = shaky().times
    records = [FrameRecord(i, float(times[i]), [person]) for i, person in enumerate(people_of(shaky()))]
    truth = Truth.of(load_body(None), CAMERA, times, (exact.theta, exact.betas, exact.transl))
    world = TrueWorld(camera_frame(), standing)
    clip = held_clip(records, CAMERA, PERSONS, TrackerConfig())
    judge = Judge(load_body(None), load_body(None), truth, parts=False)
    fitted, held = (figures(each, judge, truth, world) for each in (clip.fitted, clip.held))
    assert fitted.slide == pytest.approx(slide(shaky(), standing), abs=0.5)
    assert held.slide < 0.6 * fitted.slide and held.mpjpe < fitted.mpjpe + 2
    assert len(clip.planted) == len(records) and clip.microseconds > 0
    text = as_text([ClipResult(fitted, held, 90.0, 500.0)] * 2)
    assert "slide" in text and "contact F1 90.0 %, 500 µs" in text
    ankles = list(speeds_of("clip", 0, clip, PERSONS, TrackerConfig()))
    assert [each.side for each in ankles] == ["left", "right"] and all(each.held < each.fitted for each in ankles)


def test_a_difference_has_its_standard_error() -> None:
    plain = Figures(10.0, 50.0, 5.0, 3.0, 2.0)
    results = [ClipResult(plain, replace(plain, slide=10.0 - change), 90.0, 1.0) for change in (2.0, 4.0)]
    assert f"{-3:+12.2f} ± {np.sqrt(2) / np.sqrt(2):.2f}" in as_text(results).splitlines()[1]
