"""chatd as a few dictionaries: who may do what, who sees what, and what nobody may see. For tests that hold it beside
the daemon. Times and devices are unknown to it; people go by their usernames.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

RANKS = {"member": 0, "admin": 1, "owner": 2}
EDITABLE = ("text", "encrypted")
END = 2**62

Learn = Callable[[dict[str, Any]], None]
"""Takes from the data of the reply what the daemon alone decides: ids and times."""

TOKEN = re.compile(r"tok\d+x")
"""Every text that people write is one of these, each written once, or has one in it."""


def nothing(data: dict[str, Any]) -> None:
    """There is nothing to learn from the reply."""


class Refused(Exception):
    """The op must fail: with `not_found` if that is the code, else with another error; which one, other tests hold."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Stay:
    """Somebody's place in a conversation. `until` is the last entry of who is in it no more."""

    from_seq: int
    role: str = "member"
    until: int | None = None
    absences: list[tuple[int, int]] = field(default_factory=list)
    title: str | None = None
    is_muted: bool = False
    silent: bool = False
    pinned: bool = False
    read: int = 0
    delivered: int = 0
    joined_at: str = ""

    @property
    def is_in(self) -> bool:
        return self.until is None

    @property
    def last(self) -> int:
        return END if self.until is None else self.until

    def was_there(self, seq: int) -> bool:
        return self.from_seq <= seq <= self.last and not any(a <= seq <= b for a, b in self.absences)


@dataclass(eq=False)
class Conversation:
    """`log` has the event of each entry, and the message that it is about; of a `self` one it is not kept."""

    kind: str
    id: int = 0
    stays: dict[str, Stay] = field(default_factory=dict)
    log: list[tuple[str, Message | None]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    title: str | None = None
    joining: str = "invite"
    is_dissolved: bool = False
    requests: dict[str, str] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)

    def enter(self, event: str, about: Message | None = None) -> int:
        """A new entry. Returns its seq, 0 for one that only the daemon knows."""
        if self.kind == "self":
            return 0
        self.log.append((event, about))
        return len(self.log)

    @property
    def present(self) -> list[str]:
        return [name for name, stay in self.stays.items() if stay.is_in]


@dataclass(eq=False)
class Message:
    """`texts` are (seq, content, time); `reactions` and `pins` the entries that were made of it."""

    place: Conversation
    author: str
    kind: str
    seq: int
    texts: list[tuple[int, str, str]]
    id: int = 0
    reply_to: int | None = None
    mentions: tuple[str, ...] = ()
    mentions_all: bool = False
    forwarded_from: str | None = None
    recalled: int | None = None
    reactions: list[tuple[int, str, str, bool]] = field(default_factory=list)
    pins: list[tuple[int, bool]] = field(default_factory=list)
    deleted_by: set[str] = field(default_factory=set)

    def reactions_now(self, last: int = END, *, logged: bool = False) -> dict[str, set[str]]:
        """Who has put which emoji, as far as entries up to `last` say so. With `logged` those are all that is known;
        else what was taken back since is gone, too."""
        found: dict[str, dict[str, int]] = {}
        for seq, name, emoji, on in self.reactions:
            if logged and seq > last:
                continue
            if on:
                found.setdefault(emoji, {})[name] = seq
            else:
                del found[emoji][name]
        kept = {emoji: {name for name, seq in names.items() if seq <= last} for emoji, names in found.items()}
        return {emoji: names for emoji, names in kept.items() if names}

    def is_pinned(self, last: int = END, *, logged: bool = False) -> bool:
        """The same of its pin."""
        pins = [pin for pin in self.pins if not logged or pin[0] <= last]
        return bool(pins) and pins[-1][1] and pins[-1][0] <= last


