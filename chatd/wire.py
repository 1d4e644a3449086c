"""Bytes ⇄ typed requests, replies and events.

A frame is one JSON object. `parse` reads it, `Schema.convert` turns its fields into a request dataclass
or says which field is wrong and what was expected; the `encode_*` functions write what goes back.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
import orjson

from chatd.errors import ChatError, Invalid, InvalidFrame, InvalidJson, Phrase
from chatd.record import record

Json = Mapping[str, Any]
RequestId = str | int | None

# The vocabulary of the fields. A limit is written once, here, as an annotation: it validates, and it documents.

MAX_ID = 2**53 - 1
"""The largest integer that survives a JavaScript client (RFC 8259, section 6)."""


def Text(shortest: int, longest: int) -> msgspec.Meta:  # noqa: N802  (it stands where a type stands)
    """Text of so many characters (code points)."""
    return msgspec.Meta(min_length=shortest, max_length=longest)


def Utf8(shortest: int, longest: int) -> msgspec.Meta:  # noqa: N802
    """Text of so many bytes in UTF-8, which are one to four for each character (RFC 3629)."""
    return msgspec.Meta(
        min_length=-(-shortest // 4),
        max_length=longest,
        extra={"bytes": (shortest, longest)},
        extra_json_schema={"description": f"{shortest} to {longest} bytes in UTF-8"},
    )


def Items(fewest: int, most: int) -> msgspec.Meta:  # noqa: N802
    """A list of so many items."""
    return msgspec.Meta(min_length=fewest, max_length=most)


def Whole(least: int, most: int) -> msgspec.Meta:  # noqa: N802
    """A whole number in a range, both ends included."""
    return msgspec.Meta(ge=least, le=most)


Id = Annotated[int, Whole(1, MAX_ID)]
Seq = Annotated[int, Whole(0, MAX_ID)]
Name = Annotated[str, Text(1, 64)]
SECRET = msgspec.Meta(extra={"secret": True}, extra_json_schema={"format": "password", "writeOnly": True})
Password = Annotated[str, Utf8(8, 1024), SECRET]
LONGEST_TOKEN = 4096
"""Characters: chatd's own have 43, an issuer's what it writes into them."""
Token = Annotated[str, Text(1, LONGEST_TOKEN), SECRET]
Email = Annotated[str, Text(3, 254)]
Limit = Annotated[int, Whole(1, 200)]
Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Language = Literal["en", "zh"]
ClientId = Annotated[str, Text(1, 64)]
Cursors = Annotated[dict[Id, Seq], msgspec.Meta(extra_json_schema={"propertyNames": {"pattern": "^[1-9][0-9]{0,15}$"}})]
"""Conversations' ids to what was the last `seq` there. Keys are what `Id` is, as text: JSON knows no other."""


@record
class Done:
    """Nothing more to say."""


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


@lru_cache(maxsize=1024)
def rfc3339(milliseconds: int) -> Time:
    """A time as it stands on the wire: RFC 3339, UTC, with milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


def rfc3339_or_none(milliseconds: int | None) -> Time | None:
    return None if milliseconds is None else rfc3339(milliseconds)


def milliseconds(time: Time, *, field: str) -> int:
    """The reverse of `rfc3339`; any time of RFC 3339 will do. Raises `Invalid` naming the field."""
    try:
        if _RFC3339.fullmatch(time):  # ISO 8601, which Python reads too, has many more ways to write it
            return (datetime.fromisoformat(time.upper()).astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):  # OverflowError: the year 10000, in UTC
        pass
    raise Invalid(field=field, expected=_TIME_EXPECTED)


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dt\d\d:\d\d:\d\d(\.\d+)?(z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
"""RFC 3339, section 5.6."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_EXPECTED = Phrase(
    "must be an RFC 3339 time such as 2026-01-31T12:00:00.000Z", "必须是 RFC 3339 时间，例如 2026-01-31T12:00:00.000Z"
)


# What a field expects, in words


def _strip_optional(hint: Any) -> Any:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        rest = [arg for arg in typing.get_args(hint) if arg is not types.NoneType]
        if len(rest) == 1:
            return rest[0]
    return hint


def _limits(hint: Any) -> tuple[Any, dict[str, Any]]:
    """The bare type under `Annotated`, and its limits merged."""
    if typing.get_origin(hint) is not Annotated:
        return hint, {}
    bare, *metas = typing.get_args(hint)
    limits: dict[str, Any] = {}
    for meta in metas:
        if isinstance(meta, msgspec.Meta):
            limits |= {k: v for k in ("ge", "le", "min_length", "max_length") if (v := getattr(meta, k)) is not None}
            limits |= meta.extra or {}
    return bare, limits


