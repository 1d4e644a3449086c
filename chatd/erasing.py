"""Erasing an account, piece by piece, beside everything else: `account_delete` closes it, and this makes it true.

What the user wrote, uploaded or said of themselves goes; what others wrote stays theirs, what they passed on and the
remark that a friend gave, in that friend's own log, included.
Logs keep their numbers: each message is a tombstone, and one `erasure` entry in each log says so of all of them. The
name that stands in the others' logs becomes `deleted#<id>`, which nobody can take. Every step is one transaction of
bounded size; after a crash it goes on where it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import orjson

from chatd import events, filing, fulltext, log, memberships, relations
from chatd.access import USER_BY_ID
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import NotFound
from chatd.hub import Hub
from chatd.session import Identity
from chatd.transactions import Transactions
from chatd.uploads import Uploads

ENTRIES = 1000
"""How many entries one step looks at."""

FEW = 20
"""How many friends, groups, conversations or files one step is about."""

LEAVING = query(
    "/* erasing.leaving */ SELECT * FROM users WHERE leaving_at IS NOT NULL AND erased_at IS NULL ORDER BY id LIMIT 1"
)
FRIENDS = query("/* erasing.friends */ SELECT friend_id AS id FROM friends WHERE user_id = :me LIMIT :few")
GROUPS = query(
    """/* erasing.groups */
    SELECT m.conversation_id, m.role FROM members m JOIN groups g ON g.conversation_id = m.conversation_id
    WHERE m.user_id = :me AND m.until_seq IS NULL LIMIT :few
    """
)
UNTOLD = query(
    """/* erasing.untold */
    SELECT c.id, c.kind, c.low_id + c.high_id - m.user_id AS peer_id
    FROM members m JOIN conversations c ON c.id = m.conversation_id
    WHERE m.user_id = :me AND c.kind <> 'self' AND c.id > :after ORDER BY c.id LIMIT :few
    """
)
TOLD = query("/* erasing.told */ UPDATE users SET told_upto = :upto WHERE id = :me")
NEWEST = query("/* erasing.newest */ SELECT COALESCE(MAX(id), 0) AS id FROM entries")
WRITTEN = query(
    """/* erasing.written */
    SELECT id, conversation_id, seq, event, kind, user_id, target_seq, recalled_at, data FROM entries
    WHERE id > :after AND id <= :upto AND (user_id = :me OR data LIKE :named) ORDER BY id
    """
)
ERASE = query(
    """/* erasing.erase */
    UPDATE entries SET content = '', data = NULL, client_id = NULL, recalled_at = COALESCE(recalled_at, :now)
    WHERE id = :id
    """
)
BLANK_EDITS = query(
    """/* erasing.blank_edits */
    UPDATE entries SET content = ''
    WHERE conversation_id = :conversation_id AND target_seq = :seq AND event = 'edit'
    """
)
REWRITE = query("/* erasing.rewrite */ UPDATE entries SET data = :data WHERE id = :id")
REACTIONS_TO = query(
    "/* erasing.reactions_to */ DELETE FROM reactions WHERE conversation_id = :conversation_id AND seq = :seq"
)
REACTIONS_BY = query(
    """/* erasing.reactions_by */
    DELETE FROM reactions WHERE conversation_id = :conversation_id AND seq = :seq AND user_id = :me
    """
)
UNPIN = query("/* erasing.unpin */ DELETE FROM pins WHERE conversation_id = :conversation_id AND seq = :seq")
REACHED = query("/* erasing.reached */ UPDATE users SET erased_upto = :upto WHERE id = :me")
MOMENTS = query("/* erasing.moments */ SELECT id FROM moments WHERE user_id = :me LIMIT :few")
END_MOMENTS = (
    query("/* erasing.moment_images */ DELETE FROM moment_images WHERE moment_id IN :ids"),
    query("/* erasing.moment_likes */ DELETE FROM moment_likes WHERE moment_id IN :ids"),
    query("/* erasing.moment_comments */ DELETE FROM moment_comments WHERE moment_id IN :ids"),
    query("/* erasing.moment */ DELETE FROM moments WHERE id IN :ids"),
)
HAND_ON = query(
    """/* erasing.hand_on */
    UPDATE files SET user_id = (
        SELECT e.user_id FROM attachments a JOIN entries e ON e.conversation_id = a.conversation_id AND e.seq = a.seq
        WHERE a.file_id = files.id ORDER BY e.id LIMIT 1
    )
    WHERE user_id = :me AND EXISTS (SELECT 1 FROM attachments a WHERE a.file_id = files.id)
    """
)
FACELESS = query(
    """/* erasing.faceless */
    UPDATE groups SET avatar_file_id = NULL WHERE avatar_file_id IN (SELECT id FROM files WHERE user_id = :me)
    """
)
FILES = query("/* erasing.files */ SELECT id FROM files WHERE user_id = :me LIMIT :few")
OWN_LOG = query("/* erasing.own_log */ SELECT id FROM conversations WHERE low_id = :me AND high_id = :me")
END_LOG = (
    query("/* erasing.log_reactions */ DELETE FROM reactions WHERE conversation_id = :id"),
    query("/* erasing.log_pins */ DELETE FROM pins WHERE conversation_id = :id"),
    query("/* erasing.log_deletions */ DELETE FROM deletions WHERE conversation_id = :id"),
    query("/* erasing.log_entries */ DELETE FROM entries WHERE conversation_id = :id"),
    query("/* erasing.log_members */ DELETE FROM members WHERE conversation_id = :id"),
    query("/* erasing.log */ DELETE FROM conversations WHERE id = :id"),
)
ANSWERS = query(
    """/* erasing.answers */
    SELECT client_id, user_id, CASE WHEN reply LIKE :named THEN reply END AS reply FROM requests
    WHERE (client_id, user_id) > (:after, :after_id) ORDER BY client_id, user_id LIMIT :most
    """
)
FORGET_ANSWERS = query("/* erasing.forget_answers */ DELETE FROM requests WHERE user_id = :me AND client_id IN :ids")
REWRITE_ANSWER = query(
    """/* erasing.rewrite_answer */
    UPDATE requests SET reply = :reply WHERE client_id = :client_id AND user_id = :user_id
    """
)
UPLOADS = query("/* erasing.uploads */ DELETE FROM uploads WHERE user_id = :me RETURNING token")
REST = (
    query("/* erasing.friend_requests */ DELETE FROM friend_requests WHERE from_id = :me OR to_id = :me"),
    query("/* erasing.blocks */ DELETE FROM blocks WHERE user_id = :me OR blocked_id = :me"),
    query("/* erasing.likes */ DELETE FROM moment_likes WHERE user_id = :me"),
    query("/* erasing.comments */ DELETE FROM moment_comments WHERE user_id = :me"),
    query("/* erasing.join_requests */ DELETE FROM join_requests WHERE user_id = :me"),
    query("/* erasing.deletions */ DELETE FROM deletions WHERE user_id = :me"),
    query("/* erasing.group_links */ DELETE FROM group_links WHERE user_id = :me"),
    query("/* erasing.invites */ DELETE FROM invites WHERE user_id = :me"),
    query("/* erasing.invited */ UPDATE users SET invited_by = NULL WHERE invited_by = :me"),
    query("/* erasing.sessions */ DELETE FROM sessions WHERE user_id = :me"),
)
ERASED = query(
    """/* erasing.erased */
    UPDATE users SET username = :name, username_key = :name, invited_by = NULL, last_seen_at = NULL, erased_at = :now
    WHERE id = :me
    """
)

_NAMED = (
    ("user_id", "username"),
    ("from_user_id", "from_username"),
    ("to_user_id", "to_username"),
    ("by_user_id", "by_username"),
    ("peer_id", "peer_username"),
)
"""The fields of events that say who somebody is: the id, and the name."""


_FIRST = ("", 0)
"""Before the first answer that is kept for a retry."""


def renamed(data: Any, user_id: int, name: str) -> Any:
    """The JSON of an event in which this user has this name, and has noted nothing."""
    if isinstance(data, list):
        return [renamed(one, user_id, name) for one in data]
    if not isinstance(data, dict):
        return data
    changed = {key: renamed(value, user_id, name) for key, value in data.items()}
    for key, named in _NAMED:
        if data.get(key) == user_id and named in data:
            changed[named] = name
            if "note" in data and key in ("user_id", "from_user_id"):
                changed["note"] = ""
    return changed


class Eraser:
    """Erases the accounts that were deleted. `publish` tells who is concerned what a transaction did."""

    def __init__(self, transactions: Transactions, uploads: Uploads, publish: Callable[[Context, None], None]) -> None:
        self._transactions = transactions
        self._uploads = uploads
        self._publish = publish
        self._answers_after = self._answers_next = _FIRST
        self._tokens: list[str] = []

    async def go_on(self, hub: Hub) -> None:
        """Do the next piece, and more while nobody else writes."""
        while hub.leaving:
            hub.leaving, ctx = await self._transactions.in_writer(self.step)
            self._answers_after = self._answers_next  # only now it is sure that these are gone
            hub.erased |= hub.leaving
            self._publish(ctx, None)
            while self._tokens:
                await self._uploads.drop(self._tokens.pop())
            if self._transactions.database.busy:
                return

    async def step(self, ctx: Context) -> tuple[bool, Context]:
        """One piece. Whether there may be more, and what is to be published."""
        user = await ctx.db.one(LEAVING)
        if user is None:
            return False, ctx
        ctx = dataclasses.replace(ctx, identity=Identity(user["id"], user["username"], session_id=0))
        for part in (_friends, _groups, _tell, _entries, _moments, _files, _own_log, self._answers):
            if await part(ctx, user):
                return True, ctx
        self._tokens += [row["token"] for row in await ctx.db.all(UPLOADS, me=user["id"])]
        for statement in REST:
            await ctx.db.run(statement, me=user["id"])
        await ctx.db.run(ERASED, me=user["id"], name=_name(user), now=ctx.now)
        return True, ctx

    async def _answers(self, ctx: Context, user: Row) -> bool:
        after, after_id = self._answers_after
        rows = await ctx.db.all(ANSWERS, after=after, after_id=after_id, named=_named(user), most=ENTRIES)
        for row in rows:
            if row["user_id"] != user["id"] and row["reply"] is not None:
                reply = orjson.dumps(renamed(orjson.loads(row["reply"]), user["id"], _name(user))).decode()
                await ctx.db.run(REWRITE_ANSWER, client_id=row["client_id"], user_id=row["user_id"], reply=reply)
        mine = [row["client_id"] for row in rows if row["user_id"] == user["id"]]
        if mine:
            await ctx.db.run(FORGET_ANSWERS, me=user["id"], ids=mine)
        is_last = len(rows) < ENTRIES
        self._answers_next = _FIRST if is_last else (rows[-1]["client_id"], rows[-1]["user_id"])
        return not is_last


def _name(user: Row) -> str:
    """What whoever was erased is called: no username has a # in it."""
    return f"deleted#{user['id']}"


