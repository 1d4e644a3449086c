"""Random deeds of several people on several devices, held beside a model after each: what a device knows that follows
its logs, what one sees that fetches everything afresh, what one gets that replays its logs from the beginning, and what
must be seen, are the same; and no frame says what its receiver must not know.

Known and intended: of who has left a group, what is taken back after that (a message, a reaction, a pin) is gone from
what is fetched, and not from what a device knows that had heard it before: the log ended for it.

`CHATD_STATEFUL=500` runs so many examples, other ones each time.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Callable, Container, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, currently_in_test_context, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from websockets.asyncio.client import ClientConnection, connect

from chatd import catchup
from chatd.config import Database, Messages
from chatd.hub import Hub
from chatd.op import REGISTRY
from tests.model import TOKEN, Conversation, Learn, Message, Model, Refused
from tests.support import PASSWORD, PATIENCE, config_for, masked, running

EXAMPLES = int(os.environ.get("CHATD_STATEFUL", "26"))
STEPS = 40
PEOPLE = ("ada", "bob", "chen", "dan")
EMOJIS = ("👍", "🎉", "haha")
FOR_EVER = "2099-01-01T00:00:00.000Z"

T = TypeVar("T")
Frame = dict[str, Any]


# What a device knows


def nothing_left() -> Frame:
    """What a message that was recalled says."""
    return {
        **{"content": "", "recalled": True, "reply_to": None, "mentions": (), "mentions_all": False},
        **{"forwarded_from": None, "reactions": {}, "pinned": False},
    }


def shown(data: Frame) -> Frame:
    """A message of an event or of a page, as the model gives it."""
    first = data["forwarded_from"]
    return {
        "id": data["message_id"] if "message_id" in data else data["id"],
        "from": data["from_username"],
        "kind": data["kind"],
        "content": data["content"],
        "created_at": data["created_at"],
        "edited_at": data.get("edited_at"),
        "recalled": data["recalled_at"] is not None,
        "reply_to": data["reply_to"],
        "mentions": tuple(person["username"] for person in data["mentions"]),
        "mentions_all": data["mentions_all"],
        "forwarded_from": None if first is None else first["username"],
        "reactions": {one["emoji"]: (one["count"], one["mine"]) for one in data.get("reactions", ())},
        "pinned": data.get("pinned", False),
    }


@dataclass
class Room:
    """What a device knows of a conversation."""

    cursor: int
    messages: dict[int, Frame] = field(default_factory=dict)
    members: dict[str, str] | None = None
    has_left: bool = False
    read: int = 0
    delivered: int = 0
    asks_members: bool = False
    """Who is there is to be asked: one came in without having heard it."""
    asks_all: bool = False
    was_left: bool = False
    """It was fetched by who had left the group: what was taken back by then is gone from it, though not by the log."""


class Memory:
    """A client in a few lines: it applies an entry if that is the next one, and else asks `sync`."""

    def __init__(self, me: str, my_id: int) -> None:
        self.me = me
        self.my_id = my_id
        self.rooms: dict[int, Room] = {}
        self.friends: set[str] = set()
        self.blocks: set[str] = set()
        self.titles: dict[int, dict[int, str]] = {}
        """Of each group, by the entry that it came with."""
        self.settings: dict[int, tuple[bool, bool]] = {}
        self.has_hole = False

    def seen(self, number: int) -> Frame:
        room, titles = self.rooms[number], self.titles.get(number)
        silent, pinned = self.settings.get(number, (False, False))
        return {
            "title": titles[max(titles)] if titles else None,
            "has_left": room.has_left,
            "silent": silent,
            "pinned": pinned,
            "read_seq": room.read,
            "delivered_seq": room.delivered,
            "messages": room.messages,
            "members": room.members,
        }

    def cursors(self) -> dict[str, int]:
        return {str(number): room.cursor for number, room in self.rooms.items()}

    def take(self, page: Frame, *, fetches: bool) -> None:
        """A page of `sync`. `fetches`: of a conversation that is new to it, it asks `history`."""
        first = {event["conversation_id"]: event["seq"] for event in reversed(page["events"])}
        for head in page["conversations"]:
            assert head["recovered"], head
            number = head["conversation_id"]
            if number not in self.rooms:
                begin = first.get(number, head["cursor"] + 1) - 1
                self.rooms[number] = Room(begin, asks_all=fetches)
        for event in page["events"]:
            self.hear(event)
        for head in page["conversations"]:
            number = head["conversation_id"]
            assert self.rooms[number].cursor == head["cursor"], (head, self.rooms[number])
            self.point(number, head)

    def hear(self, event: Frame) -> None:
        """An event, live or by `sync`."""
        at, seq, data = event["conversation_id"], event["seq"], event["data"]
        if seq is not None:
            self.entry(at, seq, event["event"], data)
        elif event["event"] == "receipt" and data["user_id"] == self.my_id:
            self.point(at, data)

    def entry(self, at: int, seq: int, name: str, data: Frame) -> None:
        room = self.rooms.get(at)
        if room is None or seq > room.cursor + 1:
            self.has_hole = True
        elif seq == room.cursor + 1:
            room.cursor = seq
            self._apply(at, room, seq, name, data)

    def point(self, at: int, data: Frame) -> None:
        """My pointers moved; they never go back."""
        if (room := self.rooms.get(at)) is not None:
            room.read = max(room.read, data["read_seq"])
            room.delivered = max(room.delivered, data["delivered_seq"])

    def _apply(self, at: int, room: Room, seq: int, name: str, data: Frame) -> None:
        if name == "message":
            room.messages[seq] = shown(data)
        elif name in ("edit", "recall", "reaction", "pin"):
            self._change(room.messages[data["message_seq"]], name, data)
        elif name == "group":
            if data["title"] is not None:
                self.titles.setdefault(at, {})[seq] = data["title"]
            if data["action"] == "created":
                room.members = {data["by_username"]: "owner"}
            elif data["action"] == "dissolved":
                room.has_left, room.members, room.asks_members = True, None, False
        elif name == "member":
            self._move(room, data)
        else:
            self._apply_own(name, data)

    def _change(self, message: Frame, name: str, data: Frame) -> None:
        if name == "edit":
            message.update(content=data["content"], edited_at=data["edited_at"])
        if name == "recall" or message["recalled"] or not message["content"]:
            message.update(nothing_left())
        elif name == "pin":
            assert message["pinned"] != data["on"], data
            message["pinned"] = data["on"]
        elif name == "reaction":
            count, mine = message["reactions"].pop(data["emoji"], (0, False))
            count += 1 if data["on"] else -1
            if data["user_id"] == self.my_id:
                assert mine != data["on"], data
                mine = data["on"]
            if count:
                message["reactions"][data["emoji"]] = (count, mine)

    def _move(self, room: Room, data: Frame) -> None:
        names, action = [person["username"] for person in data["users"]], data["action"]
        if self.me in names and action in ("joined", "added"):
            room.has_left, room.members, room.asks_members = False, None, True
            room.asks_all, room.was_left = room.was_left, False
        elif self.me in names and action in ("left", "removed"):
            room.has_left, room.members, room.asks_members = True, None, False
        elif room.members is not None:
            if action in ("joined", "added"):
                room.members.update(dict.fromkeys(names, "member"))
            elif action in ("left", "removed"):
                del room.members[names[0]]
            elif action == "role":
                room.members[names[0]] = data["role"]

    def _apply_own(self, name: str, data: Frame) -> None:
        if name == "conversation":
            number, seq = data["opened_id"], data["from_seq"] - 1
            self.rooms.setdefault(number, Room(seq))
            if data["title"] is not None:
                self.titles.setdefault(number, {}).setdefault(seq + 1, data["title"])
            self.point(number, {"read_seq": seq, "delivered_seq": seq})
        elif name == "conversation_settings":
            self.settings[data["of_id"]] = (data["silent"], data["pinned"])
        elif name == "delete":
            if (of := self.rooms.get(data["of_id"])) is not None:
                of.messages.pop(data["message_seq"], None)
        elif name == "friend" and data["state"] != "remark":
            (self.friends.add if data["state"] == "added" else self.friends.discard)(data["username"])
        elif name == "block":
            (self.blocks.add if data["blocked"] else self.blocks.discard)(data["username"])


# A device at a socket

Watch = Callable[[str, bytes, Frame], None]
"""Is given every frame that somebody receives."""


class Device(Memory):
    """A connection, and what was learned by it and by those before it."""

    def __init__(self, me: str, my_id: int, token: str, watch: Watch) -> None:
        super().__init__(me, my_id)
        self.token = token
        self.watch = watch
        self.socket: ClientConnection | None = None
        self.since: str | None = None
        self.epoch: str | None = None
        self._ids = itertools.count(1)
        self._asked: dict[int, tuple[str, Frame]] = {}

    async def connect(self, url: str) -> None:
        self.socket = await connect(url, compression=None, max_size=None)

    async def close(self) -> None:
        if self.socket is not None:
            self.socket.transport.abort()
            await self.socket.wait_closed()
            self.socket = None

    async def ask_all(self, requests: Sequence[tuple[str, Frame]]) -> list[Frame]:
        """Ask for several ops in one breath. Returns their replies."""
        assert self.socket is not None
        wanted = dict(zip(self._ids, requests, strict=False))
        self._asked.update(wanted)
        frames = [orjson.dumps({"type": op, "id": number, **fields}) for number, (op, fields) in wanted.items()]
        self.socket.transport.write(b"".join(map(masked, frames)))
        replies: list[Frame] = []
        async with asyncio.timeout(PATIENCE):
            while len(replies) < len(requests):
                raw = await self.socket.recv(decode=False)
                frame = orjson.loads(raw)
                self.watch(self.me, raw, frame)
                if frame["type"] == "event":
                    room = self.rooms.get(frame["conversation_id"])
                    assert frame["seq"] is None or room is None or frame["seq"] > room.cursor, f"twice: {frame}"
                    self.hear(frame)
                else:
                    self._replied(frame)
                    replies.append(frame)
        assert [reply["id"] for reply in replies] == list(wanted)
        return replies

    async def ask(self, op: str, **fields: Any) -> Any:
        """Ask for an op. Returns the data of its reply."""
        (reply,) = await self.ask_all([(op, fields)])
        assert reply["success"], reply
        return reply["data"]

    def _replied(self, reply: Frame) -> None:
        """What the connection that asks hears no event of."""
        op, fields = self._asked.pop(reply["id"])
        if not reply["success"]:
            return
        data = reply["data"]
        if op in ("read", "delivered"):
            self.point(data["conversation_id"], data)
        elif op in ("send", "forward"):
            message = self._written(op, fields)
            message.update(id=data["message_id"], created_at=data["created_at"])
            room = self.rooms[data["conversation_id"]]
            if data["seq"] == room.cursor + 1:
                room.cursor = data["seq"]
                room.messages[data["seq"]] = {**nothing_left(), "recalled": False, "edited_at": None, **message}
            elif data["seq"] > room.cursor:
                self.has_hole = True

    def _written(self, op: str, fields: Frame) -> Frame:
        if op == "forward":
            every = (message for room in self.rooms.values() for message in room.messages.values())
            what = next(message for message in every if message["id"] == fields["message_id"])
            first = what["forwarded_from"] or what["from"]
            return {"from": self.me, "kind": what["kind"], "content": what["content"], "forwarded_from": first}
        mentions = fields.get("mentions", ())
        return {
            "from": self.me,
            "kind": fields.get("kind", "text"),
            "content": fields["content"],
            "reply_to": fields.get("reply_to"),
            "mentions": tuple(name for name in mentions if name != "@all"),
            "mentions_all": "@all" in mentions,
        }

    async def come(self, url: str, *, by_auth: bool) -> None:
        """Connect and catch up, in one request or in two."""
        await self.connect(url)
        if by_auth:
            answer = await self.ask("auth", token=self.token, **self._place())
            await self._catch_up(answer["sync"])
        else:
            await self.ask("auth", token=self.token)
            await self.sync()

    def _place(self) -> Frame:
        """Where it is. Of what changed in the minute before `since` the server tells again, as clocks step; everything
        here happens in less than that, so it is set a minute later: what is left out wrongly is to be noticed."""
        since = self.since and (datetime.fromisoformat(self.since) + timedelta(minutes=1)).isoformat()
        known = {"cursors": self.cursors(), "since": since, "epoch": self.epoch}
        return {name: value for name, value in known.items() if value is not None}

    async def sync(self) -> None:
        await self._catch_up(await self.ask("sync", **self._place()))

    async def _catch_up(self, page: Frame) -> None:
        now, fetches = page["now"], self.since is None
        self.has_hole = False
        self.take(page, fetches=fetches)
        while page["next"] is not None:
            page = await self.ask("sync", **self._place(), after_conversation_id=page["next"])
            self.take(page, fetches=fetches)
        self.since, self.epoch = now, page["epoch"]
        assert not self.has_hole, "a page has a hole"

    async def settle(self) -> None:
        """Hear everything up to now, and ask for what is missing."""
        await self.ask("heartbeat")
        if self.has_hole:
            await self.sync()
        for number, room in self.rooms.items():
            if room.asks_all:
                await self._fetch(number, room)
            elif room.asks_members:
                room.members = await members_of(self, number)
            room.asks_all = room.asks_members = False

    async def _fetch(self, number: int, room: Room) -> None:
        seen = (await fetch(self))[number]
        self.titles[number] = {room.cursor: seen["title"]} if seen["title"] is not None else {}
        self.settings[number] = (seen["silent"], seen["pinned"])
        room.messages, room.members, room.has_left = seen["messages"], seen["members"], seen["has_left"]
        room.was_left = room.has_left

    async def know_people(self) -> None:
        """What no `sync` tells who has no cursor."""
        self.friends = {one["username"] for one in (await self.ask("friends"))["friends"]}
        self.blocks = {one["username"] for one in (await self.ask("blocks"))["users"]}


# Fetching everything afresh


async def members_of(device: Device, number: int) -> dict[str, str]:
    page = await device.ask("group_members", conversation_id=number)
    return {one["username"]: one["role"] for one in page["members"]}


async def fetch(device: Device, *, limit: int = 200, pinless: Container[int] = ()) -> dict[int, Frame]:
    """Every conversation of somebody, as it is seen by who knows nothing yet. Of `pinless` it asks no pins."""
    listed: list[Frame] = []
    page: Frame = {"more": True}
    while page["more"]:
        last = listed[-1] if listed else None
        after = last and {"before_last_at": last["last_at"], "before_conversation_id": last["conversation_id"]}
        page = await device.ask("conversations", limit=limit, **(after or {}))
        listed += page["conversations"]
    requests: list[tuple[str, Frame]] = []
    for one in listed:
        at = {"conversation_id": one["conversation_id"]}
        is_there = one["kind"] == "group" and not one["has_left"]
        requests += [("history", {**at, "limit": limit})]
        requests += [("pins", {**at, "limit": limit})] if at["conversation_id"] not in pinless else []
        requests += [("group_members", at)] if is_there else []
    replies = iter(await device.ask_all(requests))
    found = {}
    for one in listed:
        number = one["conversation_id"]
        history = await _pages(device, "history", number, limit, next(replies))
        pins = await _pages(device, "pins", number, limit, next(replies)) if number not in pinless else []
        messages = {message["seq"]: message for page in reversed(history) for message in page}
        assert list(messages) == sorted(messages)
        pinned = [message for page in pins for message in page]
        assert pinned == [message for message in reversed(messages.values()) if message["pinned"]]
        members = next(replies)["data"]["members"] if one["kind"] == "group" and not one["has_left"] else None
        peer, newest = one["peer"], one["last_message"]
        found[number] = {
            **{name: one[name] for name in ("title", "has_left", "silent", "pinned", "read_seq", "delivered_seq")},
            "messages": {seq: shown(message) for seq, message in messages.items()},
            "members": None if members is None else {member["username"]: member["role"] for member in members},
            "muted": None if members is None else {one["username"] for one in members if one["muted_until"]},
            "joined": {} if members is None else {member["username"]: member["joined_at"] for member in members},
            "last_seq": one["last_seq"],
            "listed": {
                **{name: one[name] for name in ("kind", "role", "member_count", "unread_count")},
                "peer": None if peer is None else peer["username"],
                "last_message": newest and (newest["id"], newest["content"], newest["recalled_at"] is not None),
                "peer_pointers": (one["peer_read_seq"], one["peer_delivered_seq"]),
            },
        }
    return found


async def _pages(device: Device, op: str, number: int, limit: int, first: Frame) -> list[list[Frame]]:
    assert first["success"], first
    pages = [first["data"]["messages"]]
    more = first["data"]["more"]
    while more:
        before = pages[-1][0 if op == "history" else -1]["seq"]
        page = await device.ask(op, conversation_id=number, before_seq=before, limit=limit)
        pages.append(page["messages"])
        more = page["more"]
    return pages


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where two nested dictionaries differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected.keys() | found.keys():
            yield from differences(expected.get(key, "—"), found.get(key, "—"), f"{path}.{key}")
    elif expected != found:
        yield f"{path[1:]}: {found!r} instead of {expected!r}"


def same(what: str, expected: Any, found: Any) -> None:
    assert expected == found, f"{what}: {'; '.join(sorted(differences(expected, found)))}"


# The deeds


def tell(line: str) -> None:
    """Say it where it is of use: in the simplest example that fails."""
    if currently_in_test_context():
        note(line)


nth = st.integers(0, 23)
wild = st.integers(0, 9).map(lambda number: number == 7)
"""Whether something is asked for that may well be refused."""

Deed = Callable[["Machine", str, int, int, bool], None]
ALL: dict[str, Deed] = {}
OFTEN: list[str] = []
"""Each as often as it shall be done, compared with the others."""
AT_ONCE: list[str] = []
"""Those that may be done in one breath with others."""


class Skipped(Exception):
    """There is nothing to do it with."""


def pick(options: Iterable[T], number: int) -> T:
    options = list(options)
    if not options:
        raise Skipped
    return options[number % len(options)]


def deed(weight: int = 2, *, alone: bool = False) -> Callable[[Deed], Deed]:
    """A method that somebody does something by: with what is chosen by two numbers, and how wildly."""

    def decorate(function: Deed) -> Deed:
        name = function.__name__
        ALL[name] = function
        OFTEN.extend([name] * weight)
        if not alone:
            AT_ONCE.extend([name] * weight)
        return function

    return decorate


@dataclass
class Planned:
    op: str
    fields: Frame
    learn: Learn | None
    code: str | None
    done: str


class Machine(RuleBasedStateMachine):
    """Four people with two devices each, of which the second goes away at times, and one more that looks."""

    url: ClassVar[str]
    loop: ClassVar[asyncio.AbstractEventLoop]
    numbers: ClassVar[Iterator[int]] = itertools.count(1)
    ran: ClassVar[Counter[str]] = Counter()
    succeeded: ClassVar[Counter[str]] = Counter()
    refused: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.devices: dict[str, list[Device]] = {}
        self.lookers: dict[str, Device] = {}
        self.allowed: dict[str, set[str]] = {}
        self.planned: list[Planned] = []
        self.name = ""
        self.hasty = False
        self.last: dict[str, tuple[str, Frame, Frame]] = {}
        self.step = 0

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def token(self) -> str:
        return f"tok{next(self.numbers)}x"

    # Beginning and end

    @initialize(strangers=st.just(0) | st.integers(0, 63), alone=wild, past=st.integers(0, 3), away=st.integers(0, 15))
    def begin(self, strangers: int, alone: bool, past: int, away: int) -> None:
        """At its simplest all are friends and in a group, and nothing was said yet."""
        example = next(self.numbers)
        people = [f"{name}{example}" for name in PEOPLE]
        for number, me in enumerate(people):
            self.wait(self._sign_up(me))
            if away >> number & 1:
                self.wait(self.devices[me][1].close())
        for number, (one, other) in enumerate(itertools.combinations(people, 2)):
            if not strangers >> number & 1:
                self._befriend(one, other)
        ada, friends = people[0], sorted(self._friends(people[0]))
        if not alone:
            self._found(ada, friends[:2] if past > 1 else friends, "invite")
            self.perform(self.devices[ada][0], settles=False)
        for place in self.model.conversations if past else ():
            for me in place.stays:
                self._talk(me, place)
        if not alone and past > 1 and friends:
            self._change_members(ada, self.model.groups[0], friends)
        self.wait(self.settle())
        self.wait(self.check())

    def _change_members(self, me: str, group: Conversation, friends: Sequence[str]) -> None:
        """The first friend was away from the group for a while, the second is in it no more, the third came late."""
        model, at, words = self.model, {"conversation_id": group.id}, self.token()
        self.plan(me, "group_remove", {**at, "user": friends[0]}, lambda: model.group_remove(me, group, friends[0]))
        self.plan(me, "send", {**at, "content": words}, lambda: model.send(me, group, words))
        back = [friends[0], *friends[2:]]
        self.plan(me, "group_add", {**at, "users": back}, lambda: model.group_add(me, group, back))
        if len(friends) > 1:
            self.plan(me, "group_remove", {**at, "user": friends[1]}, lambda: model.group_remove(me, group, friends[1]))
        first, text = {"message_id": group.messages[0].id}, self.token()
        self.plan(me, "edit", {**first, "content": text}, lambda: model.edit(me, group.messages[0], text))
        self.plan(me, "pin", {**first, "on": True}, lambda: model.pin(me, group.messages[0], on=True))
        self.perform(self.devices[me][0], settles=False)

    def _talk(self, me: str, place: Conversation) -> None:
        """Enough for everything to have something it can be done with."""
        for text in (self.token(), self.token()):
            self.plan(me, "send", {"conversation_id": place.id, "content": text}, self._sending(me, place, text))
        if place.messages[0].id:
            message = place.messages[0]
            fields = {"message_id": message.id, "emoji": EMOJIS[0], "on": True}
            self.plan(me, "react", fields, lambda: self.model.react(me, message, EMOJIS[0], on=True))
        self.perform(self.devices[me][0], settles=False)

    def _sending(self, me: str, place: Conversation, text: str) -> Callable[[], Learn]:
        return lambda: self.model.send(me, place, text)

    async def _sign_up(self, me: str) -> None:
        self.model.sign_up(me)
        first = Device(me, 0, "", self.watch)
        await first.connect(self.url)
        answer = await first.ask("signup", username=me, password=PASSWORD)
        first.my_id, first.token = answer["user_id"], answer["token"]
        await first.sync()
        self.model.own(me).id = next(iter(first.rooms))
        second, looker = [Device(me, first.my_id, first.token, self.watch) for _ in range(2)]
        await second.come(self.url, by_auth=False)
        await looker.connect(self.url)
        await looker.ask("auth", token=first.token)
        self.devices[me], self.lookers[me] = [first, second], looker
        for device in self.devices[me]:
            await device.settle()

    def teardown(self) -> None:
        async def leave() -> None:
            for device in (*self.lookers.values(), *itertools.chain(*self.devices.values())):
                await device.close()

        self.wait(leave())

    # Planning and doing

    def plan(self, me: str, op: str, fields: Frame, predict: Callable[[], Learn]) -> None:
        """Somebody asks for an op; the model does it at once."""
        if REGISTRY[op].takes_client_id:
            fields = {**fields, "client_id": self.token()}
            self.model.heard_of[me].add(fields["client_id"])
        try:
            learn, code = predict(), None
        except Refused as refused:
            learn, code = None, refused.code
        self.model.tell()
        for name in self.model.people:
            self.allowed.setdefault(name, set()).update(self.model.allowed(name))
        self.planned.append(Planned(op, fields, learn, code, self.name))
        tell(f"  {me}: {op} {fields} → {code or 'success'}")

    def perform(self, device: Device, *, settles: bool = True) -> None:
        """Ask for what was planned, in one breath, and hear what comes of it."""
        planned, self.planned = self.planned, []
        self.hasty = len(planned) > 1
        replies = self.wait(device.ask_all([(one.op, one.fields) for one in planned]))
        for one, reply in zip(planned, replies, strict=True):
            code = None if reply["success"] else reply["error"]["code"]
            agreed = code == one.code or not {code, one.code} & {None, "not_found"}
            assert agreed, f"{device.me}: {one.op} {one.fields}: {code} instead of {one.code}"
            if one.learn is not None:
                one.learn(reply["data"])
                self.succeeded[one.done] += 1
                if "client_id" in one.fields:
                    self.last[device.me] = (one.op, one.fields, reply["data"])
            else:
                self.refused[str(code)] += 1
        if settles:
            self.wait(self.settle())

    def do(self, who: int, second: bool, deeds: Sequence[tuple[str, int, int, bool]]) -> None:
        """Things that somebody does: `who`, or the next one who can do any of it."""
        for me in (self.model.people * 2)[who : who + 4]:
            if any([self.begins(me, *one) for one in deeds]):  # noqa: C419  (every one of them)
                break
        if self.planned:
            self.perform(self.at(me, second))
            self.wait(self.check())

    def begins(self, me: str, what: str, a: int, b: int, wild: bool) -> bool:
        """Whether somebody can do this. Then it is planned, or was done."""
        self.name = what
        try:
            ALL[what](self, me, a, b, wild)
        except Skipped:
            return False
        self.ran[what] += 1
        return True

    def at(self, me: str, second: bool) -> Device:
        """One of somebody's devices that is there."""
        devices = self.devices[me]
        return devices[1] if second and devices[1].socket is not None else devices[0]

    async def settle(self) -> None:
        everybody = [*self.lookers.values(), *itertools.chain(*self.devices.values())]
        await asyncio.gather(*(device.settle() for device in everybody if device.socket is not None))

    # What is held after every step

    def watch(self, me: str, raw: bytes, frame: Frame) -> None:
        """No frame says more than somebody may know."""
        secrets = set(TOKEN.findall(raw.decode())) - self.allowed.setdefault(me, set())
        assert not secrets, f"{me} is told {secrets}: {raw.decode()}"
        if frame["type"] == "event":
            self._may_hear(me, frame, live=True)
        elif frame["success"] and frame["op"] in ("sync", "auth"):
            page = frame["data"] if frame["op"] == "sync" else frame["data"]["sync"]
            for event in page["events"] if page is not None else ():
                self._may_hear(me, event, live=False)

    def _may_hear(self, me: str, event: Frame, *, live: bool) -> None:
        place = next((one for one in self.model.conversations if one.id == event["conversation_id"]), None)
        assert place is not None, f"{me} hears of what there is not: {event}"
        assert me in place.stays, f"{me} hears of a conversation of others: {event}"
        seq = event["seq"]
        if seq is None or place.kind == "self":
            return
        assert seq <= self.model.last_seq(me, place), f"{me} hears what came after leaving: {event}"
        if live:
            assert place.stays[me].was_there(seq), f"{me} hears what came meanwhile: {event}"
        if not (live and self.hasty):  # in one breath, a message may have been deleted after it
            must = dict(self.model.replay(me, place)).get(seq)
            assert event["event"] == must, f"{me} hears {event} instead of {must}"

    async def check(self) -> None:
        self.step += 1
        self.hasty = False
        for name in self.model.people:
            self.allowed[name] = self.model.allowed(name)
        await asyncio.gather(*map(self._check, self.model.people))

    async def _check(self, me: str) -> None:
        model, looker = self.model, self.lookers[me]
        mine = {place.id: place for place in model.of(me)}
        pinless = {place.id for place in mine.values() if not any(message.pins for message in place.messages)}
        fetched = await fetch(looker, limit=3 if self.step % 5 == 0 else 200, pinless=pinless)
        same(f"{me}: conversations", set(mine), set(fetched))
        await self._check_lists(me)
        for number, place in mine.items():
            seen = dict(fetched[number])
            for name, joined_at in seen.pop("joined").items():
                place.stays[name].joined_at = joined_at
            muted, listed, last_seq = seen.pop("muted"), seen.pop("listed"), seen.pop("last_seq")
            same(f"{me} fetches {number}", model.room(me, place), seen)
            same(f"{me} finds {number} listed", model.listed(me, place), listed)
            if muted is not None:
                same(f"{me}: muted", {name for name in place.present if place.stays[name].is_muted}, muted)
            if place.kind != "self":
                same(f"{me}: last seq of {number}", model.last_seq(me, place), last_seq)
            for device in self.devices[me]:
                if device.socket is not None:
                    same(f"{me}: cursor of {number}", last_seq, device.rooms[number].cursor)
                    self._check_device(device, place)
        for device in self.devices[me]:
            if device.socket is not None:
                same(f"{me} follows", set(mine), set(device.rooms))
                self._check_people(device)
        await self._check_replay(me, mine)

    async def _check_lists(self, me: str) -> None:
        model, looker = self.model, self.lookers[me]
        groups = [group for group in model.groups if group.id and self.step % 2]
        wanted: list[tuple[str, Frame]] = [("friends", {}), ("blocks", {}), ("get", {"limit": 200})]
        wanted += [("unread_count", {}), *(("group_get", {"conversation_id": group.id}) for group in groups)]
        strange = [place for place in model.conversations if me not in place.stays and place.id and self.step % 4 == 0]
        wanted += [("history", {"conversation_id": place.id}) for place in strange]
        changed = [one for one in model.messages if model.sees(me, one) and len(one.texts) > 1][self.step % 3 :][:1]
        wanted += [("edits", {"message_id": message.id}) for message in changed]
        friends, blocks, unread, counts, *rest = await looker.ask_all(wanted)
        for message in changed:
            model.edits(me, message)(rest.pop()["data"])
        same(f"{me}: friends", self._friends(me), {one["username"] for one in friends["data"]["friends"]})
        same(f"{me}: blocks", self._blocks(me), {one["username"] for one in blocks["data"]["users"]})
        unseen = {
            message.id: self.texts(me, message)
            for place in model.of(me)
            for message in place.messages
            if model.sees(me, message)
            and message.seq > place.stays[me].read
            and message.author != me
            and message.recalled is None
        }
        same(f"{me} gets", unseen, {one["id"]: one["content"] for one in unread["data"]["messages"]})
        same(f"{me}: unread", len(unseen), counts["data"]["total"])
        for group, reply in zip(groups, rest[: len(groups)], strict=True):
            expected = model.group_get(me, group)
            told = {name: reply["data"][name] for name in expected or ()} if reply["success"] else None
            same(f"{me}: group {group.id}", expected, told)
        for reply in rest[len(groups) :]:
            assert not reply["success"], f"{me} sees what is not for {me}: {reply}"
            assert reply["error"]["code"] == "not_found"

    def texts(self, me: str, message: Message) -> str:
        return self.model.texts(me, message)[-1][1]

    def _friends(self, me: str) -> set[str]:
        return {name for pair in self.model.friends if me in pair for name in pair if name != me}

    def _blocks(self, me: str) -> set[str]:
        return {other for one, other in self.model.blocks if one == me}

    def _check_people(self, device: Device | Memory) -> None:
        same(f"{device.me} knows friends", self._friends(device.me), device.friends)
        same(f"{device.me} knows blocks", self._blocks(device.me), device.blocks)

    def _check_device(self, device: Device, place: Conversation) -> None:
        """What a device knows that follows; of who has left it may know what has been taken back since."""
        room, me = device.rooms[place.id], device.me

        def unaware(seq: int) -> bool:
            return seq in room.messages and not room.messages[seq]["recalled"]

        expected, found = self.model.room(me, place, logged=True, unaware=unaware), device.seen(place.id)
        if room.was_left:
            for seen in (expected, found):
                seen["messages"] = {
                    seq: {**message, "reactions": None, "pinned": None} for seq, message in seen["messages"].items()
                }
        same(f"{me} follows {place.id}", expected, found)

    async def _check_replay(self, me: str, mine: dict[int, Conversation]) -> None:
        looker = self.lookers[me]
        memory = Memory(me, looker.my_id)
        heads: dict[int, Frame] = {}
        heard: dict[int, list[tuple[int, str]]] = {number: [] for number in mine}
        following: int | None = 0
        while following is not None:
            cursors = {**dict.fromkeys(map(str, mine), 0), **memory.cursors()}
            page = await looker.ask("sync", cursors=cursors, after_conversation_id=following)
            memory.take(page, fetches=False)
            heads.update({head["conversation_id"]: head for head in page["conversations"]})
            for event in page["events"]:
                heard[event["conversation_id"]].append((event["seq"], event["event"]))
            following = page["next"]
        self._check_people(memory)
        for number, place in mine.items():
            expected, found = self.model.room(me, place, logged=True), memory.seen(number)
            if place.kind != "self":
                same(f"{me} replays the log of {number}", self.model.replay(me, place), heard[number])
            if memory.rooms[number].asks_members:
                del expected["members"], found["members"]
            same(f"{me} replays {number}", expected, found)
            for name, value in self.model.listed(me, place).items():
                if name in heads[number]:
                    same(f"{me}: head of {number}: {name}", value, heads[number][name])
            for name in ("title", "has_left", "read_seq", "delivered_seq"):
                same(f"{me}: head of {number}: {name}", expected[name], heads[number][name])

    # Choosing

    def other(self, me: str, number: int) -> str:
        return pick((name for name in self.model.people if name != me), number)

    def place(self, me: str, number: int, wildly: bool) -> Conversation:
        """Where somebody may write, at times where that one was once; wildly, any conversation at all."""
        known = [one for one in reversed(self.model.conversations) if one.id]
        mine = [one for one in known if me in (one.stays if number == 21 else one.present)]
        groups = [one for one in mine if one.kind == "group"]
        return pick(known if wildly else groups + mine, number)

    def group(self, me: str, number: int, wildly: bool, *roles: str) -> Conversation:
        """A group in which somebody has one of these roles; wildly, any conversation at all."""
        known = [one for one in reversed(self.model.conversations) if one.id]
        fitting = [one for one in known if me in one.present and one.kind == "group" and one.stays[me].role in roles]
        return pick(known if wildly else fitting, number)

    def message(
        self, me: str, number: int, wildly: bool, fits: Callable[[Message], bool] = lambda message: True
    ) -> Message:
        """A message that somebody sees and that fits; wildly, any at all."""
        known = self.model.messages
        fitting = [one for one in known if self.model.sees(me, one) and one.recalled is None and fits(one)]
        return pick(known if wildly else fitting, number)

    @staticmethod
    def is_there(me: str, message: Message, number: int) -> bool:
        """Whether somebody may do something with a message; at times it does not matter."""
        return message.place.stays[me].is_in or number % 8 == 5

    @staticmethod
    def is_admin(me: str, message: Message) -> bool:
        return message.place.kind == "group" and message.place.stays[me].role != "member"

    # People

    @deed(alone=True)
    def befriend(self, me: str, a: int, b: int, wildly: bool) -> None:
        strangers = [name for name in self.model.people if name not in {me, *self._friends(me)}]
        self._befriend(me, self.other(me, a) if wildly else pick(strangers, a))
        self.wait(self.settle())
        self.wait(self.check())

    def _befriend(self, me: str, other: str) -> None:
        for one, whom in ((me, other), (other, me)):
            self._ask(one, whom)
            self.perform(self.devices[one][0], settles=False)

    def _ask(self, me: str, other: str) -> None:
        text = self.token()
        request = {"to_user": other, "note": text}
        self.plan(me, "friend_request", request, lambda: self.model.friend_request(me, other, text))

    @deed(1)
    def friend_request(self, me: str, a: int, b: int, wildly: bool) -> None:
        fitting = [
            name
            for name in self.model.people
            if name not in {me, *self._friends(me), *self._blocks(me)} and (me, name) not in self.model.asked
        ]
        self._ask(me, pick(self.model.people if wildly else fitting, a))

    @deed()
    def friend_respond(self, me: str, a: int, b: int, wildly: bool) -> None:
        strangers = [name for name in self.model.people if name not in {me, *self._friends(me), *self._blocks(me)}]
        waiting = [name for name in strangers if (name, me) in self.model.asked]
        if strangers and not waiting and not wildly and not self.planned:
            asker = pick(strangers, a)
            self._ask(asker, me)
            self.perform(self.devices[asker][0], settles=False)
        known = [pair for pair, (number, _) in self.model.asked.items() if number]
        pair = pick(known if wildly else [pair for pair in known if pair[1] == me and pair[0] in strangers], a)
        accept = bool(b % 2)
        request = {"request_id": self.model.asked[pair][0], "accept": accept}
        self.plan(me, "friend_respond", request, lambda: self.model.friend_respond(me, pair, accept=accept))

    @deed(1)
    def friend_remove(self, me: str, a: int, b: int, wildly: bool) -> None:
        other = pick(self.model.people if wildly else sorted(self._friends(me)), a)
        self.plan(me, "friend_remove", {"user": other}, lambda: self.model.friend_remove(me, other))

    @deed(1)
    def block(self, me: str, a: int, b: int, wildly: bool) -> None:
        other = self.other(me, a)
        self.plan(me, "block", {"user": other}, lambda: self.model.block(me, other))

    @deed(2)
    def unblock(self, me: str, a: int, b: int, wildly: bool) -> None:
        other = pick(self.model.people if wildly else sorted(self._blocks(me)), a)
        self.plan(me, "unblock", {"user": other}, lambda: self.model.unblock(me, other))

    # Messages

    @deed(6)
    def send(self, me: str, a: int, b: int, wildly: bool) -> None:
        place = self.place(me, a, wildly)
        kind = {22: "encrypted", 23: "location"}.get(a, "text")
        text = f"geo:48.2,16.4 {self.token()}" if kind == "location" else self.token()
        fields: Frame = {"content": text, "conversation_id": place.id} | ({} if kind == "text" else {"kind": kind})
        reply_to: Message | None = None
        mentions: tuple[str, ...] = ()
        if b % 4 == 1 and self.model.messages:
            reply_to = self.message(me, a, wildly, lambda message: message.place is place or b == 21)
            fields["reply_to"] = reply_to.id
        elif b % 4 == 2:
            mentions = tuple(self.model.people if wildly else place.present)[: 1 + b % 3]
            mentions = (*mentions, "@all") if b > 12 else mentions
            fields["mentions"] = mentions
        if place.kind != "group" and me in place.stays and b % 2:
            fields["to_user"] = next((name for name in place.stays if name != me), me)
            del fields["conversation_id"]
        model = self.model
        said = {"kind": kind, "reply_to": reply_to, "mentions": mentions}
        self.plan(me, "send", fields, lambda: model.send(me, place, text, **said))  # type: ignore[arg-type]

    @deed(5)
    def edit(self, me: str, a: int, b: int, wildly: bool) -> None:
        message = self.message(
            me, a, wildly, lambda one: one.author == me and one.forwarded_from is None and self.is_there(me, one, b)
        )
        text = self.token()
        fields = {"message_id": message.id, "content": text}
        self.plan(me, "edit", fields, lambda: self.model.edit(me, message, text))

    @deed(3)
    def recall(self, me: str, a: int, b: int, wildly: bool) -> None:
        def fits(one: Message) -> bool:
            may = self.is_there(me, one, b) and (one.author == me or self.is_admin(me, one))
            return may and (b % 3 > 0 or one.is_pinned())

        message = self.message(me, a, wildly, fits)
        self.plan(me, "recall", {"message_id": message.id}, lambda: self.model.recall(me, message))

    @deed(3)
    def delete(self, me: str, a: int, b: int, wildly: bool) -> None:
        message = self.message(me, a, wildly, lambda one: b % 3 > 0 or bool(one.reactions) or one.is_pinned())
        self.plan(me, "delete", {"message_id": message.id}, lambda: self.model.delete(me, message))

    @deed(4)
    def react(self, me: str, a: int, b: int, wildly: bool) -> None:
        message = self.message(me, a, wildly, lambda one: self.is_there(me, one, b))
        emoji = pick(EMOJIS, b)
        on = (me not in message.reactions_now().get(emoji, ())) != (b == 23)
        fields = {"message_id": message.id, "emoji": emoji, "on": on}
        self.plan(me, "react", fields, lambda: self.model.react(me, message, emoji, on=on))

    @deed(3)
    def unreact(self, me: str, a: int, b: int, wildly: bool) -> None:
        reacted = {
            message.id: emoji
            for message in self.model.messages
            for emoji, who in message.reactions_now().items()
            if me in who
        }
        message = self.message(me, a, wildly, lambda one: one.id in reacted and self.is_there(me, one, b))
        emoji = reacted.get(message.id, EMOJIS[0])
        fields = {"message_id": message.id, "emoji": emoji, "on": False}
        self.plan(me, "react", fields, lambda: self.model.react(me, message, emoji, on=False))

    @deed(3)
    def pin(self, me: str, a: int, b: int, wildly: bool) -> None:
        def fits(one: Message) -> bool:
            return self.is_there(me, one, b) and (one.place.kind != "group" or self.is_admin(me, one))

        message = self.message(me, a, wildly, fits)
        on = message.is_pinned() == (b == 23)
        fields = {"message_id": message.id, "on": on}
        self.plan(me, "pin", fields, lambda: self.model.pin(me, message, on=on))

    @deed(3)
    def forward(self, me: str, a: int, b: int, wildly: bool) -> None:
        message, place = self.message(me, a, wildly), self.place(me, b, wildly)
        fields = {"message_id": message.id, "conversation_id": place.id}
        self.plan(me, "forward", fields, lambda: self.model.forward(me, message, place))

    @deed(alone=True)
    def edits(self, me: str, a: int, b: int, wildly: bool) -> None:
        message = self.message(me, a, wildly)
        self.plan(me, "edits", {"message_id": message.id}, lambda: self.model.edits(me, message))

    @deed(4, alone=True)
    def search(self, me: str, a: int, b: int, wildly: bool) -> None:
        """Whoever looks for a text that a message has, or had, finds what is for him or her."""
        message = self.message(me, a, wildly)
        (token,) = TOKEN.findall(pick(message.texts, b)[1])
        found: list[int] = []
        before: Frame | None = {}
        while before is not None:
            page = self.wait(self.lookers[me].ask("search", q=token, **before))
            found += [one["id"] for one in page["messages"]]
            before = page["next"] and {"before_message_id": page["next"]}
        expected = [
            one.id
            for one in self.model.messages
            if self.model.sees(me, one) and one.recalled is None and one.kind != "encrypted"
            if token in self.texts(me, one)
        ]
        same(f"{me} finds {token}", expected, found)
        self.succeeded["search"] += bool(found)

    @deed()
    def read(self, me: str, a: int, b: int, wildly: bool) -> None:
        place = self.place(me, a, wildly)
        seq = b if b % 3 else None
        fields = {"conversation_id": place.id} | ({} if seq is None else {"seq": seq})
        up_to = 2**40 if seq is None else seq
        self.plan(me, "read", fields, lambda: self.model.pointers(me, place, read=up_to))

    @deed()
    def delivered(self, me: str, a: int, b: int, wildly: bool) -> None:
        place = self.place(me, a, wildly)
        fields = {"conversation_id": place.id, "seq": b}
        self.plan(me, "delivered", fields, lambda: self.model.pointers(me, place, delivered=b))

    @deed(1)
    def conversation_set(self, me: str, a: int, b: int, wildly: bool) -> None:
        place = pick([one for one in self.model.conversations if one.id and (wildly or me in one.stays)], a)
        setting = {"silent" if b % 2 else "pinned": b % 4 > 1}
        fields = {"conversation_id": place.id, **setting}
        self.plan(me, "conversation_set", fields, lambda: self.model.conversation_set(me, place, **setting))

    # Groups

    @deed(2, alone=True)
    def group_create(self, me: str, a: int, b: int, wildly: bool) -> None:
        known = [name for name in self.model.people if wildly or name in self._friends(me)]
        members = [name for number, name in enumerate(known) if not a >> number & 1]
        self._found(me, members, pick(("invite", "open", "approve"), b))

    def _found(self, me: str, members: Sequence[str], joining: str) -> None:
        title = self.token()
        fields = {"title": title, "members": members, "joining": joining}
        self.plan(me, "group_create", fields, lambda: self.model.group_create(me, title, members, joining=joining))

    @deed(6)
    def group_add(self, me: str, a: int, b: int, wildly: bool) -> None:
        group = self.group(me, a, wildly, "owner", "admin")
        fitting = [name for name in sorted(self._friends(me)) if name not in group.present]
        first = pick(self.model.people if wildly else fitting, b)
        names = fitting if b > 15 and first in fitting else [first]
        fields = {"conversation_id": group.id, "users": names}
        self.plan(me, "group_add", fields, lambda: self.model.group_add(me, group, names))

    def below(self, me: str, group: Conversation, number: int, wildly: bool) -> str:
        others = [name for name in group.present if name != me and group.stays[name].role != "owner"]
        return pick(self.model.people if wildly else others, number)

    @deed(5)
    def group_remove(self, me: str, a: int, b: int, wildly: bool) -> None:
        group = self.group(me, a, wildly, "owner", "admin")
        name = self.below(me, group, b, wildly)
        fields = {"conversation_id": group.id, "user": name}
        self.plan(me, "group_remove", fields, lambda: self.model.group_remove(me, group, name))

    @deed(3)
    def group_leave(self, me: str, a: int, b: int, wildly: bool) -> None:
        group = self.group(me, a, wildly, "owner", "admin", "member")
        if not all(group.stays[name].joined_at for name in group.present):
            raise Skipped  # who came in the same breath: the model cannot tell yet who is longest in it
        self.plan(me, "group_leave", {"conversation_id": group.id}, lambda: self.model.group_leave(me, group))

    @deed(2)
    def group_role(self, me: str, a: int, b: int, wildly: bool) -> None:
        group = self.group(me, a, wildly, "owner")
        name, role = self.below(me, group, b, wildly), pick(("admin", "admin", "member", "owner"), a + b)
        fields = {"conversation_id": group.id, "user": name, "role": role}
        self.plan(me, "group_role", fields, lambda: self.model.group_role(me, group, name, role))

    @deed()
    def group_mute(self, me: str, a: int, b: int, wildly: bool) -> None:
        group = self.group(me, a, wildly, "owner", "admin")
        name = self.below(me, group, b, wildly)
        muted = not (name in group.stays and group.stays[name].is_muted)
        fields = {"conversation_id": group.id, "user": name} | ({"until": FOR_EVER} if muted else {})
        self.plan(me, "group_mute", fields, lambda: self.model.group_mute(me, group, name, muted=muted))

    @deed(3)
    def group_update(self, me: str, a: int, b: int, wildly: bool) -> None:
        group = self.group(me, a, wildly, "owner", "admin")
        changes = {"joining": pick(("open", "approve", "invite"), b)} if b % 3 == 0 else {"title": self.token()}
        fields = {"conversation_id": group.id, **changes}
        self.plan(me, "group_update", fields, lambda: self.model.group_update(me, group, **changes))

    @deed(3, alone=True)
    def group_link(self, me: str, a: int, b: int, wildly: bool) -> None:
        group = self.group(me, a, wildly, "owner", "admin")
        self._link(me, group, 1 + b % 3)

    def _link(self, me: str, group: Conversation, uses: int) -> None:
        fields = {"conversation_id": group.id, "uses": uses}
        self.plan(me, "group_link", fields, lambda: self.model.group_link(me, group, uses))

    @deed(3)
    def group_join(self, me: str, a: int, b: int, wildly: bool) -> None:
        groups = [one for one in self.model.groups if one.id and (wildly or (me not in one.present and one.present))]
        group = pick(groups, a)
        if not any(group.links.values()) and group.present and not self.planned:
            self._link(self.owner(group), group, 1 + b % 2)
            self.perform(self.devices[self.owner(group)][0], settles=False)
        token = pick(group.links, b)
        self.plan(me, "group_join", {"token": token}, lambda: self.model.group_join(me, group, token=token))

    def owner(self, group: Conversation) -> str:
        return next(name for name in group.present if group.stays[name].role == "owner")

    @deed()
    def group_ask(self, me: str, a: int, b: int, wildly: bool) -> None:
        groups = [
            one
            for one in self.model.groups
            if one.id and (wildly or (me not in one.present and self.model.group_get(me, one)))
        ]
        self._knock(me, pick(groups, a))

    def _knock(self, me: str, group: Conversation) -> None:
        text = self.token()
        self.model.heard_of[me].add(text)
        fields = {"conversation_id": group.id, "note": text}
        self.plan(me, "group_join", fields, lambda: self.model.group_join(me, group, note=text))

    @deed(3)
    def group_respond(self, me: str, a: int, b: int, wildly: bool) -> None:
        group = self.group(me, a, wildly, "owner", "admin")
        others = [name for name in self.model.people if name not in group.present]
        if not group.requests and not self.planned and others and me in group.present and not wildly:
            change = {"joining": "approve"}
            fields = {"conversation_id": group.id, **change}
            self.plan(me, "group_update", fields, lambda: self.model.group_update(me, group, **change))
            self.perform(self.devices[me][0], settles=False)
            self._knock(others[0], group)
            self.perform(self.devices[others[0]][0], settles=False)
        name, accept = pick(self.model.people if wildly else sorted(group.requests), b), bool(b % 4)
        fields = {"conversation_id": group.id, "user": name, "accept": accept}
        self.plan(me, "group_respond", fields, lambda: self.model.group_respond(me, group, name, accept=accept))

    @deed(1)
    def group_dissolve(self, me: str, a: int, b: int, wildly: bool) -> None:
        group = self.group(me, a, wildly, "owner")
        self.plan(me, "group_dissolve", {"conversation_id": group.id}, lambda: self.model.group_dissolve(me, group))

    # Devices

    @deed(alone=True)
    def again(self, me: str, a: int, b: int, wildly: bool) -> None:
        """The same request once more gets the same answer, and nothing else happens."""
        if me not in self.last:
            raise Skipped
        op, fields, data = self.last[me]
        tell(f"  {me}: {op} {fields} again")
        assert self.wait(self.at(me, bool(a % 2)).ask(op, **fields)) == {**data, "duplicate": True}
        self.succeeded["again"] += 1
        self.wait(self.settle())
        self.wait(self.check())

    @deed(3, alone=True)
    def leaves(self, me: str, a: int, b: int, wildly: bool) -> None:
        device = self.devices[me][1]
        if device.socket is None:
            raise Skipped
        self.wait(device.close())
        self.succeeded["leaves"] += 1

    @deed(5, alone=True)
    def returns(self, me: str, a: int, b: int, wildly: bool) -> None:
        device = self.devices[me][1]
        if device.socket is not None:
            raise Skipped
        self.wait(device.come(self.url, by_auth=a % 2 == 0))
        self.succeeded["returns"] += 1
        self.wait(self.settle())
        self.wait(self.check())

    @deed(alone=True)
    def fresh(self, me: str, a: int, b: int, wildly: bool) -> None:
        """In place of the second device comes one that knows nothing."""
        self.wait(self._fresh(me))
        self.succeeded["fresh"] += 1

    async def _fresh(self, me: str) -> None:
        first, second = self.devices[me]
        await second.close()
        device = Device(me, first.my_id, first.token, self.watch)
        await device.connect(self.url)
        answer = await device.ask("login", username=me, password=PASSWORD, device="fresh")
        device.token = answer["token"]
        await device.sync()
        await device.know_people()
        self.devices[me][1] = device
        await self.settle()
        await self.check()

    # Steps

    one = st.lists(st.tuples(st.sampled_from(OFTEN), nth, nth, wild), min_size=1, max_size=1)
    several = st.lists(st.tuples(st.sampled_from(AT_ONCE), nth, nth, wild), min_size=2, max_size=5)

    @rule(deeds=one | one | one | several, who=st.integers(0, 3), second=st.booleans())
    def does(self, deeds: list[tuple[str, int, int, bool]], who: int, second: bool) -> None:
        """Somebody does something, or several things in one breath."""
        before = self.succeeded.total()
        self.do(who, second, deeds)
        if len(deeds) > 1:
            self.ran["at_once"] += 1
            self.succeeded["at_once"] += self.succeeded.total() > before + 1


