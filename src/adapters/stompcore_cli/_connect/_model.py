"""What there is to see: a client's facts, its subscriptions, its messages and its log. No I/O."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stompcore import AckMode, ClientEvent, ConnectionEnded, Dialing, Outcome, Resubscribed
from stompcore_cli._connect._entries import Entry, Facts
from stompcore_cli._connect._text import readable, visible

__all__ = [
    "MESSAGES_KEPT",
    "Connection",
    "Message",
    "Model",
    "Page",
    "SubscriptionRow",
    "TokenLife",
]

#: How many of the last messages can be spoken of.
MESSAGES_KEPT = 500
_ENTRIES_KEPT = 500
_WAITING = {
    Outcome.REFRESH: "getting a new token",
    Outcome.RETRY: "waiting to dial again",
    Outcome.RENEW: "changing to a newer token",
    Outcome.STOP: "over",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """The connection that is up."""

    epoch: int
    version: str


@dataclass(kw_only=True, slots=True)
class SubscriptionRow:
    """A subscription, and how many messages have come for it."""

    number: int
    destination: str
    ack: AckMode
    is_active: bool = False
    messages: int = 0


@dataclass(kw_only=True, slots=True)
class Message:
    """A message that has come.

    Args:
        number: by which a person speaks of it.
        at: when, in Unix seconds.
        subscription: its number, 0 for a reply.
        destination: where it was sent to.
        headers, body: as they came.
        answer: "wanted", then "acked" or "nacked"; empty if there is none to give.
    """

    number: int
    at: float
    subscription: int
    destination: str
    headers: Mapping[str, str]
    body: bytes
    answer: str = ""

    @property
    def text(self) -> str:
        """Its body, in one line."""
        return visible(readable(self.body))

    @property
    def fields(self) -> dict[str, object]:
        """All of it, for programs."""
        fields: dict[str, object] = {
            "number": self.number,
            "subscription": self.subscription or None,
            "destination": self.destination,
            "headers": dict(self.headers),
        }
        try:
            return {**fields, "body": self.body.decode()}
        except UnicodeDecodeError:
            return {**fields, "body_base64": base64.b64encode(self.body).decode()}

    @property
    def lines(self) -> list[str]:
        """All of it, for people."""
        headers = [visible(f"{name}: {value}") for name, value in self.headers.items()]
        return [*headers, "", *(visible(line) for line in readable(self.body).split("\n"))]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenLife:
    """How long the token lives; instants in Unix seconds."""

    began_at: float
    ends_at: float

    def share(self, now: float) -> float:
        """What is left of it, from 1 to 0."""
        whole = self.ends_at - self.began_at
        return min(1.0, max(0.0, (self.ends_at - now) / whole)) if whole > 0 else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A text that is shown in place of messages and log, until the next command."""

    title: str
    lines: Sequence[str]


class Model:
    """What a view draws.

    Args:
        url: that is dialled.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.facts = Facts()
        self.connection: Connection | None = None
        self.waits_for = "starting"
        self.life: TokenLife | None = None
        self.unconfirmed = 0
        self.has_transaction = False
        self.is_leaving = False
        self.page: Page | None = None
        self.subscriptions: dict[int, SubscriptionRow] = {}
        self.messages: deque[Message] = deque(maxlen=MESSAGES_KEPT)
        self.log: deque[Entry] = deque(maxlen=_ENTRIES_KEPT)
        self.received = 0
        self.sent = 0
        self._last_subscription = 0

    def look(self, facts: Facts, now: float) -> None:
        """The client says this of itself, at the instant `now`."""
        self.facts = facts
        until = facts.token_valid_until
        if until is None:
            self.life = None
        elif self.life is None or self.life.ends_at != until:
            self.life = TokenLife(began_at=now, ends_at=until)

    def happened(self, event: ClientEvent) -> None:
        """Keep up with the connections."""
        match event:
            case Dialing() if self.connection is None:
                self.waits_for = f"dialling connection {event.epoch}"
            case Resubscribed():
                self.connection = Connection(epoch=event.epoch, version=event.version.value)
            case ConnectionEnded():
                if self.connection is not None and event.epoch == self.connection.epoch:
                    self.connection = None
                self.waits_for = _WAITING[event.outcome]
                if event.outcome is not Outcome.RENEW:  # which may have left no gap
                    for row in self.subscriptions.values():
                        row.is_active = False
            case _:
                pass

    def add_subscription(self, destination: str, ack: AckMode) -> SubscriptionRow:
        """A new one, with the next number."""
        self._last_subscription += 1
        row = SubscriptionRow(number=self._last_subscription, destination=destination, ack=ack)
        self.subscriptions[row.number] = row
        return row

    def find_subscription(self, which: str) -> SubscriptionRow | None:
        """By its number, or else the oldest of this destination."""
        digits = which.removeprefix("#")
        if digits.isascii() and digits.isdigit() and len(digits) < 10:
            return self.subscriptions.get(int(digits))
        rows = (each for each in self.subscriptions.values() if each.destination == which)
        return next(rows, None)

    def add_message(
        self,
        row: SubscriptionRow | None,
        headers: Mapping[str, str],
        body: bytes,
        destination: str,
        at: float,
    ) -> Message:
        """A message for a subscription, or a reply, with the next number."""
        self.received += 1
        wants_answer = row is not None and row.ack is not AckMode.AUTO
        message = Message(
            number=self.received,
            at=at,
            subscription=0 if row is None else row.number,
            destination=destination,
            headers=headers,
            body=body,
            answer="wanted" if wants_answer else "",
        )
        if row is not None:
            row.messages += 1
        self.messages.append(message)
        return message

    def find_message(self, number: int) -> Message | None:
        """By its number, while it is kept."""
        if not self.messages:
            return None
        at = number - self.messages[0].number
        return self.messages[at] if 0 <= at < len(self.messages) else None
