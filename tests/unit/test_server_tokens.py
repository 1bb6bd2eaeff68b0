"""The token rules of a server session: where a token may be, and all that ends with it."""

from __future__ import annotations

import math

import pytest
from tests.unit.peer import EXPIRED, NOW, TTL, Doorman, Peer, config, connect, frame, opened

from stompcore import (
    Close,
    Connected,
    ConnectRequested,
    Ended,
    ErrorCode,
    Identity,
    LocalProtocolError,
    Rejected,
    Sent,
    ServerConfig,
    ServerSession,
    ServerState,
    Token,
    Version,
)

SEND = frame("SEND", b"late", destination="/topic/a", receipt="r-1")
SUBSCRIBE = frame("SUBSCRIBE", id="s", destination="/topic/a")
ANN = Identity(subject="ann", expires_at=NOW + TTL)


# --- 1: where the token may be --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "handshake", "expected"),
    [
        ({"Authorization": "Bearer a"}, None, "a"),
        ({"authorization": "Bearer a"}, None, "a"),
        ({"passcode": "p"}, None, "p"),
        ({"login": "anybody", "passcode": "p"}, None, "p"),
        ({}, "h", "h"),
        ({"passcode": ""}, "h", "h"),
        ({"passcode": "p", "Authorization": "Bearer a"}, "h", "a"),
        ({"passcode": "p", "authorization": "Bearer b", "Authorization": "Bearer a"}, "h", "a"),
        ({"passcode": "p"}, "h", "p"),
        ({}, None, None),
    ],
)
@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_where_the_token_may_be(
    command: str, headers: dict[str, str], handshake: str | None, expected: str | None
) -> None:
    doorman = Doorman()
    peer = Peer(verifier=doorman)
    peer.session.use_transport_token(None if handshake is None else Token(handshake))
    peer.feed(frame(command, **{"accept-version": "1.2", **headers}))
    assert doorman.seen == [None if expected is None else Token(expected)]


def test_a_handshake_token_can_be_taken_back() -> None:
    doorman = Doorman()
    peer = Peer(verifier=doorman)
    peer.session.use_transport_token(Token("h"))
    peer.session.use_transport_token(None)
    peer.feed(frame("CONNECT"))
    assert doorman.seen == [None]


# --- 2: ConnectRequested, accept, reject ----------------------------------------------------------


def test_frames_behind_connect_wait_for_the_answer() -> None:
    peer = Peer()
    peer.feed(connect() + SUBSCRIBE + SEND)
    (asked,) = peer.events
    assert isinstance(asked, ConnectRequested)
    assert asked.token == Token("secret")
    assert peer.session.state is ServerState.VERIFYING
    peer.feed(SEND, at=1)
    assert peer.take() == b""
    peer.session.accept(ANN, now=NOW + 2)
    peer.drain()
    kinds = [type(each).__name__ for each in peer.events[1:]]
    assert kinds == ["Connected", "Subscribed", "Sent", "Sent"]
    assert peer.events[1] == Connected(identity=ANN, version=Version.V1_2, valid_until=NOW + TTL)
    assert peer.take().startswith(b"CONNECTED\n")


def test_frames_behind_connect_are_judged_when_the_answer_comes() -> None:
    peer = Peer()
    peer.feed(connect() + SEND)
    peer.session.accept(ANN, now=NOW + 1)
    # Nobody has drained the session yet when its token runs out.
    peer.tick(TTL)
    assert peer.work == []
    assert b"token-expired" in peer.take()


def test_frames_behind_a_refused_connect_are_nobody_s() -> None:
    peer = Peer()
    peer.feed(connect() + SUBSCRIBE + SEND)
    peer.session.reject(Rejected(ErrorCode.TOKEN_INVALID, "No."), now=NOW + 1)
    peer.feed(SEND, at=2)
    assert peer.work == []
    assert peer.ended == Ended(error_code=ErrorCode.TOKEN_INVALID, detail="No.", clean=False)
    assert peer.take() == (
        b"ERROR\nmessage:Token Invalid\nerror-code:token-invalid\ncontent-type:text/plain\n"
        b"content-length:3\n\nNo.\0"
    )
    assert peer.session.close == Close(3000, "Token Invalid")


