"""The port under people who do not behave: slow, silent, too many, too much."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close, Frame, Opcode

from chatd.limits import Rate
from tests.support import PATIENCE, SETTINGS, Person, Process, Web, befriend, config_for, masked, running

HASTY = {"handshake_timeout": 0.3, "auth_timeout": 0.3, "close_timeout": 0.3}


@contextlib.asynccontextmanager
async def raw(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection to the daemon, below WebSocket."""
    host, port = url.removeprefix("ws://").removesuffix("/ws").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def until_closed(person: Person) -> ConnectionClosed:
    """Wait until the daemon closes the connection."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                await person.socket.recv()
    except ConnectionClosed as closed:
        return closed


def code_of(closed: ConnectionClosed) -> int:
    assert closed.rcvd is not None, "the connection broke without a close frame"
    return closed.rcvd.code


# Deadlines


@pytest.mark.parametrize(
    "begun", [b"", b"GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "]
)
async def test_a_handshake_that_takes_too_long_is_dropped(tmp_path: Path, begun: bytes) -> None:
    async with running(config_for(tmp_path, **HASTY)) as url, raw(url) as (reader, writer):
        writer.write(begun)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""


@pytest.mark.parametrize(
    ("begun", "statuses"),
    [
        (b"", []),
        (b"GET / HTTP/1.1\r\nX-Slow: ", []),
        (b"POST /api/send HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", [408]),
        (b"POST /api/send HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", [100, 408]),
    ],
)
async def test_a_plain_request_that_takes_too_long_is_dropped(
    tmp_path: Path, begun: bytes, statuses: list[int]
) -> None:
    async with running(config_for(tmp_path, **HASTY)) as url:
        web = await Web.at(url)
        await web.get("/healthz")
        web.writer.write(begun)
        assert [(await web.answer()).status for _ in statuses] == statuses
        assert await web.ended()


async def test_who_does_not_authenticate_in_time_is_dropped(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, **HASTY)) as url:
        silent, talking = await Person.at(url), await Person.at(url)
        await talking.ask("heartbeat")
        for person in (silent, talking):
            closed = await until_closed(person)
            assert (code_of(closed), closed.rcvd and closed.rcvd.reason) == (1008, "authenticate within 0.3 seconds")


async def test_after_logging_out_the_deadline_runs_again(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, **HASTY)) as url:
        ada = await Person.named(url, "ada")
        assert (await ada.ask("logout"))["success"]
        assert code_of(await until_closed(ada)) == 1008


async def test_a_silent_client_is_pinged_and_stays_while_it_answers(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, ping_interval=0.2, ping_timeout=0.5)) as url:
        ada = await Person.named(url, "ada")
        host, port = url.removeprefix("ws://").removesuffix("/ws").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await _shake_hands(reader, writer)
        writer.write(masked(orjson.dumps({"type": "auth", "token": ada.token})))
        await reader.readuntil(b'"sync":null}}')
        for _ in range(3):  # three pings, answered
            assert await asyncio.wait_for(reader.readexactly(2), PATIENCE) == b"\x89\x00"
            writer.write(Frame(Opcode.PONG, b"").serialize(mask=True))
        assert await asyncio.wait_for(reader.readexactly(2), PATIENCE) == b"\x89\x00"
        goodbye = await asyncio.wait_for(reader.read(), PATIENCE)  # the fourth is not
        assert goodbye[2:4] == (1011).to_bytes(2, "big")
        writer.close()
        assert (await ada.ask("heartbeat"))["success"]
        await ada.close()


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def _shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HANDSHAKE)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")


# Handshake


@pytest.mark.parametrize("path", ["/ws", "/ws/chat", "/ws?x=1"])
async def test_the_paths_of_the_socket(url: str, path: str) -> None:
    async with connect(url.removesuffix("/ws") + path) as ws:
        await ws.send('{"type":"heartbeat"}')
        assert orjson.loads(await ws.recv())["success"]


@pytest.mark.parametrize(
    ("request_head", "status", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: chat.example:1\r\n\r\n", 200, b"npx wscat -c ws://chat.example:1/ws"),
        (b"GET / HTTP/1.1\r\nHost: c.example\r\nX-Forwarded-Proto: https\r\n\r\n", 200, b"wss://c.example/ws"),
        (b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"There is nothing here"),
        (b"GET /ws/ HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"There is nothing here"),
        (b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 404, b"There is nothing here"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 405, b"GET or HEAD only"),
        (b"POST /api/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 200, b'"op":"heartbeat"'),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 200, b"npx wscat"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"There is nothing here"),
        # from here on the connection is closed
        (b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", 200, b"ws://x/ws"),
        (b"nonsense\r\n\r\n", 400, b"illegal request line.\n"),
        (b"\r\n\r\n", 400, b"no request line"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, b"Host"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, b""),
        (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 426, b"WebSocket"),
        (b"GET /ws?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, b""),
        (b"GET /ws HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431, b""),
        (b"GET /ws HTTP/1.1\r\nnonsense\r\n\r\n", 400, b""),
        (b"GET /ws HTTP/1.1\r\n" + HANDSHAKE[18:].replace(b": 13", b": 12"), 400, b"Version"),
    ],
)
async def test_whatever_is_no_websocket_gets_a_plain_answer(
    url: str, request_head: bytes, status: int, said: bytes
) -> None:
    web = await Web.at(url)
    web.writer.write(request_head)
    answered = await web.answer()
    assert answered.status == status
    assert said in answered.body
    if answered.headers.get("connection") == ["close"]:
        assert await web.ended()
    else:
        assert (await web.get("/healthz")).body == b"ok\n"
    await web.close()


async def test_a_connection_that_spoke_http_stays_http(url: str) -> None:
    web = await Web.at(url)
    await web.get("/healthz")
    web.writer.write(HANDSHAKE)
    assert (await web.answer()).status == 404
    assert (await web.get("/healthz")).status == 200


async def test_plain_requests_are_answered_whatever_the_loop(process: Process) -> None:
    web, barrier = await Web.at(process.url), await Web.at(process.url)
    for piece in (b"POST /api/heart", b"beat HTTP/1.1\r\nHost: x\r\nContent-Le", b"ngth: 8\r\n\r\n", b'{"id"', b":1}"):
        web.writer.write(piece)
        await barrier.get("/healthz")  # the daemon has read what came before
    assert (await web.answer()).json["id"] == 1
    for number in range(50):
        web.say("POST", "/api/heartbeat", orjson.dumps({"id": number}))
    assert [(await web.answer()).json["id"] for _ in range(50)] == list(range(50))
    web.say("POST", "/api/heartbeat", transfer_encoding="chunked")
    web.writer.write(b"2\r\n{}\r\n0\r\n\r\n")
    web.say("HEAD", "/")
    web.say("GET", "/healthz")
    web.writer.write_eof()
    assert (await web.answer()).json["success"]
    assert (await web.answer(bodyless=True)).status == 200
    assert (await web.answer()).body == b"ok\n"
    assert await web.ended()
    for head in (b"Content-Length: 100000\r\n\r\n", b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"):
        web = await Web.at(process.url)
        web.writer.write(b"POST /api/send HTTP/1.1\r\nHost: x\r\n" + head + b"x" * 70_000)
        assert (await web.answer()).headers["connection"] == ["close"]
        assert await web.ended()
    for method in ("GET", "HEAD", "DELETE"):
        for _ in range(10):
            web = await Web.at(process.url)
            web.say(method, "/healthz", connection="close")
            web.writer.transport.abort()
    assert (await barrier.get("/readyz")).status == 200
    assert await process.kill(15) == 0
    assert "Traceback" not in process.log


async def test_head_has_no_body(url: str) -> None:
    web = await Web.at(url)
    front = await web.get("/")
    for _ in range(2):
        answered = await web.get("/", "HEAD")
        assert (answered.status, answered.body) == (200, b"")
        assert answered.headers["content-length"] == [str(len(front.body))]


async def test_a_web_page_may_connect_from_the_same_host_or_a_listed_one(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, origins=("https://good.example",))) as url:
        same = url.replace("ws://", "http://").removesuffix("/ws")
        for origin in (same, "https://good.example"):
            async with connect(url, origin=origin):  # type: ignore[arg-type]
                pass
        for origin in ("https://evil.example", "null", "https://good.example.evil.example"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, origin=origin)  # type: ignore[arg-type]
            assert refused.value.response.status_code == 403


async def test_connections_are_counted_per_address_and_behind_a_trusted_proxy(tmp_path: Path) -> None:
    config = config_for(tmp_path, connections_per_address=2, trusted_proxies=("127.0.0.1",))
    async with running(config) as url:

        async def come(address: str) -> Person:
            return await Person.at(url, additional_headers={"X-Forwarded-For": address})

        first, _second = await come("192.0.2.1"), await come("192.0.2.1")
        with pytest.raises(InvalidStatus) as refused:
            await come("192.0.2.1")
        assert refused.value.response.status_code == 429
        await come("192.0.2.2")
        await first.close()
        await come("192.0.2.1")


async def test_connections_are_counted_in_all_and_per_user(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, connections=3, connections_per_user=2)) as url:
        ada = await Person.named(url, "ada")
        phone = await Person.again(url, ada.token)
        tablet = await Person.at(url)
        assert await tablet.error("auth", token=ada.token) == "too_many_connections"
        assert await tablet.error("friends") == "unauthenticated"
        with pytest.raises(InvalidStatus) as refused:
            await Person.at(url)
        assert refused.value.response.status_code == 503
        await phone.close()
        assert (await tablet.ask("auth", token=ada.token))["success"]


async def test_compression_is_a_setting(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, compression=True)) as url:
        ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
        await befriend(ada, bob, username="bob")
        async with connect(url, compression="deflate") as ws:
            assert [extension.name for extension in ws.protocol.extensions] == ["permessage-deflate"]
            await ws.send(orjson.dumps({"type": "auth", "token": bob.token}).decode())
            await ws.recv()
            await ada.data("send", to_user="bob", content="squeeze " * 500)
            assert orjson.loads(await ws.recv())["data"]["content"] == "squeeze " * 500
    async with running(config_for(tmp_path)) as url, connect(url, compression="deflate") as ws:
        assert ws.protocol.extensions == []


# Frames


async def test_frames_that_the_rfc_wants_refused(url: str) -> None:
    for payload, code in (
        (Frame(Opcode.TEXT, b"x" * 65537), 1009),
        (Frame(Opcode.TEXT, b'{"type":"\xff"}'), 1007),
        (Frame(Opcode.TEXT, b"{}", rsv1=True), 1002),
    ):
        person = await Person.at(url)
        frame = bytearray(Frame(payload.opcode, payload.data).serialize(mask=True))
        if payload.rsv1:
            frame[0] |= 0x40
        person.socket.transport.write(bytes(frame))
        assert code_of(await until_closed(person)) == code


@pytest.mark.parametrize(
    ("last", "code"),
    [(Frame(Opcode.TEXT, b"\xff"), 1007), (Frame(Opcode.BINARY, b""), 1000), (Frame(Opcode.TEXT, b"{}"), 1000)],
)
async def test_a_close_in_the_same_segment_as_what_comes_before_it(process: Process, last: Frame, code: int) -> None:
    async with raw(process.url) as (reader, writer):
        await _shake_hands(reader, writer)
        goodbye = Frame(Opcode.CLOSE, (1000).to_bytes(2, "big"))
        writer.write(last.serialize(mask=True) + goodbye.serialize(mask=True))
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        close = answer[answer.rindex(b"\x88") :]
        assert Close.parse(close[2:]).code == code
        assert len(close) == 2 + close[1]  # and nothing after it
    assert await process.kill(15) == 0
    assert "Traceback" not in process.log


async def test_a_frame_in_fragments_is_one_frame(url: str) -> None:
    ada = await Person.at(url)
    await ada.socket.send(iter(['{"type":"sig', 'nup","username":"ada",', '"password":"correct horse"}']))
    assert (await ada.reply())["success"]


async def test_invalid_utf8_that_had_to_wait_closes_too(url: str) -> None:
    ada = await Person.at(url)
    signup = masked(orjson.dumps({"type": "signup", "username": "ada", "password": "correct horse"}))
    ada.socket.transport.write(signup + masked(b'{"type":"heartbeat"}') + masked(b"\xff"))
    assert (await ada.reply())["op"] == "signup"
    assert (await ada.reply())["op"] == "heartbeat"
    assert code_of(await until_closed(ada)) == 1007


async def test_replies_come_in_the_order_of_the_requests(url: str) -> None:
    ada = await Person.named(url, "ada")
    asked = ["send", "history", "heartbeat", "send", "profile", "nonsense", "friends", "send", "unread_count"] * 20
    fields = {"send": {"to_user": "ada", "content": "note"}, "history": {"user": "ada"}}
    ada.socket.transport.write(
        b"".join(
            masked(orjson.dumps({"type": op, "id": number, **fields.get(op, {})})) for number, op in enumerate(asked)
        )
    )
    replies = [await ada.reply() for _ in asked]
    assert [reply["id"] for reply in replies] == list(range(len(asked)))
    written = 0
    for reply in replies:
        written += reply["op"] == "send"
        if reply["op"] == "history":
            assert reply["data"]["messages"][-1]["seq"] == written, "what was written can be read in the next line"
        assert reply["success"] == (reply["op"] != "nonsense")


async def test_pipelined_lines_after_a_signup_are_the_new_users(url: str) -> None:
    ada = await Person.at(url)
    await ada.say("signup", username="ada", password="correct horse")
    await ada.say("send", to_user="ada", content="first")
    await ada.say("logout")
    await ada.say("friends")
    assert [(await ada.reply())["success"] for _ in range(4)] == [True, True, True, False]


async def test_a_rate_limit_says_when_to_come_back(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    slow = replace(config.rates, chat=Rate(per_second=0.1, burst=2), ops=Rate(per_second=1000, burst=1000))
    async with running(replace(config, rates=slow)) as url:
        ada = await Person.named(url, "ada")
        phone = await Person.again(url, ada.token)
        for person in (ada, phone):
            await person.data("send", to_user="ada", content="one")
        refused = await ada.ask("send", to_user="ada", content="three")
        assert refused["error"]["code"] == "rate_limited"
        assert refused["error"]["temporary"]
        assert 0 < refused["error"]["retry_after_ms"] <= 10_001
        assert (await ada.ask("friends"))["success"], "other ops have their own limits"


# Frames cut by hand


TEXT, CLOSE, PONG = (0x80 | opcode for opcode in (Opcode.TEXT, Opcode.CLOSE, Opcode.PONG))
"""The first bytes of frames that are whole."""


def heartbeat(number: int, size: int = 0) -> bytes:
    """The payload of a heartbeat, of so many bytes if they are enough."""
    return orjson.dumps({"type": "heartbeat", "id": number}).ljust(size)


def frame(opcode: Opcode, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


async def frames(reader: asyncio.StreamReader, count: int) -> list[tuple[int, bytes]]:
    """The first byte and the payload of each of so many frames."""
    read = []
    async with asyncio.timeout(PATIENCE):
        for _ in range(count):
            first, length = await reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2), "big")
            read.append((first, await reader.readexactly(length)))
    return read


async def beats(reader: asyncio.StreamReader, count: int) -> list[int]:
    """The ids of so many replies to heartbeats."""
    replies = [(first, orjson.loads(payload)) for first, payload in await frames(reader, count)]
    assert all((first, reply["op"], reply["success"]) == (TEXT, "heartbeat", True) for first, reply in replies)
    return [reply["id"] for _, reply in replies]


async def closing_code(reader: asyncio.StreamReader) -> int:
    """The code of a close frame, after which nothing comes."""
    ((first, payload),) = await frames(reader, 1)
    assert first == CLOSE
    assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    return Close.parse(payload).code


async def in_pieces(writer: asyncio.StreamWriter, pieces: Iterable[bytes], barrier: Person) -> None:
    """Write pieces that the daemon reads one by one: it has read one when it answers somebody who asked after it."""
    for piece in pieces:
        writer.write(piece)
        assert (await barrier.ask("heartbeat"))["success"]


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


@pytest.mark.parametrize("size", [0, 126])
async def test_a_frame_may_arrive_byte_by_byte(process: Process, size: int) -> None:
    barrier = await Person.at(process.url)
    async with raw(process.url) as (reader, writer):
        await _shake_hands(reader, writer)
        data = b"".join(masked(heartbeat(number, size)) for number in (1, 2))
        await in_pieces(writer, byte_by_byte(data), barrier)
        assert await beats(reader, 2) == [1, 2]


async def test_frames_may_be_cut_anywhere(url: str) -> None:
    barrier = await Person.at(url)
    data = masked(heartbeat(1)) + masked(heartbeat(2, 130)) + frame(Opcode.PING, b"?") + masked(heartbeat(3))
    async with raw(url) as (reader, writer):
        await _shake_hands(reader, writer)
        for at in range(1, len(data)):
            await in_pieces(writer, (data[:at], data[at:]), barrier)
            assert await beats(reader, 2) == [1, 2]
            assert await frames(reader, 1) == [(PONG, b"?")]
            assert await beats(reader, 1) == [3]


@pytest.mark.parametrize("size", [125, 126, 65535, 65536])
async def test_a_payload_may_have_any_size_up_to_the_largest(process: Process, size: int) -> None:
    async with raw(process.url) as (reader, writer):
        await _shake_hands(reader, writer)
        for number in range(5):
            writer.write(masked(heartbeat(2 * number, size)) + masked(heartbeat(2 * number + 1)))
        assert await beats(reader, 10) == list(range(10))


@pytest.mark.parametrize("size", [65537, 2**20, 2**63 - 1, 2**64 - 1])
@pytest.mark.parametrize("split", [False, True])
async def test_a_payload_that_is_too_long_is_refused_by_its_header(url: str, size: int, split: bool) -> None:
    barrier = await Person.at(url)
    header = b"\x81\xff" + size.to_bytes(8, "big") + b"mask"
    async with raw(url) as (reader, writer):
        await _shake_hands(reader, writer)
        writer.write(masked(heartbeat(1)))
        await in_pieces(writer, byte_by_byte(header) if split else [header], barrier)
        assert await beats(reader, 1) == [1]
        assert await closing_code(reader) == 1009


async def test_a_frame_that_is_too_long_is_refused_when_it_is_there_as_a_whole(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, frame_bytes=1024)) as url, raw(url) as (reader, writer):
        await _shake_hands(reader, writer)
        writer.write(masked(heartbeat(1, 1024)) + masked(heartbeat(2, 1025)) + masked(heartbeat(3)))
        assert await beats(reader, 1) == [1]
        assert await closing_code(reader) == 1009


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(frame(Opcode.TEXT, b"{", fin=False) + masked(heartbeat(9)), id="whole between fragments"),
        pytest.param(
            frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.TEXT, b"}", fin=False), id="two first fragments"
        ),
        pytest.param(frame(Opcode.CONT, b"}"), id="a last fragment alone"),
        pytest.param(Frame(Opcode.TEXT, heartbeat(9)).serialize(mask=False), id="unmasked"),
        pytest.param(Frame(Opcode.TEXT, heartbeat(9, 130)).serialize(mask=False), id="unmasked and longer"),
        pytest.param(Frame(Opcode.PONG, b"").serialize(mask=False), id="an unmasked pong"),
        pytest.param(b"\xc1" + masked(heartbeat(9))[1:], id="a reserved bit"),
        pytest.param(b"\x83" + masked(heartbeat(9))[1:], id="an opcode that nobody knows"),
        pytest.param(b"\x89" + masked(heartbeat(9, 126))[1:], id="a ping that is too long"),
        pytest.param(b"\x8a" + masked(heartbeat(9, 126))[1:], id="a pong that is too long"),
        pytest.param(b"\x09" + masked(heartbeat(9))[1:], id="a ping in fragments"),
    ],
)
async def test_what_breaks_the_protocol_is_refused_after_what_was_right(url: str, wrong: bytes) -> None:
    async with raw(url) as (reader, writer):
        await _shake_hands(reader, writer)
        writer.write(masked(heartbeat(1)) + masked(heartbeat(2)) + wrong + masked(heartbeat(3)))
        assert await beats(reader, 2) == [1, 2]
        assert await closing_code(reader) == 1002


async def test_control_frames_may_stand_between_fragments(url: str) -> None:
    async with raw(url) as (reader, writer):
        await _shake_hands(reader, writer)
        for number in range(3):
            payload = heartbeat(number)
            writer.write(
                frame(Opcode.TEXT, payload[:5], fin=False)
                + frame(Opcode.PONG)
                + frame(Opcode.CONT, payload[5:9], fin=False)
                + frame(Opcode.PING, b"?")
                + frame(Opcode.CONT, payload[9:])
                + masked(heartbeat(number + 100))
            )
            assert await frames(reader, 1) == [(PONG, b"?")]
            assert await beats(reader, 2) == [number, number + 100]


async def test_a_ping_between_two_frames_gets_its_pong_between_their_replies(process: Process) -> None:
    async with raw(process.url) as (reader, writer):
        await _shake_hands(reader, writer)
        for payload in (b"", b"?", b"x" * 125):
            writer.write(masked(heartbeat(1)) + frame(Opcode.PING, payload) + masked(heartbeat(2)))
            assert await beats(reader, 1) == [1]
            assert await frames(reader, 1) == [(PONG, payload)]
            assert await beats(reader, 1) == [2]


async def test_pongs_that_nobody_asked_for_are_ignored(url: str) -> None:
    barrier = await Person.at(url)
    pongs = frame(Opcode.PONG) + frame(Opcode.PONG, b"x" * 125)
    async with raw(url) as (reader, writer):
        await _shake_hands(reader, writer)
        writer.write(pongs + masked(heartbeat(1)) + pongs * 100 + masked(heartbeat(2)) + pongs)
        await in_pieces(writer, byte_by_byte(pongs), barrier)
        writer.write(masked(heartbeat(3)))
        assert await beats(reader, 3) == [1, 2, 3]


@pytest.mark.parametrize("at", [0, 20, len(HANDSHAKE) - 1])
async def test_frames_that_come_with_the_handshake_are_answered_after_it(url: str, at: int) -> None:
    barrier = await Person.at(url)
    async with raw(url) as (reader, writer):
        await in_pieces(writer, [HANDSHAKE[:at]], barrier)
        writer.write(HANDSHAKE[at:] + masked(heartbeat(1)) + frame(Opcode.PING, b"?") + masked(heartbeat(2)))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert {first for first, _ in await frames(reader, 3)} == {TEXT, PONG}
        writer.write(masked(heartbeat(3)) + masked(heartbeat(4, 65536)))
        assert await beats(reader, 2) == [3, 4]


@pytest.mark.parametrize("at", [1, 20, len(HANDSHAKE) - 2, len(HANDSHAKE) - 1])
async def test_a_handshake_may_be_cut_anywhere(url: str, at: int) -> None:
    barrier = await Person.at(url)
    async with raw(url) as (reader, writer):
        await in_pieces(writer, (HANDSHAKE[:at], HANDSHAKE[at:]), barrier)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        for number in range(3):
            writer.write(masked(heartbeat(number)) + frame(Opcode.PONG) + masked(heartbeat(number, 65536)))
            assert await beats(reader, 2) == [number, number]


@pytest.mark.parametrize("at", [1, 2, 6, 20])
async def test_a_frame_may_begin_in_the_segment_of_the_handshake(url: str, at: int) -> None:
    barrier = await Person.at(url)
    data = masked(heartbeat(1)) + masked(heartbeat(2))
    async with raw(url) as (reader, writer):
        await in_pieces(writer, (HANDSHAKE + data[:at], data[at:]), barrier)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await beats(reader, 2) == [1, 2]


async def test_a_frame_that_begins_in_the_segment_of_the_handshake_may_look_like_its_end(url: str) -> None:
    barrier = await Person.at(url)
    payload = '{"type":"heartbeat","id":\r\n\r\n"é"}'.encode()
    data = bytes([TEXT, 0x80 + len(payload), 0, 0, 0, 0]) + payload  # this mask hides nothing
    at = data.index(b"\r\n\r\n") + 4
    async with raw(url) as (reader, writer):
        await in_pieces(writer, (HANDSHAKE + data[:at], data[at:]), barrier)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        async with asyncio.timeout(1.0):  # the daemon has read all of it, and answered somebody else after that
            assert orjson.loads((await frames(reader, 1))[0][1])["id"] == "é"


async def test_a_close_after_frames_is_answered_after_their_replies(process: Process) -> None:
    async with raw(process.url) as (reader, writer):
        await _shake_hands(reader, writer)
        bye = frame(Opcode.CLOSE, (1000).to_bytes(2, "big"))
        writer.write(b"".join(masked(heartbeat(number)) for number in range(20)) + bye + masked(heartbeat(99)))
        assert await beats(reader, 20) == list(range(20))
        assert await closing_code(reader) == 1000


async def test_what_was_sent_before_a_close_in_one_segment_is_stored(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await befriend(ada, bob, username="bob")
    async with raw(process.url) as (reader, writer):
        await _shake_hands(reader, writer)
        writer.write(masked(orjson.dumps({"type": "auth", "token": ada.token})))
        assert await frames(reader, 1)
        sends = [{"type": "send", "to_user": "bob", "content": str(number)} for number in range(20)]
        bye = frame(Opcode.CLOSE, (1000).to_bytes(2, "big"))
        writer.write(b"".join(masked(orjson.dumps(request)) for request in sends) + bye)
        assert await closing_code(reader) == 1000
    heard = [await bob.next() for _ in range(20)]
    assert [event["seq"] for event in heard] == list(range(1, 21))
    stored = (await ada.data("history", user="bob"))["messages"]
    assert [message["content"] for message in stored] == [str(number) for number in range(20)]
    assert await process.kill(15) == 0
    assert "Traceback" not in process.log


# Slow readers


async def test_a_client_that_never_reads_costs_bounded_memory_and_misses_nothing(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    conversation_id = await befriend(ada, bob, username="bob")
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)  # the kernel's own buffers would hold it all
    deaf.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, ("127.0.0.1", process.port))
    reader, writer = await asyncio.open_connection(sock=deaf)
    await _shake_hands(reader, writer)
    writer.write(masked(orjson.dumps({"type": "auth", "token": bob.token})))
    await reader.readuntil(b'"sync":null}}')
    writer.transport.pause_reading()  # type: ignore[attr-defined]

    before = _resident_kib(process.pid)
    content = "x" * 8000
    sent = 1500  # 12 MB, where outbox_bytes is 1 MiB
    started = loop.time()
    for _ in range(sent):
        await ada.data("send", to_user="bob", content=content)
        await bob.next()
    assert loop.time() - started < PATIENCE
    grown = _resident_kib(process.pid) - before
    print(f"grown by {grown} KiB")
    assert grown < 30_000, f"the daemon grew by {grown} KiB"

    writer.transport.resume_reading()  # type: ignore[attr-defined]
    rest = await asyncio.wait_for(reader.read(), PATIENCE)
    while more := await asyncio.wait_for(reader.read(), PATIENCE):
        rest += more
    assert (1013).to_bytes(2, "big") + b"too slow: reconnect and sync" in rest[-64:]
    writer.close()

    seen = rest.count(b'"event":"message"')
    assert 0 < seen < sent
    again = await Person.at(process.url)
    page = (await again.data("auth", token=bob.token, cursors={str(conversation_id): seen}))["sync"]
    missed = page["events"]
    while page["next"] is not None:
        cursors = {str(conversation_id): missed[-1]["seq"]}
        page = await again.data("sync", cursors=cursors, after_conversation_id=page["next"])
        missed += page["events"]
    assert [one["seq"] for one in missed if one["event"] == "message"] == list(range(seen + 1, sent + 1))


def _resident_kib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


async def test_a_client_that_asks_and_does_not_read_is_not_read_either(url: str) -> None:
    ada = await Person.named(url, "ada")
    for _ in range(50):
        await ada.data("send", to_user="ada", content="x" * 8000)
    ada.socket.transport.pause_reading()
    asked = 2000  # answers of 400 KB each: had all of them been worked on, the outbox would have overflowed
    ask = masked(orjson.dumps({"type": "history", "user": "ada", "limit": 50}))
    ada.socket.transport.write(ask * asked)
    bob = await Person.named(url, "bob")
    for _ in range(20):
        assert (await bob.ask("heartbeat"))["success"], "the others are served meanwhile"
    ada.socket.transport.abort()


# The end


async def test_sigterm_finishes_what_was_accepted_and_says_come_back(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await befriend(ada, bob, username="bob")
    for number in range(100):
        await ada.say("send", to_user="bob", content=str(number), id=number)
    first = await ada.reply()
    started = time.monotonic()
    stopping = asyncio.create_task(process.kill(15))
    acknowledged = [first["data"]["seq"]]
    with contextlib.suppress(ConnectionClosed):
        while True:
            acknowledged.append((await ada.reply())["data"]["seq"])
    assert code_of(await until_closed(ada)) == 1012
    assert code_of(await until_closed(bob)) == 1012
    assert await stopping == 0
    assert time.monotonic() - started < 10.0
    await process.start()
    bob = await Person.again(process.url, bob.token)
    stored = await bob.data("history", user="ada", limit=200)
    assert [one["seq"] for one in stored["messages"]][: len(acknowledged)] == acknowledged
    assert "Traceback" not in process.log
    await bob.close()


async def test_sigterm_does_not_wait_for_who_does_not_answer(tmp_path: Path) -> None:
    process = Process(tmp_path, "[server]\nlisten = '127.0.0.1:{port}'\nshutdown_timeout = 0.5\n")
    await process.start()
    async with raw(process.url) as (reader, writer):
        await _shake_hands(reader, writer)
        started = time.monotonic()
        assert await process.kill(15) == 0
        assert time.monotonic() - started < 3.0


async def test_sigterm_lets_a_plain_request_end(process: Process) -> None:
    ada = await Person.named(process.url, "ada")
    web, idle = await Web.at(process.url), await Web.at(process.url)
    await idle.get("/healthz")
    body = orjson.dumps({"to_user": "ada", "content": "the last word"})
    head = {"authorization": f"Bearer {ada.token}", "expect": "100-continue", "content_length": str(len(body))}
    web.say("POST", "/api/send", **head)
    assert (await web.answer()).status == 100  # it is under way
    started = time.monotonic()
    stopping = asyncio.create_task(process.kill(15))
    assert await idle.ended()  # the daemon is about to stop
    web.writer.write(body)
    answered = await web.answer()
    assert (answered.status, answered.json["data"]["seq"]) == (200, 1)
    assert await web.ended()
    assert code_of(await until_closed(ada)) == 1012
    assert await stopping == 0
    assert time.monotonic() - started < 5.0
    assert "Traceback" not in process.log
    await process.start()
    ada = await Person.again(process.url, ada.token)
    assert (await ada.data("history", user="ada"))["messages"][0]["content"] == "the last word"
    await ada.close()


async def test_sigterm_does_not_wait_long_for_a_plain_request_that_does_not_come(tmp_path: Path) -> None:
    process = Process(tmp_path, "[server]\nlisten = '127.0.0.1:{port}'\nshutdown_timeout = 1.0\n")
    await process.start()
    web = await Web.at(process.url)
    web.say("POST", "/api/send", expect="100-continue", content_length="9")
    assert (await web.answer()).status == 100
    started = time.monotonic()
    assert await process.kill(15) == 0
    assert time.monotonic() - started < 3.0
    assert "Traceback" not in process.log


# One against all


async def test_plain_connections_are_counted_with_the_others(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, connections_per_address=2)) as url:
        first = await Web.at(url)
        for _ in range(3):  # three requests, and it is one connection
            assert (await first.get("/healthz")).status == 200
        await Person.at(url)
        for target in ("/healthz", "/api/heartbeat"):
            web = await Web.at(url)
            assert (await web.get(target)).status == 429
            await web.close()
        with pytest.raises(InvalidStatus) as refused:
            await Person.at(url)
        assert refused.value.response.status_code == 429
        await first.close()
        await Person.at(url)


async def test_a_proxy_brings_requests_of_many_clients_on_one_connection(tmp_path: Path) -> None:
    config = config_for(tmp_path, connections_per_address=1, connections=3, trusted_proxies=("127.0.0.1",))
    async with running(config) as url:
        await Person.at(url, additional_headers={"X-Forwarded-For": "192.0.2.1"})
        proxy = await Web.at(url)
        for client in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            assert (await proxy.get("/healthz", x_forwarded_for=client)).status == 200
        with pytest.raises(InvalidStatus) as refused:
            await Person.at(url, additional_headers={"X-Forwarded-For": "192.0.2.1"})
        assert refused.value.response.status_code == 429
        await Person.at(url, additional_headers={"X-Forwarded-For": "192.0.2.2"})
        web = await Web.at(url)
        answered = await web.get("/", x_forwarded_for="192.0.2.3")
        assert (answered.status, answered.headers["connection"]) == (503, ["close"])


async def test_who_resets_a_plain_request_disturbs_nobody(process: Process) -> None:
    people = [await Person.named(process.url, f"user{number}") for number in range(4)]
    for _ in range(60):
        for _ in range(5):
            rude = socket.create_connection(("127.0.0.1", process.port))
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            rude.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            rude.close()  # a reset, not a goodbye
        for person in people:
            await person.say("heartbeat")
        for person in people:
            assert (await person.reply())["success"]
    assert await process.kill(15) == 0
    assert "Traceback" not in process.log


async def test_what_comes_in_one_burst_and_is_read_is_not_too_slow(url: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    content = "é" * 4000
    for _ in range(60):
        await ada.data("send", to_user="bob", content=content)
    await bob.events()
    for number in range(30):
        await bob.say("history", user="ada", limit=60, id=number)
    for number in range(30):  # thirty pages at once, a quarter of a megabyte each
        assert (await bob.reply())["id"] == number


async def test_floods_are_cut_before_their_handshake(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, connections_per_address=2)) as url, contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(raw(url)) for _ in range(40)]
        ended = [reader for reader, _ in silent[18:]]
        for reader in ended:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), PATIENCE) == b""


async def test_compressed_bombs_are_opened_one_by_one(tmp_path: Path) -> None:
    process = Process(tmp_path, SETTINGS.replace("[server]", "[server]\ncompression = true"))
    await process.start()
    try:
        guest = await Person.at(process.url)
        before = _resident_kib(process.pid)
        async with connect(process.url, compression="deflate") as bomber:
            await bomber.send('{"type":"login","username":"nobody","password":"wrong horse"}')
            bomb = Frame(Opcode.TEXT, b" " * 65000).serialize(mask=True, extensions=bomber.protocol.extensions)
            for _ in range(4):
                bomber.transport.write(bomb * (240 * 1024 // len(bomb)))
            for _ in range(20):
                assert (await guest.ask("heartbeat"))["success"]
            assert _resident_kib(process.pid) - before < 40_000
            bomber.transport.abort()
    finally:
        await process.end()


async def test_sigterm_does_not_wait_for_passwords_to_be_hashed(tmp_path: Path) -> None:
    settings = "[server]\nlisten = '127.0.0.1:{port}'\nshutdown_timeout = 1.0\n[accounts]\nbcrypt_cost = 12\n"
    process = Process(tmp_path, settings)
    await process.start()
    guests = [await Person.at(process.url) for _ in range(20)]
    for guest in guests:
        await guest.say("login", username="nobody", password="wrong horse")
    assert not (await guests[0].reply())["success"]  # the hashing is under way
    started = time.monotonic()
    assert await process.kill(15) == 0
    assert time.monotonic() - started < 3.0
