"""`stompcore connect`, to look into a broker with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.brokers.clients import Way
from tests.brokers.running import PATIENCE
from tests.serving import environment

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

COMMAND = str(Path(sys.executable).with_name("stompcore"))


def test_a_script_subscribes_sends_and_hears(way: Way, queue: str) -> None:
    lines = [f"subscribe {queue} client", f"send {queue} hello", "wait 1 30", "ack 1"]
    done = subprocess.run(
        [COMMAND, "connect", way.url, "--login", "ada", "--passcode", "--host", "/", "--once"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        # On the command line, every user of the machine could read it.
        env=environment({"STOMPCORE_TOKEN": way.token()}),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    server = {"RabbitMQ": "RabbitMQ/", "ActiveMQ": "ActiveMQ/"}[way.broker.name]
    assert f"STOMP 1.2, {server}" in done.stdout
    assert f"1 {queue} " in done.stdout
    assert "hello" in done.stdout
