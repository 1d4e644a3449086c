"""Who is in a group: adding, removing, leaving, roles, and who may not write for a time."""

from __future__ import annotations

from typing import Annotated

from chatd import events, filing, log, memberships, names
from chatd.access import RANKS, InGroup, Membership, Role, find_other
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import (
    AlreadyMember,
    Blocked,
    Forbidden,
    GroupFull,
    Invalid,
    NotFound,
    NotFriends,
    Phrase,
    Unreachable,
)
from chatd.op import op
from chatd.record import record
from chatd.wire import Done, Id, Items, Limit, Name, Time, milliseconds, rfc3339, rfc3339_or_none


@record
class GroupMembers:
    """Who is in a group, by username."""

    conversation_id: Id
    after_username: Name | None = None
    limit: Limit = 50


@record
class MemberInfo:
    """`online` is false, too, for who blocks me or whom I block."""

    user_id: int
    username: str
    nickname: str
    avatar_url: str | None
    role: Role
    online: bool
    muted_until: Time | None
    joined_at: Time


@record
class MemberList:
    """`more` says that `after_username` has a next page."""

    members: tuple[MemberInfo, ...]
    more: bool


MEMBERS = query(
    """/* group_members.list */
    SELECT m.user_id, u.username, u.nickname, u.avatar_file_id, m.role, m.muted_until, m.joined_at,
           (SELECT COUNT(*) FROM blocks b WHERE (b.user_id = m.user_id AND b.blocked_id = :me)
                                             OR (b.user_id = :me AND b.blocked_id = m.user_id)) AS blocked
    FROM members m JOIN users u ON u.id = m.user_id
    WHERE m.conversation_id = :conversation_id AND m.until_seq IS NULL AND u.username_key > :after
    ORDER BY u.username_key LIMIT :most
    """
)


def _info(ctx: Context, row: Row) -> MemberInfo:
    muted_until = row["muted_until"]
    return MemberInfo(
        user_id=row["user_id"],
        username=row["username"],
        nickname=row["nickname"],
        avatar_url=filing.avatar(ctx, row["avatar_file_id"]),
        role=row["role"],
        online=not row["blocked"] and ctx.hub.seen(row["user_id"]).status != "offline",
        muted_until=rfc3339_or_none(muted_until) if muted_until is not None and muted_until > ctx.now else None,
        joined_at=rfc3339(row["joined_at"]),
    )


@op(
    reply=MemberList,
    done=Phrase("members", "群成员"),
    needs=InGroup(),
    lane="read",
    example={"conversation_id": 12},
)
async def group_members(ctx: Context, request: GroupMembers, at: Membership) -> MemberList:
    after = names.key(request.after_username or "")
    rows = await ctx.db.all(
        MEMBERS, me=ctx.user_id, conversation_id=at.conversation_id, after=after, most=request.limit + 1
    )
    members = tuple(_info(ctx, row) for row in rows[: request.limit])
    return MemberList(members=members, more=len(rows) > request.limit)


@record
class GroupAdd:
    """Add people I may write to. All are added, or none. For the group's owner and admins."""

    conversation_id: Id
    users: Annotated[tuple[Name, ...], Items(1, 200)]


@op(
    reply=Done,
    done=Phrase("added", "已添加"),
    needs=InGroup("admin"),
    rate="social",
    emits=[events.Member, events.Conversation, events.JoinRequest],
    raises=[NotFound, NotFriends, Blocked, Unreachable, GroupFull, AlreadyMember],
    example={"conversation_id": 12, "users": ["bob", "eve"]},
)
async def group_add(ctx: Context, request: GroupAdd, at: Membership) -> Done:
    users = await memberships.people(ctx, request.users, field="users")
    await memberships.enter(ctx, at.conversation_id, users, "added")
    return Done()


MEMBER = query(
    """/* group_members.one */
    SELECT user_id AS id, role FROM members
    WHERE conversation_id = :conversation_id AND user_id = :user_id AND until_seq IS NULL
    """
)


async def _below(ctx: Context, at: Membership, *, user: str | None, user_id: int | None) -> Row:
    """Another member, whose role is below the asker's. Raises `NotFound`, `Invalid`, `Forbidden`."""
    other = await find_other(ctx, name=user, user_id=user_id, field="user")
    member = await ctx.db.one(MEMBER, conversation_id=at.conversation_id, user_id=other["id"])
    if member is None:
        raise NotFound(field="user" if user is not None else "user_id")
    if RANKS[member["role"]] >= RANKS[at.role]:
        raise Forbidden(field="user" if user is not None else "user_id")
    return other


