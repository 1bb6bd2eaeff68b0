"""What people are told when a command cannot do what they asked for: one line, no traceback."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import TLS, KeyPair, jwk, published
from tests.serving import SECRET, run_command

from stompcore_cli import main

GOOD = ("--jwt-secret", SECRET)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("STOMPCORE_JWT_SECRET", raising=False)
    # `serve` sets the log up for a process of its own.
    logger = logging.getLogger("stompcore")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture
def complain(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Complain:
    return Complain(monkeypatch, capfd)


class Complain:
    """Runs the command, which must fail, and gives back its sentence."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def __call__(self, *arguments: str) -> str:
        self._monkeypatch.setattr(sys, "argv", ["stompcore", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = self._capfd.readouterr()
        assert caught.value.code in (1, 2)
        assert out == ""
        return check_line(err)


def check_line(err: str) -> str:
    assert err.startswith("stompcore: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert SECRET not in err
    return err.removeprefix("stompcore: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing command"),
        (("frobnicate",), "No such command"),
        (("--frobnicate",), "No such option"),
        (("serve", "--frobnicate"), "No such option"),
        (("serve", *GOOD, "more"), "unexpected extra argument"),
        (("serve", "--jwt-secret"), "requires an argument"),
        (("serve",), "Give one of"),
        (("serve", *GOOD, "--no-auth"), "Give one of"),
        (("serve", *GOOD, "--jwt-public-key", "key.pem"), "Give one of"),
        (("serve", "--no-auth", "--jwks-url", "http://127.0.0.1/"), "Give one of"),
        (("serve", "--no-auth", "--issuer", "me"), "have no meaning with --no-auth"),
        (("serve", "--no-auth", "--jwt-algorithm", "HS256"), "have no meaning with --no-auth"),
        (("serve", *GOOD, "--runtime", "curio"), "'curio'"),
        (("serve", *GOOD, "--path", "ws"), "A path must start with /."),
        (("serve", *GOOD, "--tls-cert", "cert.pem"), "go together"),
        (("serve", *GOOD, "--tls-key", "key.pem"), "go together"),
        (("serve", *GOOD, "--health-path", "up"), "A path must start with /."),
        (("serve", *GOOD, "--metrics-path", ""), "A path must start with /."),
        (("serve", *GOOD, "--metrics-path", "/healthz"), "are to be different"),
        (("serve", *GOOD, "--metrics-path", "/ws"), "are to be different"),
        (("serve", *GOOD, "--path", "/healthz", "--no-metrics"), "are to be different"),
        (("serve", *GOOD, "--refresh-destination", ""), "Refresh_destination must be one line."),
        (
            ("serve", *GOOD, "--refresh-destination", "a\nb"),
            "Refresh_destination must be one line.",
        ),
        (("serve", *GOOD, "--log-format", "xml"), "'xml'"),
        (("serve", "--jwt-secret", ""), "The key is empty."),
        (("serve", "--jwt-secret", "\udcff" * 40), "This key cannot be used with HS256."),
    ],
)
def test_bad_options(complain: Complain, arguments: tuple[str, ...], words: str) -> None:
    assert words in complain(*arguments)


@pytest.mark.parametrize("option", ["--ws", "--tcp"])
@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        ":80",
        "80",
        "localhost:",
        "localhost:http",
        "h:65536",
        "h:-1",
        "h:" + "9" * 5000,
        "h:²",
    ],
)
def test_bad_addresses(complain: Complain, option: str, address: str) -> None:
    assert "is not HOST:PORT" in complain("serve", *GOOD, option, address)


@pytest.mark.parametrize("runtime", ["asyncio", "trio"])
@pytest.mark.parametrize("host", ["a" * 300, "a..b", "192.0.2.1"])
def test_hosts_that_cannot_be_listened_on(complain: Complain, runtime: str, host: str) -> None:
    sentence = complain("serve", *GOOD, "--runtime", runtime, "--ws", f"{host}:0")
    assert sentence.startswith("Cannot listen: ")


@pytest.mark.parametrize(
    "value", ["", "1", "1,", "1,2,3", "1.5,1", "-1,1", "a,b", "9" * 5000 + ",0", "0," + "9" * 400]
)
def test_bad_heart_beats(complain: Complain, value: str) -> None:
    assert "two numbers" in complain("serve", *GOOD, "--heart-beat", value)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon", ""])
def test_bad_leeway(complain: Complain, value: str) -> None:
    assert "leeway" in complain("serve", *GOOD, "--leeway", value).lower()


@pytest.mark.parametrize("option", ["--drain-window", "--login-timeout"])
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon", ""])
def test_bad_seconds(complain: Complain, option: str, value: str) -> None:
    sentence = complain("serve", *GOOD, option, value)
    assert option.removeprefix("--") in sentence.lower().replace("_", "-")


def test_nobody_logs_in_in_no_time(complain: Complain) -> None:
    assert "'--login-timeout'" in complain("serve", *GOOD, "--login-timeout", "0")


@pytest.mark.parametrize("name", ["none", "NONE", "", "RS256", "ES256", "EdDSA", "hs256", "rot13"])
def test_bad_algorithms_for_a_secret(complain: Complain, name: str) -> None:
    complain("serve", *GOOD, "--jwt-algorithm", name)


