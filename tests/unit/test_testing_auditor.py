"""Each invariant, broken by hand: the books alone, without a machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from stompcore import (
    AckMode,
    AllowAll,
    AuthenticationFailed,
    ClientClosed,
    ClientConfig,
    Close,
    Command,
    ConnectionEnded,
    Delivered,
    Dial,
    Disconnected,
    ErrorCode,
    ErrorReceived,
    FetchToken,
    Frame,
    HangUp,
    Headers,
    HeartBeat,
    Hub,
    Message,
    Outcome,
    Published,
    PublishFailed,
    Resubscribed,
    ServerConfig,
    ServerSession,
    Status,
    StatusChanged,
    Stopped,
    SubscriptionActive,
    SubscriptionEnded,
    Token,
    TokenFetchFailed,
    TokenReason,
    TokenReceived,
    TransactionCommitted,
    TransactionFailed,
    TransactionLost,
    Unauthorized,
    Version,
)
from stompcore.broker import Delivery, Sender
from stompcore.testing import (
    Auditor,
    AuthServer,
    Handled,
    InsecureTestVerifier,
    Ledger,
    Violation,
    VirtualClock,
)

ROOM = "/topic/a"
BYTES = b"text"


def ledger(*, has_keys: bool = True) -> Ledger:
    return Ledger("ann", ClientConfig(), has_keys=has_keys)


def do(book: Ledger, session: str = "s1", *, memory: int = 0, now: float = 0.0) -> None:
    book.took_effect(ROOM, BYTES, session, memory=memory, now=now, window=300.0)


def up(epoch: int = 1, *subscriptions: str) -> Resubscribed:
    return Resubscribed(epoch=epoch, version=Version.V1_2, subscriptions=subscriptions, resent=0)


def ended(
    code: str = "", *, established: bool = True, outcome: Outcome = Outcome.RETRY, epoch: int = 1
) -> ConnectionEnded:
    error = ErrorReceived(frame=Frame(Command.ERROR, {"error-code": code})) if code else None
    ending = Disconnected(established=established, error=error)
    return ConnectionEnded(epoch=epoch, ending=ending, outcome=outcome)


def message(message_id: str, *, subscription: str = "1", **headers: str) -> Delivered:
    fields = {"subscription": subscription, "message-id": message_id, "destination": ROOM}
    return Delivered(
        subscription=subscription, epoch=1, frame=Frame(Command.MESSAGE, {**fields, **headers})
    )


# --- fates ---------------------------------------------------------------------------------------


def test_a_message_that_is_sent_done_and_confirmed_is_as_it_should_be() -> None:
    book = ledger()
    book.event(up(), 0.0)
    book.sent(1, ROOM, BYTES, 0.0)
    assert not book.is_settled
    do(book)
    book.event(Published(key=1), 0.0)
    assert book.is_settled


def test_no_key_is_given_twice() -> None:
    book = ledger()
    book.sent(1, ROOM, BYTES, 0.0)
    with pytest.raises(Violation, match="given twice"):
        book.sent(1, ROOM, b"other", 0.0)


def test_no_fate_comes_twice_and_none_for_what_nobody_sent() -> None:
    book = ledger()
    book.sent(1, ROOM, BYTES, 0.0)
    do(book)
    book.event(Published(key=1), 0.0)
    with pytest.raises(Violation, match="is failed and was confirmed"):
        book.event(PublishFailed(key=1, error=ClientClosed()), 0.0)
    with pytest.raises(Violation, match="nobody has sent"):
        book.event(Published(key=2), 0.0)


def test_what_is_confirmed_was_done() -> None:
    book = ledger()
    book.sent(1, ROOM, BYTES, 0.0)
    with pytest.raises(Violation, match="never done"):
        book.event(Published(key=1), 0.0)


def test_what_asked_for_no_confirmation_may_be_lost() -> None:
    book = ledger()
    book.sent(1, ROOM, BYTES, 0.0)
    book.event(Published(key=1, is_confirmed=False), 0.0)


def test_two_that_are_alike_are_not_judged_at_the_server() -> None:
    book = ledger()
    book.sent(1, ROOM, BYTES, 0.0)
    book.sent(2, ROOM, BYTES, 0.0)
    do(book)
    do(book)
    book.event(Published(key=1), 0.0)
    book.event(Published(key=2), 0.0)


def test_what_a_handler_does_cannot_be_seen_and_is_not_judged() -> None:
    book = ledger()
    book.sent(1, "/app/x", BYTES, 0.0)
    book.event(Published(key=1), 0.0)


def test_nothing_is_done_twice_while_the_server_remembers_it() -> None:
    book = ledger()
    book.sent(1, ROOM, BYTES, 0.0)
    do(book)
    with pytest.raises(Violation, match="could remember it"):
        do(book, "s2", now=299.9)


@pytest.mark.parametrize(("memory", "now"), [(1, 1.0), (0, 300.0)])
def test_it_is_done_again_by_a_server_that_has_forgotten(memory: int, now: float) -> None:
    book = ledger()
    book.sent(1, ROOM, BYTES, 0.0)
    do(book)
    do(book, "s2", memory=memory, now=now)


def test_without_keys_it_is_done_once_for_each_connection() -> None:
    book = ledger(has_keys=False)
    book.sent(1, ROOM, BYTES, 0.0)
    do(book, "s1")
    do(book, "s2")
    with pytest.raises(Violation, match="twice over one connection"):
        do(book, "s2")


def test_messages_are_done_in_the_order_in_which_they_were_sent() -> None:
    book = ledger()
    book.sent(1, ROOM, b"first", 0.0)
    book.sent(2, ROOM, b"second", 0.0)
    book.took_effect(ROOM, b"second", "s1", memory=0, now=0.0, window=300.0)
    with pytest.raises(Violation, match="1 took effect behind 2"):
        book.took_effect(ROOM, b"first", "s1", memory=0, now=0.0, window=300.0)


def test_one_that_was_given_up_may_arrive_late() -> None:
    book = ledger()
    book.sent(1, ROOM, b"first", 0.0)
    book.sent(2, ROOM, b"second", 0.0)
    book.event(PublishFailed(key=1, error=ClientClosed()), 0.0)
    book.took_effect(ROOM, b"second", "s1", memory=0, now=0.0, window=300.0)
    book.took_effect(ROOM, b"first", "s1", memory=0, now=0.0, window=300.0)


# --- subscriptions -------------------------------------------------------------------------------


def listening(*routed: str) -> Ledger:
    auditor = Auditor()
    book = auditor.client("ann", ClientConfig(), has_keys=True)
    session = ServerSession(ServerConfig(), session_id="s1", now=0.0)
    auditor.opened(session, "ann", 1)
    book.subscribed("1", ROOM, AckMode.AUTO, 0.0)
    for each in routed:
        auditor.routed(Delivery("s1", "1", Message(ROOM, each, Headers({}), b"")))
    return book


def test_messages_come_once_in_order_with_nothing_left_out() -> None:
    book = listening("a", "b")
    book.event(message("a"), 0.0)
    with pytest.raises(Violation, match="never came"):
        book.check_complete(1)
    book.event(message("b"), 0.0)
    book.check_complete(1)


@pytest.mark.parametrize(
    ("come", "words"),
    [
        (["b"], "before a, or without"),
        (["a", "c"], "before b, or without"),
        (["a", "b", "a"], "came twice"),
        (["a", "a"], "came twice"),
        (["x"], "before a, or without"),
        (["a", "b", "c", "x"], "out of order or from nowhere"),
    ],
)
def test_messages_that_are_lost_repeated_or_invented_are_noticed(
    come: list[str], words: str
) -> None:
    book = listening("a", "b", "c")
    for each in come[:-1]:
        book.event(message(each), 0.0)
    with pytest.raises(Violation, match=words):
        book.event(message(come[-1]), 0.0)


def test_what_came_by_another_connection_need_not_come_by_this_one() -> None:
    book = listening("a", "b", "c")
    book.connections[2] = type(book.connections[1])(routed={"1": ["b"]})
    book.event(message("a"), 0.0)
    second = message("b")
    book.event(Delivered(subscription=second.subscription, epoch=2, frame=second.frame), 0.0)
    book.event(message("c"), 0.0)
    book.check_complete(1)


def test_a_message_may_be_redelivered_to_who_acknowledges() -> None:
    book = listening("a", "a")
    book.event(SubscriptionEnded(subscription="1", error=None), 0.0)
    book.subscribed("2", "/queue/a", AckMode.CLIENT, 0.0)
    book.connections[1].routed["2"] = ["q", "q", "r", "r"]
    book.event(message("q", subscription="2"), 0.0)
    book.event(message("q", subscription="2", redelivered="true"), 0.0)
    book.event(message("r", subscription="2"), 0.0)
    with pytest.raises(Violation, match="came twice"):
        book.event(message("r", subscription="2"), 0.0)


def test_nothing_comes_for_a_subscription_that_has_ended() -> None:
    book = listening("a")
    book.event(SubscriptionEnded(subscription="1", error=None), 0.0)
    with pytest.raises(Violation, match="not live"):
        book.event(message("a"), 0.0)
    with pytest.raises(Violation, match="ended twice"):
        book.event(SubscriptionEnded(subscription="1", error=None), 0.0)
    with pytest.raises(Violation, match="was ended"):
        book.event(SubscriptionActive(subscription="1", epoch=1), 0.0)


def test_a_client_is_settled_when_every_subscription_is_live() -> None:
    book = listening()
    book.event(up(1, "1"), 0.0)
    was_settled = [book.is_settled]
    assert "not live: ['1']" in book.unsettled()
    for event in (SubscriptionActive(subscription="1", epoch=1), ended()):
        book.event(event, 0.0)
        was_settled.append(book.is_settled)
    assert was_settled == [False, True, False]


def test_a_handover_keeps_subscriptions_live_and_a_break_does_not() -> None:
    for overlaps in (True, False):
        book = listening()
        book.action(Dial(url="stomp://h", epoch=1), 0.0)
        book.event(up(1, "1"), 0.0)
        book.event(SubscriptionActive(subscription="1", epoch=1), 0.0)
        if overlaps:
            book.action(Dial(url="stomp://h", epoch=2), 5.0)
        book.event(ended(outcome=Outcome.RENEW), 5.0)
        book.event(up(2, "1"), 5.0)
        assert book.is_settled is overlaps


def test_a_connection_that_is_back_within_the_grace_shows_nothing() -> None:
    book = ledger()
    with pytest.raises(Violation, match="online, and not connected"):
        book.event(StatusChanged(status=Status.ONLINE), 0.0)
    book.event(up(), 0.0)
    book.event(StatusChanged(status=Status.ONLINE), 0.0)
    with pytest.raises(Violation, match="recovering, and connected"):
        book.event(StatusChanged(status=Status.RECOVERING), 9.0)
    book.event(ended(), 10.0)
    with pytest.raises(Violation, match="within the grace"):
        book.event(StatusChanged(status=Status.RECOVERING), 11.9)
    book.event(StatusChanged(status=Status.RECOVERING), 12.0)


# --- tokens and dials ----------------------------------------------------------------------------


def fetch(generation: int) -> FetchToken:
    return FetchToken(generation=generation, reason=TokenReason.EXPIRED)


def test_one_token_fetch_at_a_time() -> None:
    book = ledger()
    book.action(fetch(1), 0.0)
    book.event(TokenReceived(generation=1), 0.0)
    book.action(fetch(2), 0.0)
    with pytest.raises(Violation, match="second token fetch"):
        book.action(fetch(3), 0.0)
    with pytest.raises(Violation, match="not open"):
        book.event(TokenReceived(generation=1), 0.0)


def test_two_dials_may_be_close_and_three_may_not() -> None:
    book = ledger()
    for epoch, at in ((1, 0.0), (2, 0.1), (3, 0.6), (4, 0.9)):
        book.action(Dial(url="stomp://h", epoch=epoch), at)
        book.action(HangUp(epoch=epoch), at)
    with pytest.raises(Violation, match="three attempts within"):
        book.action(Dial(url="stomp://h", epoch=5), 1.0)


def test_there_are_two_connections_at_most_and_no_epoch_twice() -> None:
    book = ledger()
    book.action(Dial(url="stomp://h", epoch=1), 0.0)
    with pytest.raises(Violation, match="one epoch"):
        book.action(Dial(url="stomp://h", epoch=1), 10.0)
    book.action(Dial(url="stomp://h", epoch=2), 20.0)
    with pytest.raises(Violation, match="third connection"):
        book.action(Dial(url="stomp://h", epoch=3), 30.0)


# --- the end -------------------------------------------------------------------------------------


def test_nothing_comes_behind_stopped() -> None:
    book = ledger()
    book.event(Stopped(error=None), 0.0)
    assert book.is_settled
    with pytest.raises(Violation, match="behind Stopped"):
        book.event(up(), 0.0)


def test_nobody_stops_and_owes_something() -> None:
    book = ledger()
    book.sent(1, ROOM, BYTES, 0.0)
    with pytest.raises(Violation, match="without a fate: \\[1\\]"):
        book.event(Stopped(error=None), 0.0)
    book = listening()
    with pytest.raises(Violation, match="subscriptions have not ended"):
        book.event(Stopped(error=None), 0.0)


def test_nobody_is_logged_out_by_a_token_source_that_has_not_said_so() -> None:
    book = ledger()
    with pytest.raises(Violation, match="without a word"):
        book.event(Stopped(error=Unauthorized()), 0.0)
    book = ledger()
    book.action(fetch(1), 0.0)
    book.event(TokenFetchFailed(generation=1, error=Unauthorized()), 0.0)
    book.event(Stopped(error=Unauthorized()), 0.0)


def refused(book: Ledger, times: int) -> None:
    for _ in range(times):
        book.event(ended("token-expired", established=False, outcome=Outcome.REFRESH), 0.0)


def test_three_fresh_tokens_have_to_be_refused_in_a_row() -> None:
    book = ledger()
    refused(book, 2)
    with pytest.raises(Violation, match="stopped after 2 refused"):
        book.event(Stopped(error=AuthenticationFailed()), 0.0)
    book = ledger()
    refused(book, 2)
    book.event(up(), 0.0)
    refused(book, 1)
    with pytest.raises(Violation, match="stopped after 1 refused"):
        book.event(Stopped(error=AuthenticationFailed()), 0.0)
    book = ledger()
    refused(book, 3)
    book.event(Stopped(error=AuthenticationFailed()), 0.0)


@pytest.mark.parametrize("code", ["token-revoked", "access-denied"])
def test_or_one_for_good(code: str) -> None:
    book = ledger()
    book.event(ended(code, outcome=Outcome.STOP), 0.0)
    book.event(Stopped(error=AuthenticationFailed()), 0.0)


def test_a_close_code_is_a_word_too() -> None:
    book = ledger()
    ending = Disconnected(established=True, close=Close(3003))
    book.event(ConnectionEnded(epoch=1, ending=ending, outcome=Outcome.STOP), 0.0)
    book.event(Stopped(error=AuthenticationFailed()), 0.0)


# --- transactions --------------------------------------------------------------------------------


def transaction(*, is_asked_for: bool = True) -> Ledger:
    book = ledger()
    book.begun("t")
    book.sent_in("t", ROOM, b"one")
    book.sent_in("t", ROOM, b"two")
    if is_asked_for:
        book.committing("t")
    return book


def part(book: Ledger, body: bytes) -> None:
    book.took_effect(ROOM, body, "s1", memory=0, now=0.0, window=300.0)


def test_a_transaction_is_done_whole() -> None:
    book = transaction()
    book.event(up(), 0.0)
    assert not book.is_settled
    part(book, b"one")
    with pytest.raises(Violation, match="only a part"):
        book.transactions.check()
    part(book, b"two")
    book.transactions.check()
    book.event(TransactionCommitted(transaction="t"), 0.0)
    assert book.is_settled


@pytest.mark.parametrize(
    ("story", "words"),
    [
        (lambda book: list(map(partial(part, book), (b"one", b"one"))), "done twice"),
        (lambda book: book.event(TransactionCommitted(transaction="t"), 0.0), "lacks"),
        (lambda book: book.event(TransactionCommitted(transaction="u"), 0.0), "nobody began"),
        (lambda book: book.begun("t"), "begun twice"),
        (lambda book: book.event(Stopped(error=None), 0.0), "without a fate: \\['t'\\]"),
    ],
)
def test_a_transaction_that_is_not_is_noticed(story: Callable[[Ledger], None], words: str) -> None:
    with pytest.raises(Violation, match=words):
        story(transaction())


def test_nothing_of_a_transaction_is_done_before_its_commit_nor_after_its_abort() -> None:
    with pytest.raises(Violation, match="too early"):
        part(transaction(is_asked_for=False), b"one")
    book = transaction()
    book.aborted("t")
    with pytest.raises(Violation, match="which is aborted"):
        part(book, b"one")


def test_a_lost_transaction_was_not_done_unless_nobody_knows() -> None:
    book = transaction()
    part(book, b"one")
    part(book, b"two")
    lost = TransactionFailed(transaction="t", error=TransactionLost("x"))
    with pytest.raises(Violation, match="after all"):
        book.event(lost, 0.0)
    book = transaction()
    unknown = TransactionLost("x", is_unknown=True)
    book.event(TransactionFailed(transaction="t", error=unknown), 0.0)
    part(book, b"one")
    part(book, b"two")
    with pytest.raises(Violation, match="and was unknown"):
        book.event(TransactionCommitted(transaction="t"), 0.0)


# --- servers -------------------------------------------------------------------------------------


class Server:
    """A session of Ann's that lives for ten seconds, and an auditor."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.auditor = Auditor()
        self.auditor.server(ServerConfig(), lambda: self.now, lambda: self.now)
        self.session = ServerSession(
            ServerConfig(heart_beat=HeartBeat(send_interval=0, receive_interval=0)),
            session_id="s1",
            now=self.now,
            verifier=InsecureTestVerifier(),
        )
        self.auditor.opened(self.session, "ann", 1)

    def connect(self) -> None:
        token = AuthServer(VirtualClock(self.now), ttl=10.0).issue("ann")
        self.session.receive_data(
            f"CONNECT\naccept-version:1.2\nhost:h\npasscode:{token}\n\n\0".encode(), now=self.now
        )
        assert self.session.next_event() is not None

    def left(self, data: bytes) -> None:
        self.auditor.left(self.session, [b"RECEIPT\nreceipt-id:1\n\n\0", data], self.now)


