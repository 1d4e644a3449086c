"""The composition root: the only place where backends are chosen and put together."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from chatd import config, ops
from chatd.announcer import Announcer
from chatd.db import migrations
from chatd.db.sqlite import Database
from chatd.dispatch import Dispatcher
from chatd.erasing import Eraser
from chatd.housekeeping import keep_house
from chatd.hub import Hub
from chatd.indexer import keep_indexed
from chatd.issuer import issuer_of
from chatd.links import Links
from chatd.mail import Mailer
from chatd.passwords import Passwords
from chatd.server import Server
from chatd.store import Store
from chatd.transactions import Transactions
from chatd.uploads import Uploads

__all__ = ["Daemon", "StartError", "database_path", "lock", "ops", "serve"]


class StartError(Exception):
    """One line that says why the daemon cannot start."""


def database_path(configuration: config.Config) -> Path:
    """Where the database is. Makes the folder, for its owner's eyes only."""
    folder = Path(configuration.database.data)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"database.data: cannot make the folder {folder}: {error.strerror}") from error
    return folder / "chatd.db"


def _store(folder: Path) -> Store:
    try:
        return Store(folder)
    except OSError as error:
        raise StartError(f"database.data: {folder} takes no files: {error.strerror}") from error


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep other daemons from this database. Raises `StartError` where one has it."""
    with open(path.with_name("chatd.lock"), "a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise StartError(f"{path} is in use by another chatd, pid {file.read().strip()}") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class Daemon:
    """A running chatd. `start` makes one; `address` is where it listens."""

    def __init__(self, configuration: config.Config) -> None:
        self.config = configuration
        self.address: tuple[str, int] = ("", 0)
        self._stack = contextlib.AsyncExitStack()

    @classmethod
    async def start(cls, configuration: config.Config) -> Daemon:
        """Open the database, migrating it where it is old, and listen.

        Raises `StartError`, `migrations.MigrationError` or `config.ConfigError`, each one line for a person.
        """
        daemon = cls(configuration)
        async with contextlib.AsyncExitStack() as stack:
            await daemon._start(stack)
            daemon._stack = stack.pop_all()
        return daemon

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        accounts = self.config.accounts
        issuer = issuer_of(accounts.jwt)
        path = database_path(self.config)
        stack.enter_context(lock(path))
        migrations.prepare(path, config.shipped("schema.sql").read_text(encoding="utf-8"))
        path.chmod(0o600)
        settings = self.config.database
        database = await Database.open(path, readers=settings.readers, batch=settings.batch, waiting=settings.waiting)
        stack.push_async_callback(database.close)
        passwords = Passwords(
            cost=accounts.bcrypt_cost, threads=accounts.hashing_threads, waiting=accounts.hashing_waiting
        )
        stack.callback(passwords.close)
        mail = Mailer(self.config.mail)
        stack.push_async_callback(mail.close)
        hub = Hub()
        key = migrations.link_key(path)
        links = Links(key=key, lifetime=self.config.files.link_lifetime)
        transactions = Transactions(config=self.config, database=database, hub=hub, links=links)
        uploads = Uploads(_store(path.parent), transactions, self.config.files)
        stack.push_async_callback(uploads.close)
        dispatcher = Dispatcher(
            config=self.config,
            transactions=transactions,
            hub=hub,
            passwords=passwords,
            mail=mail,
            uploads=uploads,
            issuer=issuer,
        )
        stack.push_async_callback(dispatcher.settle)
        announcer = asyncio.create_task(Announcer(hub, transactions, self.config.presence).run())
        stack.push_async_callback(_cancelled, announcer)
        if self.config.search.index:
            indexer = asyncio.create_task(keep_indexed(hub, transactions))
            stack.push_async_callback(_cancelled, indexer)
        eraser = Eraser(transactions, uploads, dispatcher.publish)
        house = asyncio.create_task(keep_house(transactions, hub, uploads, eraser))
        stack.push_async_callback(_cancelled, house)
        server = Server(self.config, dispatcher, hub)
        try:
            self.address = await server.listen()
        except OSError as error:
            raise StartError(f"cannot listen on {self.config.server.listen}: {error.strerror or error}") from error
        stack.push_async_callback(server.shutdown)

    async def stop(self) -> None:
        """Finish what was accepted, tell the clients to come back, and close everything."""
        await self._stack.aclose()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def serve(configuration: config.Config, ready: Callable[[tuple[str, int]], None]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` hears the address once connections are accepted."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    daemon = await Daemon.start(configuration)
    ready(daemon.address)
    await stopping.wait()
    await daemon.stop()
