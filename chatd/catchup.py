"""What a device missed: what comes after the cursors it has, in bounded pages, and never a silent hole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatd import log
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.record import record
from chatd.wire import Time, milliseconds, rfc3339

CONVERSATIONS = 200
"""The most conversations in one page."""

ENTRIES = 500
"""The most entries in one page."""

BYTES = 256 * 1024
"""A page ends after this much content."""

_SLACK = 60_000
"""Pointers moved so many milliseconds before `since` are given again: clocks step,
and a pointer given twice is harmless."""


@record
class LogEvent:
    """An entry, as it would have been heard live."""

    event: str
    conversation_id: int
    seq: int
    data: Any


@record
class Head:
    """A conversation with something new. Its events in this page reach up to `cursor`.

    With `recovered` false the cursor that came could not be honoured (a restored backup): forget what is kept of this
    conversation, ask `history`, and go on from `cursor`.
    """

    conversation_id: int
    kind: str
    peer_id: int | None
    peer_username: str | None
    last_seq: int
    cursor: int
    recovered: bool
    unread_count: int
    read_seq: int
    delivered_seq: int
    peer_read_seq: int | None
    peer_delivered_seq: int | None


@record
class Synced:
    """A page. While `next` is not null, ask again with the new cursors and `after_conversation_id` = `next`.

    Keep `now` of the round's first page and `epoch` for the next round.
    """

    epoch: str
    now: Time
    conversations: tuple[Head, ...]
    events: tuple[LogEvent, ...]
    next: int | None


EPOCH = query("/* catchup.epoch */ SELECT value FROM meta WHERE name = 'epoch'")
HEADS = query(
    """/* catchup.heads */
    SELECT * FROM inbox WHERE user_id = :me AND conversation_id > :after ORDER BY conversation_id
    """
)


async def catch_up(
    ctx: Context,
    *,
    cursors: Mapping[int, int],
    since: str | None,
    epoch: str | None,
    after_conversation_id: int = 0,
) -> Synced:
    """One page of what comes after the cursors. Raises `Invalid` for a `since` that is no time.

    A conversation without a cursor is given from its first entry where the user came into it after `since`; any other
    is one the client chose not to follow, and it gets the head alone.
    """
    known = await ctx.db.one(EPOCH)
    if known is None:
        raise LookupError("the database has no epoch")
    restored = epoch is not None and epoch != known["value"]
    moved_after = None if since is None else milliseconds(since, field="since") - _SLACK
    heads: list[Head] = []
    missed: list[LogEvent] = []
    size = 0
    following: int | None = None
    for row in await ctx.db.all(HEADS, me=ctx.user_id, after=after_conversation_id):
        cursor, recovered = _start(row, cursors, moved_after, restored=restored)
        if cursor == row["last_seq"] and recovered and not _changed(row, cursors, moved_after):
            continue
        if len(heads) == CONVERSATIONS or len(missed) >= ENTRIES or size >= BYTES:
            following = row["conversation_id"] - 1
            break
        for entry in await _entries(ctx, row, cursor, ENTRIES - len(missed)):
            length = len((entry["data"] if entry["content"] is None else entry["content"]).encode())
            if size and size + length > BYTES:
                break
            size += length
            cursor = entry["seq"]
            data = log.heard(entry, viewer_id=ctx.user_id, peer_id=row["peer_id"])
            missed.append(LogEvent(entry["event"], row["conversation_id"], entry["seq"], data))
        heads.append(_head(row, cursor=cursor, recovered=recovered))
        if cursor < row["last_seq"]:
            following = row["conversation_id"] - 1
            break
    return Synced(
        epoch=known["value"],
        now=rfc3339(ctx.now),
        conversations=tuple(heads),
        events=tuple(missed),
        next=following,
    )


def _start(row: Row, cursors: Mapping[int, int], moved_after: int | None, *, restored: bool) -> tuple[int, bool]:
    """Where this conversation's events begin, and whether that continues what the client has."""
    cursor = cursors.get(row["conversation_id"])
    if cursor is None:
        new = moved_after is not None and row["joined_at"] >= moved_after
        return (row["from_seq"] - 1 if new else row["last_seq"]), True
    if restored or cursor > row["last_seq"]:
        return row["last_seq"], False
    return max(cursor, row["from_seq"] - 1), True


def _changed(row: Row, cursors: Mapping[int, int], moved_after: int | None) -> bool:
    """Whether there is something to tell besides entries: the conversation is unknown, or a pointer has moved."""
    if row["conversation_id"] not in cursors or moved_after is None:
        return True
    return bool(row["moved_at"] >= moved_after or (row["peer_moved_at"] or 0) >= moved_after)


async def _entries(ctx: Context, row: Row, cursor: int, most: int) -> Any:
    if cursor >= row["last_seq"]:
        return ()
    return await log.after(ctx, conversation_id=row["conversation_id"], seq=cursor, most=most)


def _head(row: Row, *, cursor: int, recovered: bool) -> Head:
    return Head(
        conversation_id=row["conversation_id"],
        kind=row["kind"],
        peer_id=row["peer_id"],
        peer_username=row["peer_username"],
        last_seq=row["last_seq"],
        cursor=cursor,
        recovered=recovered,
        unread_count=row["unread_count"],
        read_seq=row["read_seq"],
        delivered_seq=row["delivered_seq"],
        peer_read_seq=row["peer_read_seq"],
        peer_delivered_seq=row["peer_delivered_seq"],
    )
