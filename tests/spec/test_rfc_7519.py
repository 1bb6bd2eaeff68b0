"""RFC 7519: when a JSON Web Token has expired, and from when it counts."""

from __future__ import annotations

import json
from typing import Any

import jwt
from tests.spec.clauses import Document
from tests.spec.peer import NOW, Heard, Peer, World, connect, frame, receipt, send, subscribe

from stompcore import ServerConfig
from stompcore.pyjwt import JWTVerifier

clause = Document("RFC 7519")
V = "1.2"
SECRET = "correct-horse-battery-staple-0123456789"
EXP = '4.1.4. "exp" (Expiration Time) Claim'
NBF = '4.1.5. "nbf" (Not Before) Claim'


def token(**claims: Any) -> str:
    """A token of Ann's for the next minute; a claim given as ... is left out."""
    every = {"sub": "ann", "exp": NOW + 60} | claims
    present = {name: value for name, value in every.items() if value is not ...}
    return jwt.api_jws.encode(json.dumps(present).encode(), SECRET, "HS256")


def entrance(leeway: float = 0, **settings: Any) -> Peer:
    """Somebody who has not said anything, before a server that knows the secret."""
    world = World(verifier=JWTVerifier(SECRET, algorithms=["HS256"], **settings), leeway=leeway)
    return world.open()


def try_out(leeway: float = 0, **claims: Any) -> Heard:
    """The answer to a CONNECT with such a token."""
    peer = entrance(leeway)
    peer.say(connect(V, f"passcode:{token(**claims)}"))
    (answer,) = peer.hear()
    return answer


# --- exp --------------------------------------------------------------------------------------


@clause(
    EXP,
    'The "exp" (expiration time) claim identifies the expiration time on or after which the JWT'
    " MUST NOT be accepted for processing.",
    kept="by a timer, by every frame that comes, and by every MESSAGE that would go",
)
def test_from_exp_on_nothing_is_accepted_and_nothing_is_sent() -> None:
    idle, listener, sender = entrance(), entrance(), entrance()
    for peer in (idle, listener, sender):
        peer.say(connect(V, f"passcode:{token()}"), subscribe())
        assert peer.hear()[0].command == "CONNECTED"
        peer.world.now = NOW + 59.999
        assert peer.ask(frame("BEGIN", f"transaction:{peer}", "receipt:r")) == receipt("r")
    idle.is_reading = False
    idle.world.hub.publish("/topic/a", b"not read in time", now=NOW + 59.999)
    idle.world.wait(0.001)
    idle.is_reading = True
    listener.world.now = sender.world.now = NOW + 60
    listener.world.hub.publish("/topic/a", b"x", now=NOW + 60)
    sender.say(send(b"x", "receipt:late"))
    for peer, named in ((idle, None), (listener, None), (sender, "late")):
        (error,) = peer.hear()
        assert (error.command, error.get("message")) == ("ERROR", "Token Expired")
        assert error.get("receipt-id") == named
        assert peer.is_over()


@clause(
    EXP,
    'The processing of the "exp" claim requires that the current date/time MUST be before the'
    ' expiration date/time listed in the "exp" claim.',
)
def test_a_token_is_good_until_the_very_instant() -> None:
    assert try_out(exp=NOW + 0.001).get("token-ttl") is not None
    assert try_out(exp=NOW).get("error-code") == "token-expired"
    assert try_out(exp=NOW - 1).get("error-code") == "token-expired"


@clause(
    EXP,
    "Implementers MAY provide for some small leeway, usually no more than a few minutes, to account"
    " for clock skew.",
    kept="`ServerConfig.leeway`, none by default",
)
def test_a_leeway_may_be_given() -> None:
    assert ServerConfig().leeway == 0
    assert try_out(leeway=5, exp=NOW - 4.9).command == "CONNECTED"
    assert try_out(leeway=5, exp=NOW - 5).get("error-code") == "token-expired"


@clause(EXP, "Its value MUST be a number containing a NumericDate value.")
def test_exp_is_a_number() -> None:
    assert try_out(exp=int(NOW) + 60).command == "CONNECTED"
    assert try_out(exp=NOW + 0.5).command == "CONNECTED"
    wrong: tuple[Any, ...] = ("soon", str(NOW + 60), True, None, [NOW + 60], {}, float("nan"))
    for value in wrong:
        assert try_out(exp=value).get("error-code") == "token-invalid", value


@clause(
    EXP,
    "Use of this claim is OPTIONAL.",
    stricter="a token without `exp` is refused",
)
def test_exp_is_required() -> None:
    assert try_out(exp=...).get("error-code") == "token-invalid"


# --- nbf --------------------------------------------------------------------------------------


@clause(
    NBF,
    'The "nbf" (not before) claim identifies the time before which the JWT MUST NOT be accepted for'
    " processing.",
)
def test_before_nbf_a_token_is_refused() -> None:
    assert try_out(nbf=NOW + 0.001).get("error-code") == "token-invalid"


@clause(
    NBF,
    'The processing of the "nbf" claim requires that the current date/time MUST be after or equal'
    ' to the not-before date/time listed in the "nbf" claim.',
)
def test_from_nbf_on_a_token_is_good() -> None:
    assert try_out(nbf=NOW).command == "CONNECTED"
    assert try_out(leeway=5, nbf=NOW + 5).command == "CONNECTED"
    assert try_out(leeway=5, nbf=NOW + 5.1).get("error-code") == "token-invalid"
