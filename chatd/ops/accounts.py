"""Signing up, logging in, and the sessions that come of it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from typing import Annotated

from chatd import events, log, names
from chatd.access import USER_BY_ID, USER_BY_KEY, Guest, Self
from chatd.catchup import Synced, catch_up
from chatd.context import Context, Outside, Row
from chatd.db.query import query
from chatd.errors import (
    AccountDisabled,
    BadCredentials,
    BadToken,
    Busy,
    EmailTaken,
    Invalid,
    NotFound,
    Phrase,
    SignupClosed,
    TooFast,
    TooManyConnections,
    UsernameTaken,
)
from chatd.op import op
from chatd.session import Identity
from chatd.wire import Done, Email, Id, Language, Name, Password, Seq, Text, Time, Token, rfc3339

Device = Annotated[str, Text(1, 64)]

_DAY = 24 * 60 * 60 * 1000
_HOUR = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Keep `token`: `auth` with it is how every later connection begins."""

    token: str
    user_id: int
    username: str
    email: str | None
    session_id: int


USER_BY_EMAIL = query("/* accounts.user_by_email */ SELECT * FROM users WHERE email_key = :key")
ADD_USER = query(
    """/* accounts.add_user */
    INSERT INTO users (username, username_key, nickname, nickname_key, email, email_key, phone, password_hash,
                       lang, created_at)
    VALUES (:username, :username_key, :nickname, :nickname_key, :email, :email_key, :phone, :password_hash,
            :lang, :now)
    ON CONFLICT DO NOTHING RETURNING id
    """
)
OPEN_SESSION = query(
    """/* accounts.open_session */
    INSERT INTO sessions (user_id, token_hash, device, created_at, last_used_at)
    VALUES (:user_id, :token_hash, :device, :now, :now) RETURNING id
    """
)
SURPLUS_SESSIONS = query(
    """/* accounts.surplus_sessions */
    SELECT id FROM sessions WHERE user_id = :user_id ORDER BY last_used_at DESC, id DESC LIMIT 1000 OFFSET :kept
    """
)
END_SESSIONS = query(
    "/* accounts.end_sessions */ DELETE FROM sessions WHERE user_id = :user_id AND id IN :ids RETURNING id, device"
)


async def add_user(
    ctx: Context,
    *,
    username: str,
    password_hash: str,
    nickname: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    lang: Language = "en",
) -> int:
    """A new user with an empty log. Returns the id. Raises `Invalid`, `UsernameTaken`, `EmailTaken`."""
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
        phone=phone,
        password_hash=password_hash,
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


async def _open_session(
    ctx: Context, *, user_id: int, username: str, device: str | None, lang: Language
) -> tuple[str, int]:
    token = secrets.token_urlsafe(32)
    row = await ctx.db.one(OPEN_SESSION, user_id=user_id, token_hash=_token_hash(token), device=device, now=ctx.now)
    if row is None:
        raise LookupError("the session was not stored")
    session_id: int = row["id"]
    surplus = await ctx.db.all(SURPLUS_SESSIONS, user_id=user_id, kept=ctx.config.accounts.sessions_per_user)
    await _end_sessions(ctx, user_id, [one["id"] for one in surplus])
    await log.append_for(ctx, user_id, events.Session(action="opened", session_id=session_id, device=device))
    ctx.authenticate(Identity(user_id=user_id, username=username, session_id=session_id), lang)
    return token, session_id


async def _end_sessions(ctx: Context, user_id: int, session_ids: list[int]) -> int:
    """End those of these sessions that are the user's, and tell the user's devices. Returns how many there were."""
    if not session_ids:
        return 0
    ended = await ctx.db.all(END_SESSIONS, user_id=user_id, ids=session_ids)
    for row in ended:
        ctx.end_session(row["id"])
        await log.append_for(ctx, user_id, events.Session(action="ended", session_id=row["id"], device=row["device"]))
    return len(ended)


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


# signup


@dataclass(frozen=True, slots=True)
class Signup:
    """Make an account; the connection is logged in as it at once.

    A username is 3 to 32 letters and digits of any script, `_`, `.` and `-`, and is compared without regard to case.
    If the reply is lost, `login` tells whether the account was made.
    """

    username: Name
    password: Password
    email: Email | None = None
    phone: Annotated[str, Text(1, 32)] | None = None
    nickname: Annotated[str, Text(1, 50)] | None = None
    device: Device | None = None
    lang: Language = "en"


async def _hash_new(outside: Outside, request: Signup) -> str:
    if outside.config.accounts.signup == "closed":
        raise SignupClosed
    username = names.username(request.username)
    if request.email is not None:
        names.email(request.email)
    if await outside.read(_user_by_key, names.key(username)) is not None:
        raise UsernameTaken(field="username", username=username)
    return await outside.passwords.hash(request.password)


async def _user_by_key(ctx: Context, key: str) -> Row | None:
    return await ctx.db.one(USER_BY_KEY, key=key)


