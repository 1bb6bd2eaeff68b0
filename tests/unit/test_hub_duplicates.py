"""No message twice: a SEND whose `message-key` says that it was done is only answered."""

from __future__ import annotations

import pytest
from tests.unit.hub_peers import NOW, Peers, frame, send, subscribe, token
from tests.unit.keyed_peers import (
    Moody,
    commit,
    duplicates,
    entered,
    join,
    keyed,
    listener,
    receipts,
)

from stompcore import AllowAll, Limits

# --- topics and queues ----------------------------------------------------------------------------


def test_a_message_that_is_sent_again_is_answered_and_not_done() -> None:
    peers = entered()
    listener(peers)
    peers.tell("ann", keyed("k", "/topic/a", "1", "receipt:1"))
    peers.tell("ann", keyed("k", "/topic/a", "1", "receipt:2"), keyed("k", "/topic/a", "1"))
    assert receipts(peers) == ["1", "2"]
    assert peers.bodies("bob") == ["1"]
    assert duplicates(peers) == 2
    assert peers.hub.snapshot().published == 1


def test_it_may_come_from_another_session_of_its_user() -> None:
    peers = entered("ann", "ann-2")
    listener(peers)
    peers.tell("ann", keyed())
    peers.leave("ann")
    peers.tell("ann-2", keyed("k", "/topic/a", "x", "receipt:r"))
    assert receipts(peers, "ann-2") == ["r"]
    assert peers.bodies("bob") == ["x"]


def test_nobody_can_block_anothers_message_by_its_key() -> None:
    peers = entered("ann", "bob-2")
    listener(peers)
    peers.tell("bob-2", keyed("k", "/topic/a", "bob's"))
    peers.tell("ann", keyed("k", "/topic/a", "ann's"))
    assert peers.bodies("bob") == ["bob's", "ann's"]
    assert duplicates(peers) == 0


def test_without_a_key_every_message_is_done() -> None:
    peers = entered()
    listener(peers)
    peers.tell("ann", send("/topic/a"), send("/topic/a"))
    assert peers.bodies("bob") == ["x", "x"]
    assert len(peers.hub.duplicates) == 0


@pytest.mark.parametrize(
    ("key", "copies"), [("x" * 128, 1), ("x" * 129, 2), ("", 2), ("a\\cb\\nc", 1), ("größer", 1)]
)
def test_a_key_that_is_too_long_or_empty_is_none(key: str, copies: int) -> None:
    peers = entered()
    listener(peers)
    peers.tell("ann", keyed(key), keyed(key))
    assert len(peers.bodies("bob")) == copies


def test_subscribers_see_the_key() -> None:
    peers = entered()
    listener(peers)
    peers.tell("ann", keyed())
    (message,) = peers.heard("bob")
    assert message.headers["message-key"] == "k"


def test_a_key_is_forgotten_after_its_window() -> None:
    peers = entered(duplicate_window=5.0)
    listener(peers)
    peers.tell("ann", keyed())
    peers.at(4.9)
    peers.tell("ann", keyed())
    assert len(peers.bodies("bob")) == 1
    peers.at(5)
    peers.tell("ann", keyed())
    assert len(peers.bodies("bob")) == 1


def test_a_server_may_look_at_no_key() -> None:
    peers = entered(duplicate_window=0.0)
    listener(peers)
    peers.tell("ann", keyed(), keyed())
    assert len(peers.bodies("bob")) == 2


def test_a_server_remembers_so_many_keys_of_one_user() -> None:
    peers = entered(limits=Limits(message_keys=2))
    listener(peers)
    peers.tell("ann", *(keyed(each, "/topic/a", each) for each in "abcab"))
    assert peers.bodies("bob") == list("abcab")
    peers.tell("ann", *(keyed(each, "/topic/a", each) for each in "ab"))
    assert peers.bodies("bob") == []


def test_the_next_hub_may_know_what_the_last_one_has_done() -> None:
    first = entered()
    first.tell("ann", keyed())
    for memory, copies in ((first.hub.duplicates, 0), (None, 1)):
        second = entered(duplicates=memory)
        listener(second)
        second.tell("ann", keyed("k", "/topic/a", "x", "receipt:r"))
        assert receipts(second) == ["r"]
        assert len(second.bodies("bob")) == copies


def test_users_without_a_name_are_one_user() -> None:
    peers = Peers(verifier=AllowAll())
    for name in ("1", "2"):
        peers.enter(name)
    peers.tell("1", subscribe("/topic/a"), keyed())
    peers.tell("2", keyed())
    assert len(peers.bodies("1")) == 1


# --- what was refused was not done ----------------------------------------------------------------


def test_a_message_that_was_refused_is_done_when_it_comes_again() -> None:
    policy = Moody()
    peers = entered("ann", "ann-2", policy=policy)
    listener(peers)
    peers.tell("ann", keyed())
    assert peers.error("ann").headers["error-code"] == "access-denied"
    assert len(peers.hub.duplicates) == 0
    policy.is_open = True
    peers.tell("ann-2", keyed("k", "/topic/a", "x", "receipt:r"))
    assert receipts(peers, "ann-2") == ["r"]
    assert peers.bodies("bob") == ["x"]


