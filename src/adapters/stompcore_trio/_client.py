"""`connect`: a `Client` on trio streams."""

from __future__ import annotations

import logging
import math
import random
import secrets
import ssl as ssl_module
import time
from collections.abc import Sequence
from types import TracebackType

import trio

from stompcore import (
    DEFAULT_RULES,
    Client,
    ClientConfig,
    ClientEvent,
    FetchToken,
    Rule,
    TokenFetchFailed,
)
from stompcore.client import TokenSource, describe
from stompcore.driver import EpochClock
from stompcore.websocket import ClientEndpoint
from stompcore_trio._wire import Wire

__all__ = ["TrioClient", "connect"]

logger = logging.getLogger("stompcore.client")


class TrioClient(Client):
    """A `stompcore.Client` on trio; made by `connect`."""

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource | None,
        config: ClientConfig,
        rules: Sequence[Rule],
        ssl: ssl_module.SSLContext | None,
    ) -> None:
        super().__init__(
            url,
            token=token,
            config=config,
            rules=rules,
            clock=EpochClock(trio.current_time, time.time),
            random=random.random,
            client_id=secrets.token_urlsafe(12),
            waiter=trio.Event,
        )
        self._ssl = ssl
        self._wires: dict[int, Wire] = {}
        self._dials: dict[int, trio.CancelScope] = {}
        self._fetching = trio.CancelScope()
        self._changed = trio.Event()

    async def __aenter__(self) -> TrioClient:
        # By hand, so that an exception of the body leaves as it is and not in a group.
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        self._session.start(now=self._clock.now())
        self._nursery.start_soon(self._drive)
        try:
            await self._wait_for_connection()
        except BaseException:
            await self._abandon()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
            with trio.move_on_after(self._config.close_timeout):
                while self._wires:
                    await self._changed.wait()
                    await trio.lowlevel.checkpoint()
        finally:
            await self._abandon()

    def cut(self) -> None:
        """Lose the connection at once, as if the wire were cut: to see what becomes of it then."""
        for wire in self._wires.values():
            wire.abort()

    # --- for the base class ---------------------------------------------------------------

    def _turn(self) -> None:
        self._changed.set()

    def _dial(self, epoch: int) -> None:
        scope = self._dials[epoch] = trio.CancelScope()
        self._nursery.start_soon(self._open, epoch, scope)

    def _hang_up(self, epoch: int) -> None:
        dial = self._dials.pop(epoch, None)
        if dial is not None:
            dial.cancel()
        wire = self._wires.get(epoch)
        if wire is not None:
            if isinstance(wire.pump.machine, ClientEndpoint):
                wire.pump.machine.hang_up(now=wire.pump.now)
            wire.hang_up()

    def _fetch(self, action: FetchToken) -> None:
        self._fetching.cancel()
        self._fetching = trio.CancelScope()
        self._nursery.start_soon(self._ask, action, self._fetching)

    async def _breathe(self) -> None:
        await trio.lowlevel.checkpoint()

    def _note(self, event: ClientEvent) -> None:
        text = describe(event)
        if text:
            is_bad = isinstance(event, TokenFetchFailed)
            logger.log(logging.WARNING if is_bad else logging.INFO, text)

    # --- inside ---------------------------------------------------------------------------

    async def _drive(self) -> None:
        try:
            while True:
                self._changed = trio.Event()
                self._step()
                if self._session.closed:
                    self._fetching.cancel()
                for wire in self._wires.values():
                    wire.flush()
                deadline = self._deadline()
                with trio.move_on_at(math.inf if deadline is None else deadline):
                    await self._changed.wait()
        finally:
            self._hang_up_all()

    async def _ask(self, action: FetchToken, scope: trio.CancelScope) -> None:
        with scope:
            await self._ask_token_source(action)

    async def _open(self, epoch: int, scope: trio.CancelScope) -> None:
        """The life of one stream."""
        stream: trio.abc.Stream | None = None
        try:
            with scope:
                stream = await self._open_stream()
        except (OSError, trio.BrokenResourceError, UnicodeError) as error:
            self._dial_failed(epoch, error)
            self._turn()
        finally:
            self._dials.pop(epoch, None)
        if stream is None:
            return
        pump = self._dialed(epoch)
        if pump is None:
            await trio.aclose_forcefully(stream)
            return
        self._wires[epoch] = wire = Wire(
            stream,
            pump,
            after=self._turn,
            close_timeout=self._config.close_timeout,
            shield=True,
        )
        self._turn()
        try:
            await wire.run()
        finally:
            del self._wires[epoch]
            self._turn()

    async def _open_stream(self) -> trio.abc.Stream:
        target = self.target
        stream = await trio.open_tcp_stream(target.host, target.port)
        if not target.is_tls:
            return stream
        context = self._ssl or ssl_module.create_default_context()
        secured = trio.SSLStream(
            stream, context, server_hostname=target.host, https_compatible=True
        )
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured

    async def _abandon(self) -> None:
        """Leave nothing behind, whatever state things are in."""
        self._session.abort(now=self._clock.now())
        self._dispatch()
        self._hang_up_all()
        self._nursery.cancel_scope.cancel()
        await self._manager.__aexit__(None, None, None)

    def _hang_up_all(self) -> None:
        """No cancellation ends what is shielded: this does, within `close_timeout`."""
        for epoch in self._wires:
            self._hang_up(epoch)


def connect(
    url: str,
    *,
    token: TokenSource | None = None,
    config: ClientConfig | None = None,
    rules: Sequence[Rule] = DEFAULT_RULES,
    ssl: ssl_module.SSLContext | None = None,
) -> TrioClient:
    """A client; enter it with ``async with``, and it stays connected until it is left.

    Args:
        url: ``ws://``, ``wss://``, ``stomp://`` or ``stomps://``.
        token: a token, or an async callable that takes a `stompcore.TokenRequest` and returns
            one; raising `stompcore.Unauthorized` there is permanent. None for a server that asks
            for none.
        config: see `stompcore.ClientConfig`.
        rules: what to do after which ending, see `stompcore.Rule`; the first that fits decides.
        ssl: for TLS; the system's default otherwise.

    Raises:
        LocalProtocolError: a URL that cannot be dialled.
        StompError: on entering: why the client has stopped before it was ever connected.
    """
    return TrioClient(url, token=token, config=config or ClientConfig(), rules=rules, ssl=ssl)
