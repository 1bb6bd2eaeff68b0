"""Tokens that were taken back: by session, by subject, by jti; and those that come later."""

from __future__ import annotations

import pytest
from tests.unit.hub_peers import NOW, Peers, identity_of, send, subscribe, token

from stompcore import Command, ErrorCode, Identity, LocalProtocolError, Rejected
from stompcore._auth import MAX_LIFETIME
from stompcore._revocations import Revocations


def who(subject: str = "ann", jti: str | None = None, issued_at: float | None = None) -> Identity:
    return Identity(subject=subject, expires_at=None, token_id=jti, issued_at=issued_at)


def refused(revocations: Revocations, identity: Identity) -> bool:
    try:
        revocations.check(identity)
    except Rejected as rejected:
        return rejected.error_code is ErrorCode.TOKEN_REVOKED
    return False


# --- what counts ----------------------------------------------------------------------------------


def test_nothing_is_revoked_at_first() -> None:
    revocations = Revocations()
    assert not refused(revocations, who(jti="j", issued_at=0))
    assert not refused(revocations, who())
    assert len(revocations) == 0


def test_a_jti_is_one_token() -> None:
    revocations = Revocations()
    revocations.revoke_token("j", until=NOW + 10, now=NOW)
    assert refused(revocations, who(jti="j", issued_at=NOW + 5))
    assert refused(revocations, who("bob", jti="j"))
    assert not refused(revocations, who(jti="k"))
    assert not refused(revocations, who())


@pytest.mark.parametrize(
    ("issued_at", "is_refused"),
    [(None, True), (NOW - 1, True), (NOW, True), (NOW + 1, False)],
)
def test_a_subject_s_tokens_up_to_now(issued_at: float | None, is_refused: bool) -> None:
    revocations = Revocations()
    revocations.revoke_subject("ann", now=NOW)
    assert refused(revocations, who(issued_at=issued_at)) is is_refused
    assert not refused(revocations, who("bob", issued_at=issued_at))


def test_a_later_revocation_reaches_further() -> None:
    revocations = Revocations()
    revocations.revoke_subject("ann", now=NOW)
    revocations.revoke_subject("ann", now=NOW + 10)
    assert refused(revocations, who(issued_at=NOW + 10))
    assert len(revocations) == 1


def test_a_pardon() -> None:
    revocations = Revocations()
    revocations.revoke_subject("ann", now=NOW)
    revocations.revoke_token("j", until=None, now=NOW)
    assert revocations.pardon_subject("ann")
    assert not refused(revocations, who())
    assert refused(revocations, who(jti="j"))
    assert revocations.pardon_token("j")
    assert not refused(revocations, who(jti="j"))
    assert not revocations.pardon_subject("ann")
    assert not revocations.pardon_token("j")


def test_what_no_token_can_outlive_is_forgotten() -> None:
    revocations = Revocations()
    revocations.revoke_token("short", until=NOW + 10, now=NOW)
    revocations.revoke_token("unknown", until=None, now=NOW)
    revocations.revoke_subject("ann", now=NOW)
    assert len(revocations) == 3
    revocations.revoke_subject("bob", now=NOW + 9.999)
    assert refused(revocations, who("eve", jti="short"))
    revocations.revoke_subject("bob", now=NOW + 10)
    assert not refused(revocations, who("eve", jti="short"))
    assert len(revocations) == 3
    revocations.revoke_subject("bob", now=NOW + MAX_LIFETIME - 1)
    assert len(revocations) == 3
    revocations.revoke_subject("bob", now=NOW + MAX_LIFETIME)
    assert not refused(revocations, who("eve", jti="unknown"))
    assert not refused(revocations, who(issued_at=NOW))
    assert len(revocations) == 1


# --- in a server ----------------------------------------------------------------------------------


def peopled() -> Peers:
    """Ann twice, with tokens of their own, and bob; all listen to /topic/a."""
    peers = Peers()
    for name, text in (
        ("ann 1", token("ann", jti="1", iat=-10)),
        ("ann 2", token("ann", jti="2", iat=-5, life=None)),
        ("bob", token("bob", jti="3")),
    ):
        peers.enter(name, text)
        peers.tell(name, subscribe("/topic/a"))
    peers.notices()
    return peers


def is_revoked(peers: Peers, name: str) -> None:
    error, session = peers.error(name), peers.sessions[name]
    assert error.headers["error-code"] == "token-revoked"
    assert error.headers["message"] == "Token Revoked"
    assert error.body == b"The access token was revoked."
    assert session.close is not None
    assert (session.close.code, session.close.reason) == (3003, "Token Revoked")


@pytest.mark.parametrize(
    ("hit", "names"),
    [
        ({"session_id": "ann 1"}, {"ann 1"}),
        ({"subject": "ann"}, {"ann 1", "ann 2"}),
        ({"token_id": "2"}, {"ann 2"}),
        ({"session_id": "nobody"}, set()),
        ({"subject": "eve"}, set()),
        ({"token_id": "9"}, set()),
    ],
)
def test_whom_it_ends(hit: dict[str, str], names: set[str]) -> None:
    peers = peopled()
    peers.asleep |= names
    peers.hub.publish("/topic/a", b"news", now=NOW)
    reached = peers.hub.revoke(
        session_id=hit.get("session_id"),
        subject=hit.get("subject"),
        token_id=hit.get("token_id"),
        now=NOW,
    )
    assert reached == names
    for name in peers.sessions:
        peers.asleep.discard(name)
        if name in names:
            is_revoked(peers, name)  # what it had not read is dropped
        else:
            assert peers.bodies(name) == ["news"]
    assert {each.session_id for each in peers.hub} == peers.sessions.keys() - names
    assert peers.hub.snapshot().revocations == len(names)
    assert len(peers.notices()) == len(names)


