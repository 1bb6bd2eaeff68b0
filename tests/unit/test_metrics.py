"""`metrics.render`, read back by the parser of Prometheus' own Python client."""

from __future__ import annotations

import dataclasses

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stompcore._counters import Snapshot
from stompcore._errors import ErrorCode
from stompcore._frames import Command
from stompcore._state import ServerState
from stompcore.metrics import CONTENT_TYPE, render

FULL = Snapshot(
    sessions={ServerState.OPEN: 3, ServerState.CONNECTING: 1},
    subscriptions=4,
    queues=5,
    queued_messages=6,
    queued_size=7,
    is_draining=True,
    sessions_opened=8,
    connects=9,
    frames_in={Command.SEND: 10},
    frames_out={Command.MESSAGE: 11},
    bytes_in=12,
    bytes_out=13,
    expiries={"frame": 14, "delivery": 15, "timer": 16},
    refreshes={"accepted": 17, "rejected": 18},
    revocations=19,
    ended={"": 20, "token-expired": 21, "slow-consumer": 22},
    published=23,
    delivered=24,
    dropped=25,
    dead_letters=26,
    duplicates=27,
)


def samples(text: str) -> dict[tuple[str, str], float]:
    """By name and the value of the one label; "" where there is none."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert len(sample.labels) <= 1
            key = sample.name, "".join(sample.labels.values())
            assert key not in found
            found[key] = sample.value
    return found


def test_every_number_of_a_snapshot_is_there() -> None:
    found = samples(render(FULL))
    assert {key: value for key, value in found.items() if value} == {
        ("stompcore_sessions", "open"): 3,
        ("stompcore_sessions", "connecting"): 1,
        ("stompcore_subscriptions", ""): 4,
        ("stompcore_queues", ""): 5,
        ("stompcore_queued_messages", ""): 6,
        ("stompcore_queued_bytes", ""): 7,
        ("stompcore_draining", ""): 1,
        ("stompcore_sessions_opened_total", ""): 8,
        ("stompcore_connects_total", ""): 9,
        ("stompcore_frames_received_total", "SEND"): 10,
        ("stompcore_frames_sent_total", "MESSAGE"): 11,
        ("stompcore_received_bytes_total", ""): 12,
        ("stompcore_sent_bytes_total", ""): 13,
        ("stompcore_expiries_total", "frame"): 14,
        ("stompcore_expiries_total", "delivery"): 15,
        ("stompcore_expiries_total", "timer"): 16,
        ("stompcore_refreshes_total", "accepted"): 17,
        ("stompcore_refreshes_total", "rejected"): 18,
        ("stompcore_revocations_total", ""): 19,
        ("stompcore_sessions_ended_total", "none"): 20,
        ("stompcore_sessions_ended_total", "token-expired"): 21,
        ("stompcore_sessions_ended_total", "slow-consumer"): 22,
        ("stompcore_slow_consumers_total", ""): 22,
        ("stompcore_messages_published_total", ""): 23,
        ("stompcore_messages_delivered_total", ""): 24,
        ("stompcore_messages_dropped_total", ""): 25,
        ("stompcore_dead_letters_total", ""): 26,
        ("stompcore_duplicates_total", ""): 27,
    }


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(Snapshot)])
def test_no_field_is_forgotten(field: str) -> None:
    without = dataclasses.replace(FULL, **{field: getattr(Snapshot(), field)})
    assert render(without) != render(FULL)


def test_the_samples_are_the_same_from_the_start() -> None:
    empty = samples(render(Snapshot()))
    assert empty.keys() == samples(render(FULL)).keys()
    assert set(empty.values()) == {0}
    for code in ErrorCode:
        assert ("stompcore_sessions_ended_total", code.value) in empty
    # Nobody is asked to watch for what cannot be.
    assert ("stompcore_sessions", "closed") not in empty
    assert ("stompcore_frames_received_total", "MESSAGE") not in empty
    assert ("stompcore_frames_sent_total", "SEND") not in empty


def test_every_family_has_a_type_and_a_help_that_fit_its_name() -> None:
    families = list(text_string_to_metric_families(render(FULL)))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.documentation.endswith(".")
        # The parser takes `_total` off the name of a counter.
        is_counter = all(sample.name.endswith("_total") for sample in family.samples)
        assert family.type == ("counter" if is_counter else "gauge")
        assert family.samples


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a\nb", '\\"\n', "größer"])
def test_the_value_of_a_label_cannot_break_out_of_it(value: str) -> None:
    text = render(Snapshot(expiries={value: 3}))
    assert samples(text)["stompcore_expiries_total", value] == 3
    assert samples(text).keys() > samples(render(Snapshot())).keys()


def test_the_page_is_plain_text_with_a_line_end_at_the_end() -> None:
    text = render(Snapshot())
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\r" not in text
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
