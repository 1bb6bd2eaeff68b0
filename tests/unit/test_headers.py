from __future__ import annotations

import pytest

from stompcore._errors import CloseCode, ErrorCode, LocalProtocolError, RemoteProtocolError
from stompcore._headers import (
    Headers,
    Version,
    can_express,
    escape,
    is_secret,
    negotiate_version,
    unescape,
)

V10, V11, V12 = Version
TWICE = Headers([("a", "1"), ("b", "2"), ("a", "3")])


def test_A8_first_of_repeated_headers_wins() -> None:
    assert TWICE["a"] == "1"
    assert dict(TWICE) == {"a": "1", "b": "2"}
    assert TWICE.get_all("a") == ["1", "3"]
    assert TWICE.get_all("c") == []
    assert TWICE.pairs() == (("a", "1"), ("b", "2"), ("a", "3"))
    assert TWICE.is_repeated


def test_A8_what_is_put_in_front_wins() -> None:
    headers = TWICE.prepended({"a": "0", "c": "4"})
    assert headers.pairs() == (("a", "0"), ("c", "4"), ("a", "1"), ("b", "2"), ("a", "3"))
    assert headers["a"] == "0"
    assert TWICE["a"] == "1"


def test_a_mapping() -> None:
    headers = Headers({"b": "1", "a": "2"})
    assert list(headers) == ["b", "a"]
    assert len(headers) == 2
    assert "a" in headers
    assert "c" not in headers
    assert headers.get("c") is None
    assert not headers.is_repeated
    assert headers.pairs() == (("b", "1"), ("a", "2"))
    with pytest.raises(KeyError):
        headers["c"]
    assert Headers().pairs() == ()


def test_from_an_iterator() -> None:
    assert Headers(iter([("a", "1"), ("a", "2")])) == Headers([("a", "1"), ("a", "2")])


def test_copies_share_and_are_equal() -> None:
    for original in (TWICE, Headers({"a": "1"})):
        copy = Headers(original)
        assert copy == original
        assert copy.pairs() == original.pairs()
        assert hash(copy) == hash(original)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Headers({"a": "1"}), Headers([("a", "1")]), True),
        (Headers({"a": "1"}), Headers({"a": "2"}), False),
        (Headers([("a", "1"), ("b", "2")]), Headers([("b", "2"), ("a", "1")]), False),
        (TWICE, Headers({"a": "1", "b": "2"}), False),
        (Headers({"a": "1"}), {"a": "1"}, True),
        (Headers({"a": "1"}), {"a": "2"}, False),
        (TWICE, {"a": "1", "b": "2"}, False),
        (Headers(), 0, False),
        (Headers(), (), False),
    ],
)
def test_equality(one: Headers, other: object, same: bool) -> None:
    assert (one == other) is same
    assert (one != other) is not same


@pytest.mark.parametrize(
    "name", ["Authorization", "authorization", "passcode", "PASSCODE", "token", "Cookie"]
)
def test_D23_secrets_do_not_show(name: str) -> None:
    assert is_secret(name)
    shown = repr(Headers([(name, "s3cret"), ("login", "ann"), (name, "s3cret2")]))
    assert "s3cret" not in shown
    assert shown == f"Headers({name}: '<hidden>', login: 'ann', {name}: '<hidden>')"


def test_others_are_no_secrets() -> None:
    assert not is_secret("destination")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, V10),
        ({"accept-version": "1.0"}, V10),
        ({"accept-version": "1.0,1.1"}, V11),
        ({"accept-version": "1.2,1.1,1.0"}, V12),
        ({"accept-version": "1.1, 1.2"}, V12),
        ({"accept-version": "1.2,2.0,x,"}, V12),
        ({"accept-version": "1.1,9.9"}, V11),
    ],
)
def test_B3_highest_common_version_and_missing_means_1_0(
    headers: dict[str, str], expected: Version
) -> None:
    assert negotiate_version(Headers(headers)) is expected


