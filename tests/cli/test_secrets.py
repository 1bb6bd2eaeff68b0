"""Tokens in every place that can hold one, right or wrong: none is in what operators get to see.

Not in the log in either format, not in the metrics, not in an answer of the control socket.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.serving import PATIENCE, RawClient, Serving, connect_frame, frame, mint, serving
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

OTHER_KEY = "another secret of forty bytes, or so..."


class World:
    """A running server, and the ways to it."""

    def __init__(self, server: Serving, path: str) -> None:
        self.server = server
        self.path = path
        self.answers: list[bytes] = []

    def tcp(self, *data: bytes) -> None:
        """Say this over TCP, and read whatever comes."""
        with RawClient(self.server.tcp) as client:
            with contextlib.suppress(OSError):
                for each in data:
                    client.send(each)
                client.socket.shutdown(socket.SHUT_WR)
                while client.socket.recv(65536):
                    pass

    def logged_in(self, *data: bytes) -> None:
        """The same, behind a CONNECT that is accepted."""
        self.tcp(connect_frame(self.server.mint("ada")), *data)

    def websocket(self, token: str | None, query: str = "", path: str | None = None) -> None:
        """Open a WebSocket, and CONNECT with no token of its own."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = self.server.url if path is None else self.server.url.replace("/ws", path)
        with contextlib.suppress(InvalidStatus, WebSocketException):
            with connect(
                url + query, additional_headers=headers, open_timeout=PATIENCE, proxy=None
            ) as websocket:
                websocket.send(connect_frame().decode())
                websocket.recv(PATIENCE)

    def http(self, method: str, target: str, body: str = "", header: str = "") -> bytes:
        """Ask the WebSocket's port."""
        with socket.create_connection(self.server.address("ws"), timeout=PATIENCE) as raw:
            return self._ask(raw, method, target, body, header)

    def control(self, method: str, target: str, body: str = "", header: str = "") -> None:
        """Ask the control socket."""
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(PATIENCE)
            raw.connect(self.path)
            self.answers.append(self._ask(raw, method, target, body, header))

    def _ask(self, raw: socket.socket, method: str, target: str, body: str, header: str) -> bytes:
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{header}"
        raw.sendall(f"{head}\r\n{body}".encode())
        answer = b""
        while data := raw.recv(65536):
            answer += data
        return answer


def renewal(token: str | None = None, body: str = "", **headers: str) -> bytes:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return frame("SEND", body, destination="/auth/refresh", receipt="r", **headers)


