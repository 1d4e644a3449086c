"""A connection's state machine."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

import chatd.ops  # noqa: F401  (registers the ops)
from chatd.errors import AlreadyAuthenticated, Unauthenticated
from chatd.op import REGISTRY, Asks, Lane
from chatd.presence import Choice
from chatd.session import LEGAL, NOBODY, Identity, Session, State

ADA = Identity(user_id=1, username="ada", session_id=3)
FOR_ANYONE, FOR_GUESTS, FOR_USERS = REGISTRY["heartbeat"], REGISTRY["login"], REGISTRY["send"]


@pytest.fixture
def guest() -> Session:
    return Session()


@pytest.fixture
def ada() -> Session:
    session = Session()
    session.authenticated(ADA, "zh")
    return session


# Who it is


def test_a_connection_begins_as_nobodys_and_in_english(guest: Session) -> None:
    assert (guest.state, guest.identity, guest.lang) == (State.GUEST, NOBODY, "en")


def test_a_connection_becomes_a_users_and_speaks_the_users_language(ada: Session) -> None:
    assert (ada.state, ada.identity, ada.lang) == (State.USER, ADA, "zh")


def test_a_connection_becomes_nobodys_again(ada: Session) -> None:
    ada.signed_out()
    assert (ada.state, ada.identity) == (State.GUEST, NOBODY)


def test_a_device_shows_its_user_online_until_it_chooses(guest: Session) -> None:
    assert guest.choice == Choice("online", "")


def test_what_a_device_shows_ends_with_its_user(ada: Session) -> None:
    ada.choice = Choice("invisible", "hush")
    ada.signed_out()
    assert ada.choice == Choice("online", "")


def test_what_one_device_shows_is_not_what_another_does(ada: Session, guest: Session) -> None:
    ada.choice = Choice("dnd")
    assert guest.choice == Choice("online")


# What it may ask for


def test_the_table_knows_every_state_and_asker() -> None:
    assert set(LEGAL) == set(product(State, get_args(Asks)))


def test_a_guest_may_ask_for_what_guests_and_anyone_may(guest: Session) -> None:
    guest.refuse(FOR_ANYONE)
    guest.refuse(FOR_GUESTS)
    with pytest.raises(Unauthenticated):
        guest.refuse(FOR_USERS)


def test_a_user_may_ask_for_what_users_and_anyone_may(ada: Session) -> None:
    ada.refuse(FOR_ANYONE)
    ada.refuse(FOR_USERS)
    with pytest.raises(AlreadyAuthenticated, match="already logged in as ada"):
        ada.refuse(FOR_GUESTS)


def test_who_has_signed_out_is_a_guest(ada: Session) -> None:
    ada.signed_out()
    ada.refuse(FOR_GUESTS)
    with pytest.raises(Unauthenticated):
        ada.refuse(FOR_USERS)


@pytest.mark.parametrize("name", ["heartbeat", "login", "send"])
def test_a_closed_connection_may_ask_for_nothing(ada: Session, name: str) -> None:
    ada.closed()
    with pytest.raises(Unauthenticated):
        ada.refuse(REGISTRY[name])


# What may run side by side


def test_a_connection_counts_what_is_under_way(guest: Session) -> None:
    guest.begin("read", exclusive=False)
    guest.begin("read", exclusive=False)
    assert guest.under_way == 2
    guest.end()
    assert guest.under_way == 1


@pytest.mark.parametrize("lane", get_args(Lane))
@pytest.mark.parametrize("exclusive", [False, True])
def test_where_nothing_is_under_way_anything_may_begin(guest: Session, lane: Lane, exclusive: bool) -> None:
    assert guest.may_begin(lane, exclusive=exclusive, most=8)
    guest.begin("write", exclusive=True)
    guest.end()
    assert guest.may_begin(lane, exclusive=exclusive, most=8)


@pytest.mark.parametrize(("running", "next_one"), list(product(get_args(Lane), repeat=2)))
def test_only_ops_of_one_lane_run_side_by_side(guest: Session, running: Lane, next_one: Lane) -> None:
    guest.begin(running, exclusive=False)
    assert guest.may_begin(next_one, exclusive=False, most=8) is (running == next_one)


def test_no_more_than_so_many_are_under_way(guest: Session) -> None:
    guest.begin("read", exclusive=False)
    guest.begin("read", exclusive=False)
    assert not guest.may_begin("read", exclusive=False, most=2)
    guest.end()
    assert guest.may_begin("read", exclusive=False, most=2)


def test_an_exclusive_op_waits_for_those_before_it(guest: Session) -> None:
    guest.begin("write", exclusive=False)
    assert not guest.may_begin("write", exclusive=True, most=8)


def test_an_exclusive_op_holds_up_those_after_it(guest: Session) -> None:
    guest.begin("write", exclusive=True)
    assert not guest.may_begin("write", exclusive=False, most=8)


def test_what_waits_may_begin_once_the_last_op_of_the_other_lane_has_ended(guest: Session) -> None:
    guest.begin("write", exclusive=False)
    guest.begin("write", exclusive=False)
    guest.end()
    assert not guest.may_begin("read", exclusive=False, most=8)
    guest.end()
    assert guest.may_begin("read", exclusive=False, most=8)
