"""The control socket: what operators ask of a running server, over HTTP/1.1 with JSON.

It listens on a Unix socket that only the server's own user can open, so there is no secret to
keep, and no browser and no network can reach it. ``curl --unix-socket PATH http://x/sessions``
speaks to it, and so does ``stompcore control PATH sessions``.

| request | body | answer |
|---|---|---|
| `GET /sessions` | | `{"sessions": [{"session", "subject", "state", "valid_until", ...}]}` |
| `GET /metrics` | | Prometheus' text format |
| `GET /healthz` | | `ok`, or 503 `draining` |
| `POST /revoke` | `{"session": …}`, `{"subject": …}` or `{"token_id": …}` | `{"ended": n}` |
| `POST /pardon` | `{"subject": …}` or `{"token_id": …}` | `{"pardoned": true}` |
| `POST /expire` | `{"session": …}` or `{"subject": …}` | `{"ended": n}` |
| `POST /drain` | | `{"sessions": n}` |

What cannot be done is answered with its status and ``{"error": "One plain sentence."}``.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qs

from stompcore._errors import ErrorCode
from stompcore._http import Answer, Exchange, Refused, Request
from stompcore._hub import Hub
from stompcore._machine import TimedMachine
from stompcore._server import ServerSession
from stompcore._state import ENDPOINT, EndpointState, EndpointTrigger
from stompcore._timers import Timer
from stompcore.listener import LogLine, health_page, metrics_page

__all__ = ["BODY_SIZE", "Commanded", "ControlEndpoint"]

#: How long the body of a request may be, in bytes.
BODY_SIZE = 16 * 1024


class Commanded(NamedTuple):
    """What was done on an operator's word. Settle the sessions, and log the line.

    Args:
        session_ids: of the sessions that now have output.
        line: for the log.
        is_drain: whether the server is to drain now.
    """

    session_ids: frozenset[str]
    line: LogLine
    is_drain: bool = False


class ControlEndpoint(TimedMachine[EndpointState, EndpointTrigger]):
    """One connection to the control socket, for one request. Keeps `Machine`'s contract.

    Args:
        hub: what is looked at and acted on.
        now: Unix seconds; the time-out for the request starts here.
    """

    def __init__(self, hub: Hub, *, now: float) -> None:
        super().__init__(ENDPOINT, EndpointState.HANDSHAKE, now=now)
        limits = hub.config.limits
        self._hub = hub
        self._exchange = Exchange(head_size=limits.handshake_size)
        self._request: Request | None = None
        self._command: _Command | None = None
        self._events: deque[Commanded] = deque()
        self._output: list[bytes] = []
        self._timers.set(Timer.HANDSHAKE, now + limits.handshake_timeout)

    # --- what a caller reads --------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Always."""
        return True

    @property
    def closing(self) -> bool:
        """The answer is there."""
        return self.state is not EndpointState.HANDSHAKE

    @property
    def closed(self) -> bool:
        """It is over: close the transport once what was written has left."""
        return self.state is EndpointState.CLOSED

    @property
    def send_eof(self) -> bool:
        """Nothing more will be written: half-close the transport, and go on reading."""
        return self.state is EndpointState.REFUSED and not self._output

    @property
    def bytes_queued(self) -> int:
        """Bytes that `data_to_send()` would return."""
        return sum(map(len, self._output))

    @property
    def error(self) -> ErrorCode | None:
        """None: what goes wrong here has an HTTP status."""
        return None

    def next_event(self) -> Commanded | None:
        """What was done, to be seen to, or None."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> list[bytes]:
        """Bytes for the stream."""
        chunks, self._output = self._output, []
        return chunks

    # --- what a transport tells -----------------------------------------------------------

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Take bytes of the stream; b"" is legal and means nothing."""
        self._advance(now)
        self._fire_due()
        if self.state is not EndpointState.HANDSHAKE:
            return  # answered: what else comes is drained
        try:
            self._exchange.receive_data(data)
            self._read()
        except Refused as refused:
            self._refuse(refused)

    def receive_eof(self, *, now: float) -> None:
        """The peer has closed the stream, or it is lost. Legal more than once."""
        self._advance(now)
        if not self.closed:
            self._table.fire(EndpointTrigger.GONE)
        self._timers.clear()

    def _fire(self, timer: Timer, due_at: float) -> None:
        if timer is Timer.HANDSHAKE:
            self._refuse(Refused(408, "The request took too long."))
        else:
            self._table.fire(EndpointTrigger.GONE)

    # --- requests -------------------------------------------------------------------------

    def _read(self) -> None:
        if self._request is None:
            self._request = self._exchange.read_head()
            if self._request is None:
                return
            self._command = _route(self._request)
            if interim := self._exchange.take_continue():
                self._output.append(interim)
        body = self._exchange.read_body(BODY_SIZE)
        if body is None:
            return
        assert self._command is not None
        answer, commanded = self._command(_Call(self._hub, self._request, body, self._now))
        if commanded is not None:
            self._events.append(commanded)
        self._answer(answer)

    def _refuse(self, refused: Refused) -> None:
        self._answer(_json({"error": refused.sentence}, refused.status, refused.headers))

    def _answer(self, answer: Answer) -> None:
        self._output.append(self._exchange.write(answer))
        self._table.fire(EndpointTrigger.REFUSE)
        self._timers.cancel(Timer.HANDSHAKE)
        self._timers.set(Timer.CLOSE, self._now + self._hub.config.limits.close_timeout)


