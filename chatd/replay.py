"""The log as it is read: stored entries as the events they are, for a viewer who was not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from chatd import events, filing
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.wire import rfc3339, rfc3339_or_none

AFTER = query(
    """/* replay.after */
    SELECT e.id, e.seq, e.event, e.user_id, u.username, e.client_id, e.kind, e.content, e.data, e.created_at,
           e.recalled_at, d.user_id AS hidden
    FROM entries e JOIN users u ON u.id = e.user_id
    LEFT JOIN deletions d ON d.conversation_id = e.conversation_id AND d.user_id = :me
                         AND d.seq = COALESCE(e.target_seq, e.seq)
    WHERE e.conversation_id = :conversation_id AND e.seq > :seq AND e.seq <= :last ORDER BY e.seq LIMIT :most
    """
)
AFTER_IN_GROUP = query(
    """/* replay.after_in_group */
    SELECT e.id, e.seq, e.event, e.user_id, u.username, e.client_id, e.kind, e.content, e.data, e.created_at,
           e.recalled_at,
           COALESCE(d.user_id, a.user_id, CASE WHEN e.target_seq < m.from_seq THEN m.user_id END) AS hidden
    FROM members m
    JOIN entries e ON e.conversation_id = m.conversation_id
    JOIN users u ON u.id = e.user_id
    LEFT JOIN deletions d ON d.conversation_id = e.conversation_id AND d.user_id = m.user_id
                         AND d.seq = COALESCE(e.target_seq, e.seq)
    LEFT JOIN absences a ON a.conversation_id = e.conversation_id AND a.user_id = m.user_id
                        AND a.from_seq <= COALESCE(e.target_seq, e.seq)
                        AND a.until_seq >= COALESCE(e.target_seq, e.seq)
    WHERE m.conversation_id = :conversation_id AND m.user_id = :me
      AND e.seq > :seq AND e.seq <= :last ORDER BY e.seq LIMIT :most
    """
)


async def after(ctx: Context, *, conversation_id: int, kind: str, seq: int, last: int, most: int) -> Sequence[Row]:
    """At most `most` entries of a log that come after `seq`, up to `last`, in order. `hidden`: not for the asker.

    What is about a message is for whoever sees that message.
    """
    return await ctx.db.all(
        AFTER_IN_GROUP if kind == "group" else AFTER,
        me=ctx.user_id,
        conversation_id=conversation_id,
        seq=seq,
        last=last,
        most=most,
    )


def length(row: Row) -> int:
    """About how many bytes the event will be, besides its frame."""
    if row["hidden"] is not None:
        return 0
    return len((row["content"] or "").encode()) + len(row["data"] or "")


def heard(ctx: Context, row: Row, *, peer_id: int | None) -> tuple[str, Any]:
    """The event that a stored entry is, its name and data, as the asker would have heard it live."""
    message_id, _, event, author_id, username, client_id, kind, content, data, created_at, recalled_at, hidden = row
    if hidden is not None:
        return "hidden", events.Hidden()
    if event == "edit":
        return "edit", {**orjson.loads(data), "content": content}
    if event != "message":
        return event, orjson.Fragment(data)
    mine = author_id == ctx.user_id
    return "message", events.Message(
        message_id=message_id,
        from_user_id=author_id,
        from_username=username,
        to_user_id=None if peer_id is None else (peer_id if mine else ctx.user_id),
        kind=kind,
        content=content,
        created_at=rfc3339(created_at),
        client_id=client_id if mine else None,
        recalled_at=rfc3339_or_none(recalled_at),
        **({} if data is None else filing.with_file(ctx, orjson.loads(data))),
    )


def extras_in(row: Row) -> dict[str, Any]:
    """What a stored message says beyond what every message does: fields of `events.Message`, as JSON."""
    extras: dict[str, Any] = {} if row["data"] is None else orjson.loads(row["data"])
    return extras
