"""Reading messages: what I have not read, a conversation's history, the texts a message has had, what is pinned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from chatd import events, filing
from chatd.access import Member, Membership, OfMessage, Self, Target, membership
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import Invalid, Phrase
from chatd.events import File, Person
from chatd.op import op
from chatd.pointers import move_pointers
from chatd.record import filled, record
from chatd.wire import PAGE_BYTES, Id, Limit, Name, Seq, Time, fit, rfc3339, rfc3339_or_none


@record
class MessageInfo:
    """A message as it stands; `content` is that of its newest edit, empty where it was recalled.

    `is_read` and `is_delivered`: mine by or to somebody else, another's by me.
    """

    id: int
    conversation_id: int
    seq: int
    from_user_id: int
    from_username: str
    to_user_id: int | None
    content: str
    kind: str
    is_read: bool
    is_delivered: bool
    created_at: Time
    client_id: str | None
    edited_at: Time | None
    recalled_at: Time | None
    reply_to: int | None = None
    mentions: tuple[Person, ...] = ()
    mentions_all: bool = False
    forwarded_from: Person | None = None
    file: File | None = None


@record
class ReactionCount:
    """How many have put this emoji to the message, and whether I am among them."""

    emoji: str
    count: int
    mine: bool


@record
class MessageInHistory(MessageInfo):
    """A message with what others made of it."""

    reactions: tuple[ReactionCount, ...] = ()
    pinned: bool = False


def _fields(ctx: Context, row: Row, *, peer_id: int | None, read: int, delivered: int) -> dict[str, Any]:
    """The fields of `MessageInfo`. `read` and `delivered` are the pointers that say so of this message."""
    message_id, conversation_id, seq, author_id, username, client_id, kind, data, content, *times = row
    created_at, edited_at, recalled_at, *_ = times
    mine = author_id == ctx.user_id
    fields = {
        "id": message_id,
        "conversation_id": conversation_id,
        "seq": seq,
        "from_user_id": author_id,
        "from_username": username,
        "to_user_id": None if peer_id is None else (peer_id if mine else ctx.user_id),
        "content": content,
        "kind": kind,
        "is_read": seq <= read,
        "is_delivered": seq <= delivered,
        "created_at": rfc3339(created_at),
        "client_id": client_id if mine else None,
        "edited_at": rfc3339_or_none(edited_at),
        "recalled_at": rfc3339_or_none(recalled_at),
        "reply_to": None,
        "mentions": (),
        "mentions_all": False,
        "forwarded_from": None,
        "file": None,
    }
    if data is not None:
        fields |= filing.with_file(ctx, orjson.loads(data))
    return fields


def _page(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], bool]:
    """As many of the rows as one page holds, and whether there are more."""
    held = rows[: min(limit, fit([len(row["content"].encode()) for row in rows], most=PAGE_BYTES))]
    return held, len(held) < len(rows)


@record
class Get:
    """Everything I have not read, oldest first. Marks it read only with `mark_read`."""

    limit: Limit = 50
    after_message_id: Id | None = None
    mark_read: bool = False


@record
class Unread:
    """`count` is that of this page; `more` says that `after_message_id` has a next one."""

    count: int
    messages: tuple[MessageInfo, ...]
    more: bool


UNREAD = query(
    """/* history.unread */
    SELECT r.id, r.conversation_id, r.seq, r.user_id, r.username, r.client_id, r.kind, r.data, r.content, r.created_at,
           r.edited_at, r.recalled_at, r.conversation_kind, r.delivered_seq
    FROM members m
    JOIN conversations c ON c.id = m.conversation_id AND c.last_message_seq > m.read_seq
    JOIN readable r ON r.viewer_id = m.user_id AND r.conversation_id = m.conversation_id AND r.seq > m.read_seq
    WHERE m.user_id = :me AND r.user_id <> :me AND r.id > :after AND r.recalled_at IS NULL
    ORDER BY r.id LIMIT :most
    """
)


@op(
    reply=Unread,
    done=Phrase("unread messages", "未读消息"),
    needs=Self(),
    lane="read",
    write_when="mark_read",
    emits=[events.Receipt],
    example={"limit": 20},
)
async def get(ctx: Context, request: Get) -> Unread:
    rows = await ctx.db.all(UNREAD, me=ctx.user_id, after=request.after_message_id or 0, most=request.limit + 1)
    held, more = _page(rows, request.limit)
    if request.mark_read:
        for conversation_id, seq in {row["conversation_id"]: row["seq"] for row in held}.items():
            await move_pointers(ctx, await membership(ctx, conversation_id), read_seq=seq)
    messages = tuple(
        filled(
            MessageInfo,
            _fields(
                ctx,
                row,
                peer_id=row["user_id"] if row["conversation_kind"] == "direct" else None,
                read=row["seq"] if request.mark_read else 0,
                delivered=row["seq"] if request.mark_read else row["delivered_seq"],
            ),
        )
        for row in held
    )
    return Unread(count=len(messages), messages=messages, more=more)


@record
class History:
    """A page of a conversation's messages, oldest first: the newest page, or the one before or after a `seq`."""

    conversation_id: Id | None = None
    user: Name | None = None
    user_id: Id | None = None
    before_seq: Seq | None = None
    after_seq: Seq | None = None
    limit: Limit = 50


