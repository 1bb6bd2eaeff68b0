"""A transaction as its user sees it: a block that is done whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol

from stompcore._errors import ClientClosed, NotConnected, StompError
from stompcore.client._messages import ReceivedMessage, Waiter

__all__ = ["Transaction", "TransactionOwner"]


class TransactionOwner(Protocol):
    """What a transaction asks of its client."""

    async def _begin(self, transaction: Transaction) -> str:
        """BEGIN, as soon as there is a connection; the name."""

    def _send_in(
        self, name: str, destination: str, body: bytes | str, headers: Mapping[str, str] | None
    ) -> None:
        """SEND."""

    def _answer_in(self, name: str, message: ReceivedMessage, *, is_consumed: bool) -> None:
        """ACK or NACK."""

    async def _breathe(self) -> None:
        """Give the loop its turn."""

    def _commit(self, name: str) -> None:
        """COMMIT."""

    def _abort_transaction(self, name: str) -> None:
        """ABORT, and forget it."""


class Transaction:
    """Messages and acknowledgements that the server does all of, or nothing.

    Use it as ``async with client.transaction() as transaction: await transaction.send(...)``.
    Entering waits for a connection. Leaving says COMMIT and waits until the server has done it;
    an exception in the block says ABORT instead.

    It belongs to one connection. If that ends first, `TransactionLost` is raised, by whichever
    call comes next; nothing of it is sent again, since it would not be the same transaction.

    Args:
        owner: the client.
        waiter: makes events to wait on.
    """

    def __init__(self, owner: TransactionOwner, *, waiter: Callable[[], Waiter]) -> None:
        self.name = ""
        self._owner = owner
        self._decided = waiter()
        self._error: StompError | None = None

    async def __aenter__(self) -> Transaction:
        if self.name:
            raise ClientClosed("a transaction can be entered once")
        self.name = await self._owner._begin(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self._do(lambda: self._owner._commit(self.name))
                await self._decided.wait()
                self._raise()
        finally:
            # Cancelled, it may still be committed; otherwise this is ABORT, or nothing.
            self._owner._abort_transaction(self.name)

    async def send(
        self, destination: str, body: bytes | str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a message when the transaction is committed.

        Raises:
            TransactionLost, TransactionRefused: there is no transaction any more.
            OutboxFull: the connection does not take what it was given; nothing was queued.
            LocalProtocolError: it can never be sent.
        """
        await self._do(lambda: self._owner._send_in(self.name, destination, body, headers))
        await self._owner._breathe()  # many in a row would fill the connection, whoever reads

    async def ack(self, message: ReceivedMessage) -> None:
        """Acknowledge a message when the transaction is committed.

        Raises:
            StaleEpoch: the message came by another connection than the transaction's.
            TransactionLost, TransactionRefused: there is no transaction any more.
        """
        await self._do(lambda: self._owner._answer_in(self.name, message, is_consumed=True))

    async def nack(self, message: ReceivedMessage) -> None:
        """Refuse a message when the transaction is committed; see `ack`."""
        await self._do(lambda: self._owner._answer_in(self.name, message, is_consumed=False))

    async def _do(self, act: Callable[[], None]) -> None:
        self._raise()
        try:
            act()
        except NotConnected:
            await self._decided.wait()  # why it has ended is on its way
            self._raise()
            raise

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    # --- for its client -------------------------------------------------------------------

    def decide(self, error: StompError | None) -> None:
        """It has met its fate."""
        self._error = error
        self._decided.set()
