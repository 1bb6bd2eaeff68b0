"""Requests, transactions, and readers and senders in a hurry, with brokers that know none of us."""

from __future__ import annotations

from functools import partial

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.brokers.clients import Way, config, take, watch
from tests.brokers.proxy import Wire
from tests.brokers.running import PATIENCE

from stompcore import Client, RequestTimedOut, Subscription, TransactionLost

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

KEPT = {"persistent": "true"}


async def answer(client: Client, requests: Subscription) -> None:
    """Send each text back in capitals, to whom and under what it asks for."""
    async for request in requests:
        headers = {"correlation-id": request.headers["correlation-id"]}
        await client.send(request.headers["reply-to"], request.text.upper(), headers)


def test_each_request_gets_its_own_reply(runtime: Runtime, way: Way, queue: str) -> None:
    async def body(runtime: Runtime) -> None:
        with Wire(way.port) as wire:
            async with (
                way.connect(runtime) as server,
                way.through(wire).connect(runtime) as ada,
                way.connect(runtime) as bob,
                server.subscribe(queue) as requests,
                runtime.background() as background,
            ):
                background.start(lambda: answer(server, requests))
                replies: dict[str, str] = {}

                async def ask(client: Client, text: str) -> None:
                    replies[text] = (await client.request(queue, text, timeout=PATIENCE)).text

                texts = [f"number {number}" for number in range(20)]
                for number, text in enumerate(texts):
                    client = ada if number % 2 else bob
                    background.start(partial(ask, client, text))
                await runtime.until(lambda: len(replies) == len(texts), PATIENCE)
                assert replies == {text: text.upper() for text in texts}
                # The next connection has another name for replies.
                wire.cut()
                assert (await ada.request(queue, "again", timeout=PATIENCE)).text == "AGAIN"
                with pytest.raises(RequestTimedOut):
                    await ada.request(f"{queue}-of-nobody", "hello?", timeout=0.2)

    runtime.run(body)


def test_a_transaction_is_done_whole_or_not_at_all(runtime: Runtime, way: Way, queue: str) -> None:
    jobs, results = f"{queue}-jobs", f"{queue}-results"

    async def body(runtime: Runtime) -> None:
        async with way.connect(runtime) as ada, way.connect(runtime) as bob:
            async with bob.subscribe(results) as of_results:
                async with ada.subscribe(jobs, ack="client-individual") as of_jobs:
                    await ada.send(jobs, "a job", KEPT)
                    job = await anext(of_jobs)

                    async def fail() -> None:
                        async with ada.transaction() as transaction:
                            await transaction.send(results, "never", KEPT)
                            raise ValueError("half-way")

                    with pytest.raises(ValueError, match="half-way"):
                        await fail()
                    async with ada.transaction() as transaction:
                        await transaction.send(results, "one", KEPT)
                        await transaction.ack(job)
                        await transaction.send(results, "two", KEPT)
                        await ada.send(results, "before", KEPT)
                        assert (await anext(of_results)).text == "before"
                    got = await take(of_results, 2)
                    assert [each.text for each in got] == ["one", "two"]
                async with ada.subscribe(jobs) as of_jobs:
                    await ada.send(jobs, "the next job", KEPT)
                    # The first one was acknowledged.
                    assert (await anext(of_jobs)).text == "the next job"

    runtime.run(body)


def test_a_transaction_ends_with_its_connection(runtime: Runtime, way: Way, queue: str) -> None:
    async def body(runtime: Runtime) -> None:
        with Wire(way.port) as wire:
            async with (
                way.through(wire).connect(runtime) as ada,
                way.connect(runtime) as bob,
                bob.subscribe(queue) as messages,
            ):

                async def lose_it() -> None:
                    async with ada.transaction() as transaction:
                        await transaction.send(queue, "never", KEPT)
                        wire.cut()
                        await ada.send(queue, "by the next connection", KEPT)
                        await transaction.send(queue, "never, either", KEPT)

                with pytest.raises(TransactionLost) as caught:
                    await lose_it()
                assert not caught.value.is_unknown
                async with ada.transaction() as transaction:
                    await transaction.send(queue, "in the next transaction", KEPT)
                got = await take(messages, 2)
                texts = [each.text for each in got]
                assert texts == ["by the next connection", "in the next transaction"]

    runtime.run(body)


def test_a_reader_that_takes_its_time(runtime: Runtime, way: Way, topic: str) -> None:
    """What it has not read yet waits in front of the client, and nothing of it is lost."""
    count, body_of = 300, "x" * 20_000

    async def body(runtime: Runtime) -> None:
        settings = config(subscription_buffer=10, subscription_limit=count)
        async with (
            way.connect(runtime) as bob,
            way.connect(runtime, config=settings) as ada,
            ada.subscribe(topic) as messages,
            runtime.background() as background,
        ):
            life = watch(ada, background)
            for number in range(count):
                await bob.send(topic, f"{number} {body_of}", confirm=number == count - 1)
            await runtime.sleep(0.5)
            got = await take(messages, count)
            assert [int(each.text.split()[0]) for each in got] == list(range(count))
            assert life.ends == []

    runtime.run(body)
