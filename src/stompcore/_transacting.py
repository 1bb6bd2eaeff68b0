"""The transactions of a client's user: begun, filled, and committed on one connection."""

from __future__ import annotations

import abc
from collections.abc import Mapping

from stompcore._client_transactions import ClientTransaction, ClientTransactions
from stompcore._config import ClientConfig
from stompcore._current import CurrentConnection
from stompcore._errors import (
    NotConnected,
    OutboxFull,
    StompError,
    TransactionLost,
    TransactionRefused,
)
from stompcore._events import ErrorReceived, TransactionCommitted, TransactionFailed
from stompcore._frames import Command
from stompcore._line import Line
from stompcore._outbox import send_frame
from stompcore._state import TransactionState, TransactionTrigger

__all__ = ["Transacting"]


class Transacting(CurrentConnection, abc.ABC):
    """The part of a client that knows its transactions. None of them outlives its connection.

    Args:
        config: see `ClientConfig`.
        now: Unix seconds.
    """

    def __init__(self, config: ClientConfig, *, now: float) -> None:
        super().__init__(config, now=now)
        self._transactions = ClientTransactions()

    def begin(self, *, now: float) -> str:
        """Begin a transaction. It belongs to the connection of the moment, and is lost with it.

        Returns:
            Its name. `TransactionCommitted` or `TransactionFailed` comes, once, unless it is
            aborted.

        Raises:
            NotConnected: there is no connection that it could belong to.
            ClientClosed: the client is closing or has stopped.
        """
        self._require_running()
        self._advance(now)
        if not self._takes_messages():
            raise NotConnected("a transaction needs a connection, and there is none")
        assert self._line is not None
        transaction = self._transactions.add(self._line.epoch)
        self._send_frame(transaction.frame(Command.BEGIN), self._line)
        return transaction.name

    def send_in(
        self,
        transaction: str,
        destination: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        now: float,
    ) -> None:
        """Send a message as part of a transaction: the server does it at the COMMIT.

        Raises:
            NotConnected: its connection is ending; `TransactionFailed` is about to say so.
            OutboxFull: the connection does not take what it was given; nothing was queued.
            LocalProtocolError: the transaction is not open, or the message can never be sent.
        """
        self._advance(now)
        line = self._line_of(self._transactions.require(transaction))
        own = {"transaction": transaction}
        limits = self._config.limits
        frame, size = send_frame(destination, body, headers or {}, own=own, limits=limits)
        assert line.connection is not None
        if line.connection.bytes_queued + size > self._config.outbox_size:
            raise OutboxFull("the connection does not take what it was given")
        self._send_frame(frame, line)

    def commit(self, transaction: str, *, now: float) -> None:
        """Ask the server to do all of a transaction.

        Raises:
            NotConnected: its connection is ending; `TransactionFailed` is about to say so.
            LocalProtocolError: it is not open.
        """
        self._advance(now)
        found = self._transactions.require(transaction)
        self._send_frame(found.frame(Command.COMMIT), self._line_of(found))
        found.fire(TransactionTrigger.COMMIT)
        self._look_at_readers()

    def abort_transaction(self, transaction: str, *, now: float) -> None:
        """Give a transaction up. Legal for one that is over already."""
        self._advance(now)
        found = self._transactions.get(transaction)
        if found is None or found.state is not TransactionState.OPEN:
            return
        for line in self._lines():
            if line.epoch == found.epoch and line.is_open:
                self._send_frame(found.frame(Command.ABORT), line)
        self._transactions.settle(found, TransactionTrigger.ABORT)
        self._settled()

    # --- for the machine above ------------------------------------------------------------

    @abc.abstractmethod
    def _settled(self) -> None:
        """A message or a transaction has met its fate: what had waited for that may go on."""

    @abc.abstractmethod
    def _look_at_readers(self) -> None:
        """The client waits for an answer, and may have to read on for it."""

    def _committed(self, receipt_id: str) -> bool:
        """Whether this RECEIPT was for a COMMIT."""
        transaction = self._transactions.by_receipt(receipt_id)
        if transaction is None or transaction.state is not TransactionState.COMMITTING:
            return False
        self._transactions.settle(transaction, TransactionTrigger.RECEIPT)
        self._events.append(TransactionCommitted(transaction=transaction.name))
        self._settled()
        return True

    def _refuse_transaction(self, error: ErrorReceived) -> bool:
        """Whether this ERROR answers a COMMIT."""
        transaction = self._transactions.by_receipt(error.receipt_id)
        if transaction is None:
            return False
        self._fail_transaction(transaction, TransactionRefused(error.error_code, error.message))
        return True

    def _lose_transactions(self, line: Line) -> None:
        """A connection is over, and every transaction on it."""
        for transaction in self._transactions:
            if transaction.epoch == line.epoch:
                self._lose_transaction(transaction)

    def _lose_transaction(self, transaction: ClientTransaction) -> None:
        is_unknown = transaction.state is TransactionState.COMMITTING
        text = "the connection of the transaction has ended"
        if is_unknown:
            text += " before the server said whether it was done"
        self._fail_transaction(transaction, TransactionLost(text, is_unknown=is_unknown))

    def _fail_transaction(self, transaction: ClientTransaction, error: StompError) -> None:
        self._transactions.settle(transaction, TransactionTrigger.FAIL)
        self._events.append(TransactionFailed(transaction=transaction.name, error=error))

    def _line_of(self, transaction: ClientTransaction) -> Line:
        for line in self._lines():
            if line.epoch == transaction.epoch and line.is_open:
                return line
        raise NotConnected("the connection of the transaction is ending")
