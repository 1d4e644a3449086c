"""Who people are: profiles, settings, and finding users."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Literal

from chatd import events, filing, log, names
from chatd.access import Self, find_user
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import NotFound, Phrase
from chatd.filing import AvatarFile
from chatd.op import op
from chatd.record import record
from chatd.wire import Id, Language, Limit, Name, Text, Time, rfc3339

FriendPolicy = Literal["open", "approve", "closed"]


@record
class Settings:
    """What only the owner sees and sets. Who comes with an issuer's tokens has no password."""

    email: str | None
    phone: str | None
    lang: Language
    friend_policy: FriendPolicy
    receipts: bool
    find_by_email: bool
    has_password: bool


@record
class ProfileInfo:
    """A user's profile; `settings` is null in other people's."""

    user_id: int
    username: str
    nickname: str
    bio: str
    avatar_url: str | None
    created_at: Time
    settings: Settings | None


@record
class Profile:
    """A user's profile; without `user` or `user_id`, mine."""

    user: Name | None = None
    user_id: Id | None = None


async def _profile_of(ctx: Context, *, name: str | None, user_id: int) -> ProfileInfo:
    row = await find_user(ctx, name=name, user_id=user_id if name is None else None, field="user")
    mine = Settings(
        email=row["email"],
        phone=row["phone"],
        lang=row["lang"],
        friend_policy=row["friend_policy"],
        receipts=bool(row["receipts"]),
        find_by_email=bool(row["find_by_email"]),
        has_password=row["password_hash"] is not None,
    )
    return ProfileInfo(
        user_id=row["id"],
        username=row["username"],
        nickname=row["nickname"],
        bio=row["bio"],
        avatar_url=filing.avatar(ctx, row["avatar_file_id"]),
        created_at=rfc3339(row["created_at"]),
        settings=mine if row["id"] == ctx.user_id else None,
    )


@op(
    reply=ProfileInfo,
    done=Phrase("the profile", "个人资料"),
    needs=Self(),
    lane="read",
    raises=[NotFound],
    example={"user": "bob"},
)
async def profile(ctx: Context, request: Profile) -> ProfileInfo:
    return await _profile_of(ctx, name=request.user, user_id=request.user_id or ctx.user_id)


@record
class ProfileSet:
    """Change my profile or settings; what is left out stays. The email address `email_set` changes.

    `friend_policy` says whether others become my friends at once (open), after I accept (approve) or not at all
    (closed). With `receipts` off nobody sees how far I have read, and I do not see it of others. `avatar_file_id` is a
    picture that I have uploaded, 0 for none.
    """

    nickname: Annotated[str, Text(0, 50)] | None = None
    avatar_file_id: AvatarFile | None = None
    bio: Annotated[str, Text(0, 500)] | None = None
    phone: Annotated[str, Text(0, 32)] | None = None
    lang: Language | None = None
    friend_policy: FriendPolicy | None = None
    receipts: bool | None = None
    find_by_email: bool | None = None


SET_PROFILE = query(
    """/* profiles.set */
    UPDATE users SET
        nickname = COALESCE(:nickname, nickname),
        nickname_key = COALESCE(:nickname_key, nickname_key),
        avatar_file_id = CASE WHEN :avatar = 0 THEN NULL ELSE COALESCE(CAST(:avatar AS BIGINT), avatar_file_id) END,
        bio = COALESCE(:bio, bio),
        phone = NULLIF(COALESCE(:phone, phone), ''),
        lang = COALESCE(:lang, lang),
        friend_policy = COALESCE(:friend_policy, friend_policy),
        receipts = COALESCE(:receipts, receipts),
        find_by_email = COALESCE(:find_by_email, find_by_email)
    WHERE id = :user_id
    """
)


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


@op(
    reply=ProfileInfo,
    done=Phrase("profile changed", "资料已更新"),
    needs=Self(),
    emits=[events.Profile],
    raises=[NotFound],
    example={"nickname": "Ada", "lang": "en"},
)
async def profile_set(ctx: Context, request: ProfileSet) -> ProfileInfo:
    changed = tuple(field.name for field in fields(request) if getattr(request, field.name) is not None)
    if request.avatar_file_id:
        await filing.mine(ctx, request.avatar_file_id, kind="image", field="avatar_file_id")
    if changed:
        me = await find_user(ctx, name=None, user_id=ctx.user_id, field="user")
        await ctx.db.run(
            SET_PROFILE,
            user_id=ctx.user_id,
            nickname=request.nickname,
            nickname_key=None if request.nickname is None else names.key(request.nickname),
            avatar=request.avatar_file_id,
            bio=request.bio,
            phone=request.phone,
            lang=request.lang,
            friend_policy=request.friend_policy,
            receipts=_flag(request.receipts),
            find_by_email=_flag(request.find_by_email),
        )
        if request.avatar_file_id is not None:
            await filing.change_avatar(ctx, old=me["avatar_file_id"], new=request.avatar_file_id or None)
        await log.append_for(ctx, ctx.user_id, events.Profile(changed=changed))
        ctx.speaks = request.lang
    return await _profile_of(ctx, name=None, user_id=ctx.user_id)


# user_search


@record
class UserSearch:
    """Users whose username or nickname begins with `q`, or whose email address it is, where they allow that."""

    q: Name
    after_username: Name | None = None
    limit: Limit = 50


@record
class UserFound:
    user_id: int
    username: str
    nickname: str
    avatar_url: str | None


@record
class UserList:
    """By username. `more` says that `after_username` has a next page."""

    users: tuple[UserFound, ...]
    more: bool


SEARCH = query(
    """/* profiles.search */
    SELECT id, username, nickname, username_key, avatar_file_id FROM users
    WHERE username_key >= :q AND username_key < :q_end AND username_key > :after AND disabled_at IS NULL
    UNION
    SELECT id, username, nickname, username_key, avatar_file_id FROM users
    WHERE nickname_key >= :q AND nickname_key < :q_end AND username_key > :after AND disabled_at IS NULL
    UNION
    SELECT id, username, nickname, username_key, avatar_file_id FROM users
    WHERE email_key = :q AND find_by_email = 1 AND username_key > :after AND disabled_at IS NULL
    ORDER BY username_key LIMIT :most
    """
)


@op(
    reply=UserList,
    done=Phrase("users found", "找到的用户"),
    needs=Self(),
    lane="read",
    rate="social",
    example={"q": "bo"},
)
async def user_search(ctx: Context, request: UserSearch) -> UserList:
    q = names.key(request.q)
    after = names.key(request.after_username or "")
    rows = await ctx.db.all(SEARCH, q=q, q_end=q + names.LAST, after=after, most=request.limit + 1)
    found = tuple(
        UserFound(row["id"], row["username"], row["nickname"], filing.avatar(ctx, row["avatar_file_id"]))
        for row in rows[: request.limit]
    )
    return UserList(users=found, more=len(rows) > request.limit)
