"""Messages that come together: stored by the same statements, and answered as if each had come alone."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatd.config import Messages
from tests.support import Person, Process, befriend, config_for, running

Request = dict[str, Any]


@pytest.fixture
async def open_url(tmp_path: Path) -> AsyncIterator[str]:
    """A daemon where anyone may write to anyone."""
    async with running(replace(config_for(tmp_path), messages=Messages(direct="anyone"))) as url:
        yield url


def send(content: str, **fields: Any) -> Request:
    return {"type": "send", "content": content, **fields}


async def replies(person: Person, requests: Sequence[Request]) -> list[dict[str, Any]]:
    """The replies to requests that were written with their place as `id`."""
    heard = [await person.reply() for _ in requests]
    assert [reply["id"] for reply in heard] == list(range(len(requests)))
    assert [reply["op"] for reply in heard] == [request["type"] for request in requests]
    return heard


def write(person: Person, requests: Sequence[Request]) -> None:
    person.say_at_once({**request, "id": number} for number, request in enumerate(requests))


async def asked_at_once(person: Person, *requests: Request) -> list[dict[str, Any]]:
    write(person, requests)
    return await replies(person, requests)


def codes(heard: Sequence[dict[str, Any]]) -> list[str | None]:
    """What became of each: the code of its error, or None."""
    return [None if reply["success"] else reply["error"]["code"] for reply in heard]


async def kept(person: Person, **conversation: Any) -> list[tuple[int, str]]:
    """The (seq, content)s of the messages in a conversation, as its history tells them."""
    page = await person.data("history", limit=200, **conversation)
    assert not page["more"]
    return [(message["seq"], message["content"]) for message in page["messages"]]


def told(heard: Sequence[dict[str, Any]]) -> list[int]:
    """The seqs of the messages among frames, in order: of replies the `data` has it."""
    return [
        frame["data"]["seq"] if frame["type"] == "reply" else frame["seq"]
        for frame in heard
        if frame.get("op") == "send" or frame.get("event") == "message"
    ]


def undone(caplog: pytest.LogCaptureFixture) -> int:
    """How many times those that came together were undone, to be run one by one: all that chatd.db logs here."""
    return [record.name for record in caplog.records].count("chatd.db")


async def friends(url: str, *usernames: str) -> list[Person]:
    """People, the first of whom is a friend of all others."""
    people = [await Person.named(url, username) for username in usernames]
    for username, person in zip(usernames[1:], people[1:], strict=True):
        await befriend(people[0], person, username=username)
    return people


# Order


async def test_messages_of_one_segment_are_numbered_in_their_order(url: str, caplog: pytest.LogCaptureFixture) -> None:
    ada, bob = await friends(url, "ada", "bob")
    with caplog.at_level(logging.DEBUG, logger="chatd.db"):
        sent = await asked_at_once(ada, *(send(f"message {number}", to_user="bob") for number in range(1, 201)))
    assert undone(caplog) == 0
    places = [(reply["data"]["seq"], reply["data"]["message_id"]) for reply in sent]
    assert [seq for seq, _ in places] == list(range(1, 201))
    assert [message_id for _, message_id in places] == sorted({message_id for _, message_id in places})
    heard = await bob.events()
    assert [(event["seq"], event["data"]["message_id"]) for event in heard] == places
    for person, other in ((ada, "bob"), (bob, "ada")):
        assert await kept(person, user=other) == [(number, f"message {number}") for number in range(1, 201)]


async def test_a_message_stands_in_the_history_as_its_reply_and_its_event_say(url: str) -> None:
    ada, bob = await friends(url, "ada", "bob")
    requests = [send(str(number), to_user="bob", client_id=f"c{number}") for number in range(100)]
    sent = [reply["data"] for reply in await asked_at_once(ada, *requests)]
    heard = [event["data"] for event in await bob.events()]
    stored = (await ada.data("history", user="bob", limit=200))["messages"]
    for reply, event, message in zip(sent, heard, stored, strict=True):
        assert reply.items() <= {**message, "message_id": message["id"]}.items()
        for field in ("from_user_id", "from_username", "to_user_id", "content", "kind", "created_at"):
            assert event[field] == message[field]
        assert (event["client_id"], message["client_id"]) == (None, f"c{message['content']}")


async def test_messages_of_many_connections_have_no_holes_and_are_heard_in_order(process: Process) -> None:
    ada, bob = await friends(process.url, "ada", "bob")
    phone, tablet = await Person.again(process.url, ada.token), await Person.again(process.url, bob.token)
    everybody = {"ada": ada, "phone": phone, "bob": bob, "tablet": tablet}
    for name, person in everybody.items():
        to_user = "bob" if person in (ada, phone) else "ada"
        write(person, [send(f"{name} {number}", to_user=to_user) for number in range(50)])
    for person in everybody.values():
        assert told([await person.next() for _ in range(200)]) == list(range(1, 201))
    stored = await kept(ada, user="bob")
    assert [seq for seq, _ in stored] == list(range(1, 201))
    for name in everybody:
        own = [content for _, content in stored if content.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(50)]


async def test_messages_that_were_acknowledged_together_outlive_a_kill_together(process: Process) -> None:
    ada, _bob = await friends(process.url, "ada", "bob")
    requests = [send(str(number), to_user="bob", client_id=f"c{number}") for number in range(64)]
    first = await asked_at_once(ada, *requests)
    await process.crash()
    ada = await Person.again(process.url, ada.token)
    again = await asked_at_once(ada, *requests)
    assert [reply["data"] for reply in again] == [{**reply["data"], "duplicate": True} for reply in first]
    assert await kept(ada, user="bob") == [(number + 1, str(number)) for number in range(64)]


# Conversations and ops side by side


async def test_messages_to_several_conversations_are_numbered_in_each(url: str) -> None:
    ada, bob, eve = await friends(url, "ada", "bob", "eve")
    in_bobs = (await ada.data("send", to_user="bob", content="first"))["conversation_id"]
    await bob.events()
    where: list[Request] = [
        {"to_user": "bob"},
        {"to_user": "ada"},
        {"to_user": "eve"},
        {"conversation_id": in_bobs},
    ] * 10
    sent = await asked_at_once(ada, *(send(str(number), **to) for number, to in enumerate(where)))
    notes_before = sent[1]["data"]["seq"]
    assert [reply["data"]["seq"] for reply in sent] == [
        seq for turn in range(10) for seq in (2 * turn + 2, notes_before + turn, turn + 1, 2 * turn + 3)
    ]
    told_bob = [str(number) for number, to in enumerate(where) if to in ({"to_user": "bob"}, where[3])]
    assert await kept(bob, user="ada") == list(enumerate(["first", *told_bob], start=1))
    assert [event["data"]["content"] for event in await bob.events()] == told_bob
    assert await kept(eve, user="ada") == list(enumerate((str(number) for number in range(2, 40, 4)), start=1))
    assert [content for _, content in await kept(ada, user="ada")] == [str(number) for number in range(1, 40, 4)]


async def test_other_ops_between_messages_are_answered_in_their_place(url: str) -> None:
    ada, bob = await friends(url, "ada", "bob")
    assert codes(await asked_at_once(bob, *(send(str(number), to_user="ada") for number in range(5)))) == [None] * 5
    turn: list[Request] = [
        send("to bob", to_user="bob"),
        send("note", to_user="ada"),
        {"type": "heartbeat"},
        send("to bob", to_user="bob"),
        {"type": "profile_set", "bio": "I talk much."},
        {"type": "read", "user": "bob", "seq": 3},
        send("note", to_user="ada"),
        send("to bob", to_user="bob"),
        {"type": "nonsense"},
        {"type": "send", "content": 7, "to_user": "bob"},
        send("to bob", to_user="bob"),
        {"type": "history", "user": "bob", "limit": 1},
    ]
    sent = await asked_at_once(ada, *turn * 5)
    assert codes(sent) == [*[None] * 8, "unknown_op", "invalid", None, None] * 5
    to_bob = [
        reply["data"]["seq"] for reply, what in zip(sent, turn * 5, strict=True) if what.get("content") == "to bob"
    ]
    notes = [reply["data"]["seq"] for reply, what in zip(sent, turn * 5, strict=True) if what.get("content") == "note"]
    assert to_bob == list(range(6, 26))
    for number, reply in enumerate(sent[11::12], start=1):
        assert [message["seq"] for message in reply["data"]["messages"]] == [5 + 4 * number]
    assert await kept(ada, user="ada") == [(seq, "note") for seq in notes]
    assert await kept(bob, user="ada") == [
        *((seq, str(seq - 1)) for seq in range(1, 6)),
        *((s, "to bob") for s in to_bob),
    ]
    assert told(await bob.events()) == to_bob


# Refusals


async def test_nobody_writes_where_another_one_of_the_same_moment_may(url: str) -> None:
    bob, ada, eve = await friends(url, "bob", "ada", "eve")
    mallory = await Person.named(url, "mallory")
    in_adas = (await ada.data("send", to_user="bob", content="0"))["conversation_id"]
    where: list[Request] = [{"to_user": "bob"}, {"to_user_id": 1}, {"conversation_id": in_adas}]
    for _ in range(10):  # they come on three connections: not each time in one batch
        for person in (ada, eve, mallory):
            write(person, [send(person.token, **to) for to in where])
        assert codes(await replies(ada, [send("")] * 3)) == [None, None, None]
        assert codes(await replies(eve, [send("")] * 3)) == [None, None, "not_found"]
        assert codes(await replies(mallory, [send("")] * 3)) == ["not_friends", "not_friends", "not_found"]
    assert [content for _, content in await kept(bob, user="ada")] == ["0", *[ada.token] * 30]
    assert [content for _, content in await kept(bob, user="eve")] == [eve.token] * 20
    assert len(told(await bob.events())) == 51


@pytest.mark.parametrize("direct", ["friends", "anyone"])
async def test_one_that_is_refused_does_not_touch_those_beside_it(tmp_path: Path, direct: Any) -> None:
    async with running(replace(config_for(tmp_path), messages=Messages(direct=direct))) as url:
        ada, bob, mallory, _trent = await friends(url, "ada", "bob", "mallory", "trent")
        eve = await Person.named(url, "eve")
        await befriend(bob, eve, username="eve")
        foreign = (await bob.data("send", to_user="eve", content="secret"))["conversation_id"]
        await mallory.data("block", user="ada")
        await ada.data("block", user="trent")
        for person in (ada, bob, mallory, eve):
            await person.events()

        unreachable = "not_friends" if direct == "friends" else "unreachable"
        refused: list[tuple[Request, str, str | None]] = [
            ({"to_user": "nobody"}, "not_found", "to_user"),
            ({"to_user_id": 4711}, "not_found", "to_user_id"),
            ({"to_user": "mallory"}, unreachable, None),
            ({"to_user": "trent"}, "blocked", None),
            ({"conversation_id": foreign}, "not_found", "conversation_id"),
            ({"conversation_id": 999_999}, "not_found", "conversation_id"),
            ({"to_user": "bob", "to_user_id": 2}, "invalid", "to_user"),
            ({}, "invalid", "conversation_id"),
        ]
        if direct == "friends":
            refused.append(({"to_user": "eve"}, "not_friends", "to_user"))
        requests = [
            request
            for number, (fields, _, _) in enumerate(refused * 2)
            for request in (send(f"before {number}", to_user="bob"), send("refused", **fields))
        ]
        sent = await asked_at_once(ada, *requests)
        assert codes(sent[0::2]) == [None] * len(refused) * 2
        assert told(sent[0::2]) == list(range(1, 2 * len(refused) + 1))
        wrong = [(reply["error"]["code"], reply["error"]["field"]) for reply in sent[1::2]]
        assert wrong == [(code, field) for _, code, field in refused] * 2
        stored = [(number + 1, f"before {number}") for number in range(2 * len(refused))]
        assert await kept(bob, user="ada") == stored
        assert told(await bob.events()) == [seq for seq, _ in stored]
        assert await mallory.events() == await eve.events() == []
        assert await kept(bob, user="eve") == [(1, "secret")]


async def test_a_segment_in_which_all_are_refused_changes_nothing(url: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    assert codes(await asked_at_once(ada, *[send("hi", to_user="bob", client_id="x")] * 10)) == ["not_friends"] * 10
    await befriend(ada, bob, username="bob")
    sent = await asked_at_once(ada, *[send("hi", to_user="bob", client_id="x")] * 10)
    assert told(sent) == [1] * 10
    assert ["duplicate" in reply["data"] for reply in sent] == [False] + [True] * 9
    assert await kept(bob, user="ada") == [(1, "hi")]


# Retries


async def test_a_retry_among_new_messages_gets_its_first_answer(url: str, caplog: pytest.LogCaptureFixture) -> None:
    ada, bob = await friends(url, "ada", "bob")
    phone = await Person.again(url, ada.token)
    await ada.events()
    first = await ada.data("send", to_user="bob", content="zero", client_id="c0")
    with caplog.at_level(logging.DEBUG, logger="chatd.db"):
        sent = await asked_at_once(
            ada,
            send("one", to_user="bob", client_id="c1"),
            send("zero", to_user="bob", client_id="c0"),
            send("two", to_user="bob", client_id="c2"),
            send("one", to_user="bob", client_id="c1"),
            send("three", to_user="bob"),
            send("two", to_user="bob", client_id="c2"),
        )
    assert undone(caplog) == 1
    assert told(sent) == [2, 1, 3, 2, 4, 3]
    assert ["duplicate" in reply["data"] for reply in sent] == [False, True, False, True, False, True]
    assert sent[1]["data"] == {**first, "duplicate": True}
    for retry, original in ((3, 0), (5, 2)):
        assert sent[retry]["data"] == {**sent[original]["data"], "duplicate": True}
    stored = [(1, "zero"), (2, "one"), (3, "two"), (4, "three")]
    assert await kept(bob, user="ada") == stored
    assert [(event["seq"], event["data"]["content"]) for event in await bob.events()] == stored
    assert [event["data"]["client_id"] for event in await phone.events()] == ["c0", "c1", "c2", None]
    assert await ada.events() == []


async def test_devices_that_retry_each_others_messages_at_once_store_each_once(url: str) -> None:
    ada, bob = await friends(url, "ada", "bob")
    devices = [ada, await Person.again(url, ada.token), await Person.again(url, ada.token)]
    requests = [send(str(number), to_user="bob", client_id=f"c{number}") for number in range(50)]
    for device in devices:
        write(device, requests)
    sent = [await replies(device, requests) for device in devices]
    assert told(sent[0]) == told(sent[1]) == told(sent[2])
    new = [reply for one in sent for reply in one if "duplicate" not in reply["data"]]
    assert sorted(told(new)) == list(range(1, 51))
    assert [content for _, content in await kept(bob, user="ada")] == [str(number) for number in range(50)]
    assert told(await bob.events()) == list(range(1, 51))


async def test_two_people_may_use_the_same_client_ids_at_once(url: str) -> None:
    ada, bob = await friends(url, "ada", "bob")
    for person, other in ((ada, "bob"), (bob, "ada")):
        write(person, [send(str(number), to_user=other, client_id=f"c{number}") for number in range(20)])
    sent = [await person.reply() for person in (ada, bob) for _ in range(20)]
    assert sorted(told(sent)) == list(range(1, 41))
    assert not any("duplicate" in reply["data"] for reply in sent)
    assert len(await kept(ada, user="bob")) == 40


async def test_a_client_id_with_another_content_is_a_conflict_for_that_one_alone(url: str) -> None:
    ada, bob = await friends(url, "ada", "bob")
    await ada.data("send", to_user="bob", content="zero", client_id="c0")
    await ada.data("friend_remark", user="bob", remark="Bob from work", client_id="remark")
    sent = await asked_at_once(
        ada,
        send("one", to_user="bob", client_id="c1"),
        send("another", to_user="bob", client_id="c0"),
        send("two", to_user="bob", client_id="c2"),
        send("not two", to_user="bob", client_id="c2"),
        send("zero", to_user="ada", client_id="c0"),
        send("a remark", to_user="bob", client_id="remark"),
        send("three", to_user="bob"),
        send("two", to_user="bob", client_id="c2"),
    )
    assert codes(sent) == [None, "conflict", None, "conflict", "conflict", "conflict", None, None]
    assert {reply["error"]["field"] for reply in sent if not reply["success"]} == {"client_id"}
    assert told([reply for reply in sent if reply["success"]]) == [2, 3, 4, 3]
    assert sent[-1]["data"]["duplicate"]
    stored = [(1, "zero"), (2, "one"), (3, "two"), (4, "three")]
    assert await kept(bob, user="ada") == stored
    assert [(event["seq"], event["data"]["content"]) for event in await bob.events()] == stored
    assert await kept(ada, user="ada") == []


async def test_a_retry_of_what_is_not_allowed_any_more_gets_its_first_answer(url: str) -> None:
    ada, bob, eve = await friends(url, "ada", "bob", "eve")
    first = await ada.data("send", to_user="bob", content="before", client_id="c0")
    await bob.data("block", user="ada")
    await bob.events()
    sent = await asked_at_once(
        ada,
        send("one", to_user="eve", client_id="c1"),
        send("before", to_user="bob", client_id="c0"),
        send("after", to_user="bob", client_id="c2"),
        send("something else", to_user="bob", client_id="c0"),
        send("after", to_user="bob"),
        send("two", to_user="eve"),
    )
    assert codes(sent) == [None, None, "not_friends", "conflict", "not_friends", None]
    assert sent[1]["data"] == {**first, "duplicate": True}
    assert told([sent[0], sent[5]]) == [1, 2]
    assert await bob.events() == []
    assert await kept(bob, user="ada") == await kept(ada, user="bob") == [(1, "before")]
    assert await kept(eve, user="ada") == [(1, "one"), (2, "two")]


# Strangers


async def opened(person: Person) -> list[int]:
    """The ids of the direct conversations that somebody has."""
    listed = (await person.data("conversations"))["conversations"]
    return [one["conversation_id"] for one in listed if one["kind"] == "direct"]


async def test_the_first_messages_to_a_stranger_open_one_conversation(open_url: str) -> None:
    ada, eve = await Person.named(open_url, "ada"), await Person.named(open_url, "eve")
    sent = await asked_at_once(ada, send("one", to_user="eve"), send("two", to_user_id=2), send("three", to_user="EVE"))
    assert told(sent) == [1, 2, 3]
    (conversation_id,) = {reply["data"]["conversation_id"] for reply in sent}
    assert await opened(ada) == await opened(eve) == [conversation_id]
    assert await kept(eve, conversation_id=conversation_id) == [(1, "one"), (2, "two"), (3, "three")]
    assert [event["event"] for event in await ada.events()] == ["conversation"]
    assert [event["event"] for event in await eve.events()] == ["conversation", "message", "message", "message"]


async def test_strangers_who_write_to_each_other_at_once_open_one_conversation(open_url: str) -> None:
    for number in range(10):
        names = f"ada{number}", f"eve{number}"
        ada, eve = [await Person.named(open_url, name) for name in names]
        write(ada, [send("ada one", to_user=names[1]), send("ada two", to_user=names[1])])
        write(eve, [send("eve one", to_user=names[0]), send("eve two", to_user=names[0])])
        sent = [await person.reply() for person in (ada, ada, eve, eve)]
        (conversation_id,) = {reply["data"]["conversation_id"] for reply in sent}
        assert await opened(ada) == await opened(eve) == [conversation_id]
        stored = await kept(ada, user=names[1])
        assert [seq for seq, _ in stored] == [1, 2, 3, 4]
        assert dict(stored) == dict(zip(told(sent), ("ada one", "ada two", "eve one", "eve two"), strict=True))
        assert await kept(eve, user=names[0]) == stored
        for person in (ada, eve):
            assert [event["event"] for event in await person.events()].count("conversation") == 1
            await person.close()


async def test_a_conversation_that_was_undone_with_its_messages_is_opened_once(open_url: str) -> None:
    ada, eve = await Person.named(open_url, "ada"), await Person.named(open_url, "eve")
    await ada.data("send", to_user="ada", content="note", client_id="c0")
    sent = await asked_at_once(
        ada,
        send("one", to_user="eve", client_id="c1"),
        send("note", to_user="ada", client_id="c0"),
        send("not a note", to_user="eve", client_id="c0"),
        send("two", to_user="eve", client_id="c2"),
    )
    assert codes(sent) == [None, None, "conflict", None]
    assert [sent[number]["data"]["seq"] for number in (0, 3)] == [1, 2]
    assert await opened(ada) == await opened(eve) == [sent[0]["data"]["conversation_id"]]
    assert await kept(eve, user="ada") == [(1, "one"), (2, "two")]
    assert [event["event"] for event in await eve.events()] == ["conversation", "message", "message"]
    assert [event["event"] for event in await ada.events()] == ["conversation"]
