"""PostgreSQL takes the same schema and the same queries, and answers as SQLite does."""

from __future__ import annotations

import ast
import contextlib
import importlib
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

import chatd
import chatd.cli
import chatd.db.check
import chatd.dispatch
import chatd.housekeeping
import chatd.ops
import chatd.retries
from chatd import (
    access,
    catchup,
    compose,
    config,
    filing,
    fulltext,
    invites,
    log,
    moment_views,
    names,
    recognition,
    relations,
    sessions,
    uploads,
    users,
)
from chatd.context import Context, Placed, Row, Transaction
from chatd.db.query import QUERIES, Query, schema_for_postgres
from chatd.db.sqlite import SqliteTransaction
from chatd.erasing import Eraser
from chatd.errors import BadCode, BadToken, NotFound, TooFast
from chatd.hub import Hub
from chatd.issuer import Issuer, Vouched
from chatd.ops import (
    accounts,
    blocks,
    codes,
    conversations,
    files,
    friend_requests,
    friends,
    group_joining,
    group_members,
    groups,
    leaving,
    moment_answers,
    moments,
    profiles,
    receipts,
    search,
    uploading,
)
from chatd.ops import history as reading
from chatd.ops import message_changes as changes
from chatd.pointers import move_pointers
from chatd.session import NOBODY, Identity
from tests.db.postgres import NotInstalled, PostgresTransaction, Server, serving
from tests.support import PASSWORD

PACKAGE = Path(chatd.__file__).parent
SCHEMA = config.shipped("schema.sql").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(serving())
        except NotInstalled as reason:
            pytest.skip(str(reason))
        yield running


@pytest.fixture
async def postgres(server: Server) -> AsyncIterator[Any]:
    """A connection to a database that has the schema."""
    async with server.database() as connection:
        await connection.execute(schema_for_postgres(SCHEMA))
        yield connection


@pytest.fixture
def sqlite() -> Iterator[sqlite3.Connection]:
    """A connection to a database that has the schema."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


def code() -> Iterator[tuple[str, ast.AST]]:
    """Every node of chatd's syntax trees, with the module it stands in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield module, node


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Every call of a function of this name."""
    found = []
    for module, node in code():
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if called == name:
                found.append((module, node))
    return found


def importers(name: str) -> set[str]:
    """Every module that imports this name."""
    return {module for module, node in code() if isinstance(node, ast.alias) and node.name == name}


def shipped_queries() -> list[Query]:
    """Every query that stands in chatd's code, by name. (`QUERIES` may also have some that other tests made.)"""
    names = []
    for module, call in calls("query"):
        text = call.args[0]
        assert isinstance(text, ast.Constant), f"{module}, line {call.lineno}: SQL is not built from strings"
        assert isinstance(text.value, str)
        match = re.match(r"\s*/\* (\S+) \*/", text.value)
        assert match is not None, f"{module}, line {call.lineno}: the query has no name"
        importlib.import_module(module)
        names.append(match.group(1))
    for name, module in DIALECTS.items():
        importlib.import_module(module)
        names.append(name)
    return [QUERIES[name] for name in sorted(names)]


# The one escape hatch

DIALECTS = (
    {"log.next_ids": "chatd.log"}
    | dict.fromkeys(
        [
            "fulltext.add",
            "fulltext.by_hand",
            "fulltext.candidates",
            "fulltext.clear",
            "fulltext.last_candidate",
            "fulltext.merge",
            "fulltext.remove",
        ],
        "chatd.fulltext",
    )
    | {"check.indexed": "chatd.db.check"}
)
"""Every query made by `by_dialect`: its name, and the module it stands in."""


def test_no_query_but_those_listed_here_has_a_text_per_database() -> None:
    uses = [module for module, _ in calls("by_dialect") if module != "chatd.db.query"]
    assert uses == sorted(DIALECTS.values())
    assert importers("by_dialect") == set(uses)  # nor under another name


