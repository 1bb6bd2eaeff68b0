from __future__ import annotations

import pytest

from stompcore._config import HeartBeat
from stompcore._errors import ErrorCode, RemoteProtocolError
from stompcore._headers import Headers
from stompcore._heartbeat import BEAT, HeartBeats, heart_beat_header, negotiate
from stompcore._timers import Timer, Timers


def offer(send: float, receive: float) -> HeartBeat:
    return HeartBeat(send_interval=send, receive_interval=receive)


def said(value: str | None) -> Headers:
    return Headers({} if value is None else {"heart-beat": value})


@pytest.mark.parametrize(
    ("send", "receive", "expected"),
    [
        (10.0, 10.0, "10000,10000"),
        (0.0, 0.0, "0,0"),
        (0.001, 1.5, "1,1500"),
        (0.0015, 0.0, "2,0"),
        (1.001, 0.07, "1001,70"),
    ],
)
def test_header_is_in_whole_milliseconds_and_never_promises_more(
    send: float, receive: float, expected: str
) -> None:
    assert heart_beat_header(offer(send, receive)) == expected


@pytest.mark.parametrize(
    ("own", "peer", "expected"),
    [
        # own (can send, wants); peer "can send,wants"; agreed (we send, we receive)
        ((10, 20), "5000,3000", (10, 20)),
        ((10, 20), "30000,40000", (40, 30)),
        ((1, 2), "3000,4000", (4, 3)),
        ((10, 20), "0,3000", (10, 0)),
        ((10, 20), "3000,0", (0, 20)),
        ((0, 20), "3000,3000", (0, 20)),
        ((10, 0), "3000,3000", (10, 0)),
        ((0, 0), "3000,3000", (0, 0)),
        ((10, 20), "0,0", (0, 0)),
        ((10, 20), None, (0, 0)),
        ((10, 20), "1,1", (10, 20)),
        ((0.5, 0.5), "1,250", (0.5, 0.5)),
    ],
)
def test_B5_each_direction_takes_the_slower_of_its_own_two(
    own: tuple[float, float], peer: str | None, expected: tuple[float, float]
) -> None:
    assert negotiate(offer(*own), said(peer)) == expected


@pytest.mark.parametrize("value", ["0, 0", " 0,0", "0 , 0 ", "00,000"])
def test_A7_numbers_are_read_with_tolerance(value: str) -> None:
    assert negotiate(offer(10, 10), said(value)) == (0, 0)


@pytest.mark.parametrize(
    "value",
    ["", "0", "0,0,0", "a,b", "-1,0", "1.5,0", ",", "1e3,0", "+1,0", "²,0", "٣,0", "9" * 11 + ",0"],
)
def test_B4_a_malformed_header_is_an_error(value: str) -> None:
    timers = Timers()
    with pytest.raises(RemoteProtocolError) as caught:
        HeartBeats(timers).start(offer(10, 10), said(value), now=0.0)
    assert caught.value.error_code is ErrorCode.MALFORMED_FRAME
    assert timers.next_deadline() is None


def test_B4_what_was_agreed_does_not_change_the_offer() -> None:
    config = offer(1, 1)
    HeartBeats(Timers()).start(config, said("60000,60000"), now=0.0)
    assert (config.send_interval, config.receive_interval) == (1, 1)
    assert heart_beat_header(config) == "1000,1000"


def test_B4_zero_is_off_and_never_an_interval() -> None:
    timers = Timers()
    beats = HeartBeats(timers)
    beats.start(offer(0, 0), said("0,0"), now=0.0)
    beats.sent(1.0)
    beats.received(1.0)
    assert timers.next_deadline() is None


def started(timers: Timers) -> HeartBeats:
    beats = HeartBeats(timers)
    beats.start(offer(10, 20), said("20000,10000"), now=100.0)
    return beats


def test_B6_own_beats_leave_early_and_the_peer_has_two_intervals() -> None:
    timers = Timers()
    started(timers)
    assert timers.at(Timer.HEART_BEAT) == 109.0
    assert timers.at(Timer.PEER_SILENT) == 140.0


def test_B6_fraction_and_tolerance_are_settings() -> None:
    timers = Timers()
    config = HeartBeat(send_interval=10, receive_interval=10, send_fraction=0.5, tolerance=3)
    HeartBeats(timers).start(config, said("10000,10000"), now=100.0)
    assert (timers.at(Timer.HEART_BEAT), timers.at(Timer.PEER_SILENT)) == (105.0, 130.0)


def test_A11_any_byte_is_a_sign_of_life_in_its_own_direction() -> None:
    timers = Timers()
    beats = started(timers)
    beats.received(105.0)
    assert (timers.at(Timer.HEART_BEAT), timers.at(Timer.PEER_SILENT)) == (109.0, 145.0)
    beats.sent(106.0)
    assert (timers.at(Timer.HEART_BEAT), timers.at(Timer.PEER_SILENT)) == (115.0, 145.0)


@pytest.mark.parametrize("late", [0.0, 0.5, 39.9])
def test_a_peer_that_is_silent_in_time_is_dead(late: float) -> None:
    assert started(Timers()).is_dead(140.0, 140.0 + late)


def test_B7_a_jump_of_time_gives_the_peer_one_reprieve() -> None:
    timers = Timers()
    beats = started(timers)
    assert not beats.is_dead(140.0, 180.0)
    assert timers.at(Timer.PEER_SILENT) == 220.0
    assert beats.is_dead(220.0, 9999.0)


def test_B7_a_sign_of_life_earns_the_next_reprieve() -> None:
    timers = Timers()
    beats = started(timers)
    assert not beats.is_dead(140.0, 1000.0)
    beats.received(1001.0)
    assert timers.at(Timer.PEER_SILENT) == 1041.0
    assert not beats.is_dead(1041.0, 5000.0)
    assert beats.is_dead(5040.0, 9000.0)


def test_a_beat_is_one_end_of_line() -> None:
    assert BEAT == b"\n"
