"""fanout, idle, auth and logins: many connections."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from functools import partial

import orjson

from chatd.passwords import hash_password
from tests.bench.bench import Bench
from tests.bench.figures import Broken, Figure, at_least, at_most, below, percentile, ratios
from tests.bench.ledger import number_in
from tests.bench.light import Light
from tests.bench.load import Client, finished, guests, users
from tests.bench.names import PASSWORD, pairs, token_of
from tests.bench.process import Server, daemon, yardstick
from tests.bench.seed import copied, seeding
from tests.bench.talk import send_frame

MANY = 100_000
"""More connections than any scenario opens."""

WINDOWS = (1, 8)
"""Messages under way from the one sender: one at a time, and as in `pairs`."""


# fanout


class Audience:
    """The members of a group who are online, of whom the first writes.

    `window` messages are under way at most: sent, and not yet heard by everybody. With a window of one nothing can be
    coalesced, and each delivery costs the server a system call.
    """

    def __init__(self, clients: Sequence[Client], *, conversation_id: int, messages: int, window: int) -> None:
        self._clients = clients
        self._window = window
        self._conversation_id = conversation_id
        self._messages = messages
        self._sent = 0
        self._missing = [len(clients)] * messages
        """How many have yet to hear each message; the sender hears it by the reply."""
        self._heard = [0] * len(clients)
        """How many messages each client has heard."""
        self._done = asyncio.Event()
        for index, client in enumerate(clients):
            client.hear = partial(self._hear, index)

    @property
    def _arrived(self) -> int:
        return sum(self._heard)

    def _hear(self, index: int, payload: bytes) -> None:
        frame = orjson.loads(payload)
        if frame["type"] == "reply":
            number = frame["id"] if frame["success"] and not index else None
        elif frame["event"] == "message":
            number = number_in(frame["data"]["content"]) if index else None
        else:
            return  # who comes and goes is told in small groups
        if number != self._heard[index]:
            raise Broken(f"instead of message {self._heard[index]}, client {index} got {payload[:200]!r}")
        self._heard[index] += 1
        self._missing[number] -= 1
        if not self._missing[number]:
            self._next()
            if not self._missing[-1]:
                self._done.set()

    def _next(self) -> None:
        if self._sent < self._messages:
            self._clients[0].send(send_frame(self._sent, conversation_id=self._conversation_id))
            self._sent += 1

    async def tell(self) -> None:
        """Send all messages. Raises `Broken` where one does not reach everybody once and in order."""
        for _ in range(self._window):
            self._next()
        if not await finished(self._done, self._clients, lambda: self._arrived):
            raise Broken(f"{sum(self._missing)} deliveries did not arrive")


async def _fan_out(
    server: Server, names: Sequence[str], *, conversation_id: int, deliveries: int, window: int
) -> tuple[float, float]:
    """Microseconds of CPU for each delivery, and deliveries a second."""
    others = len(names) - 1
    messages = deliveries // others
    async with users(server.url, names) as clients:
        audience = Audience(clients, conversation_id=conversation_id, messages=messages, window=window)
        cpu, begun = server.cpu(), time.perf_counter()
        await audience.tell()
        seconds = time.perf_counter() - begun
        return server.cpu_since(cpu) / (messages * others) * 1e6, messages * others / seconds


async def measure_fanout(bench: Bench) -> list[Figure]:
    """A large group, some of whose members are online, and one of those writes."""
    members = [f"ann{number:04}" for number in range(bench.sizes.group_members)]
    with seeding(bench.folder("seed")) as seeded:
        seeded.users(members)
        group = seeded.group(members)
    found = []
    for count, window in itertools.product(bench.sizes.fanout_online, WINDOWS):
        online = members[:: len(members) // count]
        what = f"{count:,} of {len(members):,} online, {window} at a time"
        ours: list[tuple[float, float]] = []
        theirs: list[tuple[float, float]] = []
        size = {"conversation_id": group, "deliveries": bench.sizes.fanout_deliveries, "window": window}
        limits = {"connections_per_address": MANY}
        for run in range(bench.sizes.runs):
            bench.say(f"fanout: {what}, run {run + 1} of {bench.sizes.runs}")
            folder = copied(bench.path("seed"), bench.folder("run"))
            async with daemon(folder, cores=bench.cores, server=limits) as server:
                ours.append(await _fan_out(server, online, **size))
            bench.say(f"fanout: broadcast, {what}, run {run + 1} of {bench.sizes.runs}")
            async with yardstick("broadcast", bench.folder("broadcast"), cores=bench.cores) as server:
                theirs.append(await _fan_out(server, online, **size))
        each = ratios([run[0] for run in ours], [run[0] for run in theirs])
        found.append(Figure("fanout", f"{what}: CPU, broadcast = 1", "×", each, at_most(0.5)))
        for who, runs in (("chatd", ours), ("broadcast", theirs)):
            found += [
                Figure("fanout", f"{what}: {who}: CPU per delivery", "µs", tuple(run[0] for run in runs)),
                Figure("fanout", f"{what}: {who}: deliveries a second", "/s", tuple(run[1] for run in runs)),
            ]
    return found


# idle


async def measure_idle(bench: Bench) -> list[Figure]:
    """Connections of which nobody says anything, each pinged once while we look."""
    count, seconds = bench.sizes.idle_connections, bench.sizes.idle_seconds
    names = [f"ann{number:05}" for number in range(count)]
    with seeding(bench.folder("seed")) as seeded:
        seeded.users(names)
    memory: list[float] = []
    rest: list[float] = []
    limits = {"connections_per_address": MANY, "ping_interval": seconds}
    for run in range(bench.sizes.runs):
        bench.say(f"idle: {count} connections for {seconds:g} s, run {run + 1} of {bench.sizes.runs}")
        folder = copied(bench.path("seed"), bench.folder("run"))
        async with daemon(folder, cores=bench.cores, server=limits) as server:
            async with users(server.url, names[: max(1, count // 50)]):
                pass  # what the first connections make it allocate for good is not theirs
            await asyncio.sleep(1.0)
            empty = server.pss()
            async with users(server.url, names) as clients:
                await asyncio.sleep(1.0)
                memory.append((server.pss() - empty) / count / 1024)
                cpu, begun = server.cpu(), time.perf_counter()
                await asyncio.sleep(seconds)
                rest.append(server.cpu_since(cpu) / (time.perf_counter() - begun) * 100)
                broken = next((client.failure for client in clients if client.failure is not None), None)
                if broken is not None:
                    raise broken
    return [
        Figure("idle", f"{count} connections: memory of each (PSS)", "KiB", tuple(memory), at_most(10.0)),
        Figure("idle", f"{count} connections: CPU at rest, keepalive included", "%", tuple(rest), below(0.5)),
    ]


# auth

_DEVICES = 25
_FRIENDS = 20


async def measure_auth(bench: Bench) -> list[Figure]:
    """Connections that come back, each with its cursors, to accounts of 20 conversations where nothing has changed."""
    count = bench.sizes.auth_connections
    people = [f"ann{number:04}" for number in range(max(1, count // _DEVICES))]
    friends = [f"ben{number:04}" for number in range(_FRIENDS)]
    with seeding(bench.folder("seed")) as seeded:
        seeded.users([*people, *friends])
        conversations = seeded.friends([(one, other) for one in people for other in friends])
        seeded.messages(conversations, 5 * len(conversations), remembered=False)
    rates: list[float] = []
    cpu_each: list[float] = []
    opening: list[float] = []
    whole: list[float] = []
    latencies: list[float] = []
    limits = {"connections_per_address": MANY, "auth_timeout": 120.0}
    for run in range(bench.sizes.runs):
        bench.say(f"auth: {count} connections, run {run + 1} of {bench.sizes.runs}")
        folder = copied(bench.path("seed"), bench.folder("run"))
        async with daemon(folder, cores=bench.cores, server=limits) as server:
            requests = [await _coming_back(server.url, name) for name in people]
            beginning, began = server.cpu(), time.perf_counter()
            async with guests(server.url, count) as clients:
                opened, cpu, begun = time.perf_counter() - began, server.cpu(), time.perf_counter()
                latencies.append(await _authenticate(clients, requests))
                seconds, spent = time.perf_counter() - begun, server.cpu_since(cpu)
        rates.append(count / seconds)
        cpu_each.append(spent / count * 1e6)
        opening.append((cpu - beginning) / count * 1e6)
        whole.append(count / (seconds + opened))
    return [
        Figure("auth", "auth with sync, a second", "/s", tuple(rates), at_least(3_000)),
        Figure("auth", "auth with sync: CPU of each", "µs", tuple(cpu_each)),
        Figure("auth", "auth with sync: p99, 100 at once", "ms", tuple(latencies)),
        Figure("auth", "connection and handshake: CPU of each", "µs", tuple(opening)),
        Figure("auth", "connection, handshake and auth, a second", "/s", tuple(whole)),
    ]


async def _coming_back(url: str, name: str) -> bytes:
    """The `auth` of a client that has everything already."""
    async with guests(url, 1) as (client,):
        known = (await client.ask("auth", token=token_of(name), cursors={}))["sync"]
    cursors = {str(head["conversation_id"]): head["cursor"] for head in known["conversations"]}
    request = {"cursors": cursors, "since": known["now"], "epoch": known["epoch"]}
    return orjson.dumps({"type": "auth", "id": 1, "token": token_of(name), **request})


async def _authenticate(clients: Sequence[Client], requests: Sequence[bytes]) -> float:
    """All of them, a hundred at a time. Returns the p99 of their latencies, in ms."""
    remaining = list(enumerate(clients))
    latencies: list[float] = []
    done = asyncio.Event()

    def begin() -> None:
        if not remaining:
            return
        number, client = remaining.pop()
        begun = time.perf_counter()

        def hear(payload: bytes) -> None:
            frame = orjson.loads(payload)
            if not frame.get("success") or frame["data"]["sync"]["conversations"] or frame["data"]["sync"]["events"]:
                raise Broken(f"auth of an unchanged account was answered by {payload[:200]!r}")
            latencies.append(time.perf_counter() - begun)
            if len(latencies) == len(clients):
                done.set()
            begin()

        client.hear = hear
        client.send(requests[number % len(requests)])

    for _ in range(100):
        begin()
    if not await finished(done, clients, lambda: len(latencies)):
        raise Broken(f"{len(latencies)} of {len(clients)} connections were authenticated")
    return percentile(latencies, 0.99) * 1000


# logins


async def measure_logins(bench: Bench) -> list[Figure]:
    """Everybody logs in at once, by password, while others trickle along."""
    people, count, cost = pairs(bench.sizes.pairs), bench.sizes.logins, bench.sizes.logins_cost
    talkers = [name for pair in people for name in pair]
    newcomers = [f"cyd{number:04}" for number in range(count)]
    password_hash = hash_password(PASSWORD, cost=cost)
    with seeding(bench.folder("seed")) as seeded:
        seeded.users([*talkers, *newcomers], password_hash=password_hash)
        seeded.friends(people)
    acks: list[list[float]] = []
    lasted: list[float] = []
    for run in range(bench.sizes.runs):
        bench.say(f"logins: {count} at bcrypt cost {cost}, run {run + 1} of {bench.sizes.runs}")
        folder = copied(bench.path("seed"), bench.folder("run"))
        async with (
            daemon(folder, cores=bench.cores, accounts={"bcrypt_cost": cost}) as server,
            users(server.url, talkers) as clients,
            guests(server.url, count) as guests_,
        ):
            light, stop = Light(clients, people), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(light.run(stop))
                begun = time.perf_counter()
                async with asyncio.timeout(230.0):
                    await asyncio.gather(
                        *(
                            client.ask("login", username=name, password=PASSWORD)
                            for client, name in zip(guests_, newcomers, strict=True)
                        )
                    )
                lasted.append(time.perf_counter() - begun)
                stop.set()
            acks.append(list(light.acks.values()))
    return [
        Figure("logins", "light's ack p99", "ms", tuple(percentile(run, 0.99) * 1000 for run in acks), at_most(25.0)),
        Figure("logins", "light's ack p50", "ms", tuple(percentile(run, 0.5) * 1000 for run in acks)),
        Figure("logins", f"{count} logins at cost {cost}, all", "s", tuple(lasted)),
    ]
