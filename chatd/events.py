"""What happened, as clients hear it.

A durable event is an entry in the log of the conversation it names: it carries `conversation_id` and `seq`,
live and in `sync` alike. A `receipt` carries a pointer instead, and short-lived events no `seq`. Pure data.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from chatd.record import record
from chatd.wire import Time

T = TypeVar("T")

EVENTS: dict[str, type[Any]] = {}
"""Every event by its name on the wire."""


def has_docstring(data: type[Any]) -> bool:
    """Whether somebody wrote one: where nobody did, `@dataclass` puts the signature."""
    return bool(data.__doc__) and not (data.__doc__ or "").startswith(f"{data.__name__}(")


FLEETING: set[type[Any]] = set()
"""Events that are never stored, and the first to be dropped."""


def event(name: str, *, is_fleeting: bool = False) -> Any:
    """Register a dataclass as the data of the event `name`. Raises TypeError for a duplicate or missing docstring."""

    def register(data: type[T]) -> type[T]:
        if name in EVENTS or not has_docstring(data):
            raise TypeError(f"event {name}: registered twice, or without a docstring")
        EVENTS[name] = data
        if is_fleeting:
            FLEETING.add(data)
        return data

    return register


def name_of_type(data: type[Any]) -> str:
    """The wire's name of an event. Raises TypeError for what is no event."""
    for name, known in EVENTS.items():
        if known is data:
            return name
    raise TypeError(f"{data.__name__} is no event")


@record
class Person:
    """A user, by id and name."""

    user_id: int
    username: str


@record
class File:
    """A file. `url` and `thumbnail_url` are paths on this server that need no token for an hour or two.

    `type` is the media type, found in the content; `width` and `height` are pixels, upright; what there is not is null.
    """

    file_id: int
    name: str
    type: str
    size: int
    width: int | None
    height: int | None
    duration_ms: int | None
    url: str
    thumbnail_url: str | None


@event("message")
@record
class Message:
    """Somebody wrote. `client_id` is there for the sender's own devices only; `to_user_id` in direct conversations.

    `reply_to` is the id of another message of the conversation. `forwarded_from` says who wrote what is passed on.
    With `recalled_at`, which only `sync` gives, nothing is left of it.
    """

    message_id: int
    from_user_id: int
    from_username: str
    to_user_id: int | None
    kind: str
    content: str
    created_at: Time
    client_id: str | None = None
    reply_to: int | None = None
    mentions: tuple[Person, ...] = ()
    mentions_all: bool = False
    forwarded_from: Person | None = None
    file: File | None = None
    recalled_at: Time | None = None


@event("edit")
@record
class Edit:
    """The author changed a message's text. `content` is empty where the message was recalled since."""

    message_id: int
    message_seq: int
    from_user_id: int
    from_username: str
    content: str
    edited_at: Time


@event("recall")
@record
class Recall:
    """A message was taken back: text, mentions, what it replied to, reactions and pin are gone; its place stays.

    `by_user_id` is its author, or an admin of the group.
    """

    message_id: int
    message_seq: int
    by_user_id: int
    by_username: str
    recalled_at: Time


@event("erasure")
@record
class Erasure:
    """A member's account was erased: every message of theirs before this is as if recalled, every reaction withdrawn.

    `username` is what they are called from now on, also in what was said before.
    """

    user_id: int
    username: str


@event("reaction")
@record
class Reaction:
    """Somebody put an emoji to a message (`on`), or took it away."""

    message_id: int
    message_seq: int
    user_id: int
    username: str
    emoji: str
    on: bool


@event("pin")
@record
class Pin:
    """A message was pinned to its conversation, or is no longer."""

    message_id: int
    message_seq: int
    by_user_id: int
    by_username: str
    on: bool


@event("delete")
@record
class Delete:
    """I deleted a message of the conversation `of_id` for myself, on some device; stands in my `self` log."""

    of_id: int
    message_id: int
    message_seq: int


@event("hidden")
@record
class Hidden:
    """An entry that I may not see, given so that the log has no hole.

    It came while I was not in the group, or is about a message that I may not see or have deleted for myself.
    """


@event("friend_request")
@record
class FriendRequest:
    """A friend request was made or answered; stands in the `self` log of both."""

    request_id: int
    from_user_id: int
    from_username: str
    to_user_id: int
    to_username: str
    note: str
    status: Literal["pending", "accepted", "rejected"]
    created_at: Time


