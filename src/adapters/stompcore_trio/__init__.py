"""stompcore on trio: `serve` and `connect`, on native streams, the nursery given or owned."""

from __future__ import annotations

from stompcore_trio._client import TrioClient, connect
from stompcore_trio._server import Server, serve

__all__ = ["Server", "TrioClient", "connect", "serve"]
