"""What the contract tests need of a runtime, so that each of them is written once."""

from __future__ import annotations

import abc
import asyncio
import logging
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import jwt
import trio

import stompcore_asyncio
import stompcore_trio
from stompcore import Client, HeartBeat, Limits, ServerConfig, TokenRequest
from stompcore.pyjwt import JWTVerifier

KEY = "a secret of more than thirty-two bytes"
LIMIT = 25.0
QUICK = ServerConfig(
    heart_beat=HeartBeat(send_interval=0, receive_interval=0),
    limits=Limits(login_timeout=0.4, handshake_timeout=0.4, close_timeout=0.8),
)

Body = Callable[["Runtime"], Coroutine[Any, Any, None]]


def mint(subject: str = "alice", ttl: float = 60.0, **claims: Any) -> str:
    """A token."""
    return jwt.encode({"sub": subject, "exp": time.time() + ttl, **claims}, KEY, "HS256")


class TokenServer:
    """A token source that counts.

    Args:
        subject: whose tokens.
        ttl: how long each lives, in seconds.
    """

    def __init__(self, subject: str = "alice", ttl: float = 60.0) -> None:
        self.subject = subject
        self.ttl = ttl
        self.requests: list[TokenRequest] = []

    async def __call__(self, request: TokenRequest) -> str:
        self.requests.append(request)
        return mint(self.subject, self.ttl)


class Raw(abc.ABC):
    """A bare TCP stream to a server."""

    @abc.abstractmethod
    async def send(self, data: bytes) -> None:
        """Write."""

    @abc.abstractmethod
    async def receive(self) -> bytes:
        """Some bytes, b"" at the end; OSError for a reset."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Close."""

    async def read_all(self) -> bytes:
        """Everything to the end."""
        data = b""
        while chunk := await self.receive():
            data += chunk
        return data

    async def read_until(self, end: bytes) -> bytes:
        """Everything up to and with `end`, at least."""
        data = b""
        while end not in data:
            chunk = await self.receive()
            assert chunk, data
            data += chunk
        return data


class Runtime(abc.ABC):
    """One of the two."""

    name: str
    module: Any

    @abc.abstractmethod
    def run(self, body: Body) -> None:
        """Run `body`, with an absolute time limit."""

    @abc.abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Sleep."""

    @abc.abstractmethod
    def limit(self, seconds: float) -> Any:
        """A context manager that raises TimeoutError after so long."""

    @abc.abstractmethod
    def background(self) -> Any:
        """An async context manager: `start(coroutine function)`; all are cancelled at its end."""

    @abc.abstractmethod
    async def dial(self, port: int) -> Raw:
        """A bare stream to loopback."""

    @abc.abstractmethod
    def tasks(self) -> int:
        """How many tasks there are."""

    def verifier(self) -> JWTVerifier:
        return JWTVerifier(KEY, algorithms=["HS256"])

    def serve(self, **options: Any) -> Any:
        """Both transports, on loopback."""
        options.setdefault("verifier", self.verifier())
        options.setdefault("websocket", ("127.0.0.1", 0))
        options.setdefault("tcp", ("127.0.0.1", 0))
        return self.module.serve(**options)

    def connect(self, url: str, **options: Any) -> Any:
        return self.module.connect(url, **options)

    async def until(self, condition: Callable[[], object], seconds: float = 5.0) -> None:
        """Wait for `condition`, for a bounded time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it never came true"
            await self.sleep(0.005)


class _AsyncioRaw(Raw):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        return await self._reader.read(65536)

    async def close(self) -> None:
        self._writer.transport.abort()


class _AsyncioBackground:
    async def __aenter__(self) -> _AsyncioBackground:
        self._tasks: list[asyncio.Task[None]] = []
        return self

    def start(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Start it, and return what cancels it."""
        task = asyncio.get_running_loop().create_task(function())
        self._tasks.append(task)

        def cancel() -> None:
            task.cancel()

        return cancel

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


class AsyncioRuntime(Runtime):
    name = "asyncio"
    module = stompcore_asyncio

    def run(self, body: Body) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(LIMIT):
                await body(self)

        asyncio.run(bounded())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def limit(self, seconds: float) -> Any:
        return asyncio.timeout(seconds)

    def background(self) -> Any:
        return _AsyncioBackground()

    async def dial(self, port: int) -> Raw:
        return _AsyncioRaw(*await asyncio.open_connection("127.0.0.1", port))

    def tasks(self) -> int:
        return len(asyncio.all_tasks())


class _TrioRaw(Raw):
    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise OSError from error

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(65536))
        except trio.BrokenResourceError as error:
            raise OSError from error

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)


class _TrioBackground:
    async def __aenter__(self) -> _TrioBackground:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self

    def start(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        scope = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await function()

        self._nursery.start_soon(scoped)
        return scope.cancel

    async def __aexit__(self, *exc: object) -> None:
        self._nursery.cancel_scope.cancel()
        await self._manager.__aexit__(None, None, None)


class TrioRuntime(Runtime):
    name = "trio"
    module = stompcore_trio

    def run(self, body: Body) -> None:
        async def bounded() -> None:
            with trio.fail_after(LIMIT):
                await body(self)

        trio.run(bounded)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        try:
            with trio.fail_after(seconds):
                yield
        except trio.TooSlowError:
            raise TimeoutError from None

    def background(self) -> Any:
        return _TrioBackground()

    async def dial(self, port: int) -> Raw:
        return _TrioRaw(await trio.open_tcp_stream("127.0.0.1", port))

    def tasks(self) -> int:
        return trio.lowlevel.current_statistics().tasks_living


def url(server: Any, transport: str) -> str:
    """What a client dials for "ws" or "tcp"."""
    found: str = next(each.url for each in server.listeners if each.transport == transport)
    return found


def port(server: Any, transport: str) -> int:
    """Where it listens."""
    found: int = next(each.port for each in server.listeners if each.transport == transport)
    return found


def open_files() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def complaints(records: list[logging.LogRecord]) -> list[str]:
    """What a log must not hold after a peer's fault: errors, and tracebacks."""
    return [
        record.getMessage()
        for record in records
        if record.exc_info is not None or record.levelno >= logging.ERROR
    ]


async def collect(subscription: Any, texts: list[str]) -> None:
    """Read a subscription for ever."""
    async for message in subscription:
        texts.append(message.text)


def raw_connect(token: str, **headers: str) -> bytes:
    """A CONNECT frame."""
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    return f"CONNECT\naccept-version:1.2\npasscode:{token}\n{lines}\n\0".encode()


__all__ = [
    "KEY",
    "QUICK",
    "AsyncioRuntime",
    "Awaitable",
    "Client",
    "Runtime",
    "TokenServer",
    "TrioRuntime",
    "collect",
    "complaints",
    "mint",
    "open_files",
    "port",
    "raw_connect",
    "ssl",
    "url",
]