@pytest.mark.parametrize(
    "query", [query for query in shipped_queries() if query.name not in DIALECTS], ids=lambda q: q.name
)
def test_the_two_texts_of_a_query_differ_in_parameters_alone(query: Query) -> None:
    text = re.sub(r"IN \(SELECT value FROM json_each\((:[a-z_]+)\)\)", r"= ANY(\1)", query.sqlite)
    for number, name in enumerate(query.parameters, start=1):
        text = re.sub(rf":{name}\b", f"${number}", text)
    assert text == query.postgres


# The schema


Columns = set[tuple[str, int, str, str]]


def columns_in_sqlite(connection: sqlite3.Connection) -> Columns:
    types = {"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea"}
    return {
        (table, position, column, types[kind])
        for table, position, column, kind in connection.execute(
            """
            SELECT t.name, c.cid + 1, c.name, c.type FROM sqlite_schema t, pragma_table_info(t.name) c
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'search' AND t.name NOT LIKE 'search_%'
            """
        )
    }


async def columns_in_postgres(connection: Any) -> Columns:
    rows = await connection.fetch(
        """
        SELECT c.table_name, c.ordinal_position, c.column_name, c.data_type
        FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
        WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
        """
    )
    return {tuple(row) for row in rows}


SEARCH = {("search", 1, "id", "bigint"), ("search", 2, "tokens", "tsvector")}
"""In place of SQLite's virtual table."""


async def test_postgres_has_the_tables_and_columns_that_sqlite_has(postgres: Any, sqlite: sqlite3.Connection) -> None:
    assert await columns_in_postgres(postgres) == columns_in_sqlite(sqlite) | SEARCH


async def test_postgres_has_the_views_and_named_indexes_that_sqlite_has(
    postgres: Any, sqlite: sqlite3.Connection
) -> None:
    in_sqlite = sqlite.execute("SELECT name FROM sqlite_schema WHERE type IN ('view', 'index') AND sql IS NOT NULL")
    in_postgres = await postgres.fetch(
        """
        SELECT viewname::text AS name FROM pg_views WHERE schemaname = 'public'
        UNION SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
              LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid
              WHERE n.nspname = 'public' AND k.oid IS NULL
        """
    )
    assert {row["name"] for row in in_postgres} == {row["name"] for row in in_sqlite} | {"search_by_tokens"}


async def test_postgres_has_the_foreign_keys_that_sqlite_has(postgres: Any, sqlite: sqlite3.Connection) -> None:
    in_sqlite = sqlite.execute(
        """
        SELECT t.name, f."from", f."table", f."to" FROM sqlite_schema t, pragma_foreign_key_list(t.name) f
        WHERE t.type = 'table'
        """
    )
    in_postgres = await postgres.fetch(
        """
        SELECT k.conrelid::regclass::text, a.attname::text, k.confrelid::regclass::text, b.attname::text
        FROM pg_constraint k
        CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS pair (mine, theirs)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.mine
        JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = pair.theirs
        WHERE k.contype = 'f'
        """
    )
    assert sorted(tuple(row) for row in in_postgres) == sorted(tuple(row) for row in in_sqlite)


# Every query


async def test_postgres_prepares_every_query(postgres: Any) -> None:
    refused = {}
    for query in shipped_queries():
        try:
            prepared = await postgres.prepare(query.postgres)
        except Exception as error:
            refused[query.name] = str(error)
            continue
        types = prepared.get_parameters()
        lists = {name for name, type_ in zip(query.parameters, types, strict=False) if type_.kind == "array"}
        if len(types) != len(query.parameters):
            refused[query.name] = f"it has {len(types)} parameters, not {query.parameters}"
        elif lists != query.lists:
            refused[query.name] = f"it wants lists for {lists}, not for {set(query.lists)}"
    assert refused == {}


