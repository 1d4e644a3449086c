"""What chatd is measured against: the least that websockets' handler API can do. Nothing is checked, nothing stored.

`forwarder` sends what one user writes to the other and acknowledges it; `broadcast` gives it to everybody else by
`websockets.broadcast`. Their frames are as long as chatd's. They know who connects by the token's last word.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from websockets.asyncio.server import ServerConnection, broadcast, serve

from tests.bench.names import username_of

_WHEN = "2026-01-31T12:00:00.000Z"


def _reply(request: dict[str, Any], data: dict[str, Any]) -> str:
    frame = {
        "type": "reply",
        "op": request["type"],
        "id": request.get("id"),
        "success": True,
        "message": "sent",
        "data": data,
    }
    return orjson.dumps(frame).decode()


def _sent(seq: int) -> dict[str, Any]:
    return {"message_id": seq, "conversation_id": 1000, "seq": seq, "created_at": _WHEN}


def _event(request: dict[str, Any], *, sender: str, seq: int) -> str:
    data = {
        "message_id": seq,
        "from_user_id": 100,
        "from_username": sender,
        "to_user_id": 101,
        "kind": "text",
        "content": request["content"],
        "created_at": _WHEN,
        "client_id": None,
    }
    frame = {"type": "event", "event": "message", "conversation_id": 1000, "seq": seq, "data": data}
    return orjson.dumps(frame).decode()


class Forwarder:
    """Routes by to_user."""

    def __init__(self) -> None:
        self._users: dict[str, ServerConnection] = {}
        self._numbers = itertools.count(1)

    async def handle(self, connection: ServerConnection) -> None:
        auth = orjson.loads(await connection.recv())
        name = username_of(auth["token"])
        self._users[name] = connection
        await connection.send(_reply(auth, {}))
        async for frame in connection:
            request = orjson.loads(frame)
            seq = next(self._numbers)
            await self._users[request["to_user"]].send(_event(request, sender=name, seq=seq))
            await connection.send(_reply(request, _sent(seq)))


class Broadcast:
    """Everybody hears everybody else."""

    def __init__(self) -> None:
        self._members: set[ServerConnection] = set()
        self._numbers = itertools.count(1)

    async def handle(self, connection: ServerConnection) -> None:
        auth = orjson.loads(await connection.recv())
        name = username_of(auth["token"])
        self._members.add(connection)
        await connection.send(_reply(auth, {}))
        try:
            async for frame in connection:
                request = orjson.loads(frame)
                seq = next(self._numbers)
                broadcast(self._members - {connection}, _event(request, sender=name, seq=seq))
                await connection.send(_reply(request, _sent(seq)))
        finally:
            self._members.discard(connection)


async def main(handler: Callable[[ServerConnection], Awaitable[None]]) -> None:
    """Serve on a free port until killed."""
    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        host, port = server.sockets[0].getsockname()[:2]
        print(f"yardstick ready on http://{host}:{port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main({"forwarder": Forwarder().handle, "broadcast": Broadcast().handle}[sys.argv[1]]))
