"""The two grants: what is asked, what an answer comes to, and what becomes of refresh tokens."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import socket
import time
from typing import Any

import httpx
import pytest
from tests.adapters.contract.runtime import Runtime
from tests.tokens.asking import FIRST_REQUEST, Asker, ask, refreshing
from tests.tokens.auth_server import FIRST, AuthServer, Drip, Endless, HangUp, Lose, Reply

from stompcore import LocalProtocolError, TokenUnavailable, Unauthorized
from stompcore_tokens import OAuth2ClientCredentials, OAuth2RefreshToken


def said(**content: Any) -> bytes:
    return json.dumps(content).encode()


def basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


# --- what is asked ---------------------------------------------------------------------------


def test_a_refresh_token_brings_an_access_token(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth, scope="chat read", extra={"audience": "https://a/?b&c"})
        assert await source(FIRST_REQUEST) == "access-secret-0"
        (request,) = auth.received
        assert request.path == "/token"
        assert request.form == {
            "grant_type": "refresh_token",
            "refresh_token": FIRST,
            "scope": "chat read",
            "audience": "https://a/?b&c",
        }
        assert request.headers["Authorization"] == basic("app:client-secret")
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert request.headers["Accept"] == "application/json"
        assert request.headers["Accept-Encoding"] == "identity"

    runtime.run(body)


def test_client_credentials_bring_an_access_token(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        source = OAuth2ClientCredentials(
            auth.url, client_id="app", client_secret="client-secret", scope="chat"
        )
        assert await source(FIRST_REQUEST) == "access-secret-0"
        (request,) = auth.received
        assert request.form == {"grant_type": "client_credentials", "scope": "chat"}
        assert request.headers["Authorization"] == basic("app:client-secret")

    runtime.run(body)


def test_id_and_secret_are_form_encoded_before_basic(auth: AuthServer) -> None:
    ask(refreshing(auth, client_id="my app:1", client_secret="secret/%ü+"))
    assert auth.received[0].headers["Authorization"] == basic("my+app%3A1:secret%2F%25%C3%BC%2B")


def test_id_and_secret_can_stand_in_the_form(auth: AuthServer) -> None:
    ask(refreshing(auth, auth_method="post"))
    (request,) = auth.received
    assert request.form["client_id"] == "app"
    assert request.form["client_secret"] == "client-secret"
    assert "Authorization" not in request.headers


def test_a_public_client_has_no_secret(auth: AuthServer) -> None:
    ask(refreshing(auth, client_secret=None))
    (request,) = auth.received
    assert request.form == {
        "grant_type": "refresh_token",
        "refresh_token": FIRST,
        "client_id": "app",
    }
    assert "Authorization" not in request.headers


def test_an_extra_parameter_can_come_twice(auth: AuthServer) -> None:
    async def once() -> None:
        bodies: list[bytes] = []

        def answer(request: httpx.Request) -> httpx.Response:
            bodies.append(request.content)
            return httpx.Response(200, json={"access_token": "access-secret"})

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            source = refreshing(auth, extra={"resource": ["https://a", "https://b"]}, http=http)
            assert await source(FIRST_REQUEST) == "access-secret"
        assert b"resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb&" in bodies[0]

    asyncio.run(once())


# --- rotation --------------------------------------------------------------------------------


def test_each_refresh_token_is_used_once(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        client = Asker(refreshing(auth))
        for number in range(4):
            assert await client() == f"access-secret-{number}"
        assert auth.refresh_tokens == [FIRST, *auth.issued[:3]]
        assert auth.reused == []

    runtime.run(body)


def test_a_refresh_token_that_does_not_rotate_is_used_again(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        saved: list[str] = []
        with AuthServer(rotates=False) as auth:
            client = Asker(refreshing(auth, save=saved.append))
            await client()
            await client()
            assert auth.refresh_tokens == [FIRST, FIRST]
        assert saved == []

    runtime.run(body)


@pytest.mark.parametrize("is_async", [False, True])
def test_each_new_refresh_token_is_saved(
    runtime: Runtime, auth: AuthServer, is_async: bool
) -> None:
    async def body(runtime: Runtime) -> None:
        saved: list[str] = []

        async def save_later(refresh_token: str) -> None:
            await runtime.sleep(0)
            saved.append(refresh_token)

        client = Asker(refreshing(auth, save=save_later if is_async else saved.append))
        await client()
        assert saved == auth.issued[:1]
        await client()
        assert saved == auth.issued
        assert len(saved) == 2

    runtime.run(body)


@pytest.mark.parametrize("how", ["raises", "raises later", "hangs"])
def test_a_save_that_fails_is_logged_and_costs_nothing(
    runtime: Runtime, auth: AuthServer, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    async def body(runtime: Runtime) -> None:
        def save(refresh_token: str) -> None:
            raise PermissionError(refresh_token)

        async def save_later(refresh_token: str) -> None:
            if how == "hangs":
                await runtime.sleep(3600)
            save(refresh_token)

        callback = save if how == "raises" else save_later
        client = Asker(refreshing(auth, save=callback, request_timeout=1.0))
        assert await client() == "access-secret-0"
        why = "it took longer than 1 s" if how == "hangs" else "PermissionError"
        warnings = [each for each in caplog.records if each.name == "stompcore.tokens"]
        assert [each.levelno for each in warnings] == [logging.WARNING]
        assert warnings[0].getMessage() == f"the new refresh token was not saved: {why}"
        if how != "hangs":
            assert await client() == "access-secret-1"
            assert auth.reused == []

    runtime.run(body)


def test_a_new_refresh_token_counts_though_the_access_token_is_odd(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        saved: list[str] = []
        client = Asker(refreshing(auth, save=saved.append))
        auth.then(Reply(200, said(access_token=7, refresh_token="refresh-secret-x")))
        with pytest.raises(TokenUnavailable):
            await client()
        assert saved == ["refresh-secret-x"]
        with pytest.raises(Unauthorized):  # our server never gave that one
            await client()
        assert auth.refresh_tokens == [FIRST, "refresh-secret-x"]

    runtime.run(body)


def test_a_lost_answer_leaves_but_the_same_refresh_token(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        client = Asker(refreshing(auth))
        auth.then(Lose())
        with pytest.raises(TokenUnavailable, match="RemoteProtocolError"):
            await client()
        with pytest.raises(Unauthorized, match="invalid_grant"):
            await client()
        assert auth.refresh_tokens == [FIRST, FIRST]

    runtime.run(body)


# --- what an answer comes to -----------------------------------------------------------------

BAD_ANSWERS = {
    "500": Reply(500, said(error="invalid_grant")),
    "503 of a proxy": Reply(503, b"<html>secret</html>"),
    "429": Reply(429, said(error="invalid_request")),
    "408": Reply(408),
    "404": Reply(404, b"what?"),
    "400, but for now": Reply(400, said(error="temporarily_unavailable")),
    "nothing": Reply(),
    "garbage": Reply(200, b"\xff\x00secret"),
    "no object": Reply(200, b'["secret"]'),
    "deep": Reply(200, b"[" * 100_000),
    "no access token": Reply(200, said(token_type="Bearer")),
    "a null": Reply(200, said(access_token=None)),
    "an empty access token": Reply(200, said(access_token="")),
    "an access token of two lines": Reply(200, said(access_token="a-secret\nAuthorization:x")),
    "an access token that is no text": Reply(200, said(access_token={"secret": 1})),
    "an access token of another kind": Reply(200, said(access_token="secret", token_type="mac")),
    "an unknown error": Reply(200, said(error="secret")),
    "huge": Reply(200, said(access_token="s" * 300_000)),
    "endless": Endless(),
    "truncated": Reply(200, said(access_token="secret"), missing=10),
    "compressed": Reply(
        200, gzip.compress(said(access_token="secret")), {"Content-Encoding": "gzip"}
    ),
    "no answer": HangUp(),
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_is_temporary(
    runtime: Runtime, auth: AuthServer, answer: Reply | HangUp | Endless
) -> None:
    async def body(runtime: Runtime) -> None:
        client = Asker(refreshing(auth))
        auth.then(answer)
        with pytest.raises(TokenUnavailable) as caught:
            await client()
        assert str(caught.value).startswith("the auth server")
        assert "secret" not in repr(caught.value)
        assert await client() == "access-secret-0"
        assert auth.refresh_tokens == [FIRST, FIRST]

    runtime.run(body)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(runtime: Runtime, auth: AuthServer, status: int) -> None:
    async def body(runtime: Runtime) -> None:
        auth.then(Reply(status, headers={"Location": f"{auth.url}/elsewhere"}))
        async with httpx.AsyncClient(follow_redirects=True) as http:
            with pytest.raises(TokenUnavailable, match="redirects are not followed"):
                await refreshing(auth, http=http)(FIRST_REQUEST)
        assert [each.path for each in auth.received] == ["/token"]

    runtime.run(body)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Reply(400, said(error="invalid_grant")), "invalid_grant"),
        (Reply(401, said(error="invalid_client")), "invalid_client"),
        (Reply(400, said(error="unauthorized_client")), "unauthorized_client"),
        (Reply(400, said(error="invalid_scope")), "invalid_scope"),
        (Reply(400, said(error="secret")), "status 400"),
        (Reply(401), "status 401"),
        (Reply(403, b"<html>secret</html>"), "status 403"),
        (Reply(422, said(error="invalid_grant")), "invalid_grant"),
        (Reply(200, said(error="bad_refresh_token", access_token="")), "bad_refresh_token"),
    ],
)
def test_a_refusal_is_permanent(
    runtime: Runtime, auth: AuthServer, answer: Reply, why: str
) -> None:
    async def body(runtime: Runtime) -> None:
        auth.then(answer)
        with pytest.raises(Unauthorized) as caught:
            await refreshing(auth)(FIRST_REQUEST)
        assert str(caught.value) == f"the auth server refuses to give a token ({why})"

    runtime.run(body)


def test_a_dead_refresh_token_is_not_sent_again(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        auth.then(Reply(400, said(error="invalid_grant")))
        source = refreshing(auth)
        for _ in range(2):
            with pytest.raises(Unauthorized, match="invalid_grant"):
                await source(FIRST_REQUEST)
        assert len(auth.received) == 1

    runtime.run(body)


def test_a_client_that_was_refused_may_ask_again(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        auth.then(Reply(401, said(error="invalid_client")))
        source = refreshing(auth)
        with pytest.raises(Unauthorized):
            await source(FIRST_REQUEST)
        assert await source(FIRST_REQUEST) == "access-secret-0"

    runtime.run(body)


def test_an_auth_server_that_is_down_is_temporary(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        source = OAuth2RefreshToken(
            f"http://localhost:{port}/token", client_id="app", refresh_token=FIRST
        )
        with pytest.raises(TokenUnavailable) as caught:
            await source(FIRST_REQUEST)
        assert str(caught.value) == "the auth server could not be asked (ConnectError)"

    runtime.run(body)


@pytest.mark.parametrize("is_dripping", [False, True])
def test_a_slow_auth_server_is_given_up(
    runtime: Runtime, auth: AuthServer, is_dripping: bool
) -> None:
    async def body(runtime: Runtime) -> None:
        gate = None
        if is_dripping:
            auth.then(Drip())
        else:
            gate = auth.gate()
        source = refreshing(auth, request_timeout=0.3)
        began_at = time.monotonic()
        with pytest.raises(TokenUnavailable):
            await source(FIRST_REQUEST)
        assert time.monotonic() - began_at < 5.0
        if gate is not None:
            gate.release()

    runtime.run(body)


# --- its own life ----------------------------------------------------------------------------


def test_a_source_that_was_closed_makes_no_request(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        async with refreshing(auth) as source:
            await source(FIRST_REQUEST)
        with pytest.raises(LocalProtocolError, match="closed"):
            await source(FIRST_REQUEST)
        await source.aclose()
        assert len(auth.received) == 1

    runtime.run(body)


def test_a_given_http_client_is_used_and_stays_open(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        async with httpx.AsyncClient(headers={"X-From": "test"}) as http:
            async with refreshing(auth, http=http) as source:
                await source(FIRST_REQUEST)
            assert not http.is_closed
            await http.post(auth.url, content="a=b")
        assert auth.received[0].headers["X-From"] == "test"

    runtime.run(body)


def test_a_source_outlives_its_event_loop(auth: AuthServer) -> None:
    client = Asker(refreshing(auth))
    assert asyncio.run(client()) == "access-secret-0"
    assert asyncio.run(client()) == "access-secret-1"


def test_a_source_shows_where_it_asks_and_no_secret(auth: AuthServer) -> None:
    credentials = OAuth2ClientCredentials(
        f"{auth.url}?secret=1", client_id="app", client_secret="client-secret"
    )
    assert repr(credentials) == f"<OAuth2ClientCredentials at http://127.0.0.1:{auth.port}>"
    source = refreshing(auth)
    ask(source)
    assert repr(source) == f"<OAuth2RefreshToken at http://127.0.0.1:{auth.port}>"
    assert "secret" not in repr(vars(source))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/token",
        "http://127.8.9.1:80/token",
        "http://[::1]:80/token",
        "http://localhost/token",
        "http://LocalHost/token",
        "http://auth.localhost/token",
        "https://auth.example/token?tenant=1",
    ],
)
def test_a_url_that_keeps_secrets(url: str) -> None:
    OAuth2RefreshToken(url, client_id="app", refresh_token=FIRST)


@pytest.mark.parametrize(
    "url",
    [
        "http://auth.example/token",
        "http://10.0.0.1/token",
        "http://localhost.example/token",
        "http://127.0.0.1.example/token",
    ],
)
def test_a_url_that_sends_secrets_in_the_clear(url: str) -> None:
    with pytest.raises(LocalProtocolError, match="in the clear"):
        OAuth2RefreshToken(url, client_id="app", refresh_token=FIRST)
    OAuth2RefreshToken(url, client_id="app", refresh_token=FIRST, allow_http=True)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"token_url": "ftp://auth.example"}, "https://"),
        ({"token_url": "/token"}, "https://"),
        ({"token_url": "https://"}, "with a host"),
        ({"token_url": "https://a:secret@auth.example/token"}, "user"),
        ({"token_url": "https://auth.example/token#here"}, "fragment"),
        ({"token_url": "https://[::1/token"}, "no URL"),
        ({"token_url": "https://a\x00b/"}, "no URL"),
        ({"client_id": ""}, "client_id"),
        ({"refresh_token": ""}, "empty"),
        ({"auth_method": "digest"}, "auth_method"),
        ({"auth_method": "basic"}, "client_secret"),
        ({"auth_method": "post"}, "client_secret"),
        ({"auth_method": "none", "client_secret": "client-secret"}, "client_secret"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"request_timeout": float("inf")}, "request_timeout"),
        ({"request_timeout": float("nan")}, "request_timeout"),
        ({"extra": {"grant_type": "password"}}, "extra cannot hold grant_type"),
        ({"extra": {"client_secret": "x"}}, "extra cannot hold client_secret"),
    ],
)
def test_a_setting_that_makes_no_sense(options: dict[str, Any], why: str) -> None:
    settings = {
        "token_url": "https://auth.example/token",
        "client_id": "app",
        "refresh_token": FIRST,
    }
    with pytest.raises(LocalProtocolError, match=why) as caught:
        OAuth2RefreshToken(**(settings | options))
    assert ":secret@" not in str(caught.value)


def test_client_credentials_need_a_secret_or_a_word_about_it() -> None:
    with pytest.raises(LocalProtocolError, match="client_secret"):
        OAuth2ClientCredentials("https://auth.example/token", client_id="app")
    OAuth2ClientCredentials("https://auth.example/token", client_id="app", auth_method="none")
