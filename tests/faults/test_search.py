"""The full-text index under stress: it catches up after a kill, follows edits, forgets, and tells nobody too much."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from chatd import fulltext
from chatd.config import Config
from chatd.context import Context
from chatd.db.check import violations
from chatd.db.sqlite import SqliteTransaction, drive
from chatd.hub import Hub
from chatd.session import Identity
from chatd.wire import MAX_ID
from chatd.words import parse
from tests.support import PATIENCE, Person, Process, befriend, config_for, index_all, running

SECRET = "zanzibar4711"


def database(folder: Path) -> contextlib.closing[sqlite3.Connection]:
    connection = sqlite3.connect(folder / "chatd.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    return contextlib.closing(connection)


def behind(connection: sqlite3.Connection) -> bool:
    (newest,) = connection.execute("SELECT MAX(id) FROM entries").fetchone()
    row = connection.execute("SELECT value FROM meta WHERE name = 'indexed'").fetchone()
    return row is None or int(row["value"]) < newest


async def indexed(person: Person, folder: Path) -> None:
    """Wait until the index knows everything."""
    with database(folder) as connection:
        async with asyncio.timeout(PATIENCE):
            while behind(connection):
                await person.ask("heartbeat")


def in_index(folder: Path, token: str) -> list[int]:
    with database(folder) as connection:
        return [row[0] for row in connection.execute("SELECT rowid FROM search WHERE search MATCH ?", (f'"{token}"',))]


def wrong(folder: Path) -> list[str]:
    with database(folder) as connection, contextlib.closing(connection.cursor()) as cursor:
        return drive(violations(SqliteTransaction(cursor)))


async def friends(url: str) -> tuple[Person, Person]:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    return ada, bob


async def found(person: Person, q: str, **where: Any) -> list[int]:
    """The ids of all messages found, page by page."""
    ids: list[int] = []
    before = None
    while True:
        page = await person.data("search", q=q, before_message_id=before, **where)
        assert page["complete"]
        ids += [message["id"] for message in page["messages"]]
        before = page["next"]
        if before is None:
            return ids


async def test_after_a_kill_the_index_goes_on_where_it_stopped(process: Process) -> None:
    ada, _ = await friends(process.url)
    ids = []
    for _ in range(3):
        ada.say_at_once({"type": "send", "to_user": "bob", "content": f"number {n} {SECRET}"} for n in range(400))
        ids += [(await ada.reply())["data"]["message_id"] for _ in range(400)]
        await process.crash()
        ada = await Person.again(process.url, ada.token)
    assert await found(ada, SECRET, limit=200) == ids[::-1]
    await indexed(ada, process.data)
    assert await found(ada, SECRET, limit=200) == ids[::-1]
    assert await found(ada, "number 399") == [ids[1199], ids[799], ids[399]]
    assert wrong(process.data) == []


@pytest.mark.parametrize("known", [True, False])
async def test_edits_are_followed_and_recalls_forgotten_whether_the_index_knew_them(
    tmp_path: Path, known: bool
) -> None:
    async with running(config_for(tmp_path)) as url:
        ada, bob = await friends(url)
        message_id = (await ada.data("send", to_user="bob", content=f"{SECRET} one"))["message_id"]
        if known:
            await indexed(ada, tmp_path)
            assert in_index(tmp_path, "§3") == [message_id]
        await ada.data("edit", message_id=message_id, content=f"{SECRET} two")
        assert (await found(bob, SECRET), await found(bob, "one"), await found(bob, "two")) == (
            *([message_id], [], [message_id]),
        )
        if known:
            await indexed(ada, tmp_path)
            assert (in_index(tmp_path, "one"), in_index(tmp_path, "two")) == ([], [message_id])
        await ada.data("recall", message_id=message_id)
        assert await found(ada, SECRET) == []
        assert in_index(tmp_path, "two") == in_index(tmp_path, "§3") == []
        await indexed(ada, tmp_path)
        assert in_index(tmp_path, SECRET[:11]) == in_index(tmp_path, "§3") == []
    assert wrong(tmp_path) == []


async def test_who_left_finds_what_was_said_and_not_what_it_says_now(url: str) -> None:
    ada, bob = await friends(url)
    group = (await ada.data("group_create", title="Climbing", members=["bob"]))["conversation_id"]
    message_id = (await ada.data("send", conversation_id=group, content="monday"))["message_id"]
    await bob.data("group_leave", conversation_id=group)
    await ada.data("edit", message_id=message_id, content="tuesday")
    await ada.data("send", conversation_id=group, content="monday, when he is gone")
    assert await found(bob, "tuesday") == []
    assert await found(bob, "gone") == []
    assert await found(bob, "monday") == [message_id]
    assert await found(bob, "monday", conversation_id=group) == [message_id]
    assert await found(ada, "tuesday") == [message_id]


async def test_who_left_finds_the_old_text_when_the_index_has_the_new_one(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as url:
        ada, bob = await friends(url)
        assert await found(bob, "anything") == []
        group = (await ada.data("group_create", title="Climbing", members=["bob"]))["conversation_id"]
        message_id = (await ada.data("send", conversation_id=group, content="monday"))["message_id"]
        await bob.data("group_leave", conversation_id=group)
        await ada.data("edit", message_id=message_id, content="tuesday")
        await indexed(ada, tmp_path)
        assert await found(bob, "tuesday") == []
        assert await found(bob, "monday") == [message_id]


async def test_an_index_made_otherwise_is_made_anew(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as url:
        ada, _ = await friends(url)
        message_id = (await ada.data("send", to_user="bob", content=SECRET))["message_id"]
        await indexed(ada, tmp_path)
    with database(tmp_path) as connection:
        connection.execute("UPDATE meta SET value = '0/1.1' WHERE name = 'tokens'")
        connection.execute("INSERT INTO search (search) VALUES ('delete-all')")
    async with running(config_for(tmp_path)) as url:
        ada = await Person.again(url, ada.token)
        with database(tmp_path) as connection:
            async with asyncio.timeout(PATIENCE):
                while connection.execute("SELECT value FROM meta WHERE name = 'tokens'").fetchone()[0] == "0/1.1":
                    await ada.ask("heartbeat")
        await indexed(ada, tmp_path)
        assert await found(ada, SECRET) == [message_id]
    assert wrong(tmp_path) == []


async def test_whoever_is_in_many_conversations_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(config_for(tmp_path)) as url:
        ada, bob = await friends(url)
        groups = [
            (await ada.data("group_create", title=f"Group {n}", members=["bob"] if n % 2 else []))["conversation_id"]
            for n in range(40)
        ]
        ids: dict[int, list[int]] = {group: [] for group in groups}
        for number in range(120):
            group = groups[number % 40]
            sent = await ada.data("send", conversation_id=group, content=f"the {number} {SECRET}")
            ids[group].append(sent["message_id"])
        carol = await Person.named(url, "carol")
        for number in range(600):
            await carol.data("send", to_user="carol", content=f"the {number}")
        await indexed(ada, tmp_path)
        everything = sorted((one for group in ids.values() for one in group), reverse=True)
        bobs = sorted((one for group in groups[1::2] for one in ids[group]), reverse=True)
        for glance, few, budget in ((1000, 32, 10_000), (5, 3, 10_000), (1000, 100, 7), (3, 1, 4), (10**6, 1, 1)):
            monkeypatch.setattr(fulltext, "GLANCE", glance)
            monkeypatch.setattr(fulltext, "FEW", few)
            monkeypatch.setattr(fulltext, "BUDGET", budget)
            for limit in (1, 20, 200) if budget > 100 else (20,):
                assert await found(ada, "the", limit=limit) == everything
                assert await found(bob, SECRET[:5], limit=limit) == bobs
                assert await found(bob, "the", conversation_id=groups[1], limit=limit) == ids[groups[1]][::-1]
                assert await found(carol, SECRET, limit=limit) == []


async def test_what_the_index_does_not_know_yet_is_looked_through(tmp_path: Path) -> None:
    """As it is while the index is far behind: the newest are found, and it is said that others may be missing."""
    async with running(config_for(tmp_path)) as url:
        await friends(url)
    with database(tmp_path) as connection:
        oldest = written(connection, *(f"number {seq}" for seq in range(1, 3001)))
        assert looked_through(connection, "number 2999") == ([oldest + 2998], False)
        assert looked_through(connection, "number 999") == ([], False)
        index_all(connection)
        assert looked_through(connection, "number 999") == ([oldest + 998], True)


async def test_what_was_edited_since_stands_in_its_order(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as url:
        await friends(url)
    with database(tmp_path) as connection:
        oldest = written(connection, *(f"rope {seq}" for seq in range(1, 51)))
        index_all(connection)
        connection.executemany(
            "INSERT INTO entries (conversation_id, seq, event, user_id, target_seq, content, data, created_at) "
            "VALUES (3, ?, 'edit', 1, ?, 'a new rope', '{}', 0)",
            [(50 + number, number) for number in range(1, 11)],
        )
        connection.execute("UPDATE conversations SET last_seq = 60 WHERE id = 3")
        assert all_pages(connection, "rope") == list(range(oldest + 49, oldest - 1, -1))
        assert all_pages(connection, "new rope") == list(range(oldest + 9, oldest - 1, -1))


async def test_one_answer_looks_at_so_many_messages_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(config_for(tmp_path)) as url:
        await friends(url)
    with database(tmp_path) as connection:
        oldest = written(connection, "notificationx", *(f"notificationy {seq}" for seq in range(100)))
        index_all(connection)
        monkeypatch.setattr(fulltext, "LOOK", 30)
        assert looked_through(connection, "notificationx") == ([], True)
        assert all_pages(connection, "notificationx") == [oldest]


def written(connection: sqlite3.Connection, *texts: str) -> int:
    """Have ada write these to bob. Returns the id of the first."""
    connection.executemany(
        "INSERT INTO entries (conversation_id, seq, event, user_id, kind, content, created_at) "
        "VALUES (3, ?, 'message', 1, 'text', ?, 0)",
        enumerate(texts, 1),
    )
    connection.execute(
        f"UPDATE conversations SET last_seq = {len(texts)}, last_message_seq = {len(texts)} WHERE id = 3"
    )
    oldest: int = connection.execute("SELECT MIN(id) FROM entries WHERE conversation_id = 3").fetchone()[0]
    return oldest


def find(connection: sqlite3.Connection, q: str, *, before: int) -> fulltext.Found:
    """What ada finds."""
    with contextlib.closing(connection.cursor()) as cursor:
        ctx = Context(SqliteTransaction(cursor), Config(), Identity(1, "ada", 1), 0, Hub())
        return drive(fulltext.find(ctx, parse(q), fulltext.Bounds(0, before, None, None), limit=10))


def looked_through(connection: sqlite3.Connection, q: str) -> tuple[list[int], bool]:
    """What ada finds at once, and whether the index knows all there is."""
    result = find(connection, q, before=MAX_ID)
    return [row["id"] for row in result.messages], result.is_complete


def all_pages(connection: sqlite3.Connection, q: str) -> list[int]:
    ids: list[int] = []
    following: int | None = MAX_ID
    while following is not None:
        result = find(connection, q, before=following)
        ids += [row["id"] for row in result.messages]
        following = result.following
    return ids
