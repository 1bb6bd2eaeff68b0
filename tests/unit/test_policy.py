"""Who may do what: grants, and what a token says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stompcore import Access, AllowEverything, Grant, Grants, Identity, LocalProtocolError
from stompcore.policy import roles_of, scopes_of

SEND, SUBSCRIBE = Access.SEND, Access.SUBSCRIBE


def who(subject: str = "ann", **claims: Any) -> Identity:
    return Identity(subject=subject, expires_at=None, claims=claims)


def allows(grant: Grant, destination: str, identity: Identity | None = None) -> bool:
    return Grants([grant]).allows(identity or who(), SUBSCRIBE, destination)


def test_everything_is_allowed_without_a_policy() -> None:
    assert AllowEverything().allows(who(), SEND, "/queue/anything")


def test_nothing_is_allowed_that_is_not_granted() -> None:
    assert not Grants([]).allows(who(), SEND, "/topic/a")
    assert not allows(Grant("/topic/a"), "/topic/b")


@pytest.mark.parametrize("access", list(Access))
@pytest.mark.parametrize("destination", ["/temp-queue/x", "/reply/0123"])
def test_private_destinations_need_no_grant(access: Access, destination: str) -> None:
    assert Grants([]).allows(who(), access, destination)


@pytest.mark.parametrize("destination", ["/temp-queue", "/reply", "/topic/reply/x", "reply/x"])
def test_what_only_looks_private_does(destination: str) -> None:
    assert not Grants([]).allows(who(), SEND, destination)


def test_a_grant_is_for_what_it_says() -> None:
    sending = Grants([Grant("/topic/a", access=[SEND])])
    assert sending.allows(who(), SEND, "/topic/a")
    assert not sending.allows(who(), SUBSCRIBE, "/topic/a")
    both = Grants([Grant("/topic/a")])
    assert all(both.allows(who(), access, "/topic/a") for access in Access)


@pytest.mark.parametrize(
    ("pattern", "destination", "allowed"),
    [
        ("/topic/a.**", "/topic/a.b.c", True),
        ("/topic/a.**", "/topic/a/b", True),
        ("/topic/a.**", "/topic/a", True),
        ("/topic/a.#", "/topic/a.**", True),
        ("/topic/a.*", "/topic/a.*", True),
        ("/topic/a.*", "/topic/a.**", False),
        ("/topic/a.*", "/topic/a.#", False),
        ("/topic/a.*", "/topic/*.b", False),
        ("/topic/*", "/topic/ab", True),
        ("/topic/a.b", "/topic/a.*", False),
        ("/**", "/queue/x", True),
    ],
)
def test_a_wildcard_subscription_must_lie_wholly_within(
    pattern: str, destination: str, allowed: bool
) -> None:
    assert allows(Grant(pattern), destination) is allowed


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"scope": "a b"}, {"a", "b"}),
        ({"scp": ["a", "b"]}, {"a", "b"}),
        ({"scope": "a", "scp": "b"}, {"a", "b"}),
        ({"scope": ["a", 1, None]}, {"a"}),
        ({"scope": 7}, set()),
        ({"scope": {"a": 1}}, set()),
        ({}, set()),
    ],
)
def test_scopes(claims: dict[str, Any], expected: set[str]) -> None:
    assert scopes_of(who(**claims)) == expected


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"roles": ["a", "b"]}, {"a", "b"}),
        ({"realm_access": {"roles": ["a"]}}, {"a"}),
        ({"roles": ["a"], "realm_access": {"roles": ["b"]}}, {"a", "b"}),
        ({"realm_access": ["a"]}, set()),
        ({"realm_access": {"roles": {"a": 1}}}, set()),
        ({"roles": None}, set()),
    ],
)
def test_roles(claims: dict[str, Any], expected: set[str]) -> None:
    assert roles_of(who(**claims)) == expected


def test_a_scope_or_a_role_is_enough_and_one_of_them_is_needed() -> None:
    grant = Grant("/topic/a", scopes={"read", "all"}, roles={"admin"})
    assert allows(grant, "/topic/a", who(scope="read"))
    assert allows(grant, "/topic/a", who(roles=["admin"]))
    assert not allows(grant, "/topic/a", who(scope="write", roles=["user"]))
    assert not allows(grant, "/topic/a", who(scope="admin", roles=["read"]))
    assert not allows(grant, "/topic/a", who())


def test_subjects() -> None:
    assert allows(Grant("/topic/a", subjects=["ann"]), "/topic/a")
    assert not allows(Grant("/topic/a", subjects=["bob"]), "/topic/a")
    assert not allows(Grant("/topic/a", subjects=[]), "/topic/a")
    # Those of a token do not help who is not named.
    assert not allows(Grant("/topic/a", subjects=["bob"], scopes=["x"]), "/topic/a", who(scope="x"))


@pytest.mark.parametrize(
    ("subject", "destination", "allowed"),
    [
        ("ann", "/topic/ann.news", True),
        ("ann", "/topic/bob.news", False),
        ("ann", "/topic/*.news", False),
        ("ann", "/topic/**", False),
        ("ann", "/topic/{subject}.news", False),
        ("a.b", "/topic/a%2Eb.news", True),
        ("a.b", "/topic/a.b.news", False),
        ("a/b", "/topic/a%2Fb.news", True),
        ("a/b", "/topic/a/b.news", False),
        ("*", "/topic/%2A.news", True),
        ("*", "/topic/*.news", False),
        ("*", "/topic/bob.news", False),
        ("**", "/topic/bob.news", False),
        ("#", "/topic/#.news", False),
        ("#", "/topic/%23.news", True),
        ("zoë", "/topic/zo%C3%AB.news", True),
        ("news", "/topic/news.news", True),
        ("topic", "/topic/topic.news", True),
        ("topic", "/topic/news.news", False),
        ("{subject}", "/topic/{subject}.news", True),
    ],
)
def test_the_user_s_own_name_is_one_literal_word(
    subject: str, destination: str, allowed: bool
) -> None:
    assert allows(Grant("/topic/{subject}.news"), destination, who(subject)) is allowed


def test_own_name_and_wildcards_together() -> None:
    grant = Grant("/topic/*.{subject}.**")
    assert allows(grant, "/topic/x.ann")
    assert allows(grant, "/topic/*.ann.**")
    assert not allows(grant, "/topic/**.ann.**")
    assert not allows(grant, "/topic/ann.bob")


@pytest.mark.parametrize("pattern", ["", "topic/a", "**"])
def test_a_pattern_that_is_no_destination(pattern: str) -> None:
    with pytest.raises(LocalProtocolError, match="slash"):
        Grant(pattern)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Grant("/topic/a", scopes="admin"),
        lambda: Grant("/topic/a", roles="admin"),
        lambda: Grant("/topic/a", subjects="admin"),
    ],
)
def test_one_string_is_no_collection(make: Callable[[], Grant]) -> None:
    with pytest.raises(LocalProtocolError, match="collections"):
        make()


def test_its_repr_says_what_it_allows() -> None:
    assert repr(Grant("/topic/a")) == "Grant('/topic/a', send, subscribe)"
