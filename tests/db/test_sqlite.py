"""SQLite: a writer that commits in batches, readers beside it, and the thread of aiosqlite that each runs in."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.context import Transaction
from chatd.db import migrations
from chatd.db.job import Errand, Job, Together
from chatd.db.query import Query
from chatd.db.sqlite import (
    READ_TOGETHER,
    Connection,
    Database,
    SqliteTransaction,
    drive,
    outcome,
    read_batch,
    result_of,
    write_batch,
)
from chatd.errors import Busy, ChatError, NotFound, Unavailable
from tests.support import PATIENCE

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE pets (
    name TEXT NOT NULL,
    owner_id INTEGER NOT NULL REFERENCES people (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE TABLE blobs (bytes BLOB NOT NULL) STRICT;
CREATE TRIGGER no_mallory BEFORE INSERT ON people WHEN NEW.name = 'mallory' BEGIN
    SELECT RAISE(ROLLBACK, 'not mallory');
END;
"""


def statement(sql: str, *, lists: frozenset[str] = frozenset()) -> Query:
    """A query of these tests alone: `chatd.db.query.query` would register it."""
    return Query(name="test_sqlite", sqlite=sql, sqlite_rows="", places=(), postgres="", parameters=(), lists=lists)


ADD = statement("INSERT INTO people (name) VALUES (:name)")
ADD_RETURNING = statement("INSERT INTO people (name) VALUES (:name) RETURNING id, name")
ADD_NEW = statement("INSERT INTO people (name) VALUES (:name) ON CONFLICT DO NOTHING")
ADD_PET = statement("INSERT INTO pets (name, owner_id) VALUES (:name, :owner_id)")
ADD_BLOB = statement("INSERT INTO blobs (bytes) VALUES (zeroblob(:size))")
ADD_EACH = replace(ADD, sqlite_rows="INSERT INTO people (name) VALUES (?)", places=("name",))
ADD_EACH_NEW = replace(ADD_EACH, sqlite_rows=f"{ADD_EACH.sqlite_rows} ON CONFLICT DO NOTHING")
ADD_EACH_PET = replace(
    ADD_PET, sqlite_rows="INSERT INTO pets (name, owner_id) VALUES (?, ?)", places=("name", "owner_id")
)
NAMES = statement("SELECT name FROM people ORDER BY id")
AMONG = statement(
    "SELECT name FROM people WHERE name IN (SELECT value FROM json_each(:names)) ORDER BY id",
    lists=frozenset({"names"}),
)


async def add(name: str, db: Transaction) -> str:
    await db.run(ADD, name=name)
    return name


async def add_and_fail(name: str, db: Transaction) -> None:
    await db.run(ADD, name=name)
    raise NotFound(field=name)


async def names(db: Transaction) -> list[str]:
    return [row["name"] for row in await db.all(NAMES)]


async def add_pet_of_nobody(db: Transaction) -> None:
    await db.run(ADD_PET, name="rex", owner_id=4711)


async def pragma(name: str, db: Transaction) -> Any:
    row = await db.one(statement(f"PRAGMA {name}"))
    return None if row is None else row[name.partition(" ")[0]]


def adding(name: str) -> Callable[[Transaction], Any]:
    return partial(add, name)


def adding_and_failing(name: str) -> Callable[[Transaction], Any]:
    return partial(add_and_fail, name)


def unheard(job: Job) -> None:
    """What a job is done with when nobody cares."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "chatd.db"
    migrations.prepare(path, SCHEMA, ())
    return path


@contextlib.asynccontextmanager
async def opened(path: Path, *, readers: int = 2, batch: int = 256, waiting: int = 1000) -> AsyncIterator[Database]:
    database = await Database.open(path, readers=readers, batch=batch, waiting=waiting)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with opened(path) as database:
        yield database


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """What the writer's functions are given, without its thread."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


def stored(path: Path) -> list[str]:
    """The names that somebody else sees."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        return [name for (name,) in other.execute(NAMES.sqlite)]


class Gate:
    """Work that keeps its thread until it is opened."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    async def work(self, db: Transaction) -> str:
        self.block()
        return "through"

    def block(self) -> None:
        self._reached.set()
        assert self._open.wait(PATIENCE)

    async def reached(self) -> None:
        """Wait until the thread stands before the gate."""
        assert await asyncio.to_thread(self._reached.wait, PATIENCE)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


class Heard:
    """The jobs that are done, in the order in which they were."""

    def __init__(self, expected: int) -> None:
        self.jobs: list[Job] = []
        self._expected = expected
        self._all = asyncio.Event()

    def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        if len(self.jobs) == self._expected:
            self._all.set()

    async def all(self) -> Sequence[Job]:
        await asyncio.wait_for(self._all.wait(), PATIENCE)
        return self.jobs


async def soon(awaitable: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaitable, PATIENCE)


# The contract with aiosqlite


@pytest.fixture
async def lent() -> AsyncIterator[tuple[Connection, int]]:
    """A connection, and the ident of the thread that it was made in."""
    made_in: list[int] = []

    def connector() -> sqlite3.Connection:
        made_in.append(threading.get_ident())
        return sqlite3.connect(":memory:", isolation_level=None)

    async with Connection(connector, iter_chunk_size=64) as connection:
        assert isinstance(connection, Connection)
        yield connection, made_in[0]


async def test_a_function_handed_over_runs_in_the_connections_own_thread(lent: tuple[Connection, int]) -> None:
    connection, its_thread = lent
    assert await connection.hand_over(lambda _: threading.get_ident()) == its_thread
    assert its_thread != threading.get_ident()


async def test_a_function_handed_over_gets_the_connection_itself(lent: tuple[Connection, int]) -> None:
    connection, _ = lent
    assert await connection.hand_over(lambda raw: raw.execute("SELECT 41 + 1").fetchone()) == (42,)


