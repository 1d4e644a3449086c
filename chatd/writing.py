"""One writer of an upload: what comes goes to the disk step by step, and leaves the disk to the database in between."""

from __future__ import annotations

import asyncio
import errno
import os
import time

from chatd.errors import WrongOffset

STEP = 128 * 1024
"""Bytes of an upload that are brought to the disk at a time: the database's own write has to wait for them."""

REST = 1.0
"""Times what a step took: so long its upload then leaves the disk to the database."""


class Writing:
    """Somebody writes an upload, from an offset on, until somebody else does."""

    def __init__(self, descriptor: int, offset: int, *, reserve: int) -> None:
        self._descriptor = descriptor
        self._reserve = reserve
        self._lock = asyncio.Lock()
        self._is_open = True
        self.offset = offset

    async def write(self, piece: bytes) -> None:
        """Bring all of it to the disk, step by step."""
        view = memoryview(piece)
        for start in range(0, len(piece), STEP):
            begun = time.monotonic()
            await self._step(view[start : start + STEP])
            await asyncio.sleep(REST * (time.monotonic() - begun))

    async def _step(self, step: memoryview) -> None:
        async with self._lock:
            if not self._is_open:
                raise WrongOffset(offset=str(self.offset))
            await asyncio.to_thread(_write, self._descriptor, step, self.offset, self._reserve)
            self.offset += len(step)

    async def reached(self) -> int:
        """The offset, once a step that is under way is done."""
        async with self._lock:
            return self.offset

    async def close(self, *, back_to: int | None = None) -> None:
        """What was written is on the disk, or it is taken back as far as this offset."""
        async with self._lock:
            if self._is_open:
                self._is_open = False
                await asyncio.to_thread(_close, self._descriptor, back_to)


def _write(descriptor: int, rest: memoryview, offset: int, reserve: int) -> None:
    if _free(descriptor) < reserve + len(rest):
        raise OSError(errno.ENOSPC, "no more than [files] reserve is free")
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written
    os.fdatasync(descriptor)


def _free(descriptor: int) -> int:
    """Bytes that may still be written where this file is."""
    found = os.fstatvfs(descriptor)
    return found.f_bavail * found.f_frsize


def _close(descriptor: int, back_to: int | None) -> None:
    try:
        if back_to is not None:
            os.truncate(descriptor, back_to)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
