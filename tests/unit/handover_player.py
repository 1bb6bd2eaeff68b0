"""A `Player` whose client may have two connections, each of which is fed for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.client_player import Player, connected

from stompcore._codec import FrameDecoder
from stompcore._config import ClientConfig, Handover, Refresh
from stompcore._connection import ClientConnection
from stompcore._events import ConnectionEnded, Delivered, Dial, HangUp, Outcome
from stompcore._frames import Frame
from stompcore._headers import Version
from stompcore._machine import Close
from stompcore._state import HandoverState, Status
from stompcore._subscription import HeaderValue, KeyFunction

OVERLAP = Refresh(handover=Handover.OVERLAP)
#: At the draw of 0.5, a token of 100 s is asked for again after 85 s.
TTL = "100000"
AHEAD = 85.0


class Pair(Player):
    """A client that overlaps, and what came by each of its connections.

    Args:
        config: fields of `ClientConfig`, `refresh` among them.
        more: see `Player`.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**{"refresh": OVERLAP, **more})
        self.lines: dict[int, ClientConnection] = {}
        self.over: set[int] = set()

    # --- what it does ---------------------------------------------------------------------

    def drain(self) -> None:
        super().drain()
        for each in self.all(HangUp):
            self.lines.pop(each.epoch, None)
            self.over.add(each.epoch)

    def dial(self, *, awaits_close: bool = False) -> list[Frame]:
        epoch = self.last(Dial).epoch
        connection = self.client.dialed(epoch, now=self.now)
        assert connection is not None
        connection.awaits_close = awaits_close
        self.lines[epoch] = connection
        self.drain()
        return self.wrote(epoch)

    def refuse_dial(self, fault: str = "refused") -> None:
        self.client.dial_failed(self.last(Dial).epoch, fault, now=self.now)
        self.drain()

    def hears(self, epoch: int, *data: bytes) -> None:
        """Bytes come by the connection of `epoch`, in one piece."""
        self.lines[epoch].receive_data(b"".join(data), now=self.now)
        self.drain()

    def receipts(self, epoch: int, *ids: str) -> None:
        self.hears(epoch, *(receipt(each) for each in ids))

    def confirm(self, epoch: int, *subscriptions: str) -> None:
        """The server confirms these on the connection of `epoch`."""
        self.receipts(epoch, *(f"subscribe-{epoch}-{each}" for each in subscriptions))

    def cut(self, *epochs: int) -> None:
        """These transports are gone, all before the client has looked at any."""
        for epoch in epochs:
            self.lines[epoch].receive_eof(now=self.now)
        self.drain()

    def closes(self, epoch: int, code: int, reason: str = "") -> None:
        self.lines[epoch].receive_close(Close(code, reason), now=self.now)
        self.drain()

    def subscribe(
        self,
        destination: str = "/a",
        *,
        headers: Mapping[str, HeaderValue] | None = None,
        key: KeyFunction | None = None,
        **more: Any,
    ) -> str:
        id = self.client.subscribe(
            destination, headers=headers, duplicate_key=key, now=self.now, **more
        )
        self.drain()
        return id

    def unsubscribe(self, id: str) -> None:
        self.client.unsubscribe(id, now=self.now)
        self.drain()

    def close(self) -> None:
        self.client.close(now=self.now)
        self.drain()

    def abort(self) -> None:
        self.client.abort(now=self.now)
        self.drain()

    def until(self, kind: type, count: int) -> None:
        """Let time pass until there are so many events or actions of this kind."""
        for _ in range(100):
            if len(self.all(kind)) >= count:
                return
            at = self.client.next_deadline()
            assert at is not None
            self.wait(max(0.0, at - self.now))
        raise AssertionError(f"no {kind.__name__} comes")

    # --- the stages of a handover -----------------------------------------------------------

    def online(self, subscriptions: int = 1, *, awaits_close: bool = False) -> list[str]:
        """One connection, on a token of 100 s, with confirmed subscriptions; their ids."""
        self.connect(token_ttl=TTL, awaits_close=awaits_close)
        ids = [self.subscribe(f"/{at}") for at in range(1, subscriptions + 1)]
        self.confirm(1, *ids)
        self.wrote(1)
        return ids

    def renew(self) -> None:
        """A new token comes ahead of the old one's end."""
        self.wait(AHEAD)
        self.give_token()

    def to_dialing(self, subscriptions: int = 1, *, awaits_close: bool = False) -> list[str]:
        ids = self.online(subscriptions, awaits_close=awaits_close)
        self.forget()
        self.renew()
        assert self.handover() is HandoverState.DIALING
        return ids

    def to_connecting(self, subscriptions: int = 1, *, awaits_close: bool = False) -> list[str]:
        ids = self.to_dialing(subscriptions, awaits_close=awaits_close)
        self.dial(awaits_close=awaits_close)
        assert self.handover() is HandoverState.CONNECTING
        return ids

    def to_restoring(self, subscriptions: int = 1, *, awaits_close: bool = False) -> list[str]:
        ids = self.to_connecting(subscriptions, awaits_close=awaits_close)
        self.accept_on(2)
        assert self.handover() is HandoverState.RESTORING
        return ids

    def to_retiring(self, subscriptions: int = 1, *, awaits_close: bool = False) -> list[str]:
        ids = self.to_restoring(subscriptions, awaits_close=awaits_close)
        self.wrote(2)
        self.confirm(2, *ids)
        assert self.handover() is HandoverState.RETIRING
        return ids

    def to_stage(self, stage: HandoverState, **more: Any) -> list[str]:
        ids: list[str] = getattr(self, f"to_{stage.value}")(**more)
        return ids

    def accept_on(self, epoch: int, **more: str) -> None:
        self.hears(epoch, connected(**{"token_ttl": TTL, **more}))

    # --- what it sees ---------------------------------------------------------------------

    def handover(self) -> HandoverState:
        return self.client.handover_state

    def wrote(self, epoch: int) -> list[Frame]:
        """The frames for the connection of `epoch` since the last look."""
        decoder = FrameDecoder(ClientConfig().limits)
        decoder.version = Version.V1_2
        decoder.receive_data(b"".join(self.lines[epoch].data_to_send()))
        found = []
        while (frame := decoder.next_frame()) is not None:
            found.append(frame)
        assert len(decoder) == 0
        return found

    def written(self) -> list[Frame]:
        """Of the only connection that there is."""
        return [frame for epoch in self.lines for frame in self.wrote(epoch)]

    def status(self) -> Status:
        return self.client.status

    def bodies(self) -> list[str]:
        """What has reached the user, in order."""
        return [each.frame.body.decode() for each in self.all(Delivered)]

    def endings(self) -> list[tuple[int, Outcome]]:
        return [(each.epoch, each.outcome) for each in self.all(ConnectionEnded)]

    def dials(self) -> list[int]:
        return [each.epoch for each in self.all(Dial)]

    def hung_up(self) -> list[int]:
        return [each.epoch for each in self.all(HangUp)]


def receipt(id: str) -> bytes:
    return f"RECEIPT\nreceipt-id:{id}\n\n\0".encode()


def msg(subscription: str, id: str, *, body: str | None = None, **more: str) -> bytes:
    """MESSAGE with this message-id, and the same for a body unless it has another."""
    fields = {"subscription": subscription, "message-id": id, "destination": "/a", **more}
    lines = "".join(f"{name}:{value}\n" for name, value in fields.items())
    return f"MESSAGE\n{lines}\n{id if body is None else body}\0".encode()


def error(code: str, receipt_id: str = "") -> bytes:
    extra = f"receipt-id:{receipt_id}\n" if receipt_id else ""
    return f"ERROR\nmessage:no\nerror-code:{code}\n{extra}\n\0".encode()


__all__ = ["AHEAD", "OVERLAP", "TTL", "Pair", "error", "msg", "receipt"]