def _named(user: Row) -> str:
    """The pattern of JSON in which the user may be named."""
    return f"%{orjson.dumps(user['username']).decode()}%"


async def _friends(ctx: Context, user: Row) -> bool:
    friends = await ctx.db.all(FRIENDS, me=user["id"], few=FEW)
    for friend in friends:
        other = await ctx.db.one(USER_BY_ID, id=friend["id"])
        if other is None:
            raise NotFound
        await relations.unfriend(ctx, other)
    return bool(friends)


async def _groups(ctx: Context, user: Row) -> bool:
    groups = await ctx.db.all(GROUPS, me=user["id"], few=FEW)
    for group in groups:
        await memberships.leave(ctx, group["conversation_id"], user, "left")
        if group["role"] == "owner":
            await memberships.inherit(ctx, group["conversation_id"])
    return bool(groups)


async def _tell(ctx: Context, user: Row) -> bool:
    """Say in each log that all of the user's messages are gone, so that devices which have them forget them."""
    untold = await ctx.db.all(UNTOLD, me=user["id"], after=user["told_upto"], few=FEW)
    erasure = events.Erasure(user_id=user["id"], username=_name(user))
    for conversation in untold:
        to = None if conversation["kind"] == "group" else (conversation["peer_id"],)
        await log.append_to(ctx, conversation["id"], erasure, to=to)
    if untold:
        await ctx.db.run(TOLD, me=user["id"], upto=untold[-1]["id"])
    return bool(untold)


