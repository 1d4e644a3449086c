"""Filling the full-text index behind the log: in small steps, when nothing else is written."""

from __future__ import annotations

import asyncio
import logging

from chatd import fulltext
from chatd.hub import Hub
from chatd.transactions import Transactions

log = logging.getLogger("chatd.indexer")

PAUSE = 0.2
"""Seconds that messages are gathered before they are indexed."""

STEP = 64
"""Entries indexed at once: about as much work as writing them."""

PATIENCE = 50
"""How often the writer is let go first before a step is taken beside it."""

RETRY = 0.02
"""Seconds until it is looked again whether the writer rests."""


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
                if await transactions.in_writer(fulltext.index_next, STEP):
                    hub.said = True
        except Exception:
            log.exception("indexing failed; it goes on")
        await asyncio.sleep(PAUSE)


async def _rest(transactions: Transactions) -> None:
    """Wait until nothing is written, but not for ever."""
    for _ in range(PATIENCE):
        if not transactions.database.busy:
            return
        await asyncio.sleep(RETRY)