class Model:
    """Everything, in memory. Each op changes it and returns what is to be learned from the reply, or raises `Refused`;
    nothing has changed then."""

    def __init__(self) -> None:
        self.people: list[str] = []
        self.friends: set[frozenset[str]] = set()
        self.blocks: set[tuple[str, str]] = set()
        self.asked: dict[tuple[str, str], tuple[int, str]] = {}
        """Friend requests that are pending: id and note by (from, to)."""
        self.conversations: list[Conversation] = []
        self.heard_of: dict[str, set[str]] = {}
        """Titles and notes that somebody was told, and what is that one's alone."""

    # Who sees what

    def own(self, me: str) -> Conversation:
        return next(one for one in self.conversations if one.kind == "self" and me in one.stays)

    def direct(self, me: str, other: str) -> Conversation | None:
        both = {me, other}
        return next((one for one in self.conversations if one.kind == "direct" and set(one.stays) == both), None)

    def of(self, me: str) -> list[Conversation]:
        return [one for one in self.conversations if me in one.stays]

    @property
    def groups(self) -> list[Conversation]:
        return [one for one in self.conversations if one.kind == "group"]

    @property
    def messages(self) -> list[Message]:
        """Those whose id is known, the newest first."""
        known = [message for one in self.conversations for message in one.messages if message.id]
        return sorted(known, key=lambda message: -message.id)

    def sees(self, me: str, message: Message) -> bool:
        stay = message.place.stays.get(me)
        return stay is not None and stay.was_there(message.seq) and me not in message.deleted_by

    def texts(self, me: str, message: Message) -> list[tuple[int, str, str]]:
        """The texts of a message that somebody who sees it may see."""
        if message.recalled is not None:
            return []
        return [text for text in message.texts if text[0] <= message.place.stays[me].last]

    def allowed(self, me: str) -> set[str]:
        """Every token that a frame to somebody may have in it now."""
        tokens = set(self.heard_of[me])
        for place in self.of(me):
            for message in place.messages:
                if self.sees(me, message):
                    tokens.update(token for text in self.texts(me, message) for token in TOKEN.findall(text[1]))
        return tokens

    def tell(self) -> None:
        """Whoever may know a title or a note by now will know it for ever."""
        for group in self.groups:
            for name in self.people:
                is_public = group.joining != "invite" and not group.is_dissolved
                if group.title is not None and (is_public or name in group.present or name in group.requests):
                    self.heard_of[name].add(group.title)
            for asker, note in group.requests.items():
                admins = [name for name in group.present if group.stays[name].role != "member"]
                for name in (asker, *admins):
                    self.heard_of[name].add(note)
        for (asker, other), (_, note) in self.asked.items():
            self.heard_of[asker].add(note)
            if (other, asker) not in self.blocks:
                self.heard_of[other].add(note)

    def message(self, me: str, message: Message, *, logged: bool = False, unaware: bool = False) -> dict[str, Any]:
        """A message as it must look to somebody who sees it. `logged`: to a device that knows nothing but the log up
        to the entry of leaving; `unaware`: even that it was recalled since that."""
        last = message.place.stays[me].last
        recalled = message.recalled is not None and not (unaware and message.recalled > last)
        text = [text for text in message.texts if text[0] <= last][-1]
        reactions = message.reactions_now(last, logged=logged)
        return {
            "id": message.id,
            "from": message.author,
            "kind": message.kind,
            "content": "" if recalled else text[1],
            "created_at": message.texts[0][2],
            "edited_at": None if text is message.texts[0] else text[2],
            "recalled": recalled,
            "reply_to": None if recalled else message.reply_to,
            "mentions": () if recalled else message.mentions,
            "mentions_all": message.mentions_all and not recalled,
            "forwarded_from": None if recalled else message.forwarded_from,
            "reactions": {} if recalled else {emoji: (len(who), me in who) for emoji, who in reactions.items()},
            "pinned": not recalled and message.is_pinned(last, logged=logged),
        }

    def room(
        self, me: str, place: Conversation, *, logged: bool = False, unaware: Callable[[int], bool] = lambda seq: False
    ) -> dict[str, Any]:
        """A conversation as it must look to a member. `unaware`: whether the device does not know that the message of
        this seq was recalled."""
        stay = place.stays[me]
        seen = [message for message in place.messages if self.sees(me, message)]
        return {
            "title": place.title if stay.is_in else stay.title,
            "has_left": not stay.is_in,
            "silent": stay.silent,
            "pinned": stay.pinned,
            "read_seq": stay.read,
            "delivered_seq": stay.delivered,
            "messages": {
                message.seq: self.message(me, message, logged=logged, unaware=logged and unaware(message.seq))
                for message in seen
            },
            "members": {name: place.stays[name].role for name in place.present} if self.lists(me, place) else None,
        }

    @staticmethod
    def lists(me: str, place: Conversation) -> bool:
        """Whether somebody sees who else is there."""
        return place.kind == "group" and place.stays[me].is_in

    def listed(self, me: str, place: Conversation) -> dict[str, Any]:
        """What the list of conversations says beyond that."""
        stay = place.stays[me]
        seen = sorted((one for one in place.messages if self.sees(me, one)), key=lambda one: one.seq)
        last = self.message(me, seen[-1]) if seen else None
        unread = [one for one in seen if one.seq > stay.read and one.author != me and one.recalled is None]
        peer = next((name for name in place.stays if name != me), None) if place.kind == "direct" else None
        known = peer is not None and not self.blocks & {(me, peer), (peer, me)}
        return {
            "kind": place.kind,
            "role": stay.role,
            "peer": peer,
            "member_count": len(place.present) if self.lists(me, place) else None,
            "last_message": None if last is None else (last["id"], last["content"], last["recalled"]),
            "unread_count": len(unread),
            "peer_pointers": (place.stays[peer].read, place.stays[peer].delivered) if peer and known else (None, None),
        }

    def last_seq(self, me: str, place: Conversation) -> int:
        """The last entry of a direct conversation or a group that somebody knows of."""
        return min(len(place.log), place.stays[me].last)

    def replay(self, me: str, place: Conversation) -> list[tuple[int, str]]:
        """The log of a direct conversation or a group from its beginning, as somebody gets it."""
        stay = place.stays[me]
        events = []
        for seq, (event, about) in enumerate(place.log[: self.last_seq(me, place)], 1):
            shown = stay.was_there(seq) if about is None else self.sees(me, about)
            if seq >= stay.from_seq:
                events.append((seq, event if shown else "hidden"))
        return events

    # Who may do what

    @staticmethod
    def _stay(me: str, place: Conversation) -> Stay:
        if me not in place.stays:
            raise Refused("not_found")
        return place.stays[me]

    def _in_group(self, me: str, group: Conversation, role: str = "member") -> Stay:
        stay = self._stay(me, group)
        if group.kind != "group":
            raise Refused("not_found")
        if not stay.is_in:
            raise Refused("not_member")
        if RANKS[stay.role] < RANKS[role]:
            raise Refused("forbidden")
        return stay

    def _below(self, me: str, group: Conversation, name: str) -> Stay:
        if name == me:
            raise Refused("invalid")
        other = group.stays.get(name)
        if other is None or not other.is_in:
            raise Refused("not_found")
        if RANKS[other.role] >= RANKS[group.stays[me].role]:
            raise Refused("forbidden")
        return other

    def may_write_to(self, me: str, other: str) -> None:
        if (me, other) in self.blocks:
            raise Refused("blocked")
        if frozenset((me, other)) not in self.friends:
            raise Refused("not_friends")
        if (other, me) in self.blocks:
            raise Refused("unreachable")

    def _may_write(self, me: str, place: Conversation) -> Stay:
        stay = self._stay(me, place)
        if place.kind == "direct":
            self.may_write_to(me, next(name for name in place.stays if name != me))
        elif not stay.is_in:
            raise Refused("not_member")
        elif stay.is_muted:
            raise Refused("muted")
        return stay

    def _target(self, me: str, message: Message) -> None:
        if not self.sees(me, message):
            raise Refused("not_found")

    def _writable(self, me: str, message: Message) -> Stay:
        self._target(me, message)
        stay = self._may_write(me, message.place)
        if message.recalled is not None:
            raise Refused("recalled")
        return stay

    # People

    def sign_up(self, name: str) -> None:
        self.people.append(name)
        self.heard_of[name] = set()
        self.conversations.append(Conversation("self", stays={name: Stay(0)}))

    def friend_request(self, me: str, other: str, note: str) -> Learn:
        if me == other:
            raise Refused("invalid")
        if frozenset((me, other)) in self.friends:
            raise Refused("already_friends")
        if (me, other) in self.blocks:
            raise Refused("blocked")
        self.heard_of[me].add(note)
        if (other, me) in self.asked and (other, me) not in self.blocks:
            return self._befriend(me, other)

        def learn(data: dict[str, Any]) -> None:
            assert data["state"] == "pending"
            self.asked[me, other] = (data["request_id"], note)

        self.asked[me, other] = (0, note)
        return learn

    def _befriend(self, me: str, other: str) -> Learn:
        self.friends.add(frozenset((me, other)))
        for pair in ((me, other), (other, me)):
            self.asked.pop(pair, None)
        known = self.direct(me, other)
        if known is None:
            known = Conversation("direct", stays={me: Stay(1), other: Stay(1)})
            self.conversations.append(known)

        def learn(data: dict[str, Any]) -> None:
            assert data["state"] == "friends"
            assert known.id in (0, data["conversation_id"])
            known.id = data["conversation_id"]

        return learn

    def friend_respond(self, me: str, pair: tuple[str, str], *, accept: bool) -> Learn:
        asker, other = pair
        if pair not in self.asked or me not in pair or (me == asker and accept):
            raise Refused("not_found")
        if me == other and (me, asker) in self.blocks:
            raise Refused("not_found")
        if accept:
            return self._befriend(me, asker)
        del self.asked[pair]
        return nothing

    def friend_remove(self, me: str, other: str) -> Learn:
        if me == other:
            raise Refused("invalid")
        if frozenset((me, other)) not in self.friends:
            raise Refused("not_found")
        self.friends.discard(frozenset((me, other)))
        return nothing

    def block(self, me: str, other: str) -> Learn:
        if me == other:
            raise Refused("invalid")
        if (me, other) not in self.blocks:
            self.blocks.add((me, other))
            self.asked.pop((me, other), None)
            self.friends.discard(frozenset((me, other)))
        return nothing

    def unblock(self, me: str, other: str) -> Learn:
        if me == other:
            raise Refused("invalid")
        if (me, other) not in self.blocks:
            raise Refused("not_found")
        self.blocks.discard((me, other))
        return nothing

    # Messages

    def send(
        self,
        me: str,
        place: Conversation,
        content: str,
        *,
        kind: str = "text",
        reply_to: Message | None = None,
        mentions: Sequence[str] = (),
    ) -> Learn:
        stay = self._may_write(me, place)
        if reply_to is not None:
            self._target(me, reply_to)
            if reply_to.place is not place:
                raise Refused("not_found")
            if reply_to.recalled is not None:
                raise Refused("recalled")
        if "@all" in mentions and (place.kind != "group" or stay.role == "member"):
            raise Refused("forbidden")
        named = tuple(dict.fromkeys(name for name in mentions if name != "@all"))
        if not set(named) <= set(place.present):
            raise Refused("invalid")
        message = Message(
            place,
            me,
            kind,
            0,
            [(0, content, "")],
            reply_to=None if reply_to is None else reply_to.id,
            mentions=named,
            mentions_all="@all" in mentions,
        )
        return self._post(message)

    def _post(self, message: Message) -> Learn:
        seq = message.seq = message.place.enter("message", message)
        message.place.messages.append(message)
        message.texts = [(seq, message.texts[0][1], "")]

        def learn(data: dict[str, Any]) -> None:
            assert data["conversation_id"] == message.place.id
            assert seq in (0, data["seq"])
            message.id, message.seq = data["message_id"], data["seq"]
            message.texts[0] = (message.seq, message.texts[0][1], data["created_at"])

        return learn

    def forward(self, me: str, message: Message, place: Conversation) -> Learn:
        self._may_write(me, place)
        self._target(me, message)
        if message.recalled is not None:
            raise Refused("recalled")
        content = self.texts(me, message)[-1][1]
        first = message.forwarded_from or message.author
        return self._post(Message(place, me, message.kind, 0, [(0, content, "")], forwarded_from=first))

    def edit(self, me: str, message: Message, content: str) -> Learn:
        self._writable(me, message)
        if message.author != me:
            raise Refused("forbidden")
        if message.kind not in EDITABLE or message.forwarded_from is not None:
            raise Refused("invalid")
        seq = message.place.enter("edit", message)
        place = len(message.texts)
        message.texts.append((seq, content, ""))

        def learn(data: dict[str, Any]) -> None:
            assert data["conversation_id"] == message.place.id
            assert seq in (0, data["seq"])
            message.texts[place] = (data["seq"], content, data["edited_at"])

        return learn

    def recall(self, me: str, message: Message) -> Learn:
        self._target(me, message)
        stay = message.place.stays[me]
        if not stay.is_in:
            raise Refused("not_member")
        if message.author != me:
            author = message.place.stays[message.author]
            if message.place.kind != "group" or stay.role == "member" or RANKS[author.role] >= RANKS[stay.role]:
                raise Refused("forbidden")
        if message.recalled is None:
            message.recalled = message.place.enter("recall", message)
        return nothing

    def delete(self, me: str, message: Message) -> Learn:
        self._target(me, message)
        message.deleted_by.add(me)
        return nothing

    def react(self, me: str, message: Message, emoji: str, *, on: bool) -> Learn:
        self._writable(me, message)
        if (me in message.reactions_now().get(emoji, ())) != on:
            message.reactions.append((message.place.enter("reaction", message), me, emoji, on))
        count = len(message.reactions_now().get(emoji, ()))

        def learn(data: dict[str, Any]) -> None:
            assert data == {"emoji": emoji, "count": count}

        return learn

    def pin(self, me: str, message: Message, *, on: bool) -> Learn:
        stay = self._writable(me, message)
        if message.place.kind == "group" and stay.role == "member":
            raise Refused("forbidden")
        if message.is_pinned() != on:
            message.pins.append((message.place.enter("pin", message), on))
        return nothing

    def edits(self, me: str, message: Message) -> Learn:
        self._target(me, message)
        texts = self.texts(me, message)

        def learn(data: dict[str, Any]) -> None:
            assert [(text["seq"], text["content"], text["created_at"]) for text in data["texts"]] == texts

        return learn

    def pointers(self, me: str, place: Conversation, *, read: int = 0, delivered: int = 0) -> Learn:
        stay = self._stay(me, place)
        if place.kind != "self":
            last = self.last_seq(me, place)
            stay.read = max(stay.read, min(read, last))
            stay.delivered = max(stay.delivered, stay.read, min(delivered, last))

        def learn(data: dict[str, Any]) -> None:
            if place.kind == "self":
                stay.read, stay.delivered = data["read_seq"], data["delivered_seq"]
            assert data["conversation_id"] == place.id

        return learn

    def conversation_set(self, me: str, place: Conversation, **settings: bool) -> Learn:
        stay = self._stay(me, place)
        for name, value in settings.items():
            setattr(stay, name, value)
        expected = {"conversation_id": place.id, "silent": stay.silent, "pinned": stay.pinned}

        def learn(data: dict[str, Any]) -> None:
            assert data == expected

        return learn

    # Groups

    def group_create(self, me: str, title: str, members: Sequence[str], *, joining: str) -> Learn:
        self._people(me, members)
        group = Conversation("group", title=title, joining=joining)
        seq = group.enter("group")
        group.stays[me] = Stay(seq, "owner")
        if members:
            self._enter(group, members)
        self.conversations.append(group)
        count = len(group.present)

        def learn(data: dict[str, Any]) -> None:
            assert (data["title"], data["role"], data["member_count"]) == (title, "owner", count)
            group.id = data["conversation_id"]

        return learn

    def _people(self, me: str, names: Iterable[str]) -> None:
        for name in names:
            if name == me:
                raise Refused("invalid")
            self.may_write_to(me, name)

    @staticmethod
    def _enter(group: Conversation, names: Iterable[str]) -> None:
        names = dict.fromkeys(names)
        if set(names) & set(group.present):
            raise Refused("already_member")
        seq = group.enter("member")
        for name in names:
            stay = group.stays.setdefault(name, Stay(seq))
            if stay.until is not None and stay.until + 1 < seq:
                stay.absences.append((stay.until + 1, seq - 1))
            stay.until, stay.title, stay.role, stay.joined_at = None, None, "member", ""
            stay.read = stay.delivered = seq - 1
            group.requests.pop(name, None)

    def group_add(self, me: str, group: Conversation, names: Sequence[str]) -> Learn:
        self._in_group(me, group, "admin")
        self._people(me, names)
        self._enter(group, names)
        return nothing

    @staticmethod
    def _leave(group: Conversation, name: str, seq: int) -> None:
        stay = group.stays[name]
        stay.until, stay.role, stay.title = seq, "member", group.title

    def group_remove(self, me: str, group: Conversation, name: str) -> Learn:
        self._in_group(me, group, "admin")
        self._below(me, group, name)
        self._leave(group, name, group.enter("member"))
        return nothing

    def group_leave(self, me: str, group: Conversation) -> Learn:
        was_owner = self._in_group(me, group).role == "owner"
        self._leave(group, me, group.enter("member"))
        if was_owner and group.present:
            heirs = sorted(group.present, key=lambda name: self._claim(group, name))
            group.stays[heirs[0]].role = "owner"
            group.enter("member")
        elif was_owner:
            self._dissolve(group)
        return nothing

    def _claim(self, group: Conversation, name: str) -> tuple[int, str, int]:
        stay = group.stays[name]
        return (-RANKS[stay.role], stay.joined_at, self.people.index(name))

    def _dissolve(self, group: Conversation) -> None:
        group.requests.clear()
        seq = group.enter("group")
        for name in group.present:
            self._leave(group, name, seq)
        group.is_dissolved = True

    def group_role(self, me: str, group: Conversation, name: str, role: str) -> Learn:
        mine = self._in_group(me, group, "owner")
        other = self._below(me, group, name)
        if role == "owner":
            mine.role = "admin"
            group.enter("member")
        other.role = role
        group.enter("member")
        return nothing

    def group_mute(self, me: str, group: Conversation, name: str, *, muted: bool) -> Learn:
        self._in_group(me, group, "admin")
        self._below(me, group, name).is_muted = muted
        group.enter("member")
        return nothing

    def group_update(self, me: str, group: Conversation, **changes: str) -> Learn:
        self._in_group(me, group, "admin")
        for name, value in changes.items():
            setattr(group, name, value)
        group.enter("group")
        return nothing

    def group_dissolve(self, me: str, group: Conversation) -> Learn:
        self._in_group(me, group, "owner")
        self._dissolve(group)
        return nothing

    def group_link(self, me: str, group: Conversation, uses: int) -> Learn:
        self._in_group(me, group, "admin")

        def learn(data: dict[str, Any]) -> None:
            group.links[data["token"]] = uses

        return learn

    def group_join(self, me: str, group: Conversation, *, token: str | None = None, note: str = "") -> Learn:
        if group.kind != "group" or group.is_dissolved:
            raise Refused("not_found")
        if token is not None and not group.links.get(token):
            raise Refused("not_found")
        may = "open" if token is not None else group.joining
        if may == "invite":
            raise Refused("not_found")
        if may == "open":
            self._enter(group, [me])
            if token is not None:
                group.links[token] -= 1
        elif me in group.present:
            raise Refused("already_member")
        else:
            group.requests[me] = note
        expected = {"state": "joined" if may == "open" else "pending", "conversation_id": group.id}

        def learn(data: dict[str, Any]) -> None:
            assert data == expected

        return learn

    def group_respond(self, me: str, group: Conversation, name: str, *, accept: bool) -> Learn:
        self._in_group(me, group, "admin")
        if name not in group.requests:
            raise Refused("not_found")
        if accept:
            self._enter(group, [name])
        else:
            del group.requests[name]
        return nothing

    def group_get(self, me: str, group: Conversation) -> dict[str, Any] | None:
        """What anybody is told of a group. None: it does not exist."""
        is_in = me in group.present
        if group.is_dissolved or (group.joining == "invite" and not is_in):
            return None
        role = group.stays[me].role if is_in else None
        told = {"title": group.title, "joining": group.joining, "member_count": len(group.present), "role": role}
        return {**told, "asked": me in group.requests}
