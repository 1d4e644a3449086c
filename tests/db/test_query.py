"""One SQL text, two databases."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.db.query import QUERIES, Query, by_dialect, query, schema_for_postgres

SCHEMA = (Path(__file__).parents[2] / "schema.sql").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _queries_as_they_were() -> Iterator[None]:
    with patch.dict(QUERIES):
        yield


def named(sql: str) -> Query:
    return query(f"/* tests.query */ {sql}")


# Names


def test_a_query_is_known_by_the_name_in_its_first_comment() -> None:
    made = query("\n    /* tests.say_hello */\n    SELECT 'hello'")
    assert made.name == "tests.say_hello"
    assert QUERIES["tests.say_hello"] is made


@pytest.mark.parametrize("sql", ["SELECT 1", "/* */ SELECT 1", "/* tests */ SELECT 1", "SELECT 1 /* tests.late */"])
def test_a_query_without_a_name_is_refused(sql: str) -> None:
    with pytest.raises(TypeError, match="a query begins with its name"):
        query(sql)


def test_a_name_is_given_once() -> None:
    first = named("SELECT 1")
    with pytest.raises(TypeError, match=r"two queries are named tests\.query"):
        named("SELECT 2")
    assert QUERIES["tests.query"] is first


# Parameters


def test_sqlite_takes_the_text_as_it_is() -> None:
    sql = "SELECT :b, ':c', :a /* :d */, :b"
    assert named(sql).sqlite == f"/* tests.query */ {sql}"


def test_postgres_gets_numbers_in_the_order_of_first_use() -> None:
    made = named("SELECT :b, :a, :b")
    assert made.postgres == "/* tests.query */ SELECT $1, $2, $1"
    assert made.parameters == ("b", "a")


def test_what_stands_in_quotes_or_comments_is_no_parameter() -> None:
    made = named("SELECT 'a :b', 'it''s :c', :d /* :e\n:f */")
    assert made.postgres == "/* tests.query */ SELECT 'a :b', 'it''s :c', $1 /* :e\n:f */"
    assert made.parameters == ("d",)


def test_values_are_bound_by_name_as_they_are() -> None:
    values = {"a": [1], "b": None}
    assert named("SELECT :a, :b").for_sqlite(values) == values


# Lists


def test_postgres_compares_a_list_with_any() -> None:
    made = named("SELECT 1 WHERE :a = 1 AND x IN :ids")
    assert made.postgres == "/* tests.query */ SELECT 1 WHERE $1 = 1 AND x = ANY($2)"
    assert made.parameters == ("a", "ids")
    assert made.lists == {"ids"}


def test_sqlite_reads_a_list_from_json() -> None:
    made = named("SELECT value FROM json_each('[1, 2, 3]') WHERE value IN :ids AND value < :top ORDER BY value")
    with closing(sqlite3.connect(":memory:")) as connection:
        rows = connection.execute(made.sqlite, made.for_sqlite({"ids": [3, 2, 7], "top": 3})).fetchall()
    assert rows == [(2,)]


def test_lists_become_json_in_rows_too() -> None:
    made = named("DELETE FROM x WHERE x IN :ids AND y = :name")
    assert list(made.rows({"ids": [[1], [2, 3]], "name": ["a", "b"]})) == [("[1]", "a"), ("[2,3]", "b")]


def test_only_lists_become_json() -> None:
    made = named("SELECT 1 WHERE x IN :ids AND y = :name")
    assert made.for_sqlite({"ids": [1, "二"], "name": "[1]"}) == {"ids": '[1,"二"]', "name": "[1]"}


# Rows


def test_a_row_is_bound_by_place_a_parameter_that_is_used_twice_in_two_places() -> None:
    made = named("SELECT :b, :a, :b")
    assert made.sqlite_rows == "/* tests.query */ SELECT ?, ?, ?"
    assert made.places == ("b", "a", "b")
    assert list(made.rows({"a": [1, 2], "b": ["x", "y"]})) == [("x", 1, "x"), ("y", 2, "y")]


def test_what_stands_in_quotes_or_comments_has_no_place() -> None:
    made = named("SELECT ':a', 'it''s :b', '?', :c /* :d\n? :e */")
    assert made.sqlite_rows == "/* tests.query */ SELECT ':a', 'it''s :b', '?', ? /* :d\n? :e */"
    assert made.places == ("c",)


def test_a_list_has_its_place_inside_json() -> None:
    made = named("SELECT 1 WHERE :a = 1 AND x IN :ids")
    assert made.sqlite_rows == "/* tests.query */ SELECT 1 WHERE ? = 1 AND x IN (SELECT value FROM json_each(?))"
    assert made.places == ("a", "ids")


def test_rows_are_those_of_sqlites_own_dialect() -> None:
    made = by_dialect(
        sqlite="/* tests.query */ INSERT INTO found VALUES (:words, :id)",
        postgres="/* tests.query */ INSERT INTO found VALUES (:id, to_tsvector(:words))",
    )
    assert made.sqlite_rows == "/* tests.query */ INSERT INTO found VALUES (?, ?)"
    assert (made.places, made.parameters) == (("words", "id"), ("id", "words"))


def test_rows_bound_by_place_are_the_rows_bound_by_name() -> None:
    made = named("INSERT INTO t VALUES (:b, :a || ':b', :b)")
    columns: dict[str, list[Any]] = {"a": ["p", "q"], "b": [1, None]}
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (x, y, z)")
        connection.executemany(made.sqlite_rows, made.rows(columns))
        for a, b in zip(*columns.values(), strict=True):
            connection.execute(made.sqlite, made.for_sqlite({"a": a, "b": b}))
        rows = connection.execute("SELECT * FROM t").fetchall()
    assert rows == [(1, "p:b", 1), (None, "q:b", None)] * 2


@pytest.mark.parametrize("columns", [{"a": [1, 2], "b": [1]}, {"a": [1], "b": [1, 2]}, {"a": [], "b": [1]}])
def test_columns_of_unequal_length_are_refused(columns: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match="argument 2"):
        list(named("SELECT :a, :b").rows(columns))


def test_a_column_that_is_missing_is_refused() -> None:
    with pytest.raises(KeyError, match="b"):
        named("SELECT :a, :b").rows({"a": [1]})


def test_empty_columns_make_no_rows() -> None:
    assert list(named("SELECT :a, :b").rows({"a": [], "b": []})) == []


@given(st.lists(st.tuples(st.integers(), st.text(), st.none()), min_size=1))
def test_the_rows_are_the_columns_turned(rows: list[tuple[int, str, None]]) -> None:
    columns = dict(zip("abc", zip(*rows, strict=True), strict=True))
    with patch.dict(QUERIES):
        assert list(named("SELECT :a, :b, :c").rows(columns)) == rows


# Dialects


def test_a_statement_may_differ_between_the_databases() -> None:
    made = by_dialect(
        sqlite="/* tests.query */ SELECT * FROM found WHERE found MATCH :words",
        postgres="/* tests.query */ SELECT * FROM found WHERE words @@ to_tsquery(:words)",
    )
    assert made.sqlite.endswith("found MATCH :words")
    assert made.postgres.endswith("words @@ to_tsquery($1)")
    assert QUERIES["tests.query"] is made


# The schema


def test_the_schema_is_put_into_postgres_words() -> None:
    schema = "CREATE TABLE a (\n  id INTEGER PRIMARY KEY,\n  n INTEGER NOT NULL,\n  b BLOB,\n  t TEXT\n) STRICT;\n"
    assert schema_for_postgres(schema) == (
        "CREATE TABLE a (\n  id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,\n"
        "  n BIGINT NOT NULL,\n  b BYTEA,\n  t TEXT\n);\n"
    )


def test_a_table_without_rowid_is_an_ordinary_one_in_postgres() -> None:
    assert schema_for_postgres("CREATE TABLE a (n INTEGER) STRICT, WITHOUT ROWID;") == "CREATE TABLE a (n BIGINT);"


def test_the_whole_schema_loses_sqlites_own_words() -> None:
    statements = re.sub(r"--.*", "", schema_for_postgres(SCHEMA))
    assert "CREATE TABLE users" in statements
    assert not re.search(r"\b(STRICT|ROWID|INTEGER|BLOB)\b", statements)


@pytest.mark.parametrize("sql", ["SELECT :v2", "SELECT :Name", "SELECT CAST(1 AS BIGINT)::text", "SELECT 1 -- one"])
def test_what_could_be_read_in_two_ways_is_refused(sql: str) -> None:
    with pytest.raises(TypeError, match="read in two ways"):
        query(f"/* tests.odd */ {sql}")


def test_quotes_and_comments_may_hold_anything() -> None:
    assert query("/* tests.quoted */ SELECT '::', '--', ':V2' /* :V3 -- */").parameters == ()
