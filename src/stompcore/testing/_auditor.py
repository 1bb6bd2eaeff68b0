"""`Auditor`: what must always hold between clients and a server, checked while it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from stompcore._auth import Identity
from stompcore._config import ClientConfig, Limits, ServerConfig
from stompcore._errors import ErrorCode
from stompcore._events import AckMode
from stompcore._headers import Headers
from stompcore._machine import Machine
from stompcore._server import ServerSession
from stompcore.broker import Broker, Delivery, Sender
from stompcore.driver import MAX_SLEEP
from stompcore.testing._ledger import Connection, Ledger, Violation, check_deadline

__all__ = ["AuditedBroker", "Auditor", "Handled"]

_SILENCED = (ErrorCode.TOKEN_EXPIRED, ErrorCode.TOKEN_REVOKED)
# How far into a chunk the command can stand: behind the head of a WebSocket frame.
_HEAD = 24


class Handled(NamedTuple):
    """A message that was done: of whom, to where, and what."""

    subject: str
    destination: str
    body: bytes


class AuditedBroker(Broker):
    """A `Broker` that tells an auditor what it was asked to do, and what it hands out."""

    def __init__(
        self,
        auditor: Auditor,
        limits: Limits | None = None,
        *,
        id_prefix: str = "",
        reply_key: bytes | None = None,
    ) -> None:
        super().__init__(limits, id_prefix=id_prefix, reply_key=reply_key)
        self._auditor = auditor

    def publish(
        self, destination: str, headers: Headers, body: bytes, *, sender: Sender | None = None
    ) -> list[Delivery]:
        """See `Broker.publish`."""
        deliveries = super().publish(destination, headers, body, sender=sender)
        if sender is not None:
            self._auditor.took_effect(sender, destination, body)
        elif self._auditor.read_handled is not None:
            self._auditor.published(body)
        for each in deliveries:
            self._auditor.routed(each)
        return deliveries

    def next_delivery(self) -> Delivery | None:
        """See `Broker.next_delivery`."""
        delivery = super().next_delivery()
        if delivery is not None:
            self._auditor.routed(delivery)
        return delivery

    def subscribe(
        self,
        sender: Sender,
        subscription: str,
        destination: str,
        *,
        ack: AckMode = AckMode.AUTO,
        headers: Headers | None = None,
    ) -> None:
        """See `Broker.subscribe`."""
        self._auditor.accepted(sender.session_id, "SUBSCRIBE")
        super().subscribe(sender, subscription, destination, ack=ack, headers=headers)

    def ack(self, session_id: str, message_id: str, subscription: str | None) -> None:
        """See `Broker.ack`."""
        self._auditor.accepted(session_id, "ACK")
        super().ack(session_id, message_id, subscription)

    def nack(self, session_id: str, message_id: str, subscription: str | None) -> None:
        """See `Broker.nack`."""
        self._auditor.accepted(session_id, "NACK")
        super().nack(session_id, message_id, subscription)


class Auditor:
    """Watches clients and a server, and raises `Violation` at the first thing that must not be.

    A `World` that is given one shows it everything. With machines of your own: give the hub
    `broker()`, tell `opened` of every session and `left` of what leaves for it, and give each
    client's driver the books of `client()`.

    The invariants:

    - No frame takes effect at or after the end of its session's token, by the server's clock.
    - No MESSAGE leaves for a session whose token has run out, or was revoked.
    - A session does not outlive its token for longer than a suspended computer sleeps.
    - A client has one token fetch under way at most.
    - Every message has one fate. What is confirmed was done, and it was done once; or, where the
      server could not remember it, once for each connection whose RECEIPT was lost.
    - Of a transaction everything is done, or nothing; nothing of one that was not committed.
    - Messages of one client to one destination are done in the order in which they were sent.
    - What a server routes to a subscription comes once, in order, with nothing left out.
    - No three attempts to connect within the backoff's floor.
    - A connection that is back within `status_grace` shows nothing to the person at the screen.
    - A client stops for a reason that it was given.
    - After `handle_timeout`, the next deadline is later than now.

    Attributes:
        ledgers: the books of each client, by name.
        counts: of what was seen, so that a test can tell that it has seen something.
        read_handled: finds, in the body of what a handler has published, which message it was
            called for; so that messages to handlers are judged, too. None, and they are not.
    """

    def __init__(self) -> None:
        self.ledgers: dict[str, Ledger] = {}
        self.counts: Counter[str] = Counter()
        self.read_handled: Callable[[bytes], Handled | None] | None = None
        self._handled = 0
        self._sessions: dict[str, ServerSession] = {}
        self._connections: dict[str, Connection] = {}
        self._server_now: Callable[[], float] = lambda: 0.0
        self._monotonic: Callable[[], float] = lambda: 0.0
        self._overdue_since: dict[str, float] = {}
        self._leeway = 0.0
        self._window = 0.0
        self._memory = 0

    # --- whom it watches ------------------------------------------------------------------

    def client(self, name: str, config: ClientConfig, *, has_keys: bool) -> Ledger:
        """The books of a client, which its driver has to tell what happens.

        Args:
            name: of the client, and of the subject that its tokens are for.
            config: its own.
            has_keys: whether it has a `client_id`.
        """
        ledger = Ledger(
            name, config, has_keys=has_keys, judges_handlers=self.read_handled is not None
        )
        self.ledgers[name] = ledger
        return ledger

    def server(
        self, config: ServerConfig, now: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        """A server, in place of the last one, if there was one.

        Args:
            config: for the leeway, and for how long it remembers what it has done.
            now: its clock, in Unix seconds.
            monotonic: how much time passes, which no step of a clock changes.
        """
        self._leeway = config.leeway
        self._window = config.duplicate_window
        self._server_now = now
        self._monotonic = monotonic
        self._overdue_since.clear()
        self._sessions.clear()
        self._connections.clear()

    def broker(
        self, limits: Limits, *, id_prefix: str = "", reply_key: bytes | None = None
    ) -> AuditedBroker:
        """A broker that is watched, for a `Hub`."""
        return AuditedBroker(self, limits, id_prefix=id_prefix, reply_key=reply_key)

    def forgot(self) -> None:
        """The server has lost its memory of what it has done."""
        self._memory += 1

    # --- what a server watcher is told ----------------------------------------------------

    def opened(self, session: ServerSession, client: str, epoch: int) -> None:
        """A client's connection has a session."""
        self._sessions[session.session_id] = session
        ledger = self.ledgers.get(client)
        if ledger is not None:
            connection = Connection()
            ledger.connections[epoch] = self._connections[session.session_id] = connection

    def left(self, session: ServerSession, chunks: list[bytes], now: float) -> None:
        """These bytes leave for a session's peer.

        Raises:
            Violation: a MESSAGE among them must not.
        """
        identity = session.identity
        if identity is None or not any(b"MESSAGE\n" in each[:_HEAD] for each in chunks):
            return
        if now >= self._valid_until(identity):
            raise Violation(f"{session.session_id}: a MESSAGE leaves on a token that has run out")
        if session.error in _SILENCED:
            raise Violation(f"{session.session_id}: a MESSAGE leaves after {session.error}")
        self.counts["messages out"] += 1

    def server_fired(self, machine: Machine, now: float) -> None:
        """A server's machine was told the time."""
        check_deadline(machine, now)

    # --- what a broker tells --------------------------------------------------------------

    def accepted(self, session_id: str, what: str) -> None:
        """A frame of a session takes effect.

        Raises:
            Violation: its token has run out, or there never was one.
        """
        self.counts[what] += 1
        session = self._sessions.get(session_id)
        if session is None:
            return
        if session.identity is None:
            raise Violation(f"{session_id}: {what} was accepted before CONNECT")
        if self._server_now() >= self._valid_until(session.identity):
            raise Violation(f"{session_id}: {what} was accepted on a token that has run out")

    def took_effect(self, sender: Sender, destination: str, body: bytes) -> None:
        """A message of a client was done."""
        self.accepted(sender.session_id, "SEND")
        self._took_effect(Handled(sender.subject, destination, body), sender.session_id)

    def published(self, body: bytes) -> None:
        """The server has published something of its own."""
        assert self.read_handled is not None
        handled = self.read_handled(body)
        if handled is not None:
            self.counts["handled"] += 1
            self._handled += 1
            # By which connection it came, nobody can tell any more: each counts as one of its own.
            self._took_effect(handled, f"handled {self._handled}")

    def routed(self, delivery: Delivery) -> None:
        """A message is meant for a session's subscription."""
        connection = self._connections.get(delivery.session_id)
        if connection is not None:
            self.counts["routed"] += 1
            routed = connection.routed.setdefault(delivery.subscription, [])
            routed.append(delivery.message.message_id)

    # --- at any time ----------------------------------------------------------------------

    def check(self) -> None:
        """What must hold between any two steps.

        Raises:
            Violation: it does not.
        """
        now = self._server_now()
        for session_id, session in list(self._sessions.items()):
            if session.closing:
                self._overdue_since.pop(session_id, None)
                if session.closed:
                    del self._sessions[session_id]
            elif session.identity is not None and now >= self._valid_until(session.identity):
                since = self._overdue_since.setdefault(session_id, self._monotonic())
                if self._monotonic() > since + MAX_SLEEP:
                    raise Violation(f"{session_id} has outlived its token")
            elif self._overdue_since:
                self._overdue_since.pop(session_id, None)

    def check_settled(self) -> None:
        """Every client that has not stopped is connected, heard everywhere, and owes nothing.

        Raises:
            Violation: one is not.
        """
        for ledger in self.ledgers.values():
            if not ledger.is_settled:
                raise Violation(ledger.unsettled())

    def _took_effect(self, done: Handled, session_id: str) -> None:
        ledger = self.ledgers.get(done.subject)
        if ledger is not None:
            ledger.took_effect(
                done.destination,
                done.body,
                session_id,
                memory=self._memory,
                now=self._server_now(),
                window=self._window,
            )

    def _valid_until(self, identity: Identity) -> float:
        if identity.expires_at is None:
            return float("inf")
        return identity.expires_at + self._leeway