async def test_a_select_names_its_columns_alike_on_both(postgres: Any, sqlite: sqlite3.Connection) -> None:
    differ = {}
    for query in shipped_queries():
        if not re.search(r"\*/\s*SELECT\b", query.sqlite):
            continue
        values: dict[str, Any] = {name: [] if name in query.lists else 0 for name in query.parameters}
        description = sqlite.execute(query.sqlite, query.for_sqlite(values)).description
        on_sqlite = [column[0] for column in description]
        on_postgres = [attribute.name for attribute in (await postgres.prepare(query.postgres)).get_attributes()]
        if on_sqlite != on_postgres:
            differ[query.name] = (on_sqlite, on_postgres)
    assert differ == {}


# The same story on both


class Recorder:
    """A `Transaction` that keeps the name and the answer of each query."""

    def __init__(self, db: Transaction) -> None:
        self._db = db
        self.heard: list[tuple[str, Any]] = []

    def _keep(self, query: Query, rows: Sequence[Row]) -> None:
        told: list[dict[str, Any]] = [dict(row) for row in rows]
        if "ORDER BY" not in query.sqlite:
            told.sort(key=repr)
        self.heard.append((query.name, told))

    async def one(self, query: Query, /, **values: Any) -> Row | None:
        row = await self._db.one(query, **values)
        self._keep(query, [] if row is None else [row])
        return row

    async def all(self, query: Query, /, **values: Any) -> Sequence[Row]:
        rows = await self._db.all(query, **values)
        self._keep(query, rows)
        return rows

    async def run(self, query: Query, /, **values: Any) -> int:
        changed = await self._db.run(query, **values)
        if not query.name.startswith("fulltext."):  # FTS5 counts its commands as rows
            self.heard.append((query.name, changed))
        return changed

    async def many(self, query: Query, /, **columns: Sequence[Any]) -> int:
        changed = await self._db.many(query, **columns)
        self.heard.append((query.name, changed))
        return changed


