"""What is due, in order, and coroutines that wait for it."""

from __future__ import annotations

import pytest

from stompcore.testing import Restless, VirtualClock
from stompcore.testing._schedule import Schedule, Task


def test_calls_come_when_they_are_due_and_equals_in_their_order() -> None:
    schedule = Schedule(VirtualClock())
    seen: list[tuple[float, str]] = []

    def note(what: str) -> None:
        seen.append((schedule.clock.monotonic(), what))

    for at, what in ((3.0, "c"), (1.0, "a"), (3.0, "d"), (2.0, "b"), (9.0, "never")):
        schedule.at(at, lambda what=what: note(what))  # type: ignore[misc]
    schedule.run(5.0)
    assert seen == [(1.0, "a"), (2.0, "b"), (3.0, "c"), (3.0, "d")]
    assert schedule.clock.monotonic() == 5.0
    assert schedule.next_at() == 9.0


def test_what_is_too_late_comes_at_once_and_time_does_not_go_back() -> None:
    schedule = Schedule(VirtualClock())
    seen: list[float] = []
    schedule.clock.advance(10.0)
    schedule.at(3.0, lambda: seen.append(schedule.clock.monotonic()))
    schedule.run(10.0)
    assert seen == [10.0]


def test_a_run_may_end_early() -> None:
    schedule = Schedule(VirtualClock())
    seen: list[int] = []
    for number in range(5):
        schedule.at(number, lambda number=number: seen.append(number))  # type: ignore[misc]
    schedule.run(5.0, after_each=lambda: len(seen) == 3)
    assert seen == [0, 1, 2]
    assert schedule.clock.monotonic() == 2.0


def test_a_world_that_does_not_come_to_rest_says_so() -> None:
    schedule = Schedule(VirtualClock())

    def again() -> None:
        schedule.at(1.0, again)

    again()
    with pytest.raises(Restless):
        schedule.run(1.0)


def test_a_coroutine_sleeps_in_virtual_time() -> None:
    clock = VirtualClock()
    schedule = Schedule(clock)
    ends: list[object] = []

    async def work() -> str:
        await clock.sleep(2.0)
        await clock.sleep(0.5)
        return f"done at {clock.monotonic()}"

    Task(schedule, work(), lambda result, error: ends.append((result, error))).start()
    schedule.run(2.0)
    assert ends == []
    schedule.run(3.0)
    assert ends == [("done at 2.5", None)]


def test_what_a_coroutine_raises_is_told() -> None:
    schedule = Schedule(VirtualClock())
    ends: list[object] = []

    async def work() -> None:
        raise KeyError("x")

    Task(schedule, work(), lambda result, error: ends.append(type(error))).start()
    assert ends == [KeyError]


def test_a_coroutine_cannot_wait_for_the_real_world() -> None:
    schedule = Schedule(VirtualClock())
    ends: list[str] = []

    class Other:
        def __await__(self):  # type: ignore[no-untyped-def]
            yield "something of a loop's"

    async def work() -> None:
        await Other()

    Task(schedule, work(), lambda result, error: ends.append(str(error))).start()
    assert ends == ["in virtual time only VirtualClock.sleep can be waited for"]


@pytest.mark.parametrize("is_started", [False, True])
def test_a_coroutine_that_is_cancelled_ends_and_tells_nobody(is_started: bool) -> None:
    clock = VirtualClock()
    schedule = Schedule(clock)
    seen: list[str] = []

    async def work() -> None:
        try:
            await clock.sleep(1.0)
        finally:
            seen.append("left")

    task = Task(schedule, work(), lambda result, error: seen.append("told"))
    if is_started:
        task.start()
    task.cancel()
    task.cancel()
    schedule.run(5.0)
    assert seen == ["left"] * is_started
