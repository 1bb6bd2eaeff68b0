from __future__ import annotations

import itertools

import pytest

from stompcore._timers import Timer, Timers, earliest

PAIRS = list(itertools.combinations(Timer, 2))


def armed(**at: float) -> Timers:
    timers = Timers()
    for name, instant in at.items():
        timers.set(Timer[name], instant)
    return timers


def test_nothing_is_armed_at_first() -> None:
    timers = Timers()
    assert timers.next_deadline() is None
    assert timers.reason() is None
    assert timers.at(Timer.CLOSE) is None
    assert not timers.is_due(1e18)
    assert timers.pop_due(1e18) is None


def test_expiry_outranks_everything_and_a_beat_comes_last() -> None:
    assert min(Timer) is Timer.TOKEN_EXPIRY
    assert max(Timer) is Timer.HEART_BEAT


def test_boundary_is_due() -> None:
    timers = armed(LOGIN=10.0)
    assert not timers.is_due(9.999)
    assert timers.pop_due(9.999) is None
    assert timers.is_due(10.0)
    assert timers.pop_due(10.0) == (Timer.LOGIN, 10.0)
    assert timers.pop_due(10.0) is None


def test_popped_with_the_instant_at_which_it_was_due() -> None:
    assert armed(PEER_SILENT=10.0).pop_due(99.0) == (Timer.PEER_SILENT, 10.0)


def test_set_replaces() -> None:
    timers = armed(LOGIN=10.0)
    timers.set(Timer.LOGIN, 20.0)
    assert (timers.at(Timer.LOGIN), timers.next_deadline()) == (20.0, 20.0)
    timers.set(Timer.LOGIN, 5.0)
    assert (timers.at(Timer.LOGIN), timers.next_deadline()) == (5.0, 5.0)


def test_cancel() -> None:
    timers = armed(LOGIN=10.0, CLOSE=20.0)
    timers.cancel(Timer.LOGIN)
    assert (timers.next_deadline(), timers.reason()) == (20.0, Timer.CLOSE)
    timers.cancel(Timer.LOGIN)
    assert timers.next_deadline() == 20.0
    timers.cancel(Timer.CLOSE)
    assert (timers.next_deadline(), timers.reason()) == (None, None)


def test_a_timer_at_instant_zero_can_be_cancelled() -> None:
    timers = armed(LOGIN=0.0)
    assert timers.next_deadline() == 0.0
    timers.cancel(Timer.LOGIN)
    assert timers.next_deadline() is None


def test_clear() -> None:
    timers = armed(LOGIN=10.0, CLOSE=20.0)
    timers.clear()
    assert (timers.next_deadline(), timers.reason(), timers.pop_due(99.0)) == (None, None, None)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_that_are_due_the_more_urgent_fires_first(first: Timer, second: Timer) -> None:
    for a, b in ((1.0, 2.0), (2.0, 1.0), (1.0, 1.0)):
        timers = Timers()
        timers.set(second, b)
        timers.set(first, a)
        assert timers.pop_due(2.0) == (first, a)
        assert timers.pop_due(2.0) == (second, b)
        assert timers.pop_due(2.0) is None


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_reason_belongs_to_the_deadline(first: Timer, second: Timer) -> None:
    for a, b, reason in ((1.0, 2.0, first), (2.0, 1.0, second), (1.0, 1.0, first)):
        timers = Timers()
        timers.set(second, b)
        timers.set(first, a)
        assert (timers.next_deadline(), timers.reason()) == (1.0, reason)


def test_what_is_not_due_yet_does_not_fire_though_it_is_more_urgent() -> None:
    timers = armed(TOKEN_EXPIRY=20.0, HEART_BEAT=10.0)
    assert timers.pop_due(10.0) == (Timer.HEART_BEAT, 10.0)
    assert timers.pop_due(10.0) is None
    assert (timers.next_deadline(), timers.reason()) == (20.0, Timer.TOKEN_EXPIRY)


@pytest.mark.parametrize(
    ("deadlines", "expected"),
    [
        ((), None),
        ((None, None), None),
        ((None, 2.0), 2.0),
        ((3.0, None, 1.0), 1.0),
        ((0.0, None), 0.0),
    ],
)
def test_earliest(deadlines: tuple[float | None, ...], expected: float | None) -> None:
    assert earliest(*deadlines) == expected
