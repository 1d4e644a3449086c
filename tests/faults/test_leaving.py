"""Nothing is left of an account that was deleted."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from chatd import erasing
from chatd.erasing import renamed
from tests.support import PASSWORD, PATIENCE, Person, Process, Web, befriend, config_for, running

WORDS = (
    "quetzalcoatl",
    "Zaphod",
    "zaphod@chat.test",
    "+44 20 7946 0123",
    "towelbearer",
    "b-side-of-the-moon",
    "ford-prefect",
)
"""What zaphod has said, in one way or another; his devices in their client_ids."""

DOT = "R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="
"""A picture of one pixel: a GIF, in base64."""

DIRECT, GROUP = 4, 5
"""Conversations."""


def left(process: Process) -> set[str]:
    """Which of the words stand in the database, after VACUUM, or in what was uploaded."""
    with contextlib.closing(sqlite3.connect(process.data / "chatd.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
    stored = b"".join(path.read_bytes() for path in process.data.rglob("*") if path.is_file())
    return {word for word in WORDS if word.encode() in stored}


async def upload(web: Web, token: str, name: str, content: bytes) -> int:
    web.say("POST", f"/files?name={name}", content, authorization=f"Bearer {token}")
    answered = await web.answer()
    assert answered.status == 201, answered
    file_id: int = answered.json["data"]["file_id"]
    return file_id


async def lives(process: Process) -> tuple[Person, str]:
    """Somebody who has done everything. Gives a friend who stays, and the token of who goes."""
    web = await Web.at(process.url)
    ada = await Person.named(process.url, "ada")
    zaphod = await Person.named(
        process.url, "Zaphod", email="zaphod@chat.test", phone="+44 20 7946 0123", nickname="towelbearer"
    )
    eve = await Person.named(process.url, "eve")
    await befriend(ada, zaphod, username="zaphod")
    await zaphod.data("profile_set", bio="quetzalcoatl")
    await zaphod.data("friend_request", to_user="eve", note="quetzalcoatl calls", client_id="ford-prefect-r")
    mine = (await zaphod.data("send", to_user="ada", content="the quetzalcoatl", client_id="ford-prefect-1"))[
        "message_id"
    ]
    await zaphod.data("edit", message_id=mine, content="the quetzalcoatl again")
    await zaphod.data("send", to_user="zaphod", content="a note on quetzalcoatl")
    hers = (await ada.data("send", to_user="zaphod", content="what is that?", client_id="2"))["message_id"]
    await zaphod.data("react", message_id=hers, emoji="👍")
    group = (await ada.data("group_create", title="Climbing", members=["zaphod"]))["conversation_id"]
    await ada.data("send", conversation_id=group, content="hi", mentions=["zaphod"])
    await ada.data("forward", message_id=mine, conversation_id=group)
    said = (await zaphod.data("send", conversation_id=group, content="quetzalcoatl, all"))["message_id"]
    await ada.data("react", message_id=said, emoji="👀")
    await ada.data("pin", message_id=said)
    for text in (b"b-side-of-the-moon", b"quetzalcoatl in a file"):
        file_id = await upload(web, zaphod.token, "quetzalcoatl.txt", text)
        await zaphod.data("send", conversation_id=group, kind="file", file_id=file_id)
    await upload(web, zaphod.token, "unsent.txt", b"b-side-of-the-moon " * 9000)
    begun = await zaphod.data("upload_begin", name="quetzalcoatl.bin")
    await zaphod.data("upload_piece", upload=begun["upload"], content="Yi1zaWRlLW9mLXRoZS1tb29u")
    dot = await upload(web, zaphod.token, "quetzalcoatl.gif", base64.b64decode(DOT))
    await zaphod.data("moment_post", content="quetzalcoatl at the lake", images=[dot])
    at_his = {"moment_id": (await zaphod.data("moment_post", content="quetzalcoatl"))["moment_id"]}
    first = (await zaphod.data("moment_comment", content="mine is quetzalcoatl", **at_his))["comment_id"]
    await ada.data("moment_comment", content="is it?", reply_to=first, **at_his)
    await ada.data("moment_like", **at_his)
    at_hers = {"moment_id": (await ada.data("moment_post", content="hello"))["moment_id"]}
    await zaphod.data("moment_like", **at_hers)
    first = (await zaphod.data("moment_comment", content="hers is not quetzalcoatl", **at_hers))["comment_id"]
    await ada.data("moment_comment", content="no", reply_to=first, **at_hers)
    await eve.close()
    await zaphod.close()
    return ada, zaphod.token


async def gone(process: Process, ada: Person) -> None:
    """Wait until the account is erased."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await ada.ask("heartbeat")
            with contextlib.closing(sqlite3.connect(process.data / "chatd.db")) as connection:
                ((erased,),) = connection.execute("SELECT erased_at FROM users WHERE id = 2").fetchall()
            if erased is not None:
                return


