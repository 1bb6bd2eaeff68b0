"""What happens to a client, in words for people and in fields for programs. No I/O."""

from __future__ import annotations

import enum
import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from stompcore import (
    ClientEvent,
    ConnectionEnded,
    Dialing,
    Disconnected,
    Outcome,
    Refreshed,
    Resubscribed,
    Status,
    StatusChanged,
    Stopped,
    SubscriptionActive,
    TokenFetchFailed,
    TokenReason,
    TokenReceived,
    TokenRequested,
)
from stompcore_cli._connect._text import count, duration, visible

__all__ = ["STATUSES", "Entry", "Facts", "Tone", "entry_of", "fate", "why"]

#: What the person at the screen reads.
STATUSES = {
    Status.ONLINE: "Online",
    Status.RECOVERING: "Recovering",
    Status.OFFLINE: "Offline",
    Status.LOGGED_OUT: "Logged out",
}

_ASKS = {
    TokenReason.INITIAL: "a token is asked for",
    TokenReason.AHEAD: "the next token is asked for, ahead of the old one's end",
    TokenReason.EXPIRED: "a new token is asked for: the old one does not count any more",
}
_NEXT = {
    Outcome.REFRESH: "a new token comes first, then the next connection",
    Outcome.RETRY: "the next one comes in a moment",
    Outcome.RENEW: "we have left it, for one with a newer token",
    Outcome.STOP: "",
}
_LONGEST = 200


class Tone(enum.Enum):
    """How an entry sounds."""

    PLAIN = "plain"
    GOOD = "good"
    ODD = "odd"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One thing that has happened.

    Args:
        kind: one word for it, the `event` of its JSON.
        text: for people, in one line.
        fields: for programs.
        tone: see `Tone`.
        at: when, in Unix seconds.
    """

    kind: str
    text: str
    at: float
    fields: Mapping[str, object] = field(default_factory=dict)
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a client can say of itself at some moment; see its properties of these names."""

    address: str = ""  # that it dials, HOST:PORT
    status: Status = Status.OFFLINE
    server: str = ""
    subject: str | None = None
    token_valid_until: float | None = None
    token_refresh_at: float | None = None


def entry_of(
    event: ClientEvent, facts: Facts, at: float, numbers: Mapping[str, int]
) -> Entry | None:
    """An entry for an event, or None for what is told elsewhere.

    Args:
        event: what has happened.
        facts: of the client, after that.
        at: when, in Unix seconds.
        numbers: of the subscriptions, by their ids.
    """
    match event:
        case Dialing():
            text = f"connection {event.epoch}: dials {facts.address}"
            return Entry(kind="dialing", text=text, at=at, fields={"epoch": event.epoch})
        case Resubscribed():
            return _connected(event, facts, at)
        case ConnectionEnded():
            return _ended(event, facts, at)
        case TokenRequested():
            fields: dict[str, object] = {"reason": event.reason.value}
            return Entry(kind="token-requested", text=_ASKS[event.reason], at=at, fields=fields)
        case TokenReceived():
            return Entry(kind="token-received", text="a token has come", at=at)
        case TokenFetchFailed():
            fields = {"error": str(event.error), "permanent": event.permanent}
            return Entry(
                kind="token-failed",
                text=f"no token: {event.error}",
                at=at,
                fields=fields,
                tone=Tone.BAD,
            )
        case Refreshed():
            life = _life(facts, at)
            text = f"connection {event.epoch} goes on with the new token{_lives(life)}"
            fields = {"epoch": event.epoch, "token_ttl": life}
            return Entry(kind="refreshed", text=text, at=at, fields=fields, tone=Tone.GOOD)
        case StatusChanged():
            text = f"the client is {event.status.value}"
            fields = {"status": event.status.value.replace(" ", "-")}
            tone = Tone.GOOD if event.status is Status.ONLINE else Tone.BAD
            return Entry(kind="status", text=text, at=at, fields=fields, tone=tone)
        case SubscriptionActive() if event.subscription in numbers:
            number = numbers[event.subscription]
            fields = {"subscription": number, "epoch": event.epoch}
            text = f"subscription {number} is active on connection {event.epoch}"
            return Entry(kind="subscribed", text=text, at=at, fields=fields)
        case Stopped():
            fault = None if event.error is None else str(event.error)
            text = "the client has stopped" + ("" if fault is None else f": {fault}")
            tone = Tone.PLAIN if fault is None else Tone.BAD
            return Entry(kind="stopped", text=text, at=at, fields={"error": fault}, tone=tone)
        case _:
            return None


