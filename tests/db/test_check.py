"""Our own integrity checks find nothing in what chatd wrote, and whatever is put wrong on purpose."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from chatd.db.check import RULES, violations
from chatd.db.sqlite import SqliteTransaction, drive
from tests.support import Person, befriend, config_for, index_all, running

DOT = "R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="
"""A picture of one pixel: a GIF, in base64."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def written(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The database of a daemon that people have used: 1 ada and 2 bob are friends, 3 mallory is nobody's.

    Conversation 6 is a group of ada's, in which bob has been twice. In 2 are bob's notes: of four the first is edited,
    marked and pinned, the second deleted, the third recalled, and then came one that replies to the first. Ada has
    posted moments: 1 with two images, answered by bob and by her, 2 for all, 3 for nobody.
    """
    folder = tmp_path_factory.mktemp("written")
    async with running(config_for(folder)) as url:
        ada, bob, mallory = [await Person.named(url, name) for name in ("ada", "bob", "mallory")]
        await befriend(ada, bob, username="bob")
        for number, (person, other) in enumerate([(ada, "bob"), (bob, "ada"), (ada, "bob"), (ada, "ada")]):
            await person.data("send", to_user=other, content=f"hello {number}", client_id=f"c{number}")
        await bob.data("read", user="ada", seq=2)
        await ada.data("delivered", user="bob", seq=1)
        await befriend(mallory, ada, username="ada")
        await mallory.data("send", to_user="ada", content="buy")
        await ada.data("block", user="mallory")
        await mallory.data("friend_request", to_user="ada")
        await ada.data("friend_remark", user="bob", remark="from work")
        group = (await ada.data("group_create", title="Climbing", members=["bob"]))["conversation_id"]
        await bob.data("group_leave", conversation_id=group)
        await ada.data("send", conversation_id=group, content="he is gone")
        await ada.data("group_add", conversation_id=group, users=["bob"])
        await bob.data("group_leave", conversation_id=group)
        said = [(await bob.data("send", to_user="bob", content=f"note {number}"))["message_id"] for number in range(4)]
        await bob.data("edit", message_id=said[0], content="better")
        await bob.data("react", message_id=said[0], emoji="👍")
        await bob.data("pin", message_id=said[0])
        await bob.data("delete", message_id=said[1])
        await bob.data("edit", message_id=said[2], content="worse")
        await bob.data("react", message_id=said[2], emoji="👎")
        await bob.data("recall", message_id=said[2])
        await bob.data("send", to_user="bob", content="see above", reply_to=said[0])
        upload = (await ada.data("upload_begin", name="dot.gif"))["upload"]
        await ada.data("upload_piece", upload=upload, content=DOT)
        image = (await ada.data("upload_end", upload=upload))["file_id"]
        await ada.data("moment_post", content="the lake", images=[image, image])
        await ada.data("moment_post", location="geo:48.2010,16.3695", visibility="all")
        await ada.data("moment_post", content="Dear diary", visibility="private")
        await bob.data("moment_like", moment_id=1)
        first = (await bob.data("moment_comment", moment_id=1, content="nice"))["comment_id"]
        await ada.data("moment_comment", moment_id=1, content="is it not?", reply_to=first)
        for person in (ada, bob, mallory):
            await person.close()
    with contextlib.closing(sqlite3.connect(folder / "chatd.db", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        index_all(connection)
    yield folder / "chatd.db"


@pytest.fixture
def database(written: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of it, to be put wrong: foreign keys are off."""
    copy = shutil.copy(written, tmp_path)
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def found(connection: sqlite3.Connection) -> dict[str, str]:
    """What `violations` says, by the rule's name."""
    with contextlib.closing(connection.cursor()) as cursor:
        lines = drive(violations(SqliteTransaction(cursor)))
    return {line.partition(":")[0]: line for line in lines}


def test_nothing_is_wrong_with_what_chatd_wrote(database: sqlite3.Connection) -> None:
    assert found(database) == {}
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def test_there_is_something_to_be_wrong_with(database: sqlite3.Connection) -> None:
    for table in (
        "entries",
        "members",
        "friends",
        "blocks",
        "friend_requests",
        "groups",
        "absences",
        "reactions",
        "pins",
        "deletions",
        "moment_images",
        "moment_likes",
        "moment_comments",
    ):
        assert database.execute(f"SELECT * FROM {table}").fetchone() is not None, table
    assert direct(database) == 4  # after the three logs of their own


