"""The same request again, and at the same time."""

from __future__ import annotations

import asyncio

from tests.support import PASSWORD, Person, befriend


async def test_one_client_id_a_hundred_times_at_once_is_one_message(url: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    devices = [await Person.again(url, ada.token) for _ in range(10)]
    for device in devices:
        for _ in range(10):
            await device.say("send", to_user="bob", content="once", client_id="the same")
    replies = [await device.reply() for device in devices for _ in range(10)]
    assert all(reply["success"] for reply in replies)
    assert len({(reply["data"]["message_id"], reply["data"]["seq"]) for reply in replies}) == 1
    assert sum("duplicate" not in reply["data"] for reply in replies) == 1
    assert [event["data"]["content"] for event in await bob.events()] == ["once"]
    for fields in ({"content": "another"}, {"content": "once", "conversation_id": 3}):
        assert await ada.error("send", **{"to_user": "bob", "client_id": "the same", **fields}) == "conflict"
    assert await ada.error("friend_remark", user="bob", remark="x", client_id="the same") == "conflict"
    assert (await bob.data("send", to_user="ada", content="mine", client_id="the same"))["seq"] == 2


async def test_a_failed_request_may_be_tried_again_with_its_client_id(url: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    assert await ada.error("send", to_user="bob", content="hi", client_id="x") == "not_friends"
    await befriend(ada, bob, username="bob")
    assert "duplicate" not in await ada.data("send", to_user="bob", content="hi", client_id="x")


async def test_with_a_client_id_a_new_password_is_set_once_and_another_is_a_conflict(url: str) -> None:
    ada = await Person.named(url, "ada")
    change = {"old_password": PASSWORD, "new_password": "battery staple", "client_id": "pw"}
    assert "duplicate" not in await ada.data("password_set", **change)
    assert (await ada.data("password_set", **change))["duplicate"]
    assert await ada.error("password_set", **{**change, "new_password": "another staple"}) == "conflict"
    await ada.data("send", to_user="ada", content="note", client_id="note")
    again = {**change, "old_password": "battery staple", "client_id": "note"}
    assert await ada.error("password_set", **again) == "conflict"
    assert await ada.error("send", to_user="ada", content="note", client_id="pw") == "conflict"
    await (await Person.at(url)).data("login", username="ada", password="battery staple")


async def test_requests_that_cross_at_the_same_moment_make_one_friendship(url: str) -> None:
    for number in range(20):
        one, other = f"one{number}", f"other{number}"
        ada, bob = await Person.named(url, one), await Person.named(url, other)
        await asyncio.gather(ada.say("friend_request", to_user=other), bob.say("friend_request", to_user=one))
        replies = [await ada.reply(), await bob.reply()]
        assert sorted(reply["data"]["state"] for reply in replies) == ["friends", "pending"]
        for person in (ada, bob):
            assert len((await person.data("friends"))["friends"]) == 1
            listed = await person.data("conversations")
            assert sorted(one["kind"] for one in listed["conversations"]) == ["direct", "self"]
            await person.close()


async def test_sequence_numbers_have_no_holes_whoever_writes(url: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    for number in range(200):
        await ada.say("send", to_user="bob", content=f"a{number}")
        await bob.say("send", to_user="ada", content=f"b{number}")
    frames = {person: [await person.next() for _ in range(400)] for person in (ada, bob)}
    for seen in frames.values():  # replies and events together are the log, in order
        assert [frame["data"]["seq"] if frame["type"] == "reply" else frame["seq"] for frame in seen] == list(
            range(1, 401)
        )
