"""The transactions of a client. Each belongs to one connection, and is lost with it."""

from __future__ import annotations

from collections.abc import Iterator

from stompcore._errors import LocalProtocolError
from stompcore._frames import Command, Frame
from stompcore._machine import StateMachine
from stompcore._state import TRANSACTION, TransactionState, TransactionTrigger

__all__ = ["ClientTransaction", "ClientTransactions"]

_PREFIX = "commit-"


class ClientTransaction:
    """One transaction, from BEGIN to its fate.

    Args:
        name: by which the frames of its connection know it.
        epoch: of the connection.
    """

    __slots__ = ("_table", "epoch", "name")

    def __init__(self, name: str, epoch: int) -> None:
        self.name = name
        self.epoch = epoch
        self._table = StateMachine(TRANSACTION, TransactionState.OPEN)

    @property
    def state(self) -> TransactionState:
        """Where the transaction's table stands."""
        return self._table.state

    def fire(self, trigger: TransactionTrigger) -> None:
        """Move as the table says."""
        self._table.fire(trigger)

    def frame(self, command: Command) -> Frame:
        """BEGIN, COMMIT (which asks for a receipt) or ABORT."""
        headers = {"transaction": self.name}
        if command is Command.COMMIT:
            headers["receipt"] = f"{_PREFIX}{self.name}"
        return Frame(command, headers)


class ClientTransactions:
    """The transactions whose fate is open."""

    def __init__(self) -> None:
        self._by_name: dict[str, ClientTransaction] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[ClientTransaction]:
        return iter(list(self._by_name.values()))

    @property
    def await_receipt(self) -> bool:
        """Whether the answer to a COMMIT has to come."""
        return any(each.state is TransactionState.COMMITTING for each in self._by_name.values())

    def add(self, epoch: int) -> ClientTransaction:
        """A new one on the connection of `epoch`. No name is ever used again."""
        self._last += 1
        transaction = ClientTransaction(f"tx-{self._last}", epoch)
        self._by_name[transaction.name] = transaction
        return transaction

    def get(self, name: str) -> ClientTransaction | None:
        """The transaction of this name, or None if it is over."""
        return self._by_name.get(name)

    def require(self, name: str) -> ClientTransaction:
        """The open transaction of this name.

        Raises:
            LocalProtocolError: there is none, or COMMIT has been said.
        """
        transaction = self.get(name)
        if transaction is None or transaction.state is not TransactionState.OPEN:
            raise LocalProtocolError("this transaction is not open")
        return transaction

    def by_receipt(self, receipt_id: str | None) -> ClientTransaction | None:
        """The one whose COMMIT asked for this receipt, or None."""
        if receipt_id is None or not receipt_id.startswith(_PREFIX):
            return None
        return self._by_name.get(receipt_id[len(_PREFIX) :])

    def settle(self, transaction: ClientTransaction, trigger: TransactionTrigger) -> None:
        """A transaction has met its fate (RECEIPT, FAIL or ABORT)."""
        transaction.fire(trigger)
        del self._by_name[transaction.name]
