"""Whoever hears a frame compares it with what the protocol says of itself."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from jsonschema_rs import Draft202012Validator

from chatd import ops, protocol
from tests.support import Person

assert ops

ANY = {"invalid_json", "invalid_frame", "unknown_op", "too_large", "busy", "unavailable", "internal"}
"""What any frame may be answered with."""

ATTESTED: set[str] = set()
"""What has been heard so far, and was as it should be."""


@cache
def document() -> Any:
    """The protocol, as it goes over the wire."""
    return orjson.loads(orjson.dumps(protocol.document()))


def strict(schema: Any) -> Any:
    """The same, where data has no fields but those that are listed."""
    if isinstance(schema, list):
        return [strict(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(inner) for key, inner in schema.items() if key != "allOf"}
    if "allOf" in schema:
        closed["allOf"] = schema["allOf"]
    if "allOf" in schema or "$ref" in schema:
        closed["unevaluatedProperties"] = False
    return closed


@cache
def validator(name: str) -> Draft202012Validator:
    """What holds a frame against one of the protocol's definitions."""
    defs = document()["$defs"]
    known = defs if name.endswith(".request") else strict(defs)
    return Draft202012Validator({**known[name], "$defs": known}, validate_formats=True)


def kind_of(frame: dict[str, Any]) -> str:
    """Which definition a frame that was heard is to be held against."""
    if frame["type"] == "event":
        return f"{frame['event']}.event"
    return f"{frame['op']}.reply" if frame["success"] else "failure"


def attest(frame: dict[str, Any]) -> str:
    """Raise AssertionError where the protocol does not know such a frame. Returns its definition's name."""
    kind = kind_of(frame)
    errors = [f"{error.instance_path}: {error.message}" for error in validator(kind).iter_errors(frame)]
    assert not errors, f"{kind}: {errors} in {frame}"
    op = document()["ops"].get(frame.get("op"))
    if kind == "failure" and op is not None:
        assert frame["error"]["code"] in {*op["errors"], *ANY}, f"an error that {frame['op']} does not list: {frame}"
    ATTESTED.add(kind)
    return kind


class Witness(Person):
    """Somebody who takes no frame that the protocol does not know."""

    async def _receive(self) -> dict[str, Any]:
        frame = await super()._receive()
        attest(frame)
        return frame
