"""`ServerSession`: one client's session, from its CONNECT to the drained end of it.

Phase 1: CONNECT brings a token; its verifier names an identity; the moment of its expiry is kept.
Phase 2: every frame, every MESSAGE and a timer are held against that moment; the first that comes
too late ends the session with ERROR `Token Expired`. A SEND with a new token moves the moment.
"""

from __future__ import annotations

import math
from collections import deque

from stompcore._auth import (
    Identity,
    Rejected,
    Token,
    TokenVerifier,
    token_from_connect,
    user_name,
    validity,
)
from stompcore._codec import Message
from stompcore._config import ServerConfig
from stompcore._counters import Counters, ExpiryPath, RefreshResult
from stompcore._errors import CloseCode, ErrorCode, LocalProtocolError, RemoteProtocolError
from stompcore._events import (
    Acked,
    AckMode,
    Committed,
    Connected,
    ConnectRequested,
    Ended,
    Nacked,
    Reauthenticated,
    ReauthRequested,
    Sent,
    ServerEvent,
    Subscribed,
    Unsubscribed,
)
from stompcore._frames import CLIENT_COMMANDS, Command, Frame
from stompcore._headers import Headers, Version, negotiate_version
from stompcore._heartbeat import heart_beat_header, negotiate
from stompcore._machine import Close
from stompcore._requests import ack_id, acknowledged, sent, subscribed, unsubscribed
from stompcore._session import SpeakingSession
from stompcore._state import ServerState, ServerTrigger
from stompcore._timers import Timer

__all__ = ["ServerSession"]

_PAUSED = (ServerState.VERIFYING, ServerState.REFRESHING)
# Each costs a signature, and the policy's word on every subscription.
_MOST_REFRESHES = 20
_REFRESHES_WITHIN = 10.0  # seconds
_LIVE = (ServerState.OPEN, ServerState.REFRESHING)


