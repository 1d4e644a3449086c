"""Which live connections are whose."""

from __future__ import annotations

import pytest

from chatd.hub import TYPING_AGAIN, Hub
from chatd.presence import OFFLINE, Choice, Shown
from chatd.session import Identity, Session
from chatd.wire import Outgoing

ADA, BOB, CHEN = 1, 2, 3


class Ear:
    """A live connection that does nothing but be there."""

    def __init__(self, user_id: int, session_id: int = 1, choice: Choice | None = None) -> None:
        self.session = Session()
        self.session.choice = choice or self.session.choice
        self.session.authenticated(Identity(user_id=user_id, username="", session_id=session_id), "en")

    def hear(self, outgoing: Outgoing) -> None: ...

    def glimpse(self, outgoing: Outgoing) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


def test_nobody_is_there_at_first() -> None:
    hub = Hub()
    assert list(hub.of(ADA)) == []
    assert list(hub) == []


def test_a_users_connections_are_in_the_order_they_came() -> None:
    hub, phone, laptop, bobs = Hub(), Ear(ADA), Ear(ADA), Ear(BOB)
    hub.add(ADA, phone)
    hub.add(BOB, bobs)
    hub.add(ADA, laptop)
    assert list(hub.of(ADA)) == [phone, laptop]
    assert list(hub.of(BOB)) == [bobs]


def test_a_connection_goes_and_the_others_stay() -> None:
    hub, phone, laptop = Hub(), Ear(ADA), Ear(ADA)
    hub.add(ADA, phone)
    hub.add(ADA, laptop)
    hub.remove(ADA, phone)
    assert list(hub.of(ADA)) == [laptop]


def test_who_has_no_connection_left_is_away() -> None:
    hub, phone = Hub(), Ear(ADA)
    hub.add(ADA, phone)
    hub.remove(ADA, phone)
    assert not hub.of(ADA)
    assert list(hub) == []


def test_users_are_counted_once_however_many_connections_they_have() -> None:
    hub, phone, laptop, bobs = Hub(), Ear(ADA), Ear(ADA), Ear(BOB)
    assert hub.users == 0
    for user_id, ear in ((ADA, phone), (ADA, laptop), (BOB, bobs)):
        hub.add(user_id, ear)
    assert hub.users == 2
    hub.remove(ADA, phone)
    hub.remove(BOB, bobs)
    assert hub.users == 1


def test_a_connection_that_is_not_there_may_go() -> None:
    hub, phone = Hub(), Ear(ADA)
    hub.remove(ADA, phone)
    hub.add(ADA, phone)
    hub.remove(ADA, Ear(ADA))
    hub.remove(BOB, phone)
    assert list(hub.of(ADA)) == [phone]


def test_every_connection_of_everybody_is_found() -> None:
    hub, phone, laptop, bobs = Hub(), Ear(ADA), Ear(ADA), Ear(BOB)
    for user_id, ear in ((ADA, phone), (BOB, bobs), (ADA, laptop)):
        hub.add(user_id, ear)
    assert set(hub) == {phone, laptop, bobs}


def test_connections_may_go_while_their_user_is_told() -> None:
    hub = Hub()
    for _ in range(3):
        hub.add(ADA, Ear(ADA))
    for ear in hub.of(ADA):
        hub.remove(ADA, ear)
    assert list(hub.of(ADA)) == []


def test_connections_may_go_while_everybody_is_visited() -> None:
    hub = Hub()
    for user_id in (ADA, ADA, BOB):
        hub.add(user_id, Ear(user_id))
    for ear in hub:
        hub.remove(ear.session.identity.user_id, ear)
    assert list(hub) == []


def test_the_live_sessions_are_known() -> None:
    hub = Hub()
    for user_id, session_id in ((ADA, 7), (ADA, 7), (ADA, 8), (BOB, 9)):
        hub.add(user_id, Ear(user_id, session_id))
    assert hub.session_ids() == {7, 8, 9}


def test_the_connections_of_one_session_are_found() -> None:
    hub, phone, laptop, tab = Hub(), Ear(ADA, 7), Ear(ADA, 8), Ear(ADA, 8)
    for ear in (phone, laptop, tab):
        hub.add(ADA, ear)
    assert list(hub.of_session(ADA, 8)) == [laptop, tab]
    assert list(hub.of_session(BOB, 8)) == []


