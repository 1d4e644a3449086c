"""The log: conversations as append-only sequences of entries, numbered without holes.

This is where an entry gets its `seq`, is stored, and is handed over to be published after the commit.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from chatd import events, filing
from chatd.context import Context, Row, Transaction
from chatd.db.query import by_dialect, query
from chatd.wire import rfc3339

NEXT_SEQ = query(
    """/* log.next_seq */
    UPDATE conversations SET last_seq = last_seq + 1
    WHERE low_id = :user_id AND high_id = :user_id RETURNING id, last_seq
    """
)
NEXT_MESSAGE_SEQ = query(
    """/* log.next_message_seq */
    UPDATE conversations
    SET last_seq = last_seq + :count, last_message_seq = last_seq + CAST(:count AS BIGINT), last_at = :now
    WHERE id = :conversation_id RETURNING last_seq - CAST(:count AS BIGINT) + 1 AS seq
    """
)
NEXT_IDS = by_dialect(
    sqlite="""/* log.next_ids */
    WITH RECURSIVE free (id, count) AS (
        SELECT COALESCE(MAX(id), 0) + 1, 1 FROM entries
        UNION ALL SELECT id + 1, count + 1 FROM free WHERE count < :count
    ) SELECT id FROM free
    """,
    postgres="""/* log.next_ids */
    SELECT nextval(pg_get_serial_sequence('entries', 'id')) AS id FROM generate_series(1, CAST(:count AS BIGINT))
    """,
)
APPEND = query(
    """/* log.append */
    INSERT INTO entries (conversation_id, seq, event, user_id, target_seq, content, data, created_at)
    VALUES (:conversation_id, :seq, :event, :user_id, :target_seq, :content, :data, :now)
    """
)
POST = query(
    """/* log.post */
    INSERT INTO entries (id, conversation_id, seq, event, user_id, client_id, kind, content, created_at)
    VALUES (:id, :conversation_id, :seq, 'message', :user_id, :client_id, :kind, :content, :now)
    """
)
POST_WITH_EXTRAS = query(
    """/* log.post_with_extras */
    INSERT INTO entries (id, conversation_id, seq, event, user_id, client_id, kind, content, created_at, data)
    VALUES (:id, :conversation_id, :seq, 'message', :user_id, :client_id, :kind, :content, :now, :data)
    """
)
NEXT_ENTRY_SEQ = query(
    """/* log.next_entry_seq */
    UPDATE conversations SET last_seq = last_seq + 1 WHERE id = :conversation_id RETURNING last_seq
    """
)
MEMBERS = query(
    "/* log.members */ SELECT user_id FROM members WHERE conversation_id = :conversation_id AND until_seq IS NULL"
)
HIDDEN_FROM = query(
    """/* log.hidden_from */
    SELECT m.user_id FROM members m WHERE m.conversation_id = :conversation_id AND m.from_seq > :seq
    UNION SELECT a.user_id FROM absences a
          WHERE a.conversation_id = :conversation_id AND a.from_seq <= :seq AND a.until_seq >= :seq
    UNION SELECT d.user_id FROM deletions d WHERE d.conversation_id = :conversation_id AND d.seq = :seq
    """
)
OPEN = query(
    """/* log.open */
    INSERT INTO conversations (kind, low_id, high_id, last_at, created_at)
    VALUES (:kind, :low_id, :high_id, :now, :now) ON CONFLICT DO NOTHING RETURNING id
    """
)
JOIN = query(
    """/* log.join */
    INSERT INTO members (conversation_id, user_id, from_seq, joined_at, moved_at)
    VALUES (:conversation_id, :user_id, 1, :now, :now)
    """
)


async def append_for(ctx: Context, user_id: int, data: Any) -> None:
    """Append an event to the user's own (`self`) log: the place of what concerns one user alone."""
    row = await ctx.db.one(NEXT_SEQ, user_id=user_id)
    if row is None:
        raise LookupError(f"user {user_id} has no self conversation")
    conversation_id, seq = row["id"], row["last_seq"]
    await _append(ctx, conversation_id, seq, data, user_id=ctx.user_id or user_id)
    ctx.emit(data, conversation_id=conversation_id, seq=seq, to=(user_id,))


