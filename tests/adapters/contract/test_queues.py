"""Queues over real connections: their flow, who shares them, and what comes back to them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.adapters.contract.peers import Peer, ended, logged_in, send_frame
from tests.adapters.contract.runtime import Runtime

from stompcore import HeartBeat, Limits, ServerConfig

JOBS = "/queue/jobs"
CONFIG = ServerConfig(
    heart_beat=HeartBeat(send_interval=0, receive_interval=0), limits=Limits(close_timeout=0.5)
)


def session(server: Any, subject: str) -> Any:
    """The session of this user."""
    return next(each for each in server.hub if each.identity.subject == subject)


def acks(peer: Peer) -> list[str]:
    """The `ack` headers of what came, in order."""
    return [found for frame in peer.frames for found in re.findall(r"\nack:(.*)", frame)]


def is_redelivered(peer: Peer) -> list[bool]:
    """Of what came, in order."""
    messages = [frame for frame in peer.frames if frame.startswith("MESSAGE\n")]
    return ["\nredelivered:true\n" in frame for frame in messages]


async def answer(peer: Peer, command: str, ack: str) -> None:
    """ACK or NACK, and wait until that is done."""
    receipt = f"answer {len(peer.frames)}"
    await peer.send(f"{command}\nid:{ack}\nreceipt:{receipt}\n\n\0".encode())
    await peer.until(f"receipt-id:{receipt}\n")


@pytest.mark.parametrize("is_there_before", [True, False], ids=["listener first", "backlog first"])
def test_five_megabytes_flow(runtime: Runtime, transport: str, is_there_before: bool) -> None:
    """More than a session's backlog may hold: the queue keeps it, and hands it out as it leaves."""

    async def body(runtime: Runtime) -> None:
        count, padding = 500, "x" * 10_000
        async with runtime.serve(config=CONFIG) as server:
            mine = await logged_in(runtime, server, transport)
            if is_there_before:
                await mine.hear("0", JOBS)
            for number in range(count):
                server.publish(JOBS, f"{padding}{number}".encode())
            if not is_there_before:
                await mine.hear("0", JOBS)
            own = session(server, "alice")
            most = 0
            while len(mine.frames) < count + 2:
                most = max(most, own.bytes_queued)
                assert await mine.read()
                await runtime.sleep(0)
            numbers = [int(text.rpartition("x")[2]) for text in mine.bodies()]
            assert numbers == list(range(count))
            assert most < 128 * 1024
            assert not any(is_redelivered(mine))
            await runtime.until(lambda: server.hub.snapshot().queued_messages == 0)
            assert server.hub.snapshot().slow_consumers == 0
            await mine.raw.close()

    runtime.run(body)


def test_a_client_puts_another_takes(runtime: Runtime, transport: str) -> None:
    """Nobody has to be there at the same time."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=CONFIG) as server:
            putter = await logged_in(runtime, server, transport, "putter")
            for number in range(20):
                await putter.send(send_frame(JOBS, str(number), receipt=f"r{number}"))
            await putter.until("receipt-id:r19\n")
            await putter.raw.close()
            await runtime.until(lambda: len(server.hub) == 0)
            taker = await logged_in(runtime, server, transport, "taker")
            await taker.hear("0", JOBS)
            assert await taker.messages(20) == [str(number) for number in range(20)]
            await taker.raw.close()

    runtime.run(body)


def test_two_share(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=CONFIG) as server:
            consumers = [await logged_in(runtime, server, transport, name) for name in "ab"]
            for each in consumers:
                await each.hear("0", JOBS)
            for number in range(100):
                server.publish(JOBS, str(number).encode())
            shares = [await each.messages(50) for each in consumers]
            assert shares == [[str(n) for n in range(start, 100, 2)] for start in (0, 1)]
            for each in consumers:
                await each.raw.close()

    runtime.run(body)


def test_what_a_lost_consumer_had_goes_to_the_next(runtime: Runtime, transport: str) -> None:
    """In order, behind nothing that came later; only what it may have read is a second try."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=CONFIG) as server:
            first = await logged_in(runtime, server, transport, "first")
            await first.hear("0", JOBS, ack="client-individual", prefetch_count="10")
            for number in range(30):
                server.publish(JOBS, str(number).encode())
            await first.messages(10)
            await answer(first, "ACK", acks(first)[3])
            await first.messages(11)
            await first.raw.close()  # without a word, and ten of them are not acknowledged
            await runtime.until(lambda: len(server.hub) == 0)
            second = await logged_in(runtime, server, transport, "second")
            await second.hear("0", JOBS)
            rest = [number for number in range(30) if number != 3]
            assert await second.messages(29) == [str(number) for number in rest]
            assert is_redelivered(second) == [number <= 10 for number in rest]
            assert server.hub.snapshot().queued_messages == 0
            await second.raw.close()

    runtime.run(body)


def test_what_never_left_goes_to_the_next(runtime: Runtime, transport: str) -> None:
    """The consumer acknowledges nothing: what was handed to the network is consumed, no more."""

    async def body(runtime: Runtime) -> None:
        count, padding = 400, "x" * 20_000  # more than sockets hold
        async with runtime.serve(config=CONFIG) as server:
            deaf = await logged_in(runtime, server, transport, "deaf")
            await deaf.send(b"SUBSCRIBE\nid:0\ndestination:/queue/jobs\n\n\0")
            await runtime.until(lambda: len(server.hub.broker) == 1)
            for number in range(count):
                server.publish(JOBS, f"{padding}{number}".encode())
            await runtime.sleep(0.05)
            await deaf.raw.close()
            await runtime.until(lambda: len(server.hub) == 0)
            left = server.hub.snapshot().queued_messages
            assert 0 < left < count
            second = await logged_in(runtime, server, transport, "second")
            await second.hear("0", JOBS)
            while len(second.frames) < left + 2:
                assert await second.read()
            numbers = [int(text.rpartition("x")[2]) for text in second.bodies()]
            assert numbers == list(range(count - left, count))
            assert not any(is_redelivered(second))
            await second.raw.close()

    runtime.run(body)