async def story(db: Transaction) -> None:  # noqa: PLR0915  (it is one story)
    """Three people meet, talk, read, log in and out, fall out: the code of the ops, in one transaction."""

    def context(identity: Identity, now: int) -> Context:
        return Context(db=db, config=config.Config(), identity=identity, now=1_700_000_000_000 + now, hub=Hub())

    people: list[Identity] = []
    for username, email in (("Ada", "ada@example.org"), ("bob", None), ("陈小明", None)):
        guest = context(NOBODY, now=len(people))
        user_id = await users.add_user(guest, username=username, password_hash="hash", email=email)
        people.append(Identity(user_id=user_id, username=username, session_id=0))
    ada, bob, chen = people
    invite = await invites.make(context(ada, now=3), user_id=ada.user_id, uses=1, hours=1, note="")
    assert await invites.use(context(NOBODY, now=4), invite.token) == ada.user_id
    with pytest.raises(Exception, match="is still valid"):
        await invites.use(context(NOBODY, now=4), invite.token)
    zoe = await users.add_user(
        context(NOBODY, now=4), username="Zoë", password_hash=None, issuer="https://issuer.test", subject="7"
    )
    with pytest.raises(Exception, match="is taken"):
        await users.add_user(context(NOBODY, now=3), username="ADA", password_hash="hash")

    other = await db.one(access.USER_BY_KEY, key="bob")
    assert other is not None
    talk = await relations.befriend(context(ada, now=10), other)
    notes = await db.one(access.CONVERSATION_WITH_USER, low_id=ada.user_id, high_id=ada.user_id)
    assert notes is not None
    for number, (author, conversation_id, peer, content) in enumerate(
        [
            (ada, talk, bob, "hello 'quoted' :name $1 你好 🙂"),
            (bob, talk, ada, "x" * 8192),
            (ada, talk, bob, " "),
            (ada, notes["id"], None, "to myself"),
        ]
    ):
        ctx = context(author, now=20 + number)
        ctx.client_id = f"c{number}" if peer is bob else None
        peer_id = None if peer is None else peer.user_id
        hearers = (author.user_id,) if peer_id is None else (peer_id, author.user_id)
        await log.post([log.Draft(ctx, conversation_id, "text", content, {}, hearers)] * 2)

    for viewer in people:
        ctx = context(viewer, now=30)
        me = viewer.user_id
        synced = await catchup.catch_up(ctx, cursors={talk: 1}, since=None, epoch=None)
        assert synced.epoch == "e"
        everything = 2**62
        await db.all(conversations.CONVERSATIONS, me=me, before_at=everything, before_id=0, most=50)
        await db.all(receipts.UNREAD, me=me)
        await db.all(reading.UNREAD, me=me, after=0, most=50)
        await db.all(friends.FRIENDS, me=me, after="", most=50)
        await db.all(friends.UNREAD, me=me, ids=[talk])
        await db.all(profiles.SEARCH, q="ada@example.org", q_end="ada@example.orh", after="", most=50)
        await db.all(profiles.SEARCH, q="a", q_end="b", after="", most=50)
    membership = await access.Member().check(context(bob, now=40), reading.History(conversation_id=talk))
    await move_pointers(context(bob, now=40), membership, read_seq=1)
    await db.all(catchup.HEADS, me=ada.user_id, after=0, most=50)
    await db.run(profiles.SET_PROFILE, user_id=bob.user_id, bio="new", receipts=0, **dict.fromkeys(UNCHANGED))
    await db.all(catchup.HEADS, me=ada.user_id, after=0, most=50)
    for email in ("ADA@example.org", "bob@example.org", None):
        key = None if email is None else names.key(email)
        owner = {"user_id": bob.user_id, "password_hash": "hash"}
        await db.run(accounts.SET_EMAIL, **owner, email=email, email_key=key)
        await db.one(access.USER_BY_ID, id=bob.user_id)

    vouched = Vouched("https://issuer.test", "7", "Zoë", None, None, b"\x00\xff", 1_700_000_000_100)
    await recognition._admit(context(NOBODY, now=49), vouched, cast(Issuer, None))
    opened = [
        (await sessions.open_session(ctx, user_id=ada.user_id, username="Ada", device=device, lang="en", tell=True))[1]
        for ctx, device in ((context(ada, now=50), "phone"), (context(ada, now=51), None), (context(ada, now=52), "x"))
    ]
    await sessions.touch_sessions(context(ada, now=60), [opened[0], opened[2], 4711])
    await sessions.my_sessions(context(ada, now=60))
    await sessions.end_sessions(context(ada, now=61), ada.user_id, opened[:2])
    await db.all(chatd.housekeeping.VALID, ids=[*opened, 4711])
    await db.all(chatd.housekeeping.VALID, ids=[])
    for number, email in enumerate(("ada@example.org", "nobody@example.org")):
        await _codes(context(NOBODY, now=62 + 2 * number), context(NOBODY, now=63 + 2 * number), email)
    await db.run(chatd.housekeeping.EXPIRE, oldest=1_700_000_000_060)
    await recognition._admit(context(NOBODY, now=71), vouched, cast(Issuer, None))
    await db.all(sessions.MY_SESSIONS, user_id=zoe)
    await db.run(chatd.cli.END_TOKENS, id=zoe)
    with pytest.raises(BadToken):
        await recognition._admit(context(NOBODY, now=72), vouched, cast(Issuer, None))
    for now in (1_700_000_000_099, 1_700_000_000_100):
        await db.one(chatd.housekeeping.EXPIRED, now=now)
        await db.all(chatd.housekeeping.END_EXPIRED, now=now)
        await db.run(chatd.housekeeping.FORGET_TOKENS, before=now)

    for note in ("once", "twice"):
        await db.one(friend_requests.REQUEST, from_id=chen.user_id, to_id=ada.user_id, note=note, now=1_700_000_000_070)
    for status in (None, "pending", "rejected"):
        await db.all(friend_requests.RECEIVED, me=ada.user_id, status=status, before=2**62, most=50)
    for _ in range(2):
        await db.run(blocks.BLOCK, me=ada.user_id, other=chen.user_id, now=1_700_000_000_080)
    await db.all(friend_requests.RECEIVED, me=ada.user_id, status=None, before=2**62, most=50)
    await db.one(friend_requests.RELATION, me=chen.user_id, other=ada.user_id)
    await _group(context(ada, now=90), context(bob, now=91), context(chen, now=92))
    await db.all(chatd.cli.USERS)
    await db.all(chatd.cli.CONTENTS)
    await db.all(chatd.cli.UPLOADS)
    assert await chatd.db.check.violations(db) == []
    for identity in (bob, ada):
        leaver = context(identity, now=89)
        row = await leaving._me(leaver, identity.user_id)
        assert row is not None
        await leaving.account_delete(leaver, leaving.AccountDelete(), row["password_hash"])
    await _goodbye(context(NOBODY, now=90))
    await db.all(chatd.cli.USERS)


