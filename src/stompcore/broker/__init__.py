"""The in-memory broker: who gets which message. Pure, and knows nothing of sessions but their ids.

`/topic/…` copies to everybody who listens, `/queue/…` keeps a message until one has consumed it,
`/user/…` and `/temp-queue/…` are private.
"""

from __future__ import annotations

from stompcore.broker._broker import Broker, Sender
from stompcore.broker._deliveries import DEAD_LETTERS, Delivery

__all__ = ["DEAD_LETTERS", "Broker", "Delivery", "Sender"]
