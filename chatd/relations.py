"""Ending a friendship: what `friend_remove` and `block` have in common."""

from __future__ import annotations

from chatd import events, log
from chatd.context import Context, Row
from chatd.db.query import query

UNFRIEND = query(
    """/* relations.unfriend */
    DELETE FROM friends WHERE (user_id = :me AND friend_id = :other) OR (user_id = :other AND friend_id = :me)
    """
)


async def unfriend(ctx: Context, other: Row) -> bool:
    """End the friendship of the asker and another user, in both directions, and tell both. False if there was none."""
    if not await ctx.db.run(UNFRIEND, me=ctx.user_id, other=other["id"]):
        return False
    mine = events.Friend(state="removed", user_id=other["id"], username=other["username"])
    theirs = events.Friend(state="removed", user_id=ctx.user_id, username=ctx.identity.username)
    await log.append_for(ctx, ctx.user_id, mine)
    await log.append_for(ctx, other["id"], theirs)
    return True