def _connected(event: Resubscribed, facts: Facts, at: float) -> Entry:
    life = _life(facts, at)
    words = [f"connection {event.epoch} is up: STOMP {event.version}"]
    words += [facts.server] if facts.server else []
    words += [f"as {facts.subject}"] if facts.subject else []
    text = ", ".join(words) + _lives(life)
    carried = [count(len(event.subscriptions), "subscription")] if event.subscriptions else []
    carried += [f"{count(event.resent, 'message')} that waited"] if event.resent else []
    if carried:
        text += f"; with {' and '.join(carried)}"
    fields = {
        "epoch": event.epoch,
        "version": event.version.value,
        "server": facts.server or None,
        "subject": facts.subject,
        "token_ttl": life,
        "subscriptions": len(event.subscriptions),
        "resent": event.resent,
    }
    return Entry(kind="connected", text=visible(text), at=at, fields=fields, tone=Tone.GOOD)


def fate(event: ConnectionEnded, address: str) -> str:
    """That a connection has ended, and why, in words; `address` is that of `why`."""
    what = "is over" if event.ending.established else "has failed"
    return f"connection {event.epoch} {what}: {visible(why(event.ending, address))}"


def _ended(event: ConnectionEnded, facts: Facts, at: float) -> Entry:
    ending, outcome = event.ending, event.outcome
    reason = visible(why(ending, facts.address))
    next_ = _NEXT[outcome]
    if outcome is Outcome.RENEW and ending.error is None:
        text = f"connection {event.epoch} is over: {next_}"
    else:
        text = f"{fate(event, facts.address)}{f'; {next_}' if next_ else ''}"
    error, close = ending.error, ending.close
    fields = {
        "epoch": event.epoch,
        "reason": reason,
        "next": outcome.value,
        "error_code": error.error_code or None if error else None,
        "close_code": close.code if close else None,
        "http_status": ending.http_status,
    }
    is_ours = outcome is Outcome.RENEW or (outcome is Outcome.STOP and ending.clean)
    tone = Tone.PLAIN if is_ours else Tone.ODD if outcome is Outcome.REFRESH else Tone.BAD
    return Entry(kind="ended", text=text, at=at, fields=fields, tone=tone)


def _life(facts: Facts, at: float) -> float | None:
    until = facts.token_valid_until
    return None if until is None else round(max(0.0, until - at), 3)


def _lives(life: float | None) -> str:
    return "" if life is None else f"; the token lives for {duration(life)}"


# --- why it ended -------------------------------------------------------------------------------

_STATUSES = {
    401: "the server wants another token",
    403: "the server refuses this client",
    404: "nothing is served at this path",
}
_KINDS = {
    "ConnectionResetError": "{address} hangs up at once",
    "SSLError": "no TLS is spoken at {address}",
    "TimeoutError": "nobody answers at {address}",
}
_CERTIFICATE = re.compile(r"certificate verify failed: (.*?)(?: \(_ssl\.c:\d+\))?$")


def why(ending: Disconnected, address: str) -> str:
    """Why a connection has ended, or could not be made, in words.

    Args:
        ending: all that is known of it.
        address: that was dialled, HOST:PORT.
    """
    error, close, status = ending.error, ending.close, ending.http_status
    if error is not None:
        text = error.message or error.error_code or "the server sent an ERROR"
        body = " ".join(error.frame.body.decode("utf-8", errors="replace").split())
        if not error.error_code and body and body not in text:  # ours only says it at more length
            text = f"{text}: {body[:_LONGEST]}"
        return text if close is None else f"{text} (WebSocket close {close.code})"
    if close is not None:
        reason = f" {close.reason!r}" if close.reason else ""
        return f"WebSocket close {close.code}{reason}"
    if status is not None:
        meaning = _STATUSES.get(status)
        return f"{meaning} (HTTP {status})" if meaning else f"the server answers with HTTP {status}"
    if ending.fault:
        return _fault(ending.fault, address)
    return "DISCONNECT was confirmed" if ending.clean else "the connection was lost"


def _fault(fault: str, address: str) -> str:
    kind = fault.partition(":")[0]
    if kind == "ConnectionRefusedError" or f"[Errno {errno.ECONNREFUSED}]" in fault:
        return f"nobody listens at {address}"
    if kind == "gaierror" or kind.startswith("Unicode"):
        return f"there is no host of the name {address.rpartition(':')[0]}"
    certificate = _CERTIFICATE.search(fault)
    if certificate is not None:
        return f"the server's certificate is not trusted: {certificate[1]}"
    words = _KINDS.get(kind)
    return fault if words is None else words.format(address=address)
