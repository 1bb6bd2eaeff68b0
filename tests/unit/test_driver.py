from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from stompcore._errors import ErrorCode
from stompcore._state import ServerState
from stompcore._timers import Timer
from stompcore.driver import MAX_SLEEP, EpochClock, Pump


@dataclass
class Clocks:
    """A monotonic and a wall clock that go where the test says."""

    monotonic: float = 50.0
    wall: float = 1_700_000_000.0

    def pass_(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    def epoch_clock(self) -> EpochClock:
        return EpochClock(lambda: self.monotonic, lambda: self.wall)


START = Clocks().wall


def test_follows_time() -> None:
    clocks = Clocks()
    clock = clocks.epoch_clock()
    assert clock.now() == START
    clocks.pass_(2.5)
    assert clock.now() == START + 2.5


def test_a_wall_step_back_does_not_lengthen_a_tokens_life() -> None:
    clocks = Clocks()
    clock = clocks.epoch_clock()
    clocks.pass_(10)
    clocks.wall -= 3600
    assert clock.now() == START + 10
    clocks.pass_(5)
    assert clock.now() == START + 15


def test_a_wall_step_forward_is_followed_at_once_and_kept() -> None:
    clocks = Clocks()
    clock = clocks.epoch_clock()
    clocks.pass_(10)
    clocks.wall += 3600
    assert clock.now() == START + 3610
    clocks.wall -= 3600
    clocks.pass_(1)
    assert clock.now() == START + 3611


def test_after_a_suspend_the_wall_clock_is_believed() -> None:
    clocks = Clocks()
    clock = clocks.epoch_clock()
    clocks.pass_(1)
    clocks.wall += 8 * 3600  # the monotonic clock stood still
    assert clock.now() == START + 1 + 8 * 3600


def test_a_wall_clock_that_stands_still_is_overtaken() -> None:
    clocks = Clocks()
    clock = clocks.epoch_clock()
    clocks.monotonic += 7
    assert clock.now() == START + 7


def test_never_backwards_whatever_the_wall_does() -> None:
    clocks = Clocks()
    clock = clocks.epoch_clock()
    seen = [clock.now()]
    for step in (5.0, -9.0, 0.25, -86400.0, 3.0, 86400.0 * 400, -1e9):
        clocks.pass_(0.5)
        clocks.wall += step
        seen.append(clock.now())
    assert seen == sorted(seen)


def test_to_loop_is_the_loops_own_time() -> None:
    clocks = Clocks()
    clock = clocks.epoch_clock()
    assert clock.to_loop(START + 4) == 54.0
    clocks.wall += 3
    clock.now()
    assert clock.to_loop(START + 4) == 51.0


@dataclass
class Fake:
    """Writes down its calls."""

    deadline: float | None = None
    closed: bool = False
    send_eof: bool = False
    calls: list[tuple[object, ...]] = field(default_factory=list)
    state: ServerState = ServerState.OPEN
    wants_read: bool = True
    closing: bool = False
    bytes_queued: int = 0
    error: ErrorCode | None = None

    def receive_data(self, data: bytes, *, now: float) -> None:
        self.calls.append(("data", data, now - START))

    def receive_eof(self, *, now: float) -> None:
        self.calls.append(("eof", now - START))

    def handle_timeout(self, *, now: float) -> None:
        self.calls.append(("timeout", now - START))

    def next_event(self) -> None:
        self.calls.append(("event",))

    def data_to_send(self) -> list[bytes]:
        return [b"a", b"b"]

    def next_deadline(self) -> float | None:
        return None if self.deadline is None else START + self.deadline

    def deadline_reason(self) -> Timer | None:
        return None


def pumped(fake: Fake) -> tuple[Clocks, Pump]:
    clocks = Clocks()
    return clocks, Pump(fake, clocks.epoch_clock())


def test_pump_feeds_with_the_present_instant() -> None:
    fake = Fake()
    clocks, pump = pumped(fake)
    assert pump.now == START
    assert fake.calls == []
    clocks.pass_(1)
    pump.feed(b"x")
    clocks.pass_(1)
    pump.timer()
    clocks.pass_(1)
    pump.eof()
    assert fake.calls == [("data", b"x", 1.0), ("timeout", 2.0), ("eof", 3.0)]
    assert pump.now == START + 3
    assert pump.machine is fake


def test_pump_output_is_the_machines() -> None:
    assert pumped(Fake())[1].output() == [b"a", b"b"]


@pytest.mark.parametrize(
    ("deadline", "fires"), [(None, False), (5.001, False), (5.0, True), (1.0, True)]
)
def test_wake_fires_only_what_is_due(deadline: float | None, fires: bool) -> None:
    fake = Fake(deadline=deadline)
    clocks, pump = pumped(fake)
    clocks.pass_(5)
    assert pump.wake() is fires
    assert fake.calls == ([("timeout", 5.0)] if fires else [])
    assert pump.now == START + 5


@pytest.mark.parametrize(
    ("deadline", "loop_time"),
    [(4.0, 54.0), (-1.0, 49.0), (29.9, 79.9), (MAX_SLEEP, 80.0), (31.0, 80.0), (None, 80.0)],
)
def test_deadline_in_the_loops_time_and_never_far_off(
    deadline: float | None, loop_time: float
) -> None:
    assert pumped(Fake(deadline=deadline))[1].deadline() == pytest.approx(loop_time)


def test_a_closed_machine_has_no_deadline() -> None:
    assert pumped(Fake(deadline=4.0, closed=True))[1].deadline() is None


def test_the_longest_sleep_counts_from_the_latest_call() -> None:
    clocks, pump = pumped(Fake())
    clocks.pass_(10)
    pump.feed(b"x")
    assert pump.deadline() == 50.0 + 10 + MAX_SLEEP


def test_half_close_is_asked_for_once() -> None:
    fake = Fake()
    _, pump = pumped(fake)
    assert not pump.should_send_eof()
    fake.send_eof = True
    assert pump.should_send_eof()
    assert not pump.should_send_eof()
