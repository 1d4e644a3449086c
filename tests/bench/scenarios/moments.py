"""moments: how fast the timeline comes, whoever posts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.bench import feeds
from tests.bench.bench import Bench
from tests.bench.feeds import PATIENT, READER, TALKER, Posted
from tests.bench.figures import Figure, at_most, percentile
from tests.bench.load import Client, users
from tests.bench.process import check, daemon
from tests.bench.seed import copied

PAGE = 50
MOST = 5.0
"""Milliseconds in which the half of all pages come."""


async def _median(client: Client, times: int, op: str, expected: Sequence[Posted], **fields: Any) -> float:
    """The p50 of the time that a page takes, in ms."""
    latencies = []
    for _ in range(times):
        begun = time.perf_counter()
        page = await client.ask(op, limit=PAGE, **fields)
        latencies.append(time.perf_counter() - begun)
        feeds.verify(page, expected)
    return percentile(latencies, 0.5) * 1000


async def measure_moments(bench: Bench) -> list[Figure]:
    """One reader, one request at a time."""
    sizes = bench.sizes
    bench.say(f"moments: writing {sizes.moments} of them")
    shown = feeds.seed(bench.folder("seed"), moments=sizes.moments, friends=sizes.moments_friends)
    bench.say("moments: chatd check")
    await check(bench.path("seed"))
    middle = len(shown) // 2
    of_talker = [posted for posted in shown if posted.author == TALKER]
    alone = [Posted(1, "first", 0, 0, 0)]
    asked: list[tuple[str, str, str, Sequence[Posted], dict[str, Any]]] = [
        (f"{sizes.moments_friends:,} friends: page of 50, p50", READER, "moments", shown[:PAGE], {}),
        (
            "page of 50 from the middle, p50",
            READER,
            "moments",
            shown[middle : middle + PAGE],
            {"before_moment_id": shown[middle - 1].moment_id},
        ),
        (f"{sizes.moments_friends:,} friends who never post, p50", PATIENT, "moments", alone, {}),
        ("one who posts all the time, p50", READER, "moments_of", of_talker[:PAGE], {"user": TALKER}),
    ]
    found: dict[str, list[float]] = {name: [] for name, *_ in asked}
    for run in range(sizes.runs):
        bench.say(f"moments: run {run + 1} of {sizes.runs}")
        async with (
            daemon(copied(bench.path("seed"), bench.folder("run")), cores=bench.cores) as server,
            users(server.url, [READER, PATIENT]) as (reader, patient),
        ):
            clients = {READER: reader, PATIENT: patient}
            for name, who, op, expected, fields in asked:
                await _median(clients[who], 1, op, expected, **fields)
                times = sizes.moments_requests
                found[name].append(await _median(clients[who], times, op, expected, **fields))
    return [Figure("moments", name, "ms", tuple(found[name]), at_most(MOST)) for name, *_ in asked]
