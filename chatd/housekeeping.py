"""What the daemon does by itself: ending sessions that lie idle, forgetting old codes, noticing what another process
has changed, and having nothing left on the disk of what was recalled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from chatd.config import Jwt
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.erasing import Eraser
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
EXPIRE = query("/* housekeeping.expire */ DELETE FROM sessions WHERE expires_at IS NULL AND last_used_at <= :oldest")
EXPIRED = query("/* housekeeping.expired */ SELECT id FROM sessions WHERE expires_at <= :now LIMIT 1")
END_EXPIRED = query(
    "/* housekeeping.end_expired */ DELETE FROM sessions WHERE expires_at <= :now RETURNING id, user_id"
)
FORGET_TOKENS = query("/* housekeeping.forget_tokens */ DELETE FROM ended_tokens WHERE expires_at <= :before")
FORGET_CODES = query("/* housekeeping.forget_codes */ DELETE FROM codes WHERE sent_at <= :oldest")


async def _valid(ctx: Context, session_ids: list[int]) -> set[int]:
    return {row["id"] for row in await ctx.db.all(VALID, ids=session_ids)}


async def _tidy(ctx: Context, live: list[int]) -> None:
    await touch_sessions(ctx, live)
    await ctx.db.run(EXPIRE, oldest=ctx.now - ctx.config.accounts.idle_days * DAY_MS)
    # A day later, for by then `[accounts.jwt] leeway` may have grown by an hour.
    await ctx.db.run(FORGET_TOKENS, before=ctx.now - DAY_MS)
    await ctx.db.run(FORGET_CODES, oldest=ctx.now - DAY_MS)  # after which another one starts to be counted anew


async def _any_expired(ctx: Context) -> bool:
    return await ctx.db.one(EXPIRED, now=ctx.now) is not None


async def _end_expired(ctx: Context) -> Sequence[Row]:
    return await ctx.db.all(END_EXPIRED, now=ctx.now)


async def _end_tokens(transactions: Transactions, hub: Hub) -> None:
    """End the sessions of an issuer's tokens whose time is over."""
    if await transactions.on_reader(_any_expired):
        for row in await transactions.in_writer(_end_expired):
            for listener in hub.of_session(row["user_id"], row["id"]):
                listener.close(SESSION_ENDED, "this token is worth nothing any more: get a new one")


async def keep_house(
    transactions: Transactions, hub: Hub, uploads: Uploads, eraser: Eraser, *, second: float = 1.0
) -> None:
    """Until cancelled: every hour tidy sessions, codes and files, every second look whether another process or the time
    ended a session, and whether something was recalled. First, delete the files that a daemon has left which was
    killed.

    The commands `chatd user disable` and `chatd user passwd` write to the database beside the running daemon.
    """
    loop = asyncio.get_running_loop()
    has_issuer = transactions.config.accounts.jwt != Jwt()
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
            await eraser.go_on(hub)
            if await transactions.database.changed_outside():
                live = hub.session_ids()
                ended = live - await transactions.in_writer(_valid, sorted(live))
                for listener in hub:
                    if listener.session.identity.session_id in ended:
                        listener.close(SESSION_ENDED, "this session was ended: log in again")
            if has_issuer:
                await _end_tokens(transactions, hub)
        except Exception:
            log.exception("housekeeping failed; it goes on")
        await asyncio.sleep(second)
