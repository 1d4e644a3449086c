"""The schema's versions: making a database, bringing an old one up to date, and the way back.

Before a migration the database is copied; after it, it is checked; the copy stays for `chatd rollback`. All of this
runs before anything is served, so it is plain synchronous sqlite3.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("chatd.db")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the SQL that brings a database from `version - 1` to `version`."""

    version: int
    sql: str


STEPS: tuple[Step, ...] = ()
"""Every step since version 1, in order. A test holds version 1 plus all of them equal to a fresh schema.sql."""


class MigrationError(Exception):
    """One line that says what is wrong with the database, and what to do."""


def _latest(steps: Sequence[Step]) -> int:
    return steps[-1].version if steps else 1


def prepare(path: Path, schema: str, steps: Sequence[Step] = STEPS) -> None:
    """Make the database, or bring it up to date. Raises `MigrationError`; the database is then as it was."""
    with _opened(path) as connection:
        version = _version(connection, path)
        if version is None:
            connection.execute("PRAGMA journal_mode = WAL")
            _create(connection, schema, _latest(steps))
            return
        if version > _latest(steps):
            raise MigrationError(
                f"{path} is of version {version}; this chatd knows versions up to {_latest(steps)}: use a newer one"
            )
        if version == _latest(steps):
            return
        copy = path.with_name(f"{path.name}.before-v{_latest(steps)}")
        _copy(connection, copy)
        log.info("migrating %s from version %d to %d; the copy is %s", path, version, _latest(steps), copy)
        _migrate(connection, path, [step for step in steps if step.version > version])


def require_current(path: Path, steps: Sequence[Step] = STEPS) -> None:
    """Raise `MigrationError` for what is no database of this chatd's version."""
    with _opened(path) as connection:
        version = _version(connection, path)
    if version != _latest(steps):
        raise MigrationError(f"{path} is of version {version}, this chatd of version {_latest(steps)}")


def rollback(path: Path) -> Path:
    """Put the newest copy made before a migration back in place. Returns where the migrated database went.

    The database gets a new epoch, so that clients which have seen later entries notice.
    Raises `MigrationError` where there is no copy.
    """
    copies = {int(match[1]): one for one in path.parent.iterdir() if (match := _copy_of(path).fullmatch(one.name))}
    if not copies:
        raise MigrationError(f"there is no copy of {path} to go back to")
    version = max(copies)
    undone = path.with_name(f"{path.name}.undone-v{version}")
    with _opened(copies[version]) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (new_epoch(),))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with _opened(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for companion in ("-wal", "-shm"):
        path.with_name(path.name + companion).unlink(missing_ok=True)
    undone.unlink(missing_ok=True)
    os.link(path, undone)
    os.replace(copies[version], path)  # at every moment there is a database at `path`
    return undone


def _copy_of(path: Path) -> re.Pattern[str]:
    return re.compile(re.escape(path.name) + r"\.before-v(\d+)")


def new_epoch() -> str:
    """A random name for one life of a database."""
    return secrets.token_hex(8)


def link_key(path: Path) -> bytes:
    """The key that links to files are signed with (chatd/links.py), 32 bytes. Raises `MigrationError`.

    It is of this epoch: after a restore ids are given again, and a link to what they meant before must not be good.
    """
    with _opened(path) as connection:
        told = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('link_key', 'epoch')"))
    if len(told) < 2:
        raise MigrationError(f"{path} has no link_key or no epoch")
    return hmac.digest(bytes.fromhex(told["link_key"]), told["epoch"].encode(), "sha256")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
        finally:
            connection.close()
    except (sqlite3.DatabaseError, OSError) as error:
        raise MigrationError(f"{path}: {error}") from error


def _version(connection: sqlite3.Connection, path: Path) -> int | None:
    """The database's version; None for an empty one."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables:
        return None
    if "meta" not in tables:
        raise MigrationError(f"{path} is a database, but not one of chatd's")
    row = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
    if row is None or not str(row[0]).isdecimal():
        raise MigrationError(f"{path} does not say which version it is of: {row and row[0]!r}")
    return int(row[0])


def _script(connection: sqlite3.Connection, sql: str) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nCOMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection, schema: str, version: int) -> None:
    _script(
        connection,
        f"{schema}\nINSERT INTO meta (name, value) VALUES ('epoch', '{new_epoch()}'), ('version', '{version}'),"
        f" ('link_key', '{secrets.token_hex(32)}');",
    )


def _copy(connection: sqlite3.Connection, copy: Path) -> None:
    unfinished = copy.with_name(copy.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(unfinished)) as target:
        connection.backup(target)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, copy)


def _migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> None:
    # Foreign keys are off (SQLite's default) while tables are rebuilt, and checked before the commit.
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps:
            for statement in _statements(step.sql):
                connection.execute(statement)
        connection.execute("UPDATE meta SET value = ? WHERE name = 'version'", (str(steps[-1].version),))
        problems = [str(row) for row in connection.execute("PRAGMA foreign_key_check")]
        problems += [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        if problems:
            raise MigrationError(f"{path}: the migration would break it: {problems[0]}; nothing was changed")
    except BaseException:
        if connection.in_transaction:  # a trigger's RAISE(ROLLBACK) has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(sql: str) -> Iterator[str]:
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