PLACES: dict[str, Callable[[World, str], object]] = {
    # CONNECT
    "passcode": lambda w, t: w.tcp(connect_frame(t)),
    "Authorization": lambda w, t: w.tcp(connect_frame(Authorization=f"Bearer {t}")),
    "authorization": lambda w, t: w.tcp(connect_frame(authorization=f"bearer {t}")),
    "another scheme": lambda w, t: w.tcp(connect_frame(Authorization=f"Token {t}")),
    "login": lambda w, t: w.tcp(connect_frame(t, login=t)),
    "receipt of CONNECT": lambda w, t: w.tcp(connect_frame(t, receipt=t)),
    "accept-version": lambda w, t: w.tcp(frame("CONNECT", accept_version=t, passcode=t)),
    "heart-beat": lambda w, t: w.tcp(connect_frame(t, heart_beat=t)),
    # The handshake
    "handshake": lambda w, t: w.websocket(t),
    "query": lambda w, t: w.websocket(None, f"?token={t}&access_token={t}"),
    "path": lambda w, t: w.websocket(None, path=f"/{t}"),
    "page": lambda w, t: w.http("GET", f"/metrics?token={t}"),
    "page's header": lambda w, t: w.http(
        "GET", "/healthz", header=f"Authorization: Bearer {t}\r\n"
    ),
    "a page that is none": lambda w, t: w.http("GET", f"/{t}"),
    "method": lambda w, t: w.http(t, "/ws"),
    # Refresh
    "refresh header": lambda w, t: w.logged_in(renewal(t)),
    "refresh passcode": lambda w, t: w.logged_in(renewal(passcode=t)),
    "refresh body": lambda w, t: w.logged_in(renewal(body=t)),
    # Where no token belongs
    "command": lambda w, t: w.logged_in(f"{t}\n\n\0".encode()),
    "a first command": lambda w, t: w.tcp(f"{t}\n\n\0".encode()),
    "half a header": lambda w, t: w.logged_in(f"SEND\n{t}\n\n\0".encode()),
    "a bad escape": lambda w, t: w.logged_in(f"SEND\na:\\{t}\n\n\0".encode()),
    "destination": lambda w, t: w.logged_in(frame("SEND", destination=t)),
    "subscription": lambda w, t: w.logged_in(frame("SUBSCRIBE", id=t, destination=f"/no/{t}")),
    "acknowledgement": lambda w, t: w.logged_in(frame("ACK", id=t)),
    "transaction": lambda w, t: w.logged_in(frame("COMMIT", transaction=t)),
    "message": lambda w, t: w.logged_in(frame("SEND", t, destination="/queue/q", passcode=t)),
    # The control socket, by mistake
    "revoke": lambda w, t: w.control("POST", "/revoke", f'{{"token_id": "{t}"}}'),
    "expire": lambda w, t: w.control("POST", "/expire", f'{{"session": "{t}"}}'),
    "pardon": lambda w, t: w.control("POST", "/pardon", f'{{"subject": "{t}"}}'),
    "no JSON": lambda w, t: w.control("POST", "/revoke", t),
    "another key": lambda w, t: w.control("POST", "/revoke", f'{{"{t}": "x"}}'),
    "control path": lambda w, t: w.control("GET", f"/{t}"),
    "control query": lambda w, t: w.control("GET", f"/sessions?subject={t}"),
    "control header": lambda w, t: w.control(
        "GET", "/sessions", header=f"Authorization: Bearer {t}\r\n"
    ),
}

# A word of the log for the places where a token counts, good or bad.
SEEN = ("connected", "refreshed", "token-invalid", "token-expired", "reauth-rejected", "revoked")


@pytest.mark.parametrize("format_name", ["text", "json"])
@pytest.mark.parametrize("runtime", ["asyncio", "trio"])
def test_no_token_is_ever_shown(runtime: str, format_name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    options = ("--runtime", runtime, "--log-format", format_name, "--control", path)
    tokens: list[str] = []
    shown: list[bytes] = []
    with serving(*options, stop=False) as server, RawClient(server.tcp) as stays:
        world = World(server, path)
        # Somebody is there all the time, whom the control socket can tell of.
        tokens.append(mint("bob", jti="t1"))
        assert stays.connect(tokens[0]).command == "CONNECTED"
        for number, put in enumerate(PLACES.values()):
            for token in (
                mint("ada", n=number),
                mint("ada", ttl=-1.0, n=number),
                mint("ada", key=OTHER_KEY, n=number),
            ):
                tokens.append(token)
                put(world, token)
        for target in ("/sessions", "/metrics", "/nowhere"):
            world.control("GET", target)
        shown += [world.http("GET", "/metrics"), world.http("GET", "/healthz")]
        world.control("POST", "/revoke", '{"token_id": "t1"}')
        world.control("POST", "/drain")
        stays.socket.close()
        assert server.wait() == 0
        log = server.log
    for words in SEEN:
        assert words in log
    assert b'"subject": "bob"' in b"".join(world.answers)
    shown += [log.encode(), *world.answers]
    for token in tokens:
        # The claims and the signature are nobody else's; the head is everybody's.
        for secret in token.split(".")[1:]:
            assert [text for text in shown if secret.encode() in text] == []
    assert OTHER_KEY not in log
