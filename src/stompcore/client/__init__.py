"""What a user's program holds: `Client`, `Subscription`, `Transaction`, the same on every runtime.

They wait on events that the binding gives them (`asyncio.Event` and `trio.Event` have what is
needed in common), and do no I/O: a binding's subclass of `Client` moves the bytes.
"""

from stompcore.client._client import Client
from stompcore.client._engine import describe
from stompcore.client._messages import ReceivedMessage, TokenRequest, TokenSource, Waiter
from stompcore.client._subscription import Subscription
from stompcore.client._transaction import Transaction

__all__ = [
    "Client",
    "ReceivedMessage",
    "Subscription",
    "TokenRequest",
    "TokenSource",
    "Transaction",
    "Waiter",
    "describe",
]
