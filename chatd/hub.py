"""The hub: which live connections are whose. Plain dictionaries, synchronous, pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from chatd.session import Session
from chatd.wire import Outgoing


class Listener(Protocol):
    """A live connection, as far as the hub is concerned."""

    session: Session

    def hear(self, outgoing: Outgoing) -> None:
        """Queue an event."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        ...


class Hub:
    """user → live connections."""

    def __init__(self) -> None:
        # Tuples, made anew when somebody comes or goes: publishing may close a connection while it iterates.
        self._of: dict[int, tuple[Listener, ...]] = {}

    def add(self, user_id: int, listener: Listener) -> None:
        """The connection is this user's."""
        self._of[user_id] = (*self.of(user_id), listener)

    def remove(self, user_id: int, listener: Listener) -> None:
        """The connection is this user's no more."""
        others = tuple(one for one in self.of(user_id) if one is not listener)
        if others:
            self._of[user_id] = others
        else:
            self._of.pop(user_id, None)

    def is_online(self, user_id: int) -> bool:
        """Whether the user has a live connection."""
        return user_id in self._of

    def of(self, user_id: int) -> tuple[Listener, ...]:
        """The user's live connections, in the order they came."""
        return self._of.get(user_id, ())

    def session_ids(self) -> set[int]:
        """The sessions that are live."""
        return {listener.session.identity.session_id for mine in self._of.values() for listener in mine}

    def of_session(self, user_id: int, session_id: int) -> Iterator[Listener]:
        """The live connections of one session of a user."""
        return (one for one in self.of(user_id) if one.session.identity.session_id == session_id)

    def __iter__(self) -> Iterator[Listener]:
        """Every connection that is somebody's."""
        return (one for mine in tuple(self._of.values()) for one in mine)
