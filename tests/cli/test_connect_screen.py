"""How the live view looks, at any size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from stompcore import AckMode, Resubscribed, Status, Version
from stompcore_cli._connect._commands import HELP
from stompcore_cli._connect._editor import Editor
from stompcore_cli._connect._entries import Entry, Facts, Tone
from stompcore_cli._connect._model import Model, Page
from stompcore_cli._connect._screen import draw
from stompcore_cli._connect._text import clock

NOW = 1_700_000_000.0


def picture(
    model: Model, typed: str = "", *, width: int = 80, height: int = 24, now: float = NOW
) -> list[str]:
    editor = Editor()
    editor.feed(typed.encode())
    lines = draw(model, editor, width=width, height=height, now=now)
    assert len(lines) == height
    for line in lines:
        assert line.cell_len <= width, line.plain
        assert line.plain.isprintable(), line.plain
    return [line.plain.rstrip() for line in lines]


def style_of(line: Text, text: str) -> str:
    at = line.plain.index(text)
    return " ".join(str(each.style) for each in line.spans if each.start <= at < each.end)


def busy() -> Model:
    """A client that is online, and has seen something."""
    model = Model("wss://example.org/ws")
    model.look(
        Facts(
            status=Status.ONLINE,
            server="stompcore/1",
            subject="ada",
            token_valid_until=NOW + 60,
            token_refresh_at=NOW + 50,
        ),
        NOW,
    )
    model.happened(Resubscribed(epoch=3, version=Version.V1_2, subscriptions=(), resent=0))
    room = model.add_subscription("/topic/room", AckMode.AUTO)
    jobs = model.add_subscription("/queue/jobs", AckMode.CLIENT)
    room.is_active = True
    for number in range(1, 21):
        model.add_message(room, {}, f"message {number}".encode(), "/topic/room", NOW)
    model.add_message(jobs, {}, b"work", "/queue/jobs", NOW)
    for number in range(1, 21):
        model.log.append(Entry(kind="x", text=f"event {number}", at=NOW))
    return model


def test_everything_in_80_by_24() -> None:
    lines = picture(busy(), "send /topic/room hello")
    at = clock(NOW)
    assert lines[:7] == [
        " wss://example.org/ws" + " " * 49 + " ● Online",
        " connection 3 · STOMP 1.2 · stompcore/1 · as ada",
        " token ████████████████████████ 1:00 left · refresh in 0:50",
        "── Subscriptions " + "─" * 63,
        "   1 /topic/room  20 messages",
        "   2 /queue/jobs  1 message  client  not confirmed",
        "── Messages (21 received, 0 sent) " + "─" * 46,
    ]
    assert lines[7:14] == [
        *(f"  {n} {at} /topic/room message {n}" for n in range(15, 21)),
        f"  21 {at} /queue/jobs [wanted] work",
    ]
    assert lines[14] == "── Log " + "─" * 73
    assert lines[15:22] == [f" {at} event {n}" for n in range(14, 21)]
    assert lines[22:] == ["── help · quit " + "─" * 65, "> send /topic/room hello"]


def test_a_client_that_is_not_there_yet() -> None:
    lines = picture(Model("ws://h/ws"))
    assert lines[0].endswith("● Offline")
    assert lines[1:3] == [" starting", " no token that says how long it lives"]
    assert lines[4] == "   none: type `subscribe DEST`"


@pytest.mark.parametrize(
    ("left", "full", "words", "style"),
    [
        (60, 24, "1:00 left", "green"),
        (30, 12, "0:30 left", "green"),
        (12, 5, "0:12 left", "yellow"),
        (6, 2, "0:06 left", "red"),
        (0.2, 0, "0:01 left", ""),
        (0, 0, "has run out", "red"),
        (-5, 0, "has run out", "red"),
    ],
)
def test_the_token_counts_down(left: float, full: int, words: str, style: str) -> None:
    line = draw(busy(), Editor(), width=80, height=24, now=NOW + 60 - left)[2]
    assert line.plain.startswith(f" token {'█' * full}{'░' * (24 - full)} {words}")
    assert style_of(line, "█" if full else words) == style


@pytest.mark.parametrize("status", list(Status))
def test_the_status_has_a_colour(status: Status) -> None:
    model = Model("ws://h")
    model.look(Facts(status=status), NOW)
    line = draw(model, Editor(), width=40, height=10, now=NOW)[0]
    colour = {"online": "green", "recovering": "yellow", "offline": "red"}
    assert colour.get(status.value, "magenta") in style_of(line, "●")


def test_what_is_under_way_is_said() -> None:
    model = busy()
    model.unconfirmed, model.has_transaction = 2, True
    hint = "── help · quit · 2 not confirmed yet · in a transaction ──"
    assert picture(model)[22].startswith(hint)
    model.is_leaving = True
    assert picture(model)[22].startswith("── leaving; Ctrl-C leaves at once ")


def test_many_subscriptions_leave_room_for_the_rest() -> None:
    model = busy()
    for number in range(3, 12):
        model.add_subscription(f"/{number}", AckMode.AUTO)
    lines = picture(model)
    assert lines[7:9] == ["     and 8 more", "── Messages (21 received, 0 sent) " + "─" * 46]


def test_a_page_takes_the_place_of_messages_and_log() -> None:
    model = busy()
    model.page = Page(title="Commands", lines=HELP)
    lines = picture(model)
    assert lines[6] == "── Commands " + "─" * 68
    assert lines[7 : 7 + len(HELP)] == [f" {line}" for line in HELP]
    assert lines[22].startswith("── Enter: back to the messages ")
    model.page = Page(title="Message 1", lines=[f"line {n}" for n in range(50)])
    assert picture(model)[7:22] == [f" line {n}" for n in range(15)]


def test_a_long_entry_goes_on_below() -> None:
    model = Model("ws://h")
    model.log.append(Entry(kind="x", text=" ".join(["word"] * 20), at=NOW, tone=Tone.BAD))
    lines = draw(model, Editor(), width=50, height=24, now=NOW)
    shown = [line for line in lines if "word" in line.plain]
    assert [line.plain.strip().count("word") for line in shown] == [8, 8, 4]
    assert all("red" in style_of(line, "word") for line in shown)
    assert shown[1].plain.startswith(" " * 10 + "word")


def test_what_a_peer_has_chosen_does_not_draw() -> None:
    model = Model("ws://h/\x1b[2J")
    model.look(Facts(server="\x1b]0;x\x07", subject="\r\n"), NOW)
    model.happened(Resubscribed(epoch=1, version=Version.V1_2, subscriptions=(), resent=0))
    row = model.add_subscription("/\x1b[A", AckMode.AUTO)
    model.add_message(row, {}, b"\x1b[2J\x9b", "/\x1b[A", NOW)
    model.log.append(Entry(kind="x", text="\x1b[2J", at=NOW))
    model.page = None
    assert any(r"\x1b[2J" in line for line in picture(model))
    model.page = Page(title="x", lines=["\x1b[2J"])
    assert r" \x1b[2J" in picture(model)


def test_the_cursor_stays_in_sight() -> None:
    model = busy()
    assert picture(model, "x" * 200, width=40)[-1] == "> " + "x" * 37
    line = draw(model, Editor(), width=40, height=24, now=NOW)[-1]
    assert style_of(line, "> ") == "bold"
    editor = Editor()
    editor.feed("漢字漢字\x1b[D".encode())
    line = draw(model, editor, width=40, height=24, now=NOW)[-1]
    assert style_of(line, "字") == ""
    assert "reverse" in [str(each.style) for each in line.spans]
    # To the left of a cursor that is far to the right, nothing is wider than the screen.
    assert picture(model, "漢" * 100, width=41)[-1] == "> " + "漢" * 19


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 120),
    height=st.integers(1, 40),
    typed=st.text(max_size=100),
    text=st.text(max_size=200),
    number=st.integers(0, 30),
)
def test_every_size_can_be_drawn(
    width: int, height: int, typed: str, text: str, number: int
) -> None:
    model = busy()
    model.url = f"ws://{text}"
    for _ in range(number):
        row = model.add_subscription(text, AckMode.CLIENT_INDIVIDUAL)
        model.add_message(row, {}, text.encode("utf-8", "replace"), text, NOW)
        model.log.append(Entry(kind="x", text=text, at=NOW))
    lines = picture(model, typed.replace("\r", "").replace("\n", ""), width=width, height=height)
    if width > 2 and not typed:
        assert lines[-1] == ">"
