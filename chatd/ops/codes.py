"""Signing up, logging in and setting a new password by a code that comes by mail.

A code is kept as a bcrypt hash, as passwords are: trying all of a million against a stolen database takes a core days,
and a code lives for minutes; and every daemon on the database, also one that was started anew, knows it.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

import msgspec

from chatd import events, invites, names
from chatd.access import Guest
from chatd.context import Context, Outside, Row
from chatd.db.query import query
from chatd.errors import (
    AccountDisabled,
    BadCode,
    BadInvite,
    Busy,
    EmailTaken,
    Invalid,
    MailDisabled,
    Phrase,
    SignupClosed,
    TooFast,
    TooManyConnections,
    UsernameTaken,
)
from chatd.guesses import guess
from chatd.mail import Letter, mailable
from chatd.op import op
from chatd.record import record
from chatd.sessions import MY_SESSIONS, end_sessions, open_session
from chatd.users import Device, LoggedIn, add_user, user_by_email, user_by_key
from chatd.wire import Done, Email, Language, Name, Password, Text, Token

Purpose = Literal["signup", "login", "reset"]
Code = Annotated[str, Text(6, 6), msgspec.Meta(extra={"secret": True})]

_MINUTE = 60 * 1000
LIFE = 5 * _MINUTE
"""Milliseconds that a code is worth something."""

ATTEMPTS = 5
"""How often a code may be guessed at."""

FREELY = 10
"""So many codes an address may get, one a minute; then one an hour, until it got none for a day or used one. Five
guesses a minute would find a code within months."""

_DAY = 24 * 60 * _MINUTE

SUBJECTS: dict[Purpose, Phrase] = {
    "signup": Phrase("Your code to sign up: {code}", "注册验证码：{code}"),
    "login": Phrase("Your code to log in: {code}", "登录验证码：{code}"),
    "reset": Phrase("Your code to set a new password: {code}", "重设密码验证码：{code}"),
}
TEXT = Phrase(
    "Hello,\n\nyour code is {code}. It is valid for five minutes, and once.\n\n"
    "Tell it to nobody. If you did not ask for it, do nothing: without the code nothing happens.\n",
    "您好：\n\n您的验证码是 {code}，五分钟内有效，仅能使用一次。\n\n"
    "请勿将验证码告诉任何人。如非本人操作，请忽略此邮件。\n",
)
KNOWN_SUBJECT = Phrase("You have an account already", "您已有账号")
KNOWN_TEXT = Phrase(
    "Hello,\n\nsomebody asked to sign up with this address. There is an account already: {username}. "
    "To get in, ask for a code to log in, or to set a new password.\n\nIf it was not you, do nothing.\n",
    "您好：\n\n有人请求用此邮箱注册，但该邮箱已有账号：{username}。"
    "如需登录，请获取登录验证码或重设密码验证码。\n\n如非本人操作，请忽略此邮件。\n",
)


def _address(outside: Outside, email: str) -> str:
    """The address that codes are about. Raises `MailDisabled`, `Invalid`."""
    if not outside.mail.enabled:
        raise MailDisabled
    address = names.email(email)
    if not mailable(address):
        raise Invalid(field="email", expected=Phrase("must be an address in ASCII", "必须是 ASCII 邮箱地址"))
    return address


# send_code


@record
class SendCode:
    """Have a code mailed that `signup_code`, `login_code` or `reset_password` takes: six digits, valid five minutes.

    The answer is the same whether the address is known or not. To log in or to set a new password a code is mailed only
    to the address of an account, to sign up only to one of none; the owner of an account is told that there is one.
    An address gets one code a minute; after ten in a row without one being used, one an hour.
    The connection need not wait for the mail. `lang` is for who has no account yet.
    """

    email: Email
    purpose: Purpose
    lang: Language = "en"


@record
class NewCode:
    """A code and its hash."""

    code: str
    code_hash: str


LAST_SENT = query(
    """/* codes.last_sent */
    SELECT sent, sent_at FROM codes WHERE email_key = :key ORDER BY sent_at DESC, purpose LIMIT 1
    """
)
KEEP = query(
    """/* codes.keep */
    INSERT INTO codes (email_key, purpose, code_hash, sent, sent_at) VALUES (:key, :purpose, :code_hash, :sent, :now)
    ON CONFLICT (email_key, purpose) DO UPDATE
        SET code_hash = excluded.code_hash, attempts = 0, sent = excluded.sent, sent_at = excluded.sent_at
    """
)


async def _new_code(outside: Outside, request: SendCode) -> NewCode:
    _address(outside, request.email)
    if request.purpose == "signup" and outside.config.accounts.signup == "closed":
        raise SignupClosed
    if outside.mail.full:
        raise Busy
    code = f"{secrets.randbelow(1_000_000):06}"
    return NewCode(code, await outside.passwords.hash(code))


def _letter(request: SendCode, user: Row | None, code: str) -> Letter | None:
    """What is written to whom, if anything."""
    if request.purpose != "signup" and (user is None or user["issuer"] is not None):
        return None
    if user is None:
        to, lang = names.email(request.email), request.lang
    else:
        to, lang = user["email"], user["lang"]  # where the account's mail goes, however the address was typed
        if request.purpose == "signup":
            text = KNOWN_TEXT.speak(lang).format(username=user["username"])
            return Letter(to=to, subject=KNOWN_SUBJECT.speak(lang), text=text)
    subject = SUBJECTS[request.purpose].speak(lang).format(code=code)
    return Letter(to=to, subject=subject, text=TEXT.speak(lang).format(code=code))


@op(
    reply=Done,
    done=Phrase("a mail is on its way, if the address is right", "如果邮箱无误，邮件已在发送中"),
    needs=Guest(),
    before=_new_code,
    rate="account",
    raises=[MailDisabled, SignupClosed, TooFast, Busy],
    example={"email": "ada@example.org", "purpose": "login"},
)
async def send_code(ctx: Context, request: SendCode, new: NewCode) -> Done:
    key = names.key(names.email(request.email))
    last = await ctx.db.one(LAST_SENT, key=key)
    sent = 1
    if last is not None and ctx.now - last["sent_at"] < _DAY:
        sent = last["sent"] + 1
        early = last["sent_at"] + (_MINUTE if sent <= FREELY else 60 * _MINUTE) - ctx.now
        if early > 0:
            raise TooFast(field="email", retry_after_ms=early)
    # Kept also where it is told to nobody, so that nothing tells which address is known.
    await ctx.db.run(KEEP, key=key, purpose=request.purpose, code_hash=new.code_hash, sent=sent, now=ctx.now)
    letter = _letter(request, await user_by_email(ctx, key), new.code)
    if letter is not None:
        ctx.mail(letter)
    return Done()


# Using one

TAKE_ATTEMPT = query(
    """/* codes.take_attempt */
    UPDATE codes SET attempts = attempts + 1
    WHERE email_key = :key AND purpose = :purpose AND attempts < :most AND sent_at > :oldest
    RETURNING code_hash
    """
)
USE_UP = query(
    """/* codes.use_up */
    DELETE FROM codes WHERE email_key = :key AND EXISTS (
        SELECT 1 FROM codes c WHERE c.email_key = :key AND c.purpose = :purpose AND c.code_hash = :code_hash
    )
    """
)


async def _take_attempt(ctx: Context, key: str, purpose: Purpose) -> str | None:
    """The hash of the code that may be guessed at; one attempt less is left."""
    row = await ctx.db.one(TAKE_ATTEMPT, key=key, purpose=purpose, most=ATTEMPTS, oldest=ctx.now - LIFE)
    return None if row is None else row["code_hash"]


async def _check_code(outside: Outside, *, key: str, purpose: Purpose, code: str) -> str:
    """The hash of the code, which is right. Raises `BadCode`, `TooFast`.

    The attempt is counted, durably, before the code is looked at; what there is no code for takes as long.
    """
    async with guess(outside, f"code {purpose} {key}"):
        code_hash = await outside.write(_take_attempt, key, purpose)
        if not await outside.passwords.check(code, code_hash) or code_hash is None:
            raise BadCode(field="code")
    return code_hash


async def _use_up(ctx: Context, *, key: str, purpose: Purpose, code_hash: str) -> None:
    """Remove all codes of the address. Raises `BadCode` where this one was used or replaced while it was checked."""
    if not await ctx.db.run(USE_UP, key=key, purpose=purpose, code_hash=code_hash):
        raise BadCode(field="code")


async def _open_session(ctx: Context, user: Row, *, device: str | None, alone: bool) -> LoggedIn:
    """Log the user in. `alone` ends all the user's other sessions."""
    token, session_id = await open_session(
        ctx, user_id=user["id"], username=user["username"], device=device, lang=user["lang"], tell=True
    )
    if alone:
        sessions = await ctx.db.all(MY_SESSIONS, user_id=user["id"])
        await end_sessions(ctx, user["id"], [row["id"] for row in sessions if row["id"] != session_id])
    return LoggedIn(
        token=token, user_id=user["id"], username=user["username"], email=user["email"], session_id=session_id
    )


