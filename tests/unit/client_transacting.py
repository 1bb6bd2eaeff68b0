"""What tests of a client's transactions say in one line."""

from __future__ import annotations

from typing import Any

from tests.unit.client_player import Player

from stompcore._errors import TransactionLost
from stompcore._events import TransactionCommitted, TransactionFailed


def online(**config: Any) -> Player:
    play = Player(has_token=False, **config)
    play.connect()
    play.written()
    return play


def begin(play: Player) -> str:
    name = play.client.begin(now=play.now)
    play.drain()
    return name


def put(play: Player, transaction: str, body: str = "") -> None:
    play.client.send_in(transaction, "/a", body.encode(), now=play.now)
    play.drain()


def commit(play: Player, transaction: str) -> None:
    play.client.commit(transaction, now=play.now)
    play.drain()


def abort(play: Player, transaction: str) -> None:
    play.client.abort_transaction(transaction, now=play.now)
    play.drain()


def fates(play: Player) -> dict[str, str]:
    """What became of each transaction; fails if that was told twice."""
    found: dict[str, str] = {}
    for event in play.events:
        if isinstance(event, TransactionCommitted):
            assert event.transaction not in found
            found[event.transaction] = "committed"
        elif isinstance(event, TransactionFailed):
            assert event.transaction not in found
            word = type(event.error).__name__
            if isinstance(event.error, TransactionLost) and event.error.is_unknown:
                word += ", unknown"
            found[event.transaction] = word
    return found


def error_for(receipt: str, code: str = "limit-exceeded") -> bytes:
    return f"ERROR\nmessage:No\nerror-code:{code}\nreceipt-id:{receipt}\n\n\0".encode()


__all__ = ["abort", "begin", "commit", "error_for", "fates", "online", "put"]
