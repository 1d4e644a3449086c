"""What may be done with a message after it was sent: edit, recall, delete for me, react, pin."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

from chatd import events, filing, fulltext, log
from chatd.access import RANKS, OfMessage, Role, Target
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import Forbidden, Invalid, NotFound, NotMember, NotYours, Phrase, TooLate, TooMany
from chatd.op import op
from chatd.record import record
from chatd.replay import extras_in
from chatd.wire import Done, Id, Text, Time, Utf8, rfc3339, rfc3339_or_none


def _within(ctx: Context, target: Target, seconds: int) -> None:
    """Raise `TooLate` where the message is older than that."""
    if ctx.now - target.message["created_at"] > seconds * 1000:
        raise TooLate(field="message_id", window=str(seconds))


async def _tell(ctx: Context, target: Target, event: Any) -> int:
    """Append an event about the message to its conversation's log. Returns its seq."""
    return await log.append_about(ctx, target.at.conversation_id, target.message["seq"], event, to=target.at.hearers)


@record
class Edit:
    """Change the text of a message of mine, within `[messages] edit_window`. Its members can see what it said before.

    Whom it mentions and what it replies to stays as it was. What was forwarded stays what its author said.
    """

    message_id: Id
    content: Annotated[str, Utf8(1, 8192)]


@record
class Edited:
    """`seq` is that of the entry that says so; null where the text was the same already."""

    message_id: int
    conversation_id: int
    seq: int | None
    edited_at: Time | None


_EDITABLE = ("text", "encrypted")
_NOT_MY_WORDS = Phrase("must be a text in your own words, not one passed on", "必须是您自己写的文本，而非转发的内容")


@op(
    reply=Edited,
    done=Phrase("edited", "已编辑"),
    needs=OfMessage(may="post"),
    rate="chat",
    emits=[events.Edit],
    raises=[NotYours, TooLate],
    example={"message_id": 31, "content": "hello"},
)
async def edit(ctx: Context, request: Edit, at: Target) -> Edited:
    message = at.message
    if message["user_id"] != ctx.user_id:
        raise NotYours(field="message_id")
    if message["kind"] not in _EDITABLE or "forwarded_from" in extras_in(message):
        raise Invalid(field="message_id", expected=_NOT_MY_WORDS)
    _within(ctx, at, ctx.config.messages.edit_window)
    if request.content == message["content"]:
        return Edited(message["id"], at.at.conversation_id, None, rfc3339_or_none(message["edited_at"]))
    edited = events.Edit(
        message_id=message["id"],
        message_seq=message["seq"],
        from_user_id=ctx.user_id,
        from_username=ctx.identity.username,
        content=request.content,
        edited_at=rfc3339(ctx.now),
    )
    seq = await _tell(ctx, at, edited)
    return Edited(message["id"], at.at.conversation_id, seq, rfc3339(ctx.now))


@record
class Recall:
    """Take a message back, for everybody: mine, within `[messages] recall_window`, or any of those below me in a group.

    A group's owner and admins recall at any time. Everything in it is erased, its place stays. Who has left the group
    since then is not told, and finds it empty, too.
    """

    message_id: Id


AUTHOR = query(
    """/* message_changes.author */
    SELECT role FROM members
    WHERE conversation_id = :conversation_id AND user_id = :user_id AND until_seq IS NULL
    """
)
ERASE = query(
    """/* message_changes.erase */
    UPDATE entries SET content = '', data = NULL, recalled_at = :now
    WHERE conversation_id = :conversation_id AND seq = :seq
    """
)
ERASE_EDITS = query(
    """/* message_changes.erase_edits */
    UPDATE entries SET content = ''
    WHERE conversation_id = :conversation_id AND target_seq = :seq AND event = 'edit'
    """
)
FORGET_REACTIONS = query(
    """/* message_changes.forget_reactions */
    DELETE FROM reactions WHERE conversation_id = :conversation_id AND seq = :seq
    """
)
UNPIN = query("/* message_changes.unpin */ DELETE FROM pins WHERE conversation_id = :conversation_id AND seq = :seq")


