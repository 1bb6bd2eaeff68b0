"""The log of `stompcore serve`, in both of its formats."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.serving import RawClient, frame, mint, serving

from stompcore_cli._logs import FORMATS, set_up_logging

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Written:
    """What has come to stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def lines(self) -> list[str]:
        text = self._capsys.readouterr().err
        assert text.isascii()
        assert text.endswith("\n")
        return text.split("\n")[:-1]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    # `serve` sets the log up for a process of its own.
    logger = logging.getLogger("stompcore")
    before = logger.handlers[:], logger.level, logger.propagate
    yield Written(capsys)
    logger.handlers[:], logger.level, logger.propagate = before


def log(text: str, fields: dict[str, str | float] | None = None, **options: Any) -> None:
    extra = {} if fields is None else {"fields": fields}
    logging.getLogger("stompcore.test").info(text, extra=extra, **options)


def test_lines_of_text(written: Written) -> None:
    set_up_logging("text")
    log("connected", {"session": "s1", "subject": "ada lovelace", "valid_until": 1000.25, "n": 3})
    log("draining")
    logging.getLogger("stompcore.test").debug("left")
    first, second = written.lines()
    assert re.fullmatch(
        rf"{STAMP} INFO stompcore\.test connected "
        r'session=s1 subject="ada lovelace" valid_until=1000\.250 n=3',
        first,
    )
    assert re.fullmatch(rf"{STAMP} INFO stompcore\.test draining", second)


def test_lines_of_json(written: Written) -> None:
    set_up_logging("json")
    log("connected", {"session": "s1", "subject": "a\nü", "valid_until": 1000.25, "n": 3})
    log("draining")
    first, second = map(json.loads, written.lines())
    assert re.fullmatch(STAMP, first.pop("ts"))
    assert first == {
        "level": "INFO",
        "logger": "stompcore.test",
        "event": "connected",
        "session": "s1",
        "subject": "a\nü",
        "valid_until": 1000.25,
        "n": 3,
    }
    assert list(second) == ["ts", "level", "logger", "event"]


def test_a_field_cannot_pass_for_the_line_itself(written: Written) -> None:
    set_up_logging("json")
    log("ended", {"level": "DEBUG", "event": "nothing", "ts": "never"})
    line = json.loads(*written.lines())
    assert (line["level"], line["event"]) == ("INFO", "ended")
    assert re.fullmatch(STAMP, line["ts"])


def test_a_traceback_is_one_line_of_json(written: Written) -> None:
    set_up_logging("json")
    try:
        raise ZeroDivisionError("of a handler")
    except ZeroDivisionError as error:
        log("ended", {"session": "s1"}, exc_info=error)
    line = json.loads(*written.lines())
    assert line["exception"].startswith("Traceback ")
    assert line["exception"].endswith("ZeroDivisionError: of a handler")


@pytest.mark.parametrize("format_name", FORMATS)
def test_nothing_breaks_a_line(written: Written, format_name: str) -> None:
    set_up_logging(format_name)
    log("connected", {"subject": "a\nb\x1b[31m\u2028\x85\r c=d", "session": ""})
    (line,) = written.lines()
    assert line.isprintable()
    if format_name == "text":
        assert line.endswith(' session=""')


@pytest.mark.parametrize("runtime", ["asyncio", "trio"])
@pytest.mark.parametrize("format_name", FORMATS)
def test_every_line_names_the_session_and_its_subject(runtime: str, format_name: str) -> None:
    with serving("--runtime", runtime, "--log-format", format_name) as server:
        with RawClient(server.tcp) as client:
            session = client.connect(server.mint("ada")).headers["session"]
            renewal = frame("SEND", server.mint("ada"), destination="/auth/refresh", receipt="r")
            client.send(renewal)
            assert client.receive().command == "RECEIPT"
            client.send(frame("SEND", "no", destination="/nowhere"))
            assert client.receive().command == "ERROR"
        with RawClient(server.tcp) as client:
            client.connect(server.mint("ada", ttl=-1.0))
        with RawClient(server.tcp) as client:
            client.connect(mint("ada", key="another secret of forty bytes, or so..."))
        server.wait_for_log("token-invalid")
        lines = [line for line in server.log.splitlines() if "stompcore.server" in line]
    assert len(lines) == 5
    for line, words in zip(
        lines,
        ["connected", "refreshed", "protocol-violation", "token-expired", "token-invalid"],
        strict=True,
    ):
        assert words in line
        if format_name == "json":
            fields = json.loads(line)
        else:
            fields = dict(re.findall(r"(\w+)=(\S+)", line))
        # Who was refused is nobody yet.
        knows = words not in ("token-expired", "token-invalid")
        assert fields["session"] == session if knows else fields["session"]
        assert fields.get("subject") == ("ada" if knows else None)
