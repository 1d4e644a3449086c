"""Records: dataclasses that the type checker alone keeps frozen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, is_dataclass
from typing import Any

import orjson
import pytest

import chatd.ops  # noqa: F401  (registers the ops)
from chatd.events import EVENTS
from chatd.op import REGISTRY
from chatd.record import record


@record
class Place:
    """A place in a log."""

    conversation_id: int
    seq: int = 0
    note: str | None = None


@dataclass(frozen=True, slots=True)
class SlottedPlace:
    conversation_id: int
    seq: int = 0
    note: str | None = None


def test_a_record_is_a_dataclass() -> None:
    assert is_dataclass(Place)
    assert [(field.name, field.default) for field in dataclasses.fields(Place)] == [
        ("conversation_id", dataclasses.MISSING),
        ("seq", 0),
        ("note", None),
    ]
    assert Place.__doc__ == "A place in a log."


def test_a_record_has_its_defaults() -> None:
    assert (Place(7).conversation_id, Place(7).seq, Place(7).note) == (7, 0, None)


def test_a_record_takes_its_fields_by_place_and_by_name() -> None:
    assert Place(7, 2, "here") == Place(note="here", seq=2, conversation_id=7)
    with pytest.raises(TypeError, match="conversation_id"):
        Place()  # type: ignore[call-arg]  # that is what is refused


def test_records_are_equal_where_their_fields_are() -> None:
    assert Place(7) == Place(7, 0)
    assert Place(7) != Place(7, 1)
    another: Any = SlottedPlace(7)
    assert Place(7) != another


def test_a_record_says_what_it_holds() -> None:
    assert repr(Place(7, note="here")) == "Place(conversation_id=7, seq=0, note='here')"


def test_a_record_may_be_replaced_by_another() -> None:
    assert dataclasses.replace(Place(7), seq=2) == Place(7, 2)


def test_orjson_writes_a_record_field_by_field() -> None:
    assert orjson.dumps(Place(7, note="好")) == '{"conversation_id":7,"seq":0,"note":"好"}'.encode()
    assert orjson.dumps([Place(7, 2)]) == orjson.dumps([SlottedPlace(7, 2)])


def test_a_record_keeps_its_fields_where_orjson_finds_them_fastest() -> None:
    assert vars(Place(7)) == {"conversation_id": 7, "seq": 0, "note": None}
    assert "__dict__" in (record.__doc__ or "")


def test_only_the_type_checker_keeps_a_record_frozen() -> None:
    place = Place(7)
    place.seq = 2  # type: ignore[misc]  # mypy would complain of this comment if it let the line pass
    assert place == Place(7, 2)


@pytest.mark.parametrize(
    "made_often",
    [*EVENTS.values(), *(kind for op in REGISTRY.values() for kind in (op.schema.request, op.reply))],
)
def test_what_is_made_per_request_or_event_is_a_record(made_often: type[Any]) -> None:
    assert is_dataclass(made_often)
    assert not hasattr(made_often, "__slots__")
    assert "__setattr__" not in vars(made_often)