async def append_to(
    ctx: Context,
    conversation_id: int,
    data: Any,
    *,
    to: tuple[int, ...] | None = None,
    enter: Sequence[int] = (),
    leave: Sequence[int] = (),
) -> int:
    """Append an event to a log, for the users `to`, or for all members of a group: those who `enter` with it, and those
    who `leave`, too.

    To be called before the rows of who leaves are changed: it may read from them who is to hear it. Returns its seq.
    """
    seq = await _next_seq(ctx, conversation_id)
    await _append(ctx, conversation_id, seq, data, user_id=ctx.user_id)
    if to is None:
        await know_members(ctx, conversation_id)
    ctx.emit(data, conversation_id=conversation_id, seq=seq, to=to, enter=tuple(enter), leave=tuple(leave))
    return seq


async def append_about(
    ctx: Context, conversation_id: int, target_seq: int, data: Any, *, to: tuple[int, ...] | None
) -> int:
    """Append an event about a message, for who hears the conversation. Returns its seq.

    Whoever may not see the message, or has deleted it, hears only that there is something. The text of an edit is kept
    apart from the rest of it, so that a recall can erase it.
    """
    seq = await _next_seq(ctx, conversation_id)
    await _append(ctx, conversation_id, seq, data, user_id=ctx.user_id, target_seq=target_seq)
    if to is None:
        await know_members(ctx, conversation_id)
    rows = await ctx.db.all(HIDDEN_FROM, conversation_id=conversation_id, seq=target_seq)
    hidden_from = frozenset(row["user_id"] for row in rows)
    ctx.emit(data, conversation_id=conversation_id, seq=seq, to=to, hidden_from=hidden_from)
    return seq


async def _next_seq(ctx: Context, conversation_id: int) -> int:
    row = await ctx.db.one(NEXT_ENTRY_SEQ, conversation_id=conversation_id)
    if row is None:
        raise LookupError(f"conversation {conversation_id} does not exist")
    return int(row["last_seq"])


async def _append(
    ctx: Context, conversation_id: int, seq: int, data: Any, *, user_id: int, target_seq: int | None = None
) -> None:
    content = None
    if isinstance(data, events.Edit):
        content, data = data.content, dataclasses.replace(data, content="")
    await ctx.db.run(
        APPEND,
        conversation_id=conversation_id,
        seq=seq,
        event=events.NAMES[type(data)],
        user_id=user_id,
        target_seq=target_seq,
        content=content,
        data=orjson.dumps(data).decode(),
        now=ctx.now,
    )


async def know_members(ctx: Context, conversation_id: int) -> None:
    """Have the hub know who hears what is emitted to all members of a group."""
    if conversation_id not in ctx.members and not ctx.hub.knows(conversation_id):
        rows = await ctx.db.all(MEMBERS, conversation_id=conversation_id)
        ctx.members[conversation_id] = [row["user_id"] for row in rows]


class Draft(NamedTuple):
    """A message that is to be written by who asks in `ctx`.

    `extras` are fields of `events.Message` beyond those that every message has, as JSON, a file without its links. `to`
    is None for a group's; else its last is the author, the one before it the other member.
    """

    ctx: Context
    conversation_id: int
    kind: str
    content: str
    extras: Mapping[str, Any]
    to: tuple[int, ...] | None


