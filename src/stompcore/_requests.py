"""A client's frames as the events that a server session makes of them."""

from __future__ import annotations

from stompcore._errors import ErrorCode, RemoteProtocolError
from stompcore._events import Acked, Nacked, Sent, Subscribed, Unsubscribed
from stompcore._frames import Command, Frame
from stompcore._headers import Headers, Version
from stompcore._listening import ServerSubscription

__all__ = ["NO_SUCH_MESSAGE", "ack_id", "acknowledged", "sent", "subscribed", "unsubscribed"]

NO_SUCH_MESSAGE = "No such message waits to be acknowledged."


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
    """ACK or NACK, by whichever names `version` has for the message and its subscription.

    Raises:
        RemoteProtocolError: NACK in 1.0, which has none; an `id` that no MESSAGE had.
    """
    if command is Command.NACK and version is Version.V1_0:
        raise RemoteProtocolError(ErrorCode.PROTOCOL_VIOLATION, "STOMP 1.0 has no NACK.")
    kind = Acked if command is Command.ACK else Nacked
    subscription: str | None
    if version is Version.V1_2:
        message_id, slash, subscription = headers["id"].partition("/")
        if not slash:
            raise RemoteProtocolError(ErrorCode.PROTOCOL_VIOLATION, NO_SUCH_MESSAGE)
    else:
        message_id = headers["message-id"]
        subscription = headers.get("subscription")
    return kind(message_id=message_id, subscription=subscription, receipt_id=headers.get("receipt"))


def ack_id(message_id: str, subscription: str) -> str:
    """The `ack` header of a MESSAGE of 1.2, which comes back as the `id` of its ACK or NACK."""
    return f"{message_id}/{subscription}"