# signup_code


@record
class SignupCode:
    """Make an account with an address that is proved by the code of `send_code`; the rest is as `signup` does it."""

    email: Email
    code: Code
    username: Name
    password: Password
    nickname: Annotated[str, Text(1, 50)] | None = None
    invite: Token | None = None
    device: Device | None = None
    lang: Language = "en"


@record
class Proved:
    """What was checked and hashed outside the transaction."""

    key: str
    code_hash: str
    password_hash: str


async def _prove_new(outside: Outside, request: SignupCode) -> Proved:
    key = names.key(_address(outside, request.email))
    await outside.read(invites.check, request.invite)
    username = names.username(request.username)
    if await outside.read(user_by_key, names.key(username)) is not None:
        raise UsernameTaken(field="username", username=username)
    code_hash = await _check_code(outside, key=key, purpose="signup", code=request.code)
    return Proved(key, code_hash, await outside.passwords.hash(request.password))


@op(
    reply=LoggedIn,
    done=Phrase("signed up", "注册成功"),
    needs=Guest(),
    before=_prove_new,
    raises=[MailDisabled, SignupClosed, BadInvite, UsernameTaken, EmailTaken, BadCode, TooFast, Busy],
    example={"email": "ada@example.org", "code": "123456", "username": "ada", "password": "correct horse"},
)
async def signup_code(ctx: Context, request: SignupCode, proved: Proved) -> LoggedIn:
    await _use_up(ctx, key=proved.key, purpose="signup", code_hash=proved.code_hash)
    username, email = names.username(request.username), names.email(request.email)
    user_id = await add_user(
        ctx,
        invited_by=await invites.use(ctx, request.invite),
        username=username,
        password_hash=proved.password_hash,
        nickname=request.nickname,
        email=email,
        email_proved=True,
        lang=request.lang,
    )
    token, session_id = await open_session(
        ctx, user_id=user_id, username=username, device=request.device, lang=request.lang, tell=False
    )
    return LoggedIn(token=token, user_id=user_id, username=username, email=email, session_id=session_id)