async def _codes(guest: Context, later: Context, email: str) -> None:
    """Codes are sent, guessed at, used and forgotten; to nobody's address as to anybody's."""
    new = codes.NewCode("123456", "hash")
    await codes.send_code(guest, codes.SendCode(email, "reset"), new)
    with pytest.raises(TooFast):
        await codes.send_code(later, codes.SendCode(email, "login"), new)
    for most, oldest in ((2, guest.now - 1), (2, guest.now - 1), (2, guest.now - 1), (9, guest.now)):
        await guest.db.one(codes.TAKE_ATTEMPT, key=email, purpose="reset", most=most, oldest=oldest)
    proved = codes.Proved(email, "hash", "new hash")
    with contextlib.suppress(BadCode):
        await codes.reset_password(later, codes.ResetPassword(email, "123456", PASSWORD), proved)
    later.now += codes.LIFE
    for _ in range(2):
        await codes.send_code(later, codes.SendCode(email, "login"), new)
        later.now += codes.LIFE
    await guest.db.one(codes.LAST_SENT, key=email)
    await guest.db.run(chatd.housekeeping.FORGET_CODES, oldest=later.now)


async def _group(ada: Context, bob: Context, chen: Context) -> None:
    """Ada's group: bob comes, goes and comes back, chen asks and is let in, each changes something, all is read."""
    made = await groups.group_create(ada, groups.GroupCreate(title="Climbing", members=("bob",), joining="approve"))
    group = made.conversation_id
    await groups.group_update(ada, groups.GroupUpdate(group, notice="Sundays"), await access.membership(ada, group))
    leave = group_members.GroupLeave(group)
    await group_members.group_leave(bob, leave, await access.membership(bob, group))
    await log.post([log.Draft(ada, group, "text", "gone", {}, None)])
    link = {"token": "t", "me": ada.user_id, "uses": 2, "expires_at": ada.now + 1000, "now": ada.now}
    await ada.db.one(group_joining.MAKE, conversation_id=group, **link)
    await group_joining.group_join(bob, group_joining.GroupJoin(token="t"))
    await group_joining.group_join(chen, group_joining.GroupJoin(group, note="It is chen."))
    place = await access.membership(ada, group)
    await group_joining.group_requests(ada, group_joining.GroupRequests(group), place)
    await group_joining.group_respond(ada, group_joining.GroupRespond(group, accept=True, user_id=chen.user_id), place)
    await group_members.group_role(ada, group_members.GroupRole(group, "admin", user="bob"), place)
    await group_members.group_mute(ada, group_members.GroupMute(group, user="bob", until="2099-01-01T00:00:00Z"), place)
    await group_joining.group_links(ada, group_joining.GroupLinks(group), place)
    await ada.db.run(group_joining.FORGET, conversation_id=group, now=ada.now + 2000)
    await _messages(group, ada, bob, chen)
    await _files(group, ada, bob, chen)
    for ctx in (ada, bob, chen):
        at = await access.membership(ctx, group)
        await conversations.conversation_set(ctx, conversations.ConversationSet(group, silent=True), at)
        await reading.history(ctx, reading.History(group), at)
        await reading.history(ctx, reading.History(group, after_seq=1), at)
        await group_members.group_members(ctx, group_members.GroupMembers(group), at)
        await groups.groups(ctx, groups.Groups())
        await groups.group_search(ctx, groups.GroupSearch("climb"))
        await catchup.catch_up(ctx, cursors={group: 0}, since=None, epoch=None)
        await ctx.db.all(conversations.CONVERSATIONS, me=ctx.user_id, before_at=2**62, before_id=0, most=50)
    await group_members.group_leave(ada, leave, await access.membership(ada, group))
    await groups.group_dissolve(bob, groups.GroupDissolve(group), await access.membership(bob, group))
    await ada.db.all(catchup.HEADS, me=ada.user_id, after=0, most=50)
    await _retries(ada.db, ada.user_id)


