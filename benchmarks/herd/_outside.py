"""What is around one client: the network, the auth server and the STOMP server."""

from __future__ import annotations

import base64
import math
from random import Random

__all__ = ["START", "Outside", "dice"]

#: Unix seconds, on a whole minute.
START = 1_700_000_040.0

# In seconds. Nobody is ever busy, so these only keep the clients from moving in step.
_NEAREST, _FARTHEST = 0.005, 0.050
_QUICKEST, _SLOWEST = 0.010, 0.100


def dice(seed: int, number: int) -> Random:
    """What client `number` draws its jitter from: the same in every scenario of one seed."""
    return Random(f"client {seed} {number}")


class Outside:
    """Where one client lives. Its delays come from a stream of their own.

    Args:
        seed: of the run.
        number: of the client.
        ttl: for how many seconds the auth server's tokens live.
    """

    def __init__(self, seed: int, number: int, ttl: int) -> None:
        self._random = Random(f"outside {seed} {number}").random
        self._ttl = ttl
        self.expires_at = 0  # of the last token

    def born_at(self, window: float) -> float:
        """When the client is started: some time in the `window` seconds from `START` on."""
        return START + window * self._random()

    def way(self) -> float:
        """How long a packet travels, one way, in seconds."""
        return _NEAREST + (_FARTHEST - _NEAREST) * self._random()

    def fetch(self, now: float) -> tuple[float, str, float]:
        """Ask for a token.

        Returns:
            When the auth server hears it, the token, and when that has come.
        """
        heard_at = now + self.way()
        # RFC 7519 section 2, NumericDate: fractions are allowed, and hardly anybody issues them.
        issued_at = math.floor(heard_at)
        self.expires_at = issued_at + self._ttl
        claims = f'{{"sub":"user","iat":{issued_at},"exp":{self.expires_at}}}'
        payload = base64.urlsafe_b64encode(claims.encode()).rstrip(b"=").decode()
        work = _QUICKEST + (_SLOWEST - _QUICKEST) * self._random()
        return heard_at, f"e30.{payload}.signature", heard_at + work + self.way()

    def ask(self, now: float) -> tuple[int, float]:
        """Show the token to the STOMP server.

        Returns:
            Its `token-ttl` in milliseconds, and when the answer has come.
        """
        heard_at = now + self.way()
        ttl = math.floor((self.expires_at - heard_at) * 1000)
        return ttl, heard_at + self.way()

    def dial(self, now: float) -> tuple[float, float]:
        """Open a transport: when the server hears of it, and when its answer has come."""
        heard_at = now + self.way()
        return heard_at, heard_at + self.way()
