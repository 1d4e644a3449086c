"""Every message counted: acknowledged once, delivered once, in order, and in the database afterwards."""

from __future__ import annotations

import contextlib
import sqlite3
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Broken
from tests.bench.seed import NAME


class Ledger:
    """What became of the messages that each sender numbered 0, 1, 2 … up to `each`."""

    def __init__(self, senders: Sequence[str], each: int) -> None:
        self.senders = senders
        self.each = each
        self.acknowledged = 0
        self.delivered = 0
        self.problems: list[str] = []
        self._index = {name: index for index, name in enumerate(senders)}
        self._acked = [array("q", bytes(8 * each)) for _ in senders]
        self._heard = [array("q", bytes(8 * each)) for _ in senders]
        self._last_acked = [0] * len(senders)
        self._last_heard = [0] * len(senders)

    @property
    def complete(self) -> bool:
        """Whether as many acknowledgements and deliveries came as there are messages."""
        return min(self.acknowledged, self.delivered) >= len(self.senders) * self.each

    @property
    def moved(self) -> int:
        return self.acknowledged + self.delivered

    def ack(self, sender: int, number: int, seq: int) -> None:
        """The sender got the acknowledgement of one message."""
        self.acknowledged += 1
        acked = self._acked[sender]
        if acked[number]:
            self.problems.append(f"{self.senders[sender]}'s message {number} was acknowledged twice")
        if seq <= self._last_acked[sender]:
            self.problems.append(f"{self.senders[sender]}'s message {number} got seq {seq}, which does not increase")
        acked[number] = self._last_acked[sender] = seq

    def hear(self, sender: str, number: int, seq: int) -> None:
        """The sender's peer heard one message."""
        self.delivered += 1
        index = self._index[sender]
        heard = self._heard[index]
        if heard[number]:
            self.problems.append(f"{sender}'s message {number} was delivered twice")
        if seq <= self._last_heard[index]:
            self.problems.append(f"{sender}'s message {number} was heard as seq {seq}, which does not increase")
        heard[number] = self._last_heard[index] = seq

    def settle(self) -> None:
        """Raise `Broken` where a message was not acknowledged and delivered exactly once, under one number."""
        for name, acked, heard in zip(self.senders, self._acked, self._heard, strict=True):
            for number, (given, told) in enumerate(zip(acked, heard, strict=True)):
                if not given:
                    self.problems.append(f"{name}'s message {number} was not acknowledged")
                if not told:
                    self.problems.append(f"{name}'s message {number} was not delivered")
                if given and told and given != told:
                    self.problems.append(f"{name}'s message {number} has seq {given} for one and {told} for the other")
        self._raise()

    def durable(self, folder: Path) -> None:
        """Raise `Broken` where the database does not hold each message once under the number that was acknowledged."""
        with contextlib.closing(sqlite3.connect(folder / NAME)) as connection:
            self.problems += holes(connection)
            found: Counter[tuple[str, int, int]] = Counter()
            for name, content, seq in connection.execute(
                """
                SELECT u.username, e.content, e.seq FROM entries e JOIN users u ON u.id = e.user_id
                WHERE e.event = 'message' AND e.content LIKE '#%'
                """
            ):
                found[name, number_in(content), seq] += 1
        expected = {
            (name, number, seq)
            for name, acked in zip(self.senders, self._acked, strict=True)
            for number, seq in enumerate(acked)
        }
        for name, number, seq in expected - found.keys():
            self.problems.append(f"{name}'s message {number} was acknowledged as seq {seq} and is not in the database")
        for name, number, seq in found.keys() - expected:
            self.problems.append(
                f"{name}'s message {number} stands in the database as seq {seq}, which nobody was told"
            )
        for (name, number, _), times in found.items():
            if times > 1:
                self.problems.append(f"{name}'s message {number} stands in the database {times} times")
        self._raise()

    def _raise(self) -> None:
        if self.problems:
            more = f", and {len(self.problems) - 5} more" if len(self.problems) > 5 else ""
            raise Broken("; ".join(self.problems[:5]) + more)


def holes(connection: sqlite3.Connection) -> list[str]:
    """The conversations whose entries are not numbered 1, 2, 3 … up to their last."""
    return [
        f"conversation {conversation_id} has {count} entries from {first} to {newest}; its last is {last}"
        for conversation_id, last, count, first, newest in connection.execute(
            """
            SELECT c.id, c.last_seq, COUNT(e.id), COALESCE(MIN(e.seq), 1), COALESCE(MAX(e.seq), 0)
            FROM conversations c LEFT JOIN entries e ON e.conversation_id = c.id GROUP BY c.id
            """
        )
        if (count, first, newest) != (last, 1, last)
    ]


def text(number: int, size: int = 100) -> str:
    """A message's content, which tells its number."""
    return f"#{number:07} ".ljust(size, "x")


def number_in(content: str) -> int:
    """The number of the message with this content."""
    return int(content[1:8])
