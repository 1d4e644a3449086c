"""The events that clients hear, by their names on the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from chatd import events
from chatd.events import EVENTS

every_event = pytest.mark.parametrize("data", EVENTS.values(), ids=EVENTS)


@dataclasses.dataclass(frozen=True, slots=True)
class Wave:
    """Somebody waved."""

    user_id: int


@pytest.fixture(autouse=True)
def _events_as_they_were() -> Iterator[None]:
    with patch.dict(EVENTS):
        yield


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


def test_what_was_not_registered_is_no_event() -> None:
    with pytest.raises(TypeError, match="Wave is no event"):
        events.name_of_type(Wave)
