"""pairs, light, growth and mixed: people who write to each other."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.figures import Broken, Figure, at_least, at_most, percentile, ratios
from tests.bench.light import Light
from tests.bench.load import Client, users
from tests.bench.names import pairs
from tests.bench.process import daemon, yardstick
from tests.bench.seed import copied, seeding
from tests.bench.talk import Spent, talk

Pairs = Sequence[tuple[str, str]]
Latencies = Mapping[int, float]
HISTORY = 500
"""Messages in each conversation that is being read while others write."""
PAUSE = 0.1
"""Seconds for which a quick reader looks at a page."""


def _names(people: Pairs) -> list[str]:
    return [name for pair in people for name in pair]


def _ms(seconds: Sequence[float], share: float) -> float:
    return percentile(seconds, share) * 1000


def _seeded(folder: Path, people: Pairs, *, stored: int = 0) -> Path:
    with seeding(folder) as seed:
        seed.users(_names(people))
        conversations = seed.friends(people)
        seed.messages(conversations, stored, remembered=True)
    return folder


# pairs


async def _durably(bench: Bench, folder: Path, people: Pairs, messages: int, *, uvloop: bool = False) -> Spent | None:
    """One run on the database in a folder; killed at once after the last acknowledgement, it must have them all.

    None where uvloop is asked for and the daemon has not taken it.
    """
    async with daemon(folder, cores=bench.cores, uvloop=uvloop) as server:
        if uvloop and not server.has_mapped("uvloop"):
            return None
        async with users(server.url, _names(people)) as clients:
            spent, ledger = await talk(server, clients, people, messages)
            await server.end(signal.SIGKILL)
    ledger.durable(folder)
    return spent


async def _forwarded(bench: Bench, people: Pairs, messages: int) -> Spent:
    async with (
        yardstick("forwarder", bench.folder("forwarder"), cores=bench.cores) as server,
        users(server.url, _names(people)) as clients,
    ):
        spent, _ = await talk(server, clients, people, messages)
    return spent


async def measure_pairs(bench: Bench) -> list[Figure]:
    """50 pairs, a window of 8 each: every message acknowledged once, delivered once, and durable."""
    people, messages = pairs(bench.sizes.pairs), bench.sizes.pairs_messages
    seed = _seeded(bench.folder("seed"), people)
    ours: list[Spent] = []
    theirs: list[Spent] = []
    with_uvloop: list[Spent] = []
    for run in range(bench.sizes.runs):
        bench.say(f"pairs: {messages} messages, run {run + 1} of {bench.sizes.runs}")
        spent = await _durably(bench, copied(seed, bench.folder("run")), people, messages)
        if spent is None:
            raise AssertionError("only with uvloop there may be nothing")
        ours.append(spent)
        bench.say(f"pairs: forwarder, run {run + 1} of {bench.sizes.runs}")
        theirs.append(await _forwarded(bench, people, messages))
        bench.say(f"pairs: with uvloop, run {run + 1} of {bench.sizes.runs}")
        faster = await _durably(bench, copied(seed, bench.folder("run")), people, messages, uvloop=True)
        if faster is not None:
            with_uvloop.append(faster)

    def figures(who: str, runs: Sequence[Spent]) -> list[Figure]:
        return [
            Figure("pairs", f"{who}: CPU per message", "µs", tuple(run.cpu_each for run in runs)),
            Figure("pairs", f"{who}: messages a second", "/s", tuple(run.rate for run in runs)),
            Figure("pairs", f"{who}: ack p50", "ms", tuple(_ms(run.acks, 0.5) for run in runs)),
            Figure("pairs", f"{who}: ack p99", "ms", tuple(_ms(run.acks, 0.99) for run in runs)),
            Figure("pairs", f"{who}: load generator's core", "%", tuple(run.load * 100 for run in runs)),
        ]

    def against(who: str, runs: Sequence[Spent]) -> Figure:
        each = ratios([run.cpu_each for run in runs], [run.cpu_each for run in theirs])
        return Figure("pairs", f"{who}: CPU, forwarder = 1", "×", each, at_most(0.9) if runs is ours else None)

    found = [against("chatd", ours), *figures("chatd", ours), *figures("forwarder", theirs)]
    if with_uvloop:
        found += [against("chatd with uvloop", with_uvloop), *figures("chatd with uvloop", with_uvloop)]
    return found


# light


async def measure_light(bench: Bench) -> list[Figure]:
    """200 messages a second, by the clock."""
    people, seconds = pairs(bench.sizes.pairs), bench.sizes.light_seconds
    seed = _seeded(bench.folder("seed"), people)
    ours: list[Light] = []
    theirs: list[Light] = []
    for run in range(bench.sizes.runs):
        bench.say(f"light: {seconds:g} s, run {run + 1} of {bench.sizes.runs}")
        async with daemon(copied(seed, bench.folder("run")), cores=bench.cores) as server:
            ours.append(await _trickle(server.url, people, seconds))
        bench.say(f"light: forwarder, {seconds:g} s, run {run + 1} of {bench.sizes.runs}")
        async with yardstick("forwarder", bench.folder("forwarder"), cores=bench.cores) as server:
            theirs.append(await _trickle(server.url, people, seconds))
    acks = _latencies("ack", [light.acks for light in ours], [light.acks for light in theirs])
    deliveries = _latencies("delivery", [light.deliveries for light in ours], [light.deliveries for light in theirs])
    return [*acks, *deliveries]


def _latencies(what: str, ours: Sequence[Latencies], theirs: Sequence[Latencies]) -> list[Figure]:
    def each(runs: Sequence[Latencies], share: float) -> tuple[float, ...]:
        return tuple(_ms(list(run.values()), share) for run in runs)

    p50s, least = each(ours, 0.5), each(theirs, 0.5)
    above = tuple(p50 - other for p50, other in zip(p50s, least, strict=True))
    return [
        Figure("light", f"chatd: {what} p50 above forwarder's", "ms", above, at_most(0.8)),
        Figure("light", f"chatd: {what} p99", "ms", each(ours, 0.99), at_most(6.0)),
        Figure("light", f"chatd: {what} p50", "ms", p50s),
        Figure("light", f"forwarder: {what} p50", "ms", least),
        Figure("light", f"forwarder: {what} p99", "ms", each(theirs, 0.99)),
    ]


async def _trickle(url: str, people: Pairs, seconds: float) -> Light:
    async with users(url, _names(people)) as clients:
        light = Light(clients, people)
        await light.run(asyncio.Event(), seconds=seconds)
        return light


# growth


async def measure_growth(bench: Bench) -> list[Figure]:
    """Pairs again, with more and more messages already stored."""
    people, messages = pairs(bench.sizes.pairs), bench.sizes.growth_messages
    seeds = {}
    for stored in bench.sizes.growth_stored:
        bench.say(f"growth: writing {stored} messages")
        seeds[stored] = _seeded(bench.folder(f"seed-{stored}"), people, stored=stored)
    spent: dict[int, list[Spent]] = {stored: [] for stored in seeds}
    for run in range(bench.sizes.runs):
        for stored, seed in seeds.items():
            bench.say(f"growth: on {stored} messages, run {run + 1} of {bench.sizes.runs}")
            one = await _durably(bench, copied(seed, bench.folder("run")), people, messages)
            if one is None:
                raise AssertionError("only with uvloop there may be nothing")
            spent[stored].append(one)
    each = {stored: tuple(run.cpu_each for run in runs) for stored, runs in spent.items()}
    smallest, largest = min(each), max(each)
    ratio = Figure(
        "growth",
        f"CPU per message, {largest:,} stored to {smallest:,}",
        "×",
        ratios(each[largest], each[smallest]),
        at_most(1.2),
    )
    return [
        ratio,
        *(Figure("growth", f"CPU per message, {stored:,} stored", "µs", values) for stored, values in each.items()),
    ]


# mixed


class _Readers:
    """People who page back through their history, and look at each page for `pause` seconds."""

    def __init__(self, clients: Sequence[Client], conversation_of: Sequence[str], *, pause: float) -> None:
        self._clients = clients
        self._peers = conversation_of
        self._pause = pause
        self.pages = 0
        self.stop = asyncio.Event()

    async def _read(self, client: Client, peer: str) -> None:
        before: int | None = None
        while not self.stop.is_set():
            page = await client.ask("history", user=peer, **({} if before is None else {"before_seq": before}))
            seqs = [message["seq"] for message in page["messages"]]
            if not seqs or seqs != list(range(seqs[0], seqs[-1] + 1)):
                raise Broken(f"a page of history has the messages {seqs}")
            before = seqs[0] if page["more"] else None
            self.pages += 1
            if self._pause:
                await asyncio.sleep(self._pause)

    async def run(self) -> None:
        """Read until `stop`."""
        async with asyncio.TaskGroup() as group:
            for client, peer in zip(self._clients, self._peers, strict=True):
                group.create_task(self._read(client, peer))


async def measure_mixed(bench: Bench) -> list[Figure]:
    """Half of the people read while the others talk."""
    people, messages = pairs(bench.sizes.pairs), bench.sizes.mixed_messages
    half = len(people) // 2
    talkers, readers = people[:half], people[half:]
    seed = _seeded(bench.folder("seed"), people, stored=HISTORY * len(people))
    pauses = (None, 0.0, PAUSE)
    spent: dict[float | None, list[Spent]] = {pause: [] for pause in pauses}
    pages: dict[float | None, list[float]] = {pause: [] for pause in pauses}
    for run in range(bench.sizes.runs):
        for pause in pauses:
            what = "without readers" if pause is None else f"with readers, {pause:g} s a page"
            bench.say(f"mixed: {what}, run {run + 1} of {bench.sizes.runs}")
            folder = copied(seed, bench.folder("run"))
            async with (
                daemon(folder, cores=bench.cores) as server,
                users(server.url, _names([*talkers, *readers])) as clients,
            ):
                peers = [peer for one, other in readers for peer in (other, one)]
                crowd = _Readers(clients[2 * half :], peers, pause=pause or 0.0)
                async with asyncio.TaskGroup() as group:
                    if pause is not None:
                        group.create_task(crowd.run())
                    one, ledger = await talk(server, clients[: 2 * half], talkers, messages)
                    crowd.stop.set()
                await server.end(signal.SIGKILL)
            ledger.durable(folder)
            spent[pause].append(one)
            pages[pause].append(crowd.pages / one.seconds)
    rates = {pause: [run.rate for run in runs] for pause, runs in spent.items()}
    found = [
        Figure("mixed", "throughput with readers, without = 1", "×", ratios(rates[0.0], rates[None]), at_least(2 / 3)),
        Figure("mixed", f"the same, {PAUSE:g} s a page", "×", ratios(rates[PAUSE], rates[None])),
    ]
    for pause, who in ((None, "without readers"), (0.0, "with readers"), (PAUSE, f"with readers, {PAUSE:g} s a page")):
        found += [
            Figure("mixed", f"{who}: messages a second", "/s", tuple(rates[pause])),
            Figure("mixed", f"{who}: ack p99", "ms", tuple(_ms(run.acks, 0.99) for run in spent[pause])),
        ]
        if pause is not None:
            found.append(Figure("mixed", f"{who}: pages of 50 a second", "/s", tuple(pages[pause])))
    return found
