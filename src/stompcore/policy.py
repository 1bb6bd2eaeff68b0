"""Who may send where, and listen to what: one small interface, and policies that are ready.

A policy is asked at every SEND and SUBSCRIBE, and again for every live subscription after a
refresh, with the identity that the session has then. It answers at once, from what the token says:
what has to be looked up elsewhere belongs into the identity's claims when the token is accepted.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Collection, Iterable
from typing import Any, Protocol
from urllib.parse import unquote

from stompcore._auth import Identity
from stompcore._destinations import ANY, MANY, covers, is_pattern, split
from stompcore._errors import LocalProtocolError

__all__ = ["Access", "AllowEverything", "Grant", "Grants", "Policy", "roles_of", "scopes_of"]

_SUBJECT = "{subject}"
_OF_DOTS = ("/topic/", "/queue/")
# Nobody else can listen to the first, and only who was told an address can send to the second.
_PRIVATE = ("/temp-queue/", "/reply/")


class Access(enum.Enum):
    """What somebody wants to do with a destination."""

    SEND = "send"
    SUBSCRIBE = "subscribe"


class Policy(Protocol):
    """Decides who may do what."""

    def allows(self, identity: Identity, access: Access, destination: str) -> bool:
        """Whether `identity` may. For SUBSCRIBE, `destination` may hold wildcards.

        Args:
            identity: what the session's present token says.
            access: to send, or to listen.
            destination: as the peer wrote it.
        """


class AllowEverything:
    """The policy of a server without one: who has a token may do everything."""

    def allows(self, identity: Identity, access: Access, destination: str) -> bool:
        """Yes."""
        return True


def scopes_of(identity: Identity) -> frozenset[str]:
    """The scopes of a token: `scope` (RFC 8693 section 4.2, with spaces between) or `scp`."""
    return _texts(identity.claims.get("scope")) | _texts(identity.claims.get("scp"))


def roles_of(identity: Identity) -> frozenset[str]:
    """The roles of a token: `roles` (RFC 9068 section 2.2.3.1), or `realm_access.roles`."""
    realm = identity.claims.get("realm_access")
    theirs = realm.get("roles") if isinstance(realm, dict) else None
    return _texts(identity.claims.get("roles")) | _texts(theirs)


def _texts(claim: Any) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list | tuple | set | frozenset):
        return frozenset(each for each in claim if isinstance(each, str))
    return frozenset()


class Grant:
    """One thing that is allowed.

    Args:
        pattern: of destinations; `*` is one word, `**` or `#` any number of them, and the word
            `{subject}` the user's own name. A name with a dot, a slash or a star in it is
            percent-encoded in the destination. Words stand between dots or slashes in `/topic/`
            and `/queue/`, between slashes alone elsewhere, as the name in `/user/NAME/` and what
            handlers have in braces do.
        access: to what; both by default.
        scopes, roles: the token has one of these; none asks for none. Given both, either will do.
        subjects: the user is one of these; None for everybody.

    Raises:
        LocalProtocolError: a pattern that is no destination.
    """

    __slots__ = ("_prefix", "_words", "access", "pattern", "roles", "scopes", "subjects")

    def __init__(
        self,
        pattern: str,
        *,
        access: Collection[Access] = frozenset(Access),
        scopes: Collection[str] = (),
        roles: Collection[str] = (),
        subjects: Collection[str] | None = None,
    ) -> None:
        if not pattern.startswith("/"):
            raise LocalProtocolError("a destination starts with a slash")
        for given in (scopes, roles, subjects):
            if isinstance(given, str):
                raise LocalProtocolError("scopes, roles and subjects are collections of strings")
        self.pattern = pattern
        self.access = frozenset(access)
        self.scopes = frozenset(scopes)
        self.roles = frozenset(roles)
        self.subjects = None if subjects is None else frozenset(subjects)
        self._words = _words(pattern)
        wild = {ANY, MANY, _SUBJECT}
        self._prefix = tuple(itertools.takewhile(lambda word: word not in wild, self._words))

    def __repr__(self) -> str:
        return f"Grant({self.pattern!r}, {', '.join(sorted(each.value for each in self.access))})"

    def fits(self, identity: Identity, access: Access, words: tuple[str, ...]) -> bool:
        """Whether this grant allows it. A wildcard subscription must lie wholly within."""
        if access not in self.access or words[: len(self._prefix)] != self._prefix:
            return False
        if self.subjects is not None and identity.subject not in self.subjects:
            return False
        if (self.scopes or self.roles) and not (
            self.scopes & scopes_of(identity) or self.roles & roles_of(identity)
        ):
            return False
        if _SUBJECT not in self._words:
            return covers(self._words, words)

        # The name is compared, never inserted: one with a star in it must not become a pattern.
        def is_same(part: str, word: str) -> bool:
            return _is_name(word, identity.subject) if part == _SUBJECT else part == word

        return covers(self._words, words, is_same)


def _words(destination: str) -> tuple[str, ...]:
    # As those read it who act on it: to them `/user/ann.b/x` is for `ann.b`, and not for `ann`.
    if destination.startswith(_OF_DOTS):
        return split(destination)
    head, slash, path = destination.removeprefix("/user/").partition("/")
    if destination.startswith("/user/") and slash:
        return ("", "user", *split(head, "/"), *split(path))
    return split(destination, "/")


def _is_name(word: str, subject: str) -> bool:
    return not is_pattern((word,)) and unquote(word) == subject


class Grants:
    """A policy that allows what one of its grants allows, and nothing else.

    A session's own temporary destinations, and the addresses for replies, are always allowed.
    """

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._grants = tuple(grants)

    def allows(self, identity: Identity, access: Access, destination: str) -> bool:
        """See `Policy.allows`."""
        if destination.startswith(_PRIVATE):
            return True
        words = _words(destination)
        return any(grant.fits(identity, access, words) for grant in self._grants)
