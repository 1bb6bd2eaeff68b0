"""`Hub`: many server sessions and one broker. What one session sends, it hands to the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stompcore._auth import TokenVerifier
from stompcore._config import ServerConfig
from stompcore._errors import ErrorCode, LocalProtocolError
from stompcore._events import (
    Acked,
    Committed,
    Connected,
    ConnectRequested,
    Ended,
    Nacked,
    Sent,
    ServerEvent,
    Subscribed,
    Unsubscribed,
)
from stompcore._headers import Headers
from stompcore._server import ServerSession
from stompcore.broker import Broker

__all__ = ["Hub", "Notice"]


class Notice(NamedTuple):
    """What a server's owner may want to log, or has to answer (`ConnectRequested`)."""

    session_id: str
    event: Connected | ConnectRequested | Ended
    subject: str | None = None  # None before the token was accepted


class Hub:
    """The sessions of one server. Every call returns the ids of those that now have output.

    After every call that takes `now`, drain `next_notice()`.

    Args:
        config: what all sessions share.
        broker: routes messages; a new one by default.
        verifier: judges tokens at once. Without one, a `Notice` with `ConnectRequested` asks for
            `ServerSession.accept` or `reject`, and then for `process`.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        broker: Broker | None = None,
        verifier: TokenVerifier | None = None,
    ) -> None:
        self.config = config
        self.broker = Broker() if broker is None else broker
        self._verifier = verifier
        self._sessions: dict[str, ServerSession] = {}
        self._notices: deque[Notice] = deque()

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[ServerSession]:
        return iter(list(self._sessions.values()))

    def open(self, session_id: str, *, now: float) -> ServerSession:
        """A session for a new transport.

        Args:
            session_id: unique; it is shown to the client.
            now: Unix seconds.

        Raises:
            LocalProtocolError: the id is in use.
        """
        if session_id in self._sessions:
            raise LocalProtocolError("this session id is in use")
        session = ServerSession(
            self.config, session_id=session_id, now=now, verifier=self._verifier
        )
        self._sessions[session_id] = session
        return session

    def next_notice(self) -> Notice | None:
        """The next thing worth knowing, or None."""
        return self._notices.popleft() if self._notices else None

    def process(self, session_id: str, *, now: float) -> set[str]:
        """Do what a session's peer has asked for. Call it after the session was fed.

        Args:
            session_id: of a session that was fed, or whose timers were fired.
            now: Unix seconds.

        Returns:
            The ids of the sessions that now have output or have changed; this one is among them.
        """
        touched = {session_id}
        pending = [session_id]
        while pending:
            session = self._sessions.get(pending.pop())
            if session is None:
                continue
            while (event := session.next_event()) is not None:
                reached = self._handle(session, event, now)
                touched |= reached
                # A delivery may have ended its session (expired, too slow); that is an event too.
                pending += [each for each in reached if self._has_ended(each)]
        return touched

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
            LocalProtocolError: the broker does not serve the destination.
        """
        reached = self._route(destination, Headers(headers or {}), body, now)
        touched = set(reached)
        for session_id in reached:
            if self._has_ended(session_id):
                touched |= self.process(session_id, now=now)
        return touched

    def end_all(self, error_code: ErrorCode = ErrorCode.GOING_AWAY, *, now: float) -> set[str]:
        """Tell every session that it is over, with ERROR and the close."""
        touched: set[str] = set()
        for session in self:
            session.end(error_code, now=now)
            touched |= self.process(session.session_id, now=now)
        return touched

    def _has_ended(self, session_id: str) -> bool:
        session = self._sessions.get(session_id)
        return session is not None and session.closing

    def _handle(self, session: ServerSession, event: ServerEvent, now: float) -> set[str]:
        """Do one event's work, answer it, and return whom it reached."""
        session_id = session.session_id
        reached: set[str] = set()
        match event:
            case Connected() | ConnectRequested():
                self._notices.append(Notice(session_id, event, _subject(session)))
                return reached
            case Ended():
                # At once, not when the transport is gone: a peer that is being cut off, however
                # slowly, must not go on listening.
                self.broker.drop(session_id)
                del self._sessions[session_id]
                self._notices.append(Notice(session_id, event, _subject(session)))
                return reached
        try:
            match event:
                case Sent():
                    reached = self._route(event.destination, event.headers, event.body, now)
                case Subscribed():
                    self.broker.subscribe(session_id, event.subscription, event.destination)
                case Unsubscribed():
                    self.broker.unsubscribe(session_id, event.subscription)
                case Acked() | Nacked() | Committed():
                    pass  # a topic keeps nothing that could be acknowledged
        except LocalProtocolError as error:
            session.refuse(event, ErrorCode.PROTOCOL_VIOLATION, str(error), now=now)
        else:
            session.done(event, now=now)
        return reached

    def _route(self, destination: str, headers: Headers, body: bytes, now: float) -> set[str]:
        message = self.broker.publish(destination, headers, body)
        reached: set[str] = set()
        for session_id, subscription in self.broker.recipients(destination):
            session = self._sessions.get(session_id)
            if session is not None:
                session.deliver(subscription, message, now=now)
                reached.add(session_id)
        return reached


def _subject(session: ServerSession) -> str | None:
    return None if session.identity is None else session.identity.subject
