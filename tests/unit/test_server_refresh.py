"""A new token over the same connection: what it needs, what it changes, and how it is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.unit.hub_peers import NOW, Peers, Tokens, frame, identity_of, send, subscribe, token

from stompcore import (
    Access,
    AllowAll,
    Command,
    Ended,
    ErrorCode,
    Frame,
    Grant,
    Grants,
    Headers,
    Identity,
    Limits,
    LocalProtocolError,
    Reauthenticated,
    ReauthRequested,
    Rejected,
    ServerState,
    Token,
)

REFRESH = "/auth/refresh"


def refresh(text: str, *lines: str, by: str = "Authorization") -> str:
    """The SEND with a new token, which stands where `by` says."""
    match by:
        case "Authorization":
            return send(REFRESH, "", f"Authorization:Bearer {text}", *lines)
        case "passcode":
            return send(REFRESH, "", f"passcode:{text}", *lines)
        case _:
            return send(REFRESH, text, *lines)


def entered(text: str | None = None, **settings: Any) -> Peers:
    peers = Peers(**settings)
    peers.enter("ann", text or token("ann", life=60))
    peers.notices()
    return peers


def farewell(peers: Peers, name: str = "ann") -> tuple[str, str, int]:
    """The ERROR's error-code and message, and the close code."""
    error, session = peers.error(name), peers.sessions[name]
    assert session.close is not None
    return error.headers["error-code"], error.headers["message"], session.close.code


REJECTED = ("reauth-rejected", "Reauthentication Failed", 3000)


# --- CONNECTED says how ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("life", "to", "ttl", "destination"),
    [
        (60.0, REFRESH, "60000", REFRESH),
        (0.0015, "/x", "1", "/x"),
        (60.0, None, "60000", None),
        (None, REFRESH, None, None),
    ],
)
def test_connected_says_how_long_and_where(
    life: float | None, to: str | None, ttl: str | None, destination: str | None
) -> None:
    peers = Peers(refresh_destination=to)
    peers.open("ann")
    (connected,) = peers.say("ann", peers.connect("ann", token("ann", life=life)))
    assert connected.headers.get("token-ttl") == ttl
    assert connected.headers.get("token-refresh") == destination


def test_leeway_counts_in_the_time_to_live() -> None:
    peers = Peers(leeway=5.0)
    peers.open("ann")
    (connected,) = peers.say("ann", peers.connect("ann", token("ann", life=60)))
    assert connected.headers["token-ttl"] == "65000"


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("ann", True),
        ("größer: a\\b", True),
        ("x" * 20, True),
        ("x" * 21, False),
        ("", False),
        ("ann\nrole:operator", False),
        ("ann\r", False),
        ("ann\0", False),
    ],
)
def test_connected_says_who(version: str, subject: str, told: bool) -> None:
    peers = Peers(asks=True, limits=Limits(destination_size=20))
    peers.open("ann")
    connect = peers.connect("ann").replace("accept-version:1.2", f"accept-version:{version}")
    assert peers.say("ann", connect) == []
    identity = Identity(subject=subject, expires_at=None)
    peers.reached(peers.hub.accept("ann", identity, now=NOW))
    (connected,) = peers.heard("ann")
    assert connected.headers.get_all("user-name") == [subject] * told
    assert "role" not in connected.headers
    assert peers.sessions["ann"].state is ServerState.OPEN


@pytest.mark.parametrize(("lines", "name"), [((), None), (("login:ann",), "ann")])
def test_connected_names_nobody_who_is_nobody(lines: tuple[str, ...], name: str | None) -> None:
    peers = Peers(verifier=AllowAll())
    peers.open("ann")
    (connected,) = peers.say("ann", frame("CONNECT", "accept-version:1.2", "host:h", *lines))
    assert connected.headers.get("user-name") == name


# --- a verifier that answers at once --------------------------------------------------------------


