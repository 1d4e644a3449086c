"""`@op`: what it makes of a coroutine, and what it refuses at import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest

from chatd import events
from chatd.access import Anyone, Guest, Member, Membership, Self
from chatd.errors import AlreadyFriends, ChatError, Invalid, NotFound, Phrase
from chatd.op import REGISTRY, Access, AccessTogether, Lane, Op, op


@dataclass(frozen=True, slots=True)
class Greet:
    """Greet somebody.

    Politely.
    """

    name: str
    loudly: bool = False


@dataclass(frozen=True, slots=True)
class Greeted:
    """What was said."""

    words: str


@dataclass(frozen=True, slots=True)
class Undocumented:
    name: str


class Plain:
    """No dataclass."""


@pytest.fixture(autouse=True)
def _registry_as_it_was() -> Iterator[None]:
    with patch.dict(REGISTRY):
        yield


async def greet(ctx: Any, request: Greet) -> Greeted:
    return Greeted(f"Hello, {request.name}!")


async def greet_with(ctx: Any, request: Greet, given: Any) -> Greeted:
    return Greeted(f"Hello, {request.name}, with {given}!")


async def greet_all(ctxs: Sequence[Any], requests: Sequence[Greet], at: Sequence[Membership]) -> list[Greeted]:
    return [Greeted(f"Hello, {request.name}!") for request in requests]


async def words(outside: Any, request: Greet) -> str:
    return "words"


def register(function: Any, **settings: Any) -> Op:
    defaults = {
        "reply": Greeted,
        "done": Phrase("greeted", "已问候"),
        "needs": Anyone(),
        "example": {"name": "ada"},
    }
    assert op(**{**defaults, **settings})(function) is function
    return REGISTRY[function.__name__]


def refusal(function: Any, **settings: Any) -> str:
    known = dict(REGISTRY)
    with pytest.raises(TypeError) as caught:
        register(function, **settings)
    assert known == REGISTRY
    return str(caught.value)


# What an op is


def test_an_op_has_its_functions_name_and_its_requests_docstring() -> None:
    greeting = register(greet)
    assert (greeting.name, greeting.function) == ("greet", greet)
    assert greeting.doc == "Greet somebody.\n\nPolitely."


def test_an_op_converts_its_requests() -> None:
    assert register(greet).schema.convert({"name": "bob"}, owner="greet") == Greet("bob")


def test_an_op_is_given_what_its_access_gives() -> None:
    assert register(greet_with, needs=Member()).needs.gives is Membership


def test_an_op_is_given_what_its_before_gives() -> None:
    assert register(greet_with, before=words).before is words


def test_an_op_names_the_events_it_emits() -> None:
    assert register(greet, emits=[events.Message, events.Friend]).emits == ("message", "friend")


@pytest.mark.parametrize("lane", ["read", "here"])
@pytest.mark.parametrize("data", [events.Join, events.Leave, events.Presence, events.Typing])
def test_a_reader_may_emit_what_is_never_stored(lane: Lane, data: type[Any]) -> None:
    assert register(greet, lane=lane, emits=[data]).emits == (events.name_of_type(data),)


def test_a_writer_may_emit_everything() -> None:
    assert register(greet, emits=[events.Typing, events.Message]).emits == ("typing", "message")


def test_an_op_raises_what_its_access_raises_and_its_own_each_once() -> None:
    greeting = register(greet_with, needs=Member(), raises=[AlreadyFriends, NotFound])
    assert greeting.raises == (NotFound, AlreadyFriends)


def test_an_op_runs_in_its_lane() -> None:
    assert register(greet, lane="read").lane_for(Greet("ada", loudly=True)) == "read"


def test_a_reader_may_become_a_writer_by_a_field() -> None:
    greeting = register(greet, lane="read", write_when="loudly", emits=[events.Message])
    assert greeting.lane_for(Greet("ada")) == "read"
    assert greeting.lane_for(Greet("ada", loudly=True)) == "write"


@pytest.mark.parametrize(
    ("lane", "write_when", "needs", "recognized"),
    [
        ("write", None, Self(), True),
        ("read", "loudly", Self(), False),
        ("read", None, Self(), False),
        ("here", None, Self(), False),
        ("write", None, Guest(), False),
        ("write", None, Anyone(), False),
    ],
)
def test_a_retry_is_recognized_where_a_user_changes_something(
    lane: Lane, write_when: str | None, needs: Access, recognized: bool
) -> None:
    assert register(greet, lane=lane, write_when=write_when, needs=needs).takes_client_id is recognized


def test_an_op_that_answers_many_is_known_by_what_one_asks_and_is_told() -> None:
    greeting = register(greet_all, needs=Member(), together=True)
    assert greeting.together
    assert (greeting.schema.request, greeting.reply) == (Greet, Greeted)
    assert greeting.schema.convert({"name": "bob"}, owner="greet_all") == Greet("bob")
    assert greeting.doc == "Greet somebody.\n\nPolitely."


def test_an_op_answers_one_unless_it_says_otherwise() -> None:
    assert not register(greet).together


def test_an_op_that_answers_many_takes_and_returns_any_sequences() -> None:
    async def greet_some(ctxs: list[Any], requests: list[Greet], at: tuple[Membership, ...]) -> Sequence[Greeted]:
        return await greet_all(ctxs, requests, at)

    assert register(greet_some, needs=Member(), together=True).schema.request is Greet


def test_an_op_that_answers_many_may_refuse_some() -> None:
    async def greet_friends(
        ctxs: Sequence[Any], requests: Sequence[Greet], at: Sequence[Membership]
    ) -> list[Greeted | ChatError]:
        return [NotFound() for _ in requests]

    greeting = register(greet_friends, needs=Member(), together=True)
    assert (greeting.schema.request, greeting.reply) == (Greet, Greeted)


def test_only_what_is_checked_together_is_answered_together() -> None:
    assert isinstance(Member(), AccessTogether)
    assert not any(isinstance(access, AccessTogether) for access in (Self(), Guest(), Anyone()))


def test_an_op_may_be_asked_for_without_a_socket_unless_it_says_otherwise() -> None:
    assert not register(greet).needs_socket
    assert register(greet_with, needs=Member(), needs_socket=True).needs_socket


# What is refused


def test_a_name_is_given_once() -> None:
    register(greet)
    assert refusal(greet) == "op greet: is registered twice"


def test_an_op_is_a_coroutine_function() -> None:
    def shout(ctx: Any, request: Greet) -> Greeted:
        return Greeted("HELLO")

    assert refusal(shout) == "op shout: must be a coroutine function"


def test_an_op_takes_a_context_and_a_request() -> None:
    async def mutter(ctx: Any) -> Greeted:
        return Greeted("…")

    assert refusal(mutter).startswith("op mutter: takes (ctx, request)")
    assert refusal(greet_with).startswith("op greet_with: takes (ctx, request)")


def test_an_op_takes_what_is_given_to_it() -> None:
    assert "what `needs` or `before` gives" in refusal(greet, needs=Member())
    assert "what `needs` or `before` gives" in refusal(greet, before=words)


def test_only_one_of_access_and_before_gives_something() -> None:
    async def greet_twice(ctx: Any, request: Greet, at: Membership, said: str) -> Greeted:
        return Greeted(said)

    assert "has both an access and a `before`" in refusal(greet_twice, needs=Member(), before=words)


def test_a_request_is_a_dataclass() -> None:
    async def greet_plainly(ctx: Any, request: Plain) -> Greeted:
        return Greeted("hi")

    async def greet_anything(ctx: Any, request) -> Greeted:  # type: ignore[no-untyped-def]  # that is what is refused
        return Greeted("hi")

    assert refusal(greet_plainly) == "op greet_plainly: needs a request dataclass"
    assert refusal(greet_anything) == "op greet_anything: needs a request dataclass"


def test_a_request_is_documented() -> None:
    async def greet_quietly(ctx: Any, request: Undocumented) -> Greeted:
        return Greeted("hi")

    assert refusal(greet_quietly) == "op greet_quietly: Undocumented has no docstring"


def test_an_op_returns_the_reply_it_declares() -> None:
    async def greet_somehow(ctx: Any, request: Greet):  # type: ignore[no-untyped-def]  # that is what is refused
        return Greeted("hi")

    assert refusal(greet, reply=Undocumented) == "op greet: must return the reply it declares"
    assert refusal(greet_somehow) == "op greet_somehow: must return the reply it declares"


def test_a_reply_is_a_dataclass() -> None:
    async def greet_plainly(ctx: Any, request: Greet) -> Plain:
        return Plain()

    assert refusal(greet_plainly, reply=Plain) == "op greet_plainly: must return the reply it declares"


def test_only_a_field_of_the_reply_is_forgotten() -> None:
    assert register(greet, forgets="words").forgets == "words"
    assert (
        refusal(greet_with, before=words, forgets="loudness") == "op greet_with: forgets what is no field of its reply"
    )


def test_what_is_answered_together_is_kept_as_it_is() -> None:
    settings = {"needs": Member(), "together": True, "forgets": "words"}
    assert refusal(greet_all, **settings) == "op greet_all: is answered together, but forgets"


@pytest.mark.parametrize("lane", ["read", "here"])
def test_only_a_writer_emits(lane: Lane) -> None:
    assert refusal(greet, lane=lane, emits=[events.Message]) == "op greet: emits from a reader"
    assert refusal(greet, lane=lane, emits=[events.Typing, events.Message]) == "op greet: emits from a reader"


def test_only_events_are_emitted() -> None:
    assert refusal(greet, emits=[Greeted]) == "Greeted is no event"


@pytest.mark.parametrize("example", [{}, {"name": 7}, {"name": "ada", "softly": True}])
def test_an_example_is_a_request(example: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        register(greet, example=example)
    assert "greet" not in REGISTRY


def test_what_makes_a_read_a_write_is_a_field() -> None:
    assert refusal(greet, lane="read", write_when="softly") == "op greet: Greet has no field softly"
    greeting = register(greet, lane="read", write_when="loudly")
    assert [greeting.lane_for(Greet("ada", loudly=loudly)) for loudly in (False, True)] == ["read", "write"]


# What is refused of an op that answers many


def refusal_together(function: Any, **settings: Any) -> str:
    return refusal(function, together=True, **{"needs": Member(), **settings})


def test_an_op_that_answers_many_takes_as_much_as_one_that_answers_one() -> None:
    async def greet_nobody() -> list[Greeted]:
        return []

    async def greet_asked(requests: Sequence[Greet]) -> list[Greeted]:
        return []

    async def greet_twice(
        ctxs: Sequence[Any], requests: Sequence[Greet], at: Sequence[Membership], more: Sequence[Any]
    ) -> list[Greeted]:
        return []

    for function in (greet_nobody, greet_asked, greet_twice):
        assert refusal_together(function).endswith("takes (ctx, request) and what `needs` or `before` gives")


def test_an_op_that_answers_many_is_not_prepared() -> None:
    async def greet_prepared(
        ctxs: Sequence[Any], requests: Sequence[Greet], at: Sequence[Membership], said: Sequence[str]
    ) -> list[Greeted]:
        return []

    assert refusal_together(greet_prepared, before=words).endswith("is answered together, but prepared alone")


def test_an_op_that_answers_many_has_an_access_that_checks_many() -> None:
    async def greet_each(ctxs: Sequence[Any], requests: Sequence[Greet]) -> list[Greeted]:
        return []

    for access in (Self(), Guest(), Anyone()):
        assert refusal_together(greet_each, needs=access).endswith("is answered together, but its access is not")


def test_an_op_that_answers_many_says_which_requests() -> None:
    async def greet_one(ctxs: Sequence[Any], requests: Greet, at: Sequence[Membership]) -> list[Greeted]:
        return []

    async def greet_any(ctxs: Sequence[Any], requests: Sequence, at: Sequence[Membership]) -> list[Greeted]:  # type: ignore[type-arg]  # that is what is refused
        return []

    async def greet_untyped(ctxs: Any, requests, at: Any) -> list[Greeted]:  # type: ignore[no-untyped-def]  # so is that
        return []

    async def greet_plainly(ctxs: Sequence[Any], requests: Sequence[Plain], at: Sequence[Membership]) -> list[Greeted]:
        return []

    for function in (greet_one, greet_any, greet_untyped, greet_plainly):
        assert refusal_together(function).endswith("needs a request dataclass")


def test_an_op_that_answers_many_returns_replies_of_the_kind_it_declares() -> None:
    async def greet_once(ctxs: Sequence[Any], requests: Sequence[Greet], at: Sequence[Membership]) -> Greeted:
        return Greeted("hi")

    async def greet_otherwise(ctxs: Sequence[Any], requests: Sequence[Greet], at: Any) -> list[Undocumented]:
        return []

    async def greet_or_refuse(
        ctxs: Sequence[Any], requests: Sequence[Greet], at: Any
    ) -> list[Undocumented | ChatError]:
        return []

    async def greet_somehow(ctxs: Sequence[Any], requests: Sequence[Greet], at: Any):  # type: ignore[no-untyped-def]  # that is what is refused
        return []

    for function in (greet_once, greet_otherwise, greet_or_refuse, greet_somehow):
        assert refusal_together(function).endswith("must return the reply it declares")


def test_an_op_that_answers_one_raises_its_errors() -> None:
    async def greet_or_refuse(ctx: Any, request: Greet) -> Greeted | ChatError:
        return NotFound()

    assert refusal(greet_or_refuse) == "op greet_or_refuse: must return the reply it declares"


def test_an_op_that_answers_one_takes_no_sequences() -> None:
    assert refusal(greet_all, needs=Member()) == "op greet_all: needs a request dataclass"
