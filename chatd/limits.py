"""Token buckets and back-off. Pure: the clock is passed in, in seconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from chatd.wire import Whole


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `per_second` tokens a second, at most `burst` at once; `per_second = 0` switches it off."""

    per_second: Annotated[float, msgspec.Meta(ge=0.0, le=1_000_000.0)]
    burst: Annotated[int, Whole(1, 1_000_000)]


class Bucket:
    """A token bucket: `rate.per_second` tokens a second, at most `rate.burst` at once."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at = now

    def give(self) -> None:
        """Give a token back."""
        self._tokens += 1.0

    def take(self, now: float) -> float:
        """Take a token. Returns 0.0, or the seconds until there will be one."""
        rate = self._rate
        if rate.per_second == 0:
            return 0.0
        here = min(rate.burst, self._tokens + (now - self._at) * rate.per_second)
        self._at = now
        self._tokens = here
        if here >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - here) / rate.per_second


class Buckets:
    """A bucket per key; the ones longest unused are forgotten past `most`, which is as if they had filled up."""

    def __init__(self, rate: Rate, *, most: int = 100_000) -> None:
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def give(self, key: Hashable) -> None:
        """Give a token back to this key."""
        if (bucket := self._buckets.get(key)) is not None:
            bucket.give()

    def take(self, key: Hashable, now: float) -> float:
        """Take a token of this key's. Returns 0.0, or the seconds until there will be one."""
        if self._rate.per_second == 0:
            return 0.0
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(now)


class Backoff:
    """How long the next attempt of a key should wait: nothing for the first failures, then twice as long each time.

    The wait is bounded (`longest`, seconds) and delays an attempt; it never refuses one. So somebody who guesses an
    account's password slows its owner down a little, and cannot lock the owner out.
    """

    def __init__(
        self, *, free: int = 5, first: float = 0.1, longest: float = 4.0, forget: float = 900.0, most: int = 100_000
    ) -> None:
        self._free = free
        self._first = first
        self._longest = longest
        self._forget = forget
        self._most = most
        self._failures: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def wait(self, key: Hashable, now: float) -> float:
        """The seconds this attempt should wait."""
        count, at = self._failures.get(key, (0, now))
        if count < self._free or now - at > self._forget:
            return 0.0
        return float(min(self._longest, self._first * 2.0 ** min(count - self._free, 30)))

    def failed(self, key: Hashable, now: float) -> None:
        """An attempt failed."""
        count, at = self._failures.pop(key, (0, now))
        self._failures[key] = (1 if now - at > self._forget else count + 1, now)
        if len(self._failures) > self._most:
            self._failures.popitem(last=False)

    def succeeded(self, key: Hashable) -> None:
        """An attempt succeeded: the failures are forgiven."""
        self._failures.pop(key, None)
