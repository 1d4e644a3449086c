"""The conversations I am in, and my own settings of them."""

from __future__ import annotations

from chatd import events, filing, log
from chatd.access import Member, Membership, Self
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import Phrase
from chatd.op import op
from chatd.record import record
from chatd.wire import Id, Limit, Name, Time, milliseconds, rfc3339, rfc3339_or_none


@record
class Conversations:
    """My conversations, the one with the newest message first.

    The next page begins after the last conversation of this one: give its `last_at` and `conversation_id`.
    """

    before_last_at: Time | None = None
    before_conversation_id: Id | None = None
    limit: Limit = 50


@record
class Peer:
    user_id: int
    username: str
    nickname: str
    avatar_url: str | None


@record
class LastMessage:
    """As it stands: with `recalled_at` its content is empty."""

    id: int
    seq: int
    from_user_id: int
    content: str
    kind: str
    created_at: Time
    recalled_at: Time | None


@record
class ConversationInfo:
    """`peer` is there in direct conversations, its pointers where receipts are on; in groups `title`, `avatar_url` and
    `member_count`.

    `has_left`: I am in the group no more, and see it as it was then. `silent` and `pinned` are my own settings.
    """

    conversation_id: int
    kind: str
    title: str | None
    avatar_url: str | None
    role: str
    member_count: int | None
    has_left: bool
    silent: bool
    pinned: bool
    peer: Peer | None
    last_seq: int
    last_at: Time
    last_message: LastMessage | None
    unread_count: int
    read_seq: int
    delivered_seq: int
    peer_read_seq: int | None
    peer_delivered_seq: int | None


@record
class ConversationList:
    """`unread_count` stops at 1000."""

    conversations: tuple[ConversationInfo, ...]
    more: bool


CONVERSATIONS = query(
    """/* conversations.list */
    SELECT i.*, e.id AS message_id
    FROM inbox i
    LEFT JOIN entries e ON e.conversation_id = i.conversation_id AND e.seq = i.last_message_seq
    WHERE i.user_id = :me AND (i.last_at < :before_at OR (i.last_at = :before_at AND i.conversation_id < :before_id))
    ORDER BY i.last_at DESC, i.conversation_id DESC LIMIT :most
    """
)
LAST_MESSAGES = query(
    """/* conversations.last_messages */
    SELECT r.* FROM entries n CROSS JOIN readable r
    WHERE n.id IN :ids AND r.id = n.id AND r.viewer_id = :me ORDER BY r.id
    """
)
"""Apart from the list, to which the view would be joined as a whole; the messages first, by their ids."""

_END_OF_TIME = 2**62


def _peer(ctx: Context, row: Row) -> Peer | None:
    if row["peer_id"] is None:
        return None
    avatar_url = filing.avatar(ctx, row["peer_avatar_file_id"])
    return Peer(row["peer_id"], row["peer_username"], row["peer_nickname"], avatar_url)


def _last_message(row: Row) -> LastMessage:
    return LastMessage(
        id=row["id"],
        seq=row["seq"],
        from_user_id=row["user_id"],
        content=row["content"],
        kind=row["kind"],
        created_at=rfc3339(row["created_at"]),
        recalled_at=rfc3339_or_none(row["recalled_at"]),
    )


@op(
    reply=ConversationList,
    done=Phrase("your conversations", "您的会话列表"),
    needs=Self(),
    lane="read",
    example={"limit": 20},
)
async def conversations(ctx: Context, request: Conversations) -> ConversationList:
    before_at = _END_OF_TIME
    if request.before_last_at is not None:
        before_at = milliseconds(request.before_last_at, field="before_last_at")
    rows = await ctx.db.all(
        CONVERSATIONS,
        me=ctx.user_id,
        before_at=before_at,
        before_id=request.before_conversation_id or 0,
        most=request.limit + 1,
    )
    ids = [row["message_id"] for row in rows if row["message_id"] is not None]
    newest = {row["id"]: _last_message(row) for row in await ctx.db.all(LAST_MESSAGES, me=ctx.user_id, ids=ids)}
    found = tuple(
        ConversationInfo(
            conversation_id=row["conversation_id"],
            kind=row["kind"],
            title=row["title"],
            avatar_url=filing.avatar(ctx, row["avatar_file_id"]),
            role=row["role"],
            member_count=row["member_count"],
            has_left=row["until_seq"] is not None,
            silent=bool(row["silent"]),
            pinned=bool(row["pinned"]),
            peer=_peer(ctx, row),
            last_seq=row["last_seq"],
            last_at=rfc3339(row["last_at"]),
            last_message=newest.get(row["message_id"]),
            unread_count=row["unread_count"],
            read_seq=row["read_seq"],
            delivered_seq=row["delivered_seq"],
            peer_read_seq=row["peer_read_seq"],
            peer_delivered_seq=row["peer_delivered_seq"],
        )
        for row in rows[: request.limit]
    )
    return ConversationList(conversations=found, more=len(rows) > request.limit)


# My own settings


@record
class ConversationSet:
    """My own settings of a conversation: `silent` keeps my devices quiet, `pinned` puts it above the others.

    The server only keeps them, and tells my other devices.
    """

    conversation_id: Id | None = None
    user: Name | None = None
    user_id: Id | None = None
    silent: bool | None = None
    pinned: bool | None = None


@record
class Settings:
    conversation_id: int
    silent: bool
    pinned: bool


SET = query(
    """/* conversations.set */
    UPDATE members SET silent = COALESCE(CAST(:silent AS BIGINT), silent),
                       pinned = COALESCE(CAST(:pinned AS BIGINT), pinned)
    WHERE conversation_id = :conversation_id AND user_id = :me RETURNING silent, pinned
    """
)


@op(
    reply=Settings,
    done=Phrase("settings changed", "设置已更新"),
    needs=Member(),
    rate="chat",
    emits=[events.ConversationSettings],
    example={"conversation_id": 2, "silent": True},
)
async def conversation_set(ctx: Context, request: ConversationSet, at: Membership) -> Settings:
    row = await ctx.db.one(
        SET,
        conversation_id=at.conversation_id,
        me=ctx.user_id,
        silent=None if request.silent is None else int(request.silent),
        pinned=None if request.pinned is None else int(request.pinned),
    )
    if row is None:
        raise LookupError("a member has a row")
    silent, pinned = bool(row["silent"]), bool(row["pinned"])
    if (request.silent, request.pinned) != (None, None):
        changed = events.ConversationSettings(of_id=at.conversation_id, silent=silent, pinned=pinned)
        await log.append_for(ctx, ctx.user_id, changed)
    return Settings(conversation_id=at.conversation_id, silent=silent, pinned=pinned)
