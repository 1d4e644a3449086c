"""What the registry says of itself: `help`, and the protocol reference as Markdown. Pure."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any

import orjson

from chatd.errors import BY_CODE, AlreadyAuthenticated, ChatError, Conflict, Invalid, TooFast, Unauthenticated
from chatd.events import EVENTS, has_docstring
from chatd.op import REGISTRY, Op
from chatd.wire import ClientId, expected

_WHO = {
    "anyone": "anyone",
    "guest": "a connection that has no identity yet",
    "user": "an authenticated connection",
}

_CLIENT_ID = {
    "name": "client_id",
    "type": expected(ClientId).en,
    "required": False,
    "note": "also accepted as temp_id; unique per user for ever: a retry gets the first answer again",
}


def summary(op: Op) -> str:
    """What the op does, in its first sentence."""
    return op.doc.splitlines()[0]


def describe(op: Op) -> dict[str, Any]:
    """Everything a client needs to know of an op, as JSON."""
    fields: list[dict[str, Any]] = [
        {"name": field.name, "type": field.expected.en, "required": field.required}
        | ({} if field.required or field.default is None else {"default": field.default})
        for field in op.schema.fields.values()
    ]
    if op.takes_client_id:
        fields.append(_CLIENT_ID)
    return {
        "op": op.name,
        "what": op.doc,
        "who": _WHO[op.needs.asks],
        "fields": fields,
        "reply": dict(_reply_fields(op.reply)),
        "reply_note": inspect.cleandoc(op.reply.__doc__ or "") if has_docstring(op.reply) else "",
        "example": {"type": op.name, **op.example},
        "errors": {error.code: _first_line(error) for error in errors_of(op)},
        "events": list(op.emits),
    }


def errors_of(op: Op) -> tuple[type[ChatError], ...]:
    """Every error the op is known to answer with, besides those of the frame itself."""
    gate = (
        (Unauthenticated,) if op.needs.asks == "user" else (AlreadyAuthenticated,) if op.needs.asks == "guest" else ()
    )
    retry = (Conflict,) if op.takes_client_id else ()
    return tuple(dict.fromkeys((*op.raises, *gate, *retry, Invalid, TooFast)))


def _first_line(documented: type[Any]) -> str:
    return inspect.cleandoc(documented.__doc__ or "").splitlines()[0]


def _reply_fields(data: type[Any]) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(data, include_extras=True)
    for field in dataclasses.fields(data):
        yield field.name, _shape(hints[field.name])


def _shape(hint: Any) -> Any:
    """The shape of a reply's field: a word, or the shape of what it holds."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        inner = [_shape(arg) for arg in typing.get_args(hint) if arg is not types.NoneType]
        return f"{inner[0]} or null" if isinstance(inner[0], str) else inner[0]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return [_shape(args[0])]
    if origin is typing.Literal:
        return " / ".join(map(str, args))
    if origin is dict:
        return "object"
    if dataclasses.is_dataclass(hint):
        return dict(_reply_fields(typing.cast(type[Any], hint)))
    return {str: "text", int: "number", bool: "true or false"}.get(hint, "object")


# Markdown


def markdown() -> str:
    """The protocol reference: every op, event and error."""
    parts = ["### Ops", ""]
    for op in REGISTRY.values():
        parts += _op_section(op)
    parts += ["### Events", ""]
    for name, data in EVENTS.items():
        shape = orjson.dumps(dict(_reply_fields(data))).decode()
        parts += [f"**`{name}`** {inspect.cleandoc(data.__doc__ or '')}", "", f"    {shape}", ""]
    parts += ["### Errors", "", "| code | meaning | temporary |", "|---|---|---|"]
    parts += [f"| `{code}` | {_first_line(error)} | {_yes(error)} |" for code, error in BY_CODE.items()]
    return "\n".join(parts) + "\n"


def _yes(error: type[ChatError]) -> str:
    return "yes" if error.temporary else ""


def _op_section(op: Op) -> Iterator[str]:
    described = describe(op)
    yield f"#### {op.name}"
    yield ""
    yield op.doc
    yield ""
    yield f"    {orjson.dumps(described['example']).decode()}"
    yield ""
    if described["fields"]:
        yield "| field | type | |"
        yield "|---|---|---|"
        for field in described["fields"]:
            extra = "required" if field["required"] else field.get("note", "")
            if "default" in field:
                extra = f"default `{orjson.dumps(field['default']).decode()}`"
            yield f"| `{field['name']}` | {field['type']} | {extra} |"
        yield ""
    note = " ".join(described["reply_note"].split())
    yield f"Reply: `{orjson.dumps(described['reply']).decode()}`{'. ' + note if note else ''}"
    yield ""
    codes = ", ".join(f"`{code}`" for code in described["errors"])
    heard = ", ".join(f"`{event}`" for event in described["events"])
    yield f"For {described['who']}. Errors: {codes}.{f' Events: {heard}.' if heard else ''}"
    yield ""
