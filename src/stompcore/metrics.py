"""A `Snapshot` as Prometheus reads it: the text exposition format, version 0.0.4.

Every value of a label stands there from the start, with 0, so that a rate has somewhere to begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from stompcore._counters import ExpiryPath, RefreshResult, Snapshot
from stompcore._errors import ErrorCode
from stompcore._frames import CLIENT_COMMANDS, SERVER_COMMANDS, Command
from stompcore._state import ServerState

__all__ = ["CONTENT_TYPE", "render"]

#: Of what `render` returns.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Text = TypeVar("_Text", bound=str)

#: The `error_code` of a session that ended in peace: a label without a value would be none.
_IN_PEACE = "none"


class _Family(NamedTuple):
    """One metric: its samples by the value of its one label, or a single one without any."""

    name: str
    kind: str
    help: str
    label: str | None
    samples: Mapping[str, int]


def render(snapshot: Snapshot) -> str:
    """The page that a scrape gets, with `CONTENT_TYPE`.

    Args:
        snapshot: of one hub.
    """
    return "".join(f"{line}\n" for family in _families(snapshot) for line in _lines(family))


def _families(snapshot: Snapshot) -> Iterator[_Family]:
    states = [each for each in ServerState if each is not ServerState.CLOSED]
    codes = [_IN_PEACE, *ErrorCode]
    ended = {code or _IN_PEACE: count for code, count in snapshot.ended.items()}

    yield _by(
        "sessions",
        "Sessions now, by state.",
        "state",
        [each.value for each in states],
        {state.value: snapshot.sessions.get(state, 0) for state in states},
    )
    yield _gauge("subscriptions", "Subscriptions now.", snapshot.subscriptions)
    yield _gauge("queues", "Queues now.", snapshot.queues)
    yield _gauge("queued_messages", "Messages that wait in queues now.", snapshot.queued_messages)
    yield _gauge("queued_bytes", "Bytes that wait in queues now.", snapshot.queued_size)
    yield _gauge("draining", "1 while the server is on its way out.", int(snapshot.is_draining))
    yield _total(
        "sessions_opened",
        "Transports accepted, those for a page of HTTP among them.",
        snapshot.sessions_opened,
    )
    yield _total("connects", "Tokens accepted at CONNECT.", snapshot.connects)
    yield _by(
        "sessions_ended_total",
        f"Sessions that are over, by the error-code they were told; {_IN_PEACE}: in peace.",
        "error_code",
        codes,
        ended,
    )
    yield _by(
        "expiries_total",
        "Sessions that the end of their token has ended, by where it was noticed.",
        "path",
        [ExpiryPath.FRAME, ExpiryPath.DELIVERY, ExpiryPath.TIMER],
        snapshot.expiries,
    )
    yield _by(
        "refreshes_total",
        "In-band refreshes, by how they ended.",
        "result",
        [RefreshResult.ACCEPTED, RefreshResult.REJECTED],
        snapshot.refreshes,
    )
    yield _total(
        "revocations", "Sessions that a revoked token has ended or refused.", snapshot.revocations
    )
    yield _total(
        "slow_consumers",
        "Sessions that were ended because they did not read fast enough.",
        snapshot.slow_consumers,
    )
    yield _by(
        "frames_received_total",
        "Frames of clients, by command.",
        "command",
        [each for each in Command if each in CLIENT_COMMANDS],
        snapshot.frames_in,
    )
    yield _by(
        "frames_sent_total",
        "Frames to clients, by command.",
        "command",
        [each for each in Command if each in SERVER_COMMANDS],
        snapshot.frames_out,
    )
    yield _total("received_bytes", "Bytes of STOMP from clients.", snapshot.bytes_in)
    yield _total("sent_bytes", "Bytes of STOMP to clients.", snapshot.bytes_out)
    yield _total("messages_published", "Messages sent to a destination.", snapshot.published)
    yield _total(
        "messages_delivered", "Copies of messages queued for a subscription.", snapshot.delivered
    )
    yield _total("messages_dropped", "Messages that nobody could get.", snapshot.dropped)
    yield _total("dead_letters", "Messages that a queue has given up.", snapshot.dead_letters)
    yield _total(
        "duplicates",
        "SENDs whose message-key said that they were done already.",
        snapshot.duplicates,
    )


def _gauge(name: str, text: str, value: int) -> _Family:
    return _Family(name, "gauge", text, None, {"": value})


def _total(name: str, text: str, value: int) -> _Family:
    return _Family(f"{name}_total", "counter", text, None, {"": value})


def _by(
    name: str, text: str, label: str, known: Iterable[str], counted: Mapping[_Text, int]
) -> _Family:
    kind = "counter" if name.endswith("_total") else "gauge"
    samples = {str(value): 0 for value in known} | {
        str(value): count for value, count in counted.items()
    }
    return _Family(name, kind, text, label, samples)


def _lines(family: _Family) -> Iterator[str]:
    name = f"stompcore_{family.name}"
    yield f"# HELP {name} {_escape(family.help)}"
    yield f"# TYPE {name} {family.kind}"
    for value, count in family.samples.items():
        if family.label is None:
            yield f"{name} {count}"
        else:
            quoted = _escape(value).replace('"', '\\"')
            yield f'{name}{{{family.label}="{quoted}"}} {count}'


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
