"""The client's receipts: how far it has received and read, told at most so often for each conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

Pointer = Literal["delivered", "read"]


class Acknowledger:
    """Tells pointers by `tell(pointer, conversation_id, seq)`: the first at once, then one `every` so many seconds.

    Pointers only grow, so the newest says everything that those before it said.
    """

    def __init__(self, tell: Callable[[Pointer, int, int], Awaitable[None]], *, every: float = 1.0) -> None:
        self._tell = tell
        self._every = every
        self._wanted: dict[tuple[Pointer, int], int] = {}
        self._told: dict[tuple[Pointer, int], tuple[int, float]] = {}
        self._news = asyncio.Event()

    def note(self, pointer: Pointer, conversation_id: int, seq: int) -> None:
        """This far it is."""
        key = (pointer, conversation_id)
        told, _ = self._told.get(key, (0, 0.0))
        if seq > max(told, self._wanted.get(key, 0)):
            self._wanted[key] = seq
            self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._news.wait()
            self._news.clear()
            while self._wanted:
                key = min(self._wanted, key=self._due)
                await asyncio.sleep(self._due(key) - loop.time())
                seq = self._wanted.pop(key)
                self._told[key] = (seq, loop.time())
                await self._tell(*key, seq)

    def _due(self, key: tuple[Pointer, int]) -> float:
        """From when on (the loop's time) the pointer may be told."""
        _, told_at = self._told.get(key, (0, float("-inf")))
        return told_at + self._every
