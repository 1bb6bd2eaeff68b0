"""What is done about a command: here the words of a view become calls of a client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping

from stompcore import (
    AckMode,
    ClientClosed,
    LocalProtocolError,
    ReceivedMessage,
    StompError,
    Subscription,
)
from stompcore_asyncio import AsyncioClient
from stompcore_cli._connect._commands import (
    HELP,
    Answer,
    Command,
    Send,
    Show,
    Subscribe,
    Unsubscribe,
    Wait,
    Word,
)
from stompcore_cli._connect._entries import Entry, Tone
from stompcore_cli._connect._model import MESSAGES_KEPT, Message, Model, Page, SubscriptionRow
from stompcore_cli._connect._secrets import Secrets
from stompcore_cli._connect._text import visible
from stompcore_cli._connect._transaction import OpenTransaction

__all__ = ["Desk"]


class Desk:
    """Does what is asked for, and tells what comes of it.

    Args:
        client: to do it with.
        model: of what there is to see.
        secrets: what must not be seen.
        tell: gets what has happened.
        show: gets what was asked for.
    """

    def __init__(
        self,
        client: AsyncioClient,
        model: Model,
        secrets: Secrets,
        tell: Callable[[Entry], None],
        show: Callable[[Page], None],
    ) -> None:
        self.failures = 0
        self._client = client
        self._model = model
        self._secrets = secrets
        self._tell = tell
        self._show = show
        self._subscriptions: dict[int, Subscription] = {}
        self._readers: dict[int, asyncio.Task[None]] = {}
        self._received: dict[int, ReceivedMessage] = {}
        self._has_arrived = asyncio.Event()
        self._transaction: OpenTransaction | None = None

    @property
    def numbers(self) -> dict[str, int]:
        """Of the subscriptions, by the client's ids."""
        return {each.id: number for number, each in self._subscriptions.items()}

    async def do(self, command: Command) -> None:
        """Do it, and return when it is done or has failed. Never raises for that."""
        try:
            await self._deed(command)
        except StompError as error:
            self.fail(str(command), str(error))

    def fail(self, command: str, error: str) -> None:
        """Something that was asked for cannot be done."""
        self.failures += 1
        fields = {"command": command, "error": error}
        text = f"{command}: {error}" if command else error
        self._say("failed", text, fields, Tone.BAD)

    async def finish(self) -> None:
        """Leave nothing behind, once the client has stopped: tell the messages that had come."""
        await asyncio.gather(*self._readers.values())

    async def abandon(self) -> None:
        """Forget the transaction, if there is one: the client is about to stop."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.abort()

    # --- deeds ----------------------------------------------------------------------------

    def _deed(self, command: Command) -> Coroutine[None, None, None]:
        match command:
            case Subscribe():
                return self._subscribe(command)
            case Unsubscribe():
                return self._unsubscribe(command.which)
            case Send(is_request=True):
                return self._request(command)
            case Send():
                return self._send(command)
            case Answer():
                return self._answer(command)
            case Show():
                return self._show_message(command.number)
            case Wait():
                return self._wait(command)
            case Word.BEGIN:
                return self._begin()
            case Word.COMMIT:
                return self._commit()
            case Word.ABORT:
                return self._abort()
            case _:
                return self._other(command)

    async def _other(self, word: Word) -> None:
        if word is Word.CUT:
            self._say("cut", "the connection is cut")
            self._client.cut()
        elif word is Word.HELP:
            self._show(Page(title="Commands", lines=HELP))

    async def _subscribe(self, command: Subscribe) -> None:
        subscription = self._client.subscribe(
            command.destination, ack=command.ack, headers=command.headers
        )
        row = self._model.add_subscription(command.destination, command.ack)
        self._subscriptions[row.number] = subscription
        loop = asyncio.get_running_loop()
        confirmed: asyncio.Future[StompError | None] = loop.create_future()
        task = loop.create_task(self._read(row, subscription, confirmed))
        self._readers[row.number] = task
        error = await asyncio.shield(confirmed)
        if error is not None:
            raise error

    async def _read(
        self,
        row: SubscriptionRow,
        subscription: Subscription,
        confirmed: asyncio.Future[StompError | None],
    ) -> None:
        """The life of a subscription."""
        error: StompError | None = None
        try:
            async with subscription:
                row.is_active = True
                confirmed.set_result(None)
                async for message in subscription:
                    self._arrived(row, message)
        except StompError as why:
            error = why
        finally:
            self._model.subscriptions.pop(row.number, None)
            del self._subscriptions[row.number], self._readers[row.number]
            if not confirmed.done():
                confirmed.set_result(error or ClientClosed("it has ended before it was confirmed"))
            elif error is not None:
                fields = {"subscription": row.number, "error": str(error)}
                text = f"subscription {row.number} has ended: {error}"
                self._say("unsubscribed", text, fields, Tone.BAD)

    async def _unsubscribe(self, which: str) -> None:
        row = self._model.find_subscription(which)
        task = None if row is None else self._readers.get(row.number)
        if row is None or task is None:
            raise LocalProtocolError(f"there is no subscription {visible(which)}")
        task.cancel()
        await asyncio.wait([task])
        fields = {"subscription": row.number, "error": None}
        text = f"subscription {row.number} has ended"
        self._say("unsubscribed", text, fields)

    async def _send(self, command: Send) -> None:
        transaction = self._transaction
        if transaction is not None:
            begun = await transaction.begun()
            await begun.send(command.destination, command.body, command.headers)
            text = f"a message to {command.destination} waits for commit"
        else:
            with self._unconfirmed():
                await self._client.send(command.destination, command.body, command.headers)
            text = f"a message to {command.destination} is confirmed"
        self._model.sent += 1
        fields = {"destination": command.destination, "in_transaction": transaction is not None}
        self._say("sent", text, fields)

    async def _request(self, command: Send) -> None:
        with self._unconfirmed():
            reply = await self._client.request(command.destination, command.body, command.headers)
        self._model.sent += 1
        self._arrived(None, reply)

    @contextlib.contextmanager
    def _unconfirmed(self) -> Iterator[None]:
        self._model.unconfirmed += 1
        try:
            yield
        finally:
            self._model.unconfirmed -= 1

    async def _answer(self, command: Answer) -> None:
        message, received = self._message(command.number)
        transaction = self._transaction
        if transaction is not None:
            begun = await transaction.begun()
            await (begun.ack if command.is_consumed else begun.nack)(received)
        else:
            await (received.ack if command.is_consumed else received.nack)()
        self._mark(message, is_consumed=command.is_consumed)
        word = "acknowledged" if command.is_consumed else "refused"
        text = f"message {message.number} is {word}"
        self._say(word, text, {"number": message.number})

    def _mark(self, message: Message, *, is_consumed: bool) -> None:
        answer = "acked" if is_consumed else "nacked"
        row = self._model.subscriptions.get(message.subscription)
        message.answer = answer
        if row is not None and row.ack is AckMode.CLIENT:
            # It speaks for all that came before it.
            for each in self._model.messages:
                is_before = each.number < message.number and each.subscription == row.number
                if is_before and each.answer == "wanted":
                    each.answer = answer

    async def _show_message(self, number: int) -> None:
        message, _ = self._message(number)
        title = f"Message {number}"
        self._show(Page(title=title, lines=message.lines))

    async def _wait(self, command: Wait) -> None:
        try:
            async with asyncio.timeout(command.timeout):
                while self._model.received < command.number:
                    self._has_arrived.clear()
                    await self._has_arrived.wait()
        except TimeoutError:
            raise LocalProtocolError("it has not come in time") from None

    async def _begin(self) -> None:
        if self._transaction is not None:
            raise LocalProtocolError("there is one already; commit it, or abort it")
        self._transaction = transaction = OpenTransaction(self._client)
        self._model.has_transaction = True
        try:
            await transaction.begun()
        except StompError:
            if self._transaction is transaction:  # and not another one that was begun since
                self._over()
            raise
        self._say("begun", "a transaction has begun: commit it, or abort it")

    async def _commit(self) -> None:
        transaction = self._open_transaction()
        self._over()
        await transaction.commit()
        self._say("committed", "the transaction is done, all of it", tone=Tone.GOOD)

    async def _abort(self) -> None:
        transaction = self._open_transaction()
        self._over()
        await transaction.abort()
        self._say("aborted", "the transaction is aborted: nothing of it is done")

    def _open_transaction(self) -> OpenTransaction:
        if self._transaction is None:
            raise LocalProtocolError("there is no transaction; begin one")
        return self._transaction

    def _over(self) -> None:
        self._transaction = None
        self._model.has_transaction = False

    # --- messages -------------------------------------------------------------------------

    def _arrived(self, row: SubscriptionRow | None, received: ReceivedMessage) -> None:
        headers = self._secrets.clean(dict(received.headers))
        body = self._secrets.clean(received.body)
        destination = headers.get("destination", "")
        message = self._model.add_message(row, headers, body, destination, time.time())
        self._received[message.number] = received
        self._received.pop(message.number - MESSAGES_KEPT, None)
        self._has_arrived.set()
        kind = "reply" if row is None else "message"
        text = f"{message.number} {destination} {message.text}"
        self._say(kind, text, message.fields)

    def _message(self, number: int) -> tuple[Message, ReceivedMessage]:
        message = self._model.find_message(number)
        if message is None:
            raise LocalProtocolError(f"there is no message {number}")
        return message, self._received[number]

    def _say(
        self,
        kind: str,
        text: str,
        fields: Mapping[str, object] | None = None,
        tone: Tone = Tone.PLAIN,
    ) -> None:
        self._tell(Entry(kind=kind, text=text, at=time.time(), fields=fields or {}, tone=tone))