@op(
    reply=LoggedIn,
    done=Phrase("signed up", "注册成功"),
    needs=Guest(),
    before=_hash_new,
    rate="account",
    emits=[events.Session],
    raises=[SignupClosed, UsernameTaken, EmailTaken, TooFast, Busy],
    example={"username": "ada", "password": "correct horse"},
)
async def signup(ctx: Context, request: Signup, password_hash: str) -> LoggedIn:
    user_id = await add_user(
        ctx,
        username=request.username,
        password_hash=password_hash,
        nickname=request.nickname,
        email=request.email,
        phone=request.phone,
        lang=request.lang,
    )
    username = names.username(request.username)
    email = None if request.email is None else names.email(request.email)
    token, session_id = await _open_session(
        ctx, user_id=user_id, username=username, device=request.device, lang=request.lang
    )
    return LoggedIn(token=token, user_id=user_id, username=username, email=email, session_id=session_id)


# login


@dataclass(frozen=True, slots=True)
class Login:
    """Log in by username or email. A wrong password and an unknown user get the same answer after the same time."""

    password: Password
    username: Name | None = None
    email: Email | None = None
    device: Device | None = None


async def _account_named(ctx: Context, request: Login) -> Row | None:
    if request.username is not None:
        return await ctx.db.one(USER_BY_KEY, key=names.key(request.username))
    return await ctx.db.one(USER_BY_EMAIL, key=names.key((request.email or "").strip()))


async def _check_password(outside: Outside, *, account_key: str, user: Row | None, password: str) -> None:
    """Raise `BadCredentials` for a wrong password, `TooFast` where the address has guessed too often."""
    wait = outside.guards.addresses.take(outside.address, outside.now, tokens=0)
    if wait:
        raise TooFast(retry_after_ms=int(wait * 1000) + 1)
    await asyncio.sleep(outside.guards.accounts.wait(account_key, outside.now))
    if not await outside.passwords.check(password, user["password_hash"] if user is not None else None):
        outside.guards.accounts.failed(account_key, outside.now)
        outside.guards.addresses.take(outside.address, outside.now)
        raise BadCredentials
    outside.guards.accounts.succeeded(account_key)


async def _find_account(outside: Outside, request: Login) -> Row:
    if (request.username is None) == (request.email is None):
        raise Invalid(field="username", expected=Phrase("or email is required, not both", "与 email 须且只能填一个"))
    user = await outside.read(_account_named, request)
    account_key = user["username_key"] if user is not None else names.key(request.username or request.email or "")
    await _check_password(outside, account_key=account_key, user=user, password=request.password)
    if user is None:
        raise BadCredentials
    if user["disabled_at"] is not None:
        raise AccountDisabled
    return user


@op(
    reply=LoggedIn,
    done=Phrase("logged in", "登录成功"),
    needs=Guest(),
    before=_find_account,
    emits=[events.Session],
    raises=[BadCredentials, AccountDisabled, TooFast, Busy],
    example={"username": "ada", "password": "correct horse", "device": "phone"},
)
async def login(ctx: Context, request: Login, account: Row) -> LoggedIn:
    user = await ctx.db.one(USER_BY_ID, id=account["id"])
    if user is None or user["password_hash"] != account["password_hash"]:
        raise BadCredentials  # the password was changed while this one was being checked
    if user["disabled_at"] is not None:
        raise AccountDisabled
    token, session_id = await _open_session(
        ctx, user_id=user["id"], username=user["username"], device=request.device, lang=user["lang"]
    )
    return LoggedIn(
        token=token, user_id=user["id"], username=user["username"], email=user["email"], session_id=session_id
    )


# auth


@dataclass(frozen=True, slots=True)
class Auth:
    """Say who this connection is, by the token of an earlier `signup` or `login`.

    With `cursors` the reply has what `sync` would give. No event comes before the reply.
    """

    token: Token
    cursors: dict[Id, Seq] | None = None
    since: Time | None = None
    epoch: str | None = None
    lang: Language | None = None


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who the connection is; `sync` as the op of that name gives it, where cursors came."""

    user_id: int
    username: str
    session_id: int
    sync: Synced | None


SESSION_BY_TOKEN = query(
    """/* accounts.session_by_token */
    SELECT s.id, s.user_id, s.last_used_at, u.username, u.lang, u.disabled_at
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.token_hash = :token_hash AND s.last_used_at > :oldest
    """
)
TOUCH_SESSIONS = query("/* accounts.touch_sessions */ UPDATE sessions SET last_used_at = :now WHERE id IN :ids")


async def _session_of(ctx: Context, token: str) -> tuple[Row, bool]:
    """The session and its user, and whether it was last touched long ago. Raises `BadToken`, `AccountDisabled`."""
    oldest = ctx.now - ctx.config.accounts.idle_days * _DAY
    row = await ctx.db.one(SESSION_BY_TOKEN, token_hash=_token_hash(token), oldest=oldest)
    if row is None:
        raise BadToken(field="token")
    if row["disabled_at"] is not None:
        raise AccountDisabled
    return row, ctx.now - row["last_used_at"] > _HOUR


async def touch_sessions(ctx: Context, session_ids: list[int]) -> None:
    """Note that these sessions are in use."""
    await ctx.db.run(TOUCH_SESSIONS, ids=session_ids, now=ctx.now)


async def _identify(outside: Outside, request: Auth) -> Row:
    session, stale = await outside.read(_session_of, request.token)
    if stale:
        await outside.write(touch_sessions, [session["id"]])
    identity = Identity(user_id=session["user_id"], username=session["username"], session_id=session["id"])
    outside.authenticate(identity, request.lang or session["lang"])
    return session


@op(
    reply=Authenticated,
    done=Phrase("authenticated", "认证成功"),
    needs=Guest(),
    lane="read",
    before=_identify,
    raises=[BadToken, AccountDisabled, TooManyConnections],
    example={"token": "Jx0…", "cursors": {"1": 4, "2": 17}},
)
async def auth(ctx: Context, request: Auth, session: Row) -> Authenticated:
    sync = None
    if request.cursors is not None:
        sync = await catch_up(ctx, cursors=request.cursors, since=request.since, epoch=request.epoch)
    return Authenticated(user_id=session["user_id"], username=session["username"], session_id=session["id"], sync=sync)


# sessions


@dataclass(frozen=True, slots=True)
class Logout:
    """End this session: its token is worth nothing any more. The connection stays open, as a guest's."""