def test_reading_pauses_while_a_frame_s_worth_waits() -> None:
    peer = Peer(config(frame_size_before_login=100))
    wanted = [peer.session.wants_read]
    for data in (connect(), b"\n" * 99, b"\n"):
        peer.feed(data)
        wanted.append(peer.session.wants_read)
    peer.session.accept(ANN, now=NOW)
    assert [*wanted, peer.session.wants_read] == [True, True, True, False, True]


@pytest.mark.parametrize("fed", [b"", b"CONNECT\n", connect() + SEND])
def test_an_answer_that_nobody_waits_for(fed: bytes) -> None:
    peer = Peer(verifier=Doorman()) if fed.endswith(b"\0") else Peer()
    peer.feed(fed)
    before = (peer.session.state, peer.session.next_deadline(), peer.session.now)
    with pytest.raises(LocalProtocolError, match="no token is being judged"):
        peer.session.accept(ANN, now=NOW + 1)
    with pytest.raises(LocalProtocolError, match="no token is being judged"):
        peer.session.reject(Rejected(ErrorCode.TOKEN_INVALID), now=NOW + 1)
    assert (peer.session.state, peer.session.next_deadline(), peer.session.now) == before
    assert peer.session.data_to_send() == []


def test_an_answer_after_the_login_timeout() -> None:
    peer = Peer()
    peer.feed(connect())
    peer.tick(10)
    with pytest.raises(LocalProtocolError):
        peer.session.accept(ANN, now=NOW + 10)
    assert peer.ended is not None
    assert peer.ended.error_code is ErrorCode.LOGIN_TIMEOUT


def test_the_peer_leaves_while_its_token_is_judged() -> None:
    peer = Peer()
    peer.feed(connect() + SEND)
    peer.leave(at=1)
    assert peer.ended == Ended(error_code=None, detail="the peer left", clean=False)
    assert peer.session.closed
    with pytest.raises(LocalProtocolError):
        peer.session.accept(ANN, now=NOW + 1)


@pytest.mark.parametrize(
    ("error", "error_code"),
    [
        (Rejected(ErrorCode.TOKEN_MISSING, "Where?"), ErrorCode.TOKEN_MISSING),
        (Rejected(ErrorCode.ACCESS_DENIED, "You?"), ErrorCode.ACCESS_DENIED),
    ],
)
def test_a_verifier_that_refuses(error: Rejected, error_code: ErrorCode) -> None:
    peer = Peer(verifier=Doorman(error=error))
    peer.feed(connect() + SEND)
    assert peer.ended == Ended(error_code=error_code, detail=error.detail, clean=False)
    assert peer.events == [peer.ended]
    assert peer.session.close == Close(error_code.close_code, error_code.message)


def test_a_verifier_that_breaks_is_an_internal_error() -> None:
    error = ZeroDivisionError("secret")
    peer = Peer(verifier=Doorman(error=error))
    peer.feed(connect() + SEND)
    ended = peer.ended
    assert ended is not None
    assert (ended.error_code, ended.cause) == (ErrorCode.INTERNAL_ERROR, error)
    assert "secret" not in repr(ended)
    assert peer.take() == (
        b"ERROR\nmessage:Internal Error\nerror-code:internal-error\ncontent-type:text/plain\n"
        b"content-length:14\n\nInternal Error\0"
    )
    assert peer.session.close == Close(1011, "Internal Error")


# --- 3: the rule ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leeway", "offset", "open_"),
    [
        (0.0, 0.001, True),
        (0.0, 0.0, False),
        (0.0, -1.0, False),
        (5.0, 0.0, True),
        (5.0, -4.999, True),
        (5.0, -5.0, False),
    ],
)
def test_expired_from_exp_plus_leeway_on_at_connect(
    leeway: float, offset: float, open_: bool
) -> None:
    peer = Peer(ServerConfig(leeway=leeway), verifier=Doorman(NOW + offset))
    peer.feed(connect())
    if open_:
        assert peer.session.valid_until == NOW + offset + leeway
        assert peer.session.state is ServerState.OPEN
    else:
        assert peer.ended is not None
        assert peer.ended.error_code is ErrorCode.TOKEN_EXPIRED
        assert peer.session.valid_until == math.inf
        assert peer.session.identity is None
        assert peer.session.close == Close(3000, "Token Expired")


