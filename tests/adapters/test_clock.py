"""`EpochClock` on real loops: what sleeps until an instant wakes at it, and not before."""

from __future__ import annotations

import asyncio
import time

import trio

from stompcore.driver import EpochClock

LATE = 1.0  # generous: only the order of clocks matters here


def test_asyncio_wakes_at_the_instant() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        clock = EpochClock(loop.time, time.time)
        assert abs(clock.now() - time.time()) < LATE
        woken = asyncio.Event()
        at = clock.now() + 0.05
        loop.call_at(clock.to_loop(at), woken.set)
        async with asyncio.timeout(5):
            await woken.wait()
        # A loop may round its timers, by a millisecond at most; waking early is legal.
        assert at - 0.005 <= clock.now() < at + LATE

    asyncio.run(body())


def test_trio_wakes_at_the_instant() -> None:
    async def body() -> None:
        clock = EpochClock(trio.current_time, time.time)
        assert abs(clock.now() - time.time()) < LATE
        at = clock.now() + 0.05
        with trio.fail_after(5):
            with trio.move_on_at(clock.to_loop(at)):
                await trio.sleep_forever()
        assert at - 0.005 <= clock.now() < at + LATE

    trio.run(body)
