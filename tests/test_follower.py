"""Every event once and in order, whatever order it comes in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatd.follower import Follower

GENERAL, RANDOM = 12, 13

arrivals = st.integers(1, 12).flatmap(
    lambda last: st.lists(st.integers(1, last)).flatmap(
        lambda doubles: st.permutations([*range(1, last + 1), *doubles])
    )
)


@given(arrivals)
def test_whatever_the_order_and_the_doubles_each_entry_is_let_through_once_in_order(seqs: list[int]) -> None:
    follower: Follower[int] = Follower()
    through = [item for seq in seqs for item in follower.offer(GENERAL, seq, seq)]
    assert through == list(range(1, max(seqs) + 1))
    assert follower.cursors == {GENERAL: max(seqs)}
    assert not follower.has_hole


@given(arrivals, st.integers(1, 12))
def test_there_is_a_hole_while_something_waits_for_what_is_missing(seqs: list[int], missing: int) -> None:
    follower: Follower[int] = Follower()
    through = [item for seq in seqs if seq != missing for item in follower.offer(GENERAL, seq, seq)]
    assert through == list(range(1, min(missing, max(seqs) + 1)))
    assert follower.has_hole is (missing < max(seqs))


@given(arrivals, arrivals)
def test_conversations_do_not_wait_for_each_other(general: list[int], other: list[int]) -> None:
    follower: Follower[int] = Follower()
    follower.offer(RANDOM, 99, 99)
    assert [item for seq in general for item in follower.offer(GENERAL, seq, seq)] == sorted(set(general))
    assert [item for seq in other for item in follower.offer(RANDOM, seq, seq)] == sorted(set(other))


def test_a_follower_goes_on_from_its_cursors() -> None:
    follower: Follower[str] = Follower({GENERAL: 40})
    assert follower.offer(GENERAL, 40, "old") == []
    assert follower.offer(GENERAL, 41, "new") == ["new"]
    assert follower.cursors == {GENERAL: 41}


def test_a_follower_keeps_the_cursors_it_was_given_to_itself() -> None:
    given_cursors = {GENERAL: 40}
    Follower[str](given_cursors).offer(GENERAL, 41, "new")
    assert given_cursors == {GENERAL: 40}


def test_what_comes_too_early_is_held_back() -> None:
    follower: Follower[str] = Follower()
    assert follower.offer(GENERAL, 2, "second") == []
    assert follower.offer(GENERAL, 1, "first") == ["first", "second"]


def test_what_the_client_wrote_itself_counts_and_is_not_let_through() -> None:
    follower: Follower[str] = Follower()
    assert follower.offer(GENERAL, 2, None) == []
    assert follower.offer(GENERAL, 3, "third") == []
    assert follower.offer(GENERAL, 1, "first") == ["first", "third"]
    assert follower.cursors == {GENERAL: 3}


def test_what_the_client_wrote_itself_is_not_let_through_when_it_comes_again() -> None:
    follower: Follower[str] = Follower()
    follower.offer(GENERAL, 2, None)
    follower.offer(GENERAL, 2, "my own")
    assert follower.offer(GENERAL, 1, "first") == ["first"]


def test_a_jump_lets_through_what_follows_and_drops_what_it_passes() -> None:
    follower: Follower[str] = Follower()
    for seq in (5, 7, 8, 10):
        follower.offer(GENERAL, seq, str(seq))
    assert follower.jump(GENERAL, 6) == ["7", "8"]
    assert follower.has_hole
    assert follower.jump(GENERAL, 10) == []
    assert not follower.has_hole
    assert follower.offer(GENERAL, 11, "11") == ["11"]


def test_a_jump_may_go_back_to_where_a_restored_log_is() -> None:
    follower: Follower[str] = Follower({GENERAL: 40})
    assert follower.jump(GENERAL, 30) == []
    assert follower.offer(GENERAL, 31, "again") == ["again"]


def test_a_jump_into_an_unknown_conversation_begins_to_follow_it() -> None:
    follower: Follower[str] = Follower()
    assert follower.jump(GENERAL, 5) == []
    assert follower.cursors == {GENERAL: 5}
