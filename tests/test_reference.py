"""What the registry says of itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from unittest.mock import patch

import pytest

import chatd.ops  # noqa: F401  (registers the ops)
from chatd import events
from chatd.access import Anyone, Guest, Self
from chatd.errors import BY_CODE, ChatError, Phrase, Unreachable
from chatd.events import EVENTS
from chatd.op import REGISTRY, Access, Op, op
from chatd.reference import describe, errors_of, markdown, summary
from chatd.wire import Limit, Whole

every_op = pytest.mark.parametrize("known", REGISTRY.values(), ids=REGISTRY)


@dataclass(frozen=True, slots=True)
class Slice:
    """A piece of a pizza."""

    toppings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pizza:
    """Hot, and
    round."""

    number: Annotated[int, Whole(1, 9)]
    size: Literal["small", "large"]
    paid: bool
    note: str | None
    rest: Slice | None
    slices: tuple[Slice, ...]
    prices: dict[str, int]
    anything: Any


@dataclass(frozen=True, slots=True)
class Undocumented:
    number: int


@dataclass(frozen=True, slots=True)
class Order:
    """Order a pizza.

    It takes a while.
    """

    name: str
    limit: Limit = 5
    note: str | None = None


async def order(ctx: Any, request: Order) -> Pizza:
    raise NotImplementedError


async def count(ctx: Any, request: Order) -> Undocumented:
    raise NotImplementedError


@pytest.fixture(autouse=True)
def _registry_as_it_was() -> Iterator[None]:
    with patch.dict(REGISTRY):
        yield


def pizzeria(needs: Access, *, reply: type[Any] = Pizza, raises: tuple[type[ChatError], ...] = ()) -> Op:
    """An op of the tests' own."""
    function = order if reply is Pizza else count
    op(
        reply=reply,
        done=Phrase("ordered", "已订"),
        needs=needs,
        example={"name": "ada"},
        emits=[events.Message],
        raises=raises,
    )(function)
    return REGISTRY[function.__name__]


# One op


def test_an_op_is_described_by_what_validates_it() -> None:
    described = describe(pizzeria(Self()))
    assert described["op"] == "order"
    assert described["what"] == "Order a pizza.\n\nIt takes a while."
    assert described["who"] == "an authenticated connection"
    assert described["example"] == {"type": "order", "name": "ada"}
    assert described["events"] == ["message"]


def test_a_description_tells_each_field_and_its_default() -> None:
    assert describe(pizzeria(Guest()))["fields"] == [
        {"name": "name", "type": "text", "required": True},
        {"name": "limit", "type": "a whole number from 1 to 200", "required": False, "default": 5},
        {"name": "note", "type": "text", "required": False},
    ]


def test_a_description_shows_the_shape_of_the_reply() -> None:
    described = describe(pizzeria(Self()))
    assert described["reply_note"] == "Hot, and\nround."
    assert described["reply"] == {
        "number": "number",
        "size": "small / large",
        "paid": "true or false",
        "note": "text or null",
        "rest": {"toppings": ["text"]},
        "slices": [{"toppings": ["text"]}],
        "prices": "object",
        "anything": "object",
    }


def test_a_reply_without_a_docstring_has_no_note() -> None:
    assert describe(pizzeria(Self(), reply=Undocumented))["reply_note"] == ""


def test_an_op_whose_retries_are_recognized_takes_a_client_id() -> None:
    assert describe(pizzeria(Self()))["fields"][-1]["name"] == "client_id"


@pytest.mark.parametrize(
    ("needs", "codes"),
    [
        (Anyone(), ["unreachable", "invalid", "rate_limited"]),
        (Guest(), ["unreachable", "already_authenticated", "invalid", "rate_limited"]),
        (Self(), ["unreachable", "unauthenticated", "conflict", "invalid", "rate_limited"]),
    ],
)
def test_an_op_answers_with_its_own_errors_and_with_those_of_the_gate(needs: Access, codes: list[str]) -> None:
    assert [error.code for error in errors_of(pizzeria(needs, raises=(Unreachable,)))] == codes


def test_a_summary_is_the_first_line() -> None:
    assert summary(pizzeria(Self())) == "Order a pizza."


# The real registry


@every_op
def test_an_example_is_a_request(known: Op) -> None:
    example = dict(describe(known)["example"])
    assert example.pop("type") == known.name
    assert isinstance(known.schema.convert(example, owner=known.name), known.schema.request)


@every_op
def test_every_field_of_an_op_is_described(known: Op) -> None:
    names = [field["name"] for field in describe(known)["fields"]]
    assert names == [*known.schema.fields, *(["client_id"] if known.takes_client_id else [])]


@every_op
def test_every_error_of_an_op_is_described_by_its_meaning(known: Op) -> None:
    described = describe(known)["errors"]
    assert set(described) >= {error.code for error in known.raises}
    assert all(meaning and meaning in (BY_CODE[code].__doc__ or "") for code, meaning in described.items())


@every_op
def test_every_op_is_in_the_reference(known: Op) -> None:
    assert f"\n#### {known.name}\n\n{known.doc}\n" in markdown()


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_in_the_reference(name: str) -> None:
    assert f"\n**`{name}`** {inspect.cleandoc(EVENTS[name].__doc__ or '')}\n" in markdown()


@pytest.mark.parametrize("code", BY_CODE)
def test_every_error_is_in_the_reference(code: str) -> None:
    meaning = (BY_CODE[code].__doc__ or "").splitlines()[0]
    temporary = "yes" if BY_CODE[code].temporary else ""
    assert f"\n| `{code}` | {meaning} | {temporary} |\n" in markdown()


# Markdown


def test_the_reference_has_three_parts_and_ends_with_a_table() -> None:
    text = markdown()
    assert [line for line in text.splitlines() if line.startswith("### ")] == ["### Ops", "### Events", "### Errors"]
    assert "\n\n### Errors\n\n| code | meaning | temporary |\n|---|---|---|\n| `" in text
    assert text.endswith(" |\n")
    assert not text.endswith("\n\n")


def section(known: Op) -> str:
    return markdown().partition(f"#### {known.name}\n")[2].partition("\n#")[0]


def test_a_section_shows_example_fields_reply_errors_and_events() -> None:
    text = section(pizzeria(Self()))
    assert '\n    {"type":"order","name":"ada"}\n' in text
    assert "\n|---|---|---|\n| `name` | text | required |\n" in text
    assert "\n| `limit` | a whole number from 1 to 200 | default `5` |\n" in text
    assert "\n| `note` | text |  |\n" in text
    assert "\n| `client_id` | text of 1 to 64 characters | also accepted as temp_id" in text
    assert '"anything":"object"}`. Hot, and round.\n' in text
    assert "\nFor an authenticated connection. Errors: `unauthenticated`, " in text
    assert " Events: `message`.\n" in text


def test_a_section_leaves_out_what_an_op_has_not() -> None:
    text = section(REGISTRY["heartbeat"])
    assert "\nFor anyone. Errors: `invalid`, `rate_limited`.\n" in text
    assert "`client_id`" not in text


def test_an_op_without_fields_has_no_table() -> None:
    assert "|---|" not in section(REGISTRY["heartbeat"])
    assert "|---|" in section(REGISTRY["send"])


def test_a_reply_without_a_note_ends_with_its_shape() -> None:
    assert '\nReply: `{"number":"number"}`\n' in section(pizzeria(Self(), reply=Undocumented))
