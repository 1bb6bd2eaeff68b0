"""The control socket on uvloop, which has Unix sockets of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.adapters.contract import test_control as control
from tests.adapters.contract.runtime import Runtime

UvloopRuntime = pytest.importorskip("tests.adapters.contract.test_uvloop").UvloopRuntime


@pytest.fixture
def runtime() -> Runtime:
    made: Runtime = UvloopRuntime()
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control"


def test_operators_see_the_sessions(runtime: Runtime, path: Path) -> None:
    control.test_operators_see_the_sessions(runtime, "ws", path)


def test_operators_drain(runtime: Runtime, path: Path) -> None:
    control.test_operators_drain(runtime, "ws", path)


def test_a_dead_servers_file_is_replaced(runtime: Runtime, path: Path) -> None:
    control.test_a_dead_servers_file_is_replaced(runtime, path)


def test_a_living_servers_is_not(runtime: Runtime, path: Path) -> None:
    control.test_a_living_servers_is_not(runtime, path)


def test_a_file_that_is_another_servers_by_now_stays(runtime: Runtime, path: Path) -> None:
    control.test_a_file_that_is_another_servers_by_now_stays(runtime, path)


def test_who_hangs_up_at_once_does_no_harm(runtime: Runtime, path: Path) -> None:
    control.test_who_hangs_up_at_once_does_no_harm(runtime, path)


def test_an_answer_that_is_long_arrives_whole(runtime: Runtime, path: Path) -> None:
    control.test_an_answer_that_is_long_arrives_whole(runtime, path)