# login_code


@record
class LoginCode:
    """Log in by the code of `send_code`.

    An address that was only said, in `signup` or `email_set`, may have been said by anybody. The first code that comes
    back from it makes the account its reader's alone: all other sessions end, and no password is right any more until
    `reset_password` sets one.
    """

    email: Email
    code: Code
    device: Device | None = None


async def _prove_mine(outside: Outside, *, email: str, code: str, purpose: Purpose) -> tuple[str, str]:
    """The address' key and the code's hash. Raises `BadCode`, `AccountDisabled`, `TooManyConnections`, `TooFast`."""
    key = names.key(_address(outside, email))
    code_hash = await _check_code(outside, key=key, purpose=purpose, code=code)
    user = await outside.read(user_by_email, key)
    if user is None or user["issuer"] is not None:  # whoever comes by an issuer's tokens comes by nothing else
        raise BadCode(field="code")
    if user["disabled_at"] is not None:
        raise AccountDisabled
    outside.admit(user["id"])
    return key, code_hash


async def _owner(ctx: Context, *, key: str, purpose: Purpose, code_hash: str) -> Row:
    """The user whose address it is; the code is used up. Raises `BadCode`, `AccountDisabled`."""
    await _use_up(ctx, key=key, purpose=purpose, code_hash=code_hash)
    user = await user_by_email(ctx, key)
    if user is None or user["issuer"] is not None:
        raise BadCode(field="code")
    if user["disabled_at"] is not None:
        raise AccountDisabled
    return user


SET_PASSWORD = query(
    """/* codes.set_password */
    UPDATE users SET password_hash = :password_hash, email_proved = 1 WHERE id = :user_id
    """
)


async def _prove_login(outside: Outside, request: LoginCode) -> tuple[str, str]:
    return await _prove_mine(outside, email=request.email, code=request.code, purpose="login")


@op(
    reply=LoggedIn,
    done=Phrase("logged in", "登录成功"),
    needs=Guest(),
    before=_prove_login,
    emits=[events.Session],
    raises=[MailDisabled, BadCode, AccountDisabled, TooManyConnections, TooFast, Busy],
    example={"email": "ada@example.org", "code": "123456", "device": "phone"},
)
async def login_code(ctx: Context, request: LoginCode, proved: tuple[str, str]) -> LoggedIn:
    key, code_hash = proved
    user = await _owner(ctx, key=key, purpose="login", code_hash=code_hash)
    if user["email_proved"]:
        return await _open_session(ctx, user, device=request.device, alone=False)
    await ctx.db.run(SET_PASSWORD, user_id=user["id"], password_hash=None)
    return await _open_session(ctx, user, device=request.device, alone=True)


# reset_password


@record
class ResetPassword:
    """Set a new password by the code of `send_code`, and log in with it. All my other sessions end."""

    email: Email
    code: Code
    new_password: Password
    device: Device | None = None


async def _prove_reset(outside: Outside, request: ResetPassword) -> Proved:
    key, code_hash = await _prove_mine(outside, email=request.email, code=request.code, purpose="reset")
    return Proved(key, code_hash, await outside.passwords.hash(request.new_password))


@op(
    reply=LoggedIn,
    done=Phrase("password changed", "密码已修改"),
    needs=Guest(),
    before=_prove_reset,
    emits=[events.Session],
    raises=[MailDisabled, BadCode, AccountDisabled, TooManyConnections, TooFast, Busy],
    example={"email": "ada@example.org", "code": "123456", "new_password": "battery staple"},
)
async def reset_password(ctx: Context, request: ResetPassword, proved: Proved) -> LoggedIn:
    user = await _owner(ctx, key=proved.key, purpose="reset", code_hash=proved.code_hash)
    await ctx.db.run(SET_PASSWORD, user_id=user["id"], password_hash=proved.password_hash)
    return await _open_session(ctx, user, device=request.device, alone=True)
