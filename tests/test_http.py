"""HTTP/1.1 on a loopback port, with a small answer in the site's place."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from unittest.mock import patch

import pytest

from chatd import http
from chatd.exchange import Answer, Cut, Refused, Request, Response
from chatd.http import BUFFERED, HttpConnection
from chatd.server import RECEIVED
from tests.support import PATIENCE, Web

RECV = 256 * 1024
"""The most that asyncio takes from a socket at once."""

LIMIT = 1000


class Watched(HttpConnection):
    """A connection that says when it stops reading, and when its deadline has passed."""

    paused: asyncio.Event
    put_off: asyncio.Queue[float]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 65536
        )  # it might hold it all
        super().connection_made(transport)

    def overdue(self) -> None:
        super().overdue()
        self.put_off.put_nowait(self.deadline)

    def take(self, data: bytes) -> None:
        super().take(data)
        if not self.transport.is_reading():
            self.paused.set()


@dataclass
class Host:
    """A listener whose connections are at hand."""

    url: str = ""
    came: list[Watched] = field(default_factory=list)
    lost: asyncio.Queue[HttpConnection] = field(default_factory=asyncio.Queue)
    paused: asyncio.Event = field(default_factory=asyncio.Event)
    put_off: asyncio.Queue[float] = field(default_factory=asyncio.Queue)


def as_it_is(address: str, hops: Sequence[str]) -> str:
    return address


@contextlib.asynccontextmanager
async def hosting(
    answer: Answer, *, idle: float = PATIENCE, forwarded: Callable[[str, Sequence[str]], str] = as_it_is
) -> AsyncIterator[Host]:
    """Connections that answer like this, and a sweep over their deadlines, as the daemon's but more often."""
    loop, host, received = asyncio.get_running_loop(), Host(), memoryview(bytearray(RECEIVED))
    gone: set[HttpConnection] = set()

    def lost(connection: HttpConnection) -> None:
        gone.add(connection)
        host.lost.put_nowait(connection)

    def connection() -> Watched:
        one = Watched(answer, address="127.0.0.1", received=received, idle=idle, forwarded=forwarded, lost=lost)
        one.paused, one.put_off = host.paused, host.put_off
        host.came.append(one)
        return one

    sweeper: asyncio.Handle

    def sweep() -> None:
        nonlocal sweeper
        sweeper = loop.call_later(0.01, sweep)
        for one in host.came:
            if one not in gone and one.deadline <= loop.time():
                one.overdue()

    sweeper = loop.call_soon(sweep)
    server = await loop.create_server(connection, "127.0.0.1", 0)
    host.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
    try:
        yield host
    finally:
        sweeper.cancel()
        server.close()
        for one in host.came:
            if one not in gone:
                one.transport.abort()
        async with asyncio.timeout(PATIENCE):
            while len(gone) < len(host.came):
                await host.lost.get()


async def echo(request: Request) -> Response:
    """What was asked, in words."""
    body = await request.body.read(LIMIT)
    return Response(HTTPStatus.OK, f"{request.method} {request.path}?{request.query} ".encode() + body)


async def unread(request: Request) -> Response:
    """An answer that has nothing to do with the body."""
    return Response(HTTPStatus.OK, b"unread")


