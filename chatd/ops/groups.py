"""Groups: making, changing, finding and ending them."""

from __future__ import annotations

from typing import Annotated, Literal

from chatd import events, filing, log, memberships, names
from chatd.access import InGroup, Membership, Role, Self
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import Blocked, GroupFull, Invalid, NotFound, NotFriends, Phrase, Unreachable
from chatd.filing import AvatarFile
from chatd.op import op
from chatd.record import record
from chatd.wire import Done, Id, Items, Limit, Name, Text, Time, rfc3339

Title = Annotated[str, Text(1, 100)]
Notice = Annotated[str, Text(0, 2000)]
Joining = Literal["open", "approve", "invite"]
People = Annotated[tuple[Name, ...], Items(0, 200)]
_BLANK = Phrase("must not be blank", "不能为空白")


@record
class GroupInfo:
    """A group; `role` is mine, null where I am not in it (any more). `asked`: I wait for its admins to let me in."""

    conversation_id: int
    title: str
    notice: str
    avatar_url: str | None
    joining: Joining
    member_count: int
    role: Role | None
    asked: bool
    created_at: Time


def _info(ctx: Context, row: Row) -> GroupInfo:
    return GroupInfo(
        conversation_id=row["conversation_id"],
        title=row["title"],
        notice=row["notice"],
        avatar_url=filing.avatar(ctx, row["avatar_file_id"]),
        joining=row["joining"],
        member_count=row["member_count"],
        role=row["role"],
        asked=bool(row["asked"]),
        created_at=rfc3339(row["created_at"]),
    )


def _titled(title: str) -> str:
    title = title.strip()
    if not title:
        raise Invalid(field="title", expected=_BLANK)
    return title


@record
class GroupCreate:
    """Make a group; I am its owner. `members` are usernames of people I may write to.

    `joining`: who is not in it may join at once (`open`), ask the admins (`approve`), or needs a link (`invite`).
    """

    title: Title
    members: People = ()
    joining: Joining = "invite"
    notice: Notice = ""


MAKE = query(
    """/* groups.make */
    INSERT INTO groups (conversation_id, title, title_key, notice, joining, member_count)
    VALUES (:conversation_id, :title, :title_key, :notice, :joining, 1)
    """
)
GET = query(
    """/* groups.get */
    SELECT g.conversation_id, g.title, g.notice, g.avatar_file_id, g.joining, g.member_count, m.role, c.created_at,
           EXISTS (SELECT 1 FROM join_requests r
                   WHERE r.conversation_id = g.conversation_id AND r.user_id = :me) AS asked
    FROM groups g
    JOIN conversations c ON c.id = g.conversation_id
    LEFT JOIN members m ON m.conversation_id = g.conversation_id AND m.user_id = :me AND m.until_seq IS NULL
    WHERE g.conversation_id = :conversation_id AND g.dissolved_at IS NULL
    """
)
MINE_COUNT = query(
    """/* groups.count_mine */
    SELECT COUNT(*) AS count FROM members m JOIN groups g ON g.conversation_id = m.conversation_id
    WHERE m.user_id = :me AND m.until_seq IS NULL
    """
)


LINKED = query(
    """/* groups.linked */
    SELECT conversation_id FROM group_links
    WHERE token = :token AND (uses_left IS NULL OR uses_left > 0) AND (expires_at IS NULL OR expires_at > :now)
    """
)


async def _get(ctx: Context, conversation_id: int) -> GroupInfo:
    row = await ctx.db.one(GET, conversation_id=conversation_id, me=ctx.user_id)
    if row is None or (row["role"] is None and row["joining"] == "invite"):
        raise NotFound(field="conversation_id")
    return _info(ctx, row)


async def _get_linked(ctx: Context, token: str) -> GroupInfo:
    link = await ctx.db.one(LINKED, token=token, now=ctx.now)
    row = link and await ctx.db.one(GET, conversation_id=link["conversation_id"], me=ctx.user_id)
    if row is None:
        raise NotFound(field="token")
    return _info(ctx, row)