MESSAGE = b"MESSAGE\nmessage-id:1\n\n\0"


@pytest.mark.parametrize("data", [MESSAGE, b"\x81\x7e\x01\x00" + MESSAGE, b"\x82\x10" + MESSAGE])
def test_no_message_leaves_on_a_dead_token(data: bytes) -> None:
    server = Server()
    server.connect()
    server.now += 9.999
    server.left(data)
    server.now += 0.001
    server.left(b"RECEIPT\nreceipt-id:2\n\nMESSAGE\n\0")
    with pytest.raises(Violation, match="run out"):
        server.left(data)


@pytest.mark.parametrize("code", [ErrorCode.TOKEN_EXPIRED, ErrorCode.TOKEN_REVOKED])
def test_no_message_leaves_for_who_was_ended(code: ErrorCode) -> None:
    server = Server()
    server.connect()
    server.session.end(code, now=server.now)
    with pytest.raises(Violation, match=str(code)):
        server.left(MESSAGE)


def test_a_message_may_leave_for_who_is_sent_away() -> None:
    server = Server()
    server.connect()
    server.session.end(ErrorCode.GOING_AWAY, now=server.now)
    server.left(MESSAGE)
    assert server.auditor.counts["messages out"] == 1


def test_no_frame_is_accepted_on_a_dead_token_nor_without_one() -> None:
    server = Server()
    with pytest.raises(Violation, match="before CONNECT"):
        server.auditor.accepted("s1", "SEND")
    server.connect()
    server.auditor.accepted("s1", "SEND")
    server.now += 10.0
    with pytest.raises(Violation, match="run out"):
        server.auditor.accepted("s1", "ACK")
    server.auditor.accepted("somebody else's", "ACK")


