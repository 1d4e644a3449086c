"""search: how fast anybody finds something among a million messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from tests.bench import searches
from tests.bench.babble import Babble
from tests.bench.bench import Bench
from tests.bench.figures import Figure, Target, at_most, percentile
from tests.bench.load import Client, users
from tests.bench.process import check, daemon
from tests.bench.searches import Sought
from tests.bench.seed import copied

PAGE = 50
MOST = 10.0
"""Milliseconds in which the half of all answers come."""

Latencies = Sequence[tuple[Sought, list[float]]]
"""In ms."""


async def _answers(clients: Mapping[str, Client], everything: Sequence[Sought], rounds: int) -> Latencies:
    """Everybody looks for everything, one after the other, again and again."""
    latencies: list[tuple[Sought, list[float]]] = [(sought, []) for sought in everything]
    for _ in range(rounds):
        for sought, times in latencies:
            begun = time.perf_counter()
            page = await clients[sought.asker].ask("search", q=sought.q, limit=PAGE)
            times.append((time.perf_counter() - begun) * 1000)
            sought.verify(page, after=0, limit=PAGE)
    return latencies


async def measure_search(bench: Bench) -> list[Figure]:
    """People in few and in many conversations look for what is rare and for what is common."""
    sizes, seed, babble = bench.sizes, bench.folder("seed"), Babble(7)
    people, wanted = searches.askers(sizes.search_conversations), searches.queries(babble)
    bench.say(f"search: writing and indexing {sizes.search_messages} messages")
    searches.seed(seed, babble, messages=sizes.search_messages, conversations=sizes.search_conversations)
    bench.say("search: chatd check")
    await check(seed)
    bench.say("search: looking for everything by hand")
    everything = searches.sought(seed, people, wanted)
    runs: list[Latencies] = []
    cpu: list[float] = []
    for run in range(sizes.runs):
        bench.say(f"search: run {run + 1} of {sizes.runs}")
        async with (
            daemon(copied(seed, bench.folder("run")), cores=bench.cores) as server,
            users(server.url, list(people.values())) as connected,
        ):
            clients = dict(zip(people, connected, strict=True))
            for sought in everything if not run else ():
                await sought.follow(clients[sought.asker])
            before = server.cpu()
            runs.append(await _answers(clients, everything, sizes.search_rounds))
            cpu.append(server.cpu_since(before) / (len(everything) * sizes.search_rounds) * 1000)
    found = _figures(list(people), everything, runs)
    return [*found, Figure("search", "everybody: CPU of each search", "ms", tuple(cpu))]


def _figures(people: Sequence[str], everything: Sequence[Sought], runs: Sequence[Latencies]) -> list[Figure]:
    def figure(name: str, share: float, chosen: Callable[[Sought], bool], target: Target | None = None) -> Figure:
        of_runs = ([one for sought, times in run if chosen(sought) for one in times] for run in runs)
        return Figure("search", name, "ms", tuple(percentile(times, share) for times in of_runs), target)

    def of_asker(asker: str, target: Target | None = None) -> Figure:
        return figure(f"{asker}: p50", 0.5, lambda sought: sought.asker == asker, target)

    def of_pair(pair: Sought) -> Figure:
        return figure(f"{pair.told}: p50", 0.5, lambda sought: sought is pair)

    slowest = max(people, key=lambda asker: of_asker(asker).median)
    slow = sorted((of_pair(pair) for pair in everything), key=lambda pair: pair.median, reverse=True)
    return [
        *(of_asker(asker, at_most(MOST) if asker == slowest else None) for asker in people),
        figure("everybody: p50", 0.5, lambda _: True),
        figure("everybody: p99", 0.99, lambda _: True),
        *(pair for pair in slow if pair is slow[0] or pair.median > MOST),
    ]
