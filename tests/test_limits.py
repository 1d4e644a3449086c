"""Token buckets and back-off, by a clock that the test turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatd.limits import Backoff, Bucket, Buckets, Rate

TWO_A_SECOND = Rate(per_second=2.0, burst=3)
OFF = Rate(per_second=0.0, burst=1)

rates = st.builds(Rate, per_second=st.floats(0.1, 1000.0), burst=st.integers(1, 100))
gaps = st.lists(st.floats(0.0, 10.0), max_size=200)


# Bucket


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    bucket = Bucket(TWO_A_SECOND, now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert [bucket.take(100.5), bucket.take(100.5)] == [0.0, 0.5]


def test_a_wait_grows_shorter_as_time_goes_by() -> None:
    bucket = Bucket(Rate(per_second=1.0, burst=1), now=0.0)
    assert [bucket.take(0.0), bucket.take(0.25), bucket.take(0.75), bucket.take(1.0)] == [0.0, 0.75, 0.25, 0.0]


def test_a_refused_attempt_costs_nothing() -> None:
    bucket = Bucket(Rate(per_second=1.0, burst=1), now=0.0)
    assert [bucket.take(0.0) > 0.0 for _ in range(10)] == [False] + [True] * 9
    assert bucket.take(1.0) == 0.0


def test_a_long_pause_earns_no_more_than_a_burst() -> None:
    bucket = Bucket(TWO_A_SECOND, now=0.0)
    assert [bucket.take(3600.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_a_token_may_be_given_back_and_makes_no_more_than_a_burst() -> None:
    bucket = Bucket(Rate(per_second=1.0, burst=1), now=0.0)
    assert [bucket.take(0.0), bucket.take(0.0)] == [0.0, 1.0]
    bucket.give()
    assert bucket.take(0.0) == 0.0
    for _ in range(3):
        bucket.give()
    assert [bucket.take(0.0), bucket.take(0.0)] == [0.0, 1.0]


def test_a_rate_of_zero_limits_nothing() -> None:
    bucket = Bucket(OFF, now=0.0)
    assert {bucket.take(0.0) for _ in range(1000)} == {0.0}


@given(rates, gaps)
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(rate: Rate, gaps: list[float]) -> None:
    bucket, now, taken = Bucket(rate, now=0.0), 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now) == 0.0
        assert taken <= rate.burst + rate.per_second * now + 1e-6


@given(rates, gaps)
def test_after_the_wait_it_told_a_bucket_gives(rate: Rate, gaps: list[float]) -> None:
    bucket, now = Bucket(rate, now=0.0), 0.0
    for gap in gaps:
        now += gap
        wait = bucket.take(now)
        if wait:
            now += wait + 1e-6
            assert bucket.take(now) == 0.0


# Buckets


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(Rate(per_second=1.0, burst=1))
    assert [buckets.take(key, 0.0) for key in ("ada", "bob", "ada", "bob")] == [0.0, 0.0, 1.0, 1.0]


def test_a_token_is_given_back_to_its_key() -> None:
    buckets = Buckets(Rate(per_second=1.0, burst=1))
    assert [buckets.take(key, 0.0) for key in ("ada", "bob")] == [0.0, 0.0]
    for key in ("ada", "nobody"):
        buckets.give(key)
    assert [buckets.take(key, 0.0) for key in ("ada", "bob")] == [0.0, 1.0]


def test_the_key_longest_unused_is_forgotten() -> None:
    buckets = Buckets(Rate(per_second=1.0, burst=1), most=2)
    for key in ("ada", "bob", "ada", "carol"):
        buckets.take(key, 0.0)
    assert buckets.take("ada", 0.0) == 1.0
    assert buckets.take("bob", 0.0) == 0.0


def test_a_rate_of_zero_limits_no_key() -> None:
    buckets = Buckets(OFF)
    assert {buckets.take("ada", 0.0) for _ in range(1000)} == {0.0}


# Backoff


def waits(backoff: Backoff, failures: int) -> list[float]:
    """What each attempt waits, where every one fails."""
    waited = []
    for _ in range(failures):
        waited.append(backoff.wait("ada", 0.0))
        backoff.failed("ada", 0.0)
    return waited


def test_the_first_failures_are_free_and_then_each_wait_is_twice_the_last_up_to_the_longest() -> None:
    backoff = Backoff(free=2, first=0.5, longest=3.0)
    assert waits(backoff, 8) == [0.0, 0.0, 0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


def test_a_wait_is_bounded_however_often_it_fails() -> None:
    backoff = Backoff(longest=4.0)
    assert waits(backoff, 5000)[-1] == 4.0


def test_one_key_does_not_wait_for_anothers_failures() -> None:
    backoff = Backoff(free=1)
    waits(backoff, 3)
    assert backoff.wait("ada", 0.0) > 0.0
    assert backoff.wait("bob", 0.0) == 0.0


def test_success_forgives() -> None:
    backoff = Backoff(free=1)
    waits(backoff, 3)
    backoff.succeeded("ada")
    assert waits(backoff, 2) == [0.0, 0.1]


def test_success_without_failures_changes_nothing() -> None:
    backoff = Backoff()
    backoff.succeeded("ada")
    assert backoff.wait("ada", 0.0) == 0.0


def test_failures_are_forgotten_after_a_while() -> None:
    backoff = Backoff(free=1, first=0.5, forget=60.0)
    backoff.failed("ada", 0.0)
    backoff.failed("ada", 10.0)
    assert backoff.wait("ada", 70.0) == 1.0
    assert backoff.wait("ada", 70.1) == 0.0


def test_counting_begins_anew_after_that_while() -> None:
    backoff = Backoff(free=1, first=0.5, forget=60.0)
    for now in (100.0, 100.0, 160.0):
        backoff.failed("ada", now)
    assert backoff.wait("ada", 160.0) == 2.0
    backoff.failed("ada", 220.1)
    assert backoff.wait("ada", 220.1) == 0.5


def test_the_key_that_failed_longest_ago_is_forgotten_first() -> None:
    backoff = Backoff(free=1, most=2)
    for key in ("ada", "bob", "ada", "carol"):
        backoff.failed(key, 0.0)
    assert [backoff.wait(key, 0.0) > 0.0 for key in ("ada", "bob", "carol")] == [True, False, True]


def test_five_failures_are_free_and_a_wait_is_at_most_four_seconds_unless_told_otherwise() -> None:
    assert waits(Backoff(), 13) == [0.0] * 5 + [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 4.0, 4.0]