def direct(connection: sqlite3.Connection) -> int:
    """The conversation of ada and bob."""
    found: int = connection.execute("SELECT id FROM conversations WHERE low_id = 1 AND high_id = 2").fetchone()[0]
    return found


LISTEN = "INSERT INTO members (conversation_id, user_id, from_seq, joined_at, moved_at) VALUES ({}, 3, 1, 0, 0)"
SEND_BY_NOBODY = """
INSERT INTO entries (conversation_id, seq, event, user_id, kind, content, created_at)
VALUES (4, {seq}, 'message', 1, 'text', '', 0)
"""

EDIT = "WHERE id = {edit}"
RECALLED = "WHERE recalled_at IS NOT NULL"
MARK = f"SELECT conversation_id, seq, 'x', user_id, seq FROM entries {RECALLED}"
PINNED = f"SELECT conversation_id, seq, user_id, seq, 0 FROM entries {RECALLED}"

CORRUPTIONS = [
    ("check.holes", "an entry is lost", "DELETE FROM entries WHERE conversation_id = 4 AND seq = 2", 4),
    ("check.holes", "the first entry is lost", "DELETE FROM entries WHERE conversation_id = 4 AND seq = 1", 4),
    ("check.holes", "the newest entry is lost", "DELETE FROM entries WHERE conversation_id = 4 AND seq = 3", 4),
    ("check.holes", "all entries are lost", "DELETE FROM entries WHERE conversation_id = 4", 4),
    ("check.holes", "an entry was not counted", SEND_BY_NOBODY.format(seq=4), 4),
    ("check.holes", "a number was skipped", "UPDATE entries SET seq = 5 WHERE conversation_id = 4 AND seq = 3", 4),
    ("check.holes", "numbers begin at 0", "UPDATE entries SET seq = 0 WHERE conversation_id = 4 AND seq = 2", 4),
    ("check.holes", "the count ran ahead", "UPDATE conversations SET last_seq = last_seq + 1 WHERE id = 4", 4),
    ("check.last_message", "no message is known", "UPDATE conversations SET last_message_seq = 0 WHERE id = 4", 4),
    (
        "check.last_message",
        "the newest message is no message",
        "UPDATE conversations SET last_message_seq = last_seq WHERE id = 1",
        1,
    ),
    ("check.pointers", "read before delivered", "UPDATE members SET delivered_seq = 1 WHERE read_seq = 2", 4),
    ("check.pointers", "read what is not there", "UPDATE members SET delivered_seq = 9 WHERE conversation_id = 4", 4),
    ("check.pointers", "read less than nothing", "UPDATE members SET read_seq = -1 WHERE conversation_id = 4", 4),
    ("check.pointers", "may see entry 0", "UPDATE members SET from_seq = 0 WHERE conversation_id = 4", 4),
    ("check.pointers", "may see only the future", "UPDATE members SET from_seq = 5 WHERE conversation_id = 4", 4),
    (
        "check.entries",
        "a message without content",
        "UPDATE entries SET content = NULL WHERE id = {message}",
        "{message}",
    ),
    ("check.entries", "a message without kind", "UPDATE entries SET kind = NULL WHERE id = {message}", "{message}"),
    ("check.entries", "an edit without content", f"UPDATE entries SET content = NULL {EDIT}", "{edit}"),
    ("check.entries", "an event without data", "UPDATE entries SET data = NULL WHERE id = {other}", "{other}"),
    (
        "check.entries",
        "an event with content",
        "UPDATE entries SET kind = 'text', content = '' WHERE id = {other}",
        "{other}",
    ),
    ("check.targets", "it is about nothing", f"UPDATE entries SET target_seq = NULL {EDIT}", "{edit}"),
    ("check.targets", "it is about no message", f"UPDATE entries SET target_seq = 1 {EDIT}", "{edit}"),
    ("check.targets", "it is about itself", f"UPDATE entries SET target_seq = seq {EDIT}", "{edit}"),
    ("check.targets", "somebody else changed it", f"UPDATE entries SET user_id = 1 {EDIT}", "{edit}"),
    (
        "check.targets",
        "a message is about another",
        "UPDATE entries SET target_seq = 1 WHERE id = {message}",
        "{message}",
    ),
    ("check.recalled", "its text stands", f"UPDATE entries SET content = 'x' {RECALLED}", "{recalled}"),
    ("check.recalled", "what it replied to stands", f"UPDATE entries SET data = '{{{{}}}}' {RECALLED}", "{recalled}"),
    ("check.recalled", "an edit of it stands", "UPDATE entries SET content = 'x' WHERE event = 'edit'", "{recalled}"),
    ("check.recalled", "nobody took it back", "UPDATE entries SET recalled_at = 1 WHERE id = {message}", "{message}"),
    ("check.recalled", "it has a reaction", f"INSERT INTO reactions {MARK}", "{recalled}"),
    ("check.recalled", "it is pinned", f"INSERT INTO pins {PINNED}", "{recalled}"),
    ("check.marks", "a reaction to no message", "UPDATE reactions SET seq = 1", 2),
    ("check.marks", "a reaction without an entry", "UPDATE reactions SET since_seq = 1", 2),
    ("check.marks", "somebody else's reaction", "UPDATE reactions SET user_id = 1", 2),
    ("check.marks", "a pin to no message", "UPDATE pins SET seq = 1", 2),
    ("check.marks", "a deletion of no message", "UPDATE deletions SET seq = 1", 2),
    ("check.indexed", "it knows more than it should", "UPDATE meta SET value = '0' WHERE name = 'indexed'", 2),
    ("check.indexed", "a message is not in it", f"UPDATE entries SET recalled_at = NULL {RECALLED}", 2),
    ("check.friends", "one direction is lost", "DELETE FROM friends WHERE user_id = 2", 1),
    ("check.friends", "the other direction is lost", "DELETE FROM friends WHERE user_id = 1", 2),
    ("check.friends_talk", "no conversation", "UPDATE conversations SET low_id = 3 WHERE id = 4", 1),
    ("check.friends_talk", "it is no direct one", "UPDATE conversations SET kind = 'self' WHERE id = 4", 1),
    ("check.friends_talk", "a friend is blocked", "INSERT INTO blocks VALUES (2, 1, 0)", 2),
    ("check.members", "a member is lost", "DELETE FROM members WHERE conversation_id = 4 AND user_id = 2", 4),
    ("check.members", "a stranger listens", LISTEN.format(4), 4),
    ("check.members", "a stranger listens to oneself", LISTEN.format(1), 1),
    ("check.members", "nobody is in one's own log", "DELETE FROM members WHERE conversation_id = 1", 1),
    ("check.members", "a self conversation of two", "UPDATE conversations SET kind = 'self' WHERE id = 4", 4),
    ("check.members", "a direct conversation of one", "UPDATE conversations SET kind = 'direct' WHERE id = 1", 1),
    ("check.members", "high before low", "UPDATE conversations SET low_id = 2, high_id = 1 WHERE id = 4", 4),
    ("check.members", "of nobody", "UPDATE conversations SET low_id = NULL, high_id = NULL WHERE id = 4", 4),
    ("check.groups", "its row is lost", "DELETE FROM groups WHERE conversation_id = 6", 6),
    ("check.groups", "it is something else", "UPDATE conversations SET kind = 'self' WHERE id = 6", 6),
    ("check.groups", "it counts one too many", "UPDATE groups SET member_count = 2", 6),
    ("check.groups", "nobody owns it", "UPDATE members SET role = 'admin' WHERE role = 'owner'", 6),
    ("check.groups", "dissolved, it has an owner", "UPDATE groups SET dissolved_at = 1, member_count = 1", 6),
    ("check.absences", "nobody was absent", "UPDATE absences SET user_id = 3", 6),
    ("check.absences", "it ends before it begins", "UPDATE absences SET from_seq = until_seq + 1", 6),
    ("check.absences", "it begins before the first stay", "UPDATE absences SET from_seq = 1", 6),
    ("check.absences", "it ends after the last stay", "UPDATE absences SET until_seq = 1000", 6),
    ("check.roles", "a friend is an admin", "UPDATE members SET role = 'admin' WHERE conversation_id = 4", 4),
    ("check.roles", "a friend has left", "UPDATE members SET until_seq = 1 WHERE conversation_id = 4", 4),
    ("check.roles", "a friend is muted", "UPDATE members SET muted_until = 1 WHERE conversation_id = 4", 4),
    ("check.roles", "who is in it keeps its title", "UPDATE members SET title = 'x' WHERE until_seq IS NULL", 6),
    ("check.roles", "who left it does not", "UPDATE members SET title = NULL", 6),
    ("check.roles", "nobody knows when", "UPDATE members SET left_at = NULL", 6),
    ("check.moments", "it is empty", "UPDATE moments SET location = NULL WHERE id = 2", 2),
    ("check.moments", "an image is lost", "DELETE FROM moment_images WHERE position = 1", 1),
    ("check.moments", "images begin at 0", "UPDATE moment_images SET position = 0 WHERE position = 2", 1),
    ("check.moments", "somebody else's image", "UPDATE files SET user_id = 2", 1),
    ("check.moments", "its image will be forgotten", "UPDATE files SET unnamed_since = 1", 1),
    ("check.moment_answers", "a reply to itself", "UPDATE moment_comments SET reply_to = id WHERE user_id = 1", 1),
    ("check.moment_answers", "it is elsewhere", "UPDATE moment_comments SET moment_id = 2 WHERE user_id = 1", 2),
    ("check.moment_answers", "a secret is liked", "UPDATE moment_likes SET moment_id = 3", 3),
    (
        "check.moment_answers",
        "somebody speaks of a secret",
        "UPDATE moment_comments SET moment_id = 3 WHERE user_id = 2",
        3,
    ),
    ("check.self_logs", "a log is lost", "DELETE FROM conversations WHERE id = 3", 3),
    (
        "check.self_logs",
        "a user was made by hand",
        "INSERT INTO users (id, username, username_key, password_hash, created_at) VALUES (9, 'x', 'x', '', 0)",
        9,
    ),
    ("check.selfish", "one's own friend", "INSERT INTO friends VALUES (3, 3, '', 0)", 3),
    ("check.selfish", "one's own enemy", "INSERT INTO blocks VALUES (3, 3, 0)", 3),
    (
        "check.selfish",
        "asking oneself",
        "INSERT INTO friend_requests (from_id, to_id, note, status, created_at) VALUES (3, 3, '', 'pending', 0)",
        3,
    ),
]
"""The rule that is to find it, what is wrong, how it is made so, and the id that is to be told."""


