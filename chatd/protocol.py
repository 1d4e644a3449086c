"""The protocol as data: what every request, reply, failure and event looks like, as JSON Schema (2020-12). Pure.

It is made of the types that validate and answer: their limits, their defaults, their docstrings. What JSON Schema has
no word for stands in descriptions: lengths in bytes, and rules between fields. Replies and events may get more fields
with time, and a client ignores what it does not know; a request has the fields that stand here, and no others.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec

from chatd.errors import BY_CODE, ChatError
from chatd.events import EVENTS, FLEETING, has_docstring
from chatd.op import REGISTRY, Op
from chatd.reference import errors_of
from chatd.wire import ClientId

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

NO_NUL = "^[^\\u0000]*$"
"""What text in a request matches."""

_NULL = {"type": "null"}
_REQUEST_ID = {
    "description": "echoed in the reply",
    "anyOf": [
        {"type": "string", "maxLength": 256},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1},
        _NULL,
    ],
}
_ID = {"description": "that of the request", "type": ["string", "integer", "null"]}
_ONE_NAME = {"required": ["client_id", "temp_id"]}


class Types:
    """Every type by its name. They refer to each other, and are referred to, by `prefix` and that name."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        ops = REGISTRY.values()
        requests, known = msgspec.json.schema_components([op.schema.request for op in ops], ref_template="{name}")
        self._requests = {op.name: known.pop(request["$ref"]) for op, request in zip(ops, requests, strict=True)}
        told = [*(op.reply for op in ops), *EVENTS.values()]
        references, heard = msgspec.json.schema_components(told, ref_template="{name}")
        self._told = dict(zip(told, (self._patched(reference) for reference in references), strict=True))
        self.all = {_short(name): self._patched(component) for name, component in (known | heard).items()}
        self.all["LogEvent"]["anyOf"] = [
            {"properties": {"event": {"const": name}, "data": self._told[data]}}
            for name, data in EVENTS.items()
            if data not in FLEETING
        ]

    def refer(self, name: str) -> Json:
        """What stands for the type of this name."""
        return {"$ref": self.prefix + name}

    def _patched(self, schema: Any) -> Any:
        """What msgspec says, with references and descriptions as they are to be."""
        if isinstance(schema, list):
            return [self._patched(inner) for inner in schema]
        if not isinstance(schema, dict):
            return schema
        patched = {key: self._patched(inner) for key, inner in schema.items()}
        if isinstance(schema.get("$ref"), str):
            patched["$ref"] = self.prefix + _short(schema["$ref"])
        if isinstance(schema.get("description"), str):
            patched["description"] = inspect.cleandoc(schema["description"])
        return patched

    def request(self, op: Op, kind: Json) -> Json:
        """An op's request. `kind` is what its field `type` may be, which is required where that is a constant."""
        schema = self._patched(_without_nul(self._requests[op.name]))
        fields = {"type": kind, **schema["properties"], "id": _REQUEST_ID}
        if op.takes_client_id:
            (client_id,), _ = msgspec.json.schema_components([ClientId | None])
            note = "unique per user for ever: a retry gets the first answer again"
            fields["client_id"] = {"description": note, **_without_nul(client_id)}
            fields["temp_id"] = {"description": "another name of client_id", **_without_nul(client_id)}
        return {
            **schema,
            "properties": fields,
            "required": [*(["type"] if "const" in kind else []), *schema["required"]],
            "additionalProperties": False,
            **({"not": _ONE_NAME} if op.takes_client_id else {}),
        }

    def reply(self, op: Op) -> Json:
        """What an op answers where it succeeds."""
        data = self._told[op.reply]
        if op.takes_client_id:
            note = "whether it is the first answer again, to a client_id that had one"
            data = {"allOf": [data, {"properties": {"duplicate": {"description": note, "type": "boolean"}}}]}
        return _object(
            type={"const": "reply"},
            op={"const": op.name},
            id=_ID,
            success={"const": True},
            message={"description": "for people", "type": "string"},
            data=data,
        )

    def failure(self, codes: Iterable[str]) -> Json:
        """An answer with one of these errors."""
        error = _object(
            code={"enum": sorted(codes)},
            field={"description": "the request's field at fault", "type": ["string", "null"]},
            temporary={"description": "whether the same request may succeed later", "type": "boolean"},
            retry_after_ms={"type": ["integer", "null"], "minimum": 0},
        )
        return _object(
            type={"const": "reply"},
            op={"type": ["string", "null"]},
            id=_ID,
            success={"const": False},
            message={"description": "for people", "type": "string"},
            error=error,
        )

    def event(self, name: str) -> Json:
        """What is heard of an event."""
        data = EVENTS[name]
        return _object(
            type={"const": "event"},
            event={"const": name},
            conversation_id={"type": ["integer", "null"]},
            seq=_NULL if data in FLEETING else {"type": ["integer", "null"], "minimum": 1},
            data=self._told[data],
        )


