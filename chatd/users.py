"""Users: making one (by signing up, from the command line, on an issuer's word), and whose an address is."""

from __future__ import annotations

from typing import Annotated

from chatd import log, names
from chatd.access import USER_BY_KEY
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import EmailTaken, UsernameTaken
from chatd.record import record
from chatd.wire import Language, Text

Device = Annotated[str, Text(1, 64)]


@record
class LoggedIn:
    """Keep `token`: `auth` with it is how every later connection begins."""

    token: str
    user_id: int
    username: str
    email: str | None
    session_id: int


USER_BY_EMAIL = query("/* users.user_by_email */ SELECT * FROM users WHERE email_key = :key")
ADD_USER = query(
    """/* users.add_user */
    INSERT INTO users (username, username_key, nickname, nickname_key, email, email_key, email_proved, phone,
                       password_hash, issuer, subject, invited_by, lang, created_at)
    VALUES (:username, :username_key, :nickname, :nickname_key, :email, :email_key, :email_proved, :phone,
            :password_hash, :issuer, :subject, :invited_by, :lang, :now)
    ON CONFLICT DO NOTHING RETURNING id
    """
)


async def user_by_key(ctx: Context, key: str) -> Row | None:
    """The user of this name."""
    return await ctx.db.one(USER_BY_KEY, key=key)


async def user_by_email(ctx: Context, key: str) -> Row | None:
    """The user of this address."""
    return await ctx.db.one(USER_BY_EMAIL, key=key)


async def add_user(
    ctx: Context,
    *,
    username: str,
    password_hash: str | None,
    nickname: str | None = None,
    email: str | None = None,
    email_proved: bool = False,
    phone: str | None = None,
    lang: Language = "en",
    invited_by: int | None = None,
    issuer: str | None = None,
    subject: str | None = None,
) -> int:
    """A new user with an empty log. Returns the id. Raises `Invalid`, `UsernameTaken`, `EmailTaken`.

    Without a `password_hash` no password is right. `email_proved` says that the asker reads what is mailed to `email`.
    `issuer` and `subject` name who is known by an issuer's tokens.
    """
    username = names.username(username)
    email = names.email(email) if email is not None else None
    row = await ctx.db.one(
        ADD_USER,
        username=username,
        username_key=names.key(username),
        nickname=nickname or "",
        nickname_key=names.key(nickname or ""),
        email=email,
        email_key=names.key(email) if email is not None else None,
        email_proved=int(email_proved),
        phone=phone,
        password_hash=password_hash,
        issuer=issuer,
        subject=subject,
        invited_by=invited_by,
        lang=lang,
        now=ctx.now,
    )
    if row is None:
        if await ctx.db.one(USER_BY_KEY, key=names.key(username)) is not None:
            raise UsernameTaken(field="username", username=username)
        raise EmailTaken(field="email")
    user_id = int(row["id"])
    await log.open_self(ctx, user_id)
    return user_id
