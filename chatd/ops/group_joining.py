"""How people come into a group by themselves: at once, by asking its admins, or with a link."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

from chatd import events, memberships
from chatd.access import USER_BY_ID, InGroup, Membership, Self, find_user
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import AlreadyMember, GroupFull, NotFound, Phrase
from chatd.op import op
from chatd.record import record
from chatd.wire import Done, Id, Limit, Name, Text, Time, Whole, rfc3339, rfc3339_or_none

_HOUR = 3_600_000

LINKS = 100
"""How many links a group may have."""

REQUESTS = 1000
"""How many people may be waiting to be let into a group."""


@record
class GroupJoin:
    """Join a group by its id, or by the `token` of a link. Where its admins decide, ask them, with a note.

    Asking again changes the note. A link lets in at once.
    """

    conversation_id: Id | None = None
    token: memberships.LinkToken | None = None
    note: Annotated[str, Text(0, 255)] = ""


@record
class Joined:
    """`pending` waits for an admin: `conversation` is heard when one lets me in."""

    state: Literal["joined", "pending"]
    conversation_id: int


USE = query(
    """/* group_joining.use */
    UPDATE group_links SET uses_left = uses_left - 1
    WHERE token = :token AND (uses_left IS NULL OR uses_left > 0) AND (expires_at IS NULL OR expires_at > :now)
    RETURNING conversation_id
    """
)
ASK = query(
    """/* group_joining.ask */
    INSERT INTO join_requests (conversation_id, user_id, note, created_at)
    VALUES (:conversation_id, :me, :note, :now)
    ON CONFLICT (conversation_id, user_id) DO UPDATE SET note = excluded.note
    """
)
WAITING = query(
    "/* group_joining.waiting */ SELECT COUNT(*) AS count FROM join_requests WHERE conversation_id = :conversation_id"
)
IS_IN = query(
    """/* group_joining.is_in */
    SELECT user_id FROM members
    WHERE conversation_id = :conversation_id AND user_id = :user_id AND until_seq IS NULL
    """
)


@op(
    reply=Joined,
    done=Phrase("done", "已完成"),
    needs=Self(),
    rate="social",
    emits=[events.Member, events.Conversation, events.JoinRequest],
    raises=[NotFound, GroupFull, AlreadyMember],
    example={"conversation_id": 12, "note": "It is ada."},
)
async def group_join(ctx: Context, request: GroupJoin) -> Joined:
    group, may = await _named(ctx, request)
    conversation_id = group["conversation_id"]
    me = await ctx.db.one(USER_BY_ID, id=ctx.user_id)
    if me is None:
        raise LookupError(f"user {ctx.user_id} does not exist")
    if may == "open":
        await memberships.enter(ctx, conversation_id, [me], "joined")
        return Joined(state="joined", conversation_id=conversation_id)
    if await ctx.db.one(IS_IN, conversation_id=conversation_id, user_id=ctx.user_id) is not None:
        raise AlreadyMember(username=ctx.identity.username)
    waiting = await ctx.db.one(WAITING, conversation_id=conversation_id)
    if waiting is not None and waiting["count"] >= REQUESTS:
        raise GroupFull(most=str(REQUESTS))
    await ctx.db.run(ASK, conversation_id=conversation_id, me=ctx.user_id, note=request.note, now=ctx.now)
    asked = events.JoinRequest(
        group_id=conversation_id,
        title=group["title"],
        user_id=ctx.user_id,
        username=ctx.identity.username,
        note=request.note,
        state="pending",
    )
    await memberships.tell_admins(ctx, group, asked)
    return Joined(state="pending", conversation_id=conversation_id)


async def _named(ctx: Context, request: GroupJoin) -> tuple[Row, str]:
    """The group of an id or a link, and how the asker may join it. Raises `NotFound`, `Invalid`."""
    memberships.one_of(request.conversation_id, request.token)
    conversation_id, field = request.conversation_id, "conversation_id"
    if request.token is not None:
        link = await ctx.db.one(USE, token=request.token, now=ctx.now)
        conversation_id, field = (0 if link is None else link["conversation_id"]), "token"
    group = await ctx.db.one(memberships.GROUP, conversation_id=conversation_id)
    if group is None or group["dissolved_at"] is not None:
        raise NotFound(field=field)
    may: str = "open" if request.token is not None else group["joining"]
    if may == "invite":
        raise NotFound(field=field)
    return group, may


# Who waits to be let in


@record
class GroupRequests:
    """Who waits to be let into a group, the first to ask first. For its owner and admins."""

    conversation_id: Id
    limit: Limit = 50


@record
class Waiting:
    user_id: int
    username: str
    nickname: str
    note: str
    created_at: Time


@record
class WaitingList:
    """`more` says that there are more; they come once these are answered."""

    requests: tuple[Waiting, ...]
    more: bool


ASKED = query(
    """/* group_joining.asked */
    SELECT r.user_id, u.username, u.nickname, r.note, r.created_at
    FROM join_requests r JOIN users u ON u.id = r.user_id
    WHERE r.conversation_id = :conversation_id ORDER BY r.created_at, r.user_id LIMIT :most
    """
)


@op(
    reply=WaitingList,
    done=Phrase("who waits", "待审批的申请"),
    needs=InGroup("admin"),
    lane="read",
    example={"conversation_id": 12},
)
async def group_requests(ctx: Context, request: GroupRequests, at: Membership) -> WaitingList:
    rows = await ctx.db.all(ASKED, conversation_id=at.conversation_id, most=request.limit + 1)
    waiting = tuple(
        Waiting(
            user_id=row["user_id"],
            username=row["username"],
            nickname=row["nickname"],
            note=row["note"],
            created_at=rfc3339(row["created_at"]),
        )
        for row in rows[: request.limit]
    )
    return WaitingList(requests=waiting, more=len(rows) > request.limit)


@record
class GroupRespond:
    """Let somebody who asked into a group, or not. For its owner and admins. The one refused is not told by whom."""

    conversation_id: Id
    accept: bool
    user: Name | None = None
    user_id: Id | None = None


IS_ASKING = query(
    """/* group_joining.is_asking */
    SELECT user_id FROM join_requests WHERE conversation_id = :conversation_id AND user_id = :user_id
    """
)


@op(
    reply=Done,
    done=Phrase("answered", "已处理"),
    needs=InGroup("admin"),
    emits=[events.Member, events.Conversation, events.JoinRequest],
    raises=[NotFound, GroupFull],
    example={"conversation_id": 12, "user": "ada", "accept": True},
)
async def group_respond(ctx: Context, request: GroupRespond, at: Membership) -> Done:
    user = await find_user(ctx, name=request.user, user_id=request.user_id, field="user")
    if await ctx.db.one(IS_ASKING, conversation_id=at.conversation_id, user_id=user["id"]) is None:
        raise NotFound(field="user" if request.user is not None else "user_id")
    if request.accept:
        await memberships.enter(ctx, at.conversation_id, [user], "added")
    else:
        await memberships.close_request(ctx, await memberships.group(ctx, at.conversation_id), user)
    return Done()


# Links


@record
class GroupLink:
    """Make a link: who has its `token` may `group_join` at once. For a group's owner and admins.

    It may be used `uses` times, for so many hours; without them any number of times, for ever.
    """

    conversation_id: Id
    uses: Annotated[int, Whole(1, 100_000)] | None = None
    hours: Annotated[int, Whole(1, 24 * 365)] | None = None


@record
class LinkInfo:
    """A link; what is null has no bound."""

    id: int
    token: str
    by_user_id: int
    by_username: str
    uses_left: int | None
    expires_at: Time | None
    created_at: Time


MAKE = query(
    """/* group_joining.make_link */
    INSERT INTO group_links (conversation_id, token, user_id, uses_left, expires_at, created_at)
    VALUES (:conversation_id, :token, :me, :uses, :expires_at, :now) RETURNING id
    """
)
FORGET = query(
    """/* group_joining.forget_links */
    DELETE FROM group_links WHERE conversation_id = :conversation_id AND (uses_left = 0 OR expires_at <= :now)
    """
)
LINKS_OF = query(
    """/* group_joining.links */
    SELECT l.id, l.token, l.user_id, u.username, l.uses_left, l.expires_at, l.created_at
    FROM group_links l JOIN users u ON u.id = l.user_id
    WHERE l.conversation_id = :conversation_id AND (l.uses_left IS NULL OR l.uses_left > 0)
      AND (l.expires_at IS NULL OR l.expires_at > :now)
    ORDER BY l.id
    """
)
REVOKE = query(
    "/* group_joining.revoke */ DELETE FROM group_links WHERE id = :id AND conversation_id = :conversation_id"
)


@op(
    reply=LinkInfo,
    done=Phrase("link made", "邀请链接已创建"),
    needs=InGroup("admin"),
    rate="social",
    raises=[GroupFull],
    example={"conversation_id": 12, "uses": 10, "hours": 24},
)
async def group_link(ctx: Context, request: GroupLink, at: Membership) -> LinkInfo:
    await ctx.db.run(FORGET, conversation_id=at.conversation_id, now=ctx.now)
    if len(await ctx.db.all(LINKS_OF, conversation_id=at.conversation_id, now=ctx.now)) >= LINKS:
        raise GroupFull(most=str(LINKS))
    token = secrets.token_urlsafe(16)
    expires_at = None if request.hours is None else ctx.now + request.hours * _HOUR
    row = await ctx.db.one(
        MAKE,
        conversation_id=at.conversation_id,
        token=token,
        me=ctx.user_id,
        uses=request.uses,
        expires_at=expires_at,
        now=ctx.now,
    )
    if row is None:
        raise LookupError("the link was not stored")
    return LinkInfo(
        id=row["id"],
        token=token,
        by_user_id=ctx.user_id,
        by_username=ctx.identity.username,
        uses_left=request.uses,
        expires_at=rfc3339_or_none(expires_at),
        created_at=rfc3339(ctx.now),
    )


@record
class GroupLinks:
    """The links of a group that still let somebody in. For its owner and admins."""

    conversation_id: Id


@record
class LinkList:
    """At most 100."""

    links: tuple[LinkInfo, ...]


@op(
    reply=LinkList,
    done=Phrase("links", "邀请链接"),
    needs=InGroup("admin"),
    lane="read",
    example={"conversation_id": 12},
)
async def group_links(ctx: Context, request: GroupLinks, at: Membership) -> LinkList:
    rows = await ctx.db.all(LINKS_OF, conversation_id=at.conversation_id, now=ctx.now)
    return LinkList(
        links=tuple(
            LinkInfo(
                id=row["id"],
                token=row["token"],
                by_user_id=row["user_id"],
                by_username=row["username"],
                uses_left=row["uses_left"],
                expires_at=rfc3339_or_none(row["expires_at"]),
                created_at=rfc3339(row["created_at"]),
            )
            for row in rows
        )
    )


@record
class GroupLinkRevoke:
    """Let a link let nobody in any more. For a group's owner and admins."""

    conversation_id: Id
    link_id: Id


@op(
    reply=Done,
    done=Phrase("link revoked", "邀请链接已撤销"),
    needs=InGroup("admin"),
    raises=[NotFound],
    example={"conversation_id": 12, "link_id": 3},
)
async def group_link_revoke(ctx: Context, request: GroupLinkRevoke, at: Membership) -> Done:
    if not await ctx.db.run(REVOKE, id=request.link_id, conversation_id=at.conversation_id):
        raise NotFound(field="link_id")
    return Done()
