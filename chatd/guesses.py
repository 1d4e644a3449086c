"""What slows down who guesses passwords and codes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from chatd.context import Outside
from chatd.errors import TooFast


@contextlib.asynccontextmanager
async def guess(outside: Outside, account_key: str) -> AsyncIterator[None]:
    """An attempt to prove who one is; what is raised within says that it failed. Raises `TooFast`.

    It counts as a failure until it has succeeded, so that many at once are no way around the limits.
    """
    guards = outside.guards
    if too_early := guards.addresses.take(outside.address, outside.now):
        raise TooFast(retry_after_ms=int(too_early * 1000) + 1)
    wait = guards.accounts.wait(account_key, outside.now)
    guards.accounts.failed(account_key, outside.now)
    await asyncio.sleep(wait)
    yield
    guards.accounts.succeeded(account_key)
    guards.addresses.give(outside.address)
