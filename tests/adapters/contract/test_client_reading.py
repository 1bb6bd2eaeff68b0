"""Readers of a client: slow ones, busy ones, and those of its events."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from tests.adapters.contract.relay import relay
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.watching import Watch, lose
from tests.adapters.contract.world import FAST, PATIENT, ROOM, resident, url

from stompcore import (
    Call,
    ConnectionEnded,
    Handlers,
    Handover,
    HeartBeat,
    Limits,
    LocalProtocolError,
    Outcome,
    Refresh,
    Refreshed,
    Resubscribed,
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


def test_a_slow_reader_gets_everything(runtime: Runtime) -> None:
    """What it has not read waits at the server, not with it."""

    async def body(runtime: Runtime) -> None:
        count, padding = 5000, "x" * 8000
        config = replace(FAST, subscription_buffer=4)
        async with (
            runtime.serve(config=INDULGENT) as server,
            runtime.connect(url(server, "ws"), token=mint(), config=config) as client,
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


def test_a_client_that_is_closed_with_a_full_buffer(runtime: Runtime, transport: str) -> None:
    """The answer to its DISCONNECT stands behind what nobody will read."""

    async def body(runtime: Runtime) -> None:
        config = replace(FAST, subscription_buffer=4, close_timeout=20.0)
        async with runtime.serve(config=INDULGENT) as server, runtime.limit(5.0):
            async with (
                runtime.connect(url(server, transport), token=mint(), config=config) as client,
                client.subscribe(ROOM) as messages,
            ):
                events = client.events()
                for _ in range(500):
                    server.publish(ROOM, b"x" * 1000)
                await runtime.until(lambda: len(messages._messages) == 4)
                await client.close()
            (ended,) = [each async for each in events if isinstance(each, ConnectionEnded)]
            assert ended.ending.clean

    runtime.run(body)


def test_a_cut_behind_what_was_not_read(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        config = replace(FAST, subscription_buffer=4)
        async with (
            runtime.serve(config=INDULGENT) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=config) as client,
            client.subscribe(ROOM) as messages,
        ):
            for number in range(200):
                server.publish(ROOM, str(number).encode())
            await runtime.until(lambda: len(messages._messages) == 4)
            epoch = client._session.epoch
            await wire.cut()
            for number in range(4):
                assert (await anext(messages)).text == str(number)
            # Of the rest it has what had come; then it is back.
            await runtime.until(lambda: client._session.epoch > epoch or messages._messages)
            await client.send(ROOM, "after it")
            number = 3
            while (message := await anext(messages)).text != "after it":
                number += 1
                assert message.text == str(number)

    runtime.run(body)


def test_a_pause_is_no_silence(runtime: Runtime) -> None:
    """Heart-beats that nobody reads are not missed, and its own go on."""

    async def body(runtime: Runtime) -> None:
        beats = HeartBeat(send_interval=0.2, receive_interval=0.2, tolerance=4.0)
        config = replace(FAST, subscription_buffer=4, heart_beat=beats)
        async with (
            runtime.serve(config=replace(INDULGENT, heart_beat=beats)) as server,
            runtime.connect(url(server, "ws"), token=mint(), config=config) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            watch = Watch(client)
            background.start(watch.run)
            for number in range(1000):
                server.publish(ROOM, f"{number}".encode())
            await runtime.sleep(1.2)
            assert len(messages._messages) == 4
            for number in range(1000):
                assert (await anext(messages)).text == str(number)
            assert watch.of(ConnectionEnded) == []

    runtime.run(body)


@pytest.mark.parametrize("handover", [None, *Handover], ids=["in band", "break", "overlap"])
def test_a_token_is_renewed_behind_what_is_not_read(
    runtime: Runtime, handover: Handover | None
) -> None:
    async def body(runtime: Runtime) -> None:
        refresh = Refresh(earliest=0.1, latest=0.15, handover=handover or Handover.BREAK)
        config = replace(FAST, subscription_buffer=4, refresh=refresh)
        server_config = (
            replace(INDULGENT, refresh_destination=None) if handover is not None else INDULGENT
        )
        async with (
            runtime.serve(config=server_config) as server,
            runtime.connect(
                url(server, "tcp"), token=TokenServer(ttl=1.5), config=config
            ) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            watch = Watch(client)
            background.start(watch.run)
            for number in range(1000):
                server.publish(ROOM, f"{'x' * 1000}{number}".encode())
            await runtime.until(lambda: len(messages._messages) == 4)
            kind = Refreshed if handover is None else Resubscribed
            await runtime.until(lambda: len(watch.of(kind)) >= 3)
            assert {each.outcome for each in watch.of(ConnectionEnded)} <= {Outcome.RENEW}
            for number in range(1000):
                assert (await anext(messages)).text == f"{'x' * 1000}{number}"
            assert watch.statuses == {Status.ONLINE}

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
