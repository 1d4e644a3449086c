"""Making a database, bringing an old one up to date, and the way back."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatd import config
from chatd.db import migrations
from chatd.db.migrations import STEPS, MigrationError, Step, prepare, rollback

SCHEMA = config.shipped("schema.sql").read_text(encoding="utf-8")

FIRST = Path(__file__).with_name("schema_1.sql").read_text(encoding="utf-8") if STEPS else SCHEMA
"""Version 1's schema: when there is a first step, the schema.sql before it is kept as schema_1.sql beside this file."""

LATEST = STEPS[-1].version if STEPS else 1

EXAMPLE = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, mood TEXT CHECK (mood <> 'bad')) STRICT;
CREATE TABLE pets (id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL REFERENCES people (id)) STRICT;
"""
ADD_KEY = Step(
    2,
    """
    -- A new column, filled from an old one; it's indexed; two statements and a comment with a ; in it.
    ALTER TABLE people ADD COLUMN name_key TEXT;
    UPDATE people SET name_key = lower(name);
    CREATE INDEX people_by_key ON people (name_key);
    """,
)
MOVE_MOODS = Step(
    3,
    """
    CREATE TABLE moods (
        person_id INTEGER PRIMARY KEY REFERENCES people (id),
        mood TEXT NOT NULL
    ) STRICT;
    INSERT INTO moods SELECT id, mood FROM people WHERE mood IS NOT NULL;
    CREATE TRIGGER pets_are_kept BEFORE DELETE ON pets BEGIN
        SELECT RAISE(ABORT, 'pets; are kept');
        SELECT 1;
    END;
    ALTER TABLE people DROP COLUMN mood""",
)
EXAMPLE_3 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, name_key TEXT) STRICT;
CREATE INDEX people_by_key ON people (name_key);
CREATE TABLE pets (id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL REFERENCES people (id)) STRICT;
CREATE TABLE moods (person_id INTEGER PRIMARY KEY REFERENCES people (id), mood TEXT NOT NULL) STRICT;
CREATE TRIGGER pets_are_kept BEFORE DELETE ON pets BEGIN SELECT RAISE(ABORT, 'pets; are kept'); SELECT 1; END;
"""


def opened(path: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(path, isolation_level=None))


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with opened(path) as connection:
        return connection.execute(sql).fetchall()


def change(path: Path, sql: str) -> None:
    with opened(path) as connection:
        connection.executescript(sql)


def meta(path: Path) -> dict[str, str]:
    return dict(rows(path, "SELECT name, value FROM meta"))


