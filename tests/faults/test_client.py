"""chatd.client, through a proxy that cuts and swallows traffic."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import shutil
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatd.client import Client, Event
from chatd.errors import BadToken, NotFriends
from chatd.op import REGISTRY
from tests.support import PASSWORD, PATIENCE, Person, Process, befriend

QUICK = (0.01, 0.05)


class Proxy:
    """Stands between a client and the daemon. `swallow` drops what the daemon says; `cut` breaks every connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pipes: set[asyncio.Task[None]] = set()
        self.swallow = False
        self.connections = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._pipes, return_exceptions=True)

    def cut(self) -> None:
        self.swallow = False
        for pipe in self._pipes:
            pipe.cancel()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await asyncio.gather(
                    self._pump(reader, there_writer, towards_client=False),
                    self._pump(there_reader, writer, towards_client=True),
                )
            finally:
                there_writer.transport.abort()
                writer.transport.abort()
        self._pipes.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, towards_client: bool) -> None:
        while data := await reader.read(65536):
            if not (towards_client and self.swallow):
                writer.write(data)
                await writer.drain()
        raise ConnectionResetError


async def next_event(events: AsyncIterator[Event], name: str) -> Event:
    """The next event of this name."""
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if event.event == name:
                return event
    raise AssertionError(f"no {name} came")


async def test_a_first_conversation(url: str) -> None:
    async with Client(url) as ada, Client(url) as bob:
        signed_up = await ada.signup(username="ada", password=PASSWORD)
        assert (signed_up.username, ada.token) == ("ada", signed_up.token)
        await bob.signup(username="bob", password=PASSWORD)
        with pytest.raises(NotFriends, match=r"^You and bob are not friends\.$"):
            await ada.send(to_user="bob", content="hi")
        request = await ada.friend_request(to_user="bob")
        heard = bob.events()
        asked = await next_event(heard, "friend_request")
        await bob.friend_respond(request_id=asked.data["request_id"], accept=True)
        sent = await ada.send(to_user="bob", content="hi")
        message = await next_event(heard, "message")
        assert (message.conversation_id, message.seq) == (sent.conversation_id, sent.seq)
        assert message.data["content"] == "hi"
        assert request.state == "pending"
        assert (await bob.history(user="ada")).messages[0].content == "hi"


async def test_there_is_a_method_for_every_op_with_its_fields() -> None:
    for name, op in REGISTRY.items():
        method = getattr(Client, name)
        parameters = set(inspect.signature(method).parameters) - {"self"}
        assert parameters == set(op.schema.fields) | ({"client_id"} if op.takes_client_id else set())
        assert method.__doc__ == op.doc


