"""A wire between a client and a broker: as long as a test wants it, and to be cut."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from types import TracebackType

__all__ = ["Wire"]


class Wire:
    """Passes bytes on between whoever dials `port` and the broker; use it as a context manager.

    Args:
        broker_port: where the broker listens, on loopback.
        latency: how long each byte is under way, in seconds.
    """

    def __init__(self, broker_port: int, latency: float = 0.0) -> None:
        self._broker_port = broker_port
        self._latency = latency
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        # When it arrives, where it came from, and what it is: b"" for the end.
        self._under_way: deque[tuple[float, socket.socket, bytes]] = deque()
        self._lock = threading.Lock()
        self._is_over = False
        self._is_mute = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._thread.join(10.0)
        assert not self._thread.is_alive()
        self.cut()
        self._listener.close()
        self._selector.close()

    def cut(self) -> None:
        """End every connection there is, at both ends, with all that is under way."""
        with self._lock:
            self._under_way.clear()
            for one in list(self._peers):
                self._drop(one)
            self._is_mute = False

    def mute(self) -> None:
        """Pass nothing on any more, though every connection stays up, until the next `cut`."""
        self._is_mute = True

    def _run(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select(self._patience()):
                with self._lock:
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is self._listener:
                        self._accept()
                    elif one in self._peers:
                        self._read(one)
            with self._lock:
                self._deliver()

    def _patience(self) -> float:
        with self._lock:
            if not self._under_way:
                return 0.05
            return max(0.0, min(0.05, self._under_way[0][0] - time.monotonic()))

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            broker = socket.create_connection(("127.0.0.1", self._broker_port), timeout=5.0)
        except OSError:
            client.close()
            return
        client.settimeout(5.0)
        self._peers |= {client: broker, broker: client}
        for one in (client, broker):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(one, selectors.EVENT_READ)

    def _read(self, one: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = one.recv(65536)
        if not data:
            self._selector.unregister(one)
        self._under_way.append((time.monotonic() + self._latency, one, data))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            _, one, data = self._under_way.popleft()
            other = self._peers.get(one)
            if other is None or self._is_mute:
                continue
            try:
                if not data:
                    raise OSError
                other.sendall(data)
            except OSError:
                self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        other = self._peers.pop(one, None)
        if other is None:
            return
        del self._peers[other]
        for each in (one, other):
            with contextlib.suppress(KeyError):  # its end had been read
                self._selector.unregister(each)
            each.close()