class Stage:
    """An answer that waits until it is let go on."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[Request] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        self.begun.put_nowait(request)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Response(HTTPStatus.OK, request.path.encode())


async def within(waiting: asyncio.Queue[Any] | asyncio.Event) -> None:
    """Wait for something to happen."""
    await asyncio.wait_for(waiting.wait() if isinstance(waiting, asyncio.Event) else waiting.get(), PATIENCE)


async def raw(host: Host, data: bytes) -> Web:
    """Somebody who has sent this."""
    web = await Web.at(host.url)
    web.writer.write(data)
    return web


# Requests and responses


async def test_a_request_is_what_was_asked() -> None:
    asked: list[Request] = []

    async def answer(request: Request) -> Response:
        asked.append(request)
        return Response(HTTPStatus.OK)

    async with hosting(answer) as host:
        web = await raw(
            host, b"GET /a%20b?c=d?e HTTP/1.1\r\nHOST: x\r\nX-Two: \xe9 1 \r\nx-two: 2\r\nX-Fold: a\r\n b\r\n\r\n"
        )
        assert (await web.answer()).status == 200
    (request,) = asked
    assert (request.method, request.path, request.query) == ("GET", "/a%20b", "c=d?e")
    assert request.headers == {"host": "x", "x-two": "é 1, 2", "x-fold": "a b"}
    assert request.address == "127.0.0.1"


async def test_a_response_is_dated_and_means_what_it_says() -> None:
    async def answer(request: Request) -> Response:
        return Response(HTTPStatus.CREATED, b"{}", "application/json", [("X-Mine", "1"), ("Set-Cookie", "a")])

    async with hosting(answer) as host:
        answered = await (await Web.at(host.url)).get("/")
    date = answered.headers.pop("date")
    assert parsedate_to_datetime(date[0]).tzinfo is not None
    assert answered.headers == {
        "content-type": ["application/json"],
        "content-length": ["2"],
        "x-content-type-options": ["nosniff"],
        "x-mine": ["1"],
        "set-cookie": ["a"],
    }
    assert (answered.status, answered.body) == (201, b"{}")


async def test_a_connection_is_kept_for_more_requests() -> None:
    async with hosting(echo) as host:
        web = await Web.at(host.url)
        for number in range(10):
            web.say("POST", f"/{number}?x", b"y" * number)
            answered = await web.answer()
            assert (answered.status, answered.body) == (200, f"POST /{number}?x ".encode() + b"y" * number)
            assert "connection" not in answered.headers
        assert len(host.came) == 1


async def test_requests_that_come_at_once_are_answered_in_order() -> None:
    async with hosting(echo) as host:
        web = await Web.at(host.url)
        for number in range(100):
            web.say("POST" if number % 3 else "GET", f"/{number}", b"?" * number if number % 3 else None)
        assert [(await web.answer()).body.split()[1] for _ in range(100)] == [b"/%d?" % number for number in range(100)]


async def test_a_request_is_begun_when_those_before_it_are_answered() -> None:
    stage = Stage()
    async with hosting(stage.answer) as host:
        web = await Web.at(host.url)
        for number in range(3):
            web.say("GET", f"/{number}")
        await within(stage.begun)
        await within(host.paused)
        assert stage.begun.empty()
        stage.gate.set()
        assert [(await web.answer()).body for _ in range(3)] == [b"/0", b"/1", b"/2"]


async def test_a_request_may_come_byte_by_byte() -> None:
    async with hosting(echo) as host:
        web, barrier = await Web.at(host.url), await Web.at(host.url)
        for byte in b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
            web.writer.write(bytes([byte]))
            await barrier.get("/")
        assert (await web.answer()).body == b"POST /x? abc"


async def test_head_is_told_the_length_and_not_the_body() -> None:
    async with hosting(echo) as host:
        web = await Web.at(host.url)
        for _ in range(3):
            answered = await web.get("/x", "HEAD")
            assert (answered.status, answered.headers["content-length"]) == (200, ["9"])
            assert (await web.get("/x")).body == b"GET /x? "


async def test_after_head_a_refusal_has_its_body() -> None:
    async with hosting(echo) as host:
        web = await Web.at(host.url)
        await web.get("/x", "HEAD")
        web.writer.write(b"nonsense\r\n\r\n")
        assert (await web.answer()).body == b"illegal request line.\n"


@pytest.mark.parametrize("status", [HTTPStatus.NO_CONTENT, HTTPStatus.OK])
async def test_an_answer_may_be_empty(status: HTTPStatus) -> None:
    async def answer(request: Request) -> Response:
        return Response(status)

    async with hosting(answer) as host:
        web = await Web.at(host.url)
        for _ in range(2):
            answered = await web.get("/")
            assert (answered.status, answered.body) == (status, b"")


async def test_where_there_is_no_content_none_is_described() -> None:
    """RFC 9110, section 8.6: no Content-Length in a 204."""

    async def answer(request: Request) -> Response:
        return Response(HTTPStatus.NO_CONTENT)

    async with hosting(answer) as host:
        answered = await (await Web.at(host.url)).get("/")
        assert not {"content-length", "content-type"} & answered.headers.keys()


async def test_a_refusal_is_answered_with_its_status_and_its_words() -> None:
    async def answer(request: Request) -> Response:
        raise Refused(HTTPStatus.CONFLICT, "Née.\n", headers=[("Allow", "GET")])

    async with hosting(answer) as host:
        web = await Web.at(host.url)
        for _ in range(2):
            answered = await web.get("/")
            assert (answered.status, answered.body.decode(), answered.headers["allow"]) == (409, "Née.\n", ["GET"])


async def test_a_defect_is_logged_and_the_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(request: Request) -> Response:
        if request.path == "/broken":
            raise ZeroDivisionError
        return Response(HTTPStatus.OK)

    async with hosting(answer) as host:
        web = await Web.at(host.url)
        answered = await web.get("/broken?token=secret")
        assert (answered.status, b"ZeroDivision" in answered.body) == (500, False)
        assert (await web.get("/")).status == 200
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("chatd.http", "GET /broken failed")
    assert record.exc_info


# Bodies


async def test_a_body_may_come_in_chunks() -> None:
    async with hosting(echo) as host:
        web = await raw(
            host,
            b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
            b'3;name="value"\r\nabc\r\n00000009\r\n\r\n0\r\n\r\n12\r\n0\r\nX-Trailer: 1\r\n\r\n'
            b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n",
        )
        assert (await web.answer()).body == b"POST /x? abc\r\n0\r\n\r\n12"
        assert (await web.answer()).body == b"GET /next? "


async def test_a_body_is_read_as_it_comes() -> None:
    chunks: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(request: Request) -> Response:
        while chunk := await request.body.chunk():
            chunks.put_nowait(chunk)
        assert await request.body.chunk() == b""
        return Response(HTTPStatus.OK)

    async with hosting(answer) as host:
        web = await raw(host, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n")
        for part in (b"ab", b"cd", b"ef"):
            web.writer.write(part)
            assert await asyncio.wait_for(chunks.get(), PATIENCE) == part
        assert (await web.answer()).status == 200


ASKING = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"


async def test_who_asks_whether_to_send_a_body_is_told_when_it_is_read() -> None:
    stage = Stage()

    async def answer(request: Request) -> Response:
        await stage.answer(request)
        return await echo(request)

    async with hosting(answer) as host:
        web, barrier = await raw(host, ASKING), await Web.at(host.url)
        await within(stage.begun)
        barrier.say("GET", "/")
        await within(stage.begun)  # nothing was said before that
        assert web.reader._buffer == b""  # type: ignore[attr-defined]  # there is no other way to look without waiting
        stage.gate.set()
        assert (await web.answer()).status == 100
        web.writer.write(b"abc")
        assert (await web.answer()).body == b"POST /x? abc"
        assert (await web.get("/y")).body == b"GET /y? "


async def test_who_does_not_wait_to_be_told_is_not_told() -> None:
    async with hosting(echo) as host:
        web = await raw(host, ASKING + b"abc" + ASKING)
        assert (await web.answer()).body == b"POST /x? abc"
        assert (await web.answer()).status == 100
        web.writer.write(b"def")
        assert (await web.answer()).body == b"POST /x? def"


async def test_who_asks_and_is_refused_sends_no_body() -> None:
    async with hosting(unread) as host:
        web = await raw(host, ASKING)
        answered = await web.answer()
        assert (answered.status, answered.headers["connection"]) == (200, ["close"])
        assert await web.ended()


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_may_be_as_long_as_the_limit(size: int, chunked: bool) -> None:
    async with hosting(echo) as host:
        web = await Web.at(host.url)
        if chunked:
            web.say("POST", "/", transfer_encoding="chunked")
            web.writer.write(b"1\r\nx\r\n" * size + b"0\r\n\r\n")
        else:
            web.say("POST", "/", b"x" * size)
        answered = await web.answer()
        assert (answered.status, answered.body.count(b"x")) == (200, size)
        assert (await web.get("/")).status == 200


TOO_LONG = [
    pytest.param(b"Content-Length: 100000000\r\n\r\n", b"x" * 65536, id="length"),
    pytest.param(b"Content-Length: 99999999999999999999\r\n\r\n", b"x" * 65536, id="absurd length"),
    pytest.param(b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n", id="chunks"),
    pytest.param(b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1024, id="little chunks"),
    pytest.param(b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"x" * 65536, id="one chunk"),
]


@pytest.mark.parametrize(("head", "more"), TOO_LONG)
async def test_a_body_that_is_too_long_is_refused_while_it_comes(head: bytes, more: bytes) -> None:
    async with hosting(echo) as host:
        web = await raw(host, b"POST / HTTP/1.1\r\nHost: x\r\n" + head)

        async def go_on() -> None:
            with contextlib.suppress(ConnectionError):
                for _ in range(500):
                    web.writer.write(more)
                    await web.writer.drain()

        sending = asyncio.create_task(go_on())
        answered = await web.answer()
        assert (answered.status, answered.headers["connection"]) == (413, ["close"])
        assert answered.body == b"The body may have 1000 bytes at most.\n"
        assert await web.ended()
        await sending


async def test_a_client_that_goes_on_sending_after_its_answer_is_cut_off() -> None:
    with patch.object(http, "LINGER", 0.05):
        async with hosting(unread) as host:
            web = await raw(host, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
            assert (await web.answer()).body == b"unread"
            async with asyncio.timeout(PATIENCE):
                with contextlib.suppress(ConnectionError):
                    while True:
                        web.writer.write(b"x" * 65536)
                        await web.writer.drain()
            await within(host.lost)


async def test_a_body_that_nobody_reads_is_passed_over() -> None:
    async with hosting(unread) as host:
        web = await Web.at(host.url)
        for _ in range(3):
            web.say("POST", "/", b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
            answered = await web.answer()
            assert (answered.body, answered.headers.get("connection")) == (b"unread", None)


async def test_a_body_that_nobody_reads_and_that_is_not_there_yet_ends_the_connection() -> None:
    async with hosting(unread) as host:
        web = await raw(host, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nthe beginning")
        answered = await web.answer()
        assert (answered.body, answered.headers["connection"]) == (b"unread", ["close"])
        web.say("GET", "/smuggled")
        assert await web.ended()


# What is no request, or two


def smuggled(*lines: bytes, body: bytes = b"") -> bytes:
    """A request whose end somebody else may see elsewhere, and one that may hide in it."""
    head = b"\r\n".join((b"POST /first HTTP/1.1", b"Host: x", *lines))
    return head + b"\r\n\r\n" + body + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


TWO_WAYS = {
    # the length said in two ways
    "CL.TE": smuggled(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "TE.CL": smuggled(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n"),
    "TE.CL in other letters": smuggled(b"transfer-encoding: CHUNKED", b"content-length: 0"),
    "CL.TE folded": smuggled(b"Content-Length: 0", b"Transfer-Encoding:\r\n\tchunked"),
    "two lengths": smuggled(b"Content-Length: 0", b"Content-Length: 34"),
    "two lengths in one line": smuggled(b"Content-Length: 0, 34"),
    # headers that are none
    "a space before the colon": smuggled(b"Transfer-Encoding : chunked"),
    "NUL in a name": smuggled(b"Content-Length\x00: 0"),
    "NUL in a value": smuggled(b"X: a\x00b"),
    "a bare CR": smuggled(b"X: a\rContent-Length: 34"),
    "no colon": smuggled(b"no colon"),
    "no name": smuggled(b": nameless"),
    "two hosts": smuggled(b"Host: y"),
    "folded to nothing": b"POST /first HTTP/1.1\r\n X: folded\r\nHost: x\r\n\r\n",
    "no host": b"GET /first HTTP/1.1\r\n\r\n",
}
LENGTHS = [b"", b"+0", b"-1", b"0x0", b"0_0", b"1e1", b"0 0", b"\xb2", b"9" * 21]
"""Of a body, which are none."""

CHUNKS = [
    b"-1\r\n", b"+1\r\nx\r\n", b"0x1\r\nx\r\n", b" 1\r\nx\r\n", b"\r\n", b"g\r\n", b"1" * 21 + b"\r\n",
    b"1\r\nxy\r\n", b"1\r\nx0\r\n\r\n", b"0\r\nno trailer\r\n\r\n", b"0\r\n X: folded\r\n\r\n",
]  # fmt: skip
REQUEST_LINES = [
    b"", b"nonsense", b"GET", b"GET /first", b"GET  /first HTTP/1.1", b"GET /first  HTTP/1.1", b"GET /a b HTTP/1.1",
    b"GET /first HTTP/1.1 ", b"GET /first HTTP/11", b"GET /first http/1.1", b"GET /first XTTP/1.1", b"GET  HTTP/1.1",
    b" GET /first HTTP/1.1", b"G\x00T /first HTTP/1.1", b"GET /\xc3\xa9 HTTP/1.1", b"GET /\x00 HTTP/1.1",
    b"G(T / HTTP/1.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]  # fmt: skip
ENCODINGS = [
    (b"Transfer-Encoding: gzip, chunked",),
    (b"Transfer-Encoding: chunked, identity",),
    (b"Transfer-Encoding: xchunked",),
    (b"Transfer-Encoding: chunked, chunked",),
    (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
]
"""Which are none, or not known (RFC 9112, section 6.1)."""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        *(pytest.param(data, 400, id=name) for name, data in TWO_WAYS.items()),
        *(pytest.param(smuggled(b"Content-Length: " + one), 400, id=f"length {one!r}") for one in LENGTHS),
        *((smuggled(b"Transfer-Encoding: chunked", body=chunk), 400) for chunk in CHUNKS),
        *(pytest.param(line + b"\r\nHost: x\r\n\r\n", 400, id=repr(line)) for line in REQUEST_LINES),
        *((smuggled(*lines, body=b"0\r\n\r\n"), 501) for lines in ENCODINGS),
    ],
)
async def test_what_can_be_read_in_two_ways_is_not_read_at_all(
    data: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.path)
        return await echo(request)

    async with hosting(answer) as host:
        web = await raw(host, data)
        answered = await web.answer()
        assert answered.status == status
        assert answered.headers["connection"] == ["close"]
        assert answered.body
        web.say("GET", "/smuggled")
        assert await web.ended()
    assert set(asked) <= {"/first"}
    assert not caplog.records


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((b"Content-Length: 2", b"Content-Length: 2"), b"ab"),
        ((b"Content-Length: 2, 2",), b"ab"),
        ((b"Content-Length: 002",), b"ab"),
        ((b"Transfer-Encoding: chunked",), b"2\r\nab\r\n0\r\n\r\n"),
        ((b"Transfer-Encoding:\t chunked \t",), b"2\r\nab\r\n0\r\n\r\n"),
        ((b" Transfer-Encoding: chunked", b"Content-Length: 2"), b"ab"),  # that is still the host
        ((b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 2"), b"ab"),
    ],
)
async def test_what_can_be_read_in_one_way_is_read(lines: tuple[bytes, ...], body: bytes) -> None:
    async with hosting(echo) as host:
        web = await raw(host, smuggled(*lines, body=body))
        assert (await web.answer()).body == b"POST /first? ab"
        assert (await web.answer()).body == b"GET /smuggled? "  # and nothing was hidden in it


@pytest.mark.parametrize("target", ["/", "*", "//x/y", "/a#b", "/a;b=c", "/%00", "?q", "x:443", "/" + "x" * 9000])
async def test_a_target_is_taken_as_it_is(target: str) -> None:
    async with hosting(echo) as host:
        path, _, query = target.partition("?")
        assert (await (await Web.at(host.url)).get(target)).body.decode() == f"GET {path}?{query} "


@pytest.mark.parametrize("scheme", ["http", "HTTPS"])
async def test_a_target_may_be_a_whole_address(scheme: str) -> None:
    """RFC 9112, section 3.2.2: a server must accept it, and its host instead of Host."""

    async def answer(request: Request) -> Response:
        return Response(HTTPStatus.OK, f"{request.headers['host']} {request.path}?{request.query}".encode())

    async with hosting(answer) as host:
        web = await Web.at(host.url)
        assert (await web.get(f"{scheme}://other.test:81/a?b")).body == b"other.test:81 /a?b"
        assert (await web.get(f"{scheme}://other.test")).body == b"other.test /?"


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "M-SEARCH"])
async def test_a_method_is_taken_as_it_is(method: str) -> None:
    async def answer(request: Request) -> Response:
        return Response(HTTPStatus.METHOD_NOT_ALLOWED, request.method.encode())

    async with hosting(answer) as host:
        web = await Web.at(host.url)
        for _ in range(2):
            assert (await web.get("/", method)).body == method.encode()


# The head's size

HEADS = {"a target": b"GET /%s HTTP/1.1\r\nHost: x\r\n", "a header": b"GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n"}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_a_head_that_does_not_end_is_refused(head: bytes) -> None:
    async with hosting(echo) as host:
        web = await raw(host, head % (b"x" * 300_000) + b"\r\n")
        answered = await web.answer()
        assert (answered.status, answered.headers["connection"]) == (431, ["close"])
        assert await web.ended()


async def test_many_headers_are_refused_like_a_long_one() -> None:
    async with hosting(echo) as host:
        web = await raw(host, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 50_000 + b"\r\n")
        assert (await web.answer()).status == 431


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_a_head_that_is_too_long_is_refused_however_it_comes(head: bytes) -> None:
    async with hosting(echo) as host:
        web = await Web.at(host.url)
        await web.get("/")
        web.writer.write(head % (b"x" * 17 * 1024) + b"\r\n")  # in one piece
        assert (await web.answer()).status == 431


async def test_trailers_are_as_long_as_a_head_at_most() -> None:
    async with hosting(echo) as host:
        for trailers in (b"0\r\nX: " + b"x" * 300_000, b"1;" + b"x" * 300_000):
            web = await raw(host, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + trailers)
            answered = await web.answer()
            assert (answered.status, answered.headers["connection"]) == (431, ["close"])
            assert await web.ended()


# The end


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: x, CLOSE\r\n\r\n",
    ],
)
async def test_who_wants_one_answer_gets_one(request_head: bytes) -> None:
    async with hosting(echo) as host:
        web = await raw(host, request_head + b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
        answered = await web.answer()
        assert (answered.body, answered.headers["connection"]) == (b"GET /? ", ["close"])
        assert await web.ended()


async def test_a_client_that_says_no_more_is_answered() -> None:
    stage = Stage()
    async with hosting(stage.answer) as host:
        web = await Web.at(host.url)
        for number in range(3):
            web.say("GET", f"/{number}")
        web.writer.write_eof()
        await within(stage.begun)
        stage.gate.set()
        assert [(await web.answer()).body for _ in range(3)] == [b"/0", b"/1", b"/2"]
        assert await web.ended()
        await within(host.lost)


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nHost:",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
async def test_a_client_that_says_no_more_within_a_request_is_told(
    begun: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with hosting(echo) as host:
        web = await raw(host, begun)
        web.writer.write_eof()
        answered = await web.answer()
        assert (answered.status, answered.headers["connection"]) == (400, ["close"])
        assert await web.ended()
        await within(host.lost)
    assert not caplog.records


async def test_a_client_that_comes_and_goes_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async with hosting(echo) as host:
        web = await Web.at(host.url)
        web.writer.write_eof()
        assert await web.ended()
        await within(host.lost)
    assert not caplog.records


async def test_nobody_works_for_a_client_that_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    async with hosting(stage.answer) as host:
        web = await raw(host, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        await within(stage.begun)
        web.reset()
        await within(stage.cancelled)
        await within(host.lost)
    assert not caplog.records


async def test_what_came_of_a_body_is_there_though_its_client_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    came: asyncio.Queue[bytes | type[Cut]] = asyncio.Queue()

    async def answer(request: Request) -> Response:
        try:
            while chunk := await request.body.chunk():
                came.put_nowait(chunk)
        except Cut:
            came.put_nowait(Cut)
            raise
        raise AssertionError("the body has no end")

    async with hosting(answer) as host:
        web = await raw(host, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
        assert await asyncio.wait_for(came.get(), PATIENCE) == b"ab"
        web.reset()
        assert await asyncio.wait_for(came.get(), PATIENCE) is Cut
        await within(host.lost)
    assert not caplog.records


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@patch.object(http, "LINGER", 0.02)
async def test_a_client_that_is_gone_before_its_answer_is_no_news(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()

    async def answer(request: Request) -> Response:
        await stage.answer(request)
        return Response(HTTPStatus.OK, b"" if method == "OPTIONS" else b"x" * 9)

    async with hosting(answer) as host:
        for _ in range(10):
            stage.gate.clear()
            client = socket.create_connection(("127.0.0.1", int(host.url[:-3].rpartition(":")[2])))
            client.sendall(f"{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            client.close()  # a goodbye, which looks like one half closed
            await within(stage.begun)
            stage.gate.set()
            await within(host.lost)
    assert not caplog.records, caplog.text


async def test_finish_waits_for_what_is_under_way() -> None:
    stage = Stage()
    async with hosting(stage.answer) as host:
        web, idle = await Web.at(host.url), await Web.at(host.url)
        web.say("GET", "/last")
        await within(stage.begun)
        idle.say("GET", "/idle")
        await within(stage.begun)
        finishing = [asyncio.create_task(one.finish()) for one in host.came]
        stage.gate.set()
        assert (await web.answer()).body == b"/last"
        assert (await idle.answer()).body == b"/idle"
        assert await web.ended()
        await asyncio.gather(*finishing)


async def test_finish_closes_at_once_where_nothing_is_under_way() -> None:
    async with hosting(echo) as host:
        web = await Web.at(host.url)
        await web.get("/")
        web.writer.write(b"GET / HTT")
        await host.came[0].finish()
        assert await web.ended()


# Deadlines


@pytest.mark.parametrize("answered", [0, 2])
@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nX-Slow: "])
async def test_a_client_that_falls_silent_between_requests_is_let_go(answered: int, begun: bytes) -> None:
    async with hosting(echo, idle=0.1) as host:
        web = await Web.at(host.url)
        for _ in range(answered):
            await web.get("/")
        web.writer.write(begun)
        assert await web.ended()
        await within(host.lost)


@pytest.mark.parametrize(
    "begun",
    [
        b"Content-Length: 5\r\n\r\n",
        b"Content-Length: 5\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ],
)
async def test_a_body_that_does_not_come_is_not_waited_for(begun: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with hosting(echo, idle=0.1) as host:
        web = await raw(host, b"POST / HTTP/1.1\r\nHost: x\r\n" + begun)
        answered = await web.answer()
        if answered.status == 100:
            answered = await web.answer()
        assert (answered.status, answered.headers["connection"]) == (408, ["close"])
        assert await web.ended()
    assert not caplog.records


@pytest.mark.parametrize("drop", [b"x", b"1\r\nx\r\n"], ids=["body", "chunks"])
async def test_a_body_that_drips_is_not_waited_for_either(drop: bytes) -> None:
    framing = b"Content-Length: 900" if drop == b"x" else b"Transfer-Encoding: chunked"
    await drips(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n", drop)


async def test_a_head_that_drips_is_not_waited_for_either() -> None:
    await drips(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"x")


@patch.object(http, "LINGER", 0.1)
async def drips(begun: bytes, drop: bytes) -> None:
    """What never falls silent for as long as it may, and never ends, is ended."""
    idle = 0.1
    async with hosting(echo, idle=idle) as host:
        web, barrier = await Web.at(host.url), await Web.at(host.url)
        await web.get("/")
        web.writer.write(begun)
        loop = asyncio.get_running_loop()
        started = last = loop.time()
        while host.lost.empty():
            await barrier.get("/")
            now = loop.time()
            assert now - started < 20 * idle, "it is still waited for"
            if now - last > idle / 4 and not web.writer.is_closing():
                web.writer.write(drop)
                last = now
        assert await host.lost.get() is host.came[0]


async def test_the_site_may_take_its_time() -> None:
    stage = Stage()
    async with hosting(stage.answer, idle=0.02) as host:
        web = await Web.at(host.url)
        web.say("POST", "/slow", b"abc")
        await within(stage.begun)
        for _ in range(5):
            await asyncio.wait_for(host.put_off.get(), PATIENCE)
        stage.gate.set()
        assert (await web.answer()).body == b"/slow"


async def test_after_an_answer_the_client_has_the_whole_time_again() -> None:
    stage = Stage()
    async with hosting(stage.answer) as host:
        web = await Web.at(host.url)
        web.say("GET", "/")
        await within(stage.begun)
        (connection,) = host.came
        connection.deadline = asyncio.get_running_loop().time() + 0.001  # the site has taken nearly all of it
        stage.gate.set()
        await web.answer()
        assert connection.deadline > asyncio.get_running_loop().time() + PATIENCE / 2


# Back-pressure


async def test_a_body_waits_for_who_reads_it() -> None:
    stage, size = Stage(), 20_000_000

    async def answer(request: Request) -> Response:
        await stage.answer(request)
        most = length = 0
        while chunk := await request.body.chunk():
            most, length = max(most, len(chunk)), length + len(chunk)
        return Response(HTTPStatus.OK, f"{length} {most <= BUFFERED + RECV}".encode())

    async with hosting(answer) as host:
        web = await Web.at(host.url)
        web.say("POST", "/", b"x" * size)
        await within(host.paused)
        request = await asyncio.wait_for(stage.begun.get(), PATIENCE)
        assert BUFFERED < request.body.waiting <= BUFFERED + RECV
        barrier = await Web.at(host.url)
        barrier.say("GET", "/")
        await within(stage.begun)
        assert request.body.waiting <= BUFFERED + RECV
        stage.gate.set()
        assert (await web.answer()).body == f"{size} True".encode()
        assert (await web.get("/")).status == 200


async def test_requests_wait_for_the_answers_before_them_to_be_read() -> None:
    async def answer(request: Request) -> Response:
        return Response(HTTPStatus.OK, b"x" * 65536 if request.path == "/large" else b"")

    async with hosting(answer) as host:
        deaf = await Web.at(host.url)
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(1000):  # 64 MB
            deaf.say("GET", "/large")
        other = await Web.at(host.url)
        for _ in range(2000):
            await other.get("/")
            assert host.came[0].transport.get_write_buffer_size() < 2_000_000
        deaf.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(1000):
            assert len((await deaf.answer()).body) == 65536


LARGE = 16_000_000
"""Bytes that the kernel's buffers do not hold."""


