"""Groups under stress: who hears what while members come and go, the limits, and devices that were away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatd.client import Client
from chatd.config import Groups
from tests.support import Person, befriend, config_for, running

ROUNDS = 25


async def group_of(owner: Person, *members: str, **fields: Any) -> int:
    made: dict[str, Any] = await owner.data("group_create", title="Climbing", members=list(members), **fields)
    conversation_id: int = made["conversation_id"]
    return conversation_id


async def three(url: str) -> tuple[Person, Person, Person]:
    """ada, and her friends bob and chen."""
    ada, bob, chen = [await Person.named(url, name) for name in ("ada", "bob", "chen")]
    await befriend(ada, bob, username="bob")
    await befriend(ada, chen, username="chen")
    return ada, bob, chen


def in_group(frames: list[dict[str, Any]], group: int) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["conversation_id"] == group]


async def test_who_is_removed_hears_nothing_that_comes_after(url: str) -> None:
    ada, bob, chen = await three(url)
    group = await group_of(ada, "bob", "chen")
    stop = asyncio.Event()

    async def chatter() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await chen.data("send", conversation_id=group, content=str(number))

    talking = asyncio.create_task(chatter())
    last = 0
    for _ in range(ROUNDS):
        await ada.events()
        await bob.events()
        await ada.data("group_remove", conversation_id=group, user="bob")
        (removed,) = [frame for frame in await ada.events() if frame["event"] == "member"]
        heard = in_group(await bob.events(), group)
        assert [frame["seq"] for frame in heard] == list(range(heard[0]["seq"], removed["seq"] + 1))
        assert heard[-1]["data"]["action"] == "removed"
        assert heard[0]["seq"] > last
        await ada.data("send", conversation_id=group, content="among us")
        assert in_group(await bob.events(), group) == []
        await ada.data("group_add", conversation_id=group, users=["bob"])
        last = removed["seq"]
    stop.set()
    await talking


async def test_what_is_sent_in_the_same_breath_as_the_removal_is_not_heard(url: str) -> None:
    ada, bob, _ = await three(url)
    group = await group_of(ada, "bob")
    await bob.events()
    for _ in range(ROUNDS):
        ada.say_at_once(
            [
                {"type": "send", "conversation_id": group, "content": "to all"},
                {"type": "group_remove", "conversation_id": group, "user": "bob"},
                {"type": "send", "conversation_id": group, "content": "among us"},
                {"type": "group_add", "conversation_id": group, "users": ["bob"]},
                {"type": "send", "conversation_id": group, "content": "welcome back"},
            ]
        )
        assert [(await ada.reply())["success"] for _ in range(5)] == [True] * 5
        heard = in_group(await bob.events(), group)
        assert [frame["data"].get("action") or frame["data"]["content"] for frame in heard] == [
            *("to all", "removed", "added", "welcome back")
        ]


async def test_messages_of_several_members_at_once_have_one_order(url: str) -> None:
    people = await three(url)
    group = await group_of(people[0], "bob", "chen")
    for person in people:
        await person.events()
    for person in people:
        person.say_at_once({"type": "send", "conversation_id": group, "content": str(n), "id": n} for n in range(50))
    logs = []
    for person in people:
        mine = [await person.reply() for _ in range(50)]
        assert [reply["id"] for reply in mine] == list(range(50))
        seqs = [reply["data"]["seq"] for reply in mine]
        assert seqs == sorted(seqs)
        logs.append(seqs)
    for person, seqs in zip(people, logs, strict=True):
        heard = [frame["seq"] for frame in in_group(await person.events(), group)]
        assert heard == sorted(heard)
        assert sorted(heard + seqs) == list(range(4 - 1, 150 + 3))  # after `created` and `added`


async def test_an_absence_leaves_no_hole_and_shows_nothing(url: str) -> None:
    ada, bob, _ = await three(url)
    group = await group_of(ada, "bob")
    await bob.data("group_leave", conversation_id=group)
    await ada.data("send", conversation_id=group, content="secret")
    await ada.data("group_update", conversation_id=group, title="Secret")
    await ada.data("group_add", conversation_id=group, users=["bob"])
    await ada.data("send", conversation_id=group, content="hello")
    page = await bob.data("sync", cursors={str(group): 1})
    events = [event for event in page["events"] if event["conversation_id"] == group]
    assert [(event["seq"], event["event"]) for event in events] == [
        *((2, "member"), (3, "member"), (4, "hidden"), (5, "hidden"), (6, "member"), (7, "message"))
    ]
    assert [event["data"] for event in events if event["event"] == "hidden"] == [{}, {}]


async def test_the_client_follows_a_group_through_an_absence(url: str) -> None:
    ada, bob, _ = await three(url)
    group = await group_of(ada, "bob")
    async with Client(url, token=bob.token, cursors={}) as client:
        await client.connected.wait()
        heard = client.events()

        async def next_in_group() -> tuple[str, Any]:
            while (event := await anext(heard)).conversation_id != group:
                pass
            return event.event, event.data.get("action") or event.data["content"]

        await ada.data("send", conversation_id=group, content="one")
        assert await next_in_group() == ("message", "one")
        await ada.data("group_remove", conversation_id=group, user="bob")
        assert await next_in_group() == ("member", "removed")
        await ada.data("send", conversation_id=group, content="among us")
        await ada.data("group_add", conversation_id=group, users=["bob"])
        assert await next_in_group() == ("member", "added")
        await ada.data("send", conversation_id=group, content="two")
        assert await next_in_group() == ("message", "two")


# Limits


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[str]:
    """A daemon whose groups hold two, and whose users are in one."""
    async with running(replace(config_for(tmp_path), groups=Groups(max_members=2, per_user=1))) as url:
        yield url


async def test_a_group_has_room_for_so_many_and_a_user_for_so_many_groups(small: str) -> None:
    ada, bob, chen = await three(small)
    assert await ada.error("group_create", title="Too many", members=["bob", "chen"]) == "group_full"
    assert (await ada.data("groups"))["groups"] == []
    group = await group_of(ada, "bob")
    assert await ada.error("group_add", conversation_id=group, users=["chen"]) == "group_full"
    assert await ada.error("group_create", title="Another") == "group_full"
    assert await chen.error("group_create", title="Hers", members=["ada"]) == "group_full"
    await bob.data("group_leave", conversation_id=group)
    await ada.data("group_add", conversation_id=group, users=["chen"])
    assert (await ada.data("group_get", conversation_id=group))["member_count"] == 2


async def test_a_link_lets_in_as_many_as_it_says_however_many_come_at_once(url: str) -> None:
    ada = await Person.named(url, "ada")
    others = [await Person.named(url, f"guest{number}") for number in range(6)]
    group = await group_of(ada)
    token = (await ada.data("group_link", conversation_id=group, uses=2))["token"]
    answers = await asyncio.gather(*(other.ask("group_join", token=token) for other in others))
    assert sorted(answer["success"] for answer in answers) == [False] * 4 + [True] * 2
    assert (await ada.data("group_get", conversation_id=group))["member_count"] == 3


async def test_a_mute_outlives_leaving_and_coming_back(url: str) -> None:
    ada, bob, _ = await three(url)
    group = await group_of(ada, "bob", joining="open")
    await ada.data("group_mute", conversation_id=group, user="bob", until="2099-01-01T00:00:00Z")
    await bob.data("group_leave", conversation_id=group)
    await bob.data("group_join", conversation_id=group)
    assert await bob.error("send", conversation_id=group, content="hi") == "muted"
    assert (await bob.data("history", conversation_id=group))["messages"] == []


async def test_the_last_one_to_leave_ends_the_group(url: str) -> None:
    ada = await Person.named(url, "ada")
    group = await group_of(ada, joining="open")
    await ada.data("group_leave", conversation_id=group)
    assert await ada.error("group_get", conversation_id=group) == "not_found"
    assert await ada.error("group_join", conversation_id=group) == "not_found"
    assert (await ada.data("group_search", q="climbing"))["groups"] == []
    assert await ada.error("send", conversation_id=group, content="hi") == "not_member"


@pytest.mark.parametrize("op", ["group_update", "group_members", "group_leave", "group_dissolve", "group_link"])
async def test_a_conversation_that_is_no_group_is_not_found(url: str, op: str) -> None:
    ada, bob, _ = await three(url)
    direct = (await ada.data("send", to_user="bob", content="hi"))["conversation_id"]
    assert await ada.error(op, conversation_id=direct) == "not_found"
    assert await bob.error(op, conversation_id=4711) == "not_found"


async def test_an_owner_cannot_be_touched_and_hands_the_group_over(url: str) -> None:
    ada, bob, chen = await three(url)
    group = await group_of(ada, "bob", "chen")
    await ada.data("group_role", conversation_id=group, user="bob", role="admin")
    for op, fields in (
        ("group_remove", {}),
        ("group_mute", {"until": "2099-01-01T00:00:00Z"}),
    ):
        assert await bob.error(op, conversation_id=group, user="ada", **fields) == "forbidden"
        assert await chen.error(op, conversation_id=group, user="bob", **fields) == "forbidden"
    assert await bob.error("group_role", conversation_id=group, user="chen", role="admin") == "forbidden"
    await ada.data("group_role", conversation_id=group, user="chen", role="owner")
    members = (await chen.data("group_members", conversation_id=group))["members"]
    assert [(one["username"], one["role"]) for one in members] == [
        *(("ada", "admin"), ("bob", "admin"), ("chen", "owner"))
    ]