async def _files(group: int, ada: Context, bob: Context, chen: Context) -> None:
    """What is uploaded, named by a message, recalled, and left over."""
    picture = Placed("ab" * 32, 9, "image/png", 3, 4, None, "cd" * 32)
    made = []
    for name in ("sun.png", "moon.png", "star.png", "given up"):
        assert (await ada.db.one(uploading.COUNT, me=ada.user_id, now=ada.now)) is not None
        begun = {"token": name, "name": name, "size": 9, "expires_at": ada.now + 1000}
        await ada.db.run(uploading.BEGIN, me=ada.user_id, **begun)
        await uploading.upload_resume(ada, uploading.UploadResume(name), 9)
        assert await uploads._known(ada, [name]) == {name}
        if name == "given up":
            await uploading.upload_cancel(ada, uploading.UploadCancel(name), None)
            continue
        made.append(await uploading.upload_end(ada, uploading.UploadEnd(name), picture))
        assert await uploading.upload_end(ada, uploading.UploadEnd(name), None) == made[-1]
    at = await access.membership(ada, group)
    extras = await compose.extras_of(ada, at, kind="image", file_id=made[0].file_id, reply_to=None, mentions=[])
    ((message_id, _),) = await log.post([log.Draft(ada, group, "image", "", extras, None)])
    assert (await files.file_get(bob, files.FileGet(made[0].file_id))).name == "sun.png"
    with pytest.raises(NotFound):
        await files.file_get(bob, files.FileGet(made[1].file_id))
    sent = await files.files(bob, files.Files(conversation_id=group), await access.membership(bob, group))
    assert [one.file.name for one in sent.files] == ["sun.png"]
    await changes.recall(
        ada, changes.Recall(message_id), await access.OfMessage().check(ada, reading.Edits(message_id))
    )
    assert ada.discarded == ["ab" * 32, "cd" * 32]
    assert await filing.held(ada, ada.discarded) == set(ada.discarded)  # by the moon
    await _moments(ada, bob, chen, made[2].file_id)
    assert await filing.by_id(ada, made[2].file_id) is None
    ada.now += 25 * 3_600_000
    assert sorted(await filing.forget_stale(ada)) == ["ab" * 32, "cd" * 32]
    assert await filing.forget_stale(ada) == []
    assert await filing.held(ada, ada.discarded) == set()
    assert await uploads._expire(ada) == []  # they went with their files


