"""What can be asked of the port over HTTP, as an OpenAPI document (3.1): the ops without a socket, and the pages. Pure.

A status has the codes that the op is known to answer with, besides those that any request may get.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from http import HTTPStatus

from chatd.errors import (
    BY_CODE,
    AccountDisabled,
    BadToken,
    Busy,
    ChatError,
    Internal,
    InvalidFrame,
    InvalidJson,
    TooLarge,
    TooManyConnections,
    Unavailable,
)
from chatd.op import REGISTRY, Op
from chatd.protocol import DIALECT, Json, Types, meaning
from chatd.reference import errors_of, summary

_ANY: tuple[type[ChatError], ...] = (
    InvalidJson,
    InvalidFrame,
    BadToken,
    AccountDisabled,
    TooLarge,
    Busy,
    Unavailable,
    Internal,
)
"""What any op may answer with, over HTTP."""

_NEVER = (TooManyConnections,)
"""What comes to connections alone that last."""

_WHAT = """A self-hosted chat server. Each op takes its fields as a JSON object and answers one reply: with `success`,
and `data` or an `error` whose `code` is for programs. Ops that are about a lasting connection, and events, need a
WebSocket at `/ws`; `/protocol.json` has the schemas of all its frames. What is not HTTP/1.1, or too slow, is refused in
plain text with 400, 408, 431 or 501."""

_BEARER = "The `token` of a `signup` or `login` (RFC 6750)."
_TYPE = {"description": "Not looked at: the path names the op."}
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"

_REFUSALS = {
    HTTPStatus.FORBIDDEN: "The request is of a web page whose origin is not in `[server] origins`.",
    HTTPStatus.TOO_MANY_REQUESTS: "There are too many connections from this address.",
    HTTPStatus.SERVICE_UNAVAILABLE: "There are too many connections.",
}
"""What is refused before anybody looks at what is asked for: in plain text."""

_SECURITY: dict[str, list[Json]] = {"user": [{"bearer": []}], "anyone": [{}, {"bearer": []}], "guest": []}


def document() -> Json:
    """Every path of the port that answers plain HTTP."""
    types = Types("#/components/schemas/")
    ops = [op for op in REGISTRY.values() if not op.needs_socket]
    failures: dict[str, Json] = {}
    paths = {f"/api/{op.name}": {"post": _op(types, op, failures)} for op in ops}
    requests = {f"{op.name}.request": types.request(op, _TYPE) for op in ops}
    replies = {f"{op.name}.reply": types.reply(op) for op in ops}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "chatd",
            "version": "1",
            "description": _WHAT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [*_tags(ops), {"name": "pages", "description": "What is there to be read."}],
        "paths": paths | PAGES,
        "components": {
            "schemas": {**types.all, **requests, **replies, "failure": types.failure(BY_CODE)},
            "responses": dict(sorted(failures.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": _BEARER}},
        },
    }


def _tags(ops: Iterable[Op]) -> list[Json]:
    modules = {inspect.getmodule(op.function): _tag(op) for op in ops}
    return [{"name": tag, "description": inspect.getdoc(module) or ""} for module, tag in modules.items()]


def _tag(op: Op) -> str:
    return op.function.__module__.rpartition(".")[2]


def _op(types: Types, op: Op, failures: dict[str, Json]) -> Json:
    """An op's path. Adds to `failures` what it refers to there."""
    required = any(field.required for field in op.schema.fields.values())
    return {
        "operationId": op.name,
        "summary": summary(op),
        "description": op.doc,
        "tags": [_tag(op)],
        "security": _SECURITY[op.needs.asks],
        "requestBody": {
            "required": required,
            "content": {_JSON: {"schema": types.refer(f"{op.name}.request"), "example": op.example}},
        },
        "responses": {"200": _response(meaning(op.reply) or "What was asked for.", types.refer(f"{op.name}.reply"))}
        | {str(status.value): _failure(types, op, status, failures) for status in _statuses(op)},
    }


