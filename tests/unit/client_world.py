"""A client in a world that can be copied: its driver, its server and its token source.

For the walk of `client_walk`, which begins every trial with a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from stompcore._client import ClientSession
from stompcore._codec import FrameDecoder
from stompcore._config import Backoff, ClientConfig, Handover, HeartBeat, Limits, Refresh
from stompcore._connection import ClientConnection
from stompcore._events import (
    ClientEvent,
    ConnectionEnded,
    Dial,
    FetchToken,
    HangUp,
    Published,
    PublishFailed,
    Stopped,
    SubscriptionEnded,
    TransactionCommitted,
    TransactionFailed,
)
from stompcore._frames import Command
from stompcore._headers import Version
from stompcore._line import Line
from stompcore._state import (
    ConnectionState,
    HandoverState,
    TokenState,
)

__all__ = ["SETUPS", "TOO_MUCH", "TTL", "WEB_SETUPS", "Combined", "Setup", "World"]

NOW = 1000.0
TTL = 100.0
TOO_MUCH = 2000


class Combined(NamedTuple):
    """Where the three tables of a client stand that move one another."""

    connection: ConnectionState
    token: TokenState
    handover: HandoverState


@dataclass(frozen=True)
class Setup:
    """One kind of client.

    Args:
        name: of the kind.
        refresh: see `ClientConfig`.
        has_token: see `ClientSession`.
        is_taken_in_place: whether the server may offer to take a new token in place.
        is_websocket: whether an ERROR is followed by a close of its transport, which is waited for.
    """

    name: str
    refresh: Refresh | None = None
    has_token: bool = True
    is_taken_in_place: bool = False
    is_websocket: bool = False

    @cached_property
    def config(self) -> ClientConfig:
        """Its settings: as few of everything as there can be, and no two times the same."""
        return ClientConfig(
            refresh=self.refresh,
            heart_beat=HeartBeat(send_interval=10.0, receive_interval=10.0),
            backoff=Backoff(minimum=0.5, maximum=1.0, stable_timeout=7.0),
            dial_timeout=11.0,
            connect_timeout=12.0,
            token_timeout=13.0,
            token_refusals=2,
            outbox_size=TOO_MUCH,
            subscription_buffer=1,
            subscription_limit=2,
        )


#: Every kind of client, each over a transport that ends without a word.
SETUPS = (
    Setup("without a token", has_token=False),
    Setup("without a refresh"),
    Setup("with a break", Refresh(handover=Handover.BREAK), is_taken_in_place=True),
    Setup("with an overlap", Refresh(handover=Handover.OVERLAP)),
)
#: The same over WebSockets.
WEB_SETUPS = tuple(
    replace(each, name=f"{each.name}, WebSocket", is_websocket=True) for each in SETUPS
)


class World:
    """A client, and what its driver, its server and its token source know of it.

    Args:
        setup: the kind of client.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.config = setup.config
        self.now = NOW
        self.client = ClientSession(
            "stomp://h",
            self.config,
            now=NOW,
            random=_half,
            client_id="c0ffee",
            has_token=setup.has_token,
        )
        #: The transports that are open, by epoch.
        self.lines: dict[int, ClientConnection] = {}
        #: The receipts that each of them has been asked for, and not given.
        self.asked: dict[int, list[str]] = {}
        #: What was said on each of them, in order.
        self.said: dict[int, list[Command]] = {}
        #: All that has been told since the last trigger.
        self.told: list[ClientEvent] = []
        self.done: list[Dial | HangUp | FetchToken] = []
        #: Over the whole life: which epochs were dialled and hung up, and how often.
        self.dialed: list[int] = []
        self.hung_up: list[int] = []
        self.fetched: list[int] = []
        #: Everything of which it has to be told what has become, and what it was told.
        self.given: list[tuple[str, object]] = []
        self.fates: list[tuple[str, object]] = []
        #: What its user has and may use.
        self.subscription = ""
        self.transaction = ""

    def settle(self) -> None:
        """Do what the contract asks after every call."""
        while (event := self.client.next_event()) is not None:
            self.told.append(event)
            self._note(event)
        while (action := self.client.next_action()) is not None:
            self.done.append(action)
            match action:
                case Dial():
                    self.dialed.append(action.epoch)
                case HangUp():
                    self.hung_up.append(action.epoch)
                    self.lines.pop(action.epoch, None)
                    self.asked.pop(action.epoch, None)
                case FetchToken():
                    self.fetched.append(action.generation)
        for epoch, line in self.lines.items():
            self._take(epoch, b"".join(line.data_to_send()))

    def _note(self, event: ClientEvent) -> None:
        match event:
            case Published() | PublishFailed():
                self.fates.append(("message", event.key))
            case TransactionCommitted() | TransactionFailed():
                self.fates.append(("transaction", event.transaction))
                self.transaction = ""
            case SubscriptionEnded():
                self.fates.append(("subscription", event.subscription))
                if self.subscription == event.subscription:
                    self.subscription = ""
            case ConnectionEnded():
                self.fates.append(("connection", event.epoch))
            case Stopped():
                self.fates.append(("client", None))

    def _take(self, epoch: int, data: bytes) -> None:
        if not data.strip(b"\n"):
            return
        decoder = FrameDecoder(Limits())
        decoder.version = Version.V1_2
        decoder.receive_data(data)
        while (frame := decoder.next_frame()) is not None:
            self.said[epoch].append(frame.command)
            receipt = frame.headers.get("receipt")
            if receipt is not None:
                self.asked[epoch].append(receipt)

    @property
    def state(self) -> Combined:
        client = self.client
        return Combined(client.state, client.token_state, client.handover_state)

    def roles(self) -> Iterator[tuple[str, Line]]:
        """Its lines, by what they are to it."""
        client = self.client
        handover = client._handover
        for role, line in (("old", handover.old), ("", client._line), ("new", handover.new)):
            if line is not None:
                yield role, line


def _half() -> float:
    return 0.5