async def _moments(ada: Context, bob: Context, chen: Context, star: int) -> None:
    """Ada posts; bob is her friend, chen blocked by her. All look at everything, at first and at the end."""
    posts = (
        moments.MomentPost("the lake", images=(star, star), visibility="all"),
        moments.MomentPost(location="geo:48.2010,16.3695 a place"),
        moments.MomentPost("Dear diary", visibility="private"),
    )
    lake, place, diary = [(await moments.moment_post(ada, post)).moment_id for post in posts]
    theirs = (await moments.moment_post(chen, moments.MomentPost("mine", visibility="all"))).moment_id
    for on in (True, True, False, True):
        await moment_answers.moment_like(bob, moment_answers.MomentLike(lake, on))
    await moment_answers.moment_like(ada, moment_answers.MomentLike(lake))
    first = await moment_answers.moment_comment(bob, moment_answers.MomentComment(lake, "nice"))
    second = await moment_answers.moment_comment(ada, moment_answers.MomentComment(lake, "is it not", first.comment_id))
    await moment_answers.moment_comment(bob, moment_answers.MomentComment(lake, "it is", second.comment_id))
    await moment_answers.moment_comment(bob, moment_answers.MomentComment(theirs, "hi"))
    for is_over in (False, True):
        if is_over:
            await moment_answers.moment_comment_delete(bob, moment_answers.MomentCommentDelete(first.comment_id))
            await moments.moment_delete(ada, moments.MomentDelete(diary))
        for ctx in (ada, bob, chen):
            for before in (None, place):
                await moments.moments(ctx, moments.Moments(before, 1))
                await moments.moments_of(ctx, moments.MomentsOf(user="ada", before_moment_id=before))
            for moment_id in (lake, place, diary):
                with contextlib.suppress(NotFound):
                    await moments.moment_get(ctx, moments.MomentGet(moment_id))
                    await moment_answers.moment_comments(ctx, moment_answers.MomentComments(moment_id, limit=2))
                    await moment_answers.moment_likes(ctx, moment_answers.MomentLikes(moment_id))
            with contextlib.suppress(NotFound):
                await files.file_get(ctx, files.FileGet(star))
            at = {"me": ctx.user_id, "moment_id": lake}
            await ctx.db.one(moment_views.LIKES_OF_MINE, most=1, **at)
            await ctx.db.one(moment_views.LIKES_BY_KNOWN, others=[ctx.user_id, ada.user_id], **at)
    await moments.moment_delete(ada, moments.MomentDelete(lake))


async def _goodbye(ctx: Context) -> None:
    """Everybody deletes their account."""
    eraser = Eraser(None, None, None)  # type: ignore[arg-type]  # of them only steps are asked
    for _ in range(200):
        more, _ctx = await eraser.step(ctx)
        if not more:
            return
    raise AssertionError("erasing has no end")


async def _messages(group: int, ada: Context, bob: Context, chen: Context) -> None:
    """What may be done with a message, by those who may."""

    async def about(ctx: Context, message_id: int) -> access.Target:
        return await access.OfMessage().check(ctx, reading.Edits(message_id))

    extras = await compose.extras_of(
        ada,
        await access.membership(ada, group),
        kind="text",
        file_id=None,
        reply_to=None,
        mentions=["BOB", "陈小明", "@all"],
    )
    drafts = [log.Draft(ada, group, "text", content, extras, None) for content in ("one", "two", "three")]
    one, two, three = [message_id for message_id, _ in await log.post(drafts)]
    at = await access.membership(bob, group)
    reply = await compose.extras_of(bob, at, kind="text", file_id=None, reply_to=one, mentions=[])
    await log.post([log.Draft(bob, group, "text", "to one", reply, None)])
    for text in ("uno", "eins"):
        await changes.edit(ada, changes.Edit(one, text), await about(ada, one))
    for ctx, emoji in ((bob, "👍"), (chen, "👍"), (chen, "😀"), (chen, "😀")):
        await changes.react(ctx, changes.React(one, emoji), await about(ctx, one))
    await changes.react(chen, changes.React(one, "😀", on=False), await about(chen, one))
    await changes.pin(ada, changes.Pin(one), await about(ada, one))
    await changes.pin(ada, changes.Pin(two), await about(ada, two))
    await changes.delete(bob, changes.Delete(three), await about(bob, three))
    await changes.edit(ada, changes.Edit(two, "zwei"), await about(ada, two))
    await changes.recall(ada, changes.Recall(two), await about(ada, two))
    await move_pointers(bob, await access.membership(bob, group), read_seq=2**40)
    for ctx in (ada, bob, chen):
        at = await access.membership(ctx, group)
        await reading.pins(ctx, reading.Pins(group), at)
        await reading.edits(ctx, reading.Edits(one), await about(ctx, one))
        await reading.edits(ctx, reading.Edits(two), await about(ctx, two))
        await reading.get(ctx, reading.Get())
    await receipts.receipts(ada, receipts.Receipts(one), await about(ada, one))
    await fulltext.begin(ada)
    for steps in (5, 1000):
        await fulltext.index_next(ada, steps)
        for ctx in (ada, bob, chen):
            for q in ("one", "eins hell", "你好 🙂", "nowhere", "to AND the OR", "x"):
                await search.search(ctx, search.Search(q))
                await search.search(ctx, search.Search(q, conversation_id=group, from_user="Ada", limit=1))
    await changes.recall(ada, changes.Recall(one), await about(ada, one))
    await search.search(bob, search.Search("eins"))
    await fulltext.begin(ada)


