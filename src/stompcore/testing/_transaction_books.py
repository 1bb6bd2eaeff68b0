"""What an auditor keeps of a client's transactions: all of one is done, or nothing of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from stompcore._errors import TransactionLost
from stompcore._events import TransactionCommitted, TransactionFailed

__all__ = ["TransactionBooks", "Violation"]


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class _Transaction:
    name: str
    fate: str = ""
    is_asked_for: bool = False  # COMMIT was sent
    contents: set[tuple[str, bytes]] = field(default_factory=set)
    done: set[tuple[str, bytes]] = field(default_factory=set)


class TransactionBooks:
    """The transactions of one client.

    Args:
        client: its name.
    """

    def __init__(self, client: str) -> None:
        self._client = client
        self._transactions: dict[str, _Transaction] = {}
        self._by_content: dict[tuple[str, bytes], _Transaction] = {}

    def begun(self, name: str) -> None:
        """The user has begun one."""
        self._require(name not in self._transactions, f"transaction {name} was begun twice")
        self._transactions[name] = _Transaction(name)

    def sent(self, name: str, destination: str, body: bytes) -> None:
        """The user has sent a message in one. It is judged only if there is no other like it."""
        content = (destination, body)
        if content not in self._by_content:
            self._transactions[name].contents.add(content)
            self._by_content[content] = self._transactions[name]

    def asked(self, name: str) -> None:
        """The user wants it to be done."""
        self._transactions[name].is_asked_for = True

    def aborted(self, name: str) -> None:
        """The user does not want it any more."""
        if not self._transactions[name].fate:
            self._transactions[name].fate = "aborted"

    def took_effect(self, destination: str, body: bytes) -> bool:
        """A message was done at the server; whether it was in a transaction.

        Raises:
            Violation: it must not have been, or not again.
        """
        content = (destination, body)
        transaction = self._by_content.get(content)
        if transaction is None:
            return False
        name = transaction.name
        self._require(transaction.is_asked_for, f"of transaction {name} a part was done too early")
        self._require(
            transaction.fate in ("", "unknown"),
            f"of transaction {name}, which is {transaction.fate}, a part was done",
        )
        self._require(content not in transaction.done, f"a part of {name} was done twice")
        transaction.done.add(content)
        return True

    def committed(self, event: TransactionCommitted) -> None:
        """The client says that it was done.

        Raises:
            Violation: it was not, or has a fate already.
        """
        transaction = self._decide(event.transaction, "committed")
        missing = transaction.contents - transaction.done
        self._require(not missing, f"transaction {transaction.name} lacks {sorted(missing)}")

    def failed(self, event: TransactionFailed) -> None:
        """The client says that it was not done, or that nobody knows.

        Raises:
            Violation: it was, or has a fate already.
        """
        is_unknown = isinstance(event.error, TransactionLost) and event.error.is_unknown
        transaction = self._decide(event.transaction, "unknown" if is_unknown else "failed")
        self._require(
            is_unknown or not transaction.done, f"transaction {transaction.name} was done after all"
        )

    def check(self) -> None:
        """Between any two steps: all of each, or nothing.

        Raises:
            Violation: something in between.
        """
        for each in self._transactions.values():
            self._require(
                not each.done or each.done == each.contents,
                f"of transaction {each.name} only a part was done",
            )

    def unsettled(self) -> list[str]:
        """Those that were asked for and have no fate yet."""
        return [
            each.name for each in self._transactions.values() if each.is_asked_for and not each.fate
        ]

    def _decide(self, name: str, fate: str) -> _Transaction:
        transaction = self._transactions.get(name)
        self._require(transaction is not None, f"a fate for transaction {name}, which nobody began")
        assert transaction is not None
        self._require(not transaction.fate, f"{name} is {fate} and was {transaction.fate}")
        transaction.fate = fate
        return transaction

    def _require(self, condition: bool, sentence: str) -> None:
        if not condition:
            raise Violation(f"{self._client}: {sentence}")
