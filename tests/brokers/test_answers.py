"""The ERROR frames of RabbitMQ 3.10.8 and ActiveMQ 5.17.2, as they were recorded, and what a client
makes of them.

What can be had at once is asked of the broker that is installed, too: it has to say the same.
"""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

import pytest
from tests.brokers.activemq import ActiveMQ
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.running import PATIENCE
from tests.docs.test_tables import DOCS, rows
from tests.serving import frame

from stompcore import ClientConfig, Disconnected, ErrorReceived, Outcome
from stompcore._connection import ClientConnection
from stompcore._endings import decide

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

CONNECTED = b"CONNECTED\nversion:1.2\n\n\0\n"


class Answer(NamedTuple):
    """What a broker says, and what comes of it.

    Args:
        said: its bytes, behind those of CONNECTED.
        outcome: what a client does then.
        login: of whom it says it to.
        passcode: theirs; None for a JWT of this scope and life.
        scope: see `passcode`.
        ttl: see `passcode`, in seconds.
        host: of CONNECT.
        asked: the frame that it answers; None for CONNECT.
        receipt_id: by which it names that frame, if it does.
    """

    said: bytes
    outcome: Outcome
    login: str
    passcode: str | None = None
    scope: str = ""
    ttl: float = 60.0
    host: str = "/"
    asked: bytes | None = None
    receipt_id: str | None = None

    @property
    def ending(self) -> Disconnected:
        """How a client's connection ends with it."""
        return ending_of(self.said, is_established=self.asked is not None)


SEND = frame("SEND", "x", destination="/queue/answers", receipt="7")
SUBSCRIBE = frame("SUBSCRIBE", id="1", destination="/topic/answers", ack="auto", receipt="7")


def rabbitmq_error(message: str, body: str, *, behind: bytes = b"") -> bytes:
    """An ERROR of RabbitMQ's, whose headers are always the same; a line feed follows each frame."""
    return (
        f"ERROR\nmessage:{message}\ncontent-type:text/plain\nversion:1.0,1.1,1.2\n"
        f"content-length:{len(body.encode())}\n\n{body}\0\n"
    ).encode() + behind


# What RabbitMQ sends behind an ERROR in answer to SUBSCRIBE, as if it had been done.
RECEIPT = b"RECEIPT\nreceipt-id:7\n\n\0\n"
EXPIRED = (
    "refused for user 'ada', backend rabbit_auth_backend_oauth2 returned an error: "
    '"Provided JWT token has expired at timestamp 1795616262 (validated at 1795616264)"'
)

RABBITMQ = {
    "a wrong password": Answer(
        rabbitmq_error("Bad CONNECT", "Access refused for user 'guest'\n"),
        Outcome.REFRESH,
        login="guest",
        passcode="wrong",
    ),
    "an expired token": Answer(
        rabbitmq_error("Bad CONNECT", "Access refused for user 'ada'\n"),
        Outcome.REFRESH,
        login="ada",
        ttl=-1.0,
    ),
    "a token without scopes": Answer(
        rabbitmq_error("Bad CONNECT", "Virtual host '/' access denied"),
        Outcome.REFRESH,
        login="ada",
    ),
    "another virtual host": Answer(
        rabbitmq_error("Bad CONNECT", "Virtual host '127.0.0.1' access denied"),
        Outcome.REFRESH,
        login="guest",
        passcode="guest",
        host="127.0.0.1",
    ),
    "a send that is not allowed": Answer(
        rabbitmq_error(
            "access_refused",
            "ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused for user 'ada'",
        ),
        Outcome.RETRY,
        login="ada",
        scope="rabbitmq.read:*/*/* rabbitmq.configure:*/*/*",
        asked=SEND,
    ),
    "a subscription that is not allowed": Answer(
        rabbitmq_error(
            "access_refused",
            "access to topic 'answers' in exchange 'amq.topic' in vhost '/' refused for user 'ada'",
            behind=RECEIPT,
        ),
        Outcome.RETRY,
        login="ada",
        scope="rabbitmq.write:*/*/*",
        asked=SUBSCRIBE,
    ),
    "an unknown destination": Answer(
        rabbitmq_error(
            "Unknown destination",
            "'/nowhere' is not a valid destination.\nValid destination types are: /temp-queue, "
            "/exchange, /topic, /queue, /amq/queue, /reply-queue/.\n",
        ),
        Outcome.RETRY,
        login="guest",
        passcode="guest",
        asked=frame("SEND", "x", destination="/nowhere", receipt="7"),
    ),
    "an acknowledgement of another connection": Answer(
        rabbitmq_error(
            "Subscription not found",
            'Message with id "T_1@@session-DcaAlSbzJKkppRTXamw0Zw@@1" has no subscription',
        ),
        Outcome.RETRY,
        login="guest",
        passcode="guest",
        asked=frame("ACK", id="T_1@@session-DcaAlSbzJKkppRTXamw0Zw@@1", receipt="7"),
    ),
}

