"""WebSocket under STOMP: `ServerEndpoint` and `ClientEndpoint`, over wsproto and h11.

Each wraps a machine of the core and offers the same verbs; its bytes are those of the TCP or TLS
stream. One STOMP frame leaves as one message, text if it is UTF-8, else binary. What comes in
is a byte stream again: both kinds of message, and a message may hold many frames or a part of one.

No extension is offered or accepted: wsproto's permessage-deflate has no bound on what it inflates.
"""

from __future__ import annotations

from collections import deque

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState as WireState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError as WireLocalError
from wsproto.utilities import RemoteProtocolError as WireRemoteError

from stompcore._config import ServerConfig
from stompcore._connection import ClientConnection
from stompcore._errors import CloseCode, ErrorCode
from stompcore._events import ConnectionEvent, ServerEvent
from stompcore._http import Answer, Exchange, Pages, Refused
from stompcore._machine import Close, TimedMachine
from stompcore._opening import SUBPROTOCOLS, Opening, judge
from stompcore._server import ServerSession
from stompcore._state import ENDPOINT, EndpointState, EndpointTrigger
from stompcore._timers import Timer, earliest
from stompcore._url import Target, parse_url

__all__ = ["SUBPROTOCOLS", "ClientEndpoint", "ServerEndpoint", "Target", "parse_url"]

# What may stand in a Close frame (RFC 6455 section 7.4); anything else is not echoed.
_RESERVED_CODES = frozenset({CloseCode.NO_STATUS, CloseCode.ABNORMAL, 1015})

_NO_PAGES: Pages = {}


