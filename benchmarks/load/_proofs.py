"""The proofs: each puts one server under one kind of load, and returns what it has measured."""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from typing import TypeAlias

from benchmarks.load._crowd import Crowd, Prober, opening, until
from benchmarks.load._peer import HALF_HANDSHAKE, NEVER, Peer, frame
from benchmarks.load._serving import serving

__all__ = ["Figures", "drain", "expiry", "idle", "silent", "slow"]

Figures: TypeAlias = dict[str, float | int | str]

_MEBIBYTE = 1024 * 1024
_WINDOW = 16

# Of `stompcore serve`, in seconds.
_HEART_BEAT = 10.0
_LOGIN_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 5.0
_BACKLOG_TIMEOUT = 10.0


def _openings(name: str, count: int, destination: str, **options: float | str) -> list[bytes]:
    """For so many users, each with a token of its own, all subscribed to `destination`."""
    return [
        opening(f"{name}-{number}", destination, **options)  # type: ignore[arg-type]
        for number in range(count)
    ]


async def _publish(peer: Peer, destination: str, count: int, size: int) -> None:
    """Send so many numbered messages, at most `_WINDOW` of them unconfirmed at a time."""
    receipts = peer.receipts
    for number in range(count):
        body = (b"%08d" % number).ljust(size, b".")
        peer.write(frame("SEND", body, destination=destination, receipt="sent"))
        wanted = receipts + max(0, number + 2 - _WINDOW)
        await until("receipts have come", partial(_has_receipts, peer, wanted))
    await until("all receipts have come", partial(_has_receipts, peer, receipts + count))


def _has_receipts(peer: Peer, count: int) -> bool:
    return peer.receipts >= count


def _ended(peers: list[Peer]) -> int:
    """How many connections are over."""
    return sum(peer.ended_at < NEVER for peer in peers)


def _missed(peers: list[Peer], count: int) -> int:
    """Of `count` messages to each, how many did not come, or came out of order."""
    return sum(abs(count - peer.messages) + peer.gaps for peer in peers)


async def idle(runtime: str, sessions: int, hold: float) -> Figures:
    """Sessions that do nothing but beat stay up for `hold` seconds; a message reaches them all."""
    with serving(runtime, connections=sessions) as server, Crowd(server.address) as crowd:
        (publisher,) = await crowd.join([opening("publisher", "/topic/own")])
        beating = asyncio.create_task(crowd.keep_beating(_HEART_BEAT))
        beats = f"{_HEART_BEAT * 1000:.0f},{_HEART_BEAT * 1000:.0f}"
        openings = _openings("user", sessions, "/topic/all", heart_beat=beats)
        memory, busy = server.memory(), server.processor_seconds()
        started_at = time.time()
        peers = await crowd.join(openings)
        connected_at, connected_busy = time.time(), server.processor_seconds()
        connected_memory = server.memory()
        prober = Prober(server.address, interval=0.02)
        prober.start()
        await asyncio.sleep(hold)
        prober.stop()
        held_at, held_busy = time.time(), server.processor_seconds()
        await _publish(publisher, "/topic/all", 1, 100)
        await until(
            "the message has reached every session",
            lambda: sum(peer.messages for peer in peers) + _ended(peers) >= sessions,
        )
        beating.cancel()
        reached_at = [peer.message_at - held_at for peer in peers if peer.messages == 1]
        return {
            "sessions": sessions,
            "connects_per_second": sessions / (connected_at - started_at),
            "server_ms_per_connect": 1000 * (connected_busy - busy) / sessions,
            "memory_per_session_kib": (connected_memory - memory) / sessions / 1024,
            "peak_memory_mib": server.memory("VmHWM") / _MEBIBYTE,
            "first_held_seconds": held_at - started_at,
            "last_held_seconds": held_at - connected_at,
            "processors_while_held": (held_busy - connected_busy) / hold,
            "worst_round_trip_ms": 1000 * prober.worst(connected_at, held_at),
            "with_a_heart_beat": sum(peer.beats > 0 for peer in peers),
            "lost": _ended(peers),
            "reached": len(reached_at),
            "first_reached_ms": 1000 * min(reached_at),
            "all_reached_ms": 1000 * max(reached_at),
        }


