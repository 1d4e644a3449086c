"""Coming into a group and going: the member's row, the entry in the group's log, and what the member's devices hear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from chatd import events, log
from chatd.access import find_other, may_write_to
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import AlreadyMember, GroupFull, Invalid, Phrase
from chatd.wire import Text

LinkToken = Annotated[str, Text(1, 64)]
"""What a link into a group has in it."""

GROUP = query("/* memberships.group */ SELECT * FROM groups WHERE conversation_id = :conversation_id")
COUNT = query(
    """/* memberships.count */
    UPDATE groups SET member_count = member_count + CAST(:more AS BIGINT) WHERE conversation_id = :conversation_id
    """
)
ROWS = query(
    """/* memberships.rows */
    SELECT m.user_id, m.until_seq, u.username FROM members m JOIN users u ON u.id = m.user_id
    WHERE m.conversation_id = :conversation_id AND m.user_id IN :user_ids
    """
)
FULL = query(
    """/* memberships.full */
    SELECT m.user_id, u.username FROM members m
    JOIN groups g ON g.conversation_id = m.conversation_id
    JOIN users u ON u.id = m.user_id
    WHERE m.user_id IN :user_ids AND m.until_seq IS NULL
    GROUP BY m.user_id, u.username HAVING COUNT(*) >= :most
    """
)
ENTER = query(
    """/* memberships.enter */
    INSERT INTO members (conversation_id, user_id, role, from_seq, read_seq, delivered_seq, joined_at, moved_at)
    VALUES (:conversation_id, :user_id, :role, :seq, :read_seq, :read_seq, :now, :now)
    ON CONFLICT (conversation_id, user_id) DO UPDATE
    SET until_seq = NULL, left_at = NULL, title = NULL, role = excluded.role,
        read_seq = excluded.read_seq, delivered_seq = excluded.delivered_seq, joined_at = excluded.joined_at,
        moved_at = excluded.moved_at
    """
)
ABSENT = query(
    """/* memberships.absent */
    INSERT INTO absences (conversation_id, user_id, from_seq, until_seq)
    VALUES (:conversation_id, :user_id, :from_seq, :until_seq)
    """
)
LEAVE = query(
    """/* memberships.leave */
    UPDATE members SET until_seq = :seq, left_at = :now, moved_at = :now, role = 'member',
        title = (SELECT g.title FROM groups g WHERE g.conversation_id = members.conversation_id)
    WHERE conversation_id = :conversation_id AND user_id = :user_id
    """
)
SET_ROLE = query(
    """/* memberships.set_role */
    UPDATE members SET role = :role WHERE conversation_id = :conversation_id AND user_id = :user_id
    """
)
HEIR = query(
    """/* memberships.heir */
    SELECT u.id, u.username FROM members m JOIN users u ON u.id = m.user_id
    WHERE m.conversation_id = :conversation_id AND m.until_seq IS NULL AND m.user_id <> :user_id
    ORDER BY CASE m.role WHEN 'admin' THEN 0 ELSE 1 END, u.disabled_at IS NOT NULL, m.joined_at, m.user_id LIMIT 1
    """
)
DISSOLVE = query(
    """/* memberships.dissolve */
    UPDATE groups SET dissolved_at = :now, member_count = 0 WHERE conversation_id = :conversation_id
    """
)
EVERYBODY_LEAVES = query(
    """/* memberships.everybody_leaves */
    UPDATE members SET until_seq = :seq, left_at = :now, moved_at = :now, role = 'member',
        title = (SELECT g.title FROM groups g WHERE g.conversation_id = members.conversation_id)
    WHERE conversation_id = :conversation_id AND until_seq IS NULL
    """
)
REQUESTED = query(
    """/* memberships.requested */
    DELETE FROM join_requests WHERE conversation_id = :conversation_id AND user_id = :user_id RETURNING note
    """
)
REQUESTS = query(
    """/* memberships.requests */
    SELECT u.id, u.username FROM join_requests r JOIN users u ON u.id = r.user_id
    WHERE r.conversation_id = :conversation_id
    """
)
ADMINS = query(
    """/* memberships.admins */
    SELECT user_id FROM members
    WHERE conversation_id = :conversation_id AND until_seq IS NULL AND role IN ('admin', 'owner') ORDER BY user_id
    """
)


def one_of(conversation_id: int | None, token: str | None) -> None:
    """Raise `Invalid` unless a group is named in one way: by its id, or by a link into it."""
    if (conversation_id is None) == (token is None):
        expected = Phrase("or token is required, not both", "与 token 须且只能填一个")
        raise Invalid(field="conversation_id", expected=expected)


async def group(ctx: Context, conversation_id: int) -> Row:
    """What only groups have. Raises LookupError."""
    row = await ctx.db.one(GROUP, conversation_id=conversation_id)
    if row is None:
        raise LookupError(f"there is no group {conversation_id}")
    return row


async def people(ctx: Context, usernames: Sequence[str], *, field: str) -> list[Row]:
    """The users of these names, each once. Raises `NotFound`, `Invalid`, or why the asker may not write to one."""
    found: dict[int, Row] = {}
    for username in usernames:
        user = await find_other(ctx, name=username, user_id=None, field=field)
        await may_write_to(ctx, user)
        found[user["id"]] = user
    return list(found.values())


async def found(ctx: Context, conversation_id: int, event: events.Group, *, title: str) -> None:
    """Make the asker the owner of a new group."""
    seq = await log.append_to(ctx, conversation_id, event, enter=[ctx.user_id])
    await _enter(ctx, conversation_id, ctx.user_id, seq=seq, role="owner", title=title)


async def enter(ctx: Context, conversation_id: int, users: Sequence[Row], action: Literal["joined", "added"]) -> None:
    """Make users members of a group. Raises `GroupFull` or `AlreadyMember`; nothing has been changed then."""
    the_group, ids = await group(ctx, conversation_id), [user["id"] for user in users]
    limits = ctx.config.groups
    if the_group["member_count"] + len(ids) > limits.max_members:
        raise GroupFull(most=str(limits.max_members))
    if await ctx.db.one(FULL, user_ids=ids, most=limits.per_user) is not None:
        raise GroupFull(most=str(limits.per_user))
    known = {row["user_id"]: row for row in await ctx.db.all(ROWS, conversation_id=conversation_id, user_ids=ids)}
    for row in known.values():
        if row["until_seq"] is None:
            raise AlreadyMember(username=row["username"])
    seq = await log.append_to(ctx, conversation_id, _told(ctx, action, users), enter=ids)
    await ctx.db.run(COUNT, conversation_id=conversation_id, more=len(ids))
    for user in users:
        user_id = user["id"]
        if user_id in known and known[user_id]["until_seq"] + 1 < seq:
            await ctx.db.run(
                ABSENT,
                conversation_id=conversation_id,
                user_id=user_id,
                from_seq=known[user_id]["until_seq"] + 1,
                until_seq=seq - 1,
            )
        await _enter(ctx, conversation_id, user_id, seq=seq, role="member", title=the_group["title"])
        await close_request(ctx, the_group, user)


async def _enter(ctx: Context, conversation_id: int, user_id: int, *, seq: int, role: str, title: str) -> None:
    await ctx.db.run(
        ENTER,
        conversation_id=conversation_id,
        user_id=user_id,
        role=role,
        seq=seq,
        read_seq=seq - 1,
        now=ctx.now,
    )
    opened = events.Conversation(
        opened_id=conversation_id, kind="group", peer_id=None, peer_username=None, title=title, from_seq=seq
    )
    await log.append_for(ctx, user_id, opened)


async def leave(ctx: Context, conversation_id: int, user: Row, action: Literal["left", "removed"]) -> None:
    """End a user's membership with the entry that says so. Does not look after who owns the group then."""
    seq = await log.append_to(ctx, conversation_id, _told(ctx, action, [user]), leave=[user["id"]])
    await ctx.db.run(LEAVE, conversation_id=conversation_id, user_id=user["id"], seq=seq, now=ctx.now)
    await ctx.db.run(COUNT, conversation_id=conversation_id, more=-1)