def dump(path: Path) -> list[str]:
    """Everything in the database: its schema, and each table's rows but a virtual one's, which others hold."""
    with opened(path) as connection:
        schema = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
        tables = [name for kind, name, sql in schema if kind == "table" and not sql.startswith("CREATE VIRTUAL")]
        held = [(name, connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in tables]
    return [repr(one) for one in (*schema, *held)]


def schema_of(path: Path) -> list[tuple[str, str, str, str | None]]:
    """Every table, index, view and trigger, but for how ALTER TABLE lays out its SQL."""
    found = rows(path, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")
    return [(kind, name, table, None if sql is None else laid_out(sql)) for kind, name, table, sql in found]


def laid_out(sql: str) -> str:
    tokens = re.findall(r"'(?:[^']|'')*'|--.*|\w+|[^\w\s]", sql)
    return " ".join(token for token in tokens if token != '"' and not token.startswith("--"))


def made_by_hand(path: Path, schema: str) -> Path:
    change(path, schema)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chatd.db"


@pytest.fixture
def old(path: Path) -> Path:
    """A database of version 1, with people in it."""
    prepare(path, EXAMPLE, ())
    change(path, "INSERT INTO people (name, mood) VALUES ('Ada', 'good'), ('Bob', NULL)")
    change(path, "INSERT INTO pets (owner_id) VALUES (1)")
    return path


def copy_of(path: Path, version: int) -> Path:
    return path.with_name(f"{path.name}.before-v{version}")


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


# A new database


def test_a_fresh_database_equals_the_schema_run_by_hand(path: Path, tmp_path: Path) -> None:
    prepare(path, SCHEMA)
    everything = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid"
    assert rows(path, everything) == rows(made_by_hand(tmp_path / "by-hand.db", SCHEMA), everything)


def test_a_fresh_database_has_the_latest_version_an_epoch_and_a_key(path: Path) -> None:
    prepare(path, SCHEMA)
    assert meta(path).keys() == {"version", "epoch", "link_key"}
    assert len(migrations.link_key(path)) == 32
    assert migrations.link_key(path) == migrations.link_key(path)
    assert meta(path)["version"] == str(LATEST)
    assert re.fullmatch(r"[0-9a-f]{16}", meta(path)["epoch"])


def test_every_database_has_an_epoch_of_its_own(tmp_path: Path) -> None:
    for name in ("one.db", "other.db"):
        prepare(tmp_path / name, SCHEMA)
    assert meta(tmp_path / "one.db")["epoch"] != meta(tmp_path / "other.db")["epoch"]


def test_a_fresh_database_is_of_the_last_steps_version(path: Path) -> None:
    prepare(path, EXAMPLE_3, (ADD_KEY, MOVE_MOODS))
    assert meta(path)["version"] == "3"
    assert files(path.parent) == {path.name}


def test_a_database_is_in_wal_mode(path: Path) -> None:
    prepare(path, SCHEMA)
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    prepare(path, SCHEMA)
    assert meta(path)["version"] == str(LATEST)


def test_preparing_twice_changes_nothing(path: Path) -> None:
    prepare(path, SCHEMA)
    change(path, "INSERT INTO users (username, username_key, password_hash, created_at) VALUES ('a', 'a', '', 0)")
    before = dump(path)
    prepare(path, SCHEMA)
    assert dump(path) == before
    assert files(path.parent) == {path.name}


def test_a_schema_with_an_error_leaves_no_half_made_database(path: Path) -> None:
    with pytest.raises(MigrationError, match=r"chatd\.db.*nonsense"):
        prepare(path, f"{EXAMPLE}; nonsense;")
    assert rows(path, "SELECT * FROM sqlite_schema") == []
    prepare(path, EXAMPLE)
    assert meta(path)["version"] == str(LATEST)


# From version to version


def test_version_1_and_all_steps_equal_a_fresh_schema(path: Path, tmp_path: Path) -> None:
    prepare(path, FIRST, ())
    prepare(path, SCHEMA)
    assert schema_of(path) == schema_of(made_by_hand(tmp_path / "by-hand.db", SCHEMA))
    assert meta(path)["version"] == str(LATEST)


def test_steps_are_numbered_from_2_without_a_hole() -> None:
    assert [step.version for step in STEPS] == list(range(2, LATEST + 1))


def test_a_migration_runs_every_step_and_moves_the_data(old: Path, tmp_path: Path) -> None:
    before = meta(old)
    prepare(old, EXAMPLE_3, (ADD_KEY, MOVE_MOODS))
    assert schema_of(old) == schema_of(made_by_hand(tmp_path / "by-hand.db", EXAMPLE_3))
    assert meta(old) == {**before, "version": "3"}
    assert rows(old, "SELECT id, name, name_key FROM people") == [(1, "Ada", "ada"), (2, "Bob", "bob")]
    assert rows(old, "SELECT person_id, mood FROM moods") == [(1, "good")]


def test_a_migration_runs_only_the_steps_that_are_new(old: Path) -> None:
    prepare(old, "", (ADD_KEY,))
    prepare(old, "", (ADD_KEY, MOVE_MOODS))  # the first step would fail: its column is there
    assert meta(old)["version"] == "3"


def test_a_migration_keeps_a_copy_of_what_was_before(old: Path) -> None:
    before = dump(old)
    prepare(old, "", (ADD_KEY, MOVE_MOODS))
    assert files(old.parent) == {old.name, copy_of(old, 3).name}
    assert dump(copy_of(old, 3)) == before


def test_the_copy_is_made_before_the_first_step(old: Path) -> None:
    before = dump(old)
    with pytest.raises(MigrationError):
        prepare(old, "", (Step(2, "ALTER TABLE people ADD COLUMN age INTEGER; \n nonsense;"),))
    assert dump(copy_of(old, 2)) == before


def test_a_copy_that_was_not_finished_is_made_again(old: Path) -> None:
    unfinished = old.with_name(f"{copy_of(old, 2).name}.unfinished")
    unfinished.write_bytes(b"half a copy")
    before = dump(old)
    prepare(old, "", (ADD_KEY,))
    assert dump(copy_of(old, 2)) == before
    assert not unfinished.exists()


def test_without_a_copy_nothing_is_migrated(old: Path) -> None:
    before = dump(old)
    copy_of(old, 2).mkdir()
    (copy_of(old, 2) / "in the way").touch()
    with pytest.raises((MigrationError, OSError)):
        prepare(old, "", (ADD_KEY,))
    assert dump(old) == before


BROKEN_STEPS = {
    "an error in its SQL": ("nonsense;", r"near \"nonsense\""),
    "data that does not fit": ("INSERT INTO people (id, name) VALUES (1, 'twice');", "UNIQUE constraint failed"),
    "a reference to nobody": ("UPDATE people SET id = 9 WHERE id = 1;", r"would break it: .*pets.*people"),
    "a table others refer to dropped": ("DROP TABLE people;", r"would break it: .*pets.*people"),
    "a check not kept": (
        """
        PRAGMA ignore_check_constraints = ON;
        UPDATE people SET mood = 'bad';
        PRAGMA ignore_check_constraints = OFF;
        """,
        "would break it: CHECK constraint failed in people",
    ),
}


@pytest.mark.parametrize(("sql", "says"), BROKEN_STEPS.values(), ids=BROKEN_STEPS.keys())
def test_a_step_that_fails_leaves_the_database_as_it_was(old: Path, sql: str, says: str) -> None:
    before = dump(old)
    with pytest.raises(MigrationError, match=f"chatd.db: .*{says}"):
        prepare(old, "", (ADD_KEY, Step(3, sql)))
    assert dump(old) == before
    assert rows(old, "PRAGMA integrity_check") == [("ok",)]


def test_a_step_that_undoes_the_transaction_by_itself_is_named(old: Path) -> None:
    before = dump(old)
    sql = """
    CREATE TRIGGER never BEFORE UPDATE ON people BEGIN SELECT RAISE(ROLLBACK, 'not on my watch'); END;
    UPDATE people SET name = '';
    """
    try:
        with pytest.raises(MigrationError, match="not on my watch"):
            prepare(old, "", (ADD_KEY, Step(3, sql)))
    finally:
        assert dump(old) == before


def test_after_a_failed_migration_the_next_one_works_and_copies_anew(old: Path) -> None:
    with pytest.raises(MigrationError):
        prepare(old, "", (ADD_KEY, Step(3, "nonsense;")))
    change(old, "INSERT INTO people (name) VALUES ('Chen')")
    before = dump(old)
    prepare(old, "", (ADD_KEY, MOVE_MOODS))
    assert rows(old, "SELECT name_key FROM people") == [("ada",), ("bob",), ("chen",)]
    assert dump(copy_of(old, 3)) == before


def test_a_migration_includes_what_is_only_in_the_wal(old: Path, tmp_path: Path) -> None:
    killed = killed_while_writing(old, tmp_path / "killed", "INSERT INTO people (name) VALUES ('Chen')")
    prepare(killed, "", (ADD_KEY,))
    assert rows(killed, "SELECT name_key FROM people") == [("ada",), ("bob",), ("chen",)]
    assert rows(copy_of(killed, 2), "SELECT name FROM people") == [("Ada",), ("Bob",), ("Chen",)]


# What is not ours


def test_a_newer_version_is_refused_and_both_versions_named(old: Path) -> None:
    prepare(old, "", (ADD_KEY, MOVE_MOODS))
    before = dump(old)
    with pytest.raises(MigrationError, match=r"version 3.*versions up to 2"):
        prepare(old, "", (ADD_KEY,))
    assert dump(old) == before


NOT_OURS = {
    "no meta table": ("CREATE TABLE t (x);", "not one of chatd's"),
    "another meta table": ("CREATE TABLE meta (x);", "no such column"),
    "no version": ("CREATE TABLE meta (name, value);", "does not say which version"),
}


@pytest.mark.parametrize(("sql", "says"), NOT_OURS.values(), ids=NOT_OURS.keys())
def test_a_database_that_is_not_ours_is_refused(path: Path, sql: str, says: str) -> None:
    change(path, sql)
    before = dump(path)
    with pytest.raises(MigrationError, match=says):
        prepare(path, SCHEMA)
    assert dump(path) == before


def test_a_version_that_is_no_number_is_refused(path: Path) -> None:
    change(path, "CREATE TABLE meta (name, value); INSERT INTO meta VALUES ('version', '1.2');")
    with pytest.raises(MigrationError, match=r"1\.2"):
        prepare(path, SCHEMA)


def test_a_database_that_is_not_ours_is_not_touched(path: Path) -> None:
    change(path, "CREATE TABLE t (x);")
    before = path.read_bytes()
    with pytest.raises(MigrationError):
        prepare(path, SCHEMA)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_not_touched(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(MigrationError, match=r"chatd\.db: file is not a database"):
        prepare(path, SCHEMA)
    assert path.read_bytes() == b"Dear diary, " * 1000
    assert files(path.parent) == {path.name}


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="unable to open"):
        prepare(tmp_path, SCHEMA)


# The way back


def killed_while_writing(path: Path, folder: Path, sql: str) -> Path:
    """The files of a database as a kill -9 leaves them: the last change stands in the WAL alone."""
    folder.mkdir()
    with opened(path) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(sql)
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, folder)
    left = folder / path.name
    assert left.with_name(f"{path.name}-wal").stat().st_size > 0
    return left


@pytest.fixture
def migrated(old: Path) -> Path:
    prepare(old, "", (ADD_KEY,))
    change(old, "INSERT INTO people (name, name_key) VALUES ('Chen', 'chen')")
    return old


def test_rollback_puts_the_copy_back(migrated: Path) -> None:
    copied = [line for line in dump(copy_of(migrated, 2)) if "epoch" not in line]
    rollback(migrated)
    assert [line for line in dump(migrated) if "epoch" not in line] == copied
    assert meta(migrated)["version"] == "1"
    assert not copy_of(migrated, 2).exists()


def test_rollback_changes_the_key_of_links(migrated: Path) -> None:
    before = migrations.link_key(migrated)
    rollback(migrated)
    assert migrations.link_key(migrated) != before


def test_rollback_changes_the_epoch(migrated: Path) -> None:
    epoch = meta(migrated)["epoch"]
    rollback(migrated)
    assert meta(migrated)["epoch"] != epoch
    assert re.fullmatch(r"[0-9a-f]{16}", meta(migrated)["epoch"])


def test_rollback_keeps_the_migrated_database(migrated: Path) -> None:
    before = dump(migrated)
    undone = rollback(migrated)
    assert undone.parent == migrated.parent
    assert undone != migrated
    assert dump(undone) == before


def test_rollback_works_after_a_crash(migrated: Path, tmp_path: Path) -> None:
    killed = killed_while_writing(migrated, tmp_path / "killed", "INSERT INTO people (name) VALUES ('Dora')")
    undone = rollback(killed)
    assert rows(undone, "SELECT name FROM people") == [("Ada",), ("Bob",), ("Chen",), ("Dora",)]
    assert rows(killed, "SELECT name FROM people") == [("Ada",), ("Bob",)]
    assert rows(killed, "PRAGMA integrity_check") == [("ok",)]


def test_rollback_works_while_somebody_else_has_the_database_open(migrated: Path) -> None:
    with opened(migrated) as other:
        other.execute("INSERT INTO people (name) VALUES ('Dora')")
        undone = rollback(migrated)
        assert rows(undone, "SELECT name FROM people") == [("Ada",), ("Bob",), ("Chen",), ("Dora",)]
        assert rows(migrated, "SELECT name FROM people") == [("Ada",), ("Bob",)]
        assert rows(migrated, "PRAGMA integrity_check") == [("ok",)]
    assert meta(migrated)["version"] == "1"


def test_what_was_rolled_back_can_be_migrated_again(migrated: Path) -> None:
    rollback(migrated)
    prepare(migrated, "", (ADD_KEY,))
    assert rows(migrated, "SELECT name_key FROM people") == [("ada",), ("bob",)]


def test_rollback_goes_back_one_migration_at_a_time(old: Path) -> None:
    steps = [Step(version, "UPDATE people SET name = name || '.';") for version in range(2, 12)]
    prepare(old, "", steps[:1])
    prepare(old, "", steps)  # the copies sort by number: before-v11 is newer than before-v2
    rollback(old)
    assert meta(old)["version"] == "2"
    rollback(old)
    assert meta(old)["version"] == "1"


def test_rollback_without_a_copy_is_refused(old: Path) -> None:
    before = dump(old)
    with pytest.raises(MigrationError, match="no copy"):
        rollback(old)
    assert dump(old) == before


@pytest.mark.parametrize("name", ["before-v3.unfinished", "before-v3-wal", "before-v3-shm", "before-v3-journal"])
def test_rollback_takes_no_other_file_for_a_copy(migrated: Path, name: str) -> None:
    migrated.with_name(f"{migrated.name}.{name}").write_bytes(b"no copy")
    rollback(migrated)
    assert meta(migrated)["version"] == "1"


def test_there_is_a_database_whenever_rollback_is_interrupted(
    migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    real = {name: getattr(os, name) for name in ("replace", "rename", "link")}
    for survived in range(3):
        folder = tmp_path / f"after-{survived}"
        folder.mkdir()
        for file in (migrated, copy_of(migrated, 2)):
            shutil.copy(file, folder)
        calls = iter(range(10))

        def cut(name: str, *args: Any, calls: Iterator[int] = calls, survived: int = survived) -> None:
            if next(calls) == survived:
                raise PowerCut
            real[name](*args)

        for name in real:
            monkeypatch.setattr(os, name, partial(cut, name))
        with contextlib.suppress(PowerCut):
            rollback(folder / migrated.name)
        monkeypatch.undo()
        assert rows(folder / migrated.name, "SELECT name FROM people")[:2] == [("Ada",), ("Bob",)]