async def large(request: Request) -> Response:
    return Response(HTTPStatus.OK, b"x" * LARGE if request.path == "/large" else b"")


async def slow_reader(host: Host) -> Web:
    """Somebody who takes a little at a time."""
    port = int(host.url.removesuffix("/ws").rpartition(":")[2])
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return Web(*await asyncio.open_connection(sock=client, limit=65536))


@pytest.mark.parametrize("close", [False, True])
async def test_a_client_that_does_not_read_its_answer_is_let_go(close: bool) -> None:
    with patch.object(http, "LINGER", 0.1), patch.object(http, "STALLED", 0.1):
        async with hosting(large, idle=0.1) as host:
            web = await slow_reader(host)
            web.say("GET", "/large", **({"connection": "close"} if close else {}))
            await asyncio.wait_for(host.lost.get(), 3.0)


@pytest.mark.parametrize("close", [False, True])
async def test_a_client_that_reads_its_answer_slowly_gets_all_of_it(close: bool) -> None:
    idle = 0.2
    with patch.object(http, "LINGER", idle), patch.object(http, "STALLED", idle):
        async with hosting(large, idle=idle) as host:
            web, barrier = await slow_reader(host), await Web.at(host.url)
            web.say("GET", "/large", **({"connection": "close"} if close else {}))
            await web.reader.readuntil(b"\r\n\r\n")
            length = 0
            while length < LARGE:  # for several times as long as it may rest
                await barrier.get("/")
                chunk = await asyncio.wait_for(web.reader.read(4000), PATIENCE)
                assert chunk, f"it was cut off after {length} bytes"
                length += len(chunk)


# Behind a proxy


async def test_each_request_of_a_proxys_connection_is_its_own_clients() -> None:
    async def answer(request: Request) -> Response:
        return Response(HTTPStatus.OK, request.address.encode())

    def forwarded(address: str, hops: Sequence[str]) -> str:
        """As `Admission.behind` does where the proxy alone is trusted."""
        return hops[0].rpartition(",")[2].strip() if address == "127.0.0.1" and hops else address

    async with hosting(answer, forwarded=forwarded) as host:
        web = await Web.at(host.url)
        heard = [
            (await web.get("/", x_forwarded_for=hops)).body.decode()
            for hops in ("192.0.2.1", "6.6.6.6, 192.0.2.2", "192.0.2.1")
        ]
        assert heard == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
        assert (await web.get("/")).body == b"127.0.0.1"