async def test_functions_run_in_order_among_themselves_and_with_what_aiosqlite_queues(
    lent: tuple[Connection, int], gate: Gate
) -> None:
    connection, _ = lent
    order: list[str] = []
    await connection.create_function("note", 1, order.append)
    blocked = connection.hand_over(lambda _: gate.block())
    await gate.reached()

    async def hand_over(name: str) -> None:
        await connection.hand_over(lambda _: order.append(name))

    async def execute(name: str) -> None:
        cursor = await connection.execute("SELECT note(?)", (name,))  # by way of aiosqlite's _execute
        await cursor.close()

    tasks = [asyncio.ensure_future(work) for work in (hand_over("1"), execute("2"), hand_over("3"), execute("4"))]
    await soon(asyncio.to_thread(gate.open))  # by now every task has begun
    await soon(asyncio.gather(blocked, *tasks))
    assert order == ["1", "2", "3", "4"]


async def test_what_a_function_raises_reaches_its_future_and_the_thread_goes_on(lent: tuple[Connection, int]) -> None:
    connection, its_thread = lent
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await connection.hand_over(lambda raw: raw.execute("SELECT * FROM nowhere"))
    with pytest.raises(SystemExit):
        await connection.hand_over(lambda _: exit_from_here())
    assert await connection.hand_over(lambda _: threading.get_ident()) == its_thread


def exit_from_here() -> None:
    raise SystemExit("no")


async def test_a_future_may_be_cancelled_while_its_function_runs(lent: tuple[Connection, int], gate: Gate) -> None:
    connection, _ = lent
    abandoned = connection.hand_over(lambda _: gate.block())
    await gate.reached()
    abandoned.cancel()
    gate.open()
    assert await soon(connection.hand_over(lambda _: "still here")) == "still here"


async def test_closing_waits_for_what_was_handed_over(gate: Gate) -> None:
    connection = await Connection(lambda: sqlite3.connect(":memory:"), iter_chunk_size=64)
    assert isinstance(connection, Connection)
    blocked = connection.hand_over(lambda _: gate.block())
    last = connection.hand_over(lambda raw: raw.execute("SELECT 1").fetchone())
    await gate.reached()
    closing = asyncio.ensure_future(connection.close())
    await soon(asyncio.to_thread(gate.open))
    await soon(closing)
    assert blocked.done()
    assert last.result() == (1,)


async def test_a_closed_connection_takes_nothing_more() -> None:
    connection = await Connection(lambda: sqlite3.connect(":memory:"), iter_chunk_size=64)
    assert isinstance(connection, Connection)
    await connection.close()
    with pytest.raises(ValueError, match="no active connection"):
        connection.hand_over(lambda _: None)


# drive


def test_drive_returns_what_the_coroutine_returns() -> None:
    async def inner() -> int:
        return 41

    async def work() -> int:
        return await inner() + 1

    assert drive(work()) == 42


def test_drive_raises_what_the_coroutine_raises() -> None:
    async def work() -> None:
        raise NotFound(field="x")

    with pytest.raises(NotFound) as caught:
        drive(work())
    assert caught.value.field == "x"


async def test_drive_refuses_a_coroutine_that_waits_for_something_else() -> None:
    left: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            left.append("closed")

    coroutine = work()
    with pytest.raises(RuntimeError, match="may await nothing but its transaction"):
        drive(coroutine)
    assert left == ["closed"]


# The transaction


async def test_one_is_the_first_row_or_none(connection: sqlite3.Connection) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        db = SqliteTransaction(cursor)
        assert await db.one(NAMES) is None
        for name in ("ada", "bob"):
            await db.run(ADD, name=name)
        row = await db.one(NAMES)
        assert row is not None
        assert row["name"] == "ada"


async def test_one_gives_what_an_insert_returns(connection: sqlite3.Connection) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        row = await SqliteTransaction(cursor).one(ADD_RETURNING, name="ada")
        assert row is not None
        assert (row["id"], row["name"]) == (1, "ada")


async def test_all_is_every_row(connection: sqlite3.Connection) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        db = SqliteTransaction(cursor)
        assert list(await db.all(NAMES)) == []
        for name in ("ada", "bob"):
            await db.run(ADD, name=name)
        assert [row["name"] for row in await db.all(NAMES)] == ["ada", "bob"]


async def test_a_list_is_matched_by_its_members(connection: sqlite3.Connection) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        db = SqliteTransaction(cursor)
        for name in ("ada", "bob", "it's", "陈"):
            await db.run(ADD, name=name)
        assert [row["name"] for row in await db.all(AMONG, names=["陈", "it's", "nobody"])] == ["it's", "陈"]
        assert list(await db.all(AMONG, names=[])) == []


async def test_run_is_the_number_of_rows_changed(connection: sqlite3.Connection) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        db = SqliteTransaction(cursor)
        assert await db.run(ADD, name="ada") == 1
        assert await db.run(ADD_NEW, name="bob") == 1
        assert await db.run(ADD_NEW, name="bob") == 0
        assert await db.run(statement("UPDATE people SET name = name || '!'")) == 2
        assert await db.run(statement("DELETE FROM people WHERE name = :name"), name="nobody") == 0


async def test_many_is_the_number_of_rows_changed_by_all_runs(connection: sqlite3.Connection) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        db = SqliteTransaction(cursor)
        assert await db.many(ADD_EACH, name=["ada", "bob", "陈"]) == 3
        assert await names(db) == ["ada", "bob", "陈"]
        assert await db.many(ADD_EACH_PET, owner_id=[1, 1], name=["rex", "tom"]) == 2
        rename = replace(ADD_EACH, sqlite_rows="UPDATE pets SET name = name || '!' WHERE owner_id = ?")
        assert await db.many(rename, name=[1, 2]) == 2


