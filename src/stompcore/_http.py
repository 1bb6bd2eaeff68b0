"""HTTP/1.1, as little of it as a WebSocket's port and the control socket need, over h11.

One request, one answer that closes: `Connection: close` always, and nothing behind the request is
looked at. What is refused is refused with its right status and one plain sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

import h11

from stompcore._errors import StompError

__all__ = ["Answer", "Exchange", "HeaderList", "Page", "Pages", "Refused", "Request"]

HeaderList: TypeAlias = list[tuple[bytes, bytes]]


class Request(NamedTuple):
    """The head of a request.

    Args:
        method: as it came: "GET".
        path, query: of the target, still percent-encoded.
        target: as it came.
        headers: in order, names in lower case.
    """

    method: str
    path: str
    query: str
    target: bytes
    headers: HeaderList

    def header(self, name: bytes) -> bytes | None:
        """The value of a header, the last one if it was given more than once."""
        return dict(self.headers).get(name)


class Answer(NamedTuple):
    """A whole answer. For HEAD only the body's length is sent.

    Args:
        status: 200 and so on.
        body: bytes.
        content_type: of the body.
        headers: further ones.
    """

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Sequence[tuple[bytes, bytes]] = ()


#: What is to be seen at one path, asked for anew each time.
Page: TypeAlias = Callable[[], Answer]

#: Pages by their path.
Pages: TypeAlias = Mapping[str, Page]


class Refused(StompError):
    """A request that gets no more than an error status.

    Args:
        status: 4xx or 5xx.
        sentence: why, for whoever has asked.
        headers: further headers of the answer.
    """

    def __init__(
        self, status: int, sentence: str, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers

    @property
    def answer(self) -> Answer:
        """The refusal in plain text."""
        return Answer(self.status, f"{self.sentence}\n".encode(), headers=self.headers)


class Exchange:
    """A client's request and the answer to it.

    Args:
        head_size: how long the request's line and headers may be together, in bytes.
    """

    __slots__ = ("_body", "_http", "_is_head", "_size")

    def __init__(self, *, head_size: int) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=head_size)
        self._size = head_size
        self._is_head = False
        self._body = b""

    @property
    def trailing_data(self) -> bytes:
        """What came behind the request."""
        return self._http.trailing_data[0]

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the stream; b"" means nothing."""
        if data:  # h11 takes b"" for the end of the stream
            self._http.receive_data(data)

    def read_head(self) -> Request | None:
        """The request, once its head is there; ask until then, and not again.

        Raises:
            Refused: it is too long, or no HTTP.
        """
        event = self._next_event()
        if not isinstance(event, h11.Request):
            return None
        self._is_head = event.method == b"HEAD"
        headers: HeaderList = [(bytes(name), bytes(value)) for name, value in event.headers]
        # What came in one piece was never incomplete, so h11 has not measured it.
        if len(event.target) + sum(len(name) + len(value) for name, value in headers) > self._size:
            raise Refused(431, "The header is too large.")
        try:
            target = urlsplit(event.target.decode("latin-1"))
        except ValueError:  # what stands in brackets is no address
            raise Refused(400, "The target cannot be read.") from None
        method = event.method.decode("latin-1")
        return Request(method, target.path, target.query, bytes(event.target), headers)

    def ends_with_head(self) -> bool:
        """Whether the request has no body. Not to be asked together with `read_body`.

        Raises:
            Refused: what follows the head is no HTTP.
        """
        return isinstance(self._next_event(), h11.EndOfMessage)

    def read_body(self, limit: int) -> bytes | None:
        """The request's body, once all of it is there.

        Args:
            limit: its greatest length, in bytes.

        Raises:
            Refused: it is longer, or no HTTP.
        """
        while True:
            match self._next_event():
                case h11.Data(data=data):
                    self._body += data
                    if len(self._body) > limit:
                        raise Refused(413, "The body is too large.")
                case h11.EndOfMessage():
                    return self._body
                case _:
                    return None

    def take_continue(self) -> bytes:
        """The interim answer to a client that waits for one before it sends its body, or b""."""
        if not self._http.they_are_waiting_for_100_continue:
            return b""
        return self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b""

    def write(self, answer: Answer) -> bytes:
        """The bytes of `answer`, after which the stream is to be closed. Once."""
        headers = [
            (b"Content-Type", answer.content_type.encode()),
            (b"Content-Length", str(len(answer.body)).encode()),
            (b"Connection", b"close"),
            *answer.headers,
        ]
        return b"".join(
            self._http.send(event) or b""
            for event in (
                h11.Response(status_code=answer.status, headers=headers),
                h11.Data(data=b"" if self._is_head else answer.body),
                h11.EndOfMessage(),
            )
        )

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            # h11 knows better than 400 for everything: 431 for a huge header, 501 for a coding.
            status = error.error_status_hint or 400
            sentence = (
                "The header is too large." if status == 431 else "This is not an HTTP request."
            )
            raise Refused(status, sentence) from None
