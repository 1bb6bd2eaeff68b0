"""Handlers: how they are found, what they say, in which order, and what becomes of their faults."""

from __future__ import annotations

import pytest
from tests.unit.hub_peers import Peers, identity_of, send, subscribe, token

from stompcore import (
    Access,
    Command,
    Ended,
    Grant,
    Grants,
    Headers,
    Identity,
    Limits,
    LocalProtocolError,
    Refused,
)
from stompcore.handlers import Call, Handlers


def call(**headers: str) -> Call:
    return Call(
        destination="/app/a",
        params={},
        headers=Headers(headers),
        body=b"secret",
        identity=Identity(subject="ann", expires_at=None),
        session_id="s",
    )


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "destination", "params"),
    [
        ("/app/rooms", "/app/rooms", {}),
        ("/app/rooms", "/app/rooms/", None),
        ("/app/rooms", "/app/room", None),
        ("/app/{room}", "/app/a.b", {"room": "a.b"}),
        ("/app/{room}", "/app/a/b", None),
        ("/app/{room}", "/app/", None),
        ("/app/{a}/{b}", "/app/1/2", {"a": "1", "b": "2"}),
        ("/app/{a}-{b}", "/app/1-2", {"a": "1", "b": "2"}),
        ("/app/a.b", "/app/axb", None),
        ("/app/(x", "/app/(x", {}),
        ("/app/{room}", "/app/a\nb", {"room": "a\nb"}),
        ("/app/a", "/app/a\n", None),
    ],
)
def test_what_a_pattern_fits(pattern: str, destination: str, params: dict[str, str] | None) -> None:
    handlers = Handlers()

    @handlers.on(pattern)
    def handler(call: Call) -> None:
        raise AssertionError

    assert handlers.find(destination) == (None if params is None else (handler, params))


def test_the_first_that_fits_is_called() -> None:
    handlers = Handlers()

    @handlers.on("/app/{any}")
    def first(call: Call) -> None: ...

    @handlers.on("/app/one")
    def second(call: Call) -> None: ...

    assert handlers.find("/app/one") == (first, {"any": "one"})


@pytest.mark.parametrize("pattern", ["", "app", "/app/{}", "/app/{a b}", "/app/{1}", "/{a}/{a}"])
def test_a_pattern_that_is_none(pattern: str) -> None:
    with pytest.raises(LocalProtocolError):
        Handlers().on(pattern)


def test_a_pattern_has_one_handler() -> None:
    handlers = Handlers()
    handlers.on("/app/a")(lambda call: None)
    with pytest.raises(LocalProtocolError, match="already"):
        handlers.on("/app/a")


# --- a call ---------------------------------------------------------------------------------------


def test_its_repr_shows_no_body() -> None:
    assert repr(call(passcode="hidden")) == "<Call /app/a 6 bytes>"


def test_text_is_read_whatever_it_is() -> None:
    one = call()
    one.body = b"zo\xc3\xab\xff"
    assert one.text == "zoë\ufffd"


def test_what_it_says_is_kept_as_it_was_said() -> None:
    one = call(**{"reply-to": "/reply/x", "correlation-id": "7"})
    headers = {"a": "b"}
    body = bytearray(b"1")
    one.publish("/topic/a", bytes(body), headers)
    headers["a"] = "changed"
    one.send_to_user("a/b*", "/queue/x", "zoë")
    one.reply("yes", {"c": "d"})
    one.reply(b"no", {"correlation-id": "8"})
    assert [(e.destination, e.body, dict(e.headers), e.is_reply) for e in one.effects] == [
        ("/topic/a", b"1", {"a": "b"}, False),
        ("/user/a%2Fb%2A/queue/x", "zoë".encode(), {}, False),
        ("/reply/x", b"yes", {"correlation-id": "7", "c": "d"}, True),
        ("/reply/x", b"no", {"correlation-id": "8"}, True),
    ]


def test_a_reply_needs_somewhere_to_go() -> None:
    with pytest.raises(Refused, match="reply-to"):
        call().reply(b"")


# --- in a server ----------------------------------------------------------------------------------


def served(handlers: Handlers, **settings: object) -> Peers:
    peers = Peers(handlers=handlers, **settings)  # type: ignore[arg-type]
    peers.enter("ann")
    return peers


def receipts(peers: Peers, name: str = "ann") -> list[str]:
    found = peers.heard(name)
    assert all(each.command is Command.RECEIPT for each in found), found
    return [each.headers["receipt-id"] for each in found]


def test_a_handler_sees_who_sends_what() -> None:
    handlers, seen = Handlers(), []

    @handlers.on("/app/{room}")
    def handler(call: Call) -> None:
        seen.append(call)

    peers = served(handlers)
    peers.tell("ann", send("/app/blue", "hi", "colour:red", "receipt:r"))
    (one,) = seen
    assert (one.destination, dict(one.params), one.text) == ("/app/blue", {"room": "blue"}, "hi")
    assert one.headers["colour"] == "red"
    assert (one.identity, one.session_id) == (identity_of(token("ann")), "ann")
    assert receipts(peers) == ["r"]


def test_what_it_says_goes_out_before_its_receipt_and_in_order() -> None:
    handlers = Handlers()

    @handlers.on("/app/go")
    def handler(call: Call) -> None:
        for body in "12":
            call.publish("/topic/a", body)
        call.send_to_user("ann", "/queue/x", "3")
        call.reply("4")

    peers = served(handlers)
    peers.enter("bob")
    heard = peers.say(
        "ann",
        *(subscribe(to, to) for to in ("/topic/a", "/user/queue/x", "/temp-queue/r")),
        send("/app/go", "", "reply-to:/temp-queue/r", "receipt:r"),
    )
    assert [each.body for each in heard] == [b"1", b"2", b"3", b"4", b""]
    assert heard[-1].command is Command.RECEIPT


