"""At least ten thousand frames of nonsense at a live daemon: each gets a clear answer, and it then still serves."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatd.errors import BY_CODE
from chatd.op import REGISTRY
from tests.support import Person, befriend, config_for, running

EXAMPLES = int(os.environ.get("CHATD_FUZZ", "1000"))
FRAMES = 10

texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", "ada", "bob", "\0", "a\0b", "é" * 5000, "x" * 9000, "'; DROP TABLE users; --", "%", "\u202e", "👩‍👩‍👧"]
    ),
)
numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(0, 5),
    st.sampled_from([2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1]),
    st.floats(allow_nan=False, allow_infinity=False),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)
FIELDS = sorted({field for op in REGISTRY.values() for field in op.schema.fields} | {"client_id", "temp_id", "id", "x"})


@st.composite
def bent_examples(draw: st.DrawFn) -> Any:
    """An op's own example with some fields changed, dropped or added."""
    op = draw(st.sampled_from(sorted(REGISTRY)))
    frame: dict[str, Any] = {"type": op, **REGISTRY[op].example}
    for name in draw(st.lists(st.sampled_from([*REGISTRY[op].schema.fields, *FIELDS]), max_size=3)):
        frame[name] = draw(values)
    for name in draw(st.lists(st.sampled_from(sorted(frame)), max_size=1)):
        del frame[name]
    return frame


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a number that only Python can hold, or a lone surrogate
        import json

        return json.dumps(value)


RAW = [
    "", "{", "[]", "null", "7", '"send"', "{}", '{"type":null}', '{"type":["send"]}', '{"type":"send"', "NaN",
    '{"type":"send","content":1' + "0" * 400 + "}", '{"type":"send","content":"\\ud800"}', "[" * 30000,
    '{"a":' * 5000 + "1" + "}" * 5000, '{"type":"help","type":"heartbeat"}', '{"type":"\\u0000"}',
    '{"type":"send","to_user":"a\\u0000","content":"x"}', '{"id":{},"type":"heartbeat"}', '{"id":1e400,"type":"help"}',
    '{"type":"heartbeat","\\u0000":1}', '{"type":"sync","cursors":{"x":1}}', '{"type":"sync","cursors":{"1":-1}}',
    '{"type":"sync","cursors":{"1":1},"since":"yesterday"}', '{"type":"conversations","before_last_at":"2026-13-01"}',
    "\ufeff{}", '{"type":"heartbeat"}' + " " * 1000, '{"type":"' + "x" * 60000 + '"}',
]  # fmt: skip


class Line(str):
    """A frame's text that does not fill the screen when it fails."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(str(self) if len(self) < 500 else f"{self[:100]}… ({len(self)} characters)")


frames = st.one_of(bent_examples().map(_json), values.map(_json), st.text(max_size=50), st.sampled_from(RAW))
frames = frames.filter(lambda text: len(text.encode()) <= 65536).map(Line)  # above it is closed: 1009


class Background:
    """A loop in a thread of its own, for tests that hypothesis drives."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def background() -> Iterator[Background]:
    background = Background()
    yield background
    background.close()


def test_every_frame_gets_a_clear_answer(tmp_path: Path, background: Background) -> None:
    seen: Counter[str] = Counter()
    people = iter(range(10**9))
    daemon = running(config_for(tmp_path, connections_per_address=10**5))
    url = background.run(daemon.__aenter__())

    async def throw(lines: list[Line]) -> None:
        person = await Person.named(url, f"user{next(people)}")
        for line in lines:
            await person.socket.send(line)
            reply = await person.reply()
            _is_clear(reply, line)
            seen["success" if reply["success"] else reply["error"]["code"]] += 1
        await person.close()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="CHATD_FUZZ" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(frames, min_size=FRAMES, max_size=FRAMES))
    def thrown(lines: list[Line]) -> None:
        background.run(throw(lines))

    async def still_serves() -> None:
        ada, bob = await Person.named(url, "afterwards.ada"), await Person.named(url, "afterwards.bob")
        await befriend(ada, bob, username="afterwards.bob")
        assert (await ada.data("send", to_user="afterwards.bob", content="hi"))["seq"] == 1
        assert [event["data"]["content"] for event in await bob.events()] == ["hi"]

    thrown()
    background.run(still_serves())
    background.run(daemon.__aexit__(None, None, None))
    print(dict(seen))
    assert seen.total() >= EXAMPLES * FRAMES
    assert seen["success"] > 100, "the nonsense never reached an op"
    assert set(seen) >= {"invalid", "invalid_json", "invalid_frame", "unknown_op", "not_found"}


