"""indexing: what it costs those who write that their messages can be found."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.bench.babble import Babble
from tests.bench.bench import Bench
from tests.bench.figures import Broken, Figure, Target, at_most, percentile, ratios
from tests.bench.ledger import text
from tests.bench.light import Light
from tests.bench.load import users
from tests.bench.names import pairs
from tests.bench.process import daemon
from tests.bench.seed import NAME, copied, seeding
from tests.bench.talk import Spent, talk

SENTENCES = 5_000
"""So many different ones are said, in turn."""

STALL = 15.0
"""Seconds without any progress after which the index is not going to be complete."""

_BEHIND = """
SELECT (SELECT MAX(id) FROM entries) - COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'indexed'), 0)
"""


@dataclass(frozen=True, slots=True)
class _Run:
    """Light load and then pairs, on one daemon after another."""

    light: Light
    light_cpu: float
    """Of the server, in seconds, until the index is complete."""
    pairs: Spent
    behind: int
    """Entries that the index does not know when all messages are acknowledged."""
    seconds: float
    """Until it knows them."""
    cpu: float
    """Of the server in that time, in seconds."""


def _writer() -> Callable[[int], str]:
    babble = Babble(11)
    sentences = [babble.sentence() for _ in range(SENTENCES)]
    return lambda number: text(number, 0) + sentences[number % SENTENCES]


async def _caught_up(connection: sqlite3.Connection) -> int:
    """Wait until the index knows every message. Returns how many it did not know. Raises `Broken` where it stalls."""
    at_first = before = connection.execute(_BEHIND).fetchone()[0]
    moved = time.monotonic()
    while before:
        await asyncio.sleep(0.02)
        behind = connection.execute(_BEHIND).fetchone()[0]
        if behind != before:
            before, moved = behind, time.monotonic()
        elif time.monotonic() - moved > STALL:
            raise Broken(f"the index stays {behind} entries behind")
    return int(at_first)


async def _measure(bench: Bench, people: Sequence[tuple[str, str]], *, index: bool) -> _Run:
    sizes, write = bench.sizes, _writer()
    folder = copied(bench.path("seed"), bench.folder("run"))
    async with (
        daemon(folder, cores=bench.cores, search={"index": index}) as server,
        users(server.url, [name for pair in people for name in pair]) as clients,
        contextlib.AsyncExitStack() as stack,
    ):
        connection = stack.enter_context(contextlib.closing(sqlite3.connect(folder / NAME)))
        light, cpu = Light(clients, people, write=write), server.cpu()
        await light.run(asyncio.Event(), seconds=sizes.light_seconds)
        if index:
            await _caught_up(connection)
        light_cpu = server.cpu_since(cpu)
        spent, ledger = await talk(server, clients, people, sizes.pairs_messages, write=write)
        if not index:
            return _Run(light, light_cpu, spent, 0, 0.0, 0.0)
        cpu, begun = server.cpu(), time.perf_counter()
        behind = await _caught_up(connection)
        seconds, cpu = time.perf_counter() - begun, server.cpu_since(cpu)
        page = await clients[0].ask("search", q=text(ledger.each - 1, 0))
        if len(page["messages"]) < len(people[0]):
            raise Broken(f"of the last message of each of two people the index knows {len(page['messages'])}")
        return _Run(light, light_cpu, spent, behind, seconds, cpu)


async def measure_indexing(bench: Bench) -> list[Figure]:
    """Light load and pairs, of sentences, with the index and without it."""
    people = pairs(bench.sizes.pairs)
    with seeding(bench.folder("seed")) as seeded:
        seeded.users([name for pair in people for name in pair])
        seeded.friends(people)
    on: list[_Run] = []
    off: list[_Run] = []
    for run in range(bench.sizes.runs):
        for runs in (on, off):
            which = "with" if runs is on else "without"
            bench.say(f"indexing: {which} the index, run {run + 1} of {bench.sizes.runs}")
            runs.append(await _measure(bench, people, index=runs is on))

    def compared(name: str, unit: str, of: Callable[[_Run], float], target: Target | None = None) -> list[Figure]:
        with_it, without = tuple(map(of, on)), tuple(map(of, off))
        return [
            Figure("indexing", f"{name}, without = 1", "×", ratios(with_it, without), target),
            Figure("indexing", f"{name}, with the index", unit, with_it),
            Figure("indexing", f"{name}, without", unit, without),
        ]

    def ms(latencies: Iterable[float], share: float) -> float:
        return percentile(list(latencies), share) * 1000

    return [
        *compared("light: ack p50", "ms", lambda run: ms(run.light.acks.values(), 0.5), at_most(1.15)),
        *compared("light: ack p99", "ms", lambda run: ms(run.light.acks.values(), 0.99)),
        *compared("light: CPU per message", "µs", lambda run: run.light_cpu / len(run.light.acks) * 1e6),
        *compared("pairs: ack p50", "ms", lambda run: ms(run.pairs.acks, 0.5), at_most(1.15)),
        *compared("pairs: ack p99", "ms", lambda run: ms(run.pairs.acks, 0.99)),
        *compared("pairs: CPU per message", "µs", lambda run: run.pairs.cpu_each),
        *compared("pairs: messages a second", "/s", lambda run: run.pairs.rate),
        Figure("indexing", "pairs: entries behind afterwards", "", tuple(float(run.behind) for run in on)),
        Figure("indexing", "pairs: until they are indexed", "s", tuple(run.seconds for run in on)),
        Figure(
            "indexing", "pairs: CPU per entry indexed", "µs", tuple(run.cpu / (run.behind or 1) * 1e6 for run in on)
        ),
    ]
