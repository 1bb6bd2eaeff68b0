"""stomp.py, over TCP and WebSocket, against `stompcore serve`; the token is its passcode."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import stomp
from stomp.adapter.ws import WSStompConnection
from tests.serving import PATIENCE, Serving

pytestmark = pytest.mark.interop

Connect = Callable[[Serving], Any]


def over_tcp(kind: Any, **options: Any) -> Connect:
    return lambda server: kind([server.tcp], reconnect_attempts_max=1, **options)


def over_websocket(**options: Any) -> Connect:
    return lambda server: WSStompConnection(
        [server.address("ws")], ws_path="/ws", reconnect_attempts_max=1, **options
    )


BEATS = (1000, 1000)
KINDS = {
    "1.0": over_tcp(stomp.Connection10),
    "1.1": over_tcp(stomp.Connection11),
    "1.2": over_tcp(stomp.Connection12),
    "ws": over_websocket(),
    "ws-binary": over_websocket(binary_mode=True),
}


class Recorder:
    """Keeps what stomp.py tells its listeners."""

    def __init__(self) -> None:
        self._seen: queue.Queue[tuple[str, Any]] = queue.Queue()

    def on_connected(self, frame: Any) -> None:
        self._seen.put(("connected", frame))

    def on_message(self, frame: Any) -> None:
        self._seen.put(("message", frame))

    def on_receipt(self, frame: Any) -> None:
        self._seen.put(("receipt", frame))

    def on_error(self, frame: Any) -> None:
        self._seen.put(("error", frame))

    def on_disconnected(self) -> None:
        self._seen.put(("disconnected", None))

    def on_heartbeat(self) -> None:
        self._seen.put(("heartbeat", None))

    def on_heartbeat_timeout(self) -> None:
        self._seen.put(("heartbeat timeout", None))

    def next(self) -> tuple[str, Any]:
        try:
            return self._seen.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError("nothing happened in time") from None

    def expect(self, kind: str) -> Any:
        """The frame of what comes next, which must be of this kind."""
        seen, frame = self.next()
        assert seen == kind, frame
        return frame


@contextmanager
def client(server: Serving, connect: Connect) -> Iterator[tuple[Any, Recorder]]:
    """A connection that is not connected yet, and its recorder; its thread ends with the block."""
    connection, recorder = connect(server), Recorder()
    connection.set_listener("recorder", recorder)
    try:
        yield connection, recorder
    finally:
        transport = connection.transport
        transport.running = False
        if (wire := transport.socket) is not None:
            # Its own way of hanging up does not wake a thread that waits for a WebSocket.
            with suppress(OSError, AttributeError):
                getattr(wire, "sock", wire).shutdown(socket.SHUT_RDWR)
        if transport.io_thread is not None:
            transport.io_thread.join(PATIENCE)
            assert not transport.io_thread.is_alive()


def disconnect(connection: Any, seen: Recorder) -> None:
    """DISCONNECT, and its RECEIPT; stomp.py hangs up before it tells anybody of that."""
    connection.disconnect("over")
    kind = "heartbeat"
    while kind == "heartbeat":
        kind, _ = seen.next()
    assert kind == "disconnected"
    assert seen.expect("receipt").headers["receipt-id"] == "over"


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_session(server: Serving, destination: str, kind: str) -> None:
    with client(server, KINDS[kind]) as (connection, seen):
        connection.connect("ada", server.mint("ada"), wait=True)
        connected = seen.expect("connected")
        version = "1.2" if kind.startswith("ws") else kind
        assert connected.headers["version"] == version

        connection.subscribe(destination, id="7", ack="auto", receipt="subscribed")
        assert seen.expect("receipt").headers["receipt-id"] == "subscribed"

        bodies = ["hello", "größer als ASCII: €", "", "x" * 100_000]
        for number, body in enumerate(bodies):
            connection.send(destination, body, receipt=f"sent-{number}", note=f"n:{number}")
            kinds = dict(seen.next() for _ in range(2))
            assert kinds["receipt"].headers["receipt-id"] == f"sent-{number}"
            message = kinds["message"]
            assert message.body == body
            assert message.headers["destination"] == destination
            assert message.headers["subscription"] == "7"
            assert message.headers["note"] == f"n:{number}"

        # Its first argument is the destination in 1.0, and the id since.
        connection.unsubscribe(destination if version == "1.0" else "7", receipt="unsubscribed")
        assert seen.expect("receipt").headers["receipt-id"] == "unsubscribed"
        connection.send(destination, "nobody hears it", receipt="sent")
        assert seen.expect("receipt").headers["receipt-id"] == "sent"

        disconnect(connection, seen)


@pytest.mark.parametrize("kind", KINDS)
def test_transactions_and_acknowledgements(server: Serving, destination: str, kind: str) -> None:
    with client(server, KINDS[kind]) as (connection, seen):
        connection.connect("ada", server.mint("ada"), wait=True)
        seen.expect("connected")
        connection.subscribe(destination, id="1", ack="client")
        transaction = connection.begin()
        connection.send(destination, "together", transaction=transaction)
        connection.send(destination, "before", receipt="before")
        kinds = dict(seen.next() for _ in range(2))
        assert kinds.keys() == {"receipt", "message"}
        assert kinds["message"].body == "before"
        connection.commit(transaction)
        message = seen.expect("message")
        assert message.body == "together"
        if kind == "1.0":
            connection.ack(message.headers["message-id"], receipt="acked")
        elif kind == "1.1":
            connection.ack(message.headers["message-id"], "1", receipt="acked")
        else:
            connection.ack(message.headers["ack"], receipt="acked")
        assert seen.expect("receipt").headers["receipt-id"] == "acked"


def test_expiry_is_an_error_and_then_the_end(server: Serving, destination: str) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(client(server, connect)) for connect in KINDS.values()]
        expires_at = time.time() + 1.5
        for connection, seen in clients:
            connection.connect("ada", server.mint("ada", exp=expires_at), wait=True)
            seen.expect("connected")
            connection.subscribe(destination, id="1")
        for connection, seen in clients:
            error = seen.expect("error")
            assert 0 <= time.time() - expires_at < 1
            assert error.headers["message"] == "Token Expired"
            assert error.headers["error-code"] == "token-expired"
            seen.expect("disconnected")
            assert not connection.is_connected()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("passcode", ["garbage", None])
def test_a_bad_token_is_an_error(server: Serving, kind: str, passcode: str | None) -> None:
    with client(server, KINDS[kind]) as (connection, seen):
        with pytest.raises(stomp.exception.ConnectFailedException):
            connection.connect("ada", passcode, wait=True)
        error = seen.expect("error")
        code = "token-missing" if passcode is None else "token-invalid"
        assert error.headers["error-code"] == code
        seen.expect("disconnected")


def test_heart_beats(server: Serving) -> None:
    connects = (over_tcp(stomp.Connection12, heartbeats=BEATS), over_websocket(heartbeats=BEATS))
    with ExitStack() as stack:
        clients = [stack.enter_context(client(server, connect)) for connect in connects]
        for connection, seen in clients:
            connection.connect("ada", server.mint("ada"), wait=True)
            assert seen.expect("connected").headers["heart-beat"] == "1000,1000"
        for _, seen in clients:
            # Long enough for the server to have missed ours, had there been none.
            for _ in range(3):
                seen.expect("heartbeat")
        for connection, seen in clients:
            disconnect(connection, seen)
