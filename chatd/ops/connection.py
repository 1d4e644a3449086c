"""What concerns the connection and the server alone: no transaction, no row."""

from __future__ import annotations

from typing import Any, Literal

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
class Server:
    """Ask what this server allows, so that nobody is offered what it would refuse."""


@record
class ServerInfo:
    """Of chatd.toml: `signup` and `invites`, whether there is mail (`mail`), who may write to whom (`direct`), for how
    many seconds a message may be taken back or edited, the bytes of a file and the members of a group at most."""

    signup: Literal["open", "invite", "closed"]
    invites: Literal["everybody", "nobody"]
    mail: bool
    direct: Literal["friends", "anyone"]
    recall_window: int
    edit_window: int
    file_bytes: int
    group_members: int
    now: Time


@op(reply=ServerInfo, done=Phrase("what this server allows", "本服务器的规定"), needs=Anyone(), lane="here", example={})
async def server(ctx: Context, request: Server) -> ServerInfo:
    accounts, messages = ctx.config.accounts, ctx.config.messages
    return ServerInfo(
        signup=accounts.signup,
        invites=accounts.invites,
        mail=bool(ctx.config.mail.host),
        direct=messages.direct,
        recall_window=messages.recall_window,
        edit_window=messages.edit_window,
        file_bytes=ctx.config.files.max_bytes,
        group_members=ctx.config.groups.max_members,
        now=rfc3339(ctx.now),
    )


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
