from __future__ import annotations

import enum

import pytest

from stompcore._errors import CloseCode, LocalProtocolError
from stompcore._machine import Close, StateMachine, Table, TimedMachine
from stompcore._timers import Timer


class Door(enum.Enum):
    OPEN = 1
    SHUT = 2


class Act(enum.Enum):
    PUSH = 1
    PULL = 2


TABLE: Table[Door, Act] = {Door.OPEN: {Act.PUSH: Door.SHUT}, Door.SHUT: {}}


def test_moves_as_the_table_says() -> None:
    machine = StateMachine(TABLE, Door.OPEN)
    assert machine.allows(Act.PUSH)
    assert machine.fire(Act.PUSH) is Door.SHUT
    assert machine.state is Door.SHUT


@pytest.mark.parametrize(("state", "act"), [(Door.OPEN, Act.PULL), (Door.SHUT, Act.PUSH)])
def test_an_illegal_move_raises_and_changes_nothing(state: Door, act: Act) -> None:
    machine = StateMachine(TABLE, state)
    assert not machine.allows(act)
    with pytest.raises(LocalProtocolError, match=f"{act.name} is not legal .* {state.name}"):
        machine.fire(act)
    assert machine.state is state


class Bell(TimedMachine[Door, Act]):
    """Rings for every timer that fires; LOGIN sets the next one."""

    def __init__(self, *, now: float) -> None:
        super().__init__(TABLE, Door.OPEN, now=now)
        self.rung: list[tuple[Timer, float, float]] = []

    def arm(self, timer: Timer, at: float) -> None:
        self._timers.set(timer, at)

    def _fire(self, timer: Timer, due_at: float) -> None:
        self.rung.append((timer, due_at, self.now))
        if timer is Timer.LOGIN:
            self.arm(Timer.CLOSE, due_at + 1)


def test_a_timed_machine_starts_at_now() -> None:
    bell = Bell(now=5.0)
    assert (bell.now, bell.state, bell.next_deadline(), bell.deadline_reason()) == (
        5.0,
        Door.OPEN,
        None,
        None,
    )


def test_time_never_runs_backwards() -> None:
    bell = Bell(now=5.0)
    bell.handle_timeout(now=4.0)
    assert bell.now == 5.0
    bell.handle_timeout(now=6.0)
    assert bell.now == 6.0


def test_a_time_out_is_legal_early_and_twice() -> None:
    bell = Bell(now=0.0)
    bell.arm(Timer.HEART_BEAT, 10.0)
    bell.handle_timeout(now=9.0)
    assert bell.rung == []
    assert (bell.next_deadline(), bell.deadline_reason()) == (10.0, Timer.HEART_BEAT)
    bell.handle_timeout(now=10.0)
    bell.handle_timeout(now=10.0)
    assert bell.rung == [(Timer.HEART_BEAT, 10.0, 10.0)]
    assert bell.next_deadline() is None


def test_a_late_time_out_fires_everything_that_is_due_and_what_that_sets() -> None:
    bell = Bell(now=0.0)
    bell.arm(Timer.HEART_BEAT, 1.0)
    bell.arm(Timer.LOGIN, 2.0)
    bell.arm(Timer.TOKEN_EXPIRY, 3.0)
    bell.arm(Timer.REDIAL, 4.5)
    bell.handle_timeout(now=4.0)
    assert bell.rung == [
        (Timer.TOKEN_EXPIRY, 3.0, 4.0),
        (Timer.LOGIN, 2.0, 4.0),
        (Timer.CLOSE, 3.0, 4.0),
        (Timer.HEART_BEAT, 1.0, 4.0),
    ]
    assert bell.next_deadline() == 4.5


def test_a_machine_has_to_say_what_its_timers_do() -> None:
    class Mute(TimedMachine[Door, Act]):
        def arm(self) -> None:
            self._timers.set(Timer.CLOSE, 1.0)

    mute = Mute(TABLE, Door.OPEN, now=0.0)
    mute.arm()
    with pytest.raises(NotImplementedError):
        mute.handle_timeout(now=1.0)


def test_close() -> None:
    close = Close(CloseCode.UNAUTHORIZED, "Token Expired")
    assert (close.code, close.reason) == (3000, "Token Expired")
    assert repr(close) == "Close(3000, 'Token Expired')"
    assert Close() == Close(1000, "")


def test_closes_compare_by_value() -> None:
    assert Close(3000, "a") == Close(CloseCode.UNAUTHORIZED, "a")
    assert hash(Close(3000, "a")) == hash(Close(3000, "a"))
    assert Close(3000, "a") != Close(3000, "b")
    assert Close(3000, "a") != Close(3003, "a")
    assert Close(3000) != 3000


def test_D19_a_close_reason_is_at_most_123_bytes() -> None:
    assert Close(1000, "x" * 123).reason == "x" * 123
    assert Close(1000, "ü" * 61).reason == "ü" * 61
    for reason in ("x" * 124, "ü" * 62):
        with pytest.raises(LocalProtocolError, match="123 bytes"):
            Close(1000, reason)
