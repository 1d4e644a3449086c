"""Whose a token is: one that chatd gave out, or an issuer's, whose user is made on first sight."""

from __future__ import annotations

from collections.abc import Callable

from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import EmailTaken, UsernameTaken
from chatd.issuer import Issuer, Vouched
from chatd.peer import Peer
from chatd.sessions import open_issued_session, session_by, session_of, touch_sessions
from chatd.transactions import Transactions
from chatd.users import add_user

USER_BY_SUBJECT = query(
    "/* recognition.user_by_subject */ SELECT id FROM users WHERE issuer = :issuer AND subject = :subject"
)


class Recognition:
    """Finds the sessions of tokens."""

    def __init__(
        self, transactions: Transactions, issuer: Issuer | None, publish: Callable[[Context, None], None]
    ) -> None:
        self._transactions = transactions
        self._issuer = issuer
        self._publish = publish

    async def session(self, peer: Peer, token: str) -> Row:
        """The session of a token and its user, on a peer's behalf.

        Raises `BadToken`, `AccountDisabled`; where an issuer's token is to make a user, `Invalid` if it holds no
        username, and `UsernameTaken` if somebody else has it.
        """
        if self._issuer is None or "." not in token:  # a token of chatd's own has no dot, an issuer's has two
            session, stale = await self._transactions.in_reader(peer, session_of, token)
        else:
            session, stale = await self._issued(peer, self._issuer, token)
        if stale:
            await self._transactions.in_writer(touch_sessions, [session["id"]])
        return session

    async def _issued(self, peer: Peer, issuer: Issuer, token: str) -> tuple[Row, bool]:
        vouched = issuer.read(token)
        found = await self._transactions.in_reader(peer, session_by, vouched.token_hash)
        if found is not None:
            return found
        session, ctx = await self._transactions.in_writer(_admit, vouched, issuer)
        self._publish(ctx, None)  # another session may have ended: a user has only so many
        return session, False


async def _admit(ctx: Context, vouched: Vouched, issuer: Issuer) -> tuple[Row, Context]:
    """Open the session of an issuer's token."""
    user = await ctx.db.one(USER_BY_SUBJECT, issuer=vouched.issuer, subject=vouched.subject)
    user_id = await _make(ctx, vouched, issuer) if user is None else user["id"]
    session = await open_issued_session(
        ctx, user_id=user_id, token_hash=vouched.token_hash, expires_at=vouched.expires_at
    )
    return session, ctx


async def _make(ctx: Context, vouched: Vouched, issuer: Issuer) -> int:
    """Make the user. Whoever has the name already keeps it: that the two are one person nobody has said."""
    if vouched.username is None:
        raise issuer.unnamed()

    async def made(email: str | None) -> int:
        return await add_user(
            ctx,
            username=vouched.username or "",
            password_hash=None,
            nickname=vouched.nickname,
            email=email,
            issuer=vouched.issuer,
            subject=vouched.subject,
        )

    try:
        return await made(vouched.email)
    except EmailTaken:
        return await made(None)
    except UsernameTaken:
        raise UsernameTaken(field="token", username=vouched.username) from None
