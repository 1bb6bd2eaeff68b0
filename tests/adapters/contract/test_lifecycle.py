"""Connect, expire, refresh, resubscribe: the lifecycle as a user of the client sees it."""

from __future__ import annotations

import time
from typing import Any

from tests.adapters.contract.conftest import Tls
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.world import FAST, QUICK, ROOM, collect, url

from stompcore import ClientEvent, ConnectionEnded, Outcome, Resubscribed, TokenReason


def test_expiry_is_not_noticed(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=0.5)
        async with runtime.serve(config=QUICK) as server:
            async with (
                runtime.connect(url(server, transport), token=tokens, config=FAST) as client,
                runtime.connect(url(server, transport), token=mint("bob")) as other,
                client.subscribe(ROOM) as messages,
                other.subscribe(ROOM) as copies,
                runtime.background() as background,
            ):
                got: list[str] = []
                seen: list[str] = []
                background.start(lambda: collect(messages, got))
                background.start(lambda: collect(copies, seen))
                sent: list[str] = []
                while len(tokens.requests) < 3:
                    sent.append(f"message {len(sent)}")
                    await client.send(ROOM, sent[-1])
                    await runtime.sleep(0.02)
                await runtime.until(lambda: len(seen) == len(sent) and got[-1] == sent[-1])
                # Every message arrived once, in order, at somebody who never lost the connection.
                assert seen == sent
                # Its sender lost one connection after the other, and heard nothing twice. (A copy
                # that is queued for it as it expires must not leave, though its RECEIPT does.)
                assert got == [text for text in sent if text in got]
                assert len(got) >= len(sent) - 2
                # One new token for each that expired.
                assert tokens.reasons == [
                    TokenReason.INITIAL,
                    TokenReason.EXPIRED,
                    TokenReason.EXPIRED,
                ]
        assert len(server.hub) == 0

    runtime.run(body)


def test_the_message_at_the_expiry_arrives_once(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=0.5)
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=tokens, config=FAST) as client,
            runtime.connect(url(server, transport), token=mint("bob")) as other,
            other.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            valid_until = min(each.valid_until for each in server.hub)
            await runtime.sleep(max(0.0, valid_until - time.time()))
            await client.send(ROOM, "on the stroke of it")
            await client.send(ROOM, "after it")
            await runtime.until(lambda: len(got) >= 2)
            assert got == ["on the stroke of it", "after it"]

    runtime.run(body)


def test_the_events_tell_the_story(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        seen: list[ClientEvent] = []
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(
                url(server, transport), token=TokenServer(ttl=0.5), config=FAST
            ) as client,
            client.subscribe(ROOM) as first,
            client.subscribe("/topic/other") as second,
            runtime.background() as background,
        ):

            async def watch() -> None:
                async for event in client.events():
                    seen.append(event)

            background.start(watch)
            await runtime.until(lambda: any(isinstance(each, Resubscribed) for each in seen))
        ended = next(each for each in seen if isinstance(each, ConnectionEnded))
        assert ended.outcome is Outcome.REFRESH
        assert ended.ending.error is not None
        assert ended.ending.error.message == "Token Expired"
        if transport == "ws":
            assert ended.ending.close is not None
            assert (ended.ending.close.code, ended.ending.close.reason) == (3000, "Token Expired")
        again = next(each for each in seen if isinstance(each, Resubscribed))
        assert again.subscriptions == (first.id, second.id)
        assert again.epoch == ended.epoch + 1

    runtime.run(body)


def test_over_tls(runtime: Runtime, transport: str, tls: Tls) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=0.5)
        async with runtime.serve(config=QUICK, ssl=tls.server) as server:
            address = url(server, transport)
            assert address.startswith({"ws": "wss://", "tcp": "stomps://"}[transport])
            async with (
                runtime.connect(address, token=tokens, ssl=tls.client, config=FAST) as client,
                runtime.connect(address, token=mint("bob"), ssl=tls.client) as other,
                other.subscribe(ROOM) as messages,
                runtime.background() as background,
            ):
                got: list[str] = []
                sent: list[str] = []
                background.start(lambda: collect(messages, got))
                while len(tokens.requests) < 2:
                    sent.append(f"message {len(sent)}")
                    await client.send(ROOM, sent[-1])
                    await runtime.sleep(0.02)
                await client.send(ROOM, "x" * 900 * 1024)
                await runtime.until(lambda: len(got) > len(sent))
                assert got[:-1] == sent

    runtime.run(body)


def test_both_transports_are_one_server(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "ws"), token=mint("alice")) as alice,
            runtime.connect(url(server, "tcp"), token=mint("bob")) as bob,
            alice.subscribe(ROOM) as to_alice,
            bob.subscribe(ROOM) as to_bob,
        ):
            await alice.send(ROOM, "from a browser")
            await bob.send(ROOM, "from a service")
            server.publish(ROOM, b"from the server")
            for messages in (to_alice, to_bob):
                texts = [(await anext(messages)).text for _ in range(3)]
                assert texts == ["from a browser", "from a service", "from the server"]

    runtime.run(body)


def test_big_and_binary(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        big = bytes(range(256)) * 3600
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint()) as client,
            client.subscribe(ROOM) as messages,
        ):
            for _ in range(3):
                await client.send(ROOM, big)
                assert (await anext(messages)).body == big

    runtime.run(body)


def test_order_of_every_sender(runtime: Runtime, transport: str) -> None:
    """Twenty senders at once, and the connection expires under them."""

    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint()) as reader,
            runtime.connect(
                url(server, transport), token=TokenServer(ttl=0.5), config=FAST
            ) as client,
            reader.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))

            def sender(name: int) -> Any:
                async def send_many() -> None:
                    for number in range(100):
                        await client.send(ROOM, f"{name}:{number}")
                        await runtime.sleep(0.005)

                return send_many

            for name in range(20):
                background.start(sender(name))
            await runtime.until(lambda: len(got) >= 2000, 15.0)
            for name in range(20):
                mine = [text for text in got if text.startswith(f"{name}:")]
                assert mine == [f"{name}:{number}" for number in range(100)]

    runtime.run(body)