def do_each() -> None:
    """Everything once; the order is that of the methods above."""
    machine = Machine()
    try:
        machine.begin(strangers=7, alone=False, past=1, away=0)
        for what in ALL:
            for who, a, b in itertools.product(range(4), range(3), range(6)):
                machine.does([(what, a, b, False)], who, second=False)
                if machine.succeeded[what]:
                    break
    finally:
        machine.teardown()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_all_devices_see_the_same_and_nobody_sees_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    # Small enough for pages to end, and for the hub to forget groups.
    for name, most in (("CONVERSATIONS", 4), ("ENTRIES", 25), ("BYTES", 2500)):
        monkeypatch.setattr(catchup, name, most)
    monkeypatch.setattr(Hub.__init__, "__kwdefaults__", {"groups": 2})
    config = replace(
        config_for(tmp_path, connections_per_address=10**5),
        database=Database(data=str(tmp_path), readers=1),
        messages=Messages(recall_window=86400, edit_window=86400),
    )
    daemon = running(config)
    Machine.loop, Machine.url = loop, loop.run_until_complete(daemon.__aenter__())
    try:
        do_each()
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize="CHATD_STATEFUL" not in os.environ,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        loop.run_until_complete(daemon.__aexit__(None, None, None))
    names = [*ALL, "at_once"]
    print("succeeded of ran:", ", ".join(f"{name} {Machine.succeeded[name]}/{Machine.ran[name]}" for name in names))
    print("refused:", dict(Machine.refused))
    assert not [name for name in names if not Machine.succeeded[name]], "something was never done"
