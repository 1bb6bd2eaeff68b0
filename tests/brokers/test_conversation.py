"""What a client and a broker have to say to one another on an ordinary day."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.brokers.clients import Tokens, Way, config, take, watch
from tests.brokers.proxy import Wire
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.running import PATIENCE

from stompcore import ConnectionState, HeartBeat, Limits, StaleEpoch

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

MEGABYTE = 1024 * 1024


def test_messages_to_a_queue_and_a_topic(
    runtime: Runtime, way: Way, queue: str, topic: str
) -> None:
    bodies = [
        b"hello",
        b"",
        "größer als ASCII: €".encode(),
        bytes(range(256)),
        b"\0\n\0",
        b"x" * MEGABYTE,
    ]

    async def body(runtime: Runtime) -> None:
        settings = config(limits=Limits(frame_size=2 * MEGABYTE))
        async with (
            way.connect(runtime, config=settings) as ada,
            way.connect(runtime, config=settings) as bob,
            bob.subscribe(queue) as of_queue,
            bob.subscribe(topic) as of_topic,
        ):
            for each in bodies:
                await ada.send(queue, each)
                await ada.send(topic, each)
            for messages, destination in ((of_queue, queue), (of_topic, topic)):
                got = await take(messages, len(bodies))
                assert [message.body for message in got] == bodies
                assert {message.destination for message in got} == {destination}
                assert len({message.message_id for message in got}) == len(bodies)

    runtime.run(body)


def test_headers_that_need_escapes(runtime: Runtime, way: Way, queue: str) -> None:
    async def body(runtime: Runtime) -> None:
        headers = {
            "note": "a:b\\c\nd \\n €",
            "blank": "  kept  ",
            "empty": "",
            "na:me": "in a name, too",
            "content-type": "text/plain;charset=utf-8",
        }
        async with way.connect(runtime) as client, client.subscribe(queue) as messages:
            await client.send(queue, "x", headers)
            message = await anext(messages)
            assert {name: message.headers[name] for name in headers} == headers

    runtime.run(body)


def test_many_messages_keep_their_order(runtime: Runtime, way: Way, topic: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            way.connect(runtime) as client,
            client.subscribe(topic) as messages,
            runtime.background() as background,
        ):
            begun: list[str] = []
            confirmed: list[str] = []

            async def send(text: str) -> None:
                begun.append(text)
                await client.send(topic, text)
                confirmed.append(text)

            for number in range(200):
                background.start(partial(send, str(number)))
            got = await take(messages, 200)
            assert [message.text for message in got] == begun
            await runtime.until(lambda: sorted(confirmed) == sorted(begun), PATIENCE)

    runtime.run(body)


def test_what_is_acknowledged_is_gone_and_the_rest_comes_again(
    runtime: Runtime, way: Way, queue: str
) -> None:
    async def body(runtime: Runtime) -> None:
        async with way.connect(runtime) as sender:
            for text in ("one", "two", "three", "four"):
                await sender.send(queue, text, {"persistent": "true"})
        async with (
            way.connect(runtime) as client,
            client.subscribe(queue, ack="client-individual") as messages,
        ):
            one, two, three, four = await take(messages, 4)
            assert [one.text, two.text, three.text, four.text] == ["one", "two", "three", "four"]
            await three.ack()
            await one.ack()
        async with (
            way.connect(runtime) as client,
            client.subscribe(queue, ack="client") as messages,
        ):
            two, four = await take(messages, 2)
            assert [two.text, four.text] == ["two", "four"]
            assert [two.headers["redelivered"], four.headers["redelivered"]] == ["true", "true"]
            await four.ack()  # and what came before it
        async with way.connect(runtime) as client, client.subscribe(queue) as messages:
            await client.send(queue, "five")
            assert (await anext(messages)).text == "five"

    runtime.run(body)


def test_what_is_refused_comes_again_or_goes_to_the_dead_letters(
    runtime: Runtime, way: Way, queue: str
) -> None:
    async def body(runtime: Runtime) -> None:
        async with way.connect(runtime) as client:
            async with client.subscribe(queue, ack="client-individual") as messages:
                await client.send(queue, "refused", {"persistent": "true"})
                await (await anext(messages)).nack()
                if isinstance(way.broker, RabbitMQ):
                    again = await anext(messages)
                    assert (again.text, again.headers["redelivered"]) == ("refused", "true")
                    await again.ack()
                    return
            async with client.subscribe("/queue/ActiveMQ.DLQ") as messages:
                dead = await anext(messages)
                assert dead.text == "refused"

    runtime.run(body)


def test_each_hears_the_other_s_heart_beats(runtime: Runtime, ways: list[Way], topic: str) -> None:
    async def body(runtime: Runtime) -> None:
        # RabbitMQ agrees to no less than a second, and leaves a client after two to three of them.
        beats = HeartBeat(send_interval=1.0, receive_interval=1.0, tolerance=3.0)
        async with AsyncExitStack() as stack:
            background = await stack.enter_async_context(runtime.background())
            clients = [
                await stack.enter_async_context(
                    way.connect(runtime, config=config(heart_beat=beats))
                )
                for way in ways
            ]
            lives = [watch(client, background) for client in clients]
            await runtime.sleep(3.5)
            for client in clients:
                await client.send(topic, "after many beats")
            assert [life.ends for life in lives] == [[], [], []]

    runtime.run(body)


def test_a_broker_that_falls_silent_is_left(runtime: Runtime, ways: list[Way], topic: str) -> None:
    async def body(runtime: Runtime) -> None:
        beats = HeartBeat(send_interval=1.0, receive_interval=1.0, tolerance=1.5)
        async with AsyncExitStack() as stack:
            background = await stack.enter_async_context(runtime.background())
            wires = [stack.enter_context(Wire(way.port)) for way in ways]
            clients = [
                await stack.enter_async_context(
                    way.through(wire).connect(runtime, config=config(heart_beat=beats))
                )
                for way, wire in zip(ways, wires, strict=True)
            ]
            heard = [
                await stack.enter_async_context(client.subscribe(f"{topic}-{wire.port}"))
                for client, wire in zip(clients, wires, strict=True)
            ]
            lives = [watch(client, background) for client in clients]
            for wire in wires:
                wire.mute()
            for client, wire, messages, life in zip(clients, wires, heard, lives, strict=True):
                await runtime.until(lambda life=life: life.ends, 20.0)  # type: ignore[misc]
                assert life.ends[0].ending.fault == "the server fell silent"
                wire.cut()  # and mute no longer
                await client.send(messages.destination, "it is back")
                assert (await anext(messages)).text == "it is back"

    runtime.run(body)


def test_an_acknowledgement_does_not_outlive_its_connection(
    runtime: Runtime, way: Way, queue: str
) -> None:
    async def body(runtime: Runtime) -> None:
        with Wire(way.port) as wire:
            tokens = Tokens(lambda _: way.token())
            async with (
                way.through(wire).connect(runtime, token=tokens) as client,
                client.subscribe(queue, ack="client-individual") as messages,
            ):
                await client.send(queue, "taken, and never acknowledged", {"persistent": "true"})
                message = await anext(messages)
                wire.cut()
                await runtime.until(lambda: client.state is not ConnectionState.CONNECTED)
                with pytest.raises(StaleEpoch):
                    await message.ack()
                again = await anext(messages)
                assert again.text == message.text
                assert again.headers["redelivered"] == "true"
                await again.ack()
                assert len(tokens.reasons) == 1

    runtime.run(body)