@op(
    reply=Done,
    done=Phrase("recalled", "已撤回"),
    needs=OfMessage(),
    rate="chat",
    emits=[events.Recall],
    raises=[NotMember, NotYours, Forbidden, TooLate],
    example={"message_id": 31},
)
async def recall(ctx: Context, request: Recall, at: Target) -> Done:
    if at.at.has_left:
        raise NotMember
    await _may_recall(ctx, at)
    message = at.message
    if message["recalled_at"] is not None:
        return Done()
    where = {"conversation_id": at.at.conversation_id, "seq": message["seq"]}
    await fulltext.forget(ctx, message)
    await ctx.db.run(ERASE, now=ctx.now, **where)
    for statement in (ERASE_EDITS, FORGET_REACTIONS, UNPIN):
        await ctx.db.run(statement, **where)
    await filing.detach(ctx, **where)
    recalled = events.Recall(
        message_id=message["id"],
        message_seq=message["seq"],
        by_user_id=ctx.user_id,
        by_username=ctx.identity.username,
        recalled_at=rfc3339(ctx.now),
    )
    await _tell(ctx, at, recalled)
    return Done()


async def _may_recall(ctx: Context, target: Target) -> None:
    """Raise `Forbidden` or `TooLate` where the asker may not."""
    at, author_id = target.at, target.message["user_id"]
    is_admin = at.kind == "group" and RANKS[at.role] >= RANKS["admin"]
    if author_id == ctx.user_id:
        if at.kind != "self" and not is_admin:
            _within(ctx, target, ctx.config.messages.recall_window)
        return
    author = await ctx.db.one(AUTHOR, conversation_id=at.conversation_id, user_id=author_id)
    role: Role = "member" if author is None else author["role"]
    if at.kind != "group":
        raise NotYours(field="message_id")
    if not is_admin or RANKS[role] >= RANKS[at.role]:
        raise Forbidden(field="message_id")


@record
class Delete:
    """Delete a message for myself, on all my devices. Nobody else notices."""

    message_id: Id


DELETE = query(
    """/* message_changes.delete */
    INSERT INTO deletions (conversation_id, seq, user_id) VALUES (:conversation_id, :seq, :me)
    """
)


@op(
    reply=Done,
    done=Phrase("deleted for you", "已为您删除"),
    needs=OfMessage(),
    rate="chat",
    emits=[events.Delete],
    example={"message_id": 31},
)
async def delete(ctx: Context, request: Delete, at: Target) -> Done:
    conversation_id, seq = at.at.conversation_id, at.message["seq"]
    await ctx.db.run(DELETE, conversation_id=conversation_id, seq=seq, me=ctx.user_id)
    deleted = events.Delete(of_id=conversation_id, message_id=at.message["id"], message_seq=seq)
    await log.append_for(ctx, ctx.user_id, deleted)
    return Done()


EMOJIS = 50
"""How many different emoji a message may have."""

EMOJIS_EACH = 10
"""How many of them may be one user's."""


@record
class React:
    """Put an emoji to a message, or with `on` false take it away."""

    message_id: Id
    emoji: Annotated[str, Text(1, 16)]
    on: bool = True


@record
class Reacted:
    """How often the message has this emoji now."""

    emoji: str
    count: int


