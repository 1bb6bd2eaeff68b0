"""Tokens that run out, and brokers that will not have them; a broker's token is a passcode."""

from __future__ import annotations

import time
from functools import partial

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.brokers.activemq import ActiveMQ
from tests.brokers.clients import Tokens, Way, config, take, together, watch
from tests.brokers.proxy import Wire
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.running import PATIENCE

from stompcore import (
    DEFAULT_RULES,
    AuthenticationFailed,
    Outcome,
    Rule,
    SendRefused,
    SubscriptionRefused,
    TokenReason,
)

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

#: Of the first token, in seconds. The plugin counts in whole ones, and reads from them downwards.
SHORT = 3.0

KEPT = {"persistent": "true"}
BOTH = [TokenReason.INITIAL, TokenReason.EXPIRED]


def short_then_long(broker: RabbitMQ) -> Tokens:
    """The first token is a short one."""
    return Tokens(lambda before: broker.mint(60.0 if before else SHORT))


async def until_it_has_expired(runtime: Runtime, tokens: Tokens) -> None:
    """Sleep until the first token has run out."""
    await runtime.sleep(tokens.first_at + SHORT + 0.1 - time.time())


def test_a_token_that_ran_out_is_refused_at_the_next_connection_and_replaced(
    runtime: Runtime, ways_to_rabbitmq: list[Way], queue: str, topic: str
) -> None:
    async def one(way: Way) -> None:
        broker = way.broker
        assert isinstance(broker, RabbitMQ)
        tokens = short_then_long(broker)
        mine, ours = f"{queue}-{way.port}", f"{topic}-{way.port}"
        with Wire(way.port) as wire:
            async with (
                way.connect(runtime) as bob,
                way.through(wire).connect(runtime, tokens) as ada,
                # In this order, so that it hears the topic once it has heard of the queue again.
                ada.subscribe(ours) as of_topic,
                ada.subscribe(mine, ack="client-individual") as of_queue,
                runtime.background() as background,
            ):
                life = watch(ada, background)
                await until_it_has_expired(runtime, tokens)
                assert life.events == []
                wire.cut()
                for text in ("one", "two"):
                    await bob.send(mine, text, KEPT)  # while nobody listens
                for text in ("three", "four"):
                    await ada.send(mine, text, KEPT)  # which waits for a new token
                got = await take(of_queue, 4)
                assert [message.text for message in got] == ["one", "two", "three", "four"]
                await bob.send(ours, "heard again")
                assert (await anext(of_topic)).text == "heard again"

                cut, refused = life.ends
                assert (cut.outcome, refused.outcome) == (Outcome.RETRY, Outcome.REFRESH)
                assert refused.ending.error is not None
                assert not refused.ending.established
                assert refused.ending.error.message == "Bad CONNECT"
                assert [len(each.subscriptions) for each in life.beginnings] == [2]
                assert tokens.reasons == BOTH

    async def body(runtime: Runtime) -> None:
        await together(runtime, *(partial(one, way) for way in ways_to_rabbitmq))

    runtime.run(body)


def test_rabbitmq_refuses_what_is_sent_on_a_token_that_ran_out(
    runtime: Runtime, ways_to_rabbitmq: list[Way], queue: str, topic: str
) -> None:
    async def one(way: Way) -> None:
        broker = way.broker
        assert isinstance(broker, RabbitMQ)
        tokens = short_then_long(broker)
        mine, ours = f"{queue}-{way.port}", f"{topic}-{way.port}"
        async with (
            way.connect(runtime, tokens) as ada,
            ada.subscribe(ours) as of_topic,
            runtime.background() as background,
        ):
            life = watch(ada, background)
            await until_it_has_expired(runtime, tokens)
            # It looks at the token when something is to be done with it, and not before.
            assert life.events == []
            for text in ("one", "two"):
                await ada.send(mine, text, KEPT)
            await ada.send(ours, "heard again")
            assert (await anext(of_topic)).text == "heard again"
            async with ada.subscribe(mine) as of_queue:
                await ada.send(mine, "three", KEPT)
                got = await take(of_queue, 3)
            assert [message.text for message in got] == ["one", "two", "three"]
            assert tokens.reasons == BOTH
            if way.url.startswith("stomp:"):
                (refused,) = life.ends
                assert refused.ending.error is not None
                assert refused.ending.error.message == "access_refused"
            else:  # its close overtakes the ERROR, so that only the next CONNECT tells
                died, refused = life.ends
                assert died.ending.close is not None
                assert died.ending.close.reason == "STOMP died"
                assert (died.outcome, died.ending.error) == (Outcome.RETRY, None)
                assert not refused.ending.established
            assert refused.outcome is Outcome.REFRESH

    async def body(runtime: Runtime) -> None:
        await together(runtime, *(partial(one, way) for way in ways_to_rabbitmq))

    runtime.run(body)


