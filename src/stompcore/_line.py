"""`Line`: one attempt of a client at a connection, from `Dial` to its end."""

from __future__ import annotations

from stompcore._connection import ClientConnection
from stompcore._state import ClientConnectionState

__all__ = ["Line"]


class Line:
    """An epoch of a client.

    Args:
        epoch: counts the attempts of one client.
    """

    __slots__ = ("connection", "epoch", "generation", "refresh_destination")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        #: None while it is being dialled.
        self.connection: ClientConnection | None = None
        #: Of the token that it lives on.
        self.generation = 0
        #: Where the server takes a new token in place, if it does.
        self.refresh_destination: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        connection = self.connection
        return connection is not None and connection.state is ClientConnectionState.OPEN