def test_connections_may_go_while_a_session_is_ended() -> None:
    hub = Hub()
    for _ in range(3):
        hub.add(ADA, Ear(ADA, 7))
    for ear in hub.of_session(ADA, 7):
        hub.remove(ADA, ear)
    assert not hub.of(ADA)


# Groups

GROUP = 7


def test_a_groups_audience_is_its_members_who_are_there() -> None:
    hub = Hub()
    hub.add(ADA, Ear(ADA))
    hub.learn(GROUP, [ADA, BOB])
    assert hub.knows(GROUP)
    assert hub.audience(GROUP) == {ADA}
    hub.add(BOB, Ear(BOB))
    assert hub.audience(GROUP) == {ADA, BOB}


def test_what_is_known_of_a_group_is_newer_than_what_was_read() -> None:
    hub = Hub()
    hub.add(BOB, Ear(BOB))
    hub.learn(GROUP, [ADA, BOB])
    hub.leave(GROUP, [BOB])
    hub.learn(GROUP, [ADA, BOB])
    assert hub.audience(GROUP) == set()
    hub.enter(GROUP, [BOB])
    assert hub.audience(GROUP) == {BOB}


def test_changes_of_a_group_of_which_nothing_is_known_need_not_be_kept() -> None:
    hub = Hub()
    hub.enter(GROUP, [ADA])
    hub.leave(GROUP, [ADA])
    assert not hub.knows(GROUP)
    with pytest.raises(KeyError):
        hub.audience(GROUP)


def test_the_groups_longest_silent_are_forgotten() -> None:
    hub = Hub(groups=2)
    for group in (1, 2, 3):
        hub.learn(group, [ADA])
    hub.audience(1)
    hub.forget()
    assert [hub.knows(group) for group in (1, 2, 3)] == [True, False, True]


def test_who_is_online() -> None:
    hub, phone = Hub(), Ear(ADA)
    assert not hub.is_online(ADA)
    hub.add(ADA, phone)
    assert hub.is_online(ADA)
    hub.remove(ADA, phone)
    assert not hub.is_online(ADA)


# Presence


def test_who_is_not_there_is_shown_offline() -> None:
    assert Hub().shown(ADA) == OFFLINE


def test_a_user_is_shown_as_the_devices_show_taken_together() -> None:
    hub = Hub()
    hub.add(ADA, Ear(ADA, choice=Choice("away", "back at two")))
    assert hub.shown(ADA) == Shown("away", "back at two")
    phone = Ear(ADA, choice=Choice("dnd", "busy"))
    hub.add(ADA, phone)
    hub.add(BOB, Ear(BOB, choice=Choice("invisible")))
    assert hub.shown(ADA) == Shown("dnd", "busy")
    assert hub.shown(BOB) == OFFLINE
    phone.session.choice = Choice("invisible")
    assert hub.shown(ADA) == OFFLINE
    hub.remove(ADA, phone)
    assert hub.shown(ADA) == Shown("away", "back at two")


def test_of_equal_devices_the_one_that_came_last_is_shown() -> None:
    hub = Hub()
    hub.add(ADA, Ear(ADA, choice=Choice("online", "one")))
    hub.add(ADA, Ear(ADA, choice=Choice("online", "two")))
    assert hub.shown(ADA) == Shown("online", "two")


def test_nobody_has_moved_at_first() -> None:
    assert list(Hub().moved) == []


def test_who_comes_goes_or_chooses_something_has_moved() -> None:
    hub, bobs, chens = Hub(), Ear(BOB), Ear(CHEN)
    hub.add(BOB, bobs)
    hub.add(CHEN, chens)
    hub.moved = {}
    hub.chose(ADA)
    assert list(hub.moved) == [ADA]
    hub.remove(CHEN, chens)
    assert list(hub.moved) == [ADA, CHEN]
    hub.add(BOB, Ear(BOB))
    assert list(hub.moved) == [ADA, CHEN, BOB]


def test_who_moves_twice_is_named_once_in_the_first_place() -> None:
    hub, phone = Hub(), Ear(ADA)
    hub.add(ADA, phone)
    hub.add(BOB, Ear(BOB))
    hub.chose(ADA)
    hub.remove(ADA, phone)
    assert list(hub.moved) == [ADA, BOB]