async def test_many_does_not_count_the_rows_that_were_there(connection: sqlite3.Connection) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        db = SqliteTransaction(cursor)
        await add("ada", db)
        assert await db.many(ADD_EACH_NEW, name=["ada", "bob", "bob", "chen"]) == 2
        assert await db.many(ADD_EACH_NEW, name=["ada", "bob"]) == 0
        assert await names(db) == ["ada", "bob", "chen"]


async def test_many_with_empty_columns_changes_nothing(connection: sqlite3.Connection) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        db = SqliteTransaction(cursor)
        assert await db.many(ADD_EACH, name=["ada"]) == 1
        assert await db.many(ADD_EACH, name=[]) == 0
        assert await db.many(ADD_EACH_PET, name=[], owner_id=[]) == 0
        assert await names(db) == ["ada"]


async def test_many_refuses_columns_of_unequal_length(connection: sqlite3.Connection) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        db = SqliteTransaction(cursor)
        await add("ada", db)
        with pytest.raises(ValueError, match="argument 2"):
            await db.many(ADD_EACH_PET, name=["rex", "tom"], owner_id=[1])


def test_a_job_that_fails_in_the_middle_of_many_is_undone_alone(connection: sqlite3.Connection, path: Path) -> None:
    async def add_three(db: Transaction) -> int:
        return await db.many(ADD_EACH, name=["bob", "chen", "ada"])

    async def add_pets_unevenly(db: Transaction) -> int:
        await add("dora", db)
        return await db.many(ADD_EACH_PET, name=["rex", "tom"], owner_id=[1])

    jobs = ran(connection, adding("ada"), add_three, add_pets_unevenly, adding("eve"))
    assert [type(job.error) for job in jobs] == [type(None), sqlite3.IntegrityError, ValueError, type(None)]
    assert stored(path) == ["ada", "eve"]


# A batch of writes


def ran(connection: sqlite3.Connection, *works: Callable[[Transaction], Any]) -> Sequence[Job]:
    """The jobs after one batch."""
    jobs = [Errand(work, unheard) for work in works]
    write_batch(connection, jobs)
    assert not connection.in_transaction
    return jobs


def test_the_jobs_of_a_batch_run_in_order_and_see_each_others_writes(connection: sqlite3.Connection) -> None:
    jobs = ran(connection, adding("ada"), names, adding("bob"), names)
    assert [outcome(job) for job in jobs] == ["ada", ["ada"], "bob", ["ada", "bob"]]


def test_a_batch_has_one_commit(connection: sqlite3.Connection) -> None:
    said: list[str] = []
    connection.set_trace_callback(said.append)
    ran(connection, adding("ada"), adding_and_failing("bob"), adding("chen"))
    connection.set_trace_callback(None)
    assert [sql for sql in said if sql in ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")] == ["BEGIN IMMEDIATE", "COMMIT"]


def test_a_failing_job_is_undone_alone(connection: sqlite3.Connection, path: Path) -> None:
    jobs = ran(connection, adding("ada"), adding_and_failing("bob"), names, adding("chen"))
    assert [job.error for job in (*jobs[:1], *jobs[2:])] == [None, None, None]
    with pytest.raises(NotFound):
        outcome(jobs[1])
    assert outcome(jobs[2]) == ["ada"]
    assert stored(path) == ["ada", "chen"]


def test_a_job_that_breaks_a_constraint_is_undone_alone(connection: sqlite3.Connection, path: Path) -> None:
    async def add_two(db: Transaction) -> None:
        await add("bob", db)
        await add("ada", db)

    jobs = ran(connection, adding("ada"), add_two, adding("chen"))
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        outcome(jobs[1])
    assert stored(path) == ["ada", "chen"]


def test_a_job_that_waits_for_something_else_is_undone_alone(connection: sqlite3.Connection, path: Path) -> None:
    class Forever:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def add_and_wait(db: Transaction) -> None:
        await add("bob", db)
        await Forever()

    jobs = ran(connection, adding("ada"), add_and_wait, adding("chen"))
    with pytest.raises(RuntimeError, match="may await nothing"):
        outcome(jobs[1])
    assert stored(path) == ["ada", "chen"]


def test_an_operational_error_of_one_job_is_unavailable_and_undone_alone(
    connection: sqlite3.Connection, path: Path
) -> None:
    async def add_and_misspell(db: Transaction) -> None:
        await add("bob", db)
        await db.run(statement("SELECT * FROM nowhere"))

    jobs = ran(connection, adding("ada"), add_and_misspell, adding("chen"))
    with pytest.raises(Unavailable) as caught:
        outcome(jobs[1])
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert stored(path) == ["ada", "chen"]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=30))
def test_what_is_kept_is_what_succeeded(plan: list[tuple[str, bool]]) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        connection.row_factory = sqlite3.Row
        jobs = ran(connection, *(adding_and_failing(name) if fails else adding(name) for name, fails in plan))
        expected: list[str] = []
        for (name, fails), job in zip(plan, jobs, strict=True):
            if name in expected:
                assert isinstance(job.error, sqlite3.IntegrityError)
            elif fails:
                assert isinstance(job.error, NotFound)
            else:
                assert job.result == name
                expected.append(name)
        assert [name for (name,) in connection.execute(NAMES.sqlite).fetchall()] == expected


def assert_all_unavailable(jobs: Sequence[Job]) -> None:
    assert [type(job.error) for job in jobs] == [Unavailable] * len(jobs)
    assert [job.result for job in jobs] == [None] * len(jobs)


