"""`Hub`: many server sessions and one broker. What one session sends, it hands to the others."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from stompcore._auth import Identity, Rejected, TokenVerifier
from stompcore._config import ServerConfig
from stompcore._counters import Counters, Snapshot
from stompcore._duplicates import Duplicates
from stompcore._errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from stompcore._events import Connected, ConnectRequested, Ended, Reauthenticated, ReauthRequested
from stompcore._headers import Headers
from stompcore._outgoing import TAKE_SIZE
from stompcore._revocations import GuardedVerifier, Revocations
from stompcore._server import ServerSession
from stompcore._worker import Worker
from stompcore.broker import Broker, Delivery
from stompcore.handlers import Handlers, Job
from stompcore.policy import AllowEverything, Policy

__all__ = ["Hub", "Notice", "NoticeEvent"]

NoticeEvent = Connected | ConnectRequested | ReauthRequested | Reauthenticated | Ended


class Notice(NamedTuple):
    """What a server's owner may want to log, or has to answer (`ConnectRequested`)."""

    session_id: str
    event: NoticeEvent
    subject: str | None = None  # None before the token was accepted


class Hub:
    """The sessions of one server. Every call returns the ids of those that now have output.

    After every call that takes `now`, drain `next_notice()` and `next_job()`. After a session's
    output was taken, call `refill` if `is_holding_back` says so.

    Args:
        config: what all sessions share.
        broker: routes messages; a new one by default.
        verifier: judges tokens at once. Without one, a `Notice` with `ConnectRequested` or
            `ReauthRequested` asks for `accept` or `reject`.
        policy: who may send and listen where; everything is allowed by default.
        handlers: functions of the application; their destinations come before the broker's.
        reply_key: secret bytes for the broker's temporary destinations, see `Broker`.
        id_prefix: of message-ids, see `Broker`.
        duplicates: what was done already, by an earlier hub for example; a new one by default.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        broker: Broker | None = None,
        verifier: TokenVerifier | None = None,
        policy: Policy | None = None,
        handlers: Handlers | None = None,
        reply_key: bytes | None = None,
        id_prefix: str = "",
        duplicates: Duplicates | None = None,
    ) -> None:
        self.config = config
        if broker is None:  # one that nobody listens to counts as False
            broker = Broker(config.limits, id_prefix=id_prefix, reply_key=reply_key)
        self.broker = broker
        # One that knows nothing yet counts as False, too.
        self.duplicates = Duplicates(config) if duplicates is None else duplicates
        self.revocations = Revocations()
        self.counters = Counters()
        self.is_draining = False
        self._verifier = None if verifier is None else GuardedVerifier(verifier, self.revocations)
        self._worker = Worker(
            self.broker,
            AllowEverything() if policy is None else policy,
            Handlers() if handlers is None else handlers,
            self._deliver,
            self.revocations,
            self.duplicates,
            self.counters,
            backlog=config.limits.handler_backlog,
        )
        self._sessions: dict[str, ServerSession] = {}
        # Those that are over, and whose last messages may still leave, or come back.
        self._leaving: dict[str, ServerSession] = {}
        self._notices: deque[Notice] = deque()
        self._reached: set[str] = set()
        self._ending: list[str] = []

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[ServerSession]:
        return iter(list(self._sessions.values()))

    # --- transports -----------------------------------------------------------------------

    def open(self, session_id: str, *, now: float) -> ServerSession:
        """A session for a new transport.

        Args:
            session_id: unique; it is shown to the client.
            now: Unix seconds.

        Raises:
            LocalProtocolError: the id is in use.
        """
        if session_id in self._sessions or session_id in self._leaving:
            raise LocalProtocolError("this session id is in use")
        session = ServerSession(
            self.config,
            session_id=session_id,
            now=now,
            verifier=self._verifier,
            counters=self.counters,
        )
        self._sessions[session_id] = session
        if self.is_draining:
            session.end_at(now)
        return session

    def process(self, session_id: str, *, now: float) -> set[str]:
        """Do what a session's peer has asked for. Call it after the session was fed.

        Args:
            session_id: of a session that was fed, or whose timers were fired.
            now: Unix seconds.

        Returns:
            The ids of the sessions that now have output or have changed; this one is among them.
        """
        self._reached.add(session_id)
        self._drain(session_id, now)
        session = self._sessions.get(session_id)
        if session is not None and session.has_left:
            # What it said waits for its handlers; what queues have is for those who can read it.
            self.broker.pause(session_id)
        return self._settle(now)

    def is_holding_back(self, session_id: str) -> bool:
        """Whether queues may have more for a session than it had room for."""
        return self.broker.is_paused(session_id)

    def refill(self, session_id: str, *, now: float) -> set[str]:
        """A session's output was taken: hand it more of what queues hold for it."""
        session = self._sessions.get(session_id)
        if session is None or session.has_left or session.bytes_queued >= TAKE_SIZE:
            return set()
        session.owe(False, now=now)
        self.broker.resume(session_id)
        return self._settle(now)

    def next_notice(self) -> Notice | None:
        """The next thing worth knowing, or None."""
        return self._notices.popleft() if self._notices else None

    # --- the application ------------------------------------------------------------------

    def accept(self, session_id: str, identity: Identity, *, now: float) -> set[str]:
        """Answer a session's `ConnectRequested` or `ReauthRequested`: the token is good.

        An answer for a session that is gone, or waits no more, is dropped.
        """
        session = self._sessions.get(session_id)
        if session is None or not session.is_judging:
            return set()
        try:
            self.revocations.check(identity)
        except Rejected as rejected:
            session.reject(rejected, now=now)
        else:
            session.accept(identity, now=now)
        return self.process(session_id, now=now)

    def reject(self, session_id: str, rejected: Rejected, *, now: float) -> set[str]:
        """Answer a session's `ConnectRequested` or `ReauthRequested`: the token is refused."""
        session = self._sessions.get(session_id)
        if session is None or not session.is_judging:
            return set()
        session.reject(rejected, now=now)
        return self.process(session_id, now=now)

    def publish(
        self,
        destination: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        now: float,
    ) -> set[str]:
        """Send a message on the server's own behalf.

        Args:
            destination: where to.
            body: bytes.
            headers: of the MESSAGE frames.
            now: Unix seconds.

        Returns:
            The ids of the sessions that now have output.

        Raises:
            LocalProtocolError: the broker does not serve the destination, or has no room.
        """
        try:
            self._worker.publish(destination, Headers(headers or {}), body, now)
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.detail) from None
        return self._settle(now)

    def next_job(self) -> Job | None:
        """The next call of an async handler: await its `run()`, then `finish` it."""
        return self._worker.calls.next_job()

    def finish(self, job: Job, *, now: float) -> set[str]:
        """A job has run: what it said goes out, and the next call of its session begins.

        So do those of other sessions of its user that have sent the same message again meanwhile,
        and waited for what becomes of it.
        """
        for session_id in self._worker.finish(job, now):
            self._reached.add(session_id)
            self._drain(session_id, now)
        return self._settle(now)

    # --- the operator ---------------------------------------------------------------------

    def revoke(
        self,
        *,
        session_id: str | None = None,
        subject: str | None = None,
        token_id: str | None = None,
        now: float,
    ) -> set[str]:
        """End what lives on a token that is not to count any more: ERROR `Token Revoked`, 3003.

        A session's end is the end of it. A subject's tokens, or the one of a `jti`, are refused
        from now on, too: see `Revocations`.

        Args:
            session_id, subject, token_id: exactly one of them.
            now: Unix seconds.

        Returns:
            The ids of the sessions that were ended, and of those that now have output.

        Raises:
            LocalProtocolError: none of them, or more than one.
        """
        hit = self._find(session_id=session_id, subject=subject, token_id=token_id, now=now)
        if subject is not None:
            self.revocations.revoke_subject(subject, now=now)
        elif token_id is not None:
            until = max((each.valid_until for each in hit), default=math.inf)
            self.revocations.revoke_token(
                token_id, until=until if until < math.inf else None, now=now
            )
        self.counters.revocations += len(hit)
        return self._end(hit, ErrorCode.TOKEN_REVOKED, "The access token was revoked.", now)

    def pardon(self, *, subject: str | None = None, token_id: str | None = None) -> bool:
        """Take a revocation back; whether there was one.

        Raises:
            LocalProtocolError: none of the two, or both.
        """
        if (subject is None) is (token_id is None):
            raise LocalProtocolError("name one of subject and token_id")
        if subject is not None:
            return self.revocations.pardon_subject(subject)
        assert token_id is not None
        return self.revocations.pardon_token(token_id)

    def expire(
        self, *, session_id: str | None = None, subject: str | None = None, now: float
    ) -> set[str]:
        """End sessions as if their tokens had run out now: their clients refresh and come back.

        Raises:
            LocalProtocolError: none of the two, or both.
        """
        hit = self._find(session_id=session_id, subject=subject, token_id=None, now=now)
        return self._end(hit, ErrorCode.TOKEN_EXPIRED, "Get a new token.", now)

    def drain(self, *, now: float, random: Callable[[], float]) -> float:
        """Begin to end every session, each at a moment of its own: not all shall come back at once.

        Work that has begun is finished, and what is queued leaves, before a session ends with
        ERROR `Going Away` and close 1001. A session that is opened later is ended at once.

        Args:
            now: Unix seconds.
            random: gives floats in [0, 1).

        Returns:
            Seconds after which nobody should be left: call each session's `handle_timeout` as its
            `next_deadline` says.
        """
        window = min(self.config.drain_window, len(self._sessions) / self.config.drain_rate)
        if not self.is_draining:  # else each has its moment already
            self.is_draining = True
            for session in self:
                session.end_at(now + random() * window)
        return window + 2 * self.config.limits.close_timeout

    def end_all(self, error_code: ErrorCode = ErrorCode.GOING_AWAY, *, now: float) -> set[str]:
        """Tell every session at once that it is over, with ERROR and the close."""
        return self._end(self, error_code, "", now)

    def snapshot(self) -> Snapshot:
        """The server's numbers now."""
        counters, broker = self.counters, self.broker
        return Snapshot(
            sessions=Counter(session.state for session in self._sessions.values()),
            subscriptions=len(broker),
            queues=broker.queues,
            queued_messages=broker.queued_messages,
            queued_size=broker.queued_size,
            is_draining=self.is_draining,
            sessions_opened=counters.sessions_opened,
            connects=counters.connects,
            frames_in=dict(counters.frames_in),
            frames_out=dict(counters.frames_out),
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            expiries=dict(counters.expiries),
            refreshes=dict(counters.refreshes),
            revocations=counters.revocations,
            ended=dict(counters.ended),
            published=counters.published,
            delivered=counters.delivered,
            dropped=broker.dropped,
            dead_letters=broker.dead_letters,
            duplicates=counters.duplicates,
        )

    # --- inside ---------------------------------------------------------------------------

    def _find(
        self,
        *,
        session_id: str | None,
        subject: str | None,
        token_id: str | None,
        now: float,
    ) -> list[ServerSession]:
        """The live sessions that are meant; of those that are leaving, nothing more leaves."""
        if sum(each is not None for each in (session_id, subject, token_id)) != 1:
            raise LocalProtocolError("name exactly one of the things that can be ended")

        def is_meant(session: ServerSession) -> bool:
            identity = session.identity
            return identity is not None and (
                session.session_id == session_id
                or identity.subject == subject
                or (token_id is not None and identity.token_id == token_id)
            )

        for each in filter(is_meant, self._leaving.values()):
            each.silence(now=now)  # it is over already, but what was queued could still leave
        return list(filter(is_meant, self))

    def _end(
        self, sessions: Iterable[ServerSession], error_code: ErrorCode, detail: str, now: float
    ) -> set[str]:
        for session in sessions:
            session.end(error_code, detail, now=now)
            self._reached.add(session.session_id)
            self._drain(session.session_id, now)
        return self._settle(now)

    def _settle(self, now: float) -> set[str]:
        """See to the consequences of a call until there are none, and say whom it has reached."""
        while True:
            if self._ending:
                # A delivery may end its session (expired, too slow); that is an event too.
                self._drain(self._ending.pop(), now)
            elif (delivery := self.broker.next_delivery()) is not None:
                self._deliver([delivery], now)
            else:
                reached, self._reached = self._reached, set()
                return reached

    def _drain(self, session_id: str, now: float) -> None:
        """Do all that a session's events ask for."""
        leaving = self._leaving.get(session_id)
        if leaving is not None:
            if leaving.closed:
                self.broker.take_back(leaving.take_unsent())
                del self._leaving[session_id]
            return
        session = self._sessions.get(session_id)
        while session is not None and (event := session.next_event()) is not None:
            match event:
                case Connected() | ConnectRequested() | ReauthRequested():
                    self._notice(session, event)
                case Ended():
                    self._forget(session)
                    self._notice(session, event)
                    return
                case _:
                    if isinstance(event, Reauthenticated):
                        self._notice(session, event)
                    self._worker.do(session, event, now)

    def _forget(self, session: ServerSession) -> None:
        # At once, not when the transport is gone: a peer that is being cut off, however slowly,
        # must not go on listening.
        session_id = session.session_id
        self.broker.drop(session_id, session.take_unsent())
        del self._sessions[session_id]
        if not session.closed:
            self._leaving[session_id] = session

    def _notice(self, session: ServerSession, event: NoticeEvent) -> None:
        subject = None if session.identity is None else session.identity.subject
        self._notices.append(Notice(session.session_id, event, subject))

    def _deliver(self, deliveries: Iterable[Delivery], now: float) -> None:
        for each in deliveries:
            session = self._sessions.get(each.session_id)
            if session is None or (session.closing and each.entry is None):
                continue  # it has ended since the list was made
            self._reached.add(each.session_id)
            is_queued = session.deliver(
                each.subscription,
                each.message,
                now=now,
                is_redelivered=each.is_redelivered,
                reference=None if each.entry is None else each,
            )
            if is_queued:
                self.counters.delivered += 1
            if each.entry is not None and session.bytes_queued >= TAKE_SIZE:
                self.broker.pause(each.session_id)
                session.owe(True, now=now)
            if session.closing:
                self._ending.append(each.session_id)
                # At once: the rest of a transaction must not look for it a million times.
                self.broker.drop(each.session_id, session.take_unsent())
