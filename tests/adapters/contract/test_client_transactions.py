"""Transactions: done whole or not at all, and never a second time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.adapters.contract.relay import relay
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.watching import Watch, cut, lose
from tests.adapters.contract.world import FAST, PATIENT, ROOM, url

from stompcore import (
    ClientClosed,
    ConnectionEnded,
    ConnectionState,
    Handover,
    OutboxFull,
    Refresh,
    TransactionLost,
    TransactionRefused,
)

JOBS = "/queue/jobs"


def test_a_transaction_is_done_whole(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            client.subscribe(ROOM) as messages,
            client.subscribe(JOBS, ack="client-individual") as jobs,
        ):
            await client.send(JOBS, "work")
            job = await anext(jobs)
            async with client.transaction() as transaction:
                await transaction.send(ROOM, "one", {"of": "two"})
                await transaction.ack(job)
                await transaction.send(ROOM, b"two")
                await client.send(ROOM, "before them")
                assert server.hub.snapshot().queued_messages == 1
            # Leaving has waited until it was done.
            assert server.hub.snapshot().queued_messages == 0
            assert [(await anext(messages)).text for _ in range(3)] == ["before them", "one", "two"]
            with pytest.raises(ClientClosed):
                await transaction.__aenter__()
            assert client._transactions == {}

    runtime.run(body)


def test_a_transaction_of_many_messages(runtime: Runtime, transport: str) -> None:
    """What it is given leaves as it is given, and is not piled up until COMMIT."""

    async def body(runtime: Runtime) -> None:
        config = replace(FAST, outbox_size=1_000_000)
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=config) as client,
            client.subscribe(ROOM) as messages,
        ):
            padding = "x" * 10_000

            async def fill(count: int) -> None:
                async with client.transaction() as transaction:
                    for number in range(count):
                        await transaction.send(ROOM, f"{padding}{number}")

            await fill(100)
            numbers = [(await anext(messages)).text.rpartition("x")[2] for _ in range(100)]
            assert numbers == [str(number) for number in range(100)]
            # Unless the server does not read; then it is given up.
            wire.hold()
            with pytest.raises(OutboxFull):
                await fill(2000)
            wire.go_on()
            await client.send(ROOM, "after it")
            assert (await anext(messages)).text == "after it"
            assert client._transactions == {}

    runtime.run(body)


def test_an_exception_gives_a_transaction_up(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            client.subscribe(ROOM) as messages,
            client.subscribe(JOBS, ack="client-individual") as jobs,
        ):
            await client.send(JOBS, "work")
            job = await anext(jobs)

            async def err() -> None:
                async with client.transaction() as transaction:
                    await transaction.send(ROOM, "never")
                    await transaction.nack(job)
                    raise KeyError("mine")

            with pytest.raises(KeyError, match="mine"):
                await err()
            await client.send(ROOM, "after it")
            assert (await anext(messages)).text == "after it"
            await job.ack()  # it is still mine
            await runtime.until(lambda: server.hub.snapshot().queued_messages == 0)
            assert client._transactions == {}

    runtime.run(body)


def test_a_transaction_that_the_server_refuses(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            client.subscribe(ROOM) as messages,
        ):

            async def err() -> None:
                async with client.transaction() as transaction:
                    await transaction.send(ROOM, "never")
                    await transaction.send("/nowhere", "x")

            with pytest.raises(TransactionRefused, match="protocol-violation"):
                await err()
            await client.send(ROOM, "after it")
            assert (await anext(messages)).text == "after it"

    runtime.run(body)


@pytest.mark.parametrize("is_noticed", [False, True], ids=["at once", "noticed"])
def test_a_transaction_is_lost_with_its_connection(
    runtime: Runtime, transport: str, is_noticed: bool
) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            client.subscribe(ROOM) as messages,
        ):

            async def go_on() -> None:
                async with client.transaction() as transaction:
                    await transaction.send(ROOM, "never")
                    if is_noticed:
                        await lose(runtime, server, client)
                    else:
                        cut(server)
                    await transaction.send(ROOM, "never")

            async def look_away() -> None:
                async with client.transaction() as transaction:
                    await lose(runtime, server, client)
                    with pytest.raises(TransactionLost):
                        await transaction.send(ROOM, "never")

            with pytest.raises(TransactionLost) as lost:
                await go_on()
            if is_noticed:
                assert not lost.value.is_unknown
            with pytest.raises(TransactionLost):
                await look_away()
            await client.send(ROOM, "after it")
            assert (await anext(messages)).text == "after it"
            assert client._transactions == {}

    runtime.run(body)


def test_a_transaction_waits_for_a_connection(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=FAST) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            log: list[str] = []

            async def commit() -> None:
                async with client.transaction() as transaction:
                    log.append("entered")
                    await transaction.send(ROOM, "at last")
                log.append("done")

            wire.hold()
            await wire.cut()
            await runtime.until(lambda: client.state is ConnectionState.CONNECTING)
            background.start(commit)
            await runtime.sleep(0.05)
            assert log == []
            wire.go_on()
            assert (await anext(messages)).text == "at last"
            await runtime.until(lambda: log == ["entered", "done"])

            # One that waits when the client stops is told so.
            async def wait() -> None:
                with pytest.raises(ClientClosed):
                    await commit()
                log.append("told")

            wire.hold()
            await wire.cut()
            await runtime.until(lambda: client.state is ConnectionState.CONNECTING)
            background.start(wait)
            await runtime.sleep(0.05)
            await client.close()
            await runtime.until(lambda: log[2:] == ["told"])

    runtime.run(body)


def test_whether_it_was_committed_is_not_known(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=FAST) as client,
            runtime.background() as background,
        ):

            async def cut_it() -> None:
                await runtime.until(lambda: client._session._transactions.await_receipt)
                await wire.cut()
                wire.go_on()

            async def commit() -> None:
                async with client.transaction() as transaction:
                    await transaction.send(ROOM, "perhaps")
                    wire.hold()
                    background.start(cut_it)

            with pytest.raises(TransactionLost) as lost:
                await commit()
            assert lost.value.is_unknown

    runtime.run(body)


@pytest.mark.parametrize("handover", list(Handover), ids=lambda each: each.value)
def test_a_handover_waits_for_a_transaction(runtime: Runtime, handover: Handover) -> None:
    async def body(runtime: Runtime) -> None:
        config = replace(FAST, refresh=Refresh(earliest=0.05, latest=0.06, handover=handover))
        tokens = TokenServer(ttl=3.0)
        async with (
            runtime.serve(config=replace(PATIENT, refresh_destination=None)) as server,
            runtime.connect(url(server, "ws"), token=tokens, config=config) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            watch = Watch(client)
            background.start(watch.run)
            async with client.transaction() as transaction:
                await runtime.until(lambda: len(tokens.requests) == 2)
                for _ in range(10):
                    await transaction.send(ROOM, "slowly")
                    await runtime.sleep(0.02)
                assert watch.of(ConnectionEnded) == []
            await runtime.until(lambda: watch.of(ConnectionEnded))
            assert [(await anext(messages)).text for _ in range(10)] == ["slowly"] * 10

    runtime.run(body)