def test_whose_other_device_goes_has_moved_too() -> None:
    hub, phone, laptop = Hub(), Ear(ADA), Ear(ADA)
    hub.add(ADA, phone)
    hub.add(ADA, laptop)
    hub.moved = {}
    hub.remove(ADA, phone)
    assert list(hub.moved) == [ADA]


def test_nobody_has_parted_at_first() -> None:
    assert Hub().partings == 0


# Typing

NOW = 1_700_000_000_000


def test_that_somebody_types_is_news_and_said_again_after_a_while() -> None:
    hub = Hub()
    assert hub.typed(ADA, GROUP, on=True, now=NOW)
    assert not hub.typed(ADA, GROUP, on=True, now=NOW)
    assert not hub.typed(ADA, GROUP, on=True, now=NOW + TYPING_AGAIN - 1)
    assert hub.typed(ADA, GROUP, on=True, now=NOW + TYPING_AGAIN)
    assert not hub.typed(ADA, GROUP, on=True, now=NOW + 2 * TYPING_AGAIN - 1)
    assert hub.typed(ADA, GROUP, on=True, now=NOW + 2 * TYPING_AGAIN)


def test_that_somebody_still_types_is_told_before_the_clients_forget_it() -> None:
    assert TYPING_AGAIN == 3000  # a client forgets after six seconds, and says it every three


def test_that_somebody_has_stopped_is_news_once() -> None:
    hub = Hub()
    hub.typed(ADA, GROUP, on=True, now=NOW)
    assert hub.typed(ADA, GROUP, on=False, now=NOW)
    assert not hub.typed(ADA, GROUP, on=False, now=NOW)
    assert not hub.typed(ADA, GROUP, on=False, now=NOW + 2 * TYPING_AGAIN)


def test_who_has_not_begun_has_not_stopped() -> None:
    assert not Hub().typed(ADA, GROUP, on=False, now=NOW)


def test_who_begins_again_is_news_after_a_while() -> None:
    hub = Hub()
    assert hub.typed(ADA, GROUP, on=True, now=NOW)
    assert hub.typed(ADA, GROUP, on=False, now=NOW)
    for _ in range(3):
        assert not hub.typed(ADA, GROUP, on=True, now=NOW + TYPING_AGAIN - 1)
        assert not hub.typed(ADA, GROUP, on=False, now=NOW + TYPING_AGAIN - 1)
    assert hub.typed(ADA, GROUP, on=True, now=NOW + TYPING_AGAIN)
    assert hub.typed(ADA, GROUP, on=False, now=NOW + TYPING_AGAIN)


def test_that_somebody_has_stopped_is_news_however_late() -> None:
    hub = Hub()
    hub.typed(ADA, GROUP, on=True, now=NOW)
    assert hub.typed(ADA, GROUP, on=False, now=NOW + 100 * TYPING_AGAIN)


def test_who_types_where_are_kept_apart() -> None:
    hub = Hub()
    assert hub.typed(ADA, GROUP, on=True, now=NOW)
    assert hub.typed(BOB, GROUP, on=True, now=NOW)
    assert hub.typed(ADA, GROUP + 1, on=True, now=NOW)
    assert hub.typed(ADA, GROUP, on=False, now=NOW)
    assert not hub.typed(BOB, GROUP, on=True, now=NOW)


def test_of_those_who_type_so_many_are_remembered() -> None:
    hub = Hub(groups=2)
    for user_id in (ADA, BOB):
        hub.typed(user_id, GROUP, on=True, now=NOW)
    assert not hub.typed(ADA, GROUP, on=True, now=NOW + 1)  # still there, and the latest now
    hub.typed(CHEN, GROUP, on=True, now=NOW)
    assert not hub.typed(ADA, GROUP, on=True, now=NOW + 1)
    assert not hub.typed(CHEN, GROUP, on=True, now=NOW + 1)
    assert hub.typed(BOB, GROUP, on=True, now=NOW + 1)  # forgotten: the longest silent


def test_who_asks_is_told_what_the_others_were_told() -> None:
    hub, phone = Hub(), Ear(ADA)
    assert hub.seen(ADA).status == "offline"
    hub.add(ADA, phone)
    assert hub.seen(ADA).status == "online"
    hub.told[ADA] = Shown("dnd", "busy")
    assert hub.seen(ADA) == Shown("online")
    hub.remove(ADA, phone)
    assert hub.seen(ADA) == Shown("dnd", "busy")
    del hub.told[ADA]
    assert hub.seen(ADA).status == "offline"
