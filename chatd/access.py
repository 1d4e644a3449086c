"""Who may ask for an op: checked in the op's own transaction, so that nothing changes between check and act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from chatd import log, names
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import (
    Blocked,
    ChatError,
    Forbidden,
    Invalid,
    Muted,
    NotFound,
    NotFriends,
    NotMember,
    Phrase,
    Recalled,
    Unreachable,
)
from chatd.op import Asks
from chatd.wire import rfc3339


@dataclass(frozen=True, slots=True)
class Anyone:
    """Everybody, authenticated or not."""

    asks: ClassVar[Asks] = "anyone"
    raises: ClassVar[Sequence[type[ChatError]]] = ()
    gives: ClassVar[None] = None

    async def check(self, ctx: Context, request: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Guest(Anyone):
    """Connections that have no identity yet."""

    asks: ClassVar[Asks] = "guest"


@dataclass(frozen=True, slots=True)
class Self(Anyone):
    """A user, about what is that user's own."""

    asks: ClassVar[Asks] = "user"


USER_BY_KEY = query("/* access.user_by_key */ SELECT * FROM users WHERE username_key = :key")
USER_BY_ID = query("/* access.user_by_id */ SELECT * FROM users WHERE id = :id")


async def find_user(ctx: Context, *, name: str | None, user_id: int | None, field: str) -> Row:
    """The user named by username or by id. Raises `NotFound`, or `Invalid` where neither or both are given."""
    if (name is None) == (user_id is None):
        raise Invalid(
            field=field, expected=Phrase(f"or {field}_id is required, not both", f"与 {field}_id 须且只能填一个")
        )
    if name is not None:
        user = await ctx.db.one(USER_BY_KEY, key=names.key(name))
    else:
        user = await ctx.db.one(USER_BY_ID, id=user_id)
    if user is None:
        raise NotFound(field=field if name is not None else f"{field}_id")
    return user


async def find_other(ctx: Context, *, name: str | None, user_id: int | None, field: str) -> Row:
    """The user named, who must not be the asker. Raises `NotFound`, `Invalid`."""
    user = await find_user(ctx, name=name, user_id=user_id, field=field)
    if user["id"] == ctx.user_id:
        raise Invalid(field=field, expected=Phrase("must be somebody else", "不能是您自己"))
    return user


Role = Literal["member", "admin", "owner"]
RANKS: dict[Role, int] = {"member": 0, "admin": 1, "owner": 2}
"""Who may touch whom: only those below oneself."""


class Membership(NamedTuple):
    """The asker's place in a conversation, and the other member where it is direct.

    `last_seq` is the last entry the asker may see: of who has left a group, the one of the leaving.
    """

    conversation_id: int
    kind: Literal["self", "direct", "group"]
    role: Role
    last_seq: int
    from_seq: int
    read_seq: int
    delivered_seq: int
    has_left: bool
    peer_id: int | None
    shows_receipts: bool
    """Whether the two see each other's pointers: both allow it, and neither has blocked the other. In a group, whether
    the asker allows it."""
    hearers: tuple[int, ...] | None
    """Who hears what happens in it, the asker last; None for the members of a group."""


MEMBERSHIP = query(
    """/* access.membership */
    SELECT c.id, c.kind, c.last_seq, m.role, m.from_seq, m.until_seq, m.muted_until, m.read_seq, m.delivered_seq,
           m.user_id, u.receipts,
           p.id AS peer_id, p.username AS peer_username, p.receipts AS peer_receipts, p.disabled_at AS peer_disabled_at,
           f.user_id AS friend, mine.user_id AS blocked, theirs.user_id AS blocked_by
    FROM members m
    JOIN conversations c ON c.id = m.conversation_id
    JOIN users u ON u.id = m.user_id
    LEFT JOIN users p ON c.kind = 'direct' AND p.id = c.low_id + c.high_id - m.user_id
    LEFT JOIN friends f ON f.user_id = m.user_id AND f.friend_id = p.id
    LEFT JOIN blocks mine ON mine.user_id = m.user_id AND mine.blocked_id = p.id
    LEFT JOIN blocks theirs ON theirs.user_id = p.id AND theirs.blocked_id = m.user_id
    WHERE m.user_id = :me AND m.conversation_id = COALESCE(CAST(:conversation_id AS BIGINT), (
        SELECT d.id FROM users named
        JOIN conversations d ON d.low_id = CASE WHEN named.id < :me THEN named.id ELSE CAST(:me AS BIGINT) END
                            AND d.high_id = CASE WHEN named.id < :me THEN CAST(:me AS BIGINT) ELSE named.id END
        WHERE named.username_key = :key
    ))
    """
)