@pytest.mark.parametrize("by", ["Authorization", "passcode", "body"])
def test_a_session_is_renewed_in_place(by: str) -> None:
    peers = entered()
    peers.tell("ann", subscribe("/topic/a"))
    peers.at(50)
    new = token("ann", life=120, jti="second")
    (receipt,) = peers.say("ann", refresh(new, "receipt:r", by=by))
    assert receipt.headers.pairs() == (("receipt-id", "r"), ("token-ttl", "70000"))
    (renewed,) = peers.notices()
    assert renewed == Reauthenticated(
        identity=identity_of(new), valid_until=NOW + 120, receipt_id="r"
    )
    peers.at(119)
    assert peers.sessions["ann"].state is ServerState.OPEN
    assert [each.body for each in peers.say("ann", send("/topic/a", "here"))] == [b"here"]
    assert peers.sessions["ann"].next_deadline() == NOW + 120
    peers.at(120)
    assert [each.command for each in peers.heard("ann")] == [Command.ERROR]
    assert peers.hub.snapshot().refreshes == {"accepted": 1}


def test_without_a_receipt_it_is_silent() -> None:
    peers = entered()
    assert peers.say("ann", refresh(token("ann", life=120))) == []
    assert peers.sessions["ann"].valid_until == NOW + 120


def test_a_new_token_may_end_earlier() -> None:
    peers = entered()
    peers.tell("ann", refresh(token("ann", life=10)))
    peers.at(9)
    assert peers.sessions["ann"].state is ServerState.OPEN
    peers.at(10)
    assert farewell(peers) == ("token-expired", "Token Expired", 3000)


def test_a_new_token_may_never_expire_and_the_next_one_may() -> None:
    peers = entered()
    (receipt,) = peers.say("ann", refresh(token("ann", life=None), "receipt:r"))
    assert "token-ttl" not in receipt.headers
    assert peers.sessions["ann"].valid_until == math.inf
    peers.at(1e6)
    assert peers.say("ann", send("/topic/a", "x", "receipt:1")) != []
    peers.tell("ann", refresh(token("ann", life=1e6 + 5)))
    peers.at(1e6 + 5)
    assert farewell(peers)[0] == "token-expired"


def test_the_same_token_again_is_legal() -> None:
    peers = entered()
    (receipt,) = peers.say("ann", refresh(token("ann", life=60), "receipt:r"))
    assert receipt.headers["token-ttl"] == "60000"


