"""The lifecycle over real sockets, on each runtime and each transport."""

from __future__ import annotations

import ssl
import time

import pytest
import trustme
from tests.adapters.contract.runtime import (
    QUICK,
    Runtime,
    TokenServer,
    collect,
    mint,
    port,
    raw_connect,
    url,
)

from stompcore import ConnectionEnded, Resubscribed, TokenReason

ROOM = "/topic/room"


def test_expiry_is_not_noticed(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=1.0)
        async with runtime.serve(config=QUICK) as server:
            async with (
                runtime.connect(url(server, transport), token=tokens) as client,
                runtime.connect(url(server, transport), token=mint("bob")) as other,
                client.subscribe(ROOM) as messages,
                other.subscribe(ROOM) as copies,
                runtime.background() as background,
            ):
                got: list[str] = []
                seen: list[str] = []
                background.start(lambda: collect(messages, got))
                background.start(lambda: collect(copies, seen))
                texts = [f"message {number}" for number in range(50)]
                for text in texts:
                    await client.send(ROOM, text)
                    await runtime.sleep(0.05)
                await runtime.until(lambda: len(seen) == len(texts))
                # Every message arrived once, in order, at somebody who never lost the connection.
                assert seen == texts
                # Its sender missed nothing either: it was subscribed before it sent again.
                assert got == texts
                assert len(tokens.requests) == 3
                assert [each.reason for each in tokens.requests] == [
                    TokenReason.INITIAL,
                    TokenReason.EXPIRED,
                    TokenReason.EXPIRED,
                ]
        assert len(server.hub) == 0

    runtime.run(body)


def test_the_message_at_the_expiry(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=1.0)
        async with runtime.serve(config=QUICK) as server:
            async with (
                runtime.connect(url(server, transport), token=tokens) as client,
                client.subscribe(ROOM) as messages,
                runtime.background() as background,
            ):
                got: list[str] = []
                background.start(lambda: collect(messages, got))
                valid_until = next(iter(server.hub)).valid_until
                await runtime.sleep(max(0.0, valid_until - time.time()))
                await client.send(ROOM, "on the stroke of it")
                await runtime.until(lambda: got)
                assert got == ["on the stroke of it"]

    runtime.run(body)


def test_the_events_tell_the_story(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=0.5)
        seen = []

        async with runtime.serve(config=QUICK) as server:
            async with (
                runtime.connect(url(server, transport), token=tokens) as client,
                runtime.background() as background,
            ):

                async def watch() -> None:
                    async for event in client.events():
                        seen.append(event)

                background.start(watch)
                await runtime.until(lambda: any(isinstance(each, Resubscribed) for each in seen))
        ended = next(each for each in seen if isinstance(each, ConnectionEnded))
        assert ended.ending.error is not None
        assert ended.ending.error.message == "Token Expired"
        if transport == "ws":
            assert ended.ending.close is not None
            assert (ended.ending.close.code, ended.ending.close.reason) == (3000, "Token Expired")

    runtime.run(body)


def test_a_subscriber_that_only_listens_is_cut_off(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "tcp"), token=mint("talker")) as talker,
        ):
            raw = await runtime.dial(port(server, "tcp"))
            expires_at = time.time() + 1.0
            await raw.send(raw_connect(mint("listener", exp=expires_at)))
            await raw.send(f"SUBSCRIBE\nid:0\ndestination:{ROOM}\nreceipt:r\n\n\0".encode())
            await raw.read_until(b"receipt-id:r")
            await talker.send(ROOM, "in time")
            received = await raw.read_until(b"in time")
            received += await raw.read_all()
            cut_at = time.time()
            assert expires_at <= cut_at < expires_at + 1.0
            assert b"message:Token Expired" in received
            assert len(server.hub) == 1
            await talker.send(ROOM, "too late")
            assert b"too late" not in received + await raw.read_all()
            await raw.close()

    runtime.run(body)


@pytest.mark.parametrize("transport", ["ws", "tcp"])
def test_over_tls(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        authority = trustme.CA()
        theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(theirs)
        ours = ssl.create_default_context()
        authority.configure_trust(ours)
        tokens = TokenServer(ttl=0.8)
        async with runtime.serve(config=QUICK, ssl=theirs) as server:
            address = url(server, transport).replace("127.0.0.1", "localhost")
            assert address.startswith({"ws": "wss://", "tcp": "stomps://"}[transport])
            async with (
                runtime.connect(address, token=tokens, ssl=ours) as client,
                client.subscribe(ROOM) as messages,
                runtime.background() as background,
            ):
                got: list[str] = []
                background.start(lambda: collect(messages, got))
                for number in range(20):
                    await client.send(ROOM, str(number))
                    await runtime.sleep(0.06)
                await runtime.until(lambda: len(got) == 20)
                assert got == [str(number) for number in range(20)]
                assert len(tokens.requests) >= 2

    runtime.run(body)


def test_big_and_binary(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        big = bytes(range(256)) * 3600
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint()) as client,
            client.subscribe(ROOM) as messages,
        ):
            await client.send(ROOM, big)
            async for message in messages:
                assert message.body == big
                break

    runtime.run(body)


def test_order_of_every_sender(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=1.0)
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint()) as reader,
            runtime.connect(url(server, transport), token=tokens) as client,
            reader.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))

            async def send_many(sender: int) -> None:
                for number in range(60):
                    await client.send(ROOM, f"{sender}:{number}")
                    await runtime.sleep(0.01)

            for sender in range(20):
                background.start(lambda sender=sender: send_many(sender))
            await runtime.until(lambda: len(got) >= 1200, 15.0)
            for sender in range(20):
                mine = [text for text in got if text.startswith(f"{sender}:")]
                assert mine == [f"{sender}:{number}" for number in range(60)]

    runtime.run(body)
