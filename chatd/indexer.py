"""Filling the full-text index behind the log: in small steps, when nothing else is written."""

from __future__ import annotations

import asyncio
import logging

from chatd import fulltext
from chatd.hub import Hub
from chatd.transactions import Transactions

log = logging.getLogger("chatd.indexer")

PAUSE = 1.0
"""Seconds that messages are gathered before they are indexed."""

STEP = 64
"""Entries indexed at once: about as much work as writing them."""

LOOK = 0.005
"""Seconds between two looks at the writer."""

RESTS = 4
"""In so many looks on end a writer that has something to do is not seen idle, as it is between two of its batches."""

PATIENCE = 1.0
"""Seconds that a busy writer is let go first before a step is taken beside it."""


async def keep_indexed(hub: Hub, transactions: Transactions) -> None:
    """Until cancelled: index what was written, from where it stopped, letting everything else go first."""
    begun = False
    while True:
        try:
            if not begun:
                await transactions.in_writer(fulltext.begin)
                begun = hub.said = True
            while hub.said:
                await _rest(transactions)
                hub.said = False
                more = await transactions.in_writer(fulltext.index_next, STEP)
                while more and not transactions.database.busy:
                    more = await transactions.in_writer(fulltext.index_next, STEP)
                hub.said |= more
        except Exception:
            log.exception("indexing failed; it goes on")
        await asyncio.sleep(PAUSE)


async def _rest(transactions: Transactions) -> None:
    """Wait until the writer has nothing to do, but not for ever."""
    idle = 0
    for _ in range(round(PATIENCE / LOOK)):
        idle = 0 if transactions.database.busy else idle + 1
        if idle == RESTS:
            return
        await asyncio.sleep(LOOK)
