from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

from stompcore._config import Backoff, ClientConfig, HeartBeat, Limits, ServerConfig
from stompcore._errors import LocalProtocolError

Kind = type[Limits] | type[HeartBeat] | type[Backoff] | type[ServerConfig] | type[ClientConfig]
KINDS: list[Kind] = [Limits, HeartBeat, Backoff, ServerConfig, ClientConfig]

POSITIVE = [
    *((Limits, each.name) for each in dataclasses.fields(Limits)),
    (Backoff, "stable_timeout"),
    *(
        (ClientConfig, name)
        for name in (
            "dial_timeout",
            "connect_timeout",
            "token_timeout",
            "error_timeout",
            "close_timeout",
            "token_refusals",
            "outbox_count",
            "outbox_size",
            "outbox_timeout",
            "subscription_buffer",
        )
    ),
]


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_valid_and_frozen(kind: Kind) -> None:
    config = kind()
    name = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, name, getattr(config, name))


@pytest.mark.parametrize("kind", KINDS)
def test_keyword_only(kind: Callable[..., object]) -> None:
    with pytest.raises(TypeError):
        kind(1)


@pytest.mark.parametrize("value", [0, -1, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(("kind", "name"), POSITIVE)
def test_must_be_above_0_and_finite(kind: Any, name: str, value: float) -> None:
    with pytest.raises(LocalProtocolError, match=f"{name} must be above 0"):
        kind(**{name: value})


@pytest.mark.parametrize(("kind", "name"), POSITIVE)
def test_one_is_enough(kind: Any, name: str) -> None:
    assert getattr(kind(**{name: 1}), name) == 1


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (HeartBeat, {"send_interval": -1.0}, "heart-beat interval"),
    (HeartBeat, {"send_interval": 0.0009}, "heart-beat interval"),
    (HeartBeat, {"receive_interval": math.nan}, "heart-beat interval"),
    (HeartBeat, {"receive_interval": math.inf}, "heart-beat interval"),
    (HeartBeat, {"send_fraction": 0.0}, "send_fraction"),
    (HeartBeat, {"send_fraction": 1.01}, "send_fraction"),
    (HeartBeat, {"send_fraction": math.nan}, "send_fraction"),
    (HeartBeat, {"tolerance": 1.0}, "tolerance"),
    (HeartBeat, {"tolerance": math.inf}, "tolerance"),
    (HeartBeat, {"tolerance": math.nan}, "tolerance"),
    (Backoff, {"minimum": 0.0}, "minimum"),
    (Backoff, {"minimum": 21.0}, "minimum"),
    (Backoff, {"maximum": math.inf}, "maximum"),
    (Backoff, {"maximum": math.nan}, "maximum"),
    (ServerConfig, {"leeway": -0.1}, "leeway"),
    (ServerConfig, {"leeway": math.inf}, "leeway"),
    (ServerConfig, {"leeway": math.nan}, "leeway"),
    (ServerConfig, {"path": "ws"}, "path must start with /"),
    (ServerConfig, {"path": ""}, "path must start with /"),
    (ServerConfig, {"server": "a/1\nadmin:true"}, "server must be one line"),
    (ServerConfig, {"health_path": "healthz"}, "path must start with /"),
    (ServerConfig, {"metrics_path": ""}, "path must start with /"),
    (ServerConfig, {"refresh_destination": ""}, "refresh_destination"),
    (ServerConfig, {"refresh_destination": "/a\nb"}, "refresh_destination"),
    (ServerConfig, {"drain_window": -0.1}, "drain_window"),
    (ServerConfig, {"drain_window": math.nan}, "drain_window"),
    (ServerConfig, {"drain_window": math.inf}, "drain_window"),
    (ServerConfig, {"drain_rate": 0.0}, "drain_rate"),
    (ServerConfig, {"drain_rate": math.inf}, "drain_rate"),
    (ServerConfig, {"duplicate_window": -0.1}, "duplicate_window"),
    (ServerConfig, {"duplicate_window": math.nan}, "duplicate_window"),
    (ServerConfig, {"duplicate_window": math.inf}, "duplicate_window"),
    (ClientConfig, {"host": "a\rb"}, "one line"),
    (ClientConfig, {"login": "a\nb"}, "one line"),
    (ClientConfig, {"login": "a\0b"}, "one line"),
]


@pytest.mark.parametrize(("kind", "arguments", "sentence"), REFUSED)
def test_refused(kind: Any, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LocalProtocolError, match=sentence):
        kind(**arguments)


ACCEPTED: list[tuple[Any, dict[str, Any]]] = [
    (HeartBeat, {"send_interval": 0, "receive_interval": 0}),
    (HeartBeat, {"send_interval": 0.001, "send_fraction": 1.0, "tolerance": 1.001}),
    (Backoff, {"minimum": 20.0, "maximum": 20.0}),
    (ServerConfig, {"leeway": 0, "path": "/"}),
    (ServerConfig, {"server": "a b/1:2\\3"}),
    (ServerConfig, {"health_path": None, "metrics_path": None, "refresh_destination": None}),
    (ServerConfig, {"drain_window": 0.0, "drain_rate": 0.001, "refresh_destination": "x"}),
    (ServerConfig, {"duplicate_window": 0.0}),
    (ClientConfig, {"host": "a:1", "login": "a\\b"}),
    (ClientConfig, {"host": None, "login": None}),
]


@pytest.mark.parametrize(("kind", "arguments"), ACCEPTED)
def test_accepted(kind: Any, arguments: dict[str, Any]) -> None:
    config = kind(**arguments)
    assert {name: getattr(config, name) for name in arguments} == arguments


@pytest.mark.parametrize(
    ("attempt", "random", "expected"),
    [
        (0, 0.0, 0.5),
        (0, 0.5, 0.75),
        (1, 0.0, 0.5),
        (1, 0.5, 1.25),
        (2, 0.5, 2.25),
        (3, 0.5, 4.25),
        (4, 0.5, 8.25),
        (5, 0.5, 10.25),
        (50, 0.5, 10.25),
        (10**9, 0.5, 10.25),
    ],
)
def test_backoff_doubles_the_ceiling_and_jitters_all_below_it(
    attempt: int, random: float, expected: float
) -> None:
    assert Backoff(minimum=0.5, maximum=20.0).delay(attempt, random) == expected


def test_D18_jitter_never_passes_the_maximum() -> None:
    backoff = Backoff(minimum=1.0, maximum=3.0)
    delays = [backoff.delay(attempt, 1 - 2**-53) for attempt in range(200)]
    assert max(delays) <= 3.0
    assert min(backoff.delay(attempt, 0.0) for attempt in range(200)) == 1.0
