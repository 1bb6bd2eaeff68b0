"""Time that passes when it is told to."""

from __future__ import annotations

import math

import pytest

from stompcore import LocalProtocolError
from stompcore.driver import EpochClock
from stompcore.testing import Dice, VirtualClock


def test_time_stands_still_by_itself() -> None:
    clock = VirtualClock(1000.0)
    assert [clock.wall(), clock.monotonic()] == [1000.0, 0.0]
    assert [clock.wall(), clock.monotonic()] == [1000.0, 0.0]


def test_time_passes_on_both_clocks() -> None:
    clock = VirtualClock(1000.0)
    clock.advance(2.5)
    assert [clock.wall(), clock.monotonic()] == [1002.5, 2.5]


@pytest.mark.parametrize("seconds", [-0.1, math.inf, math.nan])
def test_time_does_not_run_backwards_nor_out(seconds: float) -> None:
    clock = VirtualClock()
    with pytest.raises(LocalProtocolError):
        clock.advance(seconds)
    assert clock.monotonic() == 0.0


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_step_moves_the_wall_clock_alone(seconds: float) -> None:
    clock = VirtualClock(10_000.0)
    clock.step(seconds)
    assert [clock.wall(), clock.monotonic()] == [10_000.0 + seconds, 0.0]


def test_an_instant_that_has_passed_is_not_gone_back_to() -> None:
    clock = VirtualClock()
    clock.advance_to(5.0)
    clock.advance_to(3.0)
    assert clock.monotonic() == 5.0


def test_computers_beside_one_another_share_the_time_and_not_the_date() -> None:
    here = VirtualClock(1000.0)
    here.advance(1.0)
    there = VirtualClock(2000.0, beside=here)
    there.advance(1.0)
    here.step(-500.0)
    assert [here.monotonic(), there.monotonic()] == [2.0, 2.0]
    assert [here.wall(), there.wall()] == [502.0, 2001.0]


def test_a_clock_beside_another_shows_the_same_date_at_first() -> None:
    here = VirtualClock(1000.0)
    here.advance(5.0)
    here.step(70.0)
    assert VirtualClock(beside=here).wall() == 1075.0


def test_a_deadline_is_never_a_rounding_error_too_early() -> None:
    """Or a world that jumps to it would jump there again and again."""
    dice = Dice(1)
    clock = VirtualClock()
    epoch = EpochClock(clock.monotonic, clock.wall)
    for _ in range(10_000):
        clock.advance(dice.random())
        deadline = epoch.now() + dice.random() * 10
        loop_at = epoch.to_loop(deadline)
        clock.advance_to(loop_at)
        assert clock.monotonic() == loop_at
        assert epoch.now() == deadline
        if dice.chance(0.1):
            clock.step(dice.between(-10_000, 10_000))
            epoch.now()
