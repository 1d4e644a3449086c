"""Moments beside a simple model of who sees what, and what is left of them when they are deleted."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import chatd.ops
from chatd import config, filing, relations, users
from chatd.access import USER_BY_ID
from chatd.config import Config, Moments
from chatd.context import Context
from chatd.db.check import violations
from chatd.db.query import QUERIES
from chatd.db.sqlite import SqliteTransaction, drive
from chatd.errors import ChatError
from chatd.hub import Hub
from chatd.moment_views import FEW_LIKES, MANY_LIKES
from chatd.op import REGISTRY
from chatd.session import NOBODY, Identity
from tests.support import Person, befriend, config_for, running

assert chatd.ops

SCHEMA = config.shipped("schema.sql").read_text(encoding="utf-8")
NAMES = ("ada", "bob", "chen", "dora", "eve")
DOT = "R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="
"""A picture of one pixel: a GIF, in base64."""

T = TypeVar("T")


# Against a model


@dataclass
class Told:
    """A comment: whose, and to which it replies."""

    by: int
    reply_to: int | None


@dataclass
class Shown:
    """A moment: `ever` has liked it, `likes` do now."""

    author: int
    visibility: str
    ever: set[int] = field(default_factory=set)
    likes: set[int] = field(default_factory=set)
    comments: dict[int, Told] = field(default_factory=dict)


class World:
    """chatd's database in memory, and its ops without a daemon."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.executescript(SCHEMA)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.cursor = self.connection.cursor()
        self.people: dict[int, Identity] = {}

    def context(self, me: int) -> Context:
        identity = self.people.get(me, NOBODY)
        return Context(db=SqliteTransaction(self.cursor), config=Config(), identity=identity, now=1_000, hub=Hub())

    def drive(self, work: Awaitable[T]) -> T:
        return drive(work)  # type: ignore[arg-type]  # it is a coroutine

    def add(self, username: str) -> int:
        user_id = self.drive(users.add_user(self.context(0), username=username, password_hash="-"))
        self.people[user_id] = Identity(user_id=user_id, username=username, session_id=0)
        return user_id

    def ask(self, me: int, op: str, **fields: Any) -> Any:
        """The reply's data, or the error's code."""
        known = REGISTRY[op]
        try:
            return self.drive(known.function(self.context(me), known.schema.convert(fields, owner=op)))
        except ChatError as error:
            return error.code

    def close(self) -> None:
        self.cursor.close()
        self.connection.close()


people = st.integers(1, len(NAMES))
picks = st.integers(0, 10**6)