async def test_a_lost_reply_does_not_make_two_messages(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await befriend(ada, bob, username="bob")
    proxy = Proxy(process.port)
    async with proxy.open() as url, Client(url, token=ada.token, backoff=QUICK) as client:
        await client.connected.wait()
        proxy.swallow = True
        sending = asyncio.create_task(client.send(to_user="bob", content="once"))
        assert (await bob.next())["data"]["content"] == "once"  # it is stored, and its reply is lost
        proxy.cut()
        sent = await asyncio.wait_for(sending, PATIENCE)
        assert (sent.seq, proxy.connections) == (1, 2)
        assert (await client.send(to_user="bob", content="twice")).seq == 2
        assert len((await bob.data("history", user="ada"))["messages"]) == 2


async def test_what_is_asked_while_away_is_sent_in_order_afterwards(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await befriend(ada, bob, username="bob")
    async with Client(process.url, token=ada.token, backoff=QUICK) as client:
        await client.connected.wait()
        await process.kill()
        sending = [asyncio.create_task(client.send(to_user="bob", content=str(number))) for number in range(50)]
        await asyncio.wait(sending, timeout=0)
        await process.start()
        sent = await asyncio.gather(*sending)
    assert [one.seq for one in sent] == list(range(1, 51))
    bob = await Person.again(process.url, bob.token)
    stored = (await bob.data("history", user="ada"))["messages"]
    assert [one["content"] for one in stored] == [str(number) for number in range(50)]


async def test_events_missed_while_away_come_once_and_in_order(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await befriend(ada, bob, username="bob")
    proxy = Proxy(process.port)
    async with proxy.open() as url, Client(url, token=bob.token, backoff=QUICK) as client:
        await client.connected.wait()
        heard = client.events()
        for number in range(1, 1201):  # more than two pages of what was missed
            await ada.data("send", to_user="bob", content=str(number))
            if number % 400 == 100:
                proxy.swallow = True
            if number % 400 == 0:
                proxy.cut()
        contents = [(await next_event(heard, "message")).data["content"] for _ in range(1200)]
    assert contents == [str(number) for number in range(1, 1201)]
    assert proxy.connections == 4


async def test_a_conversation_that_began_while_away_is_heard_from_its_start(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    proxy = Proxy(process.port)
    async with proxy.open() as url, Client(url, token=bob.token, backoff=QUICK) as client:
        await client.connected.wait()
        heard = client.events()
        proxy.swallow = True
        await befriend(ada, bob, username="bob")
        for content in ("one", "two", "three"):
            await ada.data("send", to_user="bob", content=content)
        proxy.cut()
        assert [(await next_event(heard, "message")).data["content"] for _ in range(3)] == ["one", "two", "three"]


async def test_a_client_goes_on_where_an_earlier_one_ended(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await befriend(ada, bob, username="bob")
    await ada.data("send", to_user="bob", content="seen")
    async with Client(process.url, token=bob.token) as first:
        await first.connected.wait()
        kept = {"cursors": first.cursors, "since": first.since, "epoch": first.epoch}
    await ada.data("send", to_user="bob", content="new")
    async with Client(process.url, token=bob.token, **kept) as second:  # type: ignore[arg-type]
        assert (await next_event(second.events(), "message")).data["content"] == "new"


async def test_the_other_devices_of_the_same_user_are_heard(url: str) -> None:
    ada = await Person.named(url, "ada")
    async with Client(url, token=ada.token) as client:
        await client.connected.wait()
        heard = client.events()
        await client.send(to_user="ada", content="mine")
        await ada.data("send", to_user="ada", content="the other device's")
        assert (await next_event(heard, "message")).data["content"] == "the other device's"


async def test_when_the_session_is_ended_the_client_ends(url: str) -> None:
    ada = await Person.named(url, "ada")
    phone = Client(url)
    async with phone:
        logged_in = await phone.login(username="ada", password=PASSWORD)
        await ada.data("session_revoke", session_id=logged_in.session_id)
        with pytest.raises(BadToken):
            await next_event(phone.events(), "never")
        with pytest.raises(BadToken):
            await phone.friends()
    async with Client(url, token="nonsense") as stranger:
        with pytest.raises(BadToken):
            await stranger.friends()


async def test_closing_ends_events_and_requests(process: Process) -> None:
    client = Client(process.url, backoff=QUICK)
    await client.__aenter__()
    await client.signup(username="ada", password=PASSWORD)
    await process.kill()
    waiting = asyncio.create_task(client.friends())
    await asyncio.wait([waiting], timeout=0)
    await client.close()
    with pytest.raises(ConnectionError, match="the client was closed"):
        await waiting
    assert [event async for event in client.events() if event.event == "message"] == []


async def test_a_restored_backup_is_never_a_silent_hole(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    conversation_id = await befriend(ada, bob, username="bob")
    await process.kill(15)
    shutil.copytree(process.data, process.folder / "backup")
    await process.start()
    ada = await Person.again(process.url, ada.token)
    async with Client(process.url, token=bob.token, backoff=QUICK) as client:
        await client.connected.wait()
        heard = client.events()
        for content in ("one", "two", "three"):
            await ada.data("send", to_user="bob", content=content)
            await next_event(heard, "message")
        await process.kill(15)
        shutil.rmtree(process.data)
        shutil.copytree(process.folder / "backup", process.data)
        with sqlite3.connect(process.data / "chatd.db") as connection:
            connection.execute("UPDATE meta SET value = 'restored' WHERE name = 'epoch'")
        connection.close()
        await process.start()
        lost = await next_event(heard, "lost")
        while lost.conversation_id != conversation_id:
            lost = await next_event(heard, "lost")
        assert lost.seq == 0
        ada = await Person.again(process.url, ada.token)
        await ada.data("send", to_user="bob", content="after the restore")
        message = await next_event(heard, "message")
        assert (message.seq, message.data["content"]) == (1, "after the restore")


async def test_bots_that_answer_each_other_through_kills_count_without_a_slip(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await befriend(ada, bob, username="bob")
    goal = 300

    async def count(token: str, friend: str, *, begins: bool) -> list[int]:
        said = []
        async with Client(process.url, token=token, backoff=QUICK) as client:
            await client.connected.wait()
            ready.append(friend)
            if begins:
                await client.send(to_user=friend, content="1")
            async for event in client.events():
                if event.event == "message":
                    said.append(int(event.data["content"]))
                    if said[-1] < goal:
                        await client.send(to_user=friend, content=str(said[-1] + 1))
                    if said[-1] >= goal - 1:
                        break
        return said

    ready: list[str] = []
    second = asyncio.create_task(count(bob.token, "ada", begins=False))
    while not ready:
        assert (await ada.ask("heartbeat"))["success"]
    first = asyncio.create_task(count(ada.token, "bob", begins=True))
    for _ in range(3):
        await asyncio.wait([first, second], timeout=0.2)
        await process.crash()
    evens, odds = await asyncio.wait_for(asyncio.gather(first, second), 30)
    assert evens == list(range(2, goal + 1, 2))
    assert odds == list(range(1, goal, 2))


async def test_what_has_come_is_acknowledged_by_itself_and_seldom(url: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    conversation_id = await befriend(ada, bob, username="bob")
    async with Client(url, token=bob.token) as client:
        await client.connected.wait()
        ada.say_at_once({"type": "send", "to_user": "bob", "content": str(number)} for number in range(1, 101))
        receipts: list[dict[str, Any]] = []
        while not receipts or receipts[-1]["data"]["delivered_seq"] < 100:
            frame = await ada.next()
            if frame["type"] == "event":
                receipts.append(frame)
        assert len(receipts) <= 5, "one at once, then one a second"
        assert [frame["data"]["read_seq"] for frame in receipts] == [0] * len(receipts)
        client.mark_read(conversation_id, 99)
        while receipts[-1]["data"]["read_seq"] < 99:
            receipts.append(await ada.next())
        await client.send(to_user="bob", content="a note to myself is not acknowledged")
    assert (await ada.data("history", user="bob", limit=2))["messages"][0]["is_read"]


async def test_a_client_may_keep_to_itself_what_has_come(url: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    async with Client(url, token=bob.token, acknowledge=False) as client:
        await client.connected.wait()
        await ada.data("send", to_user="bob", content="hi")
        assert (await anext(client.events())).event == "message"
        await client.heartbeat()
    assert await ada.events() == []


async def test_what_the_client_passes_on_leaves_no_hole(url: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    conversation_id = await befriend(ada, bob, username="bob")
    sent = await ada.data("send", to_user="bob", content="hi")
    async with Client(url, token=bob.token, cursors={conversation_id: 0}) as client:
        events = client.events()
        assert (await anext(events)).data["content"] == "hi"
        passed = await client.forward(message_id=sent["message_id"], to_user="ada")
        assert client.cursors[conversation_id] == passed.seq == 2
        await ada.data("send", to_user="bob", content="thanks")
        assert (await next_event(events, "message")).data["content"] == "thanks"
