"""The pages of the client: what they repeat from the code, they must repeat as it is."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import pytest
from tests.docs.pages import ROOT
from tests.docs.runtimes import in_words_of_trio
from tests.docs.test_tables import DOCS, amount, rows

import stompcore
import stompcore_asyncio
import stompcore_trio
from stompcore import (
    DEFAULT_RULES,
    Action,
    Backoff,
    Client,
    ClientConfig,
    ClientEvent,
    ClientSession,
    Delivered,
    Disconnected,
    ErrorCode,
    HeartBeat,
    Outcome,
    Published,
    ReceivedMessage,
    Refresh,
    Refused,
    Rejected,
    RemoteProtocolError,
    Rule,
    Status,
    StompError,
    TokenFailed,
    TokenReason,
    TokenRequest,
)
from stompcore import _url as url
from stompcore.client import Transaction

CLIENT = DOCS / "client.md"
MESSAGES = DOCS / "client-messages.md"
FAILURES = DOCS / "client-failures.md"
EMBEDDING = DOCS / "client-embedding.md"
TEXT = "\n".join(page.read_text("utf-8") for page in (CLIENT, MESSAGES, FAILURES, EMBEDDING))

#: What a server tells and is told, and what both ends have in common: other pages' matter.
_OTHERS = """
    Access Acked AllowAll AllowEverything Broker Call CloseCode Command Committed ConnectRequested
    Connected Duplicates Ended ErrorCode FrameDecoder Grant Grants Handlers Headers Hub Identity
    Machine Message Nacked Notice Policy ReauthRequested Reauthenticated Refused Rejected
    RemoteProtocolError Sent ServerConfig ServerEvent ServerSession ServerState Snapshot Subscribed
    Timer Token TokenVerifier Unsubscribed Version Work encode_frame
"""
NOT_THE_CLIENTS = frozenset(_OTHERS.split())
#: Exceptions that no client meets, and bases that are never raised themselves.
NOT_A_CLIENTS_FAILURE = {StompError, TokenFailed, RemoteProtocolError, Rejected, Refused}


def code(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def as_written(value: Any) -> str:
    """A default as a program would write it."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, str):
        return f'"{value}"'
    if not is_dataclass(value):
        return repr(value)
    kind: Any = type(value)
    usual = kind()
    told = [each.name for each in fields(value)]
    told = [each for each in told if getattr(value, each) != getattr(usual, each)]
    arguments = ", ".join(f"{each}={as_written(getattr(value, each))}" for each in told)
    return f"{kind.__name__}({arguments})"


def names(page: Any, table: str) -> list[str]:
    """The first word of everything in backticks in a table's first column."""
    found = [re.match(r"\w+", each) for row in rows(page, table) for each in code(row[0])]
    return [each[0] for each in found if each is not None]


def is_named(name: str) -> bool:
    """Whether the pages of the client have this name in backticks."""
    return re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", TEXT) is not None


# --- connect ----------------------------------------------------------------------------------


def test_the_words_of_trio_are_those_that_the_tests_use() -> None:
    table = rows(CLIENT, "trio")
    assert [in_words_of_trio(row[0]) for row in table] == [row[1] for row in table]


@pytest.mark.parametrize("module", [stompcore_asyncio, stompcore_trio])
def test_the_arguments_of_connect_are_those_of_the_code(module: Any) -> None:
    assert names(CLIENT, "connect") == list(inspect.signature(module.connect).parameters)


def test_the_urls_are_those_of_the_code() -> None:
    shown = {}
    for shapes, what, port in rows(CLIENT, "urls"):
        for shape in code(shapes):
            is_tls = what.endswith("TLS")
            shown[shape.partition(":")[0]] = ("WebSocket" in what, is_tls, int(port))
            assert shape.endswith("/PATH") is ("WebSocket" in what)
    assert shown == url._SCHEMES


@pytest.mark.parametrize("kind", [ClientConfig, Refresh, Backoff, HeartBeat])
def test_the_settings_are_those_of_the_code(kind: Any) -> None:
    table = rows(CLIENT, kind.__name__)
    defaults = kind()
    assert names(CLIENT, kind.__name__) == [each.name for each in fields(kind)]
    for name, default, _ in table:
        value = getattr(defaults, name.strip("`"))
        is_written = default.startswith("`")
        assert default.strip("`") == as_written(value) if is_written else amount(default) == value