class Circle(RuleBasedStateMachine):
    """Five people become friends, fall out, post, like and talk. Who sees what is as simple as it sounds."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        for name in NAMES:
            self.world.add(name)
        self.friends: set[frozenset[int]] = set()
        self.blocks: set[tuple[int, int]] = set()
        self.moments: dict[int, Shown] = {}
        self.notices: dict[int, list[tuple[str, int, int, int | None]]] = {me: [] for me in self.world.people}

    def teardown(self) -> None:
        assert drive(violations(self.world.context(0).db)) == []
        self.world.close()

    # What the model says

    def are_friends(self, one: int, other: int) -> bool:
        return frozenset((one, other)) in self.friends

    def sees(self, me: int, shown: Shown) -> bool:
        if me == shown.author:
            return True
        if shown.visibility == "all":
            return not {(me, shown.author), (shown.author, me)} & self.blocks
        return shown.visibility == "friends" and self.are_friends(me, shown.author)

    def hears(self, me: int, by: int, shown: Shown) -> bool:
        """Whether I see what somebody says to a moment."""
        knows = by in (me, shown.author) or me == shown.author or self.are_friends(me, by)
        return self.sees(me, shown) and self.sees(by, shown) and knows

    def heard(self, me: int, shown: Shown) -> list[int]:
        return [number for number, told in shown.comments.items() if self.hears(me, told.by, shown)]

    def tell(self, action: str, moment_id: int, by: int, to: set[int], comment_id: int | None = None) -> None:
        for me in {by, *to}:
            self.notices[me].append((action, moment_id, by, comment_id))

    def concerned(self, shown: Shown, comment_id: int) -> set[int]:
        told = shown.comments[comment_id]
        replied = {shown.comments[told.reply_to].by} if told.reply_to is not None else set()
        return {me for me in {told.by, shown.author} | replied if self.hears(me, told.by, shown)}

    # What they do

    @rule(one=people, other=people)
    def befriend(self, one: int, other: int) -> None:
        if one != other and not self.are_friends(one, other) and not {(one, other), (other, one)} & self.blocks:
            row = self.world.drive(self.world.context(one).db.one(USER_BY_ID, id=other))
            assert row is not None
            self.world.drive(relations.befriend(self.world.context(one), row))
            self.friends.add(frozenset((one, other)))

    @rule(one=people, other=people, how=st.sampled_from(["friend_remove", "block", "unblock"]))
    def part(self, one: int, other: int, how: str) -> None:
        if one == other:
            return
        possible = {
            "friend_remove": self.are_friends(one, other),
            "block": True,
            "unblock": (one, other) in self.blocks,
        }
        answer = self.world.ask(one, how, user_id=other)
        assert isinstance(answer, str) != possible[how]
        if how == "block":
            self.blocks.add((one, other))
        if how == "unblock":
            self.blocks.discard((one, other))
        else:
            self.friends.discard(frozenset((one, other)))

    @rule(me=people, visibility=st.sampled_from(["all", "friends", "private"]))
    def post(self, me: int, visibility: str) -> None:
        posted = self.world.ask(me, "moment_post", content="x", visibility=visibility)
        assert posted.moment_id not in self.moments
        self.moments[posted.moment_id] = Shown(me, visibility)
        self.tell("posted", posted.moment_id, me, set())

    def some(self, pick: int) -> tuple[int, Shown | None]:
        """One of the moments, or one that there is not."""
        ids = [*self.moments, 4711]
        moment_id = ids[pick % len(ids)]
        return moment_id, self.moments.get(moment_id)

    @rule(me=people, pick=picks, on=st.booleans())
    def like(self, me: int, pick: int, on: bool) -> None:
        moment_id, shown = self.some(pick)
        answer = self.world.ask(me, "moment_like", moment_id=moment_id, on=on)
        if shown is None or not self.sees(me, shown):
            assert answer == "not_found"
            return
        assert not isinstance(answer, str)
        if on and me not in shown.likes:
            self.tell("liked", moment_id, me, set() if me in shown.ever else {shown.author})
            shown.likes.add(me)
            shown.ever.add(me)
        elif not on and me in shown.likes:
            self.tell("unliked", moment_id, me, set())
            shown.likes.discard(me)

    @rule(me=people, pick=picks, to=st.none() | picks)
    def comment(self, me: int, pick: int, to: int | None) -> None:
        moment_id, shown = self.some(pick)
        every = [number for one in self.moments.values() for number in one.comments]
        reply_to = every[to % len(every)] if every and to is not None else None
        answer = self.world.ask(me, "moment_comment", moment_id=moment_id, content="y", reply_to=reply_to)
        if shown is None or not self.sees(me, shown) or reply_to not in (None, *self.heard(me, shown)):
            assert answer == "not_found"
            return
        shown.comments[answer.comment_id] = Told(me, reply_to)
        self.tell("commented", moment_id, me, self.concerned(shown, answer.comment_id), answer.comment_id)

    @rule(me=people, pick=picks)
    def delete_comment(self, me: int, pick: int) -> None:
        every = [(number, one) for one in self.moments.items() for number in one[1].comments]
        if not every:
            return
        comment_id, (moment_id, shown) = every[pick % len(every)]
        answer = self.world.ask(me, "moment_comment_delete", comment_id=comment_id)
        if shown.comments[comment_id].by != me:
            if comment_id not in self.heard(me, shown):
                assert answer == "not_found"
                return
            if me != shown.author:
                assert answer == "not_yours"
                return
        assert not isinstance(answer, str)
        self.tell("comment_deleted", moment_id, me, self.concerned(shown, comment_id), comment_id)
        del shown.comments[comment_id]
        for told in shown.comments.values():
            if told.reply_to == comment_id:
                told.reply_to = None

    @rule(me=people, pick=picks)
    def delete(self, me: int, pick: int) -> None:
        moment_id, shown = self.some(pick)
        answer = self.world.ask(me, "moment_delete", moment_id=moment_id)
        if shown is None or not self.sees(me, shown):
            assert answer == "not_found"
        elif me != shown.author:
            assert answer == "not_yours"
        else:
            del self.moments[moment_id]
            self.tell("deleted", moment_id, me, set())

    # What they see

    @invariant()
    def everybody_sees_what_the_model_says(self) -> None:
        for me in self.world.people:
            mine = [(number, one) for number, one in self.moments.items() if self.sees(me, one)][::-1]
            near = [number for number, one in mine if one.author == me or self.are_friends(me, one.author)]
            assert self.pages(me, "moments") == near
            for other in self.world.people:
                theirs = [number for number, one in mine if one.author == other]
                assert self.pages(me, "moments_of", user_id=other) == theirs
            for moment_id, shown in self.moments.items():
                self.looks(me, moment_id, shown)

    def pages(self, me: int, op: str, **fields: Any) -> list[int]:
        found: list[int] = []
        while True:
            before = {"before_moment_id": found[-1]} if found else {}
            page = self.world.ask(me, op, limit=1 + len(found) % 2, **fields, **before)
            found += [moment.moment_id for moment in page.moments]
            if not page.more:
                return found

    def looks(self, me: int, moment_id: int, shown: Shown) -> None:
        answers = [self.world.ask(me, op, moment_id=moment_id) for op in ("moment_get", "moment_likes")]
        said = self.world.ask(me, "moment_comments", moment_id=moment_id)
        if not self.sees(me, shown):
            assert [*answers, said] == ["not_found"] * 3
            return
        moment, likes = answers
        heard = self.heard(me, shown)
        likers = sorted(by for by in shown.likes if self.hears(me, by, shown))
        assert [liker.user_id for liker in likes.likes] == likers
        assert (moment.like_count, moment.liked, moment.comment_count) == (len(likers), me in shown.likes, len(heard))
        assert moment.comments == tuple(said.comments[:3])
        assert [comment.comment_id for comment in said.comments] == heard
        for comment in said.comments:
            reply_to = shown.comments[comment.comment_id].reply_to
            replied = shown.comments[reply_to].by if reply_to in heard and reply_to is not None else None
            assert (comment.reply_to, comment.to_user_id) == (None if replied is None else reply_to, replied)

    @invariant()
    def everybody_is_told_what_the_model_says(self) -> None:
        found: dict[int, list[Any]] = {me: [] for me in self.world.people}
        rows = self.world.connection.execute(
            """
            SELECT c.low_id, e.data FROM entries e JOIN conversations c ON c.id = e.conversation_id
            WHERE e.event = 'moment' ORDER BY e.id
            """
        )
        for me, data in rows:
            told = orjson.loads(data)
            found[me].append((told["action"], told["moment_id"], told["by_user_id"], told["comment_id"]))
        assert found == self.notices


TestCircle = pytest.mark.filterwarnings("ignore")(Circle.TestCase)
TestCircle.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


# What thousands like, and thousands post


@pytest.fixture
def world() -> Any:
    with contextlib.closing(World()) as world:
        yield world


@pytest.mark.parametrize("count", [FEW_LIKES - 1, FEW_LIKES, FEW_LIKES + 1, FEW_LIKES + 100])
def test_of_many_likes_those_of_people_one_knows_are_counted(world: World, count: int) -> None:
    ada, bob, chen = (world.add(name) for name in NAMES[:3])
    fans = [world.add(f"fan{number}") for number in range(count - 2)]
    for friend in (bob, *fans[:7]):
        row = world.drive(world.context(chen).db.one(USER_BY_ID, id=friend))
        assert row is not None
        world.drive(relations.befriend(world.context(chen), row))
    moment_id = world.ask(ada, "moment_post", content="x", visibility="all").moment_id
    for liker in (ada, bob, *fans):
        world.ask(liker, "moment_like", moment_id=moment_id)
    world.ask(ada, "block", user_id=fans[0])

    def likes(me: int) -> tuple[int, list[int]]:
        found: list[int] = []
        while (page := world.ask(me, "moment_likes", moment_id=moment_id, after_user_id=max(found, default=0))).likes:
            found += [liker.user_id for liker in page.likes]
            assert page.more == (len(page.likes) == 50 and found[-1] != fans[-1])
        return world.ask(me, "moment_get", moment_id=moment_id).like_count, found

    assert likes(ada) == (len(fans) + 1, sorted([ada, bob, *fans[1:]]))
    assert likes(chen) == (8, sorted([ada, bob, *fans[1:7]]))  # two of them are the author and a friend
    assert likes(bob) == (2, [ada, bob])
    assert world.ask(chen, "moment_get", moment_id=moment_id).liked is False
    assert world.ask(bob, "moment_get", moment_id=moment_id).liked is True
    assert len(fans) < MANY_LIKES


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 60])
def test_a_timeline_is_that_of_all_friends_however_much_each_posts(world: World, limit: int) -> None:
    """Some post once, one all the time, one for nobody; so does a stranger."""
    me, stranger, talker, secret, *friends = [world.add(f"user{number}") for number in range(12)]
    for friend in (talker, secret, *friends):
        row = world.drive(world.context(me).db.one(USER_BY_ID, id=friend))
        assert row is not None
        world.drive(relations.befriend(world.context(me), row))
    chance, expected = random.Random(limit), []
    for number in range(80):
        author = chance.choice([me, stranger, talker, talker, secret, secret, friends[number % len(friends)]])
        visibility = "private" if author == secret or chance.random() < 0.1 else chance.choice(["friends", "all"])
        moment_id = world.ask(author, "moment_post", content="x", visibility=visibility).moment_id
        if author == me or (author != stranger and visibility != "private"):
            expected.append(moment_id)
    found: list[int] = []
    more = True
    while more:
        before = {"before_moment_id": found[-1]} if found else {}
        page = world.ask(me, "moments", limit=limit, **before)
        assert len(page.moments) == min(limit, len(expected) - len(found))
        found += [moment.moment_id for moment in page.moments]
        more = page.more
    assert found == expected[::-1]


FOR_FRIENDS = {"moments.timeline": 3, "moments.for_friends": 1}
"""How often a query looks at what is for friends, whatever is private between it."""


def test_no_table_is_walked_through() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        ours = [q for q in QUERIES.values() if q.name.startswith("moment")] + [filing.VISIBLE, filing.UNNAMED]
        assert len(ours) > 25
        for query in ours:
            values: dict[str, Any] = {name: [] if name in query.lists else 0 for name in query.parameters}
            plan = connection.execute(f"EXPLAIN QUERY PLAN {query.sqlite}", query.for_sqlite(values)).fetchall()
            steps = [str(step[3]) for step in plan]
            made = {step.removeprefix("CO-ROUTINE ") for step in steps if step.startswith("CO-ROUTINE ")}
            walked = {step.split(" ", 1)[1] for step in steps if step.startswith("SCAN ")} - made
            assert {name for name in walked if "json_each" not in name} <= {"CONSTANT ROW"}, (query.name, steps)
            assert not any("AUTOMATIC" in step for step in steps), (query.name, steps)
            assert sum("moments_for_friends" in step for step in steps) == FOR_FRIENDS.get(query.name, 0)
            assert sum("moments_for_all" in step for step in steps) == (query.name == "moments.for_all")


# With a daemon


async def image(person: Person) -> int:
    """A picture that somebody has uploaded."""
    upload = (await person.data("upload_begin", name="dot.gif"))["upload"]
    await person.data("upload_piece", upload=upload, content=DOT)
    file_id: int = (await person.data("upload_end", upload=upload))["file_id"]
    return file_id


def everything(data: Path) -> str:
    """All that stands in the database, as text; of the full-text index what it is made of."""
    with contextlib.closing(sqlite3.connect(data / "chatd.db")) as connection:
        named = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'search'")
        tables = [name for (name,) in named]
        return "".join(repr(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in tables)


def pictures(data: Path) -> list[Path]:
    """The files that are kept: the picture, and where Pillow is installed its thumbnail."""
    return [path for path in (data / "files").rglob("*") if path.is_file()]


async def test_what_is_deleted_is_left_nowhere(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as url:
        ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
        await befriend(ada, bob, username="bob")
        dot = await image(ada)
        stored = pictures(tmp_path)
        assert stored
        place, text, said = "geo:1,2 quiet corner", "a secret text", "a whispered word"
        posted = await ada.data("moment_post", content=text, location=place, images=[dot], client_id="1")
        other = await ada.data("moment_post", images=[dot])
        moment_id = posted["moment_id"]
        first = (await bob.data("moment_comment", moment_id=moment_id, content=said, client_id="1"))["comment_id"]
        await ada.data("moment_comment", moment_id=moment_id, content=f"{said}!", reply_to=first)
        await bob.data("moment_like", moment_id=moment_id)
        before = everything(tmp_path)
        assert all(words in before for words in ("quiet corner", text, said))

        await ada.data("moment_delete", moment_id=moment_id)
        assert not any(words in everything(tmp_path) for words in ("quiet corner", text, said))
        assert (await bob.data("file_get", file_id=dot))["file_id"] == dot  # the other one shows it
        assert pictures(tmp_path) == stored
        await ada.data("moment_delete", moment_id=other["moment_id"])
        assert await ada.error("file_get", file_id=dot) == "not_found"
        again = await ada.data("moment_post", content=text, location=place, images=[dot], client_id="1")
        assert again == {**posted, "duplicate": True}
    assert pictures(tmp_path) == []


async def test_an_image_is_seen_where_a_moment_shows_it(url: str) -> None:
    ada, bob, eve = [await Person.named(url, name) for name in ("ada", "bob", "eve")]
    await befriend(ada, bob, username="bob")
    dot = await image(ada)
    for visibility, seen in (("private", [False, False]), ("friends", [True, False]), ("all", [True, True])):
        await ada.data("moment_post", images=[dot], visibility=visibility)
        assert [(await person.ask("file_get", file_id=dot))["success"] for person in (bob, eve)] == seen
    await ada.data("block", user="eve")
    await ada.data("friend_remove", user="bob")
    assert [(await person.ask("file_get", file_id=dot))["success"] for person in (bob, eve)] == [True, False]
    assert await ada.error("moment_post", images=[dot] * 10) == "invalid"
    for moment in (await ada.data("moments_of"))["moments"]:
        await ada.data("moment_delete", moment_id=moment["moment_id"])
    assert await ada.error("file_get", file_id=dot) == "not_found"
    assert await image(ada) > dot  # a link to what is gone leads nowhere else


async def test_a_device_that_was_away_learns_what_others_heard(url: str) -> None:
    ada, bob, chen = [await Person.named(url, name) for name in ("ada", "bob", "chen")]
    for person, other in ((ada, "bob"), (ada, "chen")):
        await befriend(person, bob if other == "bob" else chen, username=other)
    heads = (await ada.data("sync", cursors={}))["conversations"]
    cursors = {str(head["conversation_id"]): head["cursor"] for head in heads}
    moment_id = (await ada.data("moment_post", content="hi"))["moment_id"]
    for person in (bob, chen):
        await person.data("moment_like", moment_id=moment_id)
        said = await person.data("moment_comment", moment_id=moment_id, content="hi")
        await ada.data("moment_comment", moment_id=moment_id, content="hello", reply_to=said["comment_id"])
    await bob.data("moment_like", moment_id=moment_id, on=False)
    await bob.data("moment_like", moment_id=moment_id)
    await ada.data("moment_comment_delete", comment_id=said["comment_id"])
    await ada.data("moment_delete", moment_id=moment_id)
    live = [(event["seq"], event["data"]) for event in await ada.events() if event["event"] == "moment"]
    assert [data["action"] for _, data in live] == [
        *("posted", "liked", "commented", "commented", "liked", "commented", "commented"),
        *("comment_deleted", "deleted"),
    ]
    synced = await ada.data("sync", cursors=cursors)
    away = [(event["seq"], event["data"]) for event in synced["events"] if event["event"] == "moment"]
    assert away == live


async def test_a_moment_has_room_for_so_many_comments(tmp_path: Path) -> None:
    async with running(replace(config_for(tmp_path), moments=Moments(max_comments=2))) as url:
        ada = await Person.named(url, "ada")
        moment_id = (await ada.data("moment_post", content="hi"))["moment_id"]
        for _ in range(2):
            comment = await ada.data("moment_comment", moment_id=moment_id, content="ho")
        assert await ada.error("moment_comment", moment_id=moment_id, content="ho") == "too_many"
        await ada.data("moment_comment_delete", comment_id=comment["comment_id"])
        await ada.data("moment_comment", moment_id=moment_id, content="ho")
        assert (await ada.data("moment_get", moment_id=moment_id))["comment_count"] == 2


@pytest.mark.parametrize("op", ["moments", "moments_of"])
async def test_a_page_is_bounded_in_bytes(url: str, op: str) -> None:
    ada = await Person.named(url, "ada")
    of = {"user": "ada"} if op == "moments_of" else {}
    posted = [(await ada.data("moment_post", content="é" * 4096))["moment_id"] for _ in range(40)]
    await ada.data("moment_comment", moment_id=posted[0], content="x" * 2048)
    page = await ada.data(op, limit=200, **of)
    assert 20 < len(page["moments"]) < 40
    assert page["more"]
    last = page["moments"][-1]["moment_id"]
    rest = await ada.data(op, limit=200, before_moment_id=last, **of)
    assert [one["moment_id"] for one in [*page["moments"], *rest["moments"]]] == posted[::-1]
    assert not rest["more"]


async def test_comments_come_in_pages_of_bounded_bytes(url: str) -> None:
    ada = await Person.named(url, "ada")
    moment_id = (await ada.data("moment_post", content="hi"))["moment_id"]
    said = [
        (await ada.data("moment_comment", moment_id=moment_id, content="x" * 2048))["comment_id"] for _ in range(150)
    ]
    found: list[int] = []
    more = True
    while more:
        page = await ada.data("moment_comments", moment_id=moment_id, limit=200, after_comment_id=max(found, default=0))
        assert len(page["comments"]) < 150
        found += [comment["comment_id"] for comment in page["comments"]]
        more = page["more"]
    assert found == said


@pytest.mark.parametrize("parting", ["friend_remove", "block"])
@pytest.mark.parametrize("by", ["ada", "bob"])
async def test_who_parts_while_the_other_reads_sees_nothing_afterwards(url: str, parting: str, by: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    moment_id = (await ada.data("moment_post", content="hi"))["moment_id"]
    await bob.data("moment_comment", moment_id=moment_id, content="ho")
    parts, reads = (ada, bob) if by == "ada" else (bob, bob)
    who = "bob" if by == "ada" else "ada"
    await asyncio.gather(parts.data(parting, user=who), *([] if parts is reads else [reads.data("moments")]))
    assert (await bob.data("moments"))["moments"] == []
    assert await bob.error("moment_get", moment_id=moment_id) == "not_found"
    assert (await ada.data("moment_get", moment_id=moment_id))["comments"] == []