# --- what can be asked ------------------------------------------------------------------------


class _Call(NamedTuple):
    """A request that is there, whole."""

    hub: Hub
    request: Request
    body: bytes
    now: float


_Result: TypeAlias = tuple[Answer, Commanded | None]
_Command: TypeAlias = Callable[[_Call], _Result]


def _route(request: Request) -> _Command:
    """What does what `request` asks for."""
    if request.path not in _ROUTES:
        raise Refused(404, f"There is nothing here. There is: {', '.join(_ROUTES)}.")
    methods, command = _ROUTES[request.path]
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise Refused(405, f"Ask for this with {allowed}.", [(b"Allow", allowed.encode())])
    return command


def _sessions(call: _Call) -> _Result:
    wanted = parse_qs(call.request.query).get("subject")
    listed = [_describe(each) for each in call.hub]
    if wanted is not None:
        listed = [each for each in listed if each["subject"] in wanted]
    return _json({"sessions": listed}), None


def _describe(session: ServerSession) -> dict[str, object]:
    identity = session.identity
    valid_until = session.valid_until
    return {
        "session": session.session_id,
        "subject": None if identity is None else identity.subject,
        "token_id": None if identity is None else identity.token_id,
        "state": session.state.value,
        "valid_until": None if valid_until == math.inf else valid_until,
        "subscriptions": session.subscription_count,
    }


def _metrics(call: _Call) -> _Result:
    return metrics_page(call.hub), None


def _health(call: _Call) -> _Result:
    return health_page(call.hub), None


def _revoke(call: _Call) -> _Result:
    kind, value = _target(call, "session", "subject", "token_id")
    return _end(call, "revoked", kind, value, call.hub.revoke)


def _expire(call: _Call) -> _Result:
    kind, value = _target(call, "session", "subject")
    return _end(call, "expired", kind, value, call.hub.expire)


def _end(call: _Call, text: str, kind: str, value: str, end: Callable[..., set[str]]) -> _Result:
    before = {each.session_id for each in call.hub}
    if kind == "session" and value not in before:
        raise Refused(404, "There is no such session.")
    # The touched are more: whoever got back what an ended session had not acknowledged.
    touched = end(**{_ARGUMENT.get(kind, kind): value}, now=call.now)
    ended = len(before - {each.session_id for each in call.hub})
    line = LogLine(text, {kind: value, "ended": ended})
    return _json({"ended": ended}), Commanded(frozenset(touched), line)


def _pardon(call: _Call) -> _Result:
    kind, value = _target(call, "subject", "token_id")
    pardoned = call.hub.pardon(**{kind: value})
    line = LogLine("pardoned", {kind: value})
    return _json({"pardoned": pardoned}), Commanded(frozenset(), line)


def _drain(call: _Call) -> _Result:
    count = len(call.hub)
    line = LogLine("drain requested", {"sessions": count})
    return _json({"sessions": count}, 202), Commanded(frozenset(), line, is_drain=True)


_ARGUMENT = {"session": "session_id"}

# RFC 7519 section 3: three parts in base64url, the first of which starts with `{"`.
_JWT = re.compile(r"eyJ[\w-]*\.[\w-]*\.[\w-]*")

_READ = ("GET", "HEAD")
_WRITE = ("POST",)
_ROUTES: Mapping[str, tuple[tuple[str, ...], _Command]] = {
    "/sessions": (_READ, _sessions),
    "/metrics": (_READ, _metrics),
    "/healthz": (_READ, _health),
    "/revoke": (_WRITE, _revoke),
    "/pardon": (_WRITE, _pardon),
    "/expire": (_WRITE, _expire),
    "/drain": (_WRITE, _drain),
}


def _target(call: _Call, *kinds: str) -> tuple[str, str]:
    """Whom a command is for: the one member of its body."""
    expected = " or ".join(f'{{"{kind}": "…"}}' for kind in kinds)
    refused = Refused(400, f"The body has to be JSON: {expected}.")
    try:
        # As pairs, so that what is given twice does not count once.
        body = json.loads(call.body, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        raise refused from None
    if not isinstance(body, tuple) or len(body) != 1:
        raise refused
    kind, value = body[0]
    if kind not in kinds or not isinstance(value, str) or not value:
        raise refused
    if _JWT.fullmatch(value):
        # Whoever is named here is named in the log.
        raise Refused(400, "That is a token. Name its user, its session or its jti.")
    return kind, value


def _json(value: object, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    return Answer(status, f"{json.dumps(value)}\n".encode(), "application/json", headers)