def expected(hint: Any) -> Phrase:
    """A type annotation in words: "text of 1 to 64 characters"."""
    bare, limits = _limits(_strip_optional(hint))
    origin, args = typing.get_origin(bare), typing.get_args(bare)
    if origin is Literal:
        values = ", ".join(str(orjson.dumps(value), "utf-8") for value in args)
        return Phrase(f"one of {values}", f"以下之一：{values}")
    if origin in (list, tuple):
        return _expected_list(expected(args[0]), limits)
    if origin is dict:
        key, value = expected(args[0]), expected(args[1])
        return Phrase(f"an object from ({key.en}) to ({value.en})", f"对象，键为（{key.zh}），值为（{value.zh}）")
    if bare is bool:
        return Phrase("true or false", "true 或 false")
    if bare is str:
        return _expected_text(limits)
    if bare in (int, float):
        kind = Phrase("a whole number", "整数") if bare is int else Phrase("a number", "数字")
        return _expected_number(kind, limits)
    raise TypeError(f"no words for {hint!r}: teach chatd.wire.expected")


def _expected_list(each: Phrase, limits: dict[str, Any]) -> Phrase:
    if "max_length" not in limits:
        return Phrase(f"a list of: {each.en}", f"列表，每项为：{each.zh}")
    fewest, most = limits.get("min_length", 0), limits["max_length"]
    return Phrase(f"a list of {fewest} to {most}: {each.en}", f"{fewest} 到 {most} 项的列表，每项为：{each.zh}")


def _expected_text(limits: dict[str, Any]) -> Phrase:
    if "bytes" in limits:
        shortest, longest = limits["bytes"]
        return Phrase(f"text of {shortest} to {longest} bytes", f"{shortest} 到 {longest} 字节的文本")
    if "max_length" in limits:
        shortest, longest = limits.get("min_length", 0), limits["max_length"]
        if shortest == longest:
            return Phrase(f"text of {longest} characters", f"{longest} 个字符的文本")
        return Phrase(f"text of {shortest} to {longest} characters", f"{shortest} 到 {longest} 个字符的文本")
    return Phrase("text", "文本")


def _expected_number(kind: Phrase, limits: dict[str, Any]) -> Phrase:
    least, most = limits.get("ge"), limits.get("le")
    if least is None:
        return kind
    if most in (None, MAX_ID):
        return Phrase(f"{kind.en} of at least {least}", f"不小于 {least} 的{kind.zh}")
    return Phrase(f"{kind.en} from {least} to {most}", f"{least} 到 {most} 的{kind.zh}")


# A request's fields


_NO_NUL = Phrase("must not contain the character NUL", "不能包含 NUL 字符")


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of a request: what validates it, and what documents it."""

    name: str
    hint: Any
    required: bool
    default: Any
    expected: Phrase
    bytes: tuple[int, int] | None
    secret: bool

    def must_be(self) -> Phrase:
        return Phrase(f"must be {self.expected.en}", f"必须是{self.expected.zh}")


def _field(field: dataclasses.Field[Any], hint: Any) -> Field:
    _, limits = _limits(_strip_optional(hint))
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return Field(
        name=field.name,
        hint=hint,
        required=required,
        default=None if field.default is dataclasses.MISSING else field.default,
        expected=expected(hint),
        bytes=limits.get("bytes"),
        secret=limits.get("secret", False),
    )


class Schema:
    """The fields of a dataclass, and the conversion of JSON into it."""

    def __init__(self, request: type[Any]) -> None:
        hints = typing.get_type_hints(request, include_extras=True)
        self.request = request
        self.fields = {field.name: _field(field, hints[field.name]) for field in dataclasses.fields(request)}
        self.names = self.fields.keys()
        self.secrets = frozenset(field.name for field in self.fields.values() if field.secret)
        self._by_bytes = [field for field in self.fields.values() if field.bytes is not None]

    def convert(self, body: dict[str, Any], *, owner: str) -> Any:
        """A request dataclass from a frame's fields. Raises `Invalid` naming the first field at fault."""
        if not body.keys() <= self.names:
            unknown = next(name for name in body if name not in self.names)
            raise Invalid(field=unknown[:64], expected=Phrase(f"is not a field of {owner}", f"不是 {owner} 的字段"))
        try:
            request = msgspec.convert(body, self.request, str_keys=True)
        except msgspec.ValidationError:
            raise self._fault(body) from None
        for field in self._by_bytes:
            value = getattr(request, field.name)
            if value is not None and field.bytes is not None:
                shortest, longest = field.bytes
                if not shortest <= len(value.encode()) <= longest:
                    raise Invalid(field=field.name, expected=field.must_be())
        return request

    def _fault(self, body: Json) -> Invalid:
        # msgspec tells the field only inside its text; asking field by field needs no parsing of it.
        for field in self.fields.values():
            if field.name not in body:
                if field.required:
                    en, zh = field.expected
                    return Invalid(field=field.name, expected=Phrase(f"is required: {en}", f"为必填项：{zh}"))
                continue
            try:
                msgspec.convert(body[field.name], field.hint, str_keys=True)
            except msgspec.ValidationError:
                return Invalid(field=field.name, expected=field.must_be())
        raise AssertionError("msgspec refused a body whose fields it accepts one by one")


