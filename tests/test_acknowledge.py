"""Receipts are told seldom: the first at once, then the newest of each moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatd.acknowledge import Acknowledger, Pointer

EVERY = 0.05


class Server:
    """What is told, and when."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[Pointer, int, int, float]] = asyncio.Queue()

    async def tell(self, pointer: Pointer, conversation_id: int, seq: int) -> None:
        self.heard.put_nowait((pointer, conversation_id, seq, asyncio.get_running_loop().time()))

    async def hears(self) -> tuple[Pointer, int, int, float]:
        return await asyncio.wait_for(self.heard.get(), 10)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def acknowledger(server: Server) -> AsyncIterator[Acknowledger]:
    acknowledger = Acknowledger(server.tell, every=EVERY)
    running = asyncio.create_task(acknowledger.run())
    yield acknowledger
    running.cancel()


async def test_the_first_is_told_at_once_and_the_newest_of_the_rest_later(
    server: Server, acknowledger: Acknowledger
) -> None:
    acknowledger.note("delivered", 1, 1)
    *first, at = await server.hears()
    assert first == ["delivered", 1, 1]
    for seq in (2, 4, 3):
        acknowledger.note("delivered", 1, seq)
    *second, then = await server.hears()
    assert second == ["delivered", 1, 4]
    assert then - at >= EVERY
    assert server.heard.empty()


async def test_what_was_told_is_not_told_again(server: Server, acknowledger: Acknowledger) -> None:
    acknowledger.note("read", 1, 5)
    await server.hears()
    acknowledger.note("read", 1, 5)
    acknowledger.note("read", 1, 3)
    acknowledger.note("read", 2, 1)
    assert (await server.hears())[:3] == ("read", 2, 1)
    acknowledger.note("read", 1, 6)
    assert (await server.hears())[:3] == ("read", 1, 6)


async def test_no_conversation_and_no_pointer_waits_for_another(server: Server, acknowledger: Acknowledger) -> None:
    for conversation_id in (1, 2, 3):
        acknowledger.note("delivered", conversation_id, 1)
        acknowledger.note("read", conversation_id, 1)
    heard = [await server.hears() for _ in range(6)]
    assert heard[-1][3] - heard[0][3] < EVERY
    assert {told[:3] for told in heard} == {
        (pointer, conversation_id, 1) for pointer in ("delivered", "read") for conversation_id in (1, 2, 3)
    }
