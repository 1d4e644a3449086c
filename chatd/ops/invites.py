"""Inviting people to sign up."""

from __future__ import annotations

from typing import Annotated

from chatd import invites as making
from chatd.access import Self
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import InvitesClosed, NotFound, Phrase, TooMany
from chatd.op import op
from chatd.record import record
from chatd.wire import Done, Id, Text, Time, Whole, rfc3339

INVITES = 100
"""How many invites of one user may be open."""


@record
class InviteCreate:
    """Make an invite: who has its `token` may `signup` with it where that is by invitation.

    It may be used so many times (once, unless said otherwise) within so many hours (a week). The note is mine alone.
    """

    uses: Annotated[int, Whole(1, 1000)] = 1
    hours: Annotated[int, Whole(1, 24 * 365)] = 24 * 7
    note: Annotated[str, Text(0, 255)] = ""


@record
class Invited:
    """A new invite. `token` is told this once; in the answer to a retry it is null, for only a hash of it is kept."""

    id: int
    token: str | None
    note: str
    uses_left: int
    expires_at: Time
    created_at: Time


MINE = query(
    """/* invites.mine */
    SELECT id, note, uses_left, expires_at, created_at FROM invites
    WHERE user_id = :me AND uses_left > 0 AND expires_at > :now ORDER BY id
    """
)
REVOKE = query("/* invites.revoke */ DELETE FROM invites WHERE id = :id AND user_id = :me")


@op(
    reply=Invited,
    done=Phrase("invite made", "邀请已创建"),
    needs=Self(),
    rate="social",
    raises=[InvitesClosed, TooMany],
    forgets="token",
    example={"uses": 1, "hours": 24, "note": "for bob"},
)
async def invite_create(ctx: Context, request: InviteCreate) -> Invited:
    accounts = ctx.config.accounts
    if accounts.signup == "closed" or accounts.invites == "nobody":
        raise InvitesClosed
    if len(await ctx.db.all(MINE, me=ctx.user_id, now=ctx.now)) >= INVITES:
        raise TooMany(most=str(INVITES))
    made = await making.make(ctx, user_id=ctx.user_id, uses=request.uses, hours=request.hours, note=request.note)
    return Invited(
        id=made.id,
        token=made.token,
        note=request.note,
        uses_left=request.uses,
        expires_at=rfc3339(made.expires_at),
        created_at=rfc3339(ctx.now),
    )


@record
class Invites:
    """My invites that still let somebody in."""


@record
class InviteInfo:
    id: int
    note: str
    uses_left: int
    expires_at: Time
    created_at: Time


@record
class InviteList:
    """At most 100."""

    invites: tuple[InviteInfo, ...]


@op(reply=InviteList, done=Phrase("your invites", "您的邀请"), needs=Self(), lane="read", example={})
async def invites(ctx: Context, request: Invites) -> InviteList:
    rows = await ctx.db.all(MINE, me=ctx.user_id, now=ctx.now)
    return InviteList(
        invites=tuple(
            InviteInfo(
                id=row["id"],
                note=row["note"],
                uses_left=row["uses_left"],
                expires_at=rfc3339(row["expires_at"]),
                created_at=rfc3339(row["created_at"]),
            )
            for row in rows
        )
    )


@record
class InviteRevoke:
    """Let one of my invites let nobody in any more."""

    invite_id: Id


@op(
    reply=Done,
    done=Phrase("invite revoked", "邀请已撤销"),
    needs=Self(),
    raises=[NotFound],
    example={"invite_id": 3},
)
async def invite_revoke(ctx: Context, request: InviteRevoke) -> Done:
    if not await ctx.db.run(REVOKE, id=request.invite_id, me=ctx.user_id):
        raise NotFound(field="invite_id")
    return Done()
