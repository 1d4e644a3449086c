"""The load generator: picows clients on uvloop, about five times cheaper per message than websockets' own."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.bench.figures import Broken
from tests.bench.names import token_of

PATIENCE = 60.0
"""Seconds after which an answer is not going to come."""

STALL = 15.0
"""Seconds without any progress after which a load is not going to be done."""

AT_ONCE = 100
"""How many connections are opened at the same time."""

PORTS = 20_000
"""How many connections one source address is used for."""


class Client(WSListener):
    """One connection. What arrives goes to `hear`, or while `ask` waits, to that."""

    transport: WSTransport

    def __init__(self) -> None:
        self.hear: Callable[[bytes], None] = self._unexpected
        self.failure: Exception | None = None
        self._asked: deque[asyncio.Future[dict[str, Any]]] = deque()
        self._closed = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            if self._asked and payload.startswith(b'{"type":"reply"'):
                answered = self._asked.popleft()
                if not answered.done():
                    answered.set_result(orjson.loads(payload))
                return
            try:
                self.hear(payload)
            except Exception as error:  # what picows would log and swallow
                self._fail(error)
        elif frame.msg_type == WSMsgType.CLOSE:
            self._fail(Broken(f"the server closed a connection: {frame.get_close_code()} {frame.get_close_reason()}"))
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._fail(Broken("the server cut a connection"))

    def _fail(self, error: Exception) -> None:
        if self._closed:
            return
        self.failure = self.failure or error
        while self._asked:
            answered = self._asked.popleft()
            if not answered.done():
                answered.set_exception(self.failure)

    def _unexpected(self, payload: bytes) -> None:
        if not payload.startswith(b'{"type":"event"'):
            raise Broken(f"nobody asked for {payload[:200]!r}")

    def send(self, frame: bytes) -> None:
        """Send a text frame."""
        self.transport.send(WSMsgType.TEXT, frame)

    async def ask(self, op: str, **fields: Any) -> Any:
        """Send a request. Returns its reply's data. Raises `Broken` where it fails."""
        if self.failure is not None:
            raise self.failure
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked.append(answered)
        self.send(orjson.dumps({"type": op, **fields}))
        reply = await asyncio.wait_for(answered, PATIENCE)
        if not reply["success"]:
            raise Broken(f"{op}: {reply['message']}")
        return reply["data"]

    def leave(self) -> None:
        """Close the connection, at once."""
        self._closed = True
        self.transport.disconnect(graceful=False)


def room_for(connections: int) -> None:
    """Let this process and those it starts have so many connections. Raises `Broken` where the system says no."""
    wanted = connections + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Broken(f"{connections} connections need `ulimit -Hn` of {wanted} at least; it is {hard}")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def connect(url: str, number: int = 0) -> Client:
    """One connection, as a guest. `number` counts them: each address has only so many ports."""
    # Bound beforehand, a port must be free towards every server, also those of earlier runs (TIME_WAIT): slow to find.
    source = (f"127.0.0.{1 + number // PORTS}", 0) if number >= PORTS else None
    _, client = await ws_connect(
        Client,
        url,
        websocket_handshake_timeout=PATIENCE,
        read_buffer_init_size=2048,
        local_addr=source,
    )
    if not isinstance(client, Client):
        raise AssertionError("picows gives back what its factory made")
    return client


@contextlib.asynccontextmanager
async def guests(url: str, count: int) -> AsyncIterator[list[Client]]:
    """So many connections; closed afterwards."""
    room_for(count)
    clients: list[Client] = []

    async def some(numbers: range) -> None:
        for number in numbers:
            client = await connect(url, number)
            clients.append(client)

    try:
        async with asyncio.TaskGroup() as group:
            for first in range(AT_ONCE):
                group.create_task(some(range(first, count, AT_ONCE)))
        yield clients
    finally:
        for client in clients:
            client.leave()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def users(url: str, names: Sequence[str]) -> AsyncIterator[list[Client]]:
    """A connection of each of these users, in their order; the same name may stand there more than once."""
    async with guests(url, len(names)) as clients:
        gate = asyncio.Semaphore(AT_ONCE)

        async def enter(client: Client, name: str) -> None:
            async with gate:
                await client.ask("auth", token=token_of(name))

        await asyncio.gather(*(enter(client, name) for client, name in zip(clients, names, strict=True)))
        yield clients


async def finished(done: asyncio.Event, clients: Sequence[Client], progress: Callable[[], int]) -> bool:
    """Wait for a load to be done. False where nothing has moved for `STALL` seconds; raises what broke a client."""
    loop = asyncio.get_running_loop()
    before, moved = progress(), loop.time()
    while not done.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 0.5)
        for client in clients:
            if client.failure is not None:
                raise client.failure
        now = progress()
        if now != before:
            before, moved = now, loop.time()
        elif loop.time() - moved > STALL:
            return False
    return True