def test_what_the_text_says_of_defaults_is_so() -> None:
    config = ClientConfig()
    for name, quoted in re.findall(r"`(\w+)` \(([\d,]+(?: (?:s|MiB))?)\)", TEXT):
        assert amount(quoted) == getattr(config, name), name


def test_the_bounds_of_a_client_are_those_of_the_code() -> None:
    config, compared = ClientConfig(), set()
    for row in rows(DOCS / "limits-and-security.md", "bounds of a client"):
        for name, default in zip(code(row[1]), row[2].split(", "), strict=False):
            value = getattr(config, name)
            if not is_dataclass(value):
                assert amount(default.removesuffix(" messages")) == value, name
                compared.add(name)
    assert compared >= {"connect_timeout", "outbox_size", "subscription_limit", "token_refusals"}


# --- what there is to see ---------------------------------------------------------------------


def test_every_status_and_every_outcome_is_explained() -> None:
    assert names(CLIENT, "status") == [
        Status.ONLINE.name,
        Status.RECOVERING.name,
        Status.OFFLINE.name,
        Status.LOGGED_OUT.name,
    ]
    assert len(Status) == 4
    assert sorted(names(FAILURES, "outcomes")) == sorted(Outcome.__members__)
    for reason in TokenReason:
        assert re.search(rf"`(TokenReason\.)?{reason.name}`", CLIENT.read_text("utf-8"))


def test_the_events_are_those_of_the_code() -> None:
    shown = [(code(row[0]), code(row[1])) for row in rows(CLIENT, "events")]
    told = [each for each in get_args(ClientEvent) if each not in (Delivered, Published)]
    assert shown == [([each.__name__], [field.name for field in fields(each)]) for each in told]


def test_the_actions_are_those_of_the_code() -> None:
    shown = [code(row[0])[0] for row in rows(EMBEDDING, "actions")]
    assert shown == [
        f"{each.__name__}({', '.join(field.name for field in fields(each))})"
        for each in get_args(Action)
    ]
    answers = " ".join(row[2] for row in rows(EMBEDDING, "actions"))
    calls = dict(re.findall(r"`(\w+)\(([^`]*)\)`", answers))
    assert set(calls) == {"dialed", "dial_failed", "token", "token_failed"}
    for name, arguments in calls.items():
        taken = inspect.signature(getattr(ClientSession, name)).parameters.values()
        by_name = [each.name for each in taken if each.kind is inspect.Parameter.KEYWORD_ONLY]
        assert sorted(re.findall(r"(\w+)=", arguments)) == sorted(by_name)


def test_all_that_is_known_of_an_end_is_shown() -> None:
    assert names(FAILURES, "Disconnected") == [each.name for each in fields(Disconnected)]


# --- what there is to call --------------------------------------------------------------------


def public(kind: type) -> set[str]:
    return {each for each in dir(kind) if not each.startswith("_")}


def test_all_of_a_session_is_shown() -> None:
    shown = set(names(EMBEDDING, "calls") + names(EMBEDDING, "properties"))
    verbs = public(stompcore.Machine)
    assert shown | verbs | {"next_action", "now"} >= public(ClientSession)
    assert shown <= public(ClientSession) | {"epoch", "url"}


def test_the_arguments_that_are_shown_exist() -> None:
    for row in rows(EMBEDDING, "calls"):
        for call in code(row[0]):
            name, _, arguments = call.rstrip(")").partition("(")
            taken = inspect.signature(getattr(ClientSession, name)).parameters
            for argument in re.findall(r"(\w+)=", arguments):
                assert argument in taken, call


@pytest.mark.parametrize("kind", [Client, ReceivedMessage, Transaction, TokenRequest])
def test_all_that_a_user_holds_is_explained(kind: type) -> None:
    within = {"decide"}  # a transaction's, for its client
    assert not [each for each in sorted(public(kind) - within) if not is_named(each)]


def test_the_arguments_of_subscribe_are_those_of_the_code() -> None:
    taken = list(inspect.signature(Client.subscribe).parameters)
    assert names(MESSAGES, "subscribe") == taken[1:]


