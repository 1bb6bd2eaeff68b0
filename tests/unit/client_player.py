"""A `ClientSession` and the hands that play its driver, its server and its token source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from stompcore._client import ClientSession
from stompcore._codec import FrameDecoder
from stompcore._config import ClientConfig, HeartBeat, Limits
from stompcore._endings import DEFAULT_RULES, Rule
from stompcore._events import Action, ClientEvent, Dial, FetchToken, Stopped
from stompcore._frames import Command, Frame
from stompcore._headers import Version
from stompcore._machine import Close
from stompcore._state import ConnectionState, TokenState
from stompcore._timers import Timer

NOW = 1000.0
NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)
#: No timer that a test has not asked for.
QUIET = {"heart_beat": NO_BEATS, "status_grace": 1e6, "offline_timeout": 1e6}
EXPIRED = b"ERROR\nmessage:Token Expired\nerror-code:token-expired\n\n\0"
GOING_AWAY = b"ERROR\nmessage:Going Away\nerror-code:going-away\n\n\0"

T = TypeVar("T")


class Player:
    """Everything about a client that a test wants to say in one line.

    Args:
        has_token: whether there is a token source.
        rules: of the client.
        draw: what `random` always gives.
        client_id: of the client.
        config: fields of `ClientConfig`; without heart-beats and changes of status unless they say
            otherwise.
    """

    def __init__(
        self,
        *,
        has_token: bool = True,
        rules: tuple[Rule, ...] = DEFAULT_RULES,
        draw: float = 0.5,
        client_id: str = "",
        **config: Any,
    ) -> None:
        self.now = NOW
        self.version = Version.V1_2
        self.events: list[ClientEvent] = []
        self.actions: list[Action] = []
        self.client = ClientSession(
            "stomp://h",
            ClientConfig(**{**QUIET, **config}),
            now=NOW,
            random=lambda: draw,
            client_id=client_id,
            has_token=has_token,
            rules=rules,
        )

    # --- what it does ---------------------------------------------------------------------

    def drain(self) -> None:
        while (event := self.client.next_event()) is not None:
            self.events.append(event)
        while (action := self.client.next_action()) is not None:
            self.actions.append(action)

    def start(self) -> None:
        self.client.start(now=self.now)
        self.drain()

    def wait(self, seconds: float) -> None:
        """Let time pass, and fire whatever is due on the way."""
        end = self.now + seconds
        while (at := self.client.next_deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self.client.handle_timeout(now=self.now)
            self.drain()
            after = self.client.next_deadline()
            assert after is None or after > self.now
        self.now = end
        self.client.handle_timeout(now=self.now)
        self.drain()

    def wait_for(self, timer: Timer) -> float:
        """Let time pass until `timer` has fired; how long that took."""
        assert self.reason() is timer
        at = self.client.next_deadline()
        assert at is not None
        passed = at - self.now
        self.wait(passed)
        return passed

    def give_token(self, token: str | None = None) -> None:
        """Answer the last `FetchToken`."""
        generation = self.last(FetchToken).generation
        given = f"token-{generation}" if token is None else token
        self.client.token(generation, given, now=self.now)
        self.drain()

    def fail_token(self, *, permanent: bool = False) -> None:
        self.client.token_failed(
            self.last(FetchToken).generation, permanent=permanent, now=self.now
        )
        self.drain()

    def dial(self, *, awaits_close: bool = False) -> list[Frame]:
        """Answer the last `Dial`; the CONNECT that came of it."""
        connection = self.client.dialed(self.last(Dial).epoch, now=self.now)
        assert connection is not None
        connection.awaits_close = awaits_close
        self.drain()
        return self.written()

    def accept(self, version: str = "1.2", **more: str) -> list[Frame]:
        """CONNECTED comes, with `more` headers; what the client writes upon it."""
        self.version = Version(version)
        self.hear(connected(version, **more))
        return self.written()

    def connect(self, *, awaits_close: bool = False, **more: str) -> list[Frame]:
        """From the beginning, or from a lost connection, to CONNECTED."""
        if self.client.state is ConnectionState.IDLE:
            self.start()
        if self.client.token_state is TokenState.FETCHING:
            self.give_token()
        if self.reason() is Timer.REDIAL:
            self.wait_for(Timer.REDIAL)
        self.dial(awaits_close=awaits_close)
        return self.accept(**more)

    def hear(self, data: bytes) -> None:
        """Bytes come from the server."""
        self.client.receive_data(data, now=self.now)
        self.drain()

    def receipt(self, receipt_id: str) -> None:
        self.hear(f"RECEIPT\nreceipt-id:{receipt_id}\n\n\0".encode())

    def lose(self) -> None:
        """The transport is gone."""
        self.client.receive_eof(now=self.now)
        self.drain()

    def close_websocket(self, code: int, reason: str = "") -> None:
        """The WebSocket under the connection was closed by the server."""
        assert self.client.connection is not None
        self.client.connection.receive_close(Close(code, reason), now=self.now)
        self.drain()

    def send(self, body: str = "", destination: str = "/a") -> int:
        key = self.client.send(destination, body.encode(), now=self.now)
        self.drain()
        return key

    # --- what it sees ---------------------------------------------------------------------

    def written(self) -> list[Frame]:
        """The frames that the client has put out since the last look."""
        decoder = FrameDecoder(Limits())
        decoder.version = self.version
        decoder.receive_data(b"".join(self.client.data_to_send()))
        found = []
        while (frame := decoder.next_frame()) is not None:
            found.append(frame)
        assert len(decoder) == 0
        return found

    def state(self) -> ConnectionState:
        return self.client.state

    def token_state(self) -> TokenState:
        return self.client.token_state

    def reason(self) -> Timer | None:
        return self.client.deadline_reason()

    def all(self, kind: Callable[..., T]) -> list[T]:
        """Every event or action of this kind."""
        found: list[Any] = [*self.events, *self.actions]
        return [each for each in found if type(each) is kind]

    def last(self, kind: Callable[..., T]) -> T:
        return self.all(kind)[-1]

    def forget(self) -> None:
        self.events.clear()
        self.actions.clear()

    def names(self) -> list[str]:
        """The kinds of all events, in order."""
        return [type(each).__name__ for each in self.events]

    def stopped(self) -> Stopped:
        """The last event, which there is one of."""
        (stopped,) = self.all(Stopped)
        assert self.events[-1] == stopped
        assert self.client.closed
        assert self.client.next_deadline() is None
        return stopped


def commands(frames: list[Frame]) -> list[Command]:
    return [each.command for each in frames]


def headers(frames: list[Frame], name: str) -> list[str | None]:
    return [each.headers.get(name) for each in frames]


def connected(version: str = "1.2", **more: str) -> bytes:
    fields = {"version": version, **{name.replace("_", "-"): more[name] for name in more}}
    lines = "".join(f"{name}:{value}\n" for name, value in fields.items())
    return f"CONNECTED\n{lines}\n\0".encode()


def message(subscription: str, body: str = "", **more: str) -> bytes:
    fields = {
        "subscription": subscription,
        "message-id": "m-1",
        "destination": "/a",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    lines = "".join(f"{name}:{value}\n" for name, value in fields.items())
    return f"MESSAGE\n{lines}\n{body}\0".encode()


__all__ = [
    "EXPIRED",
    "GOING_AWAY",
    "NOW",
    "Player",
    "commands",
    "connected",
    "headers",
    "message",
]