async def _entries(ctx: Context, user: Row) -> bool:
    """Everything that any log holds of the user, a stretch of all logs at a time."""
    after = user["erased_upto"]
    newest = await ctx.db.one(NEWEST)
    if newest is None or after >= newest["id"]:
        return False
    upto = after + ENTRIES
    for entry in await ctx.db.all(WRITTEN, me=user["id"], after=after, upto=upto, named=_named(user)):
        where = {"conversation_id": entry["conversation_id"], "seq": entry["seq"]}
        if entry["user_id"] == user["id"] and entry["event"] == "message":
            if entry["recalled_at"] is None:
                await fulltext.forget(ctx, entry)
            await ctx.db.run(ERASE, id=entry["id"], now=ctx.now)
            for statement in (BLANK_EDITS, REACTIONS_TO, UNPIN):
                await ctx.db.run(statement, **where)
            await filing.detach(ctx, **where)
            continue
        if entry["user_id"] == user["id"] and entry["event"] == "reaction":
            reacted = {"conversation_id": entry["conversation_id"], "seq": entry["target_seq"]}
            await ctx.db.run(REACTIONS_BY, me=user["id"], **reacted)
        if entry["data"] is not None:
            data = orjson.dumps(renamed(orjson.loads(entry["data"]), user["id"], _name(user))).decode()
            await ctx.db.run(REWRITE, id=entry["id"], data=data)
    await ctx.db.run(REACHED, me=user["id"], upto=min(upto, newest["id"]))
    return True


async def _moments(ctx: Context, user: Row) -> bool:
    moments = [row["id"] for row in await ctx.db.all(MOMENTS, me=user["id"], few=FEW)]
    for statement in END_MOMENTS if moments else ():
        await ctx.db.run(statement, ids=moments)
    return bool(moments)


async def _files(ctx: Context, user: Row) -> bool:
    await ctx.db.run(HAND_ON, me=user["id"])
    await ctx.db.run(FACELESS, me=user["id"])
    files = [row["id"] for row in await ctx.db.all(FILES, me=user["id"], few=FEW)]
    await filing.unnamed(ctx, files)
    await filing.forget(ctx, files)
    return bool(files)


async def _own_log(ctx: Context, user: Row) -> bool:
    own = await ctx.db.one(OWN_LOG, me=user["id"])
    if own is None:
        return False
    for statement in END_LOG:
        await ctx.db.run(statement, id=own["id"])
    return True
