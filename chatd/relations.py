"""Friendships begin and end: two rows, one in each direction, and a direct conversation."""

from __future__ import annotations

from typing import Literal

from chatd import access, events, log
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.wire import rfc3339

Status = Literal["pending", "accepted", "rejected"]

BEFRIEND = query(
    """/* relations.befriend */
    INSERT INTO friends (user_id, friend_id, created_at) VALUES (:me, :other, :now), (:other, :me, :now)
    """
)
CLOSE = query(
    """/* relations.close_request */
    UPDATE friend_requests SET status = :status WHERE id = :id AND status = 'pending'
    RETURNING from_id, to_id, note, created_at
    """
)
BLOCKS = query(
    "/* relations.blocks */ SELECT user_id FROM blocks WHERE user_id = :user_id AND blocked_id = :blocked_id"
)
UNFRIEND = query(
    """/* relations.unfriend */
    DELETE FROM friends WHERE (user_id = :me AND friend_id = :other) OR (user_id = :other AND friend_id = :me)
    """
)


async def close_request(ctx: Context, request_id: int, status: Status) -> None:
    """Answer or withdraw a friend request that is pending, and tell both: the asked one only if it was heard before."""
    row = await ctx.db.one(CLOSE, id=request_id, status=status)
    if row is None:
        return
    asker = await ctx.db.one(access.USER_BY_ID, id=row["from_id"])
    asked = await ctx.db.one(access.USER_BY_ID, id=row["to_id"])
    if asker is None or asked is None:
        raise LookupError("a friend request has two users")
    event = events.FriendRequest(
        request_id=request_id,
        from_user_id=asker["id"],
        from_username=asker["username"],
        to_user_id=asked["id"],
        to_username=asked["username"],
        note=row["note"],
        status=status,
        created_at=rfc3339(row["created_at"]),
    )
    await log.append_for(ctx, asker["id"], event)
    if await ctx.db.one(BLOCKS, user_id=asked["id"], blocked_id=asker["id"]) is None:
        await log.append_for(ctx, asked["id"], event)


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
