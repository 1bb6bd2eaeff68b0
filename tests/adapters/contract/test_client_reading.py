"""Readers of a client: slow ones, busy ones, and those of its events."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from tests.adapters.contract.relay import relay
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import mint
from tests.adapters.contract.watching import Watch, lose
from tests.adapters.contract.world import FAST, PATIENT, ROOM, resident, url

from stompcore import (
    Call,
    ConnectionEnded,
    Handlers,
    Limits,
    LocalProtocolError,
    Status,
    StatusChanged,
    Stopped,
    SubscriptionOverflow,
)

#: A server that is not offended by a reader that takes its time.
INDULGENT = replace(
    PATIENT, limits=Limits(send_backlog=256 * 1024 * 1024, send_backlog_timeout=60.0)
)


def session(server: Any, subject: str) -> Any:
    """The session of this user."""
    return next(each for each in server.hub if each.identity.subject == subject)


# --- back-pressure --------------------------------------------------------------------------------


def test_a_slow_reader_gets_everything(runtime: Runtime, transport: str) -> None:
    """What it has not read waits at the server, not with it."""

    async def body(runtime: Runtime) -> None:
        count, padding = 5000, "x" * 8000
        config = replace(FAST, subscription_buffer=4)
        async with (
            runtime.serve(config=INDULGENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=config) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            watch = Watch(client)
            background.start(watch.run)
            mine, most = session(server, "alice"), 0

            async def publish() -> None:
                for number in range(count):
                    while mine.bytes_queued > 512 * 1024:  # a publisher that looks where it goes
                        await runtime.sleep(0.001)
                    server.publish(ROOM, f"{padding}{number}".encode())

            before = resident()
            background.start(publish)
            for number in range(count):
                message = await anext(messages)
                assert message.text == f"{padding}{number}"
                most = max(most, len(messages._messages) + 1)
                if number % 500 == 0:
                    await runtime.sleep(0.05)
            assert most <= 4
            assert resident() - before < 16 * 1024  # of 40 MB
            assert watch.of(ConnectionEnded) == []

    runtime.run(body)


def test_a_reader_that_sends_and_asks_between_two_messages(
    runtime: Runtime, transport: str
) -> None:
    """The answers that it waits for stand behind the messages that it does not read."""

    async def body(runtime: Runtime) -> None:
        handlers = Handlers()

        @handlers.on("/app/double")
        def double(call: Call) -> None:
            call.reply(call.text * 2)

        config = replace(FAST, subscription_buffer=4)
        async with (
            runtime.serve(config=INDULGENT, handlers=handlers) as server,
            runtime.connect(url(server, transport), token=mint(), config=config) as client,
            client.subscribe(ROOM) as messages,
            client.subscribe("/topic/echo") as echoes,
        ):
            for number in range(300):
                server.publish(ROOM, f"{number}".encode())
            await runtime.until(lambda: len(messages._messages) == 4)
            for number in range(100):
                assert (await anext(messages)).text == str(number)
                match number % 3:
                    case 0:
                        await client.send("/topic/echo", str(number))
                        assert (await anext(echoes)).text == str(number)
                    case 1:
                        assert (await client.request("/app/double", "ha")).text == "haha"
                    case 2:
                        async with client.transaction() as transaction:
                            await transaction.send("/topic/echo", "done")
                        assert (await anext(echoes)).text == "done"
            async with client.subscribe("/topic/one.more"):
                pass
            for number in range(100, 300):
                assert (await anext(messages)).text == str(number)

    runtime.run(body)


def test_a_reader_that_waits_for_too_long(runtime: Runtime, transport: str) -> None:
    """What comes while the client waits for an answer has its limit, and ends one subscription."""

    async def body(runtime: Runtime) -> None:
        handlers = Handlers()

        @handlers.on("/app/flood")
        def flood(call: Call) -> None:
            for number in range(100):
                call.publish(ROOM, str(number))
            call.reply("done")

        config = replace(FAST, subscription_buffer=4, subscription_limit=50)
        async with (
            runtime.serve(config=INDULGENT, handlers=handlers) as server,
            runtime.connect(url(server, transport), token=mint(), config=config) as client,
            client.subscribe(ROOM) as messages,
            client.subscribe("/topic/other") as others,
        ):
            assert (await client.request("/app/flood", "")).text == "done"
            for number in range(50):
                assert (await anext(messages)).text == str(number)
            with pytest.raises(SubscriptionOverflow):
                await anext(messages)
            await client.send("/topic/other", "and the client lives on")
            assert (await anext(others)).text == "and the client lives on"
            await runtime.until(lambda: server.hub.snapshot().subscriptions == 2)

    runtime.run(body)


def test_a_reader_that_leaves_with_a_full_buffer(runtime: Runtime, transport: str) -> None:
    """It holds nobody up any more."""

    async def body(runtime: Runtime) -> None:
        config = replace(FAST, subscription_buffer=4)
        async with (
            runtime.serve(config=INDULGENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=config) as client,
            client.subscribe("/topic/other") as others,
        ):
            async with client.subscribe(ROOM) as messages:
                for _ in range(100):
                    server.publish(ROOM, b"x")
                server.publish("/topic/other", b"behind them")
                await runtime.until(lambda: len(messages._messages) == 4)
                assert len(others._messages) == 0
            assert (await anext(others)).text == "behind them"
            assert client._held == set()

    runtime.run(body)


# --- headers --------------------------------------------------------------------------------------


def test_headers_are_evaluated_at_every_subscription(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=FAST) as client,
        ):
            count = itertools.count()
            headers = {"since": lambda: f"message {next(count)}", "fixed": "always"}
            async with (
                client.subscribe(ROOM, headers=headers) as messages,
                client.subscribe("/topic/other", headers={"since": "never"}),
            ):
                for _ in range(2):
                    await lose(runtime, server, client)
                    await client.send(ROOM, "again")
                    assert (await anext(messages)).text == "again"
            first, *others = (
                [frame for frame in frames if frame.startswith("SUBSCRIBE")]
                for frames in wire.frames()
            )
            for number, frames in enumerate((first, *others)):
                assert [f"since:message {number}" in frame for frame in frames] == [True, False]
                assert ["fixed:always" in frame for frame in frames] == [True, False]
                assert ["since:never" in frame for frame in frames] == [False, True]
            assert len(others) == 2

    runtime.run(body)


def test_a_header_that_cannot_be_evaluated(runtime: Runtime, transport: str) -> None:
    """It costs its own subscription, and nobody else."""

    async def body(runtime: Runtime) -> None:
        def vanish() -> str:
            if next(count):
                raise KeyError("a secret")
            return "there"

        count = itertools.count()
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            client.subscribe("/topic/other") as others,
            client.subscribe(ROOM, headers={"since": vanish}) as messages,
        ):
            await lose(runtime, server, client)
            with pytest.raises(LocalProtocolError, match="since could not be evaluated"):
                await anext(messages)
            with pytest.raises(LocalProtocolError):
                await client.subscribe(ROOM, headers={"since": vanish}).__aenter__()
            await client.send("/topic/other", "and the client lives on")
            assert (await anext(others)).text == "and the client lives on"

    runtime.run(body)


# --- its life -------------------------------------------------------------------------------------


def test_several_read_the_events(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        config = replace(FAST, status_grace=0.1, offline_timeout=0.3)
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.background() as background,
        ):
            async with runtime.connect(wire.url, token=mint(), config=config) as client:
                watches = [Watch(client) for _ in range(3)]
                log: list[str] = []

                async def watch(each: Watch) -> None:
                    await each.run()
                    log.append("over")

                async def leave_early() -> None:
                    async for _ in client.events():
                        log.append("one is enough")
                        break

                assert client.status is Status.ONLINE
                for each in watches:
                    background.start(lambda each=each: watch(each))  # type: ignore[misc]
                background.start(leave_early)
                await runtime.sleep(0.01)
                wire.hold()
                await wire.cut()
                await runtime.until(lambda: client.status is Status.OFFLINE)
                wire.go_on()
                await runtime.until(lambda: client.status is Status.ONLINE)
            await runtime.until(lambda: len(log) == 4)
            assert sorted(log) == ["one is enough", "over", "over", "over"]
            first, second, third = (each.events for each in watches)
            assert first == second == third
            assert isinstance(first[-1], Stopped)
            assert [each.status for each in watches[0].of(StatusChanged)] == [
                Status.RECOVERING,
                Status.OFFLINE,
                Status.ONLINE,
                Status.OFFLINE,
            ]
            assert len(client._listeners) == 0
            # Nothing more will ever happen.
            async with runtime.limit(1.0):
                assert [event async for event in client.events()] == []

    runtime.run(body)
