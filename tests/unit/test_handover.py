"""`HandoverProcess` alone: which message passes, when, and which is a copy."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from stompcore._errors import LocalProtocolError
from stompcore._events import AckMode, Delivered
from stompcore._frames import Command, Frame
from stompcore._handover import HandoverProcess
from stompcore._line import Line
from stompcore._state import HandoverState, SubscriptionTrigger
from stompcore._subscription import KeyFunction, Subscription, Subscriptions

LIMIT = 100


class Stage:
    """A handover from the line 1 to the line 2, and one subscription, `room`."""

    def __init__(
        self, *, limit: int = LIMIT, key: KeyFunction | None = None, ack: AckMode = AckMode.AUTO
    ) -> None:
        self.process = HandoverProcess(limit)
        self.subscriptions = Subscriptions()
        self.room = self.subscriptions.add("/room", ack, {}, key_of=key)
        self.old, self.new = Line(1), Line(2)
        self.passed: list[str] = []

    def to(self, state: HandoverState) -> Stage:
        """Up to this state."""
        if state is HandoverState.NONE:
            return self
        self.process.begin(self.new)
        if state is HandoverState.DIALING:
            return self
        self.process.dialed()
        if state is HandoverState.CONNECTING:
            return self
        self.process.connected()
        if state is HandoverState.RESTORING:
            return self
        self.process.restored(self.old)
        assert self.process.state is state
        return self

    def take(
        self, line: Line, ids: Iterable[str], *, room: Subscription | None = None, body: str = ""
    ) -> list[bool]:
        """A MESSAGE with each of these message-ids comes by `line`; which of them pass."""
        room = room or self.room
        answers = []
        for id in ids:
            delivered = message(room, id, line, body or id)
            answers.append(self.process.admits(room, delivered, line))
            if answers[-1]:
                self.passed.append(id)
        return answers

    def retire(self) -> None:
        self.passed += ids(self.process.retired())


def message(room: Subscription, id: str, line: Line, body: str = "") -> Delivered:
    headers = {"subscription": room.id, "message-id": id, "destination": room.destination}
    frame = Frame(Command.MESSAGE, headers, body.encode())
    return Delivered(subscription=room.id, epoch=line.epoch, frame=frame)


def ids(deliveries: Iterable[Delivered]) -> list[str]:
    return [each.frame.headers["message-id"] for each in deliveries]


RESTORING, RETIRING = HandoverState.RESTORING, HandoverState.RETIRING
BOTH = [RESTORING, RETIRING]


# --- its stages -------------------------------------------------------------------------------


def test_it_begins_with_nothing() -> None:
    process = HandoverProcess(LIMIT)
    assert (process.state, process.new, process.old) == (HandoverState.NONE, None, None)
    assert (process.is_full, process.confirmed) == (False, set())


def test_who_is_old_and_who_is_new() -> None:
    stage = Stage().to(RESTORING)
    assert (stage.process.old, stage.process.new) == (None, stage.new)
    stage.process.restored(stage.old)
    assert (stage.process.old, stage.process.new) == (stage.old, None)
    stage.retire()
    assert (stage.process.old, stage.process.new) == (None, None)
    assert stage.process.state is HandoverState.NONE


@pytest.mark.parametrize("state", [each for each in HandoverState if each.value != "none"])
def test_it_can_be_abandoned_at_every_stage_and_begun_again(state: HandoverState) -> None:
    stage = Stage().to(state)
    stage.process.abandon()
    assert (stage.process.old, stage.process.new) == (None, None)
    assert stage.to(RETIRING).process.old is stage.old


@pytest.mark.parametrize("state", [each for each in HandoverState if each.value != "none"])
def test_there_is_one_at_a_time(state: HandoverState) -> None:
    stage = Stage().to(state)
    with pytest.raises(LocalProtocolError):
        stage.process.begin(Line(3))
    assert stage.process.state is state
    assert stage.process.new is not None or state is RETIRING


def test_what_an_earlier_one_had_confirmed_counts_for_nothing() -> None:
    stage = Stage().to(RESTORING)
    stage.process.confirmed.add("1")
    stage.process.abandon()
    stage.to(RESTORING)
    assert stage.process.confirmed == set()


# --- order, and no copies ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "state", [HandoverState.NONE, HandoverState.DIALING, HandoverState.CONNECTING]
)
def test_until_both_are_up_everything_passes_even_twice(state: HandoverState) -> None:
    stage = Stage().to(state)
    assert stage.take(stage.old, "aab") == [True] * 3


@pytest.mark.parametrize("state", BOTH)
def test_what_the_old_one_brings_passes_at_once(state: HandoverState) -> None:
    stage = Stage().to(state)
    assert stage.take(stage.old, "abc") == [True] * 3


@pytest.mark.parametrize("state", BOTH)
def test_what_the_new_one_brings_waits(state: HandoverState) -> None:
    stage = Stage().to(state)
    assert stage.take(stage.new, "abc") == [False] * 3
    if state is RESTORING:
        stage.process.restored(stage.old)
    stage.retire()
    assert stage.passed == ["a", "b", "c"]


@pytest.mark.parametrize("seam", range(5))
def test_each_passes_once_and_in_its_order(seam: int) -> None:
    """The new one is subscribed after `seam` messages, and the old one brings all but the last."""
    stage = Stage().to(RESTORING)
    stage.take(stage.new, "abcdefg"[seam:4])
    stage.take(stage.old, "abc")
    stage.process.restored(stage.old)
    stage.take(stage.new, "ef")
    stage.take(stage.old, "d")
    stage.retire()
    stage.take(stage.new, "gh")
    assert stage.passed == list("abcdefgh")


def test_the_new_one_may_be_ahead_or_behind() -> None:
    ahead = Stage().to(RESTORING)
    ahead.take(ahead.new, "abcd")
    ahead.process.restored(ahead.old)
    ahead.take(ahead.old, "abc")
    ahead.retire()
    assert ahead.passed == list("abcd")
    behind = Stage().to(RETIRING)
    behind.take(behind.old, "abcd")
    behind.retire()
    assert behind.take(behind.new, "abcde") == [False] * 4 + [True]
    assert behind.passed == list("abcde")


def test_a_copy_is_one_only_once() -> None:
    """An id that comes a second time after both have brought it is another message."""
    stage = Stage().to(RETIRING)
    stage.take(stage.old, "a")
    stage.take(stage.new, "a")
    stage.retire()
    assert stage.take(stage.new, "a") == [True]
    assert stage.passed == ["a", "a"]


def test_late_copies_are_known_while_the_next_one_is_dialled() -> None:
    stage = Stage().to(RETIRING)
    stage.take(stage.old, "abc")
    stage.retire()
    stage.process.begin(Line(3))
    assert stage.take(stage.new, "a") == [False]
    stage.process.dialed()
    assert stage.take(stage.new, "bd") == [False, True]
    assert stage.passed == list("abcd")


@pytest.mark.parametrize("end", ["restoring", "retiring", "lost", "retired"])
def test_late_copies_are_known_even_in_the_next_handover(end: str) -> None:
    """Tokens of a second, on a line that is slower than that."""
    stage = Stage().to(RETIRING)
    stage.take(stage.old, "abc")
    stage.retire()
    third = Line(3)
    stage.process.begin(third)
    stage.process.dialed()
    stage.process.connected()
    assert stage.take(stage.new, "a") == [False]
    match end:
        case "retiring":
            stage.process.restored(stage.new)
        case "lost":
            stage.process.lose_new()
        case "retired":
            stage.process.restored(stage.new)
            stage.retire()
            # Its only bearer is gone: the next of that id, by another, is another message.
            assert stage.take(third, "b") == [True]
            return
    assert stage.take(stage.new, "bda") == [False, True, True]


def test_the_next_handover_begins_with_no_memory_of_the_last() -> None:
    stage = Stage().to(RETIRING)
    stage.take(stage.old, "a")
    stage.retire()
    third = Line(3)
    stage.process.begin(third)
    stage.process.dialed()
    stage.process.connected()
    assert stage.take(stage.new, "b") == [True]  # it is the old one now
    assert stage.take(third, "abc") == [False] * 3
    stage.process.restored(stage.new)
    stage.retire()
    assert stage.passed == ["a", "b", "a", "c"]


def test_without_a_connection_that_could_bring_one_nothing_is_a_copy() -> None:
    """A server that has begun to count again must not be taken for one that repeats itself."""
    stage = Stage().to(RETIRING)
    stage.take(stage.old, "ab")
    stage.retire()
    stage.process.forget()
    assert stage.take(stage.new, "ab") == [True, True]


def test_a_promoted_one_gives_what_waited_and_still_knows_copies() -> None:
    stage = Stage().to(RESTORING)
    stage.take(stage.old, "abc")
    stage.take(stage.new, "bd")
    stage.passed += ids(stage.process.abandon())
    assert stage.passed == list("abcd")
    assert stage.take(stage.new, "ce") == [False, True]


def test_two_subscriptions_do_not_share_their_messages() -> None:
    stage = Stage().to(RESTORING)
    other = stage.subscriptions.add("/other", AckMode.AUTO, {})
    assert stage.take(stage.old, "a") == [True]
    assert stage.take(stage.new, "a", room=other) == [False]
    stage.process.restored(stage.old)
    stage.retire()
    assert stage.passed == ["a", "a"]


def test_messages_of_all_subscriptions_keep_their_common_order() -> None:
    stage = Stage().to(RESTORING)
    other = stage.subscriptions.add("/other", AckMode.AUTO, {})
    stage.take(stage.new, "a")
    stage.take(stage.new, "b", room=other)
    stage.take(stage.new, "c")
    assert ids(stage.process.abandon()) == ["a", "b", "c"]


def test_what_waits_for_a_subscription_that_has_ended_goes_to_nobody() -> None:
    stage = Stage().to(RESTORING)
    other = stage.subscriptions.add("/other", AckMode.AUTO, {})
    stage.take(stage.new, "a")
    stage.take(stage.new, "b", room=other)
    stage.subscriptions.end(stage.room)
    stage.process.restored(stage.old)
    stage.retire()
    assert stage.passed == ["b"]


@pytest.mark.parametrize(
    "trigger", [SubscriptionTrigger.LOST, SubscriptionTrigger.CONFIRMED], ids=["lost", "confirmed"]
)
def test_whatever_else_has_become_of_the_subscription(trigger: SubscriptionTrigger) -> None:
    stage = Stage().to(RESTORING)
    stage.take(stage.new, "a")
    stage.room.fire(trigger)
    assert ids(stage.process.abandon()) == ["a"]


# --- messages that are not anybody's to drop --------------------------------------------------


@pytest.mark.parametrize("ack", [AckMode.CLIENT, AckMode.CLIENT_INDIVIDUAL])
@pytest.mark.parametrize("state", list(HandoverState))
def test_what_asks_for_an_acknowledgement_passes_always(ack: AckMode, state: HandoverState) -> None:
    stage = Stage(ack=ack, limit=1).to(state)
    assert stage.take(stage.old, "aab") == [True] * 3
    assert stage.take(stage.new, "aab") == [True] * 3
    assert not stage.process.is_full
    if state is not HandoverState.NONE:
        assert stage.process.abandon() == []


# --- key functions ----------------------------------------------------------------------------


def test_a_key_function_decides_what_a_copy_is() -> None:
    stage = Stage(key=lambda frame: frame.body.decode()).to(RETIRING)
    stage.take(stage.old, ["1-1"], body="same")
    stage.take(stage.new, ["2-7"], body="same")
    stage.take(stage.new, ["1-1"], body="other")
    stage.retire()
    assert stage.passed == ["1-1", "1-1"]  # the second one's id means nothing


def fails(frame: Frame) -> str | None:
    raise RuntimeError(frame.headers["message-id"])


@pytest.mark.parametrize("key", [fails, lambda frame: None], ids=["raises", "none"])
def test_without_a_key_nothing_is_a_copy_and_nothing_is_lost(key: KeyFunction) -> None:
    stage = Stage(key=key).to(RESTORING)
    assert stage.take(stage.old, "ab") == [True, True]
    assert stage.take(stage.new, "ab") == [False, False]
    stage.process.restored(stage.old)
    stage.retire()
    assert stage.passed == ["a", "b", "a", "b"]
    assert stage.take(stage.new, "a") == [True]


def test_a_key_function_may_fail_for_some() -> None:
    def odd(frame: Frame) -> str | None:
        return None if frame.headers["message-id"] == "b" else frame.body.decode()

    stage = Stage(key=odd).to(RETIRING)
    stage.take(stage.old, "abc")
    stage.take(stage.new, "abc")
    stage.retire()
    assert stage.passed == ["a", "b", "c", "b"]


# --- bounds -----------------------------------------------------------------------------------


def test_what_waits_is_bounded() -> None:
    stage = Stage(limit=3).to(RESTORING)
    full = []
    for id in "abcd":
        stage.take(stage.new, id)
        full.append(stage.process.is_full)
    assert full == [False, False, False, True]
    stage.process.restored(stage.old)
    stage.retire()
    assert stage.passed == ["a", "b", "c", "d"]
    assert stage.process.is_full is False


def test_what_is_remembered_is_bounded_and_the_oldest_is_forgotten_first() -> None:
    stage = Stage(limit=3).to(RETIRING)
    stage.take(stage.old, "abcde")
    stage.retire()
    assert stage.take(stage.new, "abcde") == [True, True, False, False, False]


def test_one_key_again_and_again_takes_one_place() -> None:
    stage = Stage(limit=3, key=lambda frame: frame.body.decode()).to(RETIRING)
    stage.take(stage.old, "a")
    for _ in range(10):
        stage.take(stage.old, "z", body="same")
    stage.retire()
    assert stage.take(stage.new, "a") == [False]


# --- what only a lost one had brought ---------------------------------------------------------


def lost(*, key: KeyFunction | None = None) -> tuple[Stage, list[str]]:
    """The old one has brought b, the new one a, b and c, and is lost; and what passes of that."""
    stage = Stage(key=key).to(RESTORING)
    stage.take(stage.old, "b")
    stage.take(stage.new, "abc")
    return stage, ids(stage.process.lose_new())


def test_what_the_lost_one_had_brought_is_left_to_the_old_one() -> None:
    stage, passed = lost()
    assert (passed, stage.process.has_stranded) == ([], True)
    assert stage.process.state is HandoverState.NONE
    assert stage.take(stage.old, "ac") == [True, True]
    assert not stage.process.has_stranded
    assert stage.process.rescue() == []


def test_what_the_old_one_does_not_bring_is_rescued_once() -> None:
    stage, _ = lost()
    stage.take(stage.old, "a")
    assert ids(stage.process.rescue()) == ["c"]
    assert stage.process.rescue() == []


def test_what_has_no_key_is_no_copy_of_what_is_to_be_rescued() -> None:
    def odd(frame: Frame) -> str | None:
        return None if frame.headers["message-id"] == "z" else frame.headers["message-id"]

    stage, _ = lost(key=odd)
    assert stage.take(stage.old, "z") == [True]
    assert ids(stage.process.rescue()) == ["a", "c"]


def test_what_is_to_be_rescued_passes_before_what_the_next_one_brings() -> None:
    stage, _ = lost()
    third = Line(3)
    stage.process.begin(third)
    stage.process.dialed()
    stage.process.connected()
    stage.take(third, "d")
    stage.process.restored(stage.old)
    stage.retire()
    assert stage.passed == ["b", "a", "c", "d"]


def test_nothing_is_rescued_for_a_subscription_that_has_ended() -> None:
    stage, _ = lost()
    stage.subscriptions.end(stage.room)
    assert stage.process.rescue() == []


def test_without_a_key_it_cannot_be_left_to_anybody() -> None:
    stage, passed = lost(key=fails)
    assert (passed, stage.process.has_stranded) == (["a", "b", "c"], False)


@pytest.mark.parametrize("state", [HandoverState.DIALING, HandoverState.CONNECTING])
def test_one_that_is_lost_before_it_is_up_had_brought_nothing(state: HandoverState) -> None:
    stage = Stage().to(state)
    assert stage.process.lose_new() == []
    assert not stage.process.has_stranded
