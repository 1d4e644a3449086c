"""My friends: the list, my own names for them, and ending a friendship."""

from __future__ import annotations

from typing import Annotated

from chatd import events, filing, log, names
from chatd.access import Self, find_other
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import NotFound, Phrase
from chatd.op import op
from chatd.presence import Status
from chatd.record import record
from chatd.relations import unfriend
from chatd.wire import Done, Id, Limit, Name, Text, Time, rfc3339_or_none


@record
class Friends:
    """My friends, by username."""

    after_username: Name | None = None
    limit: Limit = 50


@record
class FriendInfo:
    id: int
    username: str
    nickname: str
    avatar_url: str | None
    remark: str
    online: bool
    status: Status
    status_text: str
    last_seen: Time | None
    conversation_id: int | None
    unread_count: int
    last_message_time: Time | None


@record
class FriendList:
    """`more` says that `after_username` has a next page. `unread_count` stops at 1000."""

    friends: tuple[FriendInfo, ...]
    more: bool


FRIENDS = query(
    """/* friends.list */
    SELECT f.friend_id, u.username, u.nickname, u.avatar_file_id, u.last_seen_at, f.remark, c.id AS conversation_id,
           CASE WHEN c.last_message_seq > 0 THEN c.last_at END AS last_at
    FROM friends f
    JOIN users u ON u.id = f.friend_id
    LEFT JOIN conversations c ON c.low_id = CASE WHEN f.user_id < f.friend_id THEN f.user_id ELSE f.friend_id END
                             AND c.high_id = CASE WHEN f.user_id < f.friend_id THEN f.friend_id ELSE f.user_id END
    WHERE f.user_id = :me AND u.username_key > :after
    ORDER BY u.username_key LIMIT :most
    """
)
UNREAD = query(
    """/* friends.unread */
    SELECT conversation_id, unread_count FROM inbox WHERE user_id = :me AND conversation_id IN :ids
    ORDER BY conversation_id
    """
)


@op(reply=FriendList, done=Phrase("your friends", "您的好友"), needs=Self(), lane="read", example={})
async def friends(ctx: Context, request: Friends) -> FriendList:
    after = names.key(request.after_username or "")
    rows = await ctx.db.all(FRIENDS, me=ctx.user_id, after=after, most=request.limit + 1)
    ids = [row["conversation_id"] for row in rows if row["conversation_id"] is not None]
    counts = await ctx.db.all(UNREAD, me=ctx.user_id, ids=ids)
    unread = {row["conversation_id"]: row["unread_count"] for row in counts}
    shown = {row["friend_id"]: ctx.hub.seen(row["friend_id"]) for row in rows}
    found = tuple(
        FriendInfo(
            id=row["friend_id"],
            username=row["username"],
            nickname=row["nickname"],
            avatar_url=filing.avatar(ctx, row["avatar_file_id"]),
            remark=row["remark"],
            online=shown[row["friend_id"]].status != "offline",
            status=shown[row["friend_id"]].status,
            status_text=shown[row["friend_id"]].text,
            last_seen=rfc3339_or_none(row["last_seen_at"]),
            conversation_id=row["conversation_id"],
            unread_count=unread.get(row["conversation_id"], 0),
            last_message_time=rfc3339_or_none(row["last_at"]),
        )
        for row in rows[: request.limit]
    )
    return FriendList(friends=found, more=len(rows) > request.limit)


@record
class FriendRemark:
    """Set my own name for a friend; nobody else sees it."""

    remark: Annotated[str, Text(0, 50)]
    user: Name | None = None
    user_id: Id | None = None


SET_REMARK = query(
    "/* friends.set_remark */ UPDATE friends SET remark = :remark WHERE user_id = :me AND friend_id = :other"
)


@op(
    reply=Done,
    done=Phrase("remark set", "备注已设置"),
    needs=Self(),
    rate="chat",
    emits=[events.Friend],
    raises=[NotFound],
    example={"user": "bob", "remark": "Bob from work"},
)
async def friend_remark(ctx: Context, request: FriendRemark) -> Done:
    other = await find_other(ctx, name=request.user, user_id=request.user_id, field="user")
    if not await ctx.db.run(SET_REMARK, me=ctx.user_id, other=other["id"], remark=request.remark):
        raise NotFound(field="user")
    remarked = events.Friend(state="remark", user_id=other["id"], username=other["username"], remark=request.remark)
    await log.append_for(ctx, ctx.user_id, remarked)
    return Done()


@record
class FriendRemove:
    """End a friendship, for both. What was said stays; the two can become friends again."""

    user: Name | None = None
    user_id: Id | None = None


@op(
    reply=Done,
    done=Phrase("friend removed", "已删除好友"),
    needs=Self(),
    emits=[events.Friend],
    raises=[NotFound],
    example={"user": "bob"},
)
async def friend_remove(ctx: Context, request: FriendRemove) -> Done:
    other = await find_other(ctx, name=request.user, user_id=request.user_id, field="user")
    if not await unfriend(ctx, other):
        raise NotFound(field="user")
    return Done()
