"""IDF1, HOTA and switches on sequences whose scores can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.evaluation.identities import Boxes, identity_scores, overlaps

pytest.importorskip("trackeval", reason="needs the extra 'eval'")


def frames(*ids: tuple[int, ...]) -> list[Boxes]:
    """The first person of a frame is on the left, the second on the right, each always in the same place."""
    places = np.array([[0.0, 0.0, 10.0, 20.0], [50.0, 0.0, 60.0, 20.0]])
    return [Boxes(np.array(each, np.int64), places[: len(each)]) for each in ids]


TRUTH = frames((1, 2), (1, 2), (1, 2), (1, 2))


def test_a_perfect_track() -> None:
    scores = identity_scores(TRUTH, frames((7, 3), (7, 3), (7, 3), (7, 3)))
    assert (scores.idf1, scores.hota, scores.switches) == (pytest.approx(1.0), pytest.approx(1.0), 0)


def test_two_who_are_exchanged_halfway() -> None:
    scores = identity_scores(TRUTH, frames((7, 3), (7, 3), (3, 7), (3, 7)))
    assert scores.switches == 2
    assert scores.idf1 == pytest.approx(0.5)
    # every match is right, each identity shares 2 of the 6 frames in which either is seen: √(1 · 1/3)
    assert scores.hota == pytest.approx((1 / 3) ** 0.5)


def test_a_person_who_is_not_found() -> None:
    scores = identity_scores(TRUTH, frames((7,), (7,), (7,), (7,)))
    assert scores.idf1 == pytest.approx(2 * 4 / (8 + 4))
    assert scores.switches == 0
    assert scores.hota == pytest.approx(0.5**0.5)


def test_nobody_found() -> None:
    scores = identity_scores(TRUTH, frames((), (), (), ()))
    assert (scores.idf1, scores.hota) == (0.0, 0.0)


def test_overlaps() -> None:
    first = np.array([[0.0, 0.0, 2.0, 2.0]])
    assert overlaps(first, np.array([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])) == pytest.approx(
        np.array([[2 / 6, 0.0]])
    )
