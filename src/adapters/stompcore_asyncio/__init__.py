"""stompcore on asyncio: `serve` and `connect`.

Native protocols, no task per server connection, and the writes of one loop turn leave in one
call. Runs on uvloop as it is.
"""

from __future__ import annotations

from stompcore_asyncio._client import AsyncioClient, connect
from stompcore_asyncio._server import Server, serve

__all__ = ["AsyncioClient", "Server", "connect", "serve"]
