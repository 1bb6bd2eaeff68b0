"""The brokers, each started when the first test needs it, and once for all of them."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.world import complaints
from tests.brokers.activemq import ActiveMQ
from tests.brokers.clients import PatientAsyncio, PatientTrio, Way
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.running import Broker


def _need(kind: type[Broker]) -> None:
    if reason := kind.missing():
        if os.environ.get("STOMPCORE_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def started_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    _need(RabbitMQ)
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def started_activemq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActiveMQ]:
    _need(ActiveMQ)
    broker = ActiveMQ(tmp_path_factory.mktemp("activemq"))
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def rabbitmq(started_rabbitmq: RabbitMQ) -> RabbitMQ:
    started_rabbitmq.ensure_running()
    return started_rabbitmq


@pytest.fixture
def activemq(started_activemq: ActiveMQ) -> ActiveMQ:
    started_activemq.ensure_running()
    return started_activemq


def _way(broker: RabbitMQ | ActiveMQ, transport: str) -> Way:
    if transport == "tcp":
        return Way(broker, f"stomp://127.0.0.1:{broker.tcp_port}")
    assert isinstance(broker, RabbitMQ)
    return Way(broker, f"ws://127.0.0.1:{broker.ws_port}/ws")


@pytest.fixture(params=["rabbitmq-tcp", "rabbitmq-ws", "activemq-tcp"])
def way(request: pytest.FixtureRequest) -> Way:
    """Each way to a broker that there is."""
    broker, _, transport = request.param.partition("-")
    return _way(request.getfixturevalue(broker), transport)


@pytest.fixture
def ways(rabbitmq: RabbitMQ, activemq: ActiveMQ) -> list[Way]:
    """All of them, for a test that has to wait."""
    return [_way(rabbitmq, "tcp"), _way(rabbitmq, "ws"), _way(activemq, "tcp")]


@pytest.fixture(params=["rabbitmq", "activemq"])
def both_ways(request: pytest.FixtureRequest) -> tuple[Way, Way]:
    """Two ways to one broker: for whoever sends, and for whoever listens."""
    broker = request.getfixturevalue(request.param)
    return _way(broker, "ws" if request.param == "rabbitmq" else "tcp"), _way(broker, "tcp")


@pytest.fixture
def ways_to_rabbitmq(rabbitmq: RabbitMQ) -> list[Way]:
    """Both ways to RabbitMQ."""
    return [_way(rabbitmq, "tcp"), _way(rabbitmq, "ws")]


@pytest.fixture
def way_to_activemq(activemq: ActiveMQ) -> Way:
    """The way to ActiveMQ."""
    return _way(activemq, "tcp")


@pytest.fixture
def queue(request: pytest.FixtureRequest) -> str:
    """A queue of the test's own."""
    return f"/queue/{_name(request)}"


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic of the test's own."""
    return f"/topic/{_name(request)}"


def _name(request: pytest.FixtureRequest) -> str:
    # A queue outlives its test, and a test may be run twice against one broker.
    return "".join(c if c.isalnum() else "-" for c in request.node.name) + secrets.token_hex(4)


@pytest.fixture(params=[PatientAsyncio, PatientTrio], ids=lambda each: each.name)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    made: Runtime = request.param()
    return made


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a broker does, nothing of it is an error in the client's log, nor a token."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert complaints(caplog.get_records("call")) == []
