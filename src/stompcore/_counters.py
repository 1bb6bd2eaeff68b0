"""What operators count: plain numbers, added up where things happen, and a snapshot of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from stompcore._frames import Command
from stompcore._state import ServerState

__all__ = ["Counters", "ExpiryPath", "RefreshResult", "Snapshot"]


class ExpiryPath:
    """Where an expiry was noticed: the three places of the one rule."""

    FRAME = "frame"
    DELIVERY = "delivery"
    TIMER = "timer"


class RefreshResult:
    """How an in-band refresh ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Counters:
    """The running totals of one server. Its sessions and its hub add to them.

    Bytes are those of STOMP frames, without WebSocket and TLS.
    """

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "connects",
        "dead_letters",
        "delivered",
        "dropped",
        "duplicates",
        "ended",
        "expiries",
        "frames_in",
        "frames_out",
        "published",
        "refreshes",
        "revocations",
        "sessions_opened",
    )

    def __init__(self) -> None:
        self.sessions_opened = 0
        self.connects = 0
        self.frames_in: Counter[Command] = Counter()
        self.frames_out: Counter[Command] = Counter()
        self.bytes_in = 0
        self.bytes_out = 0
        self.expiries: Counter[str] = Counter()
        self.refreshes: Counter[str] = Counter()
        self.revocations = 0
        self.ended: Counter[str] = Counter()
        self.published = 0
        self.delivered = 0
        self.dropped = 0
        self.dead_letters = 0
        self.duplicates = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A server's numbers at one moment. Totals only ever grow while the server lives.

    Args:
        sessions: how many there are now, by state.
        subscriptions: how many there are now.
        queues, queued_messages, queued_size: what waits in queues now; the last in bytes.
        is_draining: whether the server is on its way out.
        sessions_opened: transports accepted.
        connects: tokens accepted at CONNECT.
        frames_in, frames_out: frames by command; heart-beats are none.
        bytes_in, bytes_out: of STOMP, without WebSocket and TLS.
        expiries: sessions that a token's end has ended, by where it was noticed: "frame",
            "delivery", "timer".
        refreshes: in-band refreshes: "accepted", "rejected".
        revocations: sessions ended, or refused, because their token was revoked.
        ended: sessions that are over, by `error-code`; "" for those that ended in peace.
        published: messages that were sent to a destination.
        delivered: copies that were queued for a subscription.
        dropped: messages that nobody could get: to an address of `reply-to` that is dead, or dead
            letters that there was no room for.
        dead_letters: messages that a queue has given up.
        duplicates: SENDs whose `message-key` said that they were done already.
    """

    sessions: Mapping[ServerState, int] = field(default_factory=dict)
    subscriptions: int = 0
    queues: int = 0
    queued_messages: int = 0
    queued_size: int = 0
    is_draining: bool = False
    sessions_opened: int = 0
    connects: int = 0
    frames_in: Mapping[Command, int] = field(default_factory=dict)
    frames_out: Mapping[Command, int] = field(default_factory=dict)
    bytes_in: int = 0
    bytes_out: int = 0
    expiries: Mapping[str, int] = field(default_factory=dict)
    refreshes: Mapping[str, int] = field(default_factory=dict)
    revocations: int = 0
    ended: Mapping[str, int] = field(default_factory=dict)
    published: int = 0
    delivered: int = 0
    dropped: int = 0
    dead_letters: int = 0
    duplicates: int = 0

    @property
    def slow_consumers(self) -> int:
        """Sessions that were ended because they did not read fast enough."""
        return self.ended.get("slow-consumer", 0)
