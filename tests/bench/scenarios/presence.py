"""presence: a crowd of friends loses its connections and comes back, while others write to each other."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatd.wire import rfc3339
from tests.bench.bench import Bench
from tests.bench.crowd import gathered, ring
from tests.bench.figures import Broken, Figure, Target, at_most, percentile, ratios
from tests.bench.light import RATE, Light
from tests.bench.load import room_for, users
from tests.bench.names import pairs, token_of
from tests.bench.process import daemon
from tests.bench.scenarios.crowd import MANY
from tests.bench.seed import NAME, copied, seeding

PATIENCE = 3.0
"""Seconds without news after which nobody is going to be told anything more."""

SLACK = 0.2
"""Seconds that telling may take at least; with a debounce of half a second four times that."""

Auths = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Outage:
    """What the others noticed of it, and what it took."""

    acks: Sequence[float]
    """Of the others' messages in the order they were sent, in seconds; so are `deliveries`."""
    deliveries: Sequence[float]
    returns: Sequence[float]
    """Seconds from each one's connecting to knowing who is there."""
    joins: int
    leaves: int
    cpu: float
    """Of the server, as a share of one core, and in `load` of the load generator."""
    load: float


async def _outage(bench: Bench, friends: Mapping[str, Sequence[str]], auths: Auths, *, enabled: bool) -> _Outage:
    sizes = bench.sizes
    people, grace = pairs(sizes.pairs), sizes.presence_grace
    debounce = grace / 10
    presence = {"enabled": enabled, "grace": grace, "debounce": debounce}
    folder = copied(bench.path("seed"), bench.folder("run"))
    async with (
        daemon(folder, cores=bench.cores, server={"connections_per_address": MANY}, presence=presence) as server,
        users(server.url, [name for pair in people for name in pair]) as clients,
    ):
        with gathered(server.url, friends, auths) as crowd:
            await crowd.enter()
            if enabled:
                await crowd.know_all(PATIENCE)
            await crowd.quiet(4 * debounce)
            light, stop = Light(clients, people), asyncio.Event()
            cpu, own, begun = server.cpu(), time.process_time(), time.perf_counter()
            async with asyncio.TaskGroup() as group:
                group.create_task(light.run(stop))
                await crowd.cut()
                await crowd.come_back(sizes.presence_seconds)
                stop.set()
                seconds = time.perf_counter() - begun
                spent, load = server.cpu_since(cpu), time.process_time() - own
            if enabled:
                await crowd.know_all(PATIENCE)
                crowd.were_told(grace=grace, slack=max(SLACK, 4 * debounce))
            joins, leaves = crowd.told
            crowd.unbroken()
            if not enabled and joins + leaves:
                raise Broken("presence is switched off, and yet somebody was told of it")
            return _Outage(
                acks=[seconds for _, seconds in sorted(light.acks.items())],
                deliveries=[seconds for _, seconds in sorted(light.deliveries.items())],
                returns=[person.took for person in crowd.people.values()],
                joins=joins,
                leaves=leaves,
                cpu=spent / seconds,
                load=load / seconds,
            )


def _auths(folder: Path, names: Sequence[str]) -> Auths:
    """The `auth` of each, as a client that has everything already."""
    with contextlib.closing(sqlite3.connect(folder / NAME)) as connection:
        (epoch,) = connection.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()
        cursors: dict[str, dict[str, int]] = {name: {} for name in names}
        for name, conversation_id in connection.execute(
            "SELECT u.username, m.conversation_id FROM members m JOIN users u ON u.id = m.user_id"
        ):
            if name in cursors:
                cursors[name][str(conversation_id)] = 0
    since = rfc3339(time.time_ns() // 1_000_000)
    return {name: {"token": token_of(name), "cursors": cursors[name], "since": since, "epoch": epoch} for name in names}


async def measure_presence(bench: Bench) -> list[Figure]:
    """Friends who all lose their connections at once and come back one after the other, while pairs of others, who
    know none of them, write 200 messages a second. The same again with presence switched off."""
    sizes = bench.sizes
    count, each = sizes.presence_users, sizes.presence_friends
    names = [f"cyd{number:04}" for number in range(count)]
    friends = ring(names, each)
    bench.say(f"presence: making {count * each // 2:,} friendships")
    people = pairs(sizes.pairs)
    with seeding(bench.folder("seed")) as seeded:
        seeded.users([*names, *(name for pair in people for name in pair)])
        seeded.friends([(name, friend) for name in names for friend in friends[name][each // 2 :]])
        seeded.friends(people)
    auths = _auths(bench.path("seed"), names)
    room_for(count + 2 * len(people))
    told: list[_Outage] = []
    silent: list[_Outage] = []
    for run in range(sizes.runs):
        for enabled, outages in ((True, told), (False, silent)):
            bench.say(f"presence: {'on' if enabled else 'off'}, {count:,} users, run {run + 1} of {sizes.runs}")
            outages.append(await _outage(bench, friends, auths, enabled=enabled))
    return [
        *_figures("on", told, at_most(50.0)),
        Figure("presence", "on: joins delivered", "", tuple(float(one.joins) for one in told)),
        Figure("presence", "on: leaves delivered", "", tuple(float(one.leaves) for one in told)),
        *_figures("off", silent, None),
        Figure(
            "presence", "others' ack p99, off = 1", "×", ratios(*(_ms(_acks(them), 0.99) for them in (told, silent)))
        ),
        Figure("presence", "CPU, off = 1", "×", ratios(*([one.cpu for one in them] for them in (told, silent)))),
    ]


def _acks(runs: Sequence[_Outage]) -> list[Sequence[float]]:
    return [one.acks for one in runs]


def _ms(runs: Sequence[Sequence[float]], share: float) -> tuple[float, ...]:
    return tuple(percentile(run, share) * 1000 for run in runs)


def _figures(what: str, runs: Sequence[_Outage], target: Target | None) -> list[Figure]:
    acks, deliveries = _acks(runs), [one.deliveries for one in runs]
    return [
        Figure("presence", f"{what}: others' ack p99", "ms", _ms(acks, 0.99), target),
        Figure("presence", f"{what}: others' delivery p99", "ms", _ms(deliveries, 0.99), target),
        Figure("presence", f"{what}: others' ack p50", "ms", _ms(acks, 0.5)),
        Figure("presence", f"{what}: others' ack p99, the first second", "ms", _ms([one[:RATE] for one in acks], 0.99)),
        Figure("presence", f"{what}: others' ack p99, later", "ms", _ms([one[RATE:] or one for one in acks], 0.99)),
        Figure("presence", f"{what}: others' delivery p50", "ms", _ms(deliveries, 0.5)),
        Figure("presence", f"{what}: from connecting to `online`, p99", "ms", _ms([one.returns for one in runs], 0.99)),
        Figure("presence", f"{what}: CPU", "%", tuple(one.cpu * 100 for one in runs)),
        Figure("presence", f"{what}: load generator's core", "%", tuple(one.load * 100 for one in runs)),
    ]
