"""Who is told who comes, goes and changes, and who must not be."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from chatd import app
from chatd.announcer import ATTEMPTS, BREATH, PORTION, Announcer
from chatd.config import Config, Presence
from chatd.errors import Busy
from chatd.hub import Hub
from chatd.presence import Choice
from chatd.session import Identity, Session
from chatd.transactions import Transactions
from chatd.wire import Outgoing
from tests.support import PASSWORD, PATIENCE, Person, befriend, config_for, running

FLEETING = ("join", "leave", "presence", "typing")
BRISK = Presence(debounce=0.02, grace=0.05)


class Watched(Hub):
    """A hub that knows when the announcer looks who has moved."""

    def __init__(self) -> None:
        self.looked = asyncio.Event()
        super().__init__()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "moved":
            self.looked.set()

    async def everybody_is_told(self) -> None:
        """Of what has happened up to now: it looks now, and when it looks again, it has told what it saw."""
        for _ in range(2):
            self.looked.clear()
            await asyncio.wait_for(self.looked.wait(), PATIENCE)


# With listeners that do nothing but listen, and lookups that find what the test says

ADA, BOB, CHEN, DORA = 1, 2, 3, 4
NOW = 1_769_860_800_000
QUICK = Presence(debounce=0.001, grace=0.0)


class Ear:
    """A live connection that keeps what it glimpses."""

    def __init__(self, hub: Hub, user_id: int) -> None:
        self.session = Session()
        self.session.authenticated(Identity(user_id=user_id, username="", session_id=1), "en")
        self.glimpsed: list[dict[str, Any]] = []
        hub.add(user_id, self)

    def hear(self, outgoing: Outgoing) -> None:
        raise AssertionError("who is there is glimpsed")

    def glimpse(self, outgoing: Outgoing) -> None:
        self.glimpsed.append(orjson.loads(outgoing.payload))

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("nobody is sent away")

    def told(self) -> list[tuple[str, int]]:
        """What was glimpsed since this was last asked: event and user."""
        glimpsed, self.glimpsed = self.glimpsed, []
        return [(frame["event"], frame["data"]["user_id"]) for frame in glimpsed]


class Lookups:
    """The announcer's transactions: each lookup finds the `hearers` there are, and then something happens."""

    def __init__(self, hearers: dict[int, list[int]]) -> None:
        self.hearers = hearers
        self.asked: list[list[int]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def on_reader(self, function: Callable[..., Any], user_ids: Sequence[int]) -> Any:
        self.asked.append(list(user_ids))
        found = {user_id: list(self.hearers.get(user_id, ())) for user_id in user_ids}
        await asyncio.sleep(0)
        self.meanwhile()
        users = {user_id: {"username": f"user{user_id}", "last_seen_at": NOW} for user_id in user_ids}
        return users, found


@contextlib.asynccontextmanager
async def announcing(hub: Hub, lookups: Lookups, config: Presence = QUICK) -> AsyncIterator[None]:
    """An announcer at work."""
    task = asyncio.create_task(Announcer(hub, cast(Transactions, lookups), config).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_who_comes_changes_and_goes_is_told_to_each_device_of_who_may_know() -> None:
    hub = Watched()
    phone, laptop, chen = Ear(hub, BOB), Ear(hub, BOB), Ear(hub, CHEN)
    async with announcing(hub, Lookups({ADA: [BOB]})):
        await hub.everybody_is_told()
        mine = Ear(hub, ADA)
        await hub.everybody_is_told()
        mine.session.choice = Choice("dnd", "busy")
        hub.chose(ADA)
        await hub.everybody_is_told()
        hub.remove(ADA, mine)
        await hub.everybody_is_told()
    common = {"type": "event", "conversation_id": None, "seq": None}
    ada = {"user_id": ADA, "username": "user1"}
    assert phone.glimpsed == [
        {**common, "event": "join", "data": {**ada, "status": "online", "text": ""}},
        {**common, "event": "presence", "data": {**ada, "status": "dnd", "text": "busy"}},
        {**common, "event": "leave", "data": {**ada, "last_seen": "2026-01-31T12:00:00.000Z"}},
    ]
    assert laptop.glimpsed == phone.glimpsed
    assert (chen.glimpsed, mine.glimpsed) == ([], [])


async def test_nothing_is_looked_up_while_nobody_moves() -> None:
    hub, lookups = Watched(), Lookups({})
    async with announcing(hub, lookups):
        await hub.everybody_is_told()
        await hub.everybody_is_told()
    assert lookups.asked == []


async def test_who_parts_between_the_lookup_and_the_telling_hears_nothing() -> None:
    hub = Watched()
    bob, chen = Ear(hub, BOB), Ear(hub, CHEN)
    lookups = Lookups({ADA: [BOB, CHEN]})

    def part() -> None:
        if BOB in lookups.hearers[ADA]:
            lookups.hearers[ADA].remove(BOB)
            hub.partings += 1

    async with announcing(hub, lookups):
        await hub.everybody_is_told()
        lookups.asked.clear()
        lookups.meanwhile = part
        Ear(hub, ADA)
        await hub.everybody_is_told()
    assert lookups.asked == [[ADA], [ADA]]
    assert bob.told() == []
    assert chen.told() == [("join", ADA)]


async def test_who_may_know_only_since_the_second_lookup_is_told() -> None:
    hub = Watched()
    bob = Ear(hub, BOB)
    lookups = Lookups({ADA: []})

    def part() -> None:
        if not lookups.hearers[ADA]:
            lookups.hearers[ADA] = [BOB]
            hub.partings += 1

    lookups.meanwhile = part
    async with announcing(hub, lookups):
        Ear(hub, ADA)
        await hub.everybody_is_told()
    assert bob.told() == [("join", ADA)]


async def test_who_was_told_before_somebody_parted_is_not_told_again() -> None:
    """The announcer pauses after so many deliveries, and somebody parts in the pause."""
    hub = Watched()
    ears = [Ear(hub, BOB) for _ in range(BREATH)]
    chen = Ear(hub, CHEN)
    lookups = Lookups({ADA: [BOB, CHEN], DORA: [BOB, CHEN]})
    async with announcing(hub, lookups):
        await hub.everybody_is_told()
        lookups.asked.clear()

        def part() -> None:
            lookups.hearers[DORA].remove(BOB)
            hub.partings += 1

        def part_in_the_next_turn() -> None:
            lookups.meanwhile = lambda: None
            asyncio.get_running_loop().call_soon(part)

        lookups.meanwhile = part_in_the_next_turn
        Ear(hub, ADA)
        Ear(hub, DORA)
        await hub.everybody_is_told()
    assert lookups.asked == [[ADA, DORA], [DORA]]
    assert [ear.told() for ear in ears] == [[("join", ADA)]] * BREATH
    assert chen.told() == [("join", ADA), ("join", DORA)]


async def test_where_somebody_parts_all_the_time_it_is_told_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = Watched()
    bob = Ear(hub, BOB)
    lookups = Lookups({ADA: [BOB], CHEN: [BOB]})

    def part() -> None:
        hub.partings += 1

    async with announcing(hub, lookups):
        await hub.everybody_is_told()
        lookups.asked.clear()
        lookups.meanwhile = part
        Ear(hub, ADA)
        await hub.everybody_is_told()
        assert lookups.asked[:ATTEMPTS] == [[ADA]] * ATTEMPTS
        assert bob.told() == []
        assert "1 users' presence was not told" in caplog.text
        lookups.meanwhile = lambda: None
        Ear(hub, CHEN)
        await hub.everybody_is_told()
    assert bob.told() == [("join", ADA), ("join", CHEN)]


async def test_many_at_once_are_looked_up_in_portions_and_all_are_told() -> None:
    hub = Watched()
    bob = Ear(hub, BOB)
    many = [100 + number for number in range(2 * PORTION + 3)]
    lookups = Lookups({user_id: [BOB] for user_id in many})
    async with announcing(hub, lookups):
        await hub.everybody_is_told()
        lookups.asked.clear()
        for user_id in many:
            Ear(hub, user_id)
        await hub.everybody_is_told()
    assert lookups.asked == [many[:PORTION], many[PORTION : 2 * PORTION], many[2 * PORTION :]]
    assert bob.told() == [("join", user_id) for user_id in many]


async def test_others_have_a_turn_after_so_many_deliveries() -> None:
    hub = Watched()
    ears = [Ear(hub, BOB) for _ in range(BREATH // 2)]
    many = [100 + number for number in range(6)]
    lookups = Lookups({user_id: [BOB] for user_id in many})
    heard_in_turns: list[int] = []

    def count() -> None:
        heard_in_turns.append(sum(len(ear.glimpsed) for ear in ears))
        if len(heard_in_turns) < 4:
            asyncio.get_running_loop().call_soon(count)

    async with announcing(hub, lookups):
        await hub.everybody_is_told()
        lookups.meanwhile = lambda: None if heard_in_turns else count()
        for user_id in many:
            Ear(hub, user_id)
        await hub.everybody_is_told()
    assert heard_in_turns == [0, BREATH, 2 * BREATH, 3 * BREATH]


async def test_a_portion_that_fails_costs_the_others_nothing_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = Watched()
    bob = Ear(hub, BOB)
    many = [100 + number for number in range(3 * PORTION)]
    lookups = Lookups({user_id: [BOB] for user_id in [*many, ADA]})

    def fail() -> None:
        if many[PORTION] in lookups.asked[-1]:
            raise Busy

    async with announcing(hub, lookups):
        await hub.everybody_is_told()
        lookups.meanwhile = fail
        for user_id in many:
            Ear(hub, user_id)
        await hub.everybody_is_told()
        assert bob.told() == [("join", user_id) for user_id in many[:PORTION] + many[2 * PORTION :]]
        errors = [record for record in caplog.records if record.name == "chatd.announcer"]
        assert {(record.levelno, record.getMessage()) for record in errors} == {
            (logging.ERROR, "some were not told who is there; it goes on")
        }
        assert errors[0].exc_info is not None
        lookups.meanwhile = lambda: None
        Ear(hub, ADA)
        await hub.everybody_is_told()
        assert sorted(bob.told()) == [("join", user_id) for user_id in sorted([*many[PORTION : 2 * PORTION], ADA])]


async def test_switched_off_nobody_is_told_and_nothing_is_gathered() -> None:
    hub = Watched()
    bob = Ear(hub, BOB)
    lookups = Lookups({ADA: [BOB]})
    async with announcing(hub, lookups, replace(QUICK, enabled=False)):
        mine = Ear(hub, ADA)
        await hub.everybody_is_told()
        hub.remove(ADA, mine)
        await hub.everybody_is_told()
        assert list(hub.moved) == []
    assert lookups.asked == []
    assert bob.told() == []


# On a real daemon


class Door:
    """Stands between the daemon's announcer and the database: lets its lookups come back, or holds them there."""

    def __init__(self) -> None:
        self.hub = Watched()
        self.asked: list[list[int]] = []
        self._open = asyncio.Event()
        self._open.set()
        self._looked_up = asyncio.Event()

    def announcer(self, hub: Hub, transactions: Transactions, config: Presence) -> Announcer:
        """In place of the daemon's."""
        assert hub is self.hub
        self._transactions = transactions
        return Announcer(hub, cast(Transactions, self), config)

    async def on_reader(self, function: Callable[..., Any], user_ids: Sequence[int]) -> Any:
        self.asked.append(list(user_ids))
        found = await self._transactions.on_reader(function, user_ids)
        self._looked_up.set()
        await self._open.wait()
        return found

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[Callable[[], Coroutine[Any, Any, None]]]:
        """Of what happens here nobody is told before the end. What it gives waits until it has been looked up."""

        async def looked_up() -> None:
            await asyncio.wait_for(self._looked_up.wait(), PATIENCE)

        await self.hub.everybody_is_told()
        self._looked_up.clear()
        self._open.clear()
        yield looked_up
        self._open.set()
        await self.hub.everybody_is_told()

    @contextlib.asynccontextmanager
    async def holding(self, person: Person) -> AsyncIterator[None]:
        """Somebody is away now; who is to hear of it has been looked up, and nobody is told before the end."""
        async with self.held() as looked_up:
            await person.data("presence_set", status="away")
            await looked_up()
            yield


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    """Of the daemon that starts next."""
    door = Door()
    monkeypatch.setattr(app, "Hub", lambda: door.hub)
    monkeypatch.setattr(app, "Announcer", door.announcer)
    return door


def brisk(tmp_path: Path, **presence: Any) -> Config:
    return replace(config_for(tmp_path), presence=replace(BRISK, **presence))


@pytest.fixture
async def address(tmp_path: Path, door: Door) -> AsyncIterator[str]:
    async with running(brisk(tmp_path)) as url:
        yield url


async def fleeting(person: Person) -> list[tuple[str, str]]:
    """The short-lived events somebody has heard up to now: event and username. The others are let pass."""
    heard = await person.events()
    return [(frame["event"], frame["data"]["username"]) for frame in heard if frame["event"] in FLEETING]


@dataclass
class Circle:
    """ada and bob, who are friends or in a group; chen is ada's friend, eve nobody's."""

    ada: Person
    bob: Person
    chen: Person
    eve: Person
    group: int

    @classmethod
    async def at(cls, url: str, door: Door, *, friends: bool) -> Circle:
        ada, bob, chen, eve = people = [await Person.named(url, name) for name in ("ada", "bob", "chen", "eve")]
        group = (await ada.data("group_create", title="Climbing", joining="open"))["conversation_id"]
        await befriend(ada, chen, username="chen")
        if friends:
            await befriend(ada, bob, username="bob")
        else:
            await bob.data("group_join", conversation_id=group)
        await door.hub.everybody_is_told()
        for person in people:
            await person.events()
        return cls(ada, bob, chen, eve, group)


@dataclass(frozen=True)
class Parting:
    """How ada and bob part, who are friends or members of one group."""

    friends: bool
    who: str
    op: str
    user: str | None = None

    async def happen(self, circle: Circle) -> None:
        person = circle.ada if self.who == "ada" else circle.bob
        about = {"conversation_id": circle.group} if self.op.startswith("group_") else {}
        await person.data(self.op, **about, **({"user": self.user} if self.user else {}))


PARTINGS = {
    "a friend ends it": Parting(True, "bob", "friend_remove", "ada"),
    "she ends the friendship": Parting(True, "ada", "friend_remove", "bob"),
    "a friend blocks her": Parting(True, "bob", "block", "ada"),
    "she blocks a friend": Parting(True, "ada", "block", "bob"),
    "a member leaves": Parting(False, "bob", "group_leave"),
    "she leaves": Parting(False, "ada", "group_leave"),
    "she removes a member": Parting(False, "ada", "group_remove", "bob"),
    "a member blocks her": Parting(False, "bob", "block", "ada"),
    "she blocks a member": Parting(False, "ada", "block", "bob"),
    "the group ends": Parting(False, "ada", "group_dissolve"),
}
in_each_way = pytest.mark.parametrize("parting", PARTINGS.values(), ids=PARTINGS)


@in_each_way
async def test_who_parts_from_her_hears_nothing_of_what_comes_after(address: str, door: Door, parting: Parting) -> None:
    circle = await Circle.at(address, door, friends=parting.friends)
    await circle.ada.data("presence_set", status="dnd")
    await door.hub.everybody_is_told()
    assert await fleeting(circle.bob) == [("presence", "ada")]
    await parting.happen(circle)
    await circle.ada.data("presence_set", status="away")
    await door.hub.everybody_is_told()
    assert await fleeting(circle.bob) == []
    assert await fleeting(circle.chen) == [("presence", "ada")] * 2
    assert await fleeting(circle.eve) == []


@in_each_way
async def test_who_parts_from_her_while_it_is_being_told_does_not_hear_it(
    address: str, door: Door, parting: Parting
) -> None:
    circle = await Circle.at(address, door, friends=parting.friends)
    async with door.holding(circle.ada):
        await parting.happen(circle)
    assert await fleeting(circle.bob) == []
    assert await fleeting(circle.chen) == [("presence", "ada")]


async def test_when_others_part_while_it_is_being_told_it_is_told_once(address: str, door: Door) -> None:
    circle = await Circle.at(address, door, friends=True)
    await circle.eve.data("group_join", conversation_id=circle.group)
    async with door.holding(circle.ada):
        await circle.eve.data("group_leave", conversation_id=circle.group)
    assert door.asked[-2:] == [door.asked[-1]] * 2
    assert await fleeting(circle.bob) == [("presence", "ada")]
    assert await fleeting(circle.eve) == []


async def test_friends_of_a_shared_group_are_told_once(address: str, door: Door) -> None:
    circle = await Circle.at(address, door, friends=True)
    await circle.bob.data("group_join", conversation_id=circle.group)
    await circle.ada.data("presence_set", status="away")
    await door.hub.everybody_is_told()
    assert await fleeting(circle.bob) == [("presence", "ada")]


async def test_friends_who_are_not_there_need_not_be(address: str, door: Door) -> None:
    circle = await Circle.at(address, door, friends=True)
    await circle.chen.close()
    await circle.ada.data("presence_set", status="away")
    await door.hub.everybody_is_told()
    assert await fleeting(circle.bob) == [("presence", "ada")]


async def test_members_who_are_friends_no_more_still_share_the_group(address: str, door: Door) -> None:
    circle = await Circle.at(address, door, friends=True)
    await circle.bob.data("group_join", conversation_id=circle.group)
    async with door.holding(circle.ada):
        await circle.bob.data("friend_remove", user="ada")
    assert await fleeting(circle.bob) == [("presence", "ada")]


async def test_all_are_told_of_more_than_are_looked_up_at_once(address: str, door: Door) -> None:
    ada = await Person.named(address, "ada")
    group = (await ada.data("group_create", title="Choir", joining="open"))["conversation_id"]
    names = [f"singer{number:02}" for number in range(PORTION + 5)]
    singers = [await Person.named(address, name) for name in names]
    for singer in singers:
        await singer.data("group_join", conversation_id=group)
    async with door.holding(ada):
        before = len(door.asked)
        for singer in singers:
            await singer.data("presence_set", status="dnd")
        await ada.events()
    assert [len(asked) for asked in door.asked[before:]] == [PORTION, 5]
    assert sorted(await fleeting(ada)) == [("presence", name) for name in names]
    for singer, name in zip(singers, names, strict=True):
        heard = [one for one in await fleeting(singer) if one[0] == "presence" and one[1] != "ada"]
        assert sorted(heard) == [("presence", other) for other in names if other != name]


async def test_members_of_a_large_group_are_not_told_but_whoever_asks(tmp_path: Path, door: Door) -> None:
    async with running(brisk(tmp_path, largest_group=3)) as url:
        circle = await Circle.at(url, door, friends=False)
        ada, bob, chen, eve = circle.ada, circle.bob, circle.chen, circle.eve
        await eve.data("group_join", conversation_id=circle.group)
        await ada.data("presence_set", status="away")
        await door.hub.everybody_is_told()
        assert [await fleeting(person) for person in (bob, eve)] == [[("presence", "ada")]] * 2
        assert (await eve.data("online"))["count"] == 2

        await chen.data("group_join", conversation_id=circle.group)  # the fourth
        await ada.data("presence_set", status="dnd", text="busy")
        await door.hub.everybody_is_told()
        assert [await fleeting(person) for person in (bob, chen, eve)] == [[], [*[("presence", "ada")] * 2], []]
        assert (await bob.data("online"))["count"] == 0
        found = await bob.data("online", conversation_id=circle.group)
        assert [(user["username"], user["status"], user["text"]) for user in found["users"]] == [
            *(("ada", "dnd", "busy"), ("chen", "online", ""), ("eve", "online", ""))
        ]
        assert await bob.data("typing", conversation_id=circle.group) == {}
        assert await fleeting(ada) == []

        await eve.data("group_leave", conversation_id=circle.group)
        await ada.data("presence_set", status="online")
        await door.hub.everybody_is_told()
        assert await fleeting(bob) == [("presence", "ada")]
        assert await fleeting(eve) == []


async def test_a_group_that_grows_too_large_while_it_is_being_told_is_not_told(tmp_path: Path, door: Door) -> None:
    async with running(brisk(tmp_path, largest_group=2)) as url:
        circle = await Circle.at(url, door, friends=False)
        async with door.holding(circle.ada):
            await circle.eve.data("group_join", conversation_id=circle.group)
        assert await fleeting(circle.bob) == []
        assert await fleeting(circle.eve) == []


async def test_switched_off_nobody_is_told_but_whoever_asks(tmp_path: Path, door: Door) -> None:
    async with running(brisk(tmp_path, enabled=False)) as url:
        circle = await Circle.at(url, door, friends=True)
        await circle.ada.data("presence_set", status="away", text="back at two")
        await circle.ada.data("typing", to_user="bob")
        await door.hub.everybody_is_told()
        assert await fleeting(circle.bob) == []
        assert door.asked == []
        (shown,) = (await circle.bob.data("online"))["users"]
        assert (shown["username"], shown["status"], shown["text"]) == ("ada", "away", "back at two")
        await circle.ada.close()
        await door.hub.everybody_is_told()
        assert await fleeting(circle.bob) == []


# When somebody was last seen


async def last_seen(person: Person, username: str) -> str | None:
    """When a friend was last seen; what was noted of it before is written by now."""
    await person.data("friend_remark", user=username, remark="")
    await person.events()
    (friend,) = [one for one in (await person.data("friends"))["friends"] if one["username"] == username]
    seen: str | None = friend["last_seen"]
    return seen


async def until(person: Person, event: str) -> dict[str, Any]:
    """The data of the next event of this name."""
    while (frame := await person.next())["event"] != event:
        pass
    data: dict[str, Any] = frame["data"]
    return data


async def test_when_somebody_was_last_seen_is_when_a_visible_device_went_last(address: str, door: Door) -> None:
    circle = await Circle.at(address, door, friends=True)
    ada, bob = circle.ada, circle.bob
    assert await last_seen(bob, "ada") is None
    await ada.close()
    told = await until(bob, "leave")
    first = await last_seen(bob, "ada")
    assert first is not None
    assert first <= told["last_seen"]

    again = await Person.again(address, ada.token)
    await until(bob, "join")
    await again.close()
    await until(bob, "leave")
    second = await last_seen(bob, "ada")
    assert second is not None
    assert second > first


async def test_when_somebody_invisible_goes_nobody_can_tell(address: str, door: Door) -> None:
    circle = await Circle.at(address, door, friends=True)
    ada, bob = circle.ada, circle.bob
    await ada.data("presence_set", status="away")
    await ada.close()
    await until(bob, "leave")
    seen = await last_seen(bob, "ada")

    again = await Person.again(address, ada.token)
    await again.data("presence_set", status="invisible")
    await door.hub.everybody_is_told()
    await bob.events()
    before = await last_seen(bob, "ada")
    await again.close()
    assert await last_seen(bob, "ada") == before
    await door.hub.everybody_is_told()
    assert await fleeting(bob) == []
    assert seen is not None


async def test_while_another_device_is_there_nothing_is_noted(address: str, door: Door) -> None:
    circle = await Circle.at(address, door, friends=True)
    phone = await Person.at(address)
    await phone.data("login", username="ada", password=PASSWORD)
    await phone.close()
    assert await last_seen(circle.bob, "ada") is None


async def test_who_becomes_invisible_was_last_seen_then_as_if_gone(address: str, door: Door) -> None:
    """Else whoever is told `leave` and finds an older `last_seen` knows that she is there."""
    circle = await Circle.at(address, door, friends=True)
    await circle.ada.data("presence_set", status="invisible")
    told = await until(circle.bob, "leave")
    noted = await last_seen(circle.bob, "ada")
    assert noted is not None, "she was seen a moment ago"
    assert noted <= told["last_seen"]


async def test_who_comes_and_is_invisible_before_anybody_is_told_is_not_shown(address: str, door: Door) -> None:
    """What was seen when it was looked up is not what may be known when it is told."""
    circle = await Circle.at(address, door, friends=True)
    await circle.ada.close()
    await until(circle.bob, "leave")
    async with door.held() as looked_up:
        again = await Person.again(address, circle.ada.token)
        await looked_up()
        await again.data("presence_set", status="invisible")
    assert ("join", "ada") not in await fleeting(circle.bob)


# A client that does not read


async def deaf_device(url: str, token: str) -> Person:
    """A device whose own buffers are small; what is not asked for with `next` stays in the daemon's."""
    host, port = url.removeprefix("ws://").removesuffix("/ws").split(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, (host, int(port)))
    device = await Person.at(url, sock=small)
    assert (await device.ask("auth", token=token))["success"]
    return device


async def test_who_does_not_read_misses_what_is_short_lived_and_nothing_else(address: str, door: Door) -> None:
    circle = await Circle.at(address, door, friends=True)
    ada, bob = circle.ada, circle.bob
    deaf = await deaf_device(address, bob.token)
    bob_id = next(one.session.identity.user_id for one in door.hub if one.session.identity.username == "bob")
    listener = cast(Any, door.hub.of(bob_id)[-1])
    await ada.data("presence_set", status="dnd")
    await door.hub.everybody_is_told()
    assert await fleeting(bob) == [("presence", "ada")]

    sent = 0
    while not listener.congested:
        sent += 1
        await ada.data("send", to_user="bob", content=f"{sent:<8000}")
        assert (await bob.next())["event"] == "message"
        assert sent < 5000
    await ada.data("typing", to_user="bob")
    await ada.data("presence_set", status="away")
    await door.hub.everybody_is_told()
    await ada.data("send", to_user="bob", content="after")
    assert await fleeting(bob) == [("typing", "ada"), ("presence", "ada")]
    assert listener.congested

    heard = await deaf.events()
    messages = [frame["data"]["content"].strip() for frame in heard if frame["event"] == "message"]
    assert messages == [*map(str, range(1, sent + 1)), "after"]
    short = [(frame["event"], frame["data"].get("status")) for frame in heard if frame["event"] in FLEETING]
    assert short == [("presence", "dnd")]

    assert not listener.congested
    await ada.data("typing", to_user="bob", on=False)
    await ada.data("presence_set", status="online")
    await door.hub.everybody_is_told()
    assert await fleeting(deaf) == [("typing", "ada"), ("presence", "ada")]
