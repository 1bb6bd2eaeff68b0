"""`stompcore serve`: each option about tokens, browsers and beats has its effect."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

import jwt
import pytest
from tests.cli.conftest import KeyPair, jwk, published
from tests.serving import PATIENCE, SECRET, RawClient, Serving, frame, serving
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

RUNTIMES = ["asyncio", "trio"]


def answer(server: Serving, token: str | None) -> str:
    """CONNECTED, or the error code."""
    with RawClient(server.tcp) as client:
        frame = client.connect(token)
        return frame.headers.get("error-code", frame.command)


@pytest.mark.parametrize("name", ["RS256", "ES256", "ES384", "EdDSA"])
def test_a_public_key(keys: dict[str, KeyPair], name: str) -> None:
    pair, stranger = keys[name], keys["RS256" if name == "EdDSA" else "EdDSA"]
    with serving("--jwt-public-key", str(pair.public_file)) as server:
        good = server.mint(key=pair.private, algorithm=name)
        assert answer(server, good) == "CONNECTED"
        bad = [
            server.mint(key=stranger.private, algorithm="RS256" if name == "EdDSA" else "EdDSA"),
            server.mint(),
            server.mint(key=None, algorithm="none"),
            # The old trick: the public key, which everybody has, as an HMAC secret.
            forged_with(pair.public_file.read_bytes()),
        ]
        assert [answer(server, token) for token in bad] == ["token-invalid"] * len(bad)


def forged_with(secret: bytes) -> str:
    """A token that PyJWT would not sign."""
    signer = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    claims = {"sub": "ada", "exp": time.time() + 60}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    signed = b".".join(jwt.utils.base64url_encode(json.dumps(part).encode()) for part in parts)
    return b".".join([signed, jwt.utils.base64url_encode(signer.sign(signed, secret))]).decode()


def test_an_algorithm_by_name() -> None:
    long_secret = SECRET * 2
    with serving("--jwt-secret", long_secret, "--jwt-algorithm", "HS512") as server:
        token = server.mint(key=long_secret, algorithm="HS512")
        assert answer(server, token) == "CONNECTED"
        assert answer(server, server.mint(key=long_secret)) == "token-invalid"


@pytest.mark.parametrize("name", ["RS256", "ES256", "EdDSA"])
def test_published_keys(keys: dict[str, KeyPair], name: str) -> None:
    pair = keys[name]
    document = {"keys": [jwk(pair, name, kid="one", alg=name)]}
    with published(document) as site, serving("--jwks-url", f"{site}/keys") as server:
        mine = server.mint(key=pair.private, algorithm=name, headers={"kid": "one"})
        other = server.mint(key=pair.private, algorithm=name, headers={"kid": "two"})
        assert answer(server, mine) == "CONNECTED"
        assert answer(server, other) == "token-invalid"


def test_issuer_and_audience() -> None:
    with serving("--issuer", "us", "--audience", "chat") as server:
        assert answer(server, server.mint(iss="us", aud="chat")) == "CONNECTED"
        assert answer(server, server.mint(iss="us", aud=["mail", "chat"])) == "CONNECTED"
        for claims in (
            {},
            {"iss": "us"},
            {"aud": "chat"},
            {"iss": "them", "aud": "chat"},
            {"iss": "us", "aud": "mail"},
        ):
            assert answer(server, server.mint(**claims)) == "token-invalid"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_leeway(runtime: str) -> None:
    with serving("--runtime", runtime, "--leeway", "30") as server:
        assert answer(server, server.mint(ttl=-10)) == "CONNECTED"
        assert answer(server, server.mint(ttl=-31)) == "token-expired"
        expires_at = time.time() - 29
        with RawClient(server.tcp) as client:
            assert client.connect(server.mint(exp=expires_at)).command == "CONNECTED"
            assert client.receive().headers["error-code"] == "token-expired"
            assert 0 <= time.time() - (expires_at + 30) < 1


def test_no_leeway_unless_asked_for() -> None:
    with serving() as server:
        assert answer(server, server.mint(ttl=-0.5)) == "token-expired"
        assert answer(server, None) == "token-missing"


def handshake(server: Serving, origin: str | None) -> int:
    """The HTTP status."""
    try:
        with connect(
            server.url,
            origin=None if origin is None else Origin(origin),
            open_timeout=PATIENCE,
            proxy=None,
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_origins() -> None:
    ours = "https://chat.example"
    with serving("--origin", ours, "--origin", "http://localhost:3000") as server:
        assert handshake(server, ours) == 101
        assert handshake(server, "http://localhost:3000") == 101
        assert handshake(server, "https://evil.example") == 403
        assert handshake(server, f"{ours}.evil.example") == 403
        assert handshake(server, "null") == 403
    with serving() as server:
        assert handshake(server, "https://anybody.example") == 101


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_heart_beats_from_the_server(runtime: str) -> None:
    options = ("--runtime", runtime, "--heart-beat", "200,0")
    with serving(*options) as server, RawClient(server.tcp) as client:
        connected = client.connect(server.mint(), heart_beat="0,100")
        assert connected.headers["heart-beat"] == "200,0"
        beats = b""
        while len(beats) < 3:
            data = client.socket.recv(10)
            assert data
            beats += data
        assert not beats.strip(b"\n")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_heart_beats_from_the_client(runtime: str) -> None:
    options = ("--runtime", runtime, "--heart-beat", "0,300")
    with serving(*options) as server, RawClient(server.tcp) as client:
        before = time.monotonic()
        assert client.connect(server.mint(), heart_beat="100,0").command == "CONNECTED"
        assert client.receive().headers["error-code"] == "heartbeat-timeout"
        assert 0.5 < time.monotonic() - before < 5


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_auth(runtime: str) -> None:
    with serving("--runtime", runtime, "--no-auth") as server:
        assert "no authentication" in server.wait_for_log("WARNING")
        with RawClient(server.tcp) as client:
            assert client.connect(login="ada").command == "CONNECTED"
        server.wait_for_log("subject=ada")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_login_timeout(runtime: str) -> None:
    with serving("--runtime", runtime, "--login-timeout", "0.3") as server:
        before = time.monotonic()
        with RawClient(server.tcp) as client:
            assert client.receive().headers["error-code"] == "login-timeout"
        assert 0.2 < time.monotonic() - before < 5
        assert answer(server, server.mint()) == "CONNECTED"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("options", "destination"),
    [((), "/auth/refresh"), (("--refresh-destination", "/topic/renew"), "/topic/renew")],
)
def test_where_a_session_is_renewed(
    runtime: str, options: tuple[str, ...], destination: str
) -> None:
    with serving("--runtime", runtime, *options) as server, RawClient(server.tcp) as client:
        connected = client.connect(server.mint(ttl=30.0))
        assert connected.headers["token-refresh"] == destination
        assert 20_000 < int(connected.headers["token-ttl"]) <= 30_000
        token = server.mint(ttl=90.0)
        client.send(frame("SEND", token, destination=destination, receipt="r"))
        assert 80_000 < int(client.receive().headers["token-ttl"]) <= 90_000
        refreshed = server.wait_for_log("refreshed ")
        assert f"session={connected.headers['session']} subject=ada valid_until=" in refreshed


def test_sessions_that_are_not_renewed() -> None:
    with serving("--no-refresh") as server, RawClient(server.tcp) as client:
        assert "token-refresh" not in client.connect(server.mint()).headers


def page(server: Serving, path: str) -> tuple[int, str]:
    host, port = server.address("ws")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{host}:{port}{path}", timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_pages(runtime: str) -> None:
    with serving("--runtime", runtime) as server:
        assert page(server, "/healthz") == (200, "ok\n")
        status, metrics = page(server, "/metrics")
        assert status == 200
        assert "\nstompcore_connects_total 0\n" in metrics
        assert answer(server, server.mint()) == "CONNECTED"
        assert "\nstompcore_connects_total 1\n" in page(server, "/metrics")[1]
        assert page(server, "/nowhere")[0] == 404


def test_pages_elsewhere() -> None:
    options = ("--health-path", "/up", "--metrics-path", "/admin/numbers")
    with serving(*options) as server:
        assert page(server, "/up") == (200, "ok\n")
        assert page(server, "/admin/numbers")[0] == 200
        assert (page(server, "/healthz")[0], page(server, "/metrics")[0]) == (404, 404)


def test_no_metrics() -> None:
    with serving("--no-metrics") as server:
        assert page(server, "/healthz") == (200, "ok\n")
        assert page(server, "/metrics")[0] == 404


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_drain_is_spread_over_its_window(runtime: str) -> None:
    # A small server takes no longer than it needs: the ten are gone in a twentieth of a second.
    options = ("--runtime", runtime, "--drain-window", "60")
    with serving(*options, stop=False) as server:
        clients = [RawClient(server.tcp) for _ in range(10)]
        for client in clients:
            assert client.connect(server.mint()).command == "CONNECTED"
        before = time.monotonic()
        server.process.terminate()
        for client in clients:
            with client:
                assert client.receive().headers["error-code"] == "going-away"
        assert time.monotonic() - before < 5
