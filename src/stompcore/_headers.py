"""Headers: an ordered multi-map in which the first value of a name wins, and their escaping.

STOMP 1.2, "Value Encoding" and "Repeated Header Entries". The three versions differ: 1.0 has no
escapes at all, 1.1 has three, 1.2 adds ``\\r``; so each function here takes the version.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, overload

from stompcore._errors import ErrorCode, LocalProtocolError, RemoteProtocolError

__all__ = [
    "Headers",
    "Version",
    "can_express",
    "escape",
    "is_secret",
    "negotiate_version",
    "unescape",
]


class Version(enum.StrEnum):
    """A version of the protocol, ordered as they were published."""

    V1_0 = "1.0"
    V1_1 = "1.1"
    V1_2 = "1.2"


_T = TypeVar("_T")

# RFC 6750 tokens arrive in these; their values never reach a log, a repr or an ERROR.
_SECRETS = frozenset({"authorization", "passcode", "token", "access_token", "cookie"})


def is_secret(name: str) -> bool:
    """Whether the value of the header `name` must be kept out of logs and reprs."""
    return name.lower() in _SECRETS


class Headers(Mapping[str, str]):
    """Immutable headers in wire order.

    As a mapping it shows the first value of each name (STOMP 1.2: "only the first header entry
    SHOULD be used"); `pairs()` and `get_all()` show the repeated ones too.

    Args:
        items: a mapping, or (name, value) pairs in wire order.
    """

    __slots__ = ("_first", "_pairs")

    def __init__(self, items: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        if isinstance(items, Headers):
            self._first: dict[str, str] = items._first
            self._pairs: tuple[tuple[str, str], ...] | None = items._pairs
            return
        pairs = tuple(items.items() if isinstance(items, Mapping) else items)
        self._first = dict(pairs)
        self._pairs = None
        if len(self._first) != len(pairs):
            self._first = {}
            for name, value in pairs:
                self._first.setdefault(name, value)
            self._pairs = pairs

    def __getitem__(self, name: str) -> str:
        return self._first[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def __contains__(self, name: object) -> bool:
        return name in self._first

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, default: str, /) -> str: ...
    @overload
    def get(self, name: str, default: _T, /) -> str | _T: ...
    def get(self, name: str, default: object = None, /) -> object:
        """As any mapping's, but cheap: most headers that are asked for are not there."""
        return self._first.get(name, default)

    def __hash__(self) -> int:
        return hash(self.pairs())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            return self.pairs() == other.pairs()
        if isinstance(other, Mapping):
            return self._pairs is None and self._first == other
        return NotImplemented

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}: {'<hidden>' if is_secret(name) else value!r}" for name, value in self.pairs()
        )
        return f"Headers({shown})"

    @property
    def is_repeated(self) -> bool:
        """Whether any name stands more than once."""
        return self._pairs is not None

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every entry in wire order, repeated ones included."""
        return tuple(self._first.items()) if self._pairs is None else self._pairs

    def get_all(self, name: str) -> list[str]:
        """Every value of `name`, the one that counts first."""
        return [value for each, value in self.pairs() if each == name]

    def prepended(self, items: Mapping[str, str]) -> Headers:
        """A copy with `items` in front, where they win over what follows."""
        return Headers((*items.items(), *self.pairs()))


def negotiate_version(headers: Headers) -> Version:
    """The highest version that a CONNECT with these headers and we have in common.

    "If the accept-version header is missing, it means that the client only supports version 1.0."

    Raises:
        RemoteProtocolError: there is none; it carries the ERROR's `version` header.
    """
    offered = {part.strip(" ") for part in headers.get("accept-version", "1.0").split(",")}
    common = [each for each in Version if each.value in offered]
    if not common:
        raise RemoteProtocolError(
            ErrorCode.UNSUPPORTED_VERSION,
            f"Supported protocol versions are {' '.join(Version)}.",
            headers={"version": ",".join(Version)},
        )
    return common[-1]


_ESCAPES: dict[Version, dict[str, str]] = {
    Version.V1_0: {},
    Version.V1_1: {"\\": "\\\\", "\n": "\\n", ":": "\\c"},
    Version.V1_2: {"\\": "\\\\", "\n": "\\n", ":": "\\c", "\r": "\\r"},
}
_UNESCAPES = {
    version: {escaped: raw for raw, escaped in table.items()} for version, table in _ESCAPES.items()
}
_MUST_ESCAPE = {
    Version.V1_1: re.compile(r"[\\\n:]"),
    Version.V1_2: re.compile(r"[\\\n\r:]"),
}
# One pass, left to right: a sequential replace turns `a\\nb` into `a\` + LF + `b`.
_ESCAPED = re.compile(r"\\.?", re.DOTALL)

# What no escape of a version can carry. NUL would end the frame in most peers' parsers, and half
# a surrogate pair has no UTF-8. A lone carriage return is an ordinary octet in 1.0 and 1.1. Peers
# of 1.0 trim, which would turn a padded name into another one: ` content-length` is forgery.
_INEXPRESSIBLE_NAME = {
    Version.V1_0: re.compile(r"[\n\0:\ud800-\udfff]|^ | $"),
    Version.V1_1: re.compile(r"[\0\ud800-\udfff]"),
    Version.V1_2: re.compile(r"[\0\ud800-\udfff]"),
}
_INEXPRESSIBLE_VALUE = {
    Version.V1_0: re.compile(r"[\n\0\ud800-\udfff]"),
    Version.V1_1: re.compile(r"[\0\ud800-\udfff]"),
    Version.V1_2: re.compile(r"[\0\ud800-\udfff]"),
}


def can_express(name: str, value: str, version: Version) -> bool:
    """Whether `version` can carry this header.

    STOMP 1.0 has no escapes, and no version can carry a NUL or what is not Unicode text.
    """
    return not (
        not name
        or _INEXPRESSIBLE_NAME[version].search(name)
        or _INEXPRESSIBLE_VALUE[version].search(value)
    )


def escape(text: str, version: Version) -> str:
    """`text` as it stands in a header line of `version`.

    Raises:
        LocalProtocolError: `version` has no way to carry it. Unescaped, it would be header
            injection.
    """
    if _INEXPRESSIBLE_VALUE[version].search(text):
        raise LocalProtocolError(f"STOMP {version} cannot carry this character in a header")
    pattern = _MUST_ESCAPE.get(version)
    if pattern is None or not pattern.search(text):
        return text
    table = _ESCAPES[version]
    return pattern.sub(lambda match: table[match[0]], text)


def unescape(text: str, version: Version) -> str:
    """The value that a header line's `text` stands for.

    Raises:
        RemoteProtocolError: an escape that `version` does not define ("MUST be treated as a
            fatal protocol error"), a backslash at the end among them.
    """
    table = _UNESCAPES[version]
    if not table or "\\" not in text:
        return text
    try:
        return _ESCAPED.sub(lambda match: table[match[0]], text)
    except KeyError:
        raise RemoteProtocolError(
            ErrorCode.MALFORMED_FRAME,
            f"A header has an escape that STOMP {version} does not define.",
        ) from None
