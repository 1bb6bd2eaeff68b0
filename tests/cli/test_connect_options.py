"""The options of `stompcore connect`, and one sentence for whatever cannot be used."""

from __future__ import annotations

import asyncio
import sys

import pytest

from stompcore import Handover, TokenReason, TokenRequest, TokenUnavailable
from stompcore_cli import main
from stompcore_cli._connect._entries import Entry
from stompcore_cli._connect._secrets import Secrets, watched
from stompcore_cli._connect._settings import ConnectOptions, Settings, make_settings

URL = "ws://127.0.0.1:1/ws"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STOMPCORE_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "Missing argument 'URL'"),
        ((URL, "more"), 2, "unexpected extra argument"),
        ((URL, "--token", "a", "--token-file", "b"), 2, "Give one of --token (or STOMPCORE_TOKEN)"),
        ((URL, "--token-command", "a", "--token-file", "b"), 2, "Give one of --token"),
        ((URL, "--no-refresh", "--handover", "break"), 2, "no meaning with --no-refresh"),
        ((URL, "--handover", "jump"), 2, "'jump'"),
        ((URL, "--plain", "--json"), 2, "--plain and --json do not go together."),
        ((URL, "--listen", "-1"), 2, "--listen"),
        ((URL, "--listen", "nan"), 2, "--listen is a number of seconds."),
        ((URL, "--token", ""), 1, "The token is none"),
        ((URL, "--token", "two words\nand a line"), 1, "The token is none"),
        ((URL, "--token", "größer"), 1, "The token is none"),
        ((URL, "--token-command", ""), 1, "The token command is empty."),
        ((URL, "--token-command", "say 'hello"), 1, "The token command's quotes do not match."),
        ((URL, "--token-file", ""), 1, "The token file's path is empty"),
        ((URL, "--login", "a\nb"), 1, "Host, login and reply_destination must be one line."),
        ((URL, "--login", "\udcff"), 1, "is not UTF-8."),
        ((URL, "--subscribe", "\udcff"), 1, "is not UTF-8."),
        ((URL, "--ca", "/nowhere/ca.pem"), 1, "The certificates '/nowhere/ca.pem' cannot be found"),
        ((URL, "--ca", __file__), 1, "cannot be used."),
        (("",), 1, "A URL starts with one of ws, wss, stomp, "),
        (("http://127.0.0.1/",), 1, "A URL starts with one of ws, wss, stomp, "),
        (("ws://",), 1, "The URL has no host."),
        (("ws://user:secret@127.0.0.1/",), 1, "Credentials do not belong in a URL."),
        (("ws://127.0.0.1:99999/",), 1, "The URL cannot be read."),
    ],
)
def test_what_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    words: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["stompcore", "connect", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    out, err = capfd.readouterr()
    assert (caught.value.code, out) == (status, "")
    assert err.startswith("stompcore: ")
    assert err.count("\n") == 1
    assert words in err
    assert "secret" not in err


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.setenv("STOMPCORE_TOKEN", "a-token-of-some-length")
    monkeypatch.setattr(sys, "argv", ["stompcore", "connect", option])
    main()
    text = capsys.readouterr().out
    options = "token token-command token-file login passcode host handover no-refresh subscribe"
    options += " ca once listen plain json"
    for each in (*(f"--{name}" for name in options.split()), "STOMPCORE_TOKEN"):
        assert each in text
    assert "a-token-of-some-length" not in text


def settings(**options: object) -> Settings:
    nothing: dict[str, object] = {
        "url": URL,
        "token": None,
        "token_command": None,
        "token_file": None,
        "login": None,
        "passcode": False,
        "host": None,
        "handover": None,
        "no_refresh": False,
        "subscribe": (),
        "ca": None,
        "once": False,
        "listen": 0.0,
        "plain": False,
        "as_json": False,
    }
    return make_settings(ConnectOptions(**{**nothing, **options}))  # type: ignore[arg-type]


def test_what_the_options_come_to() -> None:
    made = settings()
    assert (made.token, made.source, made.ssl) == (None, None, None)
    assert made.config.refresh is not None
    assert made.config.refresh.handover is Handover.BREAK
    made = settings(token=" abc\n", login="ada", passcode=True, host="/", no_refresh=True)
    assert made.token == "abc"
    config = made.config
    assert (config.login, config.passcode, config.host, config.refresh) == ("ada", True, "/", None)
    overlapping = settings(handover="overlap").config.refresh
    assert overlapping is not None
    assert overlapping.handover is Handover.OVERLAP


def test_what_was_typed_counts_more_than_the_environment(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STOMPCORE_TOKEN", "abc")
    monkeypatch.setattr(
        sys, "argv", ["stompcore", "connect", "http://h/", "--token-file", "/nowhere"]
    )
    with pytest.raises(SystemExit):
        main()
    assert "A URL starts with" in capfd.readouterr().err


# --- secrets ----------------------------------------------------------------------------------


def test_a_token_is_masked_wherever_it_stands() -> None:
    secrets = Secrets()
    for token in (" first-token\n", "second-token", "guest", "first-token"):
        secrets.add(token)
    entry = Entry(
        kind="x",
        text="first-token, then second-token; guest stays",
        at=1.0,
        fields={"a": "first-token", "b": {"second-token": ["second-token"]}, "c": None, "d": 7},
    )
    cleaned = secrets.clean(entry)
    assert cleaned.text == "[token], then [token]; guest stays"
    assert cleaned.fields == {"a": "[token]", "b": {"[token]": ["[token]"]}, "c": None, "d": 7}
    assert secrets.clean(b"x first-token") == b"x [token]"
    for number in range(8):
        secrets.add(f"another-token-{number}")
    assert secrets.clean("first-token") == "first-token"  # long dead


def test_a_source_is_watched() -> None:
    answers: list[str | Exception] = ["a-long-token", TokenUnavailable("no luck")]

    async def source(request: TokenRequest) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    secrets = Secrets()
    ask = watched(source, secrets)
    request = TokenRequest(reason=TokenReason.INITIAL, generation=1)

    async def body() -> None:
        assert await ask(request) == "a-long-token"
        with pytest.raises(TokenUnavailable):
            await ask(request)

    asyncio.run(body())
    assert secrets.clean("a-long-token") == "[token]"
