"""`GET /metrics`: who may read it, and a look at everything that is shown there.

Nothing of this is done for an op; whoever asks pays. What is long, as 5,000 connections are, is looked at a little at
a time, and what waits for the kernel is done in a thread.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import logging
import platform
import shutil
from collections import Counter
from collections.abc import Collection, Mapping
from importlib import metadata
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from chatd import fulltext
from chatd.admission import Admission, Reason, is_among
from chatd.api import bearer
from chatd.config import Config
from chatd.db import sqlite
from chatd.dispatch import Dispatcher
from chatd.errors import BadToken, ChatError
from chatd.exchange import Request
from chatd.hub import Hub
from chatd.phase import Phase
from chatd.tally import Seen

if TYPE_CHECKING:
    from chatd.connection import Connection
    from chatd.exposition import Families
    from chatd.http import HttpConnection

log = logging.getLogger("chatd.metrics")

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of Prometheus' text format."""

AT_ONCE = 500
"""How many connections are looked at in one go."""

PATIENCE = 1.0
"""Seconds that a reader has to say how far the index is; the rest is shown without it."""

STATES = {phase: phase.name.lower() for phase in (Phase.HANDSHAKE, Phase.GUEST, Phase.USER, Phase.CLOSING)}
"""What is shown of a WebSocket's phase."""


class _Outside(NamedTuple):
    """What the kernel and the installation say."""

    database: int
    log: int
    free: int
    build: Mapping[str, str]
    process: Families


class Metrics:
    """Looks at a running daemon. `sockets` and `web` are its connections, of every moment."""

    def __init__(
        self,
        config: Config,
        *,
        dispatcher: Dispatcher,
        hub: Hub,
        admission: Admission,
        sockets: Collection[Connection],
        web: Collection[HttpConnection],
    ) -> None:
        self._config = config
        self._dispatcher = dispatcher
        self._hub = hub
        self._admission = admission
        self._sockets = sockets
        self._web = web
        self._allowed = [ip_network(network, strict=False) for network in config.metrics.allow]

    def may_read(self, request: Request) -> bool:
        """Whether the request comes from an address that may read them, or with the token.

        Whoever comes through a proxy that is not trusted has no address of its own, and the proxy's is not enough.
        """
        hops = request.headers.get("x-forwarded-for")
        is_its_own = hops is None or self._admission.vouches(request.peer, [hops], for_=request.address)
        if is_its_own and is_among(request.address, self._allowed):
            return True
        wanted = self._config.metrics.token
        try:
            token = bearer(request.headers.get("authorization"))
        except BadToken:
            return False
        return bool(wanted) and token is not None and hmac.compare_digest(wanted.encode(), token.encode())

    async def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        outside = await asyncio.to_thread(_look_outside, Path(self._config.database.data))
        seen = await self._look(outside)
        from chatd import exposition  # noqa: PLC0415  (see below)

        pieces = []
        for piece in exposition.pieces(seen, outside.process):
            pieces.append(piece)
            await asyncio.sleep(0)
        return b"".join(pieces)

    async def _look(self, outside: _Outside) -> Seen:
        unindexed = await self._unindexed()
        states: Counter[tuple[str, str]] = Counter({("websocket", state): 0 for state in STATES.values()})
        outbox = largest = 0
        sockets = list(self._sockets)
        for start in range(0, len(sockets), AT_ONCE):
            await asyncio.sleep(0)
            for socket in sockets[start : start + AT_ONCE]:
                if (state := STATES.get(socket.phase)) is not None:
                    states["websocket", state] += 1
                    waiting = socket.outbox()
                    outbox += waiting
                    largest = max(largest, waiting)
        states["http", "open"] = len(self._web)
        tally, database = self._dispatcher.tally, self._dispatcher.transactions.database
        return Seen(
            connections=states,
            users=self._hub.users,
            outbox=outbox,
            largest_outbox=largest,
            seconds={name: histogram.copy() for name, histogram in tally.seconds.items() if histogram.count},
            failures=tally.failures.copy(),
            too_slow=tally.too_slow,
            refused={reason: self._admission.refused[reason] for reason in get_args(Reason)},
            delivered=self._hub.delivered,
            commits=database.commits.copy(),
            waiting=database.waiting,
            unindexed=unindexed,
            database=outside.database,
            log=outside.log,
            free=outside.free,
            build=outside.build,
        )

    async def _unindexed(self) -> int | None:
        if not self._config.search.index:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._dispatcher.transactions.on_reader(fulltext.behind)
        except (ChatError, TimeoutError) as error:
            log.warning("how far the index is cannot be shown: %r", error)
            return None


def _look_outside(folder: Path) -> _Outside:
    """In a thread: the kernel lists each open file, and loading prometheus_client takes 12 ms and 1.2 MB.

    So a daemon that nobody asks does not load it.
    """
    from chatd import exposition  # noqa: PLC0415

    return _Outside(
        database=_size(folder / "chatd.db"),
        log=_size(folder / "chatd.db-wal"),
        free=shutil.disk_usage(folder).free,
        build=_build(),
        process=exposition.process(),
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@functools.cache
def _build() -> Mapping[str, str]:
    try:
        version = metadata.version("chatd")
    except metadata.PackageNotFoundError:  # it runs from where it was unpacked
        version = "unknown"
    return {"version": version, "python": platform.python_version(), "sqlite": sqlite.VERSION}
