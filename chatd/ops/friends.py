"""Friend requests and friendships. A friendship is two rows, one in each direction, and a direct conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from chatd import access, events, log, names
from chatd.access import Self, find_other
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import AlreadyFriends, Blocked, NotFound, Phrase, RequestsClosed
from chatd.op import op
from chatd.relations import unfriend
from chatd.wire import Done, Id, Limit, Name, Text, Time, rfc3339, rfc3339_or_none

Note = Annotated[str, Text(0, 255)]
State = Literal["friends", "pending"]
Status = Literal["pending", "accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class Requested:
    """`state` is friends where the friendship began at once, with its conversation; else pending, with a request."""

    state: State
    user_id: int
    username: str
    request_id: int | None
    conversation_id: int | None


REQUEST_BETWEEN = query(
    """/* friends.request_between */
    SELECT id, status, note, created_at FROM friend_requests WHERE from_id = :from_id AND to_id = :to_id
    """
)
REQUEST = query(
    """/* friends.request */
    INSERT INTO friend_requests (from_id, to_id, note, status, created_at)
    VALUES (:from_id, :to_id, :note, 'pending', :now)
    ON CONFLICT (from_id, to_id) DO UPDATE SET note = :note, status = 'pending', created_at = :now
    RETURNING id
    """
)
ANSWER = query(
    """/* friends.answer */
    UPDATE friend_requests SET status = :status WHERE id = :id AND status = 'pending' RETURNING note, created_at
    """
)
RELATION = query(
    """/* friends.relation */
    SELECT (SELECT COUNT(*) FROM friends WHERE user_id = :me AND friend_id = :other) AS friend,
           (SELECT COUNT(*) FROM blocks WHERE user_id = :me AND blocked_id = :other) AS blocked,
           (SELECT COUNT(*) FROM blocks WHERE user_id = :other AND blocked_id = :me) AS blocked_by
    """
)
BEFRIEND = query(
    """/* friends.befriend */
    INSERT INTO friends (user_id, friend_id, created_at) VALUES (:me, :other, :now), (:other, :me, :now)
    """
)


async def _request(ctx: Context, *, name: str | None, user_id: int | None, field: str, note: str) -> Requested:
    other = await find_other(ctx, name=name, user_id=user_id, field=field)
    if other["disabled_at"] is not None:
        raise NotFound(field=field)
    relation = await ctx.db.one(RELATION, me=ctx.user_id, other=other["id"])
    if relation is None:
        raise LookupError("a query of counts has one row")
    if relation["friend"]:
        raise AlreadyFriends(field=field, username=other["username"])
    if relation["blocked"]:
        raise Blocked(field=field, username=other["username"])
    crossed = await ctx.db.one(REQUEST_BETWEEN, from_id=other["id"], to_id=ctx.user_id)
    welcome = other["friend_policy"] == "open" or (crossed is not None and crossed["status"] == "pending")
    if welcome and not relation["blocked_by"]:
        return await _befriend(ctx, other, crossed)
    if other["friend_policy"] == "closed":
        raise RequestsClosed(field=field, username=other["username"])
    return await _ask(ctx, other, note, heard=not relation["blocked_by"])


async def _ask(ctx: Context, other: Row, note: str, *, heard: bool) -> Requested:
    """Store a request. Where it is not to be `heard`, the asker has been blocked and is not told so."""
    before = await ctx.db.one(REQUEST_BETWEEN, from_id=ctx.user_id, to_id=other["id"])
    row = await ctx.db.one(REQUEST, from_id=ctx.user_id, to_id=other["id"], note=note, now=ctx.now)
    if row is None:
        raise LookupError("the request was not stored")
    if before is None or before["status"] != "pending" or before["note"] != note:
        asked = events.FriendRequest(
            request_id=row["id"],
            from_user_id=ctx.user_id,
            from_username=ctx.identity.username,
            to_user_id=other["id"],
            to_username=other["username"],
            note=note,
            status="pending",
            created_at=rfc3339(ctx.now),
        )
        await log.append_for(ctx, ctx.user_id, asked)
        if heard:
            await log.append_for(ctx, other["id"], asked)
    return Requested(
        state="pending", user_id=other["id"], username=other["username"], request_id=row["id"], conversation_id=None
    )


async def _befriend(ctx: Context, other: Row, request: Row | None) -> Requested:
    """Make the asker and another user friends, in both directions, and tell both. `request` is the other's, if any."""
    if request is not None:
        await _answer(ctx, other, request["id"], "accepted")
    mine = await ctx.db.one(REQUEST_BETWEEN, from_id=ctx.user_id, to_id=other["id"])
    if mine is not None:
        await ctx.db.one(ANSWER, id=mine["id"], status="accepted")
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
    return Requested(
        state="friends",
        user_id=other["id"],
        username=other["username"],
        request_id=request["id"] if request is not None else None,
        conversation_id=conversation_id,
    )