def test_a_message_that_a_full_queue_has_refused_is_done_when_it_comes_again() -> None:
    peers = entered("ann", "ann-2", limits=Limits(queue_messages=1))
    peers.tell("ann", send("/queue/a", "1"), keyed("k", "/queue/a", "2"))
    assert peers.error("ann").headers["error-code"] == "limit-exceeded"
    listener(peers, "/queue/a")
    peers.tell("ann-2", keyed("k", "/queue/a", "2"))
    assert peers.bodies("bob") == ["1", "2"]


def test_a_message_that_came_too_late_is_done_when_it_comes_again() -> None:
    peers = Peers()
    peers.enter("ann", token("ann", life=10))
    join(peers, "ann-2")
    listener(peers)
    peers.now = NOW + 10
    peers.tell("ann", keyed())
    assert peers.error("ann").headers["error-code"] == "token-expired"
    peers.tell("ann-2", keyed())
    assert peers.bodies("bob") == ["x"]


def test_who_has_lost_the_right_still_hears_that_it_was_done() -> None:
    policy = Moody()
    policy.is_open = True
    peers = entered(policy=policy)
    peers.tell("ann", keyed())
    policy.is_open = False
    peers.tell("ann", keyed("k", "/topic/a", "x", "receipt:r"))
    assert receipts(peers) == ["r"]
    assert not peers.sessions["ann"].closing


def test_what_was_done_to_the_senders_own_loss_was_done() -> None:
    """Its own subscription ends the session before the RECEIPT: the key is known all the same."""
    peers = entered("ann", "ann-2", limits=Limits(send_backlog=300))
    listener(peers)
    peers.asleep.add("ann")
    peers.tell("ann", subscribe("/topic/a"), keyed("k", "/topic/a", "x" * 300, "receipt:1"))
    assert peers.sessions["ann"].closing
    peers.tell("ann-2", keyed("k", "/topic/a", "x" * 300, "receipt:2"))
    assert receipts(peers, "ann-2") == ["2"]
    assert duplicates(peers) == 1


# --- transactions ---------------------------------------------------------------------------------


def test_of_a_transaction_only_what_was_not_done_is_done() -> None:
    peers = entered()
    listener(peers)
    peers.tell("ann", keyed("k", "/topic/a", "1"))
    assert peers.bodies("bob") == ["1"]
    peers.tell("ann", *commit(keyed("k", "/topic/a", "1"), keyed("l", "/topic/a", "2")))
    assert receipts(peers) == ["c"]
    assert peers.bodies("bob") == ["2"]
    assert duplicates(peers) == 1


def test_a_transaction_that_comes_again_as_a_whole_does_nothing() -> None:
    peers = entered("ann", "ann-2")
    listener(peers)
    work = commit(keyed("k", "/topic/a", "1"), keyed("l", "/topic/a", "2"))
    peers.tell("ann", *work)
    peers.tell("ann-2", *work)
    assert receipts(peers, "ann-2") == ["c"]
    assert peers.bodies("bob") == ["1", "2"]
    assert duplicates(peers) == 2


def test_one_key_twice_in_a_transaction_is_one_message() -> None:
    peers = entered()
    listener(peers)
    peers.tell("ann", *commit(keyed("k", "/topic/a", "1"), keyed("k", "/topic/a", "2")))
    assert receipts(peers) == ["c"]
    assert peers.bodies("bob") == ["1"]
    assert duplicates(peers) == 1


def test_acknowledgements_beside_a_known_message_are_done() -> None:
    peers = entered()
    peers.tell("ann", subscribe("/queue/a", "q", "ack:client-individual"), send("/queue/a"))
    (message,) = peers.heard("ann")
    peers.tell("ann", keyed())
    peers.tell("ann", *commit(keyed(), frame("ACK", f"id:{message.headers['ack']}")))
    assert receipts(peers) == ["c"]
    assert (peers.hub.snapshot().queued_messages, duplicates(peers)) == (0, 1)


def test_a_transaction_that_is_refused_is_neither_remembered_nor_counted() -> None:
    peers = entered("ann", "ann-2")
    listener(peers)
    peers.tell("ann", keyed("k", "/topic/a", "1"))
    assert peers.bodies("bob") == ["1"]
    work = [keyed("k", "/topic/a", "1"), keyed("l", "/topic/a", "2")]
    peers.tell("ann", *commit(*work, send("/nowhere")))
    assert peers.error("ann").headers["error-code"] == "protocol-violation"
    assert duplicates(peers) == 0
    peers.tell("ann-2", *commit(*work))
    assert peers.bodies("bob") == ["2"]


def test_what_was_aborted_was_not_done() -> None:
    peers = entered()
    listener(peers)
    peers.tell("ann", *commit(keyed())[:-1], frame("ABORT", "transaction:t"))
    peers.tell("ann", keyed())
    assert peers.bodies("bob") == ["x"]