class _Endpoint(TimedMachine[EndpointState, EndpointTrigger]):
    """What both roles share: everything behind the opening handshake."""

    def __init__(self, role: ConnectionType, *, now: float, close_timeout: float) -> None:
        super().__init__(ENDPOINT, EndpointState.HANDSHAKE, now=now)
        self._close_timeout = close_timeout
        self._wire = WSConnection(role)
        self._output: deque[bytes] = deque()
        self._pong: bytes | None = None
        self._deaf = False  # after garbage, the frames' boundaries are lost

    @property
    def closed(self) -> bool:
        """It is over: close the transport once what was written has left."""
        return self.state is EndpointState.CLOSED

    @property
    def send_eof(self) -> bool:
        """Nothing more will be written: half-close the transport, and go on reading."""
        return self.state is EndpointState.REFUSED and not self._output

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`, in Unix seconds, or None."""
        return earliest(self._timers.next_deadline(), self._inner.next_deadline())

    def deadline_reason(self) -> Timer | None:
        """What `next_deadline()` is for."""
        own = self._timers.next_deadline()
        if own is not None and own == self.next_deadline():
            return self._timers.reason()
        return self._inner.deadline_reason()

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Take bytes of the TCP or TLS stream; b"" is legal and means nothing."""
        self._advance(now)
        if self.state is EndpointState.HANDSHAKE:
            if data:  # h11, which wsproto asks too, takes b"" for the end of the stream
                self._receive_handshake(data)
        elif self.state in (EndpointState.OPEN, EndpointState.LOCAL_CLOSING):
            self._receive_frames(data)
        self._fire_due()

    def handle_timeout(self, *, now: float) -> None:
        """Fire what is due. Legal early, late and twice."""
        self._advance(now)
        self._inner.handle_timeout(now=self._now)
        self._fire_due()

    # --- inside ---------------------------------------------------------------------------

    @property
    def _inner(self) -> ServerSession | ClientConnection:
        raise NotImplementedError

    def _receive_handshake(self, data: bytes) -> None:
        raise NotImplementedError

    def _garbage(self, code: int) -> None:
        raise NotImplementedError

    def _peer_closed(self, close: Close) -> None:
        raise NotImplementedError

    def _handshake_timed_out(self) -> None:
        raise NotImplementedError

    def _fire(self, timer: Timer, due_at: float) -> None:
        if timer is Timer.HANDSHAKE:
            self._handshake_timed_out()
        else:
            self._gone()

    def _receive_frames(self, data: bytes) -> None:
        # wsproto raises for data behind a close, and garbage cannot be read on from.
        if self._deaf or self._wire.state not in (WireState.OPEN, WireState.LOCAL_CLOSING):
            return
        self._wire.receive_data(data)
        for event in self._wire.events():
            match event:
                case TextMessage():
                    # wsproto has checked that it is UTF-8.
                    self._inner.receive_data(event.data.encode(), now=self._now)
                case BytesMessage():
                    self._inner.receive_data(bytes(event.data), now=self._now)
                case Ping():
                    # "it MAY elect to send a Pong for only the most recently processed Ping", so a
                    # flood of them cannot fill our memory.
                    self._pong = bytes(event.payload)
                case CloseConnection():
                    self._closed_by(event)
                    return

    def _closed_by(self, event: CloseConnection) -> None:
        code = int(event.code)
        if self._wire.state is WireState.OPEN:
            # wsproto's way of saying that the bytes are no WebSocket frames.
            self._deaf = True
            self._garbage(code)
        elif self._wire.state is WireState.REMOTE_CLOSING:
            reply = CloseCode.NORMAL if code in _RESERVED_CODES else code
            self._output.append(self._wire.send(CloseConnection(code=reply)))
            self._peer_closed(Close(code, event.reason or ""))
            self._gone()
        else:
            self._peer_closed(Close(code, event.reason or ""))
            self._gone()

    def _wrap(self, chunk: bytes) -> bytes:
        try:
            return self._wire.send(TextMessage(data=chunk.decode()))
        except UnicodeDecodeError:
            return self._wire.send(BytesMessage(data=chunk))

    def _drain(self) -> list[bytes]:
        """What is ready to be written, behind the handshake."""
        if self.state is EndpointState.OPEN:
            self._output.extend(self._wrap(chunk) for chunk in self._inner.data_to_send())
        if self._pong is not None and self._wire.state is WireState.OPEN:
            self._output.append(self._wire.send(Pong(payload=self._pong)))
        self._pong = None
        chunks = list(self._output)
        self._output.clear()
        return chunks

    def _send_close(self, close: Close) -> None:
        self._output.append(self._wire.send(CloseConnection(code=close.code, reason=close.reason)))
        self._table.fire(EndpointTrigger.CLOSE)
        self._timers.set(Timer.CLOSE, self._now + self._close_timeout)

    def _gone(self) -> None:
        if not self.closed:
            self._table.fire(EndpointTrigger.GONE)
        self._timers.clear()


class ServerEndpoint(_Endpoint):
    """A `ServerSession` behind a WebSocket. Keeps `Machine`'s contract.

    The session's ERROR leaves as its last message, then the Close with its code and reason; then
    whatever the peer still sends is drained, for a bounded time, until its own Close comes. A
    request that opens no WebSocket gets its HTTP status, or the page that it asks for.

    Args:
        session: fresh; the token of the handshake is offered to it.
        config: for the path, the origins and the limits.
        now: Unix seconds; the handshake time-out starts here.
        pages: what a plain GET or HEAD may see, by path; the WebSocket's own path comes first.
    """

    def __init__(
        self,
        session: ServerSession,
        config: ServerConfig,
        *,
        now: float,
        pages: Pages = _NO_PAGES,
    ) -> None:
        limits = config.limits
        super().__init__(ConnectionType.SERVER, now=now, close_timeout=limits.close_timeout)
        self.session = session
        self._config = config
        self._pages = pages
        self._exchange = Exchange(head_size=limits.handshake_size)
        self._timers.set(Timer.HANDSHAKE, now + limits.handshake_timeout)

    @property
    def _inner(self) -> ServerSession:
        return self.session

    @property
    def wants_read(self) -> bool:
        """False while more bytes could only be buffered."""
        return self.session.wants_read

    @property
    def closing(self) -> bool:
        """The end has begun."""
        return self.session.closing or self.state in (
            EndpointState.REFUSED,
            EndpointState.LOCAL_CLOSING,
            EndpointState.CLOSED,
        )

    @property
    def bytes_queued(self) -> int:
        """Bytes that wait to be written, before they are framed."""
        return self.session.bytes_queued + sum(map(len, self._output)) + len(self._pong or b"")

    @property
    def error(self) -> ErrorCode | None:
        """Why the session was ended by us, if it was not in peace."""
        return self.session.error

    def next_event(self) -> ServerEvent | None:
        """The session's next event, or None."""
        return self.session.next_event()

    def receive_eof(self, *, now: float) -> None:
        """The peer has closed the stream, or it is lost. Legal more than once."""
        self._advance(now)
        self.session.receive_eof(now=self._now)
        self._gone()

    def data_to_send(self) -> list[bytes]:
        """Bytes for the stream."""
        chunks = self._drain()
        if self.state is EndpointState.OPEN and self.session.send_eof:
            # A hub may have ended the session, at an instant that nothing has told us yet.
            self._advance(self.session.now)
            self._send_close(self.session.close or Close())
            chunks += self._drain()
        return chunks

    # --- the opening handshake ------------------------------------------------------------

    def _receive_handshake(self, data: bytes) -> None:
        exchange = self._exchange
        try:
            exchange.receive_data(data)
            request = exchange.read_head()
            if request is None:
                return
            opening = judge(exchange, request, self._wire, self._config, self._pages)
        except Refused as refused:
            self._answer(refused.answer)
            return
        if not isinstance(opening, Opening):
            # Its own connection is not to count among the sessions that a page is about.
            self.session.receive_eof(now=self._now)
            self._answer(opening())
            return
        self.session.use_transport_token(opening.token)
        self._output.append(self._wire.send(AcceptConnection(subprotocol=opening.subprotocol)))
        self._table.fire(EndpointTrigger.OPENED)
        self._timers.cancel(Timer.HANDSHAKE)
        trailing = exchange.trailing_data
        # Done with HTTP: ten thousand idle sessions should not each keep a parser of it.
        del self._exchange, self._pages
        if trailing:
            self._receive_frames(trailing)

    def _answer(self, answer: Answer) -> None:
        """An answer that is not 101, and the end."""
        self._output.append(self._exchange.write(answer))
        self._table.fire(EndpointTrigger.REFUSE)
        self._timers.cancel(Timer.HANDSHAKE)
        self._timers.set(Timer.CLOSE, self._now + self._close_timeout)
        self.session.receive_eof(now=self._now)

    def _handshake_timed_out(self) -> None:
        self._answer(Refused(408, "The handshake took too long.").answer)

    # --- the session's end ----------------------------------------------------------------

    def _fire_due(self) -> None:
        super()._fire_due()
        # Its farewell was never written: the peer does not read, or never finished its handshake.
        if self.session.closed and self.state in (EndpointState.HANDSHAKE, EndpointState.OPEN):
            self._gone()

    def _garbage(self, code: int) -> None:
        self.session.receive_garbage("The bytes are not WebSocket frames.", now=self._now)

    def _peer_closed(self, close: Close) -> None:
        self.session.receive_eof(now=self._now)


class ClientEndpoint(_Endpoint):
    """A `ClientConnection` behind a WebSocket. Keeps `Machine`'s contract.

    Args:
        connection: what `ClientSession.dialed` has returned.
        target: where the transport leads to.
        now: Unix seconds.
        close_timeout: for the close handshake, in seconds.
        headers: further headers of the HTTP request.
    """

    def __init__(
        self,
        connection: ClientConnection,
        target: Target,
        *,
        now: float,
        close_timeout: float = 5.0,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(ConnectionType.CLIENT, now=now, close_timeout=close_timeout)
        self.connection = connection
        connection.awaits_close = True
        request = Request(
            host=target.authority,
            target=target.path,
            subprotocols=list(SUBPROTOCOLS),
            extra_headers=[
                (name.encode(), value.encode()) for name, value in (headers or {}).items()
            ],
        )
        self._output.append(self._wire.send(request))

    @property
    def _inner(self) -> ClientConnection:
        return self.connection

    @property
    def wants_read(self) -> bool:
        """Whether its messages find a reader."""
        return self.connection.wants_read

    @property
    def closing(self) -> bool:
        """The end has begun."""
        return self.connection.closing or self.state in (
            EndpointState.LOCAL_CLOSING,
            EndpointState.CLOSED,
        )

    @property
    def bytes_queued(self) -> int:
        """Bytes that wait to be written, before they are framed."""
        held = self.connection.bytes_queued if self.state is EndpointState.OPEN else 0
        return held + sum(map(len, self._output)) + len(self._pong or b"")

    @property
    def error(self) -> ErrorCode | None:
        """The `error-code` of the server's ERROR, if it is one of ours."""
        return self.connection.error

    def next_event(self) -> ConnectionEvent | None:
        """The connection's next event, or None. A `ClientSession` asks the connection itself."""
        return self.connection.next_event()

    def receive_eof(self, *, now: float) -> None:
        """The server has closed the stream, or it is lost. Legal more than once."""
        self._advance(now)
        self.connection.receive_eof(now=self._now)
        self._gone()

    def hang_up(self, *, now: float) -> None:
        """Begin the close handshake from our side, if there is anybody to shake hands with."""
        self._advance(now)
        if self.state is EndpointState.OPEN and self._wire.state is WireState.OPEN:
            self._send_close(Close())
        elif self.state is not EndpointState.LOCAL_CLOSING:
            self._gone()

    def data_to_send(self) -> list[bytes]:
        """Bytes for the stream."""
        return self._drain()

    def _receive_handshake(self, data: bytes) -> None:
        try:
            self._wire.receive_data(data)
            for event in self._wire.events():
                match event:
                    case AcceptConnection():
                        self._table.fire(EndpointTrigger.OPENED)
                        break
                    case RejectConnection():
                        self.connection.receive_refusal(event.status_code, now=self._now)
                        self._gone()
                        return
        except (WireRemoteError, WireLocalError, ValueError):
            self.connection.fail("the server did not answer as a WebSocket", now=self._now)
            self._gone()
            return
        if self.state is EndpointState.OPEN:
            self._receive_frames(b"")  # what came behind the handshake

    def _garbage(self, code: int) -> None:
        self._send_close(Close(code))
        self.connection.fail("the server sent no WebSocket frames", now=self._now)

    def _peer_closed(self, close: Close) -> None:
        self.connection.receive_close(close, now=self._now)

    def _handshake_timed_out(self) -> None:  # pragma: no cover - the connection's timer is first
        raise AssertionError
