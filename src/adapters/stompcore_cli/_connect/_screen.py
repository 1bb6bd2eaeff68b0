"""How the live view looks: a model and what is typed in, a picture of the screen out. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.cells import cell_len
from rich.text import Text

from stompcore import AckMode, Status
from stompcore_cli._connect._editor import Editor
from stompcore_cli._connect._entries import STATUSES, Entry, Tone
from stompcore_cli._connect._model import Message, Model, SubscriptionRow
from stompcore_cli._connect._text import clock, count, duration, visible

__all__ = ["draw"]

_T = TypeVar("_T")

_STATUS_STYLES = {
    Status.ONLINE: "bold green",
    Status.RECOVERING: "bold yellow",
    Status.OFFLINE: "bold red",
    Status.LOGGED_OUT: "bold magenta",
}
_TONE_STYLES = {Tone.PLAIN: "", Tone.GOOD: "green", Tone.ODD: "yellow", Tone.BAD: "red"}
_ANSWER_STYLES = {"wanted": "yellow", "acked": "green", "nacked": "red"}
_MOST_SUBSCRIPTIONS = 4
_BAR_WIDTH = 24
_LOW, _VERY_LOW = 0.25, 0.1  # shares of a token's life
_HEAD, _FOOT = 3, 2  # lines
_NARROW = 20  # cells: what is narrower is not worth wrapping for
_PROMPT = "> "


def draw(model: Model, editor: Editor, *, width: int, height: int, now: float) -> list[Text]:
    """One picture: exactly `height` lines, none of them wider than `width` cells.

    Args:
        model: what there is to see.
        editor: what is being typed.
        width, height: of the terminal, in cells.
        now: Unix seconds.
    """
    body = max(0, height - _HEAD - _FOOT)
    lines = [_title(model, width), _connection(model, width), _token(model, now)]
    lines += _body(model, width, body)
    lines += [_rule(_hint(model), width), _input(editor, width)]
    # A terminal too low for all of it keeps the line that is typed.
    lines = lines[len(lines) - height :] if len(lines) > height else lines
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return lines


# --- the head -----------------------------------------------------------------------------------


def _title(model: Model, width: int) -> Text:
    status = model.facts.status
    mark = Text(f"● {STATUSES[status]}", style=_STATUS_STYLES[status])
    url = Text(f" {visible(model.url)}", style="bold")
    url.truncate(max(1, width - mark.cell_len - 2), overflow="ellipsis")
    return Text.assemble(url, " " * max(1, width - url.cell_len - mark.cell_len - 1), mark)


def _connection(model: Model, width: int) -> Text:
    connection, facts = model.connection, model.facts
    if connection is None:
        parts = [model.waits_for]
    else:
        parts = [f"connection {connection.epoch}", f"STOMP {connection.version}"]
        parts += [visible(facts.server)] if facts.server else []
    parts += [f"as {visible(facts.subject)}"] if facts.subject else []
    return Text(f" {' · '.join(parts)}")


def _token(model: Model, now: float) -> Text:
    life = model.life
    if life is None:
        return Text(" no token that says how long it lives", style="dim")
    share = life.share(now)
    style = "red" if share <= _VERY_LOW else "yellow" if share <= _LOW else "green"
    full = round(share * _BAR_WIDTH)
    left = life.ends_at - now
    line = Text.assemble(
        " token ",
        ("█" * full, style),
        ("░" * (_BAR_WIDTH - full), "dim"),
        f" {duration(left)} left" if left > 0 else (" has run out", "red"),
    )
    refresh_at = model.facts.token_refresh_at
    if refresh_at is not None:
        line.append(f" · refresh in {duration(refresh_at - now)}")
    return line


# --- the body -----------------------------------------------------------------------------------


def _body(model: Model, width: int, height: int) -> list[Text]:
    rows = _subscriptions(model)
    lines = [_rule("Subscriptions", width), *rows]
    rest = height - len(lines)
    if model.page is not None:
        lines += _section(model.page.title, _page(model.page.lines), width, rest, is_at_end=False)
    else:
        # The log takes the smaller half, and both have a rule above.
        below = rest // 2
        messages = (_message(each) for each in _last(model.messages, rest - below))
        log = (line for each in _last(model.log, below) for line in _entry(each, width))
        title = f"Messages ({model.received} received, {model.sent} sent)"
        lines += _section(title, messages, width, rest - below)
        lines += _section("Log", log, width, below)
    return lines[: max(0, height)] + [Text()] * (height - len(lines))


def _last(items: Sequence[_T], number: int) -> list[_T]:
    return [items[at] for at in range(max(0, len(items) - max(0, number)), len(items))]


def _section(
    title: str, lines: Iterable[Text], width: int, height: int, *, is_at_end: bool = True
) -> list[Text]:
    """A rule, and as many of `lines` below it as there is room for: the last, or the first."""
    room = max(0, height - 1)
    shown = list(lines)
    shown = shown[len(shown) - room :] if is_at_end and len(shown) > room else shown[:room]
    return [_rule(title, width), *shown, *[Text()] * (room - len(shown))]


def _rule(title: str, width: int) -> Text:
    line = Text(f"── {title} " if title else "", style="dim")
    line.append("─" * max(0, width - line.cell_len))
    return line


def _subscriptions(model: Model) -> list[Text]:
    rows = list(model.subscriptions.values())
    if not rows:
        return [Text("   none: type `subscribe DEST`", style="dim")]
    most = _MOST_SUBSCRIPTIONS if len(rows) <= _MOST_SUBSCRIPTIONS else _MOST_SUBSCRIPTIONS - 1
    lines = [_subscription(each) for each in rows[:most]]
    if len(rows) > most:
        lines.append(Text(f"     and {len(rows) - most} more", style="dim"))
    return lines


def _subscription(row: SubscriptionRow) -> Text:
    line = Text(f"{row.number:>4} ", style="bold")
    line.append(visible(row.destination), style="cyan" if row.is_active else "yellow")
    line.append(f"  {count(row.messages, 'message')}", style="dim")
    if row.ack is not AckMode.AUTO:
        line.append(f"  {row.ack}", style="dim")
    if not row.is_active:
        line.append("  not confirmed", style="yellow")
    return line


def _message(message: Message) -> Text:
    line = Text(f"{message.number:>4} ", style="bold")
    line.append(f"{clock(message.at)} ", style="dim")
    line.append(visible(message.destination), style="cyan")
    if message.answer:
        line.append(f" [{message.answer}]", style=_ANSWER_STYLES[message.answer])
    line.append(f" {message.text}", style="default")
    return line


def _entry(entry: Entry, width: int) -> list[Text]:
    """An entry, which goes on below itself where it is too long."""
    style = _TONE_STYLES[entry.tone]
    head = f" {clock(entry.at)} "
    first, *more = _wrapped(visible(entry.text), max(_NARROW, width - len(head)))
    lines = [Text.assemble((head, "dim"), (first, style))]
    return [*lines, *(Text.assemble(" " * len(head), (each, style)) for each in more)]


def _wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of `width` cells, as far as its words allow that."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and cell_len(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def _page(lines: Sequence[str]) -> list[Text]:
    return [Text(f" {visible(line)}") for line in lines]


# --- the foot -----------------------------------------------------------------------------------


def _hint(model: Model) -> str:
    if model.is_leaving:
        return "leaving; Ctrl-C leaves at once"
    parts = ["Enter: back to the messages" if model.page is not None else "help · quit"]
    parts += [f"{model.unconfirmed} not confirmed yet"] if model.unconfirmed else []
    parts += ["in a transaction"] if model.has_transaction else []
    return " · ".join(parts)


def _input(editor: Editor, width: int) -> Text:
    """The line that is typed, so that its cursor is seen."""
    before, behind = editor.text[: editor.cursor], editor.text[editor.cursor :]
    room = max(1, width - len(_PROMPT) - 1)
    while cell_len(before) > room:
        before = before[1:]
    under, behind = behind[:1] or " ", behind[1:]
    return Text.assemble((_PROMPT, "bold"), before, (under, "reverse"), behind)