def _short(name: str) -> str:
    """`profiles.Settings`, of the types that msgspec calls by their modules because they share their name."""
    return ".".join(name.split(".")[-2:])


def _object(**fields: Json) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _without_nul(schema: Any) -> Any:
    """The schema of what a client sends, whose texts have no NUL."""
    if isinstance(schema, list):
        return [_without_nul(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _without_nul(inner) for key, inner in schema.items()}
    if schema.get("type") == "string" and schema.get("format") != "date-time":
        closed["pattern"] = NO_NUL
    return closed


def meaning(documented: type[Any]) -> str:
    """What a docstring says; "" where nobody wrote one."""
    return inspect.cleandoc(documented.__doc__ or "") if has_docstring(documented) else ""


# The document


_WHAT = """Every frame of chatd's protocol: one JSON object in one text frame of the WebSocket at /ws. The root is the
schema of any of them. `ops`, `events` and `errors` say which is what; `POST /api/<op>` takes and answers the same."""


def document() -> Json:
    """Every frame of the protocol, and what is known of ops, events and errors."""
    types = Types("#/$defs/")
    defs = dict(sorted(types.all.items()))
    for op in REGISTRY.values():
        defs[f"{op.name}.request"] = types.request(op, {"const": op.name})
        defs[f"{op.name}.reply"] = types.reply(op)
    for name in EVENTS:
        defs[f"{name}.event"] = types.event(name)
    defs["failure"] = types.failure(BY_CODE)
    defs["request"] = {"anyOf": [types.refer(f"{name}.request") for name in REGISTRY]}
    defs["reply"] = {"anyOf": [*(types.refer(f"{name}.reply") for name in REGISTRY), types.refer("failure")]}
    defs["event"] = {"anyOf": [types.refer(f"{name}.event") for name in EVENTS]}
    return {
        "$schema": DIALECT,
        "title": "The protocol of chatd",
        "description": _WHAT,
        "anyOf": [types.refer(name) for name in ("request", "reply", "event")],
        "ops": {op.name: _op(types, op) for op in REGISTRY.values()},
        "events": {name: _event(types, name) for name in EVENTS},
        "errors": {code: _error(error) for code, error in BY_CODE.items()},
        "$defs": defs,
    }


def _op(types: Types, op: Op) -> Json:
    return {
        "description": op.doc,
        "asks": op.needs.asks,
        "needs_socket": op.needs_socket,
        "request": types.refer(f"{op.name}.request"),
        "reply": types.refer(f"{op.name}.reply"),
        "errors": [error.code for error in errors_of(op)],
        "events": list(op.emits),
        "example": {"type": op.name, **op.example},
    }


def _event(types: Types, name: str) -> Json:
    data = EVENTS[name]
    return {
        "description": meaning(data),
        "is_fleeting": data in FLEETING,
        "event": types.refer(f"{name}.event"),
    }


def _error(error: type[ChatError]) -> Json:
    return {
        "description": meaning(error),
        "temporary": error.temporary,
        "status": error.status,
        "message": error.says._asdict(),
    }