REACT = query(
    """/* message_changes.react */
    INSERT INTO reactions (conversation_id, seq, emoji, user_id, since_seq)
    SELECT c.id, :seq, :emoji, :me, c.last_seq + 1 FROM conversations c WHERE c.id = :conversation_id
    ON CONFLICT DO NOTHING
    """
)
UNREACT = query(
    """/* message_changes.unreact */
    DELETE FROM reactions
    WHERE conversation_id = :conversation_id AND seq = :seq AND emoji = :emoji AND user_id = :me
    """
)
COUNTS = query(
    """/* message_changes.counts */
    SELECT COUNT(CASE WHEN emoji = :emoji THEN 1 END) AS count, COUNT(DISTINCT emoji) AS emojis,
           COUNT(CASE WHEN user_id = :me THEN 1 END) AS mine
    FROM reactions WHERE conversation_id = :conversation_id AND seq = :seq
    """
)
_JOINER = "\u200d"
_NO_EMOJI = Phrase("must be one emoji, or a short word, without spaces", "必须是一个表情或不含空格的短词")


def _may_react(char: str) -> bool:
    """Whether a character may stand in an emoji: no space, nothing that is not seen but what joins emoji."""
    return char == _JOINER or unicodedata.category(char)[0] not in "CZ"


@op(
    reply=Reacted,
    done=Phrase("done", "已完成"),
    needs=OfMessage(may="post"),
    rate="chat",
    emits=[events.Reaction],
    raises=[TooMany],
    example={"message_id": 31, "emoji": "👍"},
)
async def react(ctx: Context, request: React, at: Target) -> Reacted:
    emoji = unicodedata.normalize("NFC", request.emoji)
    if not all(map(_may_react, emoji)) or not any(unicodedata.category(one)[0] in "LNPS" for one in emoji):
        raise Invalid(field="emoji", expected=_NO_EMOJI)
    message, where = at.message, {"conversation_id": at.at.conversation_id, "seq": at.message["seq"], "emoji": emoji}
    changed = await ctx.db.run(REACT if request.on else UNREACT, me=ctx.user_id, **where)
    counts = await ctx.db.one(COUNTS, me=ctx.user_id, **where)
    if counts is None:
        raise LookupError("a count is a row")
    for count, most in ((counts["emojis"], EMOJIS), (counts["mine"], EMOJIS_EACH)):
        if request.on and count > most:
            raise TooMany(field="emoji", most=str(most))
    if changed:
        reacted = events.Reaction(
            message_id=message["id"],
            message_seq=message["seq"],
            user_id=ctx.user_id,
            username=ctx.identity.username,
            emoji=emoji,
            on=request.on,
        )
        await _tell(ctx, at, reacted)
    return Reacted(emoji, counts["count"])


@record
class Pin:
    """Pin a message to its conversation for all its members, or with `on` false take it down. In a group for admins."""

    message_id: Id
    conversation_id: Id | None = None
    on: bool = True


PIN = query(
    """/* message_changes.pin */
    INSERT INTO pins (conversation_id, seq, user_id, since_seq, created_at)
    SELECT c.id, :seq, :me, c.last_seq + 1, :now FROM conversations c WHERE c.id = :conversation_id
    ON CONFLICT DO NOTHING
    """
)


@op(
    reply=Done,
    done=Phrase("done", "已完成"),
    needs=OfMessage(may="post"),
    rate="chat",
    emits=[events.Pin],
    raises=[Forbidden],
    example={"message_id": 31},
)
async def pin(ctx: Context, request: Pin, at: Target) -> Done:
    if request.conversation_id not in (None, at.at.conversation_id):
        raise NotFound(field="conversation_id")
    if at.at.kind == "group" and RANKS[at.at.role] < RANKS["admin"]:
        raise Forbidden
    message, where = at.message, {"conversation_id": at.at.conversation_id, "seq": at.message["seq"]}
    if request.on:
        changed = await ctx.db.run(PIN, me=ctx.user_id, now=ctx.now, **where)
    else:
        changed = await ctx.db.run(UNPIN, **where)
    if changed:
        pinned = events.Pin(
            message_id=message["id"],
            message_seq=message["seq"],
            by_user_id=ctx.user_id,
            by_username=ctx.identity.username,
            on=request.on,
        )
        await _tell(ctx, at, pinned)
    return Done()