def test_an_identity_that_expires_while_it_is_being_judged() -> None:
    peer = Peer()
    peer.feed(connect())
    peer.session.accept(Identity(subject="ann", expires_at=NOW + 1), now=NOW + 1)
    peer.drain()
    assert [type(each) for each in peer.events] == [ConnectRequested, Ended]
    assert b"error-code:token-expired" in peer.take()


@pytest.mark.parametrize(("leeway", "open_"), [(0.0, False), (1.0, True)])
def test_not_before(leeway: float, open_: bool) -> None:
    peer = Peer(ServerConfig(leeway=leeway), verifier=Doorman(not_before=NOW + 1))
    peer.feed(connect())
    assert (peer.session.state is ServerState.OPEN) is open_
    assert (b"error-code:token-invalid" in peer.take()) is not open_


@pytest.mark.parametrize(("at", "accepted"), [(TTL - 0.001, True), (TTL, False), (TTL + 9, False)])
def test_the_boundary_for_a_frame(at: float, accepted: bool) -> None:
    peer = opened()
    peer.feed(SEND, at=at)
    assert [type(each) for each in peer.work] == ([Sent] if accepted else [])
    if accepted:
        assert peer.take() == b"RECEIPT\nreceipt-id:r-1\n\n\0"
    else:
        assert peer.take() == EXPIRED % b"receipt-id:r-1\n"


def test_leeway_moves_the_boundary_and_the_timer() -> None:
    peer = opened(ServerConfig(leeway=5.0, heart_beat=config().heart_beat))
    peer.feed(SEND, at=TTL + 4.999)
    assert len(peer.work) == 1
    assert peer.session.next_deadline() == NOW + TTL + 5
    peer.feed(SEND, at=TTL + 5)
    assert len(peer.work) == 1


def test_never_expiring() -> None:
    peer = opened(expires_at=None)
    assert peer.session.valid_until == math.inf
    assert peer.session.next_deadline() is None
    peer.feed(SEND, at=1e9)
    assert len(peer.work) == 1


def test_a_year_is_the_most() -> None:
    assert opened(expires_at=NOW + 1e12).session.valid_until == NOW + 365 * 86400


# --- the token shows nowhere ----------------------------------------------------------------------

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
BRINGS: list[dict[str, str]] = [
    {"Authorization": f"Bearer {JWT}"},
    {"authorization": f"Bearer {JWT}"},
    {"passcode": JWT},
]


@pytest.mark.parametrize("headers", BRINGS, ids=["Authorization", "authorization", "passcode"])
@pytest.mark.parametrize("spoil", ["", "receipt:r\n", "heart-beat:x\n", "no colon\n"])
def test_D23_no_token_in_any_event_repr_or_output(headers: dict[str, str], spoil: str) -> None:
    doorman = Doorman(NOW + 1)
    for verifier in (None, doorman, Doorman(error=ValueError(JWT))):
        peer = Peer(verifier=verifier)
        data = frame("CONNECT", **headers).replace(b"\n\n", f"\n{spoil}\n".encode(), 1)
        peer.feed(data)
        peer.feed(b"SEND\ndestination:a\npasscode:" + JWT.encode() + b"\n\n\0")
        peer.tick(10)
        peer.leave(at=11)
        assert peer.ended is not None
        shown = f"{peer.events!r} {peer.session!r} {peer.session.identity!r}".encode()
        assert JWT.encode() not in shown + peer.take()


@pytest.mark.parametrize("mark", ["\r", "\n", "\0"])
def test_a_session_id_is_one_line(mark: str) -> None:
    with pytest.raises(LocalProtocolError, match="one line"):
        ServerSession(config(), session_id=f"a{mark}b", now=NOW)