BAD = {
    "not readable": "garbage",
    "of another subject": token("bob", life=120),
    "expired": token("ann", life=0),
    "none": "",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
@pytest.mark.parametrize("by", ["Authorization", "passcode", "body"])
def test_a_token_that_is_refused_ends_the_session(text: str, by: str) -> None:
    peers = entered()
    heard = peers.say("ann", refresh(text, "receipt:r", by=by), send("/topic/a", "x", "receipt:2"))
    (error,) = heard
    assert error.command is Command.ERROR
    assert error.headers["error-code"] == "reauth-rejected"
    assert error.headers["message"] == "Reauthentication Failed"
    assert error.headers["receipt-id"] == "r"
    close = peers.sessions["ann"].close
    assert close is not None
    assert close.code == 3000
    assert peers.hub.snapshot().refreshes == {"rejected": 1}
    assert peers.hub.snapshot().ended == {"reauth-rejected": 1}
    if text:
        assert text.encode() not in error.body


@pytest.mark.parametrize("body", [" ", "\n", "\t \n"])
def test_a_body_of_blanks_is_no_token(body: str) -> None:
    peers = entered()
    peers.sessions["ann"].receive_data(send(REFRESH, body).encode(), now=NOW)
    peers.hub.process("ann", now=NOW)
    assert peers.error("ann").body == b"Where is it?"


def test_a_body_may_end_in_a_line_feed() -> None:
    peers = entered()
    peers.tell("ann", send(REFRESH, token("ann", life=99) + "\n"))
    assert peers.sessions["ann"].valid_until == NOW + 99


def test_a_token_is_no_part_of_a_transaction() -> None:
    peers = entered()
    text = token("ann", life=99)
    peers.tell(
        "ann", frame("BEGIN", "transaction:t"), refresh(text, "transaction:t"), refresh(text)
    )
    assert farewell(peers) == ("protocol-violation", "Protocol Violation", 1002)


def test_before_login_there_is_nothing_to_renew() -> None:
    peers = Peers()
    peers.open("ann")
    peers.tell("ann", refresh(token("ann")))
    assert farewell(peers)[0] == "protocol-violation"


def test_after_the_end_of_the_old_token_it_is_too_late() -> None:
    peers = entered()
    peers.now = NOW + 60
    (error,) = peers.say("ann", refresh(token("ann", life=120), "receipt:r"))
    assert error.headers["error-code"] == "token-expired"
    assert error.headers["receipt-id"] == "r"


def test_a_server_without_it_takes_the_destination_for_any_other() -> None:
    peers = entered(refresh_destination=None)
    peers.tell("ann", refresh(token("ann", life=120)))
    assert farewell(peers)[0] == "protocol-violation"  # the broker serves no such thing


def test_a_verifier_that_breaks_is_an_internal_error() -> None:
    class Breaks(Tokens):
        is_broken = False

        def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
            if self.is_broken:
                raise ZeroDivisionError("secret")
            return super().verify(token, headers=headers, now=now)

    breaks = Breaks()
    peers = Peers(verifier=breaks)
    peers.enter("ann")
    peers.notices()
    breaks.is_broken = True
    (error,) = peers.say("ann", refresh(token("ann"), "receipt:r"))
    assert (error.headers["error-code"], error.headers["receipt-id"]) == ("internal-error", "r")
    assert b"secret" not in error.body
    (ended,) = peers.notices()
    assert isinstance(ended, Ended)
    assert isinstance(ended.cause, ZeroDivisionError)


# --- an owner who takes their time ----------------------------------------------------------------


def asked(*frames: str) -> Peers:
    """A session whose new token is being judged, and what came behind it."""
    peers = Peers(asks=True)
    peers.open("ann")
    peers.tell("ann", peers.connect("ann"))
    peers.hub.accept("ann", identity_of(token("ann", life=60)), now=NOW)
    peers.tell("ann", subscribe("/topic/a"))
    peers.heard("ann")
    peers.notices()
    peers.tell("ann", refresh("new", "receipt:r"), *frames)
    assert peers.sessions["ann"].state is ServerState.REFRESHING
    return peers


def test_frames_behind_it_wait_and_messages_do_not() -> None:
    peers = asked(send("/topic/b", "x", "receipt:2"))
    (request,) = peers.notices()
    assert isinstance(request, ReauthRequested)
    assert request.token == Token("new")
    assert peers.heard("ann") == []
    peers.hub.publish("/topic/a", b"meanwhile", now=NOW)
    assert peers.bodies("ann") == ["meanwhile"]
    peers.hub.accept("ann", identity_of(token("ann", life=120)), now=NOW)
    assert [each.headers["receipt-id"] for each in peers.heard("ann")] == ["r", "2"]
    assert peers.sessions["ann"].valid_until == NOW + 120


def test_the_old_token_s_timer_still_fires() -> None:
    peers = asked(send("/topic/b", "x", "receipt:2"))
    peers.at(59)
    assert peers.heard("ann") == []
    peers.at(60)
    assert farewell(peers)[0] == "token-expired"
    peers.notices()
    assert peers.hub.accept("ann", identity_of(token("ann", life=120)), now=peers.now) == set()
    with pytest.raises(LocalProtocolError, match="no token"):
        peers.sessions["ann"].accept(identity_of(token("ann", life=120)), now=peers.now)


def test_an_answer_after_the_old_token_s_end_is_too_late_whatever_fires_first() -> None:
    peers = asked()
    peers.now = NOW + 60
    peers.hub.accept("ann", identity_of(token("ann", life=120)), now=peers.now)
    error = peers.error("ann")
    assert (error.headers["error-code"], error.headers["receipt-id"]) == ("token-expired", "r")
    assert peers.hub.snapshot().expiries == {"timer": 1}
    assert peers.hub.snapshot().refreshes == {}


def test_no_message_on_the_old_token_after_its_end() -> None:
    peers = asked()
    peers.now = NOW + 60
    peers.hub.publish("/topic/a", b"late", now=peers.now)
    assert farewell(peers)[0] == "token-expired"


@pytest.mark.parametrize("code", [ErrorCode.TOKEN_INVALID, ErrorCode.TOKEN_EXPIRED])
def test_the_owner_refuses(code: ErrorCode) -> None:
    peers = asked(send("/topic/a", "never"))
    peers.hub.reject("ann", Rejected(code, "No."), now=NOW)
    error = peers.error("ann")
    assert error.headers["error-code"] == "reauth-rejected"
    assert (error.headers["receipt-id"], error.body) == ("r", b"No.")


def test_the_peer_leaves_while_it_is_judged() -> None:
    peers = asked(send("/topic/a", "never"))
    peers.leave("ann")
    assert peers.hub.accept("ann", identity_of(token("ann", life=120)), now=NOW) == set()
    assert len(peers.hub) == 0


def test_reading_pauses_while_a_frame_s_worth_waits() -> None:
    peers = asked()
    session = peers.sessions["ann"]
    wanted = [session.wants_read]
    peers.tell("ann", "\n" * Limits().frame_size_before_login)
    wanted.append(session.wants_read)
    peers.hub.accept("ann", identity_of(token("ann", life=120)), now=NOW)
    assert [*wanted, session.wants_read] == [True, False, True]


def test_no_answer_is_waited_for_after_the_first() -> None:
    peers = asked()
    peers.hub.accept("ann", identity_of(token("ann", life=120)), now=NOW)
    assert peers.hub.reject("ann", Rejected(ErrorCode.TOKEN_INVALID), now=NOW) == set()
    assert peers.sessions["ann"].state is ServerState.OPEN


# --- rights that have shrunk ----------------------------------------------------------------------

POLICY = Grants(
    [
        Grant("/topic/a", scopes={"a"}),
        Grant("/topic/b"),
        Grant("/queue/a", scopes={"a"}),
        Grant("/queue/a", access=[Access.SEND]),
        Grant("/topic/a", access=[Access.SEND]),
    ]
)


def with_rights(*more: str) -> Peers:
    """Ann may and does listen to /topic/a, /topic/b and /queue/a; bob only sends."""
    peers = Peers(policy=POLICY)
    peers.enter("ann", token("ann", scope="a"))
    peers.enter("bob")
    heard = peers.say(
        "ann",
        subscribe("/topic/a", "1"),
        subscribe("/topic/b", "2"),
        subscribe("/queue/a", "3", "ack:client"),
        *more,
    )
    assert heard == []
    return peers


def ended_subscriptions(receipt: Frame) -> list[str]:
    return [value for name, value in receipt.headers.pairs() if name == "subscription-ended"]


def test_what_it_may_not_hear_any_more_ends_and_the_receipt_says_so() -> None:
    peers = with_rights()
    (receipt,) = peers.say("ann", refresh(token("ann", life=120), "receipt:r"))
    assert receipt.command is Command.RECEIPT
    assert receipt.headers["token-ttl"] == "120000"
    assert ended_subscriptions(receipt) == ["1", "3"]
    for to in ("/topic/a", "/topic/b", "/queue/a"):
        peers.tell("bob", send(to, to))
    assert peers.bodies("ann") == ["/topic/b"]
    assert peers.hub.snapshot().queued_messages == 1
    # The next refresh does not say it again, and an UNSUBSCRIBE that was on its way does no harm.
    (receipt,) = peers.say("ann", refresh(token("ann", life=130), "receipt:r"))
    assert ended_subscriptions(receipt) == []
    (receipt,) = peers.say("ann", frame("UNSUBSCRIBE", "id:1", "receipt:u"))
    assert receipt.headers["receipt-id"] == "u"


def test_its_id_is_free_again() -> None:
    peers = with_rights()
    peers.tell("ann", refresh(token("ann", life=120)))
    assert peers.say("ann", subscribe("/topic/b", "1", "receipt:1")) != []
    peers.tell("ann", subscribe("/topic/a", "9"))
    assert farewell(peers)[0] == "access-denied"


def test_all_rights_kept() -> None:
    peers = with_rights()
    (receipt,) = peers.say("ann", refresh(token("ann", life=120, scope="a"), "receipt:r"))
    assert ended_subscriptions(receipt) == []


def test_messages_that_had_not_left_are_dropped_and_a_queue_has_them_again() -> None:
    peers = with_rights()
    peers.asleep.add("ann")
    for to in ("/topic/a", "/topic/b", "/queue/a", "/queue/a"):
        peers.tell("bob", send(to, to))
    peers.tell("ann", refresh(token("ann", life=120), "receipt:r"))
    message, receipt = peers.wake("ann")
    assert message.body == b"/topic/b"
    assert ended_subscriptions(receipt) == ["1", "3"]
    assert peers.hub.snapshot().queued_messages == 2
    peers.enter("eve", token("eve", scope="a"))
    again = peers.say("eve", subscribe("/queue/a", "q", "ack:client"))
    assert [each.body for each in again] == [b"/queue/a"] * 2
    assert all("redelivered" not in each.headers for each in again)


def test_messages_that_had_left_go_to_the_next_as_redelivered() -> None:
    peers = with_rights()
    peers.tell("bob", send("/queue/a", "job"))
    assert peers.bodies("ann") == ["job"]
    peers.tell("ann", refresh(token("ann", life=120)))
    peers.enter("eve", token("eve", scope="a"))
    (again,) = peers.say("eve", subscribe("/queue/a", "q"))
    assert again.headers["redelivered"] == "true"


def test_sending_is_judged_by_the_new_token() -> None:
    peers = Peers(policy=Grants([Grant("/topic/a", scopes={"w"})]))
    peers.enter("ann", token("ann", scope="w"))
    (receipt,) = peers.say("ann", send("/topic/a", "x", "receipt:1"))
    assert receipt.command is Command.RECEIPT
    peers.tell("ann", refresh(token("ann", life=120)), send("/topic/a", "x"))
    assert farewell(peers) == ("access-denied", "Access Denied", 3003)


def test_rights_can_grow_too() -> None:
    peers = Peers(policy=Grants([Grant("/topic/a", scopes={"w"})]))
    peers.enter("ann")
    peers.tell("ann", refresh(token("ann", scope="w")), subscribe("/topic/a"))
    peers.tell("ann", send("/topic/a", "now"))
    assert peers.bodies("ann") == ["now"]


# --- the token shows nowhere ----------------------------------------------------------------------


@pytest.mark.parametrize("by", ["Authorization", "passcode", "body"])
@pytest.mark.parametrize("asks", [True, False])
def test_D23_no_new_token_in_any_repr_or_output(by: str, asks: bool) -> None:
    secret = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
    peers = Peers(asks=asks)
    peers.open("ann")
    peers.tell("ann", peers.connect("ann"))
    peers.hub.accept("ann", identity_of(token("ann")), now=NOW)
    peers.heard("ann")
    peers.tell("ann", refresh(secret, "receipt:r", by=by))
    peers.hub.reject("ann", Rejected(ErrorCode.TOKEN_INVALID), now=NOW)
    error = peers.error("ann")
    shown = f"{peers.notices()!r} {peers.sessions['ann']!r} {error!r} {error.body!r}"
    assert "Reauth" in shown or "reauth" in shown
    assert secret not in shown
    assert all(secret not in value for _, value in error.headers.pairs())
