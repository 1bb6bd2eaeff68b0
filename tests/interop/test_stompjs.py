"""`@stomp/stompjs`, which browsers use, in Node, against `stompcore serve`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Serving

pytestmark = pytest.mark.interop

JS = Path(__file__).with_name("js")
NODE = shutil.which("node")
TIMEOUT = 25.0
HEART_BEAT = 1000

Observation = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def client_is_there() -> None:
    if NODE is not None and (JS / "node_modules" / "@stomp" / "stompjs").is_dir():
        return
    reason = "Node.js with the packages of tests/interop/js is not there (make browser-client)"
    if os.environ.get("STOMPCORE_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def run(script: str, **options: Any) -> list[Observation]:
    """What the script saw, in order; it must end by itself, and well."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, JS / script],
        input=json.dumps(options),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def only(observations: list[Observation], what: str) -> Observation:
    (found,) = (each for each in observations if each["what"] == what)
    return found


def kinds(observations: list[Observation]) -> list[str]:
    return [each["what"] for each in observations]


@contextmanager
def token_endpoint(make: Callable[[], str]) -> Iterator[str]:
    """An HTTP server that answers every GET with a token; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = make().encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{endpoint.server_port}/token"
        finally:
            endpoint.shutdown()
            thread.join()


def test_the_whole_life_of_a_token(server: Serving, destination: str) -> None:
    expiries: list[float] = []

    def make() -> str:
        ttl = 60.0 if expiries else 2.0
        expiries.append(time.time() + ttl)
        return server.mint("ada", exp=expiries[-1])

    with token_endpoint(make) as token_url:
        seen = run("lifecycle.mjs", url=server.url, tokenUrl=token_url, destination=destination)

    assert kinds(seen) == [
        "token",
        "connected",
        "message",
        "error",
        "close",
        "token",
        "connected",
        "message",
        "disconnected",
        "close",
        "deactivated",
    ]
    assert len(expiries) == 2
    first, error, close, second, end = (seen[i] for i in (2, 3, 4, 7, 9))
    assert first["body"] == "hello 1"
    assert error["headers"]["message"] == "Token Expired"
    assert error["headers"]["error-code"] == "token-expired"
    assert 0 <= error["at"] - expiries[0] < 1
    assert (close["code"], close["reason"]) == (3000, "Token Expired")
    assert second["body"] == "hello 2"
    assert second["headers"]["destination"] == destination
    assert end["code"] == 1000
    sessions = [each["headers"]["session"] for each in seen if each["what"] == "connected"]
    assert len(set(sessions)) == 2
    assert "subject=ada" in server.wait_for_log(f"connected session={sessions[0]}")
    assert "error_code=token-expired" in server.wait_for_log(f"ended session={sessions[0]}")
    server.wait_for_log(f"disconnected session={sessions[1]}")


def test_a_client_that_only_listens_is_cut_off(server: Serving, destination: str) -> None:
    expires_at = time.time() + 1.5
    seen = run(
        "listen.mjs",
        url=server.url,
        destination=destination,
        listenerToken=server.mint("listener", exp=expires_at),
        talkerToken=server.mint("talker"),
    )

    error, close = only(seen, "error"), only(seen, "close")
    assert error["headers"]["error-code"] == "token-expired"
    assert "receipt-id" not in error["headers"]
    assert 0 <= error["at"] - expires_at < 1
    assert (close["code"], close["reason"]) == (3000, "Token Expired")
    assert 0 <= close["at"] - expires_at < 1
    sent = [each["sentAt"] for each in seen if each["what"] == "message"]
    assert sent
    assert max(sent) < expires_at
    # The other session noticed nothing.
    assert kinds(seen)[-1] == "talker confirmed"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("garbage", "token-invalid"),
        ("forged", "token-invalid"),
        ("expired", "token-expired"),
        ("none", "token-missing"),
    ],
)
def test_a_bad_token_is_refused(server: Serving, kind: str, code: str) -> None:
    tokens = {
        "garbage": "garbage",
        "forged": server.mint(key="some other secret, of forty bytes or so."),
        "expired": server.mint(ttl=-1),
        "none": None,
    }
    seen = run("refused.mjs", url=server.url, token=tokens[kind])

    words = {
        "token-invalid": "Token Invalid",
        "token-expired": "Token Expired",
        "token-missing": "Token Missing",
    }
    assert kinds(seen) == ["error", "close"]
    error, close = seen
    assert error["headers"]["error-code"] == code
    assert error["headers"]["message"] == words[code]
    assert (close["code"], close["reason"]) == (3000, words[code])


def test_text_and_bytes_and_a_clean_end(server: Serving, destination: str) -> None:
    texts = ["", "hello", "zwei\nZeilen, größer als ASCII: € 😀", "x" * 100_000]
    binaries = ["00", "000a00", bytes(range(256)).hex(), "ff" * 50_000]
    seen = run(
        "bodies.mjs",
        url=server.url,
        destination=destination,
        token=server.mint(),
        texts=texts,
        binaries=binaries,
    )

    messages = [each for each in seen if each["what"] == "message"]
    expected = [text.encode() for text in texts] + [bytes.fromhex(each) for each in binaries]
    assert [bytes.fromhex(each["hex"]) for each in messages] == expected
    for message in messages[: len(texts)]:
        # No backslash before an r, n or c: stompjs itself unescapes those twice.
        assert message["headers"]["x-note"] == "a:b\n€\\d"
    for message in messages[len(texts) :]:
        assert message["headers"]["content-type"] == "application/octet-stream"
    assert kinds(seen)[-3:] == ["disconnected", "close", "deactivated"]
    disconnected, close, _ = seen[-3:]
    assert disconnected["command"] == "RECEIPT"
    assert close["code"] == 1000


def test_heart_beats(server: Serving) -> None:
    seen = run("beats.mjs", url=server.url, token=server.mint(), milliseconds=HEART_BEAT)

    assert kinds(seen) == ["connected", "beats", "close"]
    connected, beats, close = seen
    assert connected["headers"]["heart-beat"] == f"{HEART_BEAT},{HEART_BEAT}"
    assert beats["isConnected"]
    assert beats["sent"] >= 2
    assert beats["received"] >= 2
    assert close["code"] == 1000
