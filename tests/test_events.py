"""The events that clients hear, by their names on the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from chatd import events
from chatd.events import EVENTS, FLEETING

every_event = pytest.mark.parametrize("data", EVENTS.values(), ids=EVENTS)


@dataclasses.dataclass(frozen=True, slots=True)
class Wave:
    """Somebody waved."""

    user_id: int


@pytest.fixture(autouse=True)
def _events_as_they_were() -> Iterator[None]:
    fleeting = set(FLEETING)
    with patch.dict(EVENTS):
        yield
    FLEETING.intersection_update(fleeting)


@every_event
def test_an_event_is_documented_data(data: type[Any]) -> None:
    assert not (data.__doc__ or "").startswith(f"{data.__name__}(")
    assert dataclasses.is_dataclass(data)


@every_event
def test_an_event_is_known_by_its_type(data: type[Any]) -> None:
    assert EVENTS[events.name_of_type(data)] is data
    assert events.NAMES[data] == events.name_of_type(data)


def test_a_name_that_was_released_stays() -> None:
    released = {"message", "friend_request", "friend", "block", "conversation", "profile", "session", "receipt"}
    assert released <= EVENTS.keys()


def test_an_event_is_registered_under_its_name() -> None:
    assert events.event("wave")(Wave) is Wave
    assert EVENTS["wave"] is Wave
    assert events.name_of_type(Wave) == "wave"


def test_a_name_is_given_once() -> None:
    with pytest.raises(TypeError, match="event message"):
        events.event("message")(Wave)
    assert EVENTS["message"] is events.Message


@pytest.mark.parametrize("is_fleeting", [False, True])
def test_an_event_is_documented(is_fleeting: bool) -> None:
    undocumented = dataclasses.make_dataclass("Shrug", ["user_id"])
    blank = dataclasses.make_dataclass("Blank", ["user_id"], namespace={"__doc__": ""})
    for data in (undocumented, blank):
        with pytest.raises(TypeError, match="event shrug: registered twice, or without a docstring"):
            events.event("shrug", is_fleeting=is_fleeting)(data)
        assert data not in FLEETING
    assert "shrug" not in EVENTS


def test_an_event_is_stored_unless_it_is_fleeting() -> None:
    events.event("wave")(Wave)
    assert Wave not in FLEETING


def test_a_fleeting_event_is_registered_as_one() -> None:
    assert events.event("wave", is_fleeting=True)(Wave) is Wave
    assert EVENTS["wave"] is Wave
    assert Wave in FLEETING


def test_who_comes_goes_changes_and_types_is_never_stored_and_all_else_is() -> None:
    assert {events.name_of_type(data) for data in FLEETING} == {"join", "leave", "presence", "typing"}


def test_what_was_not_registered_is_no_event() -> None:
    with pytest.raises(TypeError, match="Wave is no event"):
        events.name_of_type(Wave)
