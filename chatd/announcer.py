"""Telling friends and the members of shared groups who comes, goes and changes: seldom, in small portions, and only
what they may know when they are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from chatd import events
from chatd.config import Presence
from chatd.context import Context
from chatd.db.query import query
from chatd.hub import Hub
from chatd.presence import Change, Told
from chatd.publish import fleeting
from chatd.transactions import Transactions
from chatd.wire import rfc3339

log = logging.getLogger("chatd.announcer")

PORTION = 25
"""Of how many users it is looked up at once who is to hear of them."""

BREATH = 200
"""After so many deliveries everybody else has a turn."""

ATTEMPTS = 10

NAMES = query("/* announcer.names */ SELECT id, username FROM users WHERE id IN :ids")
AUDIENCE = query(
    """/* announcer.audience */
    SELECT f.user_id, f.friend_id AS hearer_id FROM friends f WHERE f.user_id IN :ids
    UNION
    SELECT m.user_id, o.user_id AS hearer_id
    FROM members m
    JOIN groups g ON g.conversation_id = m.conversation_id AND g.member_count <= :largest
    JOIN members o ON o.conversation_id = m.conversation_id AND o.until_seq IS NULL AND o.user_id <> m.user_id
    WHERE m.user_id IN :ids AND m.until_seq IS NULL
      AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = m.user_id AND b.blocked_id = o.user_id)
      AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = o.user_id AND b.blocked_id = m.user_id)
    """
)


async def audience(ctx: Context, user_ids: Sequence[int]) -> dict[int, list[int]]:
    """Who may know of each of these users' presence and is connected: friends, and members of small shared groups."""
    rows = await ctx.db.all(AUDIENCE, ids=user_ids, largest=ctx.config.presence.largest_group)
    hearers: dict[int, list[int]] = {user_id: [] for user_id in user_ids}
    for row in rows:
        if ctx.hub.is_online(row["hearer_id"]):
            hearers[row["user_id"]].append(row["hearer_id"])
    return hearers


async def _told(ctx: Context, user_ids: Sequence[int]) -> tuple[dict[int, str], dict[int, list[int]], int]:
    names = {row["id"]: row["username"] for row in await ctx.db.all(NAMES, ids=user_ids)}
    return names, await audience(ctx, user_ids), ctx.now


class Announcer:
    """Looks every `[presence] debounce` seconds who has come, gone or changed, and tells."""

    def __init__(self, hub: Hub, transactions: Transactions, config: Presence) -> None:
        self._hub = hub
        self._transactions = transactions
        self._config = config
        self._told = Told(grace=config.grace)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._config.debounce)
            moved, self._hub.moved = self._hub.moved, {}
            if not self._config.enabled:
                continue
            changes = self._told.changes(moved, shown=self._hub.shown, connected=self._hub.is_online, now=loop.time())
            for first in range(0, len(changes), PORTION):
                portion = {change.user_id: change for change in changes[first : first + PORTION]}
                try:
                    await self._tell(portion)
                except Exception:
                    log.exception("some were not told who is there; it goes on")
                self._hub.moved.update(dict.fromkeys(portion))  # who is left in it is looked at again

    async def _tell(self, untold: dict[int, Change]) -> None:
        """Tell of each change who may know of it at this moment, and take it out.

        Where somebody parts meanwhile it is looked up again; of who has moved on, the next tick tells.
        """
        for _ in range(ATTEMPTS):
            partings = self._hub.partings
            names, hearers, now = await self._transactions.on_reader(_told, list(untold))
            deliveries = 0
            for user_id in tuple(untold):
                if partings != self._hub.partings:
                    break
                change = untold.pop(user_id)
                if user_id not in names or self._hub.shown(user_id) != change.shown:
                    continue
                self._told.told(change)
                event = fleeting(_event(change, names[user_id], now))
                for hearer_id in hearers[user_id]:
                    for listener in self._hub.of(hearer_id):
                        listener.glimpse(event)
                        deliveries += 1
                if deliveries >= BREATH:
                    deliveries = 0
                    await asyncio.sleep(0)
            if not untold:
                return
        log.warning("%d users' presence was not told: their friends and groups keep changing", len(untold))


def _event(change: Change, username: str, now: int) -> events.Join | events.Leave | events.Presence:
    if change.event == "leave":
        return events.Leave(change.user_id, username, last_seen=rfc3339(now))
    told = events.Join if change.event == "join" else events.Presence
    return told(change.user_id, username, status=change.shown.status, text=change.shown.text)
