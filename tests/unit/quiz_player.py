"""A `Player` whose server refuses a frame without naming it, as RabbitMQ does."""

from __future__ import annotations

from typing import Any

from tests.unit.client_player import Player

from stompcore._errors import StompError
from stompcore._events import Published, PublishFailed, SubscriptionEnded
from stompcore._frames import Command, Frame
from stompcore._state import ConnectionState

__all__ = ["POISON", "REFUSED", "Quiz", "careful", "named"]

REFUSED = b"ERROR\nmessage:access_refused\n\nno\0"
#: What is sent there is refused.
POISON = "/poison"


class Quiz(Player):
    """A client without a token, and a server that answers every frame, but one it refuses."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**{"has_token": False, **more})
        #: What came by the connection of the moment: of a SEND the body, else command and name.
        self.taken: list[str] = []

    def subscribe(self, destination: str, **more: Any) -> str:
        id = self.client.subscribe(destination, now=self.now, **more)
        self.drain()
        return id

    def unsubscribe(self, id: str) -> None:
        self.client.unsubscribe(id, now=self.now)
        self.drain()

    def back(self) -> list[str]:
        """Connect again; what is sent upon it."""
        return [named(each) for each in self.connect(version=str(self.version.value))]

    def sent(self) -> list[str]:
        """What was sent since the last look."""
        return [named(each) for each in self.written()]

    def serve(self, frames: list[Frame]) -> None:
        """Answer these, and what comes of that, until there is silence or something is refused."""
        for _ in range(100):
            if not frames:
                return
            for frame in frames:
                if frame.headers.get("destination") == POISON:
                    self.hear(REFUSED)
                    self.written()
                    return
                self.taken.append(named(frame))
                if "receipt" in frame.headers:
                    self.receipt(frame.headers["receipt"])
            frames = self.written()
        raise AssertionError("no end")

    def serve_until_settled(self) -> int:
        """Connect again until everything has its fate; how often that was."""
        for times in range(20):
            if self.client.state is ConnectionState.CONNECTED and not self.client.unconfirmed:
                return times
            self.serve(self.connect(version=str(self.version.value)))
        raise AssertionError("no end")

    def fates(self) -> dict[int, type[StompError] | None]:
        found: dict[int, type[StompError] | None] = {}
        for event in self.events:
            if isinstance(event, Published | PublishFailed):
                assert event.key not in found
                found[event.key] = type(event.error) if isinstance(event, PublishFailed) else None
        return found

    def ended(self) -> dict[str, type[StompError] | None]:
        ends = self.all(SubscriptionEnded)
        assert len({each.subscription for each in ends}) == len(ends)
        return {each.subscription: type(each.error) if each.error else None for each in ends}


def named(frame: Frame) -> str:
    if frame.command is Command.SEND:
        return frame.body.decode()
    if frame.command in (Command.SUBSCRIBE, Command.UNSUBSCRIBE):
        return f"{frame.command.value} {frame.headers['id']}"
    return frame.command.value


def careful(*bodies: str, **more: Any) -> Quiz:
    """A client that sends one frame at a time, whose first message is on its way."""
    play = Quiz(**more)
    play.connect()
    for body in bodies:
        play.send(body)
    play.written()
    play.hear(REFUSED)
    assert play.back() == [bodies[0]]
    return play
