"""SQLite: one connection that writes, some that read, a thread each.

The loop hands a thread a whole batch of ops at once. An op is a coroutine that awaits nothing but its transaction,
so the thread runs it to its end with one `send(None)`. The writer commits once per batch, with an fsync
(`synchronous=FULL`), and only then does the loop hear of any of the batch's results, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from chatd.context import Row
from chatd.db.job import Errand, Job, Together, Work
from chatd.db.query import Query
from chatd.errors import Busy, ChatError, Unavailable
from chatd.tally import Commits

log = logging.getLogger("chatd.db")

T = TypeVar("T")

VERSION = sqlite3.sqlite_version
"""Of the SQLite that is used."""


class SqliteTransaction:
    """A `Transaction` on the connection whose thread is running."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    async def one(self, query: Query, /, **values: Any) -> Row | None:
        row: Row | None = self._cursor.execute(query.sqlite, query.for_sqlite(values)).fetchone()
        return row

    async def all(self, query: Query, /, **values: Any) -> Sequence[Row]:
        return self._cursor.execute(query.sqlite, query.for_sqlite(values)).fetchall()

    async def run(self, query: Query, /, **values: Any) -> int:
        return self._cursor.execute(query.sqlite, query.for_sqlite(values)).rowcount

    async def many(self, query: Query, /, **columns: Sequence[Any]) -> int:
        return self._cursor.executemany(query.sqlite_rows, query.rows(columns)).rowcount


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing. Raises RuntimeError where it does."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("an op may await nothing but its transaction")


def _run(job: Job, transaction: SqliteTransaction) -> None:
    try:
        job.result = drive(job.work(transaction))
    except sqlite3.OperationalError as error:  # the disk is full, the file is locked, …
        log.warning("the database refused an op: %s", error)
        job.error = Unavailable()
        job.error.__cause__ = error
    except ChatError as error:
        job.error = error.with_traceback(None)  # the frames in it would hold the job: a cycle
    except BaseException as error:
        job.error = error


def _run_alone(job: Job, cursor: sqlite3.Cursor, transaction: SqliteTransaction) -> None:
    cursor.execute("SAVEPOINT op")
    _run(job, transaction)
    if job.error is not None:
        cursor.execute("ROLLBACK TO op")  # fails where SQLite has rolled everything back by itself
    cursor.execute("RELEASE op")


def _run_together(
    together: Together, jobs: Sequence[Job], cursor: sqlite3.Cursor, transaction: SqliteTransaction
) -> bool:
    """Whether the jobs could be run at once. Where one of them fails, none has done anything: they are run alone."""
    cursor.execute("SAVEPOINT op")
    try:
        results = list(zip(jobs, drive(together(jobs, transaction)), strict=True))
    except BaseException as error:
        log.debug("%d jobs are run one by one: %r", len(jobs), error)
        cursor.execute("ROLLBACK TO op")
        return False
    finally:
        cursor.execute("RELEASE op")
    for job, result in results:
        if isinstance(result, BaseException):
            job.error = result
        else:
            job.result = result
    return True


def write_batch(connection: sqlite3.Connection, jobs: Sequence[Job]) -> float | None:
    """Run every job, and commit once. A failing job is undone alone.

    Returns the seconds that the commit took, or None where there was none.
    """
    cursor = connection.cursor()
    transaction = SqliteTransaction(cursor)
    try:
        cursor.execute("BEGIN IMMEDIATE")
        for together, alike in groupby(jobs, attrgetter("together")):
            some = list(alike)
            if together is None or len(some) == 1 or not _run_together(together, some, cursor, transaction):
                for job in some:
                    _run_alone(job, cursor, transaction)
        begun = time.perf_counter()
        cursor.execute("COMMIT")
        return time.perf_counter() - begun
    except sqlite3.Error:
        _give_up(connection, jobs)
        return None
    finally:
        cursor.close()


def read_batch(connection: sqlite3.Connection, jobs: Sequence[Job]) -> None:
    """Run the jobs on one snapshot."""
    cursor = connection.cursor()
    transaction = SqliteTransaction(cursor)
    try:
        cursor.execute("BEGIN")
        for job in jobs:
            _run(job, transaction)
        cursor.execute("COMMIT")
    except sqlite3.Error:
        _give_up(connection, jobs)
    finally:
        cursor.close()


def _give_up(connection: sqlite3.Connection, jobs: Sequence[Job]) -> None:
    log.exception("the database refused a batch of %d", len(jobs))
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    for job in jobs:
        job.result, job.error = None, Unavailable()


