"""What a program does with a client: sends that are not confirmed, and answers to messages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.adapters.contract.relay import relay
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import mint
from tests.adapters.contract.watching import lose
from tests.adapters.contract.world import FAST, PATIENT, ROOM, collect, url

from stompcore import (
    Command,
    ConnectionState,
    LocalProtocolError,
    OutboxFull,
    StaleEpoch,
)

JOBS = "/queue/jobs"


# --- without confirmation -------------------------------------------------------------------------


def test_two_thousand_without_a_confirmation(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            runtime.connect(url(server, transport), token=mint("bob")) as other,
            other.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            receipts = server.hub.snapshot().frames_out[Command.RECEIPT]
            async with runtime.limit(10.0):
                for number in range(2000):
                    await client.send(ROOM, str(number), confirm=False)
            await runtime.until(lambda: len(got) == 2000)
            assert got == [str(number) for number in range(2000)]
            assert server.hub.snapshot().frames_out[Command.RECEIPT] == receipts
            assert client._session.unconfirmed == 0

    runtime.run(body)


def test_the_outbox_is_full_when_the_server_does_not_read(runtime: Runtime, transport: str) -> None:
    """What was taken arrives, in order, once it reads again; what was not does not."""

    async def body(runtime: Runtime) -> None:
        config = replace(FAST, outbox_size=100_000)
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=config) as client,
            runtime.connect(url(server, transport), token=mint("bob")) as other,
            other.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            padding, taken = "x" * 10_000, 0

            async def fill() -> None:
                nonlocal taken
                for number in range(2000):
                    taken = number
                    await client.send(ROOM, f"{padding}{number}", confirm=False)

            wire.hold()
            with pytest.raises(OutboxFull):
                await fill()
            assert 10 < taken < 1999
            connection = client._session.connection
            assert connection is not None
            assert connection.bytes_queued <= config.outbox_size
            with pytest.raises(OutboxFull):
                await client.send(ROOM, padding, confirm=False)
            wire.go_on()
            await client.send(ROOM, "xand on it goes")
            await runtime.until(lambda: got[-1:] == ["xand on it goes"])
            numbers = [text.rpartition("x")[2] for text in got]
            assert numbers == [*map(str, range(taken)), "and on it goes"]

    runtime.run(body)


def test_what_is_not_confirmed_is_lost_with_its_connection(
    runtime: Runtime, transport: str
) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=FAST) as client,
            runtime.connect(url(server, transport), token=mint("bob")) as other,
            other.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            wire.hold()
            await client.send(ROOM, "a" * 100_000, confirm=False)
            background.start(lambda: client.send(ROOM, "confirmed"))
            await runtime.until(lambda: client._session.unconfirmed == 1)
            await wire.cut()
            await runtime.until(lambda: client.state is ConnectionState.CONNECTING)
            # There is no connection to hand it to: it waits for the next one.
            background.start(lambda: client.send(ROOM, "handed to the next", confirm=False))
            await runtime.until(lambda: client._session.unconfirmed == 2)
            wire.go_on()
            await runtime.until(lambda: len(got) >= 2)
            assert got == ["confirmed", "handed to the next"]

    runtime.run(body)


# --- answers --------------------------------------------------------------------------------------


def test_answers_through_the_message(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            client.subscribe(JOBS, ack="client-individual") as jobs,
        ):
            for text in ("one", "two", "three"):
                await client.send(JOBS, text)
            one, two, three = [await anext(jobs) for _ in range(3)]
            await two.ack()
            await one.nack()
            again = await anext(jobs)
            assert (again.text, again.headers["redelivered"]) == ("one", "true")
            await three.ack()
            await again.ack()
            await runtime.until(lambda: server.hub.snapshot().queued_messages == 0)
            await client.send(ROOM, "nothing of it was held against it")

    runtime.run(body)


def test_an_answer_that_comes_too_late(runtime: Runtime, transport: str) -> None:
    """Its id meant something on a connection that is gone; the message comes again instead."""

    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            client.subscribe(JOBS, ack="client") as jobs,
        ):
            await client.send(JOBS, "work")
            message = await anext(jobs)
            await lose(runtime, server, client)
            with pytest.raises(StaleEpoch):
                await message.ack()
            again = await anext(jobs)
            with pytest.raises(StaleEpoch):
                await message.ack()
            with pytest.raises(StaleEpoch):
                await message.nack()
            assert again.text == "work"
            await again.ack()
            await runtime.until(lambda: server.hub.snapshot().queued_messages == 0)
            async with client.subscribe(ROOM) as messages:
                await client.send(ROOM, "needs none")
                with pytest.raises(LocalProtocolError):
                    await (await anext(messages)).ack()
            await client.send(ROOM, "and the client lives on")

    runtime.run(body)
