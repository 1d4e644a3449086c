"""Figures: what was measured, run by run, and what it must reach."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


class Broken(Exception):
    """A run whose figures are worth nothing: a message was lost or doubled, an answer was wrong, something stalled."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the median must reach."""

    sense: Literal["≤", "≥", "<"]
    limit: float

    def met(self, value: float) -> bool:
        """Whether a value reaches it."""
        if self.sense == "≥":
            return value >= self.limit
        return value < self.limit if self.sense == "<" else value <= self.limit

    def used(self, value: float) -> float:
        """How much of what is allowed a value takes: up to 1 is met."""
        used, allowed = (self.limit, value) if self.sense == "≥" else (value, self.limit)
        return max(used, 0.0) / allowed if allowed else float("inf")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a scenario, with its value in each run."""

    scenario: str
    name: str
    unit: str
    values: tuple[float, ...]
    target: Target | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.target.met(self.median)


def at_most(limit: float) -> Target:
    """A target from above."""
    return Target("≤", limit)


def at_least(limit: float) -> Target:
    """A target from below."""
    return Target("≥", limit)


def below(limit: float) -> Target:
    """A target from above that may not be touched."""
    return Target("<", limit)


def ratios(values: Sequence[float], others: Sequence[float]) -> tuple[float, ...]:
    """Each run beside the run that followed it of what it is compared with: a noisy machine then matters less."""
    return tuple(value / other for value, other in zip(values, others, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