async def post(drafts: Sequence[Draft]) -> list[tuple[int, int]]:
    """Append the messages of one transaction, in order, and publish each to its members. Returns (message_id, seq)s.

    The connection that sent one hears no event: its reply carries the same `seq`.
    """
    if not drafts:
        return []
    ctxs, conversation_ids, kinds, contents, all_extras, _ = zip(*drafts, strict=True)
    db, now = ctxs[0].db, ctxs[0].now
    counts: Counter[int] = Counter(conversation_ids)
    free = {one: await _advance(db, one, counts[one], now) for one in sorted(counts)}
    ids = [row["id"] for row in await db.all(NEXT_IDS, count=len(drafts))]
    seqs: list[int] = []
    authors: list[int] = []
    created_at = rfc3339(now)
    for (ctx, at, kind, content, extras, to), message_id in zip(drafts, ids, strict=True):
        author = ctx.identity
        seq = free[at]
        free[at] = seq + 1
        seqs.append(seq)
        authors.append(author.user_id)
        message = events.Message(
            message_id=message_id,
            from_user_id=author.user_id,
            from_username=author.username,
            to_user_id=to[0] if to is not None and len(to) > 1 else None,
            kind=kind,
            content=content,
            created_at=created_at,
            **(filing.with_file(ctx, extras) if extras else extras),
        )
        if to is None:
            await know_members(ctx, at)
        ctx.emit(message, conversation_id=at, seq=seq, to=to, client_id=ctx.client_id, echo=False)
    columns = {
        "id": ids,
        "conversation_id": conversation_ids,
        "seq": seqs,
        "user_id": authors,
        "client_id": [ctx.client_id for ctx in ctxs],
        "kind": kinds,
        "content": contents,
        "now": [now] * len(drafts),
    }
    if any(all_extras):
        data = [orjson.dumps(extras).decode() if extras else None for extras in all_extras]
        await db.many(POST_WITH_EXTRAS, **columns, data=data)
        for (ctx, at, _, _, extras, _), seq in zip(drafts, seqs, strict=True):
            if "file" in extras:
                await filing.attach(ctx, extras["file"]["file_id"], conversation_id=at, seq=seq)
    else:  # most batches: a column that says nothing costs as much as one that does
        await db.many(POST, **columns)
    return list(zip(ids, seqs, strict=True))


async def _advance(db: Transaction, conversation_id: int, count: int, now: int) -> int:
    """Take the next `count` seqs of a conversation. Returns the first of them."""
    row = await db.one(NEXT_MESSAGE_SEQ, conversation_id=conversation_id, count=count, now=now)
    if row is None:
        raise LookupError(f"conversation {conversation_id} does not exist")
    return int(row["seq"])


async def open_self(ctx: Context, user_id: int) -> int:
    """Make the log of a new user. Returns its conversation's id."""
    return await _open(ctx, kind="self", members=(user_id, user_id))


async def open_direct(ctx: Context, peer: Row) -> int:
    """Make the conversation of the asker and another user, and tell both. Returns its id."""
    me, peer_id = ctx.user_id, peer["id"]
    conversation_id = await _open(ctx, kind="direct", members=(me, peer_id))
    for user_id, other_id, other in ((me, peer_id, peer["username"]), (peer_id, me, ctx.identity.username)):
        opened = events.Conversation(
            opened_id=conversation_id, kind="direct", peer_id=other_id, peer_username=other, title=None, from_seq=1
        )
        await append_for(ctx, user_id, opened)
    return conversation_id


async def open_group(ctx: Context) -> int:
    """Make the log of a new group, without members. Returns its conversation's id."""
    row = await ctx.db.one(OPEN, kind="group", low_id=None, high_id=None, now=ctx.now)
    if row is None:
        raise LookupError("a group's conversation was not made")
    return int(row["id"])


async def _open(ctx: Context, *, kind: str, members: tuple[int, int]) -> int:
    low_id, high_id = sorted(members)
    row = await ctx.db.one(OPEN, kind=kind, low_id=low_id, high_id=high_id, now=ctx.now)
    if row is None:
        raise LookupError(f"the conversation of {members} exists already")
    for user_id in sorted(set(members)):
        await ctx.db.run(JOIN, conversation_id=row["id"], user_id=user_id, now=ctx.now)
    return int(row["id"])