async def test_nothing_is_left_of_an_account_that_was_deleted(process: Process) -> None:
    ada, token = await lives(process)
    assert left(process) == set(WORDS)
    web = await Web.at(process.url)
    await web.data("account_delete", token=token, password=PASSWORD)
    assert await web.error("friends", token=token) == (401, "bad_token")
    await gone(process, ada)
    forwarded = [one for one in (await ada.data("history", conversation_id=GROUP))["messages"] if one["forwarded_from"]]
    assert [one["forwarded_from"] for one in forwarded] == [{"user_id": 2, "username": "deleted#2"}]
    await ada.data("recall", message_id=forwarded[0]["id"])  # what she has passed on is hers to take back
    assert await process.kill(15) == 0
    assert left(process) == set()
    status, output = await process.command("check")
    assert status == 0, output
    assert not [path for path in (process.data / "files").rglob("*") if path.is_file()]
    assert not list((process.data / "uploads").iterdir())


async def test_who_stays_sees_the_same_live_and_afterwards(process: Process) -> None:
    ada, token = await lives(process)
    await ada.events()
    web = await Web.at(process.url)
    await web.data("account_delete", token=token, password=PASSWORD)
    await gone(process, ada)
    heard = [frame["event"] for frame in await ada.events()]
    assert heard.count("erasure") == 2
    assert "friend" in heard
    assert "member" in heard
    for place in ({"user_id": 2}, {"conversation_id": GROUP}):
        for message in (await ada.data("history", **place))["messages"]:
            assert message["from_username"] != "Zaphod"
            if message["from_user_id"] == 2:
                assert (message["content"], message["file"], message["reactions"]) == ("", None, [])
                assert message["recalled_at"] is not None
            assert not any(person["username"] == "Zaphod" for person in message["mentions"])
    cursors = {str(conversation_id): 0 for conversation_id in (1, DIRECT, GROUP)}
    for op, fields in (("conversations", {}), ("friends", {}), ("sync", {"cursors": cursors}), ("friend_requests", {})):
        assert "Zaphod" not in str(await ada.data(op, **fields)), op
    assert [found["from_username"] for found in (await ada.data("search", q="quetzal"))["messages"]] == ["ada"]
    again = await Person.named(process.url, "zaphod")  # the name is free
    assert (await again.data("profile"))["bio"] == ""


async def test_a_crash_in_the_middle_of_it_changes_nothing(process: Process) -> None:
    ada, token = await lives(process)
    web = await Web.at(process.url)
    await web.data("account_delete", token=token, password=PASSWORD)
    for _ in range(3):
        await process.crash()
    ada = await Person.again(process.url, ada.token)
    await gone(process, ada)
    web = await Web.at(process.url)
    forwarded = [one for one in (await ada.data("history", conversation_id=GROUP))["messages"] if one["forwarded_from"]]
    await ada.data("recall", message_id=forwarded[0]["id"])
    assert await process.kill(15) == 0
    assert left(process) == set()
    status, output = await process.command("check")
    assert status == 0, output


@patch.object(erasing, "ENTRIES", 2)
async def test_answers_go_however_many_people_use_the_same_client_id(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as url:
        people = [await Person.named(url, f"user{number}") for number in range(6)]
        for number, person in enumerate(people):
            for client_id in ("1", f"x{number}"):
                await person.data("send", to_user=f"user{number}", content="a note", client_id=client_id)
        leaver = people[3]
        await leaver.data("account_delete", password=PASSWORD)
        async with asyncio.timeout(PATIENCE):
            while True:
                await people[0].ask("heartbeat")
                with contextlib.closing(sqlite3.connect(tmp_path / "chatd.db")) as connection:
                    erased = connection.execute("SELECT id FROM users WHERE erased_at IS NOT NULL").fetchall()
                    kept = connection.execute("SELECT user_id, client_id FROM requests ORDER BY user_id").fetchall()
                if erased:
                    break
        assert erased == [(4,)]
        assert kept == [(one, client_id) for one in (1, 2, 3, 5, 6) for client_id in ("1", f"x{one - 1}")]


@pytest.mark.parametrize(
    ("data", "after"),
    [
        ({"user_id": 2, "username": "z", "note": "hi"}, {"user_id": 2, "username": "-", "note": ""}),
        ({"user_id": 3, "username": "z", "note": "hi"}, {"user_id": 3, "username": "z", "note": "hi"}),
        ({"from_user_id": 3, "to_user_id": 2, "to_username": "z", "note": "hi"}, None),
        ({"users": [{"user_id": 2, "username": "z"}]}, {"users": [{"user_id": 2, "username": "-"}]}),
        ({"user_id": 2, "username": None}, {"user_id": 2, "username": "-"}),
    ],
)
def test_a_name_is_replaced_where_it_is_that_users(data: Any, after: Any) -> None:
    expected = {**data, "to_username": "-"} if after is None else after
    assert renamed(data, 2, "-") == expected
