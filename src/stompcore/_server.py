"""`ServerSession`: one client's session, from its CONNECT to the drained end of it.

Phase 1: CONNECT brings a token; its verifier names an identity; the moment of its expiry is kept.
Phase 2: every frame, every MESSAGE and a timer are held against that moment; the first that comes
too late ends the session with ERROR `Token Expired`.
"""

from __future__ import annotations

import math
from collections import deque

from stompcore._auth import Identity, Rejected, Token, TokenVerifier, token_from_connect, validity
from stompcore._codec import FrameDecoder, Message, encode_frame
from stompcore._config import ServerConfig
from stompcore._errors import CloseCode, ErrorCode, LocalProtocolError, RemoteProtocolError
from stompcore._events import (
    Acked,
    AckMode,
    Committed,
    Connected,
    ConnectRequested,
    Ended,
    Nacked,
    Sent,
    ServerEvent,
    Subscribed,
    Unsubscribed,
    Work,
)
from stompcore._frames import CLIENT_COMMANDS, Command, Frame, error_frame
from stompcore._headers import Headers, Version, negotiate_version
from stompcore._heartbeat import BEAT, HeartBeats, heart_beat_header, negotiate
from stompcore._listening import Listening
from stompcore._machine import Close, TimedMachine
from stompcore._outgoing import Receipts, SendQueue
from stompcore._requests import acknowledged, sent, subscribed, unsubscribed
from stompcore._state import SERVER_SESSION, ServerState, ServerTrigger
from stompcore._timers import Timer
from stompcore._transactions import Transactions

__all__ = ["ServerSession"]

_EXPIRED_DETAIL = "The access token has expired. Get a new one and connect again."