async def _answer(ctx: Context, asker: Row, request_id: int, status: Status) -> None:
    answered = await ctx.db.one(ANSWER, id=request_id, status=status)
    if answered is None:
        return
    event = events.FriendRequest(
        request_id=request_id,
        from_user_id=asker["id"],
        from_username=asker["username"],
        to_user_id=ctx.user_id,
        to_username=ctx.identity.username,
        note=answered["note"],
        status=status,
        created_at=rfc3339(answered["created_at"]),
    )
    for user_id in (asker["id"], ctx.user_id):
        await log.append_for(ctx, user_id, event)


# Asking


@dataclass(frozen=True, slots=True)
class FriendRequest:
    """Ask a user to be friends. Two requests that cross become a friendship at once; asking again renews the note."""

    to_user: Name | None = None
    to_user_id: Id | None = None
    note: Note = ""


_REQUEST_EMITS = [events.FriendRequest, events.Friend, events.Conversation]
_REQUEST_RAISES = [NotFound, AlreadyFriends, Blocked, RequestsClosed]


@op(
    reply=Requested,
    done=Phrase("friend request", "好友申请"),
    needs=Self(),
    rate="social",
    emits=_REQUEST_EMITS,
    raises=_REQUEST_RAISES,
    example={"to_user": "bob", "note": "It is ada."},
)
async def friend_request(ctx: Context, request: FriendRequest) -> Requested:
    return await _request(ctx, name=request.to_user, user_id=request.to_user_id, field="to_user", note=request.note)


@dataclass(frozen=True, slots=True)
class Adduser:
    """The same as `friend_request`, under the first design's name."""

    username: Name


@op(
    reply=Requested,
    done=Phrase("friend request", "好友申请"),
    needs=Self(),
    rate="social",
    emits=_REQUEST_EMITS,
    raises=_REQUEST_RAISES,
    example={"username": "bob"},
)
async def adduser(ctx: Context, request: Adduser) -> Requested:
    return await _request(ctx, name=request.username, user_id=None, field="username", note="")


# Answering


@dataclass(frozen=True, slots=True)
class FriendRespond:
    """Accept or reject a friend request to me. Both relations and the conversation begin together."""

    request_id: Id
    accept: bool


@dataclass(frozen=True, slots=True)
class Responded:
    """`conversation_id` is the direct conversation, once accepted."""

    state: Literal["friends", "rejected"]
    user_id: int
    username: str
    conversation_id: int | None


PENDING = query(
    """/* friends.pending */
    SELECT r.id AS request_id, u.*,
           (SELECT COUNT(*) FROM blocks b WHERE b.user_id = r.to_id AND b.blocked_id = r.from_id) AS blocked
    FROM friend_requests r JOIN users u ON u.id = r.from_id
    WHERE r.id = :request_id AND r.to_id = :me AND r.status = 'pending'
    """
)


@op(
    reply=Responded,
    done=Phrase("answered", "已答复"),
    needs=Self(),
    emits=_REQUEST_EMITS,
    raises=[NotFound],
    example={"request_id": 1, "accept": True},
)
async def friend_respond(ctx: Context, request: FriendRespond) -> Responded:
    asker = await ctx.db.one(PENDING, request_id=request.request_id, me=ctx.user_id)
    if asker is None or asker["blocked"]:
        raise NotFound(field="request_id")
    conversation_id = None
    if request.accept:
        between = await ctx.db.one(REQUEST_BETWEEN, from_id=asker["id"], to_id=ctx.user_id)
        conversation_id = (await _befriend(ctx, asker, between)).conversation_id
    else:
        await _answer(ctx, asker, request.request_id, "rejected")
    return Responded(
        state="friends" if request.accept else "rejected",
        user_id=asker["id"],
        username=asker["username"],
        conversation_id=conversation_id,
    )


