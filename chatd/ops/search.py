"""Searching in what I may read."""

from __future__ import annotations

from typing import Annotated

from chatd import access, fulltext, words
from chatd.access import Member, Self
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import Invalid, NotFound, Phrase
from chatd.op import op
from chatd.record import record
from chatd.wire import MAX_ID, Id, Limit, Name, Text, Time, milliseconds, rfc3339, rfc3339_or_none
from chatd.words import Part


@record
class Search:
    """Messages with all the words of `q`, the newest first, in everything I may read or in one conversation.

    A word is found where a word begins with it, without regard to case and accents; of Chinese, Japanese, Korean and
    Thai whatever stands anywhere; an emoji as it is. Nothing in `q` is syntax. `before` and `after` are times.
    """

    q: Annotated[str, Text(1, 200)]
    conversation_id: Id | None = None
    user: Name | None = None
    user_id: Id | None = None
    from_user: Name | None = None
    before: Time | None = None
    after: Time | None = None
    before_message_id: Id | None = None
    limit: Limit = 20


@record
class FoundMessage:
    """`snippet` is a piece of its text around what was found; the parts with `hit` are that."""

    id: int
    conversation_id: int
    seq: int
    from_user_id: int
    from_username: str
    kind: str
    created_at: Time
    edited_at: Time | None
    snippet: tuple[Part, ...]


@record
class SearchPage:
    """While `next` is not null there may be more: ask again with `before_message_id` = `next`.

    With `complete` false the index is behind, as it is after an upgrade: older messages are missing for a while.
    """

    messages: tuple[FoundMessage, ...]
    next: int | None
    complete: bool


AT = query("/* search.at */ SELECT id, created_at FROM entries WHERE id >= :id ORDER BY id LIMIT 1")
NEWEST = query("/* search.newest */ SELECT MAX(id) AS id FROM entries")
_NO_WORDS = Phrase("must have a letter, a digit or a symbol to look for", "必须含有可搜索的文字、数字或符号")


@op(
    reply=SearchPage,
    done=Phrase("messages found", "找到的消息"),
    needs=Self(),
    lane="read",
    rate="chat",
    raises=[NotFound],
    example={"q": "sunday climb"},
)
async def search(ctx: Context, request: Search) -> SearchPage:
    terms = words.parse(request.q)
    if not terms:
        raise Invalid(field="q", expected=_NO_WORDS)
    found = await fulltext.find(ctx, terms, await _bounds(ctx, request), limit=request.limit)
    messages = tuple(
        FoundMessage(
            id=row["id"],
            conversation_id=row["conversation_id"],
            seq=row["seq"],
            from_user_id=row["user_id"],
            from_username=row["username"],
            kind=row["kind"],
            created_at=rfc3339(row["created_at"]),
            edited_at=rfc3339_or_none(row["edited_at"]),
            snippet=words.snippet(terms, row["content"]),
        )
        for row in found.messages
    )
    return SearchPage(messages=messages, next=found.following, complete=found.is_complete)


async def _bounds(ctx: Context, request: Search) -> fulltext.Bounds:
    """Where to look. Raises `NotFound` or `Invalid`."""
    conversation_id = None
    if (request.conversation_id, request.user, request.user_id) != (None, None, None):
        conversation_id = (await Member().check(ctx, request)).conversation_id
    from_user_id = None
    if request.from_user is not None:
        author = await access.find_user(ctx, name=request.from_user, user_id=None, field="from_user")
        from_user_id = author["id"]
    before = MAX_ID if request.before_message_id is None else request.before_message_id
    if request.before is not None:
        before = min(before, await _first_at(ctx, milliseconds(request.before, field="before")))
    after = 0
    if request.after is not None:
        after = await _first_at(ctx, milliseconds(request.after, field="after")) - 1
    return fulltext.Bounds(after, before, conversation_id, from_user_id)


async def _first_at(ctx: Context, time: int) -> int:
    """The id of the first entry that came at this time or after it: ids and times grow together."""
    newest = await ctx.db.one(NEWEST)
    low, high = 1, 1 + ((newest["id"] if newest is not None else None) or 0)
    while low < high:
        middle = (low + high) // 2
        row = await ctx.db.one(AT, id=middle)
        if row is None or row["created_at"] >= time:
            high = middle
        else:
            low = row["id"] + 1
    return low
