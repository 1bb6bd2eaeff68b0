"""Many peers of one server, and one that keeps asking how long an answer takes."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType

import jwt
from benchmarks.load._peer import BEAT, HANDSHAKE, Peer, connect_frame, frame
from benchmarks.load._serving import SECRET

__all__ = ["Crowd", "Prober", "mint", "opening", "until"]

_BATCH = 100
_FAR = 3600.0


def mint(subject: str, *, expires_at: float | None = None) -> str:
    """An access token; for an hour, unless `expires_at` (Unix seconds) says otherwise."""
    claims = {"sub": subject, "exp": expires_at or time.time() + _FAR}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def opening(
    subject: str,
    *destinations: str,
    expires_at: float | None = None,
    heart_beat: str = "0,0",
) -> bytes:
    """CONNECT and a SUBSCRIBE for each destination; the last one asks for a receipt."""
    frames = [connect_frame(mint(subject, expires_at=expires_at), heart_beat=heart_beat)]
    frames += [
        frame("SUBSCRIBE", id=str(number), destination=each, receipt="ready")
        for number, each in enumerate(destinations)
    ]
    return b"".join(frames)


async def until(what: str, condition: Callable[[], bool], *, timeout: float = 30.0) -> None:
    """Look again and again.

    Raises:
        TimeoutError: `what` did not come true within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what}")
        await asyncio.sleep(0.005)


def _are_ready(peers: list[Peer]) -> bool:
    return all(peer.receipts for peer in peers)


class Crowd:
    """Peers of one server. A context manager, which drops them all at its end."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.peers: list[Peer] = []
        self._address = address

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for peer in self.peers:
            peer.transport.abort()

    async def join(
        self,
        openings: list[bytes],
        *,
        handshake: bytes = HANDSHAKE,
        lingers: bool = False,
        is_narrow: bool = False,
    ) -> list[Peer]:
        """Connect one peer for each of `openings`, in batches, each once the last is ready.

        Args:
            openings: what each one says.
            handshake: what all say before. Peers that say nothing are not waited for.
            lingers: whether they leave it to the server to end the connection.
            is_narrow: whether the kernel is to hold little for them, so that what they do not read
                waits in the server. Loopback's large segments make it hold megabytes otherwise.
        """
        joined: list[Peer] = []
        for start in range(0, len(openings), _BATCH):
            batch = [
                Peer(each, handshake=handshake, lingers=lingers)
                for each in openings[start : start + _BATCH]
            ]
            await asyncio.gather(*(self._connect(peer, is_narrow) for peer in batch))
            self.peers += batch
            joined += batch
            if openings[start]:
                await until("peers are ready", partial(_are_ready, batch))
        return joined

    async def _connect(self, peer: Peer, is_narrow: bool) -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        if is_narrow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        await loop.sock_connect(sock, self._address)
        await loop.create_connection(lambda: peer, sock=sock)

    async def keep_beating(self, interval: float) -> None:
        """Send a heart-beat for each peer once in `interval` seconds, spread over it."""
        while True:
            started_at = time.monotonic()
            for number, peer in enumerate(self.peers):
                ahead = started_at + interval * number / len(self.peers) - time.monotonic()
                if ahead > 0.01:
                    await asyncio.sleep(ahead)
                peer.write(BEAT)
            await asyncio.sleep(max(0.0, started_at + interval - time.monotonic()))


class Prober:
    """A session of its own, which measures round trips from SEND to RECEIPT until it is stopped.

    It runs in a thread, with a loop of its own, so that it measures the server, and not the crowd.
    """

    def __init__(self, address: tuple[str, int], *, interval: float = 0.005) -> None:
        self.round_trips: list[tuple[float, float]] = []  # when it began (Unix seconds), how long
        self._address = address
        self._interval = interval
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        """Connect. Returns at once; the figures start when it is connected."""
        sys.setswitchinterval(0.0005)  # or it would wait for the crowd's thread again and again
        self._thread.start()

    def stop(self) -> None:
        """End the session; the figures are whole afterwards."""
        self._is_stopping.set()
        self._thread.join(10.0)

    def worst(self, since: float, until: float) -> float:
        """The longest round trip, in seconds, of those that began between two instants.

        Raises:
            RuntimeError: none did, or the last one was never answered.
        """
        taken = [seconds for at, seconds in self.round_trips if since <= at <= until]
        if not taken or self._thread.is_alive():
            raise RuntimeError("the prober has not measured anything")
        return max(taken)

    async def _run(self) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(opening("prober", "/topic/prober"))
        await reader.readuntil(b"receipt-id:ready")
        ask = frame("SEND", b"anybody there?", destination="/topic/probe", receipt="probe")
        while not self._is_stopping.is_set():
            started_at = time.time()
            writer.write(ask)
            await reader.readuntil(b"receipt-id:probe")
            self.round_trips.append((started_at, time.time() - started_at))
            await asyncio.sleep(self._interval)
        writer.transport.abort()
