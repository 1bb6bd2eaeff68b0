"""A client's frames as the events that a server session makes of them."""

from __future__ import annotations

from stompcore._errors import ErrorCode, RemoteProtocolError
from stompcore._events import Acked, Nacked, Sent, Subscribed, Unsubscribed
from stompcore._frames import Command, Frame
from stompcore._headers import Headers, Version
from stompcore._listening import ServerSubscription

__all__ = ["acknowledged", "sent", "subscribed", "unsubscribed"]


def sent(frame: Frame) -> Sent:
    """SEND."""
    headers = frame.headers
    return Sent(
        destination=headers["destination"],
        headers=headers,
        body=frame.body,
        receipt_id=headers.get("receipt"),
    )


def subscribed(subscription: ServerSubscription, headers: Headers) -> Subscribed:
    """SUBSCRIBE, for the subscription that it has made."""
    return Subscribed(
        subscription=subscription.key,
        destination=subscription.destination,
        ack=subscription.ack,
        headers=headers,
        receipt_id=headers.get("receipt"),
    )


def unsubscribed(subscription: ServerSubscription, headers: Headers) -> Unsubscribed:
    """UNSUBSCRIBE, for the subscription that it has ended."""
    return Unsubscribed(
        subscription=subscription.key,
        destination=subscription.destination,
        receipt_id=headers.get("receipt"),
    )


def acknowledged(command: Command, headers: Headers, version: Version | None) -> Acked | Nacked:
    """ACK or NACK.

    Raises:
        RemoteProtocolError: NACK in 1.0, which has none.
    """
    if command is Command.NACK and version is Version.V1_0:
        raise RemoteProtocolError(ErrorCode.PROTOCOL_VIOLATION, "STOMP 1.0 has no NACK.")
    kind = Acked if command is Command.ACK else Nacked
    return kind(
        ack_id=headers.get("id"),
        message_id=headers.get("message-id"),
        subscription=headers.get("subscription"),
        receipt_id=headers.get("receipt"),
    )
