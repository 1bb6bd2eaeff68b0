"""Private destinations: a user's own, and the temporary ones that replies come to.

Neither has a name that could be guessed and subscribed to: who listens is part of the key, and the
address of a temporary one is made with a key that only the server has.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import unquote

from stompcore._destinations import is_pattern, split
from stompcore.broker._deliveries import Subscriber, violation

__all__ = ["REPLY", "TEMPORARY", "USER", "Temporaries", "Users", "parse_user"]

USER = "/user/"
TEMPORARY = "/temp-queue/"
REPLY = "/reply/"

_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


def parse_user(destination: str) -> tuple[str, str]:
    """`/user/NAME/path` as (subject, "/user/path"); NAME is percent-encoded.

    Raises:
        RemoteProtocolError: it is not of this form.
    """
    name, slash, path = destination.removeprefix(USER).partition("/")
    if not (name and slash and path) or not _ESCAPES.fullmatch(name):
        raise violation("To a user goes /user/, the name (percent-encoded), and a path.")
    try:
        return unquote(name, errors="strict"), USER + path
    except UnicodeDecodeError:
        raise violation("The user's name is not UTF-8.") from None


class Users:
    """Who listens to which of their own destinations: each session of the user."""

    def __init__(self) -> None:
        self._listeners: dict[tuple[str, str], dict[Subscriber, None]] = {}

    def subscribe(self, subject: str, destination: str, subscriber: Subscriber) -> None:
        """Let one of `subject`'s sessions hear its own `destination` ("/user/path").

        Raises:
            RemoteProtocolError: it names none, or many.
        """
        if destination == USER or is_pattern(split(destination)):
            raise violation("A user's own destination has a name, without wildcards.")
        self._listeners.setdefault((subject, destination), {})[subscriber] = None

    def unsubscribe(self, subject: str, destination: str, subscriber: Subscriber) -> None:
        """The reverse of `subscribe`."""
        listeners = self._listeners[subject, destination]
        del listeners[subscriber]
        if not listeners:
            del self._listeners[subject, destination]

    def recipients(self, subject: str, destination: str) -> list[Subscriber]:
        """Who hears a message to `subject`'s own `destination`."""
        return list(self._listeners.get((subject, destination), ()))


class Temporaries:
    """A session's own destinations, and the addresses under which others reply to them.

    Args:
        key: secret of the server; it makes the addresses unguessable. None: there are none.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._by_address: dict[str, tuple[str, Subscriber]] = {}

    def subscribe(self, destination: str, subscriber: Subscriber) -> None:
        """Let a session hear its own temporary `destination`.

        Raises:
            RemoteProtocolError: it has no name, is listened to already, or there are none.
        """
        if destination == TEMPORARY:
            raise violation("A temporary destination has a name.")
        address = self._address(subscriber.session_id, destination)
        if address in self._by_address:
            raise violation("This temporary destination is listened to already.")
        self._by_address[address] = (destination, subscriber)

    def unsubscribe(self, destination: str, subscriber: Subscriber) -> None:
        """The reverse of `subscribe`."""
        del self._by_address[self._address(subscriber.session_id, destination)]

    def address(self, session_id: str, destination: str) -> str:
        """Where others can reply to a session's temporary `destination`.

        Raises:
            RemoteProtocolError: the session does not listen to it.
        """
        address = self._address(session_id, destination)
        if address not in self._by_address:
            raise violation("Subscribe to the temporary destination first.")
        return address

    def recipient(self, address: str) -> tuple[str, Subscriber] | None:
        """The destination behind `address`, as its listener knows it, and that listener."""
        return self._by_address.get(address)

    def _address(self, session_id: str, destination: str) -> str:
        if self._key is None:
            raise violation("This server has no temporary destinations.")
        text = f"{session_id}\0{destination}".encode()
        return REPLY + hmac.digest(self._key, text, hashlib.sha256).hex()[:32]