@op(
    reply=Done,
    done=Phrase("logged out", "已退出登录"),
    needs=Self(),
    emits=[events.Session],
    example={},
)
async def logout(ctx: Context, request: Logout) -> Done:
    await _end_sessions(ctx, ctx.user_id, [ctx.identity.session_id])
    return Done()


@dataclass(frozen=True, slots=True)
class Sessions:
    """My sessions, the one used last first."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    session_id: int
    device: str | None
    created_at: Time
    last_used_at: Time
    current: bool


@dataclass(frozen=True, slots=True)
class SessionList:
    """`current` marks the session of this connection."""

    sessions: tuple[SessionInfo, ...]


MY_SESSIONS = query(
    """/* accounts.my_sessions */
    SELECT id, device, created_at, last_used_at FROM sessions WHERE user_id = :user_id
    ORDER BY last_used_at DESC, id DESC LIMIT 1000
    """
)


@op(reply=SessionList, done=Phrase("your sessions", "您的会话"), needs=Self(), lane="read", example={})
async def sessions(ctx: Context, request: Sessions) -> SessionList:
    rows = await ctx.db.all(MY_SESSIONS, user_id=ctx.user_id)
    return SessionList(
        tuple(
            SessionInfo(
                session_id=row["id"],
                device=row["device"],
                created_at=rfc3339(row["created_at"]),
                last_used_at=rfc3339(row["last_used_at"]),
                current=row["id"] == ctx.identity.session_id,
            )
            for row in rows
        )
    )


@dataclass(frozen=True, slots=True)
class SessionRevoke:
    """End one of my sessions; its live connections are closed at once (4001)."""

    session_id: Id


@op(
    reply=Done,
    done=Phrase("session ended", "会话已结束"),
    needs=Self(),
    emits=[events.Session],
    raises=[NotFound],
    example={"session_id": 3},
)
async def session_revoke(ctx: Context, request: SessionRevoke) -> Done:
    if not await _end_sessions(ctx, ctx.user_id, [request.session_id]):
        raise NotFound(field="session_id")
    return Done()


# password_set


@dataclass(frozen=True, slots=True)
class PasswordSet:
    """Change my password. My other sessions end."""

    old_password: Password
    new_password: Password


@dataclass(frozen=True, slots=True)
class NewPassword:
    """What was checked and hashed outside the transaction."""

    old_hash: str
    new_hash: str


SET_PASSWORD = query(
    """/* accounts.set_password */
    UPDATE users SET password_hash = :new_hash WHERE id = :user_id AND password_hash = :old_hash
    """
)


async def _user_by_id(ctx: Context, user_id: int) -> Row | None:
    return await ctx.db.one(USER_BY_ID, id=user_id)


async def _hash_replacement(outside: Outside, request: PasswordSet) -> NewPassword:
    user = await outside.read(_user_by_id, outside.identity.user_id)
    if user is None:
        raise BadCredentials(field="old_password")
    await _check_password(outside, account_key=user["username_key"], user=user, password=request.old_password)
    return NewPassword(old_hash=user["password_hash"], new_hash=await outside.passwords.hash(request.new_password))


@op(
    reply=Done,
    done=Phrase("password changed", "密码已修改"),
    needs=Self(),
    before=_hash_replacement,
    emits=[events.Session],
    raises=[BadCredentials, TooFast, Busy],
    example={"old_password": "correct horse", "new_password": "battery staple"},
)
async def password_set(ctx: Context, request: PasswordSet, password: NewPassword) -> Done:
    changed = await ctx.db.run(
        SET_PASSWORD, user_id=ctx.user_id, old_hash=password.old_hash, new_hash=password.new_hash
    )
    if not changed:
        raise BadCredentials(field="old_password")  # it was changed while this one was being checked
    mine = await ctx.db.all(MY_SESSIONS, user_id=ctx.user_id)
    await _end_sessions(ctx, ctx.user_id, [row["id"] for row in mine if row["id"] != ctx.identity.session_id])
    return Done()