@pytest.mark.parametrize("offer", ["", "2.0", "1.3,3", "1.2;1.1", "12", "v1.2"])
def test_B3_no_common_version(offer: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        negotiate_version(Headers({"accept-version": offer}))
    assert caught.value.error_code is ErrorCode.UNSUPPORTED_VERSION
    assert caught.value.close_code == CloseCode.PROTOCOL_ERROR
    assert caught.value.headers == {"version": "1.0,1.1,1.2"}
    assert caught.value.detail == "Supported protocol versions are 1.0 1.1 1.2."


ESCAPES = [
    # version, raw, escaped
    (V10, "a\\b:c\rd", "a\\b:c\rd"),
    (V11, "a:b", "a\\cb"),
    (V11, "a\nb", "a\\nb"),
    (V11, "a\\b", "a\\\\b"),
    (V11, "a\rb", "a\rb"),
    (V12, "a:b", "a\\cb"),
    (V12, "a\nb", "a\\nb"),
    (V12, "a\\b", "a\\\\b"),
    (V12, "a\rb", "a\\rb"),
    (V12, "\r\n", "\\r\\n"),
    (V12, "", ""),
    (V12, "plain ü \t", "plain ü \t"),
    # A3: one pass, left to right.
    (V12, "a\\nb", "a\\\\nb"),
    (V12, "\\\n", "\\\\\\n"),
    (V12, "\\c:", "\\\\c\\c"),
]


@pytest.mark.parametrize(("version", "raw", "escaped"), ESCAPES)
def test_escape(version: Version, raw: str, escaped: str) -> None:
    assert escape(raw, version) == escaped


@pytest.mark.parametrize(("version", "raw", "escaped"), ESCAPES)
def test_unescape(version: Version, raw: str, escaped: str) -> None:
    assert unescape(escaped, version) == raw


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (V12, "\\t"),
        (V12, "\\C"),
        (V12, "\\"),
        (V12, "a\\\\\\"),
        (V12, "ok\\nthen\\x"),
        (V12, "\\\n"),
        (V11, "\\r"),
        (V11, "\\t"),
        (V11, "a\\"),
    ],
)
def test_A4_undefined_escape_is_fatal(version: Version, text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        unescape(text, version)
    assert caught.value.error_code is ErrorCode.MALFORMED_FRAME
    assert text not in caught.value.detail
    assert caught.value.__suppress_context__


def test_A2_1_0_has_no_escapes() -> None:
    assert unescape("\\t\\", V10) == "\\t\\"


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (V10, "a\nb"),
        (V10, "a\0b"),
        (V11, "a\0b"),
        (V12, "a\0b"),
        (V10, "\udc00"),
        (V12, "\ud800"),
    ],
)
def test_inexpressible(version: Version, text: str) -> None:
    assert not can_express("name", text, version)
    assert not can_express(text, "value", version)
    with pytest.raises(LocalProtocolError):
        escape(text, version)


@pytest.mark.parametrize(
    ("version", "name", "value", "expected"),
    [
        (V10, "a", "b:c", True),
        (V10, "a:b", "c", False),
        (V10, "a\rb", "c\r", True),
        (V11, "a:b", "c\nd", True),
        (V11, "a\rb", "c\r", True),
        (V10, " content-length", "3", False),
        (V10, "destination ", "a", False),
        (V10, " ", "a", False),
        (V10, "a b", " c ", True),
        (V12, " ", " ", True),
        (V12, "a:b", "\r\n\\:", True),
        (V12, "", "x", False),
        (V12, "x", "", True),
        (V10, "", "x", False),
    ],
)
def test_can_express(version: Version, name: str, value: str, expected: bool) -> None:
    assert can_express(name, value, version) is expected


def test_versions_are_in_the_order_of_their_publication() -> None:
    assert [each.value for each in Version] == ["1.0", "1.1", "1.2"]
