"""Which frame is to blame for an ERROR that names none."""

from __future__ import annotations

from stompcore._suspicion import Suspicion

A, B = object(), object()


def struck(suspicion: Suspicion, *unanswered: object) -> object:
    """A connection ends with such an ERROR while these have no answer."""
    suspicion.note(unanswered)
    return suspicion.accuse()


def test_one_that_was_alone_twice_in_a_row_is_to_blame() -> None:
    suspicion = Suspicion()
    assert struck(suspicion, A) is None
    assert suspicion.is_careful
    assert struck(suspicion, A) is A


def test_one_among_others_is_not_known() -> None:
    suspicion = Suspicion()
    for _ in range(5):
        assert struck(suspicion, A, B) is None
    assert suspicion.is_careful
    assert struck(suspicion, A) is None
    assert struck(suspicion, A) is A


def test_another_in_between_begins_the_count_anew() -> None:
    suspicion = Suspicion()
    for _ in range(5):
        assert struck(suspicion, A) is None
        assert struck(suspicion, B) is None
    assert struck(suspicion, B) is B


def test_a_crowd_in_between_begins_the_count_anew() -> None:
    suspicion = Suspicion()
    assert struck(suspicion, A) is None
    assert struck(suspicion, A, B) is None
    assert struck(suspicion, A) is None
    assert struck(suspicion, A) is A


def test_where_everything_was_answered_nothing_is_to_blame() -> None:
    suspicion = Suspicion()
    for _ in range(3):
        assert struck(suspicion) is None
    assert not suspicion.is_careful


def test_a_connection_that_ended_without_one_accuses_nobody() -> None:
    suspicion = Suspicion()
    for _ in range(3):
        suspicion.note([A])
    assert not suspicion.is_careful
    assert struck(suspicion, A) is None


def test_what_an_earlier_connection_left_unanswered_is_forgotten() -> None:
    suspicion = Suspicion()
    suspicion.note([A])
    assert struck(suspicion) is None
    assert not suspicion.is_careful
    assert struck(suspicion, A) is None
    assert suspicion.accuse() is None  # it ended once, and counts once


def test_the_end_of_a_connection_leaves_nothing_outstanding() -> None:
    suspicion = Suspicion()
    suspicion.outstanding = A
    suspicion.note([A])
    assert suspicion.outstanding is None


def test_once_everything_is_answered_it_is_as_at_the_beginning() -> None:
    suspicion = Suspicion()
    struck(suspicion, A)
    suspicion.clear()
    assert not suspicion.is_careful
    assert suspicion.outstanding is None
    assert struck(suspicion, A) is None
    assert struck(suspicion, A) is A