async def expiry(runtime: str, sessions: int, lead: float) -> Figures:
    """Sessions whose tokens expire in the same second are cut; another one goes on as before.

    Args:
        runtime: "asyncio" or "trio".
        sessions: how many expire.
        lead: their tokens are good for so many seconds, and they connect within them.
    """
    with serving(runtime, connections=sessions) as server, Crowd(server.address) as crowd:
        prober = Prober(server.address)
        prober.start()
        expires_at = math.ceil(time.time() + lead)
        peers = await crowd.join(_openings("user", sessions, "/topic/all", expires_at=expires_at))
        connected_at = time.time()
        if connected_at > expires_at - 1:
            raise RuntimeError("it took too long to connect them all: raise --lead")
        await until("every session is cut", lambda: _ended(peers) == sessions, timeout=lead + 30.0)
        ended_at = max(peer.ended_at for peer in peers)
        await asyncio.sleep(0.2)
        prober.stop()
        told_at = [peer.told_at for peer in peers]
        return {
            "sessions": sessions,
            "first_cut_seconds": min(told_at) - expires_at,
            "last_cut_seconds": max(told_at) - expires_at,
            "last_ended_seconds": ended_at - expires_at,
            "told_token_expired": sum(peer.error_code == "token-expired" for peer in peers),
            "closed_3000": sum(peer.close_code == 3000 for peer in peers),
            "worst_round_trip_before_ms": 1000 * prober.worst(connected_at, expires_at - 0.2),
            "worst_round_trip_ms": 1000 * prober.worst(expires_at - 0.2, ended_at + 0.1),
        }


async def drain(runtime: str, sessions: int, lagging: int) -> Figures:
    """SIGTERM while messages are on their way: they arrive, then each is told 1001, in its turn.

    Args:
        runtime: "asyncio" or "trio".
        sessions: how many read at once what they get.
        lagging: how many more do so only after the SIGTERM, so that their messages are queued.
    """
    total, count = sessions + lagging, 4
    with serving(runtime, connections=total) as server, Crowd(server.address) as crowd:
        (publisher,) = await crowd.join([opening("publisher", "/topic/own")])
        peers = await crowd.join(_openings("user", sessions, "/topic/all"))
        late = await crowd.join(_openings("late", lagging, "/topic/late"), is_narrow=True)
        for peer in late:
            peer.transport.pause_reading()
        await _publish(publisher, "/topic/late", count, 128 * 1024)
        await _publish(publisher, "/topic/all", count, 1024)
        server.terminate()
        drained_at = time.time()
        while await _accepts(server.address):
            await asyncio.sleep(0.01)
        refused_at = time.time()
        for peer in late:
            peer.transport.resume_reading()
        await until("every connection is over", lambda: _ended(crowd.peers) == total + 1)
        await until("the process is over", lambda: server.process.poll() is not None)
        exited_at = time.time()
        told_at = sorted(peer.told_at - drained_at for peer in crowd.peers)
        return {
            "sessions": len(crowd.peers),
            "closed_1001": sum(peer.close_code == 1001 for peer in crowd.peers),
            "told_going_away": sum(peer.error_code == "going-away" for peer in crowd.peers),
            "missed": _missed([*peers, *late], count),
            "refused_seconds": refused_at - drained_at,
            "first_told_seconds": told_at[0],
            "last_told_seconds": told_at[-1],
            "most_told_in_half_a_second": _busiest(told_at, 0.5),
            "exited_seconds": exited_at - drained_at,
            "exit_status": server.process.returncode,
        }


async def _accepts(address: tuple[str, int]) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except OSError:  # refused, or reset: it stood in the backlog of a listener that then closed
        return False
    writer.close()
    return True


def _busiest(instants: list[float], width: float) -> int:
    """How many of the sorted `instants` lie in the fullest stretch of `width` seconds."""
    most, first = 0, 0
    for last, instant in enumerate(instants):
        while instant - instants[first] > width:
            first += 1
        most = max(most, last - first + 1)
    return most


