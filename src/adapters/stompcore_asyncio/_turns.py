"""`Turns`: what falls due at once is done a little in each turn of the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["Turns"]

# A thousand tokens that expire in one second would hold everybody else up for a fifth of one; so
# many at a time cost a few milliseconds. Who waits here has lost nothing but the news: the machine
# compares every frame and every MESSAGE with the clock by itself.
_A_TURN = 16


class Turns:
    """A queue of callbacks, of which each turn of `loop` calls a few."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, callback: Callable[[], None]) -> None:
        """Call it soon."""
        self._waiting.append(callback)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        for _ in range(min(len(self._waiting) - 1, _A_TURN - 1)):
            self._waiting.popleft()()
        # The last one stays in the queue while it runs, so that `add` starts no second round.
        self._waiting[0]()
        self._waiting.popleft()
        if self._waiting:
            self._loop.call_soon(self._work)
