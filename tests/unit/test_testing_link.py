"""A wire, and all that can go wrong on one."""

from __future__ import annotations

import pytest

from stompcore import LocalProtocolError
from stompcore.testing import Dice, Link, Way


def read_all(way: Way, *, until: float = 1000.0) -> list[tuple[float, bytes]]:
    """What arrives, and when."""
    found: list[tuple[float, bytes]] = []
    for _ in range(10_000):
        at = way.next_arrival()
        if at is None or at > until:
            return found
        pieces = way.read(now=at)
        if not pieces:
            return found  # it is the end that has arrived
        found += [(at, piece) for piece in pieces]
    raise AssertionError("no end of it")


def test_a_perfect_link_brings_what_was_written_at_once() -> None:
    link = Link()
    link.up.write(b"there", now=1.0)
    link.down.write(b"back", now=1.0)
    assert link.next_arrival() == 1.0
    assert link.up.read(now=1.0) == [b"there"]
    assert link.down.read(now=1.0) == [b"back"]
    assert link.next_arrival() is None


def test_latency_keeps_it_for_as_long() -> None:
    link = Link(latency=0.5)
    link.up.write(b"a", now=1.0)
    assert link.up.read(now=1.4) == []
    assert link.up.next_arrival() == 1.5
    assert link.up.read(now=1.5) == [b"a"]


def test_jitter_keeps_the_order() -> None:
    link = Link(Dice(3), latency=0.1, jitter=1.0)
    for number in range(200):
        link.up.write(b"%d," % number, now=number / 4)
    arrived = read_all(link.up)
    assert b"".join(piece for _, piece in arrived) == b"".join(b"%d," % n for n in range(200))
    delays = [at - number / 4 for number, (at, _) in enumerate(arrived)]
    assert min(delays) >= 0.1
    assert max(delays) <= 1.1 + 1e-9
    assert max(delays) - min(delays) > 0.3


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_bytes_come_in_pieces_of_any_size(chunk: int) -> None:
    text = bytes(range(256)) * 8
    link = Link(Dice(5), chunk=chunk)
    link.up.write(text, now=0.0)
    pieces = [piece for _, piece in read_all(link.up)]
    assert b"".join(pieces) == text
    assert {len(piece) for piece in pieces} <= set(range(1, chunk + 1))
    assert len({len(piece) for piece in pieces}) > chunk / 5
    assert link.steps == len(pieces)
    assert link.bytes == len(text)


def test_the_end_comes_behind_what_was_written() -> None:
    link = Link(latency=1.0)
    link.up.write(b"last", now=0.0)
    link.up.close(now=0.0)
    link.up.close(now=5.0)
    assert not link.up.has_ended(now=1.0)
    assert link.up.read(now=1.0) == [b"last"]
    assert link.up.has_ended(now=1.0)
    assert not link.down.has_ended(now=9.0)
    with pytest.raises(LocalProtocolError):
        link.up.write(b"more", now=2.0)


def test_a_half_open_link_swallows_one_direction_and_its_end() -> None:
    link = Link()
    link.up.write(b"before", now=0.0)
    link.up.is_silent = True
    link.up.write(b"never", now=1.0)
    link.up.close(now=2.0)
    link.down.write(b"back", now=3.0)
    assert read_all(link.up) == [(0.0, b"before")]
    assert not link.up.has_ended(now=100.0)
    assert read_all(link.down) == [(3.0, b"back")]


def test_a_stalled_link_brings_it_later_and_in_order() -> None:
    link = Link(latency=0.1)
    link.up.stalled_until = 5.0
    link.up.write(b"a", now=1.0)
    link.up.write(b"b", now=6.0)
    assert read_all(link.up) == [(5.0, b"a"), (6.1, b"b")]


def test_a_cut_loses_what_is_under_way_and_both_ends_hear_of_it() -> None:
    link = Link(latency=1.0)
    link.up.write(b"arrived", now=0.0)
    link.up.write(b"lost", now=1.5)
    link.down.write(b"lost too", now=1.5)
    link.cut(now=2.0)
    link.cut(now=3.0)
    assert link.is_cut
    assert link.up.read(now=2.0) == [b"arrived"]
    assert link.up.has_ended(now=2.0)
    assert link.down.read(now=9.0) == []
    assert link.down.has_ended(now=2.0)
    link.up.write(b"into nothing", now=4.0)
    assert link.up.read(now=9.0) == []


@pytest.mark.parametrize("size", range(9))
def test_a_link_is_cut_after_so_many_bytes(size: int) -> None:
    link = Link(cut_after_bytes=size)
    for letter in b"abcd":
        for way in (link.up, link.down):
            way.write(bytes([letter]), now=0.0)
    assert link.is_cut == (size <= 8)
    assert len(link.up.read(now=0.0)) == (size + 1) // 2
    assert len(link.down.read(now=0.0)) == size // 2
    assert link.bytes == size


def test_a_cut_may_fall_into_the_middle_of_what_is_written() -> None:
    link = Link(cut_after_bytes=3, latency=1.0)
    link.down.write(b"x", now=0.5)
    link.up.write(b"abcdef", now=0.0)
    assert link.up.read(now=1.0) == [b"ab"]
    assert link.up.has_ended(now=1.0)
    assert link.down.read(now=9.0) == []  # it was still under way


@pytest.mark.parametrize("steps", range(6))
def test_a_link_is_cut_after_so_many_steps(steps: int) -> None:
    link = Link(cut_after_steps=steps)
    for text in (b"one", b"two", b"three", b"four", b"five"):
        link.up.write(text, now=0.0)
    assert len(link.up.read(now=0.0)) == steps
    assert link.is_cut
    assert link.steps == steps


def test_a_writer_should_wait_for_the_window() -> None:
    link = Link(window=4)
    has_room = [link.up.can_write]
    link.up.write(b"abcde", now=0.0)
    has_room += [link.up.can_write, link.down.can_write]
    link.up.read(now=0.0)
    has_room.append(link.up.can_write)
    assert has_room == [True, False, True, True]


def test_what_a_silent_link_swallows_stays_under_way() -> None:
    link = Link(window=4)
    link.up.is_silent = True
    link.up.write(b"abcde", now=0.0)
    assert link.up.read(now=100.0) == []
    assert not link.up.can_write


def test_somebody_may_listen_in() -> None:
    heard: list[tuple[str, bytes]] = []
    link = Link(chunk=1, on_write=lambda way, data: heard.append((way, data)))
    link.up.write(b"ab", now=0.0)
    link.down.write(b"c", now=0.0)
    link.cut(now=0.0)
    link.up.write(b"d", now=0.0)
    assert heard == [("up", b"ab"), ("down", b"c")]
