"""The daemon is killed at random moments while clients keep sending: what was acknowledged is there once, in order."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter, defaultdict

from chatd.client import Client, Event
from tests.support import Person, Process

KILLS = int(os.environ.get("CHATD_KILLS", "4"))
"""How often. `CHATD_KILLS=20 bin/test tests/faults/test_kill.py` is the long run."""

SEED = int(os.environ.get("CHATD_SEED", "0")) or random.randrange(2**32)

PAIRS = (("ada", "bob"), ("eve", "mal"))
WINDOW = 4
Acknowledged = dict[tuple[int, int], str]


class Chatter:
    """Keeps sending to a friend through `chatd.client`, and writes down what was acknowledged and what was heard."""

    def __init__(self, client: Client, name: str, friend: str) -> None:
        self.client = client
        self.name = name
        self.friend = friend
        self.acknowledged: Acknowledged = {}
        self.heard: list[Event] = []
        self.stopping = False

    async def talk(self, lane: int) -> None:
        """Send one message after another until told to stop."""
        for number in range(1_000_000):
            if self.stopping:
                return
            content = f"{self.name} {lane} {number}"
            sent = await self.client.send(to_user=self.friend, content=content)
            assert (sent.conversation_id, sent.seq) not in self.acknowledged, "two messages share a place"
            self.acknowledged[sent.conversation_id, sent.seq] = content

    async def listen(self) -> None:
        """Write down every event."""
        async for event in self.client.events():
            self.heard.append(event)


async def test_nothing_acknowledged_is_lost_or_doubled(process: Process) -> None:
    print(f"CHATD_SEED={SEED}")
    dice = random.Random(SEED)
    tokens = await _make_friends(process)
    people = [pair[i] for pair in PAIRS for i in (0, 1)]
    friends = {one: other for pair in PAIRS for one, other in (pair, reversed(pair))}
    clients = [Client(process.url, token=tokens[name], backoff=(0.01, 0.2)) for name in people]
    chatters = [Chatter(client, name, friends[name]) for client, name in zip(clients, people, strict=True)]
    for client in clients:
        await client.__aenter__()
    listeners = [asyncio.create_task(chatter.listen()) for chatter in chatters]
    for client in clients:
        await client.connected.wait()
    talkers = [asyncio.create_task(chatter.talk(lane)) for chatter in chatters for lane in range(WINDOW)]

    for _ in range(KILLS):
        goal = sum(len(chatter.acknowledged) for chatter in chatters) + dice.randrange(20, 400)
        await _until(lambda goal=goal: sum(len(chatter.acknowledged) for chatter in chatters) >= goal, talkers)
        await process.crash()
    for chatter in chatters:
        chatter.stopping = True
    await asyncio.gather(*talkers)

    stored = {name: await _everything(process, tokens[name], friends[name]) for name in people}
    for chatter in chatters:
        await _hears_all(chatter, stored[chatter.name])
        await chatter.client.close()
    await asyncio.gather(*listeners)
    for one, other in PAIRS:
        assert stored[one] == stored[other]
    for chatter in chatters:
        _nothing_lost(chatter, stored[chatter.name])
        _heard_once_in_order(chatter, stored[chatter.name])
    assert await process.kill(15) == 0
    status, output = await process.command("check")
    assert status == 0, output
    assert "Traceback" not in process.log


async def _make_friends(process: Process) -> dict[str, str]:
    people = {name: await Person.named(process.url, name) for pair in PAIRS for name in pair}
    for one, other in PAIRS:
        await people[one].data("friend_request", to_user=other)
        await people[other].data("friend_request", to_user=one)
    for person in people.values():
        await person.close()
    return {name: person.token for name, person in people.items()}


async def _until(reached: object, tasks: list[asyncio.Task[None]]) -> None:
    assert callable(reached)
    while not reached():
        done, _ = await asyncio.wait(tasks, timeout=0.01, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()


async def _everything(process: Process, token: str, friend: str) -> list[tuple[int, str, str]]:
    """The whole history, page by page: (seq, author, content)."""
    person = await Person.again(process.url, token)
    messages: list[tuple[int, str, str]] = []
    after = 0
    while True:
        page = await person.data("history", user=friend, after_seq=after, limit=200)
        messages += [(one["seq"], one["from_username"], one["content"]) for one in page["messages"]]
        if not page["more"]:
            break
        after = messages[-1][0]
    assert await person.data("history", user=friend, limit=1), "there is a conversation"
    await person.close()
    return messages


async def _hears_all(chatter: Chatter, stored: list[tuple[int, str, str]]) -> None:
    """Wait until the client has heard as much as was stored of the friend's."""
    wanted = sum(author == chatter.friend for _, author, _ in stored)

    async def enough() -> None:
        while sum(event.event == "message" for event in chatter.heard) < wanted:
            await chatter.client.heartbeat()

    await asyncio.wait_for(enough(), 20)


