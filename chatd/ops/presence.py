"""Presence and typing: nothing of it is stored but when somebody was last seen."""

from __future__ import annotations

from typing import Annotated

from chatd import events, names
from chatd.access import InGroup, Member, Membership, Self
from chatd.announcer import audience
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import Phrase
from chatd.op import op
from chatd.presence import Choice, Chosen, Status
from chatd.record import record
from chatd.wire import Done, Id, Limit, Name, Text


@record
class PresenceSet:
    """What this device shows of me, until it disconnects. `invisible` looks as if I were not there.

    Of several devices the strongest holds: invisible, then dnd ("do not disturb"), online, away.
    """

    status: Chosen = "online"
    text: Annotated[str, Text(0, 100)] = ""


@op(
    reply=Done,
    done=Phrase("presence set", "状态已更新"),
    needs=Self(),
    needs_socket=True,
    lane="here",
    emits=[events.Join, events.Leave, events.Presence],
    example={"status": "away", "text": "back at two"},
)
async def presence_set(ctx: Context, request: PresenceSet) -> Done:
    ctx.show(Choice(request.status, request.text))
    return Done()


@record
class Online:
    """Who is there: of my friends and the members of shared groups that are not too large, or of one group I am in."""

    conversation_id: Id | None = None
    after_username: Name | None = None
    limit: Limit = 50


@record
class UserList(Online):
    """Who is there: the same as `online`."""


@record
class OnlineUser:
    user_id: int
    username: str
    nickname: str
    status: Status
    text: str


@record
class OnlineList:
    """`count` is of all; `more` says that `after_username` has a next page."""

    count: int
    users: tuple[OnlineUser, ...]
    more: bool


IN_GROUP = query(
    """/* presence.in_group */
    SELECT m.user_id FROM members m
    WHERE m.conversation_id = :conversation_id AND m.until_seq IS NULL AND m.user_id <> :me
      AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = m.user_id AND b.blocked_id = :me)
      AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = :me AND b.blocked_id = m.user_id)
    """
)
USERS = query(
    """/* presence.users */
    SELECT id, username, nickname FROM users WHERE id IN :ids AND username_key > :after
    ORDER BY username_key LIMIT :most
    """
)


async def _online(ctx: Context, request: Online) -> OnlineList:
    if request.conversation_id is None:
        known = (await audience(ctx, [ctx.user_id], wanted=lambda _: True))[ctx.user_id]
    else:
        at = await InGroup().check(ctx, request)
        rows = await ctx.db.all(IN_GROUP, conversation_id=at.conversation_id, me=ctx.user_id)
        known = [row["user_id"] for row in rows]
    shown = {user_id: seen for user_id in known if (seen := ctx.hub.seen(user_id)).status != "offline"}
    after = names.key(request.after_username or "")
    rows = await ctx.db.all(USERS, ids=list(shown), after=after, most=request.limit + 1)
    users = tuple(
        OnlineUser(row["id"], row["username"], row["nickname"], shown[row["id"]].status, shown[row["id"]].text)
        for row in rows[: request.limit]
    )
    return OnlineList(count=len(shown), users=users, more=len(rows) > request.limit)


@op(
    reply=OnlineList,
    done=Phrase("who is online", "在线用户"),
    needs=Self(),
    lane="read",
    rate="social",
    raises=InGroup().raises,
    example={},
)
async def online(ctx: Context, request: Online) -> OnlineList:
    return await _online(ctx, request)


@op(
    reply=OnlineList,
    done=Phrase("who is online", "在线用户"),
    needs=Self(),
    lane="read",
    rate="social",
    raises=InGroup().raises,
    example={},
)
async def user_list(ctx: Context, request: UserList) -> OnlineList:
    return await _online(ctx, request)


@record
class Typing:
    """I am writing there, or with `on` false not any more. A client says so at most every 3 seconds while it lasts.

    In groups larger than `[presence] largest_group` nobody is told, nor by who is invisible.
    """

    to_user: Name | None = None
    to_user_id: Id | None = None
    conversation_id: Id | None = None
    on: bool = True


SIZE = query("/* presence.size */ SELECT member_count FROM groups WHERE conversation_id = :conversation_id")


@op(
    reply=Done,
    done=Phrase("done", "已完成"),
    needs=Member(may="post", opens=False),
    rate="chat",
    emits=[events.Typing],
    example={"to_user": "bob"},
)
async def typing(ctx: Context, request: Typing, at: Membership) -> Done:
    # In the writer's turn: who has blocked, or removed, the asker before that hears nothing.
    hearers = at.hearers
    if hearers is None:
        size = await ctx.db.one(SIZE, conversation_id=at.conversation_id)
        if size is None or size["member_count"] > ctx.config.presence.largest_group:
            return Done()
        rows = await ctx.db.all(IN_GROUP, conversation_id=at.conversation_id, me=ctx.user_id)
        hearers = tuple(row["user_id"] for row in rows)
    if ctx.config.presence.enabled and ctx.hub.shown(ctx.user_id).status != "offline":
        typed = events.Typing(ctx.user_id, ctx.identity.username, request.on)
        ctx.emit(typed, conversation_id=at.conversation_id, seq=None, to=hearers)
    return Done()
