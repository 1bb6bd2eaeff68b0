"""Who sent what, and who got it how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = ["Ledger"]


class Ledger:
    """Every message is meant for everybody, its sender included.

    Args:
        people: who ought to receive everything.
    """

    def __init__(self, people: Sequence[str]) -> None:
        self._sent: list[str] = []
        self._received = {name: Counter[str]() for name in people}

    def send(self, text: str) -> None:
        """`text`, which is unlike all others, is sent."""
        self._sent.append(text)

    def receive(self, name: str, text: str) -> None:
        """`name` has got `text`."""
        self._received[name][text] += 1

    def has(self, name: str, text: str) -> bool:
        """Whether `name` has got `text`."""
        return self._received[name][text] > 0

    @property
    def sent(self) -> int:
        """How many messages were sent."""
        return len(self._sent)

    @property
    def received(self) -> int:
        """How many copies arrived, those too many not counted."""
        return sum(1 for got in self._received.values() for text in self._sent if got[text])

    @property
    def lost(self) -> int:
        """How many copies never arrived."""
        return len(self._sent) * len(self._received) - self.received

    @property
    def duplicated(self) -> int:
        """How many copies came again."""
        return sum(got.total() - len(got) for got in self._received.values())