def _errors(op: Op) -> list[type[ChatError]]:
    return [error for error in BY_CODE.values() if error in {*errors_of(op), *_ANY} and error not in _NEVER]


def _statuses(op: Op) -> list[HTTPStatus]:
    return [HTTPStatus(status) for status in sorted({*(error.status for error in _errors(op)), *_REFUSALS})]


def _failure(types: Types, op: Op, status: HTTPStatus, failures: dict[str, Json]) -> Json:
    """A reference to the response with the errors of this status, which many ops share."""
    errors = [error for error in _errors(op) if error.status == status]
    name = ".".join([str(status.value), *(error.code for error in errors)])
    refusal = _REFUSALS.get(status)
    says = [f"`{error.code}`: {meaning(error)}" for error in errors] + (
        [f"In plain text: {refusal}"] if refusal else []
    )
    content: Json = {}
    if errors:
        codes = {"error": {"properties": {"code": {"enum": [error.code for error in errors]}}}}
        content[_JSON] = {"schema": {"allOf": [types.refer("failure"), {"properties": codes}]}}
    if refusal:
        content[_TEXT] = {"schema": {"type": "string"}}
    failures[name] = {"description": "\n\n".join(says), "content": content}
    if status is HTTPStatus.UNAUTHORIZED:
        failures[name]["headers"] = {"WWW-Authenticate": _header("How to say who asks (RFC 9110, section 11.6.1).")}
    return {"$ref": f"#/components/responses/{name}"}


def _response(what: str, schema: Json, *, media_type: str = _JSON) -> Json:
    return {"description": what, "content": {media_type: {"schema": schema}}}


def _header(what: str) -> Json:
    return {"description": what, "required": True, "schema": {"type": "string"}}


# The pages


def _page(what: str, *, name: str, schema: Json, media_type: str = _TEXT, others: Json | None = None) -> Json:
    responses = {"200": _response(what, schema, media_type=media_type)} | (others or {})
    for status, refusal in _REFUSALS.items():
        responses.setdefault(str(status.value), _response(refusal, {"type": "string"}, media_type=_TEXT))
    get = {"operationId": name, "summary": what, "tags": ["pages"], "security": [], "responses": responses}
    head = {status: {"description": one["description"]} for status, one in responses.items()}
    return {"get": get, "head": {**get, "operationId": f"{name}_head", "responses": head}}


def _document(what: str, *, name: str) -> Json:
    etag = {"ETag": _header("What tells this version from others (RFC 9110, section 8.8.3).")}
    page = _page(
        what,
        name=name,
        schema={"type": "object"},
        media_type=_JSON,
        others={"304": {"description": "It is the version that If-None-Match names.", "headers": etag}},
    )
    asked = {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of the version that is known.",
        "schema": {"type": "string"},
    }
    for method in page.values():
        method["responses"]["200"]["headers"] = etag
    return {"parameters": [asked], **page}


_OK = {"type": "string", "const": "ok\n"}
_UNREADY = _response(
    "The database does not answer, or there are too many connections.", {"type": "string"}, media_type=_TEXT
)


def _front() -> Json:
    """What the page is at: negotiated by Accept (RFC 9110, section 12.5.1)."""
    what = "The web page, for who accepts text/html; for all others what this is, and how to try it."
    unchanged = {"304": {"description": "The page is the version that If-None-Match names."}}
    page = _page(what, name="front", schema={"type": "string"}, others=unchanged)
    page["get"]["responses"]["200"]["content"]["text/html; charset=utf-8"] = {"schema": {"type": "string"}}
    return page


PAGES: dict[str, Json] = {
    "/": _front(),
    "/healthz": _page("Whether the daemon runs.", name="healthz", schema=_OK),
    "/readyz": _page(
        "Whether the database answers and the disk has room.", name="readyz", schema=_OK, others={"503": _UNREADY}
    ),
    "/protocol.json": _document("JSON Schema of every frame of the protocol.", name="protocol"),
    "/openapi.json": _document("This document.", name="openapi"),
}
"""What there is to be read by GET and HEAD, by its path, beside the files of which the web page is made (shell.py)."""
