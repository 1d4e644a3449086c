"""What a browser or curl sees of the port: the front page, the daemon's health, and who may read what."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from chatd.errors import Unavailable
from chatd.site import ASKED, TOLD
from chatd.transactions import Transactions
from tests.support import PASSWORD, Person, Web, config_for, running

GOOD, EVIL = "https://good.example", "https://evil.example"


@pytest.fixture
async def web(url: str) -> Web:
    return await Web.at(url)


@pytest.fixture
async def listing(tmp_path: Path) -> AsyncIterator[Web]:
    """Somebody at a daemon that lists another page's origin."""
    async with running(config_for(tmp_path, origins=(GOOD, "https://other.example"))) as url:
        yield await Web.at(url)


# The front page


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "ws://chat.test/ws"),
        ({"host": "c.example:8080"}, "ws://c.example:8080/ws"),
        ({"x_forwarded_proto": "https"}, "wss://chat.test/ws"),
        ({"x_forwarded_proto": "http"}, "ws://chat.test/ws"),
        ({"host": "{scheme}"}, "ws://{scheme}/ws"),
        ({"host": ""}, "ws://127.0.0.1/ws"),
    ],
)
async def test_the_front_page_says_where_the_websocket_is(web: Web, headers: dict[str, str], said: str) -> None:
    answered = await web.get("/", **{"Host" if name == "host" else name: value for name, value in headers.items()})
    assert answered.status == 200
    assert answered.headers["content-type"] == ["text/plain; charset=utf-8"]
    assert f"JSON over WebSocket at {said}\n" in answered.body.decode()
    assert f"npx wscat -c {said}\n" in answered.body.decode()


async def test_the_front_page_shows_frames_that_can_be_typed(web: Web, url: str) -> None:
    lines = [line for line in (await web.get("/?x")).body.decode().splitlines() if "> {" in line]
    person = await Person.at(url)
    for line in lines:
        await person.socket.send(line.partition("> ")[2])
        assert (await person.reply())["success"]
    assert len(lines) == 2


# Health


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz?verbose", "/readyz?"])
async def test_a_daemon_that_serves_says_so(web: Web, path: str) -> None:
    answered = await web.get(path)
    assert (answered.status, answered.body) == (200, b"ok\n")
    answered = await web.get(path, "HEAD")
    assert (answered.status, answered.headers["content-length"]) == (200, ["3"])


async def test_a_daemon_lives_without_its_database_and_is_not_ready(web: Web) -> None:
    async def refuse(*_: Any) -> None:
        raise Unavailable

    with patch.object(Transactions, "on_reader", refuse):
        assert (await web.get("/healthz")).status == 200
        assert (await web.get("/readyz")).status in (500, 503)
    assert (await web.get("/readyz")).status == 200


async def test_a_daemon_whose_disk_is_full_is_not_ready(web: Web) -> None:
    for free, status in ((10**6, 503), (0, 503), (10**9, 200)):
        with patch("shutil.disk_usage", return_value=SimpleNamespace(free=free)):
            assert (await web.get("/readyz")).status == status
            assert (await web.get("/healthz")).status == 200


