"""The same, played by whole `ClientSession`s through their driver's contract."""

from __future__ import annotations

import math
from collections.abc import Callable

from benchmarks.herd._outside import START, Outside
from benchmarks.herd._play import Cut

from stompcore import ClientConfig, ClientConnection, ClientSession, Dial, FetchToken

__all__ = ["whole_asks", "whole_dials"]

_LONG_AGO = START - 600.0
_FOR_LONG = 86400
_EXPIRED = b"ERROR\nmessage:Token Expired\nerror-code:token-expired\n\n\0"


class _Driver:
    """A `ClientSession`, and whoever answers it."""

    def __init__(
        self, config: ClientConfig, outside: Outside, draw: Callable[[], float], now: float
    ) -> None:
        self.client = ClientSession("stomp://server", config, now=now, random=draw)
        self.now = now
        self.asked: list[float] = []
        self.dialled: list[float] = []
        self.outside = outside
        self._connection: ClientConnection | None = None

    def begin(self) -> None:
        self.client.start(now=self.now)

    def settle(self, cut: Cut | None = None) -> None:
        """Answer everything that the client asks for, until it waits for the time to pass."""
        while True:
            while self.client.next_event() is not None:
                pass
            match self.client.next_action():
                case FetchToken(generation=generation):
                    heard_at, token, self.now = self.outside.fetch(self.now)
                    self.asked.append(heard_at)
                    self.client.token(generation, token, now=self.now)
                case Dial(epoch=epoch):
                    heard_at, self.now = self.outside.dial(self.now)
                    self.dialled.append(heard_at)
                    if cut is not None and heard_at < cut.up_at:
                        self.client.dial_failed(epoch, "refused", now=self.now)
                    else:
                        self._connection = self.client.dialed(epoch, now=self.now)
                case None:
                    if not self._answer():
                        return

    def _answer(self) -> bool:
        """Say what the server says to the frames that the client has written, if any."""
        written = b"".join(self.client.data_to_send())
        if not written:
            return False
        assert self._connection is not None
        ttl, self.now = self.outside.ask(self.now)
        if written.startswith(b"CONNECT\n"):
            answer = f"CONNECTED\nversion:1.2\ntoken-ttl:{ttl}\ntoken-refresh:/auth/refresh\n\n\0"
        else:
            assert written.startswith(b"SEND\n")
            receipt = written.partition(b"\nreceipt:")[2].partition(b"\n")[0].decode()
            answer = f"RECEIPT\nreceipt-id:{receipt}\ntoken-ttl:{ttl}\n\n\0"
        self._connection.receive_data(answer.encode(), now=self.now)
        return True

    def wait(self, until: float) -> bool:
        """Let the next deadline come, if there is one before `until`."""
        deadline = self.client.next_deadline()
        if deadline is None or deadline >= until:
            return False
        self.now = deadline
        self.client.handle_timeout(now=self.now)
        return True

    def lose(self, farewell: bytes, at: float) -> None:
        """The server ends the connection at this instant."""
        assert self._connection is not None
        self.now = at + self.outside.way()
        self._connection.receive_data(farewell, now=self.now)
        self._connection.receive_eof(now=self.now)


def whole_asks(
    config: ClientConfig,
    outside: Outside,
    draw: Callable[[], float],
    *,
    born_at: float,
    until: float,
) -> list[float]:
    """What `asks` returns, by a whole session."""
    driver = _Driver(config, outside, draw, born_at)
    driver.begin()
    driver.settle()
    while driver.asked[-1] < until:
        if driver.wait(outside.expires_at):
            driver.settle()
        else:
            driver.lose(_EXPIRED, outside.expires_at)
            driver.settle()
    return [each for each in driver.asked if each < until]


def whole_dials(
    config: ClientConfig, outside: Outside, draw: Callable[[], float], cut: Cut
) -> list[float]:
    """What `dials` returns, by a whole session that has been connected for some time."""
    # The login has dice of its own, so that what comes then falls as it does in `dials`.
    driver = _Driver(config, Outside(0, 0, _FOR_LONG), draw, _LONG_AGO)
    driver.begin()
    driver.settle()
    while driver.wait(cut.cut_at):
        driver.settle()
    driver.dialled.clear()
    driver.outside = outside
    driver.lose(b"", cut.cut_at)
    driver.settle(cut)
    while not driver.dialled or driver.dialled[-1] < cut.up_at:
        assert driver.wait(math.inf)
        driver.settle(cut)
    assert len(driver.asked) == 1  # its token is as good as before
    return driver.dialled
