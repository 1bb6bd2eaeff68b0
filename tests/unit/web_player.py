"""A `Player` whose connections stand behind a `ClientEndpoint`, as those of a driver do."""

from __future__ import annotations

from typing import Any

from tests.unit.client_player import Player
from tests.websocket import wire

from stompcore._codec import FrameDecoder
from stompcore._config import Limits
from stompcore._events import Dial
from stompcore._frames import Frame
from stompcore._timers import earliest
from stompcore._url import parse_url
from stompcore.websocket import ClientEndpoint

__all__ = ["WebPlayer"]


class WebPlayer(Player):
    """What comes from the server comes as WebSocket messages, and so does what it is told.

    Args:
        config: see `Player`.
    """

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.endpoint: ClientEndpoint | None = None

    def _endpoint(self) -> ClientEndpoint:
        assert self.endpoint is not None
        return self.endpoint

    def dial(self, *, awaits_close: bool = True) -> list[Frame]:
        connection = self.client.dialed(self.last(Dial).epoch, now=self.now)
        assert connection is not None
        made = ClientEndpoint(connection, parse_url("ws://h/ws"), now=self.now)
        made.receive_data(wire.answer_to(wire.output(made)), now=self.now)
        self.endpoint = made
        self.drain()
        return self.written()

    def hear(self, data: bytes) -> None:
        self._endpoint().receive_data(wire.frame(wire.TEXT, data, masked=False), now=self.now)
        self.drain()

    def lose(self) -> None:
        self._endpoint().receive_eof(now=self.now)
        self.drain()

    def close_websocket(self, code: int, reason: str = "") -> None:
        payload = wire.close_payload(code, reason)
        self._endpoint().receive_data(wire.frame(wire.CLOSE, payload, masked=False), now=self.now)
        self.drain()

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self._deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self._fire()
        self.now = end
        self._fire()

    def _deadline(self) -> float | None:
        theirs = None if self.endpoint is None else self.endpoint.next_deadline()
        return earliest(self.client.next_deadline(), theirs)

    def _fire(self) -> None:
        if self.endpoint is not None:
            self.endpoint.handle_timeout(now=self.now)
        self.client.handle_timeout(now=self.now)
        self.drain()

    def beats(self) -> int:
        """How many heart-beats, and nothing else, have been put out since the last look."""
        payloads = [payload for _, payload in wire.frames(wire.output(self._endpoint()))]
        assert set(payloads) <= {b"\n"}
        return len(payloads)

    def written(self) -> list[Frame]:
        decoder = FrameDecoder(Limits())
        decoder.version = self.version
        for opcode, payload in wire.frames(wire.output(self._endpoint())):
            if opcode in (wire.TEXT, wire.BINARY):
                decoder.receive_data(payload)
        found = []
        while (frame := decoder.next_frame()) is not None:
            found.append(frame)
        return found
