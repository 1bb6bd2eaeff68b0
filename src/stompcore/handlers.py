"""Functions of an application, registered for destinations.

A handler takes one `Call` and answers through it. What it has said goes out once it has returned,
all of it; if it raises, none of it does. The calls of one session run one after another, in order.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from stompcore._auth import Identity
from stompcore._errors import LocalProtocolError, StompError
from stompcore._headers import Headers

__all__ = ["Call", "Effect", "Handler", "Handlers", "Job", "Refused"]


class Refused(StompError):
    """Raise it from a handler: the peer gets ERROR `access-denied` with this one sentence.

    Args:
        detail: one plain sentence for the peer.
    """


class Effect(NamedTuple):
    """A message that a handler wants to be sent.

    `is_reply`: the peer chose the destination, so it must be one where the peer may send itself.
    """

    destination: str
    body: bytes
    headers: Mapping[str, str]
    is_reply: bool = False


class Call:
    """One SEND to a handler's destination.

    Args:
        destination: as the peer wrote it.
        params: what stands in the places of the pattern's `{names}`.
        headers: of the SEND.
        body: bytes.
        identity: who sends.
        session_id: over which session.
    """

    __slots__ = (
        "body",
        "destination",
        "effects",
        "headers",
        "identity",
        "params",
        "session_id",
    )

    def __init__(
        self,
        *,
        destination: str,
        params: Mapping[str, str],
        headers: Headers,
        body: bytes,
        identity: Identity,
        session_id: str,
    ) -> None:
        self.destination = destination
        self.params = params
        self.headers = headers
        self.body = body
        self.identity = identity
        self.session_id = session_id
        self.effects: list[Effect] = []

    def __repr__(self) -> str:
        return f"<Call {self.destination} {len(self.body)} bytes>"

    @property
    def text(self) -> str:
        """The body as text (UTF-8); what is not becomes U+FFFD."""
        return self.body.decode(errors="replace")

    def publish(
        self, destination: str, body: bytes | str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a message to `destination`, on the server's own behalf."""
        data = body.encode() if isinstance(body, str) else bytes(body)
        self.effects.append(Effect(destination, data, dict(headers or {})))

    def send_to_user(
        self,
        subject: str,
        path: str,
        body: bytes | str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a message to each session of a user that listens to `/user` + `path`.

        Args:
            subject: the user's name, as it is.
            path: starts with a slash: "/queue/answers".
            body: bytes, or text that is sent as UTF-8.
            headers: of the MESSAGE.
        """
        self.publish(f"/user/{quote(subject, safe='')}{path}", body, headers)

    def reply(self, body: bytes | str, headers: Mapping[str, str] | None = None) -> None:
        """Answer to where the SEND's `reply-to` says, with its `correlation-id` if it has one.

        Raises:
            Refused: the SEND has no `reply-to`.
        """
        destination = self.headers.get("reply-to")
        if destination is None:
            raise Refused("This destination answers, and needs the header reply-to.")
        kept = {}
        if "correlation-id" in self.headers:
            kept["correlation-id"] = self.headers["correlation-id"]
        data = body.encode() if isinstance(body, str) else bytes(body)
        self.effects.append(Effect(destination, data, {**kept, **(headers or {})}, is_reply=True))


Handler = Callable[[Call], Awaitable[None] | None]
H = TypeVar("H", bound=Handler)

_NAME = re.compile(r"\{([^{}]*)\}")


class Handlers:
    """A table of handlers by destination. The first one that fits is called."""

    def __init__(self) -> None:
        self._table: dict[str, tuple[re.Pattern[str], Handler]] = {}

    def on(self, pattern: str) -> Callable[[H], H]:
        """Register the decorated function, sync or async, for `pattern`.

        A sync one runs on the server's loop: what blocks belongs into an async one.

        Args:
            pattern: a destination; `{name}` stands for a piece without a slash, which the handler
                finds in `Call.params`.

        Raises:
            LocalProtocolError: the pattern is taken, or is none.
        """
        compiled = _compile(pattern)
        if pattern in self._table:
            raise LocalProtocolError(f"{pattern} has a handler already")

        def register(function: H) -> H:
            self._table[pattern] = (compiled, function)
            return function

        return register

    def find(self, destination: str) -> tuple[Handler, dict[str, str]] | None:
        """The handler for `destination` and the values of its names, or None."""
        for compiled, handler in self._table.values():
            match = compiled.fullmatch(destination)
            if match is not None:
                return handler, match.groupdict()
        return None


def _compile(pattern: str) -> re.Pattern[str]:
    if not pattern.startswith("/"):
        raise LocalProtocolError("a destination starts with a slash")
    parts = _NAME.split(pattern)
    names = parts[1::2]
    if not all(name.isidentifier() for name in names) or len(set(names)) != len(names):
        raise LocalProtocolError("the names in a pattern are identifiers, each used once")
    for index, part in enumerate(parts):
        parts[index] = f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part)
    return re.compile("".join(parts))


class Job:
    """A call of an async handler. A binding awaits `run()`, then gives it to `Hub.finish`."""

    __slots__ = ("_awaitable", "call", "error")

    def __init__(self, call: Call, awaitable: Awaitable[None]) -> None:
        self.call = call
        self.error: Exception | None = None
        self._awaitable = awaitable

    async def run(self) -> None:
        """Run it; what it raises is kept in `error`, but for cancellation."""
        try:
            await self._awaitable
        except Exception as error:
            self.error = error

    def close(self) -> None:
        """It will not be run: the server is going."""
        if inspect.iscoroutine(self._awaitable):
            self._awaitable.close()
