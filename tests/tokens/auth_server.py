"""A real auth server on loopback: rotation that notices reuse, and every way to answer badly."""

from __future__ import annotations

import json
import ssl
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

__all__ = ["FIRST", "AuthServer", "Drip", "Endless", "Gate", "HangUp", "Lose", "Received", "Reply"]

#: The refresh token that there is from the start. Whatever must not leak says "secret".
FIRST = "refresh-secret-0"

_LIMIT = 20.0


class Received(NamedTuple):
    """A request."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]


class Reply(NamedTuple):
    """An answer, whatever the request was."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012
    missing: int = 0  # bytes that Content-Length promises and that never come


class HangUp(NamedTuple):
    """No answer at all."""


class Lose(NamedTuple):
    """A good answer that is lost on its way."""


class Drip(NamedTuple):
    """An answer that comes byte by byte, for ever."""


class Endless(NamedTuple):
    """An answer that comes fast, and for ever."""


class Gate:
    """A good answer that waits until it is released."""

    def __init__(self) -> None:
        self.has_arrived = threading.Event()
        self._released = threading.Event()

    def release(self) -> None:
        """Answer now."""
        self._released.set()

    def wait(self) -> None:
        """Until then, for a bounded time."""
        self.has_arrived.set()
        self._released.wait(_LIMIT)


Step = Reply | HangUp | Lose | Drip | Endless | Gate


class AuthServer:
    """Serves on threads of its own. Each request takes the next step, or gets a good answer.

    Args:
        mint: makes an access token; numbered ones by default.
        expires_in: what the answers say; None for nothing.
        rotates: whether a refresh token can be used only once. A second use ends them all.
        tls: for https, on `localhost`.
    """

    def __init__(
        self,
        *,
        mint: Callable[[], str] | None = None,
        expires_in: object = 60,
        rotates: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.expires_in = expires_in
        self.received: list[Received] = []
        self.reused: list[str] = []
        self.issued: list[str] = []
        self.access_tokens: list[str] = []
        self._mint = mint or (lambda: f"access-secret-{len(self.access_tokens)}")
        self._rotates = rotates
        self._live = {FIRST}
        self._spent: set[str] = set()
        self._steps: deque[Step] = deque()
        self._gates: list[Gate] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}
        )

    def __enter__(self) -> AuthServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        for gate in self._gates:
            gate.release()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"http://127.0.0.1:{self.port}/token"

    @property
    def refresh_tokens(self) -> list[str]:
        """Those that it was sent, in order."""
        return [each.form["refresh_token"] for each in self.received]

    def then(self, *steps: Step) -> None:
        """What the next requests get."""
        self._steps.extend(steps)

    def gate(self) -> Gate:
        """The next request waits at it."""
        gate = Gate()
        self._gates.append(gate)
        self.then(gate)
        return gate

    # --- for the handlers -----------------------------------------------------------------

    def take(self, received: Received) -> Step | None:
        """A request came."""
        with self._lock:
            self.received.append(received)
            return self._steps.popleft() if self._steps else None

    def answer(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The answer of RFC 6749."""
        with self._lock:
            refresh_token = form.get("refresh_token")
            content: dict[str, Any] = {"token_type": "Bearer"}
            if refresh_token is not None:
                if refresh_token not in self._live:
                    if refresh_token in self._spent:
                        self.reused.append(refresh_token)
                        self._live.clear()
                    return 400, {"error": "invalid_grant", "error_description": refresh_token}
                if self._rotates:
                    self._live.remove(refresh_token)
                    self._spent.add(refresh_token)
                    content["refresh_token"] = f"refresh-secret-{len(self._spent)}"
                    self._live.add(content["refresh_token"])
                    self.issued.append(content["refresh_token"])
            content["access_token"] = self._mint()
            self.access_tokens.append(content["access_token"])
            if self.expires_in is not None:
                content["expires_in"] = self.expires_in
            return 200, content

    def is_closing(self, seconds: float) -> bool:
        """Whether the server is, after so long at most."""
        return self._closing.wait(seconds)


def _handler(server: AuthServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _LIMIT

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", "0"))
            form = dict(parse_qsl(self.rfile.read(size).decode(), strict_parsing=True))
            step = server.take(Received(self.path, form, dict(self.headers)))
            self.close_connection = True
            match step:
                case HangUp():
                    return
                case Lose():
                    server.answer(form)
                case Drip():
                    self._go_on(b" ", pause=0.02)
                case Endless():
                    self._go_on(b" " * 65536, pause=0.0)
                case Reply():
                    self._reply(step)
                case _:
                    if isinstance(step, Gate):
                        step.wait()
                    status, content = server.answer(form)
                    self._reply(Reply(status, json.dumps(content).encode()))

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def _reply(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + reply.missing))
            self.send_header("Connection", "close")
            self.end_headers()
            self._write(reply.body)

        def _go_on(self, data: bytes, *, pause: float) -> None:
            self.send_response(200)
            self.end_headers()
            for _ in range(1000):
                if not self._write(data) or server.is_closing(pause):
                    return

        def _write(self, data: bytes) -> bool:
            try:
                self.wfile.write(data)
            except OSError:  # who asked has gone
                return False
            return True

    return Handler