#: What takes longer, or an operator; `test_tokens` and `test_restarts` hear these, too.
RABBITMQ_LATER = {
    "a send on a token that ran out": Answer(
        rabbitmq_error(
            "access_refused",
            f"ACCESS_REFUSED - access to exchange 'amq.topic' in vhost '/' {EXPIRED}",
        ),
        Outcome.REFRESH,
        login="ada",
        asked=SEND,
    ),
    "a subscription on a token that ran out": Answer(
        rabbitmq_error(
            "access_refused",
            f"access to topic 'other' in exchange 'amq.topic' in vhost '/' {EXPIRED}",
            behind=RECEIPT,
        ),
        Outcome.REFRESH,
        login="ada",
        asked=SUBSCRIBE,
    ),
    "a connection that was closed by an operator": Answer(
        rabbitmq_error(
            "AMQP channel died",
            'Reason: {shutdown,{connection_closing,{server_initiated_close,320,<<"bye">>}}}',
        ),
        Outcome.RETRY,
        login="guest",
        passcode="guest",
        asked=SUBSCRIBE,
    ),
    "a queue that was deleted": Answer(
        b"ERROR\nmessage:Server cancelled subscription\ncontent-type:text/plain\n"
        b"version:1.0,1.1,1.2\nsubscription:1\ncontent-length:89\n\n"
        b"The server has canceled a subscription.\n"
        b"No more messages will be delivered for \"id='1'\".\n\0\n",
        Outcome.RETRY,
        login="guest",
        passcode="guest",
        asked=SUBSCRIBE,
    ),
}

ACTIVEMQ = {
    "a wrong password": Answer(
        b"ERROR\ncontent-type:text/plain\nmessage:User name [ada] or password is invalid.\n\n"
        b"User name [ada] or password is invalid.\0\n",
        Outcome.REFRESH,
        login="ada",
        passcode="wrong",
    ),
    "a send that is not allowed": Answer(
        b"ERROR\ncontent-type:text/plain\nreceipt-id:7\n"
        b"message:User guest is not authorized to write to\\c queue\\c//answers\n\n"
        b"User guest is not authorized to write to: queue://answers\0\n",
        Outcome.RETRY,
        login="guest",
        passcode="guest",
        asked=SEND,
        receipt_id="7",
    ),
    "a subscription that is not allowed": Answer(
        b"ERROR\ncontent-type:text/plain\nreceipt-id:7\n"
        b"message:User guest is not authorized to read from\\c topic\\c//answers\n\n"
        b"User guest is not authorized to read from: topic://answers\0\n",
        Outcome.RETRY,
        login="guest",
        passcode="guest",
        asked=SUBSCRIBE,
        receipt_id="7",
    ),
    "an acknowledgement of another connection": Answer(
        b"ERROR\ncontent-type:text/plain\nreceipt-id:7\n"
        b"message:Unexpected ACK received for message-id [null]\n\n"
        b"org.apache.activemq.transport.stomp.ProtocolException: Unexpected ACK received for "
        b"message-id [null]\n"
        b"\tat org.apache.activemq.transport.stomp.ProtocolConverter.onStompAck"
        b"(ProtocolConverter.java:477)\n"
        b"\tat java.base/java.lang.Thread.run(Thread.java:840)\n\0\n",
        Outcome.RETRY,
        login="guest",
        passcode="guest",
        asked=frame("ACK", id="ID:elsewhere-1", receipt="7"),
        receipt_id="7",
    ),
}

