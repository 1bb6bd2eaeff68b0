"""The line that is typed in the live view."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompcore_cli._connect._editor import Editor, Key, Typed


def typed(*pieces: str | bytes) -> tuple[list[Typed], str, int]:
    """What comes of typing these, the text that stands there then, and the cursor."""
    editor = Editor()
    found: list[Typed] = []
    for piece in pieces:
        found += editor.feed(piece.encode() if isinstance(piece, str) else piece)
    return found, editor.text, editor.cursor


def test_enter_ends_a_line() -> None:
    assert typed("send /a hi\r") == (["send /a hi"], "", 0)
    assert typed("one\ntwo\nthree") == (["one", "two"], "three", 5)
    assert typed("\r") == ([""], "", 0)


def test_bytes_come_as_they_like() -> None:
    text = "größer 漢字\r".encode()
    assert typed(*(text[at : at + 1] for at in range(len(text)))) == (["größer 漢字"], "", 0)


@pytest.mark.parametrize(
    ("keys", "text", "cursor"),
    [
        ("abc\x7f", "ab", 2),
        ("abc\x08", "ab", 2),
        ("\x7f", "", 0),
        ("abc\x1b[D\x1b[Dx", "axbc", 2),
        ("abc\x1bOD\x1bODx", "axbc", 2),
        ("abc\x1b[D\x1b[C\x1b[Cx", "abcx", 4),
        ("abc\x1b[Hx", "xabc", 1),
        ("abc\x01x\x05y", "xabcy", 5),
        ("abc\x1b[1~x\x1b[4~y", "xabcy", 5),
        ("abc\x1b[H\x1b[3~", "bc", 0),
        ("abc\x01\x04", "bc", 0),
        ("abc\x01\x02x", "xabc", 1),
        ("abc\x01\x06\x0b", "a", 1),
        ("abc\x02\x15", "c", 0),
        ("send /a two words\x17", "send /a two ", 12),
        ("send /a two \x17", "send /a ", 8),
        ("word\x17", "", 0),
        ("a\tb", "a b", 3),
        ("a\x00\x07b", "ab", 2),
        ("a\x1b[200~b", "ab", 2),  # what the terminal says around a paste
        ("a\x1b[1;5Cb", "ab", 2),
        ("a\x1b\x1b[Db", "ba", 1),
        ("a\x1bxb", "ab", 2),
        ("a\x1b[" + "1" * 100 + "b", "a" + "1" * 69 + "b", 71),  # no sequence is as long
    ],
)
def test_keys_that_edit(keys: str, text: str, cursor: int) -> None:
    assert typed(keys) == ([], text, cursor)


def test_ctrl_d_ends_only_what_is_empty() -> None:
    assert typed("\x04") == ([Key.END], "", 0)
    assert typed("a\x04") == ([], "a", 1)
    assert typed("\x0c") == ([Key.REDRAW], "", 0)


def test_lines_come_back() -> None:
    editor = Editor()
    editor.feed(b"one\rtwo\rtwo\r  \rdraft")
    seen = []
    for key in (b"\x1b[A", b"\x1b[A", b"\x1b[A", b"\x10", b"\x1b[B", b"\x0e", b"\x1b[B"):
        assert editor.feed(key) == []
        seen.append(editor.text)
    assert seen == ["two", "one", "one", "one", "two", "draft", "draft"]
    editor.feed(b"\x1b[A")
    assert editor.feed(b"!\r") == ["two!"]
    editor.feed(b"\x1b[A")
    assert editor.text == "two!"


def test_history_and_line_are_bounded() -> None:
    editor = Editor()
    for number in range(300):
        editor.feed(f"{number}\r".encode())
    for _ in range(400):
        editor.feed(b"\x1b[A")
    assert editor.text == "100"
    editor.feed(b"x" * 100_000)
    assert len(editor.text) == 64 * 1024


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_no_key_breaks_it(pieces: list[bytes]) -> None:
    editor = Editor()
    for piece in pieces:
        for each in editor.feed(piece):
            assert isinstance(each, Key) or each.isprintable()
        assert 0 <= editor.cursor <= len(editor.text)
        assert editor.text.isprintable()
