"""A transaction that stays open between two commands."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from stompcore import ClientClosed, StompError
from stompcore.client import Transaction
from stompcore_asyncio import AsyncioClient

__all__ = ["OpenTransaction"]


class _Aborted(Exception):
    """The user wants none of it."""


class OpenTransaction:
    """A task that stands in the client's `async with` until it is told how to leave it.

    Args:
        client: whose transaction it is.
    """

    def __init__(self, client: AsyncioClient) -> None:
        loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[Transaction] = loop.create_future()
        self._verdict: asyncio.Future[bool] = loop.create_future()
        self._task = loop.create_task(self._run(client))

    async def begun(self) -> Transaction:
        """It, as soon as there is a connection for it.

        Raises:
            StompError: why it could not be begun.
        """
        either: list[asyncio.Future[Any]] = [self._begun, self._task]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._begun.done():
            self._look()
            raise ClientClosed("the transaction was not begun")
        return self._begun.result()

    async def commit(self) -> None:
        """Say COMMIT, and wait until it is done.

        Raises:
            StompError: it was not, or nobody knows.
        """
        await self.begun()
        self._decide(True)
        await asyncio.wait([self._task])
        self._look()

    async def abort(self) -> None:
        """Say ABORT, if there is anything to abort. Legal at any moment and more than once."""
        if self._begun.done():
            self._decide(False)
        else:
            self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(StompError):  # it was lost before: there is nothing to abort
            self._look()

    def _decide(self, is_committed: bool) -> None:
        if not self._verdict.done():
            self._verdict.set_result(is_committed)

    def _look(self) -> None:
        if not self._task.cancelled():
            self._task.result()

    async def _run(self, client: AsyncioClient) -> None:
        with contextlib.suppress(_Aborted):
            async with client.transaction() as transaction:
                self._begun.set_result(transaction)
                if not await self._verdict:
                    raise _Aborted