@pytest.mark.parametrize("is_async", [False, True])
def test_what_raises_says_nothing_and_ends_that_session_alone(is_async: bool) -> None:
    handlers = Handlers()
    error = ZeroDivisionError("secret")

    def bad(call: Call) -> None:
        call.publish("/topic/a", b"never")
        raise error

    async def bad_later(call: Call) -> None:
        bad(call)

    handlers.on("/app/bad")(bad_later if is_async else bad)
    peers = served(handlers)
    peers.enter("bob")
    peers.tell("bob", subscribe("/topic/a"))
    peers.notices()
    peers.tell("ann", send("/app/bad", "", "receipt:r"))
    if is_async:
        peers.run_job()
    answer = peers.error("ann")
    assert (answer.headers["error-code"], answer.headers["receipt-id"]) == ("internal-error", "r")
    assert b"secret" not in answer.body
    (ended,) = peers.notices()
    assert isinstance(ended, Ended)
    assert ended.cause is error
    assert "secret" not in repr(ended)
    assert peers.bodies("bob") == []
    assert [each.session_id for each in peers.hub] == ["bob"]


def test_a_refusal_is_told_in_its_own_words() -> None:
    handlers = Handlers()

    @handlers.on("/app/no")
    def handler(call: Call) -> None:
        raise Refused("The room is full.")

    peers = served(handlers)
    peers.notices()
    peers.tell("ann", send("/app/no", "", "receipt:r"), send("/topic/a"))
    answer = peers.error("ann")
    assert answer.headers["error-code"] == "access-denied"
    assert answer.headers["receipt-id"] == "r"
    assert answer.body == b"The room is full."
    close = peers.sessions["ann"].close
    assert close is not None
    assert close.code == 3003
    (ended,) = peers.notices()
    assert isinstance(ended, Ended)
    assert ended.cause is None


@pytest.mark.parametrize("destination", ["/cue/a", "/topic/*", "/topic/", "/user/a", "", "/app/go"])
def test_a_handler_that_names_what_there_is_not_has_a_bug(destination: str) -> None:
    handlers = Handlers()

    @handlers.on("/app/go")
    def handler(call: Call) -> None:
        call.publish("/topic/a", b"never")
        call.publish(destination, b"")

    peers = served(handlers)
    peers.tell("ann", subscribe("/topic/a"), send("/app/go"))
    assert peers.error("ann").headers["error-code"] == "internal-error"
    assert any(isinstance(e, Ended) and isinstance(e.cause, ValueError) for e in peers.notices())


@pytest.mark.parametrize(
    ("reply_to", "error_code"),
    [
        ("/topic/secret", "access-denied"),
        ("/cue/a", "access-denied"),
        ("/topic/open.*", "protocol-violation"),
        ("/temp-queue/mine", "protocol-violation"),
    ],
)
def test_a_reply_goes_only_where_the_peer_may_send_itself(reply_to: str, error_code: str) -> None:
    handlers = Handlers()

    @handlers.on("/app/ask")
    def handler(call: Call) -> None:
        call.publish("/topic/open.all", b"never")
        call.reply(b"stolen")

    policy = Grants(
        [
            Grant("/app/**"),
            Grant("/topic/open.**"),
            Grant("/topic/secret", access=[Access.SUBSCRIBE]),
        ]
    )
    peers = served(handlers, policy=policy)
    peers.enter("bob")
    peers.tell("bob", subscribe("/topic/secret", "1"), subscribe("/topic/open.**", "2"))
    peers.tell("ann", send("/app/ask", "", f"reply-to:{reply_to}", "receipt:r"))
    answer = peers.error("ann")
    assert (answer.headers["error-code"], answer.headers["receipt-id"]) == (error_code, "r")
    assert peers.bodies("bob") == []


def test_a_reply_to_a_full_queue_is_the_fault_of_nobody_s_code() -> None:
    handlers = Handlers()
    handlers.on("/app/ask")(lambda call: call.reply(b"x"))
    peers = served(handlers, limits=Limits(queue_messages=1))
    peers.tell("ann", send("/app/ask", "", "reply-to:/queue/a"))
    assert peers.hub.snapshot().queued_messages == 1
    peers.tell("ann", send("/app/ask", "", "reply-to:/queue/a"))
    assert peers.error("ann").headers["error-code"] == "limit-exceeded"


def test_the_policy_is_asked_before_the_handler_is() -> None:
    handlers, seen = Handlers(), []
    handlers.on("/app/{x}")(lambda call: seen.append(call.text))
    peers = served(handlers, policy=Grants([Grant("/app/open")]))
    peers.tell("ann", send("/app/open", "1"), send("/app/shut", "2"))
    assert peers.error("ann").headers["error-code"] == "access-denied"
    assert seen == ["1"]


def test_a_handler_may_have_a_topic_s_name() -> None:
    handlers, seen = Handlers(), []
    handlers.on("/topic/watched")(lambda call: seen.append(call.text))
    peers = served(handlers)
    peers.tell("ann", subscribe("/topic/watched"), send("/topic/watched", "1"))
    assert (seen, peers.bodies("ann")) == (["1"], [])
