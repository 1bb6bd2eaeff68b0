"""What the contract tests need of a runtime, so that each of them is written once."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import ssl as ssl_module
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio
from tests.adapters.contract.tokens import KEY

import stompcore_asyncio
import stompcore_trio
from stompcore.pyjwt import JWTVerifier

__all__ = ["AsyncioRuntime", "Background", "Body", "Raw", "Runtime", "TrioRuntime", "open_files"]

_LIMIT = 25.0

Body = Callable[["Runtime"], Coroutine[Any, Any, None]]
AsyncFunction = Callable[[], Coroutine[Any, Any, None]]


def open_files() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


class Raw(abc.ABC):
    """A bare TCP or TLS stream to a server."""

    @abc.abstractmethod
    async def send(self, data: bytes) -> None:
        """Write; OSError if that is impossible."""

    @abc.abstractmethod
    async def send_eof(self) -> None:
        """Half-close."""

    @abc.abstractmethod
    async def receive(self) -> bytes:
        """Some bytes, b"" at the end; OSError for a reset."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Close, at once. Legal more than once."""

    async def read_all(self) -> bytes:
        """Everything to the end."""
        data = b""
        while chunk := await self.receive():
            data += chunk
        return data


class Background(abc.ABC):
    """Tasks that end with the block that started them."""

    @abc.abstractmethod
    def start(self, function: AsyncFunction) -> Callable[[], None]:
        """Start it, and return what cancels it."""


class Runtime(abc.ABC):
    """One of the two. Every stream that it has opened is closed when `run` ends."""

    name: str
    module: Any
    #: How long `run` may take, in seconds.
    limit_of_a_body = _LIMIT

    def __init__(self) -> None:
        self._raws: list[Raw] = []

    @abc.abstractmethod
    def run(self, body: Body) -> None:
        """Run `body` with an absolute time limit; it must leave no task and no socket behind."""

    @abc.abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Sleep; 0 for one turn of the loop."""

    @abc.abstractmethod
    def limit(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        """A context manager that raises TimeoutError after so long."""

    @abc.abstractmethod
    def background(self) -> AbstractAsyncContextManager[Background]:
        """A context manager that cancels at its end what was started in it."""

    @abc.abstractmethod
    def tasks(self) -> int:
        """How many tasks there are."""

    async def dial(self, port: int, tls: ssl_module.SSLContext | None = None) -> Raw:
        """A bare stream to loopback."""
        raw = await self._open(port, tls)
        self._raws.append(raw)
        return raw

    async def dial_unix(self, path: str) -> Raw:
        """A bare stream to a Unix socket."""
        raw = await self._open_unix(path)
        self._raws.append(raw)
        return raw

    def serve(self, **options: Any) -> Any:
        """A server; on both transports, on loopback, unless `options` say otherwise."""
        options.setdefault("verifier", JWTVerifier(KEY, algorithms=["HS256"]))
        if "hub" in options:
            del options["verifier"]
        if not {"websocket", "tcp"} & set(options):
            options |= {"websocket": ("127.0.0.1", 0), "tcp": ("127.0.0.1", 0)}
        return self.module.serve(**options)

    def connect(self, url: str, **options: Any) -> Any:
        """A client."""
        return self.module.connect(url, **options)

    async def until(self, condition: Callable[[], object], seconds: float = 5.0) -> None:
        """Wait for `condition`, for a bounded time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it never came true"
            await self.sleep(0.002)

    async def leaves_nothing(
        self,
        function: AsyncFunction,
        *,
        limit: float = _LIMIT,
        raises: type[BaseException] | None = None,
    ) -> None:
        """Run `function`, and see that no task and no descriptor of it remains."""
        await self.sleep(0.005)  # what others have just started has started
        files, tasks = open_files(), self.tasks()
        raised: BaseException | None = None
        try:
            async with self.limit(limit):
                await function()
        except Exception as error:
            if raises is None or not isinstance(error, raises):
                raise
            raised = error
        assert raises is None or raised is not None, f"it did not raise {raises}"
        await self.until(lambda: self.tasks() <= tasks)
        await self.until(lambda: open_files() <= files)

    @abc.abstractmethod
    async def _open(self, port: int, tls: ssl_module.SSLContext | None) -> Raw: ...

    @abc.abstractmethod
    async def _open_unix(self, path: str) -> Raw: ...

    async def _bounded(self, body: Body) -> None:
        async def with_streams() -> None:
            try:
                await body(self)
            finally:
                for raw in self._raws:
                    await raw.close()

        await self.leaves_nothing(with_streams, limit=self.limit_of_a_body)


class _AsyncioRaw(Raw):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send_eof(self) -> None:
        self._writer.write_eof()

    async def receive(self) -> bytes:
        return await self._reader.read(65536)

    async def close(self) -> None:
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class _AsyncioBackground(Background):
    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, function: AsyncFunction) -> Callable[[], None]:
        task = asyncio.get_running_loop().create_task(function())
        self._tasks.append(task)

        def cancel() -> None:
            task.cancel()

        return cancel

    async def finish(self) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


class AsyncioRuntime(Runtime):
    name = "asyncio"
    module = stompcore_asyncio

    def run(self, body: Body) -> None:
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(self._bounded(body))

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def limit(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(seconds)

    @asynccontextmanager
    async def background(self) -> AsyncIterator[Background]:
        made = _AsyncioBackground()
        try:
            yield made
        finally:
            await made.finish()

    def tasks(self) -> int:
        return len(asyncio.all_tasks())

    async def _open(self, port: int, tls: ssl_module.SSLContext | None) -> Raw:
        name = "localhost" if tls else None
        streams = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
        return _AsyncioRaw(*streams)

    async def _open_unix(self, path: str) -> Raw:
        return _AsyncioRaw(*await asyncio.open_unix_connection(path))


class _TrioRaw(Raw):
    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream
        self._sending = trio.Lock()  # a stream of trio's has one writer at a time

    async def send(self, data: bytes) -> None:
        try:
            async with self._sending:
                await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise OSError from error

    async def send_eof(self) -> None:
        assert isinstance(self._stream, trio.SocketStream)
        await self._stream.send_eof()

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(65536))
        except trio.BrokenResourceError as error:
            raise OSError from error

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)


class _TrioBackground(Background):
    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start(self, function: AsyncFunction) -> Callable[[], None]:
        scope = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await function()

        self._nursery.start_soon(scoped)
        return scope.cancel


class TrioRuntime(Runtime):
    name = "trio"
    module = stompcore_trio

    def run(self, body: Body) -> None:
        trio.run(self._bounded, body)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        try:
            with trio.fail_after(seconds):
                yield
        except trio.TooSlowError:
            raise TimeoutError from None

    @asynccontextmanager
    async def background(self) -> AsyncIterator[Background]:
        async with trio.open_nursery() as nursery:
            try:
                yield _TrioBackground(nursery)
            finally:
                nursery.cancel_scope.cancel()

    def tasks(self) -> int:
        return trio.lowlevel.current_statistics().tasks_living

    async def _open(self, port: int, tls: ssl_module.SSLContext | None) -> Raw:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        if tls is None:
            return _TrioRaw(stream)
        secured = trio.SSLStream(stream, tls, server_hostname="localhost", https_compatible=True)
        await secured.do_handshake()
        return _TrioRaw(secured)

    async def _open_unix(self, path: str) -> Raw:
        return _TrioRaw(await trio.open_unix_socket(path))