async def membership(ctx: Context, conversation_id: int) -> Membership:
    """The asker's place in a conversation. Raises `NotFound`."""
    row = await ctx.db.one(MEMBERSHIP, me=ctx.user_id, conversation_id=conversation_id, key=None)
    if row is None:
        raise NotFound(field="conversation_id")
    return _membership(row)


def _membership(row: Row) -> Membership:
    until, peer_id = row["until_seq"], row["peer_id"]
    return Membership(
        conversation_id=row["id"],
        kind=row["kind"],
        role=row["role"],
        last_seq=row["last_seq"] if until is None else until,
        from_seq=row["from_seq"],
        read_seq=row["read_seq"],
        delivered_seq=row["delivered_seq"],
        has_left=until is not None,
        peer_id=peer_id,
        shows_receipts=bool(row["receipts"] and (row["peer_receipts"] or row["kind"] == "group"))
        and row["blocked"] is None
        and row["blocked_by"] is None,
        hearers=None if row["kind"] == "group" else (row["user_id"],) if peer_id is None else (peer_id, row["user_id"]),
    )


CONVERSATION_WITH_USER = query(
    """/* access.conversation_with_user */
    SELECT id FROM conversations WHERE low_id = :low_id AND high_id = :high_id
    """
)
STANDING = query(
    """/* access.standing */
    SELECT p.username AS peer_username, p.disabled_at AS peer_disabled_at,
           f.user_id AS friend, mine.user_id AS blocked, theirs.user_id AS blocked_by
    FROM users p
    LEFT JOIN friends f ON f.user_id = :me AND f.friend_id = p.id
    LEFT JOIN blocks mine ON mine.user_id = :me AND mine.blocked_id = p.id
    LEFT JOIN blocks theirs ON theirs.user_id = p.id AND theirs.blocked_id = :me
    WHERE p.id = :peer_id
    """
)


@dataclass(frozen=True, slots=True)
class InGroup:
    """A present member of the group that the request names by `conversation_id`, in this role or a higher one.

    To anybody else the group does not exist.
    """

    role: Role = "member"
    asks: ClassVar[Asks] = "user"
    gives: ClassVar[type[Membership]] = Membership

    @property
    def raises(self) -> Sequence[type[ChatError]]:
        return (NotFound, NotMember) if self.role == "member" else (NotFound, NotMember, Forbidden)

    async def check(self, ctx: Context, request: Any) -> Membership:
        """The membership. Raises `NotFound` for strangers, `NotMember` for who has left, or `Forbidden`."""
        at = await membership(ctx, request.conversation_id)
        if at.kind != "group":
            raise NotFound(field="conversation_id")
        if at.has_left:
            raise NotMember
        if RANKS[at.role] < RANKS[self.role]:
            raise Forbidden
        return at


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the conversation that the request names, by id or by the user of a direct one.

    To anybody else the conversation does not exist. `may="post"` asks also for the right to write in it, and opens
    the direct conversation with a user where there is none and `[messages] direct` is `anyone`, unless `opens` is off.
    """

    may: Literal["read", "post"] = "read"
    opens: bool = True
    asks: ClassVar[Asks] = "user"
    gives: ClassVar[type[Membership]] = Membership

    @property
    def raises(self) -> Sequence[type[ChatError]]:
        if self.may == "post":
            return (NotFound, NotFriends, Blocked, Unreachable, NotMember, Muted)
        return (NotFound,)

    async def check(self, ctx: Context, request: Any) -> Membership:
        """The membership. Raises `NotFound` for a stranger; for `post` also `NotFriends`, `Blocked`, `Unreachable`."""
        conversation_id: int | None = request.conversation_id
        name, user_id = self._user(request)
        if conversation_id is not None and (name is not None or user_id is not None):
            raise Invalid(
                field="conversation_id",
                expected=Phrase(f"or {self._field} is required, not both", f"与 {self._field} 须且只能填一个"),
            )
        key = None if name is None or user_id is not None else names.key(name)
        row = await ctx.db.one(MEMBERSHIP, me=ctx.user_id, conversation_id=conversation_id, key=key)
        if row is None and conversation_id is None:
            conversation_id = await self._conversation_with_user(ctx, request)
            row = await ctx.db.one(MEMBERSHIP, me=ctx.user_id, conversation_id=conversation_id, key=None)
        if row is None:
            raise NotFound(field="conversation_id")
        if self.may == "post":
            _may_write(ctx, row)
        return _membership(row)

    async def check_all(self, ctxs: Sequence[Context], requests: Sequence[Any]) -> list[Membership | ChatError]:
        """`check` for each, once where a user names a conversation again. One that is refused gets its `ChatError`."""
        found: dict[tuple[Any, ...], Membership | ChatError] = {}
        results = []
        for ctx, request in zip(ctxs, requests, strict=True):
            name, user_id = self._user(request)
            about = (ctx.identity.user_id, request.conversation_id, name, user_id)
            if (result := found.get(about)) is None:
                try:
                    result = await self.check(ctx, request)
                except ChatError as error:
                    result = error.with_traceback(None)
                found[about] = result
            results.append(result)
        return results

    @property
    def _field(self) -> str:
        return "to_user" if self.may == "post" else "user"

    def _user(self, request: Any) -> tuple[str | None, int | None]:
        if self.may == "post":
            return request.to_user, request.to_user_id
        return request.user, request.user_id

    async def _conversation_with_user(self, ctx: Context, request: Any) -> int:
        field = self._field
        name, user_id = self._user(request)
        if name is None and user_id is None:
            raise Invalid(
                field="conversation_id",
                expected=Phrase(f"or {field} or {field}_id is required", f"、{field}、{field}_id 须填其一"),
            )
        user = await find_user(ctx, name=name, user_id=user_id, field=field)
        low_id, high_id = sorted((ctx.user_id, user["id"]))
        row = await ctx.db.one(CONVERSATION_WITH_USER, low_id=low_id, high_id=high_id)
        if row is not None:
            return int(row["id"])
        if self.may == "read" or not self.opens:
            raise NotFound(field=field if name is not None else f"{field}_id")
        if ctx.config.messages.direct == "friends":
            raise NotFriends(field=field, username=user["username"])
        await may_write_to(ctx, user)  # before anything is changed
        return await log.open_direct(ctx, user)


READABLE = query("/* access.readable */ SELECT * FROM readable WHERE viewer_id = :me AND id = :message_id")


class Target(NamedTuple):
    """The message that a request is about, a row of the view `readable`, and the asker's place where it stands."""

    at: Membership
    message: Row


