"""What the users of a simulation do: they send, listen, answer and go."""

from __future__ import annotations

from stompcore._errors import (
    ClientClosed,
    NotConnected,
    OutboxFull,
    StaleEpoch,
)
from stompcore._events import (
    AckMode,
    ClientEvent,
    Delivered,
    TransactionCommitted,
    TransactionFailed,
)
from stompcore.handlers import Call, Handlers, Refused
from stompcore.testing._auditor import Handled
from stompcore.testing._client import VirtualClient
from stompcore.testing._clock import VirtualClock
from stompcore.testing._dice import Dice

__all__ = ["TOPICS", "User", "handlers_of", "read_handled"]

TOPICS = ("/topic/a", "/topic/b")
QUEUES = ("/queue/a",)
CALLS = ("/app/now", "/app/later")
_MODES = (AckMode.AUTO, AckMode.CLIENT, AckMode.CLIENT_INDIVIDUAL)
_MOST_SUBSCRIPTIONS = 5
_HANDLED = "handled "
# What is documented for a call that comes at a bad moment.
_EXPECTED = (ClientClosed, NotConnected, OutboxFull, StaleEpoch)


class User:
    """One user: acts at random.

    Args:
        client: the user's.
        dice: decide.
    """

    def __init__(self, client: VirtualClient, dice: Dice) -> None:
        self.client = client
        self._dice = dice
        self._sent = 0
        self._read = 0
        self._subscriptions: list[str] = []
        self._to_answer: list[Delivered] = []
        self._transactions: list[str] = []  # that are open

    def begin(self) -> None:
        """Listen to something."""
        self._subscribe()

    def act(self) -> str:
        """Do something, and say what it was."""
        self._look()
        try:
            return self._act(self._dice.below(100))
        except _EXPECTED as error:
            return type(error).__name__

    def _act(self, draw: int) -> str:
        dice = self._dice
        if draw < 45:
            return self._send(1)
        if draw < 55:
            return self._send(1 + dice.below(4))
        if draw < 68:
            return self._subscribe()
        if draw < 74 and self._subscriptions:
            id = self._subscriptions.pop(dice.below(len(self._subscriptions)))
            self.client.unsubscribe(id)
            return f"unsubscribe {id}"
        if draw < 84:
            return self._transact()
        if draw < 98 and self._to_answer:
            return self._answer()
        if draw == 99 and dice.below(4) == 0:
            self.client.close()
            return "close"
        return self._send(1)

    def _send(self, count: int) -> str:
        destination = self._dice.choice((*TOPICS, *TOPICS, *QUEUES, *CALLS))
        confirm = self._dice.below(8) > 0
        for _ in range(count):
            self.client.send(destination, self._body(), confirm=confirm)
        return f"send {count} to {destination}, up to {self._sent}"

    def _body(self) -> str:
        self._sent += 1
        padding = "." * self._dice.choice((0, 0, 0, 300))
        return f"{self.client.name} {self._sent} {padding}"

    def _transact(self) -> str:
        """Begin a transaction, or go on with the one that is open."""
        if not self._transactions:
            self._transactions.append(self.client.begin())
            self._look()
            if not self._transactions:  # its connection was dead, and nobody knew
                return "begin, in vain"
        name = self._transactions[0]
        draw = self._dice.below(8)
        if draw < 4:
            destination = self._dice.choice((*TOPICS, *QUEUES))
            self.client.send_in(name, destination, self._body())
            return f"send in {name} to {destination}, {self._sent}"
        if draw == 4 and self._to_answer:
            delivered = self._to_answer.pop()
            if delivered.subscription in self._subscriptions:
                self.client.ack(delivered, transaction=name)
            return f"ack in {name}"
        self._transactions.clear()
        if draw == 5:
            self.client.abort_transaction(name)
            return f"abort {name}"
        self.client.commit(name)
        return f"commit {name}"

    def _subscribe(self) -> str:
        if len(self._subscriptions) >= _MOST_SUBSCRIPTIONS:
            return self._send(1)
        destination = self._dice.choice((*TOPICS, *TOPICS, *QUEUES))
        mode = self._dice.choice(_MODES) if destination in QUEUES else AckMode.AUTO
        id = self.client.subscribe(destination, ack=mode)
        self._subscriptions.append(id)
        return f"subscribe {id} to {destination}, {mode.value}"

    def _answer(self) -> str:
        which = self._dice.below(len(self._to_answer))
        delivered = self._to_answer.pop(which)
        if delivered.subscription not in self._subscriptions:
            return "nothing"
        if self._dice.below(4):
            self.client.ack(delivered)
            return "ack"
        self.client.nack(delivered)
        return "nack"

    def _look(self) -> None:
        events = self.client.events
        for event in events[self._read :]:
            self._take_note(event)
        self._read = len(events)

    def _take_note(self, event: ClientEvent) -> None:
        match event:
            case Delivered() if "ack" in event.frame.headers:
                self._to_answer.append(event)
            case TransactionCommitted() | TransactionFailed():
                if event.transaction in self._transactions:
                    self._transactions.remove(event.transaction)


def handlers_of(clock: VirtualClock, dice: Dice) -> Handlers:
    """What a simulated application does with messages that it handles itself."""
    handlers = Handlers()

    def handle(call: Call) -> None:
        if dice.below(30) == 0:
            raise Refused("Not this one.")
        call.publish(dice.choice(TOPICS), f"{_HANDLED}{call.destination} {call.text}")

    @handlers.on(CALLS[0])
    def now(call: Call) -> None:
        handle(call)

    @handlers.on(CALLS[1])
    async def later(call: Call) -> None:
        await clock.sleep(dice.choice((0.0, 0.1, 1.0)))
        handle(call)

    return handlers


def read_handled(body: bytes) -> Handled | None:
    """Which message it was that `handlers_of` has handled."""
    text = body.decode()
    if not text.startswith(_HANDLED):
        return None
    destination, _, rest = text.removeprefix(_HANDLED).partition(" ")
    return Handled(rest.partition(" ")[0], destination, rest.encode())