async def inherit(ctx: Context, conversation_id: int) -> None:
    """The asker owned the group and has left: the admin longest in it owns it now, or the member, or it ends."""
    heir = await ctx.db.one(HEIR, conversation_id=conversation_id, user_id=ctx.user_id)
    if heir is None:
        await dissolve(ctx, conversation_id)
        return
    await set_role(ctx, conversation_id, heir, "owner")


async def set_role(ctx: Context, conversation_id: int, user: Row, role: Literal["member", "admin", "owner"]) -> None:
    """Give a member a role, and tell the group."""
    who = events.Person(user_id=user["id"], username=user["username"])
    await ctx.db.run(SET_ROLE, conversation_id=conversation_id, user_id=who.user_id, role=role)
    told = events.Member(
        action="role", users=(who,), by_user_id=ctx.user_id, by_username=ctx.identity.username, role=role
    )
    await log.append_to(ctx, conversation_id, told)


async def dissolve(ctx: Context, conversation_id: int) -> None:
    """End a group: everybody keeps what was said, nobody may write any more."""
    the_group = await group(ctx, conversation_id)
    for asker in await ctx.db.all(REQUESTS, conversation_id=conversation_id):
        await close_request(ctx, the_group, asker)
    gone = events.Group(action="dissolved", by_user_id=ctx.user_id, by_username=ctx.identity.username)
    seq = await log.append_to(ctx, conversation_id, gone)
    await ctx.db.run(EVERYBODY_LEAVES, conversation_id=conversation_id, seq=seq, now=ctx.now)
    await ctx.db.run(DISSOLVE, conversation_id=conversation_id, now=ctx.now)


def _told(ctx: Context, action: Literal["joined", "added", "left", "removed"], users: Sequence[Row]) -> events.Member:
    people = tuple(events.Person(user_id=user["id"], username=user["username"]) for user in users)
    return events.Member(action=action, users=people, by_user_id=ctx.user_id, by_username=ctx.identity.username)


# Asking to be let in


async def tell_admins(ctx: Context, the_group: Row, told: events.JoinRequest) -> None:
    """Tell a group's owner and admins, and who asks, of a request to be let in."""
    admins = await ctx.db.all(ADMINS, conversation_id=the_group["conversation_id"])
    for user_id in sorted({row["user_id"] for row in admins} | {told.user_id}):
        await log.append_for(ctx, user_id, told)


async def close_request(ctx: Context, the_group: Row, user: Row) -> bool:
    """The user's request to be let in is answered or withdrawn. False where there is none."""
    request = await ctx.db.one(REQUESTED, conversation_id=the_group["conversation_id"], user_id=user["id"])
    if request is None:
        return False
    told = events.JoinRequest(
        group_id=the_group["conversation_id"],
        title=the_group["title"],
        user_id=user["id"],
        username=user["username"],
        note=request["note"],
        state="closed",
    )
    await tell_admins(ctx, the_group, told)
    return True