@event("friend")
@record
class Friend:
    """A friendship began or ended, or its remark changed; stands in the `self` log of whom it concerns."""

    state: Literal["added", "removed", "remark"]
    user_id: int
    username: str
    direct_conversation_id: int | None = None
    remark: str | None = None


@event("block")
@record
class Block:
    """I blocked or unblocked somebody; stands in my `self` log alone."""

    user_id: int
    username: str
    blocked: bool


@event("conversation")
@record
class Conversation:
    """I am in a new conversation, `opened_id`; stands in my `self` log. Its first entry for me is `from_seq`.

    After I left a group and came back, `from_seq` is the entry of my return; what was said before I left I still have.
    """

    opened_id: int
    kind: Literal["direct", "group"]
    peer_id: int | None
    peer_username: str | None
    title: str | None
    from_seq: int


@event("conversation_settings")
@record
class ConversationSettings:
    """I changed my own settings of a conversation, `of_id`, on some device; stands in my `self` log."""

    of_id: int
    silent: bool
    pinned: bool


@event("group")
@record
class Group:
    """A group was made, changed or dissolved; stands in its log. What is null has not changed.

    `avatar_file_id` is 0 where it has none any more; `group_get` and `conversations` give a link to it.
    """

    action: Literal["created", "changed", "dissolved"]
    by_user_id: int
    by_username: str
    title: str | None = None
    notice: str | None = None
    joining: Literal["open", "approve", "invite"] | None = None
    avatar_file_id: int | None = None


@event("member")
@record
class Member:
    """Somebody came into a group, went, got another role or may not write for a time; stands in the group's log.

    `left` and `removed` are the last entry that those `users` see.
    """

    action: Literal["joined", "added", "left", "removed", "role", "muted", "unmuted"]
    users: tuple[Person, ...]
    by_user_id: int
    by_username: str
    role: Literal["member", "admin", "owner"] | None = None
    muted_until: Time | None = None


@event("join_request")
@record
class JoinRequest:
    """Somebody asks to be let into a group; stands in the `self` log of its owner and admins, and of who asks.

    `closed` says that it was answered or withdrawn; who was let in hears `conversation` too.
    """

    group_id: int
    title: str
    user_id: int
    username: str
    note: str
    state: Literal["pending", "closed"]


@event("moment")
@record
class Moment:
    """Something happened to a moment: ask `moment_get`, `moment_comments` for what there is. Stands in `self` logs.

    I hear what I do myself, on any device; who likes or comments on what I posted, or replies to a comment of mine, if
    I may see it; and when such a comment is deleted. Of who likes again what was liked once I do not hear.
    """

    action: Literal["posted", "deleted", "liked", "unliked", "commented", "comment_deleted"]
    moment_id: int
    by_user_id: int
    by_username: str
    comment_id: int | None = None


ERASING = ("deleted", "comment_deleted")
"""Where a moment's `action` is one of these, something was erased."""


@event("profile")
@record
class Profile:
    """I changed my profile or settings, on some device; stands in my `self` log. Ask `profile` for the new state."""

    changed: tuple[str, ...]


@event("session")
@record
class Session:
    """One of my sessions began or ended; stands in my `self` log."""

    action: Literal["opened", "ended"]
    session_id: int
    device: str | None


@event("receipt")
@record
class Receipt:
    """A member's pointers moved. Not in the log: `sync` gives the pointers as they stand."""

    user_id: int
    read_seq: int
    delivered_seq: int


@event("join", is_fleeting=True)
@record
class Join:
    """Somebody I may see has come. Short-lived, as the next three: never stored, and dropped first; `online` tells all.

    They come to friends and to members of shared groups of at most `[presence] largest_group` members.
    """

    user_id: int
    username: str
    status: Literal["online", "away", "dnd", "offline"]
    text: str


@event("leave", is_fleeting=True)
@record
class Leave:
    """Somebody I may see has gone, or does not want to be seen."""

    user_id: int
    username: str
    last_seen: Time | None


@event("presence", is_fleeting=True)
@record
class Presence:
    """Somebody I may see shows another status, or other words."""

    user_id: int
    username: str
    status: Literal["online", "away", "dnd", "offline"]
    text: str


@event("typing", is_fleeting=True)
@record
class Typing:
    """Somebody types in this conversation, or has stopped. Without another one for 6 seconds it is over."""

    user_id: int
    username: str
    on: bool


NAMES = {data: name for name, data in EVENTS.items()}
"""The wire's name of each event."""