def _is_clear(reply: dict[str, Any], line: str) -> None:
    assert list(reply)[:5] == ["type", "op", "id", "success", "message"], line
    assert isinstance(reply["message"], str), line
    assert reply["message"], line
    if reply["success"]:
        assert reply["op"] in REGISTRY, line
        return
    error = reply["error"]
    assert error["code"] in BY_CODE, line
    assert error["code"] != "internal", line
    if error["code"] == "invalid":
        assert error["field"], line
        assert reply["message"].startswith(error["field"]), line


@pytest.mark.parametrize(
    ("line", "code", "field", "message"),
    [
        ('{"type":"send"', "invalid_json", None, "The frame is not valid JSON: "),
        ('["type"]', "invalid_frame", None, 'The frame must be an object with a "type", such as {"type":"help"}.'),
        ('{"id":5}', "invalid_frame", "type", 'The frame must be an object with a "type"'),
        ('{"type":"sned"}', "unknown_op", "type", 'There is no op "sned". Ask {"type":"help"} for the list.'),
        ('{"type":"edit","message_id":1}', "invalid", "content", "content is required: text of 1 to 8192 bytes."),
        ('{"type":"edit","message_id":1,"content":7}', "invalid", "content", "must be text of 1 to 8192 bytes."),
        ('{"type":"edit","message_id":1,"content":""}', "invalid", "content", "must be text of 1 to 8192 bytes."),
        ('{"type":"send","to_user":"ada"}', "invalid", "content", "content must not be empty."),
        ('{"type":"send","to_user":"ada","content":""}', "invalid", "content", "content must not be empty."),
        (
            '{"type":"send","content":"%s"}' % ("é" * 5000),
            "invalid", "content", "content must be text of 0 to 8192 bytes.",
        ),
        (
            '{"type":"send","content":"x","kind":"poem"}',
            "invalid", "kind", 'kind must be one of "text", "image", "voice", "video", "file", "location", "card", ',
        ),
        ('{"type":"send","content":"x","colour":1}', "invalid", "colour", "colour is not a field of send."),
        ('{"type":"send","content":"a\\u0000b"}', "invalid", "content", "content must not contain the character NUL."),
        ('{"type":"send","content":"x"}', "invalid", "conversation_id", "or to_user or to_user_id is required"),
        ('{"type":"send","content":"x","to_user":"a","to_user_id":1}', "invalid", "to_user", "not both"),
        ('{"type":"send","content":"x","to_user_id":true}', "invalid", "to_user_id", "must be a whole number"),
        ('{"type":"send","content":"x","client_id":5}', "invalid", "client_id", "must be text of 1 to 64 characters"),
        ('{"type":"history","user":"ada","limit":201}', "invalid", "limit", "must be a whole number from 1 to 200."),
        ('{"type":"friend_respond","request_id":1,"accept":1}', "invalid", "accept", "accept must be true or false."),
        ('{"type":"sync","cursors":{"x":1}}', "invalid", "cursors", "cursors must be an object from "),
        ('{"type":"heartbeat","id":{}}', "invalid", "id", "id must be text of at most 256 characters or a whole"),
    ],
)  # fmt: skip
async def test_bad_input_is_told_what_was_expected(
    url: str, line: str, code: str, field: str | None, message: str
) -> None:
    ada = await Person.named(url, "ada")
    await ada.socket.send(line)
    reply = await ada.reply()
    assert (reply["error"]["code"], reply["error"]["field"]) == (code, field)
    assert message in reply["message"]
    assert (await ada.ask("heartbeat", id="alive"))["id"] == "alive"


async def test_the_id_comes_back_whatever_else_is_wrong(url: str) -> None:
    ada = await Person.named(url, "ada")
    for request_id in (0, -1, 2**64 - 1, "", "x" * 256, "☃"):
        for op, fields in (("heartbeat", {}), ("sned", {}), ("send", {"content": 7})):
            assert (await ada.ask(op, id=request_id, **fields))["id"] == request_id
