"""A file that may be hostile, read within bounds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MOST_BYTES = 4 * 1024 * 1024
"""How much of one file is looked at."""

_READ_COSTS = 1024
"""A read counts as so many bytes at least: 4096 reads of a file."""

_LOOK_COSTS = 32
"""The same for what is in memory already."""


class Broken(Exception):
    """The file does not have what its headers promise, or more than its bound would have to be read."""


@dataclass(slots=True)
class Measures:
    """What is found of a file, filled in while it is read: what stands before a broken place counts."""

    width: int | None = None
    height: int | None = None
    duration_ms: float | None = None
    looks: bool | None = None
    """Whether one of its tracks is to be looked at; None if it has no tracks."""

    def turn(self) -> None:
        """It is shown lying on its side."""
        self.width, self.height = self.height, self.width


class Source:
    """Bytes by their place in the file. Every read is within the file and within what is left of `MOST_BYTES`."""

    def __init__(self, file: BinaryIO, *, costs: int = _READ_COSTS) -> None:
        self._file = file
        self._costs = costs
        self._left = MOST_BYTES
        self.size = file.seek(0, io.SEEK_END)

    @classmethod
    def of(cls, part: bytes) -> Source:
        """A part that has been read, by its own places."""
        return cls(io.BytesIO(part), costs=_LOOK_COSTS)

    def read(self, at: int, count: int) -> bytes:
        """Exactly these bytes. Raises `Broken`."""
        found = self.upto(at, count)
        if len(found) < count:
            raise Broken
        return found

    def upto(self, at: int, count: int) -> bytes:
        """So many bytes or those that there are. Raises `Broken`."""
        if not 0 <= at <= self.size:
            raise Broken
        count = min(count, self.size - at)
        self._left -= max(count, self._costs)
        if count < 0 or self._left < 0:
            raise Broken
        self._file.seek(at)
        found = self._file.read(count)
        if len(found) < count:  # it has become shorter
            raise Broken
        return found

    def big(self, at: int, count: int) -> int:
        """An unsigned integer of so many bytes, the most significant first. Raises `Broken`."""
        return int.from_bytes(self.read(at, count), "big")

    def little(self, at: int, count: int) -> int:
        """An unsigned integer of so many bytes, the least significant first. Raises `Broken`."""
        return int.from_bytes(self.read(at, count), "little")

    def riff(self, at: int) -> Iterator[tuple[bytes, int, int]]:
        """The chunks of a RIFF file from a place on: name, where the content begins, how long it says to be.

        It ends with the file. Raises `Broken`.
        """
        while at + 8 <= self.size:
            header = self.read(at, 8)
            length = int.from_bytes(header[4:], "little")
            yield header[:4], at + 8, length
            at += 8 + length + length % 2
