"""The `stompcore` command: `serve`, `connect`, `control`, `token` and `demo`."""

from __future__ import annotations

from stompcore_cli._app import main

__all__ = ["main"]
