"""A steady trickle of messages, sent by the clock whatever the server does (open loop)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import orjson

from tests.bench.figures import Broken
from tests.bench.ledger import number_in, text
from tests.bench.load import Client, finished
from tests.bench.talk import send_frame

RATE = 200
"""Messages a second."""

MOST = 240.0
"""Seconds that a trickle lasts at most."""


class Light:
    """Two hundred messages a second, from each of the pairs' users in turn. Afterwards `acks` and `deliveries`.

    `write` gives what the message of a number says; it begins as `text` does.
    """

    def __init__(
        self, clients: Sequence[Client], pairs: Sequence[tuple[str, str]], *, write: Callable[[int], str] = text
    ) -> None:
        self._clients = clients
        self._write = write
        self._peers = [peer for one, other in pairs for peer in (other, one)]
        self._sent_at: list[float] = []
        self.acks: dict[int, float] = {}
        """Seconds from each message's sending to its acknowledgement."""
        self.deliveries: dict[int, float] = {}
        """Seconds from each message's sending to its arrival at the other."""
        for client in clients:
            client.hear = self._hear

    def _hear(self, payload: bytes) -> None:
        now = time.perf_counter()
        frame = orjson.loads(payload)
        if frame["type"] == "reply":
            if not frame["success"]:
                raise Broken(f"a message was refused: {frame['message']}")
            self._note(self.acks, frame["id"], now, "acknowledged")
        elif frame["event"] == "message":
            self._note(self.deliveries, number_in(frame["data"]["content"]), now, "delivered")

    def _note(self, latencies: dict[int, float], number: int, now: float, what: str) -> None:
        if number in latencies:
            raise Broken(f"message {number} was {what} twice")
        latencies[number] = now - self._sent_at[number]

    async def run(self, stop: asyncio.Event, *, seconds: float = MOST) -> None:
        """Send until `stop`, or for so many seconds. Raises `Broken` where a message did not arrive just once."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not stop.is_set() and loop.time() - begun < seconds:
            number = len(self._sent_at)
            index = number % len(self._clients)
            frame = send_frame(number, content=self._write(number), to_user=self._peers[index])
            self._sent_at.append(time.perf_counter())
            self._clients[index].send(frame)
            await asyncio.sleep(begun + (number + 1) / RATE - loop.time())
        await self._arrived()

    async def _arrived(self) -> None:
        done = asyncio.Event()
        sent = len(self._sent_at)

        def look() -> int:
            if min(len(self.acks), len(self.deliveries)) == sent:
                done.set()
            return len(self.acks) + len(self.deliveries)

        look()
        await finished(done, self._clients, look)
        if len(self.acks) != sent or len(self.deliveries) != sent:
            raise Broken(f"of {sent} messages {len(self.acks)} were acknowledged, {len(self.deliveries)} delivered")
