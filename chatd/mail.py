"""Letters to people: sent in threads, tried again, and bounded in how many wait.

Each letter is a task that waits for one of a few threads; smtp.py talks to the server there, never on the loop. What
the server refuses for now, or cannot be reached for, is tried again after `backoff` seconds, then after twice as many,
until `patience` is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from chatd.config import ConfigError, Mail

log = logging.getLogger("chatd.mail")

THREADS = 4
"""Letters that are sent at the same time."""

GRACE = 1.0
"""Seconds that the letters under way have when the daemon ends."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A text for somebody. `to` is an address that `mailable` takes."""

    to: str
    subject: str
    text: str


class Unsendable(Exception):
    """The server refuses a letter for good: to try again would end in the same way."""


_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_MAILBOX = re.compile(rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*")


def mailable(address: str) -> bool:
    """Whether a letter can be addressed to it: Dot-string@Domain (RFC 5321, section 4.1.2), and nothing else."""
    return _MAILBOX.fullmatch(address) is not None


class Mailer:
    """Sends letters. With no `host` it takes none."""

    def __init__(self, settings: Mail) -> None:
        """Raises `ConfigError` where the password cannot be read."""
        self._settings = settings
        if self.enabled:
            from chatd.smtp import Server  # noqa: PLC0415  (what only who sends mail needs takes time to load)

            self._server = Server(settings, password=_password(settings))
        self._threads = asyncio.Semaphore(THREADS)
        self._waiting: set[asyncio.Task[None]] = set()

    @property
    def enabled(self) -> bool:
        return bool(self._settings.host)

    @property
    def full(self) -> bool:
        """Whether as many letters wait as may."""
        return len(self._waiting) >= self._settings.waiting

    def post(self, letter: Letter) -> None:
        """Send it as soon as may be. One too many is given up, and the log says so."""
        if self.full:
            log.error("a letter to %s is given up: as many wait as may", letter.to)
            return
        task = asyncio.create_task(self._deliver(letter))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def settle(self) -> None:
        """Wait until no letter waits any more."""
        while self._waiting:
            await asyncio.wait(self._waiting)

    async def close(self) -> None:
        """Give what is under way a moment, then give up what waits."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.settle(), GRACE)
        for task in tuple(self._waiting):
            task.cancel()
        await self.settle()

    async def _deliver(self, letter: Letter) -> None:
        wait = self._settings.backoff
        try:
            async with asyncio.timeout(self._settings.patience):
                while not await self._try(letter):
                    await asyncio.sleep(wait)
                    wait *= 2
        except TimeoutError:
            log.error("a letter to %s is given up", letter.to)
        except asyncio.CancelledError:
            log.warning("a letter to %s was not sent before the end", letter.to)

    async def _try(self, letter: Letter) -> bool:
        """Whether nothing more is to be done: it was sent, or refused for good."""
        try:
            async with self._threads:
                await _in_thread(lambda: self._server.send(letter))
        except OSError as error:
            log.warning("a letter to %s waits: %s", letter.to, error)
            return False
        except Unsendable as error:
            log.warning("a letter to %s cannot be sent: %s", letter.to, error)
        except Exception:
            log.exception("a letter to %s cannot be sent", letter.to)
        return True


def _password(settings: Mail) -> str:
    if not settings.password_file:
        return settings.password
    try:
        return Path(settings.password_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"mail.password_file: {error}") from None


async def _in_thread(work: Callable[[], None]) -> None:
    """Run it in a thread that does not keep the daemon from ending: a server that hangs may hold it for a while."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name="chatd-mail", daemon=True).start()
    await asyncio.wrap_future(future)
