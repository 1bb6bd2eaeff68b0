"""Tokens, and sources of them."""

from __future__ import annotations

import time
from typing import Any

import jwt

from stompcore import TokenReason, TokenRequest, Unauthorized

__all__ = ["KEY", "TokenServer", "mint"]

KEY = "a secret of more than thirty-two bytes"


def mint(subject: str = "alice", ttl: float = 60.0, **claims: Any) -> str:
    """A token."""
    return jwt.encode({"sub": subject, "exp": time.time() + ttl, **claims}, KEY, "HS256")


class TokenServer:
    """A token source that counts.

    Args:
        ttl: how long each token lives, in seconds.
        gives: how many there are before the user has to log in again.
    """

    def __init__(self, ttl: float = 60.0, *, gives: int = 1_000_000) -> None:
        self.ttl = ttl
        self.gives = gives
        self.requests: list[TokenRequest] = []

    @property
    def reasons(self) -> list[TokenReason]:
        """What it was asked for."""
        return [each.reason for each in self.requests]

    async def __call__(self, request: TokenRequest) -> str:
        self.requests.append(request)
        if len(self.requests) > self.gives:
            raise Unauthorized("log in again")
        return mint("alice", self.ttl)
