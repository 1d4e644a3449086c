"""Sessions: a token is 256 random bits, given out once and kept as its SHA-256, or an issuer's."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from chatd import events, log
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import AccountDisabled, BadToken
from chatd.session import Identity
from chatd.wire import Language

_DAY = 24 * 60 * 60 * 1000
_HOUR = 60 * 60 * 1000

OPEN_SESSION = query(
    """/* sessions.open_session */
    INSERT INTO sessions (user_id, token_hash, device, created_at, last_used_at, expires_at)
    VALUES (:user_id, :token_hash, :device, :now, :now, :expires_at) ON CONFLICT DO NOTHING RETURNING id
    """
)
SURPLUS_SESSIONS = query(
    """/* sessions.surplus_sessions */
    SELECT id FROM sessions WHERE user_id = :user_id ORDER BY last_used_at DESC, id DESC LIMIT 1000 OFFSET :kept
    """
)
END_SESSIONS = query(
    "/* sessions.end_sessions */ DELETE FROM sessions WHERE user_id = :user_id AND id IN :ids RETURNING id, device"
)
END_TOKENS = query(
    """/* sessions.end_tokens */
    INSERT INTO ended_tokens (token_hash, expires_at)
    SELECT token_hash, expires_at FROM sessions WHERE user_id = :user_id AND id IN :ids AND expires_at IS NOT NULL
    ON CONFLICT DO NOTHING
    """
)
IS_ENDED = query("/* sessions.is_ended */ SELECT expires_at FROM ended_tokens WHERE token_hash = :token_hash")
MY_SESSIONS = query(
    """/* sessions.my_sessions */
    SELECT id, device, created_at, last_used_at, expires_at FROM sessions WHERE user_id = :user_id
    ORDER BY last_used_at DESC, id DESC LIMIT 1000
    """
)
SESSION_BY_TOKEN = query(
    """/* sessions.session_by_token */
    SELECT s.id, s.user_id, s.last_used_at, u.username, u.lang, u.disabled_at
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.token_hash = :token_hash
      AND CASE WHEN s.expires_at IS NULL THEN s.last_used_at > :oldest ELSE s.expires_at > :now END
    """
)
IS_VALID = query(
    """/* sessions.is_valid */
    SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = :id AND u.disabled_at IS NULL
    """
)
USER_OF = query(
    """/* sessions.user_of */
    SELECT u.id, u.username, u.lang FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = :id AND u.disabled_at IS NULL
    """
)
TOUCH_SESSIONS = query("/* sessions.touch_sessions */ UPDATE sessions SET last_used_at = :now WHERE id IN :ids")


async def user_of(ctx: Context, session_id: int) -> Row | None:
    """Whose session it is, if it has not ended: `id`, `username`, `lang`."""
    return await ctx.db.one(USER_OF, id=session_id)


async def open_session(
    ctx: Context, *, user_id: int, username: str, device: str | None, lang: Language, tell: bool
) -> tuple[str, int]:
    """Open a session; the asking connection is authenticated by it. Returns (token, session_id).

    `tell` says whether the user has other devices that should hear of it.
    """
    token = secrets.token_urlsafe(32)
    row = await ctx.db.one(
        OPEN_SESSION, user_id=user_id, token_hash=_token_hash(token), device=device, now=ctx.now, expires_at=None
    )
    if row is None:
        raise LookupError("the session was not stored")
    session_id: int = row["id"]
    await _end_surplus(ctx, user_id)
    if tell:
        await log.append_for(ctx, user_id, events.Session(action="opened", session_id=session_id, device=device))
    ctx.authenticate(Identity(user_id=user_id, username=username, session_id=session_id), lang)
    return token, session_id


async def open_issued_session(ctx: Context, *, user_id: int, token_hash: bytes, expires_at: int) -> Row:
    """The session of an issuer's token and its user: it begins unless it has begun already.

    The user's other devices do not hear of it: an issuer's tokens may be short-lived, and the log is for ever.
    Raises `BadToken` where it was ended before, `AccountDisabled`.
    """
    if await ctx.db.one(IS_ENDED, token_hash=token_hash) is not None:
        raise BadToken(field="token")
    await ctx.db.one(
        OPEN_SESSION, user_id=user_id, token_hash=token_hash, device=None, now=ctx.now, expires_at=expires_at
    )
    await _end_surplus(ctx, user_id)
    if (found := await session_by(ctx, token_hash)) is None:
        raise BadToken(field="token")
    return found[0]


async def _end_surplus(ctx: Context, user_id: int) -> None:
    surplus = await ctx.db.all(SURPLUS_SESSIONS, user_id=user_id, kept=ctx.config.accounts.sessions_per_user)
    await end_sessions(ctx, user_id, [one["id"] for one in surplus])


async def end_sessions(ctx: Context, user_id: int, session_ids: list[int]) -> int:
    """End those of these sessions that are the user's, and tell the user's devices. Returns how many there were."""
    if not session_ids:
        return 0
    await ctx.db.run(END_TOKENS, user_id=user_id, ids=session_ids)
    ended = await ctx.db.all(END_SESSIONS, user_id=user_id, ids=session_ids)
    for row in ended:
        ctx.end_session(user_id, row["id"])
        await log.append_for(ctx, user_id, events.Session(action="ended", session_id=row["id"], device=row["device"]))
    return len(ended)


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def session_of(ctx: Context, token: str) -> tuple[Row, bool]:
    """The session and its user, and whether it was last touched long ago. Raises `BadToken`, `AccountDisabled`."""
    if (found := await session_by(ctx, _token_hash(token))) is None:
        raise BadToken(field="token")
    return found


async def session_by(ctx: Context, token_hash: bytes) -> tuple[Row, bool] | None:
    """The same by what is kept of a token; None where it has no session. Raises `AccountDisabled`."""
    oldest = ctx.now - ctx.config.accounts.idle_days * _DAY
    row = await ctx.db.one(SESSION_BY_TOKEN, token_hash=token_hash, oldest=oldest, now=ctx.now)
    if row is None:
        return None
    if row["disabled_at"] is not None:
        raise AccountDisabled
    return row, ctx.now - row["last_used_at"] > _HOUR


async def touch_sessions(ctx: Context, session_ids: list[int]) -> None:
    """Note that these sessions are in use."""
    await ctx.db.run(TOUCH_SESSIONS, ids=session_ids, now=ctx.now)


async def still_valid(ctx: Context, session_id: int) -> None:
    """Raise `BadToken` where the session has ended meanwhile."""
    if await ctx.db.one(IS_VALID, id=session_id) is None:
        raise BadToken(field="token")


async def my_sessions(ctx: Context) -> Sequence[Row]:
    """The asker's sessions, the one used last first."""
    return await ctx.db.all(MY_SESSIONS, user_id=ctx.user_id)


LAST_SEEN = query("/* sessions.last_seen */ UPDATE users SET last_seen_at = :now WHERE id = :user_id")
LAST_USED = query("/* sessions.last_used */ UPDATE sessions SET last_used_at = :now WHERE id = :session_id")


async def went_away(ctx: Context, seen: Sequence[Identity], unseen: Sequence[Identity]) -> None:
    """Note when the last of these users' connections went away; where nobody saw it, nobody is told when."""
    if seen:
        await ctx.db.many(LAST_SEEN, user_id=[one.user_id for one in seen], now=[ctx.now] * len(seen))
    gone = [one.session_id for one in (*seen, *unseen)]
    await ctx.db.many(LAST_USED, session_id=gone, now=[ctx.now] * len(gone))
