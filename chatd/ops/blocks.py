"""Blocking: the other user gets no message through, no presence and no receipt, and is not told why."""

from __future__ import annotations

from chatd import events, log, names
from chatd.access import Self, find_other
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import NotFound, Phrase
from chatd.op import op
from chatd.record import record
from chatd.relations import close_request, unfriend
from chatd.wire import Done, Id, Limit, Name, Time, rfc3339


@record
class Block:
    """Block a user, which also ends a friendship and withdraws my request. What was said stays readable for both."""

    user: Name | None = None
    user_id: Id | None = None


BLOCK = query(
    """/* blocks.block */
    INSERT INTO blocks (user_id, blocked_id, created_at) VALUES (:me, :other, :now) ON CONFLICT DO NOTHING
    """
)
MY_REQUEST = query(
    """/* blocks.my_request */
    SELECT id FROM friend_requests WHERE from_id = :me AND to_id = :other AND status = 'pending'
    """
)
UNBLOCK = query("/* blocks.unblock */ DELETE FROM blocks WHERE user_id = :me AND blocked_id = :other")


@op(
    reply=Done,
    done=Phrase("blocked", "已屏蔽"),
    needs=Self(),
    emits=[events.Block, events.Friend, events.FriendRequest],
    raises=[NotFound],
    example={"user": "mallory"},
)
async def block(ctx: Context, request: Block) -> Done:
    other = await find_other(ctx, name=request.user, user_id=request.user_id, field="user")
    if await ctx.db.run(BLOCK, me=ctx.user_id, other=other["id"], now=ctx.now):
        if (mine := await ctx.db.one(MY_REQUEST, me=ctx.user_id, other=other["id"])) is not None:
            await close_request(ctx, mine["id"], "rejected")  # as any withdrawal looks
        await unfriend(ctx, other)
        blocked = events.Block(user_id=other["id"], username=other["username"], blocked=True)
        await log.append_for(ctx, ctx.user_id, blocked)
    return Done()


@record
class Unblock:
    """Lift a block. The friendship does not come back by itself; a request made meanwhile is there to be answered."""

    user: Name | None = None
    user_id: Id | None = None


@op(
    reply=Done,
    done=Phrase("unblocked", "已取消屏蔽"),
    needs=Self(),
    emits=[events.Block],
    raises=[NotFound],
    example={"user": "mallory"},
)
async def unblock(ctx: Context, request: Unblock) -> Done:
    other = await find_other(ctx, name=request.user, user_id=request.user_id, field="user")
    if not await ctx.db.run(UNBLOCK, me=ctx.user_id, other=other["id"]):
        raise NotFound(field="user")
    lifted = events.Block(user_id=other["id"], username=other["username"], blocked=False)
    await log.append_for(ctx, ctx.user_id, lifted)
    return Done()


@record
class Blocks:
    """Whom I have blocked, by username."""

    after_username: Name | None = None
    limit: Limit = 50


@record
class BlockedUser:
    user_id: int
    username: str
    created_at: Time


@record
class BlockList:
    """`more` says that `after_username` has a next page."""

    users: tuple[BlockedUser, ...]
    more: bool


BLOCKS = query(
    """/* blocks.list */
    SELECT b.blocked_id, u.username, b.created_at FROM blocks b JOIN users u ON u.id = b.blocked_id
    WHERE b.user_id = :me AND u.username_key > :after ORDER BY u.username_key LIMIT :most
    """
)


@op(reply=BlockList, done=Phrase("blocked users", "已屏蔽的用户"), needs=Self(), lane="read", example={})
async def blocks(ctx: Context, request: Blocks) -> BlockList:
    after = names.key(request.after_username or "")
    rows = await ctx.db.all(BLOCKS, me=ctx.user_id, after=after, most=request.limit + 1)
    found = tuple(
        BlockedUser(user_id=row["blocked_id"], username=row["username"], created_at=rfc3339(row["created_at"]))
        for row in rows[: request.limit]
    )
    return BlockList(users=found, more=len(rows) > request.limit)