@pytest.mark.parametrize("ack", ["auto", "client"])
def test_what_a_revoked_consumer_never_got(runtime: Runtime, transport: str, ack: str) -> None:
    """It was on its way to the network, and must not leave on a token that is worth nothing."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=CONFIG) as server:
            first = await logged_in(runtime, server, transport, "first")
            await first.hear("0", JOBS, ack=ack)
            for number in range(5):
                server.publish(JOBS, str(number).encode())
            server.revoke(subject="first")
            assert await ended(first) == "token-revoked"
            assert first.bodies() == []
            second = await logged_in(runtime, server, transport, "second")
            await second.hear("0", JOBS)
            assert await second.messages(5) == [str(number) for number in range(5)]
            assert not any(is_redelivered(second))
            await second.raw.close()

    runtime.run(body)


def test_who_does_not_read_is_cut_and_the_next_has_it_all(runtime: Runtime) -> None:
    """What is left in a queue waits for its consumer, but not for ever."""

    async def body(runtime: Runtime) -> None:
        limits = Limits(send_backlog_timeout=0.3, close_timeout=0.2)
        config = ServerConfig(heart_beat=CONFIG.heart_beat, limits=limits)
        count, padding = 400, "x" * 20_000
        async with runtime.serve(config=config) as server:
            sloth = await logged_in(runtime, server, "tcp", "sloth")
            await sloth.send(b"SUBSCRIBE\nid:0\ndestination:/queue/jobs\nack:client\n\n\0")
            await runtime.until(lambda: len(server.hub.broker) == 1)
            for number in range(count):
                server.publish(JOBS, f"{padding}{number}".encode())
            await runtime.until(lambda: len(server.hub) == 0)
            assert server.hub.snapshot().slow_consumers == 1
            second = await logged_in(runtime, server, "tcp", "second")
            await second.hear("0", JOBS)
            while len(second.frames) < count + 2:
                assert await second.read()
            numbers = [int(text.rpartition("x")[2]) for text in second.bodies()]
            assert numbers == list(range(count))
            again = is_redelivered(second)
            assert again == sorted(again, reverse=True)  # those that left come first
            assert 0 < sum(again) < count
            for each in (sloth, second):
                await each.raw.close()

    runtime.run(body)


def test_acknowledgements(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=CONFIG) as server:
            mine = await logged_in(runtime, server, transport)
            await mine.hear("0", JOBS, ack="client-individual", prefetch_count="1")
            for text in "abc":
                server.publish(JOBS, text.encode())
            assert await mine.messages(1) == ["a"]
            await answer(mine, "ACK", acks(mine)[0])
            assert await mine.messages(2) == ["a", "b"]
            await answer(mine, "NACK", acks(mine)[1])
            assert await mine.messages(3) == ["a", "b", "b"]
            await answer(mine, "ACK", acks(mine)[2])
            assert await mine.messages(4) == ["a", "b", "b", "c"]
            assert is_redelivered(mine) == [False, False, True, False]
            assert server.hub.snapshot().queued_messages == 1
            await answer(mine, "ACK", acks(mine)[3])
            assert server.hub.snapshot().queued_messages == 0
            await mine.raw.close()

    runtime.run(body)


def test_one_that_nobody_can_do_is_a_dead_letter(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=CONFIG) as server:
            operator = await logged_in(runtime, server, transport, "operator")
            await operator.hear("dead", "/queue/dead-letters")
            mine = await logged_in(runtime, server, transport)
            await mine.hear("0", JOBS, ack="client")
            server.publish(JOBS, b"poison")
            for count in range(1, CONFIG.limits.deliveries + 1):
                await mine.messages(count)
                await answer(mine, "NACK", acks(mine)[-1])
            server.publish(JOBS, b"food")
            await mine.messages(CONFIG.limits.deliveries + 1)
            assert mine.bodies()[-2:] == ["poison", "food"]
            assert await operator.messages(1, "dead") == ["poison"]
            assert f"\noriginal-destination:{JOBS}\n" in operator.frames[-1]
            for each in (operator, mine):
                await each.raw.close()

    runtime.run(body)


def test_a_full_queue_refuses(runtime: Runtime, transport: str) -> None:
    """Whoever put too much in hears so; who had put something in before does not."""

    async def body(runtime: Runtime) -> None:
        config = ServerConfig(heart_beat=CONFIG.heart_beat, limits=Limits(queue_messages=2))
        async with runtime.serve(config=config) as server:
            patient = await logged_in(runtime, server, transport, "patient")
            greedy = await logged_in(runtime, server, transport, "greedy")
            for each in (patient, greedy, greedy):
                await each.send(send_frame(JOBS, "x", receipt="r"))
                await runtime.sleep(0.01)
            assert await ended(greedy) == "limit-exceeded"
            await patient.send(send_frame("/topic/room", "still here", receipt="s"))
            await patient.until("receipt-id:s\n")
            assert server.hub.snapshot().queued_messages == 2
            await patient.raw.close()

    runtime.run(body)
