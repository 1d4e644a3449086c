"""Writing messages.

What happens when a message is sent, from top to bottom: `Member` (access.py) looks whether the sender may write there,
`send` below stores it as the next entry of the conversation's log (log.py), the writer commits, and then the reply and
the event go out (dispatch.py). What may be done with it later stands in message_changes.py, reading in history.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from chatd import events, log
from chatd.access import Member, Membership, readable
from chatd.compose import Kind, content_of, extras_of
from chatd.context import Context
from chatd.errors import ChatError, Forbidden, Phrase, Recalled
from chatd.op import op
from chatd.record import record
from chatd.replay import extras_in
from chatd.wire import Id, Items, Name, Time, Utf8, rfc3339


@record
class Send:
    """Write a message to a user or a conversation. The same client_id gives the same answer.

    All devices of both sides hear it, the sender's other devices too. A message to myself is a note. The content of a
    `location` is a geo URI (RFC 5870), after a space the name of the place; that of a `card` is a username; what is
    `encrypted` the server passes on and does not look into. `image`, `voice`, `video` and `file` need the `file_id` of
    something I have uploaded; `content` is then what I say to it, and may be left out. `mentions` are usernames of
    members, or `@all`, which is for a group's admins.
    """

    content: Annotated[str, Utf8(0, 8192)] = ""
    to_user: Name | None = None
    to_user_id: Id | None = None
    conversation_id: Id | None = None
    kind: Kind = "text"
    file_id: Id | None = None
    reply_to: Id | None = None
    mentions: Annotated[tuple[Name, ...], Items(0, 50)] = ()


@record
class Sent:
    """Where the message stands. For the connection that sent it this is its entry in the log."""

    message_id: int
    conversation_id: int
    seq: int
    created_at: Time


@op(
    reply=Sent,
    done=Phrase("sent", "已发送"),
    needs=Member(may="post"),
    rate="chat",
    together=True,
    emits=[events.Message, events.Conversation],
    raises=[Forbidden, Recalled],
    example={"to_user": "bob", "content": "hi"},
)
async def send(ctxs: Sequence[Context], requests: Sequence[Send], at: Sequence[Membership]) -> list[Sent | ChatError]:
    drafts = [
        log.Draft(ctx, place.conversation_id, "text", request.content, {}, place.hearers)
        if request.kind == "text" and request.content and not _says_more(request)
        else await _draft(ctx, request, place)
        for ctx, request, place in zip(ctxs, requests, at, strict=True)
    ]
    posted = iter(await log.post([draft for draft in drafts if isinstance(draft, log.Draft)]))
    return [draft if isinstance(draft, ChatError) else _sent(draft, *next(posted)) for draft in drafts]


def _says_more(request: Send) -> bool:
    return request.reply_to is not None or request.file_id is not None or request.mentions != ()


def _sent(draft: log.Draft, message_id: int, seq: int) -> Sent:
    return Sent(message_id, draft.conversation_id, seq, rfc3339(draft.ctx.now))


async def _draft(ctx: Context, request: Send, at: Membership) -> log.Draft | ChatError:
    """A message that says more than its text. Or why it may not."""
    try:
        content = await content_of(ctx, request.kind, request.content)
        extras = await extras_of(
            ctx,
            at,
            kind=request.kind,
            file_id=request.file_id,
            reply_to=request.reply_to,
            mentions=request.mentions,
        )
    except ChatError as error:
        return error.with_traceback(None)
    return log.Draft(ctx, at.conversation_id, request.kind, content, extras, at.hearers)


@record
class Forward:
    """Pass a message on, to a user or a conversation. `forwarded_from` says there who wrote it first."""

    message_id: Id
    to_user: Name | None = None
    to_user_id: Id | None = None
    conversation_id: Id | None = None


@op(
    reply=Sent,
    done=Phrase("forwarded", "已转发"),
    needs=Member(may="post"),
    rate="chat",
    emits=[events.Message, events.Conversation],
    raises=[Recalled],
    example={"message_id": 31, "to_user": "bob"},
)
async def forward(ctx: Context, request: Forward, at: Membership) -> Sent:
    message = await readable(ctx, request.message_id, field="message_id")
    if message["recalled_at"] is not None:
        raise Recalled(field="message_id")
    author = {"user_id": message["user_id"], "username": message["username"]}
    said = extras_in(message)
    extras = {"forwarded_from": said.get("forwarded_from", author)} | {k: said[k] for k in ("file",) if k in said}
    draft = log.Draft(ctx, at.conversation_id, message["kind"], message["content"], extras, at.hearers)
    ((message_id, seq),) = await log.post([draft])
    return _sent(draft, message_id, seq)