RECORDED = {
    **{f"RabbitMQ: {name}": answer for name, answer in (RABBITMQ | RABBITMQ_LATER).items()},
    **{f"ActiveMQ: {name}": answer for name, answer in ACTIVEMQ.items()},
}


def ending_of(data: bytes, *, is_established: bool) -> Disconnected:
    """How a client's connection ends when a server says this, and then no more."""
    connection = ClientConnection(ClientConfig(), {}, now=0.0)
    connection.receive_data((CONNECTED if is_established else b"") + data, now=0.0)
    connection.receive_eof(now=0.0)
    events = []
    while (event := connection.next_event()) is not None:
        events.append(event)
    ending = events[-1]
    assert isinstance(ending, Disconnected)
    assert ending.fault == ""
    return ending


@pytest.mark.parametrize("name", RECORDED)
def test_what_a_client_makes_of_it(name: str) -> None:
    answer = RECORDED[name]
    assert decide(answer.ending) is answer.outcome
    assert error_of(answer.ending).receipt_id == answer.receipt_id


def test_the_page_says_what_was_recorded() -> None:
    shown = rows(DOCS / "brokers.md", "answers")
    recorded = [
        [
            *name.split(": "),
            f"`{error_of(answer.ending).message}`",
            "no" if answer.receipt_id is None else "yes",
            answer.outcome.name,
        ]
        for name, answer in RECORDED.items()
    ]
    assert shown == recorded


@pytest.mark.parametrize("name", RABBITMQ)
def test_rabbitmq_still_says_so(rabbitmq: RabbitMQ, name: str) -> None:
    answer = RABBITMQ[name]
    passcode = answer.passcode or rabbitmq.mint(answer.ttl, scope=answer.scope)
    assert in_short(hear(rabbitmq.tcp_port, answer, passcode)) == in_short(answer.ending)


@pytest.mark.parametrize("name", ACTIVEMQ)
def test_activemq_still_says_so(activemq: ActiveMQ, name: str) -> None:
    answer = ACTIVEMQ[name]
    assert answer.passcode is not None
    assert in_short(hear(activemq.tcp_port, answer, answer.passcode)) == in_short(answer.ending)


def error_of(ending: Disconnected) -> ErrorReceived:
    assert ending.error is not None
    return ending.error


def in_short(ending: Disconnected) -> tuple[str, str, str | None]:
    """What its ERROR says, without the lines of a stack, which the next release numbers anew."""
    error = error_of(ending)
    body = error.frame.body.decode()
    return error.message, re.sub(r"(\n\tat .*)+", "", body).strip(), error.receipt_id


def hear(port: int, answer: Answer, passcode: str) -> Disconnected:
    """How it ends with the broker on `port` that is asked the same."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
        raw.sendall(
            frame(
                "CONNECT",
                accept_version="1.2",
                host=answer.host,
                login=answer.login,
                passcode=passcode,
            )
        )
        if answer.asked is not None:
            assert read_to(raw, rb"^CONNECTED\n[^\0]*\0\n?")
            raw.sendall(answer.asked)
        data = read_to(raw, rb"^ERROR\n[^\0]*\0")
    return ending_of(data, is_established=answer.asked is not None)


def read_to(raw: socket.socket, pattern: bytes) -> bytes:
    data = b""
    while not re.search(pattern, data, re.M):
        received = raw.recv(65536)
        assert received, f"the end, after {data!r}"
        data += received
    return data
