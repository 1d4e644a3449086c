"""history: pages, catching up and the list of conversations, on a conversation of 200,000 messages."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.bench.bench import Bench
from tests.bench.figures import Broken, Figure, Target, at_most, percentile
from tests.bench.load import Client, users
from tests.bench.process import check, daemon
from tests.bench.seed import copied, seeding

PAGE = 50
BEHIND = 1_000
MOST = 200
"""The most conversations in one page."""


def _expect(what: str, found: list[int], expected: list[int]) -> None:
    if found != expected:
        raise Broken(f"{what}: {len(found)} from {found[:1]} to {found[-1:]}, not {expected[0]} to {expected[-1]}")


class _Reader:
    """Somebody with a long conversation and many short ones."""

    def __init__(self, client: Client, *, long: int, messages: int, conversations: int) -> None:
        self._client = client
        self._long = long
        self._messages = messages
        self._conversations = conversations

    async def last_page(self) -> None:
        """The newest page."""
        await self._page(self._messages)

    async def middle_page(self) -> None:
        """A page from the middle."""
        await self._page(self._messages // 2, before_seq=self._messages // 2 + 1)

    async def _page(self, newest: int, **fields: int) -> None:
        page = await self._client.ask("history", conversation_id=self._long, limit=PAGE, **fields)
        _expect("history", [one["seq"] for one in page["messages"]], list(range(newest - PAGE + 1, newest + 1)))

    async def catch_up(self) -> None:
        """What came after a cursor 1,000 messages behind, page by page."""
        cursors = {str(self._long): self._messages - BEHIND}
        got: list[int] = []
        after: int | None = 0
        while after is not None and len(got) <= BEHIND:
            page = await self._client.ask("sync", cursors=cursors, after_conversation_id=after)
            got += [event["seq"] for event in page["events"]]
            cursors |= {str(head["conversation_id"]): head["cursor"] for head in page["conversations"]}
            after = page["next"]
        _expect("sync", got, list(range(self._messages - BEHIND + 1, self._messages + 1)))

    async def list_first(self) -> None:
        """The first page of conversations, as large as a page can be."""
        found = await self._client.ask("conversations", limit=MOST)
        if len(found["conversations"]) != min(MOST, self._conversations):
            raise Broken(f"conversations: {len(found['conversations'])} of {self._conversations}")

    async def list_all(self) -> None:
        """All conversations, page by page."""
        seen: set[int] = set()
        fields: dict[str, Any] = {}
        for _ in range(self._conversations):
            found = await self._client.ask("conversations", limit=MOST, **fields)
            seen |= {one["conversation_id"] for one in found["conversations"]}
            if not found["more"]:
                break
            last = found["conversations"][-1]
            fields = {"before_last_at": last["last_at"], "before_conversation_id": last["conversation_id"]}
        if len(seen) != self._conversations:
            raise Broken(f"conversations: {len(seen)} of {self._conversations} in all pages")


async def _median(work: Callable[[_Reader], Awaitable[None]], reader: _Reader, times: int) -> float:
    """The p50 of the time something takes, in ms."""
    latencies = []
    for _ in range(times):
        begun = time.perf_counter()
        await work(reader)
        latencies.append(time.perf_counter() - begun)
    return percentile(latencies, 0.5) * 1000


async def measure_history(bench: Bench) -> list[Figure]:
    """One reader, one request at a time."""
    messages, conversations = bench.sizes.history_messages, bench.sizes.conversations
    bench.say(f"history: writing {messages} messages")
    friends = [f"ben{number:04}" for number in range(conversations - 1)]  # the notes to self are one too
    with seeding(bench.folder("seed")) as seeded:
        seeded.users(["ann", *friends])
        long, *short = seeded.friends([("ann", name) for name in friends])
        seeded.messages([long], messages, remembered=False)
        seeded.messages(short, 10 * len(short), remembered=False)
    bench.say("history: chatd check")
    await check(bench.path("seed"))
    works: list[tuple[str, Callable[[_Reader], Awaitable[None]], Target | None]] = [
        ("last page of 50, p50", _Reader.last_page, at_most(2.0)),
        ("page of 50 from the middle, p50", _Reader.middle_page, at_most(2.0)),
        (f"sync of {BEHIND:,} messages, p50", _Reader.catch_up, at_most(15.0)),
        (f"conversations, 200 of {conversations}, p50", _Reader.list_first, at_most(10.0)),
        (f"conversations, all {conversations} page by page, p50", _Reader.list_all, None),
    ]
    found: dict[str, list[float]] = {name: [] for name, _, _ in works}
    for run in range(bench.sizes.runs):
        bench.say(f"history: run {run + 1} of {bench.sizes.runs}")
        async with (
            daemon(copied(bench.path("seed"), bench.folder("run")), cores=bench.cores) as server,
            users(server.url, ["ann"]) as (client,),
        ):
            reader = _Reader(client, long=long, messages=messages, conversations=conversations)
            for name, work, _ in works:
                await work(reader)
                found[name].append(await _median(work, reader, bench.sizes.history_requests))
    return [Figure("history", name, "ms", tuple(found[name]), target) for name, _, target in works]