def test_rabbitmq_lets_who_only_listens_listen_on(
    runtime: Runtime, ways_to_rabbitmq: list[Way], queue: str, topic: str
) -> None:
    """Not what it should do, but what it does; the next SUBSCRIBE ends that."""

    async def body(runtime: Runtime) -> None:
        way, _ = ways_to_rabbitmq
        assert isinstance(way.broker, RabbitMQ)
        tokens = short_then_long(way.broker)
        async with (
            way.connect(runtime) as bob,
            way.connect(runtime, tokens) as ada,
            ada.subscribe(topic) as of_topic,
            ada.subscribe(queue, ack="client") as of_queue,
            runtime.background() as background,
        ):
            life = watch(ada, background)
            await until_it_has_expired(runtime, tokens)
            await bob.send(topic, "to a token that has run out")
            await bob.send(queue, "to be acknowledged")
            assert (await anext(of_topic)).text == "to a token that has run out"
            await (await anext(of_queue)).ack()
            assert life.events == []
            async with ada.subscribe(f"{topic}-more"):
                (refused,) = life.ends
                assert refused.ending.error is not None
                assert b"JWT token has expired" in refused.ending.error.frame.body
                assert refused.outcome is Outcome.REFRESH
            assert tokens.reasons == BOTH

    runtime.run(body)


def test_a_password_that_has_changed_is_asked_for_again(
    runtime: Runtime, way_to_activemq: Way, queue: str, topic: str
) -> None:
    way = way_to_activemq

    async def body(runtime: Runtime) -> None:
        broker = way.broker
        assert isinstance(broker, ActiveMQ)
        tokens = Tokens(lambda _: way.token())
        with Wire(way.port) as wire:
            async with (
                way.through(wire).connect(runtime, tokens) as ada,
                ada.subscribe(queue) as of_queue,
                ada.subscribe(topic) as of_topic,
                runtime.background() as background,
            ):
                life = watch(ada, background)
                broker.change_passwords({**broker.passwords, "ada": f"of {time.time()}"})
                await ada.send(topic, "who is in stays in")
                assert (await anext(of_topic)).text == "who is in stays in"
                assert life.events == []
                wire.cut()
                await ada.send(queue, "one", KEPT)
                await ada.send(topic, "two")
                assert (await anext(of_queue)).text == "one"
                assert (await anext(of_topic)).text == "two"
                cut, refused = life.ends
                assert (cut.outcome, refused.outcome) == (Outcome.RETRY, Outcome.REFRESH)
                assert refused.ending.error is not None
                assert refused.ending.error.message == "User name [ada] or password is invalid."
                assert [len(each.subscriptions) for each in life.beginnings] == [2]
                assert tokens.reasons == BOTH

    runtime.run(body)


def test_three_wrong_passwords_are_enough(runtime: Runtime, way: Way) -> None:
    said = "Bad CONNECT" if isinstance(way.broker, RabbitMQ) else "password is invalid"

    async def body(runtime: Runtime) -> None:
        tokens = Tokens(lambda before: f"wrong, and wrong again: {before}")

        async def enter() -> None:
            async with way.connect(runtime, tokens):
                raise AssertionError("it was let in")

        with pytest.raises(AuthenticationFailed, match=said):
            await enter()
        assert tokens.reasons == [*BOTH, TokenReason.EXPIRED]

    runtime.run(body)


def test_a_source_of_expired_tokens_is_asked_three_times(
    runtime: Runtime, ways_to_rabbitmq: list[Way]
) -> None:
    async def body(runtime: Runtime) -> None:
        way, _ = ways_to_rabbitmq
        broker = way.broker
        assert isinstance(broker, RabbitMQ)
        tokens = Tokens(lambda _: broker.mint(-10.0))
        with pytest.raises(AuthenticationFailed, match="Bad CONNECT"):
            async with way.connect(runtime, tokens):
                raise AssertionError("it was let in")
        assert tokens.reasons == [*BOTH, TokenReason.EXPIRED]

    runtime.run(body)


def test_rabbitmq_does_not_look_at_the_authorization_header(
    runtime: Runtime, ways_to_rabbitmq: list[Way], topic: str
) -> None:
    """It lets whoever says no passcode in as its default user, unless it was told to have none."""

    async def body(runtime: Runtime) -> None:
        settings = config(login=None, passcode=False)
        for way in ways_to_rabbitmq:
            async with way.connect(runtime, "no token at all", config=settings) as client:
                await client.send(topic, "from guest, whoever that is")

    runtime.run(body)


def test_activemq_names_the_frame_that_it_refuses(
    runtime: Runtime, way_to_activemq: Way, queue: str
) -> None:
    async def body(runtime: Runtime) -> None:
        settings = config(login="guest")
        async with way_to_activemq.connect(runtime, "guest", config=settings) as client:
            with pytest.raises(SendRefused, match="guest is not authorized to write"):
                await client.send(queue, "x")
            with pytest.raises(SubscriptionRefused, match="guest is not authorized to read"):
                async with client.subscribe(queue):
                    raise AssertionError("it may not listen there")

    runtime.run(body)


def test_a_rule_stops_where_rabbitmq_names_no_frame(
    runtime: Runtime, ways_to_rabbitmq: list[Way], queue: str
) -> None:
    """Its ERROR has no `receipt-id`; without the rule the client would find out by itself."""
    rules = (*DEFAULT_RULES, Rule(outcome=Outcome.STOP, had_error=True, text="access_refused"))

    async def body(runtime: Runtime) -> None:
        way, _ = ways_to_rabbitmq
        assert isinstance(way.broker, RabbitMQ)
        token = way.broker.mint(scope="rabbitmq.read:*/*/* rabbitmq.configure:*/*/*")
        async with way.connect(runtime, token, rules=rules) as client, runtime.limit(PATIENCE):
            with pytest.raises(AuthenticationFailed, match="access_refused"):
                await client.send(queue, "it may only read")

    runtime.run(body)
