"""From settings to a client that lives until somebody, or something, ends it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any

from stompcore import (
    ClientEvent,
    ConnectionEnded,
    Outcome,
    Resubscribed,
    StompError,
    Stopped,
    SubscriptionActive,
    TokenFetchFailed,
    Unauthorized,
)
from stompcore_asyncio import AsyncioClient, connect
from stompcore_cli._connect._commands import Command, NotUnderstood, Send, Subscribe, Word, parse
from stompcore_cli._connect._desk import Desk
from stompcore_cli._connect._entries import Entry, Facts, Tone, entry_of, fate, why
from stompcore_cli._connect._live import LiveView, can_be_live
from stompcore_cli._connect._model import Model, Page
from stompcore_cli._connect._secrets import Secrets, watched
from stompcore_cli._connect._settings import ConnectOptions, Settings
from stompcore_cli._connect._text import count, duration, visible
from stompcore_cli._connect._views import JsonView, PlainView, View
from stompcore_cli._errors import fail

__all__ = ["run_connect"]

_PATIENCE = 5.0  # seconds, for what is not confirmed yet when a person leaves


def run_connect(options: ConnectOptions, settings: Settings) -> None:
    """Connect, and stay until the end.

    Raises:
        click.ClickException: in one plain sentence, why it could not.
        SystemExit: nobody reads what is written.
    """
    # What it logs is told by the view.
    logger = logging.getLogger("stompcore")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        outcome = asyncio.run(_Run(options, settings).main())
    except OSError:
        # What is left in the buffer must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    if outcome:
        raise fail(outcome)


class _Run:
    """One run of the command.

    Args:
        options: what the command line said.
        settings: the same, ready for use.
    """

    _client: AsyncioClient
    _view: View
    _desk: Desk

    def __init__(self, options: ConnectOptions, settings: Settings) -> None:
        self._options = options
        self._settings = settings
        self._secrets = Secrets()
        # What follows may be a token, for servers that want it there.
        url, has_query, _ = options.url.partition("?")
        self._model = Model(f"{url}?…" if has_query else url)
        self._is_person = sys.stdin is not None and sys.stdin.isatty()
        self._up = asyncio.Event()  # it was, once
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._deeds: set[asyncio.Task[None]] = set()  # those that wait for a confirmation
        self._error: StompError | None = None  # the client has stopped for
        self._failure = ""  # that `--once` does not forgive
        self._last_reason = ""  # for which a connection has ended
        self._unconfirmed = ""  # how much was, in words
        self._broken: OSError | None = None  # nobody can be told any more

    async def main(self) -> str:
        """All of it; the sentence that it ends with, or nothing."""
        self._client = self._make_client()
        self._view = self._make_view()
        self._desk = Desk(self._client, self._model, self._secrets, self._tell, self._show)
        loop = asyncio.get_running_loop()
        handlers = {
            signal.SIGINT: self._interrupt,
            signal.SIGTERM: self._over.set,
            signal.SIGHUP: self._over.set,
        }
        for number, handler in handlers.items():
            if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` wants it
                loop.add_signal_handler(number, handler)
        began_at = time.monotonic()
        try:
            self._view.open()
            await self._live()
        finally:
            with contextlib.suppress(OSError):
                self._view.close()
        if self._broken is not None:
            raise self._broken
        if self._view.is_live:
            print(self._summary(time.monotonic() - began_at))
        return self._outcome()

    # --- what it is made of ---------------------------------------------------------------

    def _make_client(self) -> AsyncioClient:
        settings = self._settings
        if settings.token is not None:
            self._secrets.add(settings.token)
        source = settings.source
        return connect(
            self._options.url,
            token=settings.token if source is None else watched(source, self._secrets),
            config=settings.config,
            ssl=settings.ssl,
        )

    def _make_view(self) -> View:
        if self._options.as_json:
            return JsonView()
        if self._options.plain or not can_be_live():
            return PlainView()
        return LiveView(self._model, self._facts)

    def _facts(self) -> Facts:
        client = self._client
        host = f"[{client.target.host}]" if ":" in client.target.host else client.target.host
        return Facts(
            address=f"{host}:{client.target.port}",
            status=client.status,
            server=client.server,
            subject=client.subject,
            token_valid_until=client.token_valid_until,
            token_refresh_at=client.token_refresh_at,
        )

    # --- its life -------------------------------------------------------------------------

    async def _live(self) -> None:
        watching = self._start(self._watch())
        await asyncio.sleep(0)  # it listens before there is anything to hear
        staying = self._start(self._stay())
        await asyncio.sleep(0)
        painting = self._start(self._view.run())
        self._start(self._work())
        await self._over.wait()
        self._model.is_leaving = True
        self._note_unconfirmed()
        kept = {watching, staying, painting}
        for task in self._tasks - kept:
            task.cancel()
        await self._desk.abandon()
        await self._client.close()
        await asyncio.gather(staying, watching)
        await self._desk.finish()
        painting.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):  # pragma: no cover - a bug
                raise result

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except OSError as error:
            self._is_broken(error)
        except Exception:  # pragma: no cover - a bug, which must end it all the same
            self._over.set()
            raise

    def _is_broken(self, error: OSError) -> None:
        self._broken = self._broken or error
        self._over.set()

    async def _stay(self) -> None:
        with contextlib.suppress(StompError):  # `_watch` sees it too
            async with self._client:
                await self._over.wait()

    async def _watch(self) -> None:
        async for event in self._client.events():
            facts, now = self._facts(), time.time()
            numbers = self._desk.numbers
            self._model.happened(event)
            self._model.look(facts, now)
            if isinstance(event, SubscriptionActive) and event.subscription in numbers:
                self._model.subscriptions[numbers[event.subscription]].is_active = True
            entry = entry_of(event, facts, now, numbers)
            if entry is not None:
                self._tell(entry)
            self._judge(event, "" if entry is None else entry.text, facts)

    def _judge(self, event: ClientEvent, text: str, facts: Facts) -> None:
        """Whether this is the end."""
        match event:
            case Resubscribed():
                self._up.set()
            case Stopped():
                self._error = event.error
                self._over.set()
            case ConnectionEnded():
                self._last_reason = why(event.ending, facts.address)
                if event.outcome is Outcome.RETRY:
                    self._has_failed(fate(event, facts.address))
            case TokenFetchFailed(permanent=False):
                self._has_failed(text)
            case _:
                pass

    def _has_failed(self, text: str) -> None:
        """It would try again."""
        if self._options.once and not self._over.is_set():
            self._failure = text
            self._over.set()

    # --- commands -------------------------------------------------------------------------

    async def _work(self) -> None:
        for destination in self._options.subscribe:
            await self._do(Subscribe(destination=destination))
        async for line in self._view.lines():
            try:
                command = parse(line.decode())
            except UnicodeDecodeError:
                self._desk.fail("", "this line is not UTF-8")
                continue
            except NotUnderstood as error:
                self._desk.fail("", str(error))
                continue
            if command is Word.QUIT:
                break
            if command is not None:
                await self._do(command)
        else:
            if not self._view.is_live:
                await self._up.wait()
                await asyncio.sleep(self._options.listen)
        self._model.is_leaving = True
        if self._deeds:
            await asyncio.wait(self._deeds, timeout=_PATIENCE)
        self._over.set()

    async def _do(self, command: Command) -> None:
        """Do it: a script has to wait until that is done, a person has not."""
        if self._is_person:
            task = self._start(self._desk.do(command))
            if isinstance(command, Send):
                self._deeds.add(task)
                task.add_done_callback(self._deeds.discard)
            await asyncio.sleep(0)  # what was typed first is sent first
        else:
            await self._desk.do(command)

    def _interrupt(self) -> None:
        """Ctrl-C: leave; and again: at once."""
        if self._over.is_set():
            with contextlib.suppress(OSError):
                self._view.close()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self._over.set()

    # --- words ----------------------------------------------------------------------------

    def _tell(self, entry: Entry) -> None:
        try:
            self._view.tell(self._secrets.clean(entry))
        except OSError as error:
            self._is_broken(error)

    def _show(self, page: Page) -> None:
        try:
            self._view.show(page)
        except OSError as error:
            self._is_broken(error)

    def _note_unconfirmed(self) -> None:
        number = self._model.unconfirmed
        if number:
            text = f"{count(number, 'message was', 'messages were')} not confirmed yet"
            fields = {"messages": number}
            entry = Entry(
                kind="unconfirmed", text=text, at=time.time(), fields=fields, tone=Tone.BAD
            )
            self._unconfirmed = text
            self._tell(entry)

    def _summary(self, seconds: float) -> str:
        model = self._model
        text = f"Left {visible(model.url)} after {duration(seconds)}: "
        text += f"{count(model.received, 'message')} received, {model.sent} sent."
        return f"{text} {_sentence(self._unconfirmed)}" if self._unconfirmed else text

    def _outcome(self) -> str:
        error, text = self._error, self._failure
        if isinstance(error, Unauthorized) and self._settings.token is not None:
            text = f"the server does not take the token: {self._last_reason}"
        elif isinstance(error, Unauthorized):
            text = f"there is no token for this user any more: {error}"
        elif error is not None:
            text = str(error)
        elif not text and not self._is_person:  # who has seen it
            failures = self._desk.failures
            text = f"{count(failures, 'command')} could not be done" if failures else ""
            text = text or self._unconfirmed
        return _sentence(self._secrets.clean(visible(text))) if text else ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
