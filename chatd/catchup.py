"""What a device missed: what comes after the cursors it has, in bounded pages, and never a silent hole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatd import replay
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
    title: str | None
    role: str
    has_left: bool
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
    SELECT * FROM inbox WHERE user_id = :me AND conversation_id > :after ORDER BY conversation_id LIMIT :most
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
    page = _Page(
        cursors=cursors,
        moved_after=None if since is None else milliseconds(since, field="since") - _SLACK,
        restored=epoch is not None and epoch != known["value"],
    )
    after = after_conversation_id
    while True:
        rows = await ctx.db.all(HEADS, me=ctx.user_id, after=after, most=CONVERSATIONS)
        for row in rows:
            if not await page.take(ctx, row):
                return page.synced(ctx, known["value"], following=row["conversation_id"] - 1)
        if len(rows) < CONVERSATIONS:
            return page.synced(ctx, known["value"], following=None)
        after = rows[-1]["conversation_id"]


class _Page:
    """What is given in one go, as it grows."""

    def __init__(self, *, cursors: Mapping[int, int], moved_after: int | None, restored: bool) -> None:
        self._cursors = cursors
        self._moved_after = moved_after
        self._restored = restored
        self._heads: list[Head] = []
        self._missed: list[LogEvent] = []
        self._size = 0

    async def take(self, ctx: Context, row: Row) -> bool:
        """Add what is new in a conversation. False where not all of it has found a place."""
        cursor, recovered = _start(row, self._cursors, self._moved_after, restored=self._restored)
        if cursor == row["last_seq"] and recovered and not _changed(row, self._cursors, self._moved_after):
            return True
        if len(self._heads) == CONVERSATIONS or len(self._missed) >= ENTRIES or self._size >= BYTES:
            return False
        for entry in await _entries(ctx, row, cursor, ENTRIES - len(self._missed)):
            length = replay.length(entry)
            if self._size and self._size + length > BYTES:
                break
            self._size += length
            cursor = entry["seq"]
            name, data = replay.heard(ctx, entry, peer_id=row["peer_id"])
            self._missed.append(LogEvent(name, row["conversation_id"], entry["seq"], data))
        self._heads.append(_head(row, cursor=cursor, recovered=recovered))
        return bool(cursor == row["last_seq"])

    def synced(self, ctx: Context, epoch: str, *, following: int | None) -> Synced:
        """The page; the next one begins with the conversation after `following`."""
        return Synced(
            epoch=epoch,
            now=rfc3339(ctx.now),
            conversations=tuple(self._heads),
            events=tuple(self._missed),
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
    return await replay.after(
        ctx,
        conversation_id=row["conversation_id"],
        kind=row["kind"],
        seq=cursor,
        last=row["last_seq"],
        most=most,
    )


def _head(row: Row, *, cursor: int, recovered: bool) -> Head:
    return Head(
        conversation_id=row["conversation_id"],
        kind=row["kind"],
        title=row["title"],
        role=row["role"],
        has_left=row["until_seq"] is not None,
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
