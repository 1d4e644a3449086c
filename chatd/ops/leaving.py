"""Taking everything along, and going for good."""

from __future__ import annotations

from chatd import events
from chatd.access import USER_BY_ID, Self
from chatd.context import Context, Outside, Row
from chatd.db.query import query
from chatd.errors import BadCredentials, Busy, Phrase, TooFast
from chatd.guesses import guess
from chatd.op import op
from chatd.record import record
from chatd.sessions import end_sessions, my_sessions
from chatd.wire import Done, Password


@record
class AccountExport:
    """Everything of mine as a ZIP, at a link that holds for an hour or two: JSON lines, and the files I uploaded.

    When my session ends, so does the link. With a token the same is at `/export/<user_id>`.
    """


@record
class Export:
    url: str


@op(reply=Export, done=Phrase("everything of yours", "您的全部数据"), needs=Self(), lane="read", example={})
async def account_export(ctx: Context, _request: AccountExport) -> Export:
    return Export(ctx.links.to(f"/export/{ctx.user_id}/{ctx.identity.session_id}", ctx.now))


@record
class AccountDelete:
    """Delete my account, for good: at once nobody can log in to it, and within minutes nothing is left of it.

    My messages become tombstones for everybody, my files, friendships, profile and sessions are gone, and my name
    stands nowhere any more. It takes my password, where I have one.
    """

    password: Password | None = None


CLOSE = query(
    """/* leaving.close */
    UPDATE users SET password_hash = NULL, email = NULL, email_key = NULL, email_proved = 0, phone = NULL,
                     bio = '', nickname = '', nickname_key = '', avatar_file_id = NULL, issuer = NULL, subject = NULL,
                     disabled_at = :now, leaving_at = :now
    WHERE id = :me
    """
)


FORGET_CODES = query(
    """/* leaving.forget_codes */
    DELETE FROM codes WHERE email_key IN (SELECT email_key FROM users WHERE id = :me)
    """
)


async def _me(ctx: Context, user_id: int) -> Row | None:
    return await ctx.db.one(USER_BY_ID, id=user_id)


async def _check_owner(outside: Outside, request: AccountDelete) -> str | None:
    """The hash of the password, which was right; None where there is none."""
    user = await outside.read(_me, outside.identity.user_id)
    if user is None:
        raise BadCredentials(field="password")
    password_hash: str | None = user["password_hash"]
    if password_hash is not None:
        async with guess(outside, user["username_key"]):
            if request.password is None or not await outside.passwords.check(request.password, password_hash):
                raise BadCredentials(field="password")
    return password_hash


@op(
    reply=Done,
    done=Phrase("deleted: nobody can log in any more, and soon nothing is left", "已删除：无法再登录，数据即将清除"),
    needs=Self(),
    before=_check_owner,
    emits=[events.Session],
    raises=[BadCredentials, TooFast, Busy],
    example={"password": "correct horse"},
)
async def account_delete(ctx: Context, _request: AccountDelete, password_hash: str | None) -> Done:
    me = await ctx.db.one(USER_BY_ID, id=ctx.user_id)
    if me is None or me["password_hash"] != password_hash:
        raise BadCredentials(field="password")  # it was changed while this one was being checked
    await end_sessions(ctx, ctx.user_id, [row["id"] for row in await my_sessions(ctx)])
    await ctx.db.run(FORGET_CODES, me=ctx.user_id)
    await ctx.db.run(CLOSE, me=ctx.user_id, now=ctx.now)
    ctx.leaves = True
    return Done()
