"""cold: how long a daemon takes to be there, and what it takes with nobody connected."""

from __future__ import annotations

import asyncio

from tests.bench.bench import Bench
from tests.bench.figures import Figure, at_most
from tests.bench.process import daemon
from tests.bench.seed import copied, seeding


async def measure_cold(bench: Bench) -> list[Figure]:
    """Started again and again, on a database that is there already. The first start, which compiles, does not count."""
    with seeding(bench.folder("seed")) as seeded:
        seeded.users(["ann"])
    started: list[float] = []
    own: list[float] = []
    resident: list[float] = []
    for run in range(bench.sizes.cold_starts + 1):
        bench.say(f"cold: start {run} of {bench.sizes.cold_starts}")
        async with daemon(copied(bench.path("seed"), bench.folder("run")), cores=bench.cores) as server:
            await asyncio.sleep(0.3)
            if run:
                started.append(server.started_in * 1000)
                own.append(server.pss() / 1e6)
                resident.append(server.rss() / 1e6)
    return [
        Figure("cold", "from exec to ready", "ms", tuple(started), at_most(300.0)),
        Figure("cold", "memory with nobody connected (PSS)", "MB", tuple(own), at_most(40.0)),
        Figure("cold", "memory with nobody connected, shared pages in full (RSS)", "MB", tuple(resident)),
    ]