@record
class Page:
    """`more` in the direction asked for. What the log says up to `last_seq` is in it, and nothing that came later."""

    conversation_id: int
    messages: tuple[MessageInHistory, ...]
    more: bool
    last_seq: int


BEFORE = query(
    """/* history.before */
    SELECT id, conversation_id, seq, user_id, username, client_id, kind, data, content, created_at,
           edited_at, recalled_at
    FROM readable WHERE viewer_id = :me AND conversation_id = :conversation_id AND seq < :seq
    ORDER BY seq DESC LIMIT :most
    """
)
AFTER = query(
    """/* history.after */
    SELECT id, conversation_id, seq, user_id, username, client_id, kind, data, content, created_at,
           edited_at, recalled_at
    FROM readable WHERE viewer_id = :me AND conversation_id = :conversation_id AND seq > :seq
    ORDER BY seq LIMIT :most
    """
)
POINTERS_OF_OTHERS = query(
    """/* history.pointers_of_others */
    SELECT MAX(m.read_seq) AS read_seq, MAX(m.delivered_seq) AS delivered_seq
    FROM members m JOIN users u ON u.id = m.user_id
    WHERE m.conversation_id = :conversation_id AND m.user_id <> :me AND u.receipts = 1
    """
)
REACTIONS = query(
    """/* history.reactions */
    SELECT seq, emoji, COUNT(*) AS count, MAX(CASE WHEN user_id = :me THEN 1 ELSE 0 END) AS mine
    FROM reactions
    WHERE conversation_id = :conversation_id AND seq >= :first AND seq <= :last AND since_seq <= :last_seq
    GROUP BY seq, emoji ORDER BY seq, MIN(since_seq)
    """
)
PINNED = query(
    """/* history.pinned */
    SELECT seq FROM pins
    WHERE conversation_id = :conversation_id AND seq >= :first AND seq <= :last AND since_seq <= :last_seq
    """
)


@op(
    reply=Page,
    done=Phrase("the history", "历史消息"),
    needs=Member(),
    lane="read",
    example={"user": "bob", "limit": 20},
)
async def history(ctx: Context, request: History, at: Membership) -> Page:
    if request.before_seq is not None and request.after_seq is not None:
        raise Invalid(
            field="after_seq", expected=Phrase("cannot be used together with before_seq", "不能与 before_seq 同时使用")
        )
    forward = request.after_seq is not None
    start = request.after_seq if forward else request.before_seq
    rows = await ctx.db.all(
        AFTER if forward else BEFORE,
        conversation_id=at.conversation_id,
        me=ctx.user_id,
        seq=at.last_seq + 1 if start is None else start,
        most=request.limit + 1,
    )
    held, more = _page(rows, request.limit)
    return Page(at.conversation_id, await _in_history(ctx, at, held if forward else held[::-1]), more, at.last_seq)


async def _in_history(ctx: Context, at: Membership, rows: Sequence[Row]) -> tuple[MessageInHistory, ...]:
    """Messages of one conversation, the oldest first, with what others made of them."""
    if not rows:
        return ()
    others_read, others_delivered = await _pointers_of_others(ctx, at)
    where = {
        "conversation_id": at.conversation_id,
        "first": rows[0]["seq"],
        "last": rows[-1]["seq"],
        "last_seq": at.last_seq,
    }
    reactions: dict[int, list[ReactionCount]] = {}
    for row in await ctx.db.all(REACTIONS, me=ctx.user_id, **where):
        reactions.setdefault(row["seq"], []).append(ReactionCount(row["emoji"], row["count"], bool(row["mine"])))
    pinned = {row["seq"] for row in await ctx.db.all(PINNED, **where)}
    messages = []
    for row in rows:
        mine = row["user_id"] == ctx.user_id
        read, delivered = (others_read, others_delivered) if mine else (at.read_seq, at.delivered_seq)
        fields = _fields(ctx, row, peer_id=at.peer_id, read=read, delivered=delivered)
        fields["reactions"] = tuple(reactions.get(row["seq"], ()))
        fields["pinned"] = row["seq"] in pinned
        messages.append(filled(MessageInHistory, fields))
    return tuple(messages)