def test_no_session_outlives_its_token_for_long() -> None:
    server = Server()
    server.connect()
    server.now += 10.0
    server.auditor.check()
    server.now += 30.0
    server.auditor.check()
    server.now += 0.1
    with pytest.raises(Violation, match="outlived"):
        server.auditor.check()


def test_a_session_that_ends_in_time_is_forgotten() -> None:
    server = Server()
    server.connect()
    server.now += 10.0
    server.auditor.check()
    server.session.handle_timeout(now=server.now)
    server.now += 1000.0
    server.auditor.check()


def test_a_deadline_is_later_than_now() -> None:
    class Stuck(ServerSession):
        def next_deadline(self) -> float | None:
            return self.now

    stuck = Stuck(ServerConfig(), session_id="s1", now=5.0)
    with pytest.raises(Violation, match="due at once"):
        Auditor().server_fired(stuck, 5.0)
    Auditor().server_fired(stuck, 4.0)


def test_a_hub_of_one_s_own_can_be_watched() -> None:
    auditor = Auditor()
    config = ServerConfig()
    hub = Hub(config, broker=auditor.broker(config.limits), verifier=AllowAll())
    auditor.server(config, lambda: 0.0, lambda: 0.0)
    book = auditor.client("ann", ClientConfig(), has_keys=False)
    session = hub.open("s1", now=0.0)
    auditor.opened(session, "ann", 1)
    book.subscribed("1", ROOM, AckMode.AUTO, 0.0)
    book.sent(1, ROOM, b"x", 0.0)
    session.receive_data(
        b"CONNECT\naccept-version:1.2\nhost:h\nlogin:ann\n\n\0"
        b"SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\0"
        b"SUBSCRIBE\nid:2\ndestination:/queue/a\nack:client\n\n\0"
        b"SEND\ndestination:/topic/a\n\nx\0"
        b"SEND\ndestination:/queue/a\n\ny\0",
        now=0.0,
    )
    hub.process("s1", now=0.0)
    assert auditor.counts["SEND"] == 2
    assert book.connections[1].routed == {"1": ["1"], "2": ["2"]}
    session.receive_data(b"NACK\nid:2/2\n\n\0", now=0.0)
    hub.process("s1", now=0.0)
    session.receive_data(b"ACK\nid:2/2\n\n\0", now=0.0)
    hub.process("s1", now=0.0)
    assert (auditor.counts["ACK"], auditor.counts["NACK"]) == (1, 1)
    with pytest.raises(Violation, match="ann: not connected"):
        auditor.check_settled()
    hub.broker.publish(ROOM, Headers({}), b"z", sender=Sender("s1", "nobody we know"))
    assert Token("x") == Token("x")


def test_what_a_handler_has_done_is_judged_where_its_message_can_be_told() -> None:
    auditor = Auditor()
    auditor.read_handled = lambda body: Handled("ann", "/app/x", body) if body == b"x" else None
    broker = auditor.broker(ServerConfig().limits)
    book = auditor.client("ann", ClientConfig(), has_keys=True)
    auditor.server(ServerConfig(), lambda: 0.0, lambda: 0.0)
    book.sent(1, "/app/x", b"x", 0.0)
    with pytest.raises(Violation, match="never done"):
        book.event(Published(key=1), 0.0)
    broker.publish(ROOM, Headers({}), b"something else")
    broker.publish(ROOM, Headers({}), b"x")
    assert auditor.counts["handled"] == 1
    with pytest.raises(Violation, match="could remember it"):
        broker.publish(ROOM, Headers({}), b"x")
