"""Signing up, logging in, and changing what one logs in with: the password and the email address."""

from __future__ import annotations

from typing import Annotated

from chatd import events, invites, log, names
from chatd.access import USER_BY_ID, Guest, Self
from chatd.context import Context, Outside, Row
from chatd.db.query import query
from chatd.errors import (
    AccountDisabled,
    BadCredentials,
    BadInvite,
    Busy,
    EmailTaken,
    Invalid,
    Phrase,
    SignupClosed,
    TooFast,
    TooManyConnections,
    UsernameTaken,
)
from chatd.guesses import guess
from chatd.op import op
from chatd.record import record
from chatd.sessions import end_sessions, my_sessions, open_session
from chatd.users import Device, LoggedIn, add_user, user_by_email, user_by_key
from chatd.wire import Done, Email, Language, Name, Password, Text, Token

# signup


@record
class Signup:
    """Make an account; the connection is logged in as it at once.

    A username is 3 to 32 letters and digits of any script, `_`, `.` and `-`, and is compared without regard to case.
    If the reply is lost, `login` tells whether the account was made. `invite` is the token of one; where sign-up is by
    invitation it takes one.
    """

    username: Name
    password: Password
    email: Email | None = None
    phone: Annotated[str, Text(1, 32)] | None = None
    nickname: Annotated[str, Text(1, 50)] | None = None
    invite: Token | None = None
    device: Device | None = None
    lang: Language = "en"


async def _hash_new(outside: Outside, request: Signup) -> str:
    await outside.read(invites.check, request.invite)
    username = names.username(request.username)
    if request.email is not None:
        names.email(request.email)
    if await outside.read(user_by_key, names.key(username)) is not None:
        raise UsernameTaken(field="username", username=username)
    return await outside.passwords.hash(request.password)


@op(
    reply=LoggedIn,
    done=Phrase("signed up", "注册成功"),
    needs=Guest(),
    before=_hash_new,
    rate="account",
    raises=[SignupClosed, BadInvite, UsernameTaken, EmailTaken, TooFast, Busy],
    example={"username": "ada", "password": "correct horse"},
)
async def signup(ctx: Context, request: Signup, password_hash: str) -> LoggedIn:
    invited_by = await invites.use(ctx, request.invite)
    user_id = await add_user(
        ctx,
        invited_by=invited_by,
        username=request.username,
        password_hash=password_hash,
        nickname=request.nickname,
        email=request.email,
        phone=request.phone,
        lang=request.lang,
    )
    username = names.username(request.username)
    email = None if request.email is None else names.email(request.email)
    token, session_id = await open_session(
        ctx, user_id=user_id, username=username, device=request.device, lang=request.lang, tell=False
    )
    return LoggedIn(token=token, user_id=user_id, username=username, email=email, session_id=session_id)


# login


@record
class Login:
    """Log in by username or email. A wrong password and an unknown user get the same answer after the same time."""

    password: Password
    username: Name | None = None
    email: Email | None = None
    device: Device | None = None


async def _account_named(ctx: Context, request: Login) -> Row | None:
    if request.username is not None:
        return await user_by_key(ctx, names.key(request.username))
    return await user_by_email(ctx, names.key((request.email or "").strip()))


async def _check_password(outside: Outside, *, account_key: str, user: Row | None, password: str) -> None:
    """Raise `BadCredentials` for a wrong password, `TooFast` where the address has guessed too often."""
    async with guess(outside, account_key):
        if not await outside.passwords.check(password, user["password_hash"] if user is not None else None):
            raise BadCredentials


async def _find_account(outside: Outside, request: Login) -> Row:
    if (request.username is None) == (request.email is None):
        raise Invalid(field="username", expected=Phrase("or email is required, not both", "与 email 须且只能填一个"))
    user = await outside.read(_account_named, request)
    # What was typed, not whose it is: how long an attempt waits must not tell which address belongs to whom.
    account_key = (
        f"email {names.key(request.email)}" if request.email is not None else names.key(request.username or "")
    )
    await _check_password(outside, account_key=account_key, user=user, password=request.password)
    if user is None:
        raise BadCredentials
    if user["disabled_at"] is not None:
        raise AccountDisabled
    outside.admit(user["id"])
    return user


@op(
    reply=LoggedIn,
    done=Phrase("logged in", "登录成功"),
    needs=Guest(),
    before=_find_account,
    emits=[events.Session],
    raises=[BadCredentials, AccountDisabled, TooManyConnections, TooFast, Busy],
    example={"username": "ada", "password": "correct horse", "device": "phone"},
)
async def login(ctx: Context, request: Login, account: Row) -> LoggedIn:
    user = await ctx.db.one(USER_BY_ID, id=account["id"])
    if user is None or user["password_hash"] != account["password_hash"]:
        raise BadCredentials  # the password was changed while this one was being checked
    if user["disabled_at"] is not None:
        raise AccountDisabled
    token, session_id = await open_session(
        ctx, user_id=user["id"], username=user["username"], device=request.device, lang=user["lang"], tell=True
    )
    return LoggedIn(
        token=token, user_id=user["id"], username=user["username"], email=user["email"], session_id=session_id
    )


# password_set


@record
class PasswordSet:
    """Change my password. My other sessions end."""

    old_password: Password
    new_password: Password


@record
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
    mine = await my_sessions(ctx)
    await end_sessions(ctx, ctx.user_id, [row["id"] for row in mine if row["id"] != ctx.identity.session_id])
    return Done()


# email_set


@record
class EmailSet:
    """Change my email address; empty, I have none. It takes the password: with the address one can log in."""

    password: Password
    email: Annotated[str, Text(0, 254)]


@record
class Checked:
    """The hash of the password that was checked outside the transaction, and the address as it is kept."""

    password_hash: str
    email: str | None


SET_EMAIL = query(
    """/* accounts.set_email */
    UPDATE users SET email = :email, email_key = :email_key,
                     email_proved = CASE WHEN email_key = :email_key THEN email_proved ELSE 0 END
    WHERE id = :user_id AND password_hash = :password_hash
      AND NOT EXISTS (SELECT 1 FROM users o WHERE o.email_key = :email_key AND o.id <> :user_id)
    """
)


async def _check_owner(outside: Outside, request: EmailSet) -> Checked:
    email = names.email(request.email) if request.email else None
    user = await outside.read(_user_by_id, outside.identity.user_id)
    if user is None:
        raise BadCredentials(field="password")
    await _check_password(outside, account_key=user["username_key"], user=user, password=request.password)
    return Checked(password_hash=user["password_hash"], email=email)


@op(
    reply=Done,
    done=Phrase("email address changed", "邮箱已修改"),
    needs=Self(),
    before=_check_owner,
    emits=[events.Profile],
    raises=[BadCredentials, EmailTaken, TooFast, Busy],
    example={"password": "correct horse", "email": "ada@example.org"},
)
async def email_set(ctx: Context, request: EmailSet, checked: Checked) -> Done:
    key = None if checked.email is None else names.key(checked.email)
    changed = await ctx.db.run(
        SET_EMAIL, user_id=ctx.user_id, password_hash=checked.password_hash, email=checked.email, email_key=key
    )
    if not changed:
        user = await ctx.db.one(USER_BY_ID, id=ctx.user_id)
        if user is None or user["password_hash"] != checked.password_hash:
            raise BadCredentials(field="password")  # it was changed while this one was being checked
        raise EmailTaken(field="email")
    await log.append_for(ctx, ctx.user_id, events.Profile(changed=("email",)))
    return Done()
