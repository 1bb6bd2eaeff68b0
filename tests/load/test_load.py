"""What the server promises under load, against a real `stompcore serve`, on both runtimes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.load.proving import Proof, prove

if not Path("/proc/self/status").exists():
    pytest.skip("what a server holds is read from /proc", allow_module_level=True)

RUNTIMES = ("asyncio", "trio")
TRIES = 3
#: How late a server on a busy machine may be, in seconds.
LATE = 2.0


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("runtime", "sessions"), [("asyncio", 10_000), ("trio", 2000)])
def test_idle_sessions_stay_up_and_a_message_reaches_them_all(runtime: str, sessions: int) -> None:
    # Held for longer than their heart-beats' interval, so that each of them gets one.
    figures = prove("idle", runtime, sessions=sessions, hold=11)
    assert figures["lost"] == 0
    assert figures["with_a_heart_beat"] == sessions
    assert figures["reached"] == sessions
    assert figures["memory_per_session_kib"] < 64


@pytest.mark.timeout(60)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_tokens_that_expire_together_hold_up_nobody_else(runtime: str) -> None:
    for _ in range(TRIES):
        figures = prove("expiry", runtime, sessions=1000)
        assert figures["told_token_expired"] == 1000
        assert figures["closed_3000"] == 1000
        assert figures["first_cut_seconds"] > -0.01  # two processes' clocks
        if figures["last_cut_seconds"] < 2.0 and figures["worst_round_trip_ms"] < 100:
            break  # a machine that others use, too, may need another try
    else:
        pytest.fail(f"{figures}")


@pytest.fixture(scope="module")
def patient() -> Iterator[dict[tuple[str, str], Proof]]:
    """The proofs that wait more than they work, all at the same time, and finished."""
    names = ("drain", "slow", "silent")
    proofs = {(name, runtime): Proof(name, runtime) for name in names for runtime in RUNTIMES}
    try:
        for proof in proofs.values():
            proof.finish()
        yield proofs
    finally:
        for proof in proofs.values():
            proof.stop()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_drain_lets_everything_arrive_and_sends_nobody_away_in_a_rush(
    patient: dict[tuple[str, str], Proof], runtime: str
) -> None:
    figures = patient["drain", runtime].figures()
    sessions = figures["sessions"]
    assert sessions > 1000  # which take the whole window
    assert figures["closed_1001"] == sessions
    assert figures["told_going_away"] == sessions
    assert figures["missed"] == 0
    assert figures["refused_seconds"] < LATE  # nobody new is let in
    assert figures["exit_status"] == 0
    # Over 5 seconds, evenly but for chance: a tenth in half a second.
    assert 4.0 < figures["last_told_seconds"] < 5.0 + LATE
    assert figures["first_told_seconds"] < 1.0
    assert figures["most_told_in_half_a_second"] < sessions / 4


@pytest.mark.timeout(120)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_who_does_not_read_is_cut_and_who_does_misses_nothing(
    patient: dict[tuple[str, str], Proof], runtime: str
) -> None:
    figures = patient["slow", runtime].figures()
    assert figures["readers_lost"] == 0
    assert figures["missed_by_readers"] == 0
    assert figures["cut_by_bytes"] == figures["not_reading"] / 2
    assert figures["cut"] == figures["not_reading"]
    assert 9.0 < figures["cut_by_time_seconds"] < 10.0 + LATE
    assert figures["told_slow_consumer"] == figures["reading_again"]
    assert figures["closed_1008"] == figures["reading_again"]
    # Each may have a backlog of 1 MiB, and the pieces of it on their way out.
    bound = 1.5 * (figures["reading"] + figures["not_reading"])
    assert figures["peak_memory_mib"] - figures["memory_before_mib"] < bound


@pytest.mark.timeout(120)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_who_never_shakes_hands_or_never_logs_in_is_closed_in_time(
    patient: dict[tuple[str, str], Proof], runtime: str
) -> None:
    figures = patient["silent", runtime].figures()
    count = figures["of_each_kind"]
    assert count == 200
    assert figures["told_408"] == count
    assert figures["first_told_408_seconds"] > 4.9
    assert figures["last_told_408_seconds"] < 5.0 + LATE
    assert figures["told_login_timeout"] == count
    assert figures["closed_3008"] == count
    assert figures["first_told_3008_seconds"] > 9.9
    assert figures["last_told_3008_seconds"] < 10.0 + LATE
    assert figures["all_gone_seconds"] < 15.0 + LATE
