"""What the daemon counts while it works: plain integers and lists. Pure.

Each count is a few tenths of a microsecond; what Prometheus is told of them is made when it asks (metrics.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

UNKNOWN = "unknown"
"""Stands for whatever name a client gives that no op has."""

LATENCIES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: the bounds of how long ops take."""

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""The bounds of how many jobs share a commit."""

COMMITS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds: the bounds of how long commits take."""


class Histogram:
    """How many values lay between the bounds, each of which belongs to what is below it, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """One for each bound, and one for what is above them all."""
        self.total = 0.0

    def note(self, value: float) -> None:
        """One value more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def copy(self) -> Histogram:
        """The same, of this moment."""
        copied = Histogram(self.bounds)
        copied.counts = self.counts.copy()
        copied.total = self.total
        return copied


class Commits:
    """What the writer has committed: how many jobs at once, and how many seconds the commits alone took."""

    __slots__ = ("seconds", "sizes")

    def __init__(self) -> None:
        self.sizes = Histogram(SIZES)
        self.seconds = Histogram(COMMITS)

    def copy(self) -> Commits:
        """The same, of this moment."""
        copied = Commits()
        copied.sizes, copied.seconds = self.sizes.copy(), self.seconds.copy()
        return copied

    def note(self, jobs: int, seconds: float) -> None:
        """One commit more."""
        self.sizes.note(jobs)
        self.seconds.note(seconds)


class Tally:
    """What became of the ops that were asked for, by name. The names are those given, and `UNKNOWN`: no client's."""

    def __init__(self, names: Iterable[str]) -> None:
        self.seconds = {name: Histogram(LATENCIES) for name in (*names, UNKNOWN)}
        """Of each op, from its being decoded to its reply's being queued, however it ended."""
        self.failures: Counter[tuple[str, str]] = Counter()
        """How often an op ended with which error code; all the others succeeded."""
        self.too_slow = 0
        """Connections that were closed because their clients read too slowly."""

    def failed(self, name: str | None, code: str, seconds: float) -> None:
        """An op was answered with an error. `name` is what the client called it."""
        if name is None or name not in self.seconds:
            name = UNKNOWN
        self.seconds[name].note(seconds)
        self.failures[name, code] += 1


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that is shown, as it was at one moment. Sizes are in bytes."""

    connections: Mapping[tuple[str, str], int]
    """By kind and state."""
    users: int
    outbox: int
    """Of all connections together."""
    largest_outbox: int
    seconds: Mapping[str, Histogram]
    failures: Mapping[tuple[str, str], int]
    too_slow: int
    refused: Mapping[str, int]
    """By reason."""
    delivered: int
    commits: Commits
    waiting: int
    unindexed: int | None
    """None where there is no index, or no answer."""
    database: int
    log: int
    free: int
    build: Mapping[str, str]
