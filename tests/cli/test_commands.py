"""`stompcore token`, `--version` and `--help`."""

from __future__ import annotations

import subprocess
import sys
import time

import jwt
import pytest
from tests.serving import SECRET, RawClient, environment, run_command, serving

import stompcore
import stompcore_cli


def made(*arguments: str, env: dict[str, str] | None = None) -> str:
    done = run_command("token", *arguments, env=env)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    (token,) = done.stdout.splitlines()
    return token


def test_a_token_verifies() -> None:
    before = time.time()
    token = made("--secret", SECRET, "--subject", "ada", "--ttl", "2.5")
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert claims.keys() == {"sub", "iat", "exp"}
    assert claims["sub"] == "ada"
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] - claims["iat"] == pytest.approx(2.5)


def test_a_token_opens_a_session() -> None:
    token = made("--subject", "größer", "--ttl", "60", env={"STOMPCORE_JWT_SECRET": SECRET})
    with serving() as server, RawClient(server.tcp) as client:
        server.tokens.append(token)
        assert client.connect(token).command == "CONNECTED"


def test_a_token_can_be_one_that_has_expired() -> None:
    token = made("--secret", "short", "--subject", "ada", "--ttl", "-5")
    with pytest.raises(jwt.ExpiredSignatureError), pytest.warns(jwt.InsecureKeyLengthWarning):
        jwt.decode(token, "short", algorithms=["HS256"])


def test_version() -> None:
    done = run_command("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"stompcore, version {stompcore.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["serve", "control", "token", "demo", "--version"]),
        (
            ("serve",),
            [
                *("--runtime", "--ws", "--path", "--tcp", "--tls-cert", "--tls-key"),
                *("--jwt-secret", "--jwt-public-key", "--jwks-url", "--no-auth"),
                *("--jwt-algorithm", "--issuer", "--audience", "--leeway", "--origin"),
                *("--heart-beat", "STOMPCORE_JWT_SECRET"),
                *("--login-timeout", "--refresh-destination", "--no-refresh", "--drain-window"),
                *("--health-path", "--metrics-path", "--no-metrics", "--control", "--log-format"),
            ],
        ),
        (
            ("control",),
            ["PATH", "sessions", "metrics", "health", "revoke", "pardon", "expire", "drain"],
        ),
        (("token",), ["--secret", "--subject", "--ttl"]),
        (("demo",), ["Usage:"]),
    ],
)
def test_help(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: list[str],
) -> None:
    outputs = set()
    for option in ("--help", "-h"):
        monkeypatch.setattr(sys, "argv", ["stompcore", *arguments, option])
        stompcore_cli.main()
        out, err = capsys.readouterr()
        assert not err
        outputs.add(out)
    (text,) = outputs
    assert [word for word in words if word not in text] == []


def test_help_does_not_show_the_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STOMPCORE_JWT_SECRET", SECRET)
    monkeypatch.setattr(sys, "argv", ["stompcore", "serve", "--help"])
    stompcore_cli.main()
    assert SECRET not in capsys.readouterr().out


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stompcore_cli", "--version"],
        capture_output=True,
        text=True,
        timeout=15,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