def _nothing_lost(chatter: Chatter, stored: list[tuple[int, str, str]]) -> None:
    by_seq = {seq: (author, content) for seq, author, content in stored}
    for (_, seq), content in chatter.acknowledged.items():
        assert by_seq.get(seq) == (chatter.name, content)
    contents = Counter(content for _, author, content in stored if author == chatter.name)
    assert [content for content, count in contents.items() if count > 1] == [], "a message is there twice"
    assert [seq for seq, _, _ in stored] == list(range(1, len(stored) + 1)), "the log has a hole"
    order: dict[str, list[int]] = defaultdict(list)
    for _, author, content in stored:
        if author == chatter.name:
            _, lane, number = content.split()
            order[lane].append(int(number))
    assert all(numbers == sorted(numbers) for numbers in order.values()), "a later message stands before an earlier one"


def _heard_once_in_order(chatter: Chatter, stored: list[tuple[int, str, str]]) -> None:
    messages = [event for event in chatter.heard if event.event == "message"]
    heard = [(event.seq, event.data["from_username"], event.data["content"]) for event in messages]
    assert heard == [entry for entry in stored if entry[1] == chatter.friend]


Message = tuple[str, bool, bool]
"""A message's text, whether it has a thumb up, whether it is pinned."""


async def _rework(client: Client, done: dict[int, Message], stop: asyncio.Event) -> None:
    """Send one message after another, change each, and write down what was acknowledged."""
    number = 0
    while not stop.is_set():
        number += 1
        text = f"message {number}"
        message_id = (await client.send(to_user="bob", content=text)).message_id
        done[message_id] = (text, False, False)
        if number % 2:
            await client.edit(message_id=message_id, content=f"{text} edited")
            done[message_id] = (f"{text} edited", False, False)
        if number % 3:
            await client.react(message_id=message_id, emoji="👍")
            done[message_id] = (done[message_id][0], True, False)
        if number % 5 == 0:
            await client.pin(message_id=message_id)
            done[message_id] = (*done[message_id][:2], True)
        if number % 7 == 0:
            await client.recall(message_id=message_id)
            done[message_id] = ("", False, False)


def _replayed(events: list[Event]) -> dict[int, Message]:
    """What a client that has heard these sees."""
    seen: dict[int, Message] = {}
    for event in events:
        if event.event == "message":
            seen[event.data["message_id"]] = (event.data["content"], False, False)
        elif event.event in ("edit", "reaction", "pin", "recall"):
            text, thumb, pinned = seen[event.data["message_id"]]
            text = event.data.get("content", text)
            now = (text, thumb or event.event == "reaction", pinned or event.event == "pin")
            seen[event.data["message_id"]] = ("", False, False) if event.event == "recall" else now
    return seen


async def test_what_was_done_with_messages_is_done_once_and_heard_once(process: Process) -> None:
    print(f"CHATD_SEED={SEED}")
    dice = random.Random(SEED)
    tokens = await _make_friends(process)
    ada, bob = [Client(process.url, token=tokens[name], backoff=(0.01, 0.2)) for name in ("ada", "bob")]
    chatter = Chatter(bob, "bob", "ada")
    async with ada, bob:
        listening = asyncio.create_task(chatter.listen())
        await bob.connected.wait()
        done: dict[int, Message] = {}
        stop = asyncio.Event()
        reworking = asyncio.create_task(_rework(ada, done, stop))
        for _ in range(KILLS):
            goal = len(done) + dice.randrange(10, 60)
            await _until(lambda goal=goal: len(done) >= goal, [reworking])
            await process.crash()
        stop.set()
        await reworking
        cursors = await _cursors(process, tokens["bob"])
        async with asyncio.timeout(20):
            while any(bob.cursors.get(one, 0) < seq for one, seq in cursors.items()):
                await bob.heartbeat()
    await listening
    fetched: dict[int, Message] = {}
    person = await Person.again(process.url, tokens["bob"])
    after = 0
    while True:
        page = await person.data("history", user="ada", after_seq=after, limit=200)
        for one in page["messages"]:
            fetched[one["id"]] = (one["content"], [r["count"] for r in one["reactions"]] == [1], one["pinned"])
            after = one["seq"]
        if not page["more"]:
            break
    assert fetched == done
    assert _replayed(chatter.heard) == done


async def _cursors(process: Process, token: str) -> dict[int, int]:
    person = await Person.again(process.url, token)
    heads = (await person.data("sync", cursors={}))["conversations"]
    await person.close()
    return {head["conversation_id"]: head["last_seq"] for head in heads}