class ServerSession(TimedMachine[ServerState, ServerTrigger]):
    """The server's side of one STOMP connection, without any I/O. Keeps `Machine`'s contract.

    Args:
        config: what all sessions of the server share.
        session_id: one line, unique in the server; ids of this session are counted under it.
        now: Unix seconds; the login time-out starts here.
        verifier: judges tokens at once. Without one, `ConnectRequested` asks the caller.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        session_id: str,
        now: float,
        verifier: TokenVerifier | None = None,
    ) -> None:
        super().__init__(SERVER_SESSION, ServerState.CONNECTING, now=now)
        if any(each in session_id for each in "\r\n\0"):
            raise LocalProtocolError("a session id is one line")
        limits = config.limits
        self.session_id = session_id
        self.identity: Identity | None = None
        self.version: Version | None = None
        self.close: Close | None = None
        self._config = config
        self._verifier = verifier
        self._valid_until = math.inf
        self._beats = HeartBeats(self._timers)
        self._decoder = FrameDecoder(limits, max_frame_size=limits.frame_size_before_login)
        self._events: deque[ServerEvent] = deque()
        self._output = SendQueue()
        self._receipts = Receipts()
        self._subscriptions = Listening(limits)
        self._transactions = Transactions(limits)
        self._replay: deque[Sent | Acked | Nacked | Committed] = deque()
        self._transport_token: Token | None = None
        self._connect: Headers = Headers()
        self._error: ErrorCode | None = None
        self._is_eof = False
        self._garbage: RemoteProtocolError | None = None
        self._timers.set(Timer.LOGIN, now + limits.login_timeout)

    # --- what a caller reads --------------------------------------------------------------

    @property
    def valid_until(self) -> float:
        """The instant from which the session counts as expired, `math.inf` for never."""
        return self._valid_until

    @property
    def wants_read(self) -> bool:
        """False while a token is being judged and a frame's worth of bytes waits already."""
        return (
            self.state is not ServerState.VERIFYING
            or len(self._decoder) < self._config.limits.frame_size_before_login
        )

    @property
    def closing(self) -> bool:
        """The farewell is queued, and nothing is accepted any more."""
        return self.state in (ServerState.CLOSING, ServerState.CLOSED)

    @property
    def closed(self) -> bool:
        """It is over: close the transport once what was written has left."""
        return self.state is ServerState.CLOSED

    @property
    def send_eof(self) -> bool:
        """Nothing more will be written: half-close the transport, and go on reading."""
        return self.state is ServerState.CLOSING and not self._output and not self._receipts

    @property
    def bytes_queued(self) -> int:
        """Bytes that `data_to_send()` would return."""
        return self._output.size

    @property
    def error(self) -> ErrorCode | None:
        """Why the session was ended by us, if it was not in peace."""
        return self._error

    # --- what a transport tells -----------------------------------------------------------

    def use_transport_token(self, token: Token | None) -> None:
        """Offer the token of the WebSocket handshake, for a CONNECT that brings none."""
        self._transport_token = token

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Take bytes from the peer. Afterwards drain `next_event()` and send `data_to_send()`.

        Args:
            data: any piece of the stream; b"" is legal and means nothing.
            now: Unix seconds.
        """
        self._advance(now)
        if self.closing:
            self._fire_due()
            return  # drained, so that a reset cannot destroy what the peer has yet to read
        self._decoder.receive_data(data)
        if self._now >= self._valid_until:
            # The bytes came too late to count, but the ERROR should name the frame they hold.
            self._expire(self._decoder.next_receipt_id())
            return
        if data:
            self._beats.received(self._now)
        self._fire_due()

    def receive_eof(self, *, now: float) -> None:
        """The peer has closed its side, or its connection is lost. Legal more than once.

        "If the client disconnects, previously received frames SHOULD continue to get processed":
        `next_event()` still brings them, and then `Ended`.
        """
        self._advance(now)
        self._is_eof = True
        if self.closing:
            self._gone()
        elif self.state is ServerState.VERIFYING or not len(self._decoder):
            self._leave()

    def receive_garbage(self, detail: str, *, now: float) -> None:
        """The layer below cannot read on. What it has read before still counts, then ERROR.

        Args:
            detail: one plain sentence for the peer.
            now: Unix seconds.
        """
        self._advance(now)
        self._fire_due()
        if self._garbage is None:
            self._garbage = RemoteProtocolError(ErrorCode.MALFORMED_FRAME, detail)

    def data_to_send(self) -> list[bytes]:
        """What to write next, in order, each item one WebSocket message or one chunk of bytes.

        Not all at once: ask again, while the transport can write, until there is nothing.
        """
        chunks = self._output.take()
        if not self._output:
            self._timers.cancel(Timer.SEND_BACKLOG)
        elif not self.closing:
            self._wait_for_reader()
        return chunks

    def next_event(self) -> ServerEvent | None:
        """The next thing that the peer wants or that has happened to it, or None.

        Bytes that the state cannot judge yet (behind a CONNECT whose token is being judged)
        stay in the buffer.
        """
        while not self._events:
            if self.state is ServerState.OPEN and self._replay:
                if self._now >= self._valid_until:
                    self._expire(self._replay[-1].receipt_id)  # COMMIT's
                    continue
                return self._replay.popleft()
            if self.state not in (ServerState.CONNECTING, ServerState.OPEN):
                return None
            try:
                frame = self._decoder.next_frame()
                if frame is not None:
                    self._handle(frame)
                elif self._garbage is not None:
                    self._fail(self._garbage)
                elif self._is_eof:
                    self._leave()
                else:
                    return None
            except RemoteProtocolError as error:
                self._fail(error)
        return self._events.popleft()

    # --- what the application answers -----------------------------------------------------

    def accept(self, identity: Identity, *, now: float) -> None:
        """Answer `ConnectRequested`: the token is good. Sends CONNECTED.

        An identity that has expired already, or is not valid yet, is refused like a bad token.

        Raises:
            LocalProtocolError: no CONNECT is waiting.
        """
        self._require_verifying()
        self._advance(now)
        try:
            valid_until = validity(identity, leeway=self._config.leeway, now=self._now)
        except Rejected as rejected:
            self._reject(rejected)
            return
        version = self.version
        assert version is not None
        self.identity = identity
        self._valid_until = valid_until
        self._table.fire(ServerTrigger.ACCEPT)
        self._timers.cancel(Timer.LOGIN)
        if valid_until < math.inf:
            self._timers.set(Timer.TOKEN_EXPIRY, valid_until)
        self._decoder.version = version
        self._decoder.max_frame_size = self._config.limits.frame_size
        headers = {
            "version": version.value,
            "session": self.session_id,
            "server": self._config.server,
            "heart-beat": heart_beat_header(self._config.heart_beat),
        }
        self._events.append(Connected(identity=identity, version=version, valid_until=valid_until))
        self._beats.start(self._config.heart_beat, self._connect, now=self._now)
        self._connect = Headers()
        self._queue_frame(Frame(Command.CONNECTED, headers))

    def reject(self, rejected: Rejected, *, now: float) -> None:
        """Answer `ConnectRequested`: the token is refused. Sends ERROR and closes.

        Raises:
            LocalProtocolError: no CONNECT is waiting.
        """
        self._require_verifying()
        self._advance(now)
        self._reject(rejected)

    def done(self, work: Work, *, now: float) -> None:
        """The work that an event asked for is finished: its RECEIPT goes out, in order.

        Args:
            work: the event, the very object that `next_event` returned.
            now: Unix seconds.
        """
        self._advance(now)
        for receipt_id in self._receipts.done(work):
            if self._error is not None:
                break  # one RECEIPT was too many for the backlog: the ERROR is the last frame
            self._queue_frame(Frame(Command.RECEIPT, {"receipt-id": receipt_id}))

    def refuse(self, work: Work, error_code: ErrorCode, detail: str = "", *, now: float) -> None:
        """The work that an event asked for cannot be done: ERROR, and the end of the session.

        Args:
            work: the event.
            error_code: what the peer is told.
            detail: one plain sentence for it.
            now: Unix seconds.
        """
        self._advance(now)
        receipt_id = work.receipt_id
        if receipt_id is None and self._replay:
            receipt_id = self._replay[-1].receipt_id  # the COMMIT that it was part of
        self._fail(RemoteProtocolError(error_code, detail, receipt_id=receipt_id))

    def deliver(self, subscription: str, message: Message, *, now: float) -> bool:
        """Queue a MESSAGE for one of the session's subscriptions.

        Returns:
            Whether it was queued: not for a session that has expired by `now` or is too slow
            (either ends it) or is not open, nor for a subscription that it does not have.
        """
        self._advance(now)
        if self.state is not ServerState.OPEN:
            return False
        if self._now >= self._valid_until:
            self._expire(None)
            return False
        target = self._subscriptions.get(subscription)
        if target is None:
            return False
        assert self.version is not None
        ack = None
        if target.ack is not AckMode.AUTO and self.version is Version.V1_2:
            ack = f"{message.message_id}:{subscription}"
        self._queue(message.encode(self.version, target.wire_id, ack), is_message=True)
        return not self.closing

    def end(self, error_code: ErrorCode, detail: str = "", *, now: float) -> None:
        """End the session from our side, with ERROR and the close, unless it is ending already."""
        self._advance(now)
        self._fail(RemoteProtocolError(error_code, detail))

    # --- time -----------------------------------------------------------------------------

    def _fire(self, timer: Timer, due_at: float) -> None:
        match timer:
            case Timer.TOKEN_EXPIRY:
                self._expire(None)
            case Timer.LOGIN:
                self._fail(RemoteProtocolError(ErrorCode.LOGIN_TIMEOUT, "No login in time."))
            case Timer.PEER_SILENT:
                if self._beats.is_dead(due_at, self._now):
                    self._fail(
                        RemoteProtocolError(ErrorCode.HEARTBEAT_TIMEOUT, "No heart-beat in time.")
                    )
            case Timer.SEND_BACKLOG:
                self._fail(RemoteProtocolError(ErrorCode.SLOW_CONSUMER, "Read faster."))
            case Timer.HEART_BEAT:
                if not self._output:
                    self._queue(BEAT)
                else:
                    self._beats.sent(self._now)
            case Timer.CLOSE:
                self._gone()
            case _:  # pragma: no cover
                raise AssertionError(timer)

    # --- frames in ------------------------------------------------------------------------

    def _handle(self, frame: Frame) -> None:
        if self.state is ServerState.CONNECTING:
            self._handle_connect(frame)
            return
        command, headers = frame.command, frame.headers
        receipt_id = headers.get("receipt")
        if self._now >= self._valid_until:
            self._expire(receipt_id)
            return
        if command not in CLIENT_COMMANDS or command in (Command.CONNECT, Command.STOMP):
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION,
                f"A {command} frame is not legal here.",
                receipt_id=receipt_id,
            )
        try:
            match command:
                case Command.SEND:
                    self._take(sent(frame), headers)
                case Command.SUBSCRIBE:
                    self._emit(subscribed(self._subscriptions.add(headers), headers))
                case Command.UNSUBSCRIBE:
                    self._emit(unsubscribed(self._subscriptions.remove(headers), headers))
                case Command.ACK | Command.NACK:
                    self._take(acknowledged(command, headers, self.version), headers)
                case Command.BEGIN | Command.COMMIT | Command.ABORT:
                    self._handle_transaction(command, headers)
                case Command.DISCONNECT:
                    self._handle_disconnect(headers)
        except RemoteProtocolError as error:
            error.receipt_id = receipt_id
            raise

    def _handle_connect(self, frame: Frame) -> None:
        headers = frame.headers
        if frame.command not in (Command.CONNECT, Command.STOMP):
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION,
                "The first frame must be CONNECT or STOMP.",
                receipt_id=headers.get("receipt"),
            )
        if "receipt" in headers:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION, "CONNECT cannot have a receipt header."
            )
        self.version = negotiate_version(headers)
        if self.version is Version.V1_0:
            headers = Headers(
                (name.strip(" "), value.strip(" ")) for name, value in headers.pairs()
            )
        # A malformed header is refused now, not after somebody has judged the token.
        negotiate(self._config.heart_beat, headers)
        self._connect = headers
        self._table.fire(ServerTrigger.CONNECT)
        # The token is not kept with the session; only what it says is.
        token, self._transport_token = token_from_connect(headers) or self._transport_token, None
        if self._verifier is None:
            self._events.append(ConnectRequested(token=token, headers=headers))
            return
        try:
            identity = self._verifier.verify(token, headers=headers, now=self._now)
        except Rejected as rejected:
            self._reject(rejected)
        except Exception as error:
            self._fail(RemoteProtocolError(ErrorCode.INTERNAL_ERROR), cause=error)
        else:
            self.accept(identity, now=self._now)

    # --- transactions ---------------------------------------------------------------------

    def _take(self, event: Sent | Acked | Nacked, headers: Headers) -> None:
        """Hand out an event now, or hold it for its transaction's COMMIT."""
        transaction = headers.get("transaction")
        if transaction is None:
            self._emit(event)
            return
        self._transactions.add(transaction, event)
        # Its own RECEIPT says that it is part of the transaction; COMMIT's, that it was done.
        self._receipts.expect(event)
        self.done(event, now=self._now)

    def _handle_transaction(self, command: Command, headers: Headers) -> None:
        name = headers["transaction"]
        receipt_id = headers.get("receipt")
        if command is Command.COMMIT:
            committed = Committed(transaction=name, receipt_id=receipt_id)
            self._replay.extend(self._transactions.end(name))
            self._replay.append(committed)
            self._receipts.expect(committed)
            return
        if command is Command.BEGIN:
            self._transactions.begin(name)
        else:
            self._transactions.end(name)
        self._answer(receipt_id)

    # --- the end --------------------------------------------------------------------------

    def _handle_disconnect(self, headers: Headers) -> None:
        self._answer(headers.get("receipt"))
        if self.closing:
            return  # its RECEIPT was too much for the backlog
        self._table.fire(ServerTrigger.END)
        self._over(Ended(error_code=None, detail="DISCONNECT", clean=True))
        if self._valid_until < math.inf:
            self._timers.set(Timer.TOKEN_EXPIRY, self._valid_until)
        self._begin_close(Close(CloseCode.NORMAL))

    def _require_verifying(self) -> None:
        if self.state is not ServerState.VERIFYING:
            raise LocalProtocolError("no CONNECT is waiting for an answer")

    def _reject(self, rejected: Rejected) -> None:
        self._fail(RemoteProtocolError(rejected.error_code, rejected.detail))

    def _expire(self, receipt_id: str | None) -> None:
        self._output.drop_messages()  # those of a session that is closing in peace, too
        self._fail(
            RemoteProtocolError(ErrorCode.TOKEN_EXPIRED, _EXPIRED_DETAIL, receipt_id=receipt_id)
        )

    def _fail(self, error: RemoteProtocolError, cause: Exception | None = None) -> None:
        """Queue the ERROR and the close. The one place where a session ends badly."""
        if self.closing:
            return
        self._table.fire(ServerTrigger.END)
        self._error = error.error_code
        # Work that was done keeps its RECEIPT; a MESSAGE must not leave on a dead token.
        self._output.drop_messages()
        self._receipts.clear()
        self._queue_frame(error_frame(error))
        self._over(
            Ended(error_code=error.error_code, detail=error.detail, clean=False, cause=cause)
        )
        self._begin_close(Close(error.close_code, error.message))

    def _begin_close(self, close: Close) -> None:
        self.close = close
        if self._is_eof:
            self._gone()
        else:
            self._timers.set(Timer.CLOSE, self._now + self._config.limits.close_timeout)

    def _over(self, ended: Ended) -> None:
        """Forget what the peer had, and tell the caller once."""
        self._timers.clear()
        self._decoder.clear()
        self._transactions.clear()
        self._replay.clear()
        self._subscriptions.clear()
        self._connect, self._transport_token = Headers(), None
        # Work that was taken in but not handed out yet was accepted: it is still told, in order.
        self._events.append(ended)

    def _leave(self) -> None:
        """The peer has gone without a word."""
        self._over(Ended(error_code=None, detail="the peer left", clean=False))
        self._gone()

    def _gone(self) -> None:
        if not self.closed:
            self._table.fire(ServerTrigger.GONE)
        self._timers.clear()
        self._output.clear()
        self._receipts.clear()

    # --- frames out -----------------------------------------------------------------------

    def _emit(self, event: Sent | Subscribed | Unsubscribed | Acked | Nacked) -> None:
        self._receipts.expect(event)
        self._events.append(event)

    def _answer(self, receipt_id: str | None) -> None:
        """A RECEIPT for what the session did by itself."""
        work = Work(receipt_id=receipt_id)
        self._receipts.expect(work)
        self.done(work, now=self._now)

    def _queue_frame(self, frame: Frame) -> None:
        # Before CONNECT has named a version, 1.0 is what every peer can read.
        self._queue(encode_frame(frame, self.version or Version.V1_0))

    def _queue(self, chunk: bytes, *, is_message: bool = False) -> None:
        was_empty = not self._output
        self._output.push(chunk, is_message=is_message)
        if self.closing:
            return  # the timer that bounds the farewell bounds everything
        if was_empty:
            self._wait_for_reader()
        self._beats.sent(self._now)
        if self._output.size > self._config.limits.send_backlog:
            self._fail(RemoteProtocolError(ErrorCode.SLOW_CONSUMER, "Read faster."))

    def _wait_for_reader(self) -> None:
        timeout = self._config.limits.send_backlog_timeout
        self._timers.set(Timer.SEND_BACKLOG, self._now + timeout)
