"""`ClientConnection`: the client's side of one physical connection, from CONNECT to its end.

It knows nothing of tokens that run out nor of what should be sent again: that is `_client`'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from stompcore._auth import Token
from stompcore._codec import FrameDecoder, encode_frame
from stompcore._config import ClientConfig
from stompcore._errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from stompcore._events import (
    ConnectionEvent,
    Disconnected,
    ErrorReceived,
    Receipted,
    SessionEstablished,
)
from stompcore._frames import SERVER_COMMANDS, Command, Frame
from stompcore._headers import Headers, Version
from stompcore._heartbeat import BEAT, HeartBeats, heart_beat_header
from stompcore._machine import Close, TimedMachine
from stompcore._state import (
    CLIENT_CONNECTION,
    ClientConnectionState,
    ClientConnectionTrigger,
)
from stompcore._timers import Timer

__all__ = ["ClientConnection", "connect_headers", "token_header"]

_DISCONNECT_RECEIPT = "disconnect"


class ClientConnection(TimedMachine[ClientConnectionState, ClientConnectionTrigger]):
    """One STOMP connection of a client, without any I/O. Keeps `Machine`'s contract.

    CONNECT is queued at once. The connection ends with one `Disconnected`, which says all that is
    known of why: after an ERROR it waits for the server's close for `error_timeout`, so that the
    close code and reason are known too.

    Args:
        config: the client's settings.
        connect_headers: of the CONNECT frame, beyond `accept-version` and `heart-beat`.
        now: Unix seconds.
    """

    def __init__(
        self, config: ClientConfig, connect_headers: Mapping[str, str], *, now: float
    ) -> None:
        super().__init__(CLIENT_CONNECTION, ClientConnectionState.CONNECTING, now=now)
        self.version: Version | None = None
        self.server = ""  # what the server calls itself, if it says so
        self.user_name = ""  # whom it takes us for, if it says so
        self.close: Close | None = None
        #: A transport with a close of its own (WebSocket) tells more than an ERROR; wait for it.
        self.awaits_close = False
        self._is_paused = False
        self._config = config
        self._beats = HeartBeats(self._timers)
        self._decoder = FrameDecoder(config.limits)
        self._events: deque[ConnectionEvent] = deque()
        self._output: deque[bytes] = deque()
        self._bytes_queued = 0
        self._established = False
        self._error: ErrorReceived | None = None
        self._peer_close: Close | None = None
        self._http_status: int | None = None
        self._fault = ""
        self._clean = False
        headers = {
            "accept-version": ",".join(Version),
            "heart-beat": heart_beat_header(config.heart_beat),
            **connect_headers,
        }
        self._queue(encode_frame(Frame(Command.CONNECT, headers), Version.V1_2))
        self._timers.set(Timer.CONNECT, now + config.connect_timeout)

    # --- what a caller reads --------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Whether its messages find a reader; see `pause`."""
        return not self._is_paused

    @property
    def closing(self) -> bool:
        """Nothing more will be sent, and nothing that comes counts."""
        return self.state in (ClientConnectionState.CLOSING, ClientConnectionState.CLOSED)

    @property
    def closed(self) -> bool:
        """It is over: close the transport."""
        return self.state is ClientConnectionState.CLOSED

    @property
    def send_eof(self) -> bool:
        """Whether to half-close the transport: never, the server closes first."""
        return False

    @property
    def bytes_queued(self) -> int:
        """Bytes that `data_to_send()` would return."""
        return self._bytes_queued

    @property
    def error(self) -> ErrorCode | None:
        """The `error-code` of the server's ERROR, if it is one of ours."""
        code = self._error.error_code if self._error else ""
        return next((each for each in ErrorCode if each.value == code), None)

    # --- what a transport tells -----------------------------------------------------------

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Take bytes from the server."""
        self._advance(now)
        if not self.closing:
            self._decoder.receive_data(data)
            if data and not self._is_paused:
                self._beats.received(self._now)
        self._fire_due()

    def receive_eof(self, *, now: float) -> None:
        """The server has closed, or the connection is lost. Legal more than once."""
        self._advance(now)
        self._drain_frames()
        self._gone()

    def receive_close(self, close: Close, *, now: float) -> None:
        """The WebSocket under us was closed with this code and reason."""
        self._advance(now)
        self._drain_frames()
        if self._peer_close is None:
            self._peer_close = close
        self._gone()

    def receive_refusal(self, http_status: int, *, now: float) -> None:
        """The WebSocket handshake was refused."""
        self._advance(now)
        self._http_status = http_status
        self._gone()

    def fail(self, fault: str, *, now: float) -> None:
        """The transport has failed in a way that it has words for."""
        self._advance(now)
        self._fault = self._fault or fault
        self._gone()

    def data_to_send(self) -> list[bytes]:
        """What to write, in order."""
        chunks = list(self._output)
        self._drop_output()
        return chunks

    def next_event(self) -> ConnectionEvent | None:
        """The next event, or None."""
        while not self._events and not self.closing:
            if not self._next_frame():
                return None
        return self._events.popleft() if self._events else None

    # --- what the client does -------------------------------------------------------------

    def pause(self, *, now: float) -> None:
        """Nobody reads what comes: `wants_read` is false, and no silence of the server counts."""
        self._advance(now)
        self._is_paused = True
        self._timers.cancel(Timer.PEER_SILENT)

    def resume(self, *, now: float) -> None:
        """Read on."""
        self._advance(now)
        self._is_paused = False
        if not self.closing:
            self._beats.received(self._now)

    def send_frame(self, frame: Frame, *, now: float) -> None:
        """Queue a frame.

        Raises:
            LocalProtocolError: CONNECTED has not come, or the connection is ending, or the
                negotiated version cannot carry the frame.
        """
        if self.state is not ClientConnectionState.OPEN:
            raise LocalProtocolError(f"no frame can be sent in the state {self.state.name}")
        assert self.version is not None
        data = encode_frame(frame, self.version)
        self._advance(now)
        self._queue(data)

    def disconnect(self, *, now: float) -> None:
        """Queue DISCONNECT with a receipt; its RECEIPT, or `close_timeout`, ends the connection.

        Raises:
            LocalProtocolError: CONNECTED has not come, or the connection is ending already.
        """
        self.send_frame(Frame(Command.DISCONNECT, {"receipt": _DISCONNECT_RECEIPT}), now=now)
        self._table.fire(ClientConnectionTrigger.DISCONNECT)
        self._timers.set(Timer.CLOSE, self._now + self._config.close_timeout)

    # --- inside ---------------------------------------------------------------------------

    def _fire(self, timer: Timer, due_at: float) -> None:
        match timer:
            case Timer.CONNECT:
                self._fault = "the server did not answer CONNECT in time"
                self._gone()
            case Timer.PEER_SILENT:
                if self._beats.is_dead(due_at, self._now):
                    self._fault = "the server fell silent"
                    self._gone()
            case Timer.HEART_BEAT:
                if self._output:
                    self._beats.sent(self._now)
                else:
                    self._queue(BEAT)
            case Timer.CLOSE:
                self._gone()
            case _:  # pragma: no cover
                raise AssertionError(timer)

    def _drain_frames(self) -> None:
        """Read what came before the end: an ERROR may be the last thing in the buffer."""
        while not self.closing and self._next_frame():
            pass

    def _next_frame(self) -> bool:
        try:
            frame = self._decoder.next_frame()
            if frame is None:
                return False
            self._handle(frame)
        except RemoteProtocolError as error:
            self._fault = f"the server broke the protocol: {error}"
            self._gone()
        return True

    def _handle(self, frame: Frame) -> None:
        command, headers = frame.command, frame.headers
        connecting = self.state is ClientConnectionState.CONNECTING
        if command not in SERVER_COMMANDS or (
            (command is Command.CONNECTED) != connecting and command is not Command.ERROR
        ):
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION, f"the server sent {command} out of turn"
            )
        match command:
            case Command.CONNECTED:
                self._connected(frame)
            case Command.MESSAGE:
                self._events.append(frame)
            case Command.RECEIPT:
                self._receipt(headers)
            case Command.ERROR:
                self._error = ErrorReceived(frame=frame)
                self._events.append(self._error)
                self._begin_close()

    def _connected(self, frame: Frame) -> None:
        headers = frame.headers
        # STOMP 1.0 servers send no version header.
        name = headers.get("version", Version.V1_0.value)
        version = next((each for each in Version if each.value == name), None)
        if version is None:
            raise RemoteProtocolError(
                ErrorCode.UNSUPPORTED_VERSION, "the server chose an unknown version"
            )
        self._beats.start(self._config.heart_beat, headers, now=self._now)
        self.version = self._decoder.version = version
        self.server = headers.get("server", "")
        self.user_name = headers.get("user-name", "")
        self._established = True
        self._table.fire(ClientConnectionTrigger.CONNECTED)
        self._timers.cancel(Timer.CONNECT)
        self._events.append(SessionEstablished(version=version, headers=headers))

    def _receipt(self, headers: Headers) -> None:
        receipt_id = headers["receipt-id"]
        if receipt_id == _DISCONNECT_RECEIPT and self.state is ClientConnectionState.DISCONNECTING:
            self._clean = True
            self._begin_close()
        else:
            self._events.append(Receipted(receipt_id=receipt_id, headers=headers))

    def _begin_close(self) -> None:
        """Wait, for a bounded time, for the server to close."""
        self._table.fire(ClientConnectionTrigger.END)
        self._timers.clear()
        self._decoder.clear()
        self._drop_output()
        self.close = Close()
        if self.awaits_close:
            # Some servers leave the socket open after an ERROR, whatever the specification says.
            patience = self._config.close_timeout if self._clean else self._config.error_timeout
            self._timers.set(Timer.CLOSE, self._now + patience)
        else:
            self._gone()

    def _gone(self) -> None:
        if self.closed:
            return
        self._table.fire(ClientConnectionTrigger.GONE)
        self._timers.clear()
        self._drop_output()
        self._events.append(
            Disconnected(
                established=self._established,
                error=self._error,
                close=self._peer_close,
                http_status=self._http_status,
                fault=self._fault,
                clean=self._clean,
            )
        )

    def _drop_output(self) -> None:
        self._output.clear()
        self._bytes_queued = 0

    def _queue(self, data: bytes) -> None:
        self._output.append(data)
        self._bytes_queued += len(data)
        self._beats.sent(self._now)


def connect_headers(config: ClientConfig, host: str, token: Token | None) -> dict[str, str]:
    """The headers of CONNECT that say where to and who: `host`, `login` and the token."""
    headers = {"host": config.host or host}
    if config.login is not None:
        headers["login"] = config.login
    if token is not None:
        headers |= token_header(config, token)
    return headers


def token_header(config: ClientConfig, token: Token) -> dict[str, str]:
    """The one header that carries the token: `Authorization: Bearer`, or `passcode`."""
    if config.passcode:
        return {"passcode": token.reveal()}
    return {"Authorization": f"Bearer {token.reveal()}"}
