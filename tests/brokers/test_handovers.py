"""A newer token ahead of the old one's end, which neither broker takes in place: by a handover."""

from __future__ import annotations

import contextlib
import secrets
import time
from contextlib import ExitStack
from functools import partial

import jwt
import pytest
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.watching import Talker
from tests.adapters.contract.world import collect
from tests.brokers.clients import Tokens, Way, config, together, watch
from tests.brokers.proxy import Wire
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.running import PATIENCE

from stompcore import (
    Frame,
    Handover,
    Outcome,
    ReceivedMessage,
    Refresh,
    StaleEpoch,
    Status,
    Subscription,
    TokenReason,
)

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

#: Of a token, in seconds. RabbitMQ's may be one less.
LIFE = 4.0
#: So that some messages are under way on both connections, when there are two.
LATENCY = 0.03


def source_of(way: Way) -> Tokens:
    """Tokens that say how long they live, and that the broker takes."""
    broker = way.broker
    if isinstance(broker, RabbitMQ):
        return Tokens(lambda _: broker.mint(LIFE))

    def password(before: int) -> str:
        # What it holds no broker has to understand: our client does.
        claims = {"sub": "ada", "exp": time.time() + LIFE, "jti": secrets.token_hex(8)}
        token = jwt.encode(claims, "a key of at least thirty-two bytes", "HS256")
        broker.change_passwords({**broker.passwords, "ada": token})
        return token

    return Tokens(password)


class Keys:
    """What two copies of a message have in common, and what was looked at for it.

    RabbitMQ counts its messages anew on each connection, and what our client sends has a key of its
    own; ActiveMQ's ids are a message's own.
    """

    def __init__(self, way: Way) -> None:
        self._header = "message-key" if isinstance(way.broker, RabbitMQ) else "message-id"
        self.seen: list[str] = []

    def __call__(self, frame: Frame) -> str:
        self.seen.append(frame.headers[self._header])
        return self.seen[-1]

    @property
    def copies(self) -> int:
        """How many messages have come by both connections."""
        return len(self.seen) - len(set(self.seen))


async def keep(messages: Subscription, got: list[ReceivedMessage]) -> None:
    """Keep every message."""
    async for message in messages:
        got.append(message)


async def consume(messages: Subscription, texts: list[str]) -> None:
    """Acknowledge each message, and keep those that could be: the others come again."""
    async for message in messages:
        with contextlib.suppress(StaleEpoch):
            await message.ack()
            texts.append(message.text)


@pytest.mark.parametrize("handover", Handover, ids=lambda each: each.value)
def test_a_handover_is_not_noticed(
    runtime: Runtime, ways: list[Way], queue: str, topic: str, handover: Handover
) -> None:
    refresh = Refresh(earliest=0.25, latest=0.35, handover=handover)

    async def one(way: Way, wire: Wire) -> None:
        tokens = source_of(way)
        room, work, out = f"{topic}-{way.port}", f"{queue}-{way.port}", f"{topic}-{way.port}-out"
        keys = Keys(way)
        async with (
            way.connect(runtime) as bob,
            way.through(wire).connect(runtime, tokens, config=config(refresh=refresh)) as ada,
            ada.subscribe(room, duplicate_key=keys) as of_topic,
            ada.subscribe(work, ack="client-individual") as of_queue,
            bob.subscribe(out) as answers,
            runtime.background() as background,
        ):
            life = watch(ada, background)
            heard: list[str] = []
            done: list[str] = []
            got: list[ReceivedMessage] = []
            background.start(lambda: collect(of_topic, heard))
            background.start(lambda: consume(of_queue, done))
            background.start(lambda: keep(answers, got))
            said, given = Talker(runtime, bob, room), Talker(runtime, bob, work)
            mine = Talker(runtime, ada, out)
            talkers = (said, given, mine)
            for talker in talkers:
                background.start(talker.run)
            await runtime.until(lambda: len(life.beginnings) >= 2, PATIENCE)
            for talker in talkers:
                await talker.stop()

            # Of a queue nothing is lost or doubled; while both connections take from it, their
            # messages may overtake one another.
            await runtime.until(lambda: set(done) >= set(given.sent), PATIENCE)
            # A broker that just drops the connection (RabbitMQ's Web STOMP, when its flow control
            # meets its heart-beats) has not read what we sent last, and may deliver it again.
            was_dropped = any(not (each.ending.clean or each.ending.close) for each in life.ends)
            if was_dropped:
                done = list(dict.fromkeys(done))
            assert (done if handover is Handover.BREAK else sorted(done, key=int)) == given.sent
            if handover is Handover.OVERLAP:
                await runtime.until(lambda: heard[-1:] == said.sent[-1:], PATIENCE)
                assert heard == said.sent
                assert keys.copies > 0
            else:  # nobody keeps what is said while she is away, and that is all she misses
                assert heard == sorted(set(heard), key=int)
            await runtime.until(lambda: got and got[-1].text == mine.sent[-1], PATIENCE)
            texts = [message.text for message in got]
            assert (list(dict.fromkeys(texts)) if was_dropped else texts) == mine.sent

            assert tokens.reasons[:3] == [TokenReason.INITIAL, TokenReason.AHEAD, TokenReason.AHEAD]
            assert {each.outcome for each in life.ends} == {Outcome.RENEW}
            assert ada.status is Status.ONLINE
            assert life.statuses == []

    async def body(runtime: Runtime) -> None:
        with ExitStack() as stack:
            wires = [stack.enter_context(Wire(way.port, LATENCY)) for way in ways]
            await together(runtime, *map(partial, [one] * len(ways), ways, wires))

    runtime.run(body)
