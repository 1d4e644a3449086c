"""The registry of ops: one decorator, from which come decoder, gate, rate limit, help and reference.

An op is a request dataclass (its docstring says what it does), the SQL beside it, and one coroutine:

    @op(reply=Sent, done=Phrase("sent", "已发送"), needs=Member(may="post"), rate="chat", example={…})
    async def send(ctx: Context, request: Send, at: Membership) -> Sent: …

It awaits nothing but `ctx.db`: on SQLite it is run to its end inside the database's thread. What must not happen
there (hashing, waiting) goes into `before`, a coroutine that runs on the loop first and whose result the op is given.
An op that is asked for very often answers many requests at once, so that its statements are run once for all of them.
It takes and returns lists of what it would take and return alone; where it refuses a request, having changed nothing
for it, the `ChatError` stands in the reply's place:

    @op(reply=Sent, …, together=True)
    async def send(
        ctxs: Sequence[Context], requests: Sequence[Send], at: Sequence[Membership]
    ) -> list[Sent | ChatError]: …

Pure: whatever is ambiguous or undocumented is refused at import.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, Protocol

from chatd.errors import ChatError, Phrase
from chatd.events import FLEETING, has_docstring, name_of_type
from chatd.wire import Schema

Lane = Literal["write", "read", "here"]
"""Where an op runs: the writer's transaction, a reader's, or on the loop without any."""

Rate = Literal["chat", "social", "account", "upload"]
"""Which token bucket an op draws from, besides the connection's own."""

Asks = Literal["anyone", "guest", "user"]
"""Whose connection may ask; session.py holds the table."""

Function = Callable[..., Awaitable[Any]]


class Access(Protocol):
    """Who may ask for an op. `check` runs in the op's own transaction; a result other than None is given to it."""

    @property
    def asks(self) -> Asks: ...

    @property
    def raises(self) -> Sequence[type[ChatError]]: ...

    @property
    def gives(self) -> type[Any] | None: ...

    async def check(self, ctx: Any, request: Any) -> Any: ...


@typing.runtime_checkable
class AccessTogether(Access, Protocol):
    """An access that can be checked for many at once, as an op with `together` needs it."""

    async def check_all(self, ctxs: Sequence[Any], requests: Sequence[Any]) -> list[Any]:
        """What `check` gives for each; for one that is refused, nothing having been changed, its `ChatError`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """Everything chatd knows of one op."""

    name: str
    schema: Schema
    reply: type[Any]
    function: Function
    done: Phrase
    needs: Access
    before: Function | None
    together: bool
    lane: Lane
    write_when: str | None
    rate: Rate | None
    emits: tuple[str, ...]
    raises: tuple[type[ChatError], ...]
    example: dict[str, Any]
    doc: str
    needs_socket: bool
    """Whether it is about the connection itself: over HTTP there is none."""
    takes_client_id: bool
    """Whether a retry of the op is recognized. A guest has no (user, client_id) to be recognized by."""
    forgets: str | None
    """The field of the reply that is not kept for a retry, which gets null in its place: a secret told once."""
    again: str | None
    """The op that tells a retry how the upload stands which the first one has begun."""

    def lane_for(self, request: Any) -> Lane:
        """Where this request runs."""
        return "write" if self.write_when is not None and getattr(request, self.write_when) else self.lane


REGISTRY: dict[str, Op] = {}
"""Every op by its name on the wire."""


def op(
    *,
    reply: type[Any],
    done: Phrase,
    needs: Access,
    example: dict[str, Any],
    lane: Lane = "write",
    write_when: str | None = None,
    before: Function | None = None,
    together: bool = False,
    needs_socket: bool = False,
    rate: Rate | None = None,
    emits: Sequence[type[Any]] = (),
    raises: Sequence[type[ChatError]] = (),
    forgets: str | None = None,
    again: str | None = None,
) -> Callable[[Function], Function]:
    """Register a coroutine as the op of its name. Raises TypeError for what is ambiguous or undocumented.

    With `together` it takes the contexts, requests and places of several calls, and returns as many replies.
    `write_when` names a field that, where it is true, makes an op of the reader's lane one of the writer's. `forgets`
    names a field of the reply, which may be null, whose value is a secret that must not be kept. `again` names the op
    that a retry asks for instead, by the `upload` of the first reply.
    """

    def register(function: Function) -> Function:
        name = function.__name__
        parameters = list(inspect.signature(function).parameters)
        hints = typing.get_type_hints(function)
        given = [source for source in (needs.gives, before) if source is not None]
        request: Any = hints.get(parameters[1]) if len(parameters) > 1 else None
        returned = hints.get("return")
        if together:
            request, returned = _argument(request), _argument(returned)
            if isinstance(returned, types.UnionType) and typing.get_args(returned)[1:] == (ChatError,):
                returned = _argument(returned)
        problems = {
            "is registered twice": name in REGISTRY,
            "must be a coroutine function": not inspect.iscoroutinefunction(function),
            "takes (ctx, request) and what `needs` or `before` gives": len(parameters) != 2 + len(given),
            "is answered together, but prepared alone": together and before is not None,
            "is answered together, but its access is not": together and not isinstance(needs, AccessTogether),
            "has both an access and a `before` that give something": len(given) > 1,
            "needs a request dataclass": not is_dataclass(request),
            "must return the reply it declares": returned is not reply or not is_dataclass(reply),
            "forgets what is no field of its reply": forgets is not None
            and forgets not in typing.get_type_hints(reply),
            "is answered together, but forgets": forgets is not None and together,
            "emits from a reader": lane != "write" and write_when is None and not FLEETING.issuperset(emits),
        }
        for problem, found in problems.items():
            if found:
                raise TypeError(f"op {name}: {problem}")
        doc = inspect.cleandoc(request.__doc__ or "")
        if not has_docstring(request):
            raise TypeError(f"op {name}: {request.__name__} has no docstring")
        schema = Schema(request)
        schema.convert(dict(example), owner=name)
        if write_when is not None and write_when not in schema.names:
            raise TypeError(f"op {name}: {request.__name__} has no field {write_when}")
        REGISTRY[name] = Op(
            name=name,
            schema=schema,
            reply=reply,
            function=function,
            done=done,
            needs=needs,
            before=before,
            together=together,
            lane=lane,
            write_when=write_when,
            rate=rate,
            emits=tuple(name_of_type(data) for data in emits),
            raises=tuple(dict.fromkeys([*needs.raises, *raises])),
            example=example,
            doc=doc,
            needs_socket=needs_socket,
            takes_client_id=lane == "write" and needs.asks == "user",
            forgets=forgets,
            again=again,
        )
        return function

    return register


def _argument(hint: Any) -> Any:
    """What a generic type is of, first: `Sent` of `list[Sent]`."""
    return next(iter(typing.get_args(hint)), None)
