"""What the tests of token sources share: a request, a source, a client that keeps count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.tokens.auth_server import FIRST, AuthServer

from stompcore import TokenReason, TokenRequest
from stompcore_tokens import OAuth2RefreshToken

__all__ = ["FIRST_REQUEST", "Asker", "ask", "refreshing"]

FIRST_REQUEST = TokenRequest(reason=TokenReason.INITIAL, generation=1)

Source = Callable[[TokenRequest], Awaitable[str]]


class Asker:
    """Asks as a client does."""

    def __init__(self, source: Source) -> None:
        self.tokens: list[str] = []
        self._source = source
        self._generation = 0

    async def __call__(self, reason: TokenReason | None = None) -> str:
        """The next token; the reason is what a client's would be."""
        if reason is None:
            reason = TokenReason.EXPIRED if self.tokens else TokenReason.INITIAL
        self._generation += 1
        token = await self._source(TokenRequest(reason=reason, generation=self._generation))
        self.tokens.append(token)
        return token


def ask(source: Source) -> str:
    """One token, where the runtime does not matter."""

    async def once() -> str:
        return await source(FIRST_REQUEST)

    return asyncio.run(once())


def refreshing(auth: AuthServer, **options: Any) -> OAuth2RefreshToken:
    """A source that begins with the first refresh token."""
    options = {"client_id": "app", "client_secret": "client-secret"} | options
    return OAuth2RefreshToken(auth.url, refresh_token=FIRST, **options)
