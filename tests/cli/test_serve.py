"""`stompcore serve`: what it prints, logs and listens on, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import time
from typing import Any

import pytest
from tests.cli.conftest import TLS
from tests.serving import (
    PATIENCE,
    SECRET,
    RawClient,
    RawFrame,
    Serving,
    connect_frame,
    frame,
    mint,
    serving,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

RUNTIMES = ["asyncio", "trio"]
SIGNALS = [signal.SIGTERM, signal.SIGINT]

both_runtimes = pytest.mark.parametrize("runtime", RUNTIMES)


def open_websocket(server: Serving, **options: Any) -> ClientConnection:
    websocket: ClientConnection = connect(
        server.url,
        subprotocols=[Subprotocol("v12.stomp")],
        open_timeout=PATIENCE,
        proxy=None,
        **options,
    )
    return websocket


def exchange(websocket: ClientConnection, data: bytes) -> RawFrame:
    """What `data` is answered with."""
    websocket.send(data.decode())
    return next_frame(websocket)


def next_frame(websocket: ClientConnection) -> RawFrame:
    while True:
        message = websocket.recv(PATIENCE, decode=False)
        if message.strip(b"\n"):
            return RawFrame.parse(message)


@both_runtimes
def test_a_line_for_each_listener(runtime: str) -> None:
    both = ("--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0")
    with serving("--runtime", runtime, *both, "--path", "/stomp") as server:
        ws, tcp = server.lines
        assert list(ws) == ["event", "transport", "host", "port", "path"]
        assert list(tcp) == ["event", "transport", "host", "port"]
        assert ws | {"port": 0} == {
            "event": "listening",
            "transport": "ws",
            "host": "127.0.0.1",
            "port": 0,
            "path": "/stomp",
        }
        assert tcp | {"port": 0} == {
            "event": "listening",
            "transport": "tcp",
            "host": "127.0.0.1",
            "port": 0,
        }
        assert len({ws["port"], tcp["port"]} - {0}) == 2
        with RawClient(server.tcp) as client:
            assert client.connect(server.mint()).command == "CONNECTED"
        with open_websocket(server) as websocket:
            assert websocket.subprotocol == "v12.stomp"
            assert exchange(websocket, connect_frame(server.mint())).command == "CONNECTED"
        host, port = server.address("ws")
        with pytest.raises(InvalidStatus) as caught:
            connect(f"ws://{host}:{port}/ws", open_timeout=PATIENCE, proxy=None)
        assert caught.value.response.status_code == 404


@both_runtimes
@pytest.mark.parametrize("transport", ["ws", "tcp"])
def test_one_listener_alone(runtime: str, transport: str) -> None:
    with serving("--runtime", runtime, f"--{transport}", "127.0.0.1:0") as server:
        assert [line["transport"] for line in server.lines] == [transport]


@both_runtimes
def test_names_and_ipv6(runtime: str) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 loopback")
    with serving("--runtime", runtime, "--tcp", "[::1]:0") as server:
        assert server.lines[0]["host"] == "::1"
        with RawClient(server.tcp) as client:
            assert client.connect(server.mint()).command == "CONNECTED"


@both_runtimes
def test_tls(runtime: str, tls: TLS) -> None:
    files = ("--tls-cert", str(tls.cert), "--tls-key", str(tls.key))
    with serving("--runtime", runtime, *files) as server:
        assert [line["tls"] for line in server.lines] == [True, True]
        with RawClient(server.tcp, tls.client) as client:
            assert client.connect(server.mint()).command == "CONNECTED"
            client.send(frame("SUBSCRIBE", id="1", destination="/topic/a", receipt="r"))
            assert client.receive().headers == {"receipt-id": "r"}
        with open_websocket(server, ssl=tls.client, server_hostname="localhost") as websocket:
            assert exchange(websocket, connect_frame(server.mint())).command == "CONNECTED"
            websocket.send(frame("SEND", "hi", destination="/topic/a", receipt="r").decode())
            assert next_frame(websocket).headers == {"receipt-id": "r"}
        # Whoever does not speak it, or does not trust us, is nobody's trouble.
        with RawClient(server.tcp) as client:
            client.send(connect_frame(server.mint()))
            client.socket.recv(100)
        with pytest.raises(ssl.SSLError):
            RawClient(server.tcp, ssl.create_default_context())
        with RawClient(server.tcp, tls.client) as client:
            assert client.connect(server.mint()).command == "CONNECTED"


@both_runtimes
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_drains(runtime: str, number: signal.Signals) -> None:
    with serving("--runtime", runtime, stop=False) as server:
        with RawClient(server.tcp) as client, open_websocket(server) as websocket:
            assert client.connect(server.mint()).command == "CONNECTED"
            assert exchange(websocket, connect_frame(server.mint())).command == "CONNECTED"
            server.signal(number)
            for error in (client.receive(), next_frame(websocket)):
                assert error.command == "ERROR"
                assert error.headers["message"] == "Going Away"
                assert error.headers["error-code"] == "going-away"
            client.wait_for_end()
            with pytest.raises(ConnectionClosed) as caught:
                websocket.recv(PATIENCE)
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "Going Away")
        assert server.wait() == 0
        assert server.log.splitlines()[-1].count("error_code=going-away") == 1


def wait_until_refused(address: tuple[str, int]) -> None:
    # The farewell may be here a moment before the listening socket is closed.
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            socket.create_connection(address, timeout=PATIENCE).close()
        except OSError:  # refused, or reset out of the backlog of a listener that then closed
            return
        time.sleep(0.01)
    pytest.fail("it goes on accepting")


@both_runtimes
@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_while_it_drains(runtime: str, number: signal.Signals) -> None:
    with serving("--runtime", runtime, stop=False) as server:
        with RawClient(server.tcp) as client:
            assert client.connect(server.mint()).command == "CONNECTED"
            server.signal(number)
            assert client.receive().headers["error-code"] == "going-away"
            # It waits for us to hang up.
            server.signal(number)
            server.signal(number)
            wait_until_refused(server.tcp)
        assert server.wait() == 0


@both_runtimes
def test_the_log(runtime: str) -> None:
    with serving("--runtime", runtime) as server:
        with RawClient(server.tcp) as client:
            session = client.connect(server.mint("ada lovelace")).headers["session"]
            client.send(frame("DISCONNECT", receipt="r"))
            assert client.receive().command == "RECEIPT"
            client.wait_for_end()
        connected = server.wait_for_log("connected session=")
        stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        assert re.fullmatch(
            rf"{stamp} INFO stompcore\.server connected session={session} "
            r'subject="ada lovelace" version=1\.2 valid_until=\d+\.\d{3}',
            connected,
        )
        server.wait_for_log(f"disconnected session={session}")

        with RawClient(server.tcp) as client:
            refused = mint(key="some other secret, of forty bytes or so.")
            server.tokens.append(refused)
            assert client.connect(refused).command == "ERROR"
        server.wait_for_log("error_code=token-invalid")

        subject = "a\nb\x1b[31m\u2028"
        with RawClient(server.tcp) as client:
            assert client.connect(server.mint(subject)).command == "CONNECTED"
        # Nobody's name can begin a line of its own, or colour the terminal.
        assert f"subject={json.dumps(subject)} " in server.wait_for_log('subject="a\\nb')
        server.wait_for_log("left session=")


@both_runtimes
def test_a_short_secret_is_warned_of(runtime: str) -> None:
    with serving("--runtime", runtime, "--jwt-secret", "short") as server:
        warning = server.wait_for_log("WARNING")
        assert warning.endswith("the secret is short: use 32 random bytes or more")
        with RawClient(server.tcp) as client:
            assert client.connect(server.mint(key="short")).command == "CONNECTED"
    assert "WARNING" not in server_log_of_a_good_secret(runtime)


def server_log_of_a_good_secret(runtime: str) -> str:
    with serving("--runtime", runtime, env={"STOMPCORE_JWT_SECRET": SECRET}) as server:
        with RawClient(server.tcp) as client:
            assert client.connect(server.mint()).command == "CONNECTED"
        server.wait_for_log("left session=")
        return server.log