def test_a_commit_that_fails_fails_the_whole_batch(connection: sqlite3.Connection, path: Path) -> None:
    assert_all_unavailable(ran(connection, adding("ada"), add_pet_of_nobody, adding_and_failing("bob"), names))
    assert stored(path) == []
    assert outcome(ran(connection, adding("ada"))[0]) == "ada"
    assert stored(path) == ["ada"]


def test_a_transaction_that_does_not_begin_fails_the_whole_batch(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA busy_timeout = 0")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert_all_unavailable(ran(connection, adding("ada"), adding("bob")))
        other.execute("ROLLBACK")
    assert outcome(ran(connection, adding("chen"))[0]) == "chen"
    assert stored(path) == ["chen"]


def test_a_full_disk_fails_the_whole_batch(connection: sqlite3.Connection, path: Path) -> None:
    async def add_much(db: Transaction) -> None:
        await db.run(ADD_BLOB, size=1_000_000)

    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    assert_all_unavailable(ran(connection, adding("ada"), add_much, adding("bob")))
    assert stored(path) == []
    connection.execute("PRAGMA max_page_count = 1000000")
    assert outcome(ran(connection, adding("chen"))[0]) == "chen"
    assert stored(path) == ["chen"]


def test_a_rollback_by_sqlite_itself_fails_the_whole_batch(connection: sqlite3.Connection, path: Path) -> None:
    assert_all_unavailable(ran(connection, adding("ada"), adding("mallory"), adding("bob")))
    assert stored(path) == []
    assert outcome(ran(connection, adding("chen"))[0]) == "chen"
    assert stored(path) == ["chen"]


def test_a_rollback_by_sqlite_that_the_job_hides_fails_the_whole_batch(
    connection: sqlite3.Connection, path: Path
) -> None:
    async def hide(db: Transaction) -> None:
        with contextlib.suppress(sqlite3.IntegrityError):
            await add("mallory", db)

    assert_all_unavailable(ran(connection, adding("ada"), hide, adding("bob")))
    assert stored(path) == []


# Jobs that are run together


class Adding(Errand):
    """A job that adds a name: one that can be done together with others."""

    def __init__(
        self,
        name: str,
        together: Together | None,
        *,
        work: Callable[[Transaction], Any] | None = None,
        done: Callable[[Job], None] = unheard,
    ) -> None:
        super().__init__(work or adding(name), done, together=together)
        self.name = name


class Chorus:
    """Adds the names of several jobs at once, and keeps who was among them."""

    def __init__(self) -> None:
        self.runs: list[list[str]] = []

    async def sing(self, jobs: Sequence[Job], db: Transaction) -> list[Any]:
        some = [cast(Adding, job).name for job in jobs]
        self.runs.append(some)
        await db.many(ADD_EACH, name=some)
        return [f"{name} with {len(some) - 1}" for name in some]

    def jobs(self, *some: str, done: Callable[[Job], None] = unheard) -> list[Job]:
        """Jobs to be run together, that add a name each."""
        together = self.sing
        return [Adding(name, together, done=done) for name in some]


class Failing(Chorus):
    """Raises when it has added the names."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    async def sing(self, jobs: Sequence[Job], db: Transaction) -> list[Any]:
        await super().sing(jobs, db)
        raise self._error


def outcomes(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Any]:
    """What the jobs came to in one batch: a result or an error each."""
    write_batch(connection, jobs)
    assert not connection.in_transaction
    return [job.result if job.error is None else job.error for job in jobs]


def test_jobs_that_are_alike_are_run_at_once(connection: sqlite3.Connection, path: Path) -> None:
    chorus = Chorus()
    assert outcomes(connection, chorus.jobs("ada", "bob", "chen")) == ["ada with 2", "bob with 2", "chen with 2"]
    assert chorus.runs == [["ada", "bob", "chen"]]
    assert stored(path) == ["ada", "bob", "chen"]


def test_a_job_that_has_no_others_beside_it_is_run_alone(connection: sqlite3.Connection, path: Path) -> None:
    chorus = Chorus()
    assert outcomes(connection, chorus.jobs("ada")) == ["ada"]
    assert chorus.runs == []
    assert stored(path) == ["ada"]


def test_jobs_of_another_kind_stand_between_those_that_are_alike(connection: sqlite3.Connection, path: Path) -> None:
    one, other = Chorus(), Chorus()
    jobs = [
        *one.jobs("a", "b"),
        Errand(names, unheard),
        *one.jobs("c"),
        *other.jobs("d", "e"),
        *one.jobs("f", "g", "h"),
        Errand(names, unheard),
        Errand(adding("i"), unheard),
        *other.jobs("j"),
    ]
    assert outcomes(connection, jobs) == [
        "a with 1", "b with 1", ["a", "b"], "c", "d with 1", "e with 1",
        "f with 2", "g with 2", "h with 2", list("abcdefgh"), "i", "j",
    ]  # fmt: skip
    assert (one.runs, other.runs) == ([["a", "b"], ["f", "g", "h"]], [["d", "e"]])
    assert stored(path) == list("abcdefghij")


def test_jobs_without_a_way_to_be_run_together_are_run_one_by_one(connection: sqlite3.Connection) -> None:
    jobs: list[Job] = [Adding("ada", None), Adding("bob", None)]
    assert outcomes(connection, jobs) == ["ada", "bob"]


@pytest.mark.parametrize("error", [NotFound(field="bob"), KeyError("bob"), SystemExit("bob")])
def test_an_error_among_the_results_is_that_jobs_alone(
    connection: sqlite3.Connection, path: Path, error: BaseException
) -> None:
    async def refuse_bob(jobs: Sequence[Job], db: Transaction) -> list[Any]:
        await db.many(ADD_EACH, name=["ada", "chen"])
        return ["ada", error, "chen"]

    jobs: list[Job] = [Adding(name, refuse_bob) for name in ("ada", "bob", "chen")]
    assert outcomes(connection, jobs) == ["ada", error, "chen"]
    assert [job.result for job in jobs] == ["ada", None, "chen"]
    assert stored(path) == ["ada", "chen"]


@pytest.mark.parametrize(
    "error",
    [
        NotFound(field="all"),
        KeyError("all"),
        sqlite3.OperationalError("all"),
        sqlite3.IntegrityError("all"),
        SystemExit("all"),
    ],
)
def test_where_they_fail_together_all_is_undone_and_they_are_run_one_by_one(
    connection: sqlite3.Connection, path: Path, error: BaseException
) -> None:
    failing, chorus = Failing(error), Chorus()
    jobs = [*chorus.jobs("a", "b"), *failing.jobs("c", "d"), *chorus.jobs("e", "f")]
    assert outcomes(connection, jobs) == ["a with 1", "b with 1", "c", "d", "e with 1", "f with 1"]
    assert failing.runs == [["c", "d"]]
    assert stored(path) == list("abcdef")


def test_one_that_fails_in_what_they_do_together_is_undone_alone(connection: sqlite3.Connection, path: Path) -> None:
    chorus = Chorus()
    jobs = [Errand(adding("bob"), unheard), *chorus.jobs("ada", "bob", "chen")]
    first, ada, bob, chen = outcomes(connection, jobs)
    assert (first, ada, chen) == ("bob", "ada", "chen")
    assert isinstance(bob, sqlite3.IntegrityError)
    assert stored(path) == ["bob", "ada", "chen"]


def test_one_that_fails_after_they_failed_together_is_undone_alone(connection: sqlite3.Connection, path: Path) -> None:
    together = Failing(NotFound(field="all")).sing
    jobs: list[Job] = [
        Adding("ada", together),
        Adding("bob", together, work=adding_and_failing("bob")),
        Adding("chen", together),
    ]
    ada, bob, chen = outcomes(connection, jobs)
    assert (ada, type(bob), bob.field, chen) == ("ada", NotFound, "bob", "chen")
    assert stored(path) == ["ada", "chen"]


def test_together_they_may_wait_for_nothing_else_either(connection: sqlite3.Connection, path: Path) -> None:
    class Forever:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def add_and_wait(jobs: Sequence[Job], db: Transaction) -> list[Any]:
        await db.many(ADD_EACH, name=["x", "y"])
        await Forever()
        return [None] * len(jobs)

    jobs: list[Job] = [Adding(name, add_and_wait) for name in ("ada", "bob")]
    assert outcomes(connection, jobs) == ["ada", "bob"]
    assert stored(path) == ["ada", "bob"]


def test_a_rollback_by_sqlite_itself_fails_the_whole_batch_also_of_those_run_together(
    connection: sqlite3.Connection, path: Path
) -> None:
    chorus = Chorus()
    jobs = [*chorus.jobs("ada", "bob"), Errand(names, unheard), *chorus.jobs("chen", "mallory")]
    write_batch(connection, jobs)
    assert not connection.in_transaction
    assert_all_unavailable(jobs)
    assert stored(path) == []
    assert outcomes(connection, chorus.jobs("ada", "bob")) == ["ada with 1", "bob with 1"]


def test_a_batch_says_how_long_its_commit_took_if_there_was_one(connection: sqlite3.Connection) -> None:
    begun = time.perf_counter()
    seconds = write_batch(connection, [Errand(adding("ada"), unheard)])
    assert seconds is not None
    assert 0 < seconds < time.perf_counter() - begun
    assert write_batch(connection, [Errand(add_pet_of_nobody, unheard)]) is None


async def test_commits_are_noted_before_anybody_hears_of_them(path: Path) -> None:
    async with opened(path, batch=2) as database:
        heard: list[tuple[int, float]] = []
        for name in ("ada", "bob", "chen"):
            database.write(
                Errand(adding(name), lambda _: heard.append((database.waiting, database.commits.sizes.total)))
            )
        assert database.waiting == 3
        await database.idle()
        assert heard == [(0, 2), (0, 2), (0, 3)]
        assert database.commits.sizes.count == database.commits.seconds.count == 2
        database.write(Errand(add_pet_of_nobody, unheard))
        database.read(Errand(names, unheard), 0)
        await database.idle()
        assert database.commits.sizes.count == 2


def test_a_commit_that_fails_fails_those_run_together_too(connection: sqlite3.Connection, path: Path) -> None:
    jobs = [*Chorus().jobs("ada", "bob"), Errand(add_pet_of_nobody, unheard)]
    write_batch(connection, jobs)
    assert_all_unavailable(jobs)
    assert stored(path) == []


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([None, "one", "other"])), max_size=30))
def test_together_or_alone_the_same_is_kept(plan: list[tuple[str, str | None]]) -> None:
    kinds = {"one": Chorus().sing, "other": Chorus().sing, None: None}
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        connection.row_factory = sqlite3.Row
        came_to = outcomes(connection, [Adding(name, kinds[kind]) for name, kind in plan])
        expected: list[str] = []
        for (name, _), one in zip(plan, came_to, strict=True):
            if name in expected:
                assert isinstance(one, sqlite3.IntegrityError)
            else:
                assert one.startswith(name)
                expected.append(name)
        assert [name for (name,) in connection.execute(NAMES.sqlite).fetchall()] == expected


@pytest.mark.parametrize("results", [[], ["one"], ["one", "two", "three"]])
def test_too_few_or_too_many_results_are_a_failure(
    connection: sqlite3.Connection, path: Path, results: list[str]
) -> None:
    async def miscount(jobs: Sequence[Job], db: Transaction) -> list[Any]:
        await db.many(ADD_EACH, name=["x", "y"])
        return results

    jobs: list[Job] = [Errand(adding("ada"), unheard), *(Adding(name, miscount) for name in ("bob", "chen"))]
    assert outcomes(connection, jobs) == ["ada", "bob", "chen"]
    assert stored(path) == ["ada", "bob", "chen"]


async def test_what_comes_in_one_turn_of_the_loop_is_run_together(database: Database, path: Path) -> None:
    chorus, heard = Chorus(), Heard(5)
    for job in (*chorus.jobs("a", "b", "c", done=heard), Errand(names, heard), *chorus.jobs("d", done=heard)):
        database.write(job)
    jobs = await soon(heard.all())
    assert [outcome(job) for job in jobs] == ["a with 2", "b with 2", "c with 2", ["a", "b", "c"], "d"]
    assert stored(path) == ["a", "b", "c", "d"]


async def test_no_more_are_run_together_than_a_batch_holds(path: Path) -> None:
    chorus, heard = Chorus(), Heard(5)
    async with opened(path, batch=2) as database:
        for job in chorus.jobs("a", "b", "c", "d", "e", done=heard):
            database.write(job)
        jobs = await soon(heard.all())
    assert [outcome(job) for job in jobs] == ["a with 1", "b with 1", "c with 1", "d with 1", "e"]
    assert chorus.runs == [["a", "b"], ["c", "d"]]


# The writer


async def submitted(submit: Callable[[Job], None], *works: Callable[[Transaction], Any]) -> Sequence[Job]:
    """The jobs, submitted in one turn of the loop, in the order in which they were done."""
    heard = Heard(len(works))
    for work in works:
        submit(Errand(work, heard))
    return await heard.all()


async def test_jobs_are_done_in_order(database: Database) -> None:
    many = [str(number) for number in range(1000)]
    jobs = await submitted(database.write, *(adding(name) for name in many))
    assert [outcome(job) for job in jobs] == many


async def test_a_job_is_done_only_when_others_see_its_whole_batch(database: Database, path: Path) -> None:
    seen: list[list[str]] = []
    last = asyncio.Event()

    def look(job: Job) -> None:
        seen.append(stored(path))
        if len(seen) == 3:
            last.set()

    for name in ("ada", "bob", "chen"):
        database.write(Errand(adding(name), look))
    assert stored(path) == []
    await soon(last.wait())
    assert seen == [["ada", "bob", "chen"]] * 3


async def test_jobs_that_come_while_a_batch_is_under_way_share_the_next_one(database: Database, gate: Gate) -> None:
    first = asyncio.ensure_future(result_of(database.write, gate.work))
    await gate.reached()
    followers = [asyncio.ensure_future(result_of(database.write, add_pet_of_nobody))]
    followers.append(asyncio.ensure_future(result_of(database.write, adding("ada"))))
    await soon(asyncio.to_thread(gate.open))
    assert await soon(first) == "through"
    results = await soon(asyncio.gather(*followers, return_exceptions=True))
    assert [type(result) for result in results] == [Unavailable, Unavailable]  # one commit, and it failed


async def test_a_batch_is_no_larger_than_it_may_be(path: Path) -> None:
    async with opened(path, batch=2) as database:
        jobs = await submitted(database.write, adding("ada"), adding("bob"), add_pet_of_nobody, adding("chen"))
    assert [type(job.error) for job in jobs] == [type(None), type(None), Unavailable, Unavailable]
    assert stored(path) == ["ada", "bob"]


async def test_a_failed_commit_leaves_the_writer_usable(database: Database, path: Path) -> None:
    assert_all_unavailable(await submitted(database.write, adding("ada"), add_pet_of_nobody))
    assert await soon(result_of(database.write, adding("bob"))) == "bob"
    assert stored(path) == ["bob"]


async def test_a_job_that_ends_like_the_process_fails_alone(database: Database, path: Path) -> None:
    async def leave(db: Transaction) -> None:
        await add("bob", db)
        exit_from_here()

    first, second = await submitted(database.write, adding("ada"), leave)
    assert (first.error, type(second.error)) == (None, SystemExit)
    assert await soon(result_of(database.write, adding("chen"))) == "chen"
    assert stored(path) == ["ada", "chen"]


async def test_a_listener_that_fails_does_not_keep_the_others_from_hearing(database: Database) -> None:
    def fail(job: Job) -> None:
        raise ValueError("deaf")

    heard = Heard(1)
    database.write(Errand(adding("ada"), fail))
    database.write(Errand(adding("bob"), heard))
    assert [outcome(job) for job in await heard.all()] == ["bob"]


async def test_the_writer_is_busy_when_more_than_so_many_wait(path: Path, gate: Gate) -> None:
    async with opened(path, waiting=3) as database:
        first = asyncio.ensure_future(result_of(database.write, gate.work))
        await gate.reached()  # under way, and so not waiting
        heard = Heard(3)
        for name in ("ada", "bob", "chen"):
            database.write(Errand(adding(name), heard))
        with pytest.raises(Busy):
            database.write(Errand(adding("dora"), heard))
        gate.open()
        assert await soon(first) == "through"
        assert [outcome(job) for job in await heard.all()] == ["ada", "bob", "chen"]
        assert await soon(result_of(database.write, adding("dora"))) == "dora"
    assert stored(path) == ["ada", "bob", "chen", "dora"]


async def test_the_writer_waits_for_the_disk(database: Database) -> None:
    assert await result_of(database.write, partial(pragma, "synchronous")) == 2  # FULL
    assert await result_of(database.write, partial(pragma, "journal_mode")) == "wal"


async def test_the_writer_keeps_foreign_keys(database: Database) -> None:
    assert await result_of(database.write, partial(pragma, "foreign_keys")) == 1


async def test_result_of_raises_what_the_work_raises(database: Database) -> None:
    with pytest.raises(ChatError) as caught:
        await result_of(database.write, adding_and_failing("ada"))
    assert isinstance(caught.value, NotFound)


async def test_result_of_may_be_given_up_while_the_work_is_under_way(
    database: Database, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    abandoned = asyncio.ensure_future(result_of(database.write, gate.work))
    await gate.reached()
    abandoned.cancel()
    gate.open()
    assert await soon(result_of(database.write, adding("ada"))) == "ada"
    assert abandoned.cancelled()
    assert [record for record in caplog.records if record.name == "chatd.db"] == []


# Readers


async def test_a_reader_sees_what_was_committed(database: Database) -> None:
    await result_of(database.write, adding("ada"))
    for key in (0, 1, 2):
        assert await result_of(partial(database.read, key=key), names) == ["ada"]


async def test_a_reader_cannot_write(database: Database, path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        await result_of(partial(database.read, key=0), adding("ada"))
    assert "readonly" in str(caught.value.__cause__)
    assert stored(path) == []
    assert await result_of(partial(database.read, key=0), names) == []


async def test_reads_of_one_key_run_in_order(database: Database, gate: Gate) -> None:
    ran_in: list[int] = []

    def noting(number: int) -> Callable[[Transaction], Any]:
        async def note(db: Transaction) -> int:
            ran_in.append(number)
            return number

        return note

    blocked = asyncio.ensure_future(result_of(partial(database.read, key=7), gate.work))
    await gate.reached()
    heard = Heard(20)
    for number in range(20):
        database.read(Errand(noting(number), heard), 7)
    gate.open()
    assert [outcome(job) for job in await heard.all()] == list(range(20))
    assert ran_in == list(range(20))
    assert await soon(blocked) == "through"


async def test_reads_of_another_key_and_writes_do_not_wait_for_a_slow_read(database: Database, gate: Gate) -> None:
    slow = asyncio.ensure_future(result_of(partial(database.read, key=0), gate.work))
    await gate.reached()
    assert await soon(result_of(database.write, adding("ada"))) == "ada"
    assert await soon(result_of(partial(database.read, key=1), names)) == ["ada"]
    assert not slow.done()
    gate.open()
    assert await soon(slow) == "through"


async def test_a_reader_is_busy_when_more_than_so_many_wait(path: Path, gate: Gate) -> None:
    async with opened(path, waiting=1) as database:
        slow = asyncio.ensure_future(result_of(partial(database.read, key=0), gate.work))
        await gate.reached()
        heard = Heard(2)
        database.read(Errand(names, heard), 0)
        with pytest.raises(Busy):
            database.read(Errand(names, heard), 0)
        database.read(Errand(names, heard), 1)  # another reader is not
        gate.open()
        assert [outcome(job) for job in await heard.all()] == [[], []]
        assert await soon(slow) == "through"


def test_a_batch_of_reads_sees_one_snapshot(connection: sqlite3.Connection, path: Path) -> None:
    async def add_elsewhere(db: Transaction) -> None:
        await names(db)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(ADD.sqlite, {"name": "ada"})

    jobs = [Errand(work, unheard) for work in (names, add_elsewhere, names)]
    read_batch(connection, jobs)
    assert [outcome(job) for job in jobs] == [[], None, []]
    assert not connection.in_transaction
    assert stored(path) == ["ada"]


def test_a_read_that_fails_fails_alone(connection: sqlite3.Connection) -> None:
    async def misspell(db: Transaction) -> None:
        await db.all(statement("SELECT * FROM nowhere"))

    jobs = [Errand(work, unheard) for work in (names, misspell, names)]
    read_batch(connection, jobs)
    assert [type(job.error) for job in jobs] == [type(None), Unavailable, type(None)]


def test_a_snapshot_that_cannot_be_had_fails_the_whole_batch_of_reads(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")  # a transaction within a transaction is refused
    jobs = [Errand(names, unheard), Errand(names, unheard)]
    read_batch(connection, jobs)
    assert_all_unavailable(jobs)
    assert not connection.in_transaction


# Readers beside a busy writer


async def look_and_add(path: Path, db: Transaction) -> int:
    """How many names there are; who looks at a later snapshot finds one more."""
    count = len(await names(db))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("INSERT INTO people (name) SELECT CAST(COUNT(*) AS TEXT) FROM people")
    return count


class Order:
    """Work that says in which order it was done."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def saying(self, word: str, *, after: Gate | None = None) -> Callable[[Transaction], Any]:
        async def say(db: Transaction) -> None:
            if after is not None:
                after.block()
            self.said.append(word)

        return say


@pytest.fixture
def gates() -> Iterator[Sequence[Gate]]:
    gates = (Gate(), Gate())
    yield gates
    for gate in gates:
        gate.open()


async def test_a_reader_does_a_few_reads_on_one_snapshot_and_the_next_on_another(
    database: Database, path: Path
) -> None:
    jobs = await submitted(partial(database.read, key=0), *[partial(look_and_add, path)] * (2 * READ_TOGETHER + 1))
    first, second = [0] * READ_TOGETHER, [READ_TOGETHER] * READ_TOGETHER
    assert [outcome(job) for job in jobs] == [*first, *second, 2 * READ_TOGETHER]


async def test_a_reader_that_did_a_few_reads_lets_a_busy_writer_finish_a_batch(
    path: Path, gates: Sequence[Gate]
) -> None:
    order, heard = Order(), [Heard(READ_TOGETHER) for _ in range(3)]
    async with opened(path, batch=1) as database:
        for gate in gates:
            database.write(Errand(order.saying("written", after=gate), unheard))
        await gates[0].reached()
        for some in heard:
            for _ in range(READ_TOGETHER):
                database.read(Errand(order.saying("read"), some), 0)
        for gate, some in zip(gates, heard, strict=False):
            await gate.reached()
            await some.all()
            assert await soon(result_of(partial(database.read, key=1), names)) == []  # another one may go on
            gate.open()
        await heard[2].all()
    a_few = ["read"] * READ_TOGETHER
    assert order.said == [*a_few, "written", *a_few, "written", *a_few]


async def test_all_readers_that_rest_go_on_when_the_writer_has_finished(path: Path, gate: Gate) -> None:
    async with opened(path) as database:
        database.write(Errand(gate.work, unheard))
        await gate.reached()
        first, rest = [Heard(READ_TOGETHER) for _ in range(2)], [Heard(3) for _ in range(2)]
        for key in (0, 1):
            for some, count in ((first[key], READ_TOGETHER), (rest[key], 3)):
                for _ in range(count):
                    database.read(Errand(names, some), key)
        for some in first:
            await some.all()
        assert [some.jobs for some in rest] == [[], []]
        gate.open()
        for some in rest:
            await some.all()


async def test_a_reader_does_not_wait_for_a_writer_that_has_finished(path: Path, gate: Gate) -> None:
    async with opened(path) as database:
        blocked = asyncio.ensure_future(result_of(partial(database.read, key=0), gate.work))
        await gate.reached()
        heard = Heard(2 * READ_TOGETHER + 1)
        for _ in range(2 * READ_TOGETHER + 1):
            database.read(Errand(names, heard), 0)
        assert await soon(result_of(database.write, adding("ada"))) == "ada"
        gate.open()
        assert [outcome(job) for job in await heard.all()] == [["ada"]] * (2 * READ_TOGETHER + 1)
        assert await soon(blocked) == "through"


@pytest.mark.parametrize("end", [Database.idle, Database.close])
async def test_what_waits_while_its_reader_rests_is_finished_before_the_end(
    path: Path, gate: Gate, end: Callable[[Database], Awaitable[None]]
) -> None:
    first, rest, written = Heard(READ_TOGETHER), Heard(READ_TOGETHER + 1), Heard(2)
    async with opened(path, batch=1) as database:
        database.write(Errand(gate.work, written))
        await gate.reached()
        for some, count in ((first, READ_TOGETHER), (rest, READ_TOGETHER + 1)):
            for _ in range(count):
                database.read(Errand(names, some), 0)
        database.write(Errand(adding("ada"), written))
        await first.all()
        ending = asyncio.ensure_future(end(database))
        assert rest.jobs == []
        gate.open()
        await soon(ending)
        assert (len(rest.jobs), len(written.jobs)) == (READ_TOGETHER + 1, 2)
        assert [job.error for job in (*rest.jobs, *written.jobs)] == [None] * (READ_TOGETHER + 3)
    assert stored(path) == ["ada"]


# Another process


async def test_changed_outside_is_true_once_after_another_connection_commits(database: Database, path: Path) -> None:
    assert not await database.changed_outside()
    for name in ("ada", "bob"):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(ADD.sqlite, {"name": name})
        assert await database.changed_outside()
        assert not await database.changed_outside()


async def test_own_writes_and_others_reads_are_no_change_from_outside(database: Database, path: Path) -> None:
    assert not await database.changed_outside()
    await result_of(database.write, adding("ada"))
    await result_of(partial(database.read, key=0), names)
    assert stored(path) == ["ada"]
    assert not await database.changed_outside()


async def test_what_another_connection_rolls_back_is_no_change(database: Database, path: Path) -> None:
    assert not await database.changed_outside()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute(ADD.sqlite, {"name": "ada"})
        other.execute("ROLLBACK")
    assert not await database.changed_outside()


async def test_a_change_before_the_first_question_is_not_noticed(database: Database, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(ADD.sqlite, {"name": "ada"})
    assert not await database.changed_outside()


# The end


async def test_close_finishes_what_was_submitted(path: Path) -> None:
    database = await Database.open(path, readers=2, batch=3, waiting=1000)
    heard = Heard(30)
    for number in range(10):
        database.write(Errand(adding(str(number)), heard))
        database.read(Errand(names, heard), 0)
        database.read(Errand(names, heard), 1)
    await soon(database.close())
    assert [job.error for job in heard.jobs] == [None] * 30
    assert stored(path) == [str(number) for number in range(10)]


@pytest.mark.parametrize(
    "readers",
    [
        0,
        1,
    ],
)
async def test_close_finishes_what_is_submitted_when_a_job_is_done(path: Path, readers: int) -> None:
    database = await Database.open(path, readers=readers, batch=1, waiting=1000)
    heard = Heard(1)
    database.write(Errand(adding("ada"), lambda job: database.write(Errand(adding("bob"), heard))))
    await soon(database.close())
    assert [outcome(job) for job in heard.jobs] == ["bob"]
    assert stored(path) == ["ada", "bob"]


async def threads_ended(before: set[threading.Thread]) -> None:
    """Wait until those that came since are gone, but for the ones that asyncio keeps."""
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith("asyncio_"):
            await asyncio.to_thread(thread.join, PATIENCE)
            assert not thread.is_alive()


async def test_close_ends_its_threads_and_leaves_no_companion_files(path: Path) -> None:
    before = set(threading.enumerate())
    async with opened(path) as database:
        await result_of(database.write, adding("ada"))
        assert len(set(threading.enumerate()) - before) >= 3
    await threads_ended(before)
    assert files(path.parent) == [path.name]


async def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        await Database.open(tmp_path / "chatd.db", readers=1, batch=1, waiting=1)
    await threads_ended(before)
    assert files(tmp_path) == []


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())