@record
class GroupRemove:
    """Remove somebody whose role is below mine. What was said until then stays readable for them; nothing after it."""

    conversation_id: Id
    user: Name | None = None
    user_id: Id | None = None


@op(
    reply=Done,
    done=Phrase("removed", "已移除"),
    needs=InGroup("admin"),
    rate="chat",
    emits=[events.Member],
    raises=[NotFound, Forbidden],
    example={"conversation_id": 12, "user": "mallory"},
)
async def group_remove(ctx: Context, request: GroupRemove, at: Membership) -> Done:
    other = await _below(ctx, at, user=request.user, user_id=request.user_id)
    await memberships.leave(ctx, at.conversation_id, other, "removed")
    return Done()


@record
class GroupLeave:
    """Leave a group. What was said until then stays readable for me.

    When its owner leaves, the admin longest in it owns it, or else the member; the last one to leave ends it.
    """

    conversation_id: Id


ME = query("/* group_members.me */ SELECT id, username FROM users WHERE id = :me")


@op(
    reply=Done,
    done=Phrase("left", "已退出"),
    needs=InGroup(),
    emits=[events.Member, events.Group],
    example={"conversation_id": 12},
)
async def group_leave(ctx: Context, request: GroupLeave, at: Membership) -> Done:
    me = await ctx.db.one(ME, me=ctx.user_id)
    if me is None:
        raise LookupError(f"user {ctx.user_id} does not exist")
    await memberships.leave(ctx, at.conversation_id, me, "left")
    if at.role == "owner":
        await memberships.inherit(ctx, at.conversation_id)
    return Done()


@record
class GroupRole:
    """Give a member another role. For the owner; `owner` hands the group over, and makes me an admin of it."""

    conversation_id: Id
    role: Role
    user: Name | None = None
    user_id: Id | None = None


@op(
    reply=Done,
    done=Phrase("role changed", "角色已更改"),
    needs=InGroup("owner"),
    rate="chat",
    emits=[events.Member],
    raises=[NotFound],
    example={"conversation_id": 12, "user": "bob", "role": "admin"},
)
async def group_role(ctx: Context, request: GroupRole, at: Membership) -> Done:
    other = await _below(ctx, at, user=request.user, user_id=request.user_id)
    if request.role == "owner":
        mine = await ctx.db.one(ME, me=ctx.user_id)
        if mine is None:
            raise LookupError(f"user {ctx.user_id} does not exist")
        await memberships.set_role(ctx, at.conversation_id, mine, "admin")
    await memberships.set_role(ctx, at.conversation_id, other, request.role)
    return Done()


@record
class GroupMute:
    """Let somebody whose role is below mine not write until a time; without `until`, let them write again."""

    conversation_id: Id
    user: Name | None = None
    user_id: Id | None = None
    until: Time | None = None


MUTE = query(
    """/* group_members.mute */
    UPDATE members SET muted_until = :until WHERE conversation_id = :conversation_id AND user_id = :user_id
    """
)


@op(
    reply=Done,
    done=Phrase("done", "已完成"),
    needs=InGroup("admin"),
    rate="chat",
    emits=[events.Member],
    raises=[NotFound, Forbidden],
    example={"conversation_id": 12, "user": "mallory", "until": "2030-01-31T12:00:00.000Z"},
)
async def group_mute(ctx: Context, request: GroupMute, at: Membership) -> Done:
    other = await _below(ctx, at, user=request.user, user_id=request.user_id)
    until = None if request.until is None else milliseconds(request.until, field="until")
    if until is not None and until <= ctx.now:
        raise Invalid(field="until", expected=Phrase("must lie in the future", "必须是将来的时间"))
    await ctx.db.run(MUTE, conversation_id=at.conversation_id, user_id=other["id"], until=until)
    told = events.Member(
        action="unmuted" if until is None else "muted",
        users=(events.Person(user_id=other["id"], username=other["username"]),),
        by_user_id=ctx.user_id,
        by_username=ctx.identity.username,
        muted_until=rfc3339_or_none(until),
    )
    await log.append_to(ctx, at.conversation_id, told)
    return Done()
