"""Databases to begin with: users, friendships, groups and messages written straight into a new database file.

The full-text index knows all of it, so that no daemon begins with making that up.
What is written here passes `chatd check`; a test holds that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from chatd import config, events, fulltext
from chatd.client import new_client_id
from chatd.context import Context
from chatd.db import migrations
from chatd.db.sqlite import SqliteTransaction, drive
from chatd.hub import Hub
from chatd.session import NOBODY
from chatd.store import Store
from tests.bench.names import token_of

NAME = "chatd.db"
AGO = 24 * 60 * 60 * 1000
"""How old everything is, in milliseconds: nothing of it is news."""

_TEXT = "x" * 92
_TOGETHER = 200
"""How many are added to a group at a time."""
_STEP = 10_000
"""How many entries are indexed at a time: many more than by a daemon, which lets others write in between."""


@dataclass(frozen=True, slots=True)
class Post:
    """A moment: whose, for whom, with how many images, who likes it, and who says something to it, in order."""

    author: str
    visibility: str
    images: int
    likers: Sequence[str]
    commenters: Sequence[str]


class Seed:
    """A database being filled. Users get the ids 1, 2, 3 …, and their logs the same ids."""

    def __init__(self, connection: sqlite3.Connection, store: Store) -> None:
        self._connection = connection
        self._store = store
        self._now = time.time_ns() // 1_000_000
        self._then = self._now - AGO
        self._users: dict[str, int] = {}

    def users(self, names: Sequence[str], *, password_hash: str | None = None) -> None:
        """Add users, each with a log and a session whose token is `token_of(name)`. Once for each database.

        Without a `password_hash` no password is theirs.
        """
        self._users = {name: number for number, name in enumerate(names, 1)}
        rows = list(self._users.items())
        self._connection.executemany(
            "INSERT INTO users (id, username, username_key, password_hash, created_at) VALUES (?, ?, ?, ?, ?)",
            [(user_id, name, name, password_hash or "-", self._then) for name, user_id in rows],
        )
        self._connection.executemany(
            "INSERT INTO sessions (user_id, token_hash, created_at, last_used_at) VALUES (?, ?, ?, ?)",
            [
                (user_id, hashlib.sha256(token_of(name).encode()).digest(), self._then, self._now)
                for name, user_id in rows
            ],
        )
        for user_id in self._users.values():
            self._conversation("self", user_id, user_id)

    def friends(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        """Make each pair friends. Returns the ids of their conversations, in order."""
        made = []
        for one, other in pairs:
            low, high = sorted((self._users[one], self._users[other]))
            self._connection.executemany(
                "INSERT INTO friends (user_id, friend_id, created_at) VALUES (?, ?, ?)",
                [(low, high, self._then), (high, low, self._then)],
            )
            made.append(self._conversation("direct", low, high))
        return made

    def _conversation(self, kind: str, low: int, high: int) -> int:
        row = self._connection.execute(
            """
            INSERT INTO conversations (kind, low_id, high_id, last_at, created_at)
            VALUES (?, ?, ?, ?, ?) RETURNING id
            """,
            (kind, low, high, self._then, self._then),
        ).fetchone()
        self._connection.executemany(
            "INSERT INTO members (conversation_id, user_id, from_seq, joined_at, moved_at) VALUES (?, ?, 1, ?, ?)",
            [(row[0], user_id, self._then, self._then) for user_id in sorted({low, high})],
        )
        return int(row[0])

    def group(self, names: Sequence[str]) -> int:
        """Make a group: the first made it and owns it, and has added the others. Returns its conversation's id."""
        owner, *others = (events.Person(user_id=self._users[name], username=name) for name in names)
        lots = [tuple(others[first : first + _TOGETHER]) for first in range(0, len(others), _TOGETHER)]
        by_user_id, by_username = owner.user_id, owner.username
        log: list[events.Group | events.Member] = [
            events.Group("created", by_user_id, by_username, title="Everybody", notice="", joining="invite"),
            *(events.Member("added", lot, by_user_id, by_username) for lot in lots),
        ]
        (conversation_id,) = self._connection.execute(
            """
            INSERT INTO conversations (kind, last_seq, last_at, created_at)
            VALUES ('group', ?, ?, ?) RETURNING id
            """,
            (len(log), self._then, self._then),
        ).fetchone()
        self._connection.execute(
            """
            INSERT INTO groups (conversation_id, title, title_key, joining, member_count)
            VALUES (?, 'Everybody', 'everybody', 'invite', ?)
            """,
            (conversation_id, len(names)),
        )
        self._connection.executemany(
            "INSERT INTO entries (conversation_id, seq, event, user_id, data, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (conversation_id, seq, events.NAMES[type(event)], by_user_id, orjson.dumps(event).decode(), self._then)
                for seq, event in enumerate(log, 1)
            ],
        )
        self._connection.executemany(
            """
            INSERT INTO members (conversation_id, user_id, role, from_seq, read_seq, delivered_seq, joined_at, moved_at)
            VALUES (?1, ?2, ?3, ?4, ?4 - 1, ?4 - 1, ?5, ?5)
            """,
            [
                (conversation_id, user.user_id, role, seq, self._then)
                for seq, (role, lot) in enumerate([("owner", (owner,)), *(("member", lot) for lot in lots)], 1)
                for user in lot
            ],
        )
        return int(conversation_id)

    def messages(self, conversation_ids: Sequence[int], count: int, *, remembered: bool) -> None:
        """Write `count` messages in all, in turn into these conversations and by each of their members.

        All are read. `remembered`: as if each had come with a client_id, which is kept for ever.
        """
        share = len(conversation_ids)
        said = ((conversation_ids[number % share], f"{number:07} {_TEXT}") for number in range(count))
        self.texts(said, remembered=remembered)

    def texts(self, said: Iterable[tuple[int, str]], *, remembered: bool) -> None:
        """Write messages in this order: to which conversation, by each of its members in turn, and what."""
        members: dict[int, list[int]] = {}
        for conversation_id, user_id in self._connection.execute("SELECT conversation_id, user_id FROM members"):
            members.setdefault(conversation_id, []).append(user_id)
        last = dict(self._connection.execute("SELECT id, last_seq FROM conversations"))

        def entries() -> Iterator[tuple[int, int, int, str | None, str, int]]:
            for conversation_id, content in said:
                seq = last[conversation_id] = last[conversation_id] + 1
                authors = members[conversation_id]
                client_id = new_client_id() if remembered else None
                yield conversation_id, seq, authors[seq % len(authors)], client_id, content, self._then

        self._connection.executemany(
            """
            INSERT INTO entries (conversation_id, seq, event, user_id, client_id, kind, content, created_at)
            VALUES (?, ?, 'message', ?, ?, 'text', ?, ?)
            """,
            entries(),
        )
        if remembered:
            self._connection.execute(
                """
                INSERT INTO requests (user_id, client_id, digest, reply)
                SELECT user_id, client_id, randomblob(16),
                       json_object('message_id', id, 'conversation_id', conversation_id, 'seq', seq,
                                   'created_at', '2026-01-31T12:00:00.000Z')
                FROM entries WHERE client_id IS NOT NULL ORDER BY client_id, user_id
                """
            )
        self._connection.execute(
            """
            UPDATE conversations SET (last_seq, last_message_seq) =
                (SELECT COALESCE(MAX(e.seq), 0), COALESCE(MAX(e.seq) FILTER (WHERE e.event = 'message'), 0)
                 FROM entries e WHERE e.conversation_id = conversations.id)
            """
        )
        self._connection.execute(
            """
            UPDATE members SET (read_seq, delivered_seq) =
                (SELECT last_seq, last_seq FROM conversations c WHERE c.id = members.conversation_id)
            """
        )

    def posts(self, posts: Iterable[Post]) -> None:
        """Write moments, in this order. They get the ids 1, 2, 3 … Once for each database."""
        pictures: dict[str, int] = {}
        for moment_id, post in enumerate(posts, 1):
            author = self._users[post.author]
            self._connection.execute(
                "INSERT INTO moments (id, user_id, content, visibility, created_at) VALUES (?, ?, ?, ?, ?)",
                (moment_id, author, _TEXT, post.visibility, self._then),
            )
            if post.images and post.author not in pictures:
                picture = post.author.encode()
                digest = hashlib.sha256(picture).hexdigest()
                self._store.keep_bytes(picture, digest)
                (pictures[post.author],) = self._connection.execute(
                    """
                    INSERT INTO files (user_id, name, type, size, width, height, sha256, created_at)
                    VALUES (?, 'seen.jpg', 'image/jpeg', ?, 640, 480, ?, ?) RETURNING id
                    """,
                    (author, len(picture), digest, self._then),
                ).fetchone()
            self._connection.executemany(
                "INSERT INTO moment_images (moment_id, position, file_id) VALUES (?, ?, ?)",
                [(moment_id, position, pictures[post.author]) for position in range(1, post.images + 1)],
            )
            self._connection.executemany(
                "INSERT INTO moment_likes (moment_id, user_id, liked_at) VALUES (?, ?, ?)",
                [(moment_id, self._users[name], self._then) for name in post.likers],
            )
            self._connection.executemany(
                "INSERT INTO moment_comments (moment_id, user_id, content, created_at) VALUES (?, ?, ?, ?)",
                [(moment_id, self._users[name], _TEXT, self._then) for name in post.commenters],
            )

    def index(self) -> None:
        """Have the full-text index know everything, as a daemon does after a while."""
        with contextlib.closing(self._connection.cursor()) as cursor:
            cursor.row_factory = sqlite3.Row
            ctx = Context(SqliteTransaction(cursor), config.Config(), NOBODY, self._now, Hub())
            drive(fulltext.begin(ctx))
            while drive(fulltext.index_next(ctx, _STEP)):
                pass


@contextlib.contextmanager
def seeding(folder: Path) -> Iterator[Seed]:
    """A new database in a folder, to be filled. It is on disk afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    migrations.prepare(path, config.shipped("schema.sql").read_text(encoding="utf-8"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        seed = Seed(connection, Store(folder))
        yield seed
        seed.index()
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    _to_disk(path)


def copied(source: Path, target: Path) -> Path:
    """A copy of a seeded folder in another one, which it returns: each run begins with the same."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    _to_disk(target / NAME)
    return target


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
