"""Every event once and in order, whatever order it comes in. Pure: the client's memory of the logs it follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Follower(Generic[T]):
    """Knows the last seq it has let through of each conversation, and holds back what came too early."""

    def __init__(self, cursors: Mapping[int, int] | None = None) -> None:
        self.cursors: dict[int, int] = dict(cursors or {})
        self._early: dict[int, dict[int, T | None]] = {}

    @property
    def has_hole(self) -> bool:
        """Whether something came that follows on nothing: a `sync` is due."""
        return bool(self._early)

    def offer(self, conversation_id: int, seq: int, item: T | None) -> list[T]:
        """An entry came, live or by `sync`. Returns what may be let through now, in order.

        An item of None counts as an entry and lets nothing through: what the client itself has written.
        """
        cursor = self.cursors.get(conversation_id, 0)
        if seq <= cursor:
            return []
        self._early.setdefault(conversation_id, {}).setdefault(seq, item)
        return self._let_through(conversation_id, cursor)

    def jump(self, conversation_id: int, cursor: int) -> list[T]:
        """`sync` says to go on from here. Returns what may be let through now."""
        self.cursors[conversation_id] = cursor
        return self._let_through(conversation_id, cursor)

    def _let_through(self, conversation_id: int, cursor: int) -> list[T]:
        early = self._early.get(conversation_id)
        if early is None:
            return []
        ready: list[T] = []
        for seq in sorted(early):
            if seq > cursor + 1:
                break
            item = early.pop(seq)
            if seq == cursor + 1:
                cursor = seq
                if item is not None:
                    ready.append(item)
        self.cursors[conversation_id] = cursor
        if not early:
            del self._early[conversation_id]
        return ready
