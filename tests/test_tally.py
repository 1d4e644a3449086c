"""What is counted while the daemon works."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.tally import COMMITS, LATENCIES, SIZES, UNKNOWN, Commits, Histogram, Tally


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (-1.0, [1, 0, 0]),
        (0.0, [1, 0, 0]),
        (1.0, [1, 0, 0]),
        (1.5, [0, 1, 0]),
        (2.0, [0, 1, 0]),
        (2.1, [0, 0, 1]),
        (float("inf"), [0, 0, 1]),
    ],
)
def test_a_bound_belongs_to_what_is_below_it(value: float, counts: list[int]) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.note(value)
    assert (histogram.counts, histogram.total, histogram.count) == (counts, value, 1)


@given(st.lists(st.integers(0, 1024)))
def test_nothing_is_lost_between_the_bounds(values: list[int]) -> None:
    histogram = Histogram(SIZES)
    for value in values:
        histogram.note(value)
    assert histogram.count == len(values)
    assert histogram.total == sum(values)
    for number, bound in enumerate(SIZES):
        assert sum(histogram.counts[: number + 1]) == bisect_left(sorted(values), bound + 1)


@pytest.mark.parametrize("bounds", [LATENCIES, SIZES, COMMITS])
def test_bounds_grow(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))


def test_a_copy_is_of_its_moment() -> None:
    commits = Commits()
    commits.note(3, 0.25)
    copied = commits.copy()
    commits.note(5, 0.5)
    assert (copied.sizes.count, copied.sizes.total, copied.seconds.total) == (1, 3, 0.25)
    assert (commits.sizes.count, commits.sizes.total, commits.seconds.total) == (2, 8, 0.75)


def test_a_failure_is_counted_by_its_code_and_takes_its_time() -> None:
    tally = Tally(["send", "get"])
    tally.failed("send", "muted", 0.25)
    tally.failed("send", "muted", 0.5)
    tally.failed("send", "not_found", 0.5)
    assert tally.failures == {("send", "muted"): 2, ("send", "not_found"): 1}
    assert (tally.seconds["send"].count, tally.seconds["send"].total) == (3, 1.25)
    assert tally.seconds["get"].count == 0


@pytest.mark.parametrize("name", [None, "", "SEND", "sen", UNKNOWN, 'x"} 1'])
def test_what_no_op_is_called_is_unknown(name: str | None) -> None:
    tally = Tally(["send"])
    tally.failed(name, "unknown_op", 0.0)
    assert tally.failures == {(UNKNOWN, "unknown_op"): 1}
    assert set(tally.seconds) == {"send", UNKNOWN}
