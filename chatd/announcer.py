"""Telling friends and the members of shared groups who comes, goes and changes: seldom, in small portions, and only
what they may know when they are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from chatd import events
from chatd.config import Presence
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.hub import Hub
from chatd.presence import Change, Told
from chatd.publish import fleeting
from chatd.transactions import Transactions
from chatd.wire import rfc3339_or_none

log = logging.getLogger("chatd.announcer")

PORTION = 25
"""Of how many users it is looked up at once who is to hear of them."""

BREATH = 200
"""After so many deliveries everybody else has a turn."""

ATTEMPTS = 10

USERS = query("/* announcer.users */ SELECT id, username, last_seen_at FROM users WHERE id IN :ids")
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


async def audience(ctx: Context, user_ids: Sequence[int], *, wanted: Callable[[int], bool]) -> dict[int, list[int]]:
    """Who of those `wanted` may know of each of these users' presence: friends, and members of small shared groups."""
    rows = await ctx.db.all(AUDIENCE, ids=user_ids, largest=ctx.config.presence.largest_group)
    hearers: dict[int, list[int]] = {user_id: [] for user_id in user_ids}
    for row in rows:
        if wanted(row["hearer_id"]):
            hearers[row["user_id"]].append(row["hearer_id"])
    return hearers


async def _about(ctx: Context, user_ids: Sequence[int]) -> tuple[dict[int, Row], dict[int, list[int]]]:
    users = {row["id"]: row for row in await ctx.db.all(USERS, ids=user_ids)}
    return users, await audience(ctx, user_ids, wanted=ctx.hub.is_online)


class Announcer:
    """Looks every `[presence] debounce` seconds who has come, gone or changed, and tells."""

    def __init__(self, hub: Hub, transactions: Transactions, config: Presence) -> None:
        self._hub = hub
        self._transactions = transactions
        self._config = config
        self._told = Told(hub.told, grace=config.grace)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._config.debounce)
            moved, self._hub.moved = self._hub.moved, {}
            if not self._config.enabled:
                continue
            changes = self._told.changes(moved, shown=self._hub.shown, now=loop.time())
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
            users, hearers = await self._transactions.on_reader(_about, list(untold))
            deliveries = 0
            for user_id in tuple(untold):
                if partings != self._hub.partings:
                    break
                change = untold.pop(user_id)
                if user_id not in users or self._hub.shown(user_id) != change.shown:
                    continue
                self._told.told(change)
                event = fleeting(_event(change, users[user_id]))
                for hearer_id in hearers[user_id]:
                    for listener in self._hub.of(hearer_id):
                        listener.glimpse(event)
                        deliveries += 1
                        self._hub.delivered += 1
                if deliveries >= BREATH:
                    deliveries = 0
                    await asyncio.sleep(0)
            if not untold:
                return
        log.warning("%d users' presence was not told: their friends and groups keep changing", len(untold))


def _event(change: Change, user: Row) -> events.Join | events.Leave | events.Presence:
    username = user["username"]
    if change.event == "leave":
        return events.Leave(change.user_id, username, last_seen=rfc3339_or_none(user["last_seen_at"]))
    told = events.Join if change.event == "join" else events.Presence
    return told(change.user_id, username, status=change.shown.status, text=change.shown.text)
