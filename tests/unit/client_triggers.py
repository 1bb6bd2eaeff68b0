"""Everything that can happen to a client, legal or not, at any moment of its life."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from tests.unit.client_world import NOW, TOO_MUCH, TTL, World

from stompcore._errors import (
    ClientClosed,
    LocalProtocolError,
    NotConnected,
    OutboxFull,
    StaleEpoch,
)
from stompcore._events import (
    Delivered,
)
from stompcore._frames import Command, Frame
from stompcore._line import Line
from stompcore._machine import Close
from stompcore._state import (
    TokenState,
    TransactionState,
)
from stompcore._subscription import HeaderValue
from stompcore._timers import Timer, Timers

__all__ = [
    "Trigger",
    "dialed",
    "frame",
    "give",
    "hears",
    "receipt_comes",
    "time_passes",
    "token_of",
    "triggers",
]

_NEVER = -1


class Trigger(NamedTuple):
    """Something that can happen to a client.

    Args:
        kind: what the documentation calls it.
        name: this one of its kind.
        act: makes it happen.
    """

    kind: str
    name: str
    act: Callable[[World], object]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


def triggers(world: World) -> Iterator[Trigger]:
    """Everything that can happen to this client, legal or not."""
    yield from _of_the_user(world)
    yield from _of_the_driver(world)
    for role, line in world.roles():
        if line.connection is not None:
            yield from _of_the_server(world, role, line)
    yield from _of_time(world)
    yield from _of_crossings(world)


def _of_the_user(world: World) -> Iterator[Trigger]:
    yield Trigger("start", "", lambda it: it.client.start(now=it.now))
    yield Trigger("close", "", lambda it: it.client.close(now=it.now))
    yield Trigger("abort", "", lambda it: it.client.abort(now=it.now))
    yield Trigger("send", "", partial(_send, confirm=True))
    yield Trigger("send", "not confirmed", partial(_send, confirm=False))
    yield Trigger("misuse: send", "receipt", partial(_send, confirm=True, header="receipt"))
    yield Trigger("misuse: send", "too much", partial(_send, confirm=True, size=TOO_MUCH))
    # One of each is enough, or there would be no end of it.
    if not world.subscription:
        yield Trigger("subscribe", "", _subscribe)
    yield Trigger("subscribe", "a header fails", partial(_subscribe, value=_fails))
    yield Trigger("misuse: subscribe", "id", partial(_subscribe, header="id"))
    if not world.transaction:
        yield Trigger("begin", "", _begin)
    for id in dict.fromkeys((world.subscription, "none")):
        yield Trigger("unsubscribe", id, partial(_unsubscribe, id=id))
        yield Trigger("hold, release", f"hold {id}", partial(_hold, id=id))
        yield Trigger("hold, release", f"release {id}", partial(_release, id=id))
    for name in dict.fromkeys((world.transaction, "none")):
        found = world.client._transactions.get(name)
        is_open = found is not None and found.state is TransactionState.OPEN
        wrong = "" if is_open else "misuse: "
        yield Trigger(f"{wrong}send in a transaction", name, partial(_send_in, name=name))
        yield Trigger(f"{wrong}COMMIT", name, partial(_commit, name=name))
        yield Trigger("ABORT", name, partial(_abort, name=name))
    for epoch in (*(line.epoch for _, line in world.roles()), _NEVER):
        wrong = "misuse: " if epoch == _NEVER else ""
        for name in dict.fromkeys(("", world.transaction)):
            act = partial(_ack, epoch=epoch, transaction=name)
            kind = "ACK in a transaction" if name else "ACK, NACK"
            yield Trigger(f"{wrong}{kind}", f"{epoch} in {name}", act)
        yield Trigger(f"{wrong}ACK, NACK", f"{epoch}, NACK", partial(_ack, epoch=epoch, nack=True))
        yield Trigger("misuse: ACK", f"{epoch}", partial(_ack, epoch=epoch, asks=False))


def _send(world: World, *, confirm: bool, header: str = "x", size: int = 0) -> None:
    body = bytes(size)
    key = world.client.send("/a", body, {header: ""}, confirm=confirm, now=world.now)
    world.given.append(("message", key))


def _subscribe(world: World, *, header: str = "x", value: HeaderValue = "") -> None:
    headers = {header: value}
    id = world.client.subscribe("/a", headers=headers, now=world.now)
    world.given.append(("subscription", id))
    world.subscription = world.subscription or id


def _fails() -> str:
    raise ValueError


def _unsubscribe(world: World, *, id: str) -> None:
    world.client.unsubscribe(id, now=world.now)


def _hold(world: World, *, id: str) -> None:
    world.client.hold(id, now=world.now)


def _release(world: World, *, id: str) -> None:
    world.client.release(id, now=world.now)


def _begin(world: World) -> None:
    world.transaction = world.client.begin(now=world.now)
    world.given.append(("transaction", world.transaction))


def _send_in(world: World, *, name: str) -> None:
    world.client.send_in(name, "/a", b"", now=world.now)


def _commit(world: World, *, name: str) -> None:
    world.client.commit(name, now=world.now)


def _abort(world: World, *, name: str) -> None:
    found = world.client._transactions.get(name)
    world.client.abort_transaction(name, now=world.now)
    if found is not None and found.state is TransactionState.ABORTED:
        world.fates.append(("transaction", name))
        world.transaction = ""


def _ack(
    world: World, *, epoch: int, transaction: str = "", nack: bool = False, asks: bool = True
) -> None:
    headers = {"subscription": "1", "message-id": "m", "destination": "/a"}
    if asks:
        headers["ack"] = "k"
    frame = Frame(Command.MESSAGE, headers)
    delivered = Delivered(subscription="1", epoch=epoch, frame=frame)
    verb = world.client.nack if nack else world.client.ack
    verb(delivered, transaction=transaction or None, now=world.now)


def _of_the_driver(world: World) -> Iterator[Trigger]:
    dialing = {line.epoch for _, line in world.roles() if line.connection is None}
    over = [epoch for epoch in world.dialed if epoch not in dialing]
    for epoch in (*sorted(dialing), *over[-1:], len(world.dialed) + 1):
        late = "" if epoch in dialing else "late: "
        yield Trigger(f"{late}dialed", f"{epoch}", partial(dialed, epoch=epoch))
        yield Trigger(f"{late}dial failed", f"{epoch}", partial(_dial_failed, epoch=epoch))
    is_asked = world.state.token in (TokenState.FETCHING, TokenState.RENEWING)
    asked = [world.fetched[-1]] if is_asked and not world.client.closing else []
    over = [generation for generation in world.fetched if generation not in asked]
    for generation in asked:
        yield Trigger(
            "token", "", partial(give, generation=generation, text=token_of("u1", generation))
        )
        yield Trigger("no token", "empty", partial(give, generation=generation, text=""))
        known = world.client._credential and world.client._credential.token
        if known:
            other = partial(give, generation=generation, text=token_of("u2", generation))
            yield Trigger("token of another user", "", other)
            same = partial(give, generation=generation, text=known.reveal())
            yield Trigger("the same token", "", same)
        yield Trigger("no token", "failed", partial(_fail, generation=generation))
        yield Trigger("unauthorized", "", partial(_fail, generation=generation, permanent=True))
    for generation in (*over[-1:], len(world.fetched) + 1):
        yield Trigger(
            "late: token",
            f"{generation}",
            partial(give, generation=generation, text=token_of("u2", 0)),
        )
        yield Trigger(
            "late: unauthorized",
            f"{generation}",
            partial(_fail, generation=generation, permanent=True),
        )


def _dial_failed(world: World, *, epoch: int) -> None:
    world.client.dial_failed(epoch, "refused", now=world.now)


def give(world: World, *, generation: int, text: str) -> None:
    world.client.token(generation, text, now=world.now)


def _fail(world: World, *, generation: int, permanent: bool = False) -> None:
    world.client.token_failed(generation, permanent=permanent, now=world.now)


def token_of(subject: str, n: float) -> str:
    text = base64.urlsafe_b64encode(json.dumps({"sub": subject, "n": n}).encode()).decode()
    return f"e30.{text.rstrip('=')}.c2ln"


def dialed(world: World, *, epoch: int) -> None:
    connection = world.client.dialed(epoch, now=world.now)
    if connection is not None:
        connection.awaits_close = world.setup.is_websocket
        world.lines[epoch] = connection
        world.asked[epoch] = []
        world.said[epoch] = []


def _of_the_server(world: World, role: str, line: Line) -> Iterator[Trigger]:
    by = f" ({role})" if role else ""
    epoch, asked = line.epoch, world.asked[line.epoch]
    frames = list(_frames(world, asked))
    for kind, name, data in frames:
        yield Trigger(kind + by, name, partial(hears, epoch=epoch, data=data))
    for receipt in asked:
        kind = next(of for start, of in _RECEIPTS.items() if receipt.startswith(start))
        yield Trigger(kind + by, receipt, partial(receipt_comes, epoch=epoch, receipt=receipt))
    for code, kind in _CLOSES.items():
        yield Trigger(kind + by, f"close {code}", partial(_close, epoch=epoch, code=code))
    if line.connection is not None and line.connection.version is None:
        for status, kind in _REFUSALS.items():
            yield Trigger(kind + by, f"HTTP {status}", partial(_refuse, epoch=epoch, status=status))
    yield Trigger("end" + by, "", partial(_end, epochs=(epoch,)))


def _frames(world: World, asked: list[str]) -> Iterator[tuple[str, str, bytes]]:
    yield "MESSAGE", "beat", b"\n"
    about = {"subscription": "1", "destination": "/a"}
    three = [frame("MESSAGE", message_id=id, **about) for id in ("m1", "m2", "m3")]
    yield "MESSAGE", "one", three[0]
    yield "MESSAGE", "three", b"".join(three)
    yield "RECEIPT", "nobody's", frame("RECEIPT", receipt_id="nobody's")
    up = {"version": "1.2", "user_name": "u1", "heart_beat": "50000,0"}
    ttl = {"token_ttl": str(int(TTL * 1000))}
    yield "CONNECTED", "", frame("CONNECTED", **up, **ttl)
    if world.setup.is_taken_in_place:
        yield "CONNECTED", "bare", frame("CONNECTED", **up)
        yield "CONNECTED", "refresh", frame("CONNECTED", **up, **ttl, token_refresh="/auth")
    credential = world.client._credential
    if credential is not None and credential._user_name is not None:
        other = frame("CONNECTED", version="1.2", user_name="u2")
        yield "CONNECTED as another user", "", other
    for code, kind in _ERRORS.items():
        yield kind, code, frame("ERROR", error_code=code, message="No")
    for receipt in asked:
        text = frame("ERROR", error_code="limit-exceeded", message="No", receipt_id=receipt)
        yield "ERROR", f"names {receipt}", text
    yield "garbage", "a client's frame", frame("SEND", destination="/a")
    yield "garbage", "no frame", b"NONSENSE\n\n\0"


def frame(command: str, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}:{value}\n" for name, value in headers.items())
    return f"{command}\n{lines}\n\0".encode()


def hears(world: World, *, epoch: int, data: bytes) -> None:
    world.lines[epoch].receive_data(data, now=world.now)


def receipt_comes(world: World, *, epoch: int, receipt: str) -> None:
    world.asked[epoch].remove(receipt)
    hears(world, epoch=epoch, data=frame("RECEIPT", receipt_id=receipt))


def _close(world: World, *, epoch: int, code: int) -> None:
    world.lines[epoch].receive_close(Close(code), now=world.now)


def _refuse(world: World, *, epoch: int, status: int) -> None:
    world.lines[epoch].receive_refusal(status, now=world.now)


def _end(world: World, *, epochs: Iterable[int]) -> None:
    for epoch in epochs:
        world.lines[epoch].receive_eof(now=world.now)


def _of_crossings(world: World) -> Iterator[Trigger]:
    """What happens at once, before the client has looked at any of it."""
    epochs = tuple(world.lines)
    if len(epochs) > 1:
        for order in (epochs, epochs[::-1]):
            yield Trigger("crossing", f"ends of {order}", partial(_end, epochs=order))
    for role, line in world.roles():
        if role or line.connection is None or line.connection.closed:
            continue
        epoch = line.epoch
        for name, act in (
            ("send", partial(_send, confirm=True)),
            ("send, not confirmed", partial(_send, confirm=False)),
            ("subscribe", _subscribe),
            ("begin", _begin),
            ("send in", partial(_send_in, name=world.transaction)),
            ("COMMIT", partial(_commit, name=world.transaction)),
            ("ABORT", partial(_abort, name=world.transaction)),
            ("ACK", partial(_ack, epoch=epoch)),
            ("unsubscribe", partial(_unsubscribe, id=world.subscription)),
            ("hold", partial(_hold, id=world.subscription)),
            ("close", lambda it: it.client.close(now=it.now)),
            ("abort", lambda it: it.client.abort(now=it.now)),
        ):
            behind = partial(_behind_end, epoch=epoch, act=act)
            yield Trigger("crossing", f"end, {name}", behind)


def _behind_end(world: World, *, epoch: int, act: Callable[[World], object]) -> None:
    _end(world, epochs=(epoch,))
    # What it may raise is asked where nothing crosses.
    with suppress(ClientClosed, LocalProtocolError, NotConnected, OutboxFull, StaleEpoch):
        act(world)


_RECEIPTS = {
    "message-": "RECEIPT",
    "subscribe-": "RECEIPT for SUBSCRIBE",
    "commit-": "RECEIPT for COMMIT",
    "token-": "RECEIPT for the token",
    "disconnect": "RECEIPT for DISCONNECT",
}
_ERRORS = {
    "going-away": "ERROR",
    "limit-exceeded": "ERROR",
    "token-expired": "ERROR: token",
    "reauth-rejected": "ERROR: token",
    "token-revoked": "ERROR: revoked",
}


_CLOSES = {1001: "end", 3000: "ERROR: token", 3003: "ERROR: revoked"}
_REFUSALS = {401: "ERROR: token", 403: "ERROR: revoked", 503: "end"}


def _of_time(world: World) -> Iterator[Trigger]:
    instants = set()
    for role, timers in _armed(world):
        by = f" ({role})" if role else ""
        for timer, at in timers._at.items():
            instants.add(at)
            yield Trigger(f"timer {timer.name}{by}", "", partial(_fire, role=role, timer=timer))
    for at in sorted(instants):
        yield Trigger("time", f"{at - world.now:.3f} s", partial(time_passes, at=at))
    yield Trigger("time", "an hour", partial(time_passes, at=world.now + 3600))
    yield Trigger("timers, early", "", partial(time_passes, at=world.now))
    yield Trigger("timers, early", "a clock set back", partial(time_passes, at=NOW - 3600))


def _armed(world: World) -> Iterator[tuple[str, Timers]]:
    """The timers of a client, and of each of its connections."""
    yield "", world.client._timers
    for role, line in world.roles():
        if line.connection is not None:
            yield role, line.connection._timers


def _fire(world: World, *, role: str, timer: Timer) -> None:
    """A timer is due, and is the first: which one that is, how long they are decides."""
    for by, timers in _armed(world):
        if by == role and timers.at(timer) is not None:
            timers.set(timer, world.now)
    time_passes(world, at=world.now)


def time_passes(world: World, *, at: float) -> None:
    """A driver looks at its clock, and it is `at`."""
    world.now = max(world.now, at)
    world.client.handle_timeout(now=at)
