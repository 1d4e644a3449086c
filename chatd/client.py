"""The Python client: reconnects, authenticates again, catches up, and sends again what was not acknowledged.

    async with Client("ws://127.0.0.1:8080/ws") as client:
        await client.signup(username="ada", password="correct horse")
        await client.send(to_user="bob", content="hi")
        async for event in client.events():
            print(event.event, event.data)

There is a method for every op, made from the registry: it takes the op's fields as keywords and returns its reply.
A program on top sees every event once and in order, and a changing op is done once, however often the daemon dies.
What has come is acknowledged by itself (`delivered`), what was read by `mark_read`: at most once a second each.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Self

import msgspec
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import CloseCode

from chatd import ops
from chatd.acknowledge import Acknowledger, Pointer
from chatd.errors import BadToken, ChatError
from chatd.follower import Follower
from chatd.op import REGISTRY, Op
from chatd.peer import SESSION_ENDED
from chatd.requests import Event, Pending, Refused, error_of, new_client_id
from chatd.users import LoggedIn

__all__ = ["Client", "Event", "Refused", "new_client_id", "ops"]


_GIVE_A_TOKEN = {op.name for op in REGISTRY.values() if op.reply is LoggedIn}

_REMEMBERED = 10_000
"""How many of its own client_ids the client knows again when `sync` gives them."""


class Client:
    """A user's connection, or a guest's until `signup`, `login` or `auth`.

    Give `token` and the `cursors`, `since` and `epoch` of an earlier client to go on where that one ended.
    `backoff` is the first and the longest wait between two attempts to connect, in seconds.
    """

    if TYPE_CHECKING:

        def __getattr__(self, op: str) -> Callable[..., Coroutine[Any, Any, Any]]: ...

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        cursors: Mapping[int, int] | None = None,
        since: str | None = None,
        epoch: str | None = None,
        backoff: tuple[float, float] = (0.1, 10.0),
        acknowledge: bool = True,
    ) -> None:
        self.url = url
        self.token = token
        self.since = since
        self.epoch = epoch
        self._backoff = backoff
        self._acknowledge = acknowledge
        self._acknowledger = Acknowledger(self._tell)
        self._telling: asyncio.Task[None] | None = None
        self._user_id = 0
        self._follower: Follower[Event] = Follower(cursors)
        self._events: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        self._ids = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._mine: OrderedDict[str, None] = OrderedDict()
        self._socket: ClientConnection | None = None
        self._sending = False
        self._live = False
        self._catching_up: asyncio.Task[None] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._ended: Exception | None = None
        self.connected = asyncio.Event()
        """Set while the connection stands and everything missed has come."""

    @property
    def cursors(self) -> dict[int, int]:
        """The last seq seen of each conversation."""
        return dict(self._follower.cursors)

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self._run())
        self._telling = asyncio.create_task(self._acknowledger.run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; requests without a reply raise `ConnectionError`, the events end."""
        self._end(ConnectionError("the client was closed"))
        for task in (self._telling, self._runner, self._catching_up):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._socket is not None:
            await self._socket.close()

    async def events(self) -> AsyncIterator[Event]:
        """What happens, every event once and in order. Ends with `close`; raises `BadToken` when the session ended."""
        while True:
            event = await self._events.get()
            if isinstance(event, ConnectionError):
                return
            if isinstance(event, BaseException):
                raise event
            yield event

    async def call(self, name: str, /, **fields: Any) -> Any:
        """Ask for an op. Returns its reply. Raises the `ChatError` it failed with."""
        op = REGISTRY[name]
        if self._ended is not None:
            raise self._ended
        frame = {"type": name, "id": next(self._ids), **{k: v for k, v in fields.items() if v is not None}}
        if op.takes_client_id:
            frame.setdefault("client_id", new_client_id())
            self._remember(frame["client_id"])
        reply = await self._request(op, frame)
        return msgspec.convert(reply["data"], op.reply)

    def mark_read(self, conversation_id: int, seq: int) -> None:
        """Have the server told, now or within a second, that everything up to `seq` was read."""
        self._acknowledger.note("read", conversation_id, seq)

    async def _tell(self, pointer: Pointer, conversation_id: int, seq: int) -> None:
        # Without a client_id: a pointer that is told twice is where it was, and its answer need not be kept for ever.
        frame = {"type": pointer, "id": next(self._ids), "conversation_id": conversation_id, "seq": seq}
        with contextlib.suppress(ChatError):  # the next one says it again
            await self._request(REGISTRY[pointer], frame)

    async def _request(self, op: Op, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a request, again and again until it is answered. Returns the reply."""
        pending = self._pending[frame["id"]] = Pending(op, frame)
        try:
            if self._sending:
                await self._send(pending)
            return await pending.reply
        finally:
            self._pending.pop(frame["id"], None)

    def _remember(self, client_id: str) -> None:
        self._mine[client_id] = None
        if len(self._mine) > _REMEMBERED:
            self._mine.popitem(last=False)

    async def _send(self, pending: Pending) -> None:
        pending.sent = True
        socket = self._socket
        if socket is not None:
            with contextlib.suppress(ConnectionClosed):  # it stays pending, and is sent again
                await socket.send(orjson.dumps(pending.frame).decode())

    # The connection

    async def _run(self) -> None:
        first, longest = self._backoff
        wait = first
        while True:
            try:
                async with connect(self.url, compression=None, max_size=None) as self._socket:
                    wait = first
                    await self._converse(self._socket)
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code == SESSION_ENDED:
                    self._end(BadToken())
                    return
                if closed.rcvd is not None and closed.rcvd.code == CloseCode.MESSAGE_TOO_BIG:
                    self._end(ValueError(f"the daemon takes no frames of this size: {closed.rcvd.reason}"))
                    return
            except (OSError, InvalidHandshake, EOFError):
                pass
            except Exception as error:  # it speaks otherwise than this client expects
                self._end(error)
                return
            finally:
                self._lose()
            await asyncio.sleep(random.uniform(0, wait))  # noqa: S311  (jitter, so that not all come back at once)
            wait = min(longest, wait * 2)

    def _lose(self) -> None:
        self.connected.clear()
        self._socket = None
        self._sending = self._live = False
        if self._catching_up is not None:
            self._catching_up.cancel()
            self._catching_up = None
        for pending in self._pending.values():
            pending.sent = False

    def _end(self, error: Exception) -> None:
        self._ended = error
        for pending in tuple(self._pending.values()):
            if not pending.reply.done():
                pending.reply.set_exception(error)
        self._events.put_nowait(error)

    async def _converse(self, socket: ClientConnection) -> None:
        if self.token is None:
            await self._go_on()
        else:
            self._catch_up(authenticate=True)
        async for text in socket:
            frame = orjson.loads(text)
            if frame["type"] == "event":
                self._heard(frame)
            else:
                self._replied(frame)
        raise ConnectionResetError("the server closed the connection")

    async def _go_on(self) -> None:
        """Send what waits, in order; from here on requests go out as they come."""
        while unsent := [one for one in self._pending.values() if not one.sent]:
            for pending in unsent:
                await self._send(pending)
        self._sending = True
        self.connected.set()

    # Frames in

    def _replied(self, frame: dict[str, Any]) -> None:
        pending = self._pending.get(frame["id"])
        if pending is None or pending.reply.done():
            return
        if not frame["success"]:
            pending.reply.set_exception(error_of(frame))
            return
        data = frame["data"]
        if frame["op"] in (*_GIVE_A_TOKEN, "auth"):
            self._user_id = data["user_id"]
        if frame["op"] in _GIVE_A_TOKEN:
            self.token = data["token"]
            self._catch_up(authenticate=False)
        elif frame["op"] == "auth" and self.token is None:
            self.token = pending.frame["token"]
            self._catch_up(authenticate=False)
        elif frame["op"] == "logout":
            self.token = None
        elif frame["op"] in ("send", "forward"):
            self._let(self._follower.offer(data["conversation_id"], data["seq"], None))
        pending.reply.set_result(frame)

    def _heard(self, frame: dict[str, Any]) -> None:
        event = Event(frame["event"], frame["conversation_id"], frame["seq"], frame["data"])
        if event.conversation_id is None or event.seq is None:
            self._events.put_nowait(event)
            return
        mine = event.event == "message" and event.data["client_id"] in self._mine
        nothing = mine or event.event == "hidden"
        self._let(self._follower.offer(event.conversation_id, event.seq, None if nothing else event))

    def _let(self, events: list[Event]) -> None:
        for event in events:
            if event.event == "conversation":
                self._follower.cursors.setdefault(event.data["opened_id"], event.data["from_seq"] - 1)
            elif event.event == "message" and event.data["from_user_id"] != self._user_id:
                self._received(event)
            self._events.put_nowait(event)
        if self._follower.has_hole and self._live and self._catching_up is None:
            self._catch_up(authenticate=False)

    def _received(self, event: Event) -> None:
        if self._acknowledge and event.conversation_id is not None and event.seq is not None:
            self._acknowledger.note("delivered", event.conversation_id, event.seq)

    # Catching up

    def _catch_up(self, *, authenticate: bool) -> None:
        self._live = False
        self._catching_up = asyncio.create_task(self._missed(authenticate=authenticate))

    async def _missed(self, *, authenticate: bool) -> None:
        """Everything that came after the cursors, page by page; then requests may go out again."""
        try:
            cursors = {str(conversation_id): seq for conversation_id, seq in self._follower.cursors.items()}
            known = {"cursors": cursors, "since": self.since, "epoch": self.epoch}
            known = {name: value for name, value in known.items() if value is not None}
            if authenticate:
                page = (await self._ask("auth", token=self.token, **known))["sync"]
            else:
                page = await self._ask("sync", **known)
            since = page["now"]
            self._apply(page)
            while page["next"] is not None:
                known["cursors"] = {str(one): seq for one, seq in self._follower.cursors.items()}
                page = await self._ask("sync", **known, after_conversation_id=page["next"])
                self._apply(page)
            self.since, self.epoch = since, page["epoch"]
            self._catching_up = None
            self._live = True
            self._let([])
            await self._go_on()
        except Exception as error:
            if isinstance(error, ChatError) and error.temporary:  # busy, too fast, …: after a pause, once more
                if self._socket is not None:
                    await self._socket.close()
                return
            self._end(error)
            if self._runner is not None:
                self._runner.cancel()

    async def _ask(self, name: str, **fields: Any) -> Any:
        """Ask for an op outside the queue of requests."""
        frame = {"type": name, "id": next(self._ids), **fields}
        pending = self._pending[frame["id"]] = Pending(REGISTRY[name], frame)
        try:
            await self._send(pending)
            return (await pending.reply)["data"]
        finally:
            self._pending.pop(frame["id"], None)

    def _apply(self, page: dict[str, Any]) -> None:
        new = [head for head in page["conversations"] if head["conversation_id"] not in self._follower.cursors]
        first = {event["conversation_id"]: event["seq"] for event in reversed(page["events"])}
        for head in new:  # what it begins with is either its first event here, or nothing
            conversation_id = head["conversation_id"]
            self._let(self._follower.jump(conversation_id, first.get(conversation_id, head["cursor"] + 1) - 1))
        for event in page["events"]:
            self._heard(event)
        for head in page["conversations"]:
            if not head["recovered"]:
                self._events.put_nowait(Event("lost", head["conversation_id"], head["cursor"], {}))
            if not head["recovered"] or head["cursor"] > self._follower.cursors[head["conversation_id"]]:
                self._let(self._follower.jump(head["conversation_id"], head["cursor"]))


def _method(op: Op) -> Callable[..., Awaitable[Any]]:
    async def method(self: Client, **fields: Any) -> Any:
        return await self.call(op.name, **fields)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [
        inspect.Parameter(
            field.name, keyword, annotation=field.hint, default=inspect.Parameter.empty if field.required else None
        )
        for field in op.schema.fields.values()
    ]
    if op.takes_client_id:
        parameters.append(inspect.Parameter("client_id", keyword, default=None))
    method.__name__ = op.name
    method.__doc__ = op.doc
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect's own protocol
    return method


for _op in REGISTRY.values():
    setattr(Client, _op.name, _method(_op))
