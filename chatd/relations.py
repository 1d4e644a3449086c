"""Friendships begin and end: two rows, one in each direction, and a direct conversation."""

from __future__ import annotations

from chatd import access, events, log
from chatd.context import Context, Row
from chatd.db.query import query

BEFRIEND = query(
    """/* friends.befriend */
    INSERT INTO friends (user_id, friend_id, created_at) VALUES (:me, :other, :now), (:other, :me, :now)
    """
)
UNFRIEND = query(
    """/* relations.unfriend */
    DELETE FROM friends WHERE (user_id = :me AND friend_id = :other) OR (user_id = :other AND friend_id = :me)
    """
)


async def befriend(ctx: Context, other: Row) -> int:
    """Make the asker and another user friends, in both directions, and tell both. Returns their conversation's id."""
    await ctx.db.run(BEFRIEND, me=ctx.user_id, other=other["id"], now=ctx.now)
    low_id, high_id = sorted((ctx.user_id, other["id"]))
    known = await ctx.db.one(access.CONVERSATION_WITH_USER, low_id=low_id, high_id=high_id)
    conversation_id = int(known["id"]) if known is not None else await log.open_direct(ctx, other)
    for user_id, friend_id, username in (
        (ctx.user_id, other["id"], other["username"]),
        (other["id"], ctx.user_id, ctx.identity.username),
    ):
        added = events.Friend(
            state="added", user_id=friend_id, username=username, direct_conversation_id=conversation_id
        )
        await log.append_for(ctx, user_id, added)
    return conversation_id


async def unfriend(ctx: Context, other: Row) -> bool:
    """End the friendship of the asker and another user, in both directions, and tell both. False if there was none."""
    if not await ctx.db.run(UNFRIEND, me=ctx.user_id, other=other["id"]):
        return False
    mine = events.Friend(state="removed", user_id=other["id"], username=other["username"])
    theirs = events.Friend(state="removed", user_id=ctx.user_id, username=ctx.identity.username)
    await log.append_for(ctx, ctx.user_id, mine)
    await log.append_for(ctx, other["id"], theirs)
    return True
