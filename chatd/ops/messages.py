"""Writing and reading messages.

What happens when a message is sent, from top to bottom: `Member` (access.py) looks whether the sender may write there,
`send` below stores it as the next entry of the conversation's log (log.py), the writer commits, and then the reply and
the event go out (dispatch.py). Groups, edits, recalls and reactions will stand in modules beside this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from chatd import events, log
from chatd.access import Member, Membership, Self, membership
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import Invalid, NotFound, Phrase
from chatd.op import op
from chatd.pointers import move_pointers
from chatd.record import record
from chatd.wire import PAGE_BYTES, Id, Limit, Name, Seq, Time, Utf8, fit, rfc3339

Kind = Literal["text"]


@record
class Send:
    """Write a message to a user or a conversation. The same client_id gives the same answer.

    All devices of both sides hear it, the sender's other devices too. A message to myself is a note.
    """

    content: Annotated[str, Utf8(1, 8192)]
    to_user: Name | None = None
    to_user_id: Id | None = None
    conversation_id: Id | None = None
    kind: Kind = "text"


@record
class Sent:
    """Where the message stands. For the connection that sent it this is its entry in the log."""

    message_id: int
    conversation_id: int
    seq: int
    created_at: Time


@op(
    reply=Sent,
    done=Phrase("sent", "已发送"),
    needs=Member(may="post"),
    rate="chat",
    together=True,
    emits=[events.Message, events.Conversation],
    example={"to_user": "bob", "content": "hi"},
)
async def send(ctxs: Sequence[Context], requests: Sequence[Send], at: Sequence[Membership]) -> list[Sent]:
    posted = await log.post(
        ctxs,
        conversation_id=[place.conversation_id for place in at],
        kind=[request.kind for request in requests],
        content=[request.content for request in requests],
        to=[place.hearers for place in at],
    )
    created_at = rfc3339(ctxs[0].now)
    return [
        Sent(message_id, place.conversation_id, seq, created_at)
        for (message_id, seq), place in zip(posted, at, strict=True)
    ]


# Reading


@record
class MessageInfo:
    """A message as it stands. `is_read`: mine by somebody else, another's by me."""

    id: int
    conversation_id: int
    seq: int
    from_user_id: int
    from_username: str
    to_user_id: int | None
    content: str
    kind: str
    is_read: bool
    created_at: Time
    client_id: str | None


def _info(row: Row, *, viewer_id: int, conversation_id: int, peer_id: int | None, is_read: bool) -> MessageInfo:
    mine = row["user_id"] == viewer_id
    return MessageInfo(
        id=row["id"],
        conversation_id=conversation_id,
        seq=row["seq"],
        from_user_id=row["user_id"],
        from_username=row["username"],
        to_user_id=None if peer_id is None else (peer_id if mine else viewer_id),
        content=row["content"],
        kind=row["kind"],
        is_read=is_read,
        created_at=rfc3339(row["created_at"]),
        client_id=row["client_id"] if mine else None,
    )


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
    """/* messages.unread */
    SELECT e.id, e.conversation_id, e.seq, e.user_id, u.username, e.kind, e.content, e.client_id, e.created_at,
           c.kind AS conversation_kind
    FROM members m
    JOIN conversations c ON c.id = m.conversation_id AND c.last_message_seq > m.read_seq
    JOIN entries e ON e.conversation_id = c.id AND e.seq > m.read_seq
    JOIN users u ON u.id = e.user_id
    WHERE m.user_id = :me AND e.event = 'message' AND e.user_id <> :me AND e.id > :after
      AND (m.until_seq IS NULL OR e.seq <= m.until_seq)
    ORDER BY e.id LIMIT :most
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
        newest = {row["conversation_id"]: row["seq"] for row in held}
        for conversation_id, seq in newest.items():
            await move_pointers(ctx, await membership(ctx, conversation_id), read_seq=seq)
    messages = tuple(
        _info(
            row,
            viewer_id=ctx.user_id,
            conversation_id=row["conversation_id"],
            peer_id=row["user_id"] if row["conversation_kind"] == "direct" else None,
            is_read=request.mark_read,
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
    """`more` says that there are more in the direction asked for."""

    conversation_id: int
    messages: tuple[MessageInfo, ...]
    more: bool


BEFORE = query(
    """/* messages.before */
    SELECT e.id, e.seq, e.user_id, u.username, e.kind, e.content, e.client_id, e.created_at
    FROM entries e JOIN users u ON u.id = e.user_id
    WHERE e.conversation_id = :conversation_id AND e.seq < :seq AND e.seq >= :from_seq AND e.event = 'message'
      AND NOT EXISTS (SELECT 1 FROM absences a WHERE a.conversation_id = e.conversation_id AND a.user_id = :me
                                               AND a.from_seq <= e.seq AND a.until_seq >= e.seq)
    ORDER BY e.seq DESC LIMIT :most
    """
)
AFTER = query(
    """/* messages.after */
    SELECT e.id, e.seq, e.user_id, u.username, e.kind, e.content, e.client_id, e.created_at
    FROM entries e JOIN users u ON u.id = e.user_id
    WHERE e.conversation_id = :conversation_id AND e.seq > :seq AND e.seq >= :from_seq AND e.seq <= :last_seq
      AND e.event = 'message'
      AND NOT EXISTS (SELECT 1 FROM absences a WHERE a.conversation_id = e.conversation_id AND a.user_id = :me
                                               AND a.from_seq <= e.seq AND a.until_seq >= e.seq)
    ORDER BY e.seq LIMIT :most
    """
)
READ_BY_OTHERS = query(
    """/* messages.read_by_others */
    SELECT MAX(m.read_seq) AS read_seq FROM members m JOIN users u ON u.id = m.user_id
    WHERE m.conversation_id = :conversation_id AND m.user_id <> :me AND u.receipts = 1
    """
)


@op(
    reply=Page,
    done=Phrase("the history", "历史消息"),
    needs=Member(),
    lane="read",
    raises=[NotFound],
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
        from_seq=at.from_seq,
        most=request.limit + 1,
        **({"seq": start, "last_seq": at.last_seq} if forward else {"seq": _before(start, at.last_seq)}),
    )
    held, more = _page(rows, request.limit)
    others_read = 0
    if at.kind != "self" and at.shows_receipts:
        pointer = await ctx.db.one(READ_BY_OTHERS, conversation_id=at.conversation_id, me=ctx.user_id)
        others_read = (pointer["read_seq"] if pointer is not None else None) or 0
    messages = tuple(
        _info(
            row,
            viewer_id=ctx.user_id,
            conversation_id=at.conversation_id,
            peer_id=at.peer_id,
            is_read=at.kind == "self" or row["seq"] <= (others_read if row["user_id"] == ctx.user_id else at.read_seq),
        )
        for row in (held if forward else reversed(held))
    )
    return Page(conversation_id=at.conversation_id, messages=messages, more=more)


def _before(start: int | None, last_seq: int) -> int:
    return last_seq + 1 if start is None else min(start, last_seq + 1)
