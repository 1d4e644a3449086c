"""The protocol as data: it is JSON Schema, and the daemon takes and refuses what it says."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatd.errors import BY_CODE
from chatd.events import EVENTS, FLEETING
from chatd.op import REGISTRY
from chatd.protocol import Types
from chatd.wire import Whole
from tests.faults.test_fuzz import Background, bent_examples
from tests.support import PASSWORD, config_for, running
from tests.witness import Witness, attest, document, validator

EXAMPLES = int(os.environ.get("CHATD_FUZZ", "1500"))

every_op = pytest.mark.parametrize("name", REGISTRY)


@pytest.fixture
def background() -> Any:
    background = Background()
    yield background
    background.close()


# The document


def test_it_is_json_schema() -> None:
    jsonschema_rs.meta.validate(document())
    assert document()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(references, schema))
    if not isinstance(schema, dict):
        return set()
    here = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
    return here.union(*map(references, schema.values()))


def test_what_it_refers_to_is_there() -> None:
    referred = references(document())
    assert all(name.startswith("#/$defs/") for name in referred)
    assert {name.removeprefix("#/$defs/") for name in referred} == set(document()["$defs"])


def test_it_knows_every_op_event_and_error() -> None:
    known = document()
    assert list(known["ops"]) == list(REGISTRY)
    assert list(known["events"]) == list(EVENTS)
    assert list(known["errors"]) == list(BY_CODE)
    assert {name for name, event in known["events"].items() if event["is_fleeting"]} == {
        name for name, data in EVENTS.items() if data in FLEETING
    }
    assert known["errors"]["not_found"] == {
        "description": "It does not exist, or you may not know that it does: the two look the same.",
        "temporary": False,
        "status": 404,
        "message": {"en": "Not found.", "zh": "未找到。"},
    }


@every_op
def test_an_example_is_a_request(name: str) -> None:
    example = document()["ops"][name]["example"]
    validator(f"{name}.request").validate(example)
    jsonschema_rs.Draft202012Validator(document()).validate(example)


def test_a_description_is_what_the_docstring_says() -> None:
    request = document()["$defs"]["signup.request"]
    assert request["description"] == REGISTRY["signup"].doc
    assert "\n    " not in orjson.dumps(document()).decode().replace("\\n", "\n")


def test_limits_are_there_in_the_words_of_json_schema() -> None:
    fields = document()["$defs"]["signup.request"]["properties"]
    assert fields["password"] == {
        "description": "8 to 1024 bytes in UTF-8",
        "type": "string",
        "minLength": 2,
        "maxLength": 1024,
        "pattern": "^[^\\u0000]*$",
        "format": "password",
        "writeOnly": True,
    }
    assert fields["lang"] == {"enum": ["en", "zh"], "default": "en"}
    limit = document()["$defs"]["history.request"]["properties"]["limit"]
    assert limit == {"type": "integer", "minimum": Whole(1, 200).ge, "maximum": 200, "default": 50}
    since = document()["$defs"]["sync.request"]["properties"]["since"]
    assert since["anyOf"][0] == {"type": "string", "format": "date-time"}


REPLY = {"type": "reply", "op": "heartbeat", "id": 7, "success": True, "message": "alive"}
EVENT = {"type": "event", "event": "typing", "conversation_id": 12, "seq": None}
TYPING = {"user_id": 1, "username": "ada", "on": True}
NOW = "2026-01-31T12:00:00.000Z"


@pytest.mark.parametrize(
    ("frame", "fits"),
    [
        ({**REPLY, "data": {"now": NOW}}, True),
        ({**REPLY, "data": {"now": "at noon"}}, False),
        ({**REPLY, "data": {"now": NOW, "then": NOW}}, False),
        ({**REPLY, "data": {}}, False),
        ({**REPLY, "data": {"now": NOW}, "id": {}}, False),
        (REPLY, False),
        ({**REPLY, "op": "logout", "data": {}}, True),
        ({**REPLY, "op": "logout", "data": {"duplicate": True}}, True),
        ({**REPLY, "op": "logout", "data": {"twice": True}}, False),
        ({**EVENT, "data": TYPING}, True),
        ({**EVENT, "seq": 3, "data": TYPING}, False),
        ({**EVENT, "data": {**TYPING, "on": 1}}, False),
        ({**EVENT, "data": {**TYPING, "off": 1}}, False),
    ],
)
def test_a_witness_knows_what_does_not_belong_there(frame: dict[str, Any], fits: bool) -> None:
    if fits:
        attest(frame)
        jsonschema_rs.Draft202012Validator(document()).validate(frame)
    else:
        with pytest.raises(AssertionError):
            attest(frame)


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({}, True),
        ({"client_id": "1"}, True),
        ({"temp_id": None}, True),
        ({"client_id": "1", "temp_id": "1"}, False),
        ({"client_id": ""}, False),
        ({"id": "x" * 257}, False),
        ({"id": 2**64 - 1}, True),
        ({"id": 1.5}, False),
        ({"id": "\0"}, True),
        ({"content": "a\0b"}, False),
        ({"content": "é" * 8193}, False),
        ({"colour": "red"}, False),
        ({"type": "sned"}, False),
        ({"mentions": ["bob\0"]}, False),
    ],
)
async def test_a_request_has_the_fields_that_stand_there(url: str, fields: dict[str, Any], fits: bool) -> None:
    request = {"type": "send", "to_user": "ada", "content": "hi", **fields}
    ada = await Witness.named(url, "ada")
    assert validator("send.request").is_valid(request) == fits
    assert not validator("send.request").is_valid({**request, "id": 2**64})
    assert (await ada.ask(request.pop("type"), **request))["success"] == fits


# What the daemon takes


def is_structural(reply: dict[str, Any]) -> bool:
    """Whether a request was refused for what a schema can say."""
    if reply["success"] or reply["error"]["code"] != "invalid":
        return False
    field = reply["error"]["field"]
    says = reply["message"].removeprefix(f"{field} ")
    known = REGISTRY[reply["op"]].schema.fields.get(field)
    if known is not None and known.bytes is not None:
        return False
    return says.startswith(("is required: ", "is not a field of ", "must not contain")) or (
        says == f"{known.must_be().en}." if known is not None else field in ("id", "client_id", "temp_id")
    )


def is_said_otherwise(value: Any) -> bool:
    """Whether it has whole numbers written as 1.0, which are whole numbers to JSON Schema and not to chatd."""
    if isinstance(value, dict):
        return any(map(is_said_otherwise, value.values()))
    return isinstance(value, float) or (isinstance(value, list) and any(map(is_said_otherwise, value)))


def holds(known: Counter[str], request: dict[str, Any], reply: dict[str, Any]) -> None:
    """The daemon and the schema are of one opinion."""
    fits = validator(f"{request['type']}.request").is_valid(request)
    if fits and not is_said_otherwise(request):
        assert not is_structural(reply), (request, reply)
        known["taken" if reply["success"] else "refused for a reason"] += 1
    elif not fits:
        assert not reply["success"], (request, reply)
        assert reply["error"]["code"] == "invalid", (request, reply)
        known["refused"] += 1


def fitting(schema: Any) -> st.SearchStrategy[Any]:
    """What fits a schema of the kind that stands in requests."""
    if "anyOf" in schema:
        return st.one_of([fitting(one) for one in schema["anyOf"]])
    if "$ref" in schema:
        return fitting(document()["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "type" not in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    made: st.SearchStrategy[Any] = KINDS[schema["type"]](schema)
    return made


def integers(schema: Any) -> st.SearchStrategy[int]:
    least, most = schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1)
    return st.sampled_from([least, most]) | st.integers(least, max(least, 0) + 20)


def texts(schema: Any) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda time: f"{time.isoformat(timespec='milliseconds')}-02:30")
    short, long = schema.get("minLength", 0), schema.get("maxLength", 100)
    characters = st.characters(exclude_characters="\0" if "pattern" in schema else "", exclude_categories=["Cs"])
    usual = [text for text in ("ada", "bob", PASSWORD, "é" * long) if short <= len(text) <= long]
    return st.text(characters, min_size=short, max_size=min(short + 12, long)) | st.sampled_from(usual)


def lists(schema: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(fitting(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)


def mappings(schema: Any) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" in schema:
        return objects(schema)
    keys = st.from_regex(schema["propertyNames"]["pattern"], fullmatch=True).filter(lambda key: int(key) < 2**53)
    return st.dictionaries(keys, fitting(schema["additionalProperties"]), max_size=3)


KINDS: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "integer": integers,
    "string": texts,
    "array": lists,
    "object": mappings,
    "number": lambda schema: st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, width=32),
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}


def objects(schema: Any) -> st.SearchStrategy[Any]:
    """An object with what it must have and some of what it may have, though not with a field under two names."""
    fields = {name: fitting(field) for name, field in schema["properties"].items()}
    must = {name: fields.pop(name) for name in schema["required"]}
    some = st.fixed_dictionaries(must, optional=fields)
    return some.filter(lambda made: not {"client_id", "temp_id"} <= made.keys())


requests = st.sampled_from(sorted(REGISTRY)).flatmap(lambda name: objects(document()["$defs"][f"{name}.request"]))


def test_what_the_schema_says_is_what_the_daemon_does(tmp_path: Path, background: Background) -> None:
    known: Counter[str] = Counter()
    people = iter(range(10**9))
    daemon = running(config_for(tmp_path, connections_per_address=10**5))
    url = background.run(daemon.__aenter__())

    async def ask(request: dict[str, Any]) -> None:
        (ada,) = askers
        await ada.socket.send(orjson.dumps(request).decode())
        reply = await ada.reply()
        holds(known, request, reply)
        if reply["success"] and request["type"] in ("logout", "session_revoke", "account_delete"):
            await ada.close()
            askers[:] = [await Witness.named(url, f"ada{next(people)}")]

    askers = [background.run(Witness.named(url, "ada"))]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="CHATD_FUZZ" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(bent_examples(), requests))
    def asked(request: dict[str, Any]) -> None:
        if request.get("type") not in list(REGISTRY):
            return
        try:
            frame = orjson.dumps(request)
        except TypeError:  # a number that only Python can hold
            assert not validator(f"{request['type']}.request").is_valid(request)
            return
        if len(frame) < 65536:
            background.run(ask(request))

    asked()
    background.run(askers[0].close())
    background.run(daemon.__aexit__(None, None, None))
    assert known.total() > EXAMPLES / 2
    assert min(known["taken"], known["refused"], known["refused for a reason"]) > EXAMPLES / 20, known


def test_types_are_called_by_their_names_alone() -> None:
    names = set(Types("#/").all)
    assert {"Sent", "Message", "conversations.Settings", "profiles.Settings"} <= names
    assert not [name for name in names if name.startswith("chatd")]


async def test_every_example_is_answered_as_it_says(url: str) -> None:
    ada = await Witness.named(url, "examples.ada")
    await Witness.named(url, "ada")
    for name, op in REGISTRY.items():
        person = ada if op.needs.asks == "user" else await Witness.at(url)
        person.say_at_once([{"type": name, **op.example}])
        reply = await person.reply()
        assert reply["op"] == name
        assert reply["success"] or reply["error"]["code"] != "invalid", reply
        if name == "logout":
            ada = await Witness.at(url)
            await ada.data("login", username="examples.ada", password=REGISTRY["password_set"].example["new_password"])
