"""Who is somebody, and what is taken for somebody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracker.core.existence import Existence, Look


def looks(*agreeing: int, moved: float = 0.0) -> Existence:
    """agreeing: of twelve framings."""
    return Existence(tuple(Look(each / 12, moved) for each in agreeing))


def test_whoever_was_in_plain_sight_once_and_moves_is_somebody_for_good() -> None:
    once = looks(2, 12, 0, 1, 0, moved=0.5)
    assert once.is_sure and not once.is_nobody


def test_who_keeps_still_is_somebody_where_most_framings_show_them() -> None:
    assert looks(12, 11, 12).is_sure
    assert not looks(12).is_sure and not looks(12).is_nobody, "that is too early to tell"
    assert not looks(9, 8, 8, 9).is_nobody, "half of somebody, at a table"
    assert not looks(10, 7, 6, 5).is_nobody, "who lies on their front"
    assert looks(11, 3, 5, 4).is_nobody, "bedclothes that once looked like somebody"


def test_nobody_comes_without_moving() -> None:
    late = replace(looks(11, 10, 8), late=True)
    assert late.is_nobody and not looks(11, 10, 8).is_nobody
    assert not late.after(Look(11 / 12, 0.5)).is_nobody, "now they have moved"
    assert not replace(looks(12, 11, 12), late=True).is_nobody


@pytest.mark.parametrize(("agreeing", "nobody"), [((6, 5, 7, 0), False), ((1, 0, 3, 0), True)])
def test_what_moves_is_somebody_unless_hardly_any_framing_shows_it(agreeing: tuple[int, ...], nobody: bool) -> None:
    existence = looks(*agreeing, moved=0.5)
    assert existence.is_nobody is nobody and not existence.is_sure


def test_one_look_is_enough_only_where_hardly_any_framing_shows_anybody() -> None:
    assert looks(1).is_nobody and not looks(7).is_nobody
    assert not Existence().is_nobody, "nobody has looked"


def test_what_comes_later_counts_until_they_are_surely_there() -> None:
    doubted, sure = looks(3, 2), looks(12, moved=0.6)
    assert doubted.then(sure) == sure
    assert sure.then(looks(0, 0)) == sure
    assert doubted.then(Existence()) == doubted, "a detector that does not tell changes nothing"
    assert doubted.then(looks(7)) == doubted, "who is lost and found again has been looked at before"


def test_what_seems_to_move_once_while_somebody_passes_is_a_thing() -> None:
    passing = Existence((Look(5 / 12, 0.0), Look(1 / 12, 0.0), Look(0.0, 0.01), Look(0.5, 0.3)))
    assert passing.is_nobody


def test_who_moved_between_two_looks_needs_to_be_seen_plainly_only_once() -> None:
    assert looks(12).moving().is_sure and looks(4, 12, 3).moving().is_sure
    assert not looks(7, 7).moving().is_sure, "a chair that is pulled"


def test_who_lay_still_is_somebody_once_they_get_up() -> None:
    lying = looks(10, 7, 6, 5, 0)
    assert lying.is_nobody and lying.kept_still
    rising = lying.after(Look(7 / 12, 0.45))
    assert rising.is_nobody and not rising.kept_still, "somebody may be passing"
    assert not rising.after(Look(8 / 12, 0.6)).is_nobody


def test_what_is_as_thin_as_a_rail_has_to_be_seen_by_nearly_all_framings() -> None:
    rail = Existence(tuple(Look(each / 12, 0.01, thin=True) for each in (11, 12, 10, 11, 10, 9)))
    assert rail.is_nobody and not rail.was_in_plain_sight
    lying = Existence((Look(11 / 12, 0.0), Look(10 / 12, 0.0, thin=True), Look(9 / 12, 0.0)))
    assert not lying.is_nobody, "once is nothing"
    somebody = Existence(tuple(Look(each / 12, 0.0, thin=True) for each in (12, 11, 12)))
    assert not somebody.is_nobody and not somebody.is_sure
