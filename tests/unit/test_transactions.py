from __future__ import annotations

import pytest

from stompcore._config import Limits
from stompcore._errors import ErrorCode, RemoteProtocolError
from stompcore._events import Acked, Nacked, Sent
from stompcore._headers import Headers
from stompcore._transactions import Transactions


def sent(body: bytes = b"", receipt_id: str | None = None) -> Sent:
    return Sent(destination="/topic/a", headers=Headers(), body=body, receipt_id=receipt_id)


ACK = Acked(message_id="1", subscription=None)
NACK = Nacked(message_id="2", subscription=None)


def test_what_is_held_comes_back_in_order_at_the_end() -> None:
    transactions = Transactions(Limits())
    transactions.begin("t")
    for event in (sent(b"1"), ACK, sent(b"2"), NACK):
        transactions.add("t", event)
    assert transactions.end("t") == (sent(b"1"), ACK, sent(b"2"), NACK)


def test_B11_a_held_frame_has_had_its_receipt() -> None:
    transactions = Transactions(Limits())
    transactions.begin("t")
    event = sent(b"1", receipt_id="r")
    transactions.add("t", event)
    assert transactions.end("t") == (sent(b"1"),)
    assert event.receipt_id == "r"


def test_transactions_do_not_mix() -> None:
    transactions = Transactions(Limits())
    transactions.begin("t")
    transactions.begin("u")
    transactions.add("t", sent(b"t"))
    transactions.add("u", sent(b"u"))
    assert transactions.end("u") == (sent(b"u"),)
    assert transactions.end("t") == (sent(b"t"),)


def test_a_name_can_be_used_again_after_its_end() -> None:
    transactions = Transactions(Limits())
    transactions.begin("t")
    transactions.add("t", sent(b"1"))
    transactions.end("t")
    transactions.begin("t")
    assert transactions.end("t") == ()


def test_begun_twice() -> None:
    transactions = Transactions(Limits())
    transactions.begin("t")
    transactions.add("t", sent(b"1"))
    with pytest.raises(RemoteProtocolError, match="begun already") as caught:
        transactions.begin("t")
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    assert transactions.end("t") == (sent(b"1"),)


def test_unknown() -> None:
    transactions = Transactions(Limits())
    transactions.begin("t")
    transactions.end("t")
    for name in ("t", ""):
        with pytest.raises(RemoteProtocolError, match="no such transaction") as caught:
            transactions.add(name, ACK)
        assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
        with pytest.raises(RemoteProtocolError, match="no such transaction"):
            transactions.end(name)


def assert_policy(error: RemoteProtocolError) -> None:
    assert (error.error_code, error.close_code) == (ErrorCode.LIMIT_EXCEEDED, 1008)


def test_B18_number_is_bounded() -> None:
    transactions = Transactions(Limits(transactions=2))
    transactions.begin("t")
    transactions.begin("u")
    with pytest.raises(RemoteProtocolError, match="Too many transactions") as caught:
        transactions.begin("v")
    assert_policy(caught.value)
    transactions.end("t")
    transactions.begin("v")


def test_B18_frames_are_bounded_in_each() -> None:
    transactions = Transactions(Limits(transaction_frames=2))
    transactions.begin("t")
    transactions.begin("u")
    for name in ("t", "u"):
        transactions.add(name, ACK)
        transactions.add(name, ACK)
    with pytest.raises(RemoteProtocolError, match="Too much") as caught:
        transactions.add("t", ACK)
    assert_policy(caught.value)
    assert len(transactions.end("t")) == 2


def test_B18_bytes_are_bounded_over_all_of_them() -> None:
    transactions = Transactions(Limits(frame_size=10))
    transactions.begin("t")
    transactions.begin("u")
    transactions.add("t", sent(b"x" * 6))
    transactions.add("u", sent(b"x" * 3))
    transactions.add("u", ACK)
    for event in (sent(b"x"), ACK):
        with pytest.raises(RemoteProtocolError, match="Too much") as caught:
            transactions.add("u", event)
        assert_policy(caught.value)
    transactions.end("t")
    transactions.add("u", sent(b"x" * 6))


@pytest.mark.parametrize(
    "event",
    [
        Sent(destination="/topic/a", headers=Headers({"12345": "67890"}), body=b"x"),
        Acked(message_id="123456", subscription="78901"),
        Nacked(message_id="12345678901", subscription=None),
    ],
)
def test_B18_a_frame_that_is_all_headers_counts_too(event: Sent | Acked | Nacked) -> None:
    transactions = Transactions(Limits(frame_size=10))
    transactions.begin("t")
    with pytest.raises(RemoteProtocolError, match="Too much") as caught:
        transactions.add("t", event)
    assert_policy(caught.value)
    assert transactions.end("t") == ()


def test_clear_aborts_all() -> None:
    transactions = Transactions(Limits(transactions=1))
    transactions.begin("t")
    transactions.clear()
    with pytest.raises(RemoteProtocolError):
        transactions.end("t")
    transactions.begin("u")
