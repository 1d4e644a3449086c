"""People in pairs who write to each other as fast as a window of unacknowledged messages lets them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from chatd.client import new_client_id
from tests.bench.figures import Broken
from tests.bench.ledger import Ledger, number_in, text
from tests.bench.load import Client, finished
from tests.bench.process import Server

WINDOW = 8


@dataclass(frozen=True, slots=True)
class Spent:
    """What a talk took."""

    messages: int
    seconds: float
    cpu: float
    """Of the server, in seconds."""
    load: float
    """Of the load generator, as a share of one core."""
    acks: list[float]
    """Seconds from each message's sending to its acknowledgement."""

    @property
    def cpu_each(self) -> float:
        """Microseconds of the server's CPU for each message."""
        return self.cpu / self.messages * 1e6

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def send_frame(number: int, *, content: str | None = None, **to: str | int) -> bytes:
    """A message of 100 bytes, or other `content` that begins as such a one, `to_user` or to a `conversation_id`.

    Its client_id is of this moment, as those of chatd's own client.
    """
    request = {
        "type": "send",
        "id": number,
        **to,
        "content": content or text(number),
        "client_id": new_client_id(),
    }
    return orjson.dumps(request)


class _Talker:
    def __init__(
        self, client: Client, *, index: int, peer: str, ledger: Ledger, acks: list[float], write: Callable[[int], str]
    ) -> None:
        self._client = client
        self._index = index
        self._ledger = ledger
        self._acks = acks
        self._peer = peer
        self._write = write
        self._each = ledger.each
        self._sent = 0
        self._sent_at = [0.0] * ledger.each
        client.hear = self._hear

    def begin(self, done: asyncio.Event) -> None:
        self._done = done
        for _ in range(WINDOW):
            self._next()

    def _next(self) -> None:
        if self._sent < self._each:
            self._sent_at[self._sent] = time.perf_counter()
            self._client.send(send_frame(self._sent, content=self._write(self._sent), to_user=self._peer))
            self._sent += 1

    def _hear(self, payload: bytes) -> None:
        frame = orjson.loads(payload)
        if frame["type"] == "reply":
            if not frame["success"]:
                raise Broken(f"a message was refused: {frame['message']}")
            number = frame["id"]
            self._acks.append(time.perf_counter() - self._sent_at[number])
            self._ledger.ack(self._index, number, frame["data"]["seq"])
            self._next()
        elif frame["event"] == "message":
            data = frame["data"]
            self._ledger.hear(data["from_username"], number_in(data["content"]), frame["seq"])
        if self._ledger.complete:
            self._done.set()


async def talk(
    server: Server,
    clients: Sequence[Client],
    pairs: Sequence[tuple[str, str]],
    messages: int,
    *,
    write: Callable[[int], str] = text,
) -> tuple[Spent, Ledger]:
    """Everybody writes an equal share of `messages` to the other of the pair. `clients` are theirs, in order.

    `write` gives what the message of a number says; it begins as `text` does.
    Raises `Broken` where a message was not acknowledged and delivered exactly once and in order.
    """
    names = [name for pair in pairs for name in pair]
    peers = {name: peer for one, other in pairs for name, peer in ((one, other), (other, one))}
    ledger = Ledger(names, messages // len(names))
    acks: list[float] = []
    talkers = [
        _Talker(client, index=index, peer=peers[name], ledger=ledger, acks=acks, write=write)
        for index, (client, name) in enumerate(zip(clients, names, strict=True))
    ]
    done = asyncio.Event()
    cpu, own, begun = server.cpu(), time.process_time(), time.perf_counter()
    for talker in talkers:
        talker.begin(done)
    await finished(done, clients, lambda: ledger.moved)
    seconds = time.perf_counter() - begun
    spent = Spent(
        messages=len(names) * ledger.each,
        seconds=seconds,
        cpu=server.cpu_since(cpu),
        load=(time.process_time() - own) / seconds,
        acks=acks,
    )
    ledger.settle()
    return spent, ledger
