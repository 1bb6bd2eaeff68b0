"""What a server session says to its peer, and how it ends: in peace, with an ERROR, or cut off.

The half of `ServerSession` that writes. What a peer asks for is read in `_server`.
"""

from __future__ import annotations

import math
from collections import deque

from stompcore._codec import FrameDecoder, encode_frame
from stompcore._config import ServerConfig
from stompcore._counters import Counters, ExpiryPath
from stompcore._errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from stompcore._events import Ended, Reauthenticated, ServerEvent, Work
from stompcore._frames import Frame, error_frame
from stompcore._headers import Version
from stompcore._heartbeat import BEAT, HeartBeats
from stompcore._listening import Listening
from stompcore._machine import Close, TimedMachine
from stompcore._outgoing import Receipts, SendQueue
from stompcore._state import SERVER_SESSION, ServerState, ServerTrigger
from stompcore._timers import Timer
from stompcore._transactions import Transactions

__all__ = ["SpeakingSession"]

_EXPIRED_DETAIL = "The access token has expired. Get a new one and connect again."


class SpeakingSession(TimedMachine[ServerState, ServerTrigger]):
    """A session's output, its receipts, its heart-beats and its end.

    Args:
        config: what all sessions of the server share.
        session_id: one line, unique in the server; ids of this session are counted under it.
        now: Unix seconds; the login time-out starts here.
        counters: the server's; its own by default.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        session_id: str,
        now: float,
        counters: Counters | None = None,
    ) -> None:
        super().__init__(SERVER_SESSION, ServerState.CONNECTING, now=now)
        if any(each in session_id for each in "\r\n\0"):
            raise LocalProtocolError("a session id is one line")
        limits = config.limits
        self.session_id = session_id
        self.version: Version | None = None
        self.close: Close | None = None
        self._config = config
        self._counters = counters or Counters()
        self._valid_until = math.inf
        self._beats = HeartBeats(self._timers)
        self._decoder = FrameDecoder(limits, max_frame_size=limits.frame_size_before_login)
        self._events: deque[ServerEvent] = deque()
        self._output = SendQueue()
        self._receipts = Receipts()
        self._subscriptions = Listening(limits)
        self._transactions = Transactions(limits)
        self._ended_subscriptions: list[str] = []
        self._error: ErrorCode | None = None
        self._is_eof = False
        self._is_leaving = False
        self._is_owed = False
        self._counters.sessions_opened += 1
        self._timers.set(Timer.LOGIN, now + limits.login_timeout)

    # --- what a caller reads --------------------------------------------------------------

    @property
    def valid_until(self) -> float:
        """The instant from which the session counts as expired, `math.inf` for never."""
        return self._valid_until

    @property
    def wants_read(self) -> bool:
        """False while more bytes could only be buffered."""
        raise NotImplementedError

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

    @property
    def subscription_count(self) -> int:
        """How many subscriptions its peer has."""
        return len(self._subscriptions)

    # --- what leaves ----------------------------------------------------------------------

    def data_to_send(self) -> list[bytes]:
        """What to write next, in order, each item one WebSocket message or one chunk of bytes.

        Not all at once: ask again, while the transport can write, until there is nothing.
        """
        before = self._output.size
        chunks = self._output.take()
        self._counters.bytes_out += before - self._output.size
        if not self._output and not self._is_owed:
            self._timers.cancel(Timer.SEND_BACKLOG)
        elif chunks and not self.closing:
            self._wait_for_reader()
        return chunks

    def owe(self, is_owed: bool, *, now: float) -> None:
        """Whether more waits for the session elsewhere, until its transport can write again.

        Then `send_backlog_timeout` goes on, though nothing is queued here: a peer that does not
        read must not keep what it was given for ever.
        """
        self._advance(now)
        self._is_owed = is_owed
        if self.closing:
            return
        if is_owed:
            self._wait_for_reader()
        elif not self._output:
            self._timers.cancel(Timer.SEND_BACKLOG)

    def take_unsent(self) -> list[object]:
        """The references of what `deliver` was given and never left, in order, once.

        Ask after `Ended` and after `Unsubscribed`: a queue wants such messages back.
        """
        return self._output.take_unsent()

    # --- what the application answers -----------------------------------------------------

    def done(self, work: Work, *, now: float) -> None:
        """The work that an event asked for is finished: its RECEIPT goes out, in order.

        Args:
            work: the event, the very object that `next_event` returned.
            now: Unix seconds.
        """
        self._advance(now)
        headers: list[tuple[str, str]] = []
        if isinstance(work, Reauthenticated):
            headers += self._token_headers()
            headers += [("subscription-ended", each) for each in self._ended_subscriptions]
            self._ended_subscriptions.clear()
        for receipt in self._receipts.done(work, headers):
            if self._error is not None:
                break  # one RECEIPT was too many for the backlog: the ERROR is the last frame
            self._queue_frame(receipt)
        if self._is_leaving and not self._receipts:
            self._go_away()

    def refuse(self, work: Work, error_code: ErrorCode, detail: str = "", *, now: float) -> None:
        """The work that an event asked for cannot be done: ERROR, and the end of the session.

        Args:
            work: the event.
            error_code: what the peer is told.
            detail: one plain sentence for it.
            now: Unix seconds.
        """
        self.fail_work(work, RemoteProtocolError(error_code, detail), now=now)

    def fail_work(
        self,
        work: Work,
        error: RemoteProtocolError,
        *,
        now: float,
        cause: Exception | None = None,
    ) -> None:
        """As `refuse`, with the whole answer, and the exception behind it for the operator."""
        self._advance(now)
        error.receipt_id = work.receipt_id
        self._fail(error, cause)

    def end(self, error_code: ErrorCode, detail: str = "", *, now: float) -> None:
        """End the session from our side, with ERROR and the close, unless it is ending already.

        Its token's end (`TOKEN_EXPIRED`) can be brought forward like this, too.
        """
        self._advance(now)
        if error_code is ErrorCode.GOING_AWAY:
            self._go_away(detail)
            return
        self._fail(RemoteProtocolError(error_code, detail))

    def silence(self, *, now: float) -> None:
        """No MESSAGE leaves any more, though the session may be closing in peace."""
        self._advance(now)
        self._output.drop_messages()

    def end_at(self, at: float) -> None:
        """Go away at the instant `at` (Unix seconds), behind work that is being done by then.

        That work gets `close_timeout` more; its RECEIPTs, and what is queued, still leave.
        """
        if not self.closing:
            self._timers.set(Timer.DRAIN, at)

    # --- time -----------------------------------------------------------------------------

    def _fire(self, timer: Timer, due_at: float) -> None:
        match timer:
            case Timer.TOKEN_EXPIRY:
                self._expire(None, ExpiryPath.TIMER)
            case Timer.LOGIN:
                self._fail(RemoteProtocolError(ErrorCode.LOGIN_TIMEOUT, "No login in time."))
            case Timer.PEER_SILENT:
                if not self.wants_read:
                    # It is we who do not listen: its beats lie unread.
                    self._beats.received(self._now)
                elif self._beats.is_dead(due_at, self._now):
                    self._fail(
                        RemoteProtocolError(ErrorCode.HEARTBEAT_TIMEOUT, "No heart-beat in time.")
                    )
            case Timer.SEND_BACKLOG:
                self._fail(RemoteProtocolError(ErrorCode.SLOW_CONSUMER, "Read faster."))
            case Timer.DRAIN:
                if self._receipts and not self._is_leaving:
                    self._is_leaving = True
                    self._timers.set(Timer.DRAIN, self._now + self._config.limits.close_timeout)
                else:
                    self._go_away()
            case Timer.HEART_BEAT:
                if not self._output:
                    self._queue(BEAT)
                else:
                    self._beats.sent(self._now)
            case Timer.CLOSE:
                self._gone()
            case _:  # pragma: no cover
                raise AssertionError(timer)

    # --- the end --------------------------------------------------------------------------

    def _expire(self, receipt_id: str | None, path: str) -> None:
        self._output.drop_messages()  # those of a session that is closing in peace, too
        if not self.closing:
            self._counters.expiries[path] += 1
        self._fail(
            RemoteProtocolError(ErrorCode.TOKEN_EXPIRED, _EXPIRED_DETAIL, receipt_id=receipt_id)
        )

    def _go_away(self, detail: str = "") -> None:
        """What is queued still leaves, as long as the token lives; then the ERROR."""
        if self._now >= self._valid_until:
            self._expire(None, ExpiryPath.TIMER)
        else:
            self._fail(
                RemoteProtocolError(ErrorCode.GOING_AWAY, detail),
                keeps_messages=True,
            )

    def _fail(
        self,
        error: RemoteProtocolError,
        cause: Exception | None = None,
        *,
        keeps_messages: bool = False,
    ) -> None:
        """Queue the ERROR and the close. The one place where a session ends badly."""
        if self.closing:
            return
        self._table.fire(ServerTrigger.END)
        self._error = error.error_code
        # Work that was done keeps its RECEIPT; a MESSAGE must not leave on a dead token.
        if not keeps_messages:
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
            return
        self._timers.set(Timer.CLOSE, self._now + self._config.limits.close_timeout)
        if self._error in (None, ErrorCode.GOING_AWAY) and self._valid_until < math.inf:
            # What is queued may leave, but not on a token that has expired meanwhile.
            self._timers.set(Timer.TOKEN_EXPIRY, self._valid_until)

    def _over(self, ended: Ended) -> None:
        """Forget what the peer had, and tell the caller once."""
        self._timers.clear()
        self._decoder.clear()
        self._transactions.clear()
        self._subscriptions.clear()
        self._forget_secrets()
        self._counters.ended["" if ended.error_code is None else ended.error_code.value] += 1
        # Work that was taken in but not handed out yet was accepted: it is still told, in order.
        self._events.append(ended)

    def _forget_secrets(self) -> None:
        raise NotImplementedError

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

    def _token_headers(self) -> list[tuple[str, str]]:
        """How long the token has left, so that a client need not look at its own clock."""
        if self._valid_until == math.inf:
            return []
        return [("token-ttl", str(max(0, math.floor((self._valid_until - self._now) * 1000))))]

    def _answer(self, receipt_id: str | None) -> None:
        """A RECEIPT for what the session did by itself."""
        work = Work(receipt_id=receipt_id)
        self._receipts.expect(work)
        self.done(work, now=self._now)

    def _queue_frame(self, frame: Frame) -> None:
        self._counters.frames_out[frame.command] += 1
        # Before CONNECT has named a version, 1.0 is what every peer can read.
        self._queue(encode_frame(frame, self.version or Version.V1_0))

    def _queue(self, chunk: bytes) -> None:
        was_empty = not self._output
        self._output.push(chunk)
        self._queued(was_empty)

    def _queue_message(self, chunk: bytes, subscription: str, reference: object) -> None:
        was_empty = not self._output
        self._output.push_message(chunk, subscription, reference)
        self._queued(was_empty)

    def _queued(self, was_empty: bool) -> None:
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