@dataclass(frozen=True, slots=True)
class FriendRequests:
    """Friend requests I received or sent, newest first."""

    box: Literal["received", "sent"] = "received"
    status: Status | None = None
    before_request_id: Id | None = None
    limit: Limit = 50


@dataclass(frozen=True, slots=True)
class RequestInfo:
    request_id: int
    from_user_id: int
    from_username: str
    to_user_id: int
    to_username: str
    note: str
    status: Status
    created_at: Time


@dataclass(frozen=True, slots=True)
class RequestList:
    """`more` says that `before_request_id` has a next page."""

    requests: tuple[RequestInfo, ...]
    more: bool


REQUESTS = query(
    """/* friends.requests */
    SELECT r.id, r.from_id, f.username AS from_username, r.to_id, t.username AS to_username,
           r.note, r.status, r.created_at
    FROM friend_requests r JOIN users f ON f.id = r.from_id JOIN users t ON t.id = r.to_id
    WHERE ((:box = 'received' AND r.to_id = :me
            AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = :me AND b.blocked_id = r.from_id))
           OR (:box = 'sent' AND r.from_id = :me))
      AND r.status = COALESCE(CAST(:status AS TEXT), r.status) AND r.id < :before
    ORDER BY r.id DESC LIMIT :most
    """
)


@op(
    reply=RequestList,
    done=Phrase("friend requests", "好友申请列表"),
    needs=Self(),
    lane="read",
    example={"box": "received", "status": "pending"},
)
async def friend_requests(ctx: Context, request: FriendRequests) -> RequestList:
    rows = await ctx.db.all(
        REQUESTS,
        me=ctx.user_id,
        box=request.box,
        status=request.status,
        before=request.before_request_id or 2**62,
        most=request.limit + 1,
    )
    found = tuple(
        RequestInfo(
            request_id=row["id"],
            from_user_id=row["from_id"],
            from_username=row["from_username"],
            to_user_id=row["to_id"],
            to_username=row["to_username"],
            note=row["note"],
            status=row["status"],
            created_at=rfc3339(row["created_at"]),
        )
        for row in rows[: request.limit]
    )
    return RequestList(requests=found, more=len(rows) > request.limit)


# Friends


@dataclass(frozen=True, slots=True)
class Friends:
    """My friends, by username."""

    after_username: Name | None = None
    limit: Limit = 50


@dataclass(frozen=True, slots=True)
class FriendInfo:
    id: int
    username: str
    nickname: str
    remark: str
    online: bool
    last_seen: Time | None
    conversation_id: int | None
    unread_count: int
    last_message_time: Time | None


@dataclass(frozen=True, slots=True)
class FriendList:
    """`more` says that `after_username` has a next page. `unread_count` stops at 1000."""

    friends: tuple[FriendInfo, ...]
    more: bool


FRIENDS = query(
    """/* friends.list */
    SELECT f.friend_id, u.username, u.nickname, u.last_seen_at, f.remark, c.id AS conversation_id,
           CASE WHEN c.last_message_seq > 0 THEN c.last_at END AS last_at, i.unread_count
    FROM friends f
    JOIN users u ON u.id = f.friend_id
    LEFT JOIN conversations c ON c.low_id = CASE WHEN f.user_id < f.friend_id THEN f.user_id ELSE f.friend_id END
                             AND c.high_id = CASE WHEN f.user_id < f.friend_id THEN f.friend_id ELSE f.user_id END
    LEFT JOIN inbox i ON i.conversation_id = c.id AND i.user_id = f.user_id
    WHERE f.user_id = :me AND u.username_key > :after
    ORDER BY u.username_key LIMIT :most
    """
)


@op(reply=FriendList, done=Phrase("your friends", "您的好友"), needs=Self(), lane="read", example={})
async def friends(ctx: Context, request: Friends) -> FriendList:
    after = names.key(request.after_username or "")
    rows = await ctx.db.all(FRIENDS, me=ctx.user_id, after=after, most=request.limit + 1)
    found = tuple(
        FriendInfo(
            id=row["friend_id"],
            username=row["username"],
            nickname=row["nickname"],
            remark=row["remark"],
            online=ctx.is_online(row["friend_id"]),
            last_seen=rfc3339_or_none(row["last_seen_at"]),
            conversation_id=row["conversation_id"],
            unread_count=row["unread_count"] or 0,
            last_message_time=rfc3339_or_none(row["last_at"]),
        )
        for row in rows[: request.limit]
    )
    return FriendList(friends=found, more=len(rows) > request.limit)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