@op(
    reply=GroupInfo,
    done=Phrase("group created", "群已创建"),
    needs=Self(),
    rate="social",
    emits=[events.Group, events.Member, events.Conversation],
    raises=[NotFound, NotFriends, Blocked, Unreachable, GroupFull],
    example={"title": "Climbing", "members": ["bob"]},
)
async def group_create(ctx: Context, request: GroupCreate) -> GroupInfo:
    title = _titled(request.title)
    mine = await ctx.db.one(MINE_COUNT, me=ctx.user_id)
    if mine is not None and mine["count"] >= ctx.config.groups.per_user:
        raise GroupFull(most=str(ctx.config.groups.per_user))
    members = await memberships.people(ctx, request.members, field="members")
    conversation_id = await log.open_group(ctx)
    await ctx.db.run(
        MAKE,
        conversation_id=conversation_id,
        title=title,
        title_key=names.key(title),
        notice=request.notice,
        joining=request.joining,
    )
    created = events.Group(
        action="created",
        by_user_id=ctx.user_id,
        by_username=ctx.identity.username,
        title=title,
        notice=request.notice,
        joining=request.joining,
    )
    await memberships.found(ctx, conversation_id, created, title=title)
    if members:
        await memberships.enter(ctx, conversation_id, members, "added")
    return await _get(ctx, conversation_id)


@record
class GroupUpdate:
    """Change a group's title, notice, avatar, or how one joins it. For its owner and admins.

    `avatar_file_id` is a picture that I have uploaded, 0 for none.
    """

    conversation_id: Id
    title: Title | None = None
    notice: Notice | None = None
    avatar_file_id: AvatarFile | None = None
    joining: Joining | None = None


AVATAR = query("/* groups.avatar */ SELECT avatar_file_id FROM groups WHERE conversation_id = :conversation_id")
CHANGE = query(
    """/* groups.change */
    UPDATE groups SET title = COALESCE(:title, title), title_key = COALESCE(:title_key, title_key),
                      notice = COALESCE(:notice, notice), joining = COALESCE(:joining, joining),
                      avatar_file_id = CASE WHEN :avatar = 0 THEN NULL
                                            ELSE COALESCE(CAST(:avatar AS BIGINT), avatar_file_id) END
    WHERE conversation_id = :conversation_id
    """
)


@op(
    reply=GroupInfo,
    done=Phrase("group changed", "群已更新"),
    needs=InGroup("admin"),
    rate="chat",
    emits=[events.Group],
    raises=[NotFound],
    example={"conversation_id": 12, "title": "Climbing on Sundays"},
)
async def group_update(ctx: Context, request: GroupUpdate, at: Membership) -> GroupInfo:
    title, avatar = None if request.title is None else _titled(request.title), request.avatar_file_id
    if avatar:
        await filing.mine(ctx, avatar, kind="image", field="avatar_file_id")
    if (title, request.notice, request.joining, avatar) != (None, None, None, None):
        before = await ctx.db.one(AVATAR, conversation_id=at.conversation_id)
        await ctx.db.run(
            CHANGE,
            conversation_id=at.conversation_id,
            title=title,
            title_key=None if title is None else names.key(title),
            notice=request.notice,
            joining=request.joining,
            avatar=avatar,
        )
        if avatar is not None and before is not None:
            await filing.change_avatar(ctx, old=before["avatar_file_id"], new=avatar or None)
        changed = events.Group(
            action="changed",
            by_user_id=ctx.user_id,
            by_username=ctx.identity.username,
            title=title,
            notice=request.notice,
            joining=request.joining,
            avatar_file_id=avatar,
        )
        await log.append_to(ctx, at.conversation_id, changed)
    return await _get(ctx, at.conversation_id)


@record
class GroupGet:
    """A group I am in, or one that does not need a link; or, by its `token`, the one that a link leads into."""

    conversation_id: Id | None = None
    token: memberships.LinkToken | None = None


