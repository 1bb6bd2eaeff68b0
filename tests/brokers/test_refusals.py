"""What RabbitMQ refuses costs that alone, and what it has not confirmed is not sent twice."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.brokers.clients import Tokens, Way, config, watch
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.running import PATIENCE

from stompcore import Handover, Refresh, SendRefused, SubscriptionRefused

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

KEPT = {"persistent": "true"}


@pytest.mark.parametrize("handover", Handover, ids=lambda each: each.value)
def test_what_is_unconfirmed_at_a_handover_is_not_sent_twice(
    runtime: Runtime, ways: list[Way], queue: str, handover: Handover
) -> None:
    way = ways[0]
    refresh = Refresh(earliest=0.25, latest=0.3, handover=handover)

    async def body(runtime: Runtime) -> None:
        broker = way.broker
        assert isinstance(broker, RabbitMQ)
        tokens = Tokens(lambda _: broker.mint(4.0))
        async with (
            way.connect(runtime) as bob,
            way.connect(runtime, tokens, config=config(refresh=refresh)) as ada,
            bob.subscribe(queue) as messages,
            runtime.background() as background,
        ):
            life = watch(ada, background)
            got: list[str] = []
            sent: list[str] = []
            stopped: list[int] = []

            async def read() -> None:
                async for message in messages:
                    got.append(message.text)

            async def send(number: int) -> None:
                while len(life.ends) < 3:
                    text = str(len(sent))
                    sent.append(text)
                    await ada.send(queue, text, KEPT)
                stopped.append(number)

            background.start(read)
            for number in range(20):
                background.start(partial(send, number))
            await runtime.until(lambda: len(stopped) == 20, PATIENCE)
            await runtime.until(lambda: set(sent) <= set(got), PATIENCE)
            await runtime.sleep(0.5)
            doubled = [text for text, count in Counter(got).items() if count > 1]
            assert doubled == []

    runtime.run(body)


def test_one_send_that_is_refused_costs_no_other(
    runtime: Runtime, ways: list[Way], queue: str, topic: str
) -> None:
    way = ways[0]

    async def body(runtime: Runtime) -> None:
        broker = way.broker
        assert isinstance(broker, RabbitMQ)
        scope = "rabbitmq.read:*/*/* rabbitmq.configure:*/*/* rabbitmq.write:*/amq.topic/*"
        settings = config(outbox_timeout=8.0)
        async with (
            way.connect(runtime, broker.mint(scope=scope), config=settings) as ada,
            runtime.background() as background,
        ):
            fates: dict[str, object] = {}

            async def send(destination: str) -> None:
                try:
                    await ada.send(destination, "x")
                    fates[destination] = None
                except Exception as error:
                    fates[destination] = type(error)

            begun_at = time.monotonic()
            for destination in (f"{topic}-1", queue, f"{topic}-2"):
                background.start(partial(send, destination))
                await runtime.sleep(0)
            await runtime.until(lambda: len(fates) == 3, 20.0)
            assert fates == {f"{topic}-1": None, queue: SendRefused, f"{topic}-2": None}
            assert time.monotonic() - begun_at < 5.0

    runtime.run(body)


def test_a_subscription_that_is_refused_is_refused(
    runtime: Runtime, ways: list[Way], topic: str
) -> None:
    way = ways[0]

    async def body(runtime: Runtime) -> None:
        broker = way.broker
        assert isinstance(broker, RabbitMQ)
        token = broker.mint(scope="rabbitmq.write:*/*/*")
        async with way.connect(runtime, token) as ada, runtime.limit(10.0):
            with pytest.raises(SubscriptionRefused):
                async with ada.subscribe(topic):
                    raise AssertionError("it may not listen there")

    runtime.run(body)