@pytest.mark.parametrize("text", [b"", b"no key at all, but forty bytes of text..", b"\xff\xfe"])
@pytest.mark.parametrize("algorithm", [None, "RS256", "HS256"])
def test_files_that_hold_no_public_key(
    complain: Complain, tmp_path: Path, text: bytes, algorithm: str | None
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(text)
    more = ("--jwt-algorithm", algorithm) if algorithm else ()
    sentence = complain("serve", "--jwt-public-key", str(path), *more)
    assert sentence.endswith("holds no public key that can be used.")


@pytest.mark.parametrize("path", ["nowhere.pem", ".", "two\nlines.pem"])
def test_public_key_files_that_cannot_be_read(complain: Complain, path: str) -> None:
    assert "cannot be read" in complain("serve", "--jwt-public-key", path)


@pytest.mark.parametrize("name", ["RS256", "ES256", "EdDSA"])
def test_a_private_key_is_no_public_key(
    complain: Complain, keys: dict[str, KeyPair], name: str
) -> None:
    sentence = complain("serve", "--jwt-public-key", str(keys[name].private_file))
    assert "holds no public key" in sentence


def test_a_public_key_is_no_hmac_secret(complain: Complain, keys: dict[str, KeyPair]) -> None:
    path = keys["RS256"].public_file
    for arguments in (
        ("--jwt-public-key", str(path), "--jwt-algorithm", "HS256"),
        ("--jwt-secret", path.read_text()),
        ("--jwt-public-key", str(path), "--jwt-algorithm", "ES256"),
    ):
        assert complain("serve", *arguments).startswith("This key cannot be used with ")
    sentence = complain("token", "--secret", path.read_text(), "--subject", "ada", "--ttl", "1")
    assert sentence == "The secret cannot be used with HS256."


def test_bad_tls_files(complain: Complain, tls: TLS, keys: dict[str, KeyPair]) -> None:
    stranger, encrypted = keys["ES256"].private_file, keys["ES256"].encrypted_file
    for cert, key, words in (
        (Path("nowhere.pem"), tls.key, "cannot be found"),
        (tls.cert, Path("nowhere.pem"), "cannot be found"),
        (tls.key, tls.key, "cannot be used"),
        (tls.cert, stranger, "cannot be used"),
        (tls.cert, encrypted, "cannot be used"),
        (tls.cert.parent, tls.key, "cannot be used"),
    ):
        files = ("--tls-cert", str(cert), "--tls-key", str(key))
        assert words in complain("serve", *GOOD, *files)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://ada:hunter2@127.0.0.1:1/keys", "there is no answer"),
        ("file:///etc/hosts", "no http(s) URL"),
        ("nonsense", "no http(s) URL"),
        ("http://\n", "no http(s) URL"),
        ("http://[", "--jwks-url"),
    ],
)
def test_keys_that_cannot_be_fetched(
    complain: Complain, monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    sentence = complain("serve", "--jwks-url", url)
    assert words in sentence
    assert "hunter2" not in sentence


def test_published_keys_that_are_of_no_use(
    complain: Complain, monkeypatch: pytest.MonkeyPatch, keys: dict[str, KeyPair]
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    good = {"keys": [jwk(keys["RS256"], "RS256", kid="one", alg="RS256")]}
    symmetric = {"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "one"}]}
    more: tuple[str, ...]
    for document, path, more, words in (
        (good, "/nowhere", (), "HTTP 404"),
        (good, "/moved", (), "HTTP 302"),
        (symmetric, "/keys", (), "no key that can be used"),
        ([], "/keys", (), "no key that can be used"),
        ({"keys": [1]}, "/keys", (), "no key that can be used"),
        (good, "/keys", ("--jwt-algorithm", "ES256"), "no key for ES256"),
        (symmetric, "/keys", ("--jwt-algorithm", "HS256"), "cannot be an HMAC secret"),
    ):
        with published(document) as site:
            assert words in complain("serve", "--jwks-url", site + path, *more)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing option '--secret'"),
        (("--secret", "s"), "Missing option '--subject'"),
        (("--secret", "s", "--subject", "ada"), "Missing option '--ttl'"),
        (("--secret", "", "--subject", "ada", "--ttl", "1"), "The secret is empty."),
        (("--secret", "s", "--subject", "", "--ttl", "1"), "The subject is empty."),
        (("--secret", "s", "--subject", "ada", "--ttl", "soon"), "not a valid float"),
        (("--secret", "s", "--subject", "ada", "--ttl", "nan"), "not a number of seconds"),
        (("--secret", "s", "--subject", "ada", "--ttl", "inf"), "not a number of seconds"),
        (("--secret", "\udcff", "--subject", "ada", "--ttl", "1"), "cannot be used with HS256"),
    ],
)
def test_token_errors(complain: Complain, arguments: tuple[str, ...], words: str) -> None:
    assert words in complain("token", *arguments)


# --- as a program of its own ------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["asyncio", "trio"])
def test_a_port_that_is_taken(runtime: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options in (
            ("--ws", f"127.0.0.1:{port}"),
            ("--ws", "127.0.0.1:0", "--tcp", f"127.0.0.1:{port}"),
        ):
            done = run_command("serve", "--runtime", runtime, *GOOD, *options)
            assert done.returncode == 1
            assert done.stdout == ""
            assert "in use" in check_line(done.stderr)


def test_the_program_says_one_line_too() -> None:
    done = run_command("serve", "--jwt-secret", SECRET, "--jwt-algorithm", "RS256")
    assert done.returncode == 1
    assert done.stdout == ""
    assert check_line(done.stderr) == "This key cannot be used with RS256."


def test_a_secret_in_the_environment_counts() -> None:
    done = run_command("serve", "--no-auth", env={"STOMPCORE_JWT_SECRET": SECRET})
    assert done.returncode == 2
    assert "STOMPCORE_JWT_SECRET" in check_line(done.stderr)


def test_bytes_that_are_no_text() -> None:
    done = run_command("serve", "--jwt-public-key", os.fsencode("\udcff.pem"))
    assert done.returncode == 1
    assert "cannot be read" in check_line(done.stderr)