async def test_an_unready_daemon_is_no_defect(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(*_: Any) -> None:
        raise Unavailable

    with patch.object(Transactions, "on_reader", refuse):
        assert (await web.get("/readyz")).status == 503
    assert not [record for record in caplog.records if record.name == "chatd.http"]


# What is not there


@pytest.mark.parametrize(
    "target",
    [
        "/robots.txt", "/index.html", "//", "/api", "/API/send", "/wss", "/ws/", "/healthz/", "/../", "/%2e", "*", "?",
        "x:443",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "CONNECT", "get"])
async def test_there_is_nothing_else(web: Web, method: str, target: str) -> None:
    for _ in range(2):
        answered = await web.get(target, method)
        assert answered.status == 404
        assert answered.body == (b"" if method == "HEAD" else b"There is nothing here. GET / says what this is.\n")


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"])
async def test_pages_can_only_be_read(web: Web, method: str, path: str) -> None:
    answered = await web.get(path, method)
    assert (answered.status, answered.headers["allow"]) == (405, ["GET, HEAD"])
    assert answered.body == b"GET or HEAD only.\n"


@pytest.mark.parametrize("path", ["/api/send", "/api/nonsense", "/api/", "/api/a/b"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"])
async def test_ops_are_only_posted(web: Web, method: str, path: str) -> None:
    answered = await web.get(path, method)
    assert (answered.status, answered.headers["allow"]) == (405, ["POST"])


# Other origins' pages (the Fetch standard, CORS protocol)


def cors(headers: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: value for name, value in headers.items() if name.startswith("access-control-") or name == "vary"}


ALLOWED = {
    "access-control-allow-origin": [GOOD],
    "access-control-allow-methods": ["GET, HEAD, POST, PATCH, DELETE"],
    "access-control-allow-headers": [", ".join(ASKED)],
    "access-control-expose-headers": [", ".join(TOLD)],
    "vary": ["Origin"],
}


@pytest.mark.parametrize("origin", [EVIL, "null", "", "http://chat.test.evil.example", f"{GOOD}, {EVIL}", "http://["])
@pytest.mark.parametrize("target", ["/", "/healthz", "/api/heartbeat", "/nothing"])
async def test_pages_of_other_origins_are_refused(url: str, origin: str, target: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answered = await (await Web.at(url)).get(target, method, origin=origin)
        assert answered.status == 403
        assert b"origins" in answered.body
        assert not cors(answered.headers)


async def test_what_an_evil_page_asks_for_is_not_done(url: str) -> None:
    web = await Web.at(url)
    signup = f'{{"username":"eve","password":"{PASSWORD}"}}'.encode()
    web.say("POST", "/api/signup", signup, origin=EVIL, content_type="text/plain")
    assert (await web.answer()).status == 403
    web = await Web.at(url)
    assert await web.error("login", username="eve", password=PASSWORD) == (401, "bad_credentials")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_daemons_own_page_needs_no_permission(web: Web, scheme: str) -> None:
    web.say("POST", "/api/heartbeat", b"{}", origin=f"{scheme}://CHAT.test")
    answered = await web.answer()
    assert (answered.status, cors(answered.headers)) == (200, {})
    assert (await web.get("/api/heartbeat", "OPTIONS", origin=f"{scheme}://chat.test")).status == 405


async def test_without_an_origin_nothing_is_said_of_origins(listing: Web) -> None:
    listing.say("POST", "/api/heartbeat", b"{}")
    answered = await listing.answer()
    assert (answered.status, cors(answered.headers)) == (200, {"vary": ["Origin"]})  # it is no answer for a page


@pytest.mark.parametrize("target", ["/healthz", "/nothing", "/files/1"])
async def test_what_an_image_got_is_not_what_a_page_gets(listing: Web, target: str) -> None:
    """A browser that has shown an image without CORS would give the page the same answer from its cache."""
    for headers in ({}, {"origin": GOOD}, {"origin": "http://chat.test"}):
        assert (await listing.get(target, **headers)).headers["vary"] == ["Origin"]


async def test_a_page_that_is_listed_may_ask_whether_something_is_new(listing: Web) -> None:
    asked = {"access_control_request_method": "GET", "access_control_request_headers": "if-none-match"}
    answered = await listing.get("/files/1", "OPTIONS", origin=GOOD, **asked)
    may = answered.headers["access-control-allow-headers"][0].lower().split(", ")
    assert {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"} <= set(may)


async def test_a_page_that_is_listed_may_read_the_answer(listing: Web) -> None:
    listing.say("POST", "/api/heartbeat", b"{}", origin=GOOD)
    answered = await listing.answer()
    assert (answered.status, cors(answered.headers)) == (200, ALLOWED)


@pytest.mark.parametrize("path", ["/api/send", "/healthz"])
async def test_a_page_that_is_listed_may_ask_whether_it_may(listing: Web, path: str) -> None:
    wanted = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}
    for _ in range(2):
        answered = await listing.get(path, "OPTIONS", origin=GOOD, **wanted)
        assert (answered.status, answered.body, cors(answered.headers)) == (204, b"", ALLOWED)


async def test_only_the_pages_that_are_listed_may(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, origins=(GOOD,))) as url:
        for origin in (EVIL, "http://good.example", f"{GOOD}:8443", f"{GOOD}/", f"{GOOD}.evil.example", GOOD.upper()):
            answered = await (await Web.at(url)).get("/api/heartbeat", "OPTIONS", origin=origin)
            assert (answered.status, cors(answered.headers)) == (403, {}), origin


@pytest.mark.parametrize(
    ("op", "body", "authorization", "status"),
    [
        ("nonsense", b"{}", "", 404),
        ("friends", b"{}", "", 401),
        ("friends", b"{}", "Basic YTpi", 401),
        ("friends", b"{}", "Bearer wrong", 401),
        ("heartbeat", b"{", "", 400),
        ("heartbeat", b"x" * 65537, "", 413),
    ],
)
async def test_a_page_that_is_listed_may_read_why_it_is_refused(
    listing: Web, op: str, body: bytes, authorization: str, status: int
) -> None:
    told = {"authorization": authorization} if authorization else {}
    listing.say("POST", f"/api/{op}", body, origin=GOOD, **told)
    answered = await listing.answer()
    assert (answered.status, cors(answered.headers)) == (status, ALLOWED)


@pytest.mark.parametrize(
    ("method", "target", "status"), [("GET", "/healthz", 200), ("GET", "/nothing", 404), ("GET", "/api/send", 405)]
)
async def test_a_page_that_is_listed_may_read_the_rest_too(listing: Web, method: str, target: str, status: int) -> None:
    answered = await listing.get(target, method, origin=GOOD)
    assert (answered.status, cors(answered.headers)) == (status, ALLOWED)


# Many at once


async def test_many_are_answered_at_once(url: str) -> None:
    webs = await asyncio.gather(*(Web.at(url) for _ in range(100)))
    paths = ["/", "/healthz", "/readyz", "/nothing"]
    answers = await asyncio.gather(*(web.get(paths[number % 4]) for number, web in enumerate(webs)))
    assert [answered.status for answered in answers] == [200, 200, 200, 404] * 25
    with contextlib.suppress(ConnectionError):
        await asyncio.gather(*(web.close() for web in webs))
