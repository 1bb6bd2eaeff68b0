"""What a server may say to a client, of every kind and in no order; and what is no frame at all."""

from __future__ import annotations

from hypothesis import strategies as st

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
    st.binary(max_size=20),
)


__all__ = ["encode", "good_frames", "ids", "server_frames", "ttls"]