@op(
    reply=GroupInfo,
    done=Phrase("the group", "群资料"),
    needs=Self(),
    lane="read",
    raises=[NotFound],
    example={"conversation_id": 12},
)
async def group_get(ctx: Context, request: GroupGet) -> GroupInfo:
    memberships.one_of(request.conversation_id, request.token)
    if request.token is not None:
        return await _get_linked(ctx, request.token)
    return await _get(ctx, request.conversation_id or 0)


@record
class Groups:
    """The groups I am in."""

    after_conversation_id: Id | None = None
    limit: Limit = 50


@record
class GroupList:
    """`more` says that there is a next page."""

    groups: tuple[GroupInfo, ...]
    more: bool


MINE = query(
    """/* groups.list */
    SELECT g.conversation_id, g.title, g.notice, g.avatar_file_id, g.joining, g.member_count, m.role, c.created_at,
           0 AS asked
    FROM members m
    JOIN groups g ON g.conversation_id = m.conversation_id
    JOIN conversations c ON c.id = m.conversation_id
    WHERE m.user_id = :me AND m.until_seq IS NULL AND m.conversation_id > :after
    ORDER BY m.conversation_id LIMIT :most
    """
)


@op(reply=GroupList, done=Phrase("your groups", "您的群"), needs=Self(), lane="read", example={})
async def groups(ctx: Context, request: Groups) -> GroupList:
    rows = await ctx.db.all(MINE, me=ctx.user_id, after=request.after_conversation_id or 0, most=request.limit + 1)
    return GroupList(groups=tuple(_info(ctx, row) for row in rows[: request.limit]), more=len(rows) > request.limit)


@record
class GroupSearch:
    """Groups whose title begins with `q` and that one may join, or ask to.

    The next page begins after the last group of this one: give its `title` and `conversation_id`.
    """

    q: Title
    after_title: Title | None = None
    after_conversation_id: Id | None = None
    limit: Limit = 20


SEARCH = query(
    """/* groups.search */
    SELECT g.conversation_id, g.title, g.notice, g.avatar_file_id, g.joining, g.member_count, m.role, c.created_at,
           EXISTS (SELECT 1 FROM join_requests r
                   WHERE r.conversation_id = g.conversation_id AND r.user_id = :me) AS asked
    FROM groups g
    JOIN conversations c ON c.id = g.conversation_id
    LEFT JOIN members m ON m.conversation_id = g.conversation_id AND m.user_id = :me AND m.until_seq IS NULL
    WHERE g.title_key >= :q AND g.title_key < :q_end AND g.joining <> 'invite' AND g.dissolved_at IS NULL
      AND (g.title_key > :after OR (g.title_key = :after AND g.conversation_id > :after_id))
    ORDER BY g.title_key, g.conversation_id LIMIT :most
    """
)


@op(
    reply=GroupList,
    done=Phrase("groups found", "找到的群"),
    needs=Self(),
    lane="read",
    rate="social",
    example={"q": "climb"},
)
async def group_search(ctx: Context, request: GroupSearch) -> GroupList:
    q = names.key(request.q)
    rows = await ctx.db.all(
        SEARCH,
        me=ctx.user_id,
        q=q,
        q_end=q + names.LAST,
        after=names.key(request.after_title or ""),
        after_id=request.after_conversation_id or 0,
        most=request.limit + 1,
    )
    return GroupList(groups=tuple(_info(ctx, row) for row in rows[: request.limit]), more=len(rows) > request.limit)


@record
class GroupDissolve:
    """End a group. Everybody keeps what was said; nobody may write there any more. For its owner."""

    conversation_id: Id


@op(
    reply=Done,
    done=Phrase("group dissolved", "群已解散"),
    needs=InGroup("owner"),
    emits=[events.Group, events.JoinRequest],
    example={"conversation_id": 12},
)
async def group_dissolve(ctx: Context, request: GroupDissolve, at: Membership) -> Done:
    await memberships.dissolve(ctx, at.conversation_id)
    return Done()
