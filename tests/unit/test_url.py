from __future__ import annotations

import pytest

from stompcore._errors import LocalProtocolError
from stompcore._url import Target, format_host, parse_url


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("ws://a/ws", Target(True, False, "a", 80, "/ws"), "a"),
        ("wss://a/ws", Target(True, True, "a", 443, "/ws"), "a"),
        ("ws://a:443/", Target(True, False, "a", 443, "/"), "a:443"),
        ("wss://a:80/", Target(True, True, "a", 80, "/"), "a:80"),
        ("ws://a:8080", Target(True, False, "a", 8080, "/"), "a:8080"),
        ("ws://a?x=1&y=%20", Target(True, False, "a", 80, "/?x=1&y=%20"), "a"),
        ("ws://a/b/c?d#e", Target(True, False, "a", 80, "/b/c?d"), "a"),
        ("WS://A.Example/B", Target(True, False, "a.example", 80, "/B"), "a.example"),
        ("ws://[::1]:80/ws", Target(True, False, "::1", 80, "/ws"), "[::1]"),
        ("wss://[::1]:8443", Target(True, True, "::1", 8443, "/"), "[::1]:8443"),
        ("ws://127.0.0.1:0/", Target(True, False, "127.0.0.1", 0, "/"), "127.0.0.1:0"),
        ("stomp://a", Target(False, False, "a", 61613, "/"), "a:61613"),
        ("tcp://a:1", Target(False, False, "a", 1, "/"), "a:1"),
        ("stomps://a", Target(False, True, "a", 61614, "/"), "a:61614"),
        ("ssl://a", Target(False, True, "a", 61614, "/"), "a:61614"),
    ],
)
def test_parse(url: str, target: Target, authority: str) -> None:
    assert parse_url(url) == target
    assert parse_url(url).authority == authority


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "starts with one of ws, wss"),
        ("a/ws", "starts with one of"),
        ("http://a", "starts with one of"),
        ("a:8080", "starts with one of"),
        ("ws:a", "no host"),
        ("ws://", "no host"),
        ("ws:///ws", "no host"),
        ("ws://:80/", "no host"),
        ("ws://a:x/", "cannot be read"),
        ("ws://a:70000/", "cannot be read"),
        ("ws://a:-1/", "cannot be read"),
        ("ws://[::1/", "cannot be read"),
        ("ws://ann@a/", "credentials"),
        ("ws://ann:s3cret@a/", "credentials"),
        ("ws://@a/", "credentials"),
        ("ws://a b/", "host name in ASCII"),
        ("ws://ü/", "host name in ASCII"),
        ("ws://a\\b/", "host name in ASCII"),
        ("ws://a\x7f/", "host name in ASCII"),
        ("ws://a/\x7f", "percent-encoded"),
        ("ws://a/b c", "percent-encoded"),
        ("ws://a/?x=ü", "percent-encoded"),
        ("ws://a/b\x01", "percent-encoded"),
    ],
)
def test_refused(url: str, sentence: str) -> None:
    with pytest.raises(LocalProtocolError, match=sentence) as caught:
        parse_url(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"), [("a", "a"), ("127.0.0.1", "127.0.0.1"), ("fe80::1", "[fe80::1]")]
)
def test_format_host(host: str, expected: str) -> None:
    assert format_host(host) == expected
