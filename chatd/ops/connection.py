"""What concerns the connection alone: no transaction, no row."""

from __future__ import annotations

from typing import Any

from chatd import reference
from chatd.access import Anyone
from chatd.context import Context
from chatd.errors import Phrase, UnknownOp
from chatd.op import REGISTRY, op
from chatd.record import record
from chatd.wire import Name, Time, rfc3339


@record
class Heartbeat:
    """Ask for a sign of life. Its reply comes after everything that was under way: a barrier."""


@record
class Alive:
    """The server's time."""

    now: Time


@op(reply=Alive, done=Phrase("alive", "在线"), needs=Anyone(), lane="here", example={})
async def heartbeat(ctx: Context, request: Heartbeat) -> Alive:
    return Alive(now=rfc3339(ctx.now))


@record
class Help:
    """The ops, or one op: its fields, an example, its errors and its events."""

    op: Name | None = None


@record
class Helped:
    """`ops` maps each op to what it does; `op` describes the one that was asked for."""

    ops: dict[str, str] | None
    op: dict[str, Any] | None


@op(
    reply=Helped,
    done=Phrase("help", "帮助"),
    needs=Anyone(),
    lane="here",
    raises=[UnknownOp],
    example={"op": "send"},
)
async def help(ctx: Context, request: Help) -> Helped:
    if request.op is None:
        return Helped(ops={name: reference.summary(known) for name, known in REGISTRY.items()}, op=None)
    if request.op not in REGISTRY:
        raise UnknownOp(field="op", name=request.op)
    return Helped(ops=None, op=reference.describe(REGISTRY[request.op]))