class Connection(aiosqlite.Connection):
    """aiosqlite's connection, handing its thread a function without a coroutine around each call."""

    def hand_over(self, function: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run the function in the connection's thread, after what was handed over before."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, partial(function, self._conn)))
        return future


READ_TOGETHER = 4
"""How many reads a reader does before it lets the writer finish a batch: who reads may not starve who writes."""


class Lane:
    """The jobs of one connection: those that wait are taken together while the ones before are under way.

    A lane that has another one `ahead` of it rests after each batch of its own while that one finishes one.
    """

    def __init__(
        self,
        connection: Connection,
        run: Callable[[sqlite3.Connection, Sequence[Job]], float | None],
        *,
        batch: int,
        waiting: int,
        ahead: Lane | None = None,
        commits: Commits | None = None,
    ) -> None:
        self._connection = connection
        self._run = run
        self._commits = commits
        self._ahead = ahead
        self._resting: list[Lane] = []
        self._batch = batch
        self._most = waiting
        self._waiting: deque[Job] = deque()
        self._busy = False
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()

    def submit(self, job: Job) -> None:
        """Queue a job. Raises `Busy` where too many wait."""
        if len(self._waiting) >= self._most:
            raise Busy
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._next)  # what else arrives in this turn of the loop comes along

    def _next(self) -> None:
        jobs = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
        future = self._connection.hand_over(partial(self._call, jobs))
        future.add_done_callback(partial(self._finished, jobs))

    def _call(self, jobs: Sequence[Job], connection: sqlite3.Connection) -> float | None:
        return self._run(connection, jobs)

    def _finished(self, jobs: Sequence[Job], future: asyncio.Future[float | None]) -> None:
        if (error := future.exception()) is not None:
            log.error("a batch was lost", exc_info=error)
            for job in jobs:
                job.result, job.error = None, Unavailable()
        elif self._commits is not None and (seconds := future.result()) is not None:
            self._commits.note(len(jobs), seconds)
        if not self._waiting:
            self._busy = False
            self._idle.set()
        elif self._ahead is not None and self._ahead.busy:
            self._ahead._resting.append(self)
        else:
            self._next()
        resting, self._resting = self._resting, []
        for lane in resting:
            lane._next()
        for job in jobs:
            try:
                job.done()
            except Exception:
                log.exception("what an op did could not be told; the others' replies go on")

    @property
    def busy(self) -> bool:
        """Whether something is under way or waiting."""
        return self._busy

    @property
    def waiting(self) -> int:
        """How many jobs wait, those under way not counted."""
        return len(self._waiting)

    async def idle(self) -> None:
        """Wait until nothing is under way or waiting."""
        while self._busy:
            await self._idle.wait()


BUSY_TIMEOUT = "PRAGMA busy_timeout = 10000"
_PRAGMAS = (
    BUSY_TIMEOUT,
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -65536",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = ON",  # what is erased leaves no bytes in the file
    "PRAGMA trusted_schema = OFF",
)


async def _connect(path: Path, *pragmas: str, read_only: bool) -> Connection:
    def connector() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            isolation_level=None,
            cached_statements=512,
        )
        connection.row_factory = sqlite3.Row
        for pragma in (*_PRAGMAS, *pragmas):
            connection.execute(pragma)
        return connection

    return await Connection(connector, iter_chunk_size=64)  # type: ignore[return-value]  # it awaits to itself


class Database:
    """A database made or migrated by `migrations.prepare`, open."""

    def __init__(self, writer: Connection, readers: Sequence[Connection], *, batch: int, waiting: int) -> None:
        self._connections = (writer, *readers)
        self.commits = Commits()
        self._writer = Lane(writer, write_batch, batch=batch, waiting=waiting, commits=self.commits)
        self._readers = [
            Lane(reader, read_batch, batch=READ_TOGETHER, waiting=waiting, ahead=self._writer) for reader in readers
        ]
        self._version: int | None = None

    @classmethod
    async def open(cls, path: Path, *, readers: int, batch: int, waiting: int) -> Database:
        """Open the connections."""
        async with contextlib.AsyncExitStack() as stack:  # a thread that is left over would keep the process alive
            opened: list[Connection] = []
            for number in range(1 + readers):
                pragma = "PRAGMA query_only = ON" if number else "PRAGMA synchronous = FULL"
                opened.append(await _connect(path, pragma, read_only=number > 0))
                stack.push_async_callback(opened[-1].close)
            stack.pop_all()
        return cls(opened[0], opened[1:], batch=batch, waiting=waiting)

    def write(self, job: Job) -> None:
        """Run a job in the writer's next transaction. Raises `Busy`."""
        self._writer.submit(job)

    def read(self, job: Job, key: int) -> None:
        """Run a job on a reader; jobs of one key run in order. Raises `Busy`."""
        self._readers[key % len(self._readers)].submit(job)

    @property
    def busy(self) -> bool:
        """Whether anything is being written, or waits to be."""
        return self._writer.busy

    @property
    def waiting(self) -> int:
        """How many jobs wait for the writer."""
        return self._writer.waiting

    async def empty_log(self) -> bool:
        """Move what the write-ahead log holds into the database, and empty it. False where somebody still reads it."""

        def truncate(connection: sqlite3.Connection) -> bool:
            connection.execute("PRAGMA busy_timeout = 0")  # nobody waits for a reader
            try:
                busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                connection.execute(BUSY_TIMEOUT)
            return not busy

        return await self._connections[0].hand_over(truncate)

    async def changed_outside(self) -> bool:
        """Whether another process has committed since the last time this was asked (`chatd user disable`, …)."""

        def data_version(connection: sqlite3.Connection) -> int:
            version: int = connection.execute("PRAGMA data_version").fetchone()[0]
            return version

        before = self._version
        self._version = await self._connections[0].hand_over(data_version)
        return before is not None and before != self._version

    async def idle(self) -> None:
        """Wait until every job that was submitted is done."""
        lanes = (self._writer, *self._readers)
        while any(lane.busy for lane in lanes):  # a job may submit another, to any lane, when it is done
            for lane in lanes:
                await lane.idle()

    async def close(self) -> None:
        """Finish what was accepted, and close."""
        await self.idle()
        for connection in reversed(self._connections):
            await connection.close()


def outcome(job: Job) -> Any:
    """The job's result. Raises its error."""
    if job.error is not None:
        raise job.error
    return job.result


async def result_of(submit: Callable[[Job], None], work: Work) -> Any:
    """Submit work and wait for what comes of it. Raises its `ChatError`, or any other error."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    job = Errand(work, lambda _: None if future.done() else future.set_result(None))  # not the job: that is a cycle
    submit(job)
    await future
    return outcome(job)
