"""Catching up: what came after the last entry a device has of each log."""

from __future__ import annotations

from chatd.access import Self
from chatd.catchup import Synced, catch_up
from chatd.context import Context
from chatd.errors import Phrase
from chatd.op import op
from chatd.record import record
from chatd.wire import Cursors, Seq, Time


@record
class Sync:
    """What came after the cursors, conversation by conversation: apply an event only if its seq is above your cursor.

    `cursors` maps each conversation to the last seq you have. With `since`, the `now` of your last sync, pointers that
    did not move since are left out, and conversations you came into since are given from their first entry; without
    it a conversation you have no cursor for is given as its head alone. `epoch` is the one of your last sync.
    """

    cursors: Cursors
    since: Time | None = None
    epoch: str | None = None
    after_conversation_id: Seq = 0


@op(
    reply=Synced,
    done=Phrase("synced", "已同步"),
    needs=Self(),
    lane="read",
    example={"cursors": {"1": 4, "2": 17}},
)
async def sync(ctx: Context, request: Sync) -> Synced:
    return await catch_up(
        ctx,
        cursors=request.cursors,
        since=request.since,
        epoch=request.epoch,
        after_conversation_id=request.after_conversation_id,
    )
