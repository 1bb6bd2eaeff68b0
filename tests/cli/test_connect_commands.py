"""What is typed into `stompcore connect`: a line is one command, or says what there is."""

from __future__ import annotations

import pytest

from stompcore import AckMode
from stompcore_cli._connect._commands import (
    HELP,
    Answer,
    Command,
    NotUnderstood,
    Send,
    Show,
    Subscribe,
    Unsubscribe,
    Wait,
    Word,
    parse,
)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", None),
        ("  \t ", None),
        ("# subscribe /a", None),
        ("subscribe /a", Subscribe(destination="/a")),
        ("  subscribe   /a  ", Subscribe(destination="/a")),
        ("sub /a client", Subscribe(destination="/a", ack=AckMode.CLIENT)),
        (
            "subscribe -H selector:x=1 -H id-prefix: /a client-individual",
            Subscribe(
                destination="/a",
                ack=AckMode.CLIENT_INDIVIDUAL,
                headers={"selector": "x=1", "id-prefix": ""},
            ),
        ),
        ("unsubscribe 1", Unsubscribe(which="1")),
        ("un /a", Unsubscribe(which="/a")),
        ("send /a", Send(destination="/a")),
        ("send /a hello, world ", Send(destination="/a", body="hello, world ")),
        ("send /a  two blanks", Send(destination="/a", body=" two blanks")),
        ("send\t/a\thi\tho", Send(destination="/a", body="hi\tho")),
        ('send /a {"a": "b"}', Send(destination="/a", body='{"a": "b"}')),
        ("send /a -H x:y", Send(destination="/a", body="-H x:y")),
        ("send -H a:b:c /a hi", Send(destination="/a", body="hi", headers={"a": "b:c"})),
        ("request /a hi", Send(destination="/a", body="hi", is_request=True)),
        ("ack 3", Answer(number=3, is_consumed=True)),
        ("nack #3", Answer(number=3, is_consumed=False)),
        ("show 3", Show(number=3)),
        ("wait 3", Wait(number=3, timeout=10.0)),
        ("wait #3  2 ", Wait(number=3, timeout=2.0)),
        ("begin", Word.BEGIN),
        ("com", Word.COMMIT),
        ("abort ", Word.ABORT),
        ("cut", Word.CUT),
        ("help", Word.HELP),
        ("q", Word.QUIT),
    ],
)
def test_a_line_is_a_command(line: str, command: Command | None) -> None:
    assert parse(line) == command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("frobnicate", "there is no command 'frobnicate'; there are subscribe, unsubscribe, "),
        ("s /a", "'s' may be subscribe, send or show"),
        ("Send /a", "there is no command 'Send'"),
        ("subscribe", "write it as: subscribe [-H NAME:VALUE] DEST [ACK]"),
        ("subscribe -H", "write it as: subscribe"),
        ("subscribe -H nothing /a", "write it as: subscribe"),
        ("subscribe -H :x /a", "write it as: subscribe"),
        ("subscribe -H a:b", "write it as: subscribe"),
        ("subscribe /a maybe", "'maybe' is not auto, client or client-individual"),
        ("subscribe /a client please", "write it as: subscribe"),
        ("unsubscribe", "write it as: unsubscribe N|DEST"),
        ("unsubscribe 1 2", "write it as: unsubscribe N|DEST"),
        ("send", "write it as: send [-H NAME:VALUE] DEST BODY..."),
        ("request ", "write it as: request [-H NAME:VALUE] DEST BODY..."),
        ("ack", "write it as: ack N"),
        ("ack one", "write it as: ack N"),
        ("ack ²", "write it as: ack N"),
        ("ack 1 2", "write it as: ack N"),
        ("nack -1", "write it as: nack N"),
        ("show " + "9" * 5000, "write it as: show N"),
        ("wait", "write it as: wait N [SECONDS]"),
        ("wait 1 long", "write it as: wait N [SECONDS]"),
        ("wait 1 2 3", "write it as: wait N [SECONDS]"),
        ("begin now", "write it as: begin"),
        ("quit!", "there is no command 'quit!'"),
    ],
)
def test_a_line_that_is_none_is_told_what_there_is(line: str, words: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        parse(line)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("subscribe -H a:b /a client", "subscribe /a"),
        ("unsubscribe 1", "unsubscribe 1"),
        ("send /auth/refresh a-new-token", "send /auth/refresh"),
        ("request /a hi", "request /a"),
        ("ack 1", "ack 1"),
        ("nack 1", "nack 1"),
        ("show 1", "show 1"),
        ("cut", "cut"),
    ],
)
def test_a_command_is_named_without_what_it_carries(line: str, name: str) -> None:
    assert str(parse(line)) == name


def test_the_help_fits_a_terminal_and_shows_every_command() -> None:
    assert max(map(len, HELP)) < 80
    shown = [line.split()[0] for line in HELP]
    assert {word.value for word in Word} < set(shown)
    with pytest.raises(NotUnderstood) as caught:
        parse("?")
    assert all(word in str(caught.value) for word in shown)
