"""How far I have read and how far the others have: unread counts, pointers, and who has read a message of mine."""

from __future__ import annotations

from chatd import events, names
from chatd.access import Member, Membership, OfMessage, Self, Target
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import NotMember, NotYours, Phrase
from chatd.op import op
from chatd.pointers import move_pointers
from chatd.record import record
from chatd.wire import Id, Limit, Name, Seq


@record
class UnreadCount:
    """How many messages I have not read, in all and per conversation."""


@record
class UnreadIn:
    conversation_id: int
    unread_count: int


@record
class UnreadTotal:
    """Conversations without unread messages are left out; the count of one stops at 1000."""

    total: int
    conversations: tuple[UnreadIn, ...]


UNREAD = query(
    """/* receipts.unread */
    SELECT conversation_id, unread_count FROM inbox
    WHERE user_id = :me AND last_message_seq > read_seq ORDER BY conversation_id
    """
)


@op(reply=UnreadTotal, done=Phrase("unread messages", "未读消息数"), needs=Self(), lane="read", example={})
async def unread_count(ctx: Context, request: UnreadCount) -> UnreadTotal:
    rows = await ctx.db.all(UNREAD, me=ctx.user_id)
    unread = tuple(
        UnreadIn(conversation_id=row["conversation_id"], unread_count=row["unread_count"])
        for row in rows
        if row["unread_count"]
    )
    return UnreadTotal(total=sum(one.unread_count for one in unread), conversations=unread)


@record
class Read:
    """I have read up to `seq`, or without it everything. The pointer never goes back, and never past the last entry."""

    seq: Seq | None = None
    conversation_id: Id | None = None
    user: Name | None = None
    user_id: Id | None = None


@record
class Pointers:
    conversation_id: int
    read_seq: int
    delivered_seq: int


@op(
    reply=Pointers,
    done=Phrase("read", "已读"),
    needs=Member(),
    emits=[events.Receipt],
    example={"conversation_id": 2, "seq": 17},
)
async def read(ctx: Context, request: Read, at: Membership) -> Pointers:
    read_seq, delivered_seq = await move_pointers(ctx, at, read_seq=at.last_seq if request.seq is None else request.seq)
    return Pointers(conversation_id=at.conversation_id, read_seq=read_seq, delivered_seq=delivered_seq)


@record
class Delivered:
    """This device has received everything up to `seq`. A client says so at most once a second of each conversation."""

    seq: Seq
    conversation_id: Id | None = None
    user: Name | None = None
    user_id: Id | None = None


@op(
    reply=Pointers,
    done=Phrase("delivered", "已送达"),
    needs=Member(),
    emits=[events.Receipt],
    example={"conversation_id": 2, "seq": 17},
)
async def delivered(ctx: Context, request: Delivered, at: Membership) -> Pointers:
    read_seq, delivered_seq = await move_pointers(ctx, at, delivered_seq=request.seq)
    return Pointers(conversation_id=at.conversation_id, read_seq=read_seq, delivered_seq=delivered_seq)


# Who has read what I wrote


@record
class Receipts:
    """Who has received and who has read a message of mine: the members who may see it, by username.

    Left out are those who do not show receipts, and who has blocked me or whom I have blocked. Who does not show
    receipts sees none: there is nobody in the list then.
    """

    message_id: Id
    after_username: Name | None = None
    limit: Limit = 200


@record
class ReceiptOf:
    user_id: int
    username: str
    is_delivered: bool
    is_read: bool


@record
class ReceiptList:
    """The counts are of all members in it; `more` says that `after_username` has a next page of `members`."""

    delivered_count: int
    read_count: int
    member_count: int
    members: tuple[ReceiptOf, ...]
    more: bool


SHOWN = query(
    """/* receipts.shown */
    SELECT u.id, u.username, u.username_key, m.delivered_seq, m.read_seq
    FROM members m
    JOIN users u ON u.id = m.user_id AND u.receipts = 1
    WHERE m.conversation_id = :conversation_id AND m.user_id <> :me AND m.until_seq IS NULL AND m.from_seq <= :seq
      AND NOT EXISTS (SELECT 1 FROM absences a WHERE a.conversation_id = m.conversation_id AND a.user_id = m.user_id
                                               AND a.from_seq <= :seq AND a.until_seq >= :seq)
      AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = m.user_id AND b.blocked_id = :me)
      AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = :me AND b.blocked_id = m.user_id)
    ORDER BY u.username_key
    """
)


@op(
    reply=ReceiptList,
    done=Phrase("receipts", "回执"),
    needs=OfMessage(),
    lane="read",
    rate="social",
    raises=[NotYours, NotMember],
    example={"message_id": 31},
)
async def receipts(ctx: Context, request: Receipts, at: Target) -> ReceiptList:
    if at.message["user_id"] != ctx.user_id:
        raise NotYours(field="message_id")
    if at.at.has_left:
        raise NotMember
    place, seq = at.at, at.message["seq"]
    rows = []
    if place.shows_receipts and place.kind != "self":
        rows = list(await ctx.db.all(SHOWN, conversation_id=place.conversation_id, me=ctx.user_id, seq=seq))
    after = names.key(request.after_username or "")
    following = [row for row in rows if row["username_key"] > after]
    members = tuple(
        ReceiptOf(row["id"], row["username"], is_delivered=row["delivered_seq"] >= seq, is_read=row["read_seq"] >= seq)
        for row in following[: request.limit]
    )
    return ReceiptList(
        delivered_count=sum(row["delivered_seq"] >= seq for row in rows),
        read_count=sum(row["read_seq"] >= seq for row in rows),
        member_count=len(rows),
        members=members,
        more=len(following) > request.limit,
    )
