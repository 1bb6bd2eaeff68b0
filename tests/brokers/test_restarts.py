"""A broker goes down in the middle of everything, and comes back on the same data."""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.brokers.clients import Tokens, Way, watch
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.running import PATIENCE

from stompcore import Client, Outcome, StaleEpoch, StompError, Subscription, TokenReason

pytestmark = [pytest.mark.interop, pytest.mark.timeout(200)]

#: Sends that are confirmed before the broker goes down, and as many that begin after it is back.
SOME = 60
#: Sends at once, at most: RabbitMQ's Web STOMP slows down whoever sends many hundreds, and one of
#: its mistakes (see docs/brokers.md) then ends the connection.
IN_FLIGHT = 100


class Sender:
    """Sends numbers, one behind the other but without waiting, and keeps the fate of each."""

    def __init__(self, client: Client, queue: str) -> None:
        self._client = client
        self._queue = queue
        self.begun: list[str] = []
        self.fates: list[tuple[str, StompError | None]] = []

    async def send(self) -> None:
        """Send the next number, and wait for its fate."""
        text = str(len(self.begun))
        self.begun.append(text)
        fate = None
        try:
            await self._client.send(self._queue, text, {"persistent": "true"})
        except StompError as error:
            fate = error
        self.fates.append((text, fate))


class Receiver:
    """Takes every message, and acknowledges it."""

    def __init__(self, client: Client, messages: Subscription) -> None:
        self._client = client
        self._messages = messages
        self.texts: list[str] = []

    async def run(self) -> None:
        """Take them, for ever."""
        async for message in self._messages:
            self.texts.append(message.text)
            with contextlib.suppress(StaleEpoch):  # then it comes again
                await message.ack()


@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_nothing_that_was_confirmed_is_lost(
    runtime: Runtime, both_ways: tuple[Way, Way], queue: str, topic: str, end: str
) -> None:
    async def body(runtime: Runtime) -> None:
        way_out, way_in = both_ways
        broker = way_out.broker
        tokens = Tokens(lambda _: way_out.token())
        async with (
            way_out.connect(runtime, token=tokens) as ada,
            way_in.connect(runtime, token=tokens) as bob,
            bob.subscribe(topic) as of_topic,
            bob.subscribe(queue, ack="client-individual") as of_queue,
            runtime.background() as background,
        ):
            sender, receiver = Sender(ada, queue), Receiver(bob, of_queue)
            lives = [watch(client, background) for client in (ada, bob)]
            background.start(receiver.run)
            go_on = True

            async def stream() -> None:
                while go_on:
                    if len(sender.begun) < len(sender.fates) + IN_FLIGHT:
                        background.start(sender.send)
                    await runtime.sleep(0.005)

            background.start(stream)
            await runtime.until(lambda: len(sender.fates) >= SOME, PATIENCE)
            if end == "killed":
                await broker.restart(runtime)
            elif isinstance(broker, RabbitMQ):
                await broker.control(runtime, "stop_app")
                await broker.control(runtime, "start_app")
            else:
                await broker.end(runtime)
                await broker.come_back(runtime)
            back_at = len(sender.begun)
            await runtime.until(lambda: len(sender.begun) >= back_at + SOME, PATIENCE)
            go_on = False
            await runtime.until(lambda: len(sender.fates) == len(sender.begun), PATIENCE)
            await runtime.until(lambda: set(sender.begun) <= set(receiver.texts), PATIENCE)

            # Each has one fate, and all were confirmed in the end.
            assert Counter(sender.fates) == Counter((text, None) for text in sender.begun)
            # In their order; what came again came late.
            assert list(dict.fromkeys(receiver.texts)) == sender.begun
            # It was the connection that ended; nobody blamed the token.
            for life in lives:
                assert {each.outcome for each in life.ends} == {Outcome.RETRY}
                assert life.beginnings[-1].epoch > 1
            assert tokens.reasons == [TokenReason.INITIAL] * 2
            # And what never was in the queue is heard again as well.
            await ada.send(topic, "back")
            assert (await anext(of_topic)).text == "back"

    runtime.run(body)


def test_an_operator_closes_every_connection(
    runtime: Runtime, ways_to_rabbitmq: list[Way], topic: str
) -> None:
    async def body(runtime: Runtime) -> None:
        over_tcp, over_websocket = ways_to_rabbitmq
        broker = over_tcp.broker
        assert isinstance(broker, RabbitMQ)
        async with (
            over_tcp.connect(runtime) as ada,
            over_websocket.connect(runtime) as bob,
            ada.subscribe(topic) as hers,
            bob.subscribe(topic) as his,
            runtime.background() as background,
        ):
            lives = [watch(client, background) for client in (ada, bob)]
            await broker.control(runtime, "close_all_connections", "bye")
            await runtime.until(lambda: all(life.restored for life in lives), PATIENCE)
            await ada.send(topic, "back")
            assert (await anext(hers)).text == (await anext(his)).text == "back"
            (end,), (other_end,) = (life.ends for life in lives)
            assert end.outcome is other_end.outcome is Outcome.RETRY
            assert end.ending.error is not None
            assert end.ending.error.message == "AMQP channel died"
            assert other_end.ending.close is not None
            assert other_end.ending.close.reason == "STOMP died"

    runtime.run(body)
