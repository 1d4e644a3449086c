"""Read and delivered pointers: one integer each per member, and they only grow."""

from __future__ import annotations

from chatd import events
from chatd.access import Membership
from chatd.context import Context
from chatd.db.query import query

MOVE = query(
    """/* pointers.move */
    UPDATE members SET read_seq = :read_seq, delivered_seq = :delivered_seq, moved_at = :now
    WHERE conversation_id = :conversation_id AND user_id = :me
    """
)


async def move_pointers(ctx: Context, at: Membership, *, read_seq: int = 0, delivered_seq: int = 0) -> tuple[int, int]:
    """Move the asker's pointers up to these, never back and never past the log's end. Returns (read, delivered).

    What is read is delivered. The asker's devices hear the receipt, and the other member where both show receipts.
    """
    read = max(at.read_seq, min(read_seq, at.last_seq))
    delivered = max(at.delivered_seq, read, min(delivered_seq, at.last_seq))
    if (read, delivered) != (at.read_seq, at.delivered_seq):
        await ctx.db.run(
            MOVE,
            conversation_id=at.conversation_id,
            me=ctx.user_id,
            read_seq=read,
            delivered_seq=delivered,
            now=ctx.now,
        )
        ctx.emit(
            events.Receipt(user_id=ctx.user_id, read_seq=read, delivered_seq=delivered),
            conversation_id=at.conversation_id,
            seq=None,
            to=(ctx.user_id, at.peer_id) if at.peer_id is not None and at.shows_receipts else (ctx.user_id,),
            echo=False,
        )
    return read, delivered