@dataclass(frozen=True, slots=True)
class OfMessage:
    """Who sees the message that the request names by `message_id`. To anybody else it does not exist.

    `may="post"` asks also for the right to write where it stands, and that it has not been recalled.
    """

    may: Literal["read", "post"] = "read"
    asks: ClassVar[Asks] = "user"
    gives: ClassVar[type[Target]] = Target

    @property
    def raises(self) -> Sequence[type[ChatError]]:
        if self.may == "post":
            return (NotFound, Recalled, NotFriends, Blocked, Unreachable, NotMember, Muted)
        return (NotFound,)

    async def check(self, ctx: Context, request: Any) -> Target:
        """The message. Raises `NotFound`; for `post` also what forbids to write there, and `Recalled`."""
        message = await readable(ctx, request.message_id, field="message_id")
        row = await ctx.db.one(MEMBERSHIP, me=ctx.user_id, conversation_id=message["conversation_id"], key=None)
        if row is None:
            raise LookupError("who reads a conversation is in it")
        if self.may == "post":
            _may_write(ctx, row)
            if message["recalled_at"] is not None:
                raise Recalled(field="message_id")
        return Target(_membership(row), message)


async def readable(ctx: Context, message_id: int, *, field: str) -> Row:
    """A message that the asker sees, as a row of the view `readable`. Raises `NotFound`."""
    row = await ctx.db.one(READABLE, me=ctx.user_id, message_id=message_id)
    if row is None:
        raise NotFound(field=field)
    return row


async def may_write_to(ctx: Context, user: Row) -> None:
    """Raise `Blocked`, `NotFriends` or `Unreachable` where the asker may not write to another user."""
    standing = await ctx.db.one(STANDING, me=ctx.user_id, peer_id=user["id"])
    if standing is None:
        raise LookupError(f"user {user['id']} does not exist")
    _may_post(ctx, standing)


def _may_write(ctx: Context, row: Row) -> None:
    """Raise what forbids to write into the conversation of a row of `MEMBERSHIP`, where something does."""
    if row["kind"] == "direct":
        _may_post(ctx, row)
    elif row["until_seq"] is not None:
        raise NotMember
    elif row["muted_until"] is not None and row["muted_until"] > ctx.now:
        raise Muted(until=rfc3339(row["muted_until"]), retry_after_ms=row["muted_until"] - ctx.now)


def _may_post(ctx: Context, row: Row) -> None:
    """Raise the error of writing to the peer in a row of `MEMBERSHIP` or `STANDING`, where there is one."""
    username = row["peer_username"]
    if row["blocked"] is not None:
        raise Blocked(username=username)
    if row["friend"] is None and ctx.config.messages.direct == "friends":
        raise NotFriends(username=username)
    if row["blocked_by"] is not None or row["peer_disabled_at"] is not None:
        raise Unreachable(username=username)
