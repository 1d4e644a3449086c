"""Bytes into requests, and replies and events into bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd import wire
from chatd.errors import Invalid, InvalidFrame, InvalidJson, NotFound, TooFast
from chatd.wire import MAX_ID, ClientId, Email, Id, Limit, Name, Password, Schema, Seq, Text, Token, Utf8, Whole

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = 253_402_300_799_999
"""The last millisecond of the year 9999."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_ID, MAX_ID) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """Order something."""

    what: Annotated[str, Text(1, 5)]
    count: Annotated[int, Whole(1, 9)] = 1
    paid: bool = False
    secret: Annotated[str, Utf8(2, 6)] | None = None
    extras: list[str] = dataclasses.field(default_factory=list)


ORDER = Schema(Order)


def refused(body: dict[str, Any], schema: Schema = ORDER) -> Invalid:
    with pytest.raises(Invalid) as caught:
        schema.convert(body, owner="order")
    return caught.value


# Times


@given(st.integers(0, LAST))
def test_a_time_is_written_exactly_in_utc_with_milliseconds(time: int) -> None:
    written = wire.rfc3339(time)
    assert len(written) == len("2026-01-31T12:00:00.000Z")
    assert written.endswith("Z")
    assert (datetime.fromisoformat(written) - EPOCH) // timedelta(milliseconds=1) == time


@given(st.integers(0, LAST // 1000))
def test_a_whole_second_is_read_as_it_was_written(second: int) -> None:
    assert wire.milliseconds(wire.rfc3339(second * 1000), field="since") == second * 1000


def test_no_time_is_written_as_none() -> None:
    assert wire.rfc3339_or_none(None) is None
    assert wire.rfc3339_or_none(1_769_860_800_000) == "2026-01-31T12:00:00.000Z"


@pytest.mark.parametrize(
    "time", ["2026-01-31T14:30:00.500+02:30", "2026-01-31t12:00:00.500999999z", "2026-01-31T12:00:00.5-00:00"]
)
def test_a_time_may_come_with_any_offset(time: str) -> None:
    assert wire.milliseconds(time, field="since") == 1_769_860_800_500


@pytest.mark.parametrize(
    "time",
    [
        "", "yesterday", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "2026-01-31 12:00:00Z",
        "20260131T120000Z", "2026-W05-6T12:00:00Z", "2026-01-31T12Z", "2026-01-31T12:00:00+0100",
        "2026-01-31T12:00:00,5Z", "2026-01-31T12:00:00Z\n", "9999-12-31T23:59:59-23:59",
    ],
)  # fmt: skip
def test_what_is_no_time_or_has_no_offset_is_refused_by_its_field(time: str) -> None:
    with pytest.raises(Invalid, match=r"since must be an RFC 3339 time") as caught:
        wire.milliseconds(time, field="since")
    assert caught.value.field == "since"


# What a field expects


@pytest.mark.parametrize(
    ("hint", "english", "chinese"),
    [
        (str, "text", "文本"),
        (bool, "true or false", "true 或 false"),
        (int, "a whole number", "整数"),
        (float, "a number", "数字"),
        (int | None, "a whole number", "整数"),
        (Id, "a whole number of at least 1", "不小于 1 的整数"),
        (Id | None, "a whole number of at least 1", "不小于 1 的整数"),
        (Annotated[int, Whole(1, 9)], "a whole number from 1 to 9", "1 到 9 的整数"),
        (Annotated[str, Text(1, 64)], "text of 1 to 64 characters", "1 到 64 个字符的文本"),
        (Annotated[str, Text(6, 6)], "text of 6 characters", "6 个字符的文本"),
        (Annotated[str, Text(0, 64)], "text of 0 to 64 characters", "0 到 64 个字符的文本"),
        (Annotated[str, Utf8(8, 72)], "text of 8 to 72 bytes", "8 到 72 字节的文本"),
        (Annotated[str, "no limit", Text(1, 2)], "text of 1 to 2 characters", "1 到 2 个字符的文本"),
        (Literal["en", "zh", 3], 'one of "en", "zh", 3', '以下之一："en", "zh", 3'),
        (tuple[bool, ...], "a list of: true or false", "列表，每项为：true 或 false"),
        (list[int], "a list of: a whole number", "列表，每项为：整数"),
        (dict[str, bool], "an object from (text) to (true or false)", "对象，键为（文本），值为（true 或 false）"),
    ],
)
def test_a_type_is_told_in_words(hint: Any, english: str, chinese: str) -> None:
    assert wire.expected(hint) == (english, chinese)


@pytest.mark.parametrize(
    ("hint", "least", "most"),
    [(Id, 1, 9_007_199_254_740_991), (Seq, 0, 9_007_199_254_740_991), (Limit, 1, 200)],
)
def test_the_numbers_of_the_protocol_have_their_range(hint: Any, least: int, most: int) -> None:
    schema = Schema(dataclasses.make_dataclass("Numbered", [("number", hint)]))
    for number in (least, most):
        assert schema.convert({"number": number}, owner="test").number == number
    for number in (least - 1, most + 1):
        assert refused({"number": number}, schema).field == "number"


@pytest.mark.parametrize(
    ("hint", "shortest", "longest"),
    [(Name, 1, 64), (ClientId, 1, 64), (Email, 3, 254), (Token, 1, 4096), (Password, 8, 1024)],
)
def test_the_texts_of_the_protocol_have_their_length(hint: Any, shortest: int, longest: int) -> None:
    schema = Schema(dataclasses.make_dataclass("Written", [("text", hint)]))
    for length in (shortest, longest):
        assert schema.convert({"text": "x" * length}, owner="test").text == "x" * length
    for length in (shortest - 1, longest + 1):
        assert refused({"text": "x" * length}, schema).field == "text"


@pytest.mark.parametrize("hint", [bytes, int | str, int | str | None])
def test_a_type_without_words_is_refused(hint: Any) -> None:
    with pytest.raises(TypeError, match="no words for"):
        wire.expected(hint)


# Requests


def test_a_request_is_made_of_its_fields_and_defaults() -> None:
    assert ORDER.convert({"what": "pizza"}, owner="order") == Order("pizza")
    assert ORDER.convert({"what": "tea", "count": 9, "extras": ["milk"], "secret": None}, owner="order") == Order(
        "tea", count=9, extras=["milk"]
    )


def test_whole_numbers_may_be_an_objects_keys() -> None:
    request = dataclasses.make_dataclass("Cursors", [("cursors", dict[Id, int])])
    assert Schema(request).convert({"cursors": {"12": 41}}, owner="sync") == request({12: 41})


def test_an_unknown_field_is_refused_by_name() -> None:
    error = refused({"what": "tea", "colour": "red"})
    assert (error.field, str(error)) == ("colour", "colour is not a field of order.")


def test_a_very_long_unknown_field_is_not_echoed_whole() -> None:
    assert refused({"x" * 10_000: 1}).field == "x" * 64


def test_a_missing_field_is_asked_for() -> None:
    error = refused({"count": 2})
    assert (error.field, str(error)) == ("what", "what is required: text of 1 to 5 characters.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"what": ""}, "what must be text of 1 to 5 characters."),
        ({"what": "melons"}, "what must be text of 1 to 5 characters."),
        ({"what": None}, "what must be text of 1 to 5 characters."),
        ({"what": "tea", "count": 0}, "count must be a whole number from 1 to 9."),
        ({"what": "tea", "count": 10}, "count must be a whole number from 1 to 9."),
        ({"what": "tea", "count": "1"}, "count must be a whole number from 1 to 9."),
        ({"what": "tea", "count": True}, "count must be a whole number from 1 to 9."),
        ({"what": "tea", "paid": 1}, "paid must be true or false."),
        ({"what": "tea", "extras": "milk"}, "extras must be a list of: text."),
        ({"what": "tea", "extras": [1]}, "extras must be a list of: text."),
    ],
)
def test_a_wrong_value_is_refused_by_its_field_and_what_it_must_be(body: dict[str, Any], message: str) -> None:
    assert str(refused(body)) == message


def test_the_first_field_at_fault_is_named() -> None:
    assert refused({"count": 0, "paid": 1, "what": "tea"}).field == "count"


@pytest.mark.parametrize("secret", ["ab", "abcdef", "é", "中文"])
def test_a_limit_in_bytes_counts_utf8(secret: str) -> None:
    assert ORDER.convert({"what": "tea", "secret": secret}, owner="order") == Order("tea", secret=secret)


@pytest.mark.parametrize("secret", ["", "a", "abcdefg", "éééé", "中文字"])
def test_text_of_too_few_or_too_many_bytes_is_refused(secret: str) -> None:
    assert str(refused({"what": "tea", "secret": secret})) == "secret must be text of 2 to 6 bytes."


@given(st.text(max_size=8))
def test_a_limit_in_characters_holds_for_any_text(what: str) -> None:
    if 1 <= len(what) <= 5:
        assert ORDER.convert({"what": what}, owner="order").what == what
    else:
        assert refused({"what": what}).field == "what"


def test_a_schema_knows_what_is_required_and_what_else_is_taken() -> None:
    required = {name: field.required for name, field in ORDER.fields.items()}
    assert required == {"what": True, "count": False, "paid": False, "secret": False, "extras": False}
    assert ORDER.fields["count"].default == 1


def test_a_schema_knows_which_fields_are_secret() -> None:
    request = dataclasses.make_dataclass("Login", [("name", str), ("password", Password), ("token", Token | None)])
    assert Schema(request).secrets == {"password", "token"}


def test_a_request_that_refuses_what_its_fields_allow_is_a_defect() -> None:
    @dataclasses.dataclass
    class Odd:
        """Takes odd numbers."""

        number: int

        def __post_init__(self) -> None:
            if self.number % 2 == 0:
                raise ValueError("even")

    assert Schema(Odd).convert({"number": 3}, owner="odd") == Odd(3)
    with pytest.raises(AssertionError, match="accepts one by one"):
        Schema(Odd).convert({"number": 2}, owner="odd")


# Frames in


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_an_object_is_read_as_it_was_written(body: dict[str, Any]) -> None:
    assert wire.parse(orjson.dumps(body)) == body


def test_a_frame_may_come_in_a_bytearray() -> None:
    assert wire.parse(bytearray(b'{"type":"help"}')) == {"type": "help"}


@pytest.mark.parametrize("data", [b"", b"{", b"{'a':1}", b'{"a":NaN}', b'{"a":"\\ud800"}', b'{"a":' * 5000])
def test_what_is_no_json_is_refused_with_the_reason(data: bytes) -> None:
    with pytest.raises(InvalidJson) as caught:
        wire.parse(data)
    assert caught.value.details["reason"]


@pytest.mark.parametrize("data", [b"[1]", b"1", b'"help"', b"null", b"true"])
def test_json_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidFrame, match=r"must be an object"):
        wire.parse(data)


@pytest.mark.parametrize("data", [b"\xff", b'{"a":"\xc3"}', b'{"a":"\xed\xa0\x80"}'])
def test_what_is_not_utf8_is_told_apart_from_what_is_not_json(data: bytes) -> None:
    with pytest.raises(wire.NotUtf8):
        wire.parse(data)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (rb'{"content":"a\u0000b"}', "content"),
        (rb'{"id":1,"a":"","b":"\u0000"}', "b"),
        (rb'{"a\u0000b":1}', "a\\u0000b"),
    ],
)
def test_the_character_nul_is_refused_by_its_field(data: bytes, field: str) -> None:
    with pytest.raises(Invalid, match="must not contain the character NUL") as caught:
        wire.refuse_nul(data, wire.parse(data))
    assert caught.value.field == field


@pytest.mark.parametrize("data", [rb'{"content":"\u0001"}', rb'{"content":"\\u0000"}', rb'{"content":"0","n":0}'])
def test_what_only_looks_like_nul_is_let_through(data: bytes) -> None:
    wire.refuse_nul(data, wire.parse(data))


@pytest.mark.parametrize("value", [None, 0, -7, 2**64 - 1, "", "a1", "x" * 256])
def test_an_id_is_taken_out_of_the_frame(value: int | str | None) -> None:
    body = {"id": value, "type": "help"}
    assert wire.take_id(body) == value
    assert body == {"type": "help"}


def test_a_frame_may_have_no_id() -> None:
    assert wire.take_id({"type": "help"}) is None


@pytest.mark.parametrize("value", [True, 1.0, [], {}, "x" * 257])
def test_what_is_neither_text_nor_a_whole_number_is_no_id(value: Any) -> None:
    with pytest.raises(Invalid, match=r"^id must be text of at most 256 characters or a whole number\.$"):
        wire.take_id({"id": value})


def test_a_type_is_taken_out_of_the_frame() -> None:
    body = {"type": "send", "content": "hi"}
    assert wire.take_type(body) == "send"
    assert body == {"content": "hi"}


@pytest.mark.parametrize("body", [{}, {"type": None}, {"type": 1}, {"type": ["send"]}])
def test_a_frame_without_a_type_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidFrame) as caught:
        wire.take_type(body)
    assert caught.value.field == "type"


@pytest.mark.parametrize("name", ["client_id", "temp_id"])
def test_a_client_id_is_taken_out_of_the_frame_under_either_name(name: str) -> None:
    body = {name: "b1e", "content": "hi"}
    assert wire.take_client_id(body) == "b1e"
    assert body == {"content": "hi"}


@pytest.mark.parametrize("body", [{}, {"client_id": None}, {"temp_id": None}])
def test_a_frame_may_have_no_client_id(body: dict[str, Any]) -> None:
    assert wire.take_client_id(body) is None


def test_with_both_names_the_second_is_left_to_be_refused() -> None:
    body = {"temp_id": "old", "client_id": "new"}
    assert wire.take_client_id(body) == "new"
    assert body == {"temp_id": "old"}


@pytest.mark.parametrize("value", ["", "x" * 65, 7])
def test_a_client_id_is_short_text(value: Any) -> None:
    with pytest.raises(Invalid, match=f"client_id must be {wire.expected(ClientId).en}"):
        wire.take_client_id({"client_id": value})


# Frames out


def test_a_reply_repeats_op_and_id_and_carries_its_data() -> None:
    assert orjson.loads(wire.encode_reply("order", 7, "ordered", Order("tea"))) == {
        "type": "reply",
        "op": "order",
        "id": 7,
        "success": True,
        "message": "ordered",
        "data": {"what": "tea", "count": 1, "paid": False, "secret": None, "extras": []},
    }


def test_a_reply_carries_json_that_was_kept_as_it_is() -> None:
    reply = orjson.loads(wire.encode_reply("order", None, "ordered", orjson.Fragment(b'{"seq":1}')))
    assert reply["data"] == {"seq": 1}


def test_a_failure_carries_code_field_and_when_to_try_again() -> None:
    error = TooFast(field="content", retry_after_ms=250)
    assert orjson.loads(wire.encode_failure("send", "a1", error, "en")) == {
        "type": "reply",
        "op": "send",
        "id": "a1",
        "success": False,
        "message": "Too fast. Please wait a moment.",
        "error": {"code": "rate_limited", "field": "content", "temporary": True, "retry_after_ms": 250},
    }


def test_a_failure_speaks_the_sessions_language() -> None:
    failure = orjson.loads(wire.encode_failure(None, None, NotFound(), "zh"))
    assert failure["message"] == "未找到。"
    assert failure["error"] == {"code": "not_found", "field": None, "temporary": False, "retry_after_ms": None}


@pytest.mark.parametrize("seq", [41, None])
def test_an_event_names_its_place_in_the_log(seq: int | None) -> None:
    assert orjson.loads(wire.encode_event("message", 12, seq, {"content": "hi"})) == {
        "type": "event",
        "event": "message",
        "conversation_id": 12,
        "seq": seq,
        "data": {"content": "hi"},
    }


def test_an_outgoing_payload_has_no_frame_until_somebody_makes_it() -> None:
    outgoing = wire.Outgoing(b"{}")
    assert (outgoing.payload, outgoing.frame) == (b"{}", None)


# Pages


@pytest.mark.parametrize(
    ("sizes", "count"),
    [([], 0), ([3, 3, 4], 3), ([3, 3, 5], 2), ([11], 1), ([11, 1], 1), ([10, 1], 1), ([0, 0, 11], 2)],
)
def test_a_page_holds_what_fits_and_at_least_one_item(sizes: Sequence[int], count: int) -> None:
    assert wire.fit(sizes, most=10) == count


@given(st.lists(st.integers(0, 20), min_size=1), st.integers(0, 50))
def test_a_page_ends_only_where_the_next_item_would_not_fit(sizes: list[int], most: int) -> None:
    count = wire.fit(sizes, most=most)
    assert count == 1 or sum(sizes[:count]) <= most
    assert count == len(sizes) or sum(sizes[: count + 1]) > most


@given(st.integers(0, 253402300799999))
def test_a_time_comes_back_to_the_millisecond(time: int) -> None:
    assert wire.milliseconds(wire.rfc3339(time), field="time") == time


def test_temp_id_is_refused_under_its_own_name() -> None:
    with pytest.raises(Invalid) as refused:
        wire.take_client_id({"temp_id": 5})
    assert refused.value.field == "temp_id"