class ServerSession(SpeakingSession):
    """The server's side of one STOMP connection, without any I/O. Keeps `Machine`'s contract.

    Args:
        config: what all sessions of the server share.
        session_id: one line, unique in the server; ids of this session are counted under it.
        now: Unix seconds; the login time-out starts here.
        verifier: judges tokens at once. Without one, `ConnectRequested` and `ReauthRequested`
            ask the caller.
        counters: the server's; its own by default.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        session_id: str,
        now: float,
        verifier: TokenVerifier | None = None,
        counters: Counters | None = None,
    ) -> None:
        super().__init__(config, session_id=session_id, now=now, counters=counters)
        self.identity: Identity | None = None
        self._verifier = verifier
        self._transport_token: Token | None = None
        self._request: Headers = Headers()  # of the CONNECT or refresh that is being judged
        self._garbage: RemoteProtocolError | None = None
        self._is_held = False
        self._refreshed_at: deque[float] = deque(maxlen=_MOST_REFRESHES)

    @property
    def wants_read(self) -> bool:
        """False while frames have to wait, and a frame's worth of bytes waits already."""
        return (
            not (self._is_waiting or self.state in _PAUSED)
            or len(self._decoder) < self._config.limits.frame_size_before_login
        )

    @property
    def has_left(self) -> bool:
        """Whether the peer will read nothing more, though what it said before still counts."""
        return self._is_eof

    @property
    def _is_waiting(self) -> bool:
        # RECEIPTs behind work that takes its time are kept, and must not pile up.
        return self._is_held or self._is_leaving or self._receipts.is_full

    @property
    def is_judging(self) -> bool:
        """Whether a token waits for `accept` or `reject`."""
        return self.state in _PAUSED

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
        self._counters.bytes_in += len(data)
        if self._now >= self._valid_until:
            # The bytes came too late to count, but the ERROR should name the frame they hold.
            self._expire(self._decoder.next_receipt_id(), ExpiryPath.FRAME)
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
        elif self.state in _PAUSED or self._is_leaving or not len(self._decoder):
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

    def next_event(self) -> ServerEvent | None:
        """The next thing that the peer wants or that has happened to it, or None.

        Bytes that the state cannot judge yet (behind a token that is being judged, or while the
        session is held) stay in the buffer.
        """
        while not self._events:
            if self._is_waiting:
                return None
            if self.state not in (ServerState.CONNECTING, ServerState.OPEN):
                return None
            try:
                frame = self._decoder.next_frame()
                if frame is not None:
                    self._counters.frames_in[frame.command] += 1
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

    def hold(self) -> None:
        """Read no further frames before `release`: earlier ones are still being worked on."""
        self._is_held = True

    def release(self) -> None:
        """Read on."""
        self._is_held = False

    def accept(self, identity: Identity, *, now: float) -> None:
        """Answer `ConnectRequested` or `ReauthRequested`: the token is good.

        An identity that has expired already, or is not valid yet, is refused like a bad token; so
        is a new one for another subject than the session's.

        Raises:
            LocalProtocolError: no token is being judged.
        """
        self._require_paused()
        self._advance(now)
        if self._now >= self._valid_until:
            # The new token has come too late: the session lived on the old one until now.
            self._expire(self._request.get("receipt"), ExpiryPath.TIMER)
            return
        try:
            valid_until = validity(identity, leeway=self._config.leeway, now=self._now)
            if self.state is ServerState.REFRESHING:
                self._renew(identity, valid_until)
            else:
                self._open(identity, valid_until)
        except Rejected as rejected:
            self._reject(rejected)

    def reject(self, rejected: Rejected, *, now: float) -> None:
        """Answer `ConnectRequested` or `ReauthRequested`: the token is refused. ERROR and close.

        Raises:
            LocalProtocolError: no token is being judged.
        """
        self._require_paused()
        self._advance(now)
        self._reject(rejected)

    def unsubscribe(self, subscription: str, *, now: float) -> None:
        """End one of the peer's subscriptions, which it may not have any more.

        What waits for it is dropped. The peer hears of it from the RECEIPT of its refresh.
        """
        self._advance(now)
        if self._subscriptions.end(subscription):
            self._output.drop_messages(subscription)
            self._ended_subscriptions.append(subscription)

    def deliver(
        self,
        subscription: str,
        message: Message,
        *,
        now: float,
        is_redelivered: bool = False,
        reference: object = None,
    ) -> bool:
        """Queue a MESSAGE for one of the session's subscriptions.

        Args:
            subscription: by the key that `Subscribed` gave.
            message: what to deliver.
            now: Unix seconds.
            is_redelivered: a queue has tried to deliver it before.
            reference: anything; `take_unsent` gives it back if the MESSAGE never leaves.

        Returns:
            Whether it was queued: not for a session that has expired by `now` or is too slow
            (either ends it) or is not open, nor for a subscription that it does not have, nor to a
            peer that has left.
        """
        self._advance(now)
        if self.state in _LIVE and self._now >= self._valid_until:
            self._expire(None, ExpiryPath.DELIVERY)
        target = self._subscriptions.get(subscription)
        if self.state not in _LIVE or target is None or self._is_eof:
            self._output.give_back(reference)
            return False
        assert self.version is not None
        ack = None
        if target.ack is not AckMode.AUTO and self.version is Version.V1_2:
            ack = ack_id(message.message_id, subscription)
        chunk = message.encode(self.version, target.wire_id, ack, is_redelivered=is_redelivered)
        self._counters.frames_out[Command.MESSAGE] += 1
        self._queue_message(chunk, subscription, reference)
        return not self.closing

    # --- frames in ------------------------------------------------------------------------

    def _handle(self, frame: Frame) -> None:
        if self.state is ServerState.CONNECTING:
            self._handle_connect(frame)
            return
        command, headers = frame.command, frame.headers
        receipt_id = headers.get("receipt")
        if self._now >= self._valid_until:
            self._expire(receipt_id, ExpiryPath.FRAME)
            return
        if command not in CLIENT_COMMANDS or command in (Command.CONNECT, Command.STOMP):
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION,
                f"A {command} frame is not legal here.",
                receipt_id=receipt_id,
            )
        try:
            match command:
                case Command.SEND if headers["destination"] == self._config.refresh_destination:
                    self._handle_refresh(frame)
                case Command.SEND:
                    self._check_destination(headers)
                    self._take(sent(frame), headers)
                case Command.SUBSCRIBE:
                    self._check_destination(headers)
                    self._check_length(headers.get("id", ""), "A subscription's id")
                    self._emit(subscribed(self._subscriptions.add(headers), headers))
                case Command.UNSUBSCRIBE if self._subscriptions.was_taken(headers.get("id")):
                    self._answer(receipt_id)
                case Command.UNSUBSCRIBE:
                    ended = self._subscriptions.remove(headers)
                    self._output.drop_messages(ended.key)
                    self._emit(unsubscribed(ended, headers))
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
        self._table.fire(ServerTrigger.CONNECT)
        # The token is not kept with the session; only what it says is.
        token, self._transport_token = token_from_connect(headers) or self._transport_token, None
        self._judge(token, headers)

    def _check_destination(self, headers: Headers) -> None:
        self._check_length(headers["destination"], "A destination")

    def _check_length(self, text: str, name: str) -> None:
        if len(text) > self._config.limits.destination_size:
            raise RemoteProtocolError(
                ErrorCode.LIMIT_EXCEEDED,
                f"{name} is longer than accepted.",
                close_code=CloseCode.POLICY_VIOLATION,
            )

    # --- tokens ---------------------------------------------------------------------------

    def _handle_refresh(self, frame: Frame) -> None:
        """A SEND with a new token: Phase 3 without a new connection."""
        headers = frame.headers
        if "transaction" in headers:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION, "A token cannot be part of a transaction."
            )
        refreshes = self._refreshed_at
        if len(refreshes) == _MOST_REFRESHES and self._now - refreshes[0] < _REFRESHES_WITHIN:
            raise RemoteProtocolError(
                ErrorCode.LIMIT_EXCEEDED,
                "Too many tokens.",
                close_code=CloseCode.POLICY_VIOLATION,
            )
        refreshes.append(self._now)
        token = token_from_connect(headers)
        if token is None and frame.body:
            # No text at all is no token either; what it is, the verifier says.
            text = frame.body.decode(errors="replace").strip()
            token = Token(text) if text else None
        if self._verifier is None and self._is_eof:
            return  # what the peer has said before it left still counts, on the old token
        self._table.fire(ServerTrigger.REFRESH)
        self._judge(token, headers)

    def _judge(self, token: Token | None, headers: Headers) -> None:
        self._request = headers
        if self._verifier is None and self._is_eof:
            self._leave()  # the answer would take its time, and nobody is there to hear it
            return
        if self._verifier is None:
            kind = ReauthRequested if self.state is ServerState.REFRESHING else ConnectRequested
            self._events.append(kind(token=token, headers=headers))
            return
        try:
            identity = self._verifier.verify(token, headers=headers, now=self._now)
        except Rejected as rejected:
            self._reject(rejected)
        except Exception as error:
            self._fail(
                RemoteProtocolError(
                    ErrorCode.INTERNAL_ERROR, receipt_id=self._request.get("receipt")
                ),
                cause=error,
            )
        else:
            self.accept(identity, now=self._now)

    def _require_paused(self) -> None:
        if self.state not in _PAUSED:
            raise LocalProtocolError("no token is being judged")

    def _open(self, identity: Identity, valid_until: float) -> None:
        version = self.version
        assert version is not None
        request = self._request
        self._settle(identity, valid_until)
        self._timers.cancel(Timer.LOGIN)
        self._decoder.version = version
        self._decoder.max_frame_size = self._config.limits.frame_size
        headers = [
            ("version", version.value),
            ("session", self.session_id),
            ("server", self._config.server),
            ("heart-beat", heart_beat_header(self._config.heart_beat)),
        ]
        name = user_name(identity, max_size=self._config.limits.destination_size)
        if name is not None:
            headers.append(("user-name", name))
        headers += self._token_headers()
        if self._config.refresh_destination is not None and valid_until < math.inf:
            headers.append(("token-refresh", self._config.refresh_destination))
        self._counters.connects += 1
        self._events.append(Connected(identity=identity, version=version, valid_until=valid_until))
        self._beats.start(self._config.heart_beat, request, now=self._now)
        self._queue_frame(Frame(Command.CONNECTED, headers))

    def _renew(self, identity: Identity, valid_until: float) -> None:
        assert self.identity is not None
        if identity.subject != self.identity.subject:
            raise Rejected(ErrorCode.REAUTH_REJECTED, "The new token is for another subject.")
        receipt_id = self._request.get("receipt")
        self._settle(identity, valid_until)
        self._counters.refreshes[RefreshResult.ACCEPTED] += 1
        event = Reauthenticated(identity=identity, valid_until=valid_until, receipt_id=receipt_id)
        self._emit(event)

    def _settle(self, identity: Identity, valid_until: float) -> None:
        """From now on the session lives on this identity, and on no other."""
        self.identity = identity
        self._valid_until = valid_until
        self._table.fire(ServerTrigger.ACCEPT)
        self._forget_secrets()
        if valid_until < math.inf:
            self._timers.set(Timer.TOKEN_EXPIRY, valid_until)
        else:
            self._timers.cancel(Timer.TOKEN_EXPIRY)

    def _reject(self, rejected: Rejected) -> None:
        code, receipt_id = rejected.error_code, self._request.get("receipt")
        if self.state is ServerState.REFRESHING:
            self._counters.refreshes[RefreshResult.REJECTED] += 1
            if code is not ErrorCode.TOKEN_REVOKED:
                code = ErrorCode.REAUTH_REJECTED
        if code is ErrorCode.TOKEN_REVOKED:
            self._counters.revocations += 1
        self._fail(RemoteProtocolError(code, rejected.detail, receipt_id=receipt_id))

    def _forget_secrets(self) -> None:
        self._request, self._transport_token = Headers(), None

    # --- work that waits ------------------------------------------------------------------

    def _emit(
        self, event: Sent | Subscribed | Unsubscribed | Acked | Nacked | Committed | Reauthenticated
    ) -> None:
        self._receipts.expect(event)
        self._events.append(event)

    def _take(self, event: Sent | Acked | Nacked, headers: Headers) -> None:
        """Hand out an event now, or hold it for its transaction's COMMIT."""
        if self._is_void(event):
            self._answer(event.receipt_id)
            return
        transaction = headers.get("transaction")
        if transaction is None:
            self._emit(event)
            return
        self._transactions.add(transaction, event)
        # Its own RECEIPT says that it is part of the transaction; COMMIT's, that it was done.
        self._receipts.expect(event)
        self.done(event, now=self._now)

    def _is_void(self, event: Sent | Acked | Nacked) -> bool:
        """Whether it answers for a subscription that we have ended: the frames have crossed."""
        return not isinstance(event, Sent) and self._subscriptions.was_taken(event.subscription)

    def _handle_transaction(self, command: Command, headers: Headers) -> None:
        name, receipt_id = headers["transaction"], headers.get("receipt")
        if command is Command.COMMIT:
            held = self._transactions.end(name)
            work = tuple(each for each in held if not self._is_void(each))
            self._emit(Committed(transaction=name, work=work, receipt_id=receipt_id))
            return
        if command is Command.BEGIN:
            self._transactions.begin(name)
        else:
            self._transactions.end(name)
        self._answer(receipt_id)

    def _handle_disconnect(self, headers: Headers) -> None:
        self._answer(headers.get("receipt"))
        if self.closing:
            return  # its RECEIPT was too much for the backlog
        self._table.fire(ServerTrigger.END)
        self._over(Ended(error_code=None, detail="DISCONNECT", clean=True))
        self._begin_close(Close(CloseCode.NORMAL))
