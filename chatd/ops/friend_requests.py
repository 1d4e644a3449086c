"""Asking to be friends, and answering."""

from __future__ import annotations

from typing import Annotated, Literal

from chatd import events, log
from chatd.access import Self, find_other
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import AlreadyFriends, Blocked, NotFound, Phrase, RequestsClosed
from chatd.op import op
from chatd.record import record
from chatd.relations import Status, befriend, close_request
from chatd.wire import Id, Limit, Name, Text, rfc3339

Note = Annotated[str, Text(0, 255)]
State = Literal["friends", "pending"]


@record
class Requested:
    """`state` is friends where the friendship began at once, with its conversation; else pending, with a request."""

    state: State
    user_id: int
    username: str
    request_id: int | None
    conversation_id: int | None


REQUEST_BETWEEN = query(
    """/* friend_requests.request_between */
    SELECT id, status, note, created_at FROM friend_requests WHERE from_id = :from_id AND to_id = :to_id
    """
)
REQUEST = query(
    """/* friend_requests.request */
    INSERT INTO friend_requests (from_id, to_id, note, status, created_at)
    VALUES (:from_id, :to_id, :note, 'pending', :now)
    ON CONFLICT (from_id, to_id) DO UPDATE SET note = :note RETURNING id
    """
)
FORGET = query("/* friend_requests.forget */ DELETE FROM friend_requests WHERE from_id = :from_id AND to_id = :to_id")
RELATION = query(
    """/* friend_requests.relation */
    SELECT (SELECT COUNT(*) FROM friends WHERE user_id = :me AND friend_id = :other) AS friend,
           (SELECT COUNT(*) FROM blocks WHERE user_id = :me AND blocked_id = :other) AS blocked,
           (SELECT COUNT(*) FROM blocks WHERE user_id = :other AND blocked_id = :me) AS blocked_by
    """
)


async def _request(ctx: Context, *, name: str | None, user_id: int | None, field: str, note: str) -> Requested:
    other = await find_other(ctx, name=name, user_id=user_id, field=field)
    if other["disabled_at"] is not None:
        raise NotFound(field=field if name is not None else f"{field}_id")
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
    if before is not None and before["status"] != "pending":
        await ctx.db.run(FORGET, from_id=ctx.user_id, to_id=other["id"])  # a new request has a new id
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
        await close_request(ctx, request["id"], "accepted")
    mine = await ctx.db.one(REQUEST_BETWEEN, from_id=ctx.user_id, to_id=other["id"])
    if mine is not None:
        await close_request(ctx, mine["id"], "accepted")
    conversation_id = await befriend(ctx, other)
    return Requested(
        state="friends",
        user_id=other["id"],
        username=other["username"],
        request_id=request["id"] if request is not None else None,
        conversation_id=conversation_id,
    )


# Asking


@record
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


@record
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


@record
class FriendRespond:
    """Accept or reject a friend request to me, or with `accept` false withdraw one of mine.

    Both relations and the conversation begin together.
    """

    request_id: Id
    accept: bool


@record
class Responded:
    """`conversation_id` is the direct conversation, once accepted."""

    state: Literal["friends", "rejected"]
    user_id: int
    username: str
    conversation_id: int | None


PENDING = query(
    """/* friend_requests.pending */
    SELECT r.id AS request_id, r.to_id, u.*,
           (SELECT COUNT(*) FROM blocks b WHERE b.user_id = r.to_id AND b.blocked_id = r.from_id) AS blocked
    FROM friend_requests r JOIN users u ON u.id = CASE WHEN r.to_id = :me THEN r.from_id ELSE r.to_id END
    WHERE r.id = :request_id AND (r.to_id = :me OR r.from_id = :me) AND r.status = 'pending'
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
    other = await ctx.db.one(PENDING, request_id=request.request_id, me=ctx.user_id)
    mine = other is not None and other["to_id"] != ctx.user_id
    if other is None or (mine and request.accept) or (not mine and other["blocked"]):
        raise NotFound(field="request_id")
    conversation_id = None
    if request.accept:
        between = await ctx.db.one(REQUEST_BETWEEN, from_id=other["id"], to_id=ctx.user_id)
        conversation_id = (await _befriend(ctx, other, between)).conversation_id
    else:
        await close_request(ctx, request.request_id, "rejected")
    return Responded(
        state="friends" if request.accept else "rejected",
        user_id=other["id"],
        username=other["username"],
        conversation_id=conversation_id,
    )


@record
class FriendRequests:
    """Friend requests I received or sent, newest first."""

    box: Literal["received", "sent"] = "received"
    status: Status | None = None
    before_request_id: Id | None = None
    limit: Limit = 50


@record
class RequestList:
    """`more` says that `before_request_id` has a next page."""

    requests: tuple[events.FriendRequest, ...]
    more: bool


RECEIVED = query(
    """/* friend_requests.received */
    SELECT r.id, r.from_id, f.username AS from_username, r.to_id, t.username AS to_username,
           r.note, r.status, r.created_at
    FROM friend_requests r JOIN users f ON f.id = r.from_id JOIN users t ON t.id = r.to_id
    WHERE r.to_id = :me AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = :me AND b.blocked_id = r.from_id)
      AND r.status = COALESCE(CAST(:status AS TEXT), r.status) AND r.id < :before
    ORDER BY r.id DESC LIMIT :most
    """
)
SENT = query(
    """/* friend_requests.sent */
    SELECT r.id, r.from_id, f.username AS from_username, r.to_id, t.username AS to_username,
           r.note, r.status, r.created_at
    FROM friend_requests r JOIN users f ON f.id = r.from_id JOIN users t ON t.id = r.to_id
    WHERE r.from_id = :me AND r.status = COALESCE(CAST(:status AS TEXT), r.status) AND r.id < :before
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
        RECEIVED if request.box == "received" else SENT,
        me=ctx.user_id,
        status=request.status,
        before=request.before_request_id or 2**62,
        most=request.limit + 1,
    )
    found = tuple(
        events.FriendRequest(
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