def test_every_public_name_of_the_client_is_explained() -> None:
    exported = set(stompcore.__all__)
    assert exported >= NOT_THE_CLIENTS
    assert not sorted(each for each in exported - NOT_THE_CLIENTS if not is_named(each))


# --- failures ---------------------------------------------------------------------------------


FAILURE_TABLES = ("token failures", "connection failures", "message failures")


def failures() -> set[type[StompError]]:
    """Every exception that a client raises or reports."""
    found: set[type[StompError]] = set()
    for name in stompcore.__all__:
        value = getattr(stompcore, name)
        if inspect.isclass(value) and issubclass(value, StompError):
            found.add(value)
    return found - NOT_A_CLIENTS_FAILURE


def test_every_failure_of_the_client_is_in_the_table() -> None:
    shown = {
        word
        for table in FAILURE_TABLES
        for row in rows(FAILURES, table)
        for word in code(row[1])
        if word[0].isupper()
    }
    assert shown == {each.__name__ for each in failures()}


def test_a_failure_of_the_token_is_where_those_are() -> None:
    shown = {word for row in rows(FAILURES, "token failures") for word in code(row[1])}
    assert shown == {each.__name__ for each in failures() if issubclass(each, TokenFailed)}


def test_what_is_the_end_is_said_to_be() -> None:
    for table in FAILURE_TABLES[:2]:
        for row in rows(FAILURES, table):
            is_end = row[2].startswith("the client stops")
            assert is_end is (row[3] == "`LOGGED_OUT`"), row[0]
    ends = {
        word
        for table in FAILURE_TABLES[:2]
        for row in rows(FAILURES, table)
        for word in code(row[1])
        if row[2].startswith("the client stops")
    }
    assert ends == {each.__name__ for each in stompcore._client._LOGGED_OUT}


def test_every_failure_is_held_by_a_test_that_exists() -> None:
    sources = "\n".join(each.read_text("utf-8") for each in (ROOT / "tests").rglob("test_*.py"))
    written = set(re.findall(r"^def (test_\w+)\(", sources, re.MULTILINE))
    for table in FAILURE_TABLES:
        for row in rows(FAILURES, table):
            assert code(row[4]), row[0]
            assert set(code(row[4])) <= written, row[0]


# --- the decision -----------------------------------------------------------------------------


def in_words(rule: Rule) -> str:
    """What one line of the table has to say of what a rule asks."""
    asked = {
        each.name: getattr(rule, each.name)
        for each in fields(Rule)
        if each.name != "outcome" and getattr(rule, each.name) is not None
    }
    match asked:
        case {"error_codes": codes, "established": False, **rest} if not rest:
            return f"`error-code` is {listed([f'`{each}`' for each in codes])}, before CONNECTED"
        case {"error_codes": codes, **rest} if not rest:
            if codes == {each.value for each in ErrorCode}:
                return "any other [`error-code`](errors.md#what-the-peer-is-told) of stompcore's"
            return "`error-code` is " + listed([f"`{each}`" for each in ErrorCode if each in codes])
        case {"text": str(), **rest} if not rest:
            return "the words of the ERROR or of the close fit the pattern below"
        case {"established": False, "had_error": True, **rest} if not rest:
            return "an ERROR came before CONNECTED"
        case {"close_codes": codes, **rest} if not rest:
            return "WebSocket close " + listed([str(int(each)) for each in sorted(codes)])
        case {"http_statuses": statuses, **rest} if not rest:
            return "the handshake got HTTP " + listed([str(each) for each in sorted(statuses)])
    raise AssertionError(f"a kind of rule that the page has no words for: {asked}")


def listed(parts: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def test_the_decision_is_that_of_the_code() -> None:
    table = [[in_words(rule), rule.outcome.name] for rule in DEFAULT_RULES]
    assert rows(FAILURES, "rules") == [*table, ["anything else", Outcome.RETRY.name]]


def test_the_pattern_of_expiry_is_that_of_the_code() -> None:
    (pattern,) = (rule.text for rule in DEFAULT_RULES if rule.text is not None)
    assert f"```text\n{pattern}\n```" in FAILURES.read_text("utf-8")


def test_the_fields_of_a_rule_are_those_of_the_code() -> None:
    assert is_dataclass(Rule)
    assert names(FAILURES, "Rule") == [each.name for each in fields(Rule)]