@pytest.mark.parametrize(
    ("rule", "sql", "told"),
    [pytest.param(rule, sql, told, id=f"{rule}: {what}") for rule, what, sql, told in CORRUPTIONS],
)
def test_a_corruption_is_found_by_its_rule(database: sqlite3.Connection, rule: str, sql: str, told: int | str) -> None:
    ids = {
        name: str(database.execute(f"SELECT MAX(id) FROM entries WHERE event {sign} 'message'").fetchone()[0])
        for name, sign in (("message", "="), ("other", "<>"))
    }
    ids["edit"] = str(database.execute("SELECT MIN(id) FROM entries WHERE event = 'edit'").fetchone()[0])
    ids["recalled"] = str(database.execute(f"SELECT id FROM entries {RECALLED}").fetchone()[0])
    database.execute(sql.format(**ids))
    assert database.execute("SELECT changes()").fetchone()[0] > 0
    lines = found(database)
    assert rule in lines
    assert str(told).format(**ids) in lines[rule].rpartition(" ids ")[2].split(", ")


def test_every_rule_has_a_corruption() -> None:
    assert {rule for rule, *_ in CORRUPTIONS} == {rule.violations.name for rule in RULES}


def test_a_rule_is_told_with_its_first_ten_ids_and_how_many_there_are(database: sqlite3.Connection) -> None:
    for number in range(100, 112):
        database.execute(
            "INSERT INTO users (id, username, username_key, password_hash, created_at) VALUES (:id, :id, :id, '', 0)",
            {"id": number},
        )
    ids = ", ".join(str(number) for number in range(100, 110))
    assert found(database) == {
        "check.self_logs": f"check.self_logs: not true that every user has a log, but who leaves: 12 times, ids {ids}"
    }


def test_what_is_wrong_is_told_in_the_order_of_the_rules(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM friends WHERE user_id = 2")
    database.execute("DELETE FROM entries WHERE conversation_id = 4 AND seq = 2")
    assert list(found(database)) == ["check.holes", "check.indexed", "check.friends"]
