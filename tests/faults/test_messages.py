"""What may be done with messages, where it is easily got wrong: too late, too often, all at once, and what is left."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
import sqlite3
from pathlib import Path

import pytest

from chatd.ops.history import MessageInfo, MessageInHistory
from tests.support import PATIENCE, Person, Process, befriend, config_for, running

SECRET = "zanzibar4711"


async def friends(url: str) -> tuple[Person, Person]:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    return ada, bob


def age(folder: Path, message_id: int, *, seconds: int) -> None:
    """Make a message older than it is."""
    with contextlib.closing(sqlite3.connect(folder / "chatd.db")) as connection, connection:
        connection.execute("UPDATE entries SET created_at = created_at - ? WHERE id = ?", (seconds * 1000, message_id))


async def test_what_was_recalled_is_nowhere_on_the_disk(process: Process) -> None:
    ada, bob = await friends(process.url)
    message_id = (await ada.data("send", to_user="bob", content=f"the {SECRET} plan"))["message_id"]
    await ada.data("edit", message_id=message_id, content=f"the new {SECRET} plan")
    await ada.data("edit", message_id=message_id, content=f"the last {SECRET} plan")
    await ada.data("recall", message_id=message_id)
    assert SECRET not in str(await bob.data("history", user="ada"))
    assert SECRET not in str(await bob.data("sync", cursors={"4": 0}))
    async with asyncio.timeout(PATIENCE):
        while any(SECRET.encode() in file.read_bytes() for file in process.data.iterdir() if file.is_file()):
            await ada.ask("heartbeat")
    await process.kill(signal.SIGTERM)
    for file in filter(Path.is_file, process.data.iterdir()):
        assert SECRET.encode() not in file.read_bytes(), file


async def test_a_text_may_be_changed_and_taken_back_for_a_time(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as url:
        ada, _ = await friends(url)
        message_id = (await ada.data("send", to_user="bob", content="helo"))["message_id"]
        age(tmp_path, message_id, seconds=115)
        await ada.data("edit", message_id=message_id, content="hello")
        age(tmp_path, message_id, seconds=10)
        assert await ada.error("recall", message_id=message_id) == "too_late"
        await ada.data("edit", message_id=message_id, content="hello there")
        age(tmp_path, message_id, seconds=900)
        refused = await ada.ask("edit", message_id=message_id, content="too late")
        assert refused["error"]["code"] == "too_late"
        assert refused["message"] == "That was possible for 900 seconds only."
        note = (await ada.data("send", to_user="ada", content="a note"))["message_id"]
        age(tmp_path, note, seconds=10**6)
        await ada.data("recall", message_id=note)


async def test_of_messages_that_come_together_only_those_at_fault_are_refused(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ada, bob = await friends(url)
    with caplog.at_level(logging.DEBUG, logger="chatd.db"):
        ada.say_at_once(
            {"type": "send", "to_user": "bob", "content": str(number), "client_id": f"c{number}", "id": number}
            | ({"mentions": ["nobody"]} if number % 3 == 1 else {"kind": "card"} if number % 3 == 2 else {})
            for number in range(9)
        )
        replies = [await ada.reply() for _ in range(9)]
    assert not [record for record in caplog.records if record.name == "chatd.db"], "they were undone"
    assert [reply["id"] for reply in replies] == list(range(9))
    assert [reply["success"] or reply["error"]["field"] for reply in replies] == [True, "mentions", "content"] * 3
    assert [event["data"]["content"] for event in await bob.events()] == ["0", "3", "6"]
    again = await ada.data("send", to_user="bob", content="once more", client_id="c1")
    assert again["seq"] == 4, "a request that was refused is not remembered"


async def test_a_message_has_so_many_kinds_of_reactions_and_no_more(url: str) -> None:
    ada, bob = await friends(url)
    message_id = (await ada.data("send", to_user="bob", content="hi"))["message_id"]
    for number in range(10):
        await bob.data("react", message_id=message_id, emoji=chr(0x1F600 + number))
    assert await bob.error("react", message_id=message_id, emoji="👍") == "too_many"
    await ada.data("react", message_id=message_id, emoji="👍")
    await ada.data("react", message_id=message_id, emoji="😀")
    message = (await ada.data("history", user="bob"))["messages"][0]
    assert [reaction["count"] for reaction in message["reactions"]] == [2] + [1] * 10
    await bob.data("react", message_id=message_id, emoji="😀", on=False)
    await bob.data("react", message_id=message_id, emoji="👍")


@pytest.mark.parametrize("emoji", ["\u200d", "\u202e", "\ufe0f", "👍\u202e", "a b", "\t"])
async def test_a_reaction_can_be_seen(url: str, emoji: str) -> None:
    ada, _ = await friends(url)
    message_id = (await ada.data("send", to_user="bob", content="hi"))["message_id"]
    assert await ada.error("react", message_id=message_id, emoji=emoji) == "invalid"
    for good in ("❤️", "👩‍👩‍👧", ":wave:", "+1"):
        await ada.data("react", message_id=message_id, emoji=good)


async def test_what_was_forwarded_stays_what_its_author_said(url: str) -> None:
    ada, bob = await friends(url)
    message_id = (await bob.data("send", to_user="ada", content="I owe you 5"))["message_id"]
    passed = (await ada.data("forward", message_id=message_id, to_user="ada"))["message_id"]
    assert await ada.error("edit", message_id=passed, content="I owe you 5000") == "invalid"


async def test_a_text_that_stays_the_same_is_no_edit(url: str) -> None:
    ada, bob = await friends(url)
    message_id = (await ada.data("send", to_user="bob", content="hi"))["message_id"]
    assert (await ada.data("edit", message_id=message_id, content="hi"))["seq"] is None
    assert (await ada.data("edit", message_id=message_id, content="hello"))["seq"] == 2
    assert (await ada.data("edit", message_id=message_id, content="hello"))["edited_at"] is not None
    assert [event["event"] for event in await bob.events()] == ["message", "edit"]


async def test_a_conversation_is_named_in_one_way(url: str) -> None:
    ada, _ = await friends(url)
    group = (await ada.data("group_create", title="Climbing"))["conversation_id"]
    for op, fields in (
        ("send", {"content": "which?", "to_user": "bob"}),
        ("history", {"user": "bob"}),
        ("typing", {"to_user": "bob"}),
        ("search", {"q": "x", "user": "bob"}),
        ("read", {"user_id": 2}),
    ):
        refused = await ada.ask(op, conversation_id=group, **fields)
        assert (refused["error"]["code"], refused["error"]["field"]) == ("invalid", "conversation_id"), op


async def test_times_at_the_end_of_time_are_refused(url: str) -> None:
    ada, _ = await friends(url)
    group = (await ada.data("group_create", title="Climbing", members=["bob"]))["conversation_id"]
    for until in ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"):
        assert await ada.error("group_mute", conversation_id=group, user="bob", until=until) == "invalid"


async def test_who_left_sees_texts_as_they_were_then(url: str) -> None:
    ada, bob = await friends(url)
    group = (await ada.data("group_create", title="Climbing", members=["bob"]))["conversation_id"]
    message_id = (await ada.data("send", conversation_id=group, content="one"))["message_id"]
    await ada.data("edit", message_id=message_id, content="two")
    await bob.data("group_leave", conversation_id=group)
    await ada.data("edit", message_id=message_id, content="three")
    await ada.data("react", message_id=message_id, emoji="👍")
    await ada.data("pin", message_id=message_id)

    async def seen() -> tuple[str, int, bool, int]:
        message = (await bob.data("history", conversation_id=group))["messages"][0]
        pins = (await bob.data("pins", conversation_id=group))["messages"]
        return message["content"], len(message["reactions"]), message["pinned"], len(pins)

    assert await seen() == ("two", 0, False, 0)
    texts = (await bob.data("edits", message_id=message_id))["texts"]
    assert [text["content"] for text in texts] == ["one", "two"]
    listed = (await bob.data("conversations"))["conversations"]
    assert [one["last_message"]["content"] for one in listed if one["conversation_id"] == group] == ["two"]
    assert await bob.error("recall", message_id=message_id) == "not_member"
    assert await bob.error("edit", message_id=message_id, content="four") == "not_member"
    await ada.data("group_add", conversation_id=group, users=["bob"])
    assert await seen() == ("three", 1, True, 1)
    await bob.data("group_leave", conversation_id=group)
    await ada.data("recall", message_id=message_id)
    assert await seen() == ("", 0, False, 0)


async def test_what_is_done_with_old_messages_while_away_from_a_group_is_learned_after(url: str) -> None:
    ada, bob = await friends(url)
    group = (await ada.data("group_create", title="Climbing", members=["bob"]))["conversation_id"]
    known = (await ada.data("send", conversation_id=group, content="known"))["message_id"]
    await bob.data("group_leave", conversation_id=group)
    unknown = (await ada.data("send", conversation_id=group, content="unknown"))["message_id"]
    await ada.data("edit", message_id=known, content="known!")
    await ada.data("edit", message_id=unknown, content="unknown!")
    await ada.data("group_add", conversation_id=group, users=["bob"])
    await bob.events()
    await ada.data("react", message_id=unknown, emoji="👍")
    (live,) = await bob.events()
    page = await bob.data("sync", cursors={str(group): 4})
    heard = [(one["event"], one["data"].get("content")) for one in page["events"] if one["conversation_id"] == group]
    assert heard == [("hidden", None), ("edit", "known!"), ("hidden", None), ("member", None), ("hidden", None)]
    assert (live["event"], live["seq"], live["data"]) == ("hidden", page["events"][-1]["seq"], {})


async def test_a_message_on_a_page_has_the_fields_that_the_reference_names(url: str) -> None:
    ada, bob = await friends(url)
    first = (await ada.data("send", to_user="bob", content="hi"))["message_id"]
    await ada.data("send", to_user="bob", content="@bob", mentions=["bob"], reply_to=first)
    for op, kind in (("get", MessageInfo), ("history", MessageInHistory)):
        page = await bob.data(op, **({} if op == "get" else {"user": "ada"}))
        for message in page["messages"]:
            assert list(message) == [field.name for field in dataclasses.fields(kind)], op
