"""What a server may say to a client, of every kind and in no order; and what is no frame at all."""

from __future__ import annotations

from hypothesis import strategies as st

from stompcore._codec import FrameDecoder
from stompcore._config import Limits
from stompcore._connection import ClientConnection
from stompcore._frames import Command, Frame
from stompcore._headers import Version

CODES = ["token-expired", "token-invalid", "token-revoked", "reauth-rejected", "going-away", ""]
ids = st.sampled_from([1, 1, 1, 2, 2, 3, 4, 5, 0])
receipts = st.one_of(
    ids.map(lambda n: f"message-{n}"),
    st.builds(lambda epoch, n: f"subscribe-{epoch}-{n}", ids, ids),
    ids.map(lambda n: f"commit-tx-{n}"),
    ids.map(lambda n: f"token-{n}"),
    st.just("disconnect"),
    st.text(max_size=3),
)


def encode(command: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    return f"{command}\n{lines}\n".encode() + body + b"\0"


ttls = st.sampled_from(["", "0", "10", "1000", "9000", "x", "9" * 15])
connected = st.builds(
    lambda version, beats, ttl, refresh, user: encode(
        "CONNECTED",
        {
            "version": version,
            "heart-beat": beats,
            "token-ttl": ttl,
            "token-refresh": refresh,
            "user-name": user,
        },
    ),
    st.sampled_from(["1.0", "1.1", "1.2", "1.2", "1.2", "9"]),
    st.sampled_from(["0,0", "1000,1000", "x"]),
    ttls,
    st.sampled_from(["", "", "/auth/refresh"]),
    st.sampled_from(["u"] * 9 + ["other"]),
)
messages = st.builds(
    lambda n, id: encode(
        "MESSAGE", {"subscription": str(n), "message-id": id, "destination": "/a", "ack": "k"}
    ),
    ids,
    st.sampled_from("abc"),
)
receipt_frames = st.builds(
    lambda receipt, ttl, ended: encode(
        "RECEIPT", {"receipt-id": receipt, "token-ttl": ttl, "subscription-ended": str(ended)}
    ),
    receipts,
    ttls,
    ids,
)
#: What a connection that is up may hear, and live.
good_frames = st.one_of(messages, messages, messages, receipt_frames, st.just(b"\n"))
server_frames = st.one_of(
    good_frames,
    st.sampled_from([b"\n", b"\r\n", b"\0", b""]),
    connected,
    st.builds(
        lambda code, receipt: encode("ERROR", {"error-code": code, "receipt-id": receipt}),
        st.sampled_from(CODES),
        receipts,
    ),
    st.just(encode("ERROR", {"message": "no"})),  # RabbitMQ names neither a reason nor a frame
    st.binary(max_size=20),
)


class Ear:
    """A server's ear: a client never says to it what would be answered with ERROR.

    Args:
        connection: of the client.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._decoder = FrameDecoder(Limits())
        self._is_over = False
        self._receipts: set[str] = set()
        self._subscriptions: set[str] = set()
        self._transactions: set[str] = set()

    def hear(self, data: bytes) -> None:
        """What the client has written."""
        self._decoder.version = self._connection.version or Version.V1_2
        self._decoder.receive_data(data)
        while (frame := self._decoder.next_frame()) is not None:
            self._judge(frame)

    def _judge(self, frame: Frame) -> None:
        assert not self._is_over, f"{frame} behind DISCONNECT"
        headers = frame.headers
        receipt, transaction = headers.get("receipt"), headers.get("transaction")
        assert receipt is None or receipt not in self._receipts, f"{frame} twice"
        self._receipts.add(receipt or "")
        match frame.command:
            case Command.SUBSCRIBE:
                assert headers["id"] not in self._subscriptions
                self._subscriptions.add(headers["id"])
            case Command.UNSUBSCRIBE:
                assert headers["id"] in self._subscriptions, "it was never said to this server"
                self._subscriptions.remove(headers["id"])
            case Command.BEGIN:
                assert transaction not in self._transactions
                self._transactions.add(headers["transaction"])
            case Command.COMMIT | Command.ABORT:
                self._transactions.remove(headers["transaction"])
            case Command.DISCONNECT:
                self._is_over = True
            case _:
                assert transaction is None or transaction in self._transactions


__all__ = ["Ear", "encode", "good_frames", "ids", "server_frames", "ttls"]
