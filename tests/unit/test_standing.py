from __future__ import annotations

import pytest

from stompcore._config import ClientConfig
from stompcore._errors import LocalProtocolError
from stompcore._standing import Standing
from stompcore._state import Status, StatusTrigger
from stompcore._timers import Timer, Timers

CONNECTED, OVERDUE = StatusTrigger.CONNECTED, StatusTrigger.OVERDUE
GIVEN_UP, REFUSED = StatusTrigger.GIVEN_UP, StatusTrigger.REFUSED


def standing(*triggers: StatusTrigger) -> tuple[Standing, Timers]:
    timers = Timers()
    made = Standing(ClientConfig(status_grace=2.0, offline_timeout=30.0), timers)
    for trigger in triggers:
        made.fire(trigger)
    return made, timers


def armed(timers: Timers) -> tuple[float | None, float | None]:
    return timers.at(Timer.RECOVERING), timers.at(Timer.OFFLINE)


def test_it_begins_offline_and_waits_for_nothing() -> None:
    made, timers = standing()
    assert (made.status, armed(timers)) == (Status.OFFLINE, (None, None))
    made.lost(100.0)  # a connection that never was
    assert armed(timers) == (None, None)


def test_fire_says_whether_it_shows() -> None:
    made, _ = standing()
    assert [made.fire(each) for each in (CONNECTED, CONNECTED, OVERDUE, CONNECTED, GIVEN_UP)] == [
        True,
        False,
        True,
        True,
        True,
    ]
    assert not made.fire(GIVEN_UP)
    assert made.fire(REFUSED)
    assert made.status is Status.LOGGED_OUT


def test_the_grace_begins_with_the_loss() -> None:
    made, timers = standing(CONNECTED)
    made.lost(100.0)
    assert (made.status, armed(timers)) == (Status.ONLINE, (102.0, 130.0))


def test_a_second_loss_does_not_begin_it_again() -> None:
    made, timers = standing(CONNECTED)
    made.lost(100.0)
    made.lost(101.0)
    assert armed(timers) == (102.0, 130.0)
    timers.cancel(Timer.RECOVERING)  # it has fired
    made.fire(OVERDUE)
    made.lost(103.0)
    assert armed(timers) == (None, 130.0)
    assert made.status is Status.RECOVERING


@pytest.mark.parametrize("trigger", [CONNECTED, GIVEN_UP, REFUSED])
def test_whatever_decides_it_ends_the_grace(trigger: StatusTrigger) -> None:
    made, timers = standing(CONNECTED)
    made.lost(100.0)
    made.fire(trigger)
    assert armed(timers) == (None, None)


def test_the_next_loss_has_a_grace_of_its_own() -> None:
    made, timers = standing(CONNECTED)
    made.lost(100.0)
    made.fire(CONNECTED)
    made.lost(101.0)
    assert armed(timers) == (103.0, 131.0)


@pytest.mark.parametrize("trigger", list(StatusTrigger))
def test_who_is_logged_out_stays_so(trigger: StatusTrigger) -> None:
    made, timers = standing(CONNECTED, REFUSED)
    with pytest.raises(LocalProtocolError):
        made.fire(trigger)
    made.lost(100.0)
    assert (made.status, armed(timers)) == (Status.LOGGED_OUT, (None, None))
