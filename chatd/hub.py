"""The hub: which live connections are whose, and who hears what happens in a group. Plain dictionaries, pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Protocol

from chatd.presence import OFFLINE, Shown, taken_together
from chatd.session import Session
from chatd.wire import Outgoing

TYPING_AGAIN = 3000
"""Milliseconds after which it is told again that somebody types, whether still or once more."""


class Listener(Protocol):
    """A live connection, as far as the hub is concerned."""

    session: Session

    def hear(self, outgoing: Outgoing) -> None:
        """Queue an event."""
        ...

    def glimpse(self, outgoing: Outgoing) -> None:
        """Queue a short-lived event, or drop it where others wait."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        ...


class Hub:
    """user → live connections, and group → its members, for the groups in which something has happened lately.

    Who the members are is learned from the transaction of what happens, and follows the changes from then on.
    """

    def __init__(self, *, groups: int = 10_000) -> None:
        # Tuples, made anew when somebody comes or goes: publishing may close a connection while it iterates.
        self._of: dict[int, tuple[Listener, ...]] = {}
        self._members: OrderedDict[int, set[int]] = OrderedDict()
        self._groups = groups
        self._typing: OrderedDict[tuple[int, int], tuple[bool, int | None]] = OrderedDict()
        self.moved: dict[int, None] = {}
        """Users whose presence may have changed, in order. Whoever tells the others begins a new one."""
        self.told: dict[int, Shown] = {}
        """What the others were last told of each user who is there, or went less than the grace ago."""
        self.partings = 0
        """How often somebody has lost sight of somebody: a friendship or a membership ended, or one blocked another."""

        self.delivered = 0
        """How many events were given to connections."""
        self.erased = False
        """Whether something was erased since the write-ahead log was last emptied."""
        self.leaving = True
        """Whether an account may be waiting to be erased: at the beginning, and when one was deleted."""
        self.said = False
        """Whether something was written since the indexer last looked."""

    def add(self, user_id: int, listener: Listener) -> None:
        """The connection is this user's."""
        self._of[user_id] = (*self.of(user_id), listener)
        self.moved[user_id] = None

    def remove(self, user_id: int, listener: Listener) -> None:
        """The connection is this user's no more."""
        self.moved[user_id] = None
        others = tuple(one for one in self.of(user_id) if one is not listener)
        if others:
            self._of[user_id] = others
        else:
            self._of.pop(user_id, None)

    @property
    def users(self) -> int:
        """How many users have a live connection."""
        return len(self._of)

    def is_online(self, user_id: int) -> bool:
        """Whether the user has a live connection."""
        return user_id in self._of

    def of(self, user_id: int) -> tuple[Listener, ...]:
        """The user's live connections, in the order they came."""
        return self._of.get(user_id, ())

    def shown(self, user_id: int) -> Shown:
        """What a user's live devices show."""
        return taken_together(listener.session.choice for listener in self.of(user_id))

    def seen(self, user_id: int) -> Shown:
        """What whoever asks is told of a user: who has gone, but of whom the others were not told yet, is still there.

        Asked from the database's threads too.
        """
        shown = self.shown(user_id)
        return self.told.get(user_id, OFFLINE) if shown is OFFLINE else shown

    def chose(self, user_id: int) -> None:
        """One of the user's devices shows something else now."""
        self.moved[user_id] = None

    def typed(self, user_id: int, conversation_id: int, *, on: bool, now: int) -> bool:
        """Whether that somebody types, or has stopped, is news. `now` is in milliseconds."""
        key = (user_id, conversation_id)
        was_on, told_at = self._typing.pop(key, (False, None))
        is_news = (told_at is None or abs(now - told_at) >= TYPING_AGAIN) if on else was_on
        self._typing[key] = (on and (is_news or was_on), now if on and is_news else told_at)
        if len(self._typing) > self._groups:
            self._typing.popitem(last=False)
        return is_news

    def session_ids(self) -> set[int]:
        """The sessions that are live."""
        return {listener.session.identity.session_id for mine in self._of.values() for listener in mine}

    def of_session(self, user_id: int, session_id: int) -> Iterator[Listener]:
        """The live connections of one session of a user."""
        return (one for one in self.of(user_id) if one.session.identity.session_id == session_id)

    # Groups

    def knows(self, conversation_id: int) -> bool:
        """Whether the members of a group are known. Asked from the database's threads too."""
        return conversation_id in self._members

    def learn(self, conversation_id: int, user_ids: Iterable[int]) -> None:
        """Who the members of a group are; what is known already is newer."""
        if conversation_id not in self._members:
            self._members[conversation_id] = set(user_ids)

    def enter(self, conversation_id: int, user_ids: Iterable[int]) -> None:
        """These are members from now on."""
        if (members := self._members.get(conversation_id)) is not None:
            members.update(user_ids)

    def leave(self, conversation_id: int, user_ids: Iterable[int]) -> None:
        """These are members no more."""
        if (members := self._members.get(conversation_id)) is not None:
            members.difference_update(user_ids)

    def audience(self, conversation_id: int) -> set[int]:
        """The members of a group who are online. Raises KeyError for a group whose members are not known."""
        self._members.move_to_end(conversation_id)
        return self._members[conversation_id] & self._of.keys()  # walks the smaller of the two

    def forget(self) -> None:
        """Forget the groups in which nothing has happened for longest, past a bound. Not while anything is written."""
        while len(self._members) > self._groups:
            self._members.popitem(last=False)

    def __iter__(self) -> Iterator[Listener]:
        """Every connection that is somebody's."""
        return (one for mine in tuple(self._of.values()) for one in mine)