@pytest.mark.parametrize(
    "hit", [(None, None, None), ("a", "b", None), ("a", None, "c"), ("a", "b", "c")]
)
def test_it_wants_to_know_exactly_one_thing(hit: tuple[str | None, ...]) -> None:
    peers = peopled()
    session_id, subject, token_id = hit
    with pytest.raises(LocalProtocolError, match="exactly one"):
        peers.hub.revoke(session_id=session_id, subject=subject, token_id=token_id, now=NOW)
    assert len(peers.hub) == 3


@pytest.mark.parametrize(("subject", "token_id"), [(None, None), ("ann", "1")])
def test_a_pardon_is_for_one_thing_too(subject: str | None, token_id: str | None) -> None:
    with pytest.raises(LocalProtocolError, match="one of"):
        Peers().hub.pardon(subject=subject, token_id=token_id)


def test_a_session_that_was_ended_may_come_back() -> None:
    peers = peopled()
    peers.hub.revoke(session_id="ann 1", now=NOW)
    peers.enter("ann 3", token("ann", jti="1", iat=-10))


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("by", ["subject", "jti"])
def test_a_revoked_token_does_not_connect(by: str, asks: bool) -> None:
    peers = Peers(asks=asks)
    if by == "subject":
        peers.hub.revoke(subject="ann", now=NOW)
    else:
        peers.hub.revoke(token_id="1", now=NOW)
    text = token("ann", jti="1", iat=-1)
    peers.open("a")
    peers.tell("a", peers.connect("a", text), send("/topic/a"))
    peers.hub.accept("a", identity_of(text), now=NOW)
    is_revoked(peers, "a")
    assert peers.hub.snapshot().revocations == 1
    assert peers.hub.snapshot().connects == 0
    if not asks:
        peers.enter("b", token("ann", jti="2", iat=1))
        is_subject = by == "subject"
        assert peers.hub.pardon(
            subject="ann" if is_subject else None, token_id=None if is_subject else "1"
        )
        peers.enter("c", text)


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("by", ["subject", "jti"])
def test_a_revoked_token_renews_nothing(by: str, asks: bool) -> None:
    peers = Peers(asks=asks)
    peers.open("a")
    peers.tell("a", peers.connect("a", token("ann", jti="1", iat=5)))
    peers.hub.accept("a", identity_of(token("ann", jti="1", iat=5)), now=NOW)
    peers.heard("a")
    if by == "subject":
        peers.hub.revocations.revoke_subject("ann", now=NOW + 1)
    else:
        peers.hub.revoke(token_id="2", now=NOW)
    new = token("ann", jti="2", iat=1)
    peers.tell("a", send("/auth/refresh", new, "receipt:r"))
    peers.hub.accept("a", identity_of(new), now=NOW)
    error = peers.error("a")
    assert (error.headers["error-code"], error.headers["receipt-id"]) == ("token-revoked", "r")
    close = peers.sessions["a"].close
    assert close is not None
    assert close.code == 3003
    snapshot = peers.hub.snapshot()
    assert (snapshot.revocations, snapshot.refreshes) == (1, {"rejected": 1})


def test_a_token_that_is_being_judged_when_it_is_revoked() -> None:
    peers = Peers(asks=True)
    peers.open("a")
    peers.tell("a", peers.connect("a"))
    assert peers.hub.revoke(subject="ann", now=NOW) == set()
    peers.hub.accept("a", identity_of(token("ann")), now=NOW)
    is_revoked(peers, "a")


def test_the_old_jti_does_not_end_a_session_that_was_renewed() -> None:
    peers = Peers()
    peers.enter("a", token("ann", jti="1"))
    peers.tell("a", send("/auth/refresh", token("ann", jti="2")))
    assert peers.hub.revoke(token_id="1", now=NOW) == set()
    assert peers.hub.revoke(token_id="2", now=NOW) == {"a"}


def test_a_jti_is_remembered_as_long_as_its_token_lives() -> None:
    peers = peopled()
    peers.hub.revoke(token_id="1", now=NOW)
    peers.hub.revoke(token_id="2", now=NOW)
    assert len(peers.hub.revocations) == 2
    peers.hub.revoke(subject="x", now=NOW + 60)  # the first has ended by itself
    assert len(peers.hub.revocations) == 2
    assert refused(peers.hub.revocations, who(jti="2"))
    peers.hub.revoke(subject="x", now=NOW + MAX_LIFETIME - 1)
    assert refused(peers.hub.revocations, who(jti="2"))


def test_expired_by_the_operator() -> None:
    peers = peopled()
    assert peers.hub.expire(subject="ann", now=NOW) == {"ann 1", "ann 2"}
    for name in ("ann 1", "ann 2"):
        error = peers.error(name)
        assert error.headers["error-code"] == "token-expired"
        close = peers.sessions[name].close
        assert close is not None
        assert close.code == 3000
    peers.enter("ann 3", token("ann", jti="1", iat=-10))
    assert peers.hub.expire(session_id="ann 3", now=NOW) == {"ann 3"}
    assert peers.hub.snapshot().revocations == 0
    with pytest.raises(LocalProtocolError):
        peers.hub.expire(now=NOW)


def test_queue_messages_of_a_revoked_session_go_to_others() -> None:
    peers = Peers()
    peers.enter("a", token("ann"))
    peers.enter("b", token("bob"))
    peers.asleep.add("a")
    peers.tell("a", subscribe("/queue/q"))
    peers.tell("b", send("/queue/q", "job"))
    peers.hub.revoke(session_id="a", now=NOW)
    (error,) = peers.wake("a")
    assert error.command is Command.ERROR
    (message,) = peers.say("b", subscribe("/queue/q"))
    assert message.body == b"job"
    assert "redelivered" not in message.headers
