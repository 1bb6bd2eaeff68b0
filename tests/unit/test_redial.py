from __future__ import annotations

import random

import pytest

from stompcore._config import Backoff
from stompcore._redial import Redial
from stompcore._timers import Timer, Timers


def redial(timers: Timers, draw: float = 0.5) -> Redial:
    return Redial(
        Backoff(minimum=1.0, maximum=8.0, stable_timeout=5.0), timers, random=lambda: draw
    )


def failures(backoff: Redial, timers: Timers, count: int) -> list[float]:
    delays = []
    for _ in range(count):
        backoff.back_off(100.0)
        due = timers.pop_due(1e9)
        assert due is not None
        assert due[0] is Timer.REDIAL
        delays.append(due[1] - 100.0)
    return delays


@pytest.mark.parametrize(
    ("draw", "delays"),
    [
        (0.0, [1.0, 1.0, 1.0, 1.0, 1.0]),
        (0.5, [1.5, 2.5, 4.5, 4.5, 4.5]),
        (1.0, [2.0, 4.0, 8.0, 8.0, 8.0]),
    ],
)
def test_every_failure_takes_a_step(draw: float, delays: list[float]) -> None:
    timers = Timers()
    assert failures(redial(timers, draw), timers, 5) == delays


def test_D18_every_delay_is_drawn_anew() -> None:
    timers = Timers()
    backoff = Redial(Backoff(), timers, random=random.Random(7).random)
    assert len(set(failures(backoff, timers, 10))) == 10


def test_waits_while_the_timer_runs() -> None:
    timers = Timers()
    backoff = redial(timers)
    waiting = [backoff.is_waiting]
    backoff.back_off(100.0)
    waiting.append(backoff.is_waiting)
    assert timers.pop_due(101.5) == (Timer.REDIAL, 101.5)
    waiting.append(backoff.is_waiting)
    assert waiting == [False, True, False]


def test_D17_connected_alone_forgets_nothing() -> None:
    timers = Timers()
    backoff = redial(timers)
    failures(backoff, timers, 2)
    backoff.connected(100.0)
    assert timers.at(Timer.STABLE) == 105.0
    timers.cancel(Timer.STABLE)
    assert failures(backoff, timers, 1) == [4.5]


def test_D17_a_stable_connection_starts_from_the_floor_again() -> None:
    timers = Timers()
    backoff = redial(timers)
    failures(backoff, timers, 2)
    backoff.connected(100.0)
    assert timers.pop_due(105.0) == (Timer.STABLE, 105.0)
    backoff.stable()
    assert failures(backoff, timers, 2) == [1.5, 2.5]


@pytest.mark.parametrize(("now", "held"), [(100.0, False), (100.999, False), (101.0, True)])
def test_has_held_for_the_floor(now: float, held: bool) -> None:
    backoff = redial(Timers())
    backoff.connected(100.0)
    assert backoff.has_held(now) is held


def test_a_second_connection_is_dialled_no_sooner_than_the_floor_after_the_first() -> None:
    timers = Timers()
    backoff = redial(timers)
    assert backoff.may_overlap(0.0)
    backoff.dialing(100.0)
    assert [backoff.may_overlap(100.9), timers.at(Timer.REDIAL)] == [False, 101.0]
    assert timers.pop_due(101.0) == (Timer.REDIAL, 101.0)
    assert backoff.may_overlap(101.0)


def test_a_second_connection_waits_for_the_backoff_of_the_last_one() -> None:
    timers = Timers()
    backoff = redial(timers)
    backoff.dialing(100.0)
    backoff.back_off(100.0)
    assert [backoff.may_overlap(100.5), timers.at(Timer.REDIAL)] == [False, 101.5]
