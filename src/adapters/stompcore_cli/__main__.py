"""`python -m stompcore_cli`, the same as `stompcore`."""

from __future__ import annotations

from stompcore_cli import main

main()
