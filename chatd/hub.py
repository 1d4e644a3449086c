"""The hub: which live connections are whose. Plain dictionaries, synchronous, pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
        self._of: dict[int, dict[Listener, None]] = {}

    def add(self, user_id: int, listener: Listener) -> None:
        """The connection is this user's."""
        self._of.setdefault(user_id, {})[listener] = None

    def remove(self, user_id: int, listener: Listener) -> None:
        """The connection is this user's no more."""
        mine = self._of.get(user_id)
        if mine is not None:
            mine.pop(listener, None)
            if not mine:
                del self._of[user_id]

    def of(self, user_id: int) -> Collection[Listener]:
        """The user's live connections, in the order they came."""
        return self._of.get(user_id, {}).keys()

    def session_ids(self) -> set[int]:
        """The sessions that are live."""
        return {listener.session.identity.session_id for mine in self._of.values() for listener in mine}

    def of_session(self, user_id: int, session_id: int) -> Iterator[Listener]:
        """The live connections of one session of a user."""
        return (one for one in tuple(self.of(user_id)) if one.session.identity.session_id == session_id)

    def __iter__(self) -> Iterator[Listener]:
        """Every connection that is somebody's."""
        return (one for mine in tuple(self._of.values()) for one in tuple(mine))
