"""An auth server over HTTP: login, and refresh with rotating refresh tokens (RFC 9700 4.14.2)."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import jwt

__all__ = ["ALGORITHM", "AuthServer"]

ALGORITHM = "HS256"
_MAX_BODY = 4096


class AuthServer:
    """Serves `POST /login` and `POST /refresh` on loopback, on threads of its own.

    Args:
        secret: the HMAC secret that access tokens are signed with.
        users: name to password.
        token_ttl: how long an access token lives, in seconds.
    """

    def __init__(self, secret: str, users: dict[str, str], token_ttl: float) -> None:
        self._secret = secret
        self._users = users
        self._token_ttl = token_ttl
        self._lock = threading.Lock()
        self._live: dict[str, str] = {}  # refresh token to user
        self._spent: dict[str, str] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> AuthServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def login(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The tokens for a name and its password, or None."""
        name, password = str(request.get("username")), str(request.get("password"))
        if not hmac.compare_digest(self._users.get(name, "").encode(), password.encode()):
            return None
        with self._lock:
            return self._issue(name)

    def refresh(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """New tokens for a refresh token, which is spent by that; None for one that is no good.

        One that was spent before has been stolen, or used twice: all of its user's end with it.
        """
        refresh_token = str(request.get("refresh_token"))
        with self._lock:
            name = self._live.pop(refresh_token, None)
            if name is None:
                thief = self._spent.get(refresh_token)
                self._live = {each: user for each, user in self._live.items() if user != thief}
                return None
            self._spent[refresh_token] = name
            return self._issue(name)

    def _issue(self, name: str) -> dict[str, Any]:
        now = time.time()
        refresh_token = secrets.token_urlsafe(32)
        self._live[refresh_token] = name
        claims = {"sub": name, "exp": now + self._token_ttl, "jti": secrets.token_hex(8)}
        return {
            "access_token": jwt.encode(claims, self._secret, algorithm=ALGORITHM),
            "expires_at": claims["exp"],
            "refresh_token": refresh_token,
        }


def _handler(server: AuthServer) -> type[BaseHTTPRequestHandler]:
    routes = {"/login": server.login, "/refresh": server.refresh}

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_POST(self) -> None:
            try:
                size = int(self.headers.get("Content-Length", "0"))
                request = json.loads(self.rfile.read(min(size, _MAX_BODY)))
                route = routes[self.path]
                answer = route(request)
            except (KeyError, ValueError, AttributeError):
                self._answer(400, {"error": "bad request"})
                return
            if answer is None:
                self._answer(401, {"error": "invalid_grant"})
            else:
                self._answer(200, answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the demo's own lines are the log."""

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