async def _pointers_of_others(ctx: Context, at: Membership) -> tuple[int, int]:
    """How far anybody else has read, and received, what I wrote; as far as they and I show it."""
    if at.kind == "self":
        return at.last_seq, at.last_seq
    if not at.shows_receipts:
        return 0, 0
    row = await ctx.db.one(POINTERS_OF_OTHERS, conversation_id=at.conversation_id, me=ctx.user_id)
    return (0, 0) if row is None else (row["read_seq"] or 0, row["delivered_seq"] or 0)


@record
class Edits:
    """The texts that a message has had, oldest first."""

    message_id: Id
    after_seq: Seq = 0
    limit: Limit = 50


@record
class Text:
    """A text of a message, and the entry of the log that it came with."""

    seq: int
    content: str
    created_at: Time


@record
class Texts:
    """`more` says that `after_seq` has a next page. A message that was recalled has none."""

    texts: tuple[Text, ...]
    more: bool


TEXTS = query(
    """/* history.texts */
    SELECT seq, content, created_at FROM entries
    WHERE conversation_id = :conversation_id AND seq = :seq AND seq > :after
    UNION ALL
    SELECT seq, content, created_at FROM entries
    WHERE conversation_id = :conversation_id AND target_seq = :seq AND event = 'edit' AND seq > :after
      AND seq <= :last_seq
    ORDER BY seq LIMIT :most
    """
)


@op(
    reply=Texts,
    done=Phrase("the texts of the message", "该消息的各版本"),
    needs=OfMessage(),
    lane="read",
    example={"message_id": 31},
)
async def edits(ctx: Context, request: Edits, at: Target) -> Texts:
    if at.message["recalled_at"] is not None:
        return Texts(texts=(), more=False)
    rows = await ctx.db.all(
        TEXTS,
        conversation_id=at.at.conversation_id,
        seq=at.message["seq"],
        after=request.after_seq,
        last_seq=at.at.last_seq,
        most=request.limit + 1,
    )
    held, more = _page(rows, request.limit)
    texts = tuple(Text(seq=row["seq"], content=row["content"], created_at=rfc3339(row["created_at"])) for row in held)
    return Texts(texts=texts, more=more)


@record
class Pins:
    """The messages that are pinned to a conversation, the last one first."""

    conversation_id: Id | None = None
    user: Name | None = None
    user_id: Id | None = None
    before_seq: Seq | None = None
    limit: Limit = 50


@record
class Pinned:
    """`more` says that `before_seq`, the seq of the last message here, has a next page."""

    conversation_id: int
    messages: tuple[MessageInHistory, ...]
    more: bool


PINS = query(
    """/* history.pins */
    SELECT r.id, r.conversation_id, r.seq, r.user_id, r.username, r.client_id, r.kind, r.data, r.content, r.created_at,
           r.edited_at, r.recalled_at
    FROM pins p
    JOIN readable r ON r.viewer_id = :me AND r.conversation_id = p.conversation_id AND r.seq = p.seq
    WHERE p.conversation_id = :conversation_id AND p.since_seq <= :last_seq AND p.seq < :before
    ORDER BY p.seq DESC LIMIT :most
    """
)


@op(
    reply=Pinned,
    done=Phrase("pinned messages", "置顶消息"),
    needs=Member(),
    lane="read",
    example={"conversation_id": 12},
)
async def pins(ctx: Context, request: Pins, at: Membership) -> Pinned:
    rows = await ctx.db.all(
        PINS,
        me=ctx.user_id,
        conversation_id=at.conversation_id,
        last_seq=at.last_seq,
        before=at.last_seq + 1 if request.before_seq is None else request.before_seq,
        most=request.limit + 1,
    )
    held, more = _page(rows, request.limit)
    messages = await _in_history(ctx, at, held[::-1])
    return Pinned(conversation_id=at.conversation_id, messages=messages[::-1], more=more)