# Frames in


class NotUtf8(Exception):
    """A text frame's payload is not UTF-8: RFC 6455, section 8.1, wants the connection failed (1007)."""


_OBJECT = Phrase('an object with a "type", such as {"type":"help"}', '含 "type" 的对象，例如 {"type":"help"}')


def parse(data: bytes | bytearray) -> dict[str, Any]:
    """The object in a text frame. Raises `NotUtf8`, `InvalidJson` or `InvalidFrame`."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            data.decode()
        except UnicodeDecodeError:
            raise NotUtf8 from None
        raise InvalidJson(reason=error.msg) from None
    if type(body) is not dict:
        raise InvalidFrame(expected=_OBJECT)
    return body


def refuse_nul(data: bytes | bytearray, body: Json) -> None:
    """Raise `Invalid` for the first field that is text, or a list of texts, with a NUL: PostgreSQL cannot hold it."""
    if b"\\u0000" in data:  # the only way JSON can write it (RFC 8259, section 7)
        for name, value in body.items():
            texts = value if isinstance(value, list) else (value,)
            if "\0" in name or any(isinstance(text, str) and "\0" in text for text in texts):
                raise Invalid(field=name.replace("\0", "\\u0000")[:64], expected=_NO_NUL)


def take_id(body: dict[str, Any]) -> RequestId:
    """Remove and return the frame's `id`. Raises `Invalid` for what is neither text nor a whole number."""
    value = body.pop("id", None)
    if value is None or type(value) is int or (type(value) is str and len(value) <= 256):
        return value
    raise Invalid(
        field="id",
        expected=Phrase(
            "must be text of at most 256 characters or a whole number", "必须是最多 256 个字符的文本或整数"
        ),
    )


LONGEST_NAME = 64
"""Characters of what stands for an op's name in an answer."""


def take_type(body: dict[str, Any]) -> str:
    """Remove and return the frame's `type`. Raises `InvalidFrame` where there is none."""
    value = body.pop("type", None)
    if type(value) is not str:
        raise InvalidFrame(field="type", expected=_OBJECT)
    return value


def take_client_id(body: dict[str, Any]) -> str | None:
    """Remove and return `client_id` (or `temp_id`, its other name)."""
    if "client_id" not in body and "temp_id" not in body:
        return None
    name = "client_id" if "client_id" in body else "temp_id"
    value = body.pop(name)
    if value is None or (type(value) is str and 1 <= len(value) <= 64):
        return value
    raise Invalid(field=name, expected=Phrase("must be text of 1 to 64 characters", "必须是 1 到 64 个字符的文本"))


# Frames out


class Outgoing:
    """A text frame's payload. `frame` is for whoever first makes the frame's bytes, to be written to everybody."""

    __slots__ = ("frame", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.frame: bytes | None = None


def encode_reply(op: str | None, request_id: RequestId, message: str, data: Any) -> bytes:
    """A successful reply. `data` is a reply dataclass, or JSON kept from an earlier one (`orjson.Fragment`)."""
    return orjson.dumps(
        {"type": "reply", "op": op, "id": request_id, "success": True, "message": message, "data": data}
    )


def encode_failure(op: str | None, request_id: RequestId, error: ChatError, lang: Language) -> bytes:
    """A failed reply."""
    return orjson.dumps(
        {
            "type": "reply",
            "op": op,
            "id": request_id,
            "success": False,
            "message": error.message(lang),
            "error": {
                "code": error.code,
                "field": error.field,
                "temporary": error.temporary,
                "retry_after_ms": error.retry_after_ms,
            },
        }
    )


def encode_event(event: str, conversation_id: int | None, seq: int | None, data: Any) -> bytes:
    """An event. `seq` is None for what stands in no log: pointers (`receipt`), and what is short-lived."""
    return orjson.dumps({"type": "event", "event": event, "conversation_id": conversation_id, "seq": seq, "data": data})


def fit(sizes: Sequence[int], *, most: int) -> int:
    """How many of the items of these sizes (bytes) fit into one page of `most` bytes; at least one."""
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if total > most and count:
            return count
    return len(sizes)


PAGE_BYTES = 256 * 1024
"""A page of messages ends after this much content, whatever its `limit`: replies stay bounded."""
