"""What a user's devices show, taken together, and what the others are told of it."""

from __future__ import annotations

from itertools import permutations
from typing import Literal

import pytest

from chatd.presence import DEFAULT, OFFLINE, Change, Choice, Chosen, Shown, Told, taken_together

ADA, BOB, CHEN, DORA = 1, 2, 3, 4

GRACE = 5.0
ONLINE = Shown("online")
STATUSES: tuple[Chosen, ...] = ("away", "online", "dnd", "invisible")


class Town:
    """Who is connected and what is seen of them, and a `Told` that asks."""

    def __init__(self, *, grace: float = GRACE) -> None:
        self._told = Told({}, grace=grace)
        self.seen: dict[int, Shown] = {}
        self.asked: list[int] = []
        """Of whom it was asked what is seen of them."""

    def come(self, *user_ids: int, shown: Shown = ONLINE) -> None:
        for user_id in user_ids:
            self.seen[user_id] = shown

    def go(self, *user_ids: int) -> None:
        for user_id in user_ids:
            del self.seen[user_id]

    def told(self, *moved: int, now: float = 0.0) -> list[Change]:
        """What the others are told when these have moved."""
        changes = self.untold(*moved, now=now)
        for change in changes:
            self._told.told(change)
        return changes

    def untold(self, *moved: int, now: float = 0.0) -> list[Change]:
        """What they should have been told."""
        return self._told.changes(
            moved,
            shown=self._shown,
            now=now,
        )

    def _shown(self, user_id: int) -> Shown:
        self.asked.append(user_id)
        return self.seen.get(user_id, OFFLINE)


@pytest.fixture
def town() -> Town:
    return Town()


# What devices show, taken together


def test_who_has_no_device_is_offline() -> None:
    assert taken_together([]) is OFFLINE
    assert Shown("offline", "") == OFFLINE


def test_a_device_shows_its_user_online_unless_it_says_otherwise() -> None:
    assert taken_together([DEFAULT]) == Shown("online", "")


def test_one_device_is_shown_as_it_is() -> None:
    assert taken_together([Choice("away", "back at two")]) == Shown("away", "back at two")


@pytest.mark.parametrize(("weaker", "stronger"), [("away", "online"), ("online", "dnd"), ("away", "dnd")])
def test_of_two_devices_the_stronger_holds_with_its_words(
    weaker: Literal["away", "online"], stronger: Literal["online", "dnd"]
) -> None:
    devices = [Choice(weaker, "weak"), Choice(stronger, "strong")]
    assert taken_together(devices) == Shown(stronger, "strong")
    assert taken_together(reversed(devices)) == Shown(stronger, "strong")


def test_who_is_invisible_on_one_device_is_offline_without_words() -> None:
    for devices in permutations(Choice(status, "here!") for status in STATUSES):
        assert taken_together(devices) is OFFLINE


def test_of_equal_devices_the_latest_holds() -> None:
    devices = [Choice("dnd", "one"), Choice("dnd", "two"), Choice("online", "three")]
    assert taken_together(devices) == Shown("dnd", "two")


# Who comes, and changes


def test_who_comes_is_told(town: Town) -> None:
    town.come(ADA, shown=Shown("dnd", "busy"))
    assert town.told(ADA) == [Change(ADA, "join", Shown("dnd", "busy"))]


def test_nothing_is_told_twice(town: Town) -> None:
    town.come(ADA)
    assert town.told(ADA)
    assert town.told(ADA) == []
    assert town.told() == []


def test_what_could_not_be_told_is_told_later(town: Town) -> None:
    town.come(ADA)
    assert town.untold(ADA) == [Change(ADA, "join", ONLINE)]
    town.come(ADA, shown=Shown("away"))
    assert town.untold(ADA) == town.told(ADA) == [Change(ADA, "join", Shown("away"))]
    town.go(ADA)
    town.told(ADA)
    left = [Change(ADA, "leave", OFFLINE)]
    assert town.untold(now=GRACE) == left
    town.told(ADA, now=GRACE)
    assert town.told(now=2 * GRACE) == left


