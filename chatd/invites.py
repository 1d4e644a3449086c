"""Invites: who has one may sign up where that is by invitation. A token is 128 random bits, kept as its SHA-256.

What makes an account by itself asks `check` before anything that is dear, and `use` in the transaction that makes it.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from chatd.context import Context
from chatd.db.query import query
from chatd.errors import BadInvite, SignupClosed

HOUR = 3_600_000

VALID = query(
    """/* invites.valid */
    SELECT i.id FROM invites i LEFT JOIN users u ON u.id = i.user_id
    WHERE i.token_hash = :token_hash AND i.uses_left > 0 AND i.expires_at > :now AND u.disabled_at IS NULL
    """
)
USE = query(
    "/* invites.use */ UPDATE invites SET uses_left = uses_left - 1 WHERE id = :id AND uses_left > 0 RETURNING user_id"
)
MAKE = query(
    """/* invites.make */
    INSERT INTO invites (token_hash, user_id, note, uses_left, expires_at, created_at)
    VALUES (:token_hash, :user_id, :note, :uses, :expires_at, :now) RETURNING id
    """
)
FORGET = query("/* invites.forget */ DELETE FROM invites WHERE uses_left = 0 OR expires_at <= :now")


class Invite(NamedTuple):
    """A new invite. `expires_at` is in milliseconds since the epoch."""

    id: int
    token: str
    expires_at: int


async def make(ctx: Context, *, user_id: int | None, uses: int, hours: int, note: str) -> Invite:
    """Make an invite; those that let nobody in any more are forgotten. `user_id` None is the command line."""
    await ctx.db.run(FORGET, now=ctx.now)
    token = secrets.token_urlsafe(16)
    expires_at = ctx.now + hours * HOUR
    row = await ctx.db.one(
        MAKE,
        token_hash=_token_hash(token),
        user_id=user_id,
        note=note,
        uses=uses,
        expires_at=expires_at,
        now=ctx.now,
    )
    if row is None:
        raise LookupError("the invite was not stored")
    return Invite(row["id"], token, expires_at)


async def check(ctx: Context, token: str | None) -> int | None:
    """The id of the invite that a sign-up comes with; None where it needs none. Raises `SignupClosed`, `BadInvite`."""
    signup = ctx.config.accounts.signup
    if signup == "closed":
        raise SignupClosed
    if token is None:
        if signup == "invite":
            raise BadInvite(field="invite")
        return None
    row = await ctx.db.one(VALID, token_hash=_token_hash(token), now=ctx.now)
    if row is None:
        raise BadInvite(field="invite")
    return int(row["id"])


async def use(ctx: Context, token: str | None) -> int | None:
    """Use an invite up, once. Returns the id of who made it, if anybody did. Raises `SignupClosed`, `BadInvite`."""
    invite_id = await check(ctx, token)
    if invite_id is None:
        return None
    used = await ctx.db.one(USE, id=invite_id)
    if used is None:
        raise BadInvite(field="invite")
    inviter: int | None = used["user_id"]
    return inviter


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
