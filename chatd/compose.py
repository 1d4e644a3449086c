"""What a message says: what each kind holds, what it replies to, whom it mentions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from chatd import access, filing, names
from chatd.access import RANKS, Membership
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import Forbidden, Invalid, NotFound, Phrase, Recalled

Kind = Literal["text", "image", "voice", "video", "file", "location", "card", "encrypted"]

ALL = "@all"
"""In place of a name, for every member of a group. No username has an @ in it."""

_NUMBER = r"(-?\d{1,3}(?:\.\d{1,20})?)"
_GEO = re.compile(
    rf"geo:{_NUMBER},{_NUMBER}(?:,-?\d+(?:\.\d+)?)?(?:;[\w-]+(?:=[^\s;]*)?)*(?: \S.*)?", re.ASCII | re.IGNORECASE
)
_GEO_EXPECTED = Phrase(
    "must be a geo URI (RFC 5870) such as geo:48.2010,16.3695, after it, if wanted, a space and the name of the place",
    "必须是 geo URI（RFC 5870），例如 geo:48.2010,16.3695，其后可加空格与地点名称",
)

_SOMETHING = Phrase("must not be empty", "不能为空")
_A_FILE = Phrase("is required for this kind: what upload_end gave", "此类消息必须提供：upload_end 返回的编号")
_NO_FILE = Phrase("is for messages of the kinds image, voice, video and file", "仅用于图片、语音、视频和文件消息")
_NO_GROUP = Phrase("can have @all in groups only", "只能在群中使用 @all")

MENTIONED = query(
    """/* compose.mentioned */
    SELECT u.id, u.username, u.username_key FROM users u
    JOIN members m ON m.user_id = u.id AND m.conversation_id = :conversation_id AND m.until_seq IS NULL
    WHERE u.username_key IN :keys
    """
)


async def content_of(ctx: Context, kind: Kind, content: str) -> str:
    """The content as it is to be stored. Raises `Invalid` or `NotFound` where it is not what the kind holds."""
    if not content and kind not in filing.KINDS:
        raise Invalid(field="content", expected=_SOMETHING)
    if kind == "location":
        must_be_place(content, field="content")
    elif kind == "card":
        user = await access.find_user(ctx, name=content, user_id=None, field="content")
        return str(user["username"])
    return content


def must_be_place(uri: str, *, field: str) -> None:
    """Raise `Invalid` for what is no geo URI, with or without the name of the place after it."""
    place = _GEO.fullmatch(uri)
    if place is None or not (abs(float(place[1])) <= 90 and abs(float(place[2])) <= 180):
        raise Invalid(field=field, expected=_GEO_EXPECTED)


async def extras_of(
    ctx: Context, at: Membership, *, kind: Kind, file_id: int | None, reply_to: int | None, mentions: Sequence[str]
) -> dict[str, Any]:
    """What a new message says besides its content: fields of `events.Message`, as JSON.

    Raises `NotFound` or `Recalled` for what cannot be replied to; `Invalid` for a mention of who is not a member,
    `Forbidden` for `@all` by who is no admin; `Invalid` or `NotFound` where the file is missing, too many, of another
    kind, or not one that the asker uploaded.
    """
    extras: dict[str, Any] = {}
    if (file_id is None) == (kind in filing.KINDS):
        raise Invalid(field="file_id", expected=_NO_FILE if file_id is not None else _A_FILE)
    if file_id is not None:
        extras["file"] = filing.told(await filing.mine(ctx, file_id, kind=kind, field="file_id"))
    if reply_to is not None:
        replied = await access.readable(ctx, reply_to, field="reply_to")
        if replied["conversation_id"] != at.conversation_id:
            raise NotFound(field="reply_to")
        if replied["recalled_at"] is not None:
            raise Recalled(field="reply_to")
        extras["reply_to"] = reply_to
    if ALL in mentions:
        if at.kind != "group":
            raise Invalid(field="mentions", expected=_NO_GROUP)
        if RANKS[at.role] < RANKS["admin"]:
            raise Forbidden(field="mentions")
        extras["mentions_all"] = True
    wanted = {names.key(name): name for name in mentions if name != ALL}
    if wanted:
        rows = await ctx.db.all(MENTIONED, conversation_id=at.conversation_id, keys=list(wanted))
        members = {row["username_key"]: {"user_id": row["id"], "username": row["username"]} for row in rows}
        for key, name in wanted.items():
            if key not in members:
                raise Invalid(field="mentions", expected=_not_a_member(name))
        extras["mentions"] = [members[key] for key in wanted]
    return extras


def _not_a_member(name: str) -> Phrase:
    return Phrase(f"must name members of the conversation: {name} is none", f"只能是会话成员：{name} 不是")
