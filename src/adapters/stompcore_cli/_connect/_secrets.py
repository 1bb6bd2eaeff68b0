"""Tokens must not be shown, whoever says them: a server may repeat one in its ERROR."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeVar, cast

from stompcore import TokenRequest
from stompcore_cli._connect._entries import Entry

__all__ = ["Secrets", "watched"]

_T = TypeVar("_T")

_KEPT = 8
_SHORTEST = 8  # what is shorter is a word like any other: `guest`
_MASK = "[token]"


class Secrets:
    """The last tokens that there were, and texts without them."""

    def __init__(self) -> None:
        self._tokens: deque[str] = deque(maxlen=_KEPT)

    def add(self, token: str) -> None:
        """There is a token."""
        token = token.strip()
        if len(token) >= _SHORTEST and token not in self._tokens:
            self._tokens.append(token)

    def clean(self, value: _T) -> _T:
        """`value`, and all that is in it, without any of them."""
        cleaned: object = value
        if isinstance(value, str):
            cleaned = value
            for token in self._tokens:
                cleaned = cleaned.replace(token, _MASK)
        elif isinstance(value, bytes):
            cleaned = value
            for token in self._tokens:
                cleaned = cleaned.replace(token.encode(), _MASK.encode())
        elif isinstance(value, Mapping):
            cleaned = {self.clean(name): self.clean(each) for name, each in value.items()}
        elif isinstance(value, list):
            cleaned = [self.clean(each) for each in value]
        elif isinstance(value, Entry):
            fields = self.clean(value.fields)
            cleaned = replace(value, text=self.clean(value.text), fields=fields)
        return cast(_T, cleaned)


def watched(
    source: Callable[[TokenRequest], Awaitable[str]], secrets: Secrets
) -> Callable[[TokenRequest], Awaitable[str]]:
    """A token source that does as `source` does, and gives each token to `secrets` too."""

    async def ask(request: TokenRequest) -> str:
        token = await source(request)
        secrets.add(token)
        return token

    return ask
