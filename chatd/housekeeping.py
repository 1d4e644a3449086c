"""What the daemon does by itself: ending sessions that lie idle, noticing what another process has changed, and having
nothing left on the disk of what was recalled."""

from __future__ import annotations

import asyncio
import logging

from chatd.context import Context
from chatd.db.query import query
from chatd.hub import Hub
from chatd.peer import SESSION_ENDED
from chatd.sessions import touch_sessions
from chatd.transactions import Transactions
from chatd.uploads import Uploads

log = logging.getLogger("chatd.housekeeping")

HOUR = 3600.0
ERASING = 5.0
"""Seconds between two times that the write-ahead log is emptied of what was recalled."""

DAY_MS = 24 * 3600 * 1000

VALID = query(
    """/* housekeeping.valid */
    SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id IN :ids AND u.disabled_at IS NULL
    """
)
EXPIRE = query("/* housekeeping.expire */ DELETE FROM sessions WHERE last_used_at <= :oldest")


async def _valid(ctx: Context, session_ids: list[int]) -> set[int]:
    return {row["id"] for row in await ctx.db.all(VALID, ids=session_ids)}


async def _tidy(ctx: Context, live: list[int]) -> None:
    await touch_sessions(ctx, live)
    await ctx.db.run(EXPIRE, oldest=ctx.now - ctx.config.accounts.idle_days * DAY_MS)


async def keep_house(transactions: Transactions, hub: Hub, uploads: Uploads, *, second: float = 1.0) -> None:
    """Until cancelled: every hour tidy the sessions and the files, every second look whether another process ended a
    session, and whether something was recalled. First, files that a daemon which was killed has left are deleted.

    The commands `chatd user disable` and `chatd user passwd` write to the database beside the running daemon.
    """
    loop = asyncio.get_running_loop()
    tidy_at = erase_at = loop.time()
    swept = False
    while True:
        try:
            if loop.time() >= tidy_at:
                tidy_at = loop.time() + HOUR
                await transactions.in_writer(_tidy, sorted(hub.session_ids()))
                await uploads.tidy()
                if not swept:
                    await uploads.sweep()
                    swept = True
            if not transactions.database.busy:
                hub.forget()
                if hub.erased and loop.time() >= erase_at:
                    erase_at = loop.time() + ERASING
                    hub.erased = False
                    hub.erased = not await transactions.database.empty_log() or hub.erased
            if await transactions.database.changed_outside():
                live = hub.session_ids()
                ended = live - await transactions.in_writer(_valid, sorted(live))
                for listener in hub:
                    if listener.session.identity.session_id in ended:
                        listener.close(SESSION_ENDED, "this session was ended: log in again")
        except Exception:
            log.exception("housekeeping failed; it goes on")
        await asyncio.sleep(second)