async def _retries(db: Transaction, user_id: int) -> None:
    answer = {"user_id": user_id, "client_id": "c0", "digest": b"\x00\xff", "reply": "{}"}
    await db.run(chatd.retries.ANSWER, **answer)
    again = {name: [value, value] for name, value in answer.items()}
    await db.many(chatd.retries.ANSWER, **again | {"client_id": ["c1", "c0"]})
    await db.one(chatd.retries.ANSWERED, user_id=user_id, client_id="c0")


UNCHANGED = ("nickname", "nickname_key", "avatar", "phone", "lang", "friend_policy", "find_by_email")
EPOCH = "INSERT INTO meta (name, value) VALUES ('epoch', 'e'), ('version', '1')"


async def test_the_same_story_has_the_same_rows_on_both(postgres: Any, sqlite: sqlite3.Connection) -> None:
    sqlite.execute(EPOCH)
    with contextlib.closing(sqlite.cursor()) as cursor:
        on_sqlite = Recorder(SqliteTransaction(cursor))
        await story(on_sqlite)

    await postgres.execute(EPOCH)
    on_postgres = Recorder(PostgresTransaction(postgres))
    async with postgres.transaction():
        await story(on_postgres)

    assert on_postgres.heard == on_sqlite.heard


CORRUPT = (
    "INSERT INTO users (id, username, username_key, password_hash, created_at) VALUES (1, 'a', 'a', '', 0)",
    """
    INSERT INTO conversations (id, kind, low_id, high_id, last_seq, last_message_seq, last_at, created_at)
    VALUES (7, 'self', 1, 1, 2, 1, 0, 0)
    """,
    """
    INSERT INTO members (conversation_id, user_id, from_seq, read_seq, joined_at, moved_at) VALUES (7, 1, 1, 2, 0, 0)
    """,
    "INSERT INTO entries (conversation_id, seq, event, user_id, kind, created_at) VALUES (7, 2, 'message', 1, '', 0)",
    "INSERT INTO friends (user_id, friend_id, created_at) VALUES (1, 1, 0)",
)


async def test_both_find_the_same_corruption(postgres: Any, sqlite: sqlite3.Connection) -> None:
    for statement in CORRUPT:
        sqlite.execute(statement)
        await postgres.execute(statement)

    with contextlib.closing(sqlite.cursor()) as cursor:
        on_sqlite = await chatd.db.check.violations(SqliteTransaction(cursor))
    on_postgres = await chatd.db.check.violations(PostgresTransaction(postgres))

    assert on_postgres == on_sqlite
    assert [line.partition(":")[0] for line in on_sqlite] == [
        "check.holes",
        "check.last_message",
        "check.pointers",
        "check.entries",
        "check.friends_talk",
        "check.selfish",
    ]
