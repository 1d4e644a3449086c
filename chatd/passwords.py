"""bcrypt, in threads of its own: hashing never stalls the loop, and what may wait for it is bounded."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from typing import TypeVar

import bcrypt

from chatd import background
from chatd.errors import Busy

T = TypeVar("T")


def _digest(password: str) -> bytes:
    # bcrypt takes at most 72 bytes and older ones stopped at a NUL: it sees 44 characters of base64 instead.
    return base64.b64encode(hashlib.sha256(password.encode()).digest())


def hash_password(password: str, *, cost: int) -> str:
    """The bcrypt hash of a password, for the database. Slow on purpose."""
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds=cost)).decode("ascii")


def matches(password: str, hashed: str) -> bool:
    """Whether the password has this hash. Slow on purpose."""
    return bcrypt.checkpw(_digest(password), hashed.encode("ascii"))


def is_hash(stored: bytes) -> bool:
    """Whether this is what `hash_password` gives, and not another kind of digest."""
    return len(stored) == 60 and stored.startswith(b"$2b$")


class Passwords:
    """The hashing threads. `cost` is bcrypt's, `waiting` how many calls may be queued or under way."""

    def __init__(self, *, cost: int, threads: int, waiting: int) -> None:
        self._cost = cost
        self._most = waiting
        self._waiting = 0
        self._pool = background.threads(threads, "chatd-password")
        # A salt and no digest: nothing matches it, and checking that takes as long as any other.
        self._nobody = bcrypt.gensalt(rounds=cost).decode("ascii") + "." * 31

    async def hash(self, password: str) -> str:
        """The hash of a new password. Raises `Busy`."""
        return await self._in_thread(lambda: hash_password(password, cost=self._cost))

    async def check(self, password: str, hashed: str | None) -> bool:
        """Whether the password has this hash; for None (no such user) False after as long a time. Raises `Busy`."""
        return await self._in_thread(lambda: matches(password, hashed or self._nobody)) and hashed is not None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads; what waits for them is given up."""
        self._pool.shutdown(wait=False, cancel_futures=True)
