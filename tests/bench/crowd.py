"""People who are friends of one another: they lose their connections all at once, come back, and are told of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from tests.bench.figures import Broken
from tests.bench.load import AT_ONCE, Client, connect


class Person:
    """One of the crowd, as a client: who of the friends is there, by `online` and by the events since it was asked."""

    def __init__(self, name: str, friends: Sequence[str], auth: Mapping[str, Any]) -> None:
        self.name = name
        self.friends = frozenset(friends)
        self._auth = auth
        self._there: dict[str, bool] = {}
        self.client: Client | None = None
        self.joined: set[str] = set()
        """Who was heard to come since it lost its connection, and in `left` to go."""
        self.left: set[str] = set()
        self.asked_at = 0.0
        """When it began to connect, and in `entered_at` had the reply to `auth`; of `time.perf_counter`."""
        self.entered_at = 0.0
        self.took = 0.0
        """Seconds from beginning to connect to the reply to `online`."""

    @property
    def there(self) -> set[str]:
        """The friends it believes to be there."""
        return {name for name, there in self._there.items() if there}

    async def enter(self, url: str, number: int) -> None:
        """Connect, authenticate, and ask who is there. Raises `Broken` where an answer is wrong."""
        self._there.clear()
        self.asked_at = time.perf_counter()
        client = await connect(url, number)
        client.hear = self.hear
        self.client = client
        sync = (await client.ask("auth", **self._auth))["sync"]
        if sync["conversations"] or sync["events"]:
            raise Broken(f"{self.name} has missed nothing and got {sync}")
        self.entered_at = time.perf_counter()
        page = await client.ask("online")
        if page["more"]:
            raise Broken(f"{self.name} has more friends than fit into a page")
        self.see(user["username"] for user in page["users"])
        self.took = time.perf_counter() - self.asked_at

    def leave(self) -> None:
        """Lose the connection."""
        self.joined.clear()
        self.left.clear()
        if self.client is not None:
            self.client.leave()

    def see(self, names: Iterable[str]) -> None:
        """These were there when it asked; what it has heard meanwhile is newer."""
        for name in names:
            self._there.setdefault(name, True)

    def hear(self, payload: bytes) -> None:
        """Take an event. Raises `Broken` where it is not of a friend, or the second of its kind."""
        frame = orjson.loads(payload)
        heard = {"join": self.joined, "leave": self.left}.get(frame["event"])
        name = frame["data"]["username"] if heard is not None else None
        if heard is None or name not in self.friends or name in heard:
            raise Broken(f"{self.name} got {payload[:200]!r}")
        heard.add(name)
        self._there[name] = heard is self.joined


class Crowd:
    """All of them. Each has as many friends as every other, and knows nobody else."""

    def __init__(self, url: str, friends: Mapping[str, Sequence[str]], auths: Mapping[str, Mapping[str, Any]]) -> None:
        self._url = url
        self.people = {name: Person(name, theirs, auths[name]) for name, theirs in friends.items()}
        self._cut_at = self._gone_at = 0.0
        self._connected = 0

    @property
    def told(self) -> tuple[int, int]:
        """How many joins and leaves they heard."""
        people = self.people.values()
        return sum(len(person.joined) for person in people), sum(len(person.left) for person in people)

    async def enter(self) -> None:
        """All connect, as fast as they can."""
        people = list(self.people.values())

        async def some(some_of_them: Sequence[Person]) -> None:
            for person in some_of_them:
                await self._enter(person)

        async with asyncio.TaskGroup() as group:
            for first in range(AT_ONCE):
                group.create_task(some(people[first::AT_ONCE]))

    async def _enter(self, person: Person) -> None:
        self._connected += 1
        await person.enter(self._url, self._connected)

    async def cut(self) -> None:
        """All lose their connections at once."""
        self._cut_at = time.perf_counter()
        for number, person in enumerate(self.people.values()):
            person.leave()
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # the load generator is not to be what keeps the others waiting
        self._gone_at = time.perf_counter()

    async def come_back(self, seconds: float) -> None:
        """All connect again, in any order, spread evenly over so many seconds since the cut."""
        order = list(self.people.values())
        random.Random(len(order)).shuffle(order)
        async with asyncio.TaskGroup() as group:
            for number, person in enumerate(order):
                due = self._cut_at + (number + 1) * seconds / len(order)
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._enter(person))

    async def quiet(self, seconds: float) -> None:
        """Wait until nobody was told of anybody for so long."""
        before: tuple[int, int] | None = None
        while before != self.told:
            before = self.told
            await asyncio.sleep(seconds)

    def leave(self) -> None:
        """All leave."""
        for person in self.people.values():
            person.leave()

    def unbroken(self) -> None:
        """Raise what broke one of the connections."""
        for person in self.people.values():
            if person.client is None or person.client.failure is not None:
                raise (person.client and person.client.failure) or Broken(f"{person.name} is not connected")

    async def know_all(self, patience: float) -> None:
        """Wait until everybody knows that all friends are there, who now are.

        Raises `Broken` where somebody does not after nobody was told anything for so many seconds.
        """
        before, moved = self.told, time.perf_counter()
        while any(self._mistaken()):
            if self.told != before:
                before, moved = self.told, time.perf_counter()
            elif time.perf_counter() - moved > patience:
                _none(self._mistaken())
            await asyncio.sleep(0.05)

    def _mistaken(self) -> Iterator[str]:
        for person in self.people.values():
            for name in sorted(person.friends - person.there):
                yield f"{person.name} does not know that {name} is there"

    def were_told(self, *, grace: float, slack: float) -> None:
        """Raise `Broken` where somebody was not told since the cut what there was to tell, or was what there was not.

        Who came back later than the grace, by the slack it takes to tell, has gone and come: each friend who was there
        has heard it. Who came back before the grace was over has never been away.
        """
        _none(self._untold(grace=grace, late=grace + slack))

    def _untold(self, *, grace: float, late: float) -> Iterator[str]:
        for person in self.people.values():
            is_late = person.asked_at > self._gone_at + late
            is_early = person.entered_at < self._cut_at + grace
            for hearer in (self.people[name] for name in sorted(person.friends)):
                if is_late and hearer.entered_at < self._cut_at + grace and person.name not in hearer.left:
                    yield f"{hearer.name} was not told that {person.name} has gone"
                if is_late and hearer.entered_at < person.asked_at and person.name not in hearer.joined:
                    yield f"{hearer.name} was not told that {person.name} has come"
                if is_early and person.name in hearer.left:
                    yield f"{hearer.name} was told that {person.name} has gone, who was soon back"


def _none(problems: Iterable[str]) -> None:
    first, *others = [*problems] or [""]
    if first:
        raise Broken("; ".join((first, *others[:2])) + (f", and {len(others) - 2} more" if len(others) > 2 else ""))


@contextlib.contextmanager
def gathered(url: str, friends: Mapping[str, Sequence[str]], auths: Mapping[str, Mapping[str, Any]]) -> Iterator[Crowd]:
    """A crowd; all have left afterwards."""
    crowd = Crowd(url, friends, auths)
    try:
        yield crowd
    finally:
        crowd.leave()


def ring(names: Sequence[str], each: int) -> dict[str, list[str]]:
    """Friends such that each has `each`, which is even: in a circle, the neighbours on both sides."""
    near = [distance for distance in range(-(each // 2), each // 2 + 1) if distance]
    return {name: [names[(at + distance) % len(names)] for distance in near] for at, name in enumerate(names)}
