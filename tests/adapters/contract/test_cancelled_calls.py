"""Every call of a client, cancelled after none, one, two... turns of the loop, until it is through.

Whatever it was about: nothing of it is left in the client, the client goes on, and what the server
has got are whole frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from tests.adapters.contract.relay import Relay, relay
from tests.adapters.contract.runtime import AsyncFunction, Background, Runtime
from tests.adapters.contract.tokens import mint
from tests.adapters.contract.world import FAST, PATIENT, ROOM

from stompcore import (
    Call,
    Client,
    ConnectionState,
    Handlers,
)

JOBS = "/queue/jobs"
OWN = "/topic/own"

HANDLERS = Handlers()

_MOST_TURNS = 400


@HANDLERS.on("/app/double")
def double(call: Call) -> None:
    call.reply(call.text * 2)


class Stage:
    """A client with everything around it.

    Args:
        runtime, server, wire, client, background: of the test.
    """

    def __init__(
        self, runtime: Runtime, server: Any, wire: Relay, client: Client, background: Background
    ) -> None:
        self.runtime = runtime
        self.server = server
        self.wire = wire
        self.client = client
        self.background = background
        self.epoch = client._session.epoch
        self.tasks = runtime.tasks()
        self.subscriptions = server.hub.snapshot().subscriptions

    async def is_as_before(self, *, unconfirmed: int = 0) -> None:
        """Nothing of the last call is left."""
        client, until = self.client, self.runtime.until
        assert client._fates == {}
        assert client._transactions == {}
        assert len(client._replies) == 0
        assert client._subscriptions == {}
        await until(lambda: client._session.unconfirmed <= unconfirmed)
        await until(lambda: len(client._session._transactions) == 0)
        await until(lambda: client._held == set())
        # The one of the replies stays.
        most = self.subscriptions + 1
        await until(lambda: self.server.hub.snapshot().subscriptions <= most)
        assert client._session.epoch == self.epoch
        assert client._error is None


Operation = Callable[[Stage], Coroutine[Any, Any, None]]


async def send(stage: Stage) -> None:
    await stage.client.send(ROOM, "confirmed")


async def send_without_confirmation(stage: Stage) -> None:
    await stage.client.send(ROOM, "not confirmed", confirm=False)


async def request(stage: Stage) -> None:
    reply = await stage.client.request("/app/double", "ha")
    assert reply.text == "haha"


async def subscribe(stage: Stage) -> None:
    async with stage.client.subscribe(OWN) as messages:
        stage.server.publish(OWN, b"1")
        async for message in messages:
            assert message.text == "1"
            break
        await stage.client.send(OWN, "2")
        assert (await anext(messages)).text == "2"


async def answer(stage: Stage) -> None:
    async with stage.client.subscribe(JOBS, ack="client-individual") as jobs:
        stage.server.publish(JOBS, b"work")
        message = await anext(jobs)
        await message.nack()
        await (await anext(jobs)).ack()


async def transaction(stage: Stage) -> None:
    async with stage.client.transaction() as made:
        await made.send(ROOM, "one")
        await stage.runtime.sleep(0)
        await made.send(ROOM, "two")
    with contextlib.suppress(KeyError):
        async with stage.client.transaction() as made:
            await made.send(ROOM, "never")
            await stage.runtime.sleep(0)
            raise KeyError


OPERATIONS = [send, send_without_confirmation, request, subscribe, answer, transaction]


async def cancelled_anywhere(
    stage: Stage, function: AsyncFunction, check: Callable[[], Awaitable[None]]
) -> int:
    """Run it again and again, cancelled ever later; how often that was."""
    for turns in range(_MOST_TURNS):
        log: list[str] = []

        async def run() -> None:
            try:
                await function()
                log.append("through")  # noqa: B023 - it has ended before the next one begins
            finally:
                log.append("left")  # noqa: B023

        cancel = stage.background.start(run)
        for _ in range(turns):
            await stage.runtime.sleep(0)
        is_through = bool(log)
        cancel()
        await stage.runtime.until(lambda: stage.runtime.tasks() <= stage.tasks)
        await check()
        if is_through:
            assert log == ["through", "left"]
            return turns
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.__name__)
def test_of_a_client_that_goes_on(runtime: Runtime, transport: str, operation: Operation) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT, handlers=HANDLERS) as server,
            relay(server, transport) as wire,
            runtime.background() as background,
        ):
            async with runtime.connect(wire.url, token=mint(), config=FAST) as client:
                stage = Stage(runtime, server, wire, client, background)
                turns = await cancelled_anywhere(
                    stage, partial(operation, stage), stage.is_as_before
                )
                assert turns > 1
                await client.send(ROOM, "and on it goes")
            await runtime.until(lambda: wire.open == 0)
            (frames,) = wire.frames()
            assert frames[-1].startswith("DISCONNECT\n")

    runtime.run(body)


def test_of_a_reader_of_events(runtime: Runtime) -> None:
    """Also where it is busy with one of them."""

    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, "tcp") as wire,
            runtime.connect(wire.url, token=mint(), config=FAST) as client,
            runtime.background() as background,
        ):
            stage = Stage(runtime, server, wire, client, background)

            async def read() -> None:
                async for _ in client.events():
                    await runtime.sleep(0)

            for turns in range(30):
                cancel = background.start(read)
                await runtime.sleep(0)
                async with client.subscribe(OWN):
                    pass  # which is an event, or two
                for _ in range(turns % 5):
                    await runtime.sleep(0)
                cancel()
                await runtime.until(lambda: runtime.tasks() <= stage.tasks)
                await stage.is_as_before()

    runtime.run(body)


@pytest.mark.parametrize(
    "operation", [send, request, subscribe, transaction], ids=lambda each: each.__name__
)
def test_of_a_client_that_is_not_connected(
    runtime: Runtime, transport: str, operation: Operation
) -> None:
    """What was to be sent may still be sent; nobody waits for it."""

    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT, handlers=HANDLERS) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=FAST) as client,
            runtime.background() as background,
        ):
            wire.hold()
            await wire.cut()
            await runtime.until(lambda: client.state is ConnectionState.CONNECTING)
            await runtime.sleep(0.02)  # nothing else is on its way
            stage = Stage(runtime, server, wire, client, background)
            for turns in range(8):
                cancel = background.start(partial(operation, stage))
                for _ in range(turns):
                    await runtime.sleep(0)
                cancel()
                await runtime.until(lambda: runtime.tasks() <= stage.tasks)
                await stage.is_as_before(unconfirmed=turns + 1)
            left = client._session.unconfirmed
            # One that was cancelled in its first turn had begun, or not.
            assert left in ((0,) if operation in (subscribe, transaction) else (7, 8))
            wire.go_on()
            await client.send(ROOM, "and on it goes")
            await stage.is_as_before()
            (before, frames) = wire.frames()[0], wire.frames()[-1]
            assert [frame for frame in before if frame.startswith("SEND")] == []
            assert len([frame for frame in frames if frame.startswith("SEND")]) == left + 1
            assert not any(OWN in frame for frame in frames)

    runtime.run(body)


def test_in_the_middle_of_a_frame(runtime: Runtime, transport: str) -> None:
    """Half of it has left, and the rest follows."""

    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=FAST) as client,
            runtime.background() as background,
        ):
            stage = Stage(runtime, server, wire, client, background)
            wire.hold()
            for _ in range(8):
                cancel = background.start(lambda: client.send(ROOM, "x" * 900_000))
                await runtime.sleep(0.01)
                cancel()
            await runtime.until(lambda: runtime.tasks() <= stage.tasks)
            assert client._session.unconfirmed == 8
            with pytest.raises(AssertionError, match="half"):
                wire.frames()
            wire.go_on()
            await client.send(ROOM, "and on it goes")
            await stage.is_as_before()
            (frames,) = wire.frames()
            assert [len(frame) > 900_000 for frame in frames[1:]] == [True] * 8 + [False]

    runtime.run(body)
