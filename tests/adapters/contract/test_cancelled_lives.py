"""A client as a whole, cancelled at every turn of its life: no task, socket or session is left.

What the server has got are whole frames, if it reads what comes within `close_timeout`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.adapters.contract.relay import Relay, relay
from tests.adapters.contract.runtime import Background, Runtime, open_files
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.watching import Talker
from tests.adapters.contract.world import FAST, PATIENT, ROOM, url

from stompcore import (
    Backoff,
    Client,
    ConnectionState,
    Handover,
    HandoverState,
    Refresh,
    TokenReason,
    TokenRequest,
    TokenState,
)
from stompcore._state import ClientConnectionState

MOST_TURNS = 400


class Life:
    """A client that is to be cancelled, and what is around it."""

    def __init__(self, runtime: Runtime, server: Any, wire: Relay, background: Background) -> None:
        self.runtime = runtime
        self.server = server
        self.wire = wire
        self.client: Client | None = None
        self.background = background
        self.tasks = runtime.tasks()
        self.files = open_files()

    async def cancel(self, cancel: Callable[[], None], again: int | None) -> None:
        """Cancel once, or again after so many turns of the loop."""
        cancel()
        if again is not None:
            for _ in range(again):
                await self.runtime.sleep(0)
            cancel()

    async def nothing_is_left(self) -> None:
        """No task, no socket, no session, and of frames only whole ones."""
        until = self.runtime.until
        await until(lambda: self.runtime.tasks() <= self.tasks)
        await until(lambda: open_files() <= self.files)
        await until(lambda: not self.server.connections)
        assert len(self.server.hub) == 0
        self.wire.frames()
        self.wire.sent.clear()
        client = self.client
        if client is not None:
            assert client.state is ConnectionState.STOPPED
            assert client._fates == {}
            assert client._transactions == {}
            assert client._subscriptions == {}
            assert len(client._replies) == 0
            assert client._session.unconfirmed == 0


async def life(stage: Life) -> None:
    """Everything once."""
    runtime = stage.runtime
    async with runtime.connect(stage.wire.url, token=TokenServer(), config=FAST) as client:
        stage.client = client
        async with client.subscribe(ROOM) as messages:
            await client.send(ROOM, "one")
            await anext(messages)
            async with client.transaction() as transaction:
                await transaction.send(ROOM, "two")
            await anext(messages)
        await client.close()


@pytest.mark.parametrize(
    ("transport", "again"), [("tcp", None), ("ws", 1)], ids=["tcp once", "ws twice"]
)
def test_a_whole_life(runtime: Runtime, transport: str, again: int | None) -> None:
    """Also when it is cancelled again while it cleans up."""

    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.background() as background,
        ):
            stage = Life(runtime, server, wire, background)
            for turns in range(MOST_TURNS):
                ended: list[str] = []

                async def live() -> None:
                    await life(stage)
                    ended.append("in peace")  # noqa: B023 - it ends before the next one begins

                cancel = background.start(live)
                for _ in range(turns):
                    await runtime.sleep(0)
                await stage.cancel(cancel, again)
                await stage.nothing_is_left()
                if ended:
                    break
            assert ended == ["in peace"]
            assert turns > 20

    runtime.run(body)


def test_of_the_client_itself_in_the_middle_of_a_frame(runtime: Runtime, transport: str) -> None:
    """What it has begun to say arrives whole, as long as the server reads it in time."""

    async def body(runtime: Runtime) -> None:
        config = replace(FAST, close_timeout=5.0)
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.background() as background,
        ):
            files, tasks = open_files(), runtime.tasks()

            async def live() -> None:
                async with runtime.connect(wire.url, token=mint(), config=config) as client:
                    await client.send(ROOM, "first")
                    wire.hold()
                    for _ in range(8):
                        await client.send(ROOM, "x" * 900_000, confirm=False)
                    await runtime.sleep(3600)

            cancel = background.start(live)
            await runtime.until(lambda: wire.is_held)
            await runtime.sleep(0.1)
            cancel()
            await runtime.sleep(0.05)
            wire.go_on()
            await runtime.until(lambda: runtime.tasks() <= tasks)
            await runtime.until(lambda: open_files() <= files)
            (frames,) = wire.frames()
            assert len([frame for frame in frames if frame.startswith("SEND")]) >= 2

    runtime.run(body)


def is_fetching(client: Client) -> bool:
    return client._session.token_state is TokenState.RENEWING


def is_reauthenticating(client: Client) -> bool:
    return client._session._awaits_confirmation_of_token()


def is_breaking(client: Client) -> bool:
    connection = client._session.connection
    return connection is not None and connection.state is ClientConnectionState.DISCONNECTING


def hands_over(state: HandoverState) -> Callable[[Client], bool]:
    return lambda client: client._session.handover_state is state


# As often as it can be: tokens that are used for a few milliseconds.
RESTLESS = replace(FAST, backoff=Backoff(minimum=0.004, maximum=0.01))
EARLY = Refresh(earliest=0.00001, latest=0.00002)


MOMENTS: dict[str, tuple[Callable[[Client], bool], Handover | None]] = {
    "fetching": (is_fetching, None),
    "reauthenticating": (is_reauthenticating, None),
    "breaking": (is_breaking, Handover.BREAK),
    "dialing": (hands_over(HandoverState.DIALING), Handover.OVERLAP),
    "connecting": (hands_over(HandoverState.CONNECTING), Handover.OVERLAP),
    "restoring": (hands_over(HandoverState.RESTORING), Handover.OVERLAP),
    "retiring": (hands_over(HandoverState.RETIRING), Handover.OVERLAP),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_while_the_token_is_renewed(runtime: Runtime, transport: str, moment: str) -> None:
    async def body(runtime: Runtime) -> None:
        is_there, handover = MOMENTS[moment]
        refresh = replace(EARLY, handover=handover or Handover.BREAK)
        config = replace(RESTLESS, refresh=refresh, close_timeout=20.0)
        server_config = PATIENT if handover is None else replace(PATIENT, refresh_destination=None)

        async def source(request: TokenRequest) -> str:
            if moment == "fetching" and request.reason is TokenReason.AHEAD:
                await runtime.sleep(3600)
            return mint(jti=str(request.generation))

        async with (
            runtime.serve(config=server_config) as server,
            relay(server, transport) as wire,
            runtime.background() as background,
        ):
            stage = Life(runtime, server, wire, background)

            async def live() -> None:
                async with (
                    runtime.connect(wire.url, token=source, config=config) as client,
                    client.subscribe(ROOM) as messages,
                    client.subscribe("/topic/own"),
                ):
                    stage.client = client
                    await Talker(runtime, client, ROOM).run()
                    await anext(messages)

            def has_come() -> bool:
                return stage.client is not None and is_there(stage.client)

            for turns in range(4):
                stage.client = None
                cancel = background.start(live)
                end = time.monotonic() + 5.0
                while not has_come():
                    assert time.monotonic() < end, "it never came to that"
                    await runtime.sleep(0)
                for _ in range(turns):
                    await runtime.sleep(0)
                await stage.cancel(cancel, turns % 2 or None)
                await stage.nothing_is_left()

    runtime.run(body)


def test_who_leaves_does_not_wait_for_a_token(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        log: list[str] = []

        async def source(request: TokenRequest) -> str:
            if request.reason is TokenReason.AHEAD:
                log.append("asked")
                try:
                    await runtime.sleep(3600)
                finally:
                    log.append("cancelled")
            return mint()

        config = replace(RESTLESS, refresh=EARLY, close_timeout=20.0)
        async with runtime.serve(config=PATIENT) as server:
            for is_closed in (False, True):
                log.clear()
                async with runtime.limit(5.0):
                    async with runtime.connect(
                        url(server, transport), token=source, config=config
                    ) as client:
                        await runtime.until(lambda: log == ["asked"])
                        if is_closed:
                            await client.close()
                            await runtime.until(lambda: log == ["asked", "cancelled"])
                assert log == ["asked", "cancelled"]

    runtime.run(body)