async def slow(runtime: str, sessions: int, flood: int) -> Figures:
    """Subscribers that do not read are cut, by bytes and by time; those that do miss nothing.

    Args:
        runtime: "asyncio" or "trio".
        sessions: how many read everything, and as many do not.
        flood: how many KiB are sent to each.
    """
    size = 4096
    count, half = flood * 1024 // size, sessions // 2
    with serving(runtime, connections=2 * sessions) as server, Crowd(server.address) as crowd:
        (publisher,) = await crowd.join([opening("publisher", "/topic/own")])
        good = await crowd.join(_openings("good", sessions, "/topic/flood"))
        flooded = await crowd.join(_openings("slow", half, "/topic/flood"), is_narrow=True)
        stalled = await crowd.join(_openings("still", half, "/topic/some"), is_narrow=True)
        descriptors, memory = server.descriptors(), server.memory()
        for peer in [*flooded, *stalled]:
            peer.transport.pause_reading()
        # Some, and no more: their backlog stays under its limit, and never gets shorter.
        await _publish(publisher, "/topic/some", 12, 64 * 1024)
        stalled_at = time.time()
        prober = Prober(server.address, interval=0.02)
        prober.start()
        await _publish(publisher, "/topic/flood", count, size)
        await until(
            "the flood has reached those who read",
            lambda: sum(peer.messages for peer in good) >= count * len(good),
        )
        received_at = time.time()
        prober.stop()

        def count_cut() -> int:
            return server.log.count(" error_code=slow-consumer ")

        # Half of them read again once they are cut: they learn why.
        await until("those who were flooded are cut", lambda: count_cut() >= half)
        cut_by_bytes_at, cut_by_bytes = time.time(), count_cut()
        for peer in flooded[::2]:
            peer.transport.resume_reading()
        await until(
            "those who stand still are cut",
            lambda: count_cut() >= 2 * half,
            timeout=_BACKLOG_TIMEOUT + 10.0,
        )
        cut_by_time_at = time.time()
        for peer in stalled[::2]:
            peer.transport.resume_reading()
        woken = [*flooded[::2], *stalled[::2]]
        await until("those who read again are told", lambda: _ended(woken) == len(woken))
        await until(
            "the server has dropped those who do not",
            lambda: server.descriptors() <= descriptors - 2 * half,
            timeout=_CLOSE_TIMEOUT + 10.0,
        )
        return {
            "reading": len(good),
            "not_reading": 2 * half,
            "messages_each": count,
            "megabytes_per_second": size * count * len(good) / (received_at - stalled_at) / 1e6,
            "worst_round_trip_ms": 1000 * prober.worst(stalled_at, received_at),
            "missed_by_readers": _missed(good, count),
            "readers_lost": _ended(good),
            "cut_by_bytes": cut_by_bytes,
            "cut_by_bytes_seconds": cut_by_bytes_at - stalled_at,
            "cut": count_cut(),
            "cut_by_time_seconds": cut_by_time_at - stalled_at,
            "reading_again": len(woken),
            "told_slow_consumer": sum(peer.error_code == "slow-consumer" for peer in woken),
            "closed_1008": sum(peer.close_code == 1008 for peer in woken),
            "memory_before_mib": memory / _MEBIBYTE,
            "peak_memory_mib": server.memory("VmHWM") / _MEBIBYTE,
        }


async def silent(runtime: str, sessions: int) -> Figures:
    """Connections that never finish the handshake, and such that never log in, are closed.

    Half of each kind answer the server's farewell, the others leave it to hang up.
    """
    half = [b""] * (sessions // 2)
    with serving(runtime, connections=2 * sessions) as server, Crowd(server.address) as crowd:
        descriptors, started_at = server.descriptors(), time.time()
        unfinished = await crowd.join(half, handshake=HALF_HANDSHAKE)
        unfinished += await crowd.join(half, handshake=HALF_HANDSHAKE, lingers=True)
        anonymous = await crowd.join(half)
        anonymous += await crowd.join(half, lingers=True)
        connected_at = time.time()
        await until(
            "every silent peer is told",
            lambda: all(peer.told_at < NEVER for peer in crowd.peers),
            timeout=_LOGIN_TIMEOUT + 10.0,
        )
        await until(
            "every connection is gone",
            lambda: server.descriptors() <= descriptors,
            timeout=_CLOSE_TIMEOUT + 10.0,
        )
        gone_at = time.time()
        return {
            "of_each_kind": len(unfinished),
            "told_408": sum(peer.status == "408" for peer in unfinished),
            "first_told_408_seconds": min(peer.told_at for peer in unfinished) - started_at,
            "last_told_408_seconds": max(peer.told_at for peer in unfinished) - connected_at,
            "told_login_timeout": sum(peer.error_code == "login-timeout" for peer in anonymous),
            "closed_3008": sum(peer.close_code == 3008 for peer in anonymous),
            "first_told_3008_seconds": min(peer.told_at for peer in anonymous) - started_at,
            "last_told_3008_seconds": max(peer.told_at for peer in anonymous) - connected_at,
            "all_gone_seconds": gone_at - connected_at,
        }