def test_who_is_named_twice_is_told_once(town: Town) -> None:
    town.come(ADA)
    assert town.told(ADA, ADA) == [Change(ADA, "join", ONLINE)]


@pytest.mark.parametrize("shown", [Shown("away"), Shown("online", "in the garden"), Shown("dnd", "busy")])
def test_another_status_and_other_words_are_told(town: Town, shown: Shown) -> None:
    town.come(ADA)
    town.told(ADA)
    town.come(ADA, shown=shown)
    assert town.told(ADA) == [Change(ADA, "presence", shown)]
    assert town.told(ADA) == []


def test_what_was_changed_and_changed_back_is_not_told(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.come(ADA, shown=Shown("away"))
    town.come(ADA)
    assert town.told(ADA) == []


# Who goes


def test_who_goes_is_told_when_the_grace_is_over(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.go(ADA)
    assert town.told(ADA, now=10.0) == []
    assert town.told(now=10.0 + GRACE - 0.001) == []
    assert town.told(now=10.0 + GRACE) == [Change(ADA, "leave", OFFLINE)]
    assert town.told(now=100.0) == []


def test_without_grace_it_is_told_at_once() -> None:
    town = Town(grace=0.0)
    town.come(ADA)
    town.told(ADA, now=1.0)
    town.go(ADA)
    assert town.told(ADA, now=2.0) == [Change(ADA, "leave", OFFLINE)]


def test_who_has_gone_and_is_named_again_gets_no_more_grace(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.go(ADA)
    assert town.told(ADA, now=10.0) == []
    assert town.told(ADA, now=12.0) == []
    assert town.told(ADA, now=10.0 + GRACE) == [Change(ADA, "leave", OFFLINE)]


def test_of_who_is_back_in_time_nothing_is_told_then_or_later(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.go(ADA)
    assert town.told(ADA, now=10.0) == []
    town.come(ADA)
    assert town.told(ADA, now=12.0) == []
    assert town.told(now=100.0) == []


def test_who_goes_and_is_back_before_anybody_looked_has_not_moved(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.go(ADA)
    town.come(ADA)
    assert town.told(ADA, now=10.0) == []
    assert town.told(now=100.0) == []


def test_who_is_back_in_time_with_another_status_has_changed_it(town: Town) -> None:
    town.come(ADA, shown=Shown("away", "back at two"))
    town.told(ADA)
    town.go(ADA)
    assert town.told(ADA, now=10.0) == []
    town.come(ADA)
    assert town.told(ADA, now=12.0) == [Change(ADA, "presence", ONLINE)]
    assert town.told(now=100.0) == []


def test_who_goes_once_more_has_the_whole_grace_again(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.go(ADA)
    town.told(ADA, now=10.0)
    town.come(ADA)
    town.told(ADA, now=12.0)
    town.go(ADA)
    assert town.told(ADA, now=13.0) == []
    assert town.told(now=10.0 + GRACE) == []
    assert town.told(now=13.0 + GRACE) == [Change(ADA, "leave", OFFLINE)]


def test_who_is_back_too_late_comes(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.go(ADA)
    town.told(ADA, now=10.0)
    assert town.told(now=20.0) == [Change(ADA, "leave", OFFLINE)]
    town.come(ADA)
    assert town.told(ADA, now=21.0) == [Change(ADA, "join", ONLINE)]


def test_of_who_came_and_went_before_anybody_looked_nothing_is_told(town: Town) -> None:
    assert town.told(ADA, now=10.0) == []
    assert town.told(now=100.0) == []


def test_nobody_asks_after_who_has_gone_and_was_told_or_was_never_there(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.go(ADA)
    town.told(ADA, BOB, now=10.0)
    assert town.told(now=20.0) == [Change(ADA, "leave", OFFLINE)]
    asked = len(town.asked)
    town.told(now=30.0)
    assert len(town.asked) == asked


# Who does not want to be seen


def test_who_becomes_invisible_looks_as_if_gone(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.come(ADA, shown=OFFLINE)
    assert town.told(ADA, now=10.0) == []
    assert town.told(now=10.0 + GRACE) == [Change(ADA, "leave", OFFLINE)]
    town.go(ADA)
    assert town.told(ADA, now=50.0) == []
    assert town.told(now=100.0) == []


def test_who_becomes_invisible_and_goes_leaves_once(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.come(ADA, shown=OFFLINE)
    town.told(ADA, now=10.0)
    town.go(ADA)
    assert town.told(ADA, now=11.0) == []
    assert town.told(now=10.0 + GRACE) == [Change(ADA, "leave", OFFLINE)]
    assert town.told(now=100.0) == []


def test_who_is_invisible_from_the_start_comes_and_goes_unnoticed(town: Town) -> None:
    town.come(ADA, shown=OFFLINE)
    assert town.told(ADA) == []
    town.go(ADA)
    assert town.told(ADA, now=10.0) == []
    assert town.told(now=100.0) == []


def test_who_is_seen_again_comes(town: Town) -> None:
    town.come(ADA, shown=OFFLINE)
    town.told(ADA)
    town.come(ADA, shown=Shown("away"))
    assert town.told(ADA) == [Change(ADA, "join", Shown("away"))]


def test_who_is_back_in_time_but_invisible_leaves_as_if_still_gone(town: Town) -> None:
    town.come(ADA)
    town.told(ADA)
    town.go(ADA)
    town.told(ADA, now=10.0)
    town.come(ADA, shown=OFFLINE)
    assert town.told(ADA, now=11.0) == []
    assert town.told(now=10.0 + GRACE) == [Change(ADA, "leave", OFFLINE)]
    assert town.told(now=100.0) == []


# Several at once


def told_of(changes: list[Change]) -> list[tuple[str, int]]:
    return [(change.event, change.user_id) for change in changes]


def test_those_who_come_are_told_in_the_order_they_moved(town: Town) -> None:
    town.come(ADA, BOB, CHEN)
    assert told_of(town.told(CHEN, ADA, BOB)) == [("join", CHEN), ("join", ADA), ("join", BOB)]


def test_those_who_go_are_told_in_the_order_they_went(town: Town) -> None:
    town.come(ADA, BOB, CHEN)
    town.told(ADA, BOB, CHEN)
    town.go(ADA, BOB, CHEN)
    assert town.told(CHEN, now=10.0) == []
    assert town.told(ADA, BOB, now=11.0) == []
    assert told_of(town.told(now=20.0)) == [("leave", CHEN), ("leave", ADA), ("leave", BOB)]


def test_each_who_goes_has_a_grace_of_their_own(town: Town) -> None:
    town.come(ADA, BOB)
    town.told(ADA, BOB)
    town.go(ADA, BOB)
    town.told(BOB, now=10.0)
    town.told(ADA, now=11.0)
    assert told_of(town.told(now=10.0 + GRACE)) == [("leave", BOB)]
    assert told_of(town.told(now=11.0 + GRACE)) == [("leave", ADA)]


def test_one_who_came_back_has_lost_the_place_in_the_order(town: Town) -> None:
    town.come(ADA, BOB)
    town.told(ADA, BOB)
    town.go(ADA, BOB)
    town.told(ADA, BOB, now=10.0)
    town.come(ADA)
    town.told(ADA, now=11.0)
    town.go(ADA)
    town.told(ADA, now=12.0)
    assert told_of(town.told(now=10.0 + GRACE)) == [("leave", BOB)]
    assert told_of(town.told(now=30.0)) == [("leave", ADA)]


def test_all_that_happens_at_once_is_told_at_once(town: Town) -> None:
    town.come(ADA, BOB, CHEN)
    town.told(ADA, BOB, CHEN)
    town.go(CHEN)
    town.told(CHEN, now=10.0)
    town.come(DORA)
    town.come(ADA, shown=Shown("dnd"))
    town.come(BOB, shown=OFFLINE)
    assert town.told(DORA, BOB, ADA, now=20.0) == [
        Change(DORA, "join", ONLINE),
        Change(ADA, "presence", Shown("dnd")),
        Change(CHEN, "leave", OFFLINE),
    ]
    assert town.told(now=20.0 + GRACE) == [Change(BOB, "leave", OFFLINE)]
